"""The atoms a dim is a polynomial over: symbols, floor divisions, minima and maxima. Data only, interned.

Equal atoms are the same object, so equality is identity. Their arguments are dims in normal form; only
:mod:`relaxdsl.types.symint` builds atoms other than symbols, after it has simplified what it can.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.locks import ATOMS

if TYPE_CHECKING:
    from relaxdsl.types.symint import Dim

T = TypeVar("T")

_interned: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()


class Interned(type):
    """Makes equal constructions return the same object."""

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        as_written = (cls, *args, *kwargs.items())
        known: T | None = _interned.get(as_written)
        return _intern(as_written, type.__call__(cls, *args, **kwargs)) if known is None else known


def _intern(as_written: tuple[Any, ...], new: T) -> T:
    """The one instance with the fields of ``new``, found by the arguments as they were written from now on."""
    with ATOMS:
        found: T = _interned.setdefault((type(new), *_field_values(new)), new)
        _interned[as_written] = found
    return found


def _field_values(atom: Any) -> tuple[Any, ...]:
    return tuple(getattr(atom, each.name) for each in fields(atom) if each.init)


class _Atom(metaclass=Interned):
    """What the atoms share: being pickled and copied by construction, so that interning survives both."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[_Atom], tuple[Any, ...]]:
        return type(self), _field_values(self)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Symbol(_Atom):
    """A named size, an integer with ``lower <= value`` and, if ``upper`` is given, ``value <= upper``."""

    name: str
    lower: int = 0
    upper: int | None = None
    sort_key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.upper is not None and self.upper < self.lower:
            raise ShapeError(f"symbol {self.name}: upper bound {self.upper} is below lower bound {self.lower}")
        bounds = "" if (self.lower, self.upper) == (0, None) else f"[{self.lower},{self.upper}]"
        object.__setattr__(self, "sort_key", f"0{self.name}{bounds}")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FloorDiv(_Atom):
    """``numerator // denominator``, which normalisation could not simplify further."""

    numerator: Dim
    denominator: Dim
    sort_key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = f"1({dim_sort_key(self.numerator)})//({dim_sort_key(self.denominator)})"
        object.__setattr__(self, "sort_key", key)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Min(_Atom):
    """The least of two or more dims."""

    args: tuple[Dim, ...]
    sort_key: str = field(init=False, repr=False)
    function: ClassVar[str] = "min"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sort_key", f"2min({','.join(map(dim_sort_key, self.args))})")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Max(_Atom):
    """The greatest of two or more dims."""

    args: tuple[Dim, ...]
    sort_key: str = field(init=False, repr=False)
    function: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sort_key", f"2max({','.join(map(dim_sort_key, self.args))})")


Atom: TypeAlias = Symbol | FloorDiv | Min | Max


def dim_sort_key(dim: Dim) -> str:
    """Text that orders dims the same way in every process; equal only for equal dims."""
    return str(dim) if isinstance(dim, int) else dim.sort_key


def atom_operands(atom: Atom) -> tuple[Dim, ...]:
    """The dims inside an atom; none for a symbol."""
    if isinstance(atom, Symbol):
        return ()
    return (atom.numerator, atom.denominator) if isinstance(atom, FloorDiv) else atom.args
