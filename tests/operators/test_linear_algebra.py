"""The ``@`` overload, and ``linear``."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_runs import run

from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Call, Constant, Var
from relaxdsl.operators import catalog, linear_algebra
from relaxdsl.types.dims import dims
from relaxdsl.types.types import TensorType

assert catalog.PUBLIC, "importing the catalog attaches the methods"

m, k, n = dims("m k n")
x = Var("x", TensorType((m, k), "float32"))
w = Var("w", TensorType((n, k), "float32"))


def test_the_overload_takes_arrays_on_both_sides() -> None:
    a = Var("a", TensorType((m, 3), "float32"))
    right = a @ np.ones((3, 2), "float32")  # type: ignore[operator]
    left = np.ones((2, 3), "float64") @ a.T  # type: ignore[attr-defined]
    assert isinstance(right.args[1], Constant)
    assert isinstance(left.args[0], Constant)
    assert str(right.type) == 'relax.Tensor((m, 2), "float32")'
    assert str(left.type) == 'relax.Tensor((2, m), "float64")'


def test_linear() -> None:
    bias = Var("b", TensorType((n,), "float32"))
    result = linear_algebra.linear(x, w, bias)
    assert isinstance(result, Call)
    assert str(result.type) == 'relax.Tensor((m, n), "float32")'
    assert str(linear_algebra.linear(x, w).type) == 'relax.Tensor((m, n), "float32")'


def test_a_mistake_names_the_users_variables() -> None:
    with pytest.raises(ShapeError) as error:
        x @ w  # type: ignore[operator]
    assert str(error.value) == (
        "matmul: inner dimension: symbolic sizes `k` and `n` may differ\n"
        "   x : Tensor((m, k), float32)   axis 1 is k\n"
        "   w : Tensor((n, k), float32)   axis 0 is n\n"
        "   hint: the last axis of w would fit: transpose w, as in x @ w.T"
    )


def test_integers_wrap_around_and_an_empty_sum_is_zero() -> None:
    ones = np.full((1, 3), 100, "int8")
    assert run(linear_algebra.matmul, ones, ones.T).item() == np.int8(30000 - 117 * 256)
    nothing = run(linear_algebra.matmul, np.zeros((2, 0), "float32"), np.zeros((0, 3), "float32"))
    np.testing.assert_array_equal(nothing, np.zeros((2, 3), "float32"))
