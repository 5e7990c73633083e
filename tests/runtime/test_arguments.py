"""Every way in which arguments do not fit, and the whole message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hand_built import Builder

from relaxdsl.errors import ArgumentError
from relaxdsl.runtime.executable import Executable
from relaxdsl.types.dims import dims, symbol
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType, Type

M, N, K = dims("m n k")
X = np.zeros((2, 64), np.float32)
W = np.zeros((64, 3), np.float32)
DECLARED = 'declared: Tensor((n, 64), "float32")'
SIGNATURE = 'f(x: Tensor((n, 64), "float32"), w: Tensor((64, m), "float32"))'


def function(*params: tuple[str, Type]) -> Executable:
    return Builder("f", params, PrimType("int64")).executable()


F = function(("x", TensorType((N, 64), "float32")), ("w", TensorType((64, M), "float32")))


def message(executable: Executable, *args: Any, **keywords: Any) -> list[str]:
    with pytest.raises(ArgumentError) as caught:
        executable(*args, **keywords)
    return [line.strip() for line in str(caught.value).splitlines()]


def test_missing_arguments() -> None:
    assert message(F) == ["f: expected 2 arguments, got 0", "missing: x, w", SIGNATURE]
    assert message(F, w=W) == ["f: expected 2 arguments, got 1", "missing: x", SIGNATURE]


def test_too_many_arguments() -> None:
    assert message(F, X, W, X) == ["f: expected 2 arguments, got 3", "1 too many", SIGNATURE]


def test_keywords() -> None:
    assert message(F, X, W, x=X) == ["f: argument x is given twice", SIGNATURE]
    one = function(("weight", TensorType((N,), "int8")))
    signature = 'f(weight: Tensor((n,), "int8"))'
    assert message(one, wieght=X) == ["f: there is no argument wieght", signature, "hint: did you mean weight?"]
    assert message(one, zzz=X) == ["f: there is no argument zzz", signature]
    assert message(one) == ["f: expected 1 argument, got 0", "missing: weight", signature]


def test_dtype() -> None:
    wrong = X.astype(np.float64)
    assert message(F, wrong, W) == [
        "f: argument x: expected dtype float32, got float64",
        DECLARED,
        "passed:   float64 array of shape (2, 64)",
        'hint: x.astype("float32")',
    ]
    assert message(F, X.astype(object), W)[0] == "f: argument x: expected dtype float32, got object"
    assert message(F, X, X.astype("c8")) == [
        "f: argument w: expected dtype float32, got complex64",
        'declared: Tensor((64, m), "float32")',
        "passed:   complex64 array of shape (2, 64)",
        "hint: there are no complex kernels: pass w.real and w.imag",
    ]


def test_rank() -> None:
    assert message(F, X[0], W) == [
        "f: argument x: expected 2 axes, got 1",
        DECLARED,
        "passed:   float32 array of shape (64,)",
        "hint: x[None] has the shape (1, 64)",
    ]
    one = function(("x", TensorType((N,), "float32")))
    assert message(one, X) == [
        "f: argument x: expected 1 axis, got 2",
        'declared: Tensor((n,), "float32")',
        "passed:   float32 array of shape (2, 64)",
    ]
    assert message(F, W[:, :1, None], W)[-1] == "passed:   float32 array of shape (64, 1, 1)"
    assert message(F, X[:, :, None], W)[-1] == "hint: x[..., 0] has the shape (2, 64)"
    assert message(F, X[None], W)[-1] == "hint: x[0] has the shape (2, 64)"
    last = function(("x", TensorType((N, 1), "float32")))
    assert message(last, X[0])[-1] == "hint: x[..., None] has the shape (64, 1)"


def test_not_an_array() -> None:
    assert message(F, [1.0], W) == [
        "f: argument x: expected an array, got list",
        DECLARED,
        'hint: np.asarray(x, dtype="float32")',
    ]
    assert message(F, (1, True), W)[-1] == 'hint: np.asarray(x, dtype="float32")'
    assert message(F, None, W) == ["f: argument x: expected an array, got NoneType", DECLARED]
    assert message(F, "x", W) == ["f: argument x: expected an array, got str", DECLARED]
    assert message(F, ["x"], W) == ["f: argument x: expected an array, got list", DECLARED]
    assert message(F, [[1], [2, 3]], W) == ["f: argument x: expected an array, got list", DECLARED]


@pytest.mark.parametrize("number", [1.0, 1, True, np.float32(1)])
def test_a_number_for_a_tensor_with_axes(number: Any) -> None:
    kind = type(number).__name__
    assert message(F, number, W) == [f"f: argument x: expected 2 axes, got a number ({kind})", DECLARED]


@pytest.mark.parametrize(
    ("kind", "hint"),
    [(np.matrix, "np.asarray(x)"), (np.ma.MaskedArray, "x.filled(value), with a value for what is masked")],
)
def test_array_subclasses(kind: Any, hint: str) -> None:
    assert message(F, X.view(kind), W) == [
        f"f: argument x: expected a plain array, got {kind.__name__}",
        DECLARED,
        f"hint: {hint}",
    ]


class Tensor:
    """What of PyTorch's class tells one of its tensors."""

    def __init__(self, device: str) -> None:
        self.device = SimpleNamespace(type=device)

    def detach(self) -> Tensor:
        return self


