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
    degrees: dict[int, int]  # for float32, for float64
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


def fit_ratio(function: Real, high: mp.mpf, degree: int) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """Two polynomials with the function on [0, high] as their quotient, the second 1 at 0; the largest relative error.

    The error that alternates is that of the first polynomial, in units of the second one as it was last time.
    """
    count = 2 * degree + 2
    nodes = [high / 2 * (1 - mp.cos(mp.pi * i / (count - 1))) for i in range(count)]
    over, under = [mp.mpf(1)], [mp.mpf(1)]
    for _ in range(8):
        rows = [
            [z**k for k in range(degree + 1)]
            + [-function(z) * z**k for k in range(1, degree + 1)]
            + [(-1) ** i * function(z) * mp.polyval(under[::-1], z)]
            for i, z in enumerate(nodes)
        ]
        solution = list(mp.lu_solve(mp.matrix(rows), mp.matrix([function(z) for z in nodes])))
        over, under = solution[: degree + 1], [mp.mpf(1), *solution[degree + 1 : -1]]
    samples = [high * (mp.mpf(i) + mp.mpf(1) / 2) / 200 for i in range(200)]
    ratios = (mp.polyval(over[::-1], z) / mp.polyval(under[::-1], z) / function(z) for z in samples)
    return over, under, max(abs(ratio - 1) for ratio in ratios)


def exp_tail(r: mp.mpf) -> mp.mpf:
    return mp.mpf(1) / 2 + r / 6 if abs(r) < mp.mpf("1e-20") else (mp.expm1(r) - r) / r**2


