"""Irrational constants cut into floats whose sum has more digits than one float holds."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Final

LN2: Final = Fraction("0.693147180559945309417232121458176568075500134360255254120680009493393621969694715605863326996418687")
LOG2E: Final = 1 / LN2
LN10: Final = Fraction("2.302585092994045684017991454684364207601101488628772976033327900967572609677352480235997205089598298")
LOG10E: Final = 1 / LN10
PI: Final = Fraction("3.141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117068")


def head_and_rest(value: Fraction, digits: int) -> tuple[float, float]:
    """The value cut to so many binary digits after the point, and what that leaves, as floats."""
    head = Fraction(int(value * 2**digits), 2**digits)
    return float(head), float(value - head)


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
