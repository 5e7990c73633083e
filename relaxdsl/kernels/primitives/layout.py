"""Scratch in another layout: its elements at other places, by a map of their indices."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import RelaxError, ScheduleError
from relaxdsl.ir.loops import Buffer, For, PrimFunc, Seq, loop_variable, move_accesses
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.primitives.dependence import Sign, Touch, may_meet, touches
from relaxdsl.kernels.primitives.facts import buffer_called
from relaxdsl.kernels.primitives.regions import span_over
from relaxdsl.kernels.primitives.tree import block_path, refuse
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt, dim_max, parse_dim, substitute, symbol
from relaxdsl.types.symint import is_at_least


@dataclass(frozen=True, slots=True)
class IndexMap:
    """Where the element at ``axes`` goes: ``indices``, in terms of them."""

    axes: tuple[str, ...]
    indices: tuple[Dim, ...]

    @classmethod
    def of(cls, function: Callable[..., Sequence[Any]]) -> IndexMap:
        """The map that a Python function of as many indices is."""
        if not callable(function):
            raise ScheduleError(f"transform_layout: {function!r} is no function of indices")
        axes = tuple(inspect.signature(function).parameters)
        try:
            indices = function(*map(symbol, axes))
        except RelaxError as error:
            headline = f"transform_layout: the map of {', '.join(axes)} can't be computed: {error.headline}"
            raise ScheduleError(headline) from None
        if not isinstance(indices, list | tuple) or not all(isinstance(each, int | SymInt) for each in indices):
            raise ScheduleError(f"transform_layout: the map gives {indices!r}, not a tuple of indices")
        return cls(axes, tuple(indices))

    @classmethod
    def from_data(cls, data: dict[str, list[str]]) -> IndexMap:
        """The map that :meth:`as_data` gave."""
        return cls(tuple(data["axes"]), tuple(map(parse_dim, data["indices"])))

    def as_data(self) -> dict[str, list[str]]:
        """The map as JSON data."""
        return {"axes": list(self.axes), "indices": [str(each) for each in self.indices]}

    def __str__(self) -> str:
        indices = ", ".join(map(str, self.indices))
        return f"lambda {', '.join(self.axes)}: ({indices}{',' if len(self.indices) == 1 else ''})"

    def __call__(self, indices: Sequence[Dim]) -> tuple[Dim, ...]:
        """Where the element at ``indices`` goes."""
        values = dict(zip(self.axes, indices, strict=True))
        return tuple(substitute(each, values) for each in self.indices)


def transform_layout(func: PrimFunc, block: str, buffer: str | int, index_map: IndexMap) -> PrimFunc:
    """The kernel with a scratch buffer in another layout; see :meth:`.Schedule.transform_layout`."""
    step = "transform_layout"
    _, found = block_path(func, block, step)
    old = buffer_called(func, found, buffer, step)
    if old.scope == "global":
        refuse(
            func, f"{step}: {old.name} is an argument of the kernel", block, hint="use cache_read or cache_write first"
        )
    if len(index_map.axes) != len(old.shape):
        axes = counted(len(old.shape), "axis", "axes")
        refuse(func, f"{step}: {old.name} has {axes}, the map takes {len(index_map.axes)}", block)
    for each in touches(func.body):
        if each.buffer is old and (each.indices is None or any(isinstance(i, ScalarExpr) for i in each.indices)):
            refuse(func, f"{step}: {old.name} is used at an index that depends on data", block)
    new = replace(old, shape=_new_shape(func, old, index_map, block))
    return _with_layout(func, old, new, index_map)


def _new_shape(func: PrimFunc, buffer: Buffer, index_map: IndexMap, block: str) -> tuple[Dim, ...]:
    """As much as the map needs; it must not send two elements to the same place."""
    loops = [For(f"{name}.axis", size, Seq(())) for name, size in zip(index_map.axes, buffer.shape, strict=True)]
    places = index_map([loop_variable(loop.var, loop.extent) for loop in loops])
    spans = [span_over(place, loops, {}) for place in places]
    bounded = [span for span in spans if span is not None and span[0] == 0]
    if len(bounded) < len(spans):
        refuse(func, f"transform_layout: how far {index_map} reaches can't be told", block)
    shape = tuple(high + 1 if is_at_least(high, -1) else dim_max(high + 1, 0) for _, high in bounded)
    placed = replace(buffer, shape=shape)
    if not any(_is_injective(each, placed, loops) for each in (places, _differences(places))):
        refuse(func, f"transform_layout: {index_map} may send two elements of {buffer.name} to one place", block)
    return shape


def _differences(places: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Each place, or what it has more than the one after it: they tell elements apart only if the places do."""
    return (*(a - b for a, b in pairwise(places)), *places[-1:])


def _is_injective(places: tuple[Dim, ...], buffer: Buffer, loops: Sequence[For]) -> bool:
    """Whether it could be proved that two different iterations of the loops are at different places."""
    touch = Touch(buffer, places, True, places, None, tuple(loops), ())
    for number, loop in enumerate(loops):
        signs: dict[str, Sign] = {each.var: "=" for each in loops[:number]}
        others: dict[str, Sign] = {each.var: "*" for each in loops[number + 1 :]}
        if may_meet(touch, touch, {**signs, loop.var: "<", **others}):
            return False
    return True


def _with_layout(func: PrimFunc, old: Buffer, new: Buffer, index_map: IndexMap) -> PrimFunc:
    def placed(_: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Dim, ...]]:
        return new, index_map([each for each in indices if not isinstance(each, ScalarExpr)])

    scratch = tuple(new if each is old else each for each in func.scratch)
    return replace(func, body=move_accesses(func.body, (old,), placed), scratch=scratch)
