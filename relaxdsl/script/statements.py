"""Simple statements: assignments, expressions, assert, return."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relaxdsl.errors import ScriptError, ShapeError, Span
from relaxdsl.ir.graph import Call, Expr, If, TupleGetItem
from relaxdsl.operators.calls import as_expr
from relaxdsl.script.annotations import (
    annotated_type,
    check_declared,
    evaluate_annotation,
    name_fresh_sizes,
)
from relaxdsl.script.expressions import apply, truth_at
from relaxdsl.script.interpreter import Flow, Interpreter, statement
from relaxdsl.script.targets import assign, assign_exactly
from relaxdsl.types.bounds import declaration
from relaxdsl.types.dims import is_symbol
from relaxdsl.types.shape import naming_hint
from relaxdsl.types.symint import DimCompare, shown
from relaxdsl.types.types import Grade, TensorType, Type, is_base_of


@statement(ast.Assign)
def run_assign(interp: Interpreter, node: ast.Assign) -> Flow:
    """``a = b = value``."""
    value = _value_for(interp, node.targets[0], node.value)
    if interp.options.exact and isinstance(target := node.targets[0], ast.Name):
        assign_exactly(interp, target.id, value, is_bound=_is_bound(interp, node.value, value))
        return Flow.NEXT
    for target in node.targets:
        assign(interp, target, value)
        value = interp.frame.scope.variables[target.id] if isinstance(target, ast.Name) else value
    return Flow.NEXT


def _value_for(interp: Interpreter, target: ast.expr, node: ast.expr) -> Any:
    """The value of an assignment; what is bound while it is computed may take the target's name."""
    interp.new_symbols.clear()
    interp.last_bound = None
    interp.hint = (interp.source.span(node), target.id if isinstance(target, ast.Name) else "")
    return interp.evaluate(node)


def _is_bound(interp: Interpreter, node: ast.expr, value: Any) -> bool:
    """Whether a printed assignment's value was bound while it was computed: match_cast and impure calls are."""
    return isinstance(node, ast.Call) and value is interp.last_bound


@statement(ast.AnnAssign)
def run_annotated_assign(interp: Interpreter, node: ast.AnnAssign) -> Flow:
    """``name: type = value``: the type is checked, and its new names are those of data-dependent sizes."""
    if node.value is None or not isinstance(node.target, ast.Name):
        raise ScriptError("a declaration without a value does nothing", hint="write name: type = value")
    value = _value_for(interp, node.target, node.value)
    known = set(interp.symbols)
    annotation = evaluate_annotation(interp, node.annotation)
    if isinstance(annotation, type) and not isinstance(value, Expr):
        assign(interp, node.target, value)
        return Flow.NEXT
    try:
        declared = interp.declare(annotated_type(annotation))
        value = name_fresh_sizes(interp, declared, as_declared(value, declared, node.target.id), known)
    except ScriptError as error:
        error.at(interp.source.span(node.annotation))
        raise
    _assign_declared(interp, node, node.target.id, value, declared)
    return Flow.NEXT


def _assign_declared(interp: Interpreter, node: ast.AnnAssign, name: str, value: Expr, declared: Type) -> None:
    assert node.value is not None
    if not interp.options.exact:
        check_declared(declared, value, name, interp.source.span(node.value))
        interp.frame.scope.variables[name] = interp.bind(value, name)
        return
    is_bound = _is_bound(interp, node.value, value)
    assign_exactly(interp, name, value if is_bound else retyped(value, declared), is_bound=is_bound)


def retyped(value: Expr, declared: Type) -> Expr:
    """The value with the type that a printed program declares for it.

    Raises:
        ShapeError, DTypeError: it cannot have this type.
    """
    if is_base_of(declared, value.type).grade is Grade.IMPOSSIBLE:
        check_declared(declared, value, "the value", value.span)
    return replace(value, type=declared) if isinstance(value, Call | If | TupleGetItem) else value


