"""Rows of windows are computed two at a time, so that what they share is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from relaxdsl.ir.loops import (
    Buffer,
    For,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    rewrite_statement,
    sequence,
    substitute_variables,
)
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, Select
from relaxdsl.kernels.accesses import expression_dims, loads_of, nodes
from relaxdsl.kernels.schedule.steps import MAX_STEPS
from relaxdsl.kernels.work import is_cheap
from relaxdsl.types.dims import Dim, dim_min, free_symbols
from relaxdsl.types.dtype import itemsize

#: Rows at a time: two windows of 3 x 3 then read 12 elements instead of 18. Four are a tenth faster where rows are
#: long, and a quarter slower where they have seven elements.
ROWS = 2
#: Windows of fewer elements are not worth it.
MIN_WINDOW = 6
#: Rows of fewer bytes, the widest vector's, run one by one: LLVM makes vectors of several rows only where these are so
#: far apart.
MIN_BYTES = 64

#: What a load reads.
_Element: TypeAlias = tuple[Buffer, tuple[Index, ...]]


def join_rows(prim_func: PrimFunc) -> PrimFunc:
    """Computes two rows at a time where each reads much of what the one before it has read.

    Before::

        for c in parallel(m):
            for i in parallel(h):
                for j in parallel(w):
                    out[c, i, j] = x[c, i, j] + x[c, i + 1, j] + x[c, i + 2, j]

    After::

        for c in parallel(m):
            for i in parallel(h // 2 * min(1, w // 16)):
                for j in parallel(w):
                    x_0 = x[c, 2 * i, j]
                    x_1 = x[c, 2 * i + 1, j]
                    x_2 = x[c, 2 * i + 2, j]
                    out[c, 2 * i, j] = x_0 + x_1 + x_2
                    x_3 = x[c, 2 * i + 3, j]
                    out[c, 2 * i + 1, j] = x_1 + x_2 + x_3
            for i in parallel(h // 2 * min(1, w // 16) * 2, h):
                for j in parallel(w):
                    out[c, i, j] = x[c, i, j] + x[c, i + 1, j] + x[c, i + 2, j]

    A vector that starts anywhere is in two lines of the cache, so such loops wait for what they read. The outermost
    loop stays as it is: threads share it.
    """
    return replace(prim_func, body=_visit(prim_func.body, is_inside=False))


def _visit(stmt: Stmt, is_inside: bool) -> Stmt:
    if isinstance(stmt, For) and is_inside and isinstance(stmt.body, For) and _pays(stmt, stmt.body):
        return sequence(*_joined(stmt, stmt.body))
    return map_statements(stmt, lambda inner: _visit(inner, is_inside or isinstance(stmt, For)))


def _pays(rows: For, row: For) -> bool:
    """Whether these are loops over cheap statements, and rows together read at most two thirds of what they read."""
    are_parallel = rows.kind == row.kind == "parallel" and rows.start == 0
    is_fixed = rows.var not in {*free_symbols(row.extent), *free_symbols(row.start)}
    stores = _stores(row)
    if not are_parallel or not is_fixed or not _are_plain(stores) or _groups(rows, row) == 0:
        return False
    window = set(_window(stores, rows, row))
    if not MIN_WINDOW <= len(window) <= MAX_STEPS:
        return False
    together = {each for number in range(ROWS) for each in _window(_row(stores, rows, number), rows, row)}
    return 3 * len(together) <= 2 * ROWS * len(window)


def _stores(row: For) -> tuple[Store, ...]:
    """What the loop does, if it only stores."""
    stmts = row.body.body if isinstance(row.body, Seq) else (row.body,)
    stores = tuple(each for each in stmts if isinstance(each, Store))
    return stores if len(stores) == len(stmts) else ()


def _are_plain(stores: Sequence[Store]) -> bool:
    """Whether there are statements, they always read all that they mention, at places that are not read themselves,
    and are cheap. Nothing that they store to memory is read.
    """
    reads = [load for each in stores for load in loads_of(each.value)]
    has_choice = any(isinstance(node, Select) for each in stores for node in nodes(each.value))
    indices = [each.indices for each in reads] + [each.indices for each in stores]
    has_scalar_index = any(isinstance(index, ScalarExpr) for each in indices for index in each)
    written = {each.buffer for each in stores if each.buffer.scope != "register"}
    is_read = any(each.buffer in written for each in reads)
    is_odd = not stores or has_choice or has_scalar_index or is_read
    return not is_odd and all(is_cheap(each.value) for each in stores)


def _groups(rows: For, row: For) -> Dim:
    """How many groups of rows there are; none if these are short."""
    smallest = min(itemsize(each.buffer.dtype) for each in _stores(row))
    return rows.extent // ROWS * dim_min(1, row.extent // (MIN_BYTES // smallest))


def _window(stores: Sequence[Store], rows: For, row: For) -> Iterator[_Element]:
    """What is read that moves along both loops."""
    for load in (load for each in stores for load in loads_of(each.value)):
        moving = {name for dim in expression_dims(load) for name in free_symbols(dim)}
        if {rows.var, row.var} <= moving:
            yield _element(load)


def _element(load: Load) -> _Element:
    return load.buffer, load.indices


def _row(stores: Sequence[Store], rows: For, number: int) -> list[Store]:
    """The statements for one of the rows, in terms of the variable of the loop over groups of rows.

    Each row has registers of its own.
    """
    values: dict[str, Dim] = {rows.var: loop_variable(rows.var, rows.extent // ROWS) * ROWS + number}
    written = dict.fromkeys(each.buffer for each in stores if each.buffer.scope == "register")
    own = {each: replace(each, name=f"{each.name}_{number}") for each in written}

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return Load(own[node.buffer], ()) if isinstance(node, Load) and node.buffer in own else None

    def on_store(store: Store) -> Store:
        return replace(store, buffer=own.get(store.buffer, store.buffer))

    moved = (rewrite_statement(each, on_node, on_store=on_store) for each in stores)
    return [each for stmt in moved if isinstance(each := substitute_variables(stmt, values), Store)]


def _joined(rows: For, row: For) -> Iterator[Stmt]:
    """The loop over groups of rows, and the loop over those that are left."""
    groups = _groups(rows, row)
    yield replace(rows, extent=groups, body=replace(row, body=sequence(*_together(rows, row))))
    left = rows.extent - groups * ROWS
    if left == 0:
        return
    rest, own = f"{rows.var}.rest", f"{row.var}.rest"
    names = {rows.var: loop_variable(rest, rows.extent), row.var: loop_variable(own, row.start + row.extent)}
    alone = replace(row, var=own, body=substitute_variables(row.body, names))
    yield replace(rows, var=rest, start=groups * ROWS, extent=left, body=alone)


def _together(rows: For, row: For) -> Iterator[Store]:
    """What is done for one group: an element of the windows is read into a register where the first row needs it."""
    registers: dict[_Element, Buffer] = {}
    for number in range(ROWS):
        stores = _row(_stores(row), rows, number)
        for element in _window(stores, rows, row):
            if element not in registers:
                buffer, indices = element
                registers[element] = Buffer(f"{buffer.name}_{len(registers)}", (), buffer.dtype, "register")
                yield Store(registers[element], (), Load(buffer, indices))
        yield from (_from_registers(each, registers) for each in stores)


def _from_registers(store: Store, registers: dict[_Element, Buffer]) -> Store:
    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        register = registers.get(_element(node)) if isinstance(node, Load) else None
        return None if register is None else Load(register, ())

    made = rewrite_statement(store, on_node)
    assert isinstance(made, Store)
    return made
