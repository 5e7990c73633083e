"""A kernel as a sequence of plain loops and of chains: contractions with the stages that run block by block with them.

What a chain may hold:

- stages before the contraction that make the left operand's rows, and nothing else;
- stages after it that need no other rows than those at hand;
- a second contraction, whose left operand these make, where the right operands of both are matrices of a batch, or
  where what lies between needs whole rows, as in attention written out for one head. Otherwise a right operand is as
  large as the weights of a layer, and is better read once for many rows.

What makes a right operand is no stage: packing evaluates it, see :mod:`relaxdsl.kernels.contraction.producers`.

Everything else is loops, which run wholly before the chain or after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import Buffer, PrimFunc, Seq, Stmt
from relaxdsl.kernels.accesses import are_independent, buffers_touched
from relaxdsl.kernels.contraction.factors import with_operands
from relaxdsl.kernels.contraction.match import Contraction, contraction_of, is_worthwhile
from relaxdsl.kernels.contraction.names import BYTE_DTYPES
from relaxdsl.kernels.contraction.producers import Evaluated, evaluated_operands
from relaxdsl.kernels.contraction.results import with_results_in_outputs
from relaxdsl.kernels.contraction.roles import Roles, Stage, named, roles_of
from relaxdsl.kernels.contraction.split import split_variables
from relaxdsl.kernels.contraction.tile import (
    COLUMN_GROUP,
    GRANULE,
    ROW_BLOCK,
    TURNED_STEPS,
    element_bits,
    host_tile,
)
from relaxdsl.kernels.schedule.decompose import nest_of
from relaxdsl.kernels.schedule.inline import inline_stages

#: A product with constant sizes whose columns and depth are at most so many elements is left to plain loops.
TINY = 64
#: Threads have enough to share in so many blocks of rows.
MANY_BLOCKS = 8


@dataclass(frozen=True, eq=False, slots=True)
class Loops:
    """Statements that the engine has no part in."""

    statements: tuple[Stmt, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """Stages that run block by block: ``stages[main]`` is the first contraction.

    Args:
        has_columns: whether what follows the contraction can be done for some of its columns alone.
        local: the buffers that nothing outside of the chain uses.
        evaluated: the right operands that are nowhere in memory.
    """

    stages: tuple[Stage, ...]
    main: int
    roles: Roles
    has_columns: bool
    local: frozenset[Buffer]
    evaluated: Mapping[Buffer, Evaluated]

    @property
    def contraction(self) -> Contraction:
        found = self.stages[self.main].contraction
        assert found is not None
        return found

    @property
    def contractions(self) -> tuple[Contraction, ...]:
        return tuple(stage.contraction for stage in self.stages if stage.contraction is not None)

    @property
    def touched(self) -> set[Buffer]:
        """What the stages read and write."""
        reads = (self.evaluated[buffer].producer.reads for buffer in self._evaluated_here)
        return set[Buffer]().union(*reads, *(both for each in self.stages for both in buffers_touched(each.nest.block)))

    @property
    def granule(self) -> int:
        """Pieces are multiples of so many columns."""
        return math.lcm(GRANULE, self.least_granule)

    @property
    def least_granule(self) -> int:
        """Pieces must be multiples of so many: of tiles, and of blocks of columns that a stage or a producer needs
        together, such as a head. All of them divide :data:`.COLUMN_GROUP`.
        """
        roles = (role for variables in self.roles.variables for role in variables.values())
        orders = (self.evaluated[buffer].order for buffer in self._evaluated_here)
        blocks = (*(role.scale for role in roles), *(each.granule for each in orders if not each.is_by_steps))
        tile = host_tile(element_bits(self.contraction.result.buffer.dtype))
        return math.lcm(tile.columns, *blocks)

    @property
    def _evaluated_here(self) -> list[Buffer]:
        return [each.right.buffer for each in self.contractions if each.right.buffer in self.evaluated]

    def needs_tables(self, contraction: Contraction) -> bool:
        """Whether an operand in memory is unevenly spaced."""
        is_evaluated = contraction.right.buffer in self.evaluated
        return not (contraction.is_left_strided if is_evaluated else contraction.is_strided)

    def has_strips(self, contraction: Contraction) -> bool:
        """Whether tiles may read parts of the right operand where it is, though tables say where: floats that are in
        memory, and a left operand that needs no tables.
        """
        is_evaluated = contraction.right.buffer in self.evaluated
        are_floats = contraction.right.dtype not in BYTE_DTYPES
        return are_floats and not is_evaluated and contraction.is_left_strided and self.needs_tables(contraction)

    def turns(self, contraction: Contraction) -> bool:
        """Whether such parts are rather the rows of a turned product, whose right operand is the left one, packed once:
        all of it is the same for a batch, and its rows fill vectors.
        """
        tile, (rows, _, depth) = host_tile(element_bits(contraction.result.buffer.dtype)), contraction.sizes
        left = contraction.left
        if not (tile.turns_windows and self.has_strips(contraction)) or left.buffer in self.local:
            return False
        if contraction.depends_on(left, contraction.batch) or not isinstance(rows, int) or not isinstance(depth, int):
            return False
        return depth >= TURNED_STEPS and 4 * tile.lanes * -(-rows // tile.lanes) <= 5 * rows

    def in_whole_rows(self) -> Chain:
        """The same chain, where all columns are computed together."""
        return replace(self, roles=self.roles.without_columns(), has_columns=False)


Segment: TypeAlias = Loops | Chain


def segments_of(prim_func: PrimFunc) -> tuple[PrimFunc, tuple[Segment, ...]] | None:
    """The kernel with cheap stages inlined, and its segments; None where no part of it is the engine's."""
    inlined = with_results_in_outputs(with_operands(inline_stages(prim_func, keeps_operands=True), TINY))
    statements = inlined.body.body if isinstance(inlined.body, Seq) else (inlined.body,)
    stages = [_stage(stmt, inlined.symbols) for stmt in statements]
    if not any(stage is not None and stage.contraction is not None for stage in stages):
        return None
    evaluated = evaluated_operands(inlined, statements, stages)
    gone = frozenset[int]().union(*(each.producer.places for each in evaluated.values()))
    kept = [place for place, _ in enumerate(statements) if place not in gone]
    cutter = _Cutter(inlined, [statements[each] for each in kept], [stages[each] for each in kept], evaluated)
    return inlined, tuple(cutter.segments())


