"""Reads of memory that nothing was written to: of outputs and local buffers, at any sizes at which the loops run."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from relaxdsl.ir.loops import Buffer, CallExtern, For, IfThenElse, PrimFunc, Stmt, Store, sub_statements
from relaxdsl.ir.scalar import Load, ScalarExpr, Select, children
from relaxdsl.kernels.accesses import expressions
from relaxdsl.types.dims import free_symbols


def unset_reads_of(kernel: PrimFunc, given: Collection[Buffer] = ()) -> Iterator[Load]:
    """The first read of each buffer that is read before anything may have been written to it.

    The inputs hold something from the start, and so do the buffers ``given``.

    Reads under a condition, and in loops that may not run in the first step of another, are left out: by then
    something may have been written.
    """
    sizes = frozenset(kernel.symbols)
    set_before: set[Buffer] = {*kernel.inputs, *given}
    for access in _in_order(kernel.body, sizes):
        if isinstance(access, Buffer):
            set_before.add(access)
        elif access.buffer not in set_before:
            set_before.add(access.buffer)
            yield access


def _in_order(stmt: Stmt, sizes: frozenset[str]) -> Iterator[Load | Buffer]:
    """The reads that surely run, and the buffers that are written, in the order of the first step of every loop."""
    for expr in expressions(stmt):
        yield from _surely_read(expr)
    if isinstance(stmt, Store):
        yield stmt.buffer
    elif isinstance(stmt, CallExtern):
        yield from stmt.written
    for inner in sub_statements(stmt):
        accesses = _in_order(inner, sizes)
        yield from (each for each in accesses if isinstance(each, Buffer)) if _may_not_run(stmt, sizes) else accesses


def _may_not_run(stmt: Stmt, sizes: frozenset[str]) -> bool:
    """Whether what is inside may be left out in the first step of all loops around, though sizes are large enough."""
    if isinstance(stmt, For):
        return not sizes.issuperset(free_symbols(stmt.extent))
    return isinstance(stmt, IfThenElse)


def _surely_read(expr: ScalarExpr) -> Iterator[Load]:
    if isinstance(expr, Load):
        yield expr
    for child in (expr.condition,) if isinstance(expr, Select) else children(expr):
        yield from _surely_read(child)
