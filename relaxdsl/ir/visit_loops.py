"""Walking kernels: the scalar expressions, dims and buffers in statements.

Statements themselves are walked by :func:`relaxdsl.ir.loops.walk`.
"""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.ir import scalar
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, IfThenElse, Parts, Stmt, Store, walk
from relaxdsl.ir.scalar import IndexValue, Load, Reduce, ScalarExpr
from relaxdsl.types.dims import Dim


def scalars_of(stmt: Stmt) -> tuple[ScalarExpr, ...]:
    """The scalar expressions that stand in ``stmt`` itself, not in statements under it."""
    match stmt:
        case Store(indices=indices, value=value):
            return (*(index for index in indices if isinstance(index, ScalarExpr)), value)
        case IfThenElse(condition=condition):
            return (condition,)
        case _:
            return ()


def walk_scalars(stmt: Stmt) -> Iterator[ScalarExpr]:
    """Every scalar expression in ``stmt`` and the statements under it, with all its parts."""
    for each in walk(stmt):
        for root in scalars_of(each):
            yield from walk_scalar(root)


def walk_scalar(expr: ScalarExpr) -> Iterator[ScalarExpr]:
    """``expr`` and every scalar expression in it, a node before what is under it."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(scalar.children(node)))


def dims_of_stmt(stmt: Stmt) -> tuple[Dim, ...]:
    """The dims that stand in ``stmt`` itself: indices, extents, starts, bindings of iteration variables."""
    match stmt:
        case Store(indices=indices):
            return tuple(index for index in indices if not isinstance(index, ScalarExpr))
        case CallExtern(arguments=arguments):
            return tuple(each for each in arguments if not isinstance(each, Buffer))
        case For(extent=extent, start=start):
            return (start, extent)
        case Parts(extent=extent, per_thread=per_thread):
            return (extent, per_thread)
        case Block(iter_vars=iter_vars):
            return tuple(dim for each in iter_vars for dim in (each.extent, each.binding))
        case _:
            return ()


def dims_of_scalar(expr: ScalarExpr) -> tuple[Dim, ...]:
    """The dims that stand in the node ``expr`` itself: indices, an index as a value, extents of reduction axes."""
    match expr:
        case IndexValue(dim=dim):
            return (dim,)
        case Load(indices=indices):
            return tuple(index for index in indices if not isinstance(index, ScalarExpr))
        case Reduce(axes=axes):
            return tuple(axis.extent for axis in axes)
        case _:
            return ()


def all_dims(stmt: Stmt) -> Iterator[Dim]:
    """Every dim in ``stmt``, in statements and in scalar expressions."""
    for each in walk(stmt):
        yield from dims_of_stmt(each)
    for expr in walk_scalars(stmt):
        yield from dims_of_scalar(expr)


def used_buffers(stmt: Stmt) -> tuple[Buffer, ...]:
    """The buffers ``stmt`` stores to, loads from or gives away, each once."""
    given = (each for inner in walk(stmt) if isinstance(inner, CallExtern) for each in inner.arguments)
    stored = (each.buffer for each in walk(stmt) if isinstance(each, Store))
    loaded = (each.buffer for each in walk_scalars(stmt) if isinstance(each, Load))
    return tuple(dict.fromkeys([*stored, *loaded, *(each for each in given if isinstance(each, Buffer))]))
