"""Symbolic integers: polynomials in one normal form, interned, so that equal dims are the same object.

``SymInt`` is never constant: an operation whose result is a number returns a plain ``int``. Division, remainder,
minimum and maximum follow Python and are simplified only where that is right for every admissible value of the symbols.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from operator import index
from typing import Any, ClassVar, NoReturn, TypeAlias
from weakref import WeakValueDictionary

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.locks import SIZES
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types import polynomial
from relaxdsl.types.atoms import Atom, FloorDiv, Max, Min, Symbol, atom_operands, dim_sort_key
from relaxdsl.types.dim_printer import format_operand, format_polynomial
from relaxdsl.types.intervals import Interval, interval_of
from relaxdsl.types.polynomial import ONE, Monomial, Polynomial, Term
from relaxdsl.types.reading import FUNCTION, reading
from relaxdsl.types.remainders import split_remainder

Dim: TypeAlias = "int | SymInt"

_interned: WeakValueDictionary[frozenset[tuple[Monomial, int]], SymInt]
_user_compares: ContextVar[bool] = ContextVar("relaxdsl_user_compares", default=False)
_CACHED_DIVISIONS = 4096
_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class DimCompare:
    """A comparison of sizes that is not known when compiling, as data; it has no truth value."""

    op: str
    left: Dim
    right: Dim

    @short_tracebacks
    def __bool__(self) -> NoReturn:
        raise ShapeError(
            f"the condition `{shown(self)}` is not known when compiling, so no Python branch may depend on it",
            hint=reading().choose,
        )

    def _refuse_joining(self, other: object) -> Any:
        if not isinstance(other, DimCompare | bool):
            return NotImplemented  # elements of kernels are joined with them
        raise ShapeError(
            "conditions of sizes are not known when compiling, so Python's & and | cannot join them",
            hint=reading().join,
        )

    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse_joining

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


class SymInt:
    """A size that depends on symbols: a polynomial with integer coefficients over symbols and other atoms.

    Equality is identity. Build one with :func:`relaxdsl.types.dims.symbol` and the operators.
    """

    __slots__ = ("__weakref__", "_bounds", "_names", "_sort_key", "_symbols", "_terms", "_text", "polynomial")

    # NumPy must let our reflected operators answer instead of looking for the elements of a SymInt. Set to what says so
    # of functions by relaxdsl.operators.numpy_protocol.
    __array_ufunc__: ClassVar[Any] = None

    polynomial: Polynomial
    _terms: tuple[Term, ...] | None
    _sort_key: str | None
    _text: str | None
    _bounds: Interval | None
    _symbols: tuple[Symbol, ...] | None
    _names: tuple[str, ...] | None

    def __init__(self, *_: object) -> None:
        raise ShapeError("a SymInt is built by relax.dims and arithmetic, not by its class")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a SymInt does not change")

    @property
    def terms(self) -> tuple[Term, ...]:
        """``(coefficient, ((atom, power), ...))`` in canonical order; the constant term comes last, with no factors."""
        if self._terms is None:
            object.__setattr__(self, "_terms", polynomial.sorted_terms(self.polynomial))
        assert self._terms is not None
        return self._terms

    @property
    def sort_key(self) -> str:
        """Text that orders dims the same way in every process."""
        if self._sort_key is None:
            factors = (
                "*".join((str(c), *(f"{atom.sort_key}^{power}" for atom, power in monomial)))
                for c, monomial in self.terms
            )
            object.__setattr__(self, "_sort_key", "+".join(factors))
        assert self._sort_key is not None
        return self._sort_key

    @property
    def bounds(self) -> Interval:
        """The least and greatest value known from the symbols' own bounds; None where there is none."""
        if self._bounds is None:
            object.__setattr__(self, "_bounds", interval_of(self.polynomial, _own_interval))
        assert self._bounds is not None
        return self._bounds

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols in it, in order of first appearance."""
        if self._symbols is None:
            object.__setattr__(self, "_symbols", tuple(dict.fromkeys(_walk_symbols(self))))
        assert self._symbols is not None
        return self._symbols

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its symbols, in order of first appearance."""
        if self._names is None:
            object.__setattr__(self, "_names", tuple(dict.fromkeys(each.name for each in self.symbols)))
        assert self._names is not None
        return self._names

    def __str__(self) -> str:
        if self._text is None:
            object.__setattr__(self, "_text", format_polynomial(self.polynomial))
        assert self._text is not None
        return self._text

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, tuple[dict[Monomial, int]]]:
        return from_polynomial, (dict(self.polynomial),)

    def __add__(self, other: Dim) -> Dim:
        right = _operand(other)
        return NotImplemented if right is None else from_polynomial(polynomial.add(self.polynomial, right))

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        right = _operand(other)
        return NotImplemented if right is None else from_polynomial(polynomial.add(self.polynomial, right, -1))

    def __rsub__(self, other: Dim) -> Dim:
        left = _operand(other)
        return NotImplemented if left is None else from_polynomial(polynomial.add(left, self.polynomial, -1))

    def __mul__(self, other: Dim) -> Dim:
        right = _operand(other)
        return NotImplemented if right is None else from_polynomial(polynomial.multiply(self.polynomial, right))

    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return from_polynomial({monomial: -coefficient for monomial, coefficient in self.polynomial.items()})

    def __pos__(self) -> Dim:
        return self

    def __floordiv__(self, other: Dim) -> Dim:
        right = _as_dim(other)
        return NotImplemented if right is None else floordiv(self, right)

    def __rfloordiv__(self, other: Dim) -> Dim:
        left = _as_dim(other)
        return NotImplemented if left is None else floordiv(left, self)

    def __mod__(self, other: Dim) -> Dim:
        right = _as_dim(other)
        return NotImplemented if right is None else modulo(self, right)

    def __rmod__(self, other: Dim) -> Dim:
        left = _as_dim(other)
        return NotImplemented if left is None else modulo(left, self)

    def __divmod__(self, other: Dim) -> tuple[Dim, Dim]:
        return self // other, self % other

    def __rdivmod__(self, other: Dim) -> tuple[Dim, Dim]:
        return other // self, other % self

    def __pow__(self, power: object) -> Dim:
        if _as_dim(power) is None and not isinstance(power, float):
            return NotImplemented
        if not isinstance(power, int) or power < 0:
            _refuse_number(f"{self} ** {power}", self)
        return math.prod([self] * power)

    def __rpow__(self, base: object) -> Dim:
        if _as_dim(base) is None and not isinstance(base, float):
            return NotImplemented
        dtype = "float32" if isinstance(base, float) else "int64"
        return _refuse_number(f"{base} ** {format_operand(self)}", self, dtype)

    def __invert__(self) -> Dim:
        return _refuse_number(f"~{format_operand(self)}", self, "int64")

    def __truediv__(self, other: object) -> Dim:
        if _as_dim(other) is None and not isinstance(other, float):
            return NotImplemented
        return _refuse_number(f"{self} / {other}", self)

    def __rtruediv__(self, other: object) -> Dim:
        return _refuse_number(f"{other} / {self}", self)

    def __eq__(self, other: object) -> bool:
        """Whether the dims are the same: equal dims are one object. A user's undecided comparison is refused."""
        if isinstance(other, bool) or not isinstance(other, int | SymInt):
            return NotImplemented  # an element of a kernel knows what it is; for all others, Python compares identities
        if self is other or not _user_compares.get():
            return self is other
        low, high = bounds_of(self - other)
        if (low is None or low <= 0) and (high is None or high >= 0):
            both = f"`{shown(self)}` equals `{shown(other)}`"
            raise ShapeError(
                f"whether {both} is not known when compiling, and no Python branch may depend on it",
                hint=reading().choose,
            )
        return False

    __hash__ = object.__hash__

    def __lt__(self, other: Dim) -> DimCompare:
        return self._compare("<", other)

    def __le__(self, other: Dim) -> DimCompare:
        return self._compare("<=", other)

    def __gt__(self, other: Dim) -> DimCompare:
        return self._compare(">", other)

    def __ge__(self, other: Dim) -> DimCompare:
        return self._compare(">=", other)

    def _compare(self, op: str, other: Dim) -> DimCompare:
        right = _as_dim(other)
        return NotImplemented if right is None else DimCompare(op, self, right)

    # The four conversions exist to refuse with a reason; the linter wants them to return.
    def __bool__(self) -> bool:  # noqa: PLE0304
        self._refuse("has no truth value", "so no Python branch may depend on it", reading().choose)

    @short_tracebacks
    def __int__(self) -> int:
        self._refuse("is not a number yet", "so int() cannot convert it", "it is an integer without int()")

    @short_tracebacks
    def __index__(self) -> int:  # noqa: PLE0305
        self._refuse("is not a number yet", "so Python cannot count with it", reading().instead_of_count(shown(self)))

    @short_tracebacks
    def __float__(self) -> float:
        self._refuse("is not a number yet", "so float() cannot convert it", reading().instead_of_number(shown(self)))

    @short_tracebacks
    def __iter__(self) -> Iterator[Dim]:
        name, hint = shown(self), None
        if reading() is not FUNCTION:
            hint = reading().instead_of_count(name)
        elif name in self.names:
            hint = f'one name gives the size itself, {name} = relax.dims("{name}"); loops are for @relax.prim_func'
        self._refuse("is one size", "so it cannot be iterated over", hint)

    def _refuse(self, what: str, consequence: str, hint: str | None) -> NoReturn:
        raise ShapeError(
            f"the size `{shown(self)}` {what}: it is not known when compiling, {consequence}", hint=hint
        )


