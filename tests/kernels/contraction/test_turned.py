"""Products whose result is turned as it is written: rows given by tables, neighbours in memory. And convolutions so."""

from __future__ import annotations

import numpy as np
import pytest
from engine_calls import Array, assert_whole, call, core_for, memory_for
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import te
from relaxdsl.kernels.contraction.engine import Core
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, PACKED_COLUMNS, TURNED_STEPS, host_tile
from relaxdsl.kernels.contraction.ways import Product as Known
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import Dim, dims

DTYPES = ("float32", "float64")
WIDTHS = (32, 128, 256, 512)

n, h, w = dims("n h w")


def turned_product(
    core: Core, image: Array, rows: Array, steps: Array, right: Array, cuts: tuple[list[int], list[int]]
) -> Array:
    """``image[rows[i] + steps[k]] * right[k, j]`` summed over k, at ``[j, i]``, computed in pieces."""
    m, (k, count) = len(rows), right.shape
    panels, _, _ = memory_for(Known(m, count, k, None, None, core.tile), str(image.dtype), count)
    frame = np.full((count + 2, m + 2), np.nan, image.dtype)
    apart = tuple(step // right.itemsize for step in right.strides)
    for group in range(-(-count // COLUMN_GROUP)):
        call(core, "pack_turned", count, k, right, *apart, group, 1, panels)
    for first, stop in zip([0, *cuts[0]], [*cuts[0], m], strict=True):
        for column, end in zip([0, *cuts[1]], [*cuts[1], count], strict=True):
            sizes = (stop - first, count, column, end - column, k)
            operand = (image, rows[first:], steps)
            call(core, "contract_turned", *sizes, *operand, frame[1 + column :, 1 + first :], m + 2, panels)
    assert_whole(panels)
    edges = (frame[0], frame[-1], frame[:, 0], frame[:, -1])
    assert all(np.isnan(edge).all() for edge in edges), "an element outside of the result was written"
    return frame[1:-1, 1:-1]


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vector_bits=st.sampled_from(WIDTHS),
    is_transposed=st.booleans(),
    rows=st.integers(0, 40) | st.sampled_from([192, 200]),
    columns=st.integers(0, 60) | st.sampled_from([96, 200]),
    depth=st.sampled_from([0, 1, 5, 147, 700, 1100]),
    row_cuts=st.lists(st.integers(0, 200), max_size=3),
    column_cuts=st.lists(st.sampled_from([PACKED_COLUMNS, COLUMN_GROUP]), max_size=1),
)
def test_products_of_any_size(dtype, vector_bits, is_transposed, rows, columns, depth, row_cuts, column_cuts):
    random = np.random.default_rng([rows, columns, depth])
    image = random.standard_normal(1200).astype(dtype)
    places, steps = random.integers(0, 500, rows), np.sort(random.integers(0, 600, depth))
    right = random.standard_normal((depth, columns)).astype(dtype)
    right = np.asfortranarray(right) if is_transposed else right
    core = core_for(dtype, vector_bits)
    whole = turned_product(core, image, places, steps, right, ([], []))
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    wanted = (image[places[:, None] + steps].astype("float64") @ right).T
    np.testing.assert_allclose(whole, wanted, rtol=tolerance, atol=tolerance)
    cuts = sorted(min(each, rows) for each in row_cuts), [each for each in column_cuts if each < columns]
    np.testing.assert_array_equal(turned_product(core, image, places, steps, right, cuts), whole)


def _convolution(channels: Dim, filters: Dim, stride: int = 1, groups: int = 1) -> PrimFunc:
    """By 3 x 3, channels first; each group of filters sees its own channels."""
    x = te.placeholder((n, groups, channels, (h - 1) * stride + 3, (w - 1) * stride + 3), name="x")
    weight = te.placeholder((groups, filters, channels, 3, 3), name="weight")
    k, u, v = (te.reduce_axis(size, name=name) for size, name in ((channels, "k"), (3, "u"), (3, "v")))

    def body(b: Dim, g: Dim, o: Dim, i: Dim, j: Dim) -> te.Tensor:
        return te.sum(x[b, g, k, i * stride + u, j * stride + v] * weight[g, o, k, u, v], (k, u, v))

    made = te.compute((n, groups, filters, h, w), body, name="out")
    bias = te.placeholder((filters,), name="bias")
    last = te.compute(made.shape, lambda b, g, o, i, j: te.maximum(made[b, g, o, i, j] + bias[o], 0.0), "relu")
    return create_prim_func([x, weight, bias], [last], "conv")


@pytest.mark.parametrize(
    ("kernel", "is_turned"),
    [
        (_convolution(16, 32), True),
        (_convolution(16, 40), True),
        (_convolution(16, 25), False),  # a fifth of the vectors would be empty
        (_convolution(TURNED_STEPS // 9, 32), False),  # few steps
        (_convolution(16, 32, groups=2), False),  # every group would have to be packed
        (_convolution(dims("c"), 32), False),
        (_convolution(16, dims("f")), False),
    ],
)
@pytest.mark.parametrize("vector_bits", [256, 512])
def test_which_convolutions_are_turned(kernel: PrimFunc, is_turned: bool, vector_bits: int, monkeypatch) -> None:
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", str(vector_bits))
    is_turned = is_turned and host_tile(32).turns_windows
    source = kernel_source(schedule(kernel))
    assert ("contract_turned_float32(" in source) == is_turned
    assert ("contract_windows_float32(" in source) != is_turned


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 7, 9), (1, 30, 31), (0, 3, 3), (1, 0, 5)])
def test_threads_share_a_convolution_and_get_the_same_bits(stride, sizes, monkeypatch) -> None:
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", "256")
    channels, filters = 60, 40
    compiled = compile_kernel(_convolution(channels, filters, stride))
    assert "contract_turned_float32(" in compiled.source
    images, height, width = sizes
    random = np.random.default_rng(height)
    spatial = [(size - 1) * stride + 3 if size else max(0, 3 - stride) for size in (height, width)]
    x = random.standard_normal((images, 1, channels, *spatial), "float32")
    weight = random.standard_normal((1, filters, channels, 3, 3), "float32")
    bias = random.standard_normal(filters, "float32")
    wanted = np.zeros((images, filters, height, width))
    if wanted.size:
        windows = np.lib.stride_tricks.sliding_window_view(x[:, 0].astype("float64"), (3, 3), axis=(2, 3))
        wanted = np.einsum("bcijuv,ocuv->boij", windows[:, :, ::stride, ::stride], weight[0])
        wanted = np.maximum(wanted + bias[:, None, None], 0)
    first = None
    for parts in (1, 2, 3, 7):
        result = np.full((images, 1, filters, height, width), np.nan, "float32")
        run_kernel(compiled, [x, weight, bias, result], {"n": images, "h": height, "w": width}, parts=parts)
        np.testing.assert_allclose(result[:, 0], wanted, rtol=1e-3, atol=1e-3)
        first = result if first is None else first
        np.testing.assert_array_equal(result, first)
