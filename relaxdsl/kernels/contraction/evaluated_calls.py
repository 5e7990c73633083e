"""Calls for a contraction whose right operand is evaluated: rectangle by rectangle, which is packed at once.

=================== ==================================================================================================
rows                what is done
=================== ==================================================================================================
one                 plain loops, which evaluate each element in registers; for what is cheap, up to :data:`_LOOPS` rows
those of one block  each piece packs some columns just before it uses them
more                all columns are packed before; so are those of a matrix of a batch, and constant ones
=================== ==================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, CallExtern, For, IfThenElse, Stmt, loop_variable, sequence
from relaxdsl.ir.scalar import Apply, IndexValue
from relaxdsl.kernels.contraction.calls import Calls, Panels, panels_for
from relaxdsl.kernels.contraction.evaluation import Evaluation, Rectangle
from relaxdsl.kernels.contraction.match import Contraction
from relaxdsl.kernels.contraction.restrict import Piece, Span
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, DEPTH, PACKED_COLUMNS, PACKED_STEPS
from relaxdsl.kernels.work import is_cheap
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv

#: Up to so many rows, evaluating a cheap operand for each takes less than packing it once.
_LOOPS = 4


@dataclass(eq=False, slots=True)
class EvaluatedCalls:
    """The calls for one contraction, as :class:`.Calls` are where the right operand is in memory.

    Args:
        operands: where the left operand, the result and the panels are.
        few: up to how many rows are one block, which packs for itself; 0 where the panels are a block's own anyway.
    """

    operands: Calls
    evaluation: Evaluation
    few: int
    _before: Rectangle = field(init=False)
    _now: Rectangle = field(init=False)
    _panels: Buffer = field(init=False)

    def __post_init__(self) -> None:
        # Phases have buffers of their own: what two of them use would be kept from one to the other.
        wide, deep = _part_size(self.evaluation)
        steps = _whole_units(self.evaluation, DEPTH // 2) if self.evaluation.is_by_steps else PACKED_STEPS
        self._before, self._now = (self.evaluation.rectangle(wide, steps, name) for name in ("before", "now"))
        self._panels = panels_for(self.contraction, wide, deep, "part_panels")

    @property
    def contraction(self) -> Contraction:
        return self.operands.contraction

    @property
    def is_constant(self) -> bool:
        return self.operands.is_constant

    @property
    def panels(self) -> Buffer | None:
        return self.operands.panels

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        return (*self.operands.scratch, self._before.flat, self._now.flat, self._panels)

    @property
    def rows_in_loops(self) -> int:
        """Up to how many rows are left to plain loops, where registers hold what is evaluated, for each row anew."""
        if not self.operands.is_read_in_place:
            return 0
        return _LOOPS if is_cheap(self.evaluation.evaluated.producer.value) else 1

    @property
    def is_packed_before(self) -> Dim:
        """1 where the operand is packed before it is used, 0 where there are so few rows that it is not."""
        few = 0 if self.is_constant else self.few
        return dim_min(1, floordiv(self.contraction.sizes[0], 1 + max(few, self.rows_in_loops)))

    @property
    def groups_to_pack(self) -> Dim:
        return self.operands.groups * self.is_packed_before

    # ------------------------------------------------------------------------------------------------------ packing

    def pack(self, batch: Sequence[Dim], group: Dim) -> Stmt:
        """Packs a group of columns."""
        first = group * COLUMN_GROUP
        part = Span(first, dim_min(COLUMN_GROUP, self.contraction.sizes[1] - first))
        return self._fill(batch, part, self._whole(Span(0, self.contraction.sizes[1])), self._before)

    def pack_all(self, batch: Sequence[Dim]) -> Stmt:
        """Packs the right operand of a matrix of the batch."""
        groups, name = self.groups_to_pack, f"{self._before.name}.group"
        return For(name, groups, self.pack(batch, loop_variable(name, groups)))

    def pack_piece(self, batch: Sequence[Dim], columns: Span) -> Stmt:
        """Packs a group of columns as if there were no others."""
        packing = self._fill(batch, columns, self._whole(columns), self._before)
        return For(f"{self._before.name}.group", self.is_packed_before, packing)

    def _whole(self, columns: Span) -> Panels:
        assert self.panels is not None
        return Panels(self.panels, columns, Span(0, self.contraction.sizes[2]))

    def _fill(self, batch: Sequence[Dim], columns: Span, panels: Panels, goal: Rectangle) -> Stmt:
        """Packs columns of panels, rectangle by rectangle."""
        is_by_steps = self.evaluation.is_by_steps
        most, deep = (goal.outer, goal.inner) if is_by_steps else (goal.inner, goal.outer)
        strides = (1, goal.inner) if is_by_steps else (goal.inner, 1)
        runs, chunks = ceildiv(columns.count, most) if is_by_steps else 1, ceildiv(panels.steps.count, deep)
        run, chunk = f"{goal.name}.columns", f"{goal.name}.steps"
        part = _part(columns, loop_variable(run, runs), most) if is_by_steps else columns
        steps = _part(panels.steps, loop_variable(chunk, chunks), deep)
        places = (part.first - panels.columns.first, part.count, steps.first - panels.steps.first, steps.count)
        arguments = (panels.columns.count, panels.steps.count, goal.flat, 0, *strides, *places, panels.buffer, 0)
        call = CallExtern(f"fill_{goal.flat.dtype}", arguments, (panels.buffer,))
        body = sequence(self.evaluation.fill(batch, part, steps, goal), call)
        return For(run, runs, For(chunk, chunks, body))

    # ----------------------------------------------------------------------------------------------------- products

    def contract(self, piece: Piece, columns: Span, steps: Dim | None = None) -> Stmt:
        """The piece's rows of these columns of the whole right operand, from all steps or the first ``steps``."""
        way = 1 if self.is_constant or not self.few else self.is_packed_before
        if way == 0:
            return self._pack_and_contract(piece, columns)
        _, width, depth = self.contraction.sizes
        whole = self._whole(Span(0, width))
        packed = self.operands.contract_packed(piece, columns, whole, depth if steps is None else steps)
        if way == 1:
            return packed
        condition = Apply("less", (IndexValue(0), IndexValue(way)), "bool")
        return IfThenElse(condition, packed, self._pack_and_contract(piece, columns))

    def contract_piece(self, piece: Piece, columns: Span) -> Stmt:
        """The same, of columns that were packed as if there were no others."""
        return self.operands.contract_packed(piece, columns, self._whole(columns), self.contraction.sizes[2])

    def _pack_and_contract(self, piece: Piece, columns: Span) -> Stmt:
        """Some columns and steps at a time: their panels stay in the second-level cache."""
        depth, (wide, deep) = self.contraction.sizes[2], _part_size(self.evaluation)
        runs, chunks = ceildiv(columns.count, wide), dim_max(1, ceildiv(depth, deep))
        run, chunk = f"{self._now.name}.group", f"{self._now.name}.depth"
        part = _part(columns, loop_variable(run, runs), wide)
        steps = _part(Span(0, depth), loop_variable(chunk, chunks), deep)
        panels = Panels(self._panels, part, steps)
        packing = self._fill(piece.batch, part, panels, self._now)
        product = self.operands.contract_packed(piece, part, panels, steps.count, columns.first)
        return For(run, runs, For(chunk, chunks, sequence(packing, product)))


def _part(span: Span, number: Dim, size: Dim) -> Span:
    return Span(span.first + number * size, dim_min(size, span.count - number * size))


def _part_size(evaluation: Evaluation) -> tuple[int, int]:
    """How many columns and steps are packed and used at a time: most of what runs fastest."""
    if not evaluation.is_by_steps:
        return COLUMN_GROUP, DEPTH
    return PACKED_COLUMNS, _whole_units(evaluation, DEPTH)


def _whole_units(evaluation: Evaluation, steps: int) -> int:
    """About so many steps: whole granules, and pairs, since bytes are packed two steps at a time."""
    unit = math.lcm(evaluation.granule, 2)
    return unit * max(1, steps // unit)
