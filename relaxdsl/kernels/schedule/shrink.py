"""Scratch buffers keep only what is alive at a time: a row of a matrix, or a local variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, PrimFunc, Seq, Stmt, Store, map_statements, move_accesses, sequence
from relaxdsl.ir.scalar import Index
from relaxdsl.kernels.accesses import Access, accesses, buffers_touched
from relaxdsl.types.dims import SymInt, is_symbol


def shrink_scratch(prim_func: PrimFunc) -> PrimFunc:
    """Drops the axes of scratch buffers that a common loop walks along; a buffer without axes becomes a register.

    Before::

        for i in parallel(m):
            peak[i] = ...                       # scratch (m,)
            for j in range(n): e[i, j] = ...    # scratch (m, n)
            for j in range(n): out[i, j] = e[i, j] / ...

    After::

        for i in parallel(m):
            peak = ...                          # register
            for j in range(n): e[j] = ...       # scratch (n,)
            for j in range(n): out[i, j] = e[j] / ...
    """
    found = list(accesses(prim_func.body))
    own = (each for each in prim_func.scratch if each.scope == "scratch")
    plans = [_plan(buffer, [each for each in found if each.buffer is buffer]) for buffer in own]
    changed = {plan.old: plan for plan in plans if plan is not None}
    body = _rewrite_accesses(prim_func, changed)
    scratch = (changed[each].new if each in changed else each for each in prim_func.scratch if _is_used(each, found))
    return replace(
        prim_func,
        body=_without_dead_stores(body),
        scratch=tuple(each for each in scratch if each.scope != "register"),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of a buffer: ``kept`` are the axes that stay."""

    old: Buffer
    new: Buffer
    kept: tuple[int, ...]


def _without_dead_stores(body: Stmt) -> Stmt:
    """``body`` without the stores to registers that nothing reads."""
    read, written = buffers_touched(body)
    dead = {buffer for buffer in written - read if buffer.scope == "register"}

    def visit(stmt: Stmt) -> Stmt:
        if isinstance(stmt, Seq):
            return sequence(
                *(visit(each) for each in stmt.body if not (isinstance(each, Store) and each.buffer in dead))
            )
        return map_statements(stmt, visit)

    return visit(body) if dead else body


def _is_used(buffer: Buffer, found: list[Access]) -> bool:
    return any(each.buffer is buffer for each in found)


def _plan(buffer: Buffer, found: list[Access]) -> _Plan | None:
    if not found:
        return None
    common = _common_loops(found)
    dropped = [axis for axis in range(len(buffer.shape)) if _is_walked(found, axis, common)]
    kept = tuple(axis for axis in range(len(buffer.shape)) if axis not in dropped)
    shape = tuple(buffer.shape[axis] for axis in kept)
    is_register = not shape and is_assigned_first(found)
    if not dropped and not is_register:
        return None
    return _Plan(buffer, replace(buffer, shape=shape, scope="register" if is_register else "scratch"), kept)


def _common_loops(found: list[Access]) -> list[str]:
    """The loops around all accesses."""
    common: list[str] = []
    for level in zip(*(each.loops for each in found), strict=False):
        if len(set(level)) != 1:
            break
        common.append(level[0])
    return common


def _is_walked(found: Sequence[Access], axis: int, common: list[str]) -> bool:
    """Whether every access has the same index at ``axis``: the variable of one common loop, or the only one."""
    if found[0].buffer.shape[axis] == 1:
        return True
    index = found[0].indices[axis]
    is_variable = isinstance(index, SymInt) and is_symbol(index) and str(index) in common
    return is_variable and all(each.indices[axis] is index for each in found)


def is_assigned_first(found: list[Access]) -> bool:
    """Whether a write that always happens stands before all other accesses, so that a local variable has a value."""
    first = found[0]
    depth = len(first.loops)
    return first.is_write and not first.is_conditional and all(each.loops[:depth] == first.loops for each in found)


def _rewrite_accesses(prim_func: PrimFunc, plans: dict[Buffer, _Plan]) -> Stmt:
    def kept(buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Index, ...]]:
        plan = plans[buffer]
        return plan.new, tuple(indices[axis] for axis in plan.kept)

    return move_accesses(prim_func.body, plans, kept)