def does_user_compare() -> bool:
    """Whether ``==`` is a user's question here; see :func:`user_compares`."""
    return _user_compares.get()


@contextmanager
def user_compares(is_user: bool) -> Iterator[None]:
    """Within the block, ``==`` between dims is a user's question, an error if undecided; or the compiler's own."""
    token = _user_compares.set(is_user)
    try:
        yield
    finally:
        _user_compares.reset(token)


_interned = WeakValueDictionary()


def _refuse_number(what: str, size: SymInt | None = None, dtype: str = "float32") -> NoReturn:
    raise ShapeError(
        f"`{what}` is no size: sizes are integers, made with + - * // %",
        hint=reading().instead_of_number("n" if size is None else shown(size), dtype),
    )


def shown(value: object) -> str:
    """A size or a condition as the user wrote it: axes of tensor expressions have names such as ``i.13``."""
    return re.sub(r"([^\W\d]\w*)\.\d+", r"\1", str(value))


def from_polynomial(terms: dict[Monomial, int]) -> Dim:
    """The dim of a polynomial, which it takes over: an int if it is constant, else the one SymInt of that value."""
    if not terms:
        return 0
    if len(terms) == 1 and ONE in terms:
        return terms[ONE]
    key = frozenset(terms.items())
    found = _interned.get(key)
    return found if found is not None else _intern(key, terms)


