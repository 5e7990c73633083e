"""Parallel, vectorized and unrolled loops."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NoReturn

from relaxdsl.errors import ScheduleError
from relaxdsl.ir.loops import (
    KINDS_AT_ONCE,
    MOST_STEPS_UNROLLED,
    Block,
    For,
    IterVar,
    LoopKind,
    PrimFunc,
    steps_written_out,
    walk,
)
from relaxdsl.kernels.independence import conflicts_in
from relaxdsl.kernels.primitives.dependence import (
    Sign,
    Touch,
    conflicting_pairs,
    is_within_block,
    may_meet,
    reduced_by,
    touches,
)
from relaxdsl.kernels.primitives.examples import differ_in, meeting_of
from relaxdsl.kernels.primitives.factor import rfactor
from relaxdsl.kernels.primitives.private import is_private
from relaxdsl.kernels.primitives.tree import loop_path, loops_on, names_in, refuse, replaced
from relaxdsl.kernels.steps_apart import are_steps_apart
from relaxdsl.types.dims import free_symbols


def parallel(func: PrimFunc, loop: str) -> PrimFunc:
    """The kernel with a loop whose iterations threads share; see :meth:`.Schedule.parallel`."""
    return _with_kind(func, loop, "parallel", "parallel")


def vectorize(func: PrimFunc, loop: str) -> PrimFunc:
    """The kernel with a loop whose iterations run side by side; see :meth:`.Schedule.vectorize`."""
    return _with_kind(func, loop, "vectorized", "vectorize")


def unroll(func: PrimFunc, loop: str) -> PrimFunc:
    """The kernel with a loop whose iterations are written out; see :meth:`.Schedule.unroll`."""
    _, old = loop_path(func, loop, "unroll")
    _require_no_other_kind(func, old, "unrolled", "unroll")
    if not isinstance(old.extent, int):
        hint = f"split it first: sch.split({loop}, factors=[None, 4])"
        refuse(func, f"unroll: {loop} runs {old.extent} times, which is no number", loop, hint=hint)
    new = replaced(func, old, replace(old, kind="unrolled"))
    if (steps := _steps_written_out(new)) > MOST_STEPS_UNROLLED:
        _refuse_many_steps(func, "unroll", steps, loop)
    return new


def require_kinds(func: PrimFunc, step: str) -> PrimFunc:
    """The kernel, if its parallel and vectorized loops still have iterations that do not depend on one another.

    And if unrolled loops are not in so many others by now that they would fill the code.
    """
    if (steps := _steps_written_out(func)) > MOST_STEPS_UNROLLED:
        unrolled = (stmt.var for stmt in walk(func.body) if isinstance(stmt, For) and stmt.kind == "unrolled")
        _refuse_many_steps(func, step, steps, next(unrolled))
    for name in [stmt.var for stmt in walk(func.body) if isinstance(stmt, For) and stmt.kind in KINDS_AT_ONCE]:
        path, loop = loop_path(func, name, step)
        _require_independent(func, loops_on(path), loop, step)
    return func


def _steps_written_out(func: PrimFunc) -> int:
    """The most steps that unrolled loops, one in the other, are written out as."""
    return max((steps_written_out(stmt) for stmt in walk(func.body) if isinstance(stmt, For)), default=0)


def _refuse_many_steps(func: PrimFunc, step: str, steps: int, loop: str) -> NoReturn:
    hint = f"unroll a part of it: sch.split({loop}, factors=[None, 4])"
    headline = f"{step}: {steps:,} steps would be written out, of {MOST_STEPS_UNROLLED:,} at most"
    refuse(func, headline, loop, hint=hint)


def _with_kind(func: PrimFunc, name: str, kind: LoopKind, step: str) -> PrimFunc:
    path, loop = loop_path(func, name, step)
    _require_no_other_kind(func, loop, kind, step)
    block = reduced_by(loop)
    if block is not None:
        hint = _instead_of_reducing(func, on_path=loops_on(path), loop=loop, block=block)
        refuse(func, f"{step}: {name} runs over the reduction of block {block.name}", name, hint=hint)
    _require_independent(func, loops_on(path), loop, step)
    return replaced(func, loop, replace(loop, kind=kind))


def _instead_of_reducing(func: PrimFunc, on_path: tuple[For, ...], loop: For, block: Block) -> str | None:
    """What makes iterations along a block's reduction independent, if anything is known to."""
    axis = next(each for each in block.iter_vars if each.kind == "reduce" and loop.var in free_symbols(each.binding))
    if _can_be_factored(func, loop):
        return "split it and use rfactor, which gives the parts of the reduction results of their own"
    if not _meetings(func, on_path, loop) and _may_be_spatial(block, axis):
        return f'no two iterations touch the same element written: declare {axis.var} spatial in the kernel, as "S"'
    return None


def _can_be_factored(func: PrimFunc, loop: For) -> bool:
    try:
        rfactor(func, names_in(func), loop.var, 0)
    except ScheduleError:
        return False
    return True


def _may_be_spatial(block: Block, axis: IterVar) -> bool:
    """Whether the block keeps what a spatial axis promises: its steps may run in any order."""
    axes = tuple(replace(each, kind="spatial") if each is axis else each for each in block.iter_vars)
    changed = replace(block, iter_vars=axes)
    return block.init is None and not any(conflicts_in(changed)) and are_steps_apart(changed)


def _require_no_other_kind(func: PrimFunc, loop: For, kind: LoopKind, step: str) -> None:
    """Refuses a loop that is to run in another way already; the same way twice is none more."""
    if loop.kind not in ("serial", kind):
        hint = f"split it while it is serial; then one part can be {loop.kind} and the other {kind}"
        refuse(func, f"{step}: {loop.var} is {loop.kind} already", loop.var, hint=hint)


def _require_independent(func: PrimFunc, on_path: tuple[For, ...], loop: For, step: str) -> None:
    """Refuses a loop of which one iteration may touch an element that another one writes."""
    wrong = _meetings(func, on_path, loop)
    if wrong:
        outside = on_path[: on_path.index(loop)]
        met = meeting_of(func, wrong, partial(differ_in, loop, outside))
        first, then = ("write" if each.is_write else "read" for each in (met.first, met.then))
        both = "write" if first == then else f"{first} and {then}"
        headline = f"{step}: two iterations of {loop.var} may {both} the same element of {met.first.buffer.name}"
        refuse(func, headline, loop.var, example=met.lines)


def _meetings(func: PrimFunc, on_path: tuple[For, ...], loop: For) -> list[tuple[Touch, Touch]]:
    """The accesses of which one, in an iteration of the loop, may touch an element that the other writes in another."""
    found = touches(loop, on_path[: on_path.index(loop)])
    return [
        (a, b)
        for a, b in conflicting_pairs(found)
        if not is_within_block(a.buffer, found)
        and not is_private(func, a.buffer, loop)
        and may_meet(a, b, {loop.var: "<", **_any_inside(loop, a.loops)})
    ]


def _any_inside(loop: For, loops: tuple[For, ...]) -> dict[str, Sign]:
    return {each.var: "*" for each in loops[loops.index(loop) + 1 :]}
