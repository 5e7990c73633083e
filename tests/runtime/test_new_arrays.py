"""Where results begin in memory."""

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.runtime.placement import LARGE_BYTES, PAGE_BYTES, bytes_taken
from tests.allocations import allocated

m, n = relax.dims("m n")


@relax.function
def scaled(x: relax.Tensor[(m, n), "float32"]):
    return x * 2.0


@relax.function
def both(x: relax.Tensor[(n,), "float64"], y: relax.Tensor[(n,), "float64"]):
    return x + y, x - y


@relax.function
def used(x: relax.Tensor[(n,), "int64"]):
    return relax.unique(x) * 2


@relax.function
def twice(x: relax.Tensor[(m, n), "float32"]):
    return scaled(scaled(x))


def distance(result: np.ndarray, argument: np.ndarray) -> int:
    """How much further in its page the result begins."""
    return (result.ctypes.data - argument.ctypes.data) % PAGE_BYTES


def assert_placed(result: np.ndarray, argument: np.ndarray) -> None:
    """That the result begins with a line, half a page from the argument."""
    assert result.ctypes.data % 64 == 0
    assert PAGE_BYTES // 2 - 64 < distance(result, argument) <= PAGE_BYTES // 2
    assert result.flags.c_contiguous
    assert result.flags.aligned
    assert result.flags.writeable


@pytest.mark.parametrize("function", [scaled, twice])
@pytest.mark.parametrize("skip", [0, 1, 4, 1000])
def test_large_results_begin_half_a_page_from_the_first_argument(function: relax.CompiledFunction, skip: int) -> None:
    x = np.arange(skip + 64 * 1024, dtype="float32")[skip:].reshape(64, 1024)
    result = function(x)
    assert_placed(result, x)
    np.testing.assert_array_equal(result, x * (2 if function is scaled else 4))


def test_each_of_several_results_is_placed() -> None:
    x, y = np.arange(20_000.0), np.ones(20_000)
    results = both(x, y)
    for result, expected in zip(results, (x + y, x - y), strict=True):
        assert_placed(result, x)
        np.testing.assert_array_equal(result, expected)


def test_results_whose_size_depends_on_data_are_placed() -> None:
    x = np.arange(40_000) // 2
    result = used(x)
    assert_placed(result, x)
    np.testing.assert_array_equal(result, 2 * np.arange(20_000))


def test_small_results_own_their_memory() -> None:
    x = np.ones((1, LARGE_BYTES // 4 - 1), "float32")
    assert scaled(x).base is None
    assert scaled(np.ones((1, LARGE_BYTES // 4), "float32")).base is not None


@pytest.mark.parametrize("size", [LARGE_BYTES - 4, LARGE_BYTES, LARGE_BYTES + 4])
def test_a_result_takes_what_is_said_of_it(size: int) -> None:
    x = np.ones((1, size // 4), "float32")
    scaled(x)
    result, grown = allocated(lambda: scaled(x))
    assert result.nbytes == size
    assert grown == bytes_taken(size) == scaled.peak_bytes(m=1, n=size // 4)


def test_memory_of_a_large_result_goes_with_it() -> None:
    x = np.ones((1, LARGE_BYTES), "float32")
    scaled(x)
    _, kept = allocated(lambda: scaled(x) is None)
    assert kept == 0
