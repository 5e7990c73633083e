"""Debug mode: ``@relax.prim_func(debug=True)``, or ``RELAXDSL_DEBUG=1`` for all kernels of a process."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from relaxdsl.errors import KernelError
from relaxdsl.kernels.access_errors import headline_of, hint_for
from relaxdsl.kernels.checked import CheckedKernel, with_checks
from relaxdsl.runtime.packed import register_packed
from relaxdsl.script.tensor_ir.parse import ParsedKernel
from relaxdsl.trace.checked_calls import DebugKernel

_numbers = itertools.count()


def is_debug(chosen: bool | None) -> bool:
    """Whether a kernel is to check its accesses; the environment decides where the user did not."""
    return os.environ.get("RELAXDSL_DEBUG", "0") not in ("", "0") if chosen is None else chosen


def debug_kernel(parsed: ParsedKernel) -> DebugKernel | None:
    """The kernel in debug mode; None if all its accesses are proved to be in range: nothing is to be checked."""
    checked = with_checks(parsed.prim_func)
    if not checked.sites:
        return None
    name = f"debug.{parsed.prim_func.name}.{next(_numbers)}"
    register_packed(name, _raiser(parsed, checked))
    return DebugKernel(checked.prim_func, name)


def _raiser(parsed: ParsedKernel, checked: CheckedKernel) -> Callable[..., Any]:
    """What looks at the report."""

    def raise_reported(report: Any, *outputs: Any) -> Any:
        number, index, size = map(int, report)
        if number:
            site = checked.sites[number - 1]
            raise KernelError(
                headline_of(parsed.prim_func, site, parsed.shown),
                details=[f"it is {index}, and the size is {size}"],
                hint=hint_for(site, parsed.shown),
                span=parsed.places.get(site.node),
            )
        return outputs[0] if len(outputs) == 1 else outputs

    return raise_reported
