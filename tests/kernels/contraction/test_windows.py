"""Products whose right operand is read in strips: those that are runs where they are, the others packed."""

from __future__ import annotations

import numpy as np
from engine_calls import Array, Division, Tables, assert_whole, call, core_for, gathered_product, memory_for
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.kernels import te
from relaxdsl.kernels.contraction.engine import Core
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP
from relaxdsl.kernels.contraction.ways import Product as Known
from relaxdsl.kernels.contraction.windows import PACKED
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import Dim, dims

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


def test_a_convolution_reads_its_windows_where_they_are() -> None:
    source = _source(channels_last=False)
    assert "pack_windows_float32(" in source
    assert "contract_windows_float32(" in source
    assert "weight_rows" not in source  # the weights are evenly spaced, so they need no tables


def test_with_channels_last_the_windows_are_the_left_operand() -> None:
    assert "contract_gathered_float32(" in _source(channels_last=True)
