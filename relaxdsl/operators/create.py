"""Operators that make tensors: from a shape and a value, a range, an identity; and the triangles of a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.scalar import Const, ScalarExpr, as_scalar
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.operands import common_dtype, describe, element, require_ndim, require_tensor, shape_of
from relaxdsl.operators.registry import Mistake, Operand, mistake, sample, tensor
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt, ceildiv, dim_max, symbol
from relaxdsl.types.dtype import canonical_dtype, is_bool, is_float

M = symbol("m")
N = symbol("n")

NEGATIVE_SIZE = "{name}: axis 0 has the negative size -1"
NOT_A_SHAPE = "{name}: axis 1 has size 2.5, which is not an integer"


# ----------------------------------------------------------------------------------------------------------- attributes


def shape_attribute(operator_name: str, shape: object) -> tuple[Dim, ...]:
    """A shape as a user gives it (a size, a sequence of sizes, a shape value) as a tuple of dims.

    Raises:
        ShapeError: something in it is not a size, or a size is negative.
    """
    if isinstance(shape, Expr):
        raise ShapeError(
            f"{operator_name}: the shape must be known as sizes, got {shape.type}",
            hint="name its sizes first: shape = relax.match_cast(shape, relax.Shape((m, n)))",
        )
    sizes = shape if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)
    return tuple(_size(operator_name, axis, size) for axis, size in enumerate(sizes))


def _size(operator_name: str, axis: int, size: object) -> Dim:
    if isinstance(size, SymInt):
        return size
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        raise ShapeError(f"{operator_name}: axis {axis} has size {size!r}, which is not an integer")
    number: int = size.__index__()
    if number < 0:
        raise ShapeError(f"{operator_name}: axis {axis} has the negative size {number}")
    return number


def _offset(operator_name: str, k: object) -> Dim:
    """The diagonal ``k``, which counts from the main one."""
    if isinstance(k, SymInt) or (isinstance(k, int) and not isinstance(k, bool)):
        return k
    raise ShapeError(f"{operator_name}: k must be an integer, got {k!r}")


def _filled(name: str, shape: tuple[Dim, ...], value: ScalarExpr) -> te.Tensor:
    return te.compute(shape, lambda *axes: value, name=name)


# --------------------------------------------------------------------------------------------------------- from a shape


@operator(
    "full",
    reference=lambda shape, fill_value, dtype=None: np.full(shape, fill_value, dtype),
    samples=[
        sample((M, 3), 2.5),
        sample(M, 7),
        sample((M,), 2.5, dtype="float32"),
        sample((2, 2 * M), tensor(dtype="int32"), dtype="float64"),
        sample((), True),
        sample((M,), M, dtype="int32"),
    ],
    mistakes=[
        mistake(ShapeError, NEGATIVE_SIZE.format(name="full"), (-1, 2), 0.0),
        mistake(ShapeError, NOT_A_SHAPE.format(name="full"), (2, 2.5), 0.0),
        mistake(
            ShapeError,
            "full: fill_value must be a number or a 0-d tensor, got 1 dimension\n   fill_value : Tensor((m,), float32)",
            (2,),
            tensor("m"),
        ),
        mistake(DTypeError, "full: fill_value: 300 does not fit into uint8", (2,), 300, dtype="uint8"),
    ],
)
def full(shape: Any, fill_value: Operand, dtype: str | None = None) -> te.Tensor:
    """A tensor of ``fill_value``, of its dtype or of ``dtype``.

    Args:
        shape: a size, a tuple of sizes, or a shape value.
        fill_value: a number or a 0-d tensor.

    Example:
        >>> print(relax.full((2, 3), 0.5).type)
        relax.Tensor((2, 3), "float64")

    Source: ``numpy.full``.
    """
    target = common_dtype(fill_value) if dtype is None else canonical_dtype(dtype)
    return _filled("full", shape_attribute("full", shape), _fill_element("full", fill_value, target))


def _fill_element(operator_name: str, fill_value: Operand, dtype: str) -> ScalarExpr:
    """The value of every element: the number or the 0-d tensor's element, as ``dtype``."""
    if shape_of(fill_value) != ():
        given = require_tensor(operator_name, "fill_value", fill_value)
        got = counted(given.ndim, "dimension")
        raise ShapeError(
            f"{operator_name}: fill_value must be a number or a 0-d tensor, got {got}",
            details=[describe(given)],
        )
    value = as_scalar(element(fill_value, ()))
    if isinstance(value, Const) and not _fits(value, dtype):
        raise DTypeError(f"{operator_name}: fill_value: {value.value} does not fit into {dtype}")
    return te.cast(value, dtype)