def require_int64(dim: Dim) -> Dim:
    """The dim, if programs can compute with the numbers in it. Proofs may have larger ones.

    Raises:
        ShapeError: one is beyond int64, in which they compute sizes and indices.
    """
    for number in _numbers(dim):
        if not -_LIMIT <= number < _LIMIT:
            raise ShapeError(f"{number} is beyond int64, in which sizes and indices are computed")
    return dim


def _numbers(dim: Dim) -> Iterator[int]:
    if isinstance(dim, int):
        yield dim
        return
    for monomial, coefficient in dim.polynomial.items():
        yield coefficient
        for atom, _ in monomial:
            for operand in atom_operands(atom):
                yield from _numbers(operand)


def _intern(key: frozenset[tuple[Monomial, int]], terms: dict[Monomial, int]) -> SymInt:
    new = object.__new__(SymInt)
    object.__setattr__(new, "polynomial", terms)
    for cache in ("_terms", "_sort_key", "_text", "_bounds", "_symbols", "_names"):
        object.__setattr__(new, cache, None)
    with SIZES:
        return _interned.setdefault(key, new)


def from_atom(atom: Atom) -> SymInt:
    """The dim that is just ``atom``."""
    dim = from_polynomial({((atom, 1),): 1})
    assert isinstance(dim, SymInt)
    return dim


def to_polynomial(dim: Dim) -> Polynomial:
    """The polynomial of a dim."""
    if isinstance(dim, SymInt):
        return dim.polynomial
    return {ONE: dim} if dim else {}


def _as_dim(value: object) -> Dim | None:
    """``value`` as a dim, or None for what must not be taken for an integer (bool, float, anything else)."""
    if type(value) is int or isinstance(value, SymInt):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return index(value)


def _operand(value: object) -> Polynomial | None:
    if isinstance(value, SymInt):
        return value.polynomial
    if isinstance(value, float):
        _refuse_number(f"a size combined with {value}")
    dim = _as_dim(value)
    return None if dim is None else to_polynomial(dim)


def _walk_symbols(dim: Dim) -> Iterator[Symbol]:
    if isinstance(dim, SymInt):
        for _, factors in dim.terms:
            for atom, _ in factors:
                if isinstance(atom, Symbol):
                    yield atom
                else:
                    for operand in atom_operands(atom):
                        yield from _walk_symbols(operand)


def _own_interval(symbol: Symbol) -> Interval:
    return symbol.lower, symbol.upper


def bounds_of(dim: Dim) -> Interval:
    """Bounds of a dim from the symbols' own bounds."""
    return dim.bounds if isinstance(dim, SymInt) else (dim, dim)


