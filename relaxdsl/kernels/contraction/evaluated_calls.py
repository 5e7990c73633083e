"""Calls for a contraction whose right operand is evaluated: rectangle by rectangle, which is packed or used at once.

Which of the two depends on the sizes, as the engine decides it for operands in memory: few rows, or few products, are
computed from rectangles as they come, where packing would take longer than using what is packed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, CallExtern, For, IfThenElse, Stmt, loop_variable, sequence
from relaxdsl.ir.scalar import Apply, IndexValue
from relaxdsl.kernels.contraction.calls import Calls
from relaxdsl.kernels.contraction.evaluation import Evaluation, Rectangle
from relaxdsl.kernels.contraction.match import Contraction
from relaxdsl.kernels.contraction.restrict import Piece, Span
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, DEPTH, GRANULE, PACKED_STEPS, SKINNY, SMALL
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv

#: Columns of a rectangle that is packed, where steps run fastest: a multiple of every tile's columns.
_NARROW_COLUMNS = COLUMN_GROUP // 4
#: Columns of a rectangle that is used at once, where columns run fastest; with :data:`.PACKED_STEPS` steps, it stays in
#: the first-level cache.
_RUN = 4 * GRANULE
#: Columns whose dot products are formed together, where steps run fastest, and how many elements these should have.
_STREAMS, _STREAMED = 4, 4096
#: No identifiers: the loops over groups of columns and over rectangles.
_GROUP, _COLUMNS, _STEPS = "evaluated.group", "evaluated.columns", "evaluated.steps"


@dataclass(eq=False, slots=True)
class EvaluatedCalls:
    """The calls for one contraction, as :class:`.Calls` are where the right operand is in memory.

    Args:
        operands: where the left operand, the result and the panels are.
    """

    operands: Calls
    evaluation: Evaluation
    _packed: Rectangle = field(init=False)
    _used: Rectangle = field(init=False)

    def __post_init__(self) -> None:
        steps = self.contraction.sizes[2]
        unit = math.lcm(self.evaluation.granule, 2)
        if self.evaluation.is_by_steps:
            self._packed = self.evaluation.rectangle(_NARROW_COLUMNS, unit * max(1, DEPTH // unit))
            streams = dim_max(_STREAMS, floordiv(_STREAMED // _STREAMS, dim_max(steps, 1)) * _STREAMS)
            self._used = self.evaluation.rectangle(streams, steps)
        else:
            self._packed = self.evaluation.rectangle(COLUMN_GROUP, PACKED_STEPS)
            self._used = self.evaluation.rectangle(_RUN, PACKED_STEPS)

    @property
    def contraction(self) -> Contraction:
        return self.operands.contraction

    @property
    def panels(self) -> Buffer | None:
        return self.operands.panels

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        return (*self.operands.scratch, self._packed.flat, self._used.flat)

    @property
    def groups_to_pack(self) -> Dim:
        return self.operands.groups * is_packed(self.operands)

    @property
    def has_loops_for_one_row(self) -> bool:
        """Whether a single row is left to plain loops, where registers hold what is evaluated."""
        return self.operands.is_read_in_place

    # ------------------------------------------------------------------------------------------------------ packing

    def pack(self, batch: Sequence[Dim], group: Dim) -> Stmt:
        """Packs a group of columns."""
        columns = self.contraction.sizes[1]
        first = group * COLUMN_GROUP
        return self._pack_group(batch, Span(first, dim_min(COLUMN_GROUP, columns - first)), 0, columns)

    def pack_all(self, batch: Sequence[Dim]) -> Stmt:
        """Packs the right operand of a matrix of the batch, if that pays."""
        groups = self.groups_to_pack
        return For(_GROUP, groups, self.pack(batch, loop_variable(_GROUP, groups)))

    def pack_piece(self, batch: Sequence[Dim], columns: Span) -> Stmt:
        """Packs a group of columns as if there were no others, if that pays."""
        count = is_packed(self.operands)
        return For(_GROUP, count, self._pack_group(batch, columns, columns.first, columns.count))

    def _pack_group(self, batch: Sequence[Dim], columns: Span, shift: Dim, width: Dim) -> Stmt:
        """Packs columns of a group into panels that start with column ``shift`` and have ``width`` columns."""
        assert self.panels is not None
        goal, depth = self._packed, self.contraction.sizes[2]
        most, deep = self._sizes_of(goal)
        runs, chunks = 1 if most == COLUMN_GROUP else ceildiv(columns.count, most), ceildiv(depth, deep)
        part = columns if runs == 1 else _part(columns, loop_variable(_COLUMNS, runs), most)
        steps = _part(Span(0, depth), loop_variable(_STEPS, chunks), deep)
        places = (part.first - shift, part.count, steps.first, steps.count)
        arguments = (width, depth, goal.flat, 0, *self._strides(goal), *places, self.panels, 0)
        call = CallExtern(f"fill_{goal.flat.dtype}", arguments, (self.panels,))
        body = sequence(self.evaluation.fill(batch, part, steps, goal), call)
        return For(_COLUMNS, runs, For(_STEPS, chunks, body))

    def _sizes_of(self, goal: Rectangle) -> tuple[Dim, Dim]:
        """``(columns, steps)``."""
        return (goal.outer, goal.inner) if self.evaluation.is_by_steps else (goal.inner, goal.outer)

    def _strides(self, goal: Rectangle) -> tuple[Dim, Dim]:
        """How far apart steps are, and columns."""
        return (1, goal.inner) if self.evaluation.is_by_steps else (goal.inner, 1)

    # ----------------------------------------------------------------------------------------------------- products

    def contract(self, piece: Piece, columns: Span, steps: Dim | None = None) -> Stmt:
        """The piece's rows of these columns of the whole right operand, from all steps or the first ``steps``."""
        return self._contract(piece, columns, self.contraction.sizes[1], steps)

    def contract_piece(self, piece: Piece, columns: Span) -> Stmt:
        """The same, of columns that were packed as if there were no others."""
        return self._contract(piece, columns, columns.count, None, columns.first)

    def _contract(self, piece: Piece, columns: Span, width: Dim, summed: Dim | None, shift: Dim = 0) -> Stmt:
        steps = self.contraction.sizes[2] if summed is None else summed
        way = is_packed(self.operands)
        if way == 0:
            return self._use(piece, columns, steps)
        packed = self.operands.contract_packed(piece, columns, width, steps, shift)
        if isinstance(way, int):
            return packed
        condition = Apply("less", (IndexValue(0), IndexValue(way)), "bool")
        return IfThenElse(condition, packed, self._use(piece, columns, steps))

    def _use(self, piece: Piece, columns: Span, steps: Dim) -> Stmt:
        """Without packing: rows of the right operand are added up, or dot products formed of its columns."""
        goal = self._used
        if self.evaluation.is_by_steps:
            runs = ceildiv(columns.count, goal.outer)
            part = _part(columns, loop_variable(_COLUMNS, runs), goal.outer)
            return For(_COLUMNS, runs, self._rectangle(piece, columns, part, Span(0, steps)))
        runs, chunks = ceildiv(columns.count, goal.inner), dim_max(1, ceildiv(steps, goal.outer))
        part = _part(columns, loop_variable(_COLUMNS, runs), goal.inner)
        chunk = _part(Span(0, steps), loop_variable(_STEPS, chunks), goal.outer)
        return For(_STEPS, chunks, For(_COLUMNS, runs, self._rectangle(piece, columns, part, chunk)))

    def _rectangle(self, piece: Piece, columns: Span, part: Span, steps: Span) -> Stmt:
        """Evaluates a rectangle of some of the columns, and adds its products to the result."""
        goal, left, result = self._used, self.operands.left(piece), self.operands.result(piece, columns.first)
        is_first = 1 - dim_min(1, steps.first)
        call = CallExtern(
            f"accumulate_{goal.flat.dtype}",
            (
                *(piece.rows.count, part.count, steps.count, is_first),
                *(left.buffer, left.offset + steps.first * left.steps, left.places, left.steps),
                *(goal.flat, 0, *self._strides(goal)),
                *(result.buffer, result.offset + part.first - columns.first, result.places),
            ),
            (result.buffer,),
        )
        return sequence(self.evaluation.fill(piece.batch, part, steps, goal), call)


def _part(span: Span, number: Dim, size: Dim) -> Span:
    return Span(span.first + number * size, dim_min(size, span.count - number * size))


def is_packed(operands: Calls) -> Dim:
    """1 where a right operand that is evaluated is packed, 0 where not: for few rows, few products or one column."""
    contraction = operands.contraction
    rows, columns, steps = contraction.sizes
    if not operands.is_read_in_place:
        return 1
    if operands.is_constant:
        return dim_min(1, floordiv(rows, 2))
    is_large = dim_min(1, floordiv(rows * columns * steps, SMALL + 1))
    return dim_min(1, floordiv(rows, SKINNY + 1)) * dim_min(1, floordiv(columns, 2)) * is_large
