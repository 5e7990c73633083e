"""Every dtype: arithmetic, comparisons, bits and casts give NumPy's values in NumPy's dtype."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_programs import run

from relaxdsl.errors import KernelError
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel
from relaxdsl.types.dims import dims
from relaxdsl.types.dtype import DTYPES, is_float

n = dims("n")
KERNEL_DTYPES = [each for each in DTYPES if each != "float16"]
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
    with pytest.raises(KernelError) as caught:
        compile_kernel(create_prim_func([x], [te.compute((n,), lambda i: x[i], "y")], "half"))
    assert str(caught.value) == (
        "half: kernels do not compute in float16\n"
        "   they take bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64\n"
        "   hint: use float32, for parameters as well; convert arrays before the call: x.astype(np.float32)"
    )


def test_an_unknown_function_is_refused():
    from relaxdsl.ir.scalar import unary

    x = te.placeholder((n,), "float32", "x")
    with pytest.raises(KernelError) as caught:
        compile_kernel(create_prim_func([x], [te.compute((n,), lambda i: unary("gamma", x[i]), "y")], "kernel"))
    assert str(caught.value) == "kernel: there is no scalar function 'gamma'"
