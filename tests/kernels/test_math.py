"""The math intrinsics against mpmath, float64 and NumPy: accuracy, special values, and that loops of them vectorise."""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath as mp
import numba
import numpy as np
import pytest
import scipy.special
from llvmlite import binding

from relaxdsl.kernels.math import ULP_BOUNDS, build, intrinsics, supported_functions
from relaxdsl.kernels.math.integers import BOOLEAN_FUNCTIONS, INTEGER_FUNCTIONS
from relaxdsl.kernels.math.registry import BINARY, FLOAT_FUNCTIONS, PREDICATES
from relaxdsl.kernels.math.trigonometric import LARGE
from relaxdsl.kernels.vectors import VECTOR_BITS_VARIABLE

Array = np.ndarray[Any, Any]
KERNEL_FLAGS = {"nsz", "contract", "reassoc"}
LIBRARY_CALL_ALLOWED = {"mod", "floor_mod", "floor_divide"}  # the exact remainder of floats is C's fmod
FLOATS = ("float32", "float64")
NAMES = sorted(FLOAT_FUNCTIONS)
EXACT = [name for name in NAMES if ULP_BOUNDS[name] == (0, 0)]
ROUNDED = [name for name in NAMES if name not in EXACT]


def sigmoid(x: Array) -> Array:
    return scipy.special.expit(x)


def gelu_tanh(x: Array) -> Array:
    return x * sigmoid(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))


NUMPY: dict[str, Callable[..., Array]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "erf": scipy.special.erf,
    "floor_mod": np.mod,
    "gelu": lambda x: np.where(x == -np.inf, -0.0, x * scipy.special.ndtr(x)),
    "gelu_tanh": lambda x: np.where(x == -np.inf, -0.0, gelu_tanh(np.where(x == -np.inf, 0, x))),
    "log_add_exp": np.logaddexp,
    "mod": np.fmod,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": sigmoid,
    "silu": lambda x: np.where(x == -np.inf, -0.0, x * sigmoid(x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
}
MPMATH: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mp.mpf(2) ** x,
    "gelu": lambda x: x * mp.ncdf(x) if x > -6 else x * mp.erfc(-x / mp.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / (1 + mp.exp(-mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3))),
    "log10": lambda x: mp.log(x, 10),
    "log2": lambda x: mp.log(x, 2),
    "log_add_exp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "softplus": lambda x: max(x, 0) + mp.log1p(mp.exp(-abs(x))),
    "square": lambda x: x * x,
}


def numpy_reference(name: str) -> Callable[..., Array]:
    return NUMPY.get(name) or getattr(np, name)


# Kernels -------------------------------------------------------------------------------------------------------------


def kernel_source(names: list[str], arity: int) -> str:
    """A kernel with one loop for each function; outputs follow the inputs."""
    inputs = ["x", "y"][:arity]
    outputs = [f"out_{name}" for name in names]
    values = ", ".join(f"{name}[j]" for name in inputs)
    loops = [f"    for j in range(n):\n        out_{name}[j] = {name}({values})\n" for name in names]
    return f"def kernel({', '.join([*inputs, *outputs, 'n'])}):\n{''.join(loops)}"


@cache
def compiled(names: tuple[str, ...], dtype: str, flags: bool) -> Any:
    arity = 2 if names[0] in BINARY else 1
    scope = dict(intrinsics())
    exec(kernel_source(list(names), arity), scope)  # the text is made above
    kind = numba.types.boolean if dtype == "bool" else getattr(numba.types, dtype)
    pointer = numba.types.CPointer
    results = [pointer(numba.types.uint8 if name in PREDICATES else kind) for name in names]
    signature = numba.types.void(*[pointer(kind)] * arity, *results, numba.types.int64)
    return numba.cfunc(signature, fastmath=KERNEL_FLAGS if flags else False)(scope["kernel"])


def run(names: list[str], *inputs: Array, flags: bool = True) -> dict[str, Array]:
    kernel = compiled(tuple(names), str(inputs[0].dtype), flags)
    arrays = [np.empty(inputs[0].shape, bool if name in PREDICATES else inputs[0].dtype) for name in names]
    types = kernel.ctypes.argtypes
    addresses = [ctypes.cast(array.ctypes.data, kind) for array, kind in zip([*inputs, *arrays], types, strict=False)]
    kernel.ctypes(*addresses, inputs[0].size)
    return dict(zip(names, arrays, strict=True))


# Samples -------------------------------------------------------------------------------------------------------------

SPECIAL = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 1e30, np.inf, np.nan)


