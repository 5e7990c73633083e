"""The engine's core: every size, stride, width of vectors and division against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from engine_calls import Array, Division, Product, Tables, core_for, gathered_product
from hypothesis import given, settings
from hypothesis import strategies as st

DTYPES = ("float32", "float64")
WIDTHS = (32, 128, 256, 512)
SPACINGS = ("rows", "columns", "twice", "backwards", "same row", "same column")
SIZES = [
    (0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 50, 7), (30, 1, 40), (40, 40, 40), (33, 70, 300),
    (97, 33, 65), (13, 200, 13), (100, 16, 20), (20, 400, 9), (101, 390, 257), (200, 20, 801),
    (9, 64, 300), (200, 61, 70), (297, 400, 40), (10, 112, 600),
]  # fmt: skip


def matrix(rows: int, columns: int, dtype: str, spacing: str, seed: int = 0) -> Array:
    """Random numbers, stored in one of several ways."""
    numbers = np.random.default_rng([seed, rows, columns]).standard_normal((rows, columns)).astype(dtype)
    if spacing == "columns":
        return np.asfortranarray(numbers)
    if spacing == "twice":
        return np.repeat(numbers, 2, axis=1)[:, ::2]
    if spacing == "backwards":
        return np.ascontiguousarray(numbers[::-1, ::-1])[::-1, ::-1]
    if spacing == "same row":
        return np.broadcast_to(numbers[:1], numbers.shape)
    if spacing == "same column":
        return np.broadcast_to(numbers[:, :1], numbers.shape)
    return numbers


def assert_close(result: Array, left: Array, right: Array) -> None:
    tolerance = 2e-5 if result.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, left.astype("float64") @ right, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_and_strides(dtype, vector_bits):
    """A width that the machine lacks is computed in narrower vectors."""
    core = core_for(dtype, vector_bits)
    for number, (m, n, k) in enumerate(SIZES):
        for place in range(len(SPACINGS)):
            left = matrix(m, k, dtype, SPACINGS[place])
            right = matrix(k, n, dtype, SPACINGS[(number + place) % len(SPACINGS)], seed=1)
            product = Product(core, left, right)
            assert_close(product.result(), left, right)
            assert_close(product.gathered_result(), left, right)


def amid_nans(numbers: Array, distance: int) -> Array:
    """A matrix whose columns are so many elements apart, with NaN between and around them."""
    rows, columns = numbers.shape
    memory = np.full((rows + 2, distance * columns + 40), np.nan, numbers.dtype)
    memory[1:-1, 20 : 20 + distance * columns : distance] = numbers
    return memory[1:-1, 20 : 20 + distance * columns : distance]


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dot_products_of_any_length_read_their_operands_only(dtype, vector_bits):
    """What is left of vectors counts as zeros; steps that are apart are added in the order of those that are not."""
    core = core_for(dtype, vector_bits)
    for depth in (*range(1, 36), 63, 64, 65):
        for rows, columns in ((1, 9), (2, 4), (3, 6)):
            left, right = matrix(rows, depth, dtype, "rows"), matrix(columns, depth, dtype, "rows", seed=1)
            found = [Product(core, amid_nans(left, apart), amid_nans(right, 1).T).result() for apart in (1, 2)]
            assert_close(found[0], left, right.T)
            np.testing.assert_array_equal(*found)


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    spacings=st.tuples(*[st.sampled_from(SPACINGS)] * 2),
    sizes=st.tuples(st.integers(0, 400), st.integers(0, 420), st.integers(0, 900)),
    parts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_sum_of_the_first_steps_for_the_first_columns(dtype, spacings, sizes, parts):
    m, n, k = sizes
    left, right = matrix(m, k, dtype, spacings[0]), matrix(k, n, dtype, spacings[1], seed=1)
    steps, columns = int(parts[0] * k), int(parts[1] * n)
    result = Product(core_for(dtype), left, right, steps=steps, columns=columns).result()
    assert_close(result, left[:, :steps], right[:steps, :columns])


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    spacings=st.tuples(*[st.sampled_from(SPACINGS)] * 2),
    sizes=st.tuples(st.integers(0, 220), st.integers(0, 620), st.integers(0, 300) | st.just(900)),
    rows=st.lists(st.integers(0, 220), max_size=3),
    granules=st.lists(st.integers(0, 14), max_size=3),
)
def test_any_division_gives_the_same_bits(dtype, spacings, sizes, rows, granules):
    m, n, k = sizes
    left, right = matrix(m, k, dtype, spacings[0]), matrix(k, n, dtype, spacings[1], seed=1)
    whole = Product(core_for(dtype), left, right)
    pieces = Product(core_for(dtype), left, right, Division(tuple(rows), tuple(granules)))
    np.testing.assert_array_equal(pieces.result(), whole.result())
    np.testing.assert_array_equal(pieces.gathered_result(), whole.gathered_result())
    assert_close(whole.result(), left, right)


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vector_bits=st.sampled_from(WIDTHS),
    spacings=st.tuples(*[st.sampled_from(SPACINGS)] * 2),
    sizes=st.tuples(st.integers(0, 60), st.integers(0, 320), st.integers(0, 500) | st.just(900)),
    parts=st.tuples(st.sampled_from([96, 192, 384]), st.sampled_from([2, 16, 384]), st.sampled_from([96, 384, 1000])),
)
def test_panels_filled_by_rectangles_give_the_same_bits(dtype, vector_bits, spacings, sizes, parts):
    m, n, k = sizes
    left, right = matrix(m, k, dtype, spacings[0]), matrix(k, n, dtype, spacings[1], seed=1)
    product = Product(core_for(dtype, vector_bits), left, right)
    found = product.filled_result(*parts)
    np.testing.assert_array_equal(found, product.gathered_result())
    assert_close(found, left, right)


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vector_bits=st.sampled_from(WIDTHS),
    runs=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 20), st.integers(-3, 3)), min_size=1, max_size=30),
    depth=st.integers(1, 70),
)
def test_tables_of_any_offsets(dtype, vector_bits, runs, depth):
    """Columns and rows in runs of any length and spacing, as those of a convolution."""
    offsets = np.concatenate([start + spacing * np.arange(length) for start, length, spacing in runs]) + 60
    steps = np.sort(np.random.default_rng(depth).integers(0, 300, depth))
    rows = offsets[: 40 if depth % 2 else 5]
    left, right = matrix(1, 1000, dtype, "rows")[0], matrix(1, 1000, dtype, "rows", seed=1)[0]
    for tables in (Tables(rows, steps, steps, offsets), Tables(rows, np.arange(depth), np.arange(depth), offsets)):
        result = gathered_product(core_for(dtype, vector_bits), left, right, tables, Division((7,), (1, 5)))
        wanted_left = left[tables.left_rows[:, None] + tables.left_steps]
        wanted_right = right[tables.right_steps[:, None] + tables.right_columns]
        assert_close(result, wanted_left, wanted_right)
