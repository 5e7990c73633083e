"""float16, in which no kernel computes: programs pass its tensors through, and return them."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import relaxdsl as relax

n = relax.dims("n")

Half = relax.Tensor((n, 4), "float16")
ROW = np.array([1, np.nan, -np.inf, 6e-8], "float16")
X = np.array([ROW, np.arange(4, dtype="float16"), -ROW])
Y = np.ones(3, "float32")


@relax.function
def itself(x: Half):
    return x


@relax.function
def among_others(x: Half, y: relax.Tensor[(n,), "float32"]):
    return (x, (y + 1, x)), ROW


@relax.function
def through_a_call(x: Half, y: relax.Tensor[(n,), "float32"]):
    parts, row = among_others(x, y)
    return parts[1][1], row, parts[1][0] * 2


@relax.function
def one_of_two(x: Half, y: Half, first: relax.Tensor[(), "bool"]):
    if first:
        chosen = x
    else:
        chosen = y
    return chosen, x


@relax.function
def as_cast(x: relax.Tensor(dtype="float16", ndim=2)):
    return relax.match_cast(x, Half)


@relax.function
def again(x: Half, stop: relax.Tensor[(), "bool"]) -> Half:
    if stop:
        result = x
    else:
        result = again(x, ~stop)
    return result


@relax.function
def distinct(x: relax.Tensor[(n,), "float16"]):
    return relax.unique(x)


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """Bit by bit, in memory of its own."""
    assert got.dtype == "float16"
    assert not np.shares_memory(got, expected)
    np.testing.assert_array_equal(got.view("uint16"), expected.view("uint16"))


def test_tensors_pass_through() -> None:
    assert_same(itself(X), X)
    assert_same(as_cast(X), X)
    assert_same(again(X, False), X)
    assert_same(distinct(ROW[[0, 3, 0]]), ROW[[3, 0]])
    for first in (True, False):
        chosen, x = one_of_two(X, X[::-1], first)
        assert_same(chosen, X if first else X[::-1].copy())
        assert_same(x, X)


def test_tensors_pass_through_tuples_and_calls() -> None:
    (x, (y, x_again)), row = among_others(X, Y)
    assert_same(x, X)
    assert_same(x_again, X)
    assert_same(row, ROW)
    np.testing.assert_array_equal(y, Y + 1)
    x, row, y = through_a_call(X, Y)
    assert_same(x, X)
    assert_same(row, ROW)
    np.testing.assert_array_equal(y, (Y + 1) * 2)


def test_many_elements_and_out() -> None:
    x = np.arange(40_000, dtype="uint16").view("float16").reshape(-1, 4)
    out = np.empty_like(x)
    assert itself(x[::-1], out=out) is out
    assert_same(out, x[::-1].copy())


def test_bound_arrays_pass_through() -> None:
    (x, (y, _)), _ = among_others.bind(x=X)(Y)
    assert_same(x, X)
    np.testing.assert_array_equal(y, Y + 1)
    with pytest.raises(relax.ArgumentError) as caught:
        itself.bind(x=np.ones((3, 4), "float32"))
    assert caught.value.headline == "itself.bind: argument x: expected dtype float16, got float32"


@pytest.mark.parametrize("keep", [lambda fn: pickle.loads(pickle.dumps(fn)), lambda fn: fn.bind(n=3)])
def test_saved_and_bound_functions(keep: Callable[[relax.CompiledFunction], relax.CompiledFunction]) -> None:
    assert_same(keep(through_a_call)(X, Y)[1], ROW)


def test_tensors_pass_through_what_runs_in_python() -> None:
    relax.register_packed("widened", lambda x: x.astype(np.float32), override=True)

    @relax.function
    def wide(x: relax.Tensor[("n",), "float16"]):
        values = relax.unique(x)
        widened = relax.call_pure_packed("widened", values, out=relax.Tensor(values.shape, "float32"))
        return widened * np.float16(2), relax.zeros_like(x, "float32")

    result, zeros = wide(np.array([2, 1, 2], "float16"))
    np.testing.assert_array_equal(result, np.array([2, 4], "float32"))
    np.testing.assert_array_equal(zeros, np.zeros(3, "float32"))


def test_the_reference_agrees() -> None:
    """NaN is NaN there, too."""
    assert str(through_a_call.check(X, Y)) == "through_a_call: everything agrees with the reference (3 kernels)"


def test_the_memory_stage_moves_bits() -> None:
    memory = itself.lower()["memory"]
    assert 'def copy(x: T.Buffer(("n",), "uint16"), out: T.Buffer(("n",), "uint16"), n: T.int64)' in memory
    assert 'x, offset=0, shape=(n * 4,), dtype="uint16"' in memory
