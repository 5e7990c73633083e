"""Operators of neural networks: activations, softmaxes and norms. Their names begin with ``nn.``.

Softmaxes and norms are chains of stages (a reduction per row, then elementwise), so that a schedule can keep a row in
cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.elementwise import NUMBER, Domain, unary
from relaxdsl.operators.operands import (
    axes_of,
    axis_of,
    common_dtype,
    element,
    require_dtype,
    require_ndim,
    require_same_size,
    require_tensor,
)
from relaxdsl.operators.reduce import mean_over, quiet, reduce_over, squared_deviations_mean
from relaxdsl.operators.registry import Mistake, Operand, mistake, sample, tensor
from relaxdsl.types.dims import Dim

# Where sums and exponentials of float32 follow each other, NumPy and a kernel differ by a few roundings.
_ROUNDINGS = 2e-5
_WIDE = Domain(-6.0, 6.0, tolerance=_ROUNDINGS)


# ---------------------------------------------------------------------------------------------------------- activations


def _normal_cumulative(x: Any) -> Any:
    return np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2.0)), otypes=[x.dtype])(x)


def _reference_gelu_tanh(x: Any) -> Any:
    wide = x.astype("float64")
    inner = math.sqrt(2.0 / math.pi) * (wide + 0.044715 * wide**3)
    return (0.5 * wide * (1.0 + np.tanh(inner))).astype(x.dtype)


def _reference_silu(x: Any) -> Any:
    wide = x.astype("float64")
    return (wide / (1.0 + np.exp(-wide))).astype(x.dtype)


relu = unary(
    "nn.relu",
    "``max(x, 0)``; NaN stays NaN.",
    lambda x: te.maximum(x, 0),
    lambda x: np.maximum(x, x.dtype.type(0)),
    dtypes=NUMBER,
    facts={"idempotent": True},
)
gelu = unary(
    "nn.gelu",
    "``x`` times the normal distribution's cumulative function at ``x``.",
    te.gelu,
    lambda x: x * _normal_cumulative(x),
    domain=_WIDE,
)
gelu_tanh = unary(
    "nn.gelu_tanh", "``gelu`` by its tanh approximation.", te.gelu_tanh, _reference_gelu_tanh, domain=_WIDE
)
silu = unary("nn.silu", "``x * sigmoid(x)``, also called swish.", te.silu, _reference_silu, domain=_WIDE)


def _float_mistake(name: str) -> Mistake:
    hint = 'convert it with x.astype("float32")'
    text = f"{name}: x must be float, got int32\n   x : Tensor((m, 3), int32)\n   hint: {hint}"
    return mistake(DTypeError, text, tensor("m", 3, dtype="int32"))


def _require_float(name: str, x: Operand) -> te.Tensor:
    x = require_tensor(name, "x", x)
    require_dtype(name, x, ("float",))
    return x


@operator(
    "nn.leakyrelu",
    reference=lambda x, alpha=0.01: np.where(x > 0, x, x * x.dtype.type(alpha)),
    samples=[sample(tensor("m", 3)), sample(tensor("m", dtype="float64"), alpha=0.3)],
    mistakes=[_float_mistake("nn.leakyrelu")],
)
def leakyrelu(x: Operand, alpha: float = 0.01) -> te.Tensor:
    """``x`` where it is positive, else ``alpha * x``.

    Source: TVM Relax.
    """
    x = _require_float("nn.leakyrelu", x)

    def body(*index: Dim) -> ScalarExpr:
        return te.if_then_else(x[index] > 0, x[index], x[index] * alpha)

    return te.compute(x.shape, body, name="leakyrelu")


def _reference_softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = x * x.dtype.type(beta)
    return np.where(scaled > threshold, x, np.logaddexp(scaled, x.dtype.type(0)) / x.dtype.type(beta))


@operator(
    "nn.softplus",
    reference=_reference_softplus,
    samples=[
        sample(tensor("m", 3, low=-6, high=6), tolerance=_ROUNDINGS),
        sample(tensor("m", dtype="float64", low=-30, high=30), beta=2.0, threshold=10.0, tolerance=1e-12),
    ],
    mistakes=[_float_mistake("nn.softplus")],
)
def softplus(x: Operand, beta: float = 1.0, threshold: float = 20.0) -> te.Tensor:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` is above ``threshold``.

    Source: TVM Relax.
    """
    x = _require_float("nn.softplus", x)

    def body(*index: Dim) -> ScalarExpr:
        scaled = x[index] * beta
        return te.if_then_else(scaled > threshold, x[index], te.softplus(scaled) / beta)

    return te.compute(x.shape, body, name="softplus")


