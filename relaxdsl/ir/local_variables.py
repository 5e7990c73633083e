"""Which registers of a kernel are local variables: written where they begin, and used nowhere but below that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from relaxdsl.ir.loops import Buffer, Seq, Stmt, Store, sub_statements
from relaxdsl.ir.scalar import Load
from relaxdsl.ir.visit_loops import scalars_of, walk_scalar

#: The bodies around a statement, outermost first.
Path: TypeAlias = tuple[int, ...]


def local_variables(body: Stmt) -> frozenset[Buffer]:
    """The registers that a script can write as names: ``t = x[i]`` begins one, and it ends with the body it is in."""
    begins: dict[Buffer, Path] = {}
    others: set[Buffer] = set()
    for buffer, is_write, path in _accesses(body, (0,)):
        if buffer not in begins and is_write:
            begins[buffer] = path
        elif buffer not in begins or path[: len(begins[buffer])] != begins[buffer]:
            others.add(buffer)
    return frozenset(begins.keys() - others)


def _accesses(stmt: Stmt, path: Path) -> Iterator[tuple[Buffer, bool, Path]]:
    """Every access of a register, in order: whether it is a write, and the bodies it is in."""
    for root in scalars_of(stmt):
        for node in walk_scalar(root):
            if isinstance(node, Load) and node.buffer.scope == "register":
                yield node.buffer, False, path
    if isinstance(stmt, Store) and stmt.buffer.scope == "register":
        yield stmt.buffer, True, path
    if isinstance(stmt, Seq):
        for each in stmt.body:
            yield from _accesses(each, path)
    for position, inner in enumerate(_bodies(stmt)):
        yield from _accesses(inner, (*path, id(stmt), position))


def _bodies(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements inside that have names of their own."""
    return () if isinstance(stmt, Seq) else sub_statements(stmt)