def _fits(value: Const, dtype: str) -> bool:
    """Whether a number can be converted to ``dtype``; losing a fraction is a conversion, leaving the range is not."""
    if is_float(dtype) or is_bool(dtype):
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value.value) and int(limits.min) <= int(value.value) <= int(limits.max)


@operator(
    "full_like",
    reference=lambda x, fill_value, dtype=None: np.full_like(x, fill_value, dtype),
    samples=[
        sample(tensor("m", 3), 2.5),
        sample(tensor("m", dtype="int32"), 7),
        sample(tensor("m", dtype="int32"), 2.5, dtype="float32"),
        sample(tensor("m", 2), tensor(dtype="int8")),
    ],
    mistakes=[
        mistake(DTypeError, "full_like: fill_value: 300 does not fit into uint8", tensor("m", dtype="uint8"), 300),
        mistake(
            ShapeError,
            "full_like: fill_value must be a number or a 0-d tensor, got 2 dimensions\n"
            "   fill_value : Tensor((m, 2), float32)",
            tensor("m"),
            tensor("m", 2),
        ),
    ],
)
def full_like(x: Operand, fill_value: Operand, dtype: str | None = None) -> te.Tensor:
    """A tensor of ``fill_value``, of the shape and dtype of ``x`` (or of ``dtype``).

    Example:
        >>> print(relax.full_like(np.ones(3, "int8"), 5).type)
        relax.Tensor((3,), "int8")

    Source: ``numpy.full_like``.
    """
    target = common_dtype(x) if dtype is None else canonical_dtype(dtype)
    return _filled("full_like", shape_of(x), _fill_element("full_like", fill_value, target))


@operator(
    "zeros",
    reference=lambda shape, dtype="float64": np.zeros(shape, dtype),
    samples=[sample((M, 3)), sample(M, "int32"), sample((2, N, M + 1), dtype="float32"), sample((), "bool")],
    mistakes=[
        mistake(ShapeError, NEGATIVE_SIZE.format(name="zeros"), (-1, 2)),
        mistake(ShapeError, NOT_A_SHAPE.format(name="zeros"), (2, 2.5)),
    ],
)
def zeros(shape: Any, dtype: str = "float64") -> te.Tensor:
    """A tensor of zeros; ``shape`` is a size, a tuple of sizes, or a shape value.

    Example:
        >>> print(relax.zeros((2, 3), "float32").type)
        relax.Tensor((2, 3), "float32")

    Source: ``numpy.zeros``.
    """
    return _filled("zeros", shape_attribute("zeros", shape), te.const(0, dtype))


@operator(
    "ones",
    reference=lambda shape, dtype="float64": np.ones(shape, dtype),
    samples=[sample((M, 3)), sample(M, "uint8"), sample((2, M * N), dtype="float32"), sample((), "bool")],
    mistakes=[
        mistake(ShapeError, NEGATIVE_SIZE.format(name="ones"), (-1, 2)),
        mistake(ShapeError, NOT_A_SHAPE.format(name="ones"), (2, 2.5)),
    ],
)
def ones(shape: Any, dtype: str = "float64") -> te.Tensor:
    """A tensor of ones; ``shape`` is a size, a tuple of sizes, or a shape value.

    Example:
        >>> print(relax.ones(3).type)
        relax.Tensor((3,), "float64")

    Source: ``numpy.ones``.
    """
    return _filled("ones", shape_attribute("ones", shape), te.const(1, dtype))


@operator(
    "zeros_like",
    reference=lambda x, dtype=None: np.zeros_like(x, dtype),
    samples=[sample(tensor("m", 3)), sample(tensor("m", dtype="int8")), sample(tensor(2, "m"), dtype="bool")],
    mistakes=[mistake(DTypeError, "unknown dtype 'float23'\n   hint: did you mean 'float32'?", tensor("m"), "float23")],
)
def zeros_like(x: Operand, dtype: str | None = None) -> te.Tensor:
    """A tensor of zeros, of the shape and dtype of ``x`` (or of ``dtype``).

    Example:
        >>> print(relax.zeros_like(np.ones(3, "int8")).type)
        relax.Tensor((3,), "int8")

    Source: ``numpy.zeros_like``.
    """
    return _filled("zeros_like", shape_of(x), te.const(0, common_dtype(x) if dtype is None else dtype))


