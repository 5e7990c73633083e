"""Three-valued proofs about dims: YES for every admissible value, NO for none, else UNKNOWN.

The normal form decides most equalities. Inequalities are decided by :class:`_Prover`, which replaces one atom after
the other by something no greater, until every coefficient is non-negative. Only ``hard=True`` ever calls sympy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import Enum
from functools import lru_cache
from itertools import islice, product
from math import gcd
from typing import Literal, NoReturn, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol, atom_operands
from relaxdsl.types.dims import (
    Dim,
    SymInt,
    evaluate,
    free_symbols,
    has_atoms,
    modulo,
    split_linear,
    substitute,
    symbols_of,
)
from relaxdsl.types.intervals import Interval, interval_of_dim
from relaxdsl.types.polynomial import ONE
from relaxdsl.types.symint import exact_divide, from_atom, is_at_least, to_polynomial

__all__ = [
    "Proof",
    "Ranges",
    "Relation",
    "bounds",
    "find_counterexample",
    "has_atoms",
    "prove_divisible",
    "prove_equal",
    "prove_less",
    "prove_less_equal",
]

#: Inclusive ranges of loop variables, by name.
Ranges: TypeAlias = Mapping[str, tuple[Dim, Dim]]
Relation: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]

_NO_RANGES: Ranges = {}
#: Steps of one proof; ordinary ones take fewer than ten.
_STEP_LIMIT = 400
_COUNTEREXAMPLE_TRIES = 4096
_CACHED_PROOFS = 8192


class Proof(Enum):
    """What is known about a statement. It has no truth value: say which answer you mean."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> NoReturn:
        raise TypeError("a Proof has no truth value: compare it with Proof.YES or Proof.NO")


def prove_equal(a: Dim, b: Dim, ranges: Ranges | None = None, *, hard: bool = False) -> Proof:
    """Whether ``a == b``."""
    difference = a - b
    if isinstance(difference, int):
        return Proof.NO if difference else Proof.YES
    if _is_off_by_divisibility(difference):
        return Proof.NO
    if not ranges and _is_plain(difference):
        return _prove_zero_by_bounds(difference)
    if is_non_negative(difference, ranges, hard=hard):
        if is_non_negative(-difference, ranges, hard=hard):
            return Proof.YES
        return Proof.NO if is_non_negative(difference - 1, ranges, hard=hard) else Proof.UNKNOWN
    return Proof.NO if is_non_negative(-difference - 1, ranges, hard=hard) else Proof.UNKNOWN


def prove_less_equal(a: Dim, b: Dim, ranges: Ranges | None = None, *, hard: bool = False) -> Proof:
    """Whether ``a <= b``."""
    difference = b - a
    if is_non_negative(difference, ranges, hard=hard):
        return Proof.YES
    return Proof.NO if is_non_negative(-difference - 1, ranges, hard=hard) else Proof.UNKNOWN


def prove_less(a: Dim, b: Dim, ranges: Ranges | None = None, *, hard: bool = False) -> Proof:
    """Whether ``a < b``."""
    return prove_less_equal(a + 1, b, ranges, hard=hard)


def prove_divisible(a: Dim, k: Dim) -> Proof:
    """Whether ``k`` divides ``a``.

    Raises:
        ShapeError: ``k`` is 0.
    """
    if not isinstance(k, int) and not is_at_least(k, 1):
        return Proof.YES if exact_divide(a, k) is not None else Proof.UNKNOWN
    return prove_equal(modulo(a, k), 0)


def bounds(dim: Dim, ranges: Ranges | None = None) -> Interval:
    """The least and greatest value known for a dim; None where there is none."""
    known = ranges or _NO_RANGES

    def of_symbol(each: Symbol) -> Interval:
        if each.name not in known:
            return each.lower, each.upper
        lower, upper = known[each.name]
        inner = {name: ends for name, ends in known.items() if name != each.name}
        return bounds(lower, inner)[0], bounds(upper, inner)[1]

    return interval_of_dim(dim, of_symbol)


