"""Kernels scheduled by hand to plain loops: what was decided stays, nothing is rearranged.

These are the rules that :mod:`relaxdsl.kernels.schedule.pipeline` applies to them instead of the default ones.
"""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    PrimFunc,
    Stmt,
    Store,
    map_statements,
    rewrite_statement,
    sequence,
    sub_statements,
    substitute_variables,
    walk,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels.primitives.compact import plan_smaller_scratch, with_smaller_scratch
from relaxdsl.kernels.primitives.dependence import touches
from relaxdsl.kernels.primitives.guards import leading_conditions, under, without_conditions
from relaxdsl.kernels.primitives.reductions import initial_values, reduce_loops
from relaxdsl.kernels.primitives.tree import block_path, blocks_in, names_in, renamed, with_statement
from relaxdsl.kernels.schedule.decompose import reordered


def lower_blocks(prim_func: PrimFunc) -> PrimFunc:
    """Replaces every block by what it does; a reduction that has its init still gets it before its outermost loop.

    Scratch becomes as small as :func:`.compact.with_smaller_scratch` can make it.

    Before::

        for i in range(m):
            for k_0 in range(n // 4):
                for k_1 in unrolled(4):
                    with block: s[i] = s[i] + x[i, 4 * k_0 + k_1]    init: s[i] = 0

    After::

        for i in range(m):
            s_acc = 0
            for k_0 in range(n // 4):
                for k_1 in unrolled(4):
                    s_acc = fast_add(s_acc, x[i, 4 * k_0 + k_1])
            s[i] = s_acc
    """
    names = names_in(prim_func)
    plans = plan_smaller_scratch(prim_func)
    for block in blocks_in(prim_func.body):
        if block.init is not None:
            prim_func = _with_initial_values(prim_func, block.name, names)
    return with_smaller_scratch(replace(prim_func, body=_without_blocks(prim_func.body)), plans)


def _with_initial_values(func: PrimFunc, name: str, names: UniqueNames) -> PrimFunc:
    path, block = block_path(func, name, "lower")
    assert block.init is not None
    loops = reduce_loops(path, block)
    place: Stmt = loops[0] if loops else block
    first = initial_values(path, block, place, names)
    update = with_statement(place, block, replace(block, init=None))
    if _is_one_element(func, first, update, block):
        return replace(func, body=with_statement(func.body, place, _in_registers(first, update, names)))
    return replace(func, body=with_statement(func.body, place, sequence(first, update)))


def _without_blocks(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _without_blocks)
    if not isinstance(stmt, Block):
        return stmt
    if any(axis.kind == "reduce" for axis in stmt.iter_vars):
        stmt = replace(stmt, body=reordered(stmt.body))
    values = {axis.var: axis.binding for axis in stmt.iter_vars}
    return substitute_variables(sequence(*sub_statements(stmt)), values)


# ---------------------------------------------------------------------------------------------------------- registers


def _is_one_element(func: PrimFunc, first: Stmt, update: Stmt, block: Block) -> bool:
    """Whether a reduction makes one element only, of which nothing else in its loops knows."""
    if any(isinstance(stmt, For) for stmt in walk(first)):
        return False
    written = {stmt.buffer for stmt in walk(first) if isinstance(stmt, Store)}
    others = (each for each in touches(update) if each.block is None or each.block.name != block.name)
    return not any(each.buffer in written for each in others)


def _in_registers(first: Stmt, update: Stmt, names: UniqueNames) -> Stmt:
    """The reduction with its values so far in local variables, stored when it is done."""
    stores = [stmt for stmt in walk(first) if isinstance(stmt, Store)]
    held = {
        each.buffer: Buffer(names.fresh(f"{each.buffer.name}_acc"), (), each.buffer.dtype, "register")
        for each in stores
    }

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return Load(held[node.buffer], ()) if isinstance(node, Load) and node.buffer in held else None

    def on_store(store: Store) -> Store:
        return Store(held[store.buffer], (), store.value) if store.buffer in held else store

    conditions, start = leading_conditions(first)
    steps = without_conditions(update, conditions)
    result = rewrite_statement(start, on_store=lambda store: replace(store, value=Load(held[store.buffer], ())))
    inside = (rewrite_statement(each, on_node, on_store=on_store) for each in (start, steps))
    return under(conditions, sequence(*inside, result))


# ----------------------------------------------------------------------------------------------------------- unrolled


def write_out_unrolled(prim_func: PrimFunc) -> PrimFunc:
    """Writes unrolled loops out.

    Before: ``for i in unrolled(2): y[i] = x[i]``. After: ``y[0] = x[0]``, ``y[1] = x[1]``.
    """
    return replace(prim_func, body=_written_out(prim_func.body, names_in(prim_func)))


def _written_out(stmt: Stmt, names: UniqueNames) -> Stmt:
    stmt = map_statements(stmt, lambda inner: _written_out(inner, names))
    if not isinstance(stmt, For) or stmt.kind != "unrolled" or not isinstance(stmt.extent, int):
        return stmt
    return sequence(*(_one_step(stmt, step, names) for step in range(stmt.extent)))


def _one_step(loop: For, step: int, names: UniqueNames) -> Stmt:
    body = substitute_variables(loop.body, {loop.var: loop.start + step})
    return body if step == 0 else renamed(body, names)
