"""The numba intrinsics by name: each picks the builder for its argument types and emits it into the calling kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from relaxdsl.kernels.math import error_function, exponential, logarithm, power, rounding, trigonometric
from relaxdsl.kernels.math.bounds import ULP_BOUNDS
from relaxdsl.kernels.math.build import Flag, Real, emit
from relaxdsl.kernels.math.integers import BOOLEAN_FUNCTIONS, INTEGER_FUNCTIONS, IntegerCode

Codegen = Callable[[Any, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value]
FloatFunction = Callable[..., "Real | Flag"]

FLOAT_FUNCTIONS: dict[str, FloatFunction] = {
    "abs": rounding.absolute,
    "acos": trigonometric.acos,
    "acosh": logarithm.acosh,
    "asin": trigonometric.asin,
    "asinh": logarithm.asinh,
    "atan": trigonometric.atan,
    "atan2": trigonometric.atan2,
    "atanh": logarithm.atanh,
    "ceil": rounding.ceil,
    "cos": trigonometric.cos,
    "cosh": exponential.cosh,
    "erf": error_function.erf,
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "floor": rounding.floor,
    "floor_divide": rounding.floor_divide,
    "floor_mod": rounding.floor_mod,
    "gelu": error_function.gelu,
    "gelu_tanh": error_function.gelu_tanh,
    "isfinite": rounding.isfinite,
    "isinf": rounding.isinf,
    "isnan": rounding.isnan,
    "log": logarithm.log,
    "log10": logarithm.log10,
    "log1p": logarithm.log1p,
    "log2": logarithm.log2,
    "log_add_exp": logarithm.log_add_exp,
    "maximum": rounding.maximum,
    "minimum": rounding.minimum,
    "mod": rounding.mod,
    "power": power.power,
    "round": rounding.round_half_even,
    "rsqrt": rounding.rsqrt,
    "sigmoid": exponential.sigmoid,
    "sign": rounding.sign,
    "silu": exponential.silu,
    "sin": trigonometric.sin,
    "sinh": exponential.sinh,
    "softplus": logarithm.softplus,
    "sqrt": rounding.sqrt,
    "square": rounding.square,
    "tan": trigonometric.tan,
    "tanh": exponential.tanh,
    "trunc": rounding.trunc,
}

PREDICATES = frozenset({"isfinite", "isinf", "isnan"})
BINARY = frozenset(
    {
        "atan2",
        "floor_divide",
        "floor_mod",
        "left_shift",
        "log_add_exp",
        "maximum",
        "minimum",
        "mod",
        "power",
        "right_shift",
    }
)


def _float_codegen(name: str) -> Codegen:
    def codegen(context: Any, builder: ir.IRBuilder, signature: Signature, raw: Sequence[ir.Value]) -> ir.Value:
        bits = signature.args[0].bitwidth
        return FLOAT_FUNCTIONS[name](*(emit(builder, value, bits) for value in raw)).raw

    return codegen


def _integer_codegen(name: str) -> Codegen:
    def codegen(context: Any, builder: ir.IRBuilder, signature: Signature, raw: Sequence[ir.Value]) -> ir.Value:
        kind = signature.args[0]
        is_integer = isinstance(kind, types.Integer)
        code = IntegerCode(builder, kind.bitwidth if is_integer else 1, is_integer and kind.signed)
        return INTEGER_FUNCTIONS[name](code, *raw)

    return codegen


def _codegen(name: str, kind: Any) -> Codegen | None:
    """How to emit the function for arguments of a numba type; None where there is no such function."""
    if isinstance(kind, types.Float) and name in FLOAT_FUNCTIONS:
        return _float_codegen(name)
    names: Collection[str] = BOOLEAN_FUNCTIONS if isinstance(kind, types.Boolean) else INTEGER_FUNCTIONS
    if isinstance(kind, types.Integer | types.Boolean) and name in names:
        return _integer_codegen(name)
    return None


def _typed(name: str, *kinds: Any) -> tuple[Signature, Codegen] | None:
    """numba's answer for these argument types: all are to be one type."""
    codegen = _codegen(name, kinds[0])
    if codegen is None or any(kind != kinds[0] for kind in kinds):
        return None
    result = types.boolean if name in PREDICATES else kinds[0]
    return result(*kinds), codegen


def _intrinsic(name: str) -> Callable[..., Any]:
    def unary(typing: Any, x: Any) -> Any:
        return _typed(name, x)

    def binary(typing: Any, x: Any, y: Any) -> Any:
        return _typed(name, x, y)

    chosen = binary if name in BINARY else unary
    chosen.__name__ = chosen.__qualname__ = name
    made: Callable[..., Any] = intrinsic(chosen)
    return made


@lru_cache(maxsize=1)
def intrinsics() -> dict[str, Callable[..., Any]]:
    """The numba intrinsic of each supported function, to be called by name from a kernel."""
    return {name: _intrinsic(name) for name in sorted(ULP_BOUNDS.keys() | INTEGER_FUNCTIONS.keys())}
