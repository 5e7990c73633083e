"""Text to dims: the subset of Python's expressions that sizes are written in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TypeAlias

from relaxdsl.errors import ScriptError
from relaxdsl.types.symint import Dim, ceildiv, dim_max, dim_min, floordiv, modulo

Scope: TypeAlias = Mapping[str, Dim] | Callable[[str], Dim]

_BINARY: dict[type[ast.operator], Callable[[Dim, Dim], Dim]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: floordiv,
    ast.Mod: modulo,
}
_UNARY: dict[type[ast.unaryop], Callable[[Dim], Dim]] = {ast.USub: lambda a: -a, ast.UAdd: lambda a: a}
_GRAMMAR = "sizes are integers, names, + - * // %, min, max and ceildiv"


def parse_expression(text: str, resolve: Callable[[str], Dim]) -> Dim:
    """The dim that ``text`` means, where ``resolve`` says what a name means."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ScriptError(f"the size {text!r} is not a Python expression", hint=_GRAMMAR) from None
    return _convert(tree, resolve)


def _convert(node: ast.expr, resolve: Callable[[str], Dim]) -> Dim:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return resolve(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_convert(left, resolve), _convert(right, resolve))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_convert(operand, resolve))
        case ast.Call(func=ast.Name(id=function), args=args, keywords=[]):
            return _call(function, [_convert(arg, resolve) for arg in args])
    raise ScriptError(f"a size cannot contain `{ast.unparse(node)}`", hint=_GRAMMAR)


def _call(function: str, args: list[Dim]) -> Dim:
    if function == "ceildiv":
        if len(args) != 2:
            raise ScriptError(f"ceildiv takes two sizes, not {len(args)}")
        return ceildiv(*args)
    if function not in ("min", "max"):
        raise ScriptError(f"a size cannot call `{function}`", hint=_GRAMMAR)
    if not args:
        raise ScriptError(f"{function} takes at least one size")
    return dim_min(*args) if function == "min" else dim_max(*args)
