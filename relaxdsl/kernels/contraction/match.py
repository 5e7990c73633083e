"""Recognising a contraction: which loops are rows, columns, steps of the sum, and a batch around the product."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from relaxdsl.ir.loops import Buffer, PrimFunc, Seq, Stmt, Store, loop_variable, sequence
from relaxdsl.ir.scalar import Apply, Const, Load, ScalarExpr
from relaxdsl.kernels.accesses import buffers_touched, flat_index, stride
from relaxdsl.kernels.contraction.names import ENGINE_DTYPES
from relaxdsl.kernels.schedule.decompose import Nest, nest_of
from relaxdsl.types.dims import Dim, free_symbols, substitute


@dataclass(frozen=True, eq=False, slots=True)
class Axis:
    """A range, and how far apart its neighbours are in the left operand, the right operand and the result."""

    extent: Dim
    left: Dim
    right: Dim
    result: Dim


@dataclass(frozen=True, eq=False, slots=True)
class Contraction:
    """``result[batch, row, column] = sum over depth of left[batch, row, depth] * right[batch, depth, column]``.

    Every element is at its operand's offset plus the axes' steps; the result is dense.
    """

    left: Buffer
    right: Buffer
    result: Buffer
    left_offset: Dim
    right_offset: Dim
    batch: tuple[Axis, ...]
    row: Axis
    column: Axis
    depth: Axis

    @property
    def batch_size(self) -> Dim:
        return math.prod((axis.extent for axis in self.batch), start=1)

    @property
    def all_rows(self) -> Dim:
        """The rows of all matrices."""
        return self.batch_size * self.row.extent

    @property
    def has_dense_left_rows(self) -> bool:
        """Whether the left operand has the result's rows, one after the other."""
        row, column, depth = self.row, self.column.extent, self.depth.extent
        is_dense = self.left_offset == 0 and row.extent != 1 and row.left == depth and self.depth.left == 1
        return is_dense and all(axis.left * column == axis.result * depth for axis in self.batch)


@dataclass(frozen=True, eq=False, slots=True)
class _Product:
    """What a block adds up: ``left * right``."""

    left: Load
    right: Load
    result: Store


def takes_rows(kernel: PrimFunc, buffer: Buffer) -> bool:
    """Whether the kernel begins with a contraction that the engine computes, and ``buffer`` is the rows it takes.

    Whatever makes the buffer row by row can then become part of the kernel: each row is computed once.
    """
    statements = kernel.body.body if isinstance(kernel.body, Seq) else (kernel.body,)
    contraction = contraction_of(statements[0], kernel.symbols) if statements else None
    if contraction is None or contraction.left is not buffer or contraction.right is buffer:
        return False
    return contraction.has_dense_left_rows and buffer not in buffers_touched(sequence(*statements[1:]))[0]


def contraction_of(stmt: Stmt, sizes: tuple[str, ...]) -> Contraction | None:
    """The contraction that a nest of loops is, if the engine can compute it."""
    nest = nest_of(stmt)
    product = _product(nest) if nest is not None else None
    if nest is None or product is None:
        return None
    axes = _axes(nest, product, sizes)
    return None if axes is None else _arranged(nest, product, *axes)


def _product(nest: Nest) -> _Product | None:
    """The product that the nest's block adds to an element of floats, starting from zero."""
    match nest.block.init, nest.block.body:
        case (
            Store(buffer=set_buffer, value=Const(value=0)),
            Store(
                buffer=result,
                value=Apply("add", (Load(buffer=old), Apply("multiply", (Load() as left, Load() as right)))),
            ) as store,
        ) if set_buffer is result and old is result:
            loads = (left, right)
            are_affine = not any(isinstance(index, ScalarExpr) for each in loads for index in each.indices)
            are_floats = {result.dtype, left.dtype, right.dtype} <= {result.dtype} <= set(ENGINE_DTYPES)
            if are_affine and are_floats and result not in (left.buffer, right.buffer):
                return _Product(left, right, store)
    return None


