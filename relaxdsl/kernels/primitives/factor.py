"""Rfactor: the parts of a reduction that one loop goes through become reductions of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    IfThenElse,
    IterKind,
    IterVar,
    PrimFunc,
    Stmt,
    Store,
    loop_variable,
    substitute_variables,
)
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Apply, Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import expression_dims, reads
from relaxdsl.kernels.primitives.combining import NEUTRAL
from relaxdsl.kernels.primitives.coverage import require_no_step_again
from relaxdsl.kernels.primitives.dependence import names_along, touches
from relaxdsl.kernels.primitives.facts import require_axes_in_place, require_only_writer
from relaxdsl.kernels.primitives.regions import most_over
from relaxdsl.kernels.primitives.tree import (
    Path,
    block_path,
    blocks_in,
    inserted_after,
    loop_path,
    loops_on,
    nest,
    refuse,
    replaced,
    top_statement,
    variable,
)
from relaxdsl.types.dims import Dim, free_symbols, substitute

T = TypeVar("T")


def rfactor(func: PrimFunc, names: UniqueNames, loop: str, factor_axis: int) -> tuple[PrimFunc, str]:
    """The kernel with the parts of a reduction in scratch, and the block making them; see :meth:`.Schedule.rfactor`."""
    _, place = loop_path(func, loop, "rfactor")
    block = _only_block(func, place)
    store = _reduction(func, block)
    require_only_writer(func, block, "rfactor")
    require_axes_in_place(func, block, "rfactor")
    _require_reduce_loop(func, block, place)
    require_no_step_again(func, block, "rfactor")
    _require_unread(func, block, store)
    axis = _place_of(func, store, loop, factor_axis)
    shape = _with_axis(store.buffer.shape, axis, place.extent)
    parts = Buffer(names.fresh(f"{store.buffer.name}_rf"), shape, store.buffer.dtype, "scratch")
    path, _ = block_path(func, block.name, "rfactor")
    _require_steps_in_parts(func, path, block, place)
    steps = _steps(func, path, block, place, names)
    first = _parts_block(block, store, parts, place, axis, steps)
    second = _combining_nest(block, store, parts, axis, place, names)
    func = replaced(func, block, first)
    top = top_statement(block_path(func, first.name, "rfactor")[0])
    func = inserted_after(func, top, second)
    return replace(func, scratch=(*func.scratch, parts)), first.name


def _place_of(func: PrimFunc, store: Store, loop: str, factor_axis: int) -> int:
    """The place of the new axis, counted from the front."""
    rank = len(store.indices) + 1
    if not isinstance(factor_axis, int) or not -rank <= factor_axis < rank:
        places = f"places go from {-rank} to {rank - 1}"
        refuse(func, f"rfactor: {store.buffer.name} has no place {factor_axis} for another axis", loop, hint=places)
    return factor_axis % rank


def _only_block(func: PrimFunc, loop: For) -> Block:
    blocks = [block for block in blocks_in(loop) if block.init is not None]
    if len(blocks) != 1:
        refuse(func, f"rfactor: there is no single reduction with an init in {loop.var}", loop.var)
    return blocks[0]


def _reduction(func: PrimFunc, block: Block) -> Store:
    """The store ``s[...] = function(s[...], value)`` of a reduction."""
    store = block.body
    if not isinstance(store, Store) or not isinstance(block.init, Store) or not _is_grouped(store):
        headline = f"rfactor: block {block.name} is no reduction by a function whose steps can be grouped"
        refuse(func, headline, block.name)
    return store


def _is_grouped(store: Store) -> bool:
    match store:
        case Store(buffer, indices, Apply(function, (Load(held, at), value))) if function in NEUTRAL:
            return held is buffer and at == indices and not reads(value, buffer)
    return False


def _require_reduce_loop(func: PrimFunc, block: Block, loop: For) -> None:
    for axis in block.iter_vars:
        if axis.kind == "spatial" and loop.var in free_symbols(axis.binding):
            refuse(func, f"rfactor: {loop.var} is no loop of the reduction of block {block.name}", loop.var)
    if not any(loop.var in free_symbols(axis.binding) for axis in block.iter_vars):
        refuse(func, f"rfactor: {loop.var} is no loop of the reduction of block {block.name}", loop.var)
    outer = {name for dim in (loop.extent, loop.start) for name in free_symbols(dim)}
    if not outer <= set(func.symbols) or loop.start != 0:
        refuse(func, f"rfactor: how often {loop.var} runs depends on other loops", loop.var)


def _require_steps_in_parts(func: PrimFunc, path: Path, block: Block, loop: For) -> None:
    """Refuses if a condition may leave a part without any step, even its first, which sets it."""
    rest = names_along(block, "reduce") - {loop.var}
    for branch in (each for each in path if isinstance(each, IfThenElse)):
        used = {name for dim in expression_dims(branch.condition) for name in free_symbols(dim)}
        if loop.var in used and not rest & used:
            hint = f"split {loop.var} first, and use rfactor on one of the two"
            refuse(func, f"rfactor: a condition leaves parts without a value along {loop.var}", loop.var, hint=hint)


def _require_unread(func: PrimFunc, block: Block, store: Store) -> None:
    """Refuses if the loops that will make only parts use the result, or change what it starts with."""
    path, _ = block_path(func, block.name, "rfactor")
    assert block.init is not None
    first = {each.buffer for each in touches(block.init)}
    for each in (each for each in touches(top_statement(path)) if each.block is not block):
        if each.buffer is store.buffer or (each.is_write and each.buffer in first):
            headline = f"rfactor: {each.owner} uses {each.buffer.name} in the same loops"
            refuse(func, headline, block.name, each.place)


def _with_axis(sizes: tuple[T, ...], place: int, size: T) -> tuple[T, ...]:
    return (*sizes[:place], size, *sizes[place:])


def _steps(func: PrimFunc, path: Path, block: Block, loop: For, names: UniqueNames) -> dict[str, IterVar]:
    """Each loop that the axes along ``loop`` use as an axis of its own, as long as the loop may be."""
    used = {name for axis in block.iter_vars if _uses(axis, loop) for name in free_symbols(axis.binding)}
    found: dict[str, IterVar] = {}
    for each in (each for each in loops_on(path) if each.var in used):
        extent = most_over(each.extent, loops_on(path))
        if extent is None:
            refuse(func, f"rfactor: how often {each.var} runs at most can't be told", each.var)
        kind: IterKind = "spatial" if each is loop else "reduce"
        found[each.var] = IterVar(names.fresh(f"v_{each.var}"), extent, kind, variable(each))
    return found


def _parts_block(
    block: Block, store: Store, parts: Buffer, loop: For, place: int, steps: Mapping[str, IterVar]
) -> Block:
    """The block with the loop's variable as an axis of its own, and the axes that used it in terms of ``steps``.

    A part starts with what changes nothing: the block's own initial value is taken once, where parts are combined.
    """
    assert isinstance(store.value, Apply)
    variables: dict[str, Dim] = {name: loop_variable(axis.var, axis.extent) for name, axis in steps.items()}
    values = {axis.var: substitute(axis.binding, variables) for axis in block.iter_vars if _uses(axis, loop)}
    axes = (*(axis for axis in block.iter_vars if not _uses(axis, loop)), *steps.values())
    indices = _with_axis(store.indices, place, variables[loop.var])
    if all(axis.kind == "spatial" for axis in axes):
        return Block(parts.name, axes, substitute_variables(Store(parts, indices, store.value.args[1]), values))
    body = substitute_variables(_moved(store, store.buffer, parts, indices), values)
    neutral = NEUTRAL[store.value.function](parts.dtype)
    return Block(parts.name, axes, body, Store(parts, indices, neutral))


def _uses(axis: IterVar, loop: For) -> bool:
    return loop.var in free_symbols(axis.binding)


def _moved(store: Store, old: Buffer, new: Buffer, indices: tuple[Index, ...]) -> Store:
    """The store with an element of ``new`` in the place of that of ``old``."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return Load(new, indices) if isinstance(node, Load) and node.buffer is old else None

    return Store(new, indices, rewrite(store.value, on_node))


def _combining_nest(block: Block, store: Store, parts: Buffer, place: int, loop: For, names: UniqueNames) -> Stmt:
    """The reduction of the parts: the block in loops of its own over its axes, then over the parts."""
    assert isinstance(store.value, Apply)
    kept = [axis for axis in block.iter_vars if axis.kind == "spatial"]
    last = IterVar(names.fresh(f"v_{loop.var}"), loop.extent, "reduce", 0)
    axes = [replace(axis, var=names.fresh(axis.var)) for axis in kept] + [last]
    loops = [For(names.fresh(f"ax{number}"), axis.extent, store) for number, axis in enumerate(axes)]
    values: dict[str, Dim] = {old.var: loop_variable(new.var, new.extent) for old, new in zip(kept, axes, strict=False)}
    bound = tuple(replace(axis, binding=variable(each)) for axis, each in zip(axes, loops, strict=True))
    part = Load(parts, _with_axis(store.indices, place, loop_variable(last.var, last.extent)))
    value = Apply(store.value.function, (Load(store.buffer, store.indices), part), store.value.dtype)
    new = replace(block, iter_vars=bound, body=Store(store.buffer, store.indices, value))
    return nest(loops, substitute_variables(new, values))