def specials(dtype: str) -> Array:
    limits = np.finfo(dtype)
    values = np.array([*SPECIAL, limits.max, limits.tiny, limits.smallest_subnormal], dtype)
    return np.concatenate([values, -values])


def samples(dtype: str, count: int, seed: int = 0) -> Array:
    """Every exponent and sign, the ranges where the functions bend, and the special values."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 2 ** np.finfo(dtype).bits - 1, count, dtype=f"uint{np.finfo(dtype).bits}").view(dtype)
    if dtype == "float32":
        stepped = np.arange(0, 2**32, 2**32 // count, dtype=np.uint64) + rng.integers(0, 2**32 // count)
        patterns = stepped.astype(np.uint32).view(dtype)
    shares = [
        rng.standard_normal(count) * 3,
        rng.uniform(-1.1, 1.1, count),
        1 + rng.uniform(-1, 1, count) * 1e-3,
        rng.uniform(-1, 1, count) * rng.choice([12.0, 40.0, 110.0, 750.0], count),
    ]
    return np.concatenate([patterns, *(share.astype(dtype) for share in shares), specials(dtype)])


def arguments(name: str, dtype: str, count: int) -> tuple[Array, ...]:
    x = samples(dtype, count)
    return (x, np.random.default_rng(1).permutation(x)) if name in BINARY else (x,)


# Accuracy ------------------------------------------------------------------------------------------------------------


def spacing(value: Array, dtype: str) -> Array:
    """The unit in the last place of a float of this type nearest to the value."""
    limits = np.finfo(dtype)
    exponent = np.frexp(np.where(np.isfinite(value) & (value != 0), value, limits.tiny))[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, limits.minexp) - limits.nmant)


def scale_of(name: str, want: Array, inputs: tuple[Array, ...]) -> Array:
    """What the error is measured against: the result, or for log_add_exp the operands where they cancel."""
    return np.maximum(abs(want), np.maximum(*map(abs, inputs))) if name == "log_add_exp" else want


def assert_within(name: str, dtype: str, got: Array, error: Array, want: Array, inputs: tuple[Array, ...]) -> None:
    """`error` is got - want where both are finite; elsewhere the results are the same infinity or NaN."""
    bound = ULP_BOUNDS[name][FLOATS.index(dtype)]
    finite = np.isfinite(got) & np.isfinite(want)
    units = np.where(finite, abs(error) / spacing(scale_of(name, want, inputs), dtype), 0)
    worst = int(np.argmax(units))
    assert units[worst] <= bound, (name, dtype, [x[worst] for x in inputs], got[worst], want[worst], units[worst])
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=name)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all(), name


def check_single(name: str, got: Array, inputs: tuple[Array, ...]) -> None:
    with np.errstate(all="ignore"):
        want = numpy_reference(name)(*(x.astype(np.float64) for x in inputs))
        narrow = want.astype(np.float32)
        assert_within(name, "float32", got, got - want, np.where(np.isinf(narrow), narrow, want), inputs)


@pytest.mark.parametrize("name", ROUNDED)
def test_single_precision_is_within_its_bound_over_the_whole_range(name: str) -> None:
    inputs = arguments(name, "float32", 2**15)
    check_single(name, run([name], *inputs)[name], inputs)


@pytest.mark.parametrize("arity", [1, 2])
def test_bounds_hold_without_fast_math_flags(arity: int) -> None:
    names = [name for name in ROUNDED if (name in BINARY) == (arity == 2)]
    inputs = arguments(names[0], "float32", 2**12)
    for name, got in run(names, *inputs, flags=False).items():
        check_single(name, got, inputs)


def check_double(name: str, count: int, flags: bool = True) -> None:
    """Against 160 digits, where NumPy's result is finite; against NumPy elsewhere."""
    inputs = arguments(name, "float64", count)
    got = run([name], *inputs, flags=flags)[name]
    with np.errstate(all="ignore"):
        want = np.asarray(numpy_reference(name)(*inputs))
    exact = MPMATH.get(name) or getattr(mp, name)
    error = np.zeros_like(got)
    plain = np.all([(abs(x) < 1e300) & (x != 0) for x in inputs], axis=0)
    with mp.workprec(160):
        for i in np.flatnonzero(plain & np.isfinite(want) & np.isfinite(got) & (want != 0)):
            error[i] = mp.mpf(float(got[i])) - exact(*(mp.mpf(float(x[i])) for x in inputs))
    assert_within(name, "float64", got, error, want, inputs)


