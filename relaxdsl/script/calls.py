"""Calls: of operators, of plain Python functions while parsing, of other programs; names that mean more here."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.errors import RelaxError, ScriptError
from relaxdsl.ir.graph import Expr, GlobalVar, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.operators.calls import as_expr, bind_arguments
from relaxdsl.operators.numpy_protocol import element_hint, name_in_numpy, operator_hint, refuse
from relaxdsl.script.expressions import as_dim, as_operand, items_of
from relaxdsl.script.interpreter import Interpreter, expression
from relaxdsl.script.names import instead_of
from relaxdsl.script.scope import Poisoned
from relaxdsl.trace import literals, statements
from relaxdsl.trace.function_calls import Program, call_global, call_program
from relaxdsl.trace.memory_calls import call_kernel_into
from relaxdsl.types.constructors import as_type
from relaxdsl.types.dims import SymInt, dim_max, dim_min
from relaxdsl.types.reading import reading
from relaxdsl.types.symint import shown, user_compares
from relaxdsl.types.types import ShapeType, TupleType, with_named_sizes
from relaxdsl.user_lines import lines_of

_PACKAGE_NAME = f"{__name__.partition('.')[0]}."

Intrinsic: TypeAlias = Callable[..., Any]


@expression(ast.Call)
def evaluate_call(interp: Interpreter, node: ast.Call) -> Any:
    """``function(arguments)``."""
    with interp.naming_symbols(False):
        interp.called = node.func
        function = interp.evaluate(node.func)
    args, kwargs = arguments(interp, node, function)
    with interp.at(node):
        return interp.declared(call_value(interp, node, function, args, kwargs))


def arguments(interp: Interpreter, node: ast.Call, function: Any) -> tuple[list[Any], dict[str, Any]]:
    """The values of the arguments of a call of ``function``, and of those with names."""
    with interp.naming_symbols(_arguments_name_symbols(interp, function)):
        return list(positional(interp, node)), _keywords(interp, node)


def _arguments_name_symbols(interp: Interpreter, function: Any) -> bool:
    """Whether an unknown name among the arguments is a new symbol: in ``relax.Tensor((m, min(m, k)))``."""
    is_of_sizes = any(function is each for each in _OF_SIZES)
    return interp.is_type_constructor(function) or (interp.names_symbols and is_of_sizes)


def positional(interp: Interpreter, node: ast.Call) -> Iterator[Any]:
    """The values of the arguments without names, those after a star one by one."""
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            yield from items_of(interp, interp.evaluate(arg.value), arg)
        else:
            yield interp.evaluate(arg)


def _keywords(interp: Interpreter, node: ast.Call) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for keyword in node.keywords:
        value = interp.evaluate(keyword.value)
        new = dict(value) if keyword.arg is None else {keyword.arg: value}
        twice = next((name for name in new if name in result), None)
        if twice is not None:
            raise ScriptError(f"argument {twice!r} is given twice")
        result.update(new)
    return result


def call_value(interp: Interpreter, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of calling ``function`` on values."""
    intrinsic = _intrinsic(function)
    if intrinsic is not None:
        return intrinsic(interp, node, *args, **kwargs)
    if isinstance(function, GlobalVar):
        kernel = interp.builder.get().functions.get(function.name) if interp.options.exact else None
        if isinstance(kernel, PrimFunc) and len(args) >= len(kernel.params):
            return call_kernel_into(function, args, kwargs)
        return call_global(interp.builder, function, args)
    if isinstance(function, Expr):
        raise ScriptError(f"{ast.unparse(node.func)} is a {function.type}, which cannot be called")
    if not isinstance(function, type) and isinstance(function, Program):
        return call_program(interp.builder, function, args, kwargs)
    if hasattr(function, "__relax_operator__"):
        args = [as_operand(interp, arg) for arg in args]
        kwargs = {name: as_operand(interp, value) for name, value in kwargs.items()}
    elif _is_numpy(function):
        _refuse_tensors(function, [*args, *kwargs.values()])
    return _call_native(interp, node, function, args, kwargs)


# ----------------------------------------------------------------------------------------------- plain Python functions


