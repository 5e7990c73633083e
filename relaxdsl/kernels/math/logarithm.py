"""Logarithms, the inverse hyperbolic functions, logaddexp, softplus and real powers.

x = 2**k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). In float32 a polynomial in f gives log(1 + f). In float64 it would
be long: there log(1 + f) = 2 atanh(s) with s = f / (2 + f). Writing 2s as f - f²/2 + s f²/2 lets the largest term, f,
be exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import Bits, Real, polynomial, two_sum
from relaxdsl.kernels.math.constants import LN2, LN2_PARTS, LOG2E, LOG10_2_PARTS, LOG10E
from relaxdsl.kernels.math.exponential import exp, keep_tiny

SQRT_HALF = 0.7071067811865476


def _moved(x: Real) -> Bits:
    """The bits of x with k in place of the exponent, biased as that is."""
    return x.bits() - x.format.pattern(SQRT_HALF) + (x.format.max_exponent << x.format.fraction_bits)


def _exponent(moved: Bits, bias: Real | float) -> Real:
    """k, of which `moved` holds the sum with a bias."""
    offset = 2.0**moved.format.fraction_bits
    return (((moved >> moved.format.fraction_bits) | moved.format.pattern(offset)).real() - (bias + offset)).fusable()


def _fraction(moved: Bits) -> Real:
    low, mask = moved.format.pattern(SQRT_HALF), (1 << moved.format.fraction_bits) - 1
    return (((moved & mask) + low).real().exactly() - 1).fusable()


def split(x: Real) -> tuple[Real, Real]:
    """k and f of a positive finite x, subnormal ones too."""
    digits, bias = x.format.fraction_bits, x.format.max_exponent
    tiny = x < x.format.smallest_normal
    moved = _moved(tiny.pick(x * 2.0 ** (digits + 1), x))
    return _exponent(moved, tiny.pick(x.constant(bias + digits + 1), bias)), _fraction(moved)


def split_normal(x: Real) -> tuple[Real, Real]:
    """The same where x is not subnormal."""
    moved = _moved(x)
    return _exponent(moved, x.format.max_exponent), _fraction(moved)


def _log1p(f: Real, added: Real | None = None) -> Real:
    """log(1 + f), plus what is small."""
    if f.format.bits == 32:
        tail = f * f * polynomial(f, polynomials.LOG[32])
        return f + (tail if added is None else tail + added)
    s = f / (f + 2)
    z = s * s
    half_square = f * f * 0.5
    tail = s * (half_square + z * polynomial(z, polynomials.ATANH[64]))
    return f - (half_square - (tail if added is None else tail + added))


def _log_of_parts(k: Real, f: Real, added: Real | None = None) -> Real:
    """log(2**k (1 + f)), plus what is small."""
    head, rest = LN2_PARTS[f.format.bits]
    return k * head + _log1p(f, k * rest if added is None else k * rest + added)


def _with_limits(x: Real, result: Real) -> Real:
    """The result for positive finite x; -inf, NaN, inf and NaN for zero, negative, infinite and NaN."""
    otherwise = x.equals(0).pick(-math.inf, x.constant(math.nan))
    return x.equals(math.inf).pick(x, (x > 0).pick(result, otherwise))


def log(x: Real) -> Real:
    return _with_limits(x, _log_of_parts(*split(x)))


def log2(x: Real) -> Real:
    k, f = split(x)
    return _with_limits(x, _log1p(f) * float(LOG2E) + k)


def log10(x: Real) -> Real:
    k, f = split(x)
    head, rest = LOG10_2_PARTS[x.format.bits]
    return _with_limits(x, k * head + (_log1p(f) * float(LOG10E) + k * rest))


def _twice_inverse_power(x: Real) -> Real:
    """2**(1 - k), which is no infinity for the largest x."""
    digits = x.format.fraction_bits
    return ((2 * x.format.max_exponent + 1 << digits) - (_moved(x) & -(1 << digits))).real()


def log1p(x: Real) -> Real:
    """log(total) and what rounding total = 1 + x left out, times the derivative: about 1 / (1 + f) / 2**k."""
    total = two_sum(x, x.constant(1))
    k, f = split_normal(total.high)
    slope = _twice_inverse_power(total.high) * (0.5 - f * (0.5 - 0.425 * f))
    return keep_tiny(x, _with_limits(total.high, _log_of_parts(k, f, total.low * slope)))


def log_inside(x: Real, coefficients: Sequence[float] = polynomials.LOG_INSIDE[32]) -> Real:
    """log(x) of a positive, finite and normal float64, to the digits of a float32 or as far as the coefficients go."""
    k, f = split_normal(x)
    return k * float(LN2) + (f + f * f * polynomial(f, coefficients))


def _keep_small(x: Real, result: Real) -> Real:
    """x where f(x) = x in float32, and log(1 + x) would lose digits in float64; else the result."""
    return (abs(x) < 2.0**-19).pick(x, result)


def _single_asinh(x: Real) -> Real:
    size = abs(x.widen())
    result = log_inside(size + (size * size + 1).sqrt()).narrow(x.format)
    return _keep_small(x, (abs(x) < math.inf).pick(result, abs(x)).with_sign_of(x))


def asinh(x: Real) -> Real:
    """sign(x) log1p(a + a² / (1 + sqrt(a² + 1))), a = |x|; log(2a) where a² might overflow."""
    if x.format.bits == 32:
        return _single_asinh(x)
    size = abs(x)
    huge = size > 2.0**60
    square = size * size
    argument = huge.pick(size, size + square / ((square + 1).sqrt() + 1))
    result = log1p(argument) + huge.pick(x.constant(float(LN2)), 0)
    return keep_tiny(x, result.with_sign_of(x))


def _single_acosh(x: Real) -> Real:
    wide = x.widen()
    result = log_inside(wide + (wide * wide - 1).sqrt()).narrow(x.format)
    return (x < math.inf).pick(result, x)


def acosh(x: Real) -> Real:
    """log1p(t + sqrt(2t + t²)), t = x - 1; log(2x) where t² might overflow."""
    huge = x > 2.0**60
    over = x - 1
    argument = huge.pick(x, over + (over * over + 2 * over).sqrt())
    result = log1p(argument) + huge.pick(x.constant(float(LN2)), 0)
    return (x < 1).pick(math.nan, _single_acosh(x) if x.format.bits == 32 else result)


def _single_atanh(x: Real) -> Real:
    wide = abs(x.widen())
    size = abs(x)
    result = (0.5 * log_inside((1 + wide) / (1 - wide))).narrow(x.format)
    at_end = size.equals(1).pick(math.inf, x.constant(math.nan))
    return _keep_small(x, (size < 1).pick(result, at_end).with_sign_of(x))


def atanh(x: Real) -> Real:
    """sign(x) log1p(2a / (1 - a)) / 2, a = |x|."""
    if x.format.bits == 32:
        return _single_atanh(x)
    size = abs(x)
    return keep_tiny(x, (0.5 * log1p(2 * size / (1 - size))).with_sign_of(x))


def softplus(x: Real) -> Real:
    """log(1 + exp(x))."""
    return log1p(exp(-abs(x))) + (x < 0).pick(0, x)


def log_add_exp(x: Real, y: Real) -> Real:
    """log(exp(x) + exp(y)); equal infinities give themselves."""
    a, b = x.widen(), y.widen()
    difference = a - b
    larger = (difference > 0).pick(a, b)
    result = larger + log1p(exp(-abs(difference)))
    return a.equals(b).pick(a + float(LN2), difference.is_nan().pick(difference, result)).narrow(x.format)
