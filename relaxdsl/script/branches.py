"""``if``: on a Python value a macro, on a 0-d bool tensor a choice at run time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ScriptError, ShapeError
from relaxdsl.ir.graph import Expr, If, SeqExpr, Tuple, TupleGetItem, Var
from relaxdsl.ir.visit import all_bindings
from relaxdsl.operators.calls import as_expr, current_context
from relaxdsl.script.annotations import evaluate_type
from relaxdsl.script.expressions import truth_at
from relaxdsl.script.interpreter import Flow, Interpreter, expression, statement
from relaxdsl.script.scope import NOT_FOUND, POISON, Missing, Poisoned
from relaxdsl.script.trees import always_returns, names_read_after, stored_names
from relaxdsl.types.types import AnyType, TensorType, TupleType, Type

Close = Callable[[Any], SeqExpr]


@statement(ast.If)
def run_if(interp: Interpreter, node: ast.If) -> Flow:
    """``if`` as a statement."""
    condition = interp.evaluate(node.test)
    if not isinstance(condition, Expr):
        return interp.execute(node.body if truth_at(interp, condition, node.test) else node.orelse)
    require_choice(interp, condition, node.test)
    condition = interp.builder.normalize(condition)
    if interp.options.exact:
        return _run_printed_if(interp, node, condition)
    return _run_choice(interp, node, condition)


def require_choice(interp: Interpreter, condition: Expr, node: ast.expr) -> None:
    """Returns if an ``if`` can depend on the value: it is a 0-d bool tensor.

    Raises:
        ShapeError, DTypeError: it is something else.
    """
    span = interp.source.span(node)
    type_ = condition.type
    if not isinstance(type_, TensorType) or type_.ndim != 0:
        raise ShapeError(
            f"the condition of an if is a 0-d bool tensor, got {type_}",
            hint="choose element by element with relax.where, or reduce it with relax.any or relax.all",
            span=span,
        )
    if type_.dtype != "bool":
        raise DTypeError(
            f"the condition of an if is a 0-d bool tensor, got {type_}", hint="compare it: x != 0", span=span
        )


# ------------------------------------------------------------------------------------------------------- as a statement


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch that has been run: how it ended, what its names are then, and how to close it with its value."""

    flow: Flow
    values: dict[str, Any]
    result: Any
    close: Close


def _run_choice(interp: Interpreter, node: ast.If, condition: Expr) -> Flow:
    before = dict(interp.frame.scope.variables)
    names = stored_names([*node.body, *node.orelse])
    bodies = node.body, node.orelse
    if not interp.frame.loops and len({always_returns(body) for body in bodies}) == 2:
        return _run_early_return(interp, node, condition, before, names)
    then_branch, else_branch = (_run_branch(interp, body, before, names) for body in bodies)
    if then_branch.flow is not else_branch.flow or then_branch.flow in (Flow.BREAK, Flow.CONTINUE):
        raise _one_sided(interp, node, then_branch.flow, else_branch.flow)
    if then_branch.flow is Flow.RETURN:
        return _return_choice(interp, condition, then_branch, else_branch)
    _merge(interp, node, condition, then_branch, else_branch, before, names)
    return Flow.NEXT


def _run_early_return(
    interp: Interpreter, node: ast.If, condition: Expr, before: dict[str, Any], names: Sequence[str]
) -> Flow:
    """An ``if`` of which one branch returns: the other one goes on with what follows the ``if``."""
    following, interp.frame.following = interp.frame.following, []
    rest = [each for block, place in reversed(following) for each in block[place:]]
    try:
        then_branch, else_branch = (
            _run_branch(interp, body if always_returns(body) else [*body, *rest], before, names)
            for body in (node.body, node.orelse)
        )
    finally:
        interp.frame.following = following
    if then_branch.flow is not else_branch.flow:
        raise _one_sided(interp, node, then_branch.flow, else_branch.flow)
    return _return_choice(interp, condition, then_branch, else_branch)


def _return_choice(interp: Interpreter, condition: Expr, then_branch: _Branch, else_branch: _Branch) -> Flow:
    if any(each.result is POISON for each in (then_branch, else_branch)):
        raise Poisoned
    values = _common_form(then_branch.result, else_branch.result, "the result")
    interp.frame.result = _emit_choice(interp, condition, then_branch, else_branch, values, "", "the result")
    return Flow.RETURN


