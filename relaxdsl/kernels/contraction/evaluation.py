"""Loops that evaluate a rectangle of a right operand that is nowhere in memory: some columns and some steps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, Stmt, Store, loop_variable, rewrite_statement
from relaxdsl.ir.scalar import Load, ScalarExpr, rewrite
from relaxdsl.kernels.contraction.match import Contraction
from relaxdsl.kernels.contraction.plain import PlainLoops, flat_buffer
from relaxdsl.kernels.contraction.producers import Evaluated, operand_value
from relaxdsl.kernels.contraction.restrict import Span
from relaxdsl.kernels.schedule.decompose import Nest
from relaxdsl.types.dims import Dim, ceildiv, substitute


@dataclass(frozen=True, eq=False, slots=True)
class Rectangle:
    """Memory for a rectangle of an operand: what runs fastest is contiguous.

    Args:
        name: no identifier; what the names of its loops begin with.
        outer, inner: most that there are of what runs slowest, and of what runs fastest.
    """

    name: str
    buffer: Buffer
    flat: Buffer
    outer: Dim
    inner: Dim


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Evaluates the right operand of a contraction.

    Args:
        loops: schedules the loops for it.
    """

    contraction: Contraction
    evaluated: Evaluated
    loops: PlainLoops

    @property
    def is_by_steps(self) -> bool:
        return self.evaluated.order.is_by_steps

    @property
    def granule(self) -> int:
        return self.evaluated.order.granule

    def inlined(self, nest: Nest) -> Nest:
        """The contraction's nest, reading what the right operand is made of."""
        operand, producer = self.contraction.right.buffer, self.evaluated.producer

        def on_node(node: ScalarExpr) -> ScalarExpr | None:
            return producer.at(node.indices) if isinstance(node, Load) and node.buffer is operand else None

        return replace(nest, block=replace(nest.block, body=rewrite_statement(nest.block.body, on_node)))

    def rectangle(self, columns: Dim, steps: Dim, when: str) -> Rectangle:
        """Memory for so many columns and steps, up to the end of the last granule.

        Args:
            when: what tells its loops from those of other rectangles of the operand.
        """
        outer, inner = (columns, steps) if self.is_by_steps else (steps, columns)
        inner = ceildiv(inner, self.granule) * self.granule
        right = self.contraction.right.buffer
        buffer = Buffer(f"{right.name}_part", (outer, inner), right.dtype, "scratch")
        return Rectangle(f"{right.name}.{when}", buffer, flat_buffer(buffer), outer, inner)

    def fill(self, batch: Sequence[Dim], columns: Span, steps: Span, goal: Rectangle) -> Stmt:
        """Loops that evaluate the elements of a matrix of the batch; what runs fastest starts with a granule."""
        outer, inner = (columns, steps) if self.is_by_steps else (steps, columns)
        outer_place, inner_place, axes = self._axes(goal.name, outer.count, inner.count)
        at_outer, at_inner = outer.first + outer_place, inner.first + inner_place
        column, step = (at_outer, at_inner) if self.is_by_steps else (at_inner, at_outer)
        value = operand_value(self.contraction, self.evaluated.producer, column, step)
        matrix = dict(zip(self.contraction.batch, batch, strict=True))
        stored = Store(goal.buffer, (outer_place, inner_place), _substituted(value, matrix))
        nest: Stmt = Block(goal.buffer.name, axes, stored)
        for axis in reversed(axes):
            nest = For(str(axis.binding), axis.extent, nest)
        return self.loops.scheduled([nest], {goal.buffer: goal.flat})

    def _axes(self, name: str, outer: Dim, inner: Dim) -> tuple[Dim, Dim, tuple[IterVar, ...]]:
        """The places in a rectangle, and the variables they are made of."""
        outer_axis = _axis(f"{name}.outer", outer)
        if self.granule == 1:
            inner_axis = _axis(f"{name}.inner", inner)
            return _variable(outer_axis), _variable(inner_axis), (outer_axis, inner_axis)
        whole = _axis(f"{name}.granule", ceildiv(inner, self.granule))
        within = _axis(f"{name}.inner", self.granule)
        place = _variable(whole) * self.granule + _variable(within)
        return _variable(outer_axis), place, (outer_axis, whole, within)


def _axis(name: str, extent: Dim) -> IterVar:
    return IterVar(name, extent, "spatial", loop_variable(f"{name}.loop", extent))


def _variable(axis: IterVar) -> Dim:
    return loop_variable(axis.var, axis.extent)


def _substituted(value: ScalarExpr, values: Mapping[str, Dim]) -> ScalarExpr:
    return rewrite(value, on_dim=lambda dim: substitute(dim, values))
