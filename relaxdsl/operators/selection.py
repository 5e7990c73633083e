"""Elementwise operators that choose or combine three operands: ``where``, ``clip``, ``ewise_fma``."""

from __future__ import annotations

import numpy as np

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.elementwise import NUMBER, map_elements, require_common_dtype
from relaxdsl.operators.operands import broadcast, common_dtype, element, require_dtype, typed_element
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.dims import SymInt


@operator(
    "where",
    reference=np.where,
    samples=[
        sample(tensor("m", dtype="bool"), tensor("m"), tensor("m")),
        sample(tensor("m", 1, dtype="bool"), tensor(3, dtype="int8"), tensor("m", 3, dtype="float64")),
        sample(tensor("m", dtype="bool"), tensor("m"), 0.5),
        sample(tensor("m", dtype="bool"), tensor("m", dtype="int32"), tensor("m", dtype="bool")),
        sample(tensor(dtype="bool"), tensor("m", 2), tensor(2)),
    ],
    mistakes=[
        mistake(
            DTypeError,
            "where: condition must be bool, got float32\n"
            "   condition : Tensor((m,), float32)\n"
            '   hint: convert it with condition.astype("bool")',
            tensor("m"),
            tensor("m"),
            tensor("m"),
        ),
        mistake(
            ShapeError,
            "where: axis 0 differs: 3 and 4\n"
            "   condition : Tensor((3,))   axis 0 is 3\n   x2        : Tensor((4,))   axis 0 is 4",
            tensor(3, dtype="bool"),
            tensor(3),
            tensor(4),
        ),
    ],
)
def where(condition: Operand, x1: Operand, x2: Operand) -> te.Tensor:
    """``x1`` where the condition holds, else ``x2``; the three are broadcast.

    Dtypes: the condition is bool; the result is of the dtype that x1 and x2 promote to.

    Example:
        >>> print(relax.where(np.array([True, False]), np.ones(2, "float32"), 0.0).type)
        relax.Tensor((2,), "float32")

    Source: ``numpy.where``.
    """
    require_dtype("where", condition, ("bool",), name="condition")
    shape = broadcast("where", (condition, x1, x2), ("condition", "x1", "x2"))
    dtype = common_dtype(x1, x2)
    return te.compute(
        shape,
        lambda *axes: te.if_then_else(
            element(condition, axes), typed_element(x1, axes, dtype), typed_element(x2, axes, dtype)
        ),
        name="where",
    )


@operator(
    "clip",
    reference=np.clip,
    samples=[
        sample(tensor("m", 3), -0.5, 1.0),
        sample(tensor("m", dtype="int32", low=-5, high=5), -2, 2),
        sample(tensor("m", dtype="float64"), 0.5, -0.5),
        sample(tensor("m", dtype="int16"), tensor(dtype="float32"), None),
        sample(tensor("m", 2), None, tensor(2)),
        sample(tensor("m", dtype="uint8", low=0, high=9)),
    ],
    mistakes=[
        mistake(
            DTypeError,
            "clip: the operands must be float or integer, got bool\n"
            "   x : Tensor((m,), bool)\n"
            '   hint: convert with x.astype("float32")',
            tensor("m", dtype="bool"),
            False,
            True,
        ),
        mistake(DTypeError, "clip: max: 300 does not fit into uint8", tensor("m", dtype="uint8"), 0, 300),
    ],
    methods=("clip",),
)
def clip(x: Operand, min: Operand | None = None, max: Operand | None = None) -> te.Tensor:
    """``minimum(maximum(x, min), max)``: x kept within bounds, which are broadcast; None leaves a side open.

    Dtypes: float, integer; the result is of the dtype that the operands promote to.

    Example:
        >>> print(relax.clip(np.ones(3, "float32"), 0, 6).type)
        relax.Tensor((3,), "float32")

    Source: ``numpy.clip``.
    """
    given = {"x": x, "min": min, "max": max}
    operands = {name: operand for name, operand in given.items() if operand is not None}
    shape = broadcast("clip", tuple(operands.values()), tuple(operands))
    dtype = require_common_dtype("clip", tuple(operands.values()), NUMBER)

    def clipped(*axes: SymInt) -> ScalarExpr:
        value = typed_element(x, axes, dtype)
        if min is not None:
            value = te.maximum(value, typed_element(min, axes, dtype))
        return value if max is None else te.minimum(value, typed_element(max, axes, dtype))

    return te.compute(shape, clipped, name="clip")


@operator(
    "ewise_fma",
    reference=lambda x1, x2, x3: x1 * x2 + x3,
    samples=[
        sample(tensor("m", 3), tensor("m", 3), tensor("m", 3)),
        sample(tensor("m", 1, dtype="float64"), tensor(3, dtype="float32"), 1.0),
        sample(tensor("m", dtype="int32"), tensor("m", dtype="int32"), tensor("m", dtype="int32")),
    ],
    mistakes=[
        mistake(
            DTypeError,
            "ewise_fma: the operands must be float or integer, got bool\n"
            "   x1 : Tensor((m,), bool)\n"
            "   x2 : Tensor((m,), bool)\n"
            "   x3 : Tensor((m,), bool)\n"
            '   hint: convert with x1.astype("float32")',
            *[tensor("m", dtype="bool")] * 3,
        ),
        mistake(
            ShapeError,
            "ewise_fma: axis 0 differs: 3 and 4\n"
            "   x1 : Tensor((3,))   axis 0 is 3\n   x3 : Tensor((4,))   axis 0 is 4",
            tensor(3),
            tensor(3),
            tensor(4),
        ),
    ],
)
def ewise_fma(x1: Operand, x2: Operand, x3: Operand) -> te.Tensor:
    """``x1 * x2 + x3``; the three are broadcast.

    Dtypes: float, integer; the result is of the dtype that the operands promote to.

    Example:
        >>> print(relax.ewise_fma(np.ones((3, 1)), np.ones(2), 1.0).type)
        relax.Tensor((3, 2), "float64")
    """
    shape = broadcast("ewise_fma", (x1, x2, x3), ("x1", "x2", "x3"))
    dtype = require_common_dtype("ewise_fma", (x1, x2, x3), NUMBER)
    return map_elements("ewise_fma", lambda a, b, c: a * b + c, shape, (x1, x2, x3), dtype)
