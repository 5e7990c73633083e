"""Estimates of work: how they grow with sizes, and what they leave out."""

from __future__ import annotations

import pytest

from relaxdsl.ir.loops import Buffer, For, PrimFunc, Store, loop_variable
from relaxdsl.ir.scalar import Const
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.work import SHARED_FROM, estimate_work, pays_to_share
from relaxdsl.types.dims import Dim, dims

m, n, k = dims("m n k")


def work_of(inputs: list[te.Tensor], output: te.Tensor) -> str:
    return str(estimate_work(create_prim_func(inputs, [output], "f")))


def test_loads_operations_and_stores_count() -> None:
    x, y = te.placeholder((m, n), "float32", "x"), te.placeholder((n,), "float32", "y")
    assert work_of([x, y], te.compute((m, n), lambda i, j: x[i, j] + y[j] * 2)) == "m * n * 5"


def test_functions_count_ten() -> None:
    x = te.placeholder((m,), "float32", "x")
    assert work_of([x], te.compute((m,), lambda i: te.exp(x[i]))) == "m * 12"
    assert work_of([x], te.compute((m,), lambda i: te.maximum(x[i], 0.0))) == "m * 3"


def test_reductions_and_stages_add_up() -> None:
    x, y = te.placeholder((m, k), "float32", "x"), te.placeholder((k, n), "float32", "y")
    axis = te.reduce_axis(k, "r")
    product = te.compute((m, n), lambda i, j: te.sum(x[i, axis] * y[axis, j], axis))
    scaled = te.compute((m, n), lambda i, j: product[i, j] * 2)
    assert work_of([x, y], scaled) == "7 * k * m * n + 3 * m * n"


def test_an_inner_loop_counts_as_in_the_middle_of_the_outer() -> None:
    out = Buffer("out", (m, m), "float32")
    i, j = loop_variable("i", m), loop_variable("j", m)
    triangle = For("i", m, For("j", i + 1, Store(out, (i, j), Const(0.0, "float32"))))
    assert str(estimate_work(PrimFunc("f", (out,), 1, ("m",), triangle))) == "m * (m // 2) + m"


@pytest.mark.parametrize(
    ("extent", "work", "pays"),
    [(m, m, True), (1, m, False), (8, SHARED_FROM - 1, False), (8, SHARED_FROM, True), (m, m % 100, False)],
)
def test_what_can_never_be_large_is_not_shared(extent: Dim, work: Dim, pays: bool) -> None:
    assert pays_to_share(extent, work) is pays
