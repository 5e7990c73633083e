"""Giving values to assignment targets: names, tuples of them, items of Python containers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import Expr
from relaxdsl.operators.calls import as_expr
from relaxdsl.script.expressions import items_of
from relaxdsl.script.interpreter import Interpreter
from relaxdsl.types.counts import counted
from relaxdsl.types.types import TensorType


def assign(interp: Interpreter, target: ast.expr, value: Any) -> None:
    """Gives ``value`` to the target; a call becomes a variable with the target's name."""
    match target:
        case ast.Name(id=name):
            interp.frame.scope.variables[name] = interp.bind(value, name)
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            _unpack(interp, elts, interp.bind(value, "") if isinstance(value, Expr) else value, target)
        case ast.Subscript():
            _assign_item(interp, target, value)
        case ast.Attribute():
            raise ScriptError(
                "an attribute cannot be assigned inside a program",
                hint="keep the value in a variable, and return it",
                span=interp.source.span(target),
            )
        case _:
            raise ScriptError(f"cannot assign to `{ast.unparse(target)}`", span=interp.source.span(target))


def _unpack(interp: Interpreter, targets: Sequence[ast.expr], value: Any, node: ast.AST) -> None:
    items = list(items_of(interp, value, node))
    star = next((i for i, each in enumerate(targets) if isinstance(each, ast.Starred)), None)
    if len(items) != len(targets) and (star is None or len(items) < len(targets) - 1):
        raise ScriptError(
            f"{counted(len(items), 'value')} cannot be unpacked into {counted(len(targets), 'name')}",
            span=interp.source.span(node),
        )
    if star is not None:
        stop = len(items) - (len(targets) - star - 1)
        items[star:stop] = [items[star:stop]]
    for each, item in zip(targets, items, strict=True):
        assign(interp, each.value if isinstance(each, ast.Starred) else each, item)


def _assign_item(interp: Interpreter, target: ast.Subscript, value: Any) -> None:
    container = interp.evaluate(target.value)
    if isinstance(container, Expr):
        raise ScriptError(
            "a tensor does not change: its elements cannot be assigned",
            hint=_instead_of_storing(target, container, interp.evaluate(target.slice)),
            span=interp.source.span(target),
        )
    container[interp.evaluate(target.slice)] = interp.bind(value, ast.unparse(target.value))


def _instead_of_storing(target: ast.Subscript, tensor: Expr, index: Any) -> str:
    """How a tensor with other elements is made; ``index`` says which are meant."""
    name = ast.unparse(target.value)
    if isinstance(index, Expr) and isinstance(index.type, TensorType) and index.type.dtype == "bool":
        return f"make a new one: {name} = relax.where({ast.unparse(target.slice)}, value, {name})"
    mask = f"relax.arange({name}.shape[0])"
    ndim = tensor.type.ndim if isinstance(tensor.type, TensorType) else 1
    mask += f"[{', '.join([':', *['None'] * (ndim - 1)])}]" if ndim > 1 else ""
    return (
        f"make a new one: {name} = relax.where(mask, value, {name}), where `{mask} == i` is the mask of {name}[i]; "
        "or join parts with relax.concat"
    )


def assign_exactly(interp: Interpreter, name: str, value: Any, *, is_bound: bool) -> None:
    """In a printed program, every assignment of an expression is a binding; ``is_bound`` if that has been made."""
    if isinstance(value, Expr | tuple) and not is_bound:
        value = interp.builder.emit(as_expr(value, name), name)
    interp.frame.scope.variables[name] = value