def as_declared(value: Any, declared: Type, name: str) -> Expr:
    """The value as an expression; a number takes the declared dtype."""
    dtypes = [declared.dtype] if isinstance(declared, TensorType) and declared.dtype is not None else []
    return as_expr(value, name, dtypes)


_IN_PLACE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.iadd,
    ast.Sub: operator.isub,
    ast.Mult: operator.imul,
    ast.MatMult: operator.imatmul,
    ast.Div: operator.itruediv,
    ast.FloorDiv: operator.ifloordiv,
    ast.Mod: operator.imod,
    ast.Pow: operator.ipow,
    ast.LShift: operator.ilshift,
    ast.RShift: operator.irshift,
    ast.BitOr: operator.ior,
    ast.BitXor: operator.ixor,
    ast.BitAnd: operator.iand,
}


@statement(ast.AugAssign)
def run_augmented_assign(interp: Interpreter, node: ast.AugAssign) -> Flow:
    """``a += b``: a new value for a tensor; what Python does for anything else."""
    target = node.target
    old = interp.evaluate(_as_load(target))
    value = interp.evaluate(node.value)
    assign(interp, target, apply(interp, _IN_PLACE[type(node.op)], old, value))
    return Flow.NEXT


def _as_load(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    """The target as an expression that is read."""
    match target:
        case ast.Name(id=name):
            read: ast.expr = ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=attr):
            read = ast.Attribute(value, attr, ast.Load())
        case ast.Subscript(value=value, slice=index):
            read = ast.Subscript(value, index, ast.Load())
    return ast.copy_location(read, target)


@statement(ast.Expr)
def run_expression(interp: Interpreter, node: ast.Expr) -> Flow:
    """An expression alone: a docstring, or a call for its effect."""
    if isinstance(node.value, ast.Constant):
        return Flow.NEXT
    value = interp.evaluate(node.value)
    if isinstance(value, Call):
        raise ScriptError(
            f"the result of `{ast.unparse(node.value)}` is not used",
            hint="assign it to a variable, or delete the line",
            span=interp.source.span(node.value),
        )
    return Flow.NEXT


@statement(ast.Pass)
def run_pass(interp: Interpreter, node: ast.Pass) -> Flow:
    """``pass``."""
    return Flow.NEXT


@statement(ast.Assert)
def run_assert(interp: Interpreter, node: ast.Assert) -> Flow:
    """``assert`` on Python values, checked while parsing."""
    value = interp.evaluate(node.test)
    if isinstance(value, Expr):
        raise ScriptError(
            "assert on a tensor: its value is not known when parsing",
            hint="assert what is known of shapes and dtypes, or use relax.match_cast",
            span=interp.source.span(node.test),
        )
    if isinstance(value, DimCompare):
        raise _assertion_of_sizes(value, interp.source.span(node.test))
    if not truth_at(interp, value, node.test):
        said = "" if node.msg is None else f": {interp.evaluate(node.msg)}"
        raise ScriptError(f"the assertion `{ast.unparse(node.test)}` does not hold{said}")
    return Flow.NEXT


def _assertion_of_sizes(condition: DimCompare, span: Span | None) -> ShapeError:
    """The error for an assertion of what is known of sizes only where they are declared."""
    left, op, right = condition.left, condition.op, condition.right
    declared = declaration(left, op, right)
    hint = "write it into a shape, as in (4 * k,), or match_cast a tensor to one"
    if declared is not None:
        hint = f"declare the size so: {declared}"
    elif op == "==" and (is_symbol(left) or is_symbol(right)):
        hint = naming_hint(left, right)
    return ShapeError(
        f"whether the assertion `{shown(condition)}` holds is not known when compiling", hint=hint, span=span
    )


@statement(ast.Return)
def run_return(interp: Interpreter, node: ast.Return) -> Flow:
    """``return value``."""
    interp.hint = (None, "")
    interp.frame.result_span = interp.source.span(node)
    interp.frame.result = None if node.value is None else interp.evaluate(node.value)
    return Flow.RETURN
