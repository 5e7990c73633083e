"""The exponential and what is made of it: exp2, expm1, sigmoid, silu, and the hyperbolic functions.

x = n ln(2) + r with |r| <= ln(2)/2, so exp(x) = 2**n exp(r). Where there is no instruction for that product, 2**n is
written into exponent bits, and as the result may be subnormal or nearly overflow, it is applied as two factors, so that
only the last product rounds.
"""

from __future__ import annotations

from collections.abc import Callable

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import Bits, Flag, Real, polynomial, scales_by_powers_of_two, scales_slowly_to_zero
from relaxdsl.kernels.math.constants import LN2, LN2_PARTS, LOG2E

SILU_LIMIT = {32: 109.0, 64: 752.0}  # below minus this, silu is zero


def _clamped_above(x: Real) -> Real:
    """x where exp(x) is not infinite, else a value just outside."""
    return x.clamp_above(float(LN2) * (x.format.max_exponent + 3))


def _clamped_below(x: Real) -> Real:
    """x where exp(x), times a factor up to 4096, is not zero, else a value just outside."""
    return x.clamp_below(-float(LN2) * (x.format.max_exponent + x.format.fraction_bits + 13))


def _reduced(x: Real, offset: int, correction: Real | None = None) -> tuple[Real, Bits]:
    """r, and n + offset as an integer; the correction is added to x."""
    head, rest = LN2_PARTS[x.format.bits]
    shift = x.format.rounding_shift
    shifted = (x * float(LOG2E) + (shift + offset)).exactly()
    n = (shifted - (shift + offset)).fusable()
    r = x - n * head - n * rest
    return (r if correction is None else r + correction), shifted.bits() - x.format.pattern(shift)


def _expm1_near_zero(r: Real) -> Real:
    return r * r * polynomial(r, polynomials.EXP[r.format.bits]) + r


def _times_power_of_two(value: Real, biased: Bits) -> Real:
    """value * 2**(biased - 2 * bias), rounded once."""
    if scales_by_powers_of_two():
        return value.times_power_of_two(biased - 2 * value.format.max_exponent)
    half = biased >> 1
    digits = value.format.fraction_bits
    return value * (half << digits).real() * ((biased - half) << digits).real()


def exp_scaled(x: Real, by: int = 0, correction: Real | None = None) -> Real:
    """exp(x + correction) * 2**by, right up to the largest and down to the smallest float."""
    is_zero = x <= -float(LN2) * (x.format.max_exponent + x.format.fraction_bits + 0.5 + by)
    limited = _clamped_above(x)
    return vanishing(lambda y: exp_within(y, by, correction), limited, _clamped_below(limited), is_zero)


def vanishing(define: Callable[[Real], Real], x: Real, clamped: Real, is_zero: Flag) -> Real:
    """define(x), which scales by a power of two; zero where that makes it too small for any float.

    Where that is slow, it is left out for these, as far as LLVM does not choose between results of all elements.
    Elsewhere x is ``clamped``, to where the result is zero.
    """
    return is_zero.pick(0, define(x)) if scales_slowly_to_zero() else define(clamped)


def exp_within(x: Real, by: int = 0, correction: Real | None = None, factor: Real | None = None) -> Real:
    """factor * exp(x + correction) * 2**by, if exp(x) is finite and above the square of the smallest normal float."""
    r, biased = _reduced(x, 2 * x.format.max_exponent + by, correction)
    near = _expm1_near_zero(r)
    return _times_power_of_two(near + 1 if factor is None else near * factor + factor, biased)


def exp(x: Real) -> Real:
    return exp_scaled(x)


def exp_inside(x: Real) -> Real:
    """exp(x) in float64, to the digits of a float32 and beyond its range."""
    limited = x.clamp_above(200).clamp_below(-200)
    shift = x.format.rounding_shift
    shifted = (limited * float(LOG2E) + shift).exactly()
    r = limited - (shifted - shift).fusable() * float(LN2)
    scale = ((shifted.bits() << x.format.fraction_bits) + x.format.pattern(1.0)).real()
    return scale * (r * r * polynomial(r, polynomials.EXP_INSIDE[32]) + r + 1)


def exp2(x: Real) -> Real:
    limit, digits = x.format.max_exponent + 3, x.format.fraction_bits
    limited = x.clamp_above(limit)
    return vanishing(_exp2_within, limited, limited.clamp_below(-(limit + digits)), x <= -(limit + digits - 2.5))


def _exp2_within(x: Real) -> Real:
    shift = x.format.rounding_shift + 2 * x.format.max_exponent
    shifted = (x + shift).exactly()
    r = (x - (shifted - shift)) * float(LN2)
    return _times_power_of_two(_expm1_near_zero(r) + 1, shifted.bits() - x.format.pattern(x.format.rounding_shift))


def quarter_expm1(x: Real) -> Real:
    """(exp(x) - 1) / 4, which is finite wherever sinh and cosh are."""
    limited = x.clamp_above(float(LN2) * (x.format.max_exponent + 2.4)).clamp_below(-(x.format.fraction_bits + 3))
    r, biased = _reduced(limited, x.format.max_exponent - 2)
    scale = (biased << x.format.fraction_bits).real()
    return _expm1_near_zero(r) * scale + (scale - 0.25)


def expm1(x: Real) -> Real:
    result = quarter_expm1(x) * 4
    return keep_tiny(x, result)


def keep_tiny(x: Real, result: Real) -> Real:
    """x where it is so small, or a signed zero, that f(x) = x; else the result."""
    return (abs(x) < x.format.epsilon / 4).pick(x, result)


def sigmoid(x: Real) -> Real:
    small = exp(-abs(x))
    return (x < 0).pick(small, 1) / (small + 1)


def silu(x: Real) -> Real:
    """x * sigmoid(x), with its limit -0.0 at -inf."""
    size, limit = abs(x), SILU_LIMIT[x.format.bits]
    clamped, is_zero = size.clamp_above(limit), size > limit
    tail = vanishing(lambda y: exp_within(-y, factor=y), size, clamped, is_zero)
    power = vanishing(lambda y: exp_within(-y), size, clamped, is_zero)
    return (x < 0).pick(-tail, x) / (power + 1)


def tanh(x: Real) -> Real:
    size = abs(x).clamp_above(x.format.fraction_bits * 0.4 + 1)
    quarter = quarter_expm1(size + size)
    return keep_tiny(x, (quarter / (quarter + 0.5)).with_sign_of(x))


def sinh(x: Real) -> Real:
    quarter = quarter_expm1(abs(x))
    twice = quarter + quarter
    return keep_tiny(x, (twice + quarter / (twice + 0.5)).with_sign_of(x))


def cosh(x: Real) -> Real:
    quarter = exp_scaled(abs(x), by=-2)
    return quarter * 2 + 0.125 / quarter
