"""sin, cos, tan and their inverses.

Note [Reduction]. The angle in quarter turns is x * 2/π modulo 4, right for every finite x: the digits of 2/π so large
that their product with the last digit of x is a multiple of 4 contribute nothing and are left out. Which digits these
are depends on the exponent of x only, so a few constants, each for a range of exponents, hold all that is needed.

Small angles need none of that: the nearest number of turns is small, so that its products with the leading digits of a
turn are exact. Loops contain this way, and call the other one where there are large angles (`rare_cases.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.math import polynomials
from relaxdsl.kernels.math.build import (
    DOUBLE,
    Bits,
    Flag,
    Format,
    Pair,
    Real,
    fast_two_sum,
    polynomial,
    rounded,
    two_product,
    two_sum,
)
from relaxdsl.kernels.math.constants import PI, head_and_rest, parts_of_digits, pi_with_bits
from relaxdsl.kernels.math.exponential import keep_tiny
from relaxdsl.kernels.math.rare_cases import RareCase

PI_HALF, PI_HALF_REST = DOUBLE.parts(PI / 2, 2)

# float32: five ranges of 21 exponents from 25 on; float64: ranges of 16 exponents from 54 on, the first also below.
SINGLE_START, SINGLE_WIDTH, SINGLE_COUNT = 25, 21, 5
DOUBLE_START, DOUBLE_WIDTH, DOUBLE_COUNT = 54, 16, 61
RESCALE_FROM, RESCALE_BY = 512, 2.0**400  # keeps the constants of the large exponents away from subnormal floats

LARGE = 2.0**20  # the first angle that is not small


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
    """One row of a constant table of four columns for each lane."""
    builder, module, lanes = like.builder, like.builder.module, like.format.lanes
    element = like.format.of_lanes(1).real_type
    kind = ir.ArrayType(element, len(table))
    if name not in module.globals:
        data = ir.GlobalVariable(module, kind, name)
        data.linkage, data.global_constant, data.unnamed_addr = "internal", True, True
        data.initializer = ir.Constant(kind, [ir.Constant(element, value) for value in table])
    zero = ir.Constant(ir.IntType(64), 0)

    def load(index: ir.Value) -> ir.Value:
        return builder.load(builder.gep(module.globals[name], [zero, index], inbounds=True), typ=element)

    def load_column(column: int) -> Real:
        places = ((row << 2) + column).raw
        if lanes == 1:
            return Real(builder, load(places), like.format)
        packed = ir.Constant(like.format.real_type, ir.Undefined)
        for lane in range(lanes):
            each = ir.Constant(ir.IntType(32), lane)
            packed = builder.insert_element(packed, load(builder.extract_element(places, each)), each)
        return Real(builder, packed, like.format)

    return [load_column(column) for column in range(4)]


def _shifted(x: Real) -> Real:
    """x moved to where floats are integers: the nearest one is in its low bits."""
    return x + x.format.rounding_shift


def _whole(shifted: Real) -> Real:
    """The integer that was found so."""
    return (shifted.exactly() - shifted.format.rounding_shift).fusable()


def _modulo_four(x: Real) -> Real:
    """x less the nearest multiple of 4, exactly."""
    return (x.exactly() - rounded(x * 0.25).exactly() * 4).fusable()


def _small_single(x: Real, turn: int, offset: float) -> tuple[Bits, Real]:
    """n in the low bits of an integer, and x - (n - offset) turns in float64; a turn is so many right angles.

    The head of a turn has 33 binary digits at most, and n has 20, with the one that an offset of a half adds.
    """
    angle = PI / 2 * turn
    turns = x * float(1 / angle)
    n = _shifted(turns + offset if offset else turns)
    between = (_whole(n) - offset if offset else _whole(n)).widen()
    head, rest = head_and_rest(angle, 31)
    return n.bits(), x.widen() - between * head - between * rest


def _any_single(x: Real, turn: int, offset: float) -> tuple[Bits, Real]:
    """The same of any float32."""
    wide = x.widen()
    size = abs(wide)
    first, second = (wide.constant(value) for value in _single_constants()[0])
    for i, (high, low) in enumerate(_single_constants()[1:], start=1):
        beyond = size >= 2.0 ** (SINGLE_START + SINGLE_WIDTH * i)
        first, second = beyond.pick(high, first), beyond.pick(low, second)
    product = two_product(wide, first)
    quarters = _modulo_four(product.high)
    n = rounded(quarters * (1 / turn) + offset)
    rest = (quarters - (n - offset) * turn) + (product.low + wide * second)
    return _shifted(n.narrow(x.format)).bits(), rest * PI_HALF


def _small_double(x: Real) -> tuple[Bits, Pair]:
    """The nearest quarter turn in the low bits of an integer, and the angle that is left.

    Each part but the last has 33 binary digits, and a quarter turn 20.
    """
    n = _shifted(x * float(2 / PI))
    quarter = _whole(n)
    first, second, third, last = parts_of_digits(PI / 2, 33, 4)
    near = two_sum(x - quarter * first, quarter * -second)
    nearer = two_sum(near.high, quarter * -third)
    return n.bits(), Pair(nearer.high, nearer.low + (near.low - quarter * last))


def _any_double(x: Real) -> tuple[Bits, Pair]:
    """The same of any float64."""
    size = abs(x).clamp_below(2.0**DOUBLE_START)
    row = (size.bits() - DOUBLE.pattern(2.0**DOUBLE_START)) >> (DOUBLE.fraction_bits + 4)
    parts = _load_four(x, "relaxdsl_two_over_pi", _double_constants(), row)
    boundary = DOUBLE_START + DOUBLE_WIDTH * -(-(RESCALE_FROM - DOUBLE_START) // DOUBLE_WIDTH)
    x = (size >= 2.0**boundary).pick(x * (1 / RESCALE_BY), x)
    first, second, third = (two_product(x, part) for part in parts[:3])
    whole = two_sum(_modulo_four(first.high), _modulo_four(first.low))
    turns = two_sum(whole.high, _modulo_four(second.high))
    n = _shifted(turns.high)
    rest = two_sum((turns.high.exactly() - _whole(n)).fusable(), second.low)
    more = two_sum(rest.high, third.high)
    small = two_sum(whole.low, turns.low)
    all_of_it = two_sum(more.high, small.high)
    lowest = rest.low + more.low + small.low + all_of_it.low + third.low + x * parts[3]
    return n.bits(), _angle(fast_two_sum(all_of_it.high, lowest))


def _angle(turns: Pair) -> Pair:
    """Quarter turns as radians."""
    product = two_product(turns.high, turns.high.constant(PI_HALF))
    return fast_two_sum(product.high, product.low + turns.high * PI_HALF_REST + turns.low * PI_HALF)


@dataclass(frozen=True, slots=True)
class Reduction:
    """How angles of float32 and of float64 are reduced."""

    single: Callable[[Real, int, float], tuple[Bits, Real]]
    double: Callable[[Real], tuple[Bits, Pair]]


SMALL = Reduction(_small_single, _small_double)
ANY = Reduction(_any_single, _any_double)


def _sin_and_cos(angle: Pair) -> tuple[Real, Real]:
    """sin and cos, in float64, of an angle up to π/4."""
    r, low = angle.high, angle.low
    z = r * r
    half = z * 0.5
    sin_tail = r * z * polynomial(z, polynomials.SIN[64])
    cos_tail = z * z * polynomial(z, polynomials.COS[64])
    near_one = (1 - half).exactly()
    lost = ((1 - near_one) - half).fusable()
    sine = r + (sin_tail + low * near_one.fusable())
    cosine = near_one.fusable() + (lost + (cos_tail - r * low))
    return sine, cosine


def _odd(quarters: Bits) -> Flag:
    return ~(quarters & 1).equals(0)


def _with_sign(value: Real, bit: Bits) -> Real:
    """The value with its sign changed where this lowest bit is set."""
    return (value.bits() ^ (bit << (value.format.bits - 1))).real()


def _single_sine(x: Real, reduction: Reduction, offset: float) -> Real:
    """sin(x + 2 offset right angles), by half turns, so that there is only one polynomial; computed in float64."""
    half_turns, r = reduction.single(x, 2, offset)
    value = r * polynomial(r * r, polynomials.SIN_FAR[32])
    return _with_sign(value.narrow(x.format), half_turns)


def _double_sine(x: Real, reduction: Reduction, offset: int) -> Real:
    """sin(x + offset right angles)."""
    quarters, angle = reduction.double(x)
    sine, cosine = _sin_and_cos(angle)
    turned = quarters + offset
    return _with_sign(_odd(turned).pick(cosine, sine), turned >> 1)


def _sin(x: Real, reduction: Reduction) -> Real:
    return _single_sine(x, reduction, 0) if x.format.bits == 32 else _double_sine(x, reduction, 0)


def _cos(x: Real, reduction: Reduction) -> Real:
    return _single_sine(x, reduction, 0.5) if x.format.bits == 32 else _double_sine(x, reduction, 1)


def _ratio(quarters: Bits, over: Real, under: Real, result: Format) -> Real:
    """The tangent, where over / under is that of what is left of the angle."""
    odd = _odd(quarters)
    return _with_sign((odd.pick(under, over) / odd.pick(over, under)).narrow(result), quarters)


def _tan(x: Real, reduction: Reduction) -> Real:
    if x.format.bits == 32:
        quarters, r = reduction.single(x, 1, 0)
        z = r * r
        over, under = (polynomial(z, each[32]) for each in (polynomials.TAN_OVER, polynomials.TAN_UNDER))
        return _ratio(quarters, r * over, under, x.format)
    quarters, angle = reduction.double(x)
    return _ratio(quarters, *_sin_and_cos(angle), x.format)


def _is_large(x: Real) -> Flag:
    return abs(x) >= LARGE


_sin_of_large = RareCase("sin_of_large", _is_large, lambda x: _sin(x, ANY), finish=keep_tiny)
_cos_of_large = RareCase("cos_of_large", _is_large, lambda x: _cos(x, ANY))
_tan_of_large = RareCase("tan_of_large", _is_large, lambda x: _tan(x, ANY), finish=keep_tiny)


def sin(x: Real) -> Real:
    return _sin_of_large(x, _sin(x, SMALL))


def cos(x: Real) -> Real:
    return _cos_of_large(x, _cos(x, SMALL))


def tan(x: Real) -> Real:
    return _tan_of_large(x, _tan(x, SMALL))


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


def _single_atan_of_ratio(over: Real, under: Real) -> Real:
    """The same to the digits of a float32, of float64 values."""
    t = over / under
    return t * polynomial(t * t, polynomials.ATAN_FAR[32])


def _double_atan_of_ratio(over: Real, under: Real) -> Real:
    """The same of values so small or large that their sum and difference might not be normal."""
    small, large = under < 2.0**-900, under > 2.0**1000
    scale = small.pick(2.0**120, large.pick(under.constant(2.0**-100), 1))
    return _atan_of_ratio(over * scale, under * scale)


def atan2(y: Real, x: Real) -> Real:
    """The angle of the point (x, y), with NumPy's results where either is zero or infinite."""
    rise, run = abs(y), abs(x)
    steep = rise > run
    over, under = steep.pick(run, rise), steep.pick(rise, run)
    over = under.equals(math.inf).pick(over.equals(math.inf).pick(over.constant(1), 0), over)
    under = (under.equals(0) | under.equals(math.inf)).pick(1, under)
    flat = (_single_atan_of_ratio if x.format.bits == 32 else _double_atan_of_ratio)(over.widen(), under.widen())
    angle = steep.pick(PI_HALF - (flat - PI_HALF_REST), flat)
    angle = x.has_sign().pick(2 * PI_HALF - (angle - 2 * PI_HALF_REST), angle)
    undefined = x.is_nan() | y.is_nan()
    return undefined.pick(x + y, angle.narrow(x.format).with_sign_of(y))
