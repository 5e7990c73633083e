"""Polynomials with integer coefficients over atoms, as plain dicts: the arithmetic below :class:`SymInt`.

A monomial is a tuple of ``(atom, power)`` ordered by the atoms' sort keys; ``()`` is the constant one.
No coefficient is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from relaxdsl.types.atoms import Atom

Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
Polynomial: TypeAlias = Mapping[Monomial, int]
Term: TypeAlias = tuple[int, Monomial]

ONE: Monomial = ()


def add(a: Polynomial, b: Polynomial, scale: int = 1) -> dict[Monomial, int]:
    """``a + scale * b``."""
    total = dict(a)
    if not scale:
        return total
    for monomial, coefficient in b.items():
        value = total.get(monomial, 0) + scale * coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def multiply(a: Polynomial, b: Polynomial) -> dict[Monomial, int]:
    """``a * b``."""
    product: dict[Monomial, int] = {}
    for left, left_coefficient in a.items():
        for right, right_coefficient in b.items():
            monomial = multiply_monomials(left, right)
            product[monomial] = product.get(monomial, 0) + left_coefficient * right_coefficient
    return {monomial: coefficient for monomial, coefficient in product.items() if coefficient}


def multiply_monomials(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return _ordered(powers.items())


def divide_monomials(a: Monomial, b: Monomial) -> Monomial | None:
    """``a / b``, or None if ``b`` does not divide ``a``."""
    powers = dict(a)
    for atom, power in b:
        left = powers.pop(atom, 0) - power
        if left < 0:
            return None
        if left:
            powers[atom] = left
    return _ordered(powers.items())


def _ordered(powers: Iterable[tuple[Atom, int]]) -> Monomial:
    return tuple(sorted(powers, key=lambda factor: factor[0].sort_key))


def monomial_order(monomial: Monomial) -> tuple[int, tuple[tuple[str, int], ...]]:
    """A sort key: higher degree first, then alphabetical; the constant comes last (graded lexicographic)."""
    return -sum(power for _, power in monomial), tuple((atom.sort_key, -power) for atom, power in monomial)


def sorted_terms(polynomial: Polynomial) -> tuple[Term, ...]:
    """The terms in their canonical order."""
    if len(polynomial) == 1:
        return tuple((coefficient, monomial) for monomial, coefficient in polynomial.items())
    return tuple((polynomial[monomial], monomial) for monomial in sorted(polynomial, key=monomial_order))


def divide(a: Polynomial, b: Polynomial) -> tuple[dict[Monomial, int], dict[Monomial, int]]:
    """Quotient and remainder with ``a == quotient * b + remainder``; no remainder means an exact division."""
    (lead_coefficient, lead), *_ = sorted_terms(b)
    rest = dict(a)
    quotient: dict[Monomial, int] = {}
    remainder: dict[Monomial, int] = {}
    while rest:
        monomial = min(rest, key=monomial_order)
        shared = divide_monomials(monomial, lead)
        times, left = divmod(rest[monomial], lead_coefficient) if shared is not None else (0, rest[monomial])
        if times and shared is not None:
            quotient[shared] = times
            rest = add(rest, multiply({shared: times}, b), -1)
        if left:
            remainder[monomial] = left
            del rest[monomial]
    return quotient, remainder