@pytest.mark.parametrize("name", ROUNDED)
def test_double_precision_is_within_its_bound(name: str) -> None:
    check_double(name, 400)


@pytest.mark.parametrize("name", ["exp", "log1p", "sin", "power", "tanh"])
def test_double_precision_holds_without_fast_math_flags(name: str) -> None:
    check_double(name, 100, flags=False)


@pytest.mark.parametrize("name", ["asinh", "atanh", "erf", "gelu", "gelu_tanh", "log1p", "power", "sin", "tan"])
def test_products_stay_exact_where_the_host_has_no_fused_multiply_add(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "has_fused_multiply_add", lambda: False)
    compiled.cache_clear()
    check_double(name, 100)
    inputs = arguments(name, "float32", 2**10)
    check_single(name, run([name], *inputs)[name], inputs)
    compiled.cache_clear()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_next_to_multiples_of_a_right_angle_are_reduced(name: str) -> None:
    """The float64 nearest to a multiple of π/2, and such float32 values; tan may lose another half unit there."""
    x = np.array([6381956970095103.0 * 2.0**797, np.pi, np.pi / 2, 1e22, 2.0**1023, 2.0**60 * 3])
    got = run([name], x)[name]
    with mp.workprec(1400):
        want = [getattr(mp, name)(mp.mpf(float(value))) for value in x]
    np.testing.assert_allclose(got, [float(value) for value in want], rtol=4e-16)
    single = nearest_to_right_angles()
    with mp.workprec(400):
        expected = [float(getattr(mp, name)(mp.mpf(float(value)))) for value in single]
    np.testing.assert_allclose(run([name], single)[name], expected, rtol=1.2e-7)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_small_and_large_angles_may_be_neighbours(name: str, dtype: str) -> None:
    """In every lane of a vector, a large angle changes none but its own result; both ways are right where they meet."""
    small = samples(dtype, 60)
    small = np.where(abs(small) < LARGE, small, np.array(0.75, dtype))
    alone = run([name], small)[name]
    edges = np.array([LARGE, -LARGE, np.nextafter(small.dtype.type(LARGE), small.dtype.type(0)), 1e30, np.inf, np.nan])
    for lane in range(33):
        mixed = small.copy()
        mixed[lane::33] = np.resize(edges.astype(dtype), mixed[lane::33].shape)
        got = run([name], mixed)[name]
        kept = np.arange(small.size) % 33 != lane
        np.testing.assert_array_equal(bits_of(got[kept]), bits_of(alone[kept]))
        with np.errstate(invalid="ignore"), mp.workprec(400):
            want = [float(getattr(mp, name)(float(x))) if np.isfinite(x) else np.nan for x in mixed[~kept]]
        np.testing.assert_allclose(got[~kept], want, rtol=1.5 * np.finfo(dtype).eps)


def bits_of(values: Array) -> Array:
    """The bits of floats, in which every NaN is one and the same."""
    return np.where(np.isnan(values), np.nan, values).astype(values.dtype).view(f"uint{values.itemsize * 8}")