@dataclass(frozen=True, slots=True)
class Extras:
    """What a kernel of one chain does besides: statements of plain loops before it, and operands read by tables.

    Where joining kernels adds none, everything in the joined kernel is a part of the chain, and it is as fast.
    """

    loops: int
    tables: int


def extras_of(prim_func: PrimFunc) -> Extras | None:
    """What a kernel does besides its only chain, which is the last it does; None if it is anything else."""
    found = segments_of(prim_func)
    if found is None:
        return None
    *before, last = found[1]
    if not isinstance(last, Chain) or any(isinstance(each, Chain) for each in before):
        return None
    loops = sum(len(each.statements) for each in before if isinstance(each, Loops))
    return Extras(loops, sum(map(last.needs_tables, last.contractions)))


def _stage(stmt: Stmt, sizes: Sequence[str]) -> Stage | None:
    contraction = contraction_of(stmt, sizes)
    is_useful = contraction is not None and is_worthwhile(contraction, TINY)
    nest = nest_of(stmt if is_useful else split_variables(stmt))
    return None if nest is None else Stage(nest, contraction if is_useful else None)


@dataclass(slots=True)
class _Cutter:
    """Cuts a kernel's statements into segments, in order."""

    prim_func: PrimFunc
    statements: Sequence[Stmt]
    stages: Sequence[Stage | None]
    evaluated: Mapping[Buffer, Evaluated]

    def segments(self) -> Iterator[Segment]:
        waiting: list[int] = []
        place = 0
        while place < len(self.statements):
            stage = self.stages[place]
            if stage is None or stage.contraction is None:
                waiting.append(place)
                place += 1
                continue
            first, chain, count = self._chain(waiting, place)
            waiting = [each for each in waiting if each not in first]
            if waiting:
                yield Loops(tuple(self.statements[each] for each in waiting))
            yield chain
            waiting, place = [], place + count
        if waiting:
            yield Loops(tuple(self.statements[each] for each in waiting))

    def _chain(self, waiting: Sequence[int], main: int) -> tuple[list[int], Chain, int]:
        """``(places of the stages before the contraction, the chain, how many statements from the contraction on)``."""
        for first in (self._makers(waiting, main), []):
            for count in range(self._candidates(main), 0, -1):
                chain = self._joined(first, main, count)
                if chain is not None:
                    return first, chain, count
        raise InternalError(f"{self.prim_func.name}: a contraction is no chain by itself")

    def _candidates(self, main: int) -> int:
        """How many statements from the contraction on may be in its chain, as far as can be told from each alone."""
        for place in range(main + 1, len(self.statements)):
            stage = self.stages[place]
            if stage is None or (stage.contraction is not None and not self._continues(main, place)):
                return place - main
        return len(self.statements) - main

    def _continues(self, main: int, place: int) -> bool:
        """Whether a second contraction may be in the chain of the first."""
        first, second = self._contraction(main), self._contraction(place)
        made = set[Buffer]().union(*(self._touched(each)[1] for each in range(main, place)))
        is_chained = second.left.buffer in made and not self._sources(second) & made
        are_strided = self._is_strided(first) and self._is_strided(second)
        have_own = all(each.depends_on(each.right, each.batch) for each in (first, second))
        return is_chained and are_strided and (have_own or self._makes_large_rows(main, place))

    def _makes_large_rows(self, main: int, second: int) -> bool:
        """Whether what lies between two contractions needs whole rows of the first one's result, as a softmax does, and
        these rows may be any length, or are so many that threads share blocks of them. What layers with weights of
        known sizes hand on is no larger than their other results.
        """
        stages = (self.stages[place] for place in range(main + 1, second))
        needs_rows = any(stage is not None and stage.nest.reduce for stage in stages)
        rows, columns, _ = self._contraction(main).sizes
        are_many = isinstance(rows, int) and rows >= MANY_BLOCKS * ROW_BLOCK
        return needs_rows and (are_many or not isinstance(columns, int))

    def _is_strided(self, contraction: Contraction) -> bool:
        """Whether the operands in memory are evenly spaced, so that they need no tables."""
        is_evaluated = contraction.right.buffer in self.evaluated
        return contraction.is_left_strided if is_evaluated else contraction.is_strided

    def _sources(self, contraction: Contraction) -> set[Buffer]:
        """What the right operand is read from."""
        buffer = contraction.right.buffer
        return self.evaluated[buffer].producer.reads if buffer in self.evaluated else {buffer}

    def _touched(self, place: int) -> tuple[set[Buffer], set[Buffer]]:
        """``(read, written)`` by a statement."""
        read, written = buffers_touched(self.statements[place])
        stage = self.stages[place]
        if stage is not None and stage.contraction is not None:
            read |= self._sources(stage.contraction)
        return read, written

    def _contraction(self, place: int) -> Contraction:
        stage = self.stages[place]
        assert stage is not None
        assert stage.contraction is not None
        return stage.contraction

    def _makers(self, waiting: Sequence[int], main: int) -> list[int]:
        """The statements before the contraction that make its left operand, and nothing that others use.

        They run row by row, which is fast where the elements of a row are neighbours.
        """
        contraction = self._contraction(main)
        if not self._is_strided(contraction) or contraction.spacing(contraction.left, contraction.steps) != 1:
            return []
        sources = self._sources(contraction)  # what makes both operands, a factor and what it came from, is no maker
        wanted = {contraction.left.buffer} - sources
        taken: list[int] = []
        for place in reversed(waiting):
            read, written = self._touched(place)
            is_maker = written & wanted and not written & sources
            if is_maker and self._is_private(place, written, [*taken, main]):
                taken.insert(0, place)
                wanted |= read - written
        return taken

    def _is_private(self, place: int, written: set[Buffer], users: Sequence[int]) -> bool:
        """Whether only ``users`` need what a statement makes, and it may run as late as they do."""
        others = [each for each in range(len(self.statements)) if each != place and each not in users]
        is_late = all(are_independent(self.statements[place], self.statements[each]) for each in others if each > place)
        return (
            self.stages[place] is not None
            and written <= set(self.prim_func.scratch)
            and is_late
            and not any(written & set().union(*self._touched(each)) for each in others)
        )

    def _joined(self, first: Sequence[int], main: int, count: int) -> Chain | None:
        places = [*first, *range(main, main + count)]
        stages = [stage for place in places if (stage := self.stages[place]) is not None]
        for granule in (COLUMN_GROUP, None):
            roles = roles_of(stages, len(first), granule)
            made = None if roles is None else _with_roles(stages, len(first), roles)
            if roles is not None and made is not None:
                local = frozenset(self._local(places, roles.axes))
                return Chain(made, len(first), roles, granule is not None, local, self.evaluated)
        return None

    def _local(self, places: Sequence[int], made: Mapping[Buffer, object]) -> Iterator[Buffer]:
        others = [place for place in range(len(self.statements)) if place not in places]
        used = set[Buffer]().union(*(each for place in others for each in self._touched(place)))
        return (buffer for buffer in made if buffer in self.prim_func.scratch and buffer not in used)


def _with_roles(stages: Sequence[Stage], main: int, roles: Roles) -> tuple[Stage, ...] | None:
    """The stages, later contractions divided as the first one is; None where one cannot be."""
    made: list[Stage] = []
    for place, stage in enumerate(stages):
        contraction = stage.contraction
        if contraction is not None and place != main:
            variables = roles.variables[place]
            contraction = contraction.regrouped(named(variables, "batch"), named(variables, "row"))
            if contraction is None:
                return None
        made.append(replace(stage, contraction=contraction))
    return tuple(made)
