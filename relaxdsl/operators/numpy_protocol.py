"""What NumPy does when it meets a graph expression: its operators work, its functions say what to write instead."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import Expr
from relaxdsl.operators import registry
from relaxdsl.operators.calls import current_context, make_call
from relaxdsl.types.symint import user_compares

# What ``array + expr`` calls: the operator of an array on the left.
_OPERATORS = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "floor_divide": "floor_divide",
    "remainder": "floor_mod",
    "power": "power",
    "matmul": "matmul",
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "less",
    "less_equal": "less_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "left_shift": "left_shift",
    "right_shift": "right_shift",
}

#: What NumPy, PyTorch and JAX call what has another name here.
ELSEWHERE = {
    "absolute": "abs", "amax": "max", "amin": "min", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "bitwise_invert": "bitwise_not",
    "bmm": "matmul", "cat": "concat", "clamp": "clip", "concatenate": "concat", "dot": "matmul", "double": "astype",
    "embedding": "take", "expand": "broadcast_to", "float": "astype", "fmod": "mod", "gather": "take", "half": "astype",
    "int": "astype", "invert": "bitwise_not", "logaddexp": "log_add_exp", "long": "astype", "mm": "matmul",
    "moveaxis": "permute_dims", "permute": "permute_dims", "ravel": "flatten", "reciprocal": "divide",
    "remainder": "floor_mod", "size": "shape", "swapaxes": "permute_dims", "to": "astype", "transpose": "permute_dims",
    "true_divide": "divide", "type": "astype", "unsqueeze": "expand_dims", "var": "variance", "view": "reshape",
}  # fmt: skip
_CONVERSIONS = ("array", "asanyarray", "asarray", "ascontiguousarray")


def array_ufunc(expr: Expr, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``array + expr`` as the operator's call.

    Raises:
        ScriptError: for a ufunc that no operator stands for, such as ``np.exp(expr)``.
    """
    name = _OPERATORS.get(ufunc.__name__)
    if name is None or method != "__call__" or kwargs or isinstance(inputs[0], Expr):
        refuse(ufunc.__name__)
    with user_compares(False):
        return make_call(registry.get(name), inputs, {})


def array_function(expr: Expr, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
    """Refuses ``np.sum(expr)`` and the like.

    Raises:
        ScriptError: always.
    """
    refuse(function.__name__)


def array(expr: Expr, dtype: Any = None, copy: Any = None) -> NoReturn:
    """Refuses ``np.asarray(expr)``.

    Raises:
        ScriptError: always.
    """
    refuse("asarray", "a tensor of a program has no values while the program is read")


def refuse(
    name: str, reason: str = "a NumPy function cannot take a tensor of the program", hint: str | None = None
) -> NoReturn:
    """Raises the ScriptError for a NumPy function on an expression; names the operator to write instead."""
    raise ScriptError(f"np.{name}: {reason}", hint=hint or operator_hint(name), span=current_context().span)


def operator_hint(name: str) -> str | None:
    """What to write instead of the NumPy function ``name``, if there is such an operator."""
    if name in _CONVERSIONS:
        return "leave it out: operators take the tensor as it is"
    known = registry.find(ELSEWHERE.get(name, name))
    return f"write relax.{known.name}" if known is not None else None


Expr.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Expr.__array_function__ = array_function  # type: ignore[attr-defined]
Expr.__array__ = array  # type: ignore[attr-defined]
