"""The types of expressions (any, prim, shape, tensor, tuple, function) and their lattice.

Types are data that prints as relaxdsl script. :func:`is_base_of` says how well one fits where another is declared,
:func:`join` is the least type that holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from operator import index
from typing import NoReturn

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute, symbol, symbols_of
from relaxdsl.types.dtype import canonical_dtype
from relaxdsl.types.prove import Proof, prove_equal

UNKNOWN_NDIM = -1


@dataclass(frozen=True, slots=True)
class Type:
    """The base of all types."""


@dataclass(frozen=True, slots=True)
class AnyType(Type):
    """Any value at all: the top of the lattice."""

    def __str__(self) -> str:
        return "relax.Any"


@dataclass(frozen=True, slots=True)
class PrimType(Type):
    """A scalar; ``value`` is the dim it holds, where that is known."""

    dtype: str
    value: Dim | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", canonical_dtype(self.dtype))

    def __str__(self) -> str:
        value = "" if self.value is None else f", value={self.value}"
        return f'relax.Prim("{self.dtype}"{value})'


@dataclass(frozen=True, slots=True)
class ShapeType(Type):
    """A shape as a value; ``values`` is None where only the rank, or nothing (``ndim == -1``), is known."""

    values: tuple[Dim, ...] | None = None
    ndim: int = UNKNOWN_NDIM

    def __post_init__(self) -> None:
        _normalize_shape(self, "values", "Shape")

    def __str__(self) -> str:
        if self.values is not None:
            return f"relax.Shape({format_shape(self.values)})"
        return "relax.Shape" if self.ndim == UNKNOWN_NDIM else f"relax.Shape(ndim={self.ndim})"


@dataclass(frozen=True, slots=True)
class TensorType(Type):
    """A tensor. ``shape`` None, ``dtype`` None and ``ndim`` -1 stand for unknown; a known shape gives the rank."""

    shape: tuple[Dim, ...] | None = None
    dtype: str | None = None
    ndim: int = UNKNOWN_NDIM

    def __post_init__(self) -> None:
        _normalize_shape(self, "shape", "Tensor")
        if self.dtype is not None:
            object.__setattr__(self, "dtype", canonical_dtype(self.dtype))

    def __str__(self) -> str:
        known = [] if self.shape is None else [format_shape(self.shape)]
        if self.shape is None and self.ndim != UNKNOWN_NDIM:
            known.append(f"ndim={self.ndim}")
        if self.dtype is not None:
            known.append(f'"{self.dtype}"' if self.shape is not None else f'dtype="{self.dtype}"')
        return f"relax.Tensor({', '.join(known)})" if known else "relax.Tensor"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """A tuple of values; the empty one is the type of nothing."""

    fields: tuple[Type, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))

    def __str__(self) -> str:
        return f"relax.Tuple({', '.join(map(str, self.fields))})"


@dataclass(frozen=True, slots=True)
class FuncType(Type):
    """A function; ``params`` None means that it takes anything. Its symbols are its own."""

    params: tuple[Type, ...] | None
    ret: Type
    pure: bool = True

    def __post_init__(self) -> None:
        if self.params is not None:
            object.__setattr__(self, "params", tuple(self.params))

    def __str__(self) -> str:
        params = "..." if self.params is None else f"[{', '.join(map(str, self.params))}]"
        return f"relax.Callable({params}, {self.ret}{'' if self.pure else ', pure=False'})"


def tensor_type(shape: Iterable[Dim] | None, dtype: object = None, ndim: int = UNKNOWN_NDIM) -> TensorType:
    """A tensor type from any iterable of sizes and anything that names a dtype."""
    return TensorType(
        None if shape is None else tuple(shape), None if dtype is None else canonical_dtype(dtype), ndim
    )


def with_named_sizes(type_: Type, name: str, size: Callable[[str], Dim]) -> Type:
    """The type with a size for each that it leaves out where the rank is known, and for an integer without one.

    They are made from names: ``x_0``, ``x_1``.
    """
    match type_:
        case PrimType(value=None):
            return PrimType(type_.dtype, size(name))
        case TensorType(shape=None, ndim=ndim) if ndim != UNKNOWN_NDIM:
            return tensor_type([size(f"{name}_{axis}") for axis in range(ndim)], type_.dtype)
        case ShapeType(values=None, ndim=ndim) if ndim != UNKNOWN_NDIM:
            return ShapeType(tuple(size(f"{name}_{axis}") for axis in range(ndim)))
        case TupleType(fields=fields):
            named = (with_named_sizes(field, f"{name}_{place}", size) for place, field in enumerate(fields))
            return TupleType(tuple(named))
    return type_


def format_shape(shape: Iterable[Dim]) -> str:
    """A shape as Python writes a tuple."""
    texts = [str(dim) for dim in shape]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _normalize_shape(owner: ShapeType | TensorType, attribute: str, what: str) -> None:
    """Makes the shape a tuple of dims and the rank agree with it."""
    shape, ndim = getattr(owner, attribute), owner.ndim
    if ndim < UNKNOWN_NDIM:
        raise ShapeError(f"{what}: ndim={ndim} is negative", hint="leave ndim out where the rank is unknown")
    if shape is None:
        return
    dims = tuple(_check_dim(what, axis, dim) for axis, dim in enumerate(shape))
    if ndim not in (UNKNOWN_NDIM, len(dims)):
        raise ShapeError(f"{what}: the shape {format_shape(dims)} has rank {len(dims)}, but ndim={ndim}")
    object.__setattr__(owner, attribute, dims)
    object.__setattr__(owner, "ndim", len(dims))


def _check_dim(what: str, axis: int, dim: object) -> Dim:
    if isinstance(dim, SymInt):
        return dim
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise ShapeError(f"{what}: axis {axis} has size {dim!r}, which is not an integer")
    size = index(dim)
    if size < 0:
        raise ShapeError(f"{what}: axis {axis} has the negative size {size}")
    return size


# --- symbols --------------------------------------------------------------------------------------------------------


def dims_of(type_: Type) -> Iterator[Dim]:
    """Every dim in a type, from left to right, but those inside function types, whose symbols are their own."""
    match type_:
        case TensorType(shape=tuple(values)) | ShapeType(values=tuple(values)):
            yield from values
        case PrimType(value=value) if value is not None:
            yield value
        case TupleType(fields=fields):
            for each in fields:
                yield from dims_of(each)


def free_symbols_of(type_: Type) -> tuple[str, ...]:
    """The names of the symbols in a type, in order of first appearance."""
    return tuple(dict.fromkeys(name for dim in dims_of(type_) for name in free_symbols(dim)))


def substitute_type(type_: Type, values: Mapping[str, Dim]) -> Type:
    """The type with the named symbols replaced, all at once. A type without them is returned as it is."""
    if not any(name in values for name in free_symbols_of(type_)):
        return type_
    match type_:
        case TensorType(shape=tuple(shape)):
            return TensorType(tuple(substitute(dim, values) for dim in shape), type_.dtype)
        case ShapeType(values=tuple(shape)):
            return ShapeType(tuple(substitute(dim, values) for dim in shape))
        case PrimType(value=value) if value is not None:
            return PrimType(type_.dtype, substitute(value, values))
        case TupleType(fields=fields):
            return TupleType(tuple(substitute_type(each, values) for each in fields))
    return type_


def rename_symbols(type_: Type, names: Mapping[str, str]) -> Type:
    """The type with symbols renamed; each keeps its bounds."""
    values: dict[str, Dim] = {
        each.name: symbol(names[each.name], lower=each.lower, upper=each.upper)
        for dim in dims_of(type_)
        for each in symbols_of(dim)
        if each.name in names
    }
    return substitute_type(type_, values)


# --- the lattice ----------------------------------------------------------------------------------------------------


class Grade(IntEnum):
    """How well a type fits, worst first."""

    IMPOSSIBLE = 0
    NEEDS_CAST = 1
    UNPROVEN = 2
    FITS = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A grade and, unless it is FITS, the reason. It has no truth value: ask ``fit.fits`` or ``fit.grade``."""

    grade: Grade
    reason: str = ""
    is_about_dtype: bool = False

    @property
    def fits(self) -> bool:
        """Whether every value of the derived type is a value of the base type."""
        return self.grade is Grade.FITS

    def __bool__(self) -> NoReturn:
        raise TypeError("a Fit has no truth value: ask fit.fits or compare fit.grade")

    def within(self, place: str) -> Fit:
        """This fit, its reason prefixed with where it was found."""
        return self if self.fits else Fit(self.grade, f"{place}: {self.reason}", self.is_about_dtype)


