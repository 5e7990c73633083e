"""Expressions that mean something else in kernels than in programs: comparisons, logic, and calls of ``T``'s words."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Set
from functools import partial, reduce
from typing import Any

import numpy as np

from relaxdsl import tir
from relaxdsl.errors import KernelError, RelaxError, ScriptError, ShapeError
from relaxdsl.ir.conditions import joined
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.scalar import COMPARISON_NAMES, Apply, ScalarExpr, as_scalar, binary
from relaxdsl.kernels.te_functions import as_condition
from relaxdsl.script.calls import arguments, call_value
from relaxdsl.script.expressions import BINARY, compare_in_turn, items_of, subscript_of
from relaxdsl.script.names import evaluate_name
from relaxdsl.script.scope import NOT_FOUND
from relaxdsl.script.tensor_ir.buffers import BufferView
from relaxdsl.script.tensor_ir.constructs import call_construct
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter, ended, kernel_expression
from relaxdsl.script.tensor_ir.keys import require_known_index, require_known_key, require_known_keys_of_call
from relaxdsl.script.tensor_ir.state import changing_nothing, require_fixed
from relaxdsl.types.dims import DimCompare, SymInt, dim_max, dim_min
from relaxdsl.types.symint import shown, user_compares

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


@kernel_expression(ast.Name)
def evaluate_kernel_name(interp: KernelInterpreter, node: ast.Name) -> Any:
    """The value of a name, which the loop, the branch or the block that began it does not outlive."""
    scope = interp.frame.scope
    is_unknown = scope.find(node.id) is NOT_FOUND and node.id not in interp.symbols
    found = scope.find_ended(node.id) if is_unknown else None
    return ended(node.id, *found) if found is not None else evaluate_name(interp, node)


@kernel_expression(ast.Compare)
def evaluate_kernel_compare(interp: KernelInterpreter, node: ast.Compare) -> Any:
    """``a < b <= c``: a condition of the kernel where an operand is an element, a size or a loop's variable."""
    operands = [interp.evaluate(each) for each in (node.left, *node.comparators)]
    if not any(isinstance(each, ScalarExpr | SymInt) for each in operands):
        for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if isinstance(op, ast.In | ast.NotIn) and isinstance(right, Mapping | Set):
                with interp.at(node):
                    require_known_key(left)
        return compare_in_turn(interp, node, iter(operands))
    with interp.at(node):
        parts = [_compare(op, *pair) for op, *pair in zip(node.ops, operands, operands[1:], strict=False)]
        return reduce(partial(joined, "logical_and"), parts)


def _compare(op: ast.cmpop, left: Any, right: Any) -> ScalarExpr:
    if type(op) not in _COMPARISONS:
        raise ScriptError("`is` and `in` cannot compare what is known only when the kernel runs", hint="write == or !=")
    function = COMPARISON_NAMES[_COMPARISONS[type(op)]]
    if tir.all_sizes(left, right):
        return Apply(function, (as_scalar(left), as_scalar(right)), "bool")
    return binary(function, left, right)


@kernel_expression(ast.BinOp)
def evaluate_kernel_binary(interp: KernelInterpreter, node: ast.BinOp) -> Any:
    """``a + b`` and its like; bits are those of integers."""
    return apply_binary(interp, node, interp.evaluate(node.left), interp.evaluate(node.right))


def apply_binary(interp: KernelInterpreter, node: ast.BinOp, left: Any, right: Any) -> Any:
    """The operator of ``node`` on the values of its sides.

    Raises:
        DTypeError, ShapeError: it is not for these.
    """
    if not isinstance(left, ScalarExpr) and not isinstance(right, ScalarExpr):
        _require_size(node, left, right)
        if isinstance(left, SymInt) or isinstance(right, SymInt):  # as in Python, True is 1
            left, right = (int(each) if isinstance(each, bool | np.bool_) else each for each in (left, right))
    with interp.at(node):
        if not any(isinstance(each, ScalarExpr | SymInt) for each in (left, right)):
            with user_compares(True):  # an operator may be a user's
                return BINARY[type(node.op)](left, right)
        try:
            return BINARY[type(node.op)](left, right)
        except RelaxError:  # some are TypeErrors, too
            raise
        except TypeError as error:
            raise _no_operator(node, left, right) from error


def _no_operator(node: ast.BinOp, left: Any, right: Any) -> ScriptError:
    """The error for an operator that is not one of these values."""
    return ScriptError(f"`{ast.unparse(node)}`: there is no such operation of {_kind(left)} and {_kind(right)}")


