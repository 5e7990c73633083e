"""TE programs, compiled, against NumPy: over sizes 0, 1, 2, 7, 33 with symbolic dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_programs import random_array, run
from scipy import special

from relaxdsl.ir.te import Tensor
from relaxdsl.kernels import te
from relaxdsl.types.dims import dims, evaluate

m, n, p = dims("m n p")
SIZES = [(0, 0, 0), (1, 1, 1), (2, 0, 3), (0, 3, 2), (1, 2, 7), (7, 33, 5), (33, 7, 2)]
ATOL = 2e-5

x = te.placeholder((m, n), name="x")
y = te.placeholder((m, n), name="y")

Case = tuple[list[Tensor], Any, Callable[..., Any]]


def case_gelu() -> Case:
    hidden = te.compute((m, n), lambda i, j: x[i, j] * y[i, j] + 1.0, "hidden")
    out = te.compute((m, n), lambda i, j: hidden[i, j] * 0.5 * (1 + te.erf(hidden[i, j] * 0.70710678)), "out")

    def expected(x, y):
        h = x * y + 1
        return h * 0.5 * (1 + special.erf(h * 0.70710678))

    return [x, y], out, expected


def case_softmax() -> Case:
    k, k2 = te.reduce_axis(n, "k"), te.reduce_axis(n, "k")
    peak = te.compute((m,), lambda i: te.max(x[i, k], axis=k), "peak")
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j] - peak[i]), "e")
    total = te.compute((m,), lambda i: te.sum(e[i, k2], axis=k2), "total")
    return (
        [x],
        te.compute((m, n), lambda i, j: e[i, j] / total[i], "out"),
        lambda x: special.softmax(x, axis=1) if x.size else x,
    )


def case_softmax_of_columns() -> Case:
    k, k2 = te.reduce_axis(m, "k"), te.reduce_axis(m, "k")
    peak = te.compute((n,), lambda j: te.max(x[k, j], axis=k), "peak")
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j] - peak[j]), "e")
    total = te.compute((n,), lambda j: te.sum(e[k2, j], axis=k2), "total")
    return (
        [x],
        te.compute((m, n), lambda i, j: e[i, j] / total[j], "out"),
        lambda x: special.softmax(x, axis=0) if x.size else x,
    )


def case_layer_norm() -> Case:
    scale, shift = te.placeholder((n,), name="scale"), te.placeholder((n,), name="shift")
    k, k2 = te.reduce_axis(n, "k"), te.reduce_axis(n, "k")
    total = te.compute((m,), lambda i: te.sum(x[i, k], axis=k), "total")
    mean = te.compute((m,), lambda i: total[i] / n, "mean")
    spread = te.compute((m,), lambda i: te.sum((x[i, k2] - mean[i]) * (x[i, k2] - mean[i]), axis=k2), "spread")
    out = te.compute(
        (m, n), lambda i, j: (x[i, j] - mean[i]) * te.rsqrt(spread[i] / n + 1e-5) * scale[j] + shift[j], "out"
    )

    def expected(x, scale, shift):
        if not x.size:
            return x
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * scale + shift

    return [x, scale, shift], out, expected


argmax = te.comm_reducer(
    lambda left, right: (
        te.if_then_else(_is_before(left, right), left[0], right[0]),
        te.if_then_else(_is_before(left, right), left[1], right[1]),
    ),
    lambda index, value: (te.const(-1, index), -te.infinity(value)),
    name="argmax",
)


def _is_before(left, right):
    first = te.logical_and(te.equal(left[1], right[1]), left[0] < right[0], left[0] >= 0)
    return te.logical_or(left[1] > right[1], first)


def case_argmax() -> Case:
    k = te.reduce_axis(n, "k")
    out = te.compute((m,), lambda i: argmax((te.cast(k, "int64"), x[i, k]), axis=k)[0], "out")
    return [x], out, lambda x: x.argmax(1) if x.shape[1] else np.full(len(x), -1)


def case_argmax_and_max() -> Case:
    k = te.reduce_axis(n, "k")
    out = te.compute((m,), lambda i: argmax((te.cast(k, "int64"), x[i, k]), axis=k), "out")
    return (
        [x],
        out,
        lambda x: (x.argmax(1), x.max(1)) if x.shape[1] else (np.full(len(x), -1), np.full(len(x), -np.inf, "f")),
    )


def case_concat() -> Case:
    z = te.placeholder((p, n), name="z")
    out = te.compute((m + p, n), lambda i, j: te.if_then_else(i < m, x[i, j], z[i - m, j]), "out")
    return [x, z], out, lambda x, z: np.concatenate([x, z])


def case_pad() -> Case:
    inside = lambda i, j: te.logical_and(i >= 1, i < m + 1, j >= 2, j < n + 2)  # noqa: E731
    out = te.compute((m + 2, n + 3), lambda i, j: te.if_then_else(inside(i, j), x[i - 1, j - 2], 0.5), "out")
    return [x], out, lambda x: np.pad(x, ((1, 1), (2, 1)), constant_values=0.5)


def case_transpose_between_stages() -> Case:
    turned = te.compute((n, m), lambda i, j: te.exp(x[j, i]), "turned")
    return [x, y], te.compute((m, n), lambda i, j: turned[j, i] * 2 + y[i, j], "out"), lambda x, y: np.exp(x) * 2 + y


def case_transpose_of_the_output() -> Case:
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j]), "e")
    return (
        [x],
        te.compute((n, m), lambda i, j: e[j, i] - e[j, i] * e[j, i], "out"),
        lambda x: (np.exp(x) - np.exp(x) ** 2).T,
    )


def case_reshape() -> Case:
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j]), "e")
    return [x], te.compute((m * n,), lambda f: e[f // n, f % n] * 2, "out"), lambda x: np.exp(x).reshape(-1) * 2


def case_unflatten() -> Case:
    flat = te.placeholder((m * n,), name="flat")
    return [flat], te.compute((m, n), lambda i, j: flat[i * n + j] + 1, "out"), lambda flat: flat + 1


def case_sum_of_columns() -> Case:
    k = te.reduce_axis(m, "k")
    return [x], te.compute((n,), lambda j: te.sum(x[k, j], axis=k), "out"), lambda x: x.sum(0)


def case_sum_of_all() -> Case:
    k, j = te.reduce_axis(m, "k"), te.reduce_axis(n, "j")
    return [x], te.compute((), lambda: te.sum(x[k, j], axis=(k, j)), "out"), lambda x: x.sum()


def case_sum_of_a_part() -> Case:
    k = te.reduce_axis((1, n + 1), "k")
    z = te.placeholder((m, n + 2), name="z")
    return [z], te.compute((m,), lambda i: te.sum(z[i, k], axis=k), "out"), lambda z: z[:, 1:-1].sum(1)


def case_middle_axis() -> Case:
    z = te.placeholder((m, n, p), name="z")
    k = te.reduce_axis(n, "k")
    return [z], te.compute((m, p), lambda i, j: te.max(z[i, k, j], axis=k), "out"), lambda z: z.max(1, initial=-np.inf)


def case_matmul_with_bias_and_relu() -> Case:
    w, bias = te.placeholder((n, p), name="w"), te.placeholder((p,), name="bias")
    k = te.reduce_axis(n, "k")
    product = te.compute((m, p), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), "product")
    out = te.compute((m, p), lambda i, j: te.maximum(product[i, j] + bias[j], 0.0), "out")
    return [x, w, bias], out, lambda x, w, bias: np.maximum(x @ w + bias, 0)


def case_matmul_of_transposed() -> Case:
    w = te.placeholder((p, n), name="w")
    k = te.reduce_axis(n, "k")
    return [x, w], te.compute((m, p), lambda i, j: te.sum(x[i, k] * w[j, k], axis=k), "out"), lambda x, w: x @ w.T


def case_matmul_of_scaled_bytes() -> Case:
    """The right operand is evaluated where it is packed."""
    w, scale = te.placeholder((n, p), "int8", "w"), te.placeholder((p,), name="scale")
    k = te.reduce_axis(n, "k")
    scaled = te.compute((n, p), lambda i, j: w[i, j].astype("float32") * scale[j], "scaled")
    out = te.compute((m, p), lambda i, j: te.sum(x[i, k] * scaled[k, j], axis=k), "out")
    return [x, w, scale], out, lambda x, w, scale: x @ (w * scale)


def case_matmul_of_activation() -> Case:
    w = te.placeholder((n, p), name="w")
    k = te.reduce_axis(n, "k")
    hidden = te.compute((m, n), lambda i, j: te.tanh(x[i, j]), "hidden")
    return (
        [x, w],
        te.compute((m, p), lambda i, j: te.sum(hidden[i, k] * w[k, j], axis=k), "out"),
        lambda x, w: np.tanh(x) @ w,
    )


def case_batched_matmul() -> Case:
    a, b = te.placeholder((p, m, n), name="a"), te.placeholder((p, n, 3), name="b")
    k = te.reduce_axis(n, "k")
    return (
        [a, b],
        te.compute((p, m, 3), lambda s, i, j: te.sum(a[s, i, k] * b[s, k, j], axis=k), "out"),
        lambda a, b: a @ b,
    )


def case_convolution() -> Case:
    image, weight = te.placeholder((2, 3, m + 2, n + 2), name="image"), te.placeholder((4, 3, 3, 3), name="weight")
    c, u, v = te.reduce_axis(3, "c"), te.reduce_axis(3, "u"), te.reduce_axis(3, "v")
    body = lambda b, o, i, j: te.sum(image[b, c, i + u, j + v] * weight[o, c, u, v], axis=(c, u, v))  # noqa: E731

    def expected(image, weight):
        if min(image.shape[2:]) < 3:
            return np.zeros((2, 4, image.shape[2] - 2, image.shape[3] - 2), "f")
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
        return np.einsum("bcijuv,ocuv->boij", windows, weight)

    return [image, weight], te.compute((2, 4, m, n), body, "out"), expected


def case_prefix_sums() -> Case:
    k = te.reduce_axis(n, "k")
    out = te.compute((m, n), lambda i, j: te.sum(te.if_then_else(k <= j, x[i, k], 0.0), axis=k), "out")
    return [x], out, lambda x: np.cumsum(x, axis=1, dtype="f")


def case_gather() -> Case:
    index = te.placeholder((p,), "int32", "index")
    table = te.placeholder((10, n), name="table")
    out = te.compute((p, n), lambda i, j: table[te.abs(index[i]), j], "out")
    return [table, index], out, lambda table, index: table[np.abs(index)]


def case_predicates() -> Case:
    k = te.reduce_axis(n, "k")
    positive = te.compute((m,), lambda i: te.all(x[i, k] > -1.0, axis=k), "positive")
    some = te.compute((m,), lambda i: te.any(te.isnan(te.sqrt(x[i, k])), axis=k), "some")
    return [x], (positive, some), lambda x: ((x > -1).all(1), (x < 0).any(1))


def case_min_and_prod() -> Case:
    k, k2 = te.reduce_axis(n, "k"), te.reduce_axis(n, "k")
    least = te.compute((m,), lambda i: te.min(x[i, k], axis=k), "least")
    product = te.compute((m,), lambda i: te.prod(x[i, k2], axis=k2), "product")
    return [x], (least, product), lambda x: (x.min(1, initial=np.inf), x.prod(1))


def case_counting() -> Case:
    k = te.reduce_axis(n, "k")
    return [x], te.compute((m,), lambda i: te.sum(x[i, k] > 0.0, axis=k), "out"), lambda x: (x > 0).sum(1)


def case_output_used_by_a_stage() -> Case:
    first = te.compute((m, n), lambda i, j: x[i, j] + 1, "first")
    second = te.compute((m, n), lambda i, j: first[i, j] * first[i, j], "second")
    return [x], (first, second, x), lambda x: (x + 1, (x + 1) ** 2, x)


def case_polynomial_by_a_python_loop() -> Case:
    def horner(value):
        total = te.const(0.0, "float32")
        for coefficient in (0.5, -1.0, 2.0):
            total = total * value + coefficient
        return total

    return [x], te.compute((m, n), lambda *axes: horner(x[axes]), "out"), lambda x: (0.5 * x - 1) * x + 2


CASES = {name.removeprefix("case_"): build for name, build in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", CASES)
def test_against_numpy(name):
    inputs, outputs, reference = CASES[name]()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for sizes in (dict(zip("mnp", each, strict=True)) for each in SIZES):
        arrays = [
            random_array([evaluate(size, sizes) for size in each.shape], each.dtype, seed)
            for seed, each in enumerate(inputs)
        ]
        with np.errstate(invalid="ignore"):
            wanted = reference(*arrays)
        for got, want in zip(
            run(inputs, outputs, arrays, **sizes), wanted if len(outputs) > 1 else [wanted], strict=True
        ):
            np.testing.assert_allclose(got, np.reshape(want, got.shape), rtol=1e-4, atol=ATOL)