@operator(
    "ones_like",
    reference=lambda x, dtype=None: np.ones_like(x, dtype),
    samples=[sample(tensor("m", 3)), sample(tensor("m", dtype="int8")), sample(tensor(2, "m"), dtype="bool")],
    mistakes=[mistake(DTypeError, "unknown dtype 'float23'\n   hint: did you mean 'float32'?", tensor("m"), "float23")],
)
def ones_like(x: Operand, dtype: str | None = None) -> te.Tensor:
    """A tensor of ones, of the shape and dtype of ``x`` (or of ``dtype``).

    Example:
        >>> print(relax.ones_like(np.ones(3, "int8"), "float32").type)
        relax.Tensor((3,), "float32")

    Source: ``numpy.ones_like``.
    """
    return _filled("ones_like", shape_of(x), te.const(1, common_dtype(x) if dtype is None else dtype))


# ------------------------------------------------------------------------------------------------------------- matrices


def _identity(name: str, rows: Dim, columns: Dim, k: Dim, dtype: str) -> te.Tensor:
    return te.compute((rows, columns), lambda i, j: te.cast(te.equal(j, i + k), dtype), name=name)


@operator(
    "eye",
    reference=lambda n, m=None, k=0, dtype="float64": np.eye(n, m, k, dtype=dtype),
    samples=[sample(M), sample(M, 3, dtype="float32"), sample(3, M, 1, "int32"), sample(M, N, -1, "bool")],
    mistakes=[
        mistake(ShapeError, NEGATIVE_SIZE.format(name="eye"), -1),
        mistake(ShapeError, NOT_A_SHAPE.format(name="eye"), 2, 2.5),
        mistake(ShapeError, "eye: k must be an integer, got 0.5", 2, k=0.5),
    ],
)
def eye(n: Any, m: Any = None, k: Any = 0, dtype: str = "float64") -> te.Tensor:
    """A matrix of n rows and m columns (n without it) with ones on the k-th diagonal, zeros elsewhere.

    Example:
        >>> print(relax.eye(3, dtype="float32").type)
        relax.Tensor((3, 3), "float32")

    Source: ``numpy.eye``.
    """
    rows, columns = shape_attribute("eye", (n, n if m is None else m))
    return _identity("eye", rows, columns, _offset("eye", k), dtype)


@operator(
    "eye_like",
    reference=lambda x, k=0, dtype=None: np.eye(x.shape[0], x.shape[1], k, dtype=dtype or x.dtype),
    samples=[sample(tensor("m", "n")), sample(tensor("m", 3, dtype="int8"), 1), sample(tensor(3, "m"), dtype="bool")],
    mistakes=[
        mistake(ShapeError, "eye_like: x must have 2 dimensions, got 1\n   x : Tensor((m,), float32)", tensor("m")),
        mistake(ShapeError, "eye_like: k must be an integer, got 0.5", tensor("m", "n"), 0.5),
    ],
)
def eye_like(x: Operand, k: Any = 0, dtype: str | None = None) -> te.Tensor:
    """A matrix of the shape and dtype of ``x`` (or of ``dtype``) with ones on the k-th diagonal, zeros elsewhere.

    Example:
        >>> print(relax.eye_like(np.ones((3, 2), "int8")).type)
        relax.Tensor((3, 2), "int8")
    """
    rows, columns = require_ndim("eye_like", x, 2).shape
    return _identity("eye_like", rows, columns, _offset("eye_like", k), common_dtype(x) if dtype is None else dtype)


TRIANGLE_SAMPLES = (
    sample(tensor("m", "n")),
    sample(tensor(2, "m", 3), 1),
    sample(tensor("m", "m", dtype="int32"), -1),
    sample(tensor("m", 3), k=M),
)


def _triangle_mistakes(name: str) -> list[Mistake]:
    return [
        mistake(
            ShapeError,
            f"{name}: x must have at least 2 dimensions, got 1\n   x : Tensor((m,), float32)",
            tensor("m"),
        ),
        mistake(ShapeError, f"{name}: k must be an integer, got 0.5", tensor("m", "n"), 0.5),
    ]


def _triangle(name: str, x: Operand, k: object, is_kept: Callable[[Dim, Dim], ScalarExpr]) -> te.Tensor:
    """The elements of the last two axes for which ``is_kept(column, row + k)`` holds; zero elsewhere."""
    matrix = require_tensor(name, "x", x)
    if matrix.ndim < 2:
        raise ShapeError(f"{name}: x must have at least 2 dimensions, got {matrix.ndim}", details=[describe(matrix)])
    offset = _offset(name, k)
    return te.compute(
        matrix.shape,
        lambda *axes: te.if_then_else(is_kept(axes[-1], axes[-2] + offset), matrix[axes], te.const(0, matrix.dtype)),
        name=name,
    )


