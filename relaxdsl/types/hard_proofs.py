"""What the normal form cannot do: proofs by cases over remainders, proofs and LaTeX by sympy. Off the common path."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import lcm
from typing import Any

import sympy

from relaxdsl.types.atoms import Atom, FloorDiv, Min, Symbol, atom_operands
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute, symbols_of, terms
from relaxdsl.types.prove import Ranges, is_non_negative
from relaxdsl.types.symint import from_atom

_CASE_LIMIT = 144


def is_non_negative_hard(dim: Dim, ranges: Ranges) -> bool:
    """Whether ``dim >= 0`` for all admissible values, shown by cases over remainders or by sympy."""
    cases = remainder_cases(dim) if not ranges else None
    if cases is not None and all(is_non_negative(each) for each in cases):
        return True
    return not any(name in ranges for name in free_symbols(dim)) and _sympy_shows_non_negative(dim)


def remainder_cases(dim: Dim) -> list[Dim] | None:
    """The dim for ``n = k * d``, ``n = k * d + 1``, …, where ``d`` is what symbols are divided by; None if too many.

    For a free ``k`` every floor division then simplifies: this decides such things as ``n // 2 + (n + 1) // 2 == n``.
    """
    period = lcm(*_divisors(dim))
    symbols = [each for each in symbols_of(dim) if (each.lower, each.upper) == (0, None)]
    if period == 1 or period ** len(symbols) > _CASE_LIMIT:
        return None
    return [
        substitute(dim, {each.name: from_atom(each) * period + r for each, r in zip(symbols, rests, strict=True)})
        for rests in product(range(period), repeat=len(symbols))
    ]


def _divisors(dim: Dim) -> list[int]:
    """The integer denominators in a dim, at any depth; nested ones multiplied by what is around them."""
    found = []
    for _, factors in terms(dim):
        for atom, _ in factors:
            inner = [divisor for operand in atom_operands(atom) for divisor in _divisors(operand)]
            own = atom.denominator if isinstance(atom, FloorDiv) and isinstance(atom.denominator, int) else 1
            found += [abs(own) * divisor for divisor in inner or [1]]
    return found


def _sympy_shows_non_negative(dim: Dim) -> bool:
    expression = to_sympy(dim)
    return any(bool(form.is_nonnegative) for form in (expression, sympy.factor(expression)))


def to_sympy(dim: Dim) -> Any:
    """The dim as a sympy expression over integer symbols."""
    if isinstance(dim, int):
        return sympy.Integer(dim)
    return sympy.Add(
        *(c * sympy.Mul(*(_atom_to_sympy(atom) ** power for atom, power in factors)) for c, factors in dim.terms)
    )


def _atom_to_sympy(atom: Atom) -> Any:
    if isinstance(atom, Symbol):
        return sympy.Symbol(atom.name, integer=True, **_sympy_assumptions(atom))
    operands = [to_sympy(operand) for operand in atom_operands(atom)]
    if isinstance(atom, FloorDiv):
        return sympy.floor(operands[0] / operands[1])
    return (sympy.Min if isinstance(atom, Min) else sympy.Max)(*operands)


def _sympy_assumptions(atom: Symbol) -> Mapping[str, bool]:
    if atom.lower > 0:
        return {"positive": True}
    return {"nonnegative": True} if atom.lower == 0 else {}


def latex(dim: Dim) -> str:
    """The dim in LaTeX, for notebooks."""
    text: str = sympy.latex(to_sympy(dim)) if isinstance(dim, SymInt) else str(dim)
    return text
