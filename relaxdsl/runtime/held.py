"""The Python objects that a call holds until it ends, and the order in which its frame lists them.

There is a place for every array whose memory the program points to: its outputs, what it allocates, what the functions
that it calls return, and what numbers among its arguments become. Then there is one for every object that is passed on
as it is. Objects that are the same in every call, such as strings in the program, come last; the program itself keeps
them alive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.runtime.program import (
    Allocate,
    CallFunction,
    HostCall,
    Leaf,
    ObjectLeaf,
    Program,
    TensorLeaf,
    tensors_of,
)


@dataclass(frozen=True, slots=True)
class Held:
    """Places by pointer slot for arrays, by index for objects. The first ``count`` are those of one call."""

    arrays: Mapping[int, int]
    objects: tuple[int, ...]
    count: int
    constants: tuple[Any, ...]
    written: frozenset[int]
    """The places of arrays that the program's kernels write to."""

    def places(self, leaves: Iterator[Leaf]) -> Iterator[int]:
        """The places of those among the leaves that are held, in order."""
        for leaf in leaves:
            if isinstance(leaf, TensorLeaf):
                yield self.arrays[leaf.pointer]
            elif isinstance(leaf, ObjectLeaf):
                yield self.objects[leaf.index]


def held_by(program: Program) -> Held:
    """What calls of the program hold."""
    made, given = dict.fromkeys(_made(program)), dict.fromkeys(_given(program))
    numbers = dict.fromkeys(_numbers(program))
    arrays = {pointer: place for place, pointer in enumerate({**made, **given, **numbers})}
    constants = [index for index, value in enumerate(program.objects) if value is not None]
    others = [index for index, value in enumerate(program.objects) if value is None]
    places = {index: len(arrays) + place for place, index in enumerate((*others, *constants))}
    return Held(
        arrays,
        tuple(places[index] for index in range(len(program.objects))),
        len(arrays) + len(others),
        tuple(program.objects[index] for index in constants),
        frozenset(arrays[pointer] for pointer in made),
    )


def _made(program: Program) -> Iterator[int]:
    """The pointers of outputs and of what the program allocates."""
    yield from (leaf.pointer for leaf in tensors_of(program.output))
    yield from (step.leaf.pointer for step in program.body if isinstance(step, Allocate))


def _given(program: Program) -> Iterator[int]:
    """The pointers of what functions return."""
    for step in program.body:
        if isinstance(step, HostCall | CallFunction) and step.results is not None:
            yield from (leaf.pointer for leaf in tensors_of(step.results))


def _numbers(program: Program) -> Iterator[int]:
    """The pointers of arguments without axes, for which a call may give a number."""
    return (leaf.pointer for tree in program.arguments for leaf in tensors_of(tree) if not leaf.sizes)
