"""Parameters: their types from annotations, the symbols they bind, and what their names mean in the body."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span, display_name
from relaxdsl.ir.graph import Var
from relaxdsl.script.annotations import annotated_type, evaluate_type
from relaxdsl.script.interpreter import Interpreter
from relaxdsl.types.binding import plan_binding
from relaxdsl.types.dims import symbol
from relaxdsl.types.types import PrimType, ShapeType, Type, free_symbols_of, with_named_sizes


@dataclass(frozen=True, slots=True)
class Signature:
    """A program's parameters, and the type declared for its result (None where there is no annotation)."""

    params: tuple[Var, ...]
    result: Type | None


def declare_signature(interp: Interpreter, node: ast.FunctionDef, evaluated: Mapping[str, Any]) -> Signature:
    """The signature of a definition; its parameters become variables.

    Args:
        evaluated: annotations that Python has evaluated already, by name (``return`` for the result).

    Raises:
        ScriptError: a parameter without annotation, with a default, with a star; a symbol that is never bound.
    """
    _refuse_other_parameters(interp, node)
    types = [_declared_type(interp, arg, evaluated) for arg in node.args.args]
    params = tuple(_declare_param(interp, arg, type_) for arg, type_ in zip(node.args.args, types, strict=True))
    _plan_symbols(interp, node, params)
    if node.returns is None:
        return Signature(params, None)
    known = dict(interp.symbols)
    result = _annotation(interp, node.returns, evaluated.get("return", ""))
    # A size that only the result has is not known in the body: it names one that is found there.
    interp.symbols = known
    return Signature(params, result)


def _refuse_other_parameters(interp: Interpreter, node: ast.FunctionDef) -> None:
    args = node.args
    refused: list[tuple[ast.AST | None, str, str]] = [
        (args.vararg, "a program has a fixed number of parameters", "pass a tuple: xs: relax.Tuple(…)"),
        (args.kwarg, "a program has a fixed number of parameters", "name each parameter"),
        (next(iter(args.posonlyargs), None), "positional-only parameters are not supported", "leave out the `/`"),
        (next(iter(args.kwonlyargs), None), "keyword-only parameters are not supported", "leave out the `*`"),
        (next(iter(args.defaults), None), "a parameter cannot have a default value", "leave it out, and pass it"),
    ]
    for found, what, hint in refused:
        if found is not None:
            raise ScriptError(f"{node.name}: {what}", hint=hint, span=interp.source.span(found))


def _declared_type(interp: Interpreter, arg: ast.arg, evaluated: Mapping[str, Any]) -> Type:
    if arg.annotation is None:
        is_object = arg.arg in ("self", "cls") and interp.options.module_name is not None
        raise ScriptError(
            f"parameter {arg.arg} has no annotation",
            hint=f"leave {arg.arg} out: the functions of a module call each other as cls.other(x)"
            if is_object
            else f'write its type, for example {arg.arg}: relax.Tensor[("n", 4), "float32"]',
            span=interp.source.span(arg),
        )
    return _annotation(interp, arg.annotation, evaluated.get(arg.arg, ""))


def _declare_param(interp: Interpreter, arg: ast.arg, type_: Type) -> Var:
    """The parameter; its sizes have the bounds that any parameter declares for them."""
    if not interp.options.exact:
        type_ = interp.declare(with_named_sizes(type_, arg.arg, symbol))
    var = Var(arg.arg, type_, interp.source.span(arg))
    interp.frame.scope.variables[arg.arg] = var if interp.options.exact else _meaning(var)
    return var


def _annotation(interp: Interpreter, node: ast.expr, evaluated: Any) -> Type:
    """The type an annotation means: from what Python made of it, else from the source."""
    if isinstance(evaluated, str):
        return evaluate_type(interp, node)
    try:
        type_ = annotated_type(evaluated)
    except ScriptError as error:
        error.at(interp.source.span(node))
        raise
    return interp.declare(type_)


def _meaning(param: Var) -> Any:
    """What a parameter's name stands for: an integer is a dim, a shape a tuple of dims."""
    match param.type:
        case PrimType(value=value) if value is not None:
            return value
        case ShapeType(values=tuple(values)):
            return values
    return param


def _plan_symbols(interp: Interpreter, node: ast.FunctionDef, params: tuple[Var, ...]) -> None:
    """Notes where each symbol is bound, for messages; refuses those that cannot be bound."""
    try:
        plan = plan_binding([(param.name, param.type) for param in params])
    except ScriptError as error:
        blamed = [p for p in params for name in free_symbols_of(p.type) if f"symbol {name} " in error.headline]
        error.at(blamed[0].span if blamed else interp.source.name_span(node))
        raise
    for name, source in plan.bound_at().items():
        place = _place(params[source.param].span)
        interp.symbol_places[name] = f"{name} is bound by {source.describe(plan.params)}{place}"


def _place(span: Span | None) -> str:
    return "" if span is None else f" ({display_name(span.file)}:{span.line})"
