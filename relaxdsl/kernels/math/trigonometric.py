"""sin, cos, tan and their inverses.

Note [Reduction]. The angle in quarter turns is x * 2/π modulo 4, right for every finite x: the digits of 2/π so large
that their product with the last digit of x is a multiple of 4 contribute nothing and are left out. Which digits these
are depends on the exponent of x only, so a few constants, each for a range of exponents, hold all that is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from llvmlite import ir

from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import (
    DOUBLE,
    TABLES,
    Bits,
    Flag,
    Pair,
    Real,
    alias_scope,
    fast_two_sum,
    polynomial,
    rounded,
    two_product,
    two_sum,
)
from relaxdsl.kernels.math.constants import PI, pi_with_bits
from relaxdsl.kernels.math.exponential import keep_tiny

PI_HALF, PI_HALF_REST = DOUBLE.parts(PI / 2, 2)

# float32: five ranges of 21 exponents from 25 on; float64: ranges of 16 exponents from 54 on, the first also below.
SINGLE_START, SINGLE_WIDTH, SINGLE_COUNT = 25, 21, 5
DOUBLE_START, DOUBLE_WIDTH, DOUBLE_COUNT = 54, 16, 61
RESCALE_FROM, RESCALE_BY = 512, 2.0**400  # keeps the constants of the large exponents away from subnormal floats


@lru_cache(maxsize=1)
def _two_over_pi() -> Fraction:
    return 2 / pi_with_bits(1400)


def _relevant_digits(lowest_exponent: int, digits: int) -> Fraction:
    """2/π less the digits that give multiples of 4 with a float of this exponent and so many digits."""
    return _two_over_pi() % Fraction(2) ** (digits + 1 - lowest_exponent)


@lru_cache(maxsize=1)
def _single_constants() -> tuple[tuple[float, ...], ...]:
    starts = (SINGLE_START + SINGLE_WIDTH * i for i in range(SINGLE_COUNT))
    return tuple(DOUBLE.parts(_relevant_digits(start, 24), 2) for start in starts)


@lru_cache(maxsize=1)
def _double_constants() -> tuple[float, ...]:
    table: list[float] = []
    for start in range(DOUBLE_START, DOUBLE_START + DOUBLE_WIDTH * DOUBLE_COUNT, DOUBLE_WIDTH):
        scale = Fraction(RESCALE_BY) if start >= RESCALE_FROM else 1
        table.extend(DOUBLE.parts(_relevant_digits(start, 53) * scale, 4))
    return tuple(table)


def _load_four(like: Real, name: str, table: Sequence[float], row: Bits) -> list[Real]:
    """One row of a constant table of four columns; LLVM turns the loads into gathers or element loads."""
    builder, module = like.builder, like.builder.module
    kind = ir.ArrayType(like.format.real_type, len(table))
    if name not in module.globals:
        data = ir.GlobalVariable(module, kind, name)
        data.linkage, data.global_constant, data.unnamed_addr = "internal", True, True
        data.initializer = ir.Constant(kind, [ir.Constant(like.format.real_type, value) for value in table])
    first = row << 2
    zero = ir.Constant(ir.IntType(64), 0)
    addresses = [builder.gep(module.globals[name], [zero, (first + i).raw], inbounds=True) for i in range(4)]
    loaded = [builder.load(address, typ=like.format.real_type) for address in addresses]
    for each in loaded:
        each.set_metadata("alias.scope", module.add_metadata([alias_scope(module, TABLES)]))
    return [Real(builder, each, like.format) for each in loaded]


def _modulo_four(x: Real) -> Real:
    """x less the nearest multiple of 4, exactly."""
    return (x.exactly() - rounded(x * 0.25).exactly() * 4).fusable()


def _single_quarter_turns(x: Real) -> tuple[Real, Pair]:
    """The nearest quarter turn modulo 4 and the rest, of a float32 held as float64."""
    size = abs(x)
    first, second = (x.constant(value) for value in _single_constants()[0])
    for i, (high, low) in enumerate(_single_constants()[1:], start=1):
        beyond = size >= 2.0 ** (SINGLE_START + SINGLE_WIDTH * i)
        first, second = beyond.pick(high, first), beyond.pick(low, second)
    product = two_product(x, first)
    turns = _modulo_four(product.high)
    quarter = rounded(turns)
    rest = (turns - quarter) + (product.low + x * second)
    return quarter, Pair(rest, x.constant(0))


def _double_quarter_turns(x: Real) -> tuple[Real, Pair]:
    """The nearest quarter turn modulo 4 and the rest, of a float64."""
    size = abs(x).clamp_below(2.0**DOUBLE_START)
    row = (size.bits() - DOUBLE.pattern(2.0**DOUBLE_START)) >> (DOUBLE.fraction_bits + 4)
    parts = _load_four(x, "relaxdsl_two_over_pi", _double_constants(), row)
    boundary = DOUBLE_START + DOUBLE_WIDTH * -(-(RESCALE_FROM - DOUBLE_START) // DOUBLE_WIDTH)
    x = (size >= 2.0**boundary).pick(x * (1 / RESCALE_BY), x)
    first, second, third = (two_product(x, part) for part in parts[:3])
    whole = two_sum(_modulo_four(first.high), _modulo_four(first.low))
    turns = two_sum(whole.high, _modulo_four(second.high))
    quarter = rounded(turns.high)
    rest = two_sum((turns.high.exactly() - quarter).fusable(), second.low)
    more = two_sum(rest.high, third.high)
    small = two_sum(whole.low, turns.low)
    all_of_it = two_sum(more.high, small.high)
    lowest = rest.low + more.low + small.low + all_of_it.low + third.low + x * parts[3]
    return quarter, fast_two_sum(all_of_it.high, lowest)


def _angle(turns: Pair) -> Pair:
    """Quarter turns as radians."""
    product = two_product(turns.high, turns.high.constant(PI_HALF))
    return fast_two_sum(product.high, product.low + turns.high * PI_HALF_REST + turns.low * PI_HALF)


def _sin_and_cos(x: Real) -> tuple[Bits, Real, Real]:
    """The quarter turns in the low bits of an integer, and sin and cos, in float64, of the rest of the angle."""
    wide = x.widen()
    is_single = x.format is not DOUBLE
    quarter, rest = (_single_quarter_turns if is_single else _double_quarter_turns)(wide)
    angle = Pair(rest.high * PI_HALF, rest.low) if is_single else _angle(rest)
    r, low = angle.high, angle.low
    z = r * r
    half = z * 0.5
    sin_tail = r * z * polynomial(z, polynomials.SIN[x.format.bits])
    near_one = (1 - half).exactly()
    cos_tail = z * z * polynomial(z, polynomials.COS[x.format.bits])
    if is_single:
        return (quarter + DOUBLE.rounding_shift).bits(), r + sin_tail, near_one.fusable() + cos_tail
    lost = ((1 - near_one) - half).fusable()
    sine = r + (sin_tail + low * near_one.fusable())
    cosine = near_one.fusable() + (lost + (cos_tail - r * low))
    return (quarter + DOUBLE.rounding_shift).bits(), sine, cosine


def _odd(quarters: Bits) -> Flag:
    return ~(quarters & 1).equals(0)


def sin(x: Real) -> Real:
    quarters, sine, cosine = _sin_and_cos(x)
    value = _odd(quarters).pick(cosine, sine)
    turned = (value.bits() ^ ((quarters & 2) << 62)).real()
    return keep_tiny(x, turned.narrow(x.format))


def cos(x: Real) -> Real:
    quarters, sine, cosine = _sin_and_cos(x)
    value = _odd(quarters).pick(sine, cosine)
    return (value.bits() ^ (((quarters + 1) & 2) << 62)).real().narrow(x.format)


def tan(x: Real) -> Real:
    quarters, sine, cosine = _sin_and_cos(x)
    odd = _odd(quarters)
    ratio = odd.pick(cosine, sine) / odd.pick(sine, cosine)
    turned = (ratio.bits() ^ ((quarters & 1) << 63)).real()
    return keep_tiny(x, turned.narrow(x.format))


def _asin_tail(s: Real, z: Real) -> Real:
    return s * z * polynomial(z, polynomials.ASIN[s.format.bits])


def asin(x: Real) -> Real:
    """π/2 - 2 asin(sqrt((1 - |x|) / 2)) where |x| > 1/2."""
    size = abs(x)
    far = size > 0.5
    z = far.pick((1 - size) * 0.5, size * size)
    s = far.pick(z.sqrt(), size)
    near = s + _asin_tail(s, z)
    head, rest = x.format.parts(PI / 2, 2)
    return keep_tiny(x, far.pick(head - (2 * near - rest), near).with_sign_of(x))


def acos(x: Real) -> Real:
    size = abs(x)
    far = size > 0.5
    z = far.pick((1 - size) * 0.5, size * size)
    s = far.pick(z.sqrt(), x)
    near = s + _asin_tail(s, z)
    head, rest = x.format.parts(PI / 2, 2)
    mirrored = (x < 0).pick(2 * head - (2 * near - 2 * rest), 2 * near)
    return far.pick(mirrored, head - (near - rest))


def _atan_of_ratio(over: Real, under: Real) -> Real:
    """atan(over / under) for 0 <= over <= under; beyond tan(π/8) as π/4 + atan((over - under) / (over + under))."""
    far = over > under * math.tan(math.pi / 8)
    t = far.pick(over - under, over) / far.pick(over + under, under)
    z = t * t
    head, rest = over.format.parts(PI / 4, 2)
    tail = t * z * polynomial(z, polynomials.ATAN[over.format.bits])
    return far.pick(over.constant(head), 0) + (t + (tail + far.pick(over.constant(rest), 0)))


def atan(x: Real) -> Real:
    size = abs(x)
    steep = size > 1
    over = steep.pick(1, size)
    under = steep.pick(size.clamp_above(1 / x.format.smallest_normal), 1)
    flat = _atan_of_ratio(over, under)
    head, rest = x.format.parts(PI / 2, 2)
    return keep_tiny(x, steep.pick(head - (flat - rest), flat).with_sign_of(x))


def atan2(y: Real, x: Real) -> Real:
    """The angle of the point (x, y), with NumPy's results where either is zero or infinite."""
    rise, run = abs(y.widen()), abs(x.widen())
    steep = rise > run
    over, under = steep.pick(run, rise), steep.pick(rise, run)
    over = under.equals(math.inf).pick(over.equals(math.inf).pick(over.constant(1), 0), over)
    under = (under.equals(0) | under.equals(math.inf)).pick(1, under)
    small, large = under < 2.0**-900, under > 2.0**1000
    scale = small.pick(2.0**120, large.pick(under.constant(2.0**-100), 1))
    flat = _atan_of_ratio(over * scale, under * scale)
    angle = steep.pick(PI_HALF - (flat - PI_HALF_REST), flat)
    angle = x.has_sign().pick(2 * PI_HALF - (angle - 2 * PI_HALF_REST), angle)
    undefined = x.is_nan() | y.is_nan()
    return undefined.pick(x + y, angle.narrow(x.format).with_sign_of(y))
