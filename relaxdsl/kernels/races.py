"""Parallel loops whose steps certainly touch one element, which one of them writes: shown by an example."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, PrimFunc, Store, walk
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.access_sites import Fact, LoopRange, Site, sites_of
from relaxdsl.kernels.out_of_range import Values, Walk, index_at, small_sizes

#: How many choices of sizes are tried, and the points of each access for one of them.
_SIZES_TRIED = 40
_POINTS_TRIED = 400


@dataclass(frozen=True, eq=False, slots=True)
class Race:
    """Two steps of a parallel loop touch an element of ``buffer``, and ``writer`` writes it.

    Args:
        sizes: the sizes for which they do.
        steps: the loop's variable for the writer, and for the other.
    """

    loop: str
    buffer: Buffer
    writer: Store
    other: Store | Load
    sizes: Values
    steps: tuple[int, int]
    element: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Touch:
    """One access: when (values of the loops around, then of the parallel one), and of which element."""

    node: Store | Load
    outer: tuple[int, ...]
    step: int
    element: tuple[int, ...]


def races_of(kernel: PrimFunc) -> Iterator[Race]:
    """For each parallel loop and buffer, the first race that was found."""
    accesses = _accesses(kernel)
    for loop in walk(kernel.body):
        if isinstance(loop, For) and loop.kind == "parallel":
            inside = [sites for sites in accesses if any(_is_loop(fact, loop.var) for fact in sites[0].facts)]
            for buffer in dict.fromkeys(sites[0].what for sites in inside):
                race = _race_in(kernel, loop.var, [sites for sites in inside if sites[0].what is buffer])
                if race is not None:
                    yield race


def _accesses(kernel: PrimFunc) -> list[list[Site]]:
    """The sites of each access of memory that all steps of a loop share, by access."""
    by_node: dict[Load | Store | Block, list[Site]] = {}
    for site in sites_of(kernel):
        if isinstance(site.what, Buffer) and site.what.scope in ("global", "shared"):
            by_node.setdefault(site.node, []).append(site)
    return list(by_node.values())


def _is_loop(fact: Fact, var: str) -> bool:
    return isinstance(fact, LoopRange) and fact.var == var


def _race_in(kernel: PrimFunc, var: str, accesses: list[list[Site]]) -> Race | None:
    if not any(isinstance(sites[0].node, Store) for sites in accesses):
        return None
    for sizes in islice(small_sizes(kernel, accesses[0][0].facts), _SIZES_TRIED):
        touches = [touch for sites in accesses for touch in _touches(sites, var, sizes)]
        pair = _conflict(touches)
        if pair is not None:
            writer, other = pair
            assert isinstance(writer.node, Store)
            steps = (writer.step, other.step)
            return Race(var, writer.node.buffer, writer.node, other.node, sizes, steps, writer.element)
    return None


def _touches(sites: list[Site], var: str, sizes: Values) -> Iterator[_Touch]:
    facts, node = sites[0].facts, sites[0].node
    assert not isinstance(node, Block)
    loops = [fact.var for fact in facts if isinstance(fact, LoopRange)]
    outer = loops[: loops.index(var)]
    for values in islice(Walk(frozenset(loops)).points(sizes, facts), _POINTS_TRIED):
        indices = [index_at(site, values) for site in sites]
        known = tuple(index for index in indices if index is not None)
        if len(known) == len(sites):
            yield _Touch(node, tuple(values[name] for name in outer), values[var], known)


def _conflict(touches: list[_Touch]) -> tuple[_Touch, _Touch] | None:
    """A write, and an access of the same element in another step."""
    writes: dict[tuple[tuple[int, ...], tuple[int, ...]], list[_Touch]] = {}
    for touch in touches:
        if isinstance(touch.node, Store):
            writes.setdefault((touch.outer, touch.element), []).append(touch)
    for touch in touches:
        for write in writes.get((touch.outer, touch.element), ()):
            if write.step != touch.step:
                return write, touch
    return None
