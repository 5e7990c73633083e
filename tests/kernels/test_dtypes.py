"""Every dtype: arithmetic, comparisons, bits and casts give NumPy's values in NumPy's dtype."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from kernel_programs import run

from relaxdsl import tir as T
from relaxdsl.errors import DTypeError, KernelError
from relaxdsl.ir.scalar import Apply, ScalarExpr, children
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel
from relaxdsl.types.dims import dims
from relaxdsl.types.dtype import KERNEL_DTYPES, is_float
from relaxdsl.types.symint import user_compares

n = dims("n")
NUMBERS = [each for each in KERNEL_DTYPES if each != "bool"]
INTEGERS = [each for each in NUMBERS if not is_float(each)]


def edge_values(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of values, the dtype's extremes and special values among them."""
    if dtype == "bool":
        values = [False, True]
    elif is_float(dtype):
        values = [0.0, -0.0, 1.5, -2.5, 3e38, 1e-40, np.inf, -np.inf, np.nan]
    else:
        info = np.iinfo(dtype)
        values = [0, 1, 2, 7, info.max, info.max - 1, info.min, info.min + 1]
    left, right = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    return left.ravel(), right.ravel()


def outputs_of(dtype: str, body) -> tuple[list, tuple]:
    x = te.placeholder((n,), dtype, "x")
    y = te.placeholder((n,), dtype, "y")
    result = te.compute((n,), lambda i: tuple(body(x[i], y[i])), "out")
    return [x, y], result


