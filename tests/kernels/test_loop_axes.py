"""Blocks in loops that were tiled by hand: which ones get loops along their axes, and that they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.loops import Block
from relaxdsl.kernels.primitives.tree import loops_on, paths_in
from relaxdsl.kernels.schedule.axes import loop_over_axes

n, m, p = relax.dims("n m p")


@relax.prim_func
def whole_tiles(
    a: T.Buffer((n * 16, p), "float32"), b: T.Buffer((p, m), "float32"), c: T.Buffer((n * 16, m), "float32")
):
    for i0, j, i1, k in T.grid(n, m, 16, p):
        with T.block("c"):
            vi = T.axis.spatial(n * 16, i0 * 16 + i1)
            vj, vk = T.axis.remap("SR", [j, k])
            with T.init():
                c[vi, vj] = T.float32(0.0)
            c[vi, vj] += a[vi, vk] * b[vk, vj]


@relax.prim_func
def last_tiles(a: T.Buffer((n, p), "float32"), b: T.Buffer((p, m), "float32"), c: T.Buffer((n, m), "float32")):
    for i0, j0, k0, i1, j1, k1 in T.grid((n + 7) // 8, (m + 31) // 32, (p + 3) // 4, 8, 32, 4):
        if i0 * 8 + i1 < n:  # noqa: SIM102
            if j0 * 32 + j1 < m:  # noqa: SIM102
                if k0 * 4 + k1 < p:
                    with T.block("c"):
                        vi = T.axis.spatial(n, i0 * 8 + i1)
                        vj = T.axis.spatial(m, j0 * 32 + j1)
                        vk = T.axis.reduce(p, k0 * 4 + k1)
                        with T.init():
                            c[vi, vj] = T.float32(0.0)
                        c[vi, vj] += a[vi, vk] * b[vk, vj]


@relax.prim_func
def backwards(a: T.Buffer((n, p), "float32"), b: T.Buffer((p, m), "float32"), c: T.Buffer((n, m), "float32")):
    for i, j, k in T.grid(n, m, p):
        with T.block("c"):
            vi = T.axis.spatial(n, n - 1 - i)
            vj, vk = T.axis.remap("SR", [j, k])
            with T.init():
                c[vi, vj] = T.float32(0.0)
            c[vi, vj] += a[vi, vk] * b[vk, vj]


@relax.prim_func
def steps_backwards(x: T.Buffer((n, m), "float32"), y: T.Buffer((n,), "float32")):
    for i, k in T.grid(n, m):
        with T.block("y"):
            vi = T.axis.spatial(n, i)
            vk = T.axis.reduce(m, m - 1 - k)
            with T.init():
                y[vi] = T.float32(0.0)
            y[vi] = y[vi] * T.float32(0.5) + x[vi, vk]


@relax.prim_func
def first_half(x: T.Buffer((n * 2,), "float32"), y: T.Buffer((n * 2,), "float32")):
    for i in range(n * 2):
        y[i] = x[i]
    for i0, i1 in T.grid(n // 4, 4):
        with T.block("y"):
            vi = T.axis.spatial(n * 2, i0 * 4 + i1)
            y[vi] = x[vi] * T.float32(2.0)


@relax.prim_func
def again(x: T.Buffer((n * 4,), "float32"), y: T.Buffer((1,), "float32")):
    for _, i0, i1 in T.grid(2, n, 4):
        with T.block("y"):
            vo = T.axis.spatial(1, 0)
            vi = T.axis.reduce(n * 4, i0 * 4 + i1)
            with T.init():
                y[vo] = T.float32(0.0)
            y[vo] += x[vi]


@relax.prim_func
def shared_by_hand(x: T.Buffer((n * 4,), "float32"), y: T.Buffer((n * 4,), "float32")):
    for i0 in T.parallel(n):
        for i1 in range(4):
            with T.block("y"):
                vi = T.axis.spatial(n * 4, i0 * 4 + i1)
                y[vi] = x[vi] * T.float32(2.0)


def loops_of(kernel: relax.KernelFunction) -> list[list[str]]:
    """The extents of the loops around each block, after the rule."""
    paths = paths_in(loop_over_axes(kernel.ir).body)
    return [[str(loop.extent) for loop in loops_on(path)] for path in paths if isinstance(path[-1], Block)]


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (whole_tiles, ["n * 16", "m", "p"]),
        (last_tiles, ["n", "m", "p"]),
        (backwards, ["n", "m", "p"]),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_tiled_products_run_on_the_engine(kernel, expected):
    assert loops_of(kernel) == [expected]
    assert "contract_float32(" in kernel.source()
    for rows, columns, steps in ((3, 5, 7), (8, 32, 4), (0, 3, 2), (2, 0, 5), (17, 40, 9)):
        rng = np.random.default_rng(rows)
        rows *= 16 if kernel is whole_tiles else 1
        a, b = (rng.standard_normal(shape).astype("float32") for shape in ((rows, steps), (steps, columns)))
        np.testing.assert_allclose(kernel(a, b), a @ b, rtol=1e-5, atol=1e-5)
        assert kernel.check(a, b)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (steps_backwards, [["n", "m"]]),
        (first_half, [["n // 4", "4"]]),
        (again, [["2", "n", "4"]]),
        (shared_by_hand, [["n", "4"]]),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_loops_stay_that_do_not_come_by_each_place_once_or_are_shared_by_hand(kernel, expected):
    assert loops_of(kernel) == expected
    shape = (3, 8) if kernel is steps_backwards else (24,)
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    assert kernel.check(x)
