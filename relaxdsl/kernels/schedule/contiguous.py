"""Nested loops over memory that is contiguous become one flat loop."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from relaxdsl.ir.loops import (
    For,
    PrimFunc,
    Stmt,
    loop_variable,
    map_statements,
    may_multiply,
    sizes_of,
    substitute_variables,
)
from relaxdsl.kernels.accesses import dims_in
from relaxdsl.types.dims import Dim, substitute


def fuse_contiguous_loops(prim_func: PrimFunc) -> PrimFunc:
    """Fuses perfectly nested loops of one kind wherever every index allows it.

    Before::

        for i in parallel(m):
            for j in parallel(n):
                out[i * n + j] = exp(x[i * n + j])

    After::

        for i_j in parallel(m * n):
            out[i_j] = exp(x[i_j])

    An index ``f(i, j)`` allows it if ``f(i, j) == f(0, i * n + j)`` as polynomials.
    """
    sizes = sizes_of(prim_func)

    def fuse(stmt: Stmt) -> Stmt:
        stmt = map_statements(stmt, fuse)
        return _fused_with_body(stmt, sizes) if isinstance(stmt, For) else stmt

    return replace(prim_func, body=fuse(prim_func.body))


def _fused_with_body(outer: For, sizes: Collection[Dim]) -> For:
    inner = outer.body
    if not isinstance(inner, For) or inner.kind != outer.kind or inner.start != 0 or outer.start != 0:
        return outer
    if not may_multiply((outer.extent, inner.extent), sizes):
        return outer
    i = loop_variable(outer.var, outer.extent)
    j = loop_variable(inner.var, inner.extent)
    flat: dict[str, Dim] = {outer.var: 0, inner.var: i * inner.extent + j}
    if not all(substitute(dim, flat) == dim for dim in dims_in(inner.body)) or _depends_on(inner.extent, outer.var):
        return outer
    extent = outer.extent * inner.extent
    variable = loop_variable(f"{outer.var}.{inner.var}", extent)
    body = substitute_variables(inner.body, {outer.var: 0, inner.var: variable})
    return replace(outer, var=f"{outer.var}.{inner.var}", extent=extent, body=body)


def _depends_on(extent: Dim, name: str) -> bool:
    return substitute(extent, {name: 0}) != extent