FITS = Fit(Grade.FITS)


def is_base_of(base: Type, derived: Type) -> Fit:
    """How well a value of type ``derived`` fits where ``base`` is declared."""
    if isinstance(base, AnyType) or base == derived:
        return FITS
    if isinstance(derived, AnyType):
        return Fit(Grade.NEEDS_CAST, f"{derived} is not known to be {base}")
    match base, derived:
        case PrimType(), PrimType():
            return _prim_fit(base, derived)
        case ShapeType(), ShapeType():
            return _shape_fit(base.values, base.ndim, derived.values, derived.ndim)
        case TensorType(), TensorType():
            return _tensor_fit(base, derived)
        case TupleType(), TupleType():
            return _fields_fit("field", base.fields, derived.fields)
        case FuncType(), FuncType():
            return _function_fit(base, derived)
    return Fit(Grade.IMPOSSIBLE, f"{derived} is not {base}")


def _prim_fit(base: PrimType, derived: PrimType) -> Fit:
    if base.dtype != derived.dtype:
        return _dtype_fit(base.dtype, derived.dtype)
    if base.value is None:
        return FITS
    if derived.value is None:
        return Fit(Grade.UNPROVEN, f"the value is not known to be {base.value}")
    return _equality_fit("value", base.value, derived.value)