def is_at_least(dim: Dim, least: int) -> bool:
    """Whether the bounds alone show ``dim >= least``."""
    lower, _ = bounds_of(dim)
    return lower is not None and lower >= least


# --- division -------------------------------------------------------------------------------------------------------


def floordiv(a: Dim, b: Dim) -> Dim:
    """``a // b`` as in Python, simplified where that is right for all admissible values."""
    if isinstance(b, int):
        if b == 0:
            raise ShapeError(f"the size `{format_operand(a)} // 0` divides by zero")
        if isinstance(a, int):
            return a // b
        if b == 1:
            return a
        return _floordiv_by_int(a, b) if b > 0 else floordiv(-a, -b)
    if not is_at_least(b, 1):
        return from_atom(FloorDiv(a, b))
    return _floordiv_by_positive(a, b)


def modulo(a: Dim, b: Dim) -> Dim:
    """``a % b`` as in Python. It has no atom of its own: it is ``a - b * (a // b)``."""
    if isinstance(b, int) and b == 0:
        raise ShapeError(f"the size `{format_operand(a)} % 0` divides by zero")
    return a - b * floordiv(a, b)


def ceildiv(a: Dim, b: Dim) -> Dim:
    """``a / b`` rounded up."""
    if isinstance(b, int) and b == 0:
        raise ShapeError(f"the size `ceildiv({a}, 0)` divides by zero")
    return floordiv(a + b - 1, b) if is_at_least(b, 1) else -floordiv(-a, b)


def exact_divide(a: Dim, b: Dim) -> Dim | None:
    """The polynomial ``q`` with ``q * b == a``, if there is one. Says nothing about values where ``b`` is 0."""
    if isinstance(b, int) and b == 0:
        return None
    quotient, remainder = polynomial.divide(to_polynomial(a), to_polynomial(b))
    return None if remainder else from_polynomial(quotient)