def nearest_to_right_angles() -> Array:
    """For every exponent, the float32 values that are closest to a multiple of π/2 among the best approximations."""
    found = []
    with mp.workprec(400):
        for exponent in range(2, 128):
            unit = mp.mpf(2) ** (exponent - 23)
            ratio = mp.pi / 2 / unit
            multiples = [mp.nint(n * ratio) for n in range(1, 200)]
            found += [float(m * unit) for m in multiples if 2**23 <= m < 2**24]
            turns = unit / (mp.pi / 2)
            found.append(float(unit * denominator_below(turns, 2**24)))
    return np.array(found, np.float32)


def denominator_below(value: Any, limit: int) -> int:
    """The denominator of the best continued-fraction approximation of the value with a denominator below the limit."""
    previous, current, rest = 0, 1, value - mp.floor(value)
    while rest != 0:
        whole = int(mp.floor(1 / rest))
        rest = 1 / rest - whole
        if whole * current + previous >= limit:
            break
        previous, current = current, whole * current + previous
    return current


# Special values and exact results ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("flags", [True, False])
def test_exact_functions_equal_numpy_bit_for_bit(dtype: str, flags: bool) -> None:
    for arity in (1, 2):
        names = [name for name in EXACT if (name in BINARY) == (arity == 2)]
        inputs = arguments(names[0], dtype, 2000)
        if arity == 2:
            grids = pairs_of_specials(dtype)
            inputs = tuple(np.concatenate([x, grid.ravel()]) for x, grid in zip(inputs, grids, strict=True))
        for name, got in run(names, *inputs, flags=flags).items():
            with np.errstate(all="ignore"):
                assert_same(name, got, numpy_reference(name)(*inputs), inputs)


def pairs_of_specials(dtype: str) -> tuple[Array, ...]:
    return tuple(np.meshgrid(specials(dtype), specials(dtype)))


def assert_same(name: str, got: Array, want: Array, inputs: tuple[Array, ...]) -> None:
    """Equal, the sign of zero included, except where NumPy's maximum of two zeros depends on their order."""
    np.testing.assert_array_equal(got, want, err_msg=name)
    ordered = ~np.isnan(want)
    if name in ("maximum", "minimum"):
        ordered &= want != 0
    wrong = (np.signbit(got.astype(float)) != np.signbit(want.astype(float))) & ordered
    assert not wrong.any(), (name, [x[wrong][:3] for x in inputs], got[wrong][:3], want[wrong][:3])