def _run_branch(interp: Interpreter, body: Sequence[ast.stmt], before: dict[str, Any], names: Sequence[str]) -> _Branch:
    variables = interp.frame.scope.variables
    variables.clear()
    variables.update(before)
    with interp.builder.branch() as close:
        flow = interp.execute(body)
        values = {name: variables.get(name, NOT_FOUND) for name in names}
        result = interp.bind(interp.frame.result, "") if flow is Flow.RETURN else None
        if isinstance(result, Expr):
            result = interp.builder.normalize(result)
    return _Branch(flow, values, result, close)


_IN_BOTH = "return in both, or after the if", "inside a loop, return in both, or after the loop"


def _one_sided(interp: Interpreter, node: ast.If, then_flow: Flow, else_flow: Flow) -> ScriptError:
    flow = then_flow if then_flow is not Flow.NEXT else else_flow
    word = flow.name.lower()
    if flow is Flow.RETURN:
        what, hint = "one branch of an if on a tensor returns, the other does not", _IN_BOTH[bool(interp.frame.loops)]
    else:
        what = f"{word} inside an if on a tensor: whether it happens is not known when parsing"
        hint = "make the condition a Python value"
    return ScriptError(what, hint=hint, span=interp.source.span(node.test))


def _merge(
    interp: Interpreter,
    node: ast.If,
    condition: Expr,
    then_branch: _Branch,
    else_branch: _Branch,
    before: dict[str, Any],
    names: Sequence[str],
) -> None:
    """Sets the variables after the if: those that both branches assign and that are read later are the results."""
    variables = interp.frame.scope.variables
    variables.clear()
    variables.update(before)
    live = names_read_after(interp.frame.node, node, interp.frame.loops)
    results: dict[str, tuple[Any, Any]] = {}
    for name in names:
        left, right = then_branch.values[name], else_branch.values[name]
        if left is right:
            variables[name] = left
        elif left is POISON or right is POISON:
            variables[name] = POISON
        elif left is NOT_FOUND or right is NOT_FOUND:
            variables[name] = _assigned_once(name, left, interp, node)
        elif name in live:
            pair = _common_form_or_missing(left, right, name)
            if isinstance(pair, Missing):
                variables[name] = pair
            else:
                results[name] = pair
        else:
            variables.pop(name, None)
    _emit_results(interp, condition, then_branch, else_branch, results)


def _assigned_once(name: str, then_value: Any, interp: Interpreter, node: ast.If) -> Missing:
    which, other = ("else", "if") if then_value is NOT_FOUND else ("if", "else")
    return Missing(
        f"{name} is assigned only in the {which} branch at line {node.lineno + interp.source.offset}",
        f"assign it in the {other} branch too, or before the if",
    )


def _emit_results(
    interp: Interpreter,
    condition: Expr,
    then_branch: _Branch,
    else_branch: _Branch,
    results: dict[str, tuple[Any, Any]],
) -> None:
    variables = interp.frame.scope.variables
    if len(results) == 1:
        ((name, pair),) = results.items()
        variables[name] = _emit_choice(interp, condition, then_branch, else_branch, pair, name, name)
        return
    lefts = tuple(left for left, _ in results.values())
    rights = tuple(right for _, right in results.values())
    for name, left, right in zip(results, lefts, rights, strict=True):
        _require_same_kind(left, right, name)
    value = _emit_choice(interp, condition, then_branch, else_branch, (Tuple(lefts), Tuple(rights)), "", "the results")
    fields = value.type.fields if isinstance(value.type, TupleType) else ()
    for index, name in enumerate(results):
        item = TupleGetItem(value, index, fields[index], current_context().span)
        variables[name] = interp.builder.emit(item, name)


def _emit_choice(
    interp: Interpreter,
    condition: Expr,
    then_branch: _Branch,
    else_branch: _Branch,
    values: tuple[Expr, Expr],
    hint: str,
    what: str,
) -> Var:
    _require_same_kind(*values, what)
    sequences = then_branch.close(values[0]), else_branch.close(values[1])
    for binding in (binding for sequence in sequences for binding in all_bindings(sequence)):
        interp.left_behind[binding.var] = Missing(
            f"{binding.var.name} is computed in one branch of an if on a tensor",
            "assign it to the same variable in both branches, and use that",
        )
    return interp.builder.emit_if(condition, *sequences, hint)


def _common_form(left: Any, right: Any, what: str) -> tuple[Expr, Expr]:
    """Both values as expressions; a Python number takes the other's dtype.

    Raises:
        DTypeError: one of them is no tensor, number or tuple of them.
    """
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        pairs = [_common_form(a, b, f"{what}[{i}]") for i, (a, b) in enumerate(zip(left, right, strict=True))]
        return Tuple(tuple(a for a, _ in pairs)), Tuple(tuple(b for _, b in pairs))
    dtypes = [value.dtype for value in (left, right) if _has_dtype(value)]
    return as_expr(left, what, dtypes), as_expr(right, what, dtypes)


