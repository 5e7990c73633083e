"""The elementwise operators of one operand, one entry each, and ``astype``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.elementwise import ANY, BITS, NUMBER, Domain, map_elements, unary
from relaxdsl.operators.operands import shape_of
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.dtype import canonical_dtype, is_bool, is_signed

POSITIVE = Domain(0.1, 10.0)
UNIT = Domain(-1.0, 1.0)
WIDE = Domain(-6.0, 6.0)
ROUNDED = Domain(-4.6, 4.6)

# ---------------------------------------------------------------------------------------------------- sign and rounding


def _magnitude(x: ScalarExpr) -> ScalarExpr:
    return te.abs(x) if is_signed(x.dtype) else x


# The entries read as the rows of a table.
# fmt: off
abs = unary("abs", "The absolute value; of the least integer, itself.", _magnitude, np.abs, dtypes=ANY,
            methods=("__abs__", "abs"))
negative = unary("negative", "``-x``; unsigned integers wrap.", te.negative, np.negative, dtypes=NUMBER,
                 methods=("__neg__",), facts={"inverse": "negative"})
sign = unary("sign", "-1, 0 or 1 by the sign of x; NaN stays NaN.", te.sign, np.sign, dtypes=NUMBER)
square = unary("square", "``x * x``.", te.square, np.square, dtypes=NUMBER, methods=("square",))

ceil = unary("ceil", "The least whole number >= x.", te.ceil, np.ceil, dtypes=NUMBER, domain=ROUNDED)
floor = unary("floor", "The greatest whole number <= x.", te.floor, np.floor, dtypes=NUMBER, domain=ROUNDED)
round = unary("round", "The nearest whole number; halves go to the even one.", te.round, np.round, dtypes=NUMBER,
              domain=ROUNDED, methods=("round",))
trunc = unary("trunc", "The whole part: x rounded towards zero.", te.trunc, np.trunc, dtypes=NUMBER, domain=ROUNDED)

# ------------------------------------------------------------------------------------------- powers, exponentials, logs


def _sigmoid(x: Any) -> Any:
    """The logistic function, without overflow at either end."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


sqrt = unary("sqrt", "The square root.", te.sqrt, np.sqrt, domain=Domain(0.0, 10.0), methods=("sqrt",))
rsqrt = unary("rsqrt", "``1 / sqrt(x)``.", te.rsqrt, lambda x: (1 / np.sqrt(x)).astype(x.dtype), domain=POSITIVE)
exp = unary("exp", "e to the power of x.", te.exp, np.exp, domain=WIDE, methods=("exp",), facts={"inverse": "log"})
exp2 = unary("exp2", "2 to the power of x.", te.exp2, np.exp2, domain=WIDE)
expm1 = unary("expm1", "``exp(x) - 1``, exact near 0.", te.expm1, np.expm1)
log = unary("log", "The natural logarithm.", te.log, np.log, domain=POSITIVE, methods=("log",),
            facts={"inverse": "exp"})
log2 = unary("log2", "The logarithm to base 2.", te.log2, np.log2, domain=POSITIVE)
log10 = unary("log10", "The logarithm to base 10.", te.log10, np.log10, domain=POSITIVE)
log1p = unary("log1p", "``log(1 + x)``, exact near 0.", te.log1p, np.log1p, domain=Domain(-0.9, 5.0))
sigmoid = unary("sigmoid", "The logistic function ``1 / (1 + exp(-x))``.", te.sigmoid, _sigmoid, domain=WIDE,
                methods=("sigmoid",))
erf = unary("erf", "The error function.", te.erf, _erf)

# --------------------------------------------------------------------------------------------------------- trigonometry

