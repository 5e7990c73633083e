"""The cases of ``test_cases.py``, by name: each is a function that ends with a schedule, or with a ScheduleError."""

from __future__ import annotations

from collections.abc import Callable

from schedule_kernels import KERNELS

import relaxdsl as relax

CASES: dict[str, Callable[[], relax.Schedule]] = {}


def case(function: Callable[[], relax.Schedule]) -> Callable[[], relax.Schedule]:
    """Makes the function a case."""
    CASES[function.__name__] = function
    return function


def start(name: str) -> relax.Schedule:
    """A schedule of one of the kernels."""
    return relax.Schedule(KERNELS[name].build())
