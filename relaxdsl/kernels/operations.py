"""What a kernel has to do at least, whatever its schedule: operations on elements, and bytes of its arrays.

Both are read off the kernel in block form, as dims in its sizes. An operation is an addition, a multiplication, or any
other function of elements; comparisons are none. An element counts once, however often it is read; of an array of which
a kernel reads single elements, as a lookup does, those count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, Parts, PrimFunc, Stmt, Store, sub_statements
from relaxdsl.ir.scalar import Apply, Load, ScalarExpr, children
from relaxdsl.kernels.accesses import expressions, loads_of
from relaxdsl.types.dims import Dim, dim_max, dim_min, free_symbols, substitute
from relaxdsl.types.dtype import itemsize


@dataclass(frozen=True, slots=True)
class Operations:
    """What a call of a kernel does, in the kernel's sizes.

    Args:
        dtype: the widest that it computes in.
    """

    operations: Dim
    moved_bytes: Dim
    dtype: str


def operations_of(kernel: PrimFunc) -> Operations:
    """What a call of the kernel does.

    Loops that depend on outer ones count as in the middle of the outer range; of a condition, the side that does more.
    """
    return Operations(
        _total(kernel.body, _operations),
        sum(_bytes(buffer, kernel) for buffer in kernel.params),
        "float64" if any(buffer.dtype == "float64" for buffer in kernel.params) else "float32",
    )


def _bytes(buffer: Buffer, kernel: PrimFunc) -> Dim:
    count = math.prod(buffer.shape)
    if buffer in kernel.inputs:
        count = dim_min(count, _total(kernel.body, lambda stmt: _reads(stmt, buffer)))
    return count * itemsize(buffer.dtype)


def _total(stmt: Stmt, own: Callable[[Stmt], int]) -> Dim:
    """The sum of what all statements do themselves, as often as they run."""
    match stmt:
        case For(var=var, start=start, extent=extent, body=body):
            inside = _total(body, own)
            if var in free_symbols(inside):
                inside = substitute(inside, {var: start + extent // 2})
            return extent * inside
        case Parts(lower, upper, extent, body):
            return substitute(_total(body, own), {lower: 0, upper: extent})
        case Block(body=body):
            return _total(body, own)  # what gives a sum its initial value is no operation
        case IfThenElse(then_body=then_body, else_body=else_body):
            otherwise = 0 if else_body is None else _total(else_body, own)
            return own(stmt) + dim_max(_total(then_body, own), otherwise)
    return own(stmt) + sum(_total(each, own) for each in sub_statements(stmt))


def _operations(stmt: Stmt) -> int:
    return sum(1 for _ in _applied(stmt.value)) if isinstance(stmt, Store) else 0


def _applied(expr: ScalarExpr) -> Iterator[Apply]:
    """The functions of elements in an expression; those in indices are not among them."""
    if isinstance(expr, Load):
        return
    if isinstance(expr, Apply) and expr.dtype != "bool":
        yield expr
    for child in children(expr):
        yield from _applied(child)


def _reads(stmt: Stmt, buffer: Buffer) -> int:
    return sum(load.buffer is buffer for expr in expressions(stmt) for load in loads_of(expr))
