"""Dims as people read them, which need not parse back: ``ceil(n / 192)``, and ``[n >= 193]`` for 1 where that is so."""

from __future__ import annotations

import math
from collections.abc import Iterable

from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol
from relaxdsl.types.dim_printer import format_operand
from relaxdsl.types.dims import Dim, dim_max, dim_min, floordiv, map_atoms, only_atom, terms
from relaxdsl.types.symint import from_atom, is_at_least

_LEAST = -(2**62)
"""Less than what stands under a name that may be negative."""


def readable(dim: Dim) -> str:
    """The dim as text.

    Example:
        >>> from relaxdsl.types.dims import ceildiv, dim_min, dims
        >>> m, n = dims("m n")
        >>> readable(dim_min(n // 193, 1) * ceildiv(m, 192))
        '[n >= 193] * ceil(m / 192)'
    """
    return str(_in_words(dim))


def readable_at_least(dim: Dim, least: int) -> str:
    """``dim >= least`` as text, without factors that can be divided out.

    Example:
        >>> from relaxdsl.types.dims import dims
        >>> readable_at_least(dims("n") * 80, 300)
        'n >= 4'
    """
    factor = math.gcd(*(coefficient for coefficient, _ in terms(dim)))
    size, bound = floordiv(dim, factor), -(-least // factor)
    atom = only_atom(size)
    if isinstance(atom, Max):
        size = dim_max(*(each for each in atom.args if not isinstance(each, int) or each >= bound))
    return f"{readable(size)} >= {bound}"


def conditions_of(dim: Dim) -> tuple[tuple[Atom, str], ...]:
    """The factors of a dim that are 0 or 1, each with what it says: where that is not so, the dim is 0.

    Example:
        >>> from relaxdsl.types.dims import ceildiv, dim_min, dims
        >>> m, n = dims("m n")
        >>> [text for _, text in conditions_of(dim_min(n // 193, 1) * ceildiv(m, 192))]
        ['n >= 193']
    """
    first, *others = [[atom for atom, _ in monomial] for _, monomial in terms(dim)] or [[]]
    common = (atom for atom in first if all(atom in each for each in others))
    return tuple((atom, text) for atom in common if (text := _condition(atom)) is not None)


def where(dim: Dim, conditions: Iterable[tuple[Atom, str]]) -> Dim:
    """The dim where these conditions hold."""
    known = {atom for atom, _ in conditions}
    return map_atoms(dim, lambda atom: 1 if atom in known else from_atom(atom))


def _condition(atom: Atom) -> str | None:
    """What an atom says that is 1 where it holds and else 0: of ``min(x, 1)``, that ``x`` is positive."""
    if not isinstance(atom, Min) or len(atom.args) != 2 or 1 not in atom.args:
        return None
    (value,) = (each for each in atom.args if each != 1)
    parts = terms(value)
    if len(parts) != 1 or parts[0][0] < 1:
        return None
    texts = [_when_positive(each) for each, _ in parts[0][1]]
    return None if None in texts else " and ".join(text for text in texts if text)


def _when_positive(atom: Atom) -> str | None:
    """When an atom is positive, if it is never negative and that can be said in a few words."""
    if not is_at_least(from_atom(atom), 0):
        return None
    match atom:
        case Symbol(name=name):
            return f"{name} >= 1"
        case FloorDiv(numerator=numerator, denominator=int(by)):
            above, _ = _rounded_up(atom) or (None, by)
            return f"{readable(numerator)} >= {by}" if above is None else f"{readable(above)} >= 1"
    return _condition(atom)


def _rounded_up(atom: FloorDiv) -> tuple[Dim, int] | None:
    """``(n, 192)`` of ``(n + 191) // 192``: what is divided by what, and the result rounded up."""
    by = atom.denominator
    constant = sum(coefficient for coefficient, monomial in terms(atom.numerator) if not monomial)
    return (atom.numerator - constant, by) if isinstance(by, int) and by >= 2 and constant == by - 1 else None


def _as_written(atom: Atom) -> Dim:
    """What stands for the atom: a symbol whose name is the text, or an atom of what stands for its operands."""
    condition = _condition(atom)
    if condition is not None:
        return from_atom(Symbol(f"[{condition}]", upper=1))
    if isinstance(atom, Symbol):
        return from_atom(atom)
    if isinstance(atom, FloorDiv):
        quotient = _rounded_up(atom)
        if quotient is None:
            return floordiv(_in_words(atom.numerator), _in_words(atom.denominator))
        lower = 0 if is_at_least(from_atom(atom), 0) else _LEAST
        return from_atom(Symbol(f"ceil({format_operand(_in_words(quotient[0]))} / {quotient[1]})", lower))
    combine = dim_min if isinstance(atom, Min) else dim_max
    return combine(*map(_in_words, atom.args))


def _in_words(dim: Dim) -> Dim:
    return map_atoms(dim, _as_written)
