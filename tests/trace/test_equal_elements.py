"""``==`` and ``!=`` between elements, in tensor expressions and in helpers of kernels, are conditions of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T

n = relax.dims("n")
X = np.array([0, 1, 1, 5])
NO_TRUTH = (
    "an element has no truth value: it is computed when the kernel runs\n"
    "   hint: use te.if_then_else(condition, a, b), te.logical_and(a, b) or te.logical_or(a, b)"
)


def built(body: Callable[..., Any]) -> Any:
    """The function that gives ``body(x, i)`` for each ``i``."""
    x, builder = relax.Var("x", relax.Tensor((n,), "int64")), relax.BlockBuilder()
    with builder.function("main", [x]):
        result = builder.emit_te(lambda x: te.compute((n,), lambda i: body(x, i), name="y"), x)
        builder.emit_func_output(result)
    return relax.compile(builder.get())["main"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda x, i: te.if_then_else(x[i] == 1, 10, x[i]), [0, 10, 10, 5]),
        (lambda x, i: te.if_then_else(x[i] != 1, 10, x[i]), [10, 1, 1, 10]),
        (lambda x, i: x[i] == i, [True, True, False, False]),
        (lambda x, i: i == x[i], [True, True, False, False]),
        (lambda x, i: x[i] != x[n - 1 - i], [True, False, False, True]),
        (lambda x, i: x[i] == x[i], [True, True, True, True]),
        (lambda x, i: x[i] == np.int64(5), [False, False, False, True]),
        (lambda x, i: (x[i] == 1) == (i > 1), [True, False, True, False]),
        (lambda x, i: (i >= 1) & (x[i] == 1), [False, True, True, False]),
    ],
)
def test_values(body: Callable[..., Any], expected: list[Any]) -> None:
    np.testing.assert_array_equal(built(body)(X), expected)


def test_counts() -> None:
    def count(x: te.Tensor) -> te.Tensor:
        i = te.reduce_axis(x.shape[0])
        return te.compute((3,), lambda value: te.sum(te.cast(x[i] == value, "int64"), axis=i))

    @relax.function
    def counts(x: relax.Tensor[(n,), "int64"]):
        return relax.emit_te(count, x)

    np.testing.assert_array_equal(counts(X), [1, 2, 0])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x, i: 5 if x[i] == 1 else x[i], NO_TRUTH),
        (lambda x, i: x[i] in (0, 1), NO_TRUTH),
        (lambda x, i: x[i] == "a", "'a' is no element\n   hint: functions of elements are those of te: te.exp(x[i])"),
        (lambda x, i: x[i] == x, "x is no element\n   hint: index it: x[i]"),
        (lambda x, i: te.if_then_else(x != 1, 0, 1), "x is no element\n   hint: index it: x[i]"),
        (
            lambda x, i: te.if_then_else((i > 1) | (i < 1), 0, 1),
            "conditions of sizes are not known when compiling, so Python's & and | cannot join them\n"
            "   hint: write te.logical_and(a, b) or te.logical_or(a, b)",
        ),
    ],
)
def test_refused(body: Callable[..., Any], message: str) -> None:
    with pytest.raises(relax.RelaxError) as caught:
        built(body)
    assert str(caught.value) == message


class OrMore:
    """A helper that is no function."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __call__(self, element: Any) -> Any:
        return T.if_then_else(element == self.value, element, element + 1)


def test_helpers_of_kernels() -> None:
    def is_zero(value: Any) -> Any:
        return value == 0

    or_more = OrMore(1)

    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n, 2), "int64")):
        for i in range(n):
            y[i, 0] = T.if_then_else(is_zero(x[i]), 7, 8)
            y[i, 1] = or_more(x[i])

    np.testing.assert_array_equal(kernel(X), [[7, 1], [8, 1], [8, 1], [8, 6]])


def test_nodes_stay_keys_of_their_own() -> None:
    x = te.placeholder((n,), "int64", "x")
    a, b = x[0], x[0]
    assert len({a, b}) == 2
    assert a == a
    assert a != b
