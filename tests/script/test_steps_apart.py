"""Steps that run at once: proved to touch elements of their own, or in the order they are written."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.script.parse_text import parse_kernel_source

n, m = relax.dims("n m")

#: Where a block of axes of these extents writes; whether that is proved to be another element in each step.
PLACES = [
    (("n",), "vi", "n", True),
    (("n",), "n - 1 - vi", "n", True),
    (("n",), "vi + m", "n + m", True),
    (("n",), "2 * vi + 1", "2 * n", True),
    (("n * 12",), "vi // 12, vi // 4 % 3, vi % 4", "n, 3, 4", True),
    (("n * 4",), "vi % 4, vi // 4", "4, n", True),
    (("n * m",), "vi // m, vi % m", "n, m", True),
    (("n", "4"), "vi * 4 + vj", "n * 4", True),
    (("n", "m"), "vj, vi", "m, n", True),
    (("n", "m"), "vi * m + vj", "n * m", True),
    (("n", "m"), "vj * n + vi", "n * m", True),
    (("n",), "(vi + 1) % n", "n", False),
    (("n * 4",), "vi % 4 * n + vi // 4", "n * 4", False),
    (("n",), "vi % 1000", "1000", False),
]


def block_text(extents: tuple[str, ...], index: str, shape: str) -> str:
    names = "ij"[: len(extents)]
    axes = "\n".join(
        f"            v{name} = T.axis.spatial({extent}, {name})" for name, extent in zip(names, extents, strict=True)
    )
    return f"""\
@relax.prim_func
def kernel(y: T.Buffer(({shape},), "int64"), n: T.int64, m: T.int64):
    T.outputs(y)
    for {", ".join(names)} in T.grid({", ".join(extents)}):
        with T.block("place"):
{axes}
            y[{index}] = {" + 1000 * ".join(f"v{name}" for name in names)}
"""


@pytest.mark.parametrize(("extents", "index", "shape", "is_proved"), PLACES)
def test_spatial_axes(extents: tuple[str, ...], index: str, shape: str, is_proved: bool) -> None:
    kernel = relax.prim_func(parse_kernel_source(block_text(extents, index, shape), {}))
    assert ("range(lo, hi)" in kernel.source()) is is_proved
    sizes = {"n": 5, "m": 3}
    result = np.full(eval(f"({shape},)", dict(sizes)), -1)
    kernel(**sizes, out=result)
    expected = np.full_like(result, -1)
    for point in np.ndindex(*(eval(extent, dict(sizes)) for extent in extents)):
        axes = dict(zip(("vi", "vj"), point, strict=False))
        expected[eval(index, {**sizes, **axes})] = sum(1000**place * value for place, value in enumerate(point))
    np.testing.assert_array_equal(result, expected)


@relax.prim_func
def triangle(x: T.Buffer((n, n), "int64"), y: T.Buffer((n * (n + 1) // 2,), "int64")):
    for i in T.parallel(n):
        for j in range(i + 1):
            y[i * (i + 1) // 2 + j] = x[i, j]


@relax.prim_func
def turned(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in T.parallel(n):
        y[(i + 1) % n] = x[i]


@relax.prim_func
def left_over(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    last = T.alloc_buffer((1,), "int64")
    last[0] = 0
    for i in T.parallel(n):
        if x[i] > 0:
            last[0] = x[i]
        y[i] = last[0]


@relax.prim_func
def own_scratch(x: T.Buffer((n, m), "int64"), y: T.Buffer((n, m), "int64")):
    row = T.alloc_buffer((m,), "int64")
    for i in T.parallel(n):
        for j in range(m):
            row[j] = x[i, j] * 2
        for j in range(m):
            y[i, j] = row[m - 1 - j]


@relax.prim_func
def chosen(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in T.parallel(n):
        y[x[i]] = i


@relax.prim_func
def counted(x: T.Buffer((n,), "int64"), y: T.Buffer((m,), "int64")):
    for j in range(m):
        y[j] = 0
    for i in T.parallel(n):
        y[x[i]] += 1


@pytest.mark.parametrize(
    ("kernel", "is_proved"),
    [(triangle, True), (turned, False), (left_over, False), (own_scratch, True), (chosen, True), (counted, False)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_parallel_loops(kernel: relax.KernelFunction, is_proved: bool) -> None:
    """Writes that data chooses are taken to be meant; what nothing says runs in order, and is printed so."""
    assert ("for i in T.parallel(n):" in str(kernel)) is is_proved
    assert ("range(lo, hi)" in kernel.source()) is is_proved


@relax.prim_func
def running(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    for i in T.vectorized(n):
        if i == 0:
            y[i] = x[i]
        else:
            y[i] = y[i - 1] + x[i]


@relax.prim_func
def row_sums(x: T.Buffer((n, 64), "float32"), y: T.Buffer((n,), "float32")):
    for i in T.parallel(n):
        total = T.float32(0)
        for j in T.vectorized(64):
            total += x[i, j]
        y[i] = total


@relax.prim_func
def positive_sums(x: T.Buffer((n, m), "float32"), y: T.Buffer((n,), "float32")):
    for i in T.vectorized(n):
        total = T.float32(0)
        for j in range(m):
            if x[i, j] > 0:
                total += x[i, j]
        y[i] = total


@relax.prim_func
def scattered(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
    for i in T.vectorized(n):
        y[x[i]] = i


@pytest.mark.parametrize(
    ("kernel", "is_proved"),
    [(running, False), (row_sums, False), (positive_sums, True), (scattered, True)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_vectorized_loops(kernel: relax.KernelFunction, is_proved: bool) -> None:
    """A sum in a local variable that the loop begins is its own; in one from outside, the steps need each other."""
    assert ("T.vectorized" in str(kernel)) is is_proved


def test_vectorized_loops_that_run_in_order_add_in_order() -> None:
    x = np.random.default_rng(0).random((3, 64), dtype="float32")
    sums = np.cumsum(x, axis=1, dtype="float32")
    np.testing.assert_array_equal(row_sums(x), sums[:, -1])
    np.testing.assert_array_equal(running(x[0]), sums[0])


def test_what_runs_in_order_gives_what_it_says() -> None:
    x = np.array([0, 3, 0, 0, 5, 0])
    np.testing.assert_array_equal(left_over(x), [0, 3, 3, 3, 5, 5])
    np.testing.assert_array_equal(turned(x), np.roll(x, 1))
    np.testing.assert_array_equal(triangle(np.arange(9).reshape(3, 3)), [0, 3, 4, 6, 7, 8])


def test_a_block_in_a_loop_that_runs_in_order_keeps_its_place_in_errors() -> None:
    @relax.prim_func(debug=True)
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in T.parallel(n):
            with T.block("turn"):
                vi = T.axis.spatial(n, i)
                y[(vi + 1) % n] = x[x[vi]]

    np.testing.assert_array_equal(kernel(np.array([1, 0])), [1, 0])
    with pytest.raises(relax.KernelError) as caught:
        kernel(np.array([1, 7]))
    assert "y[(vi + 1) % n] = x[x[vi]]" in str(caught.value)
