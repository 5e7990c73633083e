"""Conditions of loops that were split: moved out of loops, made ends of loops, or decided once for a whole tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import TypeAlias

from relaxdsl.ir.loops import For, IfThenElse, PrimFunc, Seq, Stmt, map_statements, sequence, walk
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Apply, IndexValue, Load, ScalarExpr
from relaxdsl.kernels.accesses import expression_dims, nodes
from relaxdsl.kernels.primitives.regions import ranges_of, span_over
from relaxdsl.kernels.primitives.tree import names_in, renamed
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, free_symbols, linear_in
from relaxdsl.types.prove import is_non_negative

Comparison: TypeAlias = tuple[Dim, Dim]


def hoist_conditions(prim_func: PrimFunc) -> PrimFunc:
    """Moves conditions out of loops that do not change them, and ends loops where their condition ends.

    Before::

        for i_0 in range(ceildiv(n, 4)):
            for i_1 in range(4):
                for k in range(m):
                    if i_0 * 4 + i_1 < n: ...

    After::

        for i_0 in range(ceildiv(n, 4)):
            for i_1 in range(min(4, n - i_0 * 4)):
                for k in range(m): ...

    An unrolled loop keeps its condition, since it is written out whole.
    """
    return replace(prim_func, body=_hoisted(prim_func.body))


def _hoisted(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _hoisted)
    if isinstance(stmt, Seq):
        return _merged(stmt)
    if not isinstance(stmt, For):
        return stmt
    conditions, body = leading_conditions(stmt.body)
    kept: list[ScalarExpr] = []
    outside: list[ScalarExpr] = []
    for condition in conditions:
        end = _end(condition, stmt)
        if stmt.var not in _symbols(condition):
            outside.append(condition)
        elif end is not None and stmt.kind != "unrolled":
            stmt = replace(stmt, extent=_ended(stmt, end))
        else:
            kept.append(condition)
    return under(outside, replace(stmt, body=under(kept, body)))


def under(conditions: Sequence[ScalarExpr], body: Stmt) -> Stmt:
    """``body`` under all conditions, the first one outermost."""
    for condition in reversed(conditions):
        body = IfThenElse(condition, body)
    return body


def leading_conditions(stmt: Stmt) -> tuple[list[ScalarExpr], Stmt]:
    """The conditions around all of a statement that depend on no data, and what is inside."""
    found: list[ScalarExpr] = []
    while isinstance(stmt, IfThenElse) and stmt.else_body is None and not _depends_on_data(stmt.condition):
        found.append(stmt.condition)
        stmt = stmt.then_body
    return found, stmt


def _depends_on_data(condition: ScalarExpr) -> bool:
    return any(isinstance(node, Load) for node in nodes(condition))


def _symbols(condition: ScalarExpr) -> set[str]:
    return {name for dim in expression_dims(condition) for name in free_symbols(dim)}


def _end(condition: ScalarExpr, loop: For) -> Dim | None:
    """The value of the loop's variable from which on ``left < right`` is false; None if there is no such value."""
    match condition:
        case Apply("less", (IndexValue(left), IndexValue(right))):
            split = linear_in(right - left, loop.var)
            if split is not None and isinstance(split[0], int) and split[0] < 0:
                return ceildiv(split[1], -split[0])
    return None


def _ended(loop: For, end: Dim) -> Dim:
    extent = dim_min(loop.extent, end - loop.start)
    return extent if loop.kind != "parallel" or is_non_negative(extent) else dim_max(0, extent)


def _merged(stmt: Seq) -> Stmt:
    """The sequence with neighbours under the same condition under it together."""
    merged: list[Stmt] = []
    for each in stmt.body:
        last = merged[-1] if merged else None
        if isinstance(each, IfThenElse) and isinstance(last, IfThenElse) and _is_same_test(last, each):
            merged[-1] = replace(last, then_body=sequence(last.then_body, each.then_body))
        else:
            merged.append(each)
    return sequence(*(_hoisted(each) if isinstance(each, IfThenElse) else each for each in merged))


def _is_same_test(a: IfThenElse, b: IfThenElse) -> bool:
    return _comparison(a) is not None and _comparison(a) == _comparison(b)


