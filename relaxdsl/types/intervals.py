"""Interval arithmetic over polynomials: bounds from the symbols' bounds, cheap enough for every simplification."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

from relaxdsl.types.atoms import Atom, FloorDiv, Min, Symbol
from relaxdsl.types.polynomial import Monomial, Polynomial
from relaxdsl.types.remainders import Remainder, split_remainder

if TYPE_CHECKING:
    from relaxdsl.types.symint import Dim

Interval: TypeAlias = tuple[int | None, int | None]
SymbolInterval: TypeAlias = Callable[[Symbol], Interval]


def interval_of(polynomial: Polynomial, of_symbol: SymbolInterval) -> Interval:
    """An interval that holds every value of the polynomial; None stands for an unknown end."""
    total: Interval = (0, 0)
    while (split := split_remainder(polynomial)) is not None:
        remainder, polynomial = split
        total = _add(total, _of_remainder(remainder, of_symbol))
    for monomial, coefficient in polynomial.items():
        total = _add(total, _scale(_of_monomial(monomial, of_symbol), coefficient))
    return total


def interval_of_dim(dim: Dim, of_symbol: SymbolInterval) -> Interval:
    """An interval that holds every value of the dim."""
    return (dim, dim) if isinstance(dim, int) else interval_of(dim.polynomial, of_symbol)


def _of_monomial(monomial: Monomial, of_symbol: SymbolInterval) -> Interval:
    total: Interval = (1, 1)
    for atom, power in monomial:
        total = multiply_intervals(total, _power(_of_atom(atom, of_symbol), power))
    return total


def _of_remainder(remainder: Remainder, of_symbol: SymbolInterval) -> Interval:
    value = _of_modulo(remainder.division, of_symbol)
    factor = _of_monomial(remainder.factor, of_symbol)
    return _scale(multiply_intervals(value, factor), remainder.scale)


def _of_modulo(division: FloorDiv, of_symbol: SymbolInterval) -> Interval:
    lower, upper = interval_of_dim(division.denominator, of_symbol)
    if lower is not None and lower >= 0:
        return 0, None if upper is None else upper - 1
    return None, None


def _of_atom(atom: Atom, of_symbol: SymbolInterval) -> Interval:
    if isinstance(atom, Symbol):
        return of_symbol(atom)
    if isinstance(atom, FloorDiv):
        numerator = interval_of_dim(atom.numerator, of_symbol)
        return _divide(numerator, interval_of_dim(atom.denominator, of_symbol))
    choose = _least if isinstance(atom, Min) else _greatest
    return reduce(choose, (interval_of_dim(arg, of_symbol) for arg in atom.args))


def _divide(numerator: Interval, denominator: Interval) -> Interval:
    """``numerator // denominator`` where it is defined; a denominator that may be 0 or negative gives no bound."""
    if denominator[0] is None or denominator[0] < 0:
        return None, None
    least = max(denominator[0], 1)
    greatest = denominator[1]
    lower, upper = numerator
    return _divided_lower(lower, least, greatest), _divided_upper(upper, least, greatest)


def _divided_lower(lower: int | None, least: int, greatest: int | None) -> int | None:
    if lower is None:
        return None
    if lower < 0:
        return lower // least
    return 0 if greatest is None else lower // max(greatest, 1)


def _divided_upper(upper: int | None, least: int, greatest: int | None) -> int | None:
    if upper is None:
        return None
    if upper >= 0:
        return upper // least
    return -1 if greatest is None else upper // max(greatest, 1)


def _least(a: Interval, b: Interval) -> Interval:
    lower = None if a[0] is None or b[0] is None else min(a[0], b[0])
    uppers = [end for end in (a[1], b[1]) if end is not None]
    return lower, min(uppers, default=None)


def _greatest(a: Interval, b: Interval) -> Interval:
    upper = None if a[1] is None or b[1] is None else max(a[1], b[1])
    lowers = [end for end in (a[0], b[0]) if end is not None]
    return max(lowers, default=None), upper


def _add(a: Interval, b: Interval) -> Interval:
    lower = None if a[0] is None or b[0] is None else a[0] + b[0]
    upper = None if a[1] is None or b[1] is None else a[1] + b[1]
    return lower, upper


def _scale(a: Interval, factor: int) -> Interval:
    lower = None if a[0] is None else a[0] * factor
    upper = None if a[1] is None else a[1] * factor
    return (lower, upper) if factor > 0 else (upper, lower)


def multiply_intervals(a: Interval, b: Interval) -> Interval:
    """The interval of the products."""
    if _is_non_negative(a) and _is_non_negative(b):
        return _end_product(a[0], b[0]), _end_product(a[1], b[1])
    if None in a or None in b:
        return _product_of_unbounded(a, b)
    corners = [x * y for x in a for y in b if x is not None and y is not None]
    return min(corners), max(corners)


def _product_of_unbounded(a: Interval, b: Interval) -> Interval:
    """Only signs survive an unknown end."""
    if (0, 0) in (a, b):
        return 0, 0
    a_negated, b_negated = _scale(a, -1), _scale(b, -1)
    if _is_non_negative(a_negated) and _is_non_negative(b_negated):
        return multiply_intervals(a_negated, b_negated)
    if _is_non_negative(a_negated) and _is_non_negative(b):
        return _scale(multiply_intervals(a_negated, b), -1)
    if _is_non_negative(a) and _is_non_negative(b_negated):
        return _scale(multiply_intervals(a, b_negated), -1)
    return None, None


def _is_non_negative(a: Interval) -> bool:
    return a[0] is not None and a[0] >= 0


def _end_product(a: int | None, b: int | None) -> int | None:
    """The product of two non-negative ends; zero times an unknown end is zero."""
    if a == 0 or b == 0:
        return 0
    return None if a is None or b is None else a * b


def _power(a: Interval, power: int) -> Interval:
    lower, upper = reduce(multiply_intervals, [a] * power)
    is_square = power % 2 == 0
    return (max(lower, 0) if lower is not None else 0, upper) if is_square else (lower, upper)
