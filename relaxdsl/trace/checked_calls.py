"""Calls of kernels in debug mode: the kernel reports an access out of range, and a packed function raises it."""

from __future__ import annotations

from collections.abc import Sequence

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Call, Expr, GlobalVar, TupleGetItem
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.kernel_calls import call_tir
from relaxdsl.trace.packed_calls import call_pure_packed
from relaxdsl.types.types import TupleType, Type


@dataclass(frozen=True, slots=True)
class DebugKernel:
    """A kernel in debug mode.

    Args:
        checked: the kernel with a report as its last output.
        raiser: the packed function that takes the report and the other outputs, raises what the report says, and
            returns the outputs.
    """

    checked: PrimFunc
    raiser: str


def call_checked(
    builder: BlockBuilder,
    debug: DebugKernel,
    callee: GlobalVar,
    kernel: PrimFunc,
    args: Sequence[Expr],
    out: Type | None,
) -> Call:
    """What ``call_tir(callee, args, out)`` computes, by the kernel that checks itself."""
    plain = call_tir(callee, kernel, args, out)
    operands = plain.args[1]
    checked = call_tir(builder.add_func(debug.checked), debug.checked, operands.fields)  # type: ignore[attr-defined]
    results = builder.emit(checked)
    assert isinstance(checked.type, TupleType)
    parts = [TupleGetItem(results, i, type_) for i, type_ in enumerate(checked.type.fields)]
    return call_pure_packed(debug.raiser, parts[-1], *parts[:-1], out=plain.type)
