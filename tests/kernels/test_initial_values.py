"""Where a reduction in a nest that does more starts: with what its elements hold before, and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T

m, n = relax.dims("m n")


@relax.prim_func
def sums_of_two_rows(
    x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32"), z: T.Buffer((m, n), "float32"), m: T.int64, n: T.int64
):
    T.outputs(y, z)
    s = T.alloc_buffer((m,), "float32")
    for i in range(m):
        s[i] = T.float32(7.0)
    for i in range(m):
        for k in range(n):
            if i < 2:
                with T.block("s"):
                    vi = T.axis.spatial(m, i)
                    vk = T.axis.reduce(n, k)
                    with T.init():
                        s[vi] = T.float32(0.0)
                    s[vi] = s[vi] + x[vi, vk]
            else:
                z[i, k] = x[i, k]
    for i in range(m):
        y[i] = s[i]


@relax.prim_func
def sums_of_other_rows(
    x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32"), z: T.Buffer((m, n), "float32"), m: T.int64, n: T.int64
):
    T.outputs(y, z)
    s = T.alloc_buffer((m,), "float32")
    for i in range(m):
        s[i] = T.float32(7.0)
    for i in range(m):
        for k in range(n):
            if i < 2:
                z[i, k] = x[i, k]
            else:
                with T.block("s"):
                    vi = T.axis.spatial(m, i)
                    vk = T.axis.reduce(n, k)
                    with T.init():
                        s[vi] = T.float32(0.0)
                    s[vi] = s[vi] + x[vi, vk]
    for i in range(m):
        y[i] = s[i]


@pytest.mark.parametrize(
    ("kernel", "is_summed"), [(sums_of_two_rows, (1, 1, 0, 0)), (sums_of_other_rows, (0, 0, 1, 1))]
)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_branch_keeps_its_elements_apart(kernel: Any, is_summed: tuple[int, ...], steps: int) -> None:
    x = np.arange(4 * steps, dtype="float32").reshape(4, steps)
    rows = np.array(is_summed, bool)
    sums, rest = kernel(x)
    np.testing.assert_array_equal(sums, np.where(rows, x.sum(axis=1), 7))
    np.testing.assert_array_equal(rest[~rows], x[~rows])


@relax.prim_func
def sums_beside_a_reader(x: T.Buffer((n,), "float32"), z: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(z)
    s = T.alloc_buffer((1,), "float32")
    s[0] = T.float32(5.0)
    for k in range(n):
        z[k] = s[0]
        with T.block("s"):
            vk = T.axis.reduce(n, k)
            with T.init():
                s[0] = T.float32(0.0)
            s[0] = s[0] + x[vk]


def test_what_is_read_before_the_first_step_is_what_was_there() -> None:
    np.testing.assert_array_equal(sums_beside_a_reader(np.array([1, 2, 4], "float32")), [5, 1, 3])