@pytest.mark.parametrize("name", ["atan2", "log_add_exp", "power"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_pairs_of_special_values_give_numpys_results(name: str, dtype: str) -> None:
    inputs = tuple(grid.ravel().copy() for grid in pairs_of_specials(dtype))
    got = run([name], *inputs)[name]
    with np.errstate(all="ignore"):
        want = numpy_reference(name)(*(x.astype(np.float64) for x in inputs)).astype(dtype)
    np.testing.assert_allclose(got, want, rtol=3e-7 if dtype == "float32" else 1e-15)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


# Integers ------------------------------------------------------------------------------------------------------------

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
INTEGER_UNARY = sorted(INTEGER_FUNCTIONS.keys() - BINARY)
INTEGER_BINARY = sorted(INTEGER_FUNCTIONS.keys() & BINARY)


def integer_pairs(dtype: str) -> tuple[Array, Array]:
    limits = np.iinfo(dtype)
    edges = [limits.min, limits.min + 1, limits.max, limits.max - 1, *range(max(limits.min, -9), 66)]
    rng = np.random.default_rng(2)
    drawn = rng.integers(limits.min, limits.max, 120, dtype=dtype, endpoint=True)
    values = np.concatenate([np.array([edge for edge in edges if edge <= limits.max], dtype), drawn])
    if limits.bits == 8:
        values = np.arange(limits.min, limits.max + 1).astype(dtype)
    first, second = np.meshgrid(values, values)
    return first.ravel().copy(), second.ravel().copy()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_functions_give_numpys_results(dtype: str) -> None:
    x, y = integer_pairs(dtype)
    results = run(INTEGER_BINARY, x, y) | run(INTEGER_UNARY, x)
    with np.errstate(all="ignore"):
        for name, got in results.items():
            if name == "power":
                natural = y >= 0
                want = np.power(x, np.where(natural, y, 0).astype(dtype))
                np.testing.assert_array_equal(got[natural], want[natural], err_msg=name)
            else:
                want = numpy_reference(name)(*((x, y) if name in BINARY else (x,)))
                np.testing.assert_array_equal(got, want, err_msg=name)


def test_negative_integer_powers_are_cut_to_whole_numbers() -> None:
    x, y = np.array([1, -1, -1, 2, 0, -3]), np.array([-5, -5, -4, -1, -1, -2])
    assert run(["power"], x, y)["power"].tolist() == [1, -1, 1, 0, 0, 0]


@pytest.mark.parametrize("name", sorted(BOOLEAN_FUNCTIONS))
def test_functions_of_truth_values_give_numpys_results(name: str) -> None:
    function = intrinsics()[name]
    call = numba.njit((lambda x, y: function(x, y)) if name in BINARY else (lambda x: function(x)))
    for values in itertools.product([False, True], repeat=2 if name in BINARY else 1):
        assert call(*values) == bool(numpy_reference(name)(*values))


# Code ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_loops_call_no_library_and_are_vectorised(name: str, dtype: str) -> None:
    assembly = compiled((name,), dtype, True)._library.get_asm_str()
    if name in LIBRARY_CALL_ALLOWED:
        return
    called = re.search(r"\b(expf?|logf?|powf?|sinf?|cosf?|tanhf?|fmaf?|fmodf?)\b", assembly)
    assert called is None, (name, called)
    if has_wide_registers():
        packed = r"\bv(fn?m|mul|add|sub|div|sqrt)\w*p[sd]\s.*%[yz]mm" if name in ROUNDED else r"\bv\w+\s.*%[yz]mm"
        assert re.search(packed, assembly), f"{name} is not vectorised"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_no_bit_depends_on_where_an_element_stands(name: str, dtype: str) -> None:
    """In the loop of vectors, in what is left over, or alone."""
    inputs = tuple(x[:61].copy() for x in arguments(name, dtype, 12))
    together = run([name], *inputs)[name]
    alone = [run([name], *(x[i : i + 1].copy() for x in inputs))[name] for i in range(61)]
    later = run([name], *(x[5:].copy() for x in inputs))[name]
    if name not in PREDICATES:
        together, later, alone = bits_of(together), bits_of(later), [bits_of(each) for each in alone]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_array_equal(together[5:], later)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sin", "tan", "log1p", "asinh"])
def test_no_bit_depends_on_the_width_of_vectors(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(dtype, 200)
    found = []
    for bits in ("128", "256", "512"):
        monkeypatch.setenv(VECTOR_BITS_VARIABLE, bits)
        compiled.cache_clear()
        found.append(bits_of(run([name], x)[name]))
    compiled.cache_clear()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def has_wide_registers() -> bool:
    return build.has_fused_multiply_add() and bool(binding.get_host_cpu_features().get("avx2"))


def test_the_package_is_listed_without_importing_numba() -> None:
    code = (
        "import sys; import relaxdsl.kernels.math as m; assert 'exp' in m.supported_functions(); "
        "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_supported_function_is_built_and_has_a_bound() -> None:
    assert intrinsics().keys() == supported_functions()
    assert FLOAT_FUNCTIONS.keys() == ULP_BOUNDS.keys()
    assert intrinsics() is intrinsics()


@pytest.mark.parametrize(("name", "dtype"), [("exp", "int32"), ("sign", "bool"), ("left_shift", "float32")])
def test_a_function_is_refused_for_types_it_has_no_meaning_for(name: str, dtype: str) -> None:
    with pytest.raises(numba.errors.TypingError, match=rf"Invalid use of type.*{name}|No implementation"):
        compiled((name,), dtype, True)