def is_non_negative(dim: Dim, ranges: Ranges | None = None, *, hard: bool = False) -> bool:
    """Whether ``dim >= 0`` could be proved for all admissible values."""
    if isinstance(dim, int):
        return dim >= 0
    if is_at_least(dim, 0) or (_Prover(ranges).is_non_negative(dim) if ranges else _is_non_negative(dim)):
        return True
    if not hard:
        return False
    from relaxdsl.types.hard_proofs import is_non_negative_hard

    return is_non_negative_hard(dim, ranges or _NO_RANGES)


@lru_cache(maxsize=_CACHED_PROOFS)
def _is_non_negative(dim: SymInt) -> bool:
    return not _is_plain(dim) and _Prover(_NO_RANGES).is_non_negative(dim)


def _is_plain(dim: SymInt) -> bool:
    """Whether the dim's own bounds are all there is to know: its atoms are symbols ``>= 0`` without an upper bound."""
    return all(
        isinstance(atom, Symbol) and atom.lower == 0 and atom.upper is None
        for monomial in dim.polynomial
        for atom, _ in monomial
    )


def _prove_zero_by_bounds(dim: SymInt) -> Proof:
    lower, upper = dim.bounds
    excludes_zero = (lower is not None and lower > 0) or (upper is not None and upper < 0)
    return Proof.NO if excludes_zero else Proof.UNKNOWN


def _is_off_by_divisibility(difference: SymInt) -> bool:
    """Whether all terms but the constant are multiples of a number that does not divide the constant."""
    terms = difference.polynomial
    common = gcd(*(c for monomial, c in terms.items() if monomial != ONE))
    return terms.get(ONE, 0) % common != 0


@dataclass(slots=True)
class _Prover:
    """Proves ``dim >= 0`` by replacing atoms with bounds, one atom a step, within a limit of steps."""

    ranges: Ranges
    steps: int = field(default=0)

    def is_non_negative(self, dim: Dim) -> bool:
        if isinstance(dim, int):
            return dim >= 0
        self.steps += 1
        if self.steps > _STEP_LIMIT:
            return False
        lower, _ = bounds(dim, self.ranges)
        if lower is not None and lower >= 0:
            return True
        ranged = self._first_ranged(dim)
        if ranged is not None:
            return self._at_ends(dim, *ranged)
        compound = _first_compound(dim)
        if compound is not None:
            return self._without_compound(dim, compound)
        bounded = _first_bounded(dim)
        if bounded is not None:
            return self._at_ends(dim, *bounded)
        return _has_no_negative_term(dim)

    def _without_compound(self, dim: SymInt, atom: Atom) -> bool:
        if isinstance(atom, FloorDiv):
            return self._without_division(dim, atom)
        assert isinstance(atom, Min | Max)
        slope, rest = split_linear(dim, atom)
        # min is at most each argument, max at least: where the slope's sign suits, one argument is enough. The slope
        # is that of the atom's value, which may be in it again.
        if self.is_non_negative(slope if isinstance(atom, Max) else -slope):
            return any(self.is_non_negative(slope * arg + rest) for arg in atom.args)
        return all(self.is_non_negative(_replace(dim, atom, arg)) for arg in atom.args)

    def _without_division(self, dim: SymInt, atom: FloorDiv) -> bool:
        """For ``d >= 1`` and ``q = x // d``: ``x - d + 1 <= d * q <= x``; ``p >= 0`` follows from ``d * p > -d``."""
        if not self.is_non_negative(atom.denominator - 1):
            return False
        slope, rest = split_linear(dim, atom)
        scaled_rest = atom.denominator * rest + atom.denominator - 1
        if self.is_non_negative(slope):
            return self.is_non_negative(slope * (atom.numerator - atom.denominator + 1) + scaled_rest)
        return self.is_non_negative(-slope) and self.is_non_negative(slope * atom.numerator + scaled_rest)

    def _first_ranged(self, dim: SymInt) -> tuple[Symbol, Dim, Dim] | None:
        """A linear symbol of ``ranges``, inside no atom, that no other symbol's range refers to: it can go first."""
        linear = [each for each in _linear_symbols(dim) if each.name in self.ranges]
        used = {name for each in linear for end in self.ranges[each.name] for name in free_symbols(end)}
        used.update(name for operand in _operands_within(dim) for name in free_symbols(operand))
        for each in linear:
            if each.name not in used:
                return each, *self.ranges[each.name]
        return None

    def _at_ends(self, dim: SymInt, bounded: Symbol, lower: Dim, upper: Dim) -> bool:
        """A function linear in one symbol is least at one end of the symbol's range."""
        slope, rest = split_linear(dim, bounded)
        if self.is_non_negative(slope):
            return self.is_non_negative(slope * lower + rest)
        if not self.is_non_negative(slope * upper + rest):
            return False
        return self.is_non_negative(-slope) or self.is_non_negative(slope * lower + rest)


