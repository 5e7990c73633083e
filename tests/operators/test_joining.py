"""Joining many tensors, and numbers instead of tensors."""

from __future__ import annotations

import numpy as np
import pytest

from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Var
from relaxdsl.operators import joining
from relaxdsl.types.dims import dims
from relaxdsl.types.types import TensorType

m, n = dims("m n")
NO_LIST = "concat: tensors must be a list or tuple of at least one tensor\n   hint: put them in a list: concat([x, y])"


def test_hundreds_of_tensors() -> None:
    parts = [Var(f"x{i}", TensorType((m, 2), "float32")) for i in range(500)]
    assert str(joining.concat(parts).type) == 'relax.Tensor((m * 500, 2), "float32")'
    assert str(joining.stack(parts, axis=1).type) == 'relax.Tensor((m, 500, 2), "float32")'


def test_arrays_among_the_tensors() -> None:
    x = Var("x", TensorType((m, 2), "float32"))
    assert str(joining.concat((x, np.ones((1, 2)))).type) == 'relax.Tensor((m + 1, 2), "float64")'


def test_split_pieces_of_an_undivided_size() -> None:
    pieces = joining.split(Var("x", TensorType((n,), "float32")), 2).type.fields  # type: ignore[attr-defined]
    assert [str(piece.shape[0]) for piece in pieces] == ["(n + 1) // 2", "n - (n + 1) // 2"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (Var("x", TensorType((m, 2), "float32")), NO_LIST),
        ((1.0, 2.0), "concat: tensors[0] must be a tensor, got a number"),
    ],
)
def test_what_cannot_be_joined(argument: object, message: str) -> None:
    with pytest.raises(ShapeError) as error:
        joining.concat(argument)
    assert str(error.value) == message