# ------------------------------------------------------------------------------------------------------------ softmaxes


def _shifted(x: Any, axis: int) -> Any:
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)


def _reference_softmax(x: Any, axis: int = -1) -> Any:
    powers = np.exp(_shifted(x, axis))
    return powers / powers.sum(axis=axis, keepdims=True)


def _reference_log_softmax(x: Any, axis: int = -1) -> Any:
    shifted = _shifted(x, axis)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


_SOFTMAX_SAMPLES = [
    sample(tensor("m", 10), tolerance=_ROUNDINGS),
    sample(tensor("m", "n"), axis=-1, tolerance=_ROUNDINGS),
    sample(tensor("m", 3, "n"), axis=1, tolerance=_ROUNDINGS),
    sample(tensor("m", 4), axis=0, tolerance=_ROUNDINGS),
    # Far apart and large: exp would overflow without the shift.
    sample(tensor("m", 5, dtype="float64", low=-900, high=900), tolerance=1e-12),
    sample(tensor("m", 1), tolerance=_ROUNDINGS),
]


def _softmax_mistakes(name: str) -> list[Mistake]:
    no_axis = (
        f"{name}: axis 2 does not exist: the tensor has 2 axes\n"
        "   x : Tensor((m, 3), float32)\n"
        "   hint: axes go from -2 to 1"
    )
    return [_float_mistake(name), mistake(ShapeError, no_axis, tensor("m", 3), axis=2)]


def _powers(name: str, x: Operand, axis: int) -> tuple[te.Tensor, te.Tensor, te.Tensor, te.Tensor]:
    """``x``, its maximum along ``axis``, ``exp(x - maximum)`` and the sum of these: the stages both softmaxes share."""
    x = _require_float(name, x)
    axes = (axis_of(name, x, axis),)
    greatest = reduce_over(x.shape, axes, te.max, lambda *i: x[i], name="greatest")
    powers = te.compute(x.shape, lambda *i: te.exp(x[i] - element(greatest, i)), name="powers")
    total = reduce_over(x.shape, axes, te.sum, lambda *i: powers[i], name="total")
    return x, greatest, powers, total


@operator(
    "nn.softmax", reference=_reference_softmax, samples=_SOFTMAX_SAMPLES, mistakes=_softmax_mistakes("nn.softmax")
)
def softmax(x: Operand, axis: int = -1) -> te.Tensor:
    """``exp(x) / sum(exp(x))`` along ``axis``, without overflow.

    -inf has weight 0, so it masks an element; where everything is masked, or there is a NaN or +inf, the result is NaN.

    Example:
        >>> print(relax.nn.softmax(relax.Var("x", relax.TensorType((relax.dims("m"), 10), "float32"))).type)
        relax.Tensor((m, 10), "float32")

    Source: ``scipy.special.softmax``.
    """
    x, _, powers, total = _powers("nn.softmax", x, axis)
    # Division takes many times as long as multiplication.
    factor = te.compute(total.shape, lambda *i: 1 / total[i], name="factor")
    return te.compute(x.shape, lambda *i: powers[i] * element(factor, i), name="softmax")


