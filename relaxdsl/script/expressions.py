"""Expressions without calls: literals, arithmetic, comparisons, subscripts."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from relaxdsl.errors import RelaxError, ScriptError, ShapeError
from relaxdsl.ir.graph import Expr, Tuple, TupleGetItem
from relaxdsl.operators import registry
from relaxdsl.operators.calls import make_call
from relaxdsl.script.interpreter import Interpreter, expression
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import DimCompare, SymInt
from relaxdsl.types.prove import Proof, prove_equal, prove_less, prove_less_equal
from relaxdsl.types.symint import user_compares
from relaxdsl.types.types import PrimType, TensorType, TupleType

# ------------------------------------------------------------------------------------------------------------- literals


@expression(ast.Constant)
def evaluate_constant(interp: Interpreter, node: ast.Constant) -> Any:
    """A literal."""
    return node.value


@expression(ast.Tuple)
def evaluate_tuple(interp: Interpreter, node: ast.Tuple) -> tuple[Any, ...]:
    """``(a, *b)``."""
    return tuple(elements(interp, node.elts))


@expression(ast.List)
def evaluate_list(interp: Interpreter, node: ast.List) -> list[Any]:
    """``[a, *b]``."""
    return list(elements(interp, node.elts))


@expression(ast.Set)
def evaluate_set(interp: Interpreter, node: ast.Set) -> set[Any]:
    """``{a, *b}``."""
    return set(map(interp.as_key, elements(interp, node.elts)))


@expression(ast.Dict)
def evaluate_dict(interp: Interpreter, node: ast.Dict) -> dict[Any, Any]:
    """``{key: value, **others}``."""
    result: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            result.update(interp.evaluate(value))
        else:
            result[interp.as_key(interp.evaluate(key))] = interp.evaluate(value)
    return result


def elements(interp: Interpreter, nodes: list[ast.expr]) -> Iterator[Any]:
    """The values of a sequence's items; starred ones are spread."""
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from items_of(interp, interp.evaluate(node.value), node)
        else:
            yield interp.evaluate(node)


@expression(ast.JoinedStr)
def evaluate_f_string(interp: Interpreter, node: ast.JoinedStr) -> str:
    """An f-string."""
    return "".join(str(interp.evaluate(part)) for part in node.values)


@expression(ast.FormattedValue)
def evaluate_formatted_value(interp: Interpreter, node: ast.FormattedValue) -> str:
    """``{value!r:spec}`` in an f-string."""
    value = interp.evaluate(node.value)
    conversions: dict[int, Callable[[Any], str]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}
    convert = conversions.get(node.conversion)
    spec = "" if node.format_spec is None else interp.evaluate(node.format_spec)
    return format(value if convert is None else convert(value), spec)


@expression(ast.NamedExpr)
def evaluate_named(interp: Interpreter, node: ast.NamedExpr) -> Any:
    """``(name := value)``."""
    value = interp.bind(interp.evaluate(node.value), node.target.id)
    interp.frame.scope.variables[node.target.id] = value
    return value


@expression(ast.Starred)
def evaluate_starred(interp: Interpreter, node: ast.Starred) -> Any:
    """A star in a subscript; everywhere else, whoever evaluates the sequence spreads it."""
    raise ScriptError("a starred expression cannot stand here")


# ----------------------------------------------------------------------------------------------------------- arithmetic

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.MatMult: operator.matmul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


@expression(ast.BinOp)
def evaluate_binary(interp: Interpreter, node: ast.BinOp) -> Any:
    """``a + b`` and its like."""
    left, right = interp.evaluate(node.left), interp.evaluate(node.right)
    with interp.at(node):
        return apply(interp, BINARY[type(node.op)], left, right)