def _axes(nest: Nest, product: _Product, sizes: tuple[str, ...]) -> tuple[list[Axis], list[Axis]] | None:
    """The spatial axes in the result's order, and those of the sum; None if an operand's steps are not constant."""
    spatial: list[Axis] = []
    reduce: list[Axis] = []
    variables = {each.var: each for each in nest.block.iter_vars}
    written = [str(index) for index in product.result.indices]
    if sorted(written) != sorted(each.var for each in variables.values() if each.kind == "spatial"):
        return None
    for name in (*written, *(each.var for each in variables.values() if each.kind == "reduce")):
        axis = _axis(name, variables[name].extent, product)
        if axis is None or not set(_symbols_of(axis)) <= set(sizes):
            return None
        if axis.extent != 1:
            (spatial if variables[name].kind == "spatial" else reduce).append(axis)
    return spatial, reduce


def _axis(name: str, extent: Dim, product: _Product) -> Axis | None:
    variable = loop_variable(name, extent)
    left, right, result = (
        stride(flat_index(each.buffer.shape, each.indices), variable)
        for each in (product.left, product.right, product.result)
    )
    if left is None or right is None or result is None:
        return None
    return Axis(extent, left, right, result)


def _symbols_of(axis: Axis) -> list[str]:
    return [name for dim in (axis.extent, axis.left, axis.right, axis.result) for name in free_symbols(dim)]


def _arranged(nest: Nest, product: _Product, spatial: list[Axis], reduce: list[Axis]) -> Contraction | None:
    """Columns are the last axes of the result, rows those before; the operand that has the columns is the right one."""
    if not spatial or not reduce:
        return None
    left, right = product.left, product.right
    if spatial[-1].left != 0:
        left, right = right, left
        spatial, reduce = [_swapped(axis) for axis in spatial], [_swapped(axis) for axis in reduce]
    column = _taken(spatial, lambda axis: axis.left == 0 and axis.right != 0)
    row = _taken(spatial, lambda axis: axis.right == 0 and axis.left != 0) or Axis(1, 0, 0, 0)
    depth = _taken(reduce, lambda axis: axis.left != 0 and axis.right != 0)
    if column is None or depth is None or reduce:
        return None
    variables = [each.var for each in nest.block.iter_vars]
    return Contraction(
        left=left.buffer,
        right=right.buffer,
        result=product.result.buffer,
        left_offset=_origin(left, variables),
        right_offset=_origin(right, variables),
        batch=tuple(spatial),
        row=row,
        column=column,
        depth=depth,
    )


def _origin(load: Load, variables: list[str]) -> Dim:
    """Where the element is whose variables are all 0."""
    position = flat_index(load.buffer.shape, load.indices)
    assert not isinstance(position, ScalarExpr)
    return substitute(position, dict.fromkeys(variables, 0))


def _swapped(axis: Axis) -> Axis:
    return Axis(axis.extent, axis.right, axis.left, axis.result)


def _taken(axes: list[Axis], is_one: Callable[[Axis], bool]) -> Axis | None:
    """The last axes of a kind, joined as far as they are evenly spaced; they are removed from ``axes``."""
    joined: Axis | None = None
    while axes and is_one(axes[-1]):
        following = axes[-1] if joined is None else _joined(axes[-1], joined)
        if following is None:
            break
        joined = following
        axes.pop()
    return joined


def _joined(outer: Axis, inner: Axis) -> Axis | None:
    """Two axes as one, if a step of the outer one is as long as the whole inner one, in every operand."""
    pairs = ((outer.left, inner.left), (outer.right, inner.right), (outer.result, inner.result))
    if any(long != short * inner.extent for long, short in pairs):
        return None
    return Axis(outer.extent * inner.extent, inner.left, inner.right, inner.result)
