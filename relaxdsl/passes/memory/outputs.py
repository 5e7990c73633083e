"""Which tensors are made where the function's results are: no result shares memory with anything else that outlives
the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Function, Var
from relaxdsl.ir.module import IRModule
from relaxdsl.passes.memory.values import Buffer, Place, Value
from relaxdsl.passes.memory.walk import Walk, walk

Path = tuple[int, ...]
"""The way to a tensor in a value: the place in each tuple, outermost first."""


@dataclass(frozen=True, slots=True)
class Results:
    """The walk, the result that each buffer is (with the place that has its shape), and the results to be copied."""

    walk: Walk
    owned: dict[Buffer, tuple[Path, Place]] = field(default_factory=dict)
    copied: dict[Path, Place] = field(default_factory=dict)


def find_results(function: Function, module: IRModule) -> Results:
    """The results of ``function``. A view that is one, of memory that is something else's, is a copy instead."""
    copied: set[Var] = set()
    while True:
        results = Results(walk(function, module, copied))
        again = set[Var]()
        for path, place in _tensors(results.walk.result, ()):
            buffer = place.whole
            if buffer is not None and buffer.origin == "made" and buffer.is_top and buffer not in results.owned:
                results.owned[buffer] = path, place
            elif place.maker is not None:
                again.add(place.maker)
            else:
                results.copied[path] = place
        if not again:
            return results
        copied |= again


def _tensors(value: Value, path: Path) -> Iterator[tuple[Path, Place]]:
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from _tensors(part, (*path, index))
    elif isinstance(value, Place):
        yield path, value
