"""Loops that start below 0, or run fewer than 0 times: what they compute is what Python computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T

n = relax.dims("n")
SIZES = (0, 1, 2, 3, 5, 7, 9)


@relax.prim_func
def guarded(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in range(-3, n):
        if i >= 0:
            y[i] = x[i] + i


def guarded_in_python(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] = x[i] + i


@relax.prim_func
def stencil(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in range(n):
        y[i] = 0
        for j in range(-2, 3):
            if i + j >= 0 and i + j < n:
                y[i] += x[i + j] * j


def stencil_in_python(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] = sum(x[i + j] * j for j in range(-2, 3) if 0 <= i + j < len(x))


@relax.prim_func
def moving(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in range(n):
        y[i] = 0
        for j in range(i - 2, i + 3):
            if 0 <= j < n:
                y[i] += x[j]


def moving_in_python(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] = sum(x[j] for j in range(i - 2, i + 3) if 0 <= j < len(x))


@relax.prim_func
def branches(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in range(n):
        y[i] = 0
        for j in T.unroll(-2, 3):
            if not j < 0:
                y[i] += T.max(j, 0) * x[i]
            else:
                y[i] += 100


def branches_in_python(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] = 3 * x[i] + 200


@relax.prim_func
def spread(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in T.parallel(-n, n):
        if i >= 0:
            y[i] = x[i]


def spread_in_python(x: Any, y: Any) -> None:
    y[:] = x


@relax.prim_func
def never(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    t = T.int64(0)
    for _a, _b in T.grid(n - 6, n - 6):
        t += 1
    for i in range(n):
        y[i] = t + x[i]


def never_in_python(x: Any, y: Any) -> None:
    y[:] = x + max(len(x) - 6, 0) ** 2


CASES = [
    (guarded, guarded_in_python),
    (stencil, stencil_in_python),
    (moving, moving_in_python),
    (branches, branches_in_python),
    (spread, spread_in_python),
    (never, never_in_python),
]


@pytest.mark.parametrize(("kernel", "reference"), CASES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("debug", [False, True])
def test_values(kernel: Any, reference: Callable[[Any, Any], None], debug: bool) -> None:
    run = relax.prim_func(kernel.ir, debug=debug)
    for size in SIZES:
        x = np.random.default_rng(size).integers(-9, 9, size)
        expected = np.zeros_like(x)
        reference(x, expected)
        np.testing.assert_array_equal(run(x), expected)


def test_a_product_of_matrices_that_is_never_computed() -> None:
    @relax.prim_func
    def kernel(
        a: T.Buffer((n, n), "float32"), b: T.Buffer((n, n), "float32"), c: T.Buffer((n, n), "float32")
    ):
        for i, j in T.grid(n, n):
            c[i, j] = 0.0
        for i, j, r, s in T.grid(n, n, n - 6, n - 6):
            c[i, j] += a[i, r] * b[s, j]

    ones = np.ones((3, 3), np.float32)
    np.testing.assert_array_equal(kernel(ones, ones), np.zeros((3, 3)))
