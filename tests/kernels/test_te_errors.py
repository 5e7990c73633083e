"""What a wrong TE function says: each whole message."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.errors import RelaxError
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import dims

m, n = dims("m n")
x = te.placeholder((m, n), name="x")
k = te.reduce_axis(n, "k")
v = te.placeholder((n,), name="v")

BEFORE = "write k = te.reduce_axis(n) before the te.compute, where n is the size to go over"
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
    "all of two conditions": (
        lambda: te.compute((m,), lambda i: te.all(i > 0, i < 3), "y"),
        "all: the axis is a condition\n   hint: conditions are joined by te.logical_and(a, b)",
    ),
    "any of two elements": (
        lambda: te.compute((n,), lambda i: te.any(v[i] > 0, v[i] < 3), "y"),
        "any: the axis is a condition\n   hint: conditions are joined by te.logical_or(a, b)",
    ),
    "no axis": (
        lambda: te.sum(v[k], axis=()),
        f"sum: no axis to reduce over\n   hint: {BEFORE}, and te.sum(x[i, k], axis=k) in it",
    ),
    "axis left out": (
        lambda: te.compute((m,), lambda i: te.max(x[i, k])),
        f"max: no axis to reduce over\n   hint: {BEFORE}, and te.max(x[i, k], axis=k) in it",
    ),
    "axis of a reducer left out": (
        lambda: te.comm_reducer(lambda a, b: a * b, lambda dtype: 1, "product")(v[k]),
        f"product: no axis to reduce over\n   hint: {BEFORE}, and axis=k in it",
    ),
    "ufunc": (
        lambda: te.compute((n,), lambda i: np.arctan2(v[i], 1)),
        "np.arctan2: a NumPy function cannot take an element\n   hint: write te.atan2(x[i], y)",
    ),
    "ufunc that there is not": (
        lambda: te.compute((n,), lambda i: np.heaviside(v[i], 1)),
        "np.heaviside: a NumPy function cannot take an element\n"
        "   hint: functions of elements are those of te: te.exp(x[i])",
    ),
    "operator as a ufunc": (
        lambda: te.compute((n,), lambda i: np.add(v[i], 1)),
        "np.add: a NumPy function cannot take an element\n   hint: write x[i] + y",
    ),
    "reduction of NumPy": (
        lambda: te.compute((n,), lambda i: np.sum(v[i])),
        "np.add.reduce: a NumPy function cannot take an element\n"
        f"   hint: {BEFORE}, and te.sum(x[i, k], axis=k) in it",
    ),
    "accumulation of NumPy": (
        lambda: te.compute((n,), lambda i: np.add.accumulate(v[i])),
        "np.add.accumulate: a NumPy function cannot take an element\n"
        "   hint: functions of elements are those of te: te.exp(x[i])",
    ),
    "ufunc of a whole tensor": (
        lambda: te.compute((n,), lambda i: np.exp(x)),
        "np.exp: x is no element\n   hint: write te.exp(x[i, j])",
    ),
    "ufunc of a size": (
        lambda: np.sqrt(n),
        "np.sqrt: the size `n` is not a number yet: it is not known when compiling\n"
        '   hint: for a size as a number, write relax.astype(n, "float32")',
    ),
    "array beside an element": (
        lambda: te.compute((n,), lambda i: np.ones(3) * v[i]),
        "an array of shape (3,) is no element\n   hint: make it an argument, and index it like the others: w[i]",
    ),
    **{
        f"Python's {name}": (
            lambda function=function: te.compute((n,), lambda i: function(v[i])),
            f"{name}: a function of Python cannot take an element\n   hint: write te.{name}(x[i])",
        )
        for name, function in [("round", round), ("floor", math.floor), ("ceil", math.ceil), ("trunc", math.trunc)]
    },
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
        "'one' is no element",
    ),
    "wrong number of axes": (
        lambda: te.compute((m, n), lambda i: 1.0),
        "compute: the body takes 1 axis, the shape has 2\n   hint: give the body one parameter per axis, or *axes",
    ),
    "python if": (
        lambda: te.compute((n,), lambda i: v[i] if v[i] > 0 else -v[i]),
        "an element has no truth value: it is computed when the kernel runs\n"
        "   hint: use te.if_then_else(condition, a, b), te.logical_and(a, b) or te.logical_or(a, b)",
    ),
    "python and": (
        lambda: te.compute((n,), lambda i: te.if_then_else(v[i] > 0 and v[i] < 1, 1.0, 0.0)),
        "an element has no truth value: it is computed when the kernel runs\n"
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
    "shape that is a tensor": (
        lambda: te.compute(v, lambda i: v[i]),
        "compute: a shape is a tuple of sizes, got the tensor v\n   hint: write v.shape",
    ),
    "size that is a tensor": (
        lambda: te.compute((v, 2), lambda i, j: v[i]),
        "compute: the tensor v is not a size\n   hint: v.shape has its sizes",
    ),
    "infinity of integers": (
        lambda: te.infinity("int32"),
        "infinity: int32 has no infinity\n   hint: use te.max_value(dtype)",
    ),
    "bits of floats": (
        lambda: te.compute((n,), lambda i: te.bitwise_not(v[i])),
        'bitwise_not takes integers and bools, got float32\n   hint: convert it: te.cast(value, "int32")',
    ),
    "bits of a number with a fraction": (
        lambda: te.compute((n,), lambda i: te.cast(v[i], "int32") & 2.5),
        'bitwise_and takes integers and bools, got float\n   hint: convert it: te.cast(value, "int32")',
    ),
    "bits of integers without a common dtype": (
        lambda: te.compute((n,), lambda i: te.cast(v[i], "int8") << te.cast(v[i], "uint64")),
        "no integer dtype holds both int8 and uint64, so their bits cannot be combined\n"
        '   hint: convert one of them: te.cast(value, "int8")',
    ),
    "remainder of conditions": (
        lambda: te.compute((n,), lambda i: (v[i] > 0) % (v[i] > 1)),
        'floor_mod takes integers and floats, got bool\n   hint: convert it: te.cast(value, "int64")',
    ),
    "sign of a condition": (
        lambda: te.compute((n,), lambda i: te.sign(v[i] > 0)),
        'sign takes integers and floats, got bool\n   hint: convert it: te.cast(value, "int64")',
    ),
    "dtype before the value": (
        lambda: te.compute((n,), lambda i: te.cast("int32", v[i])),
        "the dtype 'int32' is no element\n   hint: it stands after what is converted: te.cast(x[i], \"int32\")",
    ),
    "whole tensor": (lambda: te.compute((n,), lambda i: te.exp(x)), "x is no element\n   hint: index it: x[i, j]"),
    "arithmetic of whole tensors": (
        lambda: 2.0 * x,
        "x is no element: a TE function computes element by element\n"
        "   hint: return te.compute(x.shape, lambda i, j: ...) with x[i, j] in its body",
    ),
    "no conditions": (lambda: te.logical_and(), "logical_and: no conditions given"),
    "missing input": (
        lambda: create_prim_func([], [te.compute((n,), lambda i: v[i], "y")], "f"),
        "f: the placeholder v is not among the inputs\n   hint: add it to the inputs",
    ),
    "input given twice": (lambda: create_prim_func([v, v], [v], "f"), "f: a tensor is among the inputs twice"),
}


def te_function(body: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: te.compute(x.shape, lambda i: body(x, i))


IN_PROGRAMS = {
    "function of Python": (
        te_function(lambda x, i: math.exp(x[i])),
        "an element is no number of Python: it is computed when the kernel runs",
        "functions of elements are those of te: te.exp(x[i])",
    ),
    "operator": (
        te_function(lambda x, i: relax.exp(x[i])),
        "exp: x must be a tensor, an array or a number, got an element",
        "functions of elements are those of te: te.exp(x[i])",
    ),
    "operator on all": (
        te_function(lambda x, i: relax.sum(x)),
        "sum: x must be a tensor, an array or a number, got a buffer",
        "functions of elements are those of te: te.exp(x[i])",
    ),
    "another value": (
        te_function(lambda x, i: x[i] + None),
        "None is no element",
        "functions of elements are those of te: te.exp(x[i])",
    ),
    "name elsewhere": (
        te_function(lambda x, i: te.relu(x[i])),
        "emit_te: AttributeError: module 'relaxdsl.kernels.te' has no attribute 'relu'",
        "write te.maximum(x, 0)",
    ),
    "condition on an axis": (
        te_function(lambda x, i: x[i - 1] if i > 0 else x[i]),
        "the condition `i > 0` is not known when compiling, so no Python branch may depend on it",
        "write te.if_then_else(condition, a, b); where two are equal: te.equal(i, 0)",
    ),
    "comparison with an axis": (
        te_function(lambda x, i: x[i + 1] if i == 0 else x[i]),
        "whether `i` equals `0` is not known when compiling, and no Python branch may depend on it",
        "write te.if_then_else(condition, a, b); where two are equal: te.equal(i, 0)",
    ),
    "range of a size": (
        te_function(lambda x, i: sum(x[j] for j in range(x.shape[0]))),
        "the size `n` is not a number yet: it is not known when compiling, so Python cannot count with it",
        "te.compute has an element for each; for a sum, write j = te.reduce_axis(n) before it and "
        "te.sum(x[i, j], axis=j)",
    ),
    "root of a size": (
        te_function(lambda x, i: x[i] / math.sqrt(x.shape[0])),
        "the size `n` is not a number yet: it is not known when compiling, so float() cannot convert it",
        'for a size as a number, write te.cast(n, "float32")',
    ),
}


@pytest.mark.parametrize("name", IN_PROGRAMS)
def test_message_in_a_program(name):
    function, headline, hint = IN_PROGRAMS[name]
    with pytest.raises(RelaxError) as caught:

        @relax.function
        def program(x: relax.Tensor[(n,), "float32"]):
            return relax.emit_te(function, x)

    assert (caught.value.headline, caught.value.hint) == (headline, hint)


def test_a_te_function_that_is_called_like_any_other():
    double = te_function(lambda x, i: x[i] * 2)
    with pytest.raises(RelaxError) as caught:

        @relax.function
        def program(x: relax.Tensor[(n,), "float32"]):
            return double(x)

    assert caught.value.headline == (
        "x[...]: i is an axis of te.compute, and what it indexes is a tensor of the program"
    )
    assert caught.value.hint == "call the function with the te.compute in it as relax.emit_te(function, x)"


@pytest.mark.parametrize("name", MISTAKES)
def test_message(name):
    make, message = MISTAKES[name]
    with pytest.raises(RelaxError) as caught:
        make()
    assert str(caught.value) == message