def atanh_tail(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return mp.mpf(2) / 3 if z < mp.mpf("1e-20") else (2 * mp.atanh(s) / s - 2) / z


def atanh_far_tail(z: mp.mpf) -> mp.mpf:
    return mp.mpf(2) / 5 if z < mp.mpf("1e-20") else (atanh_tail(z) - mp.mpf(2) / 3) / z


def log_tail(f: mp.mpf) -> mp.mpf:
    return f / 3 - mp.mpf(1) / 2 if abs(f) < mp.mpf("1e-20") else (mp.log1p(f) - f) / f**2


def sin_far(z: mp.mpf) -> mp.mpf:
    r = mp.sqrt(z)
    return mp.mpf(1) if z == 0 else mp.sin(r) / r


def tan_ratio(z: mp.mpf) -> mp.mpf:
    r = mp.sqrt(z)
    return mp.mpf(1) if z == 0 else mp.tan(r) / r


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


def atan_far(z: mp.mpf) -> mp.mpf:
    t = mp.sqrt(z)
    return mp.mpf(1) if z == 0 else mp.atan(t) / t


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
ROOT_HALF = "-0.2929", "0.4143"  # from sqrt(1/2) - 1 to sqrt(2) - 1
FITS = (
    Fit("EXP", "(exp(r) - 1 - r) / r², |r| <= ln(2)/2", exp_tail, lambda r: r**2 + mp.mpf("1e-9"),
        ("-" + HALF_LN2, HALF_LN2), {32: 4, 64: 10}),
    Fit("EXP_INSIDE", "the same, for float32 results computed in float64", exp_tail, lambda r: r**2 + mp.mpf("1e-9"),
        ("-" + HALF_LN2, HALF_LN2), {32: 5}),
    Fit("LOG", "(log(1 + f) - f) / f², sqrt(1/2) <= 1 + f <= sqrt(2)", log_tail, lambda f: abs(f) + mp.mpf("1e-3"),
        ROOT_HALF, {32: 8}),
    Fit("LOG_INSIDE", "the same, for float32 results computed in float64", log_tail,
        lambda f: abs(f) + mp.mpf("1e-3"), ROOT_HALF, {32: 9}),
    Fit("LOG_OF_BASE", "the same, for powers", log_tail, lambda f: abs(f) + mp.mpf("1e-3"), ROOT_HALF, {32: 11}),
    Fit("ATANH", "(2 atanh(s)/s - 2) / z, z = s² <= (3 - √8)²", atanh_tail, lambda z: z / 2 + mp.mpf("1e-9"),
        ("0", "0.02945"), {64: 6}),
    Fit("ATANH_FAR", "(2 atanh(s)/s - 2 - 2z/3) / z², z = s² <= (3 - √8)²", atanh_far_tail,
        lambda z: z**2 / 2 + mp.mpf("1e-9"), ("0", "0.02945"), {64: 7}),
    Fit("SIN", "(sin(r)/r - 1) / z, z = r² <= (π/4)²", sin_tail, lambda z: z + mp.mpf("1e-9"), ("0", "0.6170"),
        {64: 5}),
    Fit("SIN_FAR", "sin(r)/r, z = r² <= (π/2)²", sin_far, lambda z: 1 / sin_far(z), ("0", "2.4675"), {32: 5}),
    Fit("COS", "(cos(r) - 1 + z/2) / z², z = r² <= (π/4)²", cos_tail, lambda z: z**2 + mp.mpf("1e-9"),
        ("0", "0.6170"), {64: 5}),
    Fit("ASIN", "(asin(s)/s - 1) / z, z = s² <= 1/4", asin_tail, lambda z: z + mp.mpf("1e-9"), ("0", "0.25"),
        {32: 4, 64: 12}),
    Fit("ATAN", "(atan(t)/t - 1) / z, z = t² <= tan(π/8)²", atan_tail, lambda z: z + mp.mpf("1e-9"),
        ("0", "0.17158"), {32: 4, 64: 10}),
    Fit("ATAN_FAR", "atan(t)/t, z = t² <= 1, for float32 results computed in float64", atan_far,
        lambda z: 1 / atan_far(z), ("0", "1"), {32: 10}),
    Fit("ERF", "erf(x)/x - 1, z = x² <= 1", erf_tail, lambda z: mp.mpf(1), ("0", "1"), {32: 6, 64: 11}),
    Fit("ERFC", "(a + 2) exp(a²) erfc(a), t = (a - 2)/(a + 2), a <= 10.5 (float32), 28 (float64)", scaled_erfc,
        lambda t: 1 / scaled_erfc(t), ("-1", mobius(28)), {32: 10, 64: 24}, mobius(10.5)),
)

# float32 evaluates these in float64
DOUBLE_INSIDE = ("EXP_INSIDE", "LOG_INSIDE", "LOG_OF_BASE", "ATAN_FAR", "SIN_FAR", "TAN_OVER", "TAN_UNDER")
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
    for bits, degree in entry.degrees.items():
        high = entry.narrow_high if bits == 32 and entry.narrow_high else entry.interval[1]
        ends = mp.mpf(entry.interval[0]), mp.mpf(high)
        show_row(entry.name, bits, *fit(entry.function, entry.share, *ends, degree))
    print("}")


def show_row(name: str, bits: int, coefficients: list[mp.mpf], error: mp.mpf) -> None:
    """Print the coefficients for one width."""
    print(f"{name} {bits} 2^{float(mp.log(error, 2)):.1f}", file=sys.stderr)
    print(f"    {bits}: (  # error 2^{float(mp.log(error, 2)):.1f}")
    for c in coefficients:
        narrow = bits == 32 and name not in DOUBLE_INSIDE
        print(f"        {float(np.float32(float(c))) if narrow else float(c)!r},")
    print("    ),")


def show_tan() -> None:
    """Print the two tables of the tangent."""
    over, under, error = fit_ratio(tan_ratio, mp.mpf("0.6170"), 2)
    for name, coefficients in (("TAN_OVER", over), ("TAN_UNDER", under)):
        print(f"\n# tan(r)/r is TAN_OVER / TAN_UNDER, both in z = r² <= (π/4)²\n{name}: Final[Coefficients] = {{")
        show_row(name, 32, coefficients, error)
        print("}")


def main() -> None:
    print(HEADER, end="")
    for entry in FITS:
        show(entry)
    show_tan()


if __name__ == "__main__":
    main()