def apply(interp: Interpreter, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """A binary operator on two values; beside a tensor, an array is a constant."""
    left, right = as_dim(left), as_dim(right)
    if isinstance(left, Expr) or isinstance(right, Expr):
        left, right = as_operand(interp, left), as_operand(interp, right)
    return function(left, right)


def as_dim(value: Any) -> Any:
    """An integer that is a known size, as that size; anything else as it is."""
    if isinstance(value, Expr) and isinstance(value.type, PrimType) and value.type.value is not None:
        return value.type.value
    return value


def as_operand(interp: Interpreter, value: Any) -> Any:
    """An array as the constant it is in this program; anything else as it is."""
    return interp.constant_of(value) if isinstance(value, np.ndarray) else value


@expression(ast.UnaryOp)
def evaluate_unary(interp: Interpreter, node: ast.UnaryOp) -> Any:
    """``-a``, ``+a``, ``~a``, ``not a``."""
    value = as_dim(interp.evaluate(node.operand))
    if isinstance(node.op, ast.Not):
        _refuse_tensor(value, "`not` on a tensor", "relax.logical_not(x)")
        return not value
    with interp.at(node):
        return UNARY[type(node.op)](value)


# ------------------------------------------------------------------------------------------------ truth and comparisons


def evaluate_truth(interp: Interpreter, node: ast.expr) -> bool:
    """The truth of a condition on Python values; what is wrong with it is shown at the condition."""
    return truth_at(interp, interp.evaluate(node), node)


def truth_at(interp: Interpreter, value: Any, node: ast.expr) -> bool:
    """The truth of a value, which tensors and conditions on sizes refuse to have; that error is placed at ``node``."""
    try:
        return bool(value)
    except RelaxError as error:
        error.at(interp.source.span(node))
        raise


def _refuse_tensor(value: Any, what: str, instead: str) -> None:
    if isinstance(value, Expr):
        raise ScriptError(f"{what}: its value is not known when parsing", hint=f"write {instead}")


@expression(ast.BoolOp)
def evaluate_bool(interp: Interpreter, node: ast.BoolOp) -> Any:
    """``a and b``, ``a or b`` on Python values."""
    is_and = isinstance(node.op, ast.And)
    word = "and" if is_and else "or"
    *first, last = node.values
    for operand in first:
        value = interp.evaluate(operand)
        _refuse_tensor(value, f"`{word}` on a tensor", f"relax.logical_{word}(a, b)")
        if bool(value) is not is_and:
            return value
    return interp.evaluate(last)


_TENSOR_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}


@expression(ast.Compare)
def evaluate_compare(interp: Interpreter, node: ast.Compare) -> Any:
    """``a < b``, ``a < b <= c`` (the latter on Python values)."""
    return compare_in_turn(interp, node, map(interp.evaluate, (node.left, *node.comparators)))


def compare_in_turn(interp: Interpreter, node: ast.Compare, operands: Iterator[Any]) -> Any:
    """The comparisons of ``node`` from left to right, until one is false; operands are taken as they are needed."""
    left = as_dim(next(operands))
    result: Any = True
    for op in node.ops:
        right = as_dim(next(operands))
        with interp.at(node):
            result = _compare(interp, op, left, right)
        if len(node.ops) > 1:
            _refuse_tensor(result, "a chain of comparisons of tensors", "relax.logical_and(a < b, b < c)")
            if not result:
                break
        left = right
    return result


def _compare(interp: Interpreter, op: ast.cmpop, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Is | ast.IsNot):
        return _COMPARISONS[type(op)](left, right)
    if isinstance(op, ast.In | ast.NotIn):
        _refuse_tensor(right, "`in` on a tensor", "relax.any(x == value)")
        if isinstance(left, Expr):
            return any(each is left for each in right) is isinstance(op, ast.In)
    elif isinstance(left, Expr) or isinstance(right, Expr):
        operands = as_operand(interp, left), as_operand(interp, right)
        return make_call(registry.get(_TENSOR_COMPARISONS[type(op)]), operands, {})
    elif isinstance(left, SymInt) or isinstance(right, SymInt):
        return compare_dims(op, left, right)
    with user_compares(True):  # sizes may be in tuples
        return _COMPARISONS[type(op)](left, right)


