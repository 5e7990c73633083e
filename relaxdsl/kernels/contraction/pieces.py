"""A chain as pieces that threads share: which pieces there are, and what runs for each.

=========== ========================================== ==================== ===============================
form        where                                      a piece is           the right operand is packed
=========== ========================================== ==================== ===============================
by columns  one right operand for all of the batch     a row block by some  before, group by group, as a
                                                       columns              phase of its own
by groups   one for each matrix, and stages that need  a group of columns,  for the piece
            no whole rows                              many rows
by tiles    the same, or one for all, used where it    some columns, many   group by group, as far as it is not
            is as far as it is in strips               rows                 in strips; or the left one is, before
by rows     one for each matrix, and others            a row block          before its matrix's first piece
=========== ========================================== ==================== ===============================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from functools import partial

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import PARTS_PER_THREAD, Buffer, For, IfThenElse, Stmt, loop_variable, sequence
from relaxdsl.ir.scalar import Apply, IndexValue
from relaxdsl.kernels.accesses import buffers_touched
from relaxdsl.kernels.contraction.calls import Calls, panels_for, strips_for, tables_for, turned_panels_for
from relaxdsl.kernels.contraction.chain import Chain
from relaxdsl.kernels.contraction.evaluated_calls import EvaluatedCalls
from relaxdsl.kernels.contraction.evaluation import Evaluation
from relaxdsl.kernels.contraction.left_out import left_out_of
from relaxdsl.kernels.contraction.match import Contraction, digits
from relaxdsl.kernels.contraction.plain import PlainLoops
from relaxdsl.kernels.contraction.restrict import Local, Piece, Restriction, Span, local_for
from relaxdsl.kernels.contraction.roles import Stage
from relaxdsl.kernels.contraction.split import split_variables
from relaxdsl.kernels.contraction.support import Support, support_of
from relaxdsl.kernels.contraction.tile import (
    COLUMN_GROUP,
    PACKED_ROWS,
    ROW_BLOCK,
    element_bits,
    host_tile,
)
from relaxdsl.kernels.schedule.parallel import parts_of_pairs
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv

#: Blocks of rows for which a group of columns is packed where every matrix of a batch has a right operand of its own.
BLOCKS_OF_GROUP = 8
#: Up to so many columns in strips are packed for all rows, and once for all threads, if nothing else depends on them.
FEW_IN_STRIPS = 2 * COLUMN_GROUP
#: No identifiers, so that no size and no other loop has these names.
_OUTER, _INNER, _GROUP = "item.index", "piece.index", "group.index"
_WIDTH = "piece.width"


@dataclass(eq=False, slots=True)
class Pieces:
    """One chain's lowering.

    Args:
        local: the buffers of which there is no more than a piece.
        calls: the engine's calls, by the stage.
        height: rows of a block; as many as the engine packs at once, where no other stage wants a row in cache.
    """

    loops: PlainLoops
    chain: Chain
    local: dict[Buffer, Local] = field(default_factory=dict)
    calls: dict[int, Calls | EvaluatedCalls] = field(default_factory=dict)
    support: Support | None = None
    height: int = ROW_BLOCK

    def phases(self) -> Iterator[Stmt]:
        """What is done once, and then the pieces."""
        chain = self.chain
        has_own = any(each.depends_on(each.right, each.batch) for each in chain.contractions)
        is_by_group = (has_own or self._has_many_strips) and chain.has_columns and chain.main == 0
        if has_own and not is_by_group:
            self.chain = chain.in_whole_rows()
        self.support = support_of(self.chain)
        if not has_own and self.chain.has_columns:
            self.height = PACKED_ROWS
        self._take_local(is_by_group)
        yield from self._tables_and_calls(has_own or is_by_group, is_by_group)
        if is_by_group:
            yield from self._packing_turned()
            yield self._by_tile() if self.chain.has_strips(self.chain.contraction) else self._by_group()
        elif has_own:
            yield self._by_rows()
        else:
            yield from self._packing()
            yield self._by_columns()
        self.loops.scratch += [each for calls in self.calls.values() for each in calls.scratch]

    # ------------------------------------------------------------------------------------------------- what there is

    @property
    def _rows(self) -> Dim:
        return self.chain.contraction.sizes[0]

    @property
    def _columns(self) -> Dim:
        return self.chain.contraction.sizes[1]

    @property
    def _batch(self) -> tuple[Dim, ...]:
        contraction = self.chain.contraction
        return tuple(contraction.extents[name] for name in contraction.batch)

    @property
    def _has_many_strips(self) -> bool:
        """Whether columns that tiles read where they are may be so many that packing all before would take longer."""
        columns = self._columns
        are_few = isinstance(columns, int) and columns <= FEW_IN_STRIPS
        return self.chain.has_strips(self.chain.contraction) and not are_few

    @property
    def _all_columns(self) -> Span:
        return Span(0, self._columns)

    def _take_local(self, is_by_group: bool) -> None:
        """Memory for the pieces of what the stages hand on to each other."""
        rows = dim_min(self.height, self._rows)
        columns = dim_min(COLUMN_GROUP, self._columns) if is_by_group else self._columns
        for buffer in self.chain.roles.axes:
            if buffer in self.chain.local:
                self.local[buffer] = local_for(buffer, self.chain.roles.axes[buffer], rows, columns)
        self.loops.scratch += [local.flat for local in self.local.values()]

    def _tables_and_calls(self, has_own: bool, is_by_group: bool) -> Iterator[Stmt]:
        """Takes memory for panels and tables; yields what fills the tables."""
        for place, stage in enumerate(self.chain.stages):
            contraction = stage.contraction
            if contraction is None:
                continue
            made, filling = self._calls_for(contraction, has_own, is_by_group)
            yield from filling
            self.calls[place] = made

    def _calls_for(
        self, contraction: Contraction, has_own: bool, is_by_group: bool
    ) -> tuple[Calls | EvaluatedCalls, list[Stmt]]:
        """The calls for a contraction, and what fills its tables."""
        columns, right = contraction.sizes[1], contraction.right.buffer
        width = dim_min(COLUMN_GROUP, columns) if is_by_group else columns
        evaluated = self.chain.evaluated.get(right)
        sources = {right} if evaluated is None else evaluated.producer.reads
        tables, filling = None, list[Stmt]()
        is_in_strips = is_by_group and self.chain.has_strips(contraction)
        if self.chain.needs_tables(contraction):
            tables, fill = tables_for(contraction, has_left=not is_in_strips, has_right=evaluated is None)
            filling.append(fill)
        is_constant = sources <= self.loops.constants
        # The last group of columns is a product of its own, of any width.
        is_evaluated, ends_anywhere = evaluated is not None, self.support is not None or width != columns
        calls = Calls(
            contraction, self.loops.flat, self.local, width, tables, is_constant, is_evaluated, ends_anywhere
        )
        made: Calls | EvaluatedCalls = calls
        if evaluated is not None:
            made = EvaluatedCalls(calls, Evaluation(contraction, evaluated, self.loops), 0 if has_own else self.height)
        if not calls.is_direct and made.groups_to_pack != 0:
            is_main = contraction is self.chain.contraction
            calls.is_turned = is_in_strips and is_main and self.chain.turns(contraction)
            if calls.is_turned:
                calls.panels = turned_panels_for(contraction)
                return made, filling
            calls.panels = panels_for(contraction, width, contraction.sizes[2], "panels", not has_own)
            calls.strips = strips_for(contraction) if is_in_strips else None
        return made, filling

    # ---------------------------------------------------------------------------------------------------- three forms

    def _packing_turned(self) -> Iterator[Stmt]:
        """A phase that packs the left operand of a turned product."""
        calls = self.calls[self.chain.main]
        if isinstance(calls, Calls) and calls.is_turned:
            groups = ceildiv(self._rows, COLUMN_GROUP)
            yield For(_GROUP, groups, calls.pack_turned(loop_variable(_GROUP, groups)), "parallel")

    def _packing(self) -> Iterator[Stmt]:
        """A phase that packs the right operand of each contraction, for the whole batch."""
        for calls in self.calls.values():
            if calls.panels is not None:
                groups, batch = calls.groups_to_pack, (0,) * len(self._batch)
                yield For(_GROUP, groups, calls.pack(batch, loop_variable(_GROUP, groups)), "parallel")

    def _by_columns(self) -> Stmt:
        blocks, granule = ceildiv(self._rows, self.height), self.chain.granule
        outer = math.prod(self._batch, start=1) * blocks

        def piece(item: Dim, columns: Span | None) -> Piece:
            matrix, block = _divided(item, blocks) if self._batch else (0, item)
            return Piece(self._matrix(matrix), self._block(block), columns)

        if not self.chain.has_columns:
            whole = piece(loop_variable(_OUTER, outer), None)
            return For(_OUTER, outer, self._stages(whole, self._all_columns), "parallel")

        def body(item: Dim, first: Dim, stop: Dim) -> Stmt:
            start = first * granule
            count = dim_min(stop * granule, self._columns) - start
            if not any(isinstance(each, EvaluatedCalls) for each in self.calls.values()):
                return self._stages(piece(item, Span(start, count)), Span(start, count))
            # Loops that evaluate mention the width often: a name for it takes a third off the time to compile them.
            columns = Span(start, loop_variable(_WIDTH, self._columns + 1))
            return For(_WIDTH, dim_min(1, count), self._stages(piece(item, columns), columns), start=count)

        inner = _at_least_one(ceildiv(self._columns, granule))
        return parts_of_pairs(_OUTER, outer, inner, body, self._parts_per_thread)

    @property
    def _parts_per_thread(self) -> Dim:
        """One where so few rows stream the right operand: its rows come from memory in long runs then."""
        streamed = host_tile(element_bits(self.chain.contraction.result.buffer.dtype)).streamed_rows
        return 1 + (PARTS_PER_THREAD - 1) * dim_min(1, floordiv(self._rows, streamed + 1))

    def _by_group(self) -> Stmt:
        groups, spans = ceildiv(self._columns, COLUMN_GROUP), self._spans_of_blocks
        count = math.prod(self._batch, start=1) * groups * spans
        rest, span = _divided(loop_variable(_OUTER, count), spans)
        matrix, group = _divided(rest, groups)
        first = group * COLUMN_GROUP
        columns = Span(first, dim_min(COLUMN_GROUP, self._columns - first))
        return For(_OUTER, count, self._group(matrix, columns, span), "parallel")

    def _by_tile(self) -> Stmt:
        """The same, where the order of sums does not depend on how wide a group is: threads share tiles."""
        spans, granule = self._spans_of_blocks, self.chain.least_granule
        inner, in_group = _at_least_one(ceildiv(self._columns, granule)), COLUMN_GROUP // granule

        def body(item: Dim, lower: Dim, upper: Dim) -> Stmt:
            matrix, span = _divided(item, spans)
            start = floordiv(lower, in_group)
            groups = ceildiv(dim_min(upper, inner), in_group) - start
            group = loop_variable(_GROUP, ceildiv(inner, in_group))
            first = dim_max(lower, group * in_group) * granule
            stop = dim_min(upper * granule, (group + 1) * COLUMN_GROUP, self._columns)
            return For(_GROUP, groups, self._group(matrix, Span(first, stop - first), span), start=start)

        return parts_of_pairs(_OUTER, math.prod(self._batch, start=1) * spans, inner, body)

    @property
    def _spans_of_blocks(self) -> Dim:
        return ceildiv(ceildiv(self._rows, self.height), BLOCKS_OF_GROUP)

    def _group(self, matrix: Dim, columns: Span, span: Dim) -> Stmt:
        """A group of columns of a span of blocks."""
        start = span * BLOCKS_OF_GROUP
        blocks = dim_min(BLOCKS_OF_GROUP, ceildiv(self._rows, self.height) - start)
        block = loop_variable(_INNER, blocks)
        piece = Piece(self._matrix(matrix), self._block(block), columns)
        calls = self.calls[self.chain.main]
        packs = calls.panels is not None and not (isinstance(calls, Calls) and calls.is_turned)
        packing = (calls.pack_piece(piece.batch, columns),) if packs else ()
        product = self._product(self.chain.main, piece, lambda: calls.contract_piece(piece, columns))
        body = sequence(product, *self._after(piece))
        return sequence(*packing, For(_INNER, blocks, body, start=start))

    def _by_rows(self) -> Stmt:
        """Matrices that share their right operands come one after the other."""
        contractions = self.chain.contractions
        names = self.chain.contraction.batch
        own = [place for place in range(len(names)) if any(_moves_right(each, place) for each in contractions)]
        shared = [place for place in range(len(names)) if place not in own]
        blocks = ceildiv(self._rows, self.height)

        def matrix(item: Dim, other: Dim) -> tuple[Dim, ...]:
            found = {**self._places(own, item), **self._places(shared, other)}
            return tuple(found[place] for place in range(len(names)))

        def body(item: Dim, first: Dim, stop: Dim) -> Stmt:
            packing = (calls.pack_all(matrix(item, 0)) for calls in self.calls.values() if calls.panels is not None)
            count = dim_min(stop, matrices * blocks) - first
            other, block = (
                _divided(loop_variable(_INNER, count), blocks) if shared else (0, loop_variable(_INNER, count))
            )
            piece = Piece(matrix(item, other), self._block(block), None)
            return sequence(*packing, For(_INNER, count, self._stages(piece, self._all_columns), start=first))

        outer, matrices = (math.prod((self._batch[place] for place in places), start=1) for places in (own, shared))
        inner = _at_least_one(matrices * blocks)
        return parts_of_pairs(_OUTER, outer, inner, body)

    def _matrix(self, index: Dim) -> tuple[Dim, ...]:
        return tuple(self._places(range(len(self._batch)), index).values())

    def _places(self, places: Sequence[int], index: Dim) -> dict[int, Dim]:
        """The values of some variables of the batch, whose joint index is ``index``."""
        names = [str(place) for place in places]
        found = digits(names, {str(place): self._batch[place] for place in places}, index)
        return {place: found[str(place)] for place in places}

    def _block(self, block: Dim) -> Span:
        first = block * self.height
        return Span(first, dim_min(self.height, self._rows - first))

    # ----------------------------------------------------------------------------------------------------- the stages

    def _stages(self, piece: Piece, columns: Span) -> Stmt:
        """All stages for a piece."""
        main = self.chain.main
        needed = columns if self.support is None else Span(0, self._needed(self.support, piece))
        made = self._product(main, piece, lambda: self.calls[main].contract(piece, needed))
        return sequence(*self._loops(range(main), piece), made, *self._after(piece))

    def _needed(self, support: Support, piece: Piece) -> Dim:
        """How many columns the rows of a piece need; one at least, if there is one."""
        seen = piece.rows.first + piece.rows.count - 1 + support.offset
        return dim_max(dim_min(1, self._columns), dim_min(self._columns, seen))

    def _after(self, piece: Piece) -> Iterator[Stmt]:
        """The stages after the first contraction."""
        waiting: list[int] = []
        for place in range(self.chain.main + 1, len(self.chain.stages)):
            if place in self.calls:
                yield from self._loops(waiting, piece)
                steps = self._steps_needed(place, piece)
                whole = Span(0, self.calls[place].contraction.sizes[1])
                calls = self.calls[place]
                yield self._product(place, piece, partial(calls.contract, piece, whole, steps))
                if steps is not None:
                    yield self._left_out(place, piece, steps)
                waiting = []
            else:
                waiting.append(place)
        yield from self._loops(waiting, piece)

    def _steps_needed(self, place: int, piece: Piece) -> Dim | None:
        """How many steps a later contraction sums for a piece; None for all."""
        if self.support is None or self.support.variables[place] is None:
            return None
        return self._needed(self.support, piece)

    def _product(self, place: int, piece: Piece, call: Callable[[], Stmt]) -> Stmt:
        """A contraction for a piece: ``call``, or for very few rows, loops that evaluate the right operand."""
        calls = self.calls[place]
        if not isinstance(calls, EvaluatedCalls) or not calls.rows_in_loops:
            return call()
        stage = self.chain.stages[place]
        rows, most = calls.contraction.sizes[0], calls.rows_in_loops
        if isinstance(rows, int) and rows > most:
            return call()
        loops = self._scheduled([place], [replace(stage, nest=calls.evaluation.inlined(stage.nest))], piece)
        condition = Apply("less_equal", (IndexValue(rows), IndexValue(most)), "bool")
        return loops if isinstance(rows, int) else IfThenElse(condition, loops, call())

    def _left_out(self, place: int, piece: Piece, steps: Dim) -> Stmt:
        """Loops that add to a contraction's result what steps from ``steps`` on make, whose left operand is 0: nothing,
        or NaN where the right operand is not finite.
        """
        calls, stage = self.calls[place], self.chain.stages[place]
        nest = calls.evaluation.inlined(stage.nest) if isinstance(calls, EvaluatedCalls) else stage.nest
        made = left_out_of(nest, calls.contraction, piece.batch, steps)
        added = self._restriction([place], piece).nest(Stage(made.added, None), self.chain.roles.variables[place])
        return self.loops.scheduled([made.summed, added], self._shared([place]))

    def _loops(self, places: Sequence[int], piece: Piece) -> Iterator[Stmt]:
        """Stages without contractions, for a piece."""
        if places:
            yield self._scheduled(places, [self.chain.stages[place] for place in places], piece)

    def _scheduled(self, places: Sequence[int], stages: Sequence[Stage], piece: Piece) -> Stmt:
        """Loops for a piece of stages that stand at these places."""
        restriction, variables = self._restriction(places, piece), self.chain.roles.variables
        nests = [restriction.nest(stage, variables[place]) for place, stage in zip(places, stages, strict=True)]
        return self.loops.scheduled(list(map(split_variables, nests)), self._shared(places))

    def _restriction(self, places: Sequence[int], piece: Piece) -> Restriction:
        contraction = self.chain.contraction
        rows, columns = (
            tuple(contraction.extents[name] for name in names) for names in (contraction.rows, contraction.columns)
        )
        return Restriction(rows, columns, piece, self.local, self._limits(places, piece))

    def _shared(self, places: Sequence[int]) -> dict[Buffer, Buffer]:
        """The local buffers that other stages use too."""
        own = self._own(places)
        return {local.buffer: local.flat for buffer, local in self.local.items() if buffer not in own}

    def _limits(self, places: Sequence[int], piece: Piece) -> dict[str, Dim]:
        """How far the stages' variables run that walk along columns, if not over all."""
        if self.support is None:
            return {}
        names = [self.support.variables[place] for place in places]
        return {name: self._needed(self.support, piece) for name in names if name is not None}

    def _own(self, places: Sequence[int]) -> set[Buffer]:
        """The local buffers that only these stages use."""
        others = [stage.nest.block for place, stage in enumerate(self.chain.stages) if place not in places]
        used = set[Buffer]().union(*(each for block in others for each in buffers_touched(block)))
        return set(self.chain.local) - used


def _moves_right(contraction: Contraction, place: int) -> bool:
    return contraction.depends_on(contraction.right, (contraction.batch[place],))


def _divided(index: Dim, by: Dim) -> tuple[Dim, Dim]:
    above = floordiv(index, _at_least_one(by))
    return above, index - above * _at_least_one(by)


def _at_least_one(count: Dim) -> Dim:
    """The count where it divides something, which nothing is divided by where it is 0."""
    return dim_max(1, count)
