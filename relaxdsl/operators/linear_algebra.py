"""Linear algebra: ``matmul`` (and ``@``), ``outer``, ``linear``; plain contractions, for the engine to tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import as_expr, call_context, operator, te_operand
from relaxdsl.operators.manipulate import permute_dims
from relaxdsl.operators.operands import common_dtype, describe, require_ndim, require_same_size, require_tensor
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.dims import Dim
from relaxdsl.types.dtype import canonical_dtype, is_bool
from relaxdsl.types.prove import Proof, prove_equal
from relaxdsl.types.symint import user_compares


def _reference_matmul(x1: Any, x2: Any, out_dtype: str | None = None) -> Any:
    """Integers and bools have no BLAS in NumPy either, so the dtype may be given beforehand."""
    dtype = np.result_type(x1, x2) if out_dtype is None else np.dtype(out_dtype)
    return np.matmul(x1.astype(dtype), x2.astype(dtype))


_MATMUL_SAMPLES = [
    sample(tensor("m", 4), tensor(4, "n")),
    sample(tensor("m", "k"), tensor("k", 3)),
    sample(tensor(2, "k", dtype="float64"), tensor("k", 3, dtype="float64")),
    sample(tensor("k"), tensor("k")),
    sample(tensor("k"), tensor("k", 3)),
    sample(tensor("m", "k"), tensor("k")),
    sample(tensor("b", 2, 3), tensor("b", 3, 2)),
    sample(tensor("b", 2, 3), tensor(3, 2)),
    sample(tensor("k"), tensor("b", "k", 2)),
    sample(tensor("b", 2, "k"), tensor("k")),
    sample(tensor("b", 1, 2, 3), tensor(2, 3, "n")),
    sample(tensor("m", 4, dtype="float32"), tensor(4, 2, dtype="float64")),
    sample(tensor("m", 4, dtype="int8", low=-99, high=99), tensor(4, 2, dtype="int8", low=-99, high=99)),
    sample(
        tensor("m", 4, dtype="int8", low=-99, high=99), tensor(4, 2, dtype="int8", low=-99, high=99), out_dtype="int32"
    ),
    sample(tensor("m", 4, dtype="bool"), tensor(4, 2, dtype="bool")),
]

_MATMUL_MISTAKES = [
    mistake(
        ShapeError,
        "matmul: inner dimension differs: 4 and 5\n"
        "   x1 : Tensor((n, 4), float32)   axis 1 is 4\n"
        "   x2 : Tensor((5, m), float32)   axis 0 is 5",
        tensor("n", 4),
        tensor(5, "m"),
    ),
    mistake(
        ShapeError,
        "matmul: inner dimension differs: 4 and 5\n"
        "   x1 : Tensor((n, 4), float32)   axis 1 is 4\n"
        "   x2 : Tensor((5, 4), float32)   axis 0 is 5\n"
        "   hint: the last axis of x2 would fit: transpose x2, as in x1 @ x2.T",
        tensor("n", 4),
        tensor(5, 4),
    ),
    mistake(
        ShapeError,
        "matmul: inner dimension differs: 4 and 5\n"
        "   x1 : Tensor((5, 4), float32)   axis 1 is 4\n"
        "   x2 : Tensor((5, m), float32)   axis 0 is 5\n"
        "   hint: the first axis of x1 would fit: transpose x1, as in x1.T @ x2",
        tensor(5, 4),
        tensor(5, "m"),
    ),
    mistake(
        ShapeError,
        "matmul: inner dimension: symbolic sizes `m` and `n` may differ\n"
        "   x1 : Tensor((2, m), float32)   axis 1 is m\n"
        "   x2 : Tensor((n, 3), float32)   axis 0 is n\n"
        "   hint: if they are always equal, name them alike (`m` in both), or match_cast one of them",
        tensor(2, "m"),
        tensor("n", 3),
    ),
    mistake(
        ShapeError,
        "matmul: inner dimension: whether `m // 2 * 2` equals `m` cannot be decided\n"
        "   x1 : Tensor((2, m // 2 * 2), float32)   axis 1 is m // 2 * 2\n"
        "   x2 : Tensor((m, 3), float32)            axis 0 is m\n"
        "   they differ for m = 1\n"
        '   hint: match_cast one of them, or check when run: @relax.function(checks="runtime")',
        tensor(2, "m // 2 * 2"),
        tensor("m", 3),
    ),
    mistake(
        ShapeError,
        "matmul: batch axis 0 differs: 2 and 3\n"
        "   x1 : Tensor((2, 4, 5), float32)   axis 0 is 2\n"
        "   x2 : Tensor((3, 5, n), float32)   axis 0 is 3",
        tensor(2, 4, 5),
        tensor(3, 5, "n"),
    ),
    mistake(
        ShapeError,
        "matmul: x2 must have at least 1 dimension, got 0\n"
        "   x2 : Tensor((), float32)\n"
        "   hint: multiply by a scalar with x * y",
        tensor("m", 4),
        tensor(),
    ),
]


@operator(
    "matmul",
    reference=_reference_matmul,
    samples=_MATMUL_SAMPLES,
    mistakes=_MATMUL_MISTAKES,
    methods=("__matmul__",),
    reflected=("__rmatmul__",),
    facts={"associative": True, "distributes_over": "add"},
)
def matmul(x1: Operand, x2: Operand, out_dtype: str | None = None) -> te.Tensor:
    """The matrix product of the last two axes; axes before them are a batch and broadcast.

    A 1-D operand is a row on the left and a column on the right, and its axis disappears from the result. Sums are
    formed in the result's dtype: the operands' common dtype, or ``out_dtype``; integers wrap around, bools combine by
    and/or.

    Shapes: ``(..., m, k) @ (..., k, n) -> (..., m, n)``.

    Raises:
        ShapeError: the inner dimensions or the batches differ, or an operand is a scalar.

    Example:
        >>> b, m = relax.dims("b m")
        >>> x = relax.Var("x", relax.TensorType((b, m, 4), "float32"))
        >>> w = relax.Var("w", relax.TensorType((4, 3), "float32"))
        >>> print(relax.matmul(x, w).type)
        relax.Tensor((b, m, 3), "float32")

    Source: ``numpy.matmul``.
    """
    x1, x2 = _require_matrix(x1, "x1"), _require_matrix(x2, "x2")
    inner = _inner_dimension(x1, x2)
    batch = _batch_shape(x1, x2)
    dtype = common_dtype(x1, x2) if out_dtype is None else canonical_dtype(out_dtype)
    rows, columns = x1.shape[-2:-1], x2.shape[-1:] if x2.ndim > 1 else ()
    combine, multiply = (te.any, te.logical_and) if is_bool(dtype) else (te.sum, lambda a, b: a * b)

    def body(*i: Dim) -> ScalarExpr:
        k = te.reduce_axis(inner, name="k")
        row, column = i[len(batch) : len(batch) + len(rows)], i[len(i) - len(columns) :] if columns else ()
        left = _matrix_element(x1, i[: len(batch)], (*row, k))
        right = _matrix_element(x2, i[: len(batch)], (k, *column))
        return combine(multiply(left.astype(dtype), right.astype(dtype)), k)

    return te.compute((*batch, *rows, *columns), body, name="matmul")


def _require_matrix(operand: Operand, name: str) -> te.Tensor:
    matrix = require_tensor("matmul", name, operand)
    if matrix.ndim == 0:
        raise ShapeError(
            f"matmul: {matrix.name} must have at least 1 dimension, got 0",
            details=[describe(matrix)],
            hint="multiply by a scalar with x * y",
        )
    return matrix


def _matrix_element(x: te.Tensor, batch: Sequence[Index], matrix: Sequence[Index]) -> ScalarExpr:
    """The element at a batch index, broadcast as the operand needs it, and a matrix index."""
    own = x.shape[: x.ndim - len(matrix)]
    last = batch[len(batch) - len(own) :]
    return x[(*(0 if size == 1 else index for size, index in zip(own, last, strict=True)), *matrix)]


def _inner_axis(x2: te.Tensor) -> int:
    return max(x2.ndim - 2, 0)


def _inner_dimension(x1: te.Tensor, x2: te.Tensor) -> Dim:
    hint = _transpose_hint(x1, x2)
    return require_same_size("matmul", x1, x1.ndim - 1, x2, _inner_axis(x2), "inner dimension", hint)


def _transpose_hint(x1: te.Tensor, x2: te.Tensor) -> str | None:
    """What to transpose, where that would make the inner dimensions equal and the dimensions now differ."""
    left, right = x1.shape[-1], x2.shape[_inner_axis(x2)]
    if prove_equal(left, right) is Proof.YES:
        return None
    if x2.ndim == 2 and prove_equal(left, x2.shape[1]) is Proof.YES:
        return f"the last axis of {x2.name} would fit: transpose {x2.name}, as in {x1.name} @ {x2.name}.T"
    if x1.ndim == 2 and prove_equal(x1.shape[0], right) is Proof.YES:
        return f"the first axis of {x1.name} would fit: transpose {x1.name}, as in {x1.name}.T @ {x2.name}"
    return None


def _batch_shape(x1: te.Tensor, x2: te.Tensor) -> tuple[Dim, ...]:
    """The broadcast of the axes before the last two; messages count axes as the operands do."""
    counts = max(x1.ndim - 2, 0), max(x2.ndim - 2, 0)
    ndim = max(counts)
    return tuple(_batch_size(x1, x2, axis, (axis - ndim + counts[0], axis - ndim + counts[1])) for axis in range(ndim))


def _batch_size(x1: te.Tensor, x2: te.Tensor, axis: int, own_axes: tuple[int, int]) -> Dim:
    sizes = [x.shape[own] if own >= 0 else 1 for x, own in zip((x1, x2), own_axes, strict=True)]
    wide = [size for size in sizes if size != 1]
    if len(wide) == 2:
        return require_same_size("matmul", x1, own_axes[0], x2, own_axes[1], f"batch axis {axis}")
    return wide[0] if wide else 1


@operator(
    "outer",
    reference=np.outer,
    samples=[
        sample(tensor("m"), tensor("n")),
        sample(tensor("m", dtype="int32", low=-9, high=9), tensor(3, dtype="float32")),
        sample(tensor(1, dtype="float64"), tensor("m", dtype="float64")),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "outer: x1 must have 1 dimension, got 2\n   x1 : Tensor((m, 3), float32)",
            tensor("m", 3),
            tensor("n"),
        )
    ],
)
def outer(x1: Operand, x2: Operand) -> te.Tensor:
    """The outer product of two vectors: ``out[i, j] = x1[i] * x2[j]``.

    Shapes: ``(m,), (n,) -> (m, n)``.

    Source: ``numpy.outer``, for vectors.
    """
    x1, x2 = require_ndim("outer", x1, 1, name="x1"), require_ndim("outer", x2, 1, name="x2")
    return te.compute((x1.shape[0], x2.shape[0]), lambda i, j: x1[i] * x2[j], name="outer")


def linear(data: Expr, weight: Expr, bias: Expr | None = None) -> Expr:
    """``data @ weight.T + bias``: the layer whose weight has a row for each output, as frameworks store it.

    Shapes: ``(..., k), (n, k), (n,) -> (..., n)``.

    Raises:
        ShapeError: the weight is no matrix, or has no column for each input; the bias has another size.
    """
    data, weight = as_expr(data, "linear: data"), as_expr(weight, "linear: weight")
    with user_compares(False), call_context(accept_undecided=lambda *_: True):  # the operators decide
        _require_layer(data, weight, bias)
    product = matmul(data, permute_dims(weight))
    return product if bias is None else product + bias  # type: ignore[operator]


def _require_layer(data: Expr, weight: Expr, bias: Expr | None) -> None:
    """The operands of ``linear`` fit."""
    named = {"data": data, "weight": weight, "bias": bias}
    given = {
        name: te_operand(as_expr(each, f"linear: {name}"), name, "linear")
        for name, each in named.items()
        if each is not None
    }
    _require_sizes(given["data"], given["weight"], given.get("bias"))


def _require_sizes(data: Operand, matrix: Operand, bias: Operand | None) -> None:
    weight = require_ndim("linear", matrix, 2, name="weight", axes="the axes are (outputs, inputs)")
    if isinstance(data, te.Tensor) and data.ndim:
        is_transposed = prove_equal(data.shape[-1], weight.shape[0]) is Proof.YES
        hint = f"the weight has a row for each output: write {weight.name}.T" if is_transposed else None
        require_same_size("linear", data, data.ndim - 1, weight, 1, "inner dimension", hint)
    if isinstance(bias, te.Tensor) and bias.ndim == 1 and bias.shape[0] != 1:
        require_same_size("linear", weight, 0, bias, 0, "number of outputs")