def compare(dtype: str, body, expected) -> None:
    """``body`` on scalars against ``expected`` on arrays, both giving a list of results."""
    left, right = edge_values(dtype)
    inputs, outputs = outputs_of(dtype, body)
    with np.errstate(all="ignore"):
        wanted = expected(left, right)
    for got, want in zip(run(inputs, outputs, [left, right], n=left.size), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_arithmetic_and_comparisons(dtype):
    def both(x, y):
        return [x + y, x - y, x * y, -x, x < y, x <= y, x > y, x >= y]

    compare(
        dtype,
        lambda x, y: [*both(x, y), x.equal(y), x.not_equal(y), te.maximum(x, y) + 1 - y * x],
        lambda x, y: [*both(x, y), x == y, x != y, np.maximum(x, y) + x.dtype.type(1) - y * x],
    )


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around_before_they_are_compared_and_divided(dtype):
    def both(x, y):
        return [x * 2 < y, x + 1 > x, x - y <= 0, (x * 2) // 2 - x, (x + y) // 2 - y]

    compare(dtype, both, both)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_and_bits(dtype):
    def both(x, y):
        return [x & y, x | y, x ^ y, ~x, (x + y) & 1, x // y, x % y]

    compare(dtype, both, both)


def test_bools():
    compare(
        "bool",
        lambda x, y: [
            x & y,
            x | y,
            x ^ y,
            ~x,
            te.logical_not(x),
            te.logical_and(x, ~y),
            x < y,
            x + y,
            x * y,
            te.maximum(x, y),
        ],
        lambda x, y: [x & y, x | y, x ^ y, ~x, ~x, x & ~y, x < y, x + y, x * y, x | y],
    )


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_casts_to_every_dtype(dtype):
    values = np.array(
        [0, 1] if dtype == "bool" else [0, 1, 2, 100, 127] if dtype.startswith("u") else [0, 1, -1, -128, 127, 3]
    )
    values = (values + 0.75 * np.sign(values)).astype(dtype) if is_float(dtype) else values.astype(dtype)
    x = te.placeholder((n,), dtype, "x")
    targets = [each for each in KERNEL_DTYPES if not (is_float(dtype) and each.startswith("u"))]
    outputs = te.compute((n,), lambda i: tuple(te.cast(x[i], each) for each in targets))
    for got, target in zip(run([x], outputs, [values], n=values.size), targets, strict=True):
        np.testing.assert_array_equal(got, values.astype(target))


def test_divide_of_integers_is_float64():
    x = te.placeholder((n,), "int32", "x")
    half = te.compute((n,), lambda i: x[i] / 2)
    assert half.dtype == "float64"
    np.testing.assert_array_equal(run([x], [half], [np.arange(-3, 4, dtype="int32")], n=7)[0], np.arange(-3, 4) / 2)


def test_float32_constants_stay_float32():
    x = te.placeholder((n,), "float32", "x")
    y = te.compute((n,), lambda i: (x[i] + 0.1) * 1e-3)
    values = np.linspace(-1, 1, 9, dtype="float32")
    np.testing.assert_array_equal(run([x], [y], [values], n=9)[0], (values + np.float32(0.1)) * np.float32(1e-3))


def test_sizes_and_axes_are_weak_integers():
    x = te.placeholder((n,), "float32", "x")
    y = te.compute((n,), lambda i: (x[i] + i) / n)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(
        run([x], [y], [np.ones(4, "float32")], n=4)[0], (1 + np.arange(4, dtype="float32")) / 4
    )


def test_numpy_scalars_are_not_weak():
    x = te.placeholder((n,), "float32", "x")
    assert te.compute((n,), lambda i: x[i] * np.float64(2)).dtype == "float64"


def test_float16_is_refused():
    x = te.placeholder((n,), "float16", "x")
    with pytest.raises(DTypeError) as caught:
        compile_kernel(create_prim_func([x], [te.compute((n,), lambda i: x[i], "y")], "half"))
    assert str(caught.value) == (
        "half: kernels do not compute in float16\n"
        "   half takes bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64\n"
        "   hint: use float32, for parameters as well; convert arrays before the call: x.astype(np.float32)"
    )


def test_an_unknown_function_is_refused():
    from relaxdsl.ir.scalar import unary

    x = te.placeholder((n,), "float32", "x")
    with pytest.raises(KernelError) as caught:
        compile_kernel(create_prim_func([x], [te.compute((n,), lambda i: unary("gamma", x[i]), "y")], "kernel"))
    assert str(caught.value) == "kernel: there is no scalar function 'gamma'"


# ------------------------------------------------------------------------------- every function, every pair of dtypes

#: What NumPy has functions of its own for: the function of scalars, and NumPy's.
UNARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "-": (operator.neg, operator.neg),
    "~": (operator.invert, operator.invert),
    "abs": (abs, abs),
    "ceil": (te.ceil, np.ceil),
    "floor": (te.floor, np.floor),
    "isfinite": (te.isfinite, np.isfinite),
    "isinf": (te.isinf, np.isinf),
    "isnan": (te.isnan, np.isnan),
    "logical_not": (te.logical_not, np.logical_not),
    "round": (te.round, np.rint),
    "sign": (te.sign, np.sign),
    "square": (te.square, np.square),
    "trunc": (te.trunc, np.trunc),
}
#: Of these, NumPy makes floats of integers; here they stay.
KEEPS_INTEGERS = ("round",)
BINARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{
        each.__name__: (each, each)
        for each in (
            operator.add,
            operator.and_,
            operator.floordiv,
            operator.ge,
            operator.gt,
            operator.le,
            operator.lshift,
            operator.lt,
            operator.mod,
            operator.mul,
            operator.or_,
            operator.pow,
            operator.rshift,
            operator.sub,
            operator.truediv,
            operator.xor,
        )
    },
    "equal": (te.equal, np.equal),
    "not_equal": (te.not_equal, np.not_equal),
    "fmod": (te.mod, np.fmod),
    "maximum": (te.maximum, np.maximum),
    "minimum": (te.minimum, np.minimum),
    "logical_and": (te.logical_and, np.logical_and),
    "logical_or": (te.logical_or, np.logical_or),
    "logical_xor": (te.logical_xor, np.logical_xor),
    "ceildiv": (T.ceildiv, lambda x, y: x // y + (x % y != 0)),
    "fast_add": (T.fast_add, np.add),
    "fast_multiply": (T.fast_multiply, np.multiply),
    "fast_maximum": (T.fast_maximum, np.maximum),
    "fast_minimum": (T.fast_minimum, np.minimum),
    "fused_add": (T.fused_add, np.add),
    "fused_multiply": (T.fused_multiply, np.multiply),
}
#: NumPy makes int8 of two bools, and so a bool is a number; here it is an error.
OF_NUMBERS = ("floordiv", "mod", "fmod", "pow", "lshift", "rshift", "square", "ceildiv")


def built(name: str, *dtypes: str) -> ScalarExpr | None:
    """The function of elements of these dtypes; None where it is refused."""
    function = UNARY[name][0] if len(dtypes) == 1 else BINARY[name][0]
    try:
        return function(*(te.placeholder((), dtype)[()] for dtype in dtypes))
    except DTypeError:
        return None


def numpys(name: str, *arrays: np.ndarray) -> np.ndarray | None:
    """What NumPy computes; None where it refuses, or makes a number of bools."""
    if name in OF_NUMBERS and all(each.dtype == bool for each in arrays):
        return None
    if name in KEEPS_INTEGERS and arrays[0].dtype.kind in "biu":
        return arrays[0]
    try:
        with np.errstate(all="ignore"):
            return (UNARY[name][1] if len(arrays) == 1 else BINARY[name][1])(*arrays)
    except TypeError:
        return None


def applied(expr: ScalarExpr) -> list[Apply]:
    """The functions applied in an expression."""
    inner = [each for child in children(expr) for each in applied(child)]
    return [expr, *inner] if isinstance(expr, Apply) else inner


@pytest.mark.parametrize("name", BINARY)
def test_two_dtypes_give_numpys_or_are_refused(name):
    """The operands are converted to one dtype, so that the kernels of one dtype, below, are those of any two."""
    for dtypes in product(KERNEL_DTYPES, KERNEL_DTYPES):
        expr, wanted = built(name, *dtypes), numpys(name, *(np.ones(1, dtype) for dtype in dtypes))
        assert getattr(expr, "dtype", None) == (None if wanted is None else wanted.dtype), dtypes
        assert expr is None or all(len({arg.dtype for arg in node.args}) == 1 for node in applied(expr)), dtypes


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_every_function_of_a_dtype_computes_what_numpy_does_or_is_refused(dtype):
    left, _ = edge_values(dtype)
    right = np.resize(np.arange(7), left.size).astype(dtype)
    values = {name: numpys(name, left) for name in UNARY} | {name: numpys(name, left, right) for name in BINARY}
    refused = {name for name in UNARY if built(name, dtype) is None}
    refused |= {name for name in BINARY if built(name, dtype, dtype) is None}
    assert refused == {name for name, value in values.items() if value is None}

    def body(x: ScalarExpr, y: ScalarExpr) -> list[ScalarExpr]:
        results = {name: UNARY[name][0](x) for name in UNARY if name not in refused}
        results |= {name: BINARY[name][0](x, y) for name in BINARY if name not in refused}
        return list(results.values())

    inputs, outputs = outputs_of(dtype, body)
    computed = [name for name in values if name not in refused]
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    for name, got in zip(computed, run(inputs, outputs, [left, right], n=left.size), strict=True):
        assert got.dtype == values[name].dtype, name
        np.testing.assert_allclose(got, values[name], rtol=tolerance if is_float(dtype) else 0, err_msg=name)


# ------------------------------------------------------------------------------------------- choices between numbers


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_a_choice_between_numbers_takes_the_dtype_beside_it(dtype):
    x = te.placeholder((n,), dtype, "x")

    def body(i):
        number = te.if_then_else(x[i] > 1, 3, te.if_then_else(x[i] > 0, 2, 1))
        return x[i] + number, number + x[i], te.maximum(x[i], number), te.if_then_else(x[i] > 1, number, x[i])

    values = np.array([0, 1, 2]).astype(dtype)
    choices = np.where(values > 1, 3, np.where(values > 0, 2, 1)).astype("int64" if dtype == "bool" else dtype)
    wanted = [values + choices, choices + values, np.maximum(values, choices), np.where(values > 1, choices, values)]
    for got, want in zip(run([x], te.compute((n,), body), [values], n=3), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_a_choice_of_fractions_is_float64_beside_integers_and_alone():
    x = te.placeholder((n,), "int32", "x")
    fraction, whole = te.if_then_else(x[0] > 0, 1, 0.5), te.if_then_else(x[0] > 0, 1, 0)
    assert ((x[0] * fraction).dtype, fraction.dtype, whole.dtype) == ("float64", "float64", "int64")
    assert ((fraction + whole).dtype, (whole + whole).dtype) == ("float64", "int64")


def test_a_choice_with_a_scalar_of_numpy_or_a_bool_is_not_weak():
    x = te.placeholder((n,), "float32", "x")
    assert (x[0] * te.if_then_else(x[0] > 0, np.float64(1), 0)).dtype == "float64"
    assert te.if_then_else(x[0] > 0, True, False).dtype == "bool"


def test_a_number_of_a_choice_that_does_not_fit_is_refused():
    x = te.placeholder((n,), "int8", "x")
    with pytest.raises(DTypeError) as caught:
        x[0] + te.if_then_else(x[0] > 0, 1, 200)
    hint = "convert the other operand: te.cast(value, dtype)"
    assert (caught.value.headline, caught.value.hint) == ("200 does not fit into int8", hint)


def test_bits_beside_a_choice_between_numbers():
    x = te.placeholder((n,), "uint64", "x")
    assert (x[0] & te.if_then_else(x[0] > 0, 1, 2)).dtype == "uint64"


LEFT_OF_ELEMENTS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
]


@pytest.mark.parametrize("function", LEFT_OF_ELEMENTS, ids=lambda each: each.__name__)
def test_numpy_numbers_left_of_elements(function):
    number, values = np.int64(2), np.arange(1, 5)
    x = te.placeholder((n,), "int64", "x")
    with user_compares(True):
        out = te.compute((n,), lambda i: function(number, x[i]), "out")
    np.testing.assert_array_equal(run([x], [out], [values], n=4)[0], function(number, values))


def test_numpy_numbers_left_of_divmod_and_sizes():
    x = te.placeholder((n,), "int64", "x")
    out = te.compute((n,), lambda i: divmod(np.int64(7), x[i]), "out")
    quotients, remainders = run([x], list(out), [np.arange(1, 5)], n=4)
    np.testing.assert_array_equal(quotients, 7 // np.arange(1, 5))
    np.testing.assert_array_equal(remainders, 7 % np.arange(1, 5))
    assert np.int64(2) + n is n + 2
    assert np.int64(2) * n is n * 2
    assert (np.int64(2) == x[0]) is False
