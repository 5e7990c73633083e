"""Real powers: x**y = exp(y log|x|), with log|x| held as a pair of floats so that the product keeps its digits."""

from __future__ import annotations

import math
from fractions import Fraction

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import (
    Flag,
    Pair,
    Real,
    constant_pair,
    fast_two_sum,
    pair_product,
    polynomial,
    two_product,
    two_sum,
)
from relaxdsl.kernels.math.constants import LN2_PARTS
from relaxdsl.kernels.math.exponential import exp_inside, exp_scaled
from relaxdsl.kernels.math.logarithm import log_inside, split


def _log_pair(x: Real) -> Pair:
    """log(x) of a positive finite float64 to about 2**-65: 2s + 2/3 s³ in pairs, and the small rest in one float."""
    k, f = split(x)
    under = two_sum(f, f.constant(2))
    quotient = f / under.high
    back = two_product(quotient, under.high)
    missing = ((f.exactly() - back.high) - back.low).fusable() - quotient * under.low
    s = Pair(quotient, missing / under.high)
    z = pair_product(s, s)
    cubic = pair_product(pair_product(s, z), constant_pair(f, Fraction(2, 3)))
    rest = s.high * z.high * z.high * polynomial(z.high, polynomials.ATANH_FAR[64])
    head, ln2_rest = LN2_PARTS[64]
    total = two_sum(k * head, s.high * 2)
    more = two_sum(total.high, cubic.high)
    small = total.low + more.low + (s.low * 2 + (cubic.low + rest) + k * ln2_rest)
    return fast_two_sum(more.high, small)


def _exp_of_product(logarithm: Pair, y: Real) -> Real:
    """exp(y * logarithm), where an infinite product has no low part."""
    product = two_product(logarithm.high, y)
    low = product.low + logarithm.low * y
    bounded = abs(product.high) < 1000
    return exp_scaled(product.high, correction=bounded.pick(low, 0))


def _is_odd(y: Real) -> Flag:
    half = y * 0.5
    return _is_whole(y) & ~_is_whole(half)


def _is_whole(y: Real) -> Flag:
    return y.intrinsic("trunc").equals(y)


def _double_magnitude(x: Real, y: Real) -> Real:
    """|x|**y of float64, with NumPy's results for zero, one, infinity and NaN."""
    size = abs(x)
    finite = _exp_of_product(_log_pair(size), y)
    rises = y > 0
    at_end = (size.equals(0) ^ rises).pick(math.inf, x.constant(0))
    result = (size.equals(0) | size.equals(math.inf)).pick(at_end, finite)
    at_infinity = ((size > 1) ^ ~rises).pick(math.inf, x.constant(0))
    result = size.equals(1).pick(1, abs(y).equals(math.inf).pick(at_infinity, result))
    return (x.is_nan() | y.is_nan()).pick(x + y, result)


def _single_magnitude(x: Real, y: Real) -> Real:
    """The same of float32: in float64, all of these are what infinite logarithms and finite exponents give."""
    size = abs(x)
    wide = size.widen()
    logarithm = (size < math.inf).pick(log_inside(wide, polynomials.LOG_OF_BASE[32]), wide)
    logarithm = size.equals(0).pick(-math.inf, logarithm)
    limited = y.clamp_above(2.0**127).clamp_below(-(2.0**127))  # log(1) = 0 times this is 0
    return exp_inside(logarithm * limited.widen()).narrow(x.format)


def power(x: Real, y: Real) -> Real:
    magnitude = (_single_magnitude if x.format.bits == 32 else _double_magnitude)(x, y)
    signed = (_is_odd(y) & x.has_sign()).pick(-magnitude, magnitude)
    undefined = (x < 0) & (x > -math.inf) & ~_is_whole(y)
    return (x.equals(1) | y.equals(0)).pick(1, undefined.pick(math.nan, signed))
