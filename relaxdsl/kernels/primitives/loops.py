"""Split, fuse and reorder: other loops over the same iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from relaxdsl.ir.loops import For, IfThenElse, PrimFunc, Stmt, may_multiply, sizes_of, substitute_variables
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Apply, IndexValue
from relaxdsl.kernels.out_of_range import Values
from relaxdsl.kernels.primitives.combining import ORDERLESS_HINT, combines_in_any_order
from relaxdsl.kernels.primitives.dependence import (
    Sign,
    Touch,
    conflicting_pairs,
    is_same_point,
    is_within_block,
    may_meet,
    may_meet_anyhow,
    names_along,
    names_in_index,
    touches,
)
from relaxdsl.kernels.primitives.examples import iterations, meeting_of
from relaxdsl.kernels.primitives.kinds import require_kinds
from relaxdsl.kernels.primitives.private import is_private
from relaxdsl.kernels.primitives.tree import at_leaves, blocks_in, loop_path, loops_on, nest, refuse, replaced, variable
from relaxdsl.types.bounds import declaration
from relaxdsl.types.dims import Dim, SymInt, ceildiv, floordiv, free_symbols, modulo
from relaxdsl.types.dtype import holds
from relaxdsl.types.prove import Proof, prove_less_equal

# -------------------------------------------------------------------------------------------------------------- split


def split(
    func: PrimFunc, names: UniqueNames, loop: str, factors: Sequence[Dim | None]
) -> tuple[PrimFunc, tuple[str, ...]]:
    """The kernel with a loop as several, one inside the other, and their names; see :meth:`.Schedule.split`."""
    _, old = loop_path(func, loop, "split")
    _require_serial(func, old, "split")
    _require_sizes(func, loop, factors)
    extents = _extents(func, old, factors)
    variables = [names.fresh(f"{loop}_{number}") for number in range(len(factors))]
    loops = [For(name, extent, old.body) for name, extent in zip(variables, extents, strict=True)]
    value: Dim = 0
    total: Dim = 1
    for each in loops:
        value = value * each.extent + variable(each)
        total = total * each.extent
    body = substitute_variables(old.body, {loop: old.start + value})
    if not _is_at_most(total, old.extent, old):
        body = guarded(body, value, old.extent)
    return replaced(func, old, nest(loops, body)), tuple(variables)


def guarded(body: Stmt, left: Dim, right: Dim) -> Stmt:
    """``body`` where ``left < right``; the condition stands inside of its loops, around each block."""
    condition = Apply("less", (IndexValue(left), IndexValue(right)), "bool")
    return at_leaves(body, lambda stmt: IfThenElse(condition, stmt))


def _require_serial(func: PrimFunc, loop: For, step: str) -> None:
    if loop.kind != "serial":
        refuse(func, f"{step}: {loop.var} is {loop.kind}", loop.var, hint=f"{step} it before you make it {loop.kind}")


def _require_sizes(func: PrimFunc, loop: str, factors: object) -> None:
    if not isinstance(factors, list | tuple):
        hint = "one for each new loop: factors=[None, 4]"
        refuse(func, f"split: factors={factors!r} is no list", loop, hint=hint)
    for each in factors:
        if isinstance(each, bool) or not isinstance(each, int | SymInt | None):
            refuse(func, f"split: the factor {each!r} is no size", loop)


def _extents(func: PrimFunc, loop: For, factors: Sequence[Dim | None]) -> list[Dim]:
    """The factors, with the one that is left open found from the others."""
    if len(factors) < 2 or sum(1 for each in factors if each is None) > 1:
        refuse(func, f"split: factors={list(factors)}: give two factors or more, at most one of them None", loop.var)
    known: Dim = 1
    for each in factors:
        unknown = [name for name in free_symbols(1 if each is None else each) if name not in func.symbols]
        if unknown:
            refuse(func, f"split: the factor {each} uses {unknown[0]}, which is no size of the kernel", loop.var)
        if each is not None and prove_less_equal(1, each) is not Proof.YES:
            declared = declaration(each, ">=", 1)
            hint = None if declared is None else f"say that it is: {declared}"
            what = "less than 1" if isinstance(each, int) else "not known to be at least 1"
            refuse(func, f"split: the factor {each} is {what}", loop.var, hint=hint)
        known = known if each is None else known * each
    if isinstance(known, int) and not holds("int64", known):
        headline = f"split: factors={list(factors)} make {known} iterations, beyond int64, in which sizes are computed"
        refuse(func, headline, loop.var)
    if None not in factors and prove_less_equal(loop.extent, known) is not Proof.YES:
        headline = f"split: factors={list(factors)} make {known} iterations, {loop.var} has {loop.extent}"
        refuse(func, headline, loop.var, hint="leave one factor open: None")
    return [ceildiv(loop.extent, known) if each is None else each for each in factors]


def _is_at_most(total: Dim, extent: Dim, loop: For) -> bool:
    """Whether all iterations of the new loops are iterations of the old one."""
    return prove_less_equal(total, extent) is Proof.YES


# --------------------------------------------------------------------------------------------------------------- fuse


def fuse(func: PrimFunc, names: UniqueNames, loops: Sequence[str]) -> tuple[PrimFunc, str]:
    """The kernel with directly nested loops as one, and its name; see :meth:`.Schedule.fuse`."""
    found = [loop_path(func, name, "fuse")[1] for name in loops]
    if len(found) < 2:
        refuse(func, "fuse: give two loops or more", *loops)
    on_path = loops_on(loop_path(func, loops[0], "fuse")[0])
    for outer, inner in pairwise(found):
        _require_fusable(func, outer, inner)
        _require_same_sums(func, [each for each in on_path if each is not found[0]], outer, inner)
    if not may_multiply([each.extent for each in found], sizes_of(func)):
        times = " and ".join(f"{each.var} {each.extent}" for each in found)
        hint = "declare a size with a lower bound: relax.dims(…, lower=1)"
        refuse(func, f"fuse: the times that the loops run may be less than 0: {times}", *loops, hint=hint)
    name = names.fresh("_".join((*loops, "fused")))
    extent: Dim = 1
    for each in found:
        extent = extent * each.extent
    new = For(name, extent, found[-1].body)
    body = substitute_variables(new.body, _parts_of(variable(new), found))
    return replaced(func, found[0], replace(new, body=body)), name


def _parts_of(fused: SymInt, loops: Sequence[For]) -> Mapping[str, Dim]:
    """The value of each loop: the digits of ``fused`` in a number system whose bases are the loops' extents."""
    values: dict[str, Dim] = {}
    rest: Dim = fused
    for loop in reversed(loops[1:]):
        values[loop.var] = loop.start + modulo(rest, loop.extent)
        rest = floordiv(rest, loop.extent)
    values[loops[0].var] = loops[0].start + rest
    return values


