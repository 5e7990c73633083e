"""Logarithms, the inverse hyperbolic functions, logaddexp, softplus and real powers.

x = 2**k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and log(1 + f) = 2 atanh(s) with s = f / (2 + f). Writing 2s as
f - f²/2 + s f²/2 lets the largest term, f, be exact.
"""

from __future__ import annotations

import math

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import Real, polynomial, two_sum
from relaxdsl.kernels.math.constants import LN2, LN2_PARTS, LOG2E, LOG10_2_PARTS, LOG10E
from relaxdsl.kernels.math.exponential import exp, keep_tiny

SQRT_HALF = 0.7071067811865476


def split(x: Real) -> tuple[Real, Real]:
    """k and f of a positive finite x, subnormal ones too."""
    digits, bias = x.format.fraction_bits, x.format.max_exponent
    tiny = x < x.format.smallest_normal
    normal = tiny.pick(x * 2.0 ** (digits + 1), x)
    low = x.format.pattern(SQRT_HALF)
    moved = normal.bits() - low + (bias << digits)
    as_float = ((moved >> digits) | x.format.pattern(2.0**digits)).real().exactly()
    k = as_float - tiny.pick(x.constant(2.0**digits + bias + digits + 1), 2.0**digits + bias)
    fraction = ((moved & ((1 << digits) - 1)) + low).real().exactly() - 1
    return k.fusable(), fraction.fusable()


def _tail(f: Real) -> tuple[Real, Real]:
    """f²/2 and the t in log(1 + f) = f - (f²/2 - t)."""
    s = f / (f + 2)
    z = s * s
    half_square = f * f * 0.5
    return half_square, s * (half_square + z * polynomial(z, polynomials.ATANH[f.format.bits]))


def log1p_of_fraction(f: Real) -> Real:
    half_square, tail = _tail(f)
    return f - (half_square - tail)


def log_of_sum(x: Real, correction: Real | None = None) -> Real:
    """log(x + correction) for a positive finite x."""
    k, f = split(x)
    head, rest = LN2_PARTS[x.format.bits]
    half_square, tail = _tail(f)
    tail = tail + k * rest
    if correction is not None:
        tail = tail + correction / x
    return k * head + (f - (half_square - tail))


def _with_limits(x: Real, result: Real) -> Real:
    """The result for positive finite x; -inf, NaN, inf and NaN for zero, negative, infinite and NaN."""
    inside = (x > 0) & (x < math.inf)
    return inside.pick(result, x.equals(0).pick(-math.inf, (x < 0).pick(math.nan, x)))


def log(x: Real) -> Real:
    return _with_limits(x, log_of_sum(x))


def log2(x: Real) -> Real:
    k, f = split(x)
    return _with_limits(x, log1p_of_fraction(f) * float(LOG2E) + k)


def log10(x: Real) -> Real:
    k, f = split(x)
    head, rest = LOG10_2_PARTS[x.format.bits]
    return _with_limits(x, k * head + (log1p_of_fraction(f) * float(LOG10E) + k * rest))


def log1p(x: Real) -> Real:
    total = two_sum(x, x.constant(1))
    return keep_tiny(x, _with_limits(total.high, log_of_sum(total.high, total.low)))


def asinh(x: Real) -> Real:
    """sign(x) log1p(a + a² / (1 + sqrt(a² + 1))), a = |x|; log(2a) where a² might overflow."""
    wide = x.widen()
    size = abs(wide)
    huge = size > 2.0**60
    square = size * size
    argument = huge.pick(size, size + square / ((square + 1).sqrt() + 1))
    result = log1p(argument) + huge.pick(wide.constant(float(LN2)), 0)
    return keep_tiny(x, result.narrow(x.format).with_sign_of(x))


def acosh(x: Real) -> Real:
    """log1p(t + sqrt(2t + t²)), t = x - 1; log(2x) where t² might overflow."""
    wide = x.widen()
    huge = wide > 2.0**60
    over = wide - 1
    argument = huge.pick(wide, over + (over * over + 2 * over).sqrt())
    result = (log1p(argument) + huge.pick(wide.constant(float(LN2)), 0)).narrow(x.format)
    return (x < 1).pick(math.nan, result)


def atanh(x: Real) -> Real:
    wide = x.widen()
    size = abs(wide)
    result = 0.5 * log1p(2 * size / (1 - size))
    return keep_tiny(x, result.narrow(x.format).with_sign_of(x))


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