def _common_form_or_missing(left: Any, right: Any, name: str) -> tuple[Expr, Expr] | Missing:
    """:func:`_common_form`; Python values that are no tensors cannot be told apart at run time."""
    for value in (left, right):
        if isinstance(value, Missing):  # in a branch of an if inside
            return value
    try:
        return _common_form(left, right, name)
    except DTypeError:
        return Missing(
            f"{name} is {left!r} or {right!r}, depending on a tensor",
            "a Python value must be the same in both branches of an if on a tensor",
        )


def _has_dtype(value: Any) -> bool:
    return isinstance(value, Expr) and isinstance(value.type, TensorType) and value.type.dtype is not None


def _require_same_kind(left: Expr, right: Expr, what: str) -> None:
    """Both branches give the same kind of value: tensors of one rank and dtype, or tuples of such.

    Raises:
        DTypeError, ShapeError: they do not.
    """
    a, b = left.type, right.type
    details = [f"if   : {a}", f"else : {b}"]
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        if a.dtype != b.dtype:
            hint = "convert one with astype"
            raise DTypeError(f"the branches give {what} different dtypes", details=details, hint=hint)
        if a.ndim != b.ndim:
            raise ShapeError(f"the branches give {what} different ranks", details=details)
    elif isinstance(left, Tuple) and isinstance(right, Tuple) and len(left.fields) == len(right.fields):
        for i, (x, y) in enumerate(zip(left.fields, right.fields, strict=True)):
            _require_same_kind(x, y, f"{what}[{i}]")
    elif isinstance(a, AnyType) or isinstance(b, AnyType):
        hint = "say what it is with relax.match_cast(value, type)"
        raise ShapeError(f"the kind of value that the branches give {what} is unknown", details=details, hint=hint)
    elif type(a) is not type(b):
        raise ShapeError(f"the branches give {what} different kinds of value", details=details)


# ----------------------------------------------------------------------------------------------------- as an expression


@expression(ast.IfExp)
def evaluate_if_expression(interp: Interpreter, node: ast.IfExp) -> Any:
    """``a if condition else b``."""
    condition = interp.evaluate(node.test)
    if not isinstance(condition, Expr):
        return interp.evaluate(node.body if truth_at(interp, condition, node.test) else node.orelse)
    require_choice(interp, condition, node.test)
    condition = interp.builder.normalize(condition)
    branches = [_evaluate_branch(interp, each) for each in (node.body, node.orelse)]
    with interp.at(node):
        values = _common_form(branches[0].result, branches[1].result, "the conditional expression")
        return _emit_choice(interp, condition, branches[0], branches[1], values, "", "the conditional expression")


def _evaluate_branch(interp: Interpreter, node: ast.expr) -> _Branch:
    with interp.builder.branch() as close:
        result = interp.bind(interp.evaluate(node), "")
        if isinstance(result, Expr):
            result = interp.builder.normalize(result)
    return _Branch(Flow.NEXT, {}, result, close)


# -------------------------------------------------------------------------------------------------- in printed programs


def _run_printed_if(interp: Interpreter, node: ast.If, condition: Expr) -> Flow:
    """An ``if`` of a printed program: both branches end by assigning the result's name."""
    ends = [body[-1] if body else None for body in (node.body, node.orelse)]
    names = {_assigned_name(end) for end in ends}
    if len(names) != 1 or None in names:
        raise ScriptError("both branches of a printed if end by assigning the same name")
    (name,) = names
    then_branch, then_type = _printed_branch(interp, node.body)
    else_branch, else_type = _printed_branch(interp, node.orelse)
    declared = then_type or else_type or then_branch.type
    choice = If(condition, then_branch, else_branch, declared, current_context().span)
    interp.frame.scope.variables[str(name)] = interp.builder.emit(choice, str(name))
    return Flow.NEXT


def _assigned_name(statement_: ast.stmt | None) -> str | None:
    match statement_:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _printed_branch(interp: Interpreter, body: Sequence[ast.stmt]) -> tuple[SeqExpr, Type | None]:
    last = body[-1]
    assert isinstance(last, ast.Assign | ast.AnnAssign)
    assert last.value is not None
    with interp.builder.branch() as close:
        interp.execute(body[:-1])
        declared = evaluate_type(interp, last.annotation) if isinstance(last, ast.AnnAssign) else None
        return close(as_expr(interp.evaluate(last.value), "a branch")), declared