@lru_cache(maxsize=_CACHED_DIVISIONS)
def _floordiv_by_int(a: SymInt, b: int) -> Dim:
    """``a // b`` for ``b >= 1``: drops summands too small to reach the quotient, else takes out what ``b`` divides."""
    summands = _summands(a)
    for factor in sorted({math.gcd(c, b) for c, _ in summands} - {1} | {b}, reverse=True):
        small = from_polynomial(_combine((c % factor, terms) for c, terms in summands))
        lower, upper = bounds_of(small)
        if lower is not None and upper is not None and lower // factor == upper // factor:
            # (factor * w + small) // b == (w + small // factor) // (b // factor)
            whole = from_polynomial(_combine((c // factor, terms) for c, terms in summands))
            return floordiv(whole + lower // factor, b // factor)
    whole = from_polynomial({monomial: c // b for monomial, c in a.polynomial.items() if c // b})
    rest = from_polynomial({monomial: c % b for monomial, c in a.polynomial.items() if c % b})
    return whole + _nested_floordiv(*_without_common_factor(rest, b))


def _summands(a: SymInt) -> list[tuple[int, Polynomial]]:
    """``(coefficient, what it multiplies)``, with remainders kept whole: their bounds are known."""
    summands: list[tuple[int, Polynomial]] = []
    terms = a.polynomial
    while (split := split_remainder(terms)) is not None:
        remainder, terms = split
        summands.append((remainder.scale, remainder.terms()))
    return summands + [(c, {monomial: 1}) for monomial, c in terms.items()]


def _combine(summands: Iterable[tuple[int, Polynomial]]) -> dict[Monomial, int]:
    total: dict[Monomial, int] = {}
    for coefficient, terms in summands:
        total = polynomial.add(total, terms, coefficient)
    return total


def _without_common_factor(rest: Dim, b: int) -> tuple[Dim, int]:
    """``(g * x + c) // (g * e) == (x + c // g) // e``."""
    common = math.gcd(b, *(c for monomial, c in to_polynomial(rest).items() if monomial != ONE))
    return _divided(rest, common), b // common


def _nested_floordiv(numerator: Dim, b: int) -> Dim:
    """``(x // c + k) // b == (x + k * c) // (b * c)``, else an atom."""
    terms = to_polynomial(numerator)
    constant = terms.get(ONE, 0)
    scaled = _scaled_atom(terms)
    if scaled is not None and scaled[0] == 1 and isinstance(scaled[1], FloorDiv):
        inner = scaled[1]
        if isinstance(inner.denominator, int) and inner.denominator > 0:
            return floordiv(inner.numerator + constant * inner.denominator, b * inner.denominator)
    return from_atom(FloorDiv(numerator, b))


def _scaled_atom(terms: Polynomial) -> tuple[int, Atom] | None:
    """``(c, atom)`` where the polynomial is ``c * atom`` plus a constant."""
    others = [(monomial, c) for monomial, c in terms.items() if monomial != ONE]
    if len(others) != 1 or len(others[0][0]) != 1 or others[0][0][0][1] != 1:
        return None
    return others[0][1], others[0][0][0][0]


@lru_cache(maxsize=_CACHED_DIVISIONS)
def _floordiv_by_positive(a: Dim, b: SymInt) -> Dim:
    """``a // b`` for a symbolic ``b >= 1``: polynomial division, then bounds, then an atom of the remainder."""
    quotient, remainder = polynomial.divide(to_polynomial(a), b.polynomial)
    whole, rest = from_polynomial(quotient), from_polynomial(remainder)
    if is_at_least(rest, 0) and is_at_least(b - rest, 1):
        return whole
    common = math.gcd(*remainder.values(), *b.polynomial.values())
    if common > 1:
        return whole + floordiv(_divided(rest, common), _divided(b, common))
    division = from_atom(FloorDiv(rest, b))
    lower, upper = division.bounds
    return whole + (lower if lower is not None and lower == upper else division)


def _divided(dim: Dim, by: int) -> Dim:
    """The dim with its coefficients divided by ``by``, the constant rounded down."""
    return from_polynomial({monomial: c // by for monomial, c in to_polynomial(dim).items() if c // by})


# --- minimum and maximum --------------------------------------------------------------------------------------------


def dim_min(*args: Dim) -> Dim:
    """The least of the dims."""
    return _extremum(Min, args)


def dim_max(*args: Dim) -> Dim:
    """The greatest of the dims."""
    return _extremum(Max, args)


def _extremum(kind: type[Min | Max], args: tuple[Dim, ...]) -> Dim:
    kept = _undominated(kind, _flattened(kind, args))
    if len(kept) == 1:
        return kept[0]
    shared = _shared_addend(kept)
    kept = [dim - shared for dim in kept]
    factor = math.gcd(*(c for dim in kept for c in to_polynomial(dim).values()))
    ordered = sorted((_divided(dim, factor) for dim in kept), key=_argument_order)
    return factor * from_atom(kind(tuple(ordered))) + shared


def _flattened(kind: type[Min | Max], args: tuple[Dim, ...]) -> list[Dim]:
    flat: dict[Dim, None] = {}
    for arg in args:
        dim = _as_dim(arg)
        if dim is None:
            raise ShapeError(f"{kind.function}: {arg!r} is not a size")
        flat.update(dict.fromkeys(_same_kind_args(kind, dim)))
    if not flat:
        raise ShapeError(f"{kind.function}: no sizes given")
    # In a fixed order, so that of two arguments that are always equal the same one stays.
    return sorted(flat, key=_argument_order)


def _same_kind_args(kind: type[Min | Max], dim: Dim) -> tuple[Dim, ...]:
    """The arguments of ``dim`` where it is ``k + c * extremum(...)`` with ``c > 0``, else ``dim`` itself."""
    terms = to_polynomial(dim)
    shift = terms.get(ONE, 0)
    scaled = _scaled_atom(terms)
    if scaled is None or scaled[0] < 0 or not isinstance(scaled[1], kind):
        return (dim,)
    return tuple(scaled[0] * arg + shift for arg in scaled[1].args)


def _undominated(kind: type[Min | Max], args: list[Dim]) -> list[Dim]:
    kept: list[Dim] = []
    for dim in args:
        if any(_dominates(kind, other, dim) for other in kept):
            continue
        kept = [other for other in kept if not _dominates(kind, dim, other)]
        kept.append(dim)
    return kept


def _dominates(kind: type[Min | Max], winner: Dim, loser: Dim) -> bool:
    return is_at_least(loser - winner if kind is Min else winner - loser, 0)


def _shared_addend(args: list[Dim]) -> Dim:
    """What all arguments have as a term, and the least of their constants."""
    first, *others = (to_polynomial(dim) for dim in args)
    shared = {m: c for m, c in first.items() if m != ONE and all(other.get(m) == c for other in others)}
    constant = min(terms.get(ONE, 0) for terms in (first, *others))
    return from_polynomial({**shared, ONE: constant} if constant else shared)


def _argument_order(dim: Dim) -> tuple[bool, str]:
    """Symbolic arguments first, as people write them."""
    return isinstance(dim, int), dim_sort_key(dim)
