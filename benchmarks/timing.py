"""Times of competing calls: interleaved in one run, in random order, so that a slow moment hits all alike."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Call:
    """A function and the arguments it is timed with."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self) -> Any:
        return self.function(*self.arguments)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a call: the median over the rounds, and the fastest round."""

    median_s: float
    fastest_s: float

    def at_best(self) -> Timing:
        """The same judged by its fastest round."""
        return Timing(self.fastest_s, self.fastest_s)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, about how many seconds each contender has in each, and a pause before.

    After a call, OpenBLAS's threads go on spinning for 2^28 cycles, which is 0.11 s at 2.45 GHz, on cores that the next
    contender's threads need.
    """

    rounds: int
    slot_s: float
    pause_s: float = 0.0


def time_calls(calls: Mapping[Key, Call], effort: Effort) -> dict[Key, Timing]:
    """The timing of each call. Every round runs all of them, in an order of its own, each after an untimed call."""
    loops = {name: _loops_in(call, effort.slot_s) for name, call in calls.items()}
    seconds: dict[Key, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    with without_garbage_collection():
        for _ in range(effort.rounds):
            for name in order.sample(list(calls), len(calls)):
                time.sleep(effort.pause_s)
                seconds[name].append(_seconds_per_call(calls[name], loops[name]))
    return {name: Timing(statistics.median(each), min(each)) for name, each in seconds.items()}


def _loops_in(call: Call, slot_s: float) -> int:
    _seconds_per_call(call, 1)
    return max(1, round(slot_s / _seconds_per_call(call, 3)))


def _seconds_per_call(call: Call, loops: int) -> float:
    function, arguments = call.function, call.arguments
    function(*arguments)  # brings this contender's data and code back into the caches
    started = time.perf_counter()
    for _ in repeat(None, loops):
        function(*arguments)
    return (time.perf_counter() - started) / loops


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """No collection in between: it would be charged to whoever happens to run."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
