"""Operators that make tensors: the shapes and dtypes a user may give, and what the samples can't show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import ShapeExpr, Var
from relaxdsl.operators.catalog import PUBLIC
from relaxdsl.types.dims import dim_max, symbol
from relaxdsl.types.types import ShapeType, tensor_type

m, n = symbol("m"), symbol("n")
zeros, arange = PUBLIC["zeros"], PUBLIC["arange"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (3, (3,)),
        (np.int64(3), (3,)),
        (m, (m,)),
        ([2, m], (2, m)),
        ((2 * m + 1, np.int32(4)), (2 * m + 1, 4)),
        ((), ()),
        (ShapeExpr((m, 4)), (m, 4)),
        (Var("s", ShapeType((m, n))), (m, n)),
    ],
)
def test_shapes_a_user_may_give(shape: Any, expected: tuple[Any, ...]) -> None:
    assert zeros(shape).shape == expected


@pytest.mark.parametrize("shape", [ShapeExpr((m, 4)), [m, np.int64(4)]])
def test_shapes_are_plain_tuples_in_calls(shape: Any) -> None:
    assert zeros(shape).attrs["shape"] == (m, 4)
    assert type(zeros(shape).attrs["shape"]) is tuple


def test_unknown_shape_value() -> None:
    with pytest.raises(ShapeError) as error:
        zeros(Var("s", ShapeType(ndim=2)))
    assert str(error.value) == (
        "zeros: the shape must be known as sizes, got relax.Shape(ndim=2)\n"
        "   hint: name its sizes first: shape = relax.match_cast(shape, relax.Shape((m, n)))"
    )


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_dtypes_a_user_may_give(dtype: Any) -> None:
    call = zeros(2, dtype)
    assert call.dtype == "float32"
    assert call.attrs["dtype"] == "float32"
    assert Var("x", tensor_type((m,), "int8")).astype(dtype).attrs["dtype"] == "float32"


def test_python_types_as_dtypes() -> None:
    assert zeros(2, int).dtype == "int64"
    assert zeros(2, bool).dtype == "bool"
    with pytest.raises(DTypeError) as error:
        zeros(2, list)
    assert str(error.value).startswith("unknown dtype 'list'\n   hint: the dtypes are bool, int8")


def test_lengths_of_ranges() -> None:
    assert arange(m).shape == (m,)
    assert arange(2, m).shape == (dim_max(0, m - 2),)
    assert arange(0, 2 * m, 2).shape == (m,)
    assert arange(7, 0, -2).shape == (4,)
    assert arange(0, 5).dtype == "int64"
    assert arange(5.0).dtype == "float64"


@pytest.mark.parametrize("bounds", [(0, 1, 0.1), (1.0, -2.0, -0.3), (0.5, 4), (3.0, 1.0)])
def test_float_ranges_have_numpys_lengths(bounds: tuple[float, ...]) -> None:
    assert arange(*bounds).shape == np.arange(*bounds).shape


def test_infinity_is_no_integer() -> None:
    with pytest.raises(DTypeError) as error:
        PUBLIC["full"]((2,), float("inf"), "int32")
    assert str(error.value) == "full: fill_value: inf does not fit into int32"
