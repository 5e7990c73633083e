"""Debug mode: ``@relax.prim_func(debug=True)``, or ``RELAXDSL_DEBUG=1`` for all kernels of a process.

The kernel reports an access out of range, and a Python function called after it raises it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import KernelError, Span
from relaxdsl.ir.graph import NO_ATTRS, Call, ExternFunc, Tuple, TupleGetItem
from relaxdsl.ir.loops import PrimFunc, Stmt
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.access_errors import headline_of, hint_for, names_of_axes
from relaxdsl.kernels.checked import CheckedKernel, with_checks
from relaxdsl.trace.kernel_calls import call_tir
from relaxdsl.trace.packed_calls import CALL_PURE_PACKED
from relaxdsl.types.types import FuncType, TupleType

if TYPE_CHECKING:
    from relaxdsl.trace.builder import BlockBuilder


@dataclass(frozen=True, slots=True)
class DebugKernel:
    """A kernel in debug mode.

    Args:
        checked: the kernel with a report as its last output.
        raise_reported: takes the line of the call, the report and the other outputs; raises what the report says, and
            returns the outputs.
    """

    checked: PrimFunc
    raise_reported: Callable[..., Any]


def is_debug(chosen: bool | None) -> bool:
    """Whether a kernel is to check its accesses; the environment decides where the user did not."""
    return os.environ.get("RELAXDSL_DEBUG", "0") not in ("", "0") if chosen is None else chosen


def debug_kernel(
    kernel: PrimFunc,
    places: Mapping[Load | Stmt, Span | None] = MappingProxyType({}),
    shown: Mapping[str, str] | None = None,
) -> DebugKernel | None:
    """The kernel in debug mode; None if all its accesses are proved to be in range: nothing is to be checked.

    Args:
        places: where in the user's source its accesses are, if it has one.
        shown: what the user calls its loops and axes.
    """
    checked = with_checks(kernel)
    if not checked.sites:
        return None
    names = names_of_axes(kernel) if shown is None else shown
    return DebugKernel(checked.prim_func, _raiser(kernel, checked, places, names))


def _raiser(
    kernel: PrimFunc, checked: CheckedKernel, places: Mapping[Load | Stmt, Span | None], shown: Mapping[str, str]
) -> Callable[..., Any]:
    """What looks at the report."""

    def raise_reported(call: Span | None, report: Any, *outputs: Any) -> Any:
        wrong = checked.wrong_access(report)
        if wrong is not None:
            site, index, size = wrong
            raise KernelError(
                headline_of(kernel, site, shown),
                details=[f"it is {index}, and the size is {size}"],
                hint=hint_for(site, shown),
                span=places.get(site.node) or call,
            )
        return outputs[0] if len(outputs) == 1 else outputs

    return raise_reported


def call_checked(builder: BlockBuilder, debug: DebugKernel, plain: Call) -> Call:
    """What the ``call_tir`` computes, by the kernel that checks itself."""
    _, operands = plain.args
    assert isinstance(operands, Tuple)
    checked = call_tir(builder.add_func(debug.checked), debug.checked, operands.fields)
    results = builder.emit(checked)
    assert isinstance(checked.type, TupleType)
    *outputs, report = (TupleGetItem(results, i, type_) for i, type_ in enumerate(checked.type.fields))
    raise_reported = functools.partial(debug.raise_reported, plain.span)
    raiser = ExternFunc(debug.checked.name, FuncType(None, plain.type, True), plain.span, raise_reported)
    return Call(CALL_PURE_PACKED, (raiser, report, *outputs), NO_ATTRS, plain.type, plain.span)
