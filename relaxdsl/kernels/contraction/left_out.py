"""Steps of a contraction that are left out because the left operand is 0 there: what they add is 0, or NaN.

``0 * right`` is NaN where the right operand is infinite or NaN, the same for all rows: it takes a sum over the right
operand alone, and an addition for each element of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Apply, Const, Load, ScalarExpr, rewrite
from relaxdsl.kernels.contraction.match import Contraction
from relaxdsl.kernels.schedule.decompose import Nest
from relaxdsl.types.dims import Dim, substitute


@dataclass(frozen=True, eq=False, slots=True)
class LeftOut:
    """What steps that are left out add to each column: loops that sum it up, and a nest that adds it to the rows."""

    summed: Stmt
    added: Nest


def left_out_of(nest: Nest, contraction: Contraction, batch: Sequence[Dim], first: Dim) -> LeftOut:
    """What the steps from ``first`` on add to the result, for a matrix of the batch.

    Args:
        nest: the contraction's, which reads the right operand or what that is made of.
    """
    (step,) = contraction.steps
    columns = tuple(axis for axis in nest.block.iter_vars if axis.var in contraction.columns)
    sums = Buffer("left_out", tuple(axis.extent for axis in columns), contraction.result.buffer.dtype, "scratch")
    count = contraction.extents[step] - first
    ones: dict[str, Dim] = {axis.var: 0 for axis in nest.block.iter_vars if axis.extent == 1}
    values = ones | dict(zip(contraction.batch, batch, strict=True)) | {step: first + loop_variable(step, count)}
    right = rewrite(_factor(nest, contraction), on_dim=lambda dim: substitute(dim, values))
    return LeftOut(_summed(columns, _axis(step, count), sums, right), _added(nest, sums, columns))


def _factor(nest: Nest, contraction: Contraction) -> ScalarExpr:
    """The factor of a nest's products that is not the left operand."""
    match nest.block.body:
        case Store(value=Apply("add", (_, Apply("multiply", (first, second))))):
            return second if _reads(first, contraction.left.buffer) else first
    raise AssertionError("a contraction adds up products")


def _reads(factor: ScalarExpr, buffer: Buffer) -> bool:
    return isinstance(factor, Load) and factor.buffer is buffer


def _axis(name: str, count: Dim) -> IterVar:
    return IterVar(name, count, "reduce", loop_variable(f"{name}.left_out", count))


def _summed(columns: Sequence[IterVar], step: IterVar, sums: Buffer, right: ScalarExpr) -> Stmt:
    own = [replace(axis, binding=loop_variable(f"{axis.var}.left_out", axis.extent)) for axis in columns]
    places = tuple(loop_variable(axis.var, axis.extent) for axis in own)
    zero = Const(0.0, sums.dtype)
    nothing = Apply("multiply", (right, zero), sums.dtype)
    body = Store(sums, places, Apply("add", (Load(sums, places), nothing), sums.dtype))
    made: Stmt = Block(sums.name, (*own, step), body, Store(sums, places, zero))
    for axis in reversed((*own, step)):
        made = For(str(axis.binding), axis.extent, made)
    return made


def _added(nest: Nest, sums: Buffer, columns: Sequence[IterVar]) -> Nest:
    """The contraction's nest without its steps, adding to each element what there is for its column."""
    store = nest.block.body
    assert isinstance(store, Store)
    spatial = tuple(axis for axis in nest.block.iter_vars if axis.kind == "spatial")
    found = Load(sums, tuple(loop_variable(axis.var, axis.extent) for axis in columns))
    value = Apply("add", (Load(store.buffer, store.indices), found), sums.dtype)
    block = replace(nest.block, iter_vars=spatial, body=Store(store.buffer, store.indices, value), init=None)
    return replace(nest, reduce=(), block=block)
