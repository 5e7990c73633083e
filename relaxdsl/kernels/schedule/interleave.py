"""Loops that each read every second element, or every third or fourth, become one that reads them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.ir.loops import For, PrimFunc, Stmt, Store, map_statements, sequence, substitute_variables
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels.accesses import loads_of
from relaxdsl.types.dims import free_symbols, linear_in

#: Elements so far apart are still loaded as whole vectors that are taken apart.
MAX_SPACING = 4


def interleave_loops(prim_func: PrimFunc) -> PrimFunc:
    """Writes out a loop over remainders inside of the loop over quotients.

    Before::

        for r in parallel(2):
            for i in parallel(n):
                out[r * n + i] = x[2 * i + r]

    After::

        for i in parallel(n):
            out[i] = x[2 * i]
            out[n + i] = x[2 * i + 1]

    LLVM then loads vectors and takes them apart. Before, it gathers elements one by one.
    """
    return replace(prim_func, body=_visit(prim_func.body))


def _visit(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _visit)
    if not isinstance(stmt, For) or not isinstance(stmt.body, For) or not isinstance(stmt.body.body, Store):
        return stmt
    remainders, quotients, store = stmt, stmt.body, stmt.body.body
    if not _are_interleaved(remainders, quotients, store):
        return stmt
    assert isinstance(remainders.extent, int)
    stores = (substitute_variables(store, {remainders.var: number}) for number in range(remainders.extent))
    return replace(quotients, body=sequence(*stores))


def _are_interleaved(remainders: For, quotients: For, store: Store) -> bool:
    """Whether what one iteration of the outer loop reads lies between what the others read, and is written in a row."""
    spacing = remainders.extent
    are_parallel = remainders.kind == quotients.kind == "parallel" and remainders.start == 0
    if not are_parallel or not isinstance(spacing, int) or not 2 <= spacing <= MAX_SPACING:
        return False
    is_fixed = remainders.var not in {*free_symbols(quotients.extent), *free_symbols(quotients.start)}
    slopes = list(_slopes(Load(store.buffer, store.indices), quotients.var))
    reads = (load for load in loads_of(store.value) if load.buffer is not store.buffer)
    is_read = any(
        list(_slopes(load, quotients.var)) == [spacing] and list(_slopes(load, remainders.var)) == [1] for load in reads
    )
    return is_fixed and slopes == [1] and is_read


def _slopes(load: Load, variable: str) -> Iterator[object]:
    """How far each index that depends on the variable moves with it; None where that is no number."""
    for index in load.indices:
        if isinstance(index, ScalarExpr):
            yield None
        elif variable in free_symbols(index):
            found = linear_in(index, variable)
            yield None if found is None else found[0]
