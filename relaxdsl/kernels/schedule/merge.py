"""Loops that run over the same range become one, where every dependency stays within an iteration."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import (
    For,
    LoopKind,
    PrimFunc,
    Seq,
    Stmt,
    loop_variable,
    map_statements,
    sequence,
    substitute_variables,
)
from relaxdsl.kernels.accesses import Access, accesses, are_independent, is_variable


def merge_loops(prim_func: PrimFunc) -> PrimFunc:
    """Merges loops of equal extents, outermost first.

    Before::

        for i in parallel(m): peak[i] = ...
        for i_1 in parallel(m):
            for j in parallel(n): e[i_1, j] = exp(x[i_1, j] - peak[i_1])

    After::

        for i in parallel(m):
            peak[i] = ...
            for j in parallel(n): e[i, j] = exp(x[i, j] - peak[i])

    A statement between the two loops is moved before the first or after the second, if nothing it depends on
    forbids it.
    """
    return replace(prim_func, body=_merge(prim_func.body))


def _merge(stmt: Stmt) -> Stmt:
    if isinstance(stmt, Seq):
        stmt = sequence(*_merged(list(stmt.body)))
    return map_statements(stmt, _merge)


def _merged(statements: list[Stmt]) -> list[Stmt]:
    """Every loop merged into the first one before it that takes it."""
    done: list[Stmt] = []
    for stmt in statements:
        merged = _merge_into(done, stmt) if isinstance(stmt, For) else None
        done = [*done, stmt] if merged is None else merged
    return done


def _merge_into(done: list[Stmt], loop: For) -> list[Stmt] | None:
    for position in range(len(done) - 1, -1, -1):
        earlier = done[position]
        if not isinstance(earlier, For) or not _is_mergeable(earlier, loop):
            continue
        split = _part_around(earlier, done[position + 1 :], loop)
        if split is not None:
            before, after = split
            return [*done[:position], *before, _joined(earlier, loop), *after]
    return None


def _part_around(first: For, between: list[Stmt], second: For) -> tuple[list[Stmt], list[Stmt]] | None:
    """The statements between two loops, parted into those to run before the first and those to run after the second."""
    before: list[Stmt] = []
    after: list[Stmt] = []
    for stmt in between:
        is_movable_up = are_independent(first, stmt) and all(are_independent(other, stmt) for other in after)
        (before if is_movable_up else after).append(stmt)
    return (before, after) if all(are_independent(stmt, second) for stmt in after) else None


def _joined(first: For, second: For) -> For:
    """One loop with both bodies; it is parallel only if both were."""
    variable = loop_variable(first.var, first.extent)
    body = substitute_variables(second.body, {second.var: variable})
    kind: LoopKind = "parallel" if first.kind == second.kind == "parallel" else "serial"
    return replace(first, body=sequence(first.body, body), kind=kind)


def _is_mergeable(first: For, second: For) -> bool:
    """Whether the ranges are equal, and an iteration of the second needs only the same iteration of the first."""
    if first.extent != second.extent or first.start != second.start:
        return False
    shared = _shared_accesses(first, second)
    return all(_same_iteration(*each, first, second) for each in shared)


def _shared_accesses(first: For, second: For) -> list[tuple[list[Access], list[Access]]]:
    """The accesses of each buffer that one loop writes and the other touches."""
    first_accesses, second_accesses = list(accesses(first.body)), list(accesses(second.body))
    buffers = {each.buffer for each in first_accesses} & {each.buffer for each in second_accesses}
    pairs = (
        (
            [each for each in first_accesses if each.buffer is buffer],
            [each for each in second_accesses if each.buffer is buffer],
        )
        for buffer in buffers
    )
    return [pair for pair in pairs if any(each.is_write for side in pair for each in side)]


def _same_iteration(first: list[Access], second: list[Access], first_loop: For, second_loop: For) -> bool:
    """Whether all accesses of a buffer have the loop's variable itself as one and the same index."""
    return any(
        all(is_variable(each.indices[axis], first_loop.var) for each in first)
        and all(is_variable(each.indices[axis], second_loop.var) for each in second)
        for axis in range(len(first[0].indices))
    )
