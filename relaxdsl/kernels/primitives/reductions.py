"""Reductions: their initial values as a block of their own, and their parts as reductions of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from relaxdsl.ir.loops import Block, For, IfThenElse, IterVar, PrimFunc, Stmt
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels.accesses import both_of, expression_dims
from relaxdsl.kernels.primitives.coverage import groups_of, is_run_everywhere, loops_for
from relaxdsl.kernels.primitives.dependence import Sign, Touch, may_meet, names_along, touches
from relaxdsl.kernels.primitives.examples import differ_in, meeting_of
from relaxdsl.kernels.primitives.guards import under
from relaxdsl.kernels.primitives.tree import (
    Path,
    block_path,
    blocks_in,
    inserted_before,
    loop_path,
    loops_on,
    nest,
    refuse,
    renamed,
    replaced,
    variable,
)
from relaxdsl.kernels.te_functions import logical_not
from relaxdsl.types.dims import free_symbols, is_symbol, substitute
from relaxdsl.types.symint import is_at_least


def decompose_reduction(func: PrimFunc, names: UniqueNames, block: str, loop: str) -> tuple[PrimFunc, str]:
    """The kernel with a reduction's initial values set before ``loop``; see :meth:`.Schedule.decompose_reduction`."""
    path, old = block_path(func, block, "decompose_reduction")
    if old.init is None:
        refuse(func, f"decompose_reduction: block {block} has no init", block)
    _, place = loop_path(func, loop, "decompose_reduction")
    if place not in path:
        refuse(func, f"decompose_reduction: {loop} is not around block {block}", loop, block)
    outside = [each for each in reduce_loops(path, old) if each in path[: path.index(place)]]
    if outside:
        headline = f"decompose_reduction: {outside[0].var}, outside of {loop}, runs over the reduction of block {block}"
        refuse(func, headline, outside[0].var, loop)
    _require_set_once(func, path, old, place)
    _require_own_results(func, path, old, place)
    first = initial_values(path, old, place, names)
    func = replaced(func, old, replace(old, init=None))
    _, place = loop_path(func, loop, "decompose_reduction")
    return inserted_before(func, place, first), blocks_in(first)[0].name


def reduce_loops(path: Path, block: Block) -> list[For]:
    """The loops along which a block reduces, outermost first."""
    steps = names_along(block, "reduce")
    return [loop for loop in loops_on(path) if loop.var in steps]


def initial_values(path: Path, block: Block, place: Stmt, names: UniqueNames) -> Stmt:
    """The block's init in those loops from ``place`` inwards that its axes without a reduction run over.

    Such an axis that shares loops with a reduction, as those of ``f`` in ``range(m * n)`` with ``vi = f // n`` and
    ``vk = f % n``, runs over its extent in a loop of its own. Conditions on the steps of the reduction do not hold the
    init back. So it stands even for a reduction over nothing.
    """
    assert block.init is not None
    within = path[path.index(place) :]
    groups = [group for group in axes_in_shared_loops(block, within) if is_run_everywhere(block, group, within)]
    shared = [axis for group in groups for axis in _spatial(group)]
    alone = {axis: For(names.fresh(f"all_{axis.var}"), axis.extent, block) for axis in shared}
    spatial = _spatial(block.iter_vars)
    used = loops_for([axis for axis in spatial if axis not in alone], loops_on(within))
    dropped = {loop.var for loop in loops_on(within)} - used
    axes = tuple(replace(axis, binding=variable(alone[axis])) if axis in alone else axis for axis in spatial)
    result: Stmt = nest(list(alone.values()), Block(block.name, axes, block.init))
    for stmt, inner in reversed(list(pairwise(within))):
        if isinstance(stmt, For) and stmt.var in used:
            result = replace(stmt, body=result)
        elif isinstance(stmt, IfThenElse):
            met = both_of(logical_not(stmt.condition) if inner is stmt.else_body else stmt.condition)
            result = under([each for each in met if not _symbols(each) & dropped], result)
    return renamed(result, names, "_init")