def _tensor_fit(base: TensorType, derived: TensorType) -> Fit:
    shape = _shape_fit(base.shape, base.ndim, derived.shape, derived.ndim)
    return _worst(_dtype_fit(base.dtype, derived.dtype), shape)


def _dtype_fit(base: str | None, derived: str | None) -> Fit:
    if base in (None, derived):
        return FITS
    if derived is None:
        return Fit(Grade.NEEDS_CAST, f"the dtype is unknown, not {base}", True)
    return Fit(Grade.IMPOSSIBLE, f"dtype is {derived}, not {base}", True)


def _shape_fit(
    base: tuple[Dim, ...] | None, base_ndim: int, derived: tuple[Dim, ...] | None, derived_ndim: int
) -> Fit:
    if base_ndim == UNKNOWN_NDIM:
        return FITS
    if derived_ndim == UNKNOWN_NDIM:
        return Fit(Grade.NEEDS_CAST, f"the rank is unknown, not {base_ndim}")
    if base_ndim != derived_ndim:
        return Fit(Grade.IMPOSSIBLE, f"rank is {derived_ndim}, not {base_ndim}")
    if base is None:
        return FITS
    if derived is None:
        return Fit(Grade.UNPROVEN, f"the shape is unknown, not {format_shape(base)}")
    return _worst(*(_equality_fit(f"axis {i}", a, b) for i, (a, b) in enumerate(zip(base, derived, strict=True))))


def _equality_fit(what: str, base: Dim, derived: Dim) -> Fit:
    proof = prove_equal(base, derived)
    if proof is Proof.YES:
        return FITS
    if proof is Proof.NO:
        return Fit(Grade.IMPOSSIBLE, f"{what} is {derived}, not {base}")
    return Fit(Grade.UNPROVEN, f"{what} is {derived}, not known to equal {base}")


def _fields_fit(what: str, base: tuple[Type, ...], derived: tuple[Type, ...]) -> Fit:
    if len(base) != len(derived):
        return Fit(Grade.IMPOSSIBLE, f"there are {len(derived)} {what}s, not {len(base)}")
    pairs = enumerate(zip(base, derived, strict=True))
    return _worst(*(is_base_of(a, b).within(f"{what} {i}") for i, (a, b) in pairs))


def _function_fit(base: FuncType, derived: FuncType) -> Fit:
    if base.pure and not derived.pure:
        return Fit(Grade.IMPOSSIBLE, "the function is impure")
    result = is_base_of(base.ret, derived.ret).within("result")
    if base.params is None:
        return result
    if derived.params is None:
        return _worst(result, Fit(Grade.UNPROVEN, "the parameters are unknown"))
    # A function may accept more than is declared, so parameters are compared the other way round.
    params = _fields_fit("parameter", derived.params, base.params)
    if params.grade is Grade.NEEDS_CAST:
        params = Fit(Grade.UNPROVEN, params.reason)
    return _worst(params, result)


def _worst(*fits: Fit) -> Fit:
    return min(fits, key=lambda fit: fit.grade, default=FITS)


def join(a: Type, b: Type, fresh: Callable[[], Dim] | None = None) -> Type:
    """The least type that holds the values of both.

    Args:
        fresh: makes a new symbol for an axis whose sizes differ; without it such a shape is known by its rank only.
    """
    if a == b:
        return a
    match a, b:
        case PrimType(dtype=left), PrimType(dtype=right) if left == right:
            return PrimType(left)
        case ShapeType(), ShapeType():
            return ShapeType(_join_shapes(a.values, b.values, fresh), _join_ndims(a.ndim, b.ndim))
        case TensorType(), TensorType():
            shape = _join_shapes(a.shape, b.shape, fresh)
            return TensorType(shape, a.dtype if a.dtype == b.dtype else None, _join_ndims(a.ndim, b.ndim))
        case TupleType(), TupleType() if len(a.fields) == len(b.fields):
            pairs = zip(a.fields, b.fields, strict=True)
            return TupleType(tuple(join(left, right, fresh) for left, right in pairs))
        case FuncType(), FuncType():
            # Parameters would need the greatest lower bound; functions that differ in them are opaque.
            params = a.params if a.params == b.params else None
            return FuncType(params, join(a.ret, b.ret, None), a.pure and b.pure)
    return AnyType()


def _join_ndims(a: int, b: int) -> int:
    return a if a == b else UNKNOWN_NDIM


def _join_shapes(
    a: tuple[Dim, ...] | None, b: tuple[Dim, ...] | None, fresh: Callable[[], Dim] | None
) -> tuple[Dim, ...] | None:
    if a is None or b is None or len(a) != len(b):
        return None
    agree = [prove_equal(left, right) is Proof.YES for left, right in zip(a, b, strict=True)]
    if fresh is None:
        return a if all(agree) else None
    return tuple(dim if same else fresh() for dim, same in zip(a, agree, strict=True))