@operator(
    "nn.log_softmax",
    reference=_reference_log_softmax,
    samples=_SOFTMAX_SAMPLES,
    mistakes=_softmax_mistakes("nn.log_softmax"),
)
def log_softmax(x: Operand, axis: int = -1) -> te.Tensor:
    """``log(softmax(x))`` along ``axis``, without overflow and exact where the softmax is tiny.

    A masked (-inf) element stays -inf.

    Source: ``scipy.special.log_softmax``.
    """
    x, greatest, _, total = _powers("nn.log_softmax", x, axis)
    log_total = te.compute(total.shape, lambda *i: te.log(total[i]), name="log_total")

    def body(*index: Dim) -> ScalarExpr:
        return x[index] - element(greatest, index) - element(log_total, index)

    return te.compute(x.shape, body, name="log_softmax")


# ---------------------------------------------------------------------------------------------------------------- norms


def _require_parameter(
    name: str, x: te.Tensor, parameter: Operand, parameter_name: str, axes: Sequence[int]
) -> te.Tensor:
    """A norm's parameter: float, with ``x``'s sizes on ``axes``."""
    parameter = require_ndim(name, parameter, len(axes), name=parameter_name)
    require_dtype(name, parameter, ("float",), name=parameter_name)
    for own, axis in enumerate(axes):
        require_same_size(name, x, axis, parameter, own, f"{parameter.name} does not fit: axis {axis}")
    return parameter


def _parameter_element(parameter: te.Tensor, axes: Sequence[int], index: Sequence[Index], dtype: str) -> ScalarExpr:
    return parameter[tuple(index[axis] for axis in axes)].astype(dtype)


def _reference_layer_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axes: Any = -1,
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
) -> Any:
    axes = tuple(axes) if isinstance(axes, tuple) else (axes,)
    given = [each for each in (x, gamma, beta) if each is not None]
    dtype = np.result_type(*given)
    wide = x.astype("float64")
    result = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + epsilon)
    if scale and gamma is not None:
        result = result * _along(gamma, axes, x.ndim)
    if center and beta is not None:
        result = result + _along(beta, axes, x.ndim)
    return result.astype(dtype)


def _along(parameter: Any, axes: Sequence[int], ndim: int) -> Any:
    """``parameter`` with its axes at ``axes`` of ``ndim``, for broadcasting."""
    normal = [axis % ndim for axis in axes]
    ordered = np.transpose(parameter, np.argsort(normal))
    return np.expand_dims(ordered, tuple(axis for axis in range(ndim) if axis not in normal))


_NORM_TOLERANCE = 1e-4


