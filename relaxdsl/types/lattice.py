"""How types relate: whether a value of one type fits where another is declared, and the least type that holds both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from relaxdsl.types.dims import Dim
from relaxdsl.types.prove import Proof, prove_equal
from relaxdsl.types.types import (
    UNKNOWN_NDIM,
    AnyType,
    FuncType,
    PrimType,
    ShapeType,
    TensorType,
    TupleType,
    Type,
    format_shape,
)


class Grade(IntEnum):
    """How well a type fits, worst first."""

    IMPOSSIBLE = 0
    NEEDS_CAST = 1
    UNPROVEN = 2
    FITS = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A grade and, unless it is FITS, the reason. It has no truth value: ask ``fit.fits`` or look at ``fit.grade``."""

    grade: Grade
    reason: str = ""

    @property
    def fits(self) -> bool:
        """Whether every value of the derived type is a value of the base type."""
        return self.grade is Grade.FITS

    def __bool__(self) -> NoReturn:
        raise TypeError("a Fit has no truth value: ask fit.fits or compare fit.grade")

    def within(self, place: str) -> Fit:
        """This fit, its reason prefixed with where it was found."""
        return self if self.fits else Fit(self.grade, f"{place}: {self.reason}")


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
        return Fit(Grade.IMPOSSIBLE, f"dtype is {derived.dtype}, not {base.dtype}")
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
        return Fit(Grade.NEEDS_CAST, f"the dtype is unknown, not {base}")
    return Fit(Grade.IMPOSSIBLE, f"dtype is {derived}, not {base}")


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
