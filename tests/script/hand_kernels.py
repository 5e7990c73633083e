"""Kernels written by hand, one for each thing that a script may say, with what they compute in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import relaxdsl as relax
from relaxdsl import tir as T

n, m, k = relax.dims("n m k")


@dataclass(frozen=True)
class Example:
    """A kernel, its inputs' shapes and dtypes, what it computes, and the integers to pass."""

    kernel: relax.KernelFunction
    inputs: tuple[tuple[tuple[Any, ...], str], ...]
    reference: Callable[..., Any]
    integers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.kernel.__name__


@relax.prim_func
def matmul(x: T.Buffer((n, k), "float32"), w: T.Buffer((k, m), "float32"), y: T.Buffer((n, m), "float32")):
    for i, j, r in T.grid(n, m, k):
        with T.block("matmul"):
            vi, vj, vr = T.axis.remap("SSR", [i, j, r])
            with T.init():
                y[vi, vj] = T.float32(0)
            y[vi, vj] += x[vi, vr] * w[vr, vj]


@relax.prim_func
def exp(x: T.handle, y: T.handle):
    size = T.int64()
    X = T.match_buffer(x, (size,), "float32")  # noqa: N806
    Y = T.match_buffer(y, (size,), "float32")  # noqa: N806
    for i in T.serial(size):
        Y[i] = T.exp(X[i])


@relax.prim_func
def tiled_matmul(x: T.Buffer((n, k), "float32"), w: T.Buffer((k, m), "float32"), y: T.Buffer((n, m), "float32")):
    """Rows by four, in threads; columns in vectors."""
    for i0 in T.parallel(T.ceildiv(n, 4)):
        for i1 in T.unroll(4):
            if i0 * 4 + i1 < n:
                for j in T.vectorized(m):
                    y[i0 * 4 + i1, j] = 0.0
                for r in range(k):
                    for j in T.vectorized(m):
                        y[i0 * 4 + i1, j] += x[i0 * 4 + i1, r] * w[r, j]


