"""Loops over Python values, unrolled while parsing, and dataflow blocks."""

from __future__ import annotations

import ast
import itertools

from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import DataflowVar, Expr, Var
from relaxdsl.script.expressions import items_of, truth_at
from relaxdsl.script.interpreter import Flow, Interpreter, statement
from relaxdsl.script.scope import Missing
from relaxdsl.script.targets import assign
from relaxdsl.script.trees import is_dataflow_with, walk_own

MOST_STEPS = 10_000
"""No loop in a program has more steps: one without end would take all memory."""


@statement(ast.For)
def run_for(interp: Interpreter, node: ast.For) -> Flow:
    """``for x in xs``: one copy of the body for each item."""
    items = items_of(interp, interp.evaluate(node.iter), node.iter)
    interp.frame.loops.append(node)
    try:
        for count, item in enumerate(items):
            _require_end(count)
            assign(interp, node.target, item)
            flow = interp.execute(node.body)
            if flow is Flow.RETURN:
                return flow
            if flow is Flow.BREAK:
                return Flow.NEXT
    finally:
        interp.frame.loops.pop()
    return interp.execute(node.orelse)


@statement(ast.While)
def run_while(interp: Interpreter, node: ast.While) -> Flow:
    """``while`` on Python values."""
    interp.frame.loops.append(node)
    errors_before = len(interp.errors)
    try:
        for count in itertools.count():
            condition = interp.evaluate(node.test)
            if isinstance(condition, Expr):
                raise _while_on_tensor(interp, node)
            if not truth_at(interp, condition, node.test):
                break
            _require_end(count)
            flow = interp.execute(node.body)
            if flow is Flow.RETURN:
                return flow
            if flow is Flow.BREAK or len(interp.errors) > errors_before:
                return Flow.NEXT
    finally:
        interp.frame.loops.pop()
    return interp.execute(node.orelse)


def _while_on_tensor(interp: Interpreter, node: ast.While) -> ScriptError:
    return ScriptError(
        "while on a tensor: loops are unrolled when parsing, where its value is not known",
        hint="let a function call itself, in one branch of an `if` on a 0-d bool tensor",
        span=interp.source.span(node.test),
    )


def _require_end(count: int) -> None:
    """Raises ScriptError for a loop that has run so often that nobody wants it written out."""
    if count == MOST_STEPS:
        raise ScriptError(
            f"this loop has run {MOST_STEPS:,} times, and is written out each time",
            hint="compute with tensors, call a plain Python function that has the loop, or use recursion",
        )


@statement(ast.Break)
def run_break(interp: Interpreter, node: ast.Break) -> Flow:
    """``break``."""
    return Flow.BREAK


@statement(ast.Continue)
def run_continue(interp: Interpreter, node: ast.Continue) -> Flow:
    """``continue``."""
    return Flow.CONTINUE


# ------------------------------------------------------------------------------------------------------ dataflow blocks


@statement(ast.With)
def run_with(interp: Interpreter, node: ast.With) -> Flow:
    """``with relax.dataflow():`` and no other."""
    if not is_dataflow_with(node) or node.items[0].optional_vars is not None:
        raise ScriptError(
            "only `with relax.dataflow():` can be used inside a program",
            hint="call a plain Python function that contains the with statement",
        )
    _require_block_form(interp, node)
    outputs: list[Var] = []
    outer_outputs, interp.outputs = interp.outputs, outputs
    try:
        with interp.builder.dataflow_with_outputs(lambda: outputs) as outer:
            flow = interp.execute(node.body)
    finally:
        interp.outputs = outer_outputs
    interp.moved.update(outer)
    _leave_behind(interp, outputs, outer, node)
    return flow


def _require_block_form(interp: Interpreter, node: ast.With) -> None:
    """The block ends with its only ``relax.output``, and nothing jumps out of it."""
    calls = [each for each in ast.walk(node) if _is_output(each)]
    if len(calls) != 1 or calls[0] is not node.body[-1]:
        place = calls[0] if calls else node.items[0].context_expr
        how = "once, as its last statement" if calls else "at its end"
        raise ScriptError(f"a dataflow block names what leaves it {how}", hint="write relax.output(y)").at(
            interp.source.span(place)
        )
    jump = next((each for each in walk_own(node) if isinstance(each, ast.Return | ast.Break | ast.Continue)), None)
    if jump is not None:
        raise ScriptError(
            "a dataflow block cannot be left in the middle",
            hint="return after it",
            span=interp.source.span(jump),
        )


def _is_output(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    return getattr(function, "attr", getattr(function, "id", None)) == "output"


def _leave_behind(interp: Interpreter, outputs: list[Var], outer: dict[Var, Var], node: ast.With) -> None:
    """Variables that did not leave the block cannot be used after it."""
    not_bound = next((var for var in outputs if var not in outer), None)
    if not_bound is not None:
        raise ScriptError(
            f"relax.output: {not_bound.name} is not computed in this dataflow block",
            hint="it is visible after the block anyway",
            span=interp.source.span(node.body[-1]),
        )
    for name, value in interp.frame.scope.variables.items():
        if isinstance(value, DataflowVar) and value not in outer:
            interp.left_behind.setdefault(
                value,
                Missing(
                    f"{name} is local to the dataflow block above",
                    f"let it leave the block with relax.output({name})",
                ),
            )