def _call_native(interp: Interpreter, node: ast.Call, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Calls a Python function now; what it raises is shown at the user's line, with its own line as a detail."""
    try:
        with user_compares(True):
            return function(*args, **kwargs)
    except Poisoned:
        raise
    except RelaxError as error:
        error.details += tuple(map(str, lines_of(error.__traceback__)))
        if getattr(function, "__module__", None) == "math" and any(isinstance(each, ScalarExpr) for each in args):
            error.hint = element_hint(function.__name__, "x[i]")
        raise
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        if isinstance(error, TypeError) and (getattr(function, "__module__", None) or "").startswith(_PACKAGE_NAME):
            bind_arguments(name, inspect.signature(function), args, kwargs)
        raise ScriptError(
            f"{name}: {type(error).__name__}: {error}",
            details=map(str, lines_of(error.__traceback__)),
            hint=_hint_for(function, name, [*args, *kwargs.values()], error),
            span=interp.source.span(node),
        ) from error


def _is_numpy(function: Any) -> bool:
    if isinstance(function, np.ufunc):
        return True
    module = getattr(function, "__module__", None) or ""
    return module == "numpy" or module.startswith("numpy.")


def _refuse_tensors(function: Any, values: list[Any]) -> None:
    if not _has_tensor(values):
        return
    hint = None
    if isinstance(function, type) and issubclass(function, np.generic):
        hint = f'write x.astype("{np.dtype(function).name}")'
    refuse(name_in_numpy(function), hint=hint)


def _has_tensor(values: Any) -> bool:
    return any(
        isinstance(value, Expr) or (isinstance(value, list | tuple) and _has_tensor(value)) for value in values
    )


def _hint_for(function: Any, name: str, values: list[Any], error: Exception) -> str | None:
    """What to write instead of a name that a module has not, or of a function that takes no tensors or sizes."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType) and error.name is not None:
        return instead_of(error.obj, error.obj.__name__.rpartition(".")[2], error.name)
    if hasattr(function, "__code__"):
        return None
    size = next((each for each in values if isinstance(each, SymInt)), None)
    if size is not None:
        return reading().instead_of_number(shown(size))
    return operator_hint(name) if _has_tensor(values) else None


# ------------------------------------------------------------------------------------------------- names that mean more


def _match_cast(interp: Interpreter, node: ast.Call, value: Any, target: Any) -> Var:
    type_ = as_type(target)
    type_ = interp.declare(type_ if interp.options.exact else with_named_sizes(type_, "u", interp.builder.fresh_symbol))
    interp.last_bound = interp.builder.match_cast(as_expr(value, "match_cast"), type_, interp.take_hint())
    return interp.last_bound


def _call_tir(interp: Interpreter, node: ast.Call, *args: Any, **kwargs: Any) -> Any:
    """``relax.call_tir``; in a printed program, what passes have noted about the call follows its arguments."""
    noted = [name for name in kwargs if name not in ("kernel", "args", "out")] if interp.options.exact else []
    attrs = {name: kwargs.pop(name) for name in noted}
    call = _call_native(interp, node, statements.call_tir, list(args), kwargs)
    return replace(call, attrs=MappingProxyType(attrs)) if attrs else call


def _output(interp: Interpreter, node: ast.Call, *values: Any) -> None:
    if interp.outputs is None:
        raise ScriptError(
            "relax.output: there is no dataflow block here",
            hint="it is the last statement of a `with relax.dataflow():`",
        )
    for value in values:
        if not isinstance(value, Var):
            raise ScriptError("relax.output takes variables of the dataflow block", hint="assign the value first")
        interp.outputs.append(value)


def _constant(interp: Interpreter, node: ast.Call, index: int) -> Any:
    if not 0 <= index < len(interp.options.constants):
        return literals.constant(index)
    return interp.options.constants[index]


def _len(interp: Interpreter, node: ast.Call, value: Any) -> Any:
    if not isinstance(value, Expr):
        return len(value)
    if isinstance(value.type, TupleType):
        return len(value.type.fields)
    if isinstance(value.type, ShapeType) and value.type.ndim >= 0:
        return value.type.ndim
    if not value.shape:
        raise ScriptError("len: a 0-d tensor has no length")
    return value.shape[0]


def _bool(interp: Interpreter, node: ast.Call, value: Any = False) -> bool:
    return bool(value)


def _extremum(of_dims: Callable[..., Any], plain: Callable[..., Any], instead: str) -> Intrinsic:
    def call(interp: Interpreter, node: ast.Call, *args: Any, **kwargs: Any) -> Any:
        values = [as_dim(arg) for arg in (args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args)]
        if _has_tensor(values):
            raise ScriptError(
                f"{plain.__name__}: Python's {plain.__name__} cannot compare tensors",
                hint=f"write relax.{instead}(a, b), or x.{plain.__name__}() for the extreme element of one",
            )
        if any(isinstance(value, SymInt) for value in values) and not kwargs:
            return of_dims(*values)
        with user_compares(True):  # sizes may be in tuples
            return plain(*args, **kwargs)

    return call


def _number(plain: type[int] | type[float]) -> Intrinsic:
    def call(interp: Interpreter, node: ast.Call, *args: Any, **kwargs: Any) -> Any:
        if _has_tensor(args):
            raise ScriptError(
                f"{plain.__name__}: a tensor's value is not known when parsing",
                hint=f'write x.astype("{plain.__name__}64")',
            )
        return plain(*args, **kwargs)

    return call


def _refused(name: str, hint: str) -> Intrinsic:
    def call(interp: Interpreter, node: ast.Call, *args: Any, **kwargs: Any) -> Any:
        raise ScriptError(f"{name} cannot be used inside a program", hint=hint)

    return call


_INTRINSICS: dict[Any, Intrinsic] = {
    statements.match_cast: _match_cast,
    statements.call_tir: _call_tir,
    statements.output: _output,
    statements.dataflow: _refused("relax.dataflow outside of a with statement", "write `with relax.dataflow():`"),
    literals.constant: _constant,
    builtins.len: _len,
    builtins.bool: _bool,
    builtins.int: _number(int),
    builtins.float: _number(float),
    builtins.min: _extremum(dim_min, min, "minimum"),
    builtins.max: _extremum(dim_max, max, "maximum"),
    builtins.eval: _refused("eval", "call a plain Python function that contains it"),
    builtins.exec: _refused("exec", "call a plain Python function that contains it"),
    builtins.locals: _refused("locals", "name the values that you need"),
    builtins.globals: _refused("globals", "name the values that you need"),
    builtins.super: _refused("super", "call a plain Python function that contains it"),
}
_OF_SIZES = (builtins.min, builtins.max, math.prod)


def _intrinsic(function: Any) -> Intrinsic | None:
    try:
        return _INTRINSICS.get(function)
    except TypeError:
        return None
