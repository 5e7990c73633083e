"""Recognises ``a - b * (a // b)`` inside a polynomial.

Remainders have no atom of their own; printing and bounds want them back.
"""

from __future__ import annotations

from typing import NamedTuple

from relaxdsl.types.atoms import FloorDiv
from relaxdsl.types.polynomial import ONE, Monomial, Polynomial, add, divide_monomials, multiply, sorted_terms


class Remainder(NamedTuple):
    """The summand ``scale * factor * (division.numerator % division.denominator)``."""

    scale: int
    factor: Monomial
    division: FloorDiv

    def terms(self) -> dict[Monomial, int]:
        """The polynomial of ``factor * (numerator % denominator)``."""
        numerator, denominator = _terms(self.division.numerator), _terms(self.division.denominator)
        value = add(numerator, multiply(denominator, {((self.division, 1),): 1}), -1)
        return multiply({self.factor: 1}, value)


def split_remainder(polynomial: Polynomial) -> tuple[Remainder, dict[Monomial, int]] | None:
    """A remainder and what is left of the polynomial without it, if taking it out makes the polynomial shorter."""
    if not any(isinstance(atom, FloorDiv) for monomial in polynomial for atom, _ in monomial):
        return None
    for coefficient, monomial in sorted_terms(polynomial):
        for atom, power in monomial:
            if isinstance(atom, FloorDiv) and power == 1:
                found = _split_at(polynomial, coefficient, monomial, atom)
                if found is not None:
                    return found
    return None


def _split_at(
    polynomial: Polynomial, coefficient: int, monomial: Monomial, atom: FloorDiv
) -> tuple[Remainder, dict[Monomial, int]] | None:
    (lead_coefficient, lead), *_ = sorted_terms(_terms(atom.denominator))
    without = divide_monomials(monomial, ((atom, 1),))
    factor = None if without is None else divide_monomials(without, lead)
    if factor is None or coefficient % lead_coefficient:
        return None
    remainder = Remainder(-coefficient // lead_coefficient, factor, atom)
    rest = add(polynomial, remainder.terms(), -remainder.scale)
    return (remainder, rest) if len(rest) + 1 < len(polynomial) else None


def _terms(dim: object) -> Polynomial:
    if isinstance(dim, int):
        return {ONE: dim} if dim else {}
    terms: Polynomial = dim.polynomial  # type: ignore[attr-defined]
    return terms
