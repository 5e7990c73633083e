"""``median``: a reduction that needs its elements in order. It runs on the host in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import ArgumentError, DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator, te_operand
from relaxdsl.operators.operands import axes_of, describe, require_dtype
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.types import TupleType, Type, tensor_type

Axis = int | Sequence[int] | None


def _type_of_median(x: Expr, axis: Axis = None, keepdims: bool = False) -> Type:
    operand = te_operand(x, "x", "median")
    if not isinstance(operand, te.Tensor):
        raise DTypeError("median: x must be a tensor, got a number")
    require_dtype("median", operand, ("float", "integer"))
    axes = axes_of("median", operand, axis)
    for each in axes:
        if operand.shape[each] == 0:
            message = f"median: axis {each} of {operand.name} has size 0, and nothing has no median"
            raise ShapeError(message, details=[describe(operand)])
    sizes = [1 if place in axes else size for place, size in enumerate(operand.shape)]
    shape = sizes if keepdims else [size for place, size in enumerate(sizes) if place not in axes]
    values = tensor_type(shape, operand.dtype)
    return TupleType((values, tensor_type(shape, "int64"))) if isinstance(axis, int) else values


def _host_median(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> Any:
    """By sorting rows; a NaN, which sorts last, is the median of its row."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(each % x.ndim for each in axes)
    kept = tuple(each for each in range(x.ndim) if each not in axes)
    sizes = [x.shape[each] for each in kept]
    count = math.prod(x.shape[each] for each in axes)
    if count == 0:
        raise ArgumentError("median: x has no elements along the axis, and nothing has no median")
    rows = x.transpose(*kept, *axes).reshape(*sizes, count)
    ordered = np.sort(rows, axis=-1)
    values = np.where(np.isnan(ordered[..., -1]), ordered[..., -1], ordered[..., (count - 1) // 2])
    wanted = values[..., None]
    positions = ((rows == wanted) | (np.isnan(rows) & np.isnan(wanted))).argmax(axis=-1)
    shape = [1 if place in axes else size for place, size in enumerate(x.shape)] if keepdims else sizes
    found = values.astype(x.dtype).reshape(shape), positions.astype("int64").reshape(shape)
    return found if isinstance(axis, int) else found[0]


def _reference_median(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """By quantiles; the position is the first of the value's."""
    axes = tuple(axis) if isinstance(axis, list) else axis
    values = np.quantile(x, 0.5, axis=axes, keepdims=keepdims, method="lower").astype(x.dtype)
    if not isinstance(axis, int):
        return values
    wanted = values if keepdims else np.expand_dims(values, axis)
    same = (x == wanted) | (np.isnan(x) & np.isnan(wanted)) if x.dtype.kind == "f" else x == wanted
    return values, same.argmax(axis=axis, keepdims=keepdims)


@operator(
    "median",
    reference=_reference_median,
    host=_host_median,
    type_rule=_type_of_median,
    samples=[
        sample(tensor("m", 3), axis=1),
        sample(tensor("m", 4), axis=-1, keepdims=True),
        sample(tensor("m", 3, dtype="float64"), sizes=(1, 2, 7)),
        sample(tensor("m", 3, 2), axis=(0, 2), sizes=(1, 2, 7)),
        sample(tensor(3, "m", dtype="float32"), axis=1, sizes=(1, 2, 7)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "median: axis 1 of x has size 0, and nothing has no median\n   x : Tensor((m, 0), float32)",
            tensor("m", 0),
            axis=1,
        ),
        mistake(
            DTypeError,
            "median: x must be float or integer, got bool\n"
            "   x : Tensor((m,), bool)\n"
            '   hint: convert it with x.astype("float32")',
            tensor("m", dtype="bool"),
        ),
    ],
    methods=("median",),
)
def median(  # type: ignore[empty-body]  # the host function runs it
    x: Operand, axis: Axis = None, keepdims: bool = False
) -> te.Tensor | tuple[te.Tensor, te.Tensor]:
    """The middle element in order, over one axis with its position; of an even number, the lower of the two.

    Over one axis, a tuple: the values, and the first position of each along the axis (int64). Over several axes, or
    all, the values only. Where there is a NaN, it is the median.

    Raises:
        ShapeError: an axis does not exist, or has size 0.
        DTypeError: ``x`` is bool.

    Example:
        >>> print(relax.median(relax.Var("x", relax.TensorType((relax.dims("m"), 4), "float32")), axis=1).type)
        relax.Tuple(relax.Tensor((m,), "float32"), relax.Tensor((m,), "int64"))

    Source: ``numpy.quantile(x, 0.5, method="lower")``.
    """
