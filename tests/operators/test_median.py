"""``median``: ties, NaN, and nothing."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax

m = relax.dims("m")


@relax.function
def rows(x: relax.Tensor[(m, "n"), "float32"]):
    return relax.median(x, axis=1)


def test_values_are_elements_and_positions_say_which() -> None:
    x = np.random.default_rng(0).integers(0, 4, (5, 6)).astype("float32")
    values, positions = rows(x)
    np.testing.assert_array_equal(values, np.sort(x, axis=1)[:, 2])
    np.testing.assert_array_equal(np.take_along_axis(x, positions[:, None], axis=1)[:, 0], values)
    assert rows.check(x)


def test_a_nan_is_the_median() -> None:
    values, positions = rows(np.array([[1, np.nan, 0, np.nan], [3, 1, 2, 0]], "float32"))
    assert np.isnan(values[0])
    assert positions.tolist() == [1, 1]


def test_nothing_has_no_median() -> None:
    with pytest.raises(relax.ArgumentError) as error:
        rows(np.zeros((2, 0), "float32"))
    assert str(error.value) == "median: x has no elements along the axis, and nothing has no median"


def test_a_number_has_no_axes() -> None:
    with pytest.raises(relax.DTypeError) as error:
        relax.median(1.0)
    assert str(error.value) == "median: x must be a tensor, got a number"
