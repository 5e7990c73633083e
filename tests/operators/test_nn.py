"""Softmaxes with masks and large values; norms of rows far from 0."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_runs import run

from relaxdsl.operators import nn

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.0, -INF, 0.0], [0.5, 0.0, 0.5]),
        ([-INF, -INF, 3.0], [0.0, 0.0, 1.0]),
        ([-INF, -INF, -INF], [NAN, NAN, NAN]),
        ([NAN, 0.0, 0.0], [NAN, NAN, NAN]),
        ([1e30, 1e30, -1e30], [0.5, 0.5, 0.0]),
    ],
)
def test_softmax_of_a_row(row: list[float], expected: list[float]) -> None:
    array = np.array([row], "float32")
    np.testing.assert_allclose(run(nn.softmax, array), [expected], rtol=1e-6)
    np.testing.assert_allclose(np.exp(run(nn.log_softmax, array)), [expected], rtol=1e-6)


def test_log_softmax_where_the_softmax_is_zero() -> None:
    result = run(nn.log_softmax, np.array([0.0, -2000.0]))
    np.testing.assert_allclose(result, [0.0, -2000.0])


def test_layer_norm_of_rows_far_from_zero() -> None:
    row = np.array([[1e5 - 1, 1e5, 1e5 + 1]], "float32")
    np.testing.assert_allclose(run(nn.layer_norm, row, None, None), [[-1.2247, 0.0, 1.2247]], atol=1e-3)


@pytest.mark.parametrize("function", [nn.relu, nn.leakyrelu, nn.gelu, nn.gelu_tanh, nn.silu, nn.softplus])
def test_activations_keep_nan(function: object) -> None:
    assert np.isnan(run(function, np.array([NAN], "float32"))).all()  # type: ignore[arg-type]


def test_softplus_of_large_values_is_the_value() -> None:
    np.testing.assert_array_equal(run(nn.softplus, np.array([1e4, 50.0, -1e4], "float32")), np.float32([1e4, 50, 0]))