def axes_in_shared_loops(block: Block, within: Path) -> list[list[IterVar]]:
    """Groups of a block's axes that the same loops of ``within`` run along, those of a reduction and others."""
    loops = loops_on(within)
    steps = names_along(block, "reduce")
    groups = groups_of(block.iter_vars, loops)
    return [group for group in groups if loops_for(_spatial(group), loops) & steps]


def left_unset(block: Block, path: Path) -> Iterator[tuple[list[IterVar], IterVar]]:
    """Axes without a reduction whose elements may get no initial value, and the reduction in whose loops they are: it
    may have no step.
    """
    loops = reduce_loops(path, block)
    if block.init is None or not loops:
        return
    within = path[path.index(loops[0]) :]
    for group in axes_in_shared_loops(block, within):
        if not is_run_everywhere(block, group, within):
            yield from ((_spatial(group), axis) for axis in group if _may_be_empty(axis, group))


def _may_be_empty(axis: IterVar, group: Sequence[IterVar]) -> bool:
    """Whether a reduction may have no step where the other axes of its group have elements."""
    if axis.kind == "spatial" or is_at_least(axis.extent, 1):
        return False
    elements = math.prod(each.extent for each in _spatial(group))
    return not is_symbol(axis.extent) or substitute(elements, {str(axis.extent): 0}) != 0


def _spatial(axes: Sequence[IterVar]) -> list[IterVar]:
    return [axis for axis in axes if axis.kind == "spatial"]


def _symbols(condition: ScalarExpr) -> set[str]:
    return {name for dim in expression_dims(condition) for name in free_symbols(dim)}


def _require_set_once(func: PrimFunc, path: Path, block: Block, place: For) -> None:
    """Refuses if an element is computed more than once: its initial value would be set once, for all times."""
    inside = loops_on(path[path.index(place) :])
    reduced = reduce_loops(path, block)
    outside = loops_on(path[: path.index(place)])
    written = [each for each in touches(func.body) if each.block is block and each.is_write]
    for loop in (each for each in inside if each not in reduced):
        signs: dict[str, Sign] = {each.var: "*" for each in inside}
        for each in written:
            if may_meet(each, each, {**signs, loop.var: "<"}):
                again = f"iterations of {loop.var} compute the same elements of {each.buffer.name}"
                met = meeting_of(func, [(each, each)], partial(differ_in, loop, outside))
                refuse(func, f"decompose_reduction: {again}", loop.var, example=met.lines)


def _require_own_results(func: PrimFunc, path: Path, block: Block, place: For) -> None:
    """Refuses if anything else in ``place`` writes what the block computes, or reads it before it is computed."""
    found = touches(place, loops_on(path[: path.index(place)]))
    first = next(number for number, each in enumerate(found) if each.block is block)
    writes = [each for each in found if each.block is block and each.is_write]
    for number, each in enumerate(found):
        if each.block is block or each.buffer not in {write.buffer for write in writes}:
            continue
        name = each.buffer.name
        if each.is_write:
            headline = f"decompose_reduction: block {block.name} and {each.owner} both write {name}"
            refuse(func, headline, block.name, each.place)
        if number < first or any(_may_come_first(each, write, place) for write in writes):
            headline = f"decompose_reduction: {each.owner} may read {name} before block {block.name} sets it"
            refuse(func, headline, block.name, each.place)


def _may_come_first(read: Touch, write: Touch, place: For) -> bool:
    """Whether an iteration of ``place``, or of a loop inside, may read an element whose first step comes later."""
    assert write.block is not None
    steps = names_along(write.block, "reduce")
    outside = read.loops[: read.loops.index(place)]
    inside = [each for each in (*read.loops, *write.loops) if each not in outside]
    common = [each for each in read.loops if each in inside and each in write.loops]
    for number, loop in enumerate(common):
        same = {each.var for each in common[:number]}
        signs: dict[str, Sign] = {each.var: "*" for each in inside if each.var not in same}
        if loop.var not in steps and may_meet(read, write, {**signs, loop.var: "<"}):
            return True
    return False
