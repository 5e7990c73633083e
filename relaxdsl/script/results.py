"""A program's result: what ``return`` means as an expression, and whether it is what the annotation declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relaxdsl.errors import ScriptError, Span
from relaxdsl.ir.graph import Call, Expr, Function, If, MatchCast, Op, PrimValue, ShapeExpr, Tuple
from relaxdsl.ir.visit import all_bindings, all_dims, copy_function
from relaxdsl.operators.calls import as_expr, current_context
from relaxdsl.script.annotations import is_undecided, misfit, names_for_sizes, unknown_size
from relaxdsl.script.interpreter import Interpreter
from relaxdsl.types.dims import SymInt, free_symbols
from relaxdsl.types.types import (
    Grade,
    PrimType,
    ShapeType,
    TensorType,
    TupleType,
    Type,
    free_symbols_of,
    is_base_of,
)

# What call_dps_packed fills has sizes that are known before.
_PACKED = ("call_packed", "call_pure_packed")


def as_result(value: Any, declared: Type | None) -> Expr:
    """What is returned, as an expression: sizes in a tuple are a shape, unless a tuple is declared.

    Raises:
        ScriptError: nothing is returned.
        DTypeError: something that is no value of a program.
    """
    span = current_context().span
    if value is None:
        raise ScriptError("the result is None", hint="return a value", span=span)
    if isinstance(value, list | tuple):
        if isinstance(declared, ShapeType) or (not isinstance(declared, TupleType) and _is_shape(value)):
            return ShapeExpr(tuple(value), span)
        fields = declared.fields if isinstance(declared, TupleType) else ()
        types = [*fields, *([None] * (len(value) - len(fields)))]
        return Tuple(tuple(as_result(item, type_) for item, type_ in zip(value, types, strict=False)), span)
    if isinstance(declared, PrimType) and isinstance(value, int) and not isinstance(value, bool):
        return PrimValue(value, span)
    known = declared.dtype if isinstance(declared, TensorType) else None
    return as_expr(value, "the result", [known] if known is not None else [])


def _is_shape(values: list[Any] | tuple[Any, ...]) -> bool:
    has_symbol = any(isinstance(value, SymInt) for value in values)
    return has_symbol and all(isinstance(value, int | SymInt) for value in values)


def check_before_output(interp: Interpreter, value: Expr, declared: Type | None) -> Expr:
    """With run-time checks, the value asserted to be what is declared, where that cannot be decided."""
    if declared is None or not interp.options.runtime_checks:
        return value
    fit = is_base_of(declared, value.type)
    if fit.grade is not Grade.UNPROVEN or not is_undecided(declared, value.type):
        return value
    message = f"{interp.options.name}: the result: {fit.reason}"
    for left, right in _differing(declared, value.type):
        interp.undecided.append((left, right, message, interp.frame.result_span))
    return interp.builder.match_cast(value, declared)


def _differing(declared: Type, actual: Type) -> Iterator[tuple[Any, Any]]:
    from_types = zip(_sizes(declared), _sizes(actual), strict=False)
    return ((right, left) for left, right in from_types if left is not right)


def _sizes(type_: Type) -> tuple[Any, ...]:
    return type_.shape or () if isinstance(type_, TensorType) else ()


def finish(interp: Interpreter, function: Function, declared: Type | None) -> Function:
    """The function with its declared result type: checked, and data-dependent sizes named as it names them.

    Raises:
        ShapeError, DTypeError: the result is something else.
        ScriptError: a size that nothing gives a value.
    """
    bound = bound_symbols(function, interp)
    if declared is not None:
        new_names = {name for name in free_symbols_of(declared) if name not in bound}
        names = names_for_sizes(declared, function.ret_type, new_names, bound - _param_symbols(function))
        unbound = sorted(new_names.difference(names.values()))
        if unbound:
            raise unknown_size(unbound[0]).at(interp.result_annotation_span)
        if names:
            function = copy_function(function, dims={old: interp.size(new) for old, new in names.items()})
            bound.update(names.values())
        function = _checked(interp, function, declared)
    _require_bound(function, bound)
    return function


def _checked(interp: Interpreter, function: Function, declared: Type) -> Function:
    fit = is_base_of(declared, function.ret_type)
    if interp.options.exact and fit.grade is not Grade.IMPOSSIBLE:
        return replace(function, ret_type=declared)
    if not fit.fits:
        raise misfit(fit, declared, function.ret_type, "the result", interp.frame.result_span)
    return function


def bound_symbols(function: Function, interp: Interpreter) -> set[str]:
    """The symbols that have a value somewhere in the function: of parameters, match_casts, data-dependent calls."""
    bound = _param_symbols(function) | interp.fresh_symbols
    for binding in all_bindings(function):
        if isinstance(binding, MatchCast):
            bound.update(free_symbols_of(binding.target))
        elif isinstance(binding.value, If) or _is_packed(binding.value):
            bound.update(free_symbols_of(binding.value.type))
    return bound


def _is_packed(value: Expr) -> bool:
    return isinstance(value, Call) and isinstance(value.op, Op) and value.op.name in _PACKED


def _param_symbols(function: Function) -> set[str]:
    return {name for param in function.params for name in free_symbols_of(param.type)}


def _require_bound(function: Function, bound: set[str]) -> None:
    used = dict.fromkeys(name for dim in all_dims(function) for name in free_symbols(dim))
    unbound = next((name for name in used if name not in bound), None)
    if unbound is None:
        return
    raise ScriptError(
        f"the size {unbound} has no value: no parameter has an axis of this size",
        hint=f"take a parameter that has it, or pass it: {unbound}: relax.Prim(\"int64\")",
        span=_first_use(function, unbound),
    )


def _first_use(function: Function, name: str) -> Span | None:
    for binding in all_bindings(function):
        if name in free_symbols_of(binding.var.type):
            return binding.span
    return function.span
