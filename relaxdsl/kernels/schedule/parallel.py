"""The loop that threads share."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import CallExtern, For, PrimFunc, Seq, Stmt, map_statements, sequence
from relaxdsl.types.dims import Dim


def bind_parallel_range(prim_func: PrimFunc) -> PrimFunc:
    """Leaves at most one loop parallel: the one that is the whole body, whose range the caller divides among threads.

    Before: ``for i in parallel(m): for j in parallel(n): ...``. After: ``for i in parallel(m): for j in range(n):
    ...``.
    """
    before, body = split_preparation(prim_func.body)
    if isinstance(body, For) and body.kind == "parallel":
        return replace(prim_func, body=sequence(*before, replace(body, body=_serial(body.body))))
    return replace(prim_func, body=_serial(prim_func.body))


def parallel_extent(prim_func: PrimFunc) -> Dim:
    """The length of the range the caller runs: the parallel loop's, or 1 where there is none."""
    _, loop = split_preparation(prim_func.body)
    return loop.extent if isinstance(loop, For) and loop.kind == "parallel" else 1


def split_preparation(body: Stmt) -> tuple[tuple[Stmt, ...], Stmt]:
    """``(before, rest)``: the calls that every part of the range makes for itself, and what they prepare."""
    if isinstance(body, Seq) and body.body and all(isinstance(each, CallExtern) for each in body.body[:-1]):
        return body.body[:-1], body.body[-1]
    return (), body


def _serial(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _serial)
    return replace(stmt, kind="serial") if isinstance(stmt, For) and stmt.kind == "parallel" else stmt
