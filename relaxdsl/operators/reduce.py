"""Reductions: ``sum mean max min prod std variance all any argmax argmin``, with NumPy's dtypes and numerics.

``reduce_over`` is the one stage they, the softmaxes and the norms are built of. The names are NumPy's, so this module
must not use the builtins of the same name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.ir.scalar import Index, ScalarExpr, ScalarLike, as_scalar
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator, require_at_least
from relaxdsl.operators.operands import axes_of, axis_of, describe, element, require_tensor
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.operators.reshape import ravel
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.dtype import is_float, is_integer, is_signed
from relaxdsl.types.shape import size_of

Axis: TypeAlias = "int | Sequence[int] | None"
Combine: TypeAlias = Callable[[Any, Sequence[SymInt]], ScalarExpr]


def reduce_over(
    shape: Sequence[Dim],
    axes: Sequence[int],
    combine: Combine,
    formula: Callable[..., ScalarLike | tuple[ScalarLike, ...]],
    *,
    name: str,
    keepdims: bool = True,
) -> te.Tensor:
    """The stage that combines ``formula(*index)`` over ``axes`` of ``shape``; with ``keepdims`` these stay, of size 1.

    Without axes there is nothing to combine: the stage is the formula at every point.
    """
    over = {axis: te.reduce_axis(shape[axis], name=f"k{axis}") for axis in axes}
    kept = [axis for axis in range(len(shape)) if keepdims or axis not in over]

    def body(*point: SymInt) -> ScalarExpr:
        at = dict(zip(kept, point, strict=True)) | over
        values = formula(*(at[axis] for axis in range(len(shape))))
        return combine(values, list(over.values())) if over else as_scalar(values)  # type: ignore[arg-type]

    return te.compute(tuple(1 if axis in over else shape[axis] for axis in kept), body, name=name)


def mean_over(
    shape: Sequence[Dim], axes: Sequence[int], formula: Callable[..., ScalarExpr], *, name: str, keepdims: bool = True
) -> te.Tensor:
    """Two stages: the sum of ``formula`` over ``axes`` of ``shape``, then its division by their number of elements."""
    total = reduce_over(shape, axes, te.sum, formula, name=f"{name}_sum", keepdims=keepdims)
    count = size_of(shape[axis] for axis in axes)
    return te.compute(total.shape, lambda *i: total[i] / count, name=name)


def squared_deviations_mean(
    x: te.Tensor, axes: Sequence[int], mean: te.Tensor, *, name: str, keepdims: bool = True
) -> te.Tensor:
    """The mean of ``(x - mean)**2`` over ``axes``, where ``mean`` kept its axes: the second pass of a variance."""

    def squared(*index: Index) -> ScalarExpr:
        return te.square(x[index].astype(mean.dtype) - element(mean, index))

    return mean_over(x.shape, axes, squared, name=name, keepdims=keepdims)


# ------------------------------------------------------------------------------------------------------- sums and means


def _accumulator_dtype(dtype: str) -> str:
    """The dtype in which NumPy adds and multiplies: small integers and bools grow to 64 bits."""
    if is_float(dtype):
        return dtype
    return "uint64" if is_integer(dtype) and not is_signed(dtype) else "int64"


def _mean_dtype(dtype: str) -> str:
    return dtype if is_float(dtype) else "float64"


def _accumulate(name: str, x: Operand, axis: Axis, keepdims: bool, combine: Combine) -> te.Tensor:
    x = require_tensor(name, "x", x)
    dtype = _accumulator_dtype(x.dtype)
    axes = axes_of(name, x, axis)
    return reduce_over(x.shape, axes, combine, lambda *i: x[i].astype(dtype), name=name, keepdims=keepdims)


def _variance(name: str, x: Operand, axis: Axis, keepdims: bool) -> te.Tensor:
    x = require_tensor(name, "x", x)
    dtype, axes = _mean_dtype(x.dtype), axes_of(name, x, axis)
    mean_stage = mean_over(x.shape, axes, lambda *i: x[i].astype(dtype), name="mean")
    return squared_deviations_mean(x, axes, mean_stage, name="variance", keepdims=keepdims)


def quiet(reference: Callable[..., Any]) -> Callable[..., Any]:
    """The NumPy function without its warnings: the mean of nothing is NaN, as in a kernel."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return reference(*args, **kwargs)

    return call


