"""What a wrong TE function says: each whole message."""

from __future__ import annotations

import pytest

from relaxdsl.errors import RelaxError
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import dims

m, n = dims("m n")
x = te.placeholder((m, n), name="x")
k = te.reduce_axis(n, "k")
v = te.placeholder((n,), name="v")

MISTAKES = {
    "too few indices": (
        lambda: te.compute((m,), lambda i: x[i]),
        "x: 2 indices are needed, got 1\n   hint: index every axis, such as x[i, j]; a TE tensor has no slices",
    ),
    "a float as index": (
        lambda: te.compute((n,), lambda i: v[v[i]]),
        "v: an expression of dtype float32 is not an index\n"
        "   hint: an index is an axis, an integer, arithmetic over them, or an integer element of a tensor",
    ),
    "a slice as index": (
        lambda: v[:],
        "v: slice(None, None, None) is not an index\n"
        "   hint: an index is an axis, an integer, arithmetic over them, or an integer element of a tensor",
    ),
    "iteration": (
        lambda: list(v),
        "v: a TE tensor cannot be iterated over\n   hint: write te.compute(shape, lambda i: ...) with x[i] in its body",
    ),
    "nested reduction": (
        lambda: te.compute((m,), lambda i: te.sum(x[i, k], axis=k) / n, "mean"),
        "mean: a reduction may only stand at the top of a compute's body\n"
        "   hint: make the reduction a te.compute of its own and use its elements here",
    ),
    "reduction axis without a reduction": (
        lambda: te.compute((m,), lambda i: x[i, k], "y"),
        "y: the axis k is used outside of its loop\n   hint: an axis of te.compute belongs to that compute; "
        "a reduce_axis must be named in axis= of the reduction",
    ),
    "two reductions": (
        lambda: te.compute((m,), lambda i: (te.sum(x[i, k], axis=k), te.max(x[i, k], axis=k)), "both"),
        "both: several outputs of one compute must come from one reduction\n"
        "   hint: write one te.compute per reduction, or reduce a tuple with te.comm_reducer",
    ),
    "axis that is a size": (
        lambda: te.sum(v[n - 1], axis=n),
        "sum: axis=n is not a reduction axis\n   hint: make it with te.reduce_axis(extent)",
    ),
    "no axis": (
        lambda: te.sum(v[k], axis=()),
        "sum: no axis to reduce over\n   hint: pass axis=te.reduce_axis(extent)",
    ),
    "axis given twice": (lambda: te.sum(v[k], axis=(k, k)), "sum: an axis is given twice"),
    "axis that is not used": (
        lambda: te.compute((m,), lambda i: te.sum(x[i, 0], axis=k), "y"),
        "y: the reduction axis k is not used in what is reduced\n   hint: leave it out of axis=",
    ),
    "wrong number of combined values": (
        lambda: te.comm_reducer(lambda a, b: a[0], lambda *dtypes: (0, 0), name="pair")((v[k], v[k]), axis=k),
        "pair: fcombine must return 2 values, got 1",
    ),
    "body that returns nothing": (
        lambda: te.compute((n,), lambda i: None, "y"),
        "y: the body returned None\n   hint: return the value of one element",
    ),
    "body that returns an empty tuple": (lambda: te.compute((n,), lambda i: (), "y"), "y: the body returned no values"),
    "body that returns a tensor": (
        lambda: te.compute((n,), lambda i: v, "y"),
        "y: the body returned the tensor v\n   hint: return an element, such as v[i]",
    ),
    "body that returns text": (
        lambda: te.compute((n,), lambda i: "one", "y"),
        "a TE expression cannot hold str: 'one'",
    ),
    "wrong number of axes": (
        lambda: te.compute((m, n), lambda i: 1.0),
        "compute: the body takes 1 axes, the shape has 2\n   hint: give the body one parameter per axis, or *axes",
    ),
    "python if": (
        lambda: te.compute((n,), lambda i: v[i] if v[i] > 0 else -v[i]),
        "a TE expression has no truth value: it is computed when the kernel runs\n"
        "   hint: use te.if_then_else(condition, a, b), te.logical_and(a, b) or te.logical_or(a, b)",
    ),
    "python and": (
        lambda: te.compute((n,), lambda i: te.if_then_else(v[i] > 0 and v[i] < 1, 1.0, 0.0)),
        "a TE expression has no truth value: it is computed when the kernel runs\n"
        "   hint: use te.if_then_else(condition, a, b), te.logical_and(a, b) or te.logical_or(a, b)",
    ),
    "extent that is a float": (
        lambda: te.compute((2.5,), lambda i: 1.0, "y"),
        "y: 2.5 is not a size\n   hint: a size is an integer or a dim",
    ),
    "negative extent": (lambda: te.placeholder((-1,), name="y"), "placeholder y: the size -1 is negative"),
    "shape that is no tuple": (
        lambda: te.placeholder(n, name="y"),
        "placeholder y: a shape is a tuple of sizes, got n\n   hint: write (n,) for one axis",
    ),
    "infinity of integers": (
        lambda: te.infinity("int32"),
        "infinity: int32 has no infinity\n   hint: use te.max_value(dtype)",
    ),
    "bits of floats": (
        lambda: te.compute((n,), lambda i: te.bitwise_not(v[i])),
        "bitwise_not: float32 has no bits to combine\n   hint: cast it to an integer dtype with te.cast",
    ),
    "no conditions": (lambda: te.logical_and(), "logical_and: no conditions given"),
    "missing input": (
        lambda: create_prim_func([], [te.compute((n,), lambda i: v[i], "y")], "f"),
        "f: the placeholder v is not among the inputs\n   hint: add it to the inputs",
    ),
    "input given twice": (lambda: create_prim_func([v, v], [v], "f"), "f: a tensor is among the inputs twice"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_message(name):
    make, message = MISTAKES[name]
    with pytest.raises(RelaxError) as caught:
        make()
    assert str(caught.value) == message
