"""Estimates of work: how they grow with sizes, and what they leave out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from relaxdsl.ir.loops import Buffer, For, Parts, Seq, Store, loop_variable
from relaxdsl.ir.scalar import Const, Load
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel
from relaxdsl.kernels.work import SHARED_FROM, estimate_work, pays_to_share
from relaxdsl.types.dims import Dim, ceildiv, dim_min, dims, evaluate

m, n, k = dims("m n k")


def work_of(inputs: list[te.Tensor], output: te.Tensor) -> str:
    (work,) = compile_kernel(create_prim_func(inputs, [output], "f")).works
    return str(work)


def test_loads_operations_and_stores_count() -> None:
    x, y = te.placeholder((m, n), "float32", "x"), te.placeholder((n,), "float32", "y")
    assert work_of([x, y], te.compute((m, n), lambda i, j: x[i, j] + y[j] * 2)) == "m * n * 5"


def test_functions_count_ten() -> None:
    x = te.placeholder((m,), "float32", "x")
    assert work_of([x], te.compute((m,), lambda i: te.exp(x[i]))) == "m * 12"
    assert work_of([x], te.compute((m,), lambda i: te.maximum(x[i], 0.0))) == "m * 3"


def test_reductions_and_stages_add_up() -> None:
    x = te.placeholder((m, k), "float32", "x")
    axis = te.reduce_axis(k, "r")
    largest = te.compute((m,), lambda i: te.max(x[i, axis] * x[i, axis], axis))
    scaled = te.compute((m,), lambda i: largest[i] * 2)
    assert work_of([x], scaled) == "k * m * 6"


def test_products_of_the_engine_count_one() -> None:
    x, y = te.placeholder((m, k), "float32", "x"), te.placeholder((k, n), "float32", "y")
    axis = te.reduce_axis(k, "r")
    product = te.compute((m, n), lambda i, j: te.sum(x[i, axis] * y[axis, j], axis))
    compiled = compile_kernel(create_prim_func([x, y], [product], "f"))
    for sizes in ({"m": 5, "n": 7, "k": 9}, {"m": 300, "n": 500, "k": 20}, {"m": 96, "n": 0, "k": 3}):
        assert evaluate(compiled.works[-1], sizes) == math.prod(sizes.values())


@pytest.mark.parametrize(("dtype", "rows"), [("float32", 4), ("float64", 8), ("int8", 1)])
def test_a_product_of_few_rows_counts_as_reading_the_operand(dtype: str, rows: int) -> None:
    x, y = te.placeholder((m, 784), dtype, "x"), te.placeholder((784, 512), dtype, "y")
    axis = te.reduce_axis(784, "r")
    left = te.placeholder((m, 512), dtype, "left")

    def element(i: Any, j: Any) -> Any:
        return te.sum(te.cast(x[i, axis], total) * te.cast(y[axis, j], total), axis)

    total = "int32" if dtype == "int8" else dtype
    product = te.compute((m, 512), element)
    added = te.compute((m, 512), lambda i, j: product[i, j] + te.cast(left[i, j], total))
    compiled = compile_kernel(create_prim_func([x, y, left], [added], "f"))
    for size in (1, 3, 100):
        assert evaluate(compiled.works[-1], {"m": size}) == max(size, rows) * 784 * 512  # the sums hardly count


def test_blocks_of_a_range_are_the_range() -> None:
    out = Buffer("out", (m,), "float32")
    block = loop_variable("block", ceildiv(m, 100))
    i = loop_variable("i", m)
    length = dim_min(100, m - block * 100)
    inside = Seq(
        (
            For("i", length, Store(out, (i,), Load(out, (i,))), start=block * 100),
            Store(out, (0,), Const(1.0, "float32")),
        )
    )
    assert estimate_work(For("block", ceildiv(m, 100), inside, "parallel")) == 2 * m + ceildiv(m, 100)


def test_parts_count_as_one_part() -> None:
    out = Buffer("out", (m,), "float32")
    lower, upper = loop_variable("lower", m + 1), loop_variable("upper", m + 1)
    body = For("i", upper - lower, Store(out, (loop_variable("i", m),), Const(0.0, "float32")), start=lower)
    assert estimate_work(Parts("lower", "upper", m, body)) == m


def test_terms_that_hardly_count_are_left_out() -> None:
    out = Buffer("out", (m, m), "float32")
    i, j = loop_variable("i", m), loop_variable("j", n)
    row = For("j", n, Store(out, (i, j), Const(0.0, "float32")))
    first = Store(out, (i, 0), Const(0.0, "float32"))
    assert estimate_work(For("i", m, Seq((first, row)))) == m * n
    assert estimate_work(For("i", m, Seq((*[first] * 9, row)))) == m * n + 9 * m


def test_an_inner_loop_counts_as_in_the_middle_of_the_outer() -> None:
    out = Buffer("out", (m, m), "float32")
    i, j = loop_variable("i", m), loop_variable("j", m)
    triangle = For("i", m, For("j", i + 1, Store(out, (i, j), Const(0.0, "float32"))))
    assert str(estimate_work(triangle)) == "m * (m // 2)"


@pytest.mark.parametrize(
    ("extent", "work", "pays"),
    [(m, m, True), (1, m, False), (8, SHARED_FROM - 1, False), (8, SHARED_FROM, True), (m, m % 100, False)],
)
def test_what_can_never_be_large_is_not_shared(extent: Dim, work: Dim, pays: bool) -> None:
    assert pays_to_share(extent, work) is pays


def test_of_a_minimum_counts_what_does_not_vary() -> None:
    """The last block of a row of blocks is shorter; the loop inside it does not run over blocks."""
    out = Buffer("out", (m,), "float32")
    item = loop_variable("item", m * 3)
    columns = dim_min(100, 250 - item % 3 * 100)
    store = Store(out, (loop_variable("j", columns),), Const(0.0, "float32"))
    inside = For("i", 8, For("j", columns, store))
    assert estimate_work(inside) == 8 * columns
    assert estimate_work(For("item", m * 3, inside, "parallel")) == m * 3 * 8 * 100