def _first_compound(dim: SymInt) -> Atom | None:
    atoms = (atom for _, factors in dim.terms for atom, _ in factors)
    return next((atom for atom in atoms if not isinstance(atom, Symbol)), None)


def _replace(dim: SymInt, atom: Atom, value: Dim) -> Dim:
    """``dim`` with every top-level occurrence of ``atom`` replaced."""
    current: Dim = dim
    while isinstance(current, SymInt) and any(atom is each for m in current.polynomial for each, _ in m):
        slope, rest = split_linear(current, atom)
        current = slope * value + rest
    return current


def _first_bounded(dim: SymInt) -> tuple[Symbol, Dim, Dim] | None:
    """A linear symbol with two bounds of its own."""
    for each in _linear_symbols(dim):
        if each.upper is not None:
            return each, each.lower, each.upper
    return None


def _linear_symbols(dim: SymInt) -> list[Symbol]:
    """The symbols that occur at the top level, to the first power only."""
    powers: dict[Atom, int] = {}
    for _, factors in dim.terms:
        for atom, power in factors:
            powers[atom] = max(power, powers.get(atom, 0))
    return [atom for atom, power in powers.items() if power == 1 and isinstance(atom, Symbol)]


def _operands_within(dim: SymInt) -> Iterator[Dim]:
    for monomial in dim.polynomial:
        for atom, _ in monomial:
            yield from atom_operands(atom)


def _has_no_negative_term(dim: SymInt) -> bool:
    """Whether all coefficients are non-negative once every symbol is counted from its lower bound."""
    shifted = {each.name: from_atom(Symbol(each.name)) + each.lower for each in symbols_of(dim) if each.lower}
    return all(c >= 0 for c in to_polynomial(substitute(dim, shifted)).values())


def find_counterexample(a: Dim, b: Dim, relation: Relation) -> dict[str, int] | None:
    """Small values of the symbols for which ``a relation b`` does not hold, or None if none was found."""
    symbols = tuple(dict.fromkeys((*symbols_of(a), *symbols_of(b))))
    for values in islice(_small_values(symbols), _COUNTEREXAMPLE_TRIES):
        try:
            left, right = evaluate(a, values), evaluate(b, values)
        except ShapeError:  # a denominator is 0: the dims have no value here
            continue
        if not _holds(left, relation, right):
            return values
    return None


def _holds(left: int, relation: Relation, right: int) -> bool:
    match relation:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right


def _small_values(symbols: tuple[Symbol, ...]) -> Iterator[dict[str, int]]:
    steps = (0, 1, 2, 3, 4, 5, 7, 8) if len(symbols) < 5 else (0, 1, 2)
    choices = [
        [each.lower + step for step in steps if each.upper is None or each.lower + step <= each.upper]
        for each in symbols
    ]
    for values in product(*choices):
        yield {each.name: value for each, value in zip(symbols, values, strict=True)}
