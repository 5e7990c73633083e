"""Products of bytes: exact in int32, for every pair of dtypes, width of vectors, stride and division."""

from __future__ import annotations

import numpy as np
import pytest
from engine_calls import Array, Division, Product, core_for
from hypothesis import given, settings
from hypothesis import strategies as st

DTYPES = ("int8", "uint8")
WIDTHS = (32, 128, 256, 512)
SIZES = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 50, 7),
    (30, 1, 40),
    (33, 70, 300),
    (97, 200, 65),
    (20, 40, 801),
]


def matrix(rows: int, columns: int, dtype: str, is_transposed: bool, seed: int = 0) -> Array:
    """Every value the dtype has, and the extreme ones more often."""
    generator = np.random.default_rng([seed, rows, columns])
    limits = np.iinfo(dtype)
    numbers = generator.integers(limits.min, limits.max, (rows, columns), endpoint=True)
    numbers[generator.random((rows, columns)) < 0.2] = limits.min if limits.min else limits.max
    return np.asarray(numbers, dtype, order="F" if is_transposed else "C")


def product(left: Array, right: Array, vector_bits: int | None = None, division: Division | None = None) -> Product:
    cores = (core_for(str(each.dtype), vector_bits) for each in (left, right))
    core, packing = cores
    return Product(core, left, right, division or Division(), packing=packing)


def wanted(left: Array, right: Array) -> Array:
    return left.astype("int32") @ right.astype("int32")


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize("left_dtype", DTYPES)
@pytest.mark.parametrize("right_dtype", DTYPES)
def test_sums_are_exact(left_dtype, right_dtype, vector_bits):
    for number, (m, n, k) in enumerate(SIZES):
        for place in range(4):
            left = matrix(m, k, left_dtype, bool(place & 1))
            right = matrix(k, n, right_dtype, bool(place & 2), seed=number)
            made = product(left, right, vector_bits)
            np.testing.assert_array_equal(made.result(), wanted(left, right))
            np.testing.assert_array_equal(made.gathered_result(), wanted(left, right))
            np.testing.assert_array_equal(made.filled_result(96, 16, 384), wanted(left, right))


@settings(max_examples=25, deadline=None)
@given(
    dtypes=st.tuples(*[st.sampled_from(DTYPES)] * 2),
    are_transposed=st.tuples(*[st.booleans()] * 2),
    sizes=st.tuples(st.integers(0, 220), st.integers(0, 620), st.integers(0, 300) | st.just(901)),
    rows=st.lists(st.integers(0, 220), max_size=3),
    granules=st.lists(st.integers(0, 14), max_size=3),
)
def test_any_division_is_exact(dtypes, are_transposed, sizes, rows, granules):
    m, n, k = sizes
    left, right = matrix(m, k, dtypes[0], are_transposed[0]), matrix(k, n, dtypes[1], are_transposed[1])
    made = product(left, right, division=Division(tuple(rows), tuple(granules)))
    np.testing.assert_array_equal(made.result(), wanted(left, right))
    np.testing.assert_array_equal(made.gathered_result(), wanted(left, right))
