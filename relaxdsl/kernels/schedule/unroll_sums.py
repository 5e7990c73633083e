"""Short reductions are written out, so that the loop that becomes vectors is the one over contiguous memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from relaxdsl.ir.loops import Block, PrimFunc, Stmt, Store, loop_variable, map_statements
from relaxdsl.ir.scalar import Apply, Const, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import flat_index, loads_of, stride
from relaxdsl.kernels.schedule.decompose import Nest, nest_of, reordered
from relaxdsl.kernels.schedule.steps import has_few_steps, is_unrollable, unrolled
from relaxdsl.types.dims import Dim, free_symbols, substitute

#: A loop of fewer iterations is not worth making into vectors.
MIN_COLUMNS = 8
#: How far apart neighbours may be in memory for vectors to be loaded fast; 0 is one element for all.
FAST_STRIDES = (0, 1, 2)


def unroll_sums(prim_func: PrimFunc) -> PrimFunc:
    """Writes out reductions of constant, small extent whose results are computed side by side.

    Before::

        for i, j, k in grid(m, n, 3):
            with block: s[i, j] = s[i, j] + x[i, j + k] * w[k]    init: s[i, j] = 0

    After::

        for i, j in grid(m, n):
            with block: s[i, j] = x[i, j] * w[0] + x[i, j + 1] * w[1] + x[i, j + 2] * w[2]

    Products of matrices stay as they are: each of their elements is used for many results, which a loop over one row
    cannot make use of.
    """
    return replace(prim_func, body=_unroll(prim_func.body))


def _unroll(stmt: Stmt) -> Stmt:
    nest = nest_of(stmt)
    if nest is None:
        return map_statements(stmt, _unroll)
    init, update = nest.block.init, nest.block.body
    if not (isinstance(init, Store) and isinstance(update, Store) and is_unrollable(update)):
        return stmt
    is_short = has_few_steps(nest.reduce) and _runs_along_memory(nest, update)
    is_worthwhile = is_short and not _is_matrix_product(nest, update)
    return _written_out(nest, init, update) if is_worthwhile else stmt


def _runs_along_memory(nest: Nest, update: Store) -> bool:
    """Whether the last axis of the results is contiguous, and everything that is read is near its neighbour there."""
    if not nest.spatial:
        return False
    row = nest.block.iter_vars[len(nest.spatial) - 1]
    if isinstance(row.extent, int) and row.extent < MIN_COLUMNS:
        return False
    variable = loop_variable(row.var, row.extent)
    reads = [stride(flat_index(load.buffer.shape, load.indices), variable) for load in loads_of(update.value)]
    is_contiguous = stride(flat_index(update.buffer.shape, update.indices), variable) == 1
    return is_contiguous and all(isinstance(step, int) and step in FAST_STRIDES for step in reads)


def _is_matrix_product(nest: Nest, update: Store) -> bool:
    """Whether the steps are products of two elements, each of which is used along an axis that the other lacks."""
    match update.value:
        case Apply("add", (Load(), Apply("multiply", (left, right)))):
            wide = {each.var for each in nest.block.iter_vars if each.kind == "spatial" and each.extent != 1}
            first, second = (_variables(each) & wide for each in (left, right))
            return bool(first - second) and bool(second - first)
    return False


def _variables(value: ScalarExpr) -> set[str]:
    indices = (index for load in loads_of(value) for index in load.indices if not isinstance(index, ScalarExpr))
    return {name for index in indices for name in free_symbols(index)}


def _written_out(nest: Nest, init: Store, update: Store) -> Stmt:
    axes = [each for each in nest.block.iter_vars if each.kind == "reduce"]
    ranges = (range(axis.extent) for axis in axes if isinstance(axis.extent, int))
    points: list[dict[str, Dim]] = [
        dict(zip((axis.var for axis in axes), point, strict=True)) for point in product(*ranges)
    ]
    step = reordered(update, keeps_order=True)
    assert isinstance(step, Store)
    store = unrolled(step, points[1:], _after_first(init, step, points[0]))
    spatial = tuple(each for each in nest.block.iter_vars if each.kind == "spatial")
    body: Stmt = Block(nest.block.name, spatial, store)
    for loop in reversed(nest.spatial):
        body = replace(loop, body=body)
    return body


def _after_first(init: Store, update: Store, first: dict[str, Dim]) -> ScalarExpr:
    """The value after the first step; nothing is added to zero."""
    match init.value, update.value:
        case Const(value=0), Apply("fused_add", (Load(), step)):
            return rewrite(step, on_dim=lambda dim: substitute(dim, first))
    return unrolled(update, [first], init.value).value
