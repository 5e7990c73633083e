"""Fit the polynomials of `relaxdsl.kernels.math` with mpmath and print `polynomials.py`.

Each fit solves for the polynomial whose weighted error alternates on the Chebyshev extrema of the interval, which is
within a few per cent of the minimax one. Run it from the top folder:

    python benchmarks/fit_polynomials.py > relaxdsl/kernels/math/polynomials.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Real = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True, slots=True)
class Fit:
    """A function to fit on [low, high]; `share` is what the polynomial weighs in the value of the final result."""

    name: str
    meaning: str
    function: Real
    share: Real
    interval: tuple[str, str]
    degrees: tuple[int, int]  # for float32, for float64
    narrow_high: str = ""  # the interval's end for float32, where it is another


def fit(function: Real, share: Real, low: mp.mpf, high: mp.mpf, degree: int) -> tuple[list[mp.mpf], mp.mpf]:
    """The coefficients, lowest first, and the largest weighted error."""
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (degree + 1)) for i in range(degree + 2)]
    rows = [[x**k for k in range(degree + 1)] + [(-1) ** i / share(x)] for i, x in enumerate(nodes)]
    solution = mp.lu_solve(mp.matrix(rows), mp.matrix([function(x) for x in nodes]))
    coefficients = list(solution[: degree + 1])
    samples = [low + (high - low) * (mp.mpf(i) + mp.mpf(1) / 2) / 200 for i in range(200)]
    error = max(abs((mp.polyval(coefficients[::-1], x) - function(x)) * share(x)) for x in samples)
    return coefficients, error


def exp_tail(r: mp.mpf) -> mp.mpf:
    return mp.mpf(1) / 2 + r / 6 if abs(r) < mp.mpf("1e-20") else (mp.expm1(r) - r) / r**2


def atanh_tail(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return mp.mpf(2) / 3 if z < mp.mpf("1e-20") else (2 * mp.atanh(s) / s - 2) / z


def atanh_far_tail(z: mp.mpf) -> mp.mpf:
    return mp.mpf(2) / 5 if z < mp.mpf("1e-20") else (atanh_tail(z) - mp.mpf(2) / 3) / z


def sin_tail(z: mp.mpf) -> mp.mpf:
    r = mp.sqrt(z)
    return -mp.mpf(1) / 6 if z < mp.mpf("1e-20") else (mp.sin(r) / r - 1) / z


def cos_tail(z: mp.mpf) -> mp.mpf:
    return mp.mpf(1) / 24 if z < mp.mpf("1e-14") else (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def asin_tail(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return mp.mpf(1) / 6 if z < mp.mpf("1e-20") else (mp.asin(s) / s - 1) / z


def atan_tail(z: mp.mpf) -> mp.mpf:
    t = mp.sqrt(z)
    return -mp.mpf(1) / 3 if z < mp.mpf("1e-20") else (mp.atan(t) / t - 1) / z


def erf_tail(z: mp.mpf) -> mp.mpf:
    x = mp.sqrt(z)
    slope = 2 / mp.sqrt(mp.pi)
    return slope - 1 - slope * z / 3 if z < mp.mpf("1e-20") else mp.erf(x) / x - 1


ERFCX_CENTRE = mp.mpf(2)


def scaled_erfc(t: mp.mpf) -> mp.mpf:
    """(a + 2) exp(a²) erfc(a), where t = (a - 2) / (a + 2)."""
    a = ERFCX_CENTRE * (1 + t) / (1 - t)
    return (a + ERFCX_CENTRE) * mp.exp(a * a) * mp.erfc(a)


def mobius(a: float) -> str:
    return str((a - ERFCX_CENTRE) / (a + ERFCX_CENTRE))


HALF_LN2 = "0.3466"
FITS = (
    Fit("EXP", "(exp(r) - 1 - r) / r², |r| <= ln(2)/2", exp_tail, lambda r: r**2 + mp.mpf("1e-9"),
        ("-" + HALF_LN2, HALF_LN2), (4, 10)),
    Fit("ATANH", "(2 atanh(s)/s - 2) / z, z = s² <= (3 - √8)²", atanh_tail, lambda z: z / 2 + mp.mpf("1e-9"),
        ("0", "0.02945"), (2, 6)),
    Fit("ATANH_FAR", "(2 atanh(s)/s - 2 - 2z/3) / z², z = s² <= (3 - √8)²", atanh_far_tail,
        lambda z: z**2 / 2 + mp.mpf("1e-9"), ("0", "0.02945"), (3, 7)),
    Fit("SIN", "(sin(r)/r - 1) / z, z = r² <= (π/4)²", sin_tail, lambda z: z + mp.mpf("1e-9"), ("0", "0.6170"), (3, 5)),
    Fit("COS", "(cos(r) - 1 + z/2) / z², z = r² <= (π/4)²", cos_tail, lambda z: z**2 + mp.mpf("1e-9"),
        ("0", "0.6170"), (3, 5)),
    Fit("ASIN", "(asin(s)/s - 1) / z, z = s² <= 1/4", asin_tail, lambda z: z + mp.mpf("1e-9"), ("0", "0.25"), (4, 12)),
    Fit("ATAN", "(atan(t)/t - 1) / z, z = t² <= tan(π/8)²", atan_tail, lambda z: z + mp.mpf("1e-9"),
        ("0", "0.17158"), (4, 10)),
    Fit("ERF", "erf(x)/x - 1, z = x² <= 1", erf_tail, lambda z: mp.mpf(1), ("0", "1"), (6, 11)),
    Fit("ERFC", "(a + 2) exp(a²) erfc(a), t = (a - 2)/(a + 2), a <= 10.5 (float32), 28 (float64)", scaled_erfc,
        lambda t: 1 / scaled_erfc(t), ("-1", mobius(28)), (10, 24), mobius(10.5)),
)

DOUBLE_INSIDE = ("SIN", "COS", "ATANH_FAR")  # float32 evaluates these in float64
HEADER = '''"""Polynomial coefficients, lowest first, for float32 and float64, from `benchmarks/fit_polynomials.py`.

The error in each comment is relative to the function that the polynomial serves.
"""

from __future__ import annotations

from typing import Final

Coefficients = dict[int, tuple[float, ...]]  # keyed by the bits of the float
'''


def show(entry: Fit) -> None:
    """Print one table: the coefficients for both widths."""
    print(f"\n# {entry.meaning}")
    print(f"{entry.name}: Final[Coefficients] = {{")
    for bits, degree, high in zip((32, 64), entry.degrees, (entry.narrow_high, ""), strict=True):
        ends = mp.mpf(entry.interval[0]), mp.mpf(high or entry.interval[1])
        coefficients, error = fit(entry.function, entry.share, *ends, degree)
        print(f"{entry.name} {bits} 2^{float(mp.log(error, 2)):.1f}", file=sys.stderr)
        print(f"    {bits}: (  # error 2^{float(mp.log(error, 2)):.1f}")
        for c in coefficients:
            narrow = bits == 32 and entry.name not in DOUBLE_INSIDE
            print(f"        {float(np.float32(float(c))) if narrow else float(c)!r},")
        print("    ),")
    print("}")


def main() -> None:
    print(HEADER, end="")
    for entry in FITS:
        show(entry)


if __name__ == "__main__":
    main()
