"""Whether the loops around a block run it at every place of its axes, and once where that matters, as a step takes for
granted that moves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import permutations

from relaxdsl.ir.loops import Block, For, IfThenElse, IterVar, PrimFunc, Stmt, walk
from relaxdsl.kernels.primitives.dependence import Guard, names_along, touches
from relaxdsl.kernels.primitives.examples import shown_left_out
from relaxdsl.kernels.primitives.regions import Span, folded, ranges_of
from relaxdsl.kernels.primitives.tree import Path, block_path, loops_on, refuse, variable
from relaxdsl.types.dims import Dim, dim_min, free_symbols, substitute
from relaxdsl.types.prove import Proof, prove_less_equal


def require_all_places(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if the block may not run at some place of its axes: under a condition, or in loops over a part of them;
    or a step of a sum at one more than once.

    The condition of a split loop's last tile only keeps the axes within their ranges.
    """
    _require_places(func, block, block.iter_vars, step)
    require_no_step_again(func, block, step)
    if _builds_on_itself(func, block):
        _require_once(func, block, step)


def require_no_step_again(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if a loop that no axis uses repeats steps of a block that builds on its own results. Around all loops of
    a reduction that is fine: it starts again there.
    """
    if not _builds_on_itself(func, block):
        return
    loops = loops_on(block_path(func, block.name, step)[0])
    used, steps = loops_for(block.iter_vars, loops), names_along(block, "reduce")
    has_begun = block.init is None
    for loop in loops:
        has_begun |= loop.var in steps
        if has_begun and loop.var not in used and prove_less_equal(loop.extent, 1) is not Proof.YES:
            headline = f"{step}: {loop.var} repeats steps of block {block.name}, since none of its axes uses it"
            refuse(func, headline, loop.var, block.name)


def _require_once(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if the loops may run over a place along a reduction more than once."""
    loops, guards = loops_on(block_path(func, block.name, step)[0]), _guards_of(func.body, block)
    for group in groups_of(block.iter_vars, loops):
        is_sum = any(axis.kind == "reduce" for axis in group)
        if is_sum and not _is_covered(group, loops, guards, once=True):
            names = " and ".join(axis.var for axis in group)
            refuse(func, f"{step}: the loops around block {block.name} may run over {names} more than once", block.name)


def _builds_on_itself(func: PrimFunc, block: Block) -> bool:
    own = [each for each in touches(func.body) if each.block is block]
    written = {each.buffer for each in own if each.is_write}
    return any(not each.is_write and each.buffer in written for each in own)


def require_all_results(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if the block may not run for some of its results, as :func:`require_all_places` does; each of them may be
    a sum over less than all of a reduction.
    """
    _require_places(func, block, [axis for axis in block.iter_vars if axis.kind == "spatial"], step)


def _require_places(func: PrimFunc, block: Block, axes: Sequence[IterVar], step: str) -> None:
    loops = loops_on(block_path(func, block.name, step)[0])
    guards = _guards_of(func.body, block)
    tiles = groups_of(block.iter_vars, loops)
    if any(guard is None or not any(_is_last_tile(guard, each) for each in tiles) for guard in guards):
        example = shown_left_out(func, block, block.iter_vars)
        if any(isinstance(each, IfThenElse) for each in walk(block.body)):
            headline = f"{step}: block {block.name} has a condition around what it writes"
            hint = "choose between values instead: y[i] = a if condition else b"
            refuse(func, headline, block.name, hint=hint, example=example)
        refuse(func, f"{step}: block {block.name} is computed under a condition", block.name, example=example)
    for group in groups_of(axes, loops):
        if not _is_covered(group, loops, guards):
            names = " and ".join(axis.var for axis in group)
            headline = f"{step}: the loops around block {block.name} may not run over all of {names}"
            refuse(func, headline, block.name, example=shown_left_out(func, block, group))


def is_run_everywhere(block: Block, axes: Sequence[IterVar], within: Path, once: bool = False) -> bool:
    """Whether the loops on the way to a block, from the first statement of ``within`` on, run it at every place along
    the axes, and ``once`` only, under no condition but those of last tiles.
    """
    guards = _guards_of(within[0], block)
    return None not in guards and _is_covered(axes, loops_on(within), guards, once)


def _guards_of(stmt: Stmt, block: Block) -> tuple[Guard, ...]:
    """The conditions around a block in a statement."""
    return next((each.guards for each in touches(stmt) if each.block is block), ())


def groups_of(axes: Sequence[IterVar], loops: Sequence[For]) -> list[list[IterVar]]:
    """The axes, those together that the same loops walk, or loops of which one bounds the other."""
    groups: list[tuple[list[IterVar], set[str]]] = []
    for axis in axes:
        joined, names = [axis], loops_for([axis], loops)
        shared = [group for group in groups if group[1] & names]
        for group in shared:
            groups.remove(group)
            joined, names = [*group[0], *joined], group[1] | names
        groups.append((joined, names))
    return [joined for joined, _ in groups]


def loops_for(axes: Iterable[IterVar], loops: Sequence[For]) -> set[str]:
    """The names of those loops that walk along the axes, and of those that their ranges depend on."""
    needed = {name for axis in axes for name in free_symbols(axis.binding)}
    found: set[str] = set()
    for loop in reversed(loops):
        if loop.var in needed:
            found.add(loop.var)
            needed |= {*free_symbols(loop.start), *free_symbols(loop.extent)}
    return found


def _is_last_tile(guard: tuple[Dim, Dim], axes: Iterable[IterVar]) -> bool:
    return any((_place_along(order), _places(order)) == guard for order in permutations(axes))


def _place_along(axes: Iterable[IterVar]) -> Dim:
    """The place of a block's instance among all along these axes, the last one walking fastest."""
    place: Dim = 0
    for axis in axes:
        place = place * axis.extent + axis.binding
    return place


def _places(axes: Iterable[IterVar]) -> Dim:
    return math.prod(axis.extent for axis in axes)


def _is_covered(axes: Sequence[IterVar], loops: Sequence[For], guards: Iterable[Guard], once: bool = False) -> bool:
    """Whether the loops come by every place along the axes, numbered in some order of them, in each iteration of those
    loops around that the axes do not use; and ``once`` only.
    """
    names = {name for axis in axes for name in free_symbols(axis.binding)}
    walking = [loop for loop in loops if loop.var in names]
    ranges = ranges_of(loop for loop in loops if loop.var not in names)
    own = [guard for guard in guards if guard is not None and names & set(free_symbols(guard[0]))]
    for order in permutations(axes):
        place, total = _place_along(order), _places(order)
        is_fine = all(each == (place, total) for each in own)
        span = _covered((place, place), walking, ranges, total, once) if is_fine else None
        if span is not None and _is_least(span[0], 0, ranges) and _is_least(total - 1, span[1], ranges):
            return True
    return False


def _covered(span: Span, loops: Sequence[For], known: dict[str, Span], total: Dim, once: bool) -> Span | None:
    """Of the places from 0 to ``total - 1``, a range that the loops run over without gaps, and ``once``, if each of
    their innermost iterations runs over ``span``; None if that can't be shown. It may be any loop that takes the
    smallest steps.
    """
    bounding = {name for each in loops for name in (*free_symbols(each.start), *free_symbols(each.extent))}
    for loop in (each for each in reversed(loops) if each.var not in bounding):
        others = [each for each in loops if each is not loop]
        found = _over_loop(span, loop, {**known, **ranges_of(others)}, total, once)
        if found is not None:
            return _covered(found, others, known, total, once)
    return None if loops else span


def _over_loop(span: Span, loop: For, outer: dict[str, Span], total: Dim, once: bool) -> Span | None:
    """The range over all iterations, if each one ends next to where the following one starts, or after it unless
    ``once``; loops may run backwards.
    """
    last = loop.start + loop.extent - 1
    known = {**outer, loop.var: (loop.start, last - 1)}
    following = _at(span, loop, variable(loop) + 1)
    ends = _at(span, loop, loop.start), _at(span, loop, last)
    is_forwards = _is_least(span[0], following[0], known)
    if not is_forwards and not _is_least(following[0], span[0], known):
        return None
    lower, upper = (span, following) if is_forwards else (following, span)
    is_closed = _is_least(upper[0], lower[1] + 1, known) or _is_least(dim_min(total, upper[0]), lower[1] + 1, known)
    # a loop without iterations runs over nothing, and so does a range without overlaps
    is_exact = _is_least(lower[1] + 1, upper[0], {**outer, loop.var: (loop.start - 1, last)})
    if not is_closed or not (is_exact or (not once and _is_least(1, loop.extent, outer))):
        return None
    first, final = ends if is_forwards else reversed(ends)
    return first[0], final[1]


def _at(span: Span, loop: For, value: Dim) -> Span:
    return folded(substitute(span[0], {loop.var: value})), folded(substitute(span[1], {loop.var: value}))


def _is_least(a: Dim, b: Dim, known: dict[str, Span]) -> bool:
    return prove_less_equal(a, b, known) is Proof.YES
