"""Rounding, signs, comparison of floats, roots and remainders: functions with exact or correctly rounded results."""

from __future__ import annotations

import math

from relaxdsl.kernels.math.build import Flag, Real, rounded


def floor(x: Real) -> Real:
    return x.intrinsic("floor")


def ceil(x: Real) -> Real:
    return x.intrinsic("ceil")


def trunc(x: Real) -> Real:
    return x.intrinsic("trunc")


def round_half_even(x: Real) -> Real:
    return rounded(x)


def absolute(x: Real) -> Real:
    return abs(x)


def square(x: Real) -> Real:
    return x * x


def sqrt(x: Real) -> Real:
    return x.sqrt()


def rsqrt(x: Real) -> Real:
    return 1 / x.sqrt()


def sign(x: Real) -> Real:
    """-1, 0 or 1; NaN for NaN."""
    one = x.constant(1).with_sign_of(x)
    return x.is_nan().pick(x, x.equals(0).pick(0, one))


def isnan(x: Real) -> Flag:
    return x.is_nan()


def isinf(x: Real) -> Flag:
    return abs(x).equals(math.inf)


def isfinite(x: Real) -> Flag:
    return abs(x) < math.inf


def maximum(x: Real, y: Real) -> Real:
    return x.intrinsic("maximum", y)


def minimum(x: Real, y: Real) -> Real:
    return x.intrinsic("minimum", y)


def mod(x: Real, y: Real) -> Real:
    """The exact remainder with the sign of x, as C's fmod."""
    return x.remainder(y)


def floor_mod(x: Real, y: Real) -> Real:
    """np.mod: the remainder with the sign of y."""
    rest = x.remainder(y)
    wrong_side = (y < 0) ^ (rest < 0)
    return rest.equals(0).pick(rest.constant(0).with_sign_of(y), wrong_side.pick(rest + y, rest))


def floor_divide(x: Real, y: Real) -> Real:
    """np.floor_divide: the floor of the exact quotient; x / y where y is zero."""
    rest = x.remainder(y)
    adjust = ~rest.equals(0) & ((y < 0) ^ (rest < 0))
    plain = x / y
    quotient = ((x.exactly() - rest) / y).exactly()
    quotient = adjust.pick(quotient - 1, quotient).exactly()
    whole = floor(quotient).exactly()
    whole = (quotient - whole > 0.5).pick(whole + 1, whole)
    return y.equals(0).pick(plain, quotient.equals(0).pick(whole.constant(0).with_sign_of(plain), whole))
