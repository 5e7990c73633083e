"""Types: printing, normalising, symbols, and the lattice."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.types.dims import Dim, symbol
from relaxdsl.types.types import (
    AnyType,
    FuncType,
    Grade,
    PrimType,
    ShapeType,
    TensorType,
    TupleType,
    Type,
    dims_of,
    free_symbols_of,
    is_base_of,
    join,
    rename_symbols,
    substitute_type,
    tensor_type,
)

m, n = symbol("m"), symbol("n")
x = tensor_type((m, 224), "float32")
any_tensor = TensorType()

PRINTED: list[tuple[Type, str]] = [
    (AnyType(), "relax.Any"),
    (PrimType("int64"), 'relax.Prim("int64")'),
    (PrimType("int64", n + 1), 'relax.Prim("int64", value=n + 1)'),
    (ShapeType((m, n)), "relax.Shape((m, n))"),
    (ShapeType(None, 2), "relax.Shape(ndim=2)"),
    (ShapeType(), "relax.Shape"),
    (x, 'relax.Tensor((m, 224), "float32")'),
    (tensor_type((m,)), "relax.Tensor((m,))"),
    (tensor_type((), "bool"), 'relax.Tensor((), "bool")'),
    (TensorType(ndim=2, dtype="float32"), 'relax.Tensor(ndim=2, dtype="float32")'),
    (TensorType(dtype="float32"), 'relax.Tensor(dtype="float32")'),
    (any_tensor, "relax.Tensor"),
    (TupleType((x, AnyType())), 'relax.Tuple(relax.Tensor((m, 224), "float32"), relax.Any)'),
    (TupleType(), "relax.Tuple()"),
    (FuncType((any_tensor,), AnyType()), "relax.Callable([relax.Tensor], relax.Any)"),
    (FuncType(None, any_tensor, pure=False), "relax.Callable(..., relax.Tensor, pure=False)"),
]


@pytest.mark.parametrize(("type_", "text"), PRINTED, ids=[text for _, text in PRINTED])
def test_printing(type_: Type, text: str) -> None:
    assert str(type_) == text


def test_constructors_normalise() -> None:
    made = tensor_type([np.int64(2), m], np.float32)
    assert made == TensorType((2, m), "float32", 2)
    assert type(made.shape[0]) is int if made.shape else False
    assert ShapeType((m,)).ndim == 1
    assert hash(made) == hash(tensor_type((2, m), "float32"))


REFUSED: list[tuple[type[Exception], Callable[[], object], str]] = [
    (ShapeError, lambda: tensor_type((m, n), ndim=3), "Tensor: the shape (m, n) has rank 2, but ndim=3"),
    (ShapeError, lambda: ShapeType((m,), 2), "Shape: the shape (m,) has rank 1, but ndim=2"),
    (ShapeError, lambda: tensor_type((m, -2)), "Tensor: axis 1 has the negative size -2"),
    (ShapeError, lambda: tensor_type((2.5,)), "Tensor: axis 0 has size 2.5, which is not an integer"),  # type: ignore[arg-type]
    (ShapeError, lambda: tensor_type((True,)), "Tensor: axis 0 has size True, which is not an integer"),
    (
        ShapeError,
        lambda: TensorType(ndim=-2),
        "Tensor: ndim=-2 is negative\n   hint: leave ndim out where the rank is unknown",
    ),
    (DTypeError, lambda: tensor_type((m,), "int46"), "unknown dtype 'int46'\n   hint: did you mean 'int64'?"),
    (TypeError, lambda: bool(is_base_of(x, x)), "a Fit has no truth value: ask fit.fits or compare fit.grade"),
]


@pytest.mark.parametrize(("error", "action", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(error: type[Exception], action: Callable[[], object], message: str) -> None:
    with pytest.raises(error) as caught:
        action()
    assert str(caught.value) == message


def test_symbols() -> None:
    function = FuncType((tensor_type((symbol("q"),)),), AnyType())
    nested = TupleType((tensor_type((n + 1, 3)), ShapeType((m,)), PrimType("int64", n), function, PrimType("bool")))
    assert list(dims_of(nested)) == [n + 1, 3, m, n]
    assert free_symbols_of(nested) == ("n", "m")
    assert substitute_type(nested, {"q": m}) is nested
    swapped = substitute_type(nested, {"n": m, "m": n})
    assert swapped == TupleType(
        (tensor_type((m + 1, 3)), ShapeType((n,)), PrimType("int64", m), function, PrimType("bool"))
    )
    bounded = symbol("b", upper=8)
    assert rename_symbols(tensor_type((bounded, m)), {"b": "c"}) == tensor_type((symbol("c", upper=8), m))


pure, impure = FuncType((x,), x), FuncType((x,), x, pure=False)
FITS: list[tuple[Type, Type, Grade, str]] = [
    (AnyType(), x, Grade.FITS, ""),
    (x, AnyType(), Grade.NEEDS_CAST, 'relax.Any is not known to be relax.Tensor((m, 224), "float32")'),
    (x, tensor_type((m, 224), "float32"), Grade.FITS, ""),
    (any_tensor, x, Grade.FITS, ""),
    (x, any_tensor, Grade.NEEDS_CAST, "the dtype is unknown, not float32"),
    (tensor_type((m,)), any_tensor, Grade.NEEDS_CAST, "the rank is unknown, not 1"),
    (TensorType(ndim=2), x, Grade.FITS, ""),
    (TensorType(ndim=3), x, Grade.IMPOSSIBLE, "rank is 2, not 3"),
    (TensorType(dtype="int8"), x, Grade.IMPOSSIBLE, "dtype is float32, not int8"),
    (tensor_type((m, 224)), TensorType(ndim=2), Grade.UNPROVEN, "the shape is unknown, not (m, 224)"),
    (tensor_type((n, 224)), tensor_type((m, 224)), Grade.UNPROVEN, "axis 0 is m, not known to equal n"),
    (tensor_type((n, 4)), tensor_type((m, 3)), Grade.IMPOSSIBLE, "axis 1 is 3, not 4"),
    (x, PrimType("float32"), Grade.IMPOSSIBLE, 'relax.Prim("float32") is not relax.Tensor((m, 224), "float32")'),
    (ShapeType(), ShapeType((m,)), Grade.FITS, ""),
    (ShapeType((n,)), ShapeType((n + 1,)), Grade.IMPOSSIBLE, "axis 0 is n + 1, not n"),
    (PrimType("int64"), PrimType("int64", n), Grade.FITS, ""),
    (PrimType("int64"), PrimType("bool"), Grade.IMPOSSIBLE, "dtype is bool, not int64"),
    (PrimType("int64", n), PrimType("int64"), Grade.UNPROVEN, "the value is not known to be n"),
    (PrimType("int64", n), PrimType("int64", m), Grade.UNPROVEN, "value is m, not known to equal n"),
    (TupleType((x,)), TupleType(), Grade.IMPOSSIBLE, "there are 0 fields, not 1"),
    (
        TupleType((any_tensor, x)),
        TupleType((x, any_tensor)),
        Grade.NEEDS_CAST,
        "field 1: the dtype is unknown, not float32",
    ),
    (impure, pure, Grade.FITS, ""),
    (pure, impure, Grade.IMPOSSIBLE, "the function is impure"),
    (FuncType(None, any_tensor), pure, Grade.FITS, ""),
    (pure, FuncType(None, x), Grade.UNPROVEN, "the parameters are unknown"),
    (FuncType((x,), AnyType()), FuncType((any_tensor,), x), Grade.FITS, ""),
    (FuncType((any_tensor,), x), pure, Grade.UNPROVEN, "parameter 0: the dtype is unknown, not float32"),
    (pure, FuncType((x,), tensor_type((3,), "float32")), Grade.IMPOSSIBLE, "result: rank is 1, not 2"),
]


@pytest.mark.parametrize(("base", "derived", "grade", "reason"), FITS, ids=range(len(FITS)))
def test_is_base_of(base: Type, derived: Type, grade: Grade, reason: str) -> None:
    fit = is_base_of(base, derived)
    assert (fit.grade, fit.reason) == (grade, reason)
    assert fit.fits == (grade is Grade.FITS)


def fresh_symbols() -> Callable[[], Dim]:
    counter = itertools.count()
    return lambda: symbol(f"s{next(counter)}")


JOINS: list[tuple[Type, Type, Type]] = [
    (x, x, x),
    (x, tensor_type((n, 224), "float32"), TensorType(None, "float32", 2)),
    (x, tensor_type((m, 224), "int8"), tensor_type((m, 224))),
    (x, tensor_type((m,), "float32"), TensorType(None, "float32")),
    (x, PrimType("float32"), AnyType()),
    (PrimType("int64", n), PrimType("int64", m), PrimType("int64")),
    (PrimType("int64"), PrimType("bool"), AnyType()),
    (ShapeType((m,)), ShapeType((n,)), ShapeType(None, 1)),
    (TupleType((x, x)), TupleType((x, any_tensor)), TupleType((x, any_tensor))),
    (TupleType((x,)), TupleType(), AnyType()),
    (pure, impure, impure),
    (pure, FuncType((), x), FuncType(None, x)),
]


@pytest.mark.parametrize(("a", "b", "least"), JOINS, ids=range(len(JOINS)))
def test_join_is_an_upper_bound(a: Type, b: Type, least: Type) -> None:
    assert join(a, b) == join(b, a) == least
    assert is_base_of(least, a).fits
    assert is_base_of(least, b).fits


def test_join_with_fresh_symbols_keeps_a_shape() -> None:
    joined = join(x, tensor_type((n, 224), "float32"), fresh_symbols())
    assert joined == tensor_type((symbol("s0"), 224), "float32")
