"""How near the compiled values must be to the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.passes import comparison
from relaxdsl.passes.comparison import TOLERANCE

m, n, k = relax.dims("m n k")


@relax.function
def widened(x: relax.Tensor[(m, k), "float32"], w: relax.Tensor[(k, n), "float32"]):
    return (x @ w).astype("float64"), relax.nn.softmax(x).astype("float64") * 2


@relax.function
def doubled(x: relax.Tensor[(m, k), "float64"]):
    return relax.exp(x) * 2


@relax.prim_func
def widened_by_hand(x: T.Buffer((m, k), "float32"), y: T.Buffer((m, k), "float64")):
    for i, j in T.grid(m, k):
        y[i, j] = T.cast(T.exp(x[i, j]) * 0.3, "float64")


@relax.prim_func
def gather(x: T.Buffer((n,), "float32"), index: T.Buffer((m,), "int64"), y: T.Buffer((m,), "float32")):
    for i in range(m):
        y[i] = x[index[i]]


def test_the_reference_refuses_what_machine_code_would_read_out_of_range() -> None:
    """Far away there is no memory: reading it would end the process."""
    x = np.ones(3, "float32")
    assert gather.check(x, np.array([0, 2]))
    with pytest.raises(relax.KernelError) as caught:
        gather.check(x, np.array([0, 1 << 40]))
    first, *_, found, hint = str(caught.value).splitlines()
    assert first == "gather: x, axis 0: the index index[i] is out of range"
    assert found == "   it is 1099511627776, and the size is 3"
    assert hint == "   hint: guard it with `if` or T.if_then_else, or loop over fewer elements"
    for bad in (np.ones((2, 2)), np.ones(3, "float64"), None):
        with pytest.raises(relax.ArgumentError):
            gather.check(x, bad)


def test_a_value_that_was_rounded_to_float32_is_no_nearer_in_float64() -> None:
    random = np.random.default_rng(0)
    x, w = random.standard_normal((30, 200), "float32"), random.standard_normal((200, 80), "float32")
    assert str(widened.check(x, w)) == "widened: everything agrees with the reference (2 kernels)"
    assert widened_by_hand.check(x)


def test_float64_alone_must_agree_as_float64_does(monkeypatch: Any) -> None:
    """A difference that float32 would hide is found."""
    kernel_outputs = comparison.kernel_outputs

    def off(*args: Any) -> Any:
        return tuple(each * (1 + TOLERANCE["float32"] / 10) for each in kernel_outputs(*args))

    monkeypatch.setattr(comparison, "kernel_outputs", off)
    outcome = doubled.check(np.ones((2, 3)))
    assert not outcome
    expected = "6 of 6 elements, first at (0, 0): expected 2.718281828459045, got 2.7182872650227026"
    assert str(outcome).endswith(f" is the first to differ: {expected}")