@relax.prim_func
def tiled_block(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
    """A block whose axes are made of two loops each."""
    for i0, j0 in T.grid(T.ceildiv(n, 2), T.ceildiv(m, 4)):
        for i1 in T.unroll(2):
            for j1 in T.vectorized(4):
                if i0 * 2 + i1 < n and j0 * 4 + j1 < m:
                    with T.block("copy"):
                        vi = T.axis.spatial(n, i0 * 2 + i1)
                        vj = T.axis.S(m, j0 * 4 + j1)
                        y[vi, vj] = x[vi, vj] * 2.0


@relax.prim_func
def softmax(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
    """Local buffers between blocks."""
    most = T.alloc_buffer((n,), "float32")
    total = T.alloc_buffer((n,), "float32")
    for i, j in T.grid(n, m):
        with T.block("max"):
            vi, vj = T.axis.remap("SR", [i, j])
            with T.init():
                most[vi] = T.min_value("float32")
            most[vi] = T.max(most[vi], x[vi, vj])
    for i, j in T.grid(n, m):
        with T.block("total"):
            vi = T.axis.spatial(n, i)
            vj = T.axis.reduce(m, j)
            with T.init():
                total[vi] = 0.0
            total[vi] += T.exp(x[vi, vj] - most[vi])
    for i, j in T.grid(n, m):
        with T.block("divide"):
            vi, vj = T.axis.remap("SS", [i, j])
            y[vi, vj] = T.exp(x[vi, vj] - most[vi]) / total[vi]


@relax.prim_func
def cumsum(x: T.Buffer((n,), "float64"), y: T.Buffer((n,), "float64")):
    """A loop whose steps need each other."""
    total = T.float64(0)
    for i in range(n):
        total += x[i]
        y[i] = total


@relax.prim_func
def scans(x: T.Buffer((n, m), "int64"), y: T.Buffer((n, m), "int64")):
    """A reduction axis without T.init: its steps run in order, and its buffer stays one."""
    t = T.alloc_buffer((n, m), "int64")
    for i, j in T.grid(n, m):
        with T.block("scan"):
            vi, vj = T.axis.remap("SR", [i, j])
            t[vi, vj] = x[vi, vj] + (t[vi, vj - 1] if vj >= 1 else 0)
    for i, j in T.grid(n, m):
        with T.block("next"):
            vi, vj = T.axis.remap("SS", [i, j])
            y[vi, vj] = t[vi, vj] + 1


@relax.prim_func
def sums_and_shares(x: T.Buffer((n, m), "int64"), total: T.Buffer((n,), "int64"), y: T.Buffer((n, m), "int64")):
    """A reduction in a loop with something else: it starts even if it has no step."""
    for i in range(n):
        for j in range(m):
            with T.block("total"):
                vi = T.axis.spatial(n, i)
                vj = T.axis.reduce(m, j)
                with T.init():
                    total[vi] = 5
                total[vi] += x[vi, vj]
        for j in range(m):
            with T.block("share"):
                vi = T.axis.spatial(n, i)
                vj = T.axis.spatial(m, j)
                y[vi, vj] = x[vi, vj] - total[vi]


@relax.prim_func
def tiled_sums(x: T.Buffer((n, m), "int64"), y: T.Buffer((n,), "int64")):
    """A reduction in tiles of which the last are cut: the rows' condition holds for its start, too."""
    for i0, j0, i1, j1 in T.grid(T.ceildiv(n, 4), T.ceildiv(m, 2), 4, 2):
        if i0 * 4 + i1 < n and j0 * 2 + j1 < m:
            with T.block("sum"):
                vi = T.axis.spatial(n, i0 * 4 + i1)
                vj = T.axis.reduce(m, j0 * 2 + j1)
                with T.init():
                    y[vi] = 5
                y[vi] += x[vi, vj]


@relax.prim_func
def sums_in_one_loop(x: T.Buffer((n, m, k), "int64"), y: T.Buffer((n, k), "int64")):
    """A reduction between two axes, in one loop, split: its initial values are set where m is 0, too."""
    for f0, f1 in T.grid(T.ceildiv(n * m * k, 4), 4):
        if f0 * 4 + f1 < n * m * k:
            with T.block("y"):
                vi = T.axis.spatial(n, (f0 * 4 + f1) // k // m)
                vj = T.axis.reduce(m, (f0 * 4 + f1) // k % m)
                vl = T.axis.spatial(k, (f0 * 4 + f1) % k)
                with T.init():
                    y[vi, vl] = 5
                y[vi, vl] += x[vi, vj, vl]


@relax.prim_func
def triangle_by_columns(x: T.Buffer((n, n), "int64"), y: T.Buffer((n,), "int64")):
    """The reduction is the outer loop, and says where the inner one begins."""
    for j in range(n):
        for i in range(j, n):
            with T.block("y"):
                vi, vj = T.axis.spatial(n, i), T.axis.reduce(n, j)
                with T.init():
                    y[vi] = 5
                y[vi] += x[vi, vj]


@relax.prim_func
def sums_of_some(x: T.Buffer((n, m), "int64"), y: T.Buffer((n,), "int64")):
    """Data decides which steps a reduction has."""
    for i in range(n):
        for j in range(m):
            if x[i, j] > 2:
                with T.block("sum"):
                    vi = T.axis.spatial(n, i)
                    vj = T.axis.reduce(m, j)
                    with T.init():
                        y[vi] = 5
                    y[vi] += x[vi, vj]


@relax.prim_func
def sums_from_local(x: T.Buffer((n, m), "int64"), y: T.Buffer((n,), "int64")):
    """A reduction that starts with what its own loop makes."""
    t = T.alloc_buffer((n, m), "int64")
    for i in range(n):
        y[i] = 0
        for j in range(m):
            with T.block("twice"):
                vi, vj = T.axis.remap("SS", [i, j])
                t[vi, vj] = x[vi, vj] * 2
            with T.block("sum"):
                vi, vj = T.axis.remap("SR", [i, j])
                with T.init():
                    y[vi] = t[vi, 0] if m > 0 else 0
                y[vi] += t[vi, vj]


@relax.prim_func
def guarded_by_words(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64"), z: T.Buffer((n,), "bool")):
    """The left side of `and` and `or` guards the right one, in branches and in values."""
    for i in range(n):
        y[i] = 0
        if i >= 1 and x[i - 1] > 0:
            y[i] = 1
        elif x[i] >= 0 and x[i] < n and (x[x[i]] > 1 or x[x[i]] < 0):
            y[i] = 2
        if i + 1 >= n or x[i + 1] > 2:
            y[i] += 10
        z[i] = 0 <= x[i] < n and not (i == 0 or x[x[i]] == x[i - 1])


@relax.prim_func
def row_sums(x: T.Buffer((n, m), "float32"), y: T.Buffer((n,), "float64")):
    """A variable of each step, and a loop that begins at one."""
    for i in T.parallel(n):
        total: T.float64 = 0.0
        if m > 0:
            total = T.cast(x[i, 0], "float64")
        for j in range(1, m):
            total = total + T.float64(x[i, j])
        y[i] = total


@relax.prim_func
def lower_triangle(x: T.Buffer((n, n), "float32"), y: T.Buffer((n,), "float32")):
    """A loop's bound depends on another loop."""
    for i in range(n):
        y[i] = 0.0
        for j in range(i + 1):
            y[i] += x[i, j]


@relax.prim_func
def histogram(x: T.Buffer((n,), "int64"), counts: T.Buffer((8,), "int32")):
    """A store at an index that depends on data."""
    for j in range(8):
        counts[j] = 0
    for i in range(n):
        if 0 <= x[i] < 8:
            counts[x[i]] += 1


@relax.prim_func
def gather(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "int32"), y: T.Buffer((n,), "float32")):
    """A load at an index that depends on data, guarded twice."""
    for i in range(n):
        y[i] = x[index[i]] if index[i] >= 0 and index[i] < m else T.float32("nan")


@relax.prim_func
def two_outputs(x: T.Buffer((n,), "float32"), low: T.Buffer((n,), "float32"), sign: T.Buffer((n,), "bool")):
    for i in T.parallel(n):
        low[i] = min(x[i], 0.5)
        sign[i] = not (x[i] >= 0)


@relax.prim_func
def neighbours(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    """Guards of every kind."""
    for i in range(n):
        before = T.if_then_else(i > 0, x[i - 1], 0.0)
        after = T.Select(i + 1 < n, x[i + 1], T.float32(0))
        if i % 2 == 0:
            y[i] = before + after
        elif i // 2 > 1:
            y[i] = before
        else:
            y[i] = -after


@relax.prim_func
def fill(y: T.Buffer((n, 2 * m), "int64"), value: T.int64):
    """Sizes that no input has, and an integer."""
    for i, j in T.grid(n, 2 * m):
        y[i, j] = i * 10 + j * value


@relax.prim_func
def pairs(x: T.Buffer((2 * n,), "float32"), y: T.Buffer((n,), "float32")):
    """A size that an equation gives."""
    for i in range(n):
        y[i] = x[2 * i] + x[2 * i + 1]


def clipped(value: Any, low: Any, high: Any) -> Any:
    return T.minimum(T.maximum(value, low), high)


@relax.prim_func
def with_helpers(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    """Python runs while the kernel is read."""
    bounds = (-0.5, 0.5)

    def scaled(value: Any) -> Any:
        return clipped(value, *bounds) * factor

    factor = 4.0
    for i in range(n):
        y[i] = scaled(x[i])
        for power in [1, 2]:
            y[i] += power * x[i] ** power


@relax.prim_func
def integers(x: T.Buffer((n,), "int32"), y: T.Buffer((n,), "int32")):
    for i in range(n):
        y[i] = (x[i] & 6) | (x[i] >> 1) ^ (~x[i] << 2) + x[i] // 3 - x[i] % 5


@relax.prim_func
def scalars(x: T.Buffer((), "float32"), y: T.Buffer((), "float32")):
    t = T.register("float32")
    t[()] = x[()] + 1.0
    y[()] = t[()] * t[()]


@relax.prim_func
def reversed_in_pairs(x: T.Buffer((2 * n,), "int64"), y: T.Buffer((2 * n,), "int64")):
    """Several targets, which read each other."""
    for i in range(n):
        low, high = x[2 * i], x[2 * i + 1]
        if low > high:
            low, high = high, low
        y[2 * i], y[2 * i + 1] = low, high
    for i in range(n):
        y[i], y[2 * n - 1 - i] = y[2 * n - 1 - i], y[i]


@relax.prim_func
def fibonacci(y: T.Buffer((n,), "int64")):
    a, b = T.int64(0), T.int64(1)
    for i in range(n):
        a, b = b, a + b
        y[i] = a


@relax.prim_func
def counted(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    """The place of a target is computed once; an assignment has a value."""
    at = T.int64(-1)
    for i in range(n):
        y[i] = 1
    for i in range(n):
        if (at := at + 1) < n:
            y[at] += x[i]
            y[T.max(0, (at := at - 1))] += 1
            at += 1


def _gather(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.array([x[i] if 0 <= i < len(x) else np.nan for i in index], "float32")


def _guarded_by_words(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, z, count = np.zeros_like(x), np.zeros(len(x), "bool"), len(x)
    for i in range(count):
        if i >= 1 and x[i - 1] > 0:
            y[i] = 1
        elif x[i] >= 0 and x[i] < count and (x[x[i]] > 1 or x[x[i]] < 0):
            y[i] = 2
        if i + 1 >= count or x[i + 1] > 2:
            y[i] += 10
        z[i] = 0 <= x[i] < count and not (i == 0 or x[x[i]] == x[i - 1])
    return y, z


def _neighbours(x: np.ndarray) -> np.ndarray:
    before, after = np.concatenate([[0], x[:-1]]), np.concatenate([x[1:], [0]])
    i = np.arange(len(x))
    return np.where(i % 2 == 0, (before + after)[: len(x)], np.where(i > 3, before[: len(x)], -after[: len(x)]))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True, initial=-np.inf))
    return e / e.sum(1, keepdims=True)


@relax.prim_func
def choices_of_numbers(
    x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), counts: T.Buffer((n,), "int32")
):
    for i in range(n):
        y[i] = x[i] * (1.0 if x[i] > 0 else 0.1) + T.Select(x[i] > 1, 2, -1 if x[i] < -1 else 0.5)
        counts[i] = 1 if x[i] > 0 else 0
        factor: T.float32 = 1.0 if x[i] > 0 else 0.25
        factor = factor * T.float32("3")
        y[i] -= factor
        counts[i] += 5 if x[i] > 1 else 6


def _integers(x: np.ndarray) -> np.ndarray:
    return (x & 6) | (x >> 1) ^ (~x << 2) + x // 3 - x % 5


def _with_helpers(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -0.5, 0.5) * 4 + x + 2 * x**2


def _choices_of_numbers(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leaky = np.where(x > 0, x, np.float32(0.1) * x) + np.where(x > 1, 2, np.where(x < -1, -1, 0.5)).astype("float32")
    return leaky - np.where(x > 0, 3, 0.75), (x > 0) + np.where(x > 1, 5, 6)


def _fibonacci(n: int) -> np.ndarray:
    a, b, numbers = 0, 1, []
    for _ in range(n):
        a, b = b, a + b
        numbers.append(a)
    return np.array(numbers, "int64")


def _counted(x: np.ndarray) -> np.ndarray:
    y = x + 1
    for i in range(len(x)):
        y[max(0, i - 1)] += 1
    return y


F, D, I, L = "float32", "float64", "int32", "int64"  # noqa: E741
EXAMPLES = (
    Example(matmul, ((("n", "k"), F), (("k", "m"), F)), lambda x, w: x @ w),
    Example(exp, ((("n",), F),), np.exp),
    Example(tiled_matmul, ((("n", "k"), F), (("k", "m"), F)), lambda x, w: x @ w),
    Example(tiled_block, ((("n", "m"), F),), lambda x: 2 * x),
    Example(softmax, ((("n", "m"), F),), _softmax),
    Example(cumsum, ((("n",), D),), np.cumsum),
    Example(scans, ((("n", "m"), L),), lambda x: x.cumsum(1) + 1),
    Example(sums_and_shares, ((("n", "m"), L),), lambda x: (x.sum(1) + 5, x - x.sum(1, keepdims=True) - 5)),
    Example(tiled_sums, ((("n", "m"), L),), lambda x: x.sum(1) + 5),
    Example(sums_in_one_loop, ((("n", "m", "k"), L),), lambda x: x.sum(1) + 5),
    Example(triangle_by_columns, ((("n", "n"), L),), lambda x: np.tril(x).sum(1) + 5),
    Example(sums_of_some, ((("n", "m"), L),), lambda x: np.where(x > 2, x, 0).sum(1) + 5),
    Example(sums_from_local, ((("n", "m"), L),), lambda x: 2 * (x.sum(1) + x[:, :1].sum(1))),
    Example(guarded_by_words, ((("n",), L),), _guarded_by_words),
    Example(row_sums, ((("n", "m"), F),), lambda x: x.astype(D).sum(1)),
    Example(lower_triangle, ((("n", "n"), F),), lambda x: np.tril(x).sum(1)),
    Example(histogram, ((("n",), L),), lambda x: np.bincount(x[(x >= 0) & (x < 8)], minlength=8).astype(I)),
    Example(gather, ((("m",), F), (("n",), I)), _gather),
    Example(two_outputs, ((("n",), F),), lambda x: (np.minimum(x, np.float32(0.5)), ~(x >= 0))),
    Example(neighbours, ((("n",), F),), _neighbours),
    Example(
        fill,
        (),
        lambda value, n, m: np.arange(n)[:, None] * 10 + np.arange(2 * m)[None] * value,
        integers=("value", "n", "m"),
    ),
    Example(pairs, ((("2n",), F),), lambda x: x.reshape(-1, 2).sum(1)),
    Example(with_helpers, ((("n",), F),), _with_helpers),
    Example(integers, ((("n",), I),), _integers),
    Example(choices_of_numbers, ((("n",), F),), _choices_of_numbers),
    Example(scalars, (((), F),), lambda x: (x + 1) ** 2),
    Example(reversed_in_pairs, ((("2n",), L),), lambda x: np.sort(x.reshape(-1, 2)).ravel()[::-1]),
    Example(fibonacci, (), _fibonacci, integers=("n",)),
    Example(counted, ((("n",), L),), _counted),
)
