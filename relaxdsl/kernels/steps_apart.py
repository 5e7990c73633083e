"""Proofs that steps of a parallel or vectorized loop, or of a block's spatial axes, touch elements of their own.

So they may run in any order. What is not proved runs serially, in the order it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from relaxdsl.ir.loops import (
    KINDS_AT_ONCE,
    Block,
    Buffer,
    For,
    IterVar,
    PrimFunc,
    Stmt,
    Store,
    sub_statements,
    walk,
)
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.accesses import expressions, loads_of
from relaxdsl.kernels.out_of_range import positive_sizes
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.primitives.dependence import Sign, Touch, conflicting_pairs, may_meet_anyhow, touches
from relaxdsl.kernels.primitives.private import is_private
from relaxdsl.types.dims import Dim, substitute


def unproved_loops(kernel: PrimFunc) -> Iterator[tuple[For, Buffer]]:
    """The parallel and vectorized loops of which two steps may touch an element that one of them writes, each with its
    buffer.

    Writes of elements that data chooses are taken to be meant; but not where steps read what they write there.
    """
    for around, loop in _loops_at_once(kernel.body):
        found = [each for each in touches(loop, around) if not _is_own(kernel, each.buffer, loop)]
        pairs = conflicting_pairs(_where_they_run(found, (*around, loop)))
        outside = {each.var for each in around}
        decided = (pair for pair in pairs if not _is_taken_to_be_meant(*pair))
        met = next((a.buffer for a, b in decided if _may_meet(a, b, [loop.var], outside)), None)
        if met is not None:
            yield loop, met


def _loops_at_once(stmt: Stmt, around: tuple[For, ...] = ()) -> Iterator[tuple[tuple[For, ...], For]]:
    """The parallel and vectorized loops in a statement, and the loops around each."""
    inside = around
    if isinstance(stmt, For):
        inside = (*around, stmt)
        if stmt.kind in KINDS_AT_ONCE:
            yield around, stmt
    for inner in sub_statements(stmt):
        yield from _loops_at_once(inner, inside)


def _is_own(kernel: PrimFunc, buffer: Buffer, loop: For) -> bool:
    """Whether no step of the loop sees what another one leaves in the buffer; local variables end where they began."""
    if buffer.scope == "register":
        return all(loop in each.loops for each in touches(kernel.body) if each.buffer is buffer)
    return is_private(kernel, buffer, loop)


def _is_taken_to_be_meant(a: Touch, b: Touch) -> bool:
    is_chosen_by_data = any(isinstance(index, ScalarExpr) for each in (a, b) for index in each.indices or ())
    return is_chosen_by_data and a.is_write and b.is_write


def are_steps_apart(block: Block) -> bool:
    """Whether no two steps of the block's spatial axes touch an element that one of them writes."""
    spatial = [axis.var for axis in block.iter_vars if axis.kind == "spatial" and axis.extent != 1]
    return _has_own_elements(block, spatial) or _are_proved_apart(block.iter_vars, block.body)


@lru_cache(maxsize=256)  # each rule of a schedule asks
def _are_proved_apart(iter_vars: tuple[IterVar, ...], body: Stmt) -> bool:
    spatial = [axis.var for axis in iter_vars if axis.kind == "spatial" and axis.extent != 1]
    axes = tuple(For(axis.var, axis.extent, body) for axis in iter_vars)
    found = [each for each in touches(body, axes) if each.buffer.scope != "register"]
    return not any(_may_meet(a, b, spatial, ()) for a, b in conflicting_pairs(_where_they_run(found, axes)))


def _where_they_run(found: list[Touch], loops: Sequence[For]) -> list[Touch]:
    """The accesses with those sizes positive for which all the loops around them take a step."""
    positive = positive_sizes(loop.extent for loop in loops)

    def known(dim: Dim) -> Dim:
        return substitute(dim, positive)

    def known_index(index: Index) -> Index:
        return index if isinstance(index, ScalarExpr) else known(index)

    around = {loop for each in found for loop in each.loops}
    moved = {loop: replace(loop, extent=known(loop.extent), start=known(loop.start)) for loop in around}
    buffers = {old: replace(old, shape=tuple(map(known, old.shape))) for old in {each.buffer for each in found}}
    return [
        replace(
            each,
            buffer=buffers[each.buffer],
            indices=None if each.indices is None else tuple(map(known_index, each.indices)),
            loops=tuple(moved[loop] for loop in each.loops),
        )
        for each in found
    ]


def _has_own_elements(block: Block, spatial: Sequence[str]) -> bool:
    """Whether every access of what the block writes has all the axes as indices: the plain case, seen at once."""
    stores = [each for each in walk(block.body) if isinstance(each, Store) and each.buffer.scope != "register"]
    places: dict[Buffer, tuple[Index, ...]] = {}
    for store in stores:
        if places.setdefault(store.buffer, store.indices) != store.indices:
            return False
    loads = (load for stmt in walk(block.body) for expr in expressions(stmt) for load in loads_of(expr))
    if any(load.buffer in places and load.indices != places[load.buffer] for load in loads):
        return False
    return all(set(spatial) <= {bare_name(index) for index in indices} for indices in places.values())


def _may_meet(a: Touch, b: Touch, steps: Sequence[str], around: Collection[str]) -> bool:
    """Whether the accesses may meet in two different steps, at whatever other loops within them do.

    Args:
        steps: the variables of the loops or axes, of which at least one differs.
        around: the variables of the loops outside, which stay where they are.
    """
    inside = dict.fromkeys(loop.var for loop in (*a.loops, *b.loops) if loop.var not in around)
    for number, first in enumerate(steps):
        signs: dict[str, Sign] = {each: "*" for each in inside if each not in steps[:number]}
        if may_meet_anyhow(a, b, {**signs, first: "<"}):
            return True
    return False