# What every reduction is tried on: all axes, one, several, a negative one, kept, none, a scalar, sizes 0 and 1.
_SAMPLES = [
    sample(tensor("m", 3)),
    sample(tensor("m", "n"), axis=1),
    sample(tensor("m", 4, "n"), axis=(0, -1), keepdims=True),
    sample(tensor(5, "n", dtype="float64"), axis=-2),
    sample(tensor("m", 1), axis=(0, 1), keepdims=True),
    sample(tensor(2, 3), axis=()),
    sample(tensor()),
    sample(tensor("m", 2, dtype="int32", low=-9, high=9), axis=0),
    sample(tensor(3, "m", dtype="uint8", low=0, high=9), axis=-1),
    sample(tensor("m", dtype="bool")),
]
# Those whose reduction has no value for nothing are not tried on it.
_NONEMPTY_SAMPLES = [sample(*each.args, sizes=(1, 2, 7), **each.attrs) for each in _SAMPLES] + [
    sample(tensor("m", 3), axis=1),
    sample(tensor("m", "n", dtype="int8", low=-9, high=9), axis=1, sizes=(1, 2, 7)),
]


def _mistakes(name: str) -> list[Any]:
    return [
        mistake(
            ShapeError,
            f"{name}: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            axis=2,
        ),
        mistake(
            ShapeError,
            f"{name}: axis 1 is given twice, in (1, -1)\n   x : Tensor((m, 3), float32)",
            tensor("m", 3),
            axis=(1, -1),
        ),
    ]


@operator(
    "sum", reference=np.sum, samples=_SAMPLES, mistakes=_mistakes("sum"), methods=("sum",), facts={"of_nothing": 0}
)
def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The sum over ``axis`` (an axis, several, or all of them), 0 over nothing.

    Bools and small integers are summed as 64-bit integers, which wrap around; floats in their own dtype.

    Example:
        >>> x = relax.Var("x", relax.TensorType((relax.dims("m"), 4), "uint8"))
        >>> print(relax.sum(x, axis=1).type)
        relax.Tensor((m,), "uint64")

    Source: ``numpy.sum``.
    """
    return _accumulate("sum", x, axis, keepdims, te.sum)


@operator(
    "prod", reference=np.prod, samples=_SAMPLES, mistakes=_mistakes("prod"), methods=("prod",), facts={"of_nothing": 1}
)
def prod(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The product over ``axis`` (an axis, several, or all of them), 1 over nothing; dtypes as for :func:`sum`.

    Source: ``numpy.prod``.
    """
    return _accumulate("prod", x, axis, keepdims, te.prod)


@operator("mean", reference=quiet(np.mean), samples=_SAMPLES, mistakes=_mistakes("mean"), methods=("mean",))
def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The mean over ``axis`` (an axis, several, or all of them), NaN over nothing. Integers and bools give float64.

    Example:
        >>> x = relax.Var("x", relax.TensorType((relax.dims("m"), 4), "int32"))
        >>> print(relax.mean(x, axis=0, keepdims=True).type)
        relax.Tensor((1, 4), "float64")

    Source: ``numpy.mean``.
    """
    x = require_tensor("mean", "x", x)
    dtype, axes = _mean_dtype(x.dtype), axes_of("mean", x, axis)
    return mean_over(x.shape, axes, lambda *i: x[i].astype(dtype), name="mean", keepdims=keepdims)


@operator(
    "variance", reference=quiet(np.var), samples=_SAMPLES, mistakes=_mistakes("variance"), methods=("variance", "var")
)
def variance(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The mean squared deviation from the mean over ``axis``, NaN over nothing; dtypes as for :func:`mean`.

    Two passes (the mean first), so that nothing cancels.

    Source: ``numpy.var`` with ``ddof=0``.
    """
    return _variance("variance", x, axis, keepdims)


