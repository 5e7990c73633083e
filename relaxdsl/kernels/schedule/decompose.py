"""Blocks to plain loops: reductions get an initial value, an order of loops, and a place to accumulate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    LoopKind,
    PrimFunc,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    rewrite_statement,
    sequence,
    substitute_variables,
    walk,
)
from relaxdsl.ir.scalar import FUSED, REORDERED, Apply, Load, ScalarExpr
from relaxdsl.kernels.accesses import accesses, flat_index, stride
from relaxdsl.kernels.schedule.steps import has_few_steps, is_unrollable, unrolled
from relaxdsl.kernels.steps_apart import are_steps_apart
from relaxdsl.types.dims import is_symbol
from relaxdsl.types.dtype import is_float

#: Steps of the reduction in one pass over a row, and the longest constant extent that is done in one pass.
UNROLL = 4
FULL_UNROLL_LIMIT = 8
#: A reduction loop of at most this many steps is not worth vectorising.
SHORT_REDUCTION = 8


def decompose_reductions(prim_func: PrimFunc) -> PrimFunc:
    """Replaces every block by what it does; spatial loops become parallel.

    Blocks that are no perfect nest have no init any more, see :mod:`relaxdsl.kernels.schedule.initial_values`.

    Before::

        for i in range(m):
            for k in range(n):
                with block: s[i] = s[i] + x[i, k]    init: s[i] = 0

    After, where the reduction runs innermost::

        for i in parallel(m):
            s_acc = 0
            for k in range(n):
                s_acc = fast_add(s_acc, x[i, k])
            s[i] = s_acc

    After, where the last spatial axis is the contiguous one (see :func:`_accumulates_in_row`)::

        for i in parallel(m):
            for j in parallel(p):
                c[i, j] = 0
            for k in range(n // 4):
                for j in parallel(p):
                    c[i, j] = c[i, j] + a[i, 4 * k] * b[4 * k, j] + ... + a[i, 4 * k + 3] * b[4 * k + 3, j]
            for k in range(n // 4 * 4, n):
                for j in parallel(p):
                    c[i, j] = c[i, j] + a[i, k] * b[k, j]
    """
    return replace(prim_func, body=_lower(prim_func.body))


def _lower(stmt: Stmt) -> Stmt:
    nest = nest_of(stmt)
    if nest is not None:
        return _lower_nest(nest)
    if isinstance(stmt, Block):
        assert stmt.init is None
        return _bound(stmt, stmt.body)
    return map_statements(stmt, _lower)


@dataclass(frozen=True, slots=True)
class Nest:
    """A perfect nest of loops around one block, whose iteration variables are the loops'.

    Steps of the spatial ones touch elements of their own, so they may run in any order.
    """

    spatial: tuple[For, ...]
    reduce: tuple[For, ...]
    block: Block


def nest_of(stmt: Stmt) -> Nest | None:
    """The nest that ``stmt`` is, if it is one."""
    loops: list[For] = []
    while isinstance(stmt, For) and stmt.start == 0 and stmt.kind == "serial":
        loops.append(stmt)
        stmt = stmt.body
    if not isinstance(stmt, Block) or not all(is_symbol(each.binding) for each in stmt.iter_vars):
        return None
    kinds = {str(each.binding): each for each in stmt.iter_vars}
    if len(kinds) != len(stmt.iter_vars) or set(kinds) != {loop.var for loop in loops}:
        return None
    if any(kinds[loop.var].extent != loop.extent for loop in loops) or not are_steps_apart(stmt):
        return None
    spatial = tuple(loop for loop in loops if kinds[loop.var].kind == "spatial")
    return Nest(spatial, tuple(loop for loop in loops if kinds[loop.var].kind == "reduce"), stmt)


def _bound(block: Block, stmt: Stmt) -> Stmt:
    """``stmt`` of the block, in terms of the loops."""
    return substitute_variables(stmt, {each.var: each.binding for each in block.iter_vars})


def _lower_nest(nest: Nest) -> Stmt:
    body = _bound(nest.block, nest.block.body)
    if nest.block.init is None:
        return _around(nest.spatial, _around(nest.reduce, body, "serial"), "parallel")
    init = _bound(nest.block, nest.block.init)
    inner = _innermost_loop(nest, body)
    reduce = tuple(sorted(nest.reduce, key=lambda loop: loop is inner))
    if isinstance(body, Store) and nest.reduce and nest.spatial and inner is nest.spatial[-1]:
        return _accumulates_in_row(nest.spatial, reduce, init, reordered(body, keeps_order=True))
    return _accumulates_in_registers(nest.spatial, reduce, init, reordered(body, has_few_steps(nest.reduce)))


def _around(loops: tuple[For, ...], body: Stmt, kind: LoopKind) -> Stmt:
    for loop in reversed(loops):
        body = replace(loop, body=body, kind=kind)
    return body


def _accumulates_in_registers(spatial: tuple[For, ...], reduce: tuple[For, ...], init: Stmt, update: Stmt) -> Stmt:
    """The reduction is innermost; its values so far are local variables."""
    targets = {store.buffer: store.indices for store in walk(init) if isinstance(store, Store)}
    registers = {buffer: Buffer(f"{buffer.name}_acc", (), buffer.dtype, "register") for buffer in targets}

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return Load(registers[node.buffer], ()) if isinstance(node, Load) and node.buffer in registers else None

    def on_store(store: Store) -> Store:
        return Store(registers[store.buffer], (), store.value) if store.buffer in registers else store

    results = (Store(buffer, indices, Load(registers[buffer], ())) for buffer, indices in targets.items())
    start = rewrite_statement(init, on_node, on_store=on_store)
    step = rewrite_statement(update, on_node, on_store=on_store)
    return _around(spatial, sequence(start, _around(reduce, step, "serial"), *results), "parallel")


def _accumulates_in_row(spatial: tuple[For, ...], reduce: tuple[For, ...], init: Stmt, update: Stmt) -> Stmt:
    """The last spatial axis is innermost, so that a step of the reduction adds to a contiguous row."""
    *outer, row = spatial
    *others, last = reduce
    assert isinstance(update, Store)
    passes = sequence(*_passes(last, row, update))
    body = sequence(_row_loop(row, init, "init"), _around(tuple(others), passes, "serial"))
    return _around(tuple(outer), body, "parallel")


def _row_loop(row: For, body: Stmt, suffix: str = "") -> For:
    """A loop over the row; a suffix makes its variable another than that of the row's other loops."""
    name = f"{row.var}.{suffix}" if suffix else row.var
    renamed = substitute_variables(body, {row.var: loop_variable(name, row.extent)})
    return replace(row, var=name, body=renamed, kind="parallel")


def _passes(loop: For, row: For, update: Store) -> Iterator[For]:
    """The reduction loop, split so that one pass over the row does several steps, and the loop over what remains."""
    extent = loop.extent
    if not is_unrollable(update):
        yield replace(loop, body=_row_loop(row, update))
        return
    steps = extent if isinstance(extent, int) and 0 < extent <= FULL_UNROLL_LIMIT else UNROLL
    whole = extent // steps
    variable = loop_variable(loop.var, whole)
    several = unrolled(update, [{loop.var: variable * steps + i} for i in range(steps)])
    yield replace(loop, extent=whole, body=_row_loop(row, several))
    done = whole * steps
    if extent != done:
        rest = f"{loop.var}.rest"
        step = unrolled(update, [{loop.var: loop_variable(rest, extent)}])
        yield replace(loop, var=rest, start=done, extent=extent - done, body=_row_loop(row, step, "rest"))


def reordered(update: Stmt, keeps_order: bool = False) -> Stmt:
    """``s = s + a * b`` on floats becomes ``s = fast_add(s, fast_multiply(a, b))``: see :data:`REORDERED`.

    So does a maximum or minimum.

    Args:
        keeps_order: several sums are formed at once, in vectors, and those left over one by one, since their terms are
            few, or each is added to a row. No result may depend on which of them it was.
    """
    functions = FUSED if keeps_order else REORDERED
    if not isinstance(update, Store) or not is_float(update.buffer.dtype):
        return update
    match update.value:
        case Apply("add" | "multiply" as function, (Load(buffer) as old, step), dtype) if buffer is update.buffer:
            return replace(update, value=Apply(functions[function], (old, _fusable(step, functions)), dtype))
        case Apply("maximum" | "minimum" as function, (Load(buffer), _) as args, dtype) if buffer is update.buffer:
            return replace(update, value=Apply(REORDERED[function], args, dtype))
    return update


def _fusable(step: ScalarExpr, functions: Mapping[str, str]) -> ScalarExpr:
    if isinstance(step, Apply) and step.function == "multiply":
        return Apply(functions["multiply"], step.args, step.dtype)
    return step


def _innermost_loop(nest: Nest, update: Stmt) -> For:
    """The loop to run innermost: along it, the fewest operands jump; the last reduction loop where there is a choice.

    Only the reduction loops and the last spatial one are considered.
    """
    candidates = [*reversed(nest.reduce), *nest.spatial[-1:]]
    return min(candidates, key=lambda loop: (_jumps(loop, update), _is_short(loop, nest)))


def _is_short(loop: For, nest: Nest) -> bool:
    return isinstance(loop.extent, int) and loop.extent <= SHORT_REDUCTION and loop in nest.reduce


def _jumps(loop: For, update: Stmt) -> int:
    """How many operands are neither contiguous nor constant along a loop."""
    variable = loop_variable(loop.var, loop.extent)
    reads = [access for access in accesses(update) if not access.is_write and access.buffer.scope != "register"]
    steps = (stride(flat_index(each.buffer.shape, each.indices), variable) for each in reads)
    return sum(1 for step in steps if step is None or step not in (0, 1))
