"""What reductions do with NaN, ties, cancellation and sizes that are 0 only at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_runs import run

from relaxdsl.operators import reduce

NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    "values", [[1.0, NAN, 3.0, NAN], [NAN], [-INF, -INF], [INF, INF], [2.0, 1.0, 2.0, 1.0], [0.0, -0.0], [-INF, NAN]]
)
def test_extrema_are_numpys(name: str, symbolic: bool, values: list[float]) -> None:
    array = np.array(values, "float32")
    result = run(getattr(reduce, name), array, symbolic=symbolic)
    np.testing.assert_array_equal(result, getattr(np, name)(array))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_the_ends_of_a_dtype(name: str, dtype: str) -> None:
    low, high = (False, True) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    array = np.array([[low, low], [high, high], [low, high]], dtype)
    result = run(getattr(reduce, name), array, axis=1)
    np.testing.assert_array_equal(result, getattr(np, name)(array, axis=1))


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("max", "float32", -INF),
        ("min", "float64", INF),
        ("max", "int8", -128),
        ("min", "uint8", 255),
        ("max", "bool", False),
        ("argmax", "float32", np.iinfo("int64").max),
        ("argmin", "int32", np.iinfo("int64").max),
        ("sum", "float32", 0),
        ("prod", "int8", 1),
        ("mean", "float32", NAN),
        ("variance", "int32", NAN),
        ("std", "float64", NAN),
        ("all", "float32", True),
        ("any", "float32", False),
    ],
)
def test_of_nothing_at_run_time(name: str, dtype: str, expected: Any) -> None:
    result = run(getattr(reduce, name), np.zeros(0, dtype), symbolic=True)
    np.testing.assert_array_equal(result, expected)


def test_a_variance_does_not_cancel() -> None:
    array = (1e6 + np.arange(4)).astype("float32")
    assert run(reduce.variance, array) == pytest.approx(1.25, rel=1e-6)
    assert run(reduce.std, array) == pytest.approx(np.sqrt(1.25), rel=1e-6)


def test_nan_is_true() -> None:
    assert run(reduce.all, np.array([NAN, 1.0]))
    assert run(reduce.any, np.array([0.0, NAN]))


def test_sums_of_small_integers_do_not_overflow() -> None:
    assert run(reduce.sum, np.full(300, 255, "uint8")) == 76500
    assert run(reduce.prod, np.full(9, 100, "int8")) == 10**18