def _require_fusable(func: PrimFunc, outer: For, inner: For) -> None:
    for each in (outer, inner):
        _require_serial(func, each, "fuse")
    if outer.body is not inner:
        refuse(func, f"fuse: {inner.var} does not stand directly inside of {outer.var}", outer.var, inner.var)
    if outer.var in free_symbols(inner.extent) or outer.var in free_symbols(inner.start):
        refuse(func, f"fuse: the range of {inner.var} depends on {outer.var}", outer.var, inner.var)


def _require_same_sums(func: PrimFunc, around: Sequence[For], outer: For, inner: For) -> None:
    """Refuses to make one loop of a reduction's steps and of what tells its elements apart, or starts it again."""
    for block in blocks_in(inner):
        reduced, spatial = names_along(block, "reduce"), names_along(block, "spatial")
        steps = [each for each in (outer, inner) if each.var in reduced]
        if len(steps) != 1:
            continue
        other = inner if steps[0] is outer else outer
        is_within = any(each.var in reduced for each in around)
        starts_again = block.init is not None and other is outer and not is_within
        if other.var in spatial or starts_again:
            refuse(func, f"fuse: {steps[0].var} runs over a reduction, {other.var} does not", outer.var, inner.var)


# ------------------------------------------------------------------------------------------------------------ reorder


def reorder(func: PrimFunc, loops: Sequence[str]) -> PrimFunc:
    """The kernel with loops in another order; see :meth:`.Schedule.reorder`."""
    found = {name: loop_path(func, name, "reorder") for name in loops}
    if len(found) < 2:
        refuse(func, "reorder: give two different loops or more", *loops)
    path = max((path for path, _ in found.values()), key=len)
    chain = _chain(func, loops_on(path), [loop for _, loop in found.values()])
    order = iter(found[name][1] for name in loops)
    changed = [next(order) if each.var in found else each for each in chain]
    _require_ranges_known(func, changed)
    _require_order(func, loops_on(path), chain, changed)
    _require_same_starts(func, loops_on(path), chain, changed)
    return require_kinds(replaced(func, chain[0], nest(changed, chain[-1].body)), "reorder")


def _chain(func: PrimFunc, on_path: tuple[For, ...], wanted: list[For]) -> list[For]:
    """The loops from the outermost to the innermost of those wanted, which must be nested directly."""
    missing = [loop for loop in wanted if loop not in on_path]
    if missing:
        last = next(loop for loop in reversed(on_path) if loop in wanted)
        refuse(func, f"reorder: {missing[0].var} is not around {last.var}", missing[0].var, last.var)
    places = sorted(on_path.index(loop) for loop in wanted)
    chain = list(on_path[places[0] : places[-1] + 1])
    for outer, inner in pairwise(chain):
        if outer.body is not inner:
            refuse(func, f"reorder: {inner.var} does not stand directly inside of {outer.var}", outer.var, inner.var)
    return chain


def _require_ranges_known(func: PrimFunc, changed: list[For]) -> None:
    for place, loop in enumerate(changed):
        used = {*free_symbols(loop.extent), *free_symbols(loop.start)}
        late = [each.var for each in changed[place:] if each.var in used]
        if late:
            refuse(func, f"reorder: the range of {loop.var} depends on {late[0]}", loop.var, late[0])


