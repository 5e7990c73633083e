"""The scalar functions of :mod:`relaxdsl.kernels.te`: each builds one node of a TE expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from relaxdsl.errors import DTypeError, KernelError
from relaxdsl.ir import scalar
from relaxdsl.ir.scalar import Apply, ScalarExpr, ScalarLike, as_scalar, binary, promote_operands, unary
from relaxdsl.types.dtype import canonical_dtype, is_bool, is_float

__all__ = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "ceil",
    "const",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "floor_mod",
    "gelu",
    "gelu_tanh",
    "greater",
    "greater_equal",
    "if_then_else",
    "infinity",
    "isfinite",
    "isinf",
    "isnan",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_add_exp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "max_value",
    "maximum",
    "min_value",
    "minimum",
    "mod",
    "negative",
    "not_equal",
    "power",
    "right_shift",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]  # fmt: skip

Unary = Callable[[ScalarLike], ScalarExpr]
Binary = Callable[[ScalarLike, ScalarLike], ScalarExpr]
F = TypeVar("F", bound=Callable[..., ScalarExpr])


def const(value: int | float | bool, dtype: str) -> ScalarExpr:
    """The number ``value`` as ``dtype``."""
    return scalar.const(value, dtype)


def cast(value: ScalarLike, dtype: str) -> ScalarExpr:
    """``value`` converted as NumPy's ``astype`` does."""
    return scalar.cast(as_scalar(value), dtype)


def max_value(dtype: str) -> ScalarExpr:
    """The greatest finite value of ``dtype``."""
    return scalar.const(_limits(dtype)[1], dtype)


def min_value(dtype: str) -> ScalarExpr:
    """The least finite value of ``dtype``."""
    return scalar.const(_limits(dtype)[0], dtype)


def infinity(dtype: str) -> ScalarExpr:
    """Positive infinity.

    Raises:
        KernelError: ``dtype`` has none.
    """
    if not is_float(canonical_dtype(dtype)):
        raise KernelError(f"infinity: {dtype} has no infinity", hint="use te.max_value(dtype)")
    return scalar.const(float("inf"), dtype)


def _limits(dtype: str) -> tuple[int | float, int | float]:
    dtype = canonical_dtype(dtype)
    if is_bool(dtype):
        return False, True
    if is_float(dtype):
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def if_then_else(condition: ScalarLike, then_value: ScalarLike, else_value: ScalarLike) -> ScalarExpr:
    """``then_value`` where the condition holds, else ``else_value``; what is not chosen is not evaluated.

    Raises:
        DTypeError: the condition is no bool.
    """
    return scalar.choice(as_condition(condition), then_value, else_value)


def as_condition(value: ScalarLike) -> ScalarExpr:
    """``value`` as what decides which value is chosen, or whether statements run.

    Raises:
        DTypeError: it is no bool.
    """
    node = as_scalar(value)
    if node.dtype != "bool":
        raise DTypeError(f"a condition is bool, not {node.dtype}", hint="compare it: value != 0")
    return node


def _truth(value: ScalarLike) -> ScalarExpr:
    """``value`` as a bool: numbers are true where they are not zero."""
    return scalar.cast(as_scalar(value), "bool")


def logical_and(*conditions: ScalarLike) -> ScalarExpr:
    """Whether all conditions hold."""
    return _fold("logical_and", conditions)


def logical_or(*conditions: ScalarLike) -> ScalarExpr:
    """Whether at least one condition holds."""
    return _fold("logical_or", conditions)


