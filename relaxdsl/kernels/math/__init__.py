"""Math functions that generated kernels call by name: straight-line LLVM IR that the loop vectoriser packs, with calls
for rare cases.

Every function takes float32 or float64 (the arithmetic and rounding ones integers too), gives NumPy's results for
infinities, NaN, signed zeros and subnormals, and stays within `ULP_BOUNDS`. The intrinsics are numba's, and importing
this package does not import numba.

All arguments of a call are to be of one type; there is no promotion here.

Limits: gelu, gelu_tanh and silu give their limit -0.0 at -inf (NumPy's formulas give NaN). maximum and minimum order
-0.0 before 0.0 (in NumPy the order of the arguments decides); the greatest and the least of an axis do not. mod,
floor_mod and floor_divide of floats call C's fmod for each element, as NumPy does: an exact remainder has no short
straight-line form. Integer power gives the whole part of x**y where y is negative (NumPy raises); its loop, and the
64-bit integer divisions, do not vectorise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relaxdsl.kernels.math.bounds import INTEGER_ONLY, ULP_BOUNDS

__all__ = ["ULP_BOUNDS", "intrinsics", "supported_functions"]


def supported_functions() -> frozenset[str]:
    """The names that `intrinsics` has."""
    return INTEGER_ONLY | ULP_BOUNDS.keys()


def intrinsics() -> dict[str, Callable[..., Any]]:
    """The numba intrinsic of each supported function; imports numba."""
    from relaxdsl.kernels.math import registry

    return registry.intrinsics()
