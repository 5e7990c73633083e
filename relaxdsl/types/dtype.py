"""Dtypes as canonical strings, and how they promote: as NumPy 2 does, with weak Python scalars."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, nearest

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
DTYPES = ("bool", *SIGNED, *UNSIGNED, *FLOATS)
#: Those that kernels compute in.
KERNEL_DTYPES = tuple(dtype for dtype in DTYPES if dtype != "float16")

#: Dtypes that others have; other names are misspelt.
_ELSEWHERE = re.compile(r"bfloat|complex|float8|float128|u?int[124]$")

_PYTHON_TYPES: dict[type, str] = {bool: "bool", int: "int64", float: "float64"}


@dataclass(frozen=True, slots=True)
class Weak:
    """A Python scalar in a promotion: it takes the other operands' dtype where its kind fits."""

    kind: Literal["bool", "int", "float"]


Operand: TypeAlias = str | np.dtype[Any] | type | Weak | bool | int | float


def canonical_dtype(x: object) -> str:
    """The canonical name of a dtype given as a string, a NumPy dtype or a type.

    Raises:
        DTypeError: relaxdsl has no such dtype.

    Example:
        >>> canonical_dtype(float), canonical_dtype(np.int8), canonical_dtype("bool")
        ('float64', 'int8', 'bool')
    """
    if isinstance(x, str) and x in DTYPES:
        return x
    name = _PYTHON_TYPES.get(x) if isinstance(x, type) else None
    name = name or _numpy_name(x)
    if name not in DTYPES:
        raise _unknown_dtype(x)
    return name


def dtype_to_move(dtype: str) -> str:
    """What kernels take elements as that they only move: those of another dtype as integers of as many bits."""
    return dtype if dtype in KERNEL_DTYPES else f"uint{8 * itemsize(dtype)}"


def _numpy_name(x: object) -> str | None:
    """The name of what is a NumPy dtype or scalar type; other strings than canonical names are not accepted."""
    if isinstance(x, np.dtype):
        return x.name
    return np.dtype(x).name if isinstance(x, type) and issubclass(x, np.generic) else None


def _unknown_dtype(x: object) -> DTypeError:
    shown = x.name if isinstance(x, np.dtype) else getattr(x, "__name__", None) or str(x)
    close = None if _ELSEWHERE.match(shown) else nearest(shown, DTYPES)
    hint = f"did you mean {close!r}?" if close else f"the dtypes are {', '.join(DTYPES)}"
    return DTypeError(f"unknown dtype {shown!r}", hint=hint)


def promote(*operands: Operand) -> str:
    """The dtype of an operation on the operands, as ``np.result_type`` in NumPy 2.

    Args:
        operands: dtypes; Python scalars or :class:`Weak` markers are weak.

    Example:
        >>> promote("int8", "uint8"), promote("float32", 2.5), promote("int32", Weak("float"))
        ('int16', 'float32', 'float64')
    """
    if not operands:
        raise DTypeError("promote: no operands given")
    return _promote(tuple(_weak_or_name(each) for each in operands))


def _weak_or_name(operand: Operand) -> str | Weak:
    if isinstance(operand, Weak):
        return operand
    if isinstance(operand, np.generic):
        return canonical_dtype(operand.dtype)
    for kind in (bool, int, float):
        if isinstance(operand, kind):
            return Weak(kind.__name__)  # type: ignore[arg-type]
    return canonical_dtype(operand)


@lru_cache(maxsize=4096)
def _promote(operands: tuple[str | Weak, ...]) -> str:
    samples = {"bool": True, "int": 0, "float": 0.0}
    given = [samples[each.kind] if isinstance(each, Weak) else np.dtype(each) for each in operands]
    return canonical_dtype(np.result_type(*given))


def is_float(dtype: str) -> bool:
    """Whether the dtype is a floating-point one."""
    return dtype in FLOATS


def is_integer(dtype: str) -> bool:
    """Whether the dtype is an integer one, signed or not; bool is not."""
    return dtype in SIGNED or dtype in UNSIGNED


def is_signed(dtype: str) -> bool:
    """Whether the dtype has negative values."""
    return dtype in SIGNED or dtype in FLOATS


def is_bool(dtype: str) -> bool:
    """Whether the dtype is bool."""
    return dtype == "bool"


def holds(dtype: str, value: int) -> bool:
    """Whether the integer ``value`` is in the dtype's range; every float dtype takes it, rounded."""
    if not is_integer(dtype):
        return True
    limits = np.iinfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return np.dtype(canonical_dtype(dtype)).itemsize


class DTypeName(str):
    """A dtype's name that also equals NumPy's dtypes: ``x.dtype == np.float32`` and ``x.dtype == "float32"``."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        try:
            return str.__eq__(self, canonical_dtype(other))
        except DTypeError:
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__
