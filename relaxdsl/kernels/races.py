"""Steps of a parallel loop, or of a block's spatial axes, that certainly meet: shown by an example.

They touch one element, and one of them writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, PrimFunc, Stmt, Store, walk
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.access_sites import AxisValue, Fact, LoopRange, Site, sites_of
from relaxdsl.kernels.accesses import index_dims
from relaxdsl.kernels.out_of_range import Values, Walk, index_at, larger_sizes, numbers_in, small_sizes
from relaxdsl.kernels.steps_apart import are_steps_apart
from relaxdsl.types.dims import free_symbols

#: How many choices of sizes are tried, small ones and larger ones, and the points of each access for one of them.
_SIZES_TRIED = 40
_POINTS_TRIED = 400


@dataclass(frozen=True, eq=False, slots=True)
class Race:
    """Two steps of a parallel loop, or of a block, touch an element of ``buffer``, and ``writer`` writes it.

    Args:
        where: the loop or the block.
        sizes: the sizes for which they do.
        steps: the values of the loop's variable, or of the block's spatial axes, for the writer and for the other.
    """

    where: For | Block
    buffer: Buffer
    writer: Store
    other: Store | Load
    sizes: Values
    steps: tuple[Values, Values]
    element: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Touch:
    """One access: when (values of the loops around, then of the steps' variables), and of which element."""

    node: Store | Load
    outer: tuple[int, ...]
    step: tuple[int, ...]
    element: tuple[int, ...]


def races_of(kernel: PrimFunc) -> Iterator[Race]:
    """For each parallel loop, each block, and each buffer, the first race that was found."""
    accesses = _accesses(kernel)
    for where in walk(kernel.body):
        variables = _variables(where)
        if not variables:
            continue
        assert isinstance(where, For | Block)
        inside = [sites for sites in accesses if _is_shared(sites[0], where, variables[0])]
        for buffer in dict.fromkeys(sites[0].what for sites in inside):
            race = _race_in(kernel, where, variables, [sites for sites in inside if sites[0].what is buffer])
            if race is not None:
                yield race


def _variables(stmt: Stmt) -> tuple[str, ...]:
    """What steps differ in that must be apart, but are not proved to be."""
    match stmt:
        case For(var=var, kind="parallel"):
            return (var,)
        case Block(iter_vars=axes) if not are_steps_apart(stmt):
            return tuple(axis.var for axis in axes if axis.kind == "spatial" and axis.extent != 1)
    return ()


def _accesses(kernel: PrimFunc) -> list[list[Site]]:
    """The sites of each access, by access."""
    by_node: dict[Load | Store | Block, list[Site]] = {}
    for site in sites_of(kernel):
        if isinstance(site.what, Buffer) and site.what.scope != "register":
            by_node.setdefault(site.node, []).append(site)
    return list(by_node.values())


def _is_shared(site: Site, where: For | Block, var: str) -> bool:
    """Whether all steps share the memory of an access within ``where``; threads have scratch of their own."""
    assert isinstance(site.what, Buffer)
    is_own = isinstance(where, For) and site.what.scope == "scratch"
    return not is_own and any(isinstance(fact, LoopRange | AxisValue) and fact.var == var for fact in site.facts)


def _race_in(
    kernel: PrimFunc, where: For | Block, variables: tuple[str, ...], accesses: list[list[Site]]
) -> Race | None:
    if not any(isinstance(sites[0].node, Store) for sites in accesses):
        return None
    facts = accesses[0][0].facts
    more = islice(larger_sizes(kernel, facts, _constants_in(accesses)), _SIZES_TRIED)
    for sizes in chain(islice(small_sizes(kernel, facts), _SIZES_TRIED), more):
        touches = [touch for sites in accesses for touch in _touches(sites, variables, sizes)]
        pair = _conflict(touches)
        if pair is not None:
            writer, other = pair
            assert isinstance(writer.node, Store)
            first, second = (dict(zip(variables, each.step, strict=True)) for each in pair)
            return Race(where, writer.node.buffer, writer.node, other.node, sizes, (first, second), writer.element)
    return None


def _constants_in(accesses: list[list[Site]]) -> list[int]:
    """The numbers in the indices: where accesses lie apart by one of them, they meet in ranges longer than that."""
    indices = [site.index for sites in accesses for site in sites]
    dims = (dim for each in indices for dim in index_dims(each))
    found = sorted({number for dim in dims for number in numbers_in(dim)})
    return [each for each in found if each < _POINTS_TRIED]


def _touches(sites: list[Site], variables: tuple[str, ...], sizes: Values) -> Iterator[_Touch]:
    facts, node = sites[0].facts, sites[0].node
    assert not isinstance(node, Block)
    loops = frozenset(fact.var for fact in facts if isinstance(fact, LoopRange))
    outer = _outside(facts, variables)
    for values in islice(Walk(loops).points(sizes, facts), _POINTS_TRIED):
        indices = [index_at(site, values) for site in sites]
        known = tuple(index for index in indices if index is not None)
        if len(known) == len(sites):
            around, step = (tuple(values[name] for name in names) for names in (outer, variables))
            yield _Touch(node, around, step, known)


def _outside(facts: tuple[Fact, ...], variables: Sequence[str]) -> list[str]:
    """The loops around those that the steps' variables are, or are bound to."""
    loops = [fact.var for fact in facts if isinstance(fact, LoopRange)]
    if variables[0] in loops:
        return loops[: loops.index(variables[0])]
    bound = {name for fact in facts if isinstance(fact, AxisValue) for name in free_symbols(fact.binding)}
    first = next(place for place, fact in enumerate(facts) if isinstance(fact, AxisValue))
    return [fact.var for fact in facts[:first] if isinstance(fact, LoopRange) and fact.var not in bound]


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
