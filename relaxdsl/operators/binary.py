"""The elementwise operators of two operands, one entry each: arithmetic, comparison, logic and bits."""

from __future__ import annotations

import numpy as np

from relaxdsl.errors import DTypeError
from relaxdsl.ir.scalar import Const, ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.elementwise import ANY, BITS, FLOAT, INTEGER, Domain, Formula, as_they_are, binary
from relaxdsl.types.dtype import is_bool, is_float, is_integer

COMMUTATIVE = {"commutative": True}
NONZERO = Domain(-6.0, 6.0, second=(1.0, 5.0))
POWERS = Domain(0.1, 3.0, second=(0.0, 3.0))
SHIFTS = Domain(-9, 9, second=(0, 6))

# ----------------------------------------------------------------------------------------------------------- arithmetic


def _for_bools(of_bools: Formula, of_numbers: Formula) -> Formula:
    """The formula that treats bools as truth values, as NumPy does: ``True + True`` is ``True``."""
    return lambda a, b: of_bools(a, b) if is_bool(a.dtype) else of_numbers(a, b)


def _to_float(dtype: str) -> str:
    return dtype if is_float(dtype) else "float64"


def _power(a: ScalarExpr, b: ScalarExpr) -> ScalarExpr:
    if isinstance(b, Const) and is_integer(b.dtype) and b.value < 0:
        raise DTypeError(
            f"power: an integer to the power of {b.value} is not an integer",
            hint='convert the base with x1.astype("float64")',
        )
    if isinstance(b, Const) and b.value == 2:
        return a * a
    return te.power(a, b)


# The entries read as the rows of a table.
# fmt: off
add = binary(
    "add", "``x1 + x2``; of bools, whether one is true.", _for_bools(te.logical_or, lambda a, b: a + b), np.add,
    dtypes=ANY, methods=("__add__",), reflected=("__radd__",), facts=COMMUTATIVE | {"associative": True, "identity": 0},
)
subtract = binary(
    "subtract", "``x1 - x2``.", lambda a, b: a - b, np.subtract,
    methods=("__sub__",), reflected=("__rsub__",), facts={"right_identity": 0},
)
multiply = binary(
    "multiply", "``x1 * x2``; of bools, whether both are true.",
    _for_bools(te.logical_and, lambda a, b: a * b), np.multiply,
    dtypes=ANY, methods=("__mul__",), reflected=("__rmul__",), facts=COMMUTATIVE | {"associative": True, "identity": 1},
)
divide = binary(
    "divide", "``x1 / x2``: true division, so integers give float64.", te.divide, np.divide,
    dtypes=ANY, computes_in=_to_float, domain=NONZERO,
    methods=("__truediv__",), reflected=("__rtruediv__",), facts={"right_identity": 1},
)
floor_divide = binary(
    "floor_divide", "``x1 // x2``, rounded down; an integer divided by 0 is 0.", te.floor_divide, np.floor_divide,
    domain=NONZERO, methods=("__floordiv__",), reflected=("__rfloordiv__",),
)
floor_mod = binary(
    "floor_mod", "``x1 % x2`` as Python has it: of the sign of x2; an integer modulo 0 is 0.", te.floor_mod, np.mod,
    domain=NONZERO, methods=("__mod__",), reflected=("__rmod__",),
)
mod = binary(
    "mod", "The remainder as C has it: of the sign of x1 (``%`` is floor_mod); an integer modulo 0 is 0.",
    te.mod, np.fmod, domain=NONZERO,
)
power = binary(
    "power", "``x1 ** x2``; an integer to a negative power that is known only when run is rounded towards 0.",
    _power, np.power, domain=POWERS, methods=("__pow__",), reflected=("__rpow__",), facts={"right_identity": 1},
)
maximum = binary(
    "maximum", "The greater of x1 and x2; NaN if one of them is.", _for_bools(te.logical_or, te.maximum), np.maximum,
    dtypes=ANY, facts=COMMUTATIVE | {"associative": True, "idempotent": True},
)
minimum = binary(
    "minimum", "The lesser of x1 and x2; NaN if one of them is.", _for_bools(te.logical_and, te.minimum), np.minimum,
    dtypes=ANY, facts=COMMUTATIVE | {"associative": True, "idempotent": True},
)
atan2 = binary(
    "atan2", "The angle of the point (x2, x1), from -pi to pi.", te.atan2, np.arctan2, dtypes=FLOAT,
)
log_add_exp = binary(
    "log_add_exp", "``log(exp(x1) + exp(x2))`` without overflow.", te.log_add_exp, np.logaddexp,
    dtypes=FLOAT, facts=COMMUTATIVE,
)

