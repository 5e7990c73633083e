"""``fn.bind``: parameters become constants, sizes become numbers, and what does not fit says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax

b, n, k = relax.dims("b n k")
even = relax.dims("even", lower=2, upper=8)


@relax.function
def dense(x: relax.Tensor[(b, n), "float32"], w: relax.Tensor[(n, k), "float32"], bias: relax.Tensor[(k,), "float32"]):
    return relax.nn.relu(x @ w + bias)


@relax.function
def flattened(x: relax.Tensor[(n, k), "float32"], y: relax.Tensor[(n * k,), "float32"]):
    return relax.reshape(x, (n * k,)) + y


@relax.function
def several(pair: relax.Tuple[relax.Tensor[(n,), "float32"], relax.Tensor[(), "float32"]], times: relax.Prim("int64")):
    return relax.tile(pair[0] * pair[1], (times,))


@relax.function
def bounded(x: relax.Tensor[(even,), "float32"]):
    return x + 1


@relax.function
def layer(x: relax.Tensor[(b, n), "float32"], w: relax.Tensor[(n, n), "float32"]):
    return relax.tanh(x @ w)


@relax.function
def twice(x: relax.Tensor[(b, n), "float32"], w: relax.Tensor[(n, n), "float32"]):
    return layer(layer(x, w), w)


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


# ------------------------------------------------------------------------------------------------------- what it gives


@pytest.mark.parametrize("batch", [0, 1, 7, 200])
def test_bound_parameters_are_gone_and_the_result_is_the_same(batch: int) -> None:
    w, bias, x = array(30, 20), array(20, seed=1), array(batch, 30, seed=2)
    bound = dense.bind(w=w, bias=bias)
    assert repr(bound) == '<relax function dense(x: Tensor((b, 30), "float32")) -> Tensor((b, 20), "float32")>'
    np.testing.assert_allclose(bound(x), np.maximum(x @ w + bias, 0), rtol=1e-5, atol=1e-5)
    assert len(dense.ir.params) == 3


def test_arrays_are_copied_in_any_layout() -> None:
    w, x = array(20, 30), array(3, 30, seed=2)
    bound = dense.bind(w=w.T, bias=np.zeros(20, "float32"))
    expected = np.maximum(x @ w.T, 0)
    w[:] = 0
    np.testing.assert_allclose(bound(x), expected, rtol=1e-5, atol=1e-6)


def test_parameters_are_bound_in_steps() -> None:
    w, bias, x = array(3, 4), array(4, seed=1), array(5, 3, seed=2)
    bound = dense.bind(w=w).bind(x=x)
    np.testing.assert_allclose(bound(bias), np.maximum(x @ w + bias, 0), rtol=1e-5, atol=1e-6)
    everything = bound.bind(bias=bias)
    np.testing.assert_allclose(everything(), bound(bias))


def test_sizes_alone_can_be_bound() -> None:
    fixed = dense.bind(b=4, n=3)
    shown = 'dense(x: Tensor((4, 3), "float32"), w: Tensor((3, k), "float32"), bias: Tensor((k,), "float32"))'
    assert repr(fixed) == f'<relax function {shown} -> Tensor((4, k), "float32")>'
    with pytest.raises(relax.ArgumentError) as caught:
        fixed(array(4, 2), array(2, 2), array(2))
    assert "argument x, axis 1: expected 3, got 2" in str(caught.value)


def test_tuples_and_integers_are_bound() -> None:
    first = array(4)
    np.testing.assert_allclose(several.bind(times=3)((first, 2.0)), np.tile(first * 2, 3))
    np.testing.assert_allclose(several.bind(pair=(first, 2.0))(2), np.tile(first * 2, 2))


def test_functions_that_are_called_come_along() -> None:
    w, x = array(4, 4), array(2, 4)
    bound = twice.bind(w=w)
    np.testing.assert_allclose(bound(x), np.tanh(np.tanh(x @ w) @ w), rtol=1e-5, atol=1e-6)
    assert set(bound.module.functions) == {"twice", "layer"}


def test_bound_functions_check_against_the_reference() -> None:
    assert dense.bind(w=array(30, 20), bias=array(20))
    assert bool(dense.bind(w=array(30, 20), bias=array(20)).check(array(7, 30)))


# ----------------------------------------------------------------------------------------------------- what is refused


def refused(
    function: Any, error: type[relax.RelaxError], message: str, at: str | None = None, **values: object
) -> None:
    """The message points at the parameter ``at``, or at the function."""
    with pytest.raises(error) as caught:
        function.bind(**values)
    places = {None: function.ir.span, **{param.name: param.span for param in function.ir.params}}
    assert caught.value.span == places[at]
    caught.value.span = None
    assert str(caught.value) == message


def test_unknown_names() -> None:
    shown = 'dense(x: Tensor((b, n), "float32"), w: Tensor((n, k), "float32"), bias: Tensor((k,), "float32"))'
    refused(
        dense,
        relax.ArgumentError,
        f"dense.bind: there is no parameter and no size bais\n   {shown}\n   hint: did you mean bias?",
        bais=array(3),
    )
    refused(dense, relax.ArgumentError, f"dense.bind: there is no parameter and no size zzz\n   {shown}", zzz=array(3))


def test_the_place_of_an_error() -> None:
    with pytest.raises(relax.ShapeError) as caught:
        dense.bind(w=array(3, 4), bias=array(5))
    assert f"   --> {caught.value.span}\n" in str(caught.value)
    assert "| def dense(" in str(caught.value)


def test_wrong_values() -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        dense.bind(w=np.zeros((2, 2)))
    assert caught.value.headline == "dense.bind: argument w: expected dtype float32, got float64"
    assert caught.value.span == dense.ir.params[1].span
    with pytest.raises(relax.ArgumentError) as caught:
        dense.bind(w=array(2))
    assert caught.value.headline == "dense.bind: argument w: expected 2 axes, got 1"
    assert caught.value.hint == "w[None] has the shape (1, 2)"


def test_sizes_that_contradict_one_another() -> None:
    refused(
        dense,
        relax.ShapeError,
        "dense.bind: argument bias, axis 0: expected 4 (k), got 5\n   k is bound by argument w, axis 1",
        at="bias",
        w=array(3, 4),
        bias=array(5),
    )
    refused(dense, relax.ShapeError, "dense.bind: argument w, axis 1: expected 7, got 4", at="w", w=array(3, 4), k=7)


def test_sizes_that_are_none() -> None:
    refused(bounded, relax.ArgumentError, "bounded.bind: even is at least 2, got 1", even=1)
    refused(bounded, relax.ArgumentError, "bounded.bind: even is at most 8, got 9", even=9)
    refused(bounded, relax.ArgumentError, "bounded.bind: even is a size, expected an integer, got float", even=2.5)


def test_sizes_that_an_array_does_not_determine() -> None:
    refused(
        flattened,
        relax.ArgumentError,
        "flattened.bind: symbol k is never bound\n"
        "   argument y, axis 0 is k * n\n"
        "   hint: give such sizes as well, by name",
        y=array(12),
    )
    bound = flattened.bind(y=array(12), n=3)
    np.testing.assert_allclose(bound(array(3, 4, seed=1)), array(3, 4, seed=1).ravel() + array(12))
