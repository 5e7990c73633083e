"""Irrational constants cut into floats whose sum has more digits than one float holds."""

from __future__ import annotations

import math
from fractions import Fraction
from math import isqrt
from typing import Final

LN2: Final = Fraction("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471")
LOG2E: Final = 1 / LN2
LN10: Final = Fraction("2.30258509299404568401799145468436420760110148862877297603332790096757260967735248")
LOG10E: Final = 1 / LN10
PI: Final = Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def head_and_rest(value: Fraction, digits: int) -> tuple[float, float]:
    """The value cut to so many binary digits after the point, and what that leaves, as floats."""
    head = Fraction(int(value * 2**digits), 2**digits)
    return float(head), float(value - head)


def parts_of_digits(value: Fraction, digits: int, count: int) -> list[float]:
    """So many floats that add up to the value: of so many binary digits each, but the last."""
    found: list[float] = []
    for _ in range(count - 1):
        step = Fraction(2) ** (math.frexp(float(value))[1] - digits)
        found.append(float(value // step * step))
        value -= Fraction(found[-1])
    return [*found, float(value)]


# Products of the head with an exponent (8 or 11 bits) are exact.
LN2_PARTS: Final = {32: head_and_rest(LN2, 16), 64: head_and_rest(LN2, 42)}
LOG10_2_PARTS: Final = {32: head_and_rest(LN2 / LN10, 16), 64: head_and_rest(LN2 / LN10, 42)}


def pi_with_bits(bits: int) -> Fraction:
    """π to so many binary digits, by Machin's formula 16 atan(1/5) - 4 atan(1/239)."""
    one = 1 << (bits + 16)

    def inverse_atan(divisor: int) -> int:
        term, total, n = one // divisor, 0, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term //= divisor * divisor
            n += 2
        return total

    return Fraction(16 * inverse_atan(5) - 4 * inverse_atan(239), one)


SQRT_8_OVER_PI: Final = Fraction(isqrt(int(8 / PI * 4**200)), 2**200)
