"""What refusals show: two accesses that meet, and in which iterations; a place of a block that is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, product
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, For, IterVar, PrimFunc
from relaxdsl.ir.print_loops import format_scalar
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.access_sites import Fact, LoopRange, Site, dims_of_fact, sites_of
from relaxdsl.kernels.accesses import index_dims
from relaxdsl.kernels.out_of_range import Values, Walk, index_at, larger_sizes, numbers_in, size_at, small_sizes
from relaxdsl.kernels.primitives.dependence import Touch
from relaxdsl.types.dims import evaluate

#: Takes the values of the loops around two accesses: whether they are an example.
IsWrong: TypeAlias = Callable[[Values, Values], bool]

#: How many choices of sizes are tried, small ones and larger ones, and how much for each.
_SIZES_TRIED = 40
_POINTS_TRIED = 400
_PAIRS_TRIED = 20


@dataclass(frozen=True, slots=True)
class _Point:
    """An access of an element: the values of all names there."""

    element: tuple[int, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two accesses that may touch one element, and lines that say where they do, or else which they are."""

    first: Touch
    then: Touch
    lines: list[str]


def meeting_of(func: PrimFunc, pairs: Sequence[tuple[Touch, Touch]], is_wrong: IsWrong) -> Meeting:
    """One of the pairs of accesses: with sizes and iterations in which they meet, if some are found for any of them."""
    for first, then in pairs[:_PAIRS_TRIED]:
        found = _points_that_meet(func, first, then, is_wrong)
        if found is not None:
            lines = (_line(touch, point) for touch, point in zip((first, then), found, strict=True))
            return Meeting(first, then, _for_sizes(func, found[0].values, lines))
    first, then = pairs[0]
    return Meeting(first, then, list(dict.fromkeys([_access(first), _access(then)])))


def iterations(loops: Iterable[For], one: Values, other: Values) -> tuple[list[int], list[int]]:
    """The values of loops' variables around two accesses; an init, which does not know its reduction's, comes first."""
    names = [loop.var for loop in loops]
    return [one.get(name, 0) for name in names], [other.get(name, 0) for name in names]


def differ_in(loop: For, outside: Sequence[For], one: Values, other: Values) -> bool:
    """Whether the first is an earlier iteration of a loop than the other, in one iteration of those outside of it."""
    own, around = iterations([loop], one, other), iterations(outside, one, other)
    return own[0] < own[1] and around[0] == around[1]


def _for_sizes(func: PrimFunc, values: Values, lines: Iterable[str]) -> list[str]:
    sizes = _shown(values, func.symbols)
    return [f"for {sizes}:", *(f"   {line}" for line in lines)] if sizes else list(lines)


def _access(touch: Touch) -> str:
    return f"{touch.owner} {'writes' if touch.is_write else 'reads'} {_element(touch)}"


def _element(touch: Touch) -> str:
    return touch.buffer.name if touch.node is None else format_scalar(Load(touch.buffer, touch.node.indices))


def _line(touch: Touch, point: _Point) -> str:
    iteration = _shown(point.values, [loop.var for loop in touch.loops])
    element = f"{touch.buffer.name}[{', '.join(map(str, point.element))}]"
    return f"{iteration}: {_access(touch)}" + (f", that is {element}" if element != _element(touch) else "")


def _shown(values: Values, names: Sequence[str]) -> str:
    return ", ".join(f"{name} = {values[name]}" for name in names if name in values)


def shown_left_out(func: PrimFunc, block: Block, axes: Sequence[IterVar]) -> list[str]:
    """A line about a place along some axes of a block at which no iteration runs it, if one is found: with sizes for
    which it has steps along all its axes.
    """
    names = [axis.var for axis in axes]
    sites = [site for site in sites_of(func) if site.node is block and site.what in names]
    choices = small_sizes(func, sites[0].facts) if sites else ()
    with_steps = (sizes for sizes in choices if all(evaluate(axis.extent, sizes) > 0 for axis in block.iter_vars))
    for sizes in islice(with_steps, _SIZES_TRIED):
        walk = _walk_of(sites)
        run = {point.element for point in _points(sites, sizes, walk)}
        places = product(*(range(size_at(site, sizes)) for site in sites))
        left = next((place for place in places if place not in run), None)
        if left is not None and walk.is_whole:
            place = _shown(dict(zip(names, left, strict=True)), names)
            given = _shown(sizes, func.symbols)
            return [f"{f'for {given} ' if given else ''}no iteration runs block {block.name} at {place}"]
    return []


def _points_that_meet(func: PrimFunc, first: Touch, then: Touch, is_wrong: IsWrong) -> tuple[_Point, _Point] | None:
    """Where both accesses touch one element, with some sizes."""
    accesses = [[site for site in sites_of(func) if site.node is each.node] for each in (first, then)]
    if not all(accesses):
        return None
    facts = (*accesses[0][0].facts, *accesses[1][0].facts)
    larger = larger_sizes(func, facts, _numbers_in([*chain(*accesses)], facts))
    for sizes in chain(islice(small_sizes(func, facts), _SIZES_TRIED), islice(larger, _SIZES_TRIED)):
        others: dict[tuple[int, ...], list[_Point]] = {}
        left, right = (islice(_points(each, sizes, _walk_of(each)), _POINTS_TRIED) for each in accesses)
        for point in right:
            others.setdefault(point.element, []).append(point)
        for point in left:
            for other in others.get(point.element, ()):
                if _is_entered(first, point) and _is_entered(then, other) and is_wrong(point.values, other.values):
                    return point, other
    return None


def _is_entered(touch: Touch, point: _Point) -> bool:
    """Whether the loops that an init does not know, those of its reduction, have a step."""
    unknown = [loop for loop in touch.loops if loop.var not in point.values]
    values = {**{loop.var: 0 for loop in unknown}, **point.values}
    return all(evaluate(loop.extent, values) > 0 for loop in unknown)


def _numbers_in(sites: Sequence[Site], facts: Sequence[Fact]) -> list[int]:
    """The numbers in indices and in ranges of loops: tiles, and how far accesses lie apart."""
    dims = chain((dim for site in sites for dim in index_dims(site.index)), *map(dims_of_fact, facts))
    return sorted({number for dim in dims for number in numbers_in(dim) if number < _POINTS_TRIED})


def _walk_of(sites: Sequence[Site]) -> Walk:
    return Walk(frozenset(fact.var for fact in sites[0].facts if isinstance(fact, LoopRange)))


def _points(sites: Sequence[Site], sizes: Values, walk: Walk) -> Iterator[_Point]:
    """Where the access is certainly made, and of which element, with these sizes."""
    for values in walk.points(sizes, sites[0].facts):
        indices = [index_at(site, values) for site in sites]
        element = tuple(index for index in indices if index is not None)
        if len(element) == len(sites):
            yield _Point(element, values)