def _require_order(func: PrimFunc, on_path: tuple[For, ...], chain: list[For], changed: list[For]) -> None:
    """Refuses an order in which some element would be written, or read, before an iteration that comes first now."""
    outside = on_path[: on_path.index(chain[0])]
    found = touches(chain[0], outside)
    wrong = [
        (a, b)
        for a, b in conflicting_pairs(found)
        if not is_within_block(a.buffer, found)
        and not _is_one_sum(a, b)
        and not is_private(func, a.buffer, chain[-1])
        and _reversed_signs(a, b, chain, changed, _anyhow(a, b, (*outside, *chain))) is not None
    ]
    if wrong:
        _refuse_order(func, wrong, outside, chain, changed)


def _anyhow(a: Touch, b: Touch, decided: Sequence[For]) -> dict[str, Sign]:
    """The loops around the accesses that are in any iteration."""
    return {each.var: "*" for each in (*a.loops, *b.loops) if each not in decided}


def _is_one_sum(a: Touch, b: Touch) -> bool:
    """Whether the accesses meet in one instance of a block only, or in steps of its reduction that may come anyhow."""
    return is_same_point(a, b) and a.block is not None and combines_in_any_order(a.block, a.buffer)


def _refuse_order(
    func: PrimFunc,
    wrong: Sequence[tuple[Touch, Touch]],
    outside: Sequence[For],
    chain: Sequence[For],
    changed: Sequence[For],
) -> None:
    def is_reversed(one: Values, other: Values) -> bool:
        around, before, after = (iterations(loops, one, other) for loops in (outside, chain, changed))
        return around[0] == around[1] and before[0] < before[1] and after[0] > after[1]

    met = meeting_of(func, wrong, is_reversed)
    order = ", ".join(loop.var for loop in changed)
    first, then = ("written" if each.is_write else "read" for each in (met.first, met.then))
    moved = [loop.var for loop, now in zip(chain, changed, strict=True) if loop is not now]
    block = met.first.block
    if block is not None and is_same_point(met.first, met.then):
        headline = f"reorder: in the order {order} block {block.name} may take steps before those that they need"
        refuse(func, headline, *moved, hint=ORDERLESS_HINT, example=met.lines)
    name = met.first.buffer.name
    headline = f"reorder: in the order {order} an element of {name} may be {then} before it is {first}"
    refuse(func, headline, *moved, hint=f"now it is {first} first, in an earlier iteration", example=met.lines)


def _require_same_starts(func: PrimFunc, on_path: tuple[For, ...], chain: list[For], changed: list[For]) -> None:
    """Refuses an order in which a reduction would start more often, or less often, for the same element.

    It starts before the outermost loop over its steps. A loop that comes within that loop now, or comes out of it, has
    to be one whose iterations compute different elements.
    """
    outside = on_path[: on_path.index(chain[0])]
    for touch in touches(chain[0], outside):
        if touch.block is None or touch.block.init is None or not touch.is_write:
            continue
        steps = names_along(touch.block, "reduce")
        before, after = _loops_within(chain, steps), _loops_within(changed, steps)
        if any(each.var in steps for each in outside) or before == after:
            continue
        inner = {each.var for each in touch.loops if each not in outside and each not in chain}
        used = {name for each in touch.indices or () for name in names_in_index(each)}
        signs: dict[str, Sign] = dict.fromkeys(sorted((before | after | inner) & used), "*")
        for var in sorted((before ^ after) - steps):
            # even a loop of one iteration that no index uses may stand in a condition around the block
            if var not in used or may_meet_anyhow(touch, touch, {**signs, var: "<"}):
                headline = f"reorder: block {touch.block.name} starts its reduction again in each iteration of {var}"
                refuse(func, headline, var, touch.block.name, hint=f"{var} has to stay on its side of the reduction")


def _loops_within(order: list[For], steps: set[str]) -> set[str]:
    """The loops from the outermost of those called ``steps`` inwards."""
    first = next((place for place, each in enumerate(order) if each.var in steps), len(order))
    return {each.var for each in order[first:]}


def _reversed_signs(
    a: Touch, b: Touch, chain: list[For], changed: list[For], signs: Mapping[str, Sign]
) -> Mapping[str, Sign] | None:
    """Distances between iterations in which ``a`` comes before ``b`` now, and after it in the changed order.

    Args:
        signs: of the loops within the chain, which are anywhere, and of those in it that have been decided.
    """
    rest: dict[str, Sign] = {loop.var: "*" for loop in chain if loop.var not in signs}
    if _first(signs, chain) == ">" or _first(signs, changed) == "<" or not may_meet(a, b, {**signs, **rest}):
        return None
    if not rest:
        return signs if _first(signs, chain) == "<" and _first(signs, changed) == ">" else None
    var = next(loop.var for loop in chain if loop.var in rest)
    for sign in ("=", "<", ">"):
        found = _reversed_signs(a, b, chain, changed, {**signs, var: sign})
        if found is not None:
            return found
    return None


def _first(signs: Mapping[str, Sign], order: list[For]) -> Sign:
    """The sign that decides which iteration comes first in an order; ``=`` while it is not known."""
    for loop in order:
        sign = signs.get(loop.var, "*")
        if sign != "=":
            return "=" if sign == "*" else sign
    return "="
