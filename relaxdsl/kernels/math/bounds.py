"""The stated accuracy of every float function, and the names of all functions. Imports nothing heavy."""

from __future__ import annotations

from typing import Final

# Largest error for (float32, float64) in units in the last place of the exact result, subnormal results included.
# log_add_exp: in units of the larger of the result and the operands, since log(exp(x) + exp(y)) may cancel to nothing.
# Functions with 0 give NumPy's result, bit for bit.
ULP_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "abs": (0, 0),
    "acos": (1.5, 1.5),
    "acosh": (0.6, 2.5),
    "asin": (2.5, 2.5),
    "asinh": (0.6, 2.5),
    "atan": (2, 2),
    "atan2": (0.6, 2.5),
    "atanh": (0.6, 2.5),
    "ceil": (0, 0),
    "cos": (0.6, 1),
    "cosh": (2, 2),
    "erf": (1.5, 1.5),
    "exp": (1, 1),
    "exp2": (1.5, 1.5),
    "expm1": (2, 2),
    "floor": (0, 0),
    "floor_divide": (0, 0),
    "floor_mod": (0, 0),
    "gelu": (3.5, 3.5),
    "gelu_tanh": (4, 4),
    "isfinite": (0, 0),
    "isinf": (0, 0),
    "isnan": (0, 0),
    "log": (1, 1),
    "log10": (2, 2),
    "log1p": (1, 1),
    "log2": (2, 2),
    "log_add_exp": (1, 2),
    "maximum": (0, 0),
    "minimum": (0, 0),
    "mod": (0, 0),
    "power": (0.6, 1.5),
    "round": (0, 0),
    "rsqrt": (1.5, 1.5),
    "sigmoid": (2.5, 2.5),
    "sign": (0, 0),
    "silu": (3, 3),
    "sin": (0.6, 1),
    "sinh": (2.5, 2.5),
    "softplus": (2, 2),
    "sqrt": (0.5, 0.5),
    "square": (0.5, 0.5),
    "tan": (0.6, 2.5),
    "tanh": (3, 3),
    "trunc": (0, 0),
}
INTEGER_ONLY: Final = frozenset({"left_shift", "right_shift"})
