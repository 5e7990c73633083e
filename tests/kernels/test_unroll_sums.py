"""Short reductions written out: which ones, and what they compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.ir.loops import For, PrimFunc, Store, walk
from relaxdsl.ir.scalar import Apply, Load
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.patterns import blocks_of, is_reduction
from relaxdsl.kernels.schedule.unroll_sums import unroll_sums
from relaxdsl.types.dims import Dim, dims

m, n = dims("m n")

Combine = Callable[..., te.Tensor]


def _windows(size: Dim, taps: Dim, combine: Combine = te.sum, dtype: str = "float32", stride: int = 1) -> PrimFunc:
    """For each row, ``combine`` over windows of ``taps`` elements, times their weights."""
    x = te.placeholder((m, size * stride + taps), dtype, "x")
    w = te.placeholder((m, taps), dtype, "w")

    def body(i: Dim, j: Dim) -> te.Tensor:
        k = te.reduce_axis(taps, name="k")
        return combine(x[i, j * stride + k] * w[i, k], k)

    return create_prim_func([x, w], [te.compute((m, size), body, name="out")], "windows")


def _is_written_out(kernel: PrimFunc) -> bool:
    (block,) = blocks_of(unroll_sums(kernel))
    return not is_reduction(block) and block.init is None


def test_a_window_is_one_statement() -> None:
    kernel = unroll_sums(_windows(n, 3))
    assert [loop.extent for loop in walk(kernel.body) if isinstance(loop, For)] == [m, n]
    (store,) = (stmt for stmt in walk(kernel.body) if isinstance(stmt, Store))
    loads = "x[v_i, v_j]*w[v_i, 0]", "x[v_i, v_j + 1]*w[v_i, 1]", "x[v_i, v_j + 2]*w[v_i, 2]"
    assert _shown(store.value) == f"(({loads[0]}+{loads[1]})+{loads[2]})"


def _shown(value: object) -> str:
    """A sum of products as text."""
    match value:
        case Apply("fused_add", (left, right)):
            return f"({_shown(left)}+{_shown(right)})"
        case Apply("fused_multiply", (left, right)):
            return f"{_shown(left)}*{_shown(right)}"
        case Load(buffer, indices):
            return f"{buffer.name}[{', '.join(map(str, indices))}]"
    raise AssertionError(value)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (_windows(n, 9), True),
        (_windows(n, 9, stride=2), True),
        (_windows(n, 17), False),  # long
        (_windows(n, 1), False),  # nothing to write out
        (_windows(n, n), False),  # of unknown length
        (_windows(4, 9), False),  # few results beside each other
        (_windows(n, 9, stride=3), False),  # far apart
    ],
)
def test_which_reductions(kernel: PrimFunc, expected: bool) -> None:
    assert _is_written_out(kernel) is expected


def test_a_product_of_matrices_stays() -> None:
    a, b = te.placeholder((m, 8), name="a"), te.placeholder((8, n), name="b")

    def body(i: Dim, j: Dim) -> te.Tensor:
        k = te.reduce_axis(8, name="k")
        return te.sum(a[i, k] * b[k, j], k)

    assert not _is_written_out(create_prim_func([a, b], [te.compute((m, n), body, name="c")], "product"))


@pytest.mark.parametrize(("combine", "dtype"), [(te.sum, "float32"), (te.max, "float64"), (te.sum, "int32")])
def test_results(combine: Combine, dtype: str) -> None:
    kernel = compile_kernel(_windows(n, 5, combine, dtype))
    rng = np.random.default_rng(0)
    for rows, columns in [(0, 3), (1, 1), (3, 37)]:
        x, w = (rng.integers(-9, 9, shape).astype(dtype) for shape in ((rows, columns + 5), (rows, 5)))
        out = np.empty((rows, columns), dtype)
        run_kernel(kernel, [x, w, out], {"m": rows, "n": columns}, 1)
        windows = np.lib.stride_tricks.sliding_window_view(x, 5, axis=1)[:, :columns] * w[:, None]
        np.testing.assert_array_equal(out, windows.max(axis=2) if combine is te.max else windows.sum(axis=2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_squares_are_the_same_wherever_a_part_of_the_range_ends(dtype: str) -> None:
    """Rows that are vectors, and those left over, are fused alike."""
    x = te.placeholder((m, 5), dtype, "x")
    k = te.reduce_axis(5, name="k")
    total = te.compute((m,), lambda i: te.sum(te.square(x[i, k]), k), name="total")
    out = te.compute((m, 5), lambda i, j: x[i, j] * te.rsqrt(total[i]), name="out")
    compiled = compile_kernel(create_prim_func([x], [out], "scaled"))
    values = np.random.default_rng(0).standard_normal((61, 5)).astype(dtype)
    whole = np.empty_like(values)
    run_kernel(compiled, [values, whole], {"m": 61})
    for parts in (2, 3, 7):
        divided = np.empty_like(values)
        run_kernel(compiled, [values, divided], {"m": 61}, parts)
        np.testing.assert_array_equal(divided, whole)