sin = unary("sin", "The sine.", te.sin, np.sin, domain=WIDE, methods=("sin",))
cos = unary("cos", "The cosine.", te.cos, np.cos, domain=WIDE, methods=("cos",))
tan = unary("tan", "The tangent.", te.tan, np.tan, domain=UNIT)
asin = unary("asin", "The inverse sine; NaN outside [-1, 1].", te.asin, np.arcsin, domain=UNIT)
acos = unary("acos", "The inverse cosine; NaN outside [-1, 1].", te.acos, np.arccos, domain=UNIT)
atan = unary("atan", "The inverse tangent.", te.atan, np.arctan)
sinh = unary("sinh", "The hyperbolic sine.", te.sinh, np.sinh)
cosh = unary("cosh", "The hyperbolic cosine.", te.cosh, np.cosh)
tanh = unary("tanh", "The hyperbolic tangent.", te.tanh, np.tanh, methods=("tanh",))
asinh = unary("asinh", "The inverse hyperbolic sine.", te.asinh, np.arcsinh)
acosh = unary("acosh", "The inverse hyperbolic cosine; NaN below 1.", te.acosh, np.arccosh, domain=Domain(1.1, 9.0))
atanh = unary("atanh", "The inverse hyperbolic tangent; NaN outside [-1, 1].", te.atanh, np.arctanh,
              domain=Domain(-0.9, 0.9))

# -------------------------------------------------------------------------------------------------- predicates and bits


def _inverted(x: ScalarExpr) -> ScalarExpr:
    return te.logical_not(x) if is_bool(x.dtype) else te.bitwise_not(x)


isfinite = unary("isfinite", "Whether x is neither infinite nor NaN.", te.isfinite, np.isfinite, dtypes=ANY,
                 result="bool")
isinf = unary("isinf", "Whether x is infinite.", te.isinf, np.isinf, dtypes=ANY, result="bool")
isnan = unary("isnan", "Whether x is NaN.", te.isnan, np.isnan, dtypes=ANY, result="bool")
logical_not = unary("logical_not", "Whether x is zero (false).", te.logical_not, np.logical_not, dtypes=ANY,
                    result="bool")
bitwise_not = unary("bitwise_not", "x with all bits flipped (a bool negated).", _inverted, np.invert, dtypes=BITS,
                    methods=("__invert__",), facts={"inverse": "bitwise_not"})
# fmt: on

# ----------------------------------------------------------------------------------------------------------- conversion


@operator(
    "astype",
    reference=lambda x, dtype: np.asarray(x).astype(dtype),
    samples=[
        sample(tensor("m", dtype="float32", low=-4.0, high=4.0), "int32"),
        sample(tensor("m", 2, dtype="float64"), "float32"),
        sample(tensor("m", dtype="int32"), "float64"),
        sample(tensor("m", dtype="int64", low=-300, high=300), "int8"),
        sample(tensor("m", dtype="int8"), "uint32"),
        sample(tensor("m", dtype="float32", low=-1.0, high=1.0), "bool"),
        sample(tensor("m", dtype="bool"), "float32"),
        sample(tensor("m", dtype="uint8", low=0), "uint8"),
    ],
    mistakes=[
        mistake(DTypeError, "unknown dtype 'float23'\n   hint: did you mean 'float32'?", tensor("m"), "float23"),
    ],
    methods=("astype",),
)
def astype(x: Operand, dtype: str) -> te.Tensor:
    """``x`` converted to ``dtype`` as NumPy's ``astype``: floats lose their fraction, integers wrap, not zero is true.

    A NaN, an infinity or a float outside of the integer dtype's range gives an unspecified integer, as in C.

    Example:
        >>> print(relax.astype(np.ones(3), "int8").type)
        relax.Tensor((3,), "int8")

    Source: ``numpy.ndarray.astype``.
    """
    target = canonical_dtype(dtype)
    return map_elements("astype", lambda value: te.cast(value, target), shape_of(x), (x,), None)


def _positive(x: Expr) -> Expr:
    return x


setattr(Expr, "__pos__", _positive)  # noqa: B010 - an attribute the class body does not declare
