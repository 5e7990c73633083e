"""Products whose right operand is read in strips: those that are runs where they are, the others packed."""

from __future__ import annotations

import numpy as np
import pytest
from engine_calls import Array, Division, Tables, assert_whole, call, core_for, gathered_product, memory_for
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import te
from relaxdsl.kernels.contraction.engine import Core
from relaxdsl.kernels.contraction.pieces import BLOCKS_OF_GROUP
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, PACKED_ROWS, host_tile
from relaxdsl.kernels.contraction.ways import Product as Known
from relaxdsl.kernels.contraction.windows import PACKED
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import Dim, dims, free_symbols, substitute

DTYPES = ("float32", "float64")
WIDTHS = (32, 128, 256, 512)


def windows_product(core: Core, left: Array, right: Array, steps: Array, columns: Array) -> tuple[Array, list[int]]:
    """``left[i, k] * right[steps[k] + columns[j]]`` summed over k, and where the strips of each group start."""
    (m, k), n = left.shape, len(columns)
    panels, _, frame = memory_for(Known(m, n, k, None, None, core.tile), str(left.dtype), n)
    strips, found = np.zeros(COLUMN_GROUP // core.tile.lanes, "int64"), list[int]()
    apart = tuple(step // left.itemsize for step in left.strides)
    for first in range(0, n, COLUMN_GROUP):
        count = min(COLUMN_GROUP, n - first)
        call(core, "pack_windows", count, k, right, steps, columns[first:], panels, strips)
        found += list(strips[: -(-count // core.tile.lanes)])
        sizes = (m, count, k)
        goal = (frame[1:, 1 + first :], n + 2, panels)
        call(core, "contract_windows", *sizes, left, *apart, right, steps, strips, *goal)
    assert_whole(panels)
    edges = (frame[0], frame[-1], frame[:, 0], frame[:, -1])
    assert all(np.isnan(edge).all() for edge in edges), "an element outside of the result was written"
    return frame[1:-1, 1:-1], found


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vector_bits=st.sampled_from(WIDTHS),
    is_transposed=st.booleans(),
    runs=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 80), st.sampled_from([1, 1, 2, -1])), max_size=20),
    rows=st.sampled_from([0, 1, 7, 8, 30, 200]),
    depth=st.sampled_from([0, 1, 5, 147, 700]),
)
def test_tables_of_any_offsets(dtype, vector_bits, is_transposed, runs, rows, depth):
    """The bits are those of a product that packs everything."""
    random = np.random.default_rng([rows, depth])
    columns = np.concatenate([[60], *(start + 90 + spacing * np.arange(length) for start, length, spacing in runs)])
    steps = np.sort(random.integers(0, 300, depth))
    left = random.standard_normal((rows, depth)).astype(dtype)
    left = np.asfortranarray(left) if is_transposed else left
    right = random.standard_normal(1200).astype(dtype)
    core = core_for(dtype, vector_bits)
    result, strips = windows_product(core, left, right, steps, columns)
    places = (np.arange(size) * (step // left.itemsize) for size, step in zip(left.shape, left.strides, strict=True))
    packed = gathered_product(core, left, right, Tables(*places, steps, columns), Division())
    np.testing.assert_array_equal(result, packed)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    wanted = left.astype("float64") @ right[steps[:, None] + columns]
    np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)
    assert strips == [_start(columns, first, core.tile.lanes) for first in _firsts(len(columns), core.tile.lanes)]


def _firsts(count: int, lanes: int) -> list[int]:
    groups = ((first, min(first + COLUMN_GROUP, count)) for first in range(0, count, COLUMN_GROUP))
    return [first for group in groups for first in range(*group, lanes)]


def _start(columns: Array, first: int, lanes: int) -> int:
    strip = columns[first : first + lanes]
    is_run = len(strip) == lanes and (np.diff(strip) == 1).all()
    return int(strip[0]) if is_run else PACKED


c, f, h, w = dims("c f h w")


def _source(channels_last: bool) -> str:
    """A convolution by 3 x 3."""
    x = te.placeholder((2, h + 2, w + 2, c) if channels_last else (2, c, h + 2, w + 2), name="x")
    weight = te.placeholder((3, 3, c, f) if channels_last else (f, c, 3, 3), name="weight")
    k, u, v = (te.reduce_axis(size, name=name) for size, name in ((c, "k"), (3, "u"), (3, "v")))

    def first(n: Dim, o: Dim, i: Dim, j: Dim) -> te.Tensor:
        return te.sum(x[n, k, i + u, j + v] * weight[o, k, u, v], (k, u, v))

    def last(n: Dim, i: Dim, j: Dim, o: Dim) -> te.Tensor:
        return te.sum(x[n, i + u, j + v, k] * weight[u, v, k, o], (u, v, k))

    made = te.compute((2, h, w, f), last, name="out") if channels_last else te.compute((2, f, h, w), first, name="out")
    return kernel_source(schedule(create_prim_func([x, weight], [made], "conv")))


def _of_one_image(channels: Dim, height: Dim, width: Dim, filters: Dim) -> PrimFunc:
    """The same of one image, which no other operand has more than one of."""
    x = te.placeholder((channels, height + 2, width + 2), name="x")
    weight = te.placeholder((filters, channels, 3, 3), name="weight")
    k, u, v = (te.reduce_axis(size, name=name) for size, name in ((channels, "k"), (3, "u"), (3, "v")))

    def body(o: Dim, i: Dim, j: Dim) -> te.Tensor:
        return te.sum(x[k, i + u, j + v] * weight[o, k, u, v], (k, u, v))

    return create_prim_func([x, weight], [te.compute((filters, height, width), body, name="out")], "conv")


def test_a_convolution_reads_its_windows_where_they_are() -> None:
    source = _source(channels_last=False)
    assert "pack_windows_float32(" in source
    assert "contract_windows_float32(" in source
    assert "weight_rows" not in source  # the weights are evenly spaced, so they need no tables


def test_with_channels_last_the_windows_are_the_left_operand() -> None:
    assert "contract_gathered_float32(" in _source(channels_last=True)


@pytest.mark.parametrize(("size", "are_packed_before"), [((h, w), False), ((20, 20), False), ((14, 14), True)])
def test_few_columns_are_packed_for_all_threads(size: tuple[Dim, Dim], are_packed_before: bool) -> None:
    source = kernel_source(schedule(_of_one_image(c, *size, f)))
    assert ("pack_gathered_float32(" in source) == are_packed_before
    assert ("contract_windows_float32(" in source) != are_packed_before


@pytest.mark.parametrize("sizes", [(3, 1, 1, 5), (5, 7, 9, 20), (2, 30, 31, 100), (8, 10, 12, 1600), (4, 0, 3, 2)])
def test_threads_share_an_image_by_tiles_and_get_the_same_bits(sizes: tuple[int, int, int, int]) -> None:
    channels, height, width, filters = sizes
    compiled = compile_kernel(_of_one_image(c, h, w, f))
    columns = host_tile(32).columns
    (extent,) = (each for each in compiled.extents if {"h", "w"} <= set(free_symbols(each)))
    tiles = max(1, -(-height * width // columns)) * -(-filters // (PACKED_ROWS * BLOCKS_OF_GROUP))
    assert substitute(extent, dict(zip("chwf", sizes, strict=True))) == tiles
    random = np.random.default_rng(height)
    x = random.standard_normal((channels, height + 2, width + 2), "float32")
    weight = random.standard_normal((filters, channels, 3, 3), "float32")
    wanted = None
    for parts in (1, 2, 3, 7):
        result = np.full((filters, height, width), np.nan, "float32")
        run_kernel(compiled, [x, weight, result], dict(zip("chwf", sizes, strict=True)), parts=parts)
        if wanted is None:
            wanted = result
            corners = ((u, v, x[:, u : u + height, v : v + width]) for u in range(3) for v in range(3))
            sums = [np.einsum("chw,fc->fhw", seen.astype("float64"), weight[:, :, u, v]) for u, v, seen in corners]
            np.testing.assert_allclose(result, sum(sums), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(result, wanted)