def compare_dims(op: ast.cmpop, left: Any, right: Any) -> Any:
    """Sizes compared: True or False where that is proved for every value, else a condition without a truth value."""
    if not all(isinstance(dim, int | SymInt) for dim in (left, right)):
        return _COMPARISONS[type(op)](left, right)
    prove, a, b, negated = {
        ast.Eq: (prove_equal, left, right, False),
        ast.NotEq: (prove_equal, left, right, True),
        ast.Lt: (prove_less, left, right, False),
        ast.LtE: (prove_less_equal, left, right, False),
        ast.Gt: (prove_less, right, left, False),
        ast.GtE: (prove_less_equal, right, left, False),
    }[type(op)]
    proof = prove(a, b)
    if proof is not Proof.UNKNOWN:
        return (proof is Proof.YES) is not negated
    shown = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
    return DimCompare(shown[type(op)], left, right)


# ------------------------------------------------------------------------------------------------- subscripts and items


def subscript_of(interp: Interpreter, node: ast.Subscript) -> tuple[Any, Any]:
    """The value that is indexed, and the index."""
    with interp.naming_symbols(False):
        value = interp.evaluate(node.value)
    with interp.naming_symbols(interp.is_type_constructor(value)):
        return value, interp.evaluate(node.slice)


@expression(ast.Subscript)
def evaluate_subscript(interp: Interpreter, node: ast.Subscript) -> Any:
    """``value[index]``: an item of a tuple, elements of a tensor, or what Python does."""
    value, index = subscript_of(interp, node)
    with interp.at(node):
        if isinstance(value, Expr) and isinstance(value.type, TupleType):
            return tuple_item(value, index)
        return interp.declared(value[index])


@expression(ast.Slice)
def evaluate_slice(interp: Interpreter, node: ast.Slice) -> slice:
    """``start:stop:step``."""
    return slice(*(None if part is None else interp.evaluate(part) for part in (node.lower, node.upper, node.step)))


def tuple_item(value: Expr, index: Any) -> Any:
    """The item of a tuple; a tuple of them for a slice.

    Raises:
        ShapeError: there is no such item, or the index is no number.
    """
    fields = value.type.fields if isinstance(value.type, TupleType) else ()
    if isinstance(index, slice):
        return tuple(tuple_item(value, i) for i in range(len(fields))[index])
    if isinstance(index, bool) or not isinstance(index, int):
        raise ShapeError(f"a tuple's index is a number known when parsing, got {index!r}")
    if not -len(fields) <= index < len(fields):
        raise ShapeError(f"the tuple has {counted(len(fields), 'item')}, so there is no item {index}")
    position = index % len(fields)
    if isinstance(value, Tuple):
        return value.fields[position]
    return TupleGetItem(value, position, fields[position], value.span)


def items_of(interp: Interpreter, value: Any, node: ast.AST) -> Iterator[Any]:
    """What iterating over ``value`` gives: a tuple's items, a tensor's rows, or what Python does.

    Raises:
        ScriptError: a tensor whose number of rows is not known when parsing.
    """
    interp.require_items(value, node)
    if not isinstance(value, Expr):
        iterator = iter(value)
        while (item := _next_item(iterator)) is not _END:
            yield interp.settle(item)
    elif isinstance(value.type, TupleType):
        for i in range(len(value.type.fields)):
            yield tuple_item(value, i)
    else:
        yield from _rows(interp, value, node)


_END = object()


def _next_item(iterator: Iterator[Any]) -> Any:
    with user_compares(True):  # an iterator may run a user's helper
        return next(iterator, _END)


def _rows(interp: Interpreter, value: Expr, node: ast.AST) -> Iterator[Any]:
    shape = value.type.shape if isinstance(value.type, TensorType) else None
    if not shape or not isinstance(shape[0], int):
        raise ScriptError(
            f"a loop over a {value.type} cannot be unrolled: its length is not known when parsing",
            hint="compute on the whole tensor, or loop over a Python list or range",
            span=interp.source.span(node),
        )
    rows: Any = value
    for i in range(shape[0]):
        with interp.at(node):
            yield rows[i]