@operator("tril", reference=np.tril, samples=TRIANGLE_SAMPLES, mistakes=_triangle_mistakes("tril"))
def tril(x: Operand, k: Any = 0) -> te.Tensor:
    """``x`` with zeros above the k-th diagonal of its last two axes.

    Example:
        >>> print(relax.tril(np.ones((3, 3))).type)
        relax.Tensor((3, 3), "float64")

    Source: ``numpy.tril``.
    """
    return _triangle("tril", x, k, te.less_equal)


@operator("triu", reference=np.triu, samples=TRIANGLE_SAMPLES, mistakes=_triangle_mistakes("triu"))
def triu(x: Operand, k: Any = 0) -> te.Tensor:
    """``x`` with zeros below the k-th diagonal of its last two axes.

    Example:
        >>> print(relax.triu(np.ones((3, 3))).type)
        relax.Tensor((3, 3), "float64")

    Source: ``numpy.triu``.
    """
    return _triangle("triu", x, k, te.greater_equal)


# --------------------------------------------------------------------------------------------------------------- ranges


def _numpy_range(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    first, last = (0, start) if end is None else (start, end)
    return np.arange(first, last, step, dtype=dtype)


@operator(
    "arange",
    reference=_numpy_range,
    samples=[
        sample(M),
        sample(1, M, dtype="int32"),
        sample(M, 2 * M + 1, 3),
        sample(M, -3, -2),
        sample(0, M, dtype="float32"),
        sample(0.0, 1.0, 0.1),
        sample(5, 0, -0.75, dtype="float32"),
        sample(3, 1),
        sample(2.5),
    ],
    mistakes=[
        mistake(ShapeError, "arange: step is 0", 0, 5, 0),
        mistake(DTypeError, "arange: end must be a number or a size, got str", 0, "m"),
        mistake(DTypeError, "arange: dtype must be float or integer, got bool", 5, dtype="bool"),
        mistake(
            ShapeError,
            "arange: the length of a range from 0 to m in steps of 0.5 is not a size\n"
            '   hint: make a range of integers and compute with it: relax.arange(m, dtype="float32") * 0.5',
            0,
            M,
            0.5,
        ),
    ],
)
def arange(start: Any, end: Any = None, step: Any = 1, dtype: str | None = None) -> te.Tensor:
    """The numbers ``start, start + step, ...`` before ``end``; with one argument, those from 0 up to it.

    Dtypes: int64 where all arguments are integers or sizes, else float64, or ``dtype``.

    Shapes:
        ``max(0, ceildiv(end - start, step))`` for integers and sizes. Floats must be numbers known when compiling.

    Example:
        >>> print(relax.arange(2, 8, 2).type)
        relax.Tensor((3,), "int64")

    Source: ``numpy.arange``.
    """
    first, last = (0, start) if end is None else (start, end)
    _check_range(first, last, step, "start" if end is None else "end")
    is_whole = all(isinstance(bound, int | SymInt) for bound in (first, last, step))
    target = canonical_dtype(dtype) if dtype is not None else "int64" if is_whole else "float64"
    if is_bool(target):
        raise DTypeError("arange: dtype must be float or integer, got bool")
    return _whole_range(first, last, step, target) if is_whole else _float_range(first, last, step, target)


def _check_range(first: object, last: object, step: object, last_name: str) -> None:
    for name, bound in (("start", first), (last_name, last), ("step", step)):
        if not isinstance(bound, int | float | SymInt) or isinstance(bound, bool):
            raise DTypeError(f"arange: {name} must be a number or a size, got {type(bound).__name__}")
    if not isinstance(step, SymInt) and step == 0:
        raise ShapeError("arange: step is 0")


def _whole_range(first: Dim, last: Dim, step: Dim, dtype: str) -> te.Tensor:
    length = dim_max(0, ceildiv(last - first, step))
    return te.compute((length,), lambda i: te.cast(as_scalar(first + i * step), dtype), name="arange")


def _float_range(first: Any, last: Any, step: Any, dtype: str) -> te.Tensor:
    """A range of floats; as NumPy does it, the steps are of the size of the first one in ``dtype``."""
    if any(isinstance(bound, SymInt) for bound in (first, last, step)):
        raise ShapeError(
            f"arange: the length of a range from {first} to {last} in steps of {step} is not a size",
            hint='make a range of integers and compute with it: relax.arange(m, dtype="float32") * 0.5',
        )
    length = max(0, math.ceil((last - first) / step))
    start, second = np.array([first, first + step]).astype(dtype)
    delta = te.const((second - start).item(), dtype)
    return te.compute((length,), lambda i: te.const(start.item(), dtype) + te.cast(i, dtype) * delta, name="arange")
