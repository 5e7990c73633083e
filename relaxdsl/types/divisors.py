"""Sizes that are quotients: whether they may divide by zero, and what stands for them where any number will do."""

from __future__ import annotations

from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol
from relaxdsl.types.dims import Dim, dim_max, dim_min, map_atoms, terms
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.symint import from_atom


def may_divide_by_zero(dim: Dim) -> bool:
    """Whether no proof says that the dim has a value for all values of its symbols."""
    return any(_atom_may(atom) for _, monomial in terms(dim) for atom, _ in monomial)


def _atom_may(atom: Atom) -> bool:
    match atom:
        case FloorDiv(numerator=numerator, denominator=denominator):
            operands = numerator, denominator
            return not _is_positive(denominator) or any(map(may_divide_by_zero, operands))
        case Min(args=args) | Max(args=args):
            return any(map(may_divide_by_zero, args))
        case Symbol():
            return False


def _is_positive(dim: Dim) -> bool:
    return prove_less_equal(1, dim) is Proof.YES


def with_positive_divisors(dim: Dim) -> Dim:
    """The same dim, divided by 1 where it would be divided by zero: ``m // n`` as ``m // max(n, 1)``."""
    if not may_divide_by_zero(dim):
        return dim
    return map_atoms(dim, _with_positive)


def _with_positive(atom: Atom) -> Dim:
    match atom:
        case FloorDiv(numerator=numerator, denominator=denominator):
            divisor = with_positive_divisors(denominator)
            return with_positive_divisors(numerator) // (divisor if _is_positive(divisor) else dim_max(divisor, 1))
        case Min(args=args):
            return dim_min(*map(with_positive_divisors, args))
        case Max(args=args):
            return dim_max(*map(with_positive_divisors, args))
        case Symbol():
            return from_atom(atom)
