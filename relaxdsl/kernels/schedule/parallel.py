"""The loop that threads share."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import For, PrimFunc, Stmt, map_statements
from relaxdsl.types.dims import Dim


def bind_parallel_range(prim_func: PrimFunc) -> PrimFunc:
    """Leaves at most one loop parallel: the one that is the whole body, whose range the caller divides among threads.

    Before: ``for i in parallel(m): for j in parallel(n): ...``. After: ``for i in parallel(m): for j in range(n):
    ...``.
    """
    body = prim_func.body
    if isinstance(body, For) and body.kind == "parallel":
        return replace(prim_func, body=replace(body, body=_serial(body.body)))
    return replace(prim_func, body=_serial(body))


def parallel_extent(prim_func: PrimFunc) -> Dim:
    """The length of the range the caller runs: the parallel loop's, or 1 where there is none."""
    body = prim_func.body
    return body.extent if isinstance(body, For) and body.kind == "parallel" else 1


def _serial(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _serial)
    return replace(stmt, kind="serial") if isinstance(stmt, For) and stmt.kind == "parallel" else stmt
