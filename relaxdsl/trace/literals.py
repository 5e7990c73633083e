"""Values written out in a program: constants, shapes, integers, and what printed programs need besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from relaxdsl.errors import DTypeError, ScriptError, ShapeError
from relaxdsl.ir.graph import Constant, Expr, ExternFunc, HostObject, PrimValue, ShapeExpr
from relaxdsl.operators.calls import constant as make_constant
from relaxdsl.operators.calls import current_context
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.dtype import canonical_dtype
from relaxdsl.types.types import AnyType, FuncType, PrimType


def const(value: Any, dtype: object = None) -> Constant:
    """The constant ``value`` (a number, nested lists, an array), of ``dtype`` where it is given.

    Raises:
        DTypeError: ``value`` is no array, or does not fit into ``dtype``.

    Example:
        >>> print(const([1, 2], "float32").type)
        relax.Tensor((2,), "float32")
    """
    name = None if dtype is None else canonical_dtype(dtype)
    try:
        array = np.asarray(value, dtype=name)
    except (ValueError, TypeError, OverflowError) as error:
        raise DTypeError(f"const: {error}", span=current_context().span) from error
    return make_constant(array)


def constant(index: int) -> NoReturn:
    """The array number ``index`` beside a printed program; it has a meaning only where such a text is parsed.

    Raises:
        ScriptError: anywhere else.
    """
    raise ScriptError(
        f"relax.constant({index}): there are no constants beside this program",
        hint="parse the text together with the constants that printing gave",
        span=current_context().span,
    )


def shape(values: Sequence[Dim]) -> ShapeExpr:
    """The shape ``values`` as a value.

    Raises:
        ShapeError: ``values`` is not a sequence of sizes.
    """
    if not isinstance(values, list | tuple):
        raise ShapeError(f"shape: a shape is a tuple of sizes, got {values!r}", span=current_context().span)
    return ShapeExpr(tuple(_size("shape", value) for value in values), current_context().span)


def prim_value(value: Dim) -> PrimValue:
    """The integer or size ``value`` as a value.

    Raises:
        ShapeError: it is neither.
    """
    return PrimValue(_size("prim_value", value), current_context().span)


def host(value: Any) -> HostObject:
    """A Python object handed as it is to a packed function."""
    return HostObject(value, AnyType(), current_context().span)


def extern(name: str) -> ExternFunc:
    """The registered packed function ``name``."""
    return ExternFunc(name, FuncType(None, AnyType(), pure=False), current_context().span)


def _size(caller: str, value: object) -> Dim:
    if isinstance(value, SymInt):
        return value
    if isinstance(value, Expr) and isinstance(value.type, PrimType) and value.type.value is not None:
        return value.type.value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        shown = value.type if isinstance(value, Expr) else repr(value)
        raise ShapeError(f"{caller}: {shown} is not a size", span=current_context().span)
    return int(value.__index__())