# ----------------------------------------------------------------------------------------------------------- comparison


def _exactly(function: Formula) -> Formula:
    """The comparison, also of a signed integer with a uint64 (as float64 their values may change)."""

    def compare(a: ScalarExpr, b: ScalarExpr) -> ScalarExpr:
        if b.dtype == "uint64" and a.dtype.startswith("int"):
            return te.if_then_else(a < 0, function(te.const(-1, "int64"), 0), function(te.cast(a, "uint64"), b))
        if a.dtype == "uint64" and b.dtype.startswith("int"):
            return te.if_then_else(b < 0, function(te.const(0, "int64"), -1), function(a, te.cast(b, "uint64")))
        return function(a, b)

    return compare


equal = binary(
    "equal", "``x1 == x2``.", _exactly(te.equal), np.equal,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__eq__",), facts=COMMUTATIVE,
)
not_equal = binary(
    "not_equal", "``x1 != x2``.", _exactly(te.not_equal), np.not_equal,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__ne__",), facts=COMMUTATIVE,
)
less = binary(
    "less", "``x1 < x2``.", _exactly(te.less), np.less,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__lt__",),
)
less_equal = binary(
    "less_equal", "``x1 <= x2``.", _exactly(te.less_equal), np.less_equal,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__le__",),
)
greater = binary(
    "greater", "``x1 > x2``.", _exactly(te.greater), np.greater,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__gt__",),
)
greater_equal = binary(
    "greater_equal", "``x1 >= x2``.", _exactly(te.greater_equal), np.greater_equal,
    dtypes=ANY, computes_in=as_they_are, result="bool", methods=("__ge__",),
)

# ------------------------------------------------------------------------------------------------------- logic and bits

logical_and = binary(
    "logical_and", "Whether both are true (not zero).", te.logical_and, np.logical_and,
    dtypes=ANY, computes_in=as_they_are, result="bool", facts=COMMUTATIVE | {"associative": True, "idempotent": True},
)
logical_or = binary(
    "logical_or", "Whether at least one is true (not zero).", te.logical_or, np.logical_or,
    dtypes=ANY, computes_in=as_they_are, result="bool", facts=COMMUTATIVE | {"associative": True, "idempotent": True},
)
logical_xor = binary(
    "logical_xor", "Whether exactly one is true (not zero).", te.logical_xor, np.logical_xor,
    dtypes=ANY, computes_in=as_they_are, result="bool", facts=COMMUTATIVE | {"associative": True},
)
bitwise_and = binary(
    "bitwise_and", "``x1 & x2``: the bits set in both.", _for_bools(te.logical_and, te.bitwise_and), np.bitwise_and,
    dtypes=BITS, methods=("__and__",), reflected=("__rand__",),
    facts=COMMUTATIVE | {"associative": True, "idempotent": True},
)
bitwise_or = binary(
    "bitwise_or", "``x1 | x2``: the bits set in one of them.", _for_bools(te.logical_or, te.bitwise_or), np.bitwise_or,
    dtypes=BITS, methods=("__or__",), reflected=("__ror__",),
    facts=COMMUTATIVE | {"associative": True, "idempotent": True, "identity": 0},
)
bitwise_xor = binary(
    "bitwise_xor", "``x1 ^ x2``: the bits that differ.", _for_bools(te.logical_xor, te.bitwise_xor), np.bitwise_xor,
    dtypes=BITS, methods=("__xor__",), reflected=("__rxor__",),
    facts=COMMUTATIVE | {"associative": True, "identity": 0},
)
left_shift = binary(
    "left_shift", "``x1 << x2``; 0 where x2 is not less than the number of bits.", te.left_shift, np.left_shift,
    dtypes=INTEGER, domain=SHIFTS, methods=("__lshift__",), reflected=("__rlshift__",), facts={"right_identity": 0},
)
right_shift = binary(
    "right_shift", "``x1 >> x2``, which keeps the sign; 0 or -1 where x2 is not less than the number of bits.",
    te.right_shift, np.right_shift,
    dtypes=INTEGER, domain=SHIFTS, methods=("__rshift__",), reflected=("__rrshift__",), facts={"right_identity": 0},
)
# fmt: on
