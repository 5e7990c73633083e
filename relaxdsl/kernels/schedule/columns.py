"""Kernels that work down columns run over blocks of columns, so that they have a loop to share among threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import For, PrimFunc, Stmt, Store, loop_variable, map_statements, sub_statements
from relaxdsl.kernels.accesses import Access, accesses, is_variable
from relaxdsl.types.dims import Dim, ceildiv, dim_min, free_symbols

#: Columns in a block: long enough that memory is read in long runs, short enough that a row of results stays in cache.
COLUMN_BLOCK = 2048
#: No identifier, so that no size and no other loop has this name.
_BLOCK_VARIABLE = "column.block"


def block_columns(prim_func: PrimFunc) -> PrimFunc:
    """Divides the columns into blocks where all is done in loops over the same columns.

    Before::

        for j in parallel(n): s[j] = 0
        for k in range(m):
            for j in parallel(n): s[j] = s[j] + x[k, j]

    After::

        for block in parallel(ceildiv(n, 2048)):
            for j in range(2048 * block, min(2048 * block + 2048, n)): s[j] = 0
            for k in range(m):
                for j in range(2048 * block, min(2048 * block + 2048, n)): s[j] = s[j] + x[k, j]
    """
    body = prim_func.body
    if isinstance(body, For) and body.kind == "parallel":
        return prim_func
    for extent in dict.fromkeys(loop.extent for loop in _parallel_loops(body)):
        if (
            not _is_short(extent)
            and set(free_symbols(extent)) <= set(prim_func.symbols)
            and _is_columnwise(body, extent)
        ):
            return replace(prim_func, body=_blocked(body, extent))
    return prim_func


@dataclass(frozen=True, slots=True)
class _Column:
    """An access, and the variable of the column loop around it."""

    access: Access
    variable: str


def _is_short(extent: Dim) -> bool:
    return isinstance(extent, int) and extent <= COLUMN_BLOCK


def _parallel_loops(stmt: Stmt) -> Iterator[For]:
    if isinstance(stmt, For) and stmt.kind == "parallel":
        yield stmt
    for inner in sub_statements(stmt):
        yield from _parallel_loops(inner)


def _is_column_loop(stmt: Stmt, extent: Dim) -> bool:
    return isinstance(stmt, For) and stmt.kind == "parallel" and stmt.extent == extent and stmt.start == 0


def _is_columnwise(body: Stmt, extent: Dim) -> bool:
    """Whether all is done in loops over the columns, and no column depends on what is stored for another."""
    columns = _columns(body, extent)
    if columns is None:
        return False
    written = {each.access.buffer for each in columns if each.access.is_write}
    return all(_has_column_index([each for each in columns if each.access.buffer is buffer]) for buffer in written)


def _columns(stmt: Stmt, extent: Dim) -> list[_Column] | None:
    """The accesses of all column loops; None if something is stored or decided outside of them."""
    if isinstance(stmt, For) and _is_column_loop(stmt, extent):
        return [_Column(access, stmt.var) for access in accesses(stmt.body)]
    if isinstance(stmt, Store) or not sub_statements(stmt):
        return None
    found: list[_Column] = []
    for inner in sub_statements(stmt):
        columns = _columns(inner, extent)
        if columns is None:
            return None
        found += columns
    return found


def _has_column_index(columns: list[_Column]) -> bool:
    """Whether one index is the column's variable wherever the buffer is used, or only one loop uses it."""
    first = columns[0].access
    if first.buffer.scope == "register":
        return len({each.variable for each in columns}) == 1
    return any(
        all(is_variable(each.access.indices[axis], each.variable) for each in columns)
        for axis in range(len(first.indices))
    )


def _blocked(body: Stmt, extent: Dim) -> For:
    blocks = ceildiv(extent, COLUMN_BLOCK)
    start = loop_variable(_BLOCK_VARIABLE, blocks) * COLUMN_BLOCK

    def visit(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For) and _is_column_loop(stmt, extent):
            return replace(stmt, start=start, extent=dim_min(COLUMN_BLOCK, extent - start))
        return map_statements(stmt, visit)

    return For(_BLOCK_VARIABLE, blocks, visit(body), "parallel")