@operator(
    "nn.layer_norm",
    reference=quiet(_reference_layer_norm),
    samples=[
        sample(tensor("m", 8), tensor(8), tensor(8), tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 3, "n"), tensor("n", 3), tensor("n", 3), axes=(-1, 1), tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 6), None, tensor(6), axes=(-1,), tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 6, dtype="float64"), axes=1, epsilon=1e-3, tolerance=1e-10),
        sample(tensor("m", 6), tensor(6), tensor(6), center=False, tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 6), tensor(6), tensor(6), scale=False, tolerance=_NORM_TOLERANCE),
    ],
    mistakes=[
        _float_mistake("nn.layer_norm"),
        mistake(
            ShapeError,
            "nn.layer_norm: gamma does not fit: axis 1 differs: 8 and 7\n"
            "   x     : Tensor((m, 8), float32)   axis 1 is 8\n"
            "   gamma : Tensor((7,), float32)     axis 0 is 7",
            tensor("m", 8),
            tensor(7),
            tensor(8),
        ),
        mistake(
            ShapeError,
            "nn.layer_norm: beta must have 2 dimensions, got 1\n   beta : Tensor((8,), float32)",
            tensor("m", 8),
            None,
            tensor(8),
            axes=(0, 1),
        ),
    ],
)
def layer_norm(
    x: Operand,
    gamma: Operand | None = None,
    beta: Operand | None = None,
    axes: int | Sequence[int] = -1,
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
) -> te.Tensor:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, with mean and variance over ``axes``; two passes.

    ``gamma`` and ``beta`` have ``x``'s sizes on ``axes`` (in that order). Without ``gamma`` or with ``scale=False``
    nothing is multiplied, without ``beta`` or with ``center=False`` nothing is added.

    Raises:
        ShapeError: ``gamma`` or ``beta`` has other sizes, or an axis does not exist.
        DTypeError: an operand is not float.

    Source: TVM Relax.
    """
    name = "nn.layer_norm"
    x = _require_float(name, x)
    over = axes_of(name, x, axes)
    gamma = None if gamma is None else _require_parameter(name, x, gamma, "gamma", over)
    beta = None if beta is None else _require_parameter(name, x, beta, "beta", over)
    dtype = common_dtype(*(each for each in (x, gamma, beta) if each is not None))
    mean = mean_over(x.shape, over, lambda *i: x[i].astype(dtype), name="mean")
    variance = squared_deviations_mean(x, over, mean, name="variance")
    factor = te.compute(variance.shape, lambda *i: te.rsqrt(variance[i] + epsilon), name="factor")

    def body(*index: Dim) -> ScalarExpr:
        value = (x[index].astype(dtype) - element(mean, index)) * element(factor, index)
        if gamma is not None and scale:
            value = value * _parameter_element(gamma, over, index, dtype)
        if beta is not None and center:
            value = value + _parameter_element(beta, over, index, dtype)
        return value

    return te.compute(x.shape, body, name="layer_norm")


def _reference_rms_norm(x: Any, weight: Any = None, axes: Any = -1, epsilon: float = 1e-5) -> Any:
    axes = tuple(axes) if isinstance(axes, tuple) else (axes,)
    wide = x.astype("float64")
    result = wide / np.sqrt(np.mean(wide * wide, axes, keepdims=True) + epsilon)
    if weight is None:
        return result.astype(x.dtype)
    return (result * _along(weight, axes, x.ndim)).astype(np.result_type(x, weight))


@operator(
    "nn.rms_norm",
    reference=quiet(_reference_rms_norm),
    samples=[
        sample(tensor("m", 8), tensor(8), tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 2, "n"), tensor(2, "n"), axes=(1, 2), tolerance=_NORM_TOLERANCE),
        sample(tensor("m", 6, dtype="float64"), axes=1, epsilon=1e-3, tolerance=1e-10),
    ],
    mistakes=[
        _float_mistake("nn.rms_norm"),
        mistake(
            ShapeError,
            "nn.rms_norm: weight does not fit: axis 1: symbolic sizes `n` and `k` may differ\n"
            "   x      : Tensor((m, n), float32)   axis 1 is n\n"
            "   weight : Tensor((k,), float32)     axis 0 is k\n"
            "   hint: if they are always equal, name them alike (`n` in both), or match_cast one of them",
            tensor("m", "n"),
            tensor("k"),
        ),
    ],
)
def rms_norm(
    x: Operand, weight: Operand | None = None, axes: int | Sequence[int] = -1, epsilon: float = 1e-5
) -> te.Tensor:
    """``x / sqrt(mean(x**2) + epsilon) * weight``, with the mean over ``axes``; ``weight`` has ``x``'s sizes there.

    Raises:
        ShapeError: ``weight`` has other sizes, or an axis does not exist.
        DTypeError: an operand is not float.

    Source: TVM Relax.
    """
    name = "nn.rms_norm"
    x = _require_float(name, x)
    over = axes_of(name, x, axes)
    weight = None if weight is None else _require_parameter(name, x, weight, "weight", over)
    dtype = x.dtype if weight is None else common_dtype(x, weight)
    squares = mean_over(x.shape, over, lambda *i: te.square(x[i].astype(dtype)), name="mean_square")
    factor = te.compute(squares.shape, lambda *i: te.rsqrt(squares[i] + epsilon), name="factor")

    def body(*index: Dim) -> ScalarExpr:
        value = x[index].astype(dtype) * element(factor, index)
        return value if weight is None else value * _parameter_element(weight, over, index, dtype)

    return te.compute(x.shape, body, name="rms_norm")
