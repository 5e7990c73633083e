"""erf, and gelu, which is x Φ(x) with the normal distribution Φ(x) = erfc(-x / sqrt(2)) / 2.

erfc(a) = exp(-a²) P(t) / (a + 2) with t = (a - 2) / (a + 2), so its tail keeps its relative accuracy down to the
smallest float. The square is kept as a pair: its rounding would be multiplied by a² in the result.
"""

from __future__ import annotations

import math
from fractions import Fraction

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import Pair, Real, constant_pair, pair_product, pair_sum, polynomial, two_product
from relaxdsl.kernels.math.constants import SQRT_8_OVER_PI
from relaxdsl.kernels.math.exponential import exp_within, vanishing

ERF_LIMIT = {32: 5.0, 64: 7.0}  # beyond, erf is 1
GELU_LIMIT = {32: 14.4, 64: 38.6}  # below minus this, gelu is zero
GELU_TANH_LIMIT = {32: 10.8, 64: 21.6}  # likewise gelu_tanh


def _exp_of_pair(x: Pair, factor: Real | None = None) -> Real:
    return exp_within(x.high, correction=x.low, factor=factor)


def erf(x: Real) -> Real:
    size = abs(x).clamp_above(ERF_LIMIT[x.format.bits])
    near = x * polynomial(x * x, polynomials.ERF[x.format.bits]) + x
    inverse = 1 / (size + 2)
    scaled = inverse * polynomial((size - 2) * inverse, polynomials.ERFC[x.format.bits])
    far = 1 - _exp_of_pair(two_product(size, -size), scaled)
    return (size < 1).pick(near, far.with_sign_of(x))


def gelu(x: Real) -> Real:
    """x Φ(x), with its limit -0.0 at -inf; the sqrt(2) of Φ is put into the constants of erfc.

    Here t is 2q - 1 with q = a / (a + 2), which is needed anyway and is the more accurate near zero.
    """
    size, limit = abs(x), GELU_LIMIT[x.format.bits]
    tail = vanishing(_gelu_tail, size, size.clamp_above(limit), size > limit)
    return (x < 0).pick(-0.0, x) - tail


def _gelu_tail(size: Real) -> Real:
    """size Φ(-size)."""
    share = size / (size + math.sqrt(8))
    coefficients = [value * math.sqrt(0.5) for value in polynomials.ERFC[size.format.bits]]
    scaled = share * polynomial(share * 2 - 1, coefficients)
    return _exp_of_pair(two_product(size, size * -0.5), scaled)


def gelu_tanh(x: Real) -> Real:
    """x / 2 (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/π) (x + 0.044715 x³), with its limit -0.0 at -inf."""
    size, limit = abs(x), GELU_TANH_LIMIT[x.format.bits]
    clamped, is_zero = size.clamp_above(limit), size > limit
    tail = vanishing(lambda y: _exp_of_pair(_minus_2u(y), y), size, clamped, is_zero)
    power = vanishing(lambda y: _exp_of_pair(_minus_2u(y)), size, clamped, is_zero)
    return (x < 0).pick(-tail, x) / (power + 1)


def _minus_2u(size: Real) -> Pair:
    cubic = pair_product(two_product(size, size), constant_pair(size, SQRT_8_OVER_PI * Fraction("0.044715")))
    factor = pair_sum(constant_pair(size, SQRT_8_OVER_PI), cubic)
    high = two_product(size, -factor.high)
    return Pair(high.high, high.low - size * factor.low)