def _kind(value: Any) -> str:
    if isinstance(value, ScalarExpr):
        return "an element"
    return "an integer" if isinstance(value, int | SymInt) else f"a {type(value).__name__}"


def _require_size(node: ast.BinOp, left: Any, right: Any) -> None:
    """Refuses what makes a fraction of a size or of a loop's variable, or takes its bits.

    Raises:
        ShapeError: it does.
    """
    sizes = [side for side, value in ((node.left, left), (node.right, right)) if isinstance(value, SymInt)]
    is_division = isinstance(node.op, ast.Div) and tir.all_sizes(left, right)
    is_of_integers = isinstance(node.op, _OF_BITS) or (isinstance(node.op, ast.Pow) and isinstance(right, SymInt))
    is_of_floats = isinstance(left, float) or isinstance(right, float)
    if not sizes or not (is_division or is_of_integers or is_of_floats):
        return
    dtype = "int64" if is_of_integers and not is_of_floats else "float32"
    whole = f"write {ast.unparse(ast.BinOp(node.left, ast.FloorDiv(), node.right))}; " if is_division else ""
    raise _no_size(node, f'{whole}for a number, convert first: T.cast({ast.unparse(sizes[0])}, "{dtype}")')


def _no_size(node: ast.expr, hint: str) -> ShapeError:
    return ShapeError(f"`{ast.unparse(node)}` is no size: sizes are integers, made with + - * // %", hint=hint)


_OF_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)


@kernel_expression(ast.BoolOp)
def evaluate_kernel_bool(interp: KernelInterpreter, node: ast.BoolOp) -> Any:
    """``a and b``, ``a or b``: of conditions of the kernel, or as in Python. The left side guards the right one."""
    is_and = isinstance(node.op, ast.And)
    value: Any = None
    for i, operand in enumerate(node.values):
        right = _chosen(interp, operand) if isinstance(value, ScalarExpr) else interp.evaluate(operand)
        with interp.at(operand):
            if isinstance(right, ScalarExpr | SymInt):
                right = as_condition(right)
            if i and (isinstance(value, ScalarExpr) or isinstance(right, ScalarExpr)):
                sides = (as_condition(each) for each in (value, right))
                value = joined("logical_and" if is_and else "logical_or", *sides)
                continue
        value = right
        if not isinstance(value, ScalarExpr) and bool(value) is not is_and:
            return value
    return value


@kernel_expression(ast.UnaryOp)
def evaluate_kernel_unary(interp: KernelInterpreter, node: ast.UnaryOp) -> Any:
    """``-a``, ``~a``, ``not a``."""
    value = interp.evaluate(node.operand)
    with interp.at(node):
        match node.op:
            case ast.Not():
                return tir.logical_not(as_condition(value)) if isinstance(value, ScalarExpr | SymInt) else not value
            case ast.USub():
                return -value
            case ast.Invert():
                if isinstance(value, SymInt):
                    raise _no_size(node, f'for a number, convert first: ~T.cast({ast.unparse(node.operand)}, "int64")')
                return ~value
            case _:
                return value


@kernel_expression(ast.IfExp)
def evaluate_kernel_choice(interp: KernelInterpreter, node: ast.IfExp) -> Any:
    """``a if condition else b``: what is not chosen is not evaluated."""
    condition = evaluate_condition(interp, node.test)
    if not isinstance(condition, ScalarExpr):
        return interp.evaluate(node.body if condition else node.orelse)
    with interp.at(node):
        return tir.if_then_else(condition, _chosen(interp, node.body), _chosen(interp, node.orelse))


def evaluate_condition(interp: KernelInterpreter, node: ast.expr) -> Any:
    """A condition of the kernel, which is a bool; or a Python value, whose truth is known now.

    Raises:
        DTypeError: an element or a size that is compared with nothing.
    """
    value = interp.evaluate(node)
    if not isinstance(value, ScalarExpr | SymInt | DimCompare):
        return value
    with interp.at(node):
        return as_condition(value)


def _chosen(interp: KernelInterpreter, node: ast.expr) -> Any:
    """The value of an operand that is computed only where the kernel chooses it.

    Raises:
        ScriptError: it makes statements, which would run always.
    """
    count = len(interp.body)
    with interp.fixing(interp.frame.scope):
        value = interp.evaluate(node)
    if len(interp.body) > count:
        raise ScriptError(
            "what is computed only on a condition cannot assign or store",
            hint="write an `if` statement",
            span=interp.source.span(node),
        )
    return value