Tensor.__module__ = "torch"


@pytest.mark.parametrize(("device", "hint"), [("cpu", "x.detach().numpy()"), ("cuda", "x.detach().cpu().numpy()")])
def test_tensors_of_pytorch(device: str, hint: str) -> None:
    assert message(F, Tensor(device), W) == [
        "f: argument x: expected an array, got torch.Tensor",
        DECLARED,
        f"hint: {hint}",
    ]


def test_numbers_for_tensors_without_axes() -> None:
    def takes(dtype: str) -> Executable:
        return function(("x", TensorType((), dtype)))

    for dtype, value in [("uint8", 300), ("uint8", -1), ("int64", 2.0), ("float32", True), ("bool", 1)]:
        assert message(takes(dtype), value) == [
            f"f: argument x: {dtype} cannot hold {value!r}",
            f'declared: Tensor((), "{dtype}")',
        ]
    assert message(takes("float32"), 2**24 + 1)[0] == "f: argument x: float32 cannot hold 16777217"
    assert message(takes("float32"), np.float64(1))[0] == "f: argument x: expected dtype float32, got float64"
    assert message(takes("float32"), "1")[0] == "f: argument x: expected an array, got str"


def test_ints_and_shapes() -> None:
    f = function(("k", PrimType("int64", K)), ("s", ShapeType((M, N))))
    assert message(f, 1.5, (1, 2))[0] == "f: argument k: expected an integer, got float"
    integer = "expected an integer, got bool"
    assert message(f, True, (1, 2)) == [f"f: argument k: {integer}", 'declared: Prim("int64", value=k)']
    assert message(f, 1, (True, 2)) == [f"f: argument s[0]: {integer}", "declared: Shape((m, n))"]
    assert message(f, 2**63, (1, 2))[0] == "f: argument k: 9223372036854775808 does not fit 64 bits"
    assert message(f, 1, 2)[0] == "f: argument s: expected a shape (a tuple of integers), got int"
    assert message(f, 1, (1,))[0] == "f: argument s: expected 2 sizes, got 1"
    assert message(f, 1, (1, "2"))[0] == "f: argument s[1]: expected an integer, got str"


def test_tuples() -> None:
    kind = TensorType((N,), "int8")
    f = function(("t", TupleType((kind, TupleType((kind,))))))
    x = np.zeros(3, np.int8)
    assert message(f, x)[0] == "f: argument t: expected a tuple, got ndarray"
    assert message(f, (x,))[0] == "f: argument t: expected 2 items, got 1"
    assert message(f, (x, (x.astype("f4"),)))[0] == "f: argument t[1][0]: expected dtype int8, got float32"


def test_sizes() -> None:
    assert message(F, X, W[:63]) == ["f: argument w, axis 0: expected 64, got 63"]
    f = function(("x", TensorType((M, N), "float32")), ("w", TensorType((N, 2), "float32")))
    assert message(f, X, W[:63, :2]) == [
        "f: argument w, axis 0: expected 64 (n), got 63",
        "n is bound by argument x, axis 1",
    ]


def test_solved_sizes() -> None:
    f = function(("x", TensorType((2 * N + 1,), "int8")), ("y", TensorType((N,), "int8")))
    assert f(np.zeros(5, np.int8), np.zeros(2, np.int8)) == 0
    assert message(function(("x", TensorType((2 * N,), "int8"))), np.zeros(5, np.int8)) == [
        "f: argument x, axis 0: got 5, which is not of the form n * 2"
    ]


def test_bounded_symbols() -> None:
    bounded = symbol("b", lower=2, upper=4)
    f = function(("x", TensorType((bounded,), "int8")))
    assert f(np.zeros(2, np.int8)) == 0
    assert message(f, np.zeros(1, np.int8)) == ["f: argument x, axis 0: got 1 (b), but b is at least 2"]
    assert message(f, np.zeros(5, np.int8)) == ["f: argument x, axis 0: got 5 (b), but b is at most 4"]
