"""Dims as Python text that parses back to the same dim: ``m * 224``, ``2 * n + 1``, ``m // 2``, ``n % 4``."""

from __future__ import annotations

from relaxdsl.types.atoms import Atom, FloorDiv, Symbol
from relaxdsl.types.polynomial import Monomial, Polynomial, sorted_terms
from relaxdsl.types.remainders import Remainder, split_remainder


def format_polynomial(polynomial: Polynomial) -> str:
    """The polynomial as a Python expression."""
    parts = _signed_parts(polynomial)
    first = next((i for i, (negative, _) in enumerate(parts) if not negative), 0)
    parts.insert(0, parts.pop(first))
    negative, text = parts[0]
    rest = "".join(f" {'-' if minus else '+'} {part}" for minus, part in parts[1:])
    return f"{_negated(text) if negative else text}{rest}"


def _negated(text: str) -> str:
    """``-text``; a sign binds tighter than ``//`` and ``%``."""
    return f"-({text})" if " // " in text or " % " in text else f"-{text}"


def _signed_parts(polynomial: Polynomial) -> list[tuple[bool, str]]:
    """``(is it subtracted, its text)`` for every summand, remainders first."""
    remainders: list[Remainder] = []
    while (split := split_remainder(polynomial)) is not None:
        remainder, polynomial = split
        remainders.append(remainder)
    alone = len(remainders) + len(polynomial) == 1
    parts = [(each.scale < 0, _format_remainder(each, alone)) for each in remainders]
    return parts + [(c < 0, _format_product(abs(c), monomial, [], alone)) for c, monomial in sorted_terms(polynomial)]


def _format_remainder(remainder: Remainder, alone: bool) -> str:
    atom = remainder.division
    text = f"{format_operand(atom.numerator)} % {format_operand(atom.denominator)}"
    return _format_product(abs(remainder.scale), remainder.factor, [text], alone)


def _format_product(coefficient: int, monomial: Monomial, compound: list[str], alone: bool) -> str:
    """A product; ``compound`` are further factors that bind like a product themselves."""
    factors = [atom for atom, power in monomial for _ in range(power)]
    simple = [_format_atom(atom) for atom in factors if not isinstance(atom, FloorDiv)]
    compound = [*compound, *(_format_atom(atom) for atom in factors if isinstance(atom, FloorDiv))]
    number = [] if coefficient == 1 and (simple or compound) else [str(coefficient)]
    before, after = ([], number) if alone else (number, [])
    leading = before + simple
    if not leading and compound:
        leading.append(compound.pop(0))
    return " * ".join([*leading, *(f"({text})" for text in compound), *after])


def _format_atom(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    if isinstance(atom, FloorDiv):
        return f"{format_operand(atom.numerator)} // {format_operand(atom.denominator)}"
    return f"{atom.function}({', '.join(map(str, atom.args))})"


def format_operand(dim: object) -> str:
    """``dim`` as an operand of ``//`` or ``%``, in parentheses unless it is one word or a call."""
    text = str(dim)
    is_word = text.isidentifier() or text.isdecimal() or _is_call(text)
    return text if is_word else f"({text})"


def _is_call(text: str) -> bool:
    return text.startswith(("min(", "max(")) and _closes_at_end(text)


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == ")" and depth == 0:
            return position == len(text) - 1
    return False