@kernel_expression(ast.Call)
def evaluate_kernel_call(interp: KernelInterpreter, node: ast.Call) -> Any:
    """``function(arguments)``: a word of ``T``, or any function, which runs now."""
    with interp.naming_symbols(False):
        interp.called = node.func
        function = interp.evaluate(node.func)
    if isinstance(function, tir.Construct):
        return call_construct(interp, function, node)
    if isinstance(getattr(function, "ir", None), PrimFunc | Function):
        raise ScriptError(
            f"{function.__name__}: a kernel calls no kernel and no relax function",
            hint="call both in a @relax.function; what kernels share is a plain helper that returns a value",
        )
    args, kwargs = arguments(interp, node, function)
    if function is builtins.min or function is builtins.max:
        with interp.at(node):
            if len(args) == 1 and hasattr(args[0], "__iter__"):
                args = [list(items_of(interp, args[0], node))]
            values = args[0] if len(args) == 1 and isinstance(args[0], list) else args
            if any(isinstance(each, ScalarExpr) for each in values):
                return _extreme(function, values, kwargs)
    try:
        with interp.at(node):
            return interp.declared(_call_plain(interp, node, function, args, kwargs))
    except (ScriptError, KernelError) as error:
        is_misfit = isinstance(error, KernelError) or isinstance(error.__cause__, TypeError)
        instead = _instead(function, args) if is_misfit else None
        if instead is None:
            raise
        name = function.__name__
        what = f"np.{name}: a NumPy function" if _origin(function) == "numpy" else f"{name}: a function of Python"
        raise ScriptError(f"{what} cannot take elements of a kernel", hint=instead) from None


def _call_plain(
    interp: KernelInterpreter, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """The result of a function that is no word of ``T``.

    Raises:
        ScriptError: it would ask for, or change, what is known only when the kernel runs.
    """
    is_of_type = function is builtins.isinstance or function is builtins.type
    if is_of_type and args and isinstance(args[0], ScalarExpr | SymInt):
        raise ScriptError(
            f"{function.__name__}: `{shown(args[0])}` is known only when the kernel runs, so it has no type of Python",
            hint="sizes and loops are int64, and a buffer knows the dtype of its elements: x.dtype",
        )
    require_known_keys_of_call(function, args)
    values = [*args, *kwargs.values()]
    require_fixed(interp, node, function, values)
    with changing_nothing(interp, node, function, values):
        return call_value(interp, node, function, args, kwargs)


def _extreme(function: Any, values: list[Any], kwargs: dict[str, Any]) -> Any:
    """The least or the greatest of values, some of which are elements. Sizes and numbers take the elements' dtype."""
    if kwargs:
        raise ScriptError(
            f"{function.__name__}: of elements it has no argument {next(iter(kwargs))!r}",
            hint="compare what is wanted: T.if_then_else(T.abs(a) < T.abs(b), a, b)",
        )
    on_sizes, on_scalars = _EXTREMES[function]
    sizes = [each for each in values if tir.all_sizes(each)]
    elements = [each for each in values if isinstance(each, ScalarExpr)]
    others = [each for each in values if not tir.all_sizes(each) and not isinstance(each, ScalarExpr)]
    return reduce(on_scalars, [*elements, *others, *([on_sizes(*sizes)] if sizes else [])])


_EXTREMES: dict[Any, Any] = {builtins.min: (dim_min, tir.minimum), builtins.max: (dim_max, tir.maximum)}


def _instead(function: Any, args: list[Any]) -> str | None:
    """What to write instead of a function of ``math``, NumPy or Python that ``T`` has too."""
    name = getattr(function, "__name__", "")
    if function is np.where:
        return "write T.if_then_else(condition, a, b)"
    if function is builtins.int or function is builtins.float:
        dtype = "int64" if function is builtins.int else "float32"
        return f'write T.cast(x[i], "{dtype}")' if any(isinstance(each, ScalarExpr) for each in args) else None
    word = getattr(tir, name, None)
    is_function = callable(word) and not isinstance(word, tir.Construct)
    return f"write T.{name}(…)" if _origin(function) in ("math", "numpy", "builtins") and is_function else None


def _origin(function: Any) -> str:
    """The module that a function is from; NumPy's ufuncs do not say so."""
    return str(getattr(function, "__module__", "numpy"))


@kernel_expression(ast.Subscript)
def evaluate_kernel_subscript(interp: KernelInterpreter, node: ast.Subscript) -> Any:
    """``x[i]``: an element; an item of what Python has."""
    container, index = subscript_of(interp, node)
    with interp.at(node):
        require_known_index(container, index, ast.unparse(node.value))
        with user_compares(not isinstance(container, BufferView) and not interp.is_type_constructor(container)):
            return interp.declared(container[index])
