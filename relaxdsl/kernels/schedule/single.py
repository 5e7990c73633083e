"""Loops of one iteration disappear."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import For, PrimFunc, Stmt, map_statements, substitute_variables


def drop_single_loops(prim_func: PrimFunc) -> PrimFunc:
    """Replaces a loop of one iteration by its body.

    Before::

        for i in parallel(1):
            for j in parallel(n): y[i, j] = x[i, j]

    After::

        for j in parallel(n): y[0, j] = x[0, j]
    """
    return replace(prim_func, body=_drop(prim_func.body))


def _drop(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _drop)
    if isinstance(stmt, For) and stmt.extent == 1:
        return substitute_variables(stmt.body, {stmt.var: stmt.start})
    return stmt
