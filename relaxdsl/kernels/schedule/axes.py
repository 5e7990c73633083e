"""Loops around a block that a user has tiled run along its axes again: the order is the rules' to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.ir.loops import Block, For, IfThenElse, IterVar, PrimFunc, Seq, Stmt, sequence
from relaxdsl.ir.names import UniqueNames
from relaxdsl.kernels.primitives.coverage import groups_of, is_run_everywhere, loops_for
from relaxdsl.kernels.primitives.tree import loops_on, names_in, nest, variable
from relaxdsl.types.dims import Dim, free_symbols, is_symbol


def loop_over_axes(prim_func: PrimFunc) -> PrimFunc:
    """Gives a block one loop for each of its axes, if the loops around it come by all places of the axes once, and
    along a reduction in their order.

    Before::

        for i_0, j, i_1, k in grid(ceildiv(n, 16), m, 16, p):
            if 16 * i_0 + i_1 < n:
                with block: vi = spatial(n, 16 * i_0 + i_1), vj = spatial(m, j), vk = reduce(p, k)
                    c[vi, vj] = c[vi, vj] + a[vi, vk] * b[vk, vj]

    After::

        for vi_1, vj_1, vk_1 in grid(n, m, p):
            with block: vi = spatial(n, vi_1), vj = spatial(m, vj_1), vk = reduce(p, vk_1)
                c[vi, vj] = c[vi, vj] + a[vi, vk] * b[vk, vj]
    """
    statements = prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,)
    tiled = {stmt: block for stmt in statements if (block := _tiled_block(stmt)) is not None}
    if not tiled:
        return prim_func
    names = names_in(prim_func)
    return replace(
        prim_func, body=sequence(*(_along_axes(tiled[stmt], names) if stmt in tiled else stmt for stmt in statements))
    )


def _along_axes(block: Block, names: UniqueNames) -> Stmt:
    loops = [For(names.fresh(axis.var), axis.extent, Seq(())) for axis in block.iter_vars]
    axes = (replace(axis, binding=variable(loop)) for axis, loop in zip(block.iter_vars, loops, strict=True))
    return nest(loops, replace(block, iter_vars=tuple(axes)))


def _tiled_block(stmt: Stmt) -> Block | None:
    """The block in loops, and under conditions, that run it once at each place of its axes, and along those of a
    reduction in their order; None if the statement is something else, or the loops are the axes' already.
    """
    path = [stmt]
    while not isinstance(stmt, Block):
        if isinstance(stmt, For) and stmt.kind == "serial":
            stmt = stmt.body
        elif isinstance(stmt, IfThenElse) and stmt.else_body is None:
            stmt = stmt.then_body
        else:
            return None
        path.append(stmt)
    loops, axes = loops_on(tuple(path)), stmt.iter_vars
    if all(is_symbol(axis.binding) for axis in axes) or loops_for(axes, loops) != {loop.var for loop in loops}:
        return None
    if any(axis.kind == "reduce" and axis.binding != _in_order(axis, loops) for axis in axes):
        return None
    is_once = all(is_run_everywhere(stmt, group, tuple(path), once=True) for group in groups_of(axes, loops))
    return stmt if is_once else None


def _in_order(axis: IterVar, loops: Sequence[For]) -> Dim:
    """What the axis is bound to if its loops run along it, the innermost one fastest."""
    place: Dim = 0
    for loop in loops:
        if loop.var in free_symbols(axis.binding):
            place = place * loop.extent + variable(loop)
    return place
