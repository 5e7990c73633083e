"""``take`` and positions where nothing is: no kernel reads outside of its input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_runs import run

from relaxdsl.operators import indexing

NAN = float("nan")
TABLE = np.array([10.0, 11.0, 12.0], "float32")
FAR = np.iinfo("int64")


@pytest.mark.parametrize(
    ("mode", "index", "expected"),
    [
        ("fast", [0, 2, -1, -3], [10, 12, 12, 10]),
        ("fast", [3, -4, FAR.max, FAR.min], [NAN] * 4),
        ("nan", [1, -1, 3], [11, NAN, NAN]),
        ("clip", [-5, 1, 99, FAR.max, FAR.min], [10, 11, 12, 12, 10]),
        ("wrap", [-1, 3, 7, -4], [12, 10, 11, 12]),
    ],
)
def test_take_modes(mode: str, index: list[int], expected: list[float]) -> None:
    result = run(indexing.take, TABLE, np.array(index), axis=0, mode=mode)
    np.testing.assert_array_equal(result, np.array(expected, "float32"))


@pytest.mark.parametrize("mode", indexing.TAKE_MODES)
@pytest.mark.parametrize("axis", [0, None])
def test_take_from_nothing(mode: str, axis: int | None) -> None:
    result = run(indexing.take, np.zeros(0, "float32"), np.array([0, -1]), symbolic=True, axis=axis, mode=mode)
    np.testing.assert_array_equal(result, [NAN, NAN])


@pytest.mark.parametrize(("dtype", "missing"), [("int32", 0), ("bool", False), ("float64", NAN)])
def test_what_stands_for_a_missing_element(dtype: str, missing: Any) -> None:
    result = run(indexing.take, np.ones(2, dtype), np.array([1, 2]), axis=0)
    np.testing.assert_array_equal(result, [np.ones((), dtype), missing])
    first = run(indexing.getitem, np.zeros((0, 2), dtype), symbolic=True, index=(0,))
    np.testing.assert_array_equal(first, [missing, missing])
