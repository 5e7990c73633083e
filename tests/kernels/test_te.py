"""What TE functions build: dtypes, names and structure of the nodes and of the kernel in block form."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_programs import random_array, run

from relaxdsl.ir.loops import Block, Seq, walk
from relaxdsl.ir.scalar import Apply, Const
from relaxdsl.kernels import te, te_functions
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.math import supported_functions
from relaxdsl.types.dims import dims

m, n = dims("m n")
x = te.placeholder((m, n), "float32", "x")
i32 = te.placeholder((n,), "int32", "i32")

PAIRS = {
    "atan2",
    "floor_divide",
    "floor_mod",
    "left_shift",
    "log_add_exp",
    "maximum",
    "minimum",
    "mod",
    "power",
    "right_shift",
}
UNARY = sorted(set(te_functions.__all__) & supported_functions() - PAIRS)


@pytest.mark.parametrize("name", UNARY)
def test_functions_keep_float32_and_take_integers_as_numpy_does(name):
    function = getattr(te, name)
    result = function(x[0, 0])
    assert isinstance(result, Apply)
    assert (result.function, result.dtype) == (name, "bool" if name.startswith("is") else "float32")
    example = np.arange(3, dtype="int32")
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(example).dtype if hasattr(np, name) else "float64"
    assert function(i32[0]).dtype == str(expected)


def test_limits():
    values = [
        te.min_value("int8"),
        te.max_value("uint64"),
        te.max_value("bool"),
        te.infinity("float32"),
        -te.infinity("float32"),
    ]
    assert all(isinstance(each, Const) for each in values)
    assert [each.value for each in values] == [-128, 2**64 - 1, True, float("inf"), float("-inf")]
    assert te.max_value("float32").value == float(np.finfo("float32").max)


def test_axes_never_collide_with_sizes_of_the_same_name():
    i, j = dims("i j")
    y = te.placeholder((i, j), name="i")
    out = te.compute((j, i), lambda i, j: y[j, i] + 1, "j")
    values = random_array((2, 5))
    np.testing.assert_array_equal(run([y], [out], [values], i=2, j=5)[0], values.T + 1)


def test_blocks_stand_in_dependency_order_with_unique_names():
    first = te.compute((m, n), lambda i, j: x[i, j] + 1, "stage")
    second = te.compute((m, n), lambda i, j: first[i, j] * 2, "stage")
    prim_func = create_prim_func([x], [second], "f")
    assert isinstance(prim_func.body, Seq)
    assert [block.name for block in walk(prim_func.body) if isinstance(block, Block)] == ["stage_1", "stage"]
    assert [each.name for each in prim_func.params] == ["x", "stage"]
    assert prim_func.symbols == ("m", "n")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_tensors_of_any_integer_dtype_are_indices(dtype):
    index = te.placeholder((n,), dtype, "index")
    table = te.placeholder((4,), name="table")
    out = te.compute((n,), lambda i: table[index[i]], "out")
    values, chosen = random_array((4,)), np.array([3, 0, 1], dtype)
    np.testing.assert_array_equal(run([table, index], [out], [values, chosen], n=3)[0], values[chosen])


def test_an_output_may_be_an_input_and_be_given_twice():
    twice = te.compute((m, n), lambda i, j: x[i, j] * 2, "twice")
    values = random_array((2, 3))
    results = run([x], [twice, x, twice], [values], m=2, n=3)
    for got, want in zip(results, [values * 2, values, values * 2], strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_user_defined_reduction_of_one_value():
    larger = te.comm_reducer(lambda a, b: te.maximum(te.abs(a), te.abs(b)), lambda dtype: te.const(0, dtype), "largest")
    k = te.reduce_axis(n, "k")
    values = random_array((4, 5))
    (got,) = run([x], [te.compute((m,), lambda i: larger(x[i, k], axis=k), "out")], [values], m=4, n=5)
    np.testing.assert_array_equal(got, np.abs(values).max(1))
