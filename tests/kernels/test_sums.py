"""Long sums: the rule's shape, and that its errors stay those of a block."""

from __future__ import annotations

import numpy as np
import pytest

from relaxdsl.ir.loops import For, IfThenElse, walk
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.types.dims import dims

n, m = dims("n m")


def total(x: te.Tensor) -> te.Tensor:
    k = te.reduce_axis(x.shape[0], "k")
    return te.compute((), lambda: te.sum(x[k], axis=k), name="total")


def rows(x: te.Tensor) -> te.Tensor:
    k = te.reduce_axis(x.shape[1], "k")
    return te.compute((x.shape[0],), lambda i: te.sum(x[i, k], axis=k), name="rows")


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 5000, 3_000_000])
def test_the_error_does_not_grow_with_the_sum(size: int) -> None:
    x = te.placeholder((n,), "float32", "x")
    kernel = compile_kernel(create_prim_func([x], [total(x)], "total"))
    values = np.full(size, 0.1, "float32")
    out = np.empty((), "float32")
    run_kernel(kernel, [values, out], {"n": size})
    np.testing.assert_allclose(out, values.sum(dtype="float64"), rtol=1e-6)


@pytest.mark.parametrize("columns", [0, 7, 1024, 1025, 300_000])
def test_rows_short_and_long(columns: int) -> None:
    x = te.placeholder((n, m), "float32", "x")
    kernel = compile_kernel(create_prim_func([x], [rows(x)], "rows"))
    values = np.full((2, columns), 0.1, "float32")
    out = np.empty(2, "float32")
    run_kernel(kernel, [values, out], {"n": 2, "m": columns})
    np.testing.assert_allclose(out, values.sum(axis=1, dtype="float64"), rtol=1e-6)
    assert any(isinstance(stmt, IfThenElse) for stmt in walk(kernel.scheduled.body))


def test_short_loops_are_left_alone() -> None:
    x = te.placeholder((n, 64), "float32", "x")
    kernel = compile_kernel(create_prim_func([x], [rows(x)], "rows"))
    assert sum(isinstance(stmt, For) for stmt in walk(kernel.scheduled.body)) == 2


@pytest.mark.parametrize(("columns", "step"), [(16, 1), (17, 1), (33, 1), (48, 1), (30, 2), (36, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_is_added_up_in_one_order_wherever_its_part_begins(columns: int, step: int, dtype: str) -> None:
    x = te.placeholder((n, columns), dtype, "x")
    k = te.reduce_axis(columns // step, "k")
    sums = te.compute((n,), lambda i: te.sum(x[i, k * step], axis=k), name="rows")
    kernel = compile_kernel(create_prim_func([x], [sums], "rows"))
    values = np.random.default_rng(0).standard_normal((131, columns)).astype(dtype)
    results = [np.empty(131, dtype) for _ in range(4)]
    for parts, result in zip((1, 2, 3, 7), results, strict=True):
        run_kernel(kernel, [values, result], {"n": 131}, parts=parts)
        np.testing.assert_array_equal(result, results[0])
