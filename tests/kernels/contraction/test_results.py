"""Products that stand where the kernel's output will, and those that must not."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import te
from relaxdsl.kernels.accesses import accesses
from relaxdsl.kernels.contraction.results import with_results_in_outputs
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import Dim, dims

m, n, k = dims("m n k")


def kernel(*, is_wide: bool = False, reads: int = 1) -> PrimFunc:
    """``x @ w`` and what is made of it; ``residual`` is added."""
    x, w = te.placeholder((m, k), name="x"), te.placeholder((k, n), name="w")
    residual = te.placeholder((m, n), name="residual")
    axis = te.reduce_axis(k, name="r")
    product = te.compute((m, n), lambda i, j: te.sum(x[i, axis] * w[axis, j], axis), name="product")

    def body(i: Dim, j: Dim):
        return te.cast(product[i, j], "float64") if is_wide else product[i, j] + residual[i, j]

    outputs = [te.compute((m, n), body, name="out")]
    outputs += [te.compute((m, n), lambda i, j: product[i, j] * 2, name=f"more{each}") for each in range(1, reads)]
    inputs = [x, w] if is_wide else [x, w, residual]
    return create_prim_func(inputs, outputs, "kernel")


def scratch_of(func: PrimFunc) -> list[str]:
    return [each.name for each in with_results_in_outputs(func).scratch]


def test_a_product_with_an_epilogue_needs_no_memory():
    made = with_results_in_outputs(kernel())
    assert not made.scratch
    assert {each.buffer.name for each in accesses(made.body)} == {"x", "w", "residual", "out"}
    assert with_results_in_outputs(made) is made


@pytest.mark.parametrize(
    "func",
    [kernel(is_wide=True), kernel(reads=2)],
    ids=["another dtype", "two readers"],
)
def test_a_product_that_is_not_like_the_output_keeps_its_memory(func):
    assert scratch_of(func) == ["product"]


def test_an_axis_with_one_place_may_be_read_there_by_its_number():
    """``product[0, j]`` is read where ``out[i, j]`` is written, with ``i`` below 1."""
    x, w = te.placeholder((1, k), name="x"), te.placeholder((k, n), name="w")
    axis = te.reduce_axis(k, name="r")
    product = te.compute((1, n), lambda i, j: te.sum(x[i, axis] * w[axis, j], axis), name="product")
    out = te.compute((1, n), lambda i, j: product[0, j] + 1, name="out")
    assert scratch_of(create_prim_func([x, w], [out], "kernel")) == []


def test_an_output_that_is_written_again_and_again_holds_no_product():
    """Each of the writes reads the product, which the first one would replace."""

    @relax.prim_func
    def last_row(
        x: T.Buffer((1, k), "float32"),
        w: T.Buffer((k, n), "float32"),
        y: T.Buffer((m, n), "float32"),
        out: T.Buffer((1, n), "float32"),
    ):
        product = T.alloc_buffer((1, n), "float32")
        for i, j, r in T.grid(1, n, k):
            with T.block("product"):
                vi, vj, vr = T.axis.remap("SSR", [i, j, r])
                with T.init():
                    product[vi, vj] = 0.0
                product[vi, vj] = product[vi, vj] + x[vi, vr] * w[vr, vj]
        for i, j in T.grid(m, n):
            with T.block("out"):
                vi, vj = T.axis.remap("RS", [i, j])
                out[0, vj] = product[0, vj] + y[vi, vj]

    assert scratch_of(last_row.ir) == ["product"]
    random = np.random.default_rng(0)
    x, w, y = (random.standard_normal(shape, "float32") for shape in ((1, 40), (40, 300), (5, 300)))
    np.testing.assert_allclose(last_row(x, w, y), x @ w + y[-1:], rtol=1e-4, atol=1e-4)


def test_an_output_that_shares_memory_with_an_input_holds_nothing_before():
    func = kernel()
    places = {each.name: place for place, each in enumerate(func.params)}
    attrs = MappingProxyType({**func.attrs, "in_place": ((places["out"], places["residual"]),)})
    assert scratch_of(replace(func, attrs=attrs)) == ["product"]
