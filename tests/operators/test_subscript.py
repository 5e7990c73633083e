"""``x[…]`` on expressions: which type it has, which call it makes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relaxdsl.errors import DTypeError, RelaxError, ShapeError
from relaxdsl.ir.graph import Call, PrimValue, ShapeExpr, Tuple, TupleGetItem, Var
from relaxdsl.operators import catalog
from relaxdsl.types.dims import dims
from relaxdsl.types.types import AnyType, PrimType, TensorType, TupleType

assert catalog.PUBLIC, "importing the catalog attaches the methods"

m, n, k = dims("m n k")
x = Var("x", TensorType((m, 4, n), "float32"))
v = Var("v", TensorType((n,), "int32"))
indices = Var("indices", TensorType((k, 2), "int64"))
mask = Var("mask", TensorType((m,), "bool"))
dim_var = Var("i", PrimType("int64", k))


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (np.s_[1:], "(max(m, 1) - 1, 4, n)"),
        (np.s_[..., 0], "(m, 4)"),
        (np.s_[0], "(4, n)"),
        (np.s_[:, 1:3], "(m, 2, n)"),
        (np.s_[1:, None, ..., ::-1], "(max(m, 1) - 1, 1, 4, n)"),
        (np.s_[None], "(1, m, 4, n)"),
        (np.s_[..., None], "(m, 4, n, 1)"),
        (np.s_[0, -1, -1], "()"),
        (np.s_[...], "(m, 4, n)"),
        (np.s_[()], "(m, 4, n)"),
        (np.s_[:, np.int32(2)], "(m, n)"),
        (np.s_[:k], "(min(k, m), 4, n)"),
        (np.s_[:, 2, ::2], "(m, (n + 1) // 2)"),
        (indices, "(k, 2, 4, n)"),
        ((slice(None), indices), "(m, k, 2, n)"),
        ((..., indices), "(m, 4, k, 2)"),
        ((slice(1, None), None, indices), "(max(m, 1) - 1, 1, k, 2, n)"),
        ((0, indices), "(k, 2, n)"),
        ([0, 2], "(2, 4, n)"),
        (np.array([[0]]), "(1, 1, 4, n)"),
        (dim_var, "(4, n)"),
        (PrimValue(2), "(4, n)"),
    ],
)
def test_shape(index: Any, shape: str) -> None:
    result = x[index]  # type: ignore[index]
    assert result.type.dtype == "float32"
    assert str(result.type) == f'relax.Tensor({shape}, "float32")'


def test_a_basic_index_is_one_call() -> None:
    call = x[1:, None, ..., -1]  # type: ignore[index]
    assert isinstance(call, Call)
    assert call.op.name == "getitem"  # type: ignore[union-attr]
    whole = (None, None, None)
    assert call.attrs["index"] == ((1, None, None), None, whole, -1)
    assert call.args == (x,)


def test_an_index_tensor_alone_is_a_take() -> None:
    call = x[:, indices]  # type: ignore[index]
    assert call.op.name == "take"
    assert call.args == (x, indices)
    assert dict(call.attrs) == {"axis": 1, "mode": "fast"}


def test_fields_of_a_tuple_and_of_a_shape() -> None:
    pair = Tuple((x, v))
    field = pair[-1]  # type: ignore[index]
    assert isinstance(field, TupleGetItem)
    assert (field.index, field.type) == (1, v.type)
    size = ShapeExpr((m, 3))[0]  # type: ignore[index]
    assert isinstance(size, PrimValue)
    assert size.value is m


def test_unpacking() -> None:
    first, second = Tuple((x, v))  # type: ignore[misc]
    assert (first.type, second.type) == (x.type, v.type)
    rows = list(Var("w", TensorType((2, m), "float32")))  # type: ignore[call-overload]
    assert [str(row.type) for row in rows] == ['relax.Tensor((m,), "float32")'] * 2
    assert [size.value for size in ShapeExpr((m, 3))] == [m, 3]  # type: ignore[attr-defined]


KINDS = "x[...]: an index is an integer, a size, a slice, None, ... or an integer tensor, got "
MASK = "x[...]: a bool mask gives a size that depends on the data\n   hint: use relax.where(mask, x, y)"


@pytest.mark.parametrize(
    ("value", "index", "error", "message"),
    [
        (x, 0.5, DTypeError, KINDS + "0.5"),
        (x, "a", DTypeError, KINDS + "'a'"),
        (x, x, DTypeError, KINDS + 'relax.Tensor((m, 4, n), "float32")'),
        (x, mask, DTypeError, MASK + ", or relax.take(x, relax.nonzero(mask)[0], axis=0)"),
        (x, (..., mask, slice(None)), DTypeError, MASK + ", or relax.take(x, relax.nonzero(mask)[0], axis=1)"),
        (x, (mask, 0), DTypeError, MASK),
        (x, True, DTypeError, MASK),
        (
            x,
            Var("mask", TensorType((m, 4, n), "bool")),
            DTypeError,
            MASK + ", or relax.take(relax.flatten(x), relax.nonzero(relax.flatten(mask))[0])",
        ),
        (x, Var("mask", TensorType((m, 4), "bool")), DTypeError, MASK),
        (
            x,
            (indices, v, indices),
            ShapeError,
            "x[...]: one integer tensor can be an index, got 3\n   hint: where no index is negative, use "
            'relax.take(relax.flatten(x), (indices * x.shape[1] + v.astype("int64")) * x.shape[2] + indices)',
        ),
        (
            x,
            (indices, [0]),
            ShapeError,
            "x[...]: one integer tensor can be an index, got 2\n   hint: where no index is negative, use "
            "relax.take(relax.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])), "
            "indices * x.shape[1] + i1, axis=0)",
        ),
        (x, (0, indices, indices), ShapeError, "x[...]: one integer tensor can be an index, got 2"),
        (
            x,
            (0, slice(None), indices),
            ShapeError,
            "x[...]: a slice or a new axis stands between a position and an index tensor\n"
            "   hint: index in two steps: x[:, 0][indices]",
        ),
        (x, (..., ...), ShapeError, "x[...]: only one ... can stand in an index"),
        (x, (0, 0, 0, 0), ShapeError, "x[...]: 4 indices for 3 axes\n   x : Tensor((m, 4, n), float32)"),
        (
            x,
            (..., 0, 0, 0, 0),
            ShapeError,
            "x[...]: 4 indices for 3 axes\n   x : Tensor((m, 4, n), float32)",
        ),
        (Var("a", AnyType()), 0, DTypeError, "x[...]: relax.Any has no parts"),
        (Tuple((x,)), 1, ShapeError, "tuple[...]: index 1 is out of range: the tuple has 1 field"),
        (Tuple((x,)), m, ShapeError, "tuple[...]: the index of a tuple must be a number, got m"),
        (ShapeExpr((m,)), -2, ShapeError, "shape[...]: index -2 is out of range: the shape has 1 field"),
    ],
)
def test_refused(value: Any, index: Any, error: type[RelaxError], message: str) -> None:
    with pytest.raises(error) as caught:
        value[index]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (x, "iteration: axis 0 has size m\n   hint: work on the whole tensor instead of a loop over it"),
        (
            Var("s", TensorType((), "float32")),
            'iteration: relax.Tensor((), "float32") has no known number of parts\n'
            "   hint: work on the whole tensor instead of a loop over it",
        ),
    ],
)
def test_loops_over_an_unknown_number_of_parts(value: Var, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        iter(value)  # type: ignore[call-overload]
    assert str(caught.value) == message


def test_a_tensor_of_unknown_rank_has_no_known_parts() -> None:
    unknown = Var("u", TupleType(()))
    assert list(unknown) == []  # type: ignore[call-overload]
