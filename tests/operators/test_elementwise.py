"""Elementwise operators where formulas fail: infinities, NaN, signed zeros, subnormals, the ends of the integers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import operator_cases as cases
import pytest

from relaxdsl.errors import DTypeError
from relaxdsl.ir.graph import Call, Var
from relaxdsl.operators import binary, unary
from relaxdsl.operators.catalog import PUBLIC
from relaxdsl.operators.registry import Operator, sample, tensor
from relaxdsl.types.dims import symbol
from relaxdsl.types.types import tensor_type

m = symbol("m")
INTEGERS = ("int8", "int32", "int64", "uint64")


def operators_of(module: Any) -> list[Operator]:
    """The operators of a table."""
    found = [getattr(value, "__relax_operator__", None) for value in vars(module).values()]
    return [each for each in found if each is not None and each.name != "astype"]


def special_values(dtype: str) -> np.ndarray:
    """Values of a dtype at which functions change or end."""
    if dtype == "bool":
        return np.array([False, True])
    if not dtype.startswith("float"):
        info = np.iinfo(dtype)
        values = {info.min, info.min + 1, -2, -1, 0, 1, 2, 3, 7, 100, info.max - 1, info.max}
        return np.array(sorted(value for value in values if info.min <= value <= info.max), dtype)
    info = np.finfo(dtype)
    limits = [info.smallest_subnormal, info.tiny, info.eps, 1 - info.epsneg, 1 + info.eps, info.max, np.inf]
    sizes = [0.0, 1e-3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, np.pi / 2, 10.0, 88.5, 104.0, 709.5, 8388607.5, 1e10, *limits]
    return np.array([*sizes, *(-value for value in sizes), np.nan], dtype)


def dtypes_of(definition: Operator) -> list[str]:
    """The dtypes whose special values are tried: those of the kinds that the operator accepts."""
    some = ("float32", "uint64", "bool") if is_truth(definition) else ("float32", "float64", *INTEGERS, "bool")
    return [dtype for dtype in some if accepts(definition, dtype)]


def is_truth(definition: Operator) -> bool:
    """Whether the operator compares or combines truth values: then all dtypes of a kind meet the same code."""
    truths = ("equal", "not_equal", "less", "greater", "logical_")
    return len(definition.operands) == 2 and definition.name.startswith(truths)


def accepts(definition: Operator, dtype: str) -> bool:
    """Whether operands may be of ``dtype``."""
    try:
        PUBLIC[definition.name](*(Var(name, tensor_type((m,), dtype)) for name in definition.operands))
    except DTypeError:
        return False
    return True


def check_values(definition: Operator, arrays: list[np.ndarray]) -> None:
    """The kernel's results for 1-d arrays are the reference's, with the same signs of zeros."""
    case = cases.Case(definition, sample(*(tensor("m", dtype=array.dtype.name) for array in arrays)), 0)
    with np.errstate(all="ignore"):
        (actual,) = cases.compile_case(case).run(arrays, {}, {"m": len(arrays[0])})
    (expected,) = cases.reference_result(definition, arrays, {})
    assert actual.dtype == expected.dtype
    if definition.name in UNSIGNED_ZEROS:
        actual, expected = abs_zeros(actual), abs_zeros(expected)
    wrong = differing(actual, expected, definition.samples[0].tolerance)
    shown = [
        f"{definition.name}({', '.join(repr(array[i]) for array in arrays)}) = {actual[i]!r}, NumPy {expected[i]!r}"
        for i in np.flatnonzero(wrong)[:20]
    ]
    assert not shown, "\n".join(shown)


def abs_zeros(values: np.ndarray) -> np.ndarray:
    """The values without the signs of zeros."""
    return np.where(values == 0, np.abs(values), values)


def differing(actual: np.ndarray, expected: np.ndarray, tolerance: float | None) -> np.ndarray:
    """Where two arrays are not the same number."""
    if expected.dtype.kind != "f":
        return np.asarray(actual != expected)
    relative = tolerance if tolerance is not None else cases.TOLERANCES[expected.dtype.name]
    subnormal = 2 * np.finfo(expected.dtype).smallest_subnormal
    close = np.isclose(actual, expected, rtol=relative, atol=subnormal, equal_nan=True)
    zeros_of_other_sign = (actual == 0) & (expected == 0) & (np.signbit(actual) != np.signbit(expected))
    return ~close | zeros_of_other_sign


UNARY = [(each, dtype) for each in operators_of(unary) for dtype in dtypes_of(each)]


@pytest.mark.parametrize(("definition", "dtype"), UNARY, ids=[f"{each.name}-{dtype}" for each, dtype in UNARY])
def test_unary_special_values(definition: Operator, dtype: str) -> None:
    check_values(definition, [special_values(dtype)])


#: NumPy's result depends on the position in the array where one zero is negative.
UNSIGNED_ZEROS = {"maximum", "minimum"}
BINARY = [(each, dtype) for each in operators_of(binary) for dtype in dtypes_of(each)]


@pytest.mark.parametrize(("definition", "dtype"), BINARY, ids=[f"{each.name}-{dtype}" for each, dtype in BINARY])
def test_binary_special_values(definition: Operator, dtype: str) -> None:
    pairs = list(itertools.product(special_values(dtype), repeat=2))
    if definition.name == "power" and dtype.startswith("int"):
        pairs = [(base, exponent) for base, exponent in pairs if exponent >= 0]
    check_values(definition, [np.array([pair[i] for pair in pairs], dtype) for i in range(2)])


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_signed_and_uint64_compare_exactly(name: str) -> None:
    signed = np.array([-1, 0, 1, 2**53 + 1, 2**53, 2**63 - 1], "int64")
    unsigned = np.array([0, 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1], "uint64")
    pairs = list(itertools.product(signed, unsigned))
    columns = [np.array([a for a, _ in pairs], "int64"), np.array([b for _, b in pairs], "uint64")]
    check_values(PUBLIC[name].__relax_operator__, columns)
    check_values(PUBLIC[name].__relax_operator__, columns[::-1])


def test_integers_to_negative_powers_are_rounded_towards_zero() -> None:
    base = np.array([-3, -2, -1, -1, 1, 2, 3], "int32")
    exponent = np.array([-1, -2, -1, -2, -5, -1, -2], "int32")
    definition = PUBLIC["power"].__relax_operator__
    case = cases.Case(definition, sample(tensor("m", dtype="int32"), tensor("m", dtype="int32")), 0)
    (actual,) = cases.compile_case(case).run([base, exponent], {}, {"m": 7})
    assert actual.tolist() == [0, 0, -1, 1, 1, 0, 0]


# ------------------------------------------------------------------------------------------------------------ promotion


def variable(dtype: str, name: str = "x") -> Var:
    return Var(name, tensor_type((m,), dtype))


@pytest.mark.parametrize("left", ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float32", "float64"])
@pytest.mark.parametrize("right", ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float32", "float64"])
def test_dtypes_promote_as_in_numpy(left: str, right: str) -> None:
    arrays = np.ones(1, left), np.ones(1, right)
    x1, x2 = variable(left, "x1"), variable(right, "x2")
    assert (x1 + x2).dtype == (arrays[0] + arrays[1]).dtype
    assert (x1 / x2).dtype == (arrays[0] / arrays[1]).dtype if not {left, right} <= {"bool"} else "float64"
    assert (x1 < x2).dtype == "bool"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.int16(3), np.float32(1)])
def test_numbers_promote_as_in_numpy(dtype: str, number: Any) -> None:
    expected = (np.ones(1, dtype) * number).dtype
    assert (variable(dtype) * number).dtype == expected
    assert (number * variable(dtype)).dtype == expected
    assert PUBLIC["where"](variable("bool", "c"), variable(dtype), number).dtype == expected


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32"])
def test_sizes_are_weak(dtype: str) -> None:
    product = variable(dtype) * m
    assert product.dtype == dtype
    assert product.shape == (m,)
    assert PUBLIC["add"](m, 1).dtype == "int64"
    assert PUBLIC["add"](m, 1).shape == ()


# --------------------------------------------------------------------------------------------- whole messages, one-offs


def test_number_that_does_not_fit() -> None:
    with pytest.raises(DTypeError) as error:
        variable("uint8") + 300
    assert str(error.value) == "add: x2: 300 does not fit into uint8"


def test_integer_to_a_negative_number() -> None:
    with pytest.raises(DTypeError) as error:
        variable("int32") ** -1
    assert str(error.value) == (
        'power: an integer to the power of -1 is not an integer\n   hint: convert the base with x1.astype("float64")'
    )
    assert (variable("float32") ** -1).dtype == "float32"


def test_dtype_error_of_a_number() -> None:
    with pytest.raises(DTypeError) as error:
        PUBLIC["subtract"](True, False)
    assert str(error.value) == "subtract: the operands must be float or integer, got bool"


def test_only_the_literal_1_broadcasts() -> None:
    n = symbol("n")
    column = Var("x", tensor_type((m, 1), "float32"))
    row = Var("y", tensor_type((n,), "float32"))
    assert (column + row).shape == (m, n)
    assert isinstance(column + row, Call)


def test_plus_is_the_value_itself() -> None:
    x = Var("x", tensor_type((m,), "float32"))
    assert +x is x
