"""What NumPy does when it meets a graph expression, an element or a size: its operators work, its functions say what to
write instead.
"""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

import numpy as np

from relaxdsl.errors import KernelError, ScriptError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.scalar import ScalarExpr, element_of
from relaxdsl.ir.te import Tensor
from relaxdsl.kernels import te, te_functions
from relaxdsl.operators import registry
from relaxdsl.operators.calls import current_context, make_call
from relaxdsl.types.dims import SymInt
from relaxdsl.types.reading import FUNCTION, TE, Reading, reading
from relaxdsl.types.symint import shown, user_compares

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

# What Python calls of the right operand where the left one is NumPy's and does not know it.
_REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__", "remainder": "__rmod__", "divmod": "__rdivmod__", "power": "__rpow__",
    "bitwise_and": "__rand__", "bitwise_or": "__ror__", "bitwise_xor": "__rxor__", "left_shift": "__rlshift__",
    "right_shift": "__rrshift__", "equal": "__eq__", "not_equal": "__ne__", "less": "__gt__", "less_equal": "__ge__",
    "greater": "__lt__", "greater_equal": "__le__",
}  # fmt: skip

#: What NumPy, PyTorch and JAX call what has another name here.
ELSEWHERE = {
    "absolute": "abs", "amax": "max", "amin": "min", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "bitwise_invert": "bitwise_not",
    "bmm": "matmul", "cat": "concat", "clamp": "clip", "concatenate": "concat", "dot": "matmul", "double": "astype",
    "embedding": "take", "expand": "broadcast_to", "fabs": "abs", "float": "astype", "float_power": "power",
    "fmod": "mod", "gather": "take", "half": "astype", "int": "astype", "invert": "bitwise_not",
    "logaddexp": "log_add_exp", "long": "astype", "mm": "matmul", "moveaxis": "permute_dims", "permute": "permute_dims",
    "pow": "power", "ravel": "flatten", "reciprocal": "divide", "remainder": "floor_mod", "rint": "round",
    "scaled_dot_product_attention": "attention",
    "size": "shape", "swapaxes": "permute_dims", "t": "T", "to": "astype", "transpose": "permute_dims",
    "true_divide": "divide", "type": "astype", "unsqueeze": "expand_dims", "var": "variance", "view": "reshape",
}  # fmt: skip
#: The reductions of elements that NumPy has as methods of functions.
_REDUCTIONS = {
    "add": "sum", "logical_and": "all", "logical_or": "any", "maximum": "max", "minimum": "min", "multiply": "prod",
}  # fmt: skip
_SYMBOLS = {"add": "+", "multiply": "*", "subtract": "-"}
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
    refuse(name_in_numpy(function))


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


def name_in_numpy(function: Any) -> str:
    """What follows ``np.`` in the function's name: ``linalg.norm``."""
    module = getattr(function, "__module__", None) or ""
    _, _, inner = module.partition("numpy.")
    name = getattr(function, "__name__", str(function))
    return name if not inner or "_" in inner else f"{inner}.{name}"


def operator_hint(name: str) -> str | None:
    """What to write instead of the NumPy function ``name``, if there is such an operator."""
    if name in _CONVERSIONS:
        return "leave it out: operators take the tensor as it is"
    last = name.rpartition(".")[2]
    known = registry.find(ELSEWHERE.get(last, last))
    return f"write relax.{known.name}" if known is not None else None


def element_ufunc(element: ScalarExpr, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``np.float32(2) * x[i]`` as the element's own operator.

    Raises:
        KernelError: for a ufunc that is none, such as ``np.exp(x[i])``; names the function to write instead.
    """
    result = _reflected(ScalarExpr, ufunc, method, inputs, kwargs)
    if result is None:
        name = ufunc.__name__
        what = f"np.{name}" if method == "__call__" else f"np.{name}.{method}"
        hint = element_hint(name, "x[i]") if method == "__call__" else _reduction_hint(name, method)
        raise KernelError(f"{what}: a NumPy function cannot take an element", hint=hint)
    return result


def whole_ufunc(tensor: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> NoReturn:
    """Refuses ``np.exp(x)`` of a whole TE tensor.

    Raises:
        KernelError: always.
    """
    hint = element_hint(ufunc.__name__, element_of(tensor.buffer))
    raise KernelError(f"np.{ufunc.__name__}: {tensor.name} is no element", hint=hint)


def size_ufunc(size: SymInt, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """``np.int64(2) * n`` as the size's own operator.

    Raises:
        ShapeError: for a ufunc that is none, such as ``np.sqrt(n)``.
    """
    result = _reflected(SymInt, ufunc, method, inputs, kwargs)
    if result is None:
        headline = f"np.{ufunc.__name__}: the size `{shown(size)}` is not a number yet: it is not known when compiling"
        raise ShapeError(headline, hint=reading().instead_of_number(shown(size)))
    return result


def _reflected(kind: type, ufunc: np.ufunc, method: str, inputs: Any, kwargs: Any) -> Any:
    """What Python's operator gives that NumPy's ufunc stands for; None where it stands for none.

    It does where an object of NumPy's is on the left.
    """
    name = _REFLECTED.get(ufunc.__name__)
    if name is None or method != "__call__" or kwargs or isinstance(inputs[0], kind):
        return None
    left = np.asarray(inputs[0])
    result = getattr(inputs[1], name)(left if left.ndim else left[()])  # NumPy compares numbers as arrays
    if result is NotImplemented and ufunc in (np.equal, np.not_equal):
        return ufunc is np.not_equal
    return result


def element_hint(name: str, element: str) -> str | None:
    """What to write instead of the NumPy function ``name`` of an element, written like ``element``."""
    known = ELSEWHERE.get(name, name)
    if known in _SYMBOLS:
        return f"write {element} {_SYMBOLS[known]} y"
    if known not in te_functions.__all__:
        return _reading_elements().functions
    arguments = ", ".join([element, "y"][: len(inspect.signature(getattr(te_functions, known)).parameters)])
    return f"write {_reading_elements().words}.{known}({arguments})"


def _reduction_hint(name: str, method: str) -> str | None:
    what = _reading_elements()
    is_reduction = method == "reduce" and name in _REDUCTIONS
    return te.reduction_hint(_REDUCTIONS[name]) if what is TE and is_reduction else what.functions


def _reading_elements() -> Reading:
    """What is being read; a tensor expression outside of ``emit_te``, too."""
    return TE if reading() is FUNCTION else reading()


Expr.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Expr.__array_function__ = array_function  # type: ignore[attr-defined]
Expr.__array__ = array  # type: ignore[attr-defined]
ScalarExpr.__array_ufunc__ = element_ufunc
Tensor.__array_ufunc__ = whole_ufunc  # type: ignore[attr-defined]
SymInt.__array_ufunc__ = size_ufunc
