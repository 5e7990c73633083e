"""Set operators, whose result's size depends on the data: ``unique`` and ``nonzero``. They run on the host in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import fresh_symbol, operator, te_operand
from relaxdsl.operators.operands import axis_of, describe
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.types import TupleType, Type, tensor_type


def _known_tensor(operator_name: str, x: Expr) -> te.Tensor:
    """The operand as a placeholder: its rank and dtype must be known."""
    operand = te_operand(x, "x", operator_name)
    if not isinstance(operand, te.Tensor):
        raise DTypeError(f"{operator_name}: x must be a tensor, got a number")
    return operand


def _reference_unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    wanted = {"return_index": return_index, "return_inverse": return_inverse, "return_counts": return_counts}
    return np.unique(x, axis=axis, **wanted)  # type: ignore[call-overload]


def _host_unique(
    x: np.ndarray,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """``np.unique``; every result contiguous, positions and counts as int64."""
    found = _reference_unique(x, sorted, return_index, return_inverse, return_counts, axis)
    if not isinstance(found, tuple):
        return np.ascontiguousarray(found)
    values, *others = found
    return (np.ascontiguousarray(values), *(np.ascontiguousarray(each, dtype="int64") for each in others))


def _type_of_unique(
    x: Expr,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Type:
    tensor = _known_tensor("unique", x)
    at = None if axis is None else axis_of("unique", tensor, axis)
    count = fresh_symbol("unique")
    shape = (count,) if at is None else (*tensor.shape[:at], count, *tensor.shape[at + 1 :])
    inverse = tensor.shape if at is None else (tensor.shape[at],)
    fields = [tensor_type(shape, tensor.dtype)]
    for wanted, own_shape in ((return_index, (count,)), (return_inverse, inverse), (return_counts, (count,))):
        fields += [tensor_type(own_shape, "int64")] if wanted else []
    return fields[0] if len(fields) == 1 else TupleType(tuple(fields))


@operator(
    "unique",
    reference=_reference_unique,
    host=_host_unique,
    type_rule=_type_of_unique,
    samples=[
        sample(tensor("m", dtype="int32", low=0, high=5)),
        sample(tensor("m", 3, dtype="int8", low=0, high=2)),
        sample(
            tensor("m", 3, dtype="int64", low=0, high=2), return_index=True, return_inverse=True, return_counts=True
        ),
        sample(tensor("m", 2, dtype="bool"), axis=0, return_inverse=True, sizes=(1, 2, 7)),
        sample(tensor(2, "m"), axis=-1, return_counts=True, sizes=(1, 2, 7)),
        sample(tensor("m", dtype="float64"), sorted=False),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "unique: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            axis=2,
        )
    ],
    facts={"data_dependent": True},
)
def unique(  # type: ignore[empty-body]  # the host function runs it
    x: Operand,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> te.Tensor | tuple[te.Tensor, ...]:
    """The distinct elements, or the distinct slices along ``axis``, in ascending order; all NaNs are one.

    A tuple with, as asked for, the position of each one's first occurrence, the positions that rebuild ``x`` (of
    ``x``'s shape; with ``axis``, one number per slice), and how often each occurs; all int64. ``sorted=False`` allows
    any order, and gives this one.

    Shapes: ``(k,)``, or ``x``'s with ``k`` at ``axis``, where ``k`` is a fresh symbol.

    Example:
        >>> relax.unique(relax.Var("x", relax.TensorType((relax.dims("m"), 4), "int32"))).type.dtype
        'int32'

    Source: ``numpy.unique``.
    """


def _host_nonzero(x: np.ndarray) -> np.ndarray:
    """The positions as one contiguous array, a row per axis."""
    return np.ascontiguousarray(np.stack(np.nonzero(x)), dtype="int64")


def _type_of_nonzero(x: Expr) -> Type:
    tensor = _known_tensor("nonzero", x)
    if tensor.ndim == 0:
        raise ShapeError("nonzero: x must have at least 1 dimension, got 0", details=[describe(tensor)])
    return tensor_type((tensor.ndim, fresh_symbol("nonzero")), "int64")


@operator(
    "nonzero",
    reference=lambda x: np.stack(np.nonzero(x)),
    host=_host_nonzero,
    type_rule=_type_of_nonzero,
    samples=[
        sample(tensor("m", dtype="int32", low=-1, high=1)),
        sample(tensor("m", 3, dtype="bool")),
        sample(tensor("m", "n", 2, dtype="int8", low=0, high=1)),
        sample(tensor(4, dtype="float32")),
    ],
    mistakes=[
        mistake(ShapeError, "nonzero: x must have at least 1 dimension, got 0\n   x : Tensor((), float32)", tensor())
    ],
    methods=("nonzero",),
    facts={"data_dependent": True},
)
def nonzero(x: Operand) -> te.Tensor:  # type: ignore[empty-body]  # the host function runs it
    """The positions of the elements that are not zero (NaN is not), in row-major order: one row per axis, int64.

    Shapes: ``(ndim, k)``, where ``k`` is a fresh symbol.

    Source: ``numpy.nonzero``, stacked.
    """