def _comparison(branch: IfThenElse) -> Comparison | None:
    """The sides of the condition ``left < right``, if it is one and nothing is done otherwise."""
    match branch:
        case IfThenElse(Apply("less", (IndexValue(left), IndexValue(right))), _, None):
            return left, right
    return None


# --------------------------------------------------------------------------------------------------------- full tiles


def separate_full_tiles(prim_func: PrimFunc) -> PrimFunc:
    """Decides once for a tile of unrolled loops whether all of it is within the bounds.

    Before::

        for i_0 in range(ceildiv(n, 4)):
            for i_1 in unrolled(4):
                if i_0 * 4 + i_1 < n: ...

    After::

        for i_0 in range(ceildiv(n, 4)):
            if i_0 * 4 + 3 < n:
                for i_1 in unrolled(4): ...
            else:
                for i_1 in unrolled(4):
                    if i_0 * 4 + i_1 < n: ...
    """
    names = names_in(prim_func)
    return replace(prim_func, body=_separated(prim_func.body, (), names))


def _separated(stmt: Stmt, around: tuple[For, ...], names: UniqueNames) -> Stmt:
    if not isinstance(stmt, For) or _is_in_tile(stmt):
        return map_statements(stmt, lambda inner: _separated(inner, around, names))
    loops = (*around, stmt)
    tests = _tile_tests(stmt.body, loops)
    is_last = any(stmt.var in free_symbols(dim) for comparison in tests for dim in comparison)
    if not is_last or _is_tested_deeper(stmt.body, loops):
        return replace(stmt, body=_separated(stmt.body, loops, names))
    conditions = {_comparison(IfThenElse(test, stmt)): test for test in tests.values()}
    condition = reduce(_both, conditions.values())
    whole = _without(stmt.body, set(tests))
    return replace(stmt, body=IfThenElse(condition, whole, renamed(stmt.body, names)))


def _is_in_tile(loop: For) -> bool:
    return loop.kind == "unrolled" and isinstance(loop.extent, int)


def _is_tested_deeper(body: Stmt, loops: tuple[For, ...]) -> bool:
    """Whether a loop inside is the last that some tile's condition depends on."""
    for loop in (each for each in walk(body) if isinstance(each, For) and not _is_in_tile(each)):
        tests = _tile_tests(loop.body, (*loops, loop))
        if any(loop.var in free_symbols(dim) for comparison in tests for dim in comparison):
            return True
    return False


def _tile_tests(body: Stmt, loops: tuple[For, ...]) -> dict[Comparison, ScalarExpr]:
    """The conditions in ``body`` on loops of a tile, each with the condition that it holds for all of the tile."""
    tile = [each for each in walk(body) if isinstance(each, For) and _is_in_tile(each)]
    inner = {each.var for each in walk(body) if isinstance(each, For)} - {each.var for each in tile}
    found: dict[Comparison, ScalarExpr] = {}
    for comparison in (_comparison(each) for each in walk(body) if isinstance(each, IfThenElse)):
        if comparison is None:
            continue
        used = {name for dim in comparison for name in free_symbols(dim)}
        greatest = span_over(comparison[0] - comparison[1], tile, ranges_of(loops))
        if greatest is not None and not used & inner and used & {each.var for each in tile}:
            last = IndexValue(greatest[1] + comparison[1])
            found[comparison] = Apply("less", (last, IndexValue(comparison[1])), "bool")
    return found


def _both(a: ScalarExpr, b: ScalarExpr) -> ScalarExpr:
    return Apply("logical_and", (a, b), "bool")


def without_conditions(stmt: Stmt, known: Sequence[ScalarExpr]) -> Stmt:
    """``stmt`` without those conditions ``left < right`` that are known to hold."""
    comparisons = (_comparison(IfThenElse(each, stmt)) for each in known)
    return _without(stmt, {each for each in comparisons if each is not None})


def _without(stmt: Stmt, known: set[Comparison]) -> Stmt:
    """``stmt`` without the conditions that are known to hold."""
    stmt = map_statements(stmt, lambda inner: _without(inner, known))
    return stmt.then_body if isinstance(stmt, IfThenElse) and _comparison(stmt) in known else stmt
