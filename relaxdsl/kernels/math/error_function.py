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
from relaxdsl.kernels.math.exponential import exp_within

ERFC_LIMIT = {32: 10.5, 64: 28.0}  # beyond, erfc is zero
GELU_TANH_LIMIT = {32: 12.0, 64: 23.0}  # below minus this, gelu_tanh is zero


def _exp_of_pair(x: Pair, factor: Real | None = None) -> Real:
    return exp_within(x.high, correction=x.low, factor=factor)


def erf(x: Real) -> Real:
    size = abs(x).clamp_above(ERFC_LIMIT[x.format.bits])
    near = x * polynomial(x * x, polynomials.ERF[x.format.bits]) + x
    inverse = 1 / (size + 2)
    scaled = inverse * polynomial((size - 2) * inverse, polynomials.ERFC[x.format.bits])
    far = 1 - _exp_of_pair(two_product(size, -size), scaled)
    return (size < 1).pick(near, far.with_sign_of(x))


def gelu(x: Real) -> Real:
    """x Φ(x), with its limit -0.0 at -inf; the sqrt(2) of Φ is put into the constants of erfc.

    Here t is 2q - 1 with q = a / (a + 2), which is needed anyway and is the more accurate near zero.
    """
    size = abs(x).clamp_above(ERFC_LIMIT[x.format.bits] * math.sqrt(2))
    share = size / (size + math.sqrt(8))
    coefficients = [value * math.sqrt(0.5) for value in polynomials.ERFC[x.format.bits]]
    scaled = share * polynomial(share * 2 - 1, coefficients)
    tail = _exp_of_pair(two_product(size, size * -0.5), scaled)
    return (x < 0).pick(-0.0, x) - tail


def gelu_tanh(x: Real) -> Real:
    """x / 2 (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/π) (x + 0.044715 x³), with its limit -0.0 at -inf."""
    size = abs(x).clamp_above(GELU_TANH_LIMIT[x.format.bits])
    cubic = pair_product(two_product(size, size), constant_pair(x, SQRT_8_OVER_PI * Fraction("0.044715")))
    factor = pair_sum(constant_pair(x, SQRT_8_OVER_PI), cubic)
    high = two_product(size, -factor.high)
    minus_2u = Pair(high.high, high.low - size * factor.low)
    return (x < 0).pick(_exp_of_pair(minus_2u, -size), x) / (_exp_of_pair(minus_2u) + 1)