def logical_xor(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
    """Whether exactly one condition holds."""
    return _fold("logical_xor", (left, right))


def logical_not(condition: ScalarLike) -> ScalarExpr:
    """Whether the condition does not hold."""
    return Apply("logical_not", (_truth(condition),), "bool")


def _fold(function: str, conditions: tuple[ScalarLike, ...]) -> ScalarExpr:
    if not conditions:
        raise KernelError(f"{function}: no conditions given")
    result, *others = map(_truth, conditions)
    for other in others:
        result = Apply(function, (result, other), "bool")
    return result


def negative(value: ScalarLike) -> ScalarExpr:
    """``-value``."""
    return unary("negative", value)


def bitwise_not(value: ScalarLike) -> ScalarExpr:
    """``~value``."""
    return unary("bitwise_not", value)


def _function(name: str) -> Unary:
    """The function of one number that keeps its dtype."""

    def apply(value: ScalarLike) -> ScalarExpr:
        return unary(name, value)

    return _named(apply, name, f"``{name}(value)`` in the value's dtype.")


def _float_function(name: str) -> Unary:
    """The function of one number whose result is a float: integers are taken as float64."""

    def apply(value: ScalarLike) -> ScalarExpr:
        operand = as_scalar(value)
        return unary(name, operand if is_float(operand.dtype) else scalar.cast(operand, "float64"))

    return _named(apply, name, f"``{name}(value)``; integers are taken as float64.")


def _predicate(name: str) -> Unary:
    """The test of a float; for integers its answer is known."""

    def apply(value: ScalarLike) -> ScalarExpr:
        operand = as_scalar(value)
        return unary(name, operand) if is_float(operand.dtype) else scalar.const(name == "isfinite", "bool")

    return _named(apply, name, f"``{name}(value)`` as a bool.")


def _rounding(name: str) -> Unary:
    """The rounding of a float; an integer stays as it is."""

    def apply(value: ScalarLike) -> ScalarExpr:
        operand = as_scalar(value)
        return unary(name, operand) if is_float(operand.dtype) else operand

    return _named(apply, name, f"``{name}(value)`` in the value's dtype.")


def _pair_function(name: str) -> Binary:
    """The function of two numbers; dtypes promote as NumPy's."""

    def apply(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
        return binary(name, left, right)

    return _named(apply, name, f"``{name}(left, right)``; dtypes promote as NumPy's, Python numbers are weak.")


def _float_pair_function(name: str) -> Binary:
    """The function of two numbers whose result is a float."""

    def apply(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
        left, right = promote_operands(left, right)
        dtype = left.dtype if is_float(left.dtype) else "float64"
        return binary(name, scalar.cast(left, dtype), scalar.cast(right, dtype))

    return _named(apply, name, f"``{name}(left, right)``; integers are taken as float64.")


def _bitwise(name: str) -> Binary:
    """The function of the bits of two integers or bools."""

    def apply(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
        return binary(name, left, right)

    return _named(apply, name, f"``{name}(left, right)`` of integers or bools.")


def _named(function: F, name: str, doc: str) -> F:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


abs = _function("abs")
sign = _function("sign")
square = _function("square")

acos = _float_function("acos")
acosh = _float_function("acosh")
asin = _float_function("asin")
asinh = _float_function("asinh")
atan = _float_function("atan")
atanh = _float_function("atanh")
cos = _float_function("cos")
cosh = _float_function("cosh")
erf = _float_function("erf")
exp = _float_function("exp")
exp2 = _float_function("exp2")
expm1 = _float_function("expm1")
gelu = _float_function("gelu")
gelu_tanh = _float_function("gelu_tanh")
log = _float_function("log")
log10 = _float_function("log10")
log1p = _float_function("log1p")
log2 = _float_function("log2")
rsqrt = _float_function("rsqrt")
sigmoid = _float_function("sigmoid")
silu = _float_function("silu")
sin = _float_function("sin")
sinh = _float_function("sinh")
softplus = _float_function("softplus")
sqrt = _float_function("sqrt")
tan = _float_function("tan")
tanh = _float_function("tanh")

ceil = _rounding("ceil")
floor = _rounding("floor")
round = _rounding("round")
trunc = _rounding("trunc")

isfinite = _predicate("isfinite")
isinf = _predicate("isinf")
isnan = _predicate("isnan")

divide = _pair_function("divide")
equal = _pair_function("equal")
floor_divide = _pair_function("floor_divide")
floor_mod = _pair_function("floor_mod")
greater = _pair_function("greater")
greater_equal = _pair_function("greater_equal")
less = _pair_function("less")
less_equal = _pair_function("less_equal")
maximum = _pair_function("maximum")
minimum = _pair_function("minimum")
mod = _pair_function("mod")
not_equal = _pair_function("not_equal")
power = _pair_function("power")

atan2 = _float_pair_function("atan2")
log_add_exp = _float_pair_function("log_add_exp")

bitwise_and = _bitwise("bitwise_and")
bitwise_or = _bitwise("bitwise_or")
bitwise_xor = _bitwise("bitwise_xor")
left_shift = _bitwise("left_shift")
right_shift = _bitwise("right_shift")