@operator("std", reference=quiet(np.std), samples=_SAMPLES, mistakes=_mistakes("std"), methods=("std",))
def std(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The standard deviation over ``axis``: the square root of :func:`variance`.

    Source: ``numpy.std`` with ``ddof=0``.
    """
    squares = _variance("std", x, axis, keepdims)
    return te.compute(squares.shape, lambda *i: te.sqrt(squares[i]), name="std")


# -------------------------------------------------------------------------------------------------------------- extrema


def _extremum(name: str, x: Operand, axis: Axis, keepdims: bool, combine: Combine) -> te.Tensor:
    x = require_tensor(name, "x", x)
    axes = axes_of(name, x, axis)
    _require_elements(name, x, axes)
    return reduce_over(x.shape, axes, combine, lambda *i: x[i], name=name, keepdims=keepdims)


def _require_elements(name: str, x: te.Tensor, axes: Sequence[int]) -> None:
    """Nothing has no extremum; a size that is known only at run time is checked there."""
    for axis in axes:
        message = f"{name}: axis {axis} of {x.name} has size 0, and nothing has no {name}"
        if x.shape[axis] == 0:
            raise ShapeError(message, details=[describe(x)])
        require_at_least(x.shape[axis], 1, message)


def _extremum_mistakes(name: str) -> list[Any]:
    nothing = f"{name}: axis 1 of x has size 0, and nothing has no {name}\n   x : Tensor((m, 0), float32)"
    return [mistake(ShapeError, nothing, tensor("m", 0), axis=1)]


@operator(
    "max",
    reference=np.max,
    samples=_NONEMPTY_SAMPLES,
    mistakes=_mistakes("max") + _extremum_mistakes("max"),
    methods=("max",),
)
def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The greatest element over ``axis`` (an axis, several, or all of them); NaN if there is one.

    Over a symbolic size that is 0 at run time, where NumPy raises, it is the dtype's least value (-inf for floats).

    Raises:
        ShapeError: a reduced axis has size 0.

    Source: ``numpy.max``.
    """
    return _extremum("max", x, axis, keepdims, te.max)


@operator(
    "min",
    reference=np.min,
    samples=_NONEMPTY_SAMPLES,
    mistakes=_mistakes("min") + _extremum_mistakes("min"),
    methods=("min",),
)
def min(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """The least element over ``axis`` (an axis, several, or all of them); NaN if there is one.

    Over a symbolic size that is 0 at run time, where NumPy raises, it is the dtype's greatest value (inf for floats).

    Raises:
        ShapeError: a reduced axis has size 0.

    Source: ``numpy.min``.
    """
    return _extremum("min", x, axis, keepdims, te.min)


def _first_best(
    name: str, is_better: Callable[[ScalarExpr, ScalarExpr], ScalarExpr], worst: Callable[[str], ScalarExpr]
) -> Combine:
    """The reduction of pairs (index, value) to the best value's index, of equals the least; NaN is better than all."""

    def left_wins(left: Sequence[ScalarExpr], right: Sequence[ScalarExpr]) -> ScalarExpr:
        (left_index, left_value), (right_index, right_value) = left, right
        wins, ties = is_better(left_value, right_value), left_value.equal(right_value)
        if is_float(left_value.dtype):
            left_nan, right_nan = te.isnan(left_value), te.isnan(right_value)
            wins = te.logical_or(wins, te.logical_and(left_nan, te.logical_not(right_nan)))
            ties = te.logical_or(ties, te.logical_and(left_nan, right_nan))
        return te.logical_or(wins, te.logical_and(ties, left_index < right_index))

    def pick(left: Sequence[ScalarExpr], right: Sequence[ScalarExpr]) -> tuple[ScalarExpr, ...]:
        wins = left_wins(left, right)
        return tuple(te.if_then_else(wins, a, b) for a, b in zip(left, right, strict=True))

    reduce_pairs = te.comm_reducer(pick, lambda index, dtype: (te.max_value(index), worst(dtype)), name=name)
    return lambda pairs, axes: reduce_pairs(pairs, axes)[0]  # type: ignore[index]


def _lowest(dtype: str) -> ScalarExpr:
    return te.negative(te.infinity(dtype)) if is_float(dtype) else te.min_value(dtype)


def _highest(dtype: str) -> ScalarExpr:
    return te.infinity(dtype) if is_float(dtype) else te.max_value(dtype)


_argmax = _first_best("argmax", te.greater, _lowest)
_argmin = _first_best("argmin", te.less, _highest)


def _index_of_best(name: str, x: Operand, axis: int | None, keepdims: bool, combine: Combine) -> te.Tensor:
    x = require_tensor(name, "x", x)
    axes = axes_of(name, x, None) if axis is None else (axis_of(name, x, axis),)
    _require_elements(name, x, axes)

    def index_and_value(*index: Dim) -> tuple[ScalarLike, ...]:
        return ravel([index[each] for each in axes], [x.shape[each] for each in axes]), x[index]

    if not axes:
        return te.compute((), lambda: te.const(0, "int64"), name=name)
    return reduce_over(x.shape, axes, combine, index_and_value, name=name, keepdims=keepdims)


_ARG_SAMPLES = [
    sample(tensor("m", 3), sizes=(1, 2, 7)),
    sample(tensor("m", "n"), axis=1, sizes=(1, 2, 7)),
    sample(tensor("m", 4, dtype="float64"), axis=-1),
    sample(tensor("m", 4, 2), axis=1, keepdims=True),
    sample(tensor("m", 2), keepdims=True, sizes=(1, 2, 7)),
    sample(tensor()),
    # Few distinct values, so that the first of equals is asked for.
    sample(tensor("m", 9, dtype="int32", low=0, high=3), axis=1),
    sample(tensor("m", dtype="bool"), axis=0, sizes=(1, 2, 7)),
]


def _arg_mistakes(name: str) -> list[Any]:
    not_an_axis = f"{name}: axis (0, 1) is not an integer\n   x : Tensor((m, 3), float32)"
    return [
        _mistakes(name)[0],
        mistake(ShapeError, not_an_axis, tensor("m", 3), axis=(0, 1)),
        *_extremum_mistakes(name),
    ]


@operator("argmax", reference=np.argmax, samples=_ARG_SAMPLES, mistakes=_arg_mistakes("argmax"), methods=("argmax",))
def argmax(x: Operand, axis: int | None = None, keepdims: bool = False) -> te.Tensor:
    """The int64 position of the greatest element along ``axis``, or in the flattened tensor.

    It is the first of equals, or the first NaN.

    Over a symbolic size that is 0 at run time, where NumPy raises, it is the greatest int64, which is no position.

    Raises:
        ShapeError: the axis has size 0, or does not exist.

    Source: ``numpy.argmax``.
    """
    return _index_of_best("argmax", x, axis, keepdims, _argmax)


@operator("argmin", reference=np.argmin, samples=_ARG_SAMPLES, mistakes=_arg_mistakes("argmin"), methods=("argmin",))
def argmin(x: Operand, axis: int | None = None, keepdims: bool = False) -> te.Tensor:
    """The int64 position of the least element along ``axis``, or in the flattened tensor.

    It is the first of equals, or the first NaN.

    Over a symbolic size that is 0 at run time, where NumPy raises, it is the greatest int64, which is no position.

    Raises:
        ShapeError: the axis has size 0, or does not exist.

    Source: ``numpy.argmin``.
    """
    return _index_of_best("argmin", x, axis, keepdims, _argmin)


# ---------------------------------------------------------------------------------------------------------------- truth


def _truth(name: str, x: Operand, axis: Axis, keepdims: bool, combine: Combine) -> te.Tensor:
    x = require_tensor(name, "x", x)
    axes = axes_of(name, x, axis)
    return reduce_over(x.shape, axes, combine, lambda *i: te.cast(x[i], "bool"), name=name, keepdims=keepdims)


@operator(
    "all", reference=np.all, samples=_SAMPLES, mistakes=_mistakes("all"), methods=("all",), facts={"of_nothing": True}
)
def all(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """Whether every element over ``axis`` is true (not zero; NaN is true); True for nothing.

    Source: ``numpy.all``.
    """
    return _truth("all", x, axis, keepdims, te.all)


@operator(
    "any", reference=np.any, samples=_SAMPLES, mistakes=_mistakes("any"), methods=("any",), facts={"of_nothing": False}
)
def any(x: Operand, axis: Axis = None, keepdims: bool = False) -> te.Tensor:
    """Whether some element over ``axis`` is true (not zero; NaN is true); False for nothing.

    Source: ``numpy.any``.
    """
    return _truth("any", x, axis, keepdims, te.any)
