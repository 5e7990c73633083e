"""Offsets that loops share: ``row = i * n`` is written once, before the loop over ``j`` that uses ``x[row + j]``.

LLVM would move the multiplication out of the loop by itself. It is done here for the reader, and because numba
takes a millisecond for every few operations it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import For, Stmt, sub_statements
from relaxdsl.kernels.accesses import value_dims
from relaxdsl.types.dims import Dim, free_symbols, is_symbol, terms
from relaxdsl.types.symint import from_atom


@dataclass(frozen=True, slots=True)
class Offsets:
    """What is known inside some loops.

    Args:
        sizes: the symbols that are sizes; all others are loop variables.
        variables: the variables of the loops in scope, outermost first.
        named: the offsets that have a name, by value.
    """

    sizes: frozenset[str]
    variables: tuple[str, ...] = ()
    named: Mapping[Dim, str] = field(default_factory=dict)

    def inside(self, variable: str) -> Offsets:
        """The same, within one more loop."""
        return replace(self, variables=(*self.variables, variable))

    def with_name(self, offset: Dim, name: str) -> Offsets:
        """The same, with one more name."""
        return replace(self, named={**self.named, offset: name})

    def wanted(self, body: Stmt) -> tuple[Dim, ...]:
        """The offsets worth a name at the start of ``body``: known from here on, and used in loops inside it."""
        inside = (dim for loop in _loops_in(body) for dim in value_dims(loop.body))
        parts = (self.known_part(dim, len(self.variables)) for dim in inside)
        return tuple(dict.fromkeys(part for part in parts if not _is_plain(part) and part not in self.named))

    def known_part(self, dim: Dim, depth: int) -> Dim:
        """The terms that vary with the ``depth`` outermost loops only; terms of sizes alone are left out."""
        scope = set(self.variables[:depth])
        part: Dim = 0
        for coefficient, factors in terms(dim):
            term: Dim = coefficient
            for atom, power in factors:
                for _ in range(power):
                    term = term * from_atom(atom)
            varying = set(free_symbols(term)) - self.sizes
            part = part + term if varying and varying <= scope else part
        return part

    def split(self, dim: Dim) -> tuple[str | None, Dim]:
        """``(name, rest)`` with ``dim == name + rest``, the name being that of the largest offset that has one."""
        for depth in range(len(self.variables), 0, -1):
            part = self.known_part(dim, depth)
            if part in self.named:
                return self.named[part], dim - part
        return None, dim


def _loops_in(stmt: Stmt) -> Iterator[For]:
    """The outermost loops inside a statement."""
    if isinstance(stmt, For):
        yield stmt
        return
    for inner in sub_statements(stmt):
        yield from _loops_in(inner)


def _is_plain(offset: Dim) -> bool:
    return isinstance(offset, int) or is_symbol(offset)
