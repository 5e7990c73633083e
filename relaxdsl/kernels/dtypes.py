"""Dtypes in which kernels do not compute: where a kernel has one, and the error that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relaxdsl.errors import DTypeError
from relaxdsl.ir.loops import PrimFunc, Stmt, walk
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels.accesses import expressions, nodes
from relaxdsl.types.dtype import KERNEL_DTYPES


def unsupported_nodes(kernel: PrimFunc) -> Iterator[tuple[Stmt, ScalarExpr]]:
    """The nodes of such a dtype, each with its statement."""
    for stmt in walk(kernel.body):
        for node in (each for expr in expressions(stmt) for each in nodes(expr)):
            if node.dtype not in KERNEL_DTYPES:
                yield stmt, node


def unsupported_dtype(
    name: str, dtype: str, taken: Sequence[str] = KERNEL_DTYPES, operands: Sequence[str] = ()
) -> DTypeError:
    """The error of a kernel or an operator that would compute in such a dtype.

    Args:
        taken: the dtypes that it takes.
        operands: lines about the operands that have it.
    """
    return DTypeError(
        f"{name}: kernels do not compute in {dtype}",
        details=[*operands, f"{name} takes {', '.join(taken)}"],
        hint="use float32, for parameters as well; convert arrays before the call: x.astype(np.float32)",
    )
