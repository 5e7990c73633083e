"""Assignments, branches and calls in kernels.

A name is given a value in one of three ways. An element, or what is computed from elements, is kept in a local variable
(a register), which may change. A size or a Python value is computed now, so a loop or a branch cannot change it. A word
of ``T`` makes a buffer or a block's axis of that name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from relaxdsl import tir
from relaxdsl.errors import ScriptError
from relaxdsl.ir.loops import Buffer, IfThenElse, Store
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, element_of
from relaxdsl.operators.calls import current_context
from relaxdsl.script.expressions import items_of
from relaxdsl.script.interpreter import Flow
from relaxdsl.script.scope import NOT_FOUND
from relaxdsl.script.statements import run_assert, run_return
from relaxdsl.script.tensor_ir.buffers import BufferView, as_element, checked_indices, store
from relaxdsl.script.tensor_ir.constructs import Allocation, AxisBinding, MatchedBuffer, add_axis
from relaxdsl.script.tensor_ir.expressions import apply_binary, evaluate_condition
from relaxdsl.script.tensor_ir.interpreter import (
    KernelInterpreter,
    LocalVariable,
    dtype_of_number,
    kernel_expression,
    kernel_statement,
)
from relaxdsl.script.tensor_ir.state import WHAT_CHANGES, changes_once
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import SymInt
from relaxdsl.types.dtype import is_float
from relaxdsl.types.symint import shown


@kernel_statement(ast.Assign)
def read_assign(interp: KernelInterpreter, node: ast.Assign) -> Flow:
    """``a = value``, ``x[i] = value``, ``vi, vj = T.axis.remap(…)``."""
    assign(interp, node.targets, interp.evaluate(node.value), node.value)
    return Flow.NEXT


@kernel_expression(ast.NamedExpr)
def evaluate_assignment(interp: KernelInterpreter, node: ast.NamedExpr) -> Any:
    """``(a := value)``."""
    assign(interp, [node.target], interp.evaluate(node.value), node.value)
    return interp.evaluate(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))


@kernel_statement(ast.AnnAssign)
def read_annotated_assign(interp: KernelInterpreter, node: ast.AnnAssign) -> Flow:
    """``a: T.float32 = value``: a local variable of that dtype."""
    if node.value is None or not isinstance(node.target, ast.Name):
        raise ScriptError("a declaration without a value does nothing", hint="write name: T.float32 = value")
    declared = interp.evaluate(node.annotation)
    if not isinstance(declared, tir.DTypeFunction):
        raise ScriptError("a local variable's annotation is a dtype", hint="write name: T.float32 = value")
    with interp.at(node.value):
        converted = declared(interp.evaluate(node.value))
    assign(interp, [node.target], converted, node.value)
    return Flow.NEXT


@kernel_statement(ast.AugAssign)
def read_augmented_assign(interp: KernelInterpreter, node: ast.AugAssign) -> Flow:
    """``x[i] += value``."""
    scope = interp.frame.scope
    name = node.target.id if isinstance(node.target, ast.Name) else None
    if name is not None and scope.find(name) is NOT_FOUND and scope.find_ended(name) is None:
        raise ScriptError(
            f"{name} has no value yet that could be changed",
            hint=f"begin it before the loop: {name} = T.float32(0)",
        )
    read = ast.copy_location(_as_load(node.target), node.target)
    sides = ast.copy_location(ast.BinOp(read, node.op, node.value), node)
    if not isinstance(node.target, ast.Subscript):
        assign(interp, [node.target], interp.evaluate(sides), node.value)
        return Flow.NEXT
    buffer, indices = _element(interp, node.target)
    with interp.at(node.target):
        old = BufferView(interp, buffer)[indices]
    value = _as_element(interp, buffer, apply_binary(interp, sides, old, interp.evaluate(node.value)), node.value)
    interp.use([value], interp.source.span(node.value))
    with interp.at(node.target):
        store(interp, buffer, indices, value)
    return Flow.NEXT


def _as_load(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    if isinstance(target, ast.Subscript):
        return ast.Subscript(target.value, target.slice, ast.Load())
    return ast.Name(ast.unparse(target), ast.Load())


def assign(interp: KernelInterpreter, targets: list[ast.expr], value: Any, node: ast.expr) -> None:
    """Gives the value of ``node`` to the targets, from left to right. They get what it is before the first one changes.

    Raises:
        ScriptError: a target cannot have a value, or not this one.
    """
    pairs = [pair for target in targets for pair in _pairs(interp, target, value)]
    interp.use([each for _, each in pairs], interp.source.span(node))
    place = len(interp.body)
    for target, each in pairs:
        if isinstance(each, ScalarExpr) and interp.history.is_changed(each):
            each = _kept(interp, each, place)
            place += 1
        _assign_one(interp, target, each, node)


def _pairs(interp: KernelInterpreter, target: ast.expr, value: Any) -> Iterator[tuple[ast.expr, Any]]:
    """The targets inside a target, with their parts of the value."""
    if not isinstance(target, ast.Tuple | ast.List):
        yield target, value
        return
    items = list(items_of(interp, value, target))
    if len(items) != len(target.elts):
        raise ScriptError(
            f"{counted(len(items), 'value')} cannot be unpacked into {counted(len(target.elts), 'name')}",
            span=interp.source.span(target),
        )
    for inner, item in zip(target.elts, items, strict=True):
        yield from _pairs(interp, inner, item)


def _kept(interp: KernelInterpreter, value: ScalarExpr, place: int) -> ScalarExpr:
    """The value as it is before the statement at ``place``."""
    local = Buffer(interp.names.fresh("old"), (), value.dtype, "register")
    stmt = Store(local, (), value)
    interp.places[stmt] = current_context().span
    interp.body.insert(place, stmt)
    return Load(local, ())


def _assign_one(interp: KernelInterpreter, target: ast.expr, value: Any, node: ast.expr) -> None:
    match target:
        case ast.Name(id=name):
            known = interp.frame.scope.find(name)
            if isinstance(known, LocalVariable) and isinstance(value, int | float | SymInt | ScalarExpr):
                value = _as_element(interp, known.buffer, value, node)
            _assign_name(interp, name, known, value, target)
        case ast.Subscript():
            buffer, indices = _element(interp, target)
            value = _as_element(interp, buffer, value, node)
            with interp.at(target):
                store(interp, buffer, indices, value)
        case _:
            raise ScriptError(f"cannot assign to `{ast.unparse(target)}`", span=interp.source.span(target))


def _as_element(interp: KernelInterpreter, buffer: Buffer, value: Any, node: ast.expr) -> ScalarExpr:
    """The value of ``node`` as what the buffer holds."""
    with interp.at(node):
        return as_element(buffer, value)


def _element(interp: KernelInterpreter, target: ast.Subscript) -> tuple[Buffer, tuple[Index, ...]]:
    """The element that a target is.

    Raises:
        ScriptError: it is none.
    """
    container = interp.evaluate(target.value)
    if not isinstance(container, BufferView):
        raise ScriptError(
            f"`{ast.unparse(target.value)}` is no buffer, so its elements cannot be assigned",
            hint="make a buffer: t = T.alloc_buffer((4,), dtype)",
            span=interp.source.span(target),
        )
    index = interp.evaluate(target.slice)
    try:
        return container.buffer, checked_indices(container.buffer, index)
    except ScriptError as error:
        error.at(interp.source.span(target))
        raise


def _assign_name(interp: KernelInterpreter, name: str, known: Any, value: Any, target: ast.expr) -> None:
    scope = interp.frame.scope
    with interp.at(target):
        if known is not NOT_FOUND and name not in scope.variables and not isinstance(known, LocalVariable):
            raise _cannot_change(interp, name, known, value)
        if isinstance(value, ScalarExpr):
            _assign_register(interp, name, known, value)
        else:
            scope.variables[name] = _named(interp, name, value)


def _cannot_change(interp: KernelInterpreter, name: str, known: Any, value: Any) -> ScriptError:
    """The error for giving another value to what a loop or a branch around has not begun as a local variable."""
    loop = interp.loops.get(str(known)) if isinstance(known, SymInt) else None
    if loop is not None and loop.shown == name:
        headline = f"{name} is the variable of a loop, which no statement changes"
        hint = f"give the other value a name of its own, or write it where it is used: x[{name} + 1]"
    elif isinstance(known, BufferView):
        headline = f"{name} is a buffer, so an assignment to its name stores nothing"
        hint = f"store into an element: {element_of(known.buffer)} = …"
    else:
        return changes_once(name, _local_instead(name, known, value), current_context().span)
    return ScriptError(headline, hint=hint, span=current_context().span)


def _local_instead(name: str, known: Any, value: Any) -> str:
    """How to begin a local variable with the value that a name has, so that it may be changed to another."""
    dtype = "int64" if isinstance(known, SymInt) else dtype_of_number(known)
    if dtype is None:
        return WHAT_CHANGES
    if isinstance(value, ScalarExpr) and (is_float(value.dtype) or not is_float(dtype)):
        dtype = value.dtype
    elif dtype_of_number(value) == "float32":
        dtype = "float32"
    return f"make it a local variable where it begins: {name} = T.{dtype}({shown(known)})"


def _named(interp: KernelInterpreter, name: str, value: Any) -> Any:
    """What the name stands for, made now if it is a word of ``T`` that was assigned."""
    match value:
        case Allocation(shape=shape, dtype=dtype, scope=scope):
            buffer = Buffer(interp.names.fresh(name), shape, dtype, scope)
            if scope != "register":
                interp.scratch.append(buffer)
            return BufferView(interp, buffer)
        case AxisBinding() | (AxisBinding(),):
            (axis,) = value if isinstance(value, tuple) else (value,)
            return add_axis(interp, axis, name)
        case (AxisBinding(), *_):
            raise ScriptError(
                f"{name} is {len(value)} axes",
                hint=f"write a name for each: {', '.join(f'v{each}' for each in range(len(value)))} = T.axis.remap(…)",
                span=current_context().span,
            )
        case MatchedBuffer(param=param, type=type_, span=span):
            buffer = interp.new_buffer(name, type_)
            interp.params[param] = buffer
            interp.param_spans[buffer.name] = span
            return BufferView(interp, buffer)
        case tir.FreshSize():
            interp.symbols[name] = interp.size(name)
            return interp.symbols[name]
    return value


def _assign_register(interp: KernelInterpreter, name: str, known: Any, value: ScalarExpr) -> None:
    if isinstance(known, LocalVariable):
        _require_same_function(interp, name, known)
        _require_same_step(interp, name, known)
        store(interp, known.buffer, (), value)
        return
    buffer = Buffer(interp.names.fresh(name), (), value.dtype, "register")
    store(interp, buffer, (), value)
    interp.frame.scope.variables[name] = LocalVariable(buffer, frozenset(interp.loops), interp.frame.node)


def _require_same_function(interp: KernelInterpreter, name: str, local: LocalVariable) -> None:
    """Returns unless a nested function would change a variable that in Python it could not."""
    if local.function is not interp.frame.node:
        raise ScriptError(
            f"a nested function cannot change {name}, a variable of the function around it",
            hint="return the value, or give it another name",
            span=current_context().span,
        )


def _require_same_step(interp: KernelInterpreter, name: str, local: LocalVariable) -> None:
    """Returns unless steps of a parallel loop would change one variable."""
    for loop, around in interp.loops.items():
        if around.kind == "parallel" and loop not in local.loops and interp.is_checked:
            raise ScriptError(
                f"every step of the parallel loop {around.shown} changes the variable {name}, begun outside of it",
                hint=f"begin {name} inside the loop, or make the loop serial, with range",
                span=current_context().span,
            )


# ------------------------------------------------------------------------------------------------------------ branches


@kernel_statement(ast.If)
def read_if(interp: KernelInterpreter, node: ast.If) -> Flow:
    """``if condition:``: a branch of the kernel, or one that is decided now."""
    condition = evaluate_condition(interp, node.test)
    if not isinstance(condition, ScalarExpr):
        return interp.execute(node.body if condition else node.orelse)
    interp.use([condition], interp.source.span(node.test))
    bodies = [node.body, node.orelse] if node.orelse else [node.body]
    branches = interp.history.alternatives(lambda body: interp.read(body, "branch"), bodies)
    interp.body.append(IfThenElse(condition, *branches))
    return Flow.NEXT


@kernel_statement(ast.Expr)
def read_expression(interp: KernelInterpreter, node: ast.Expr) -> Flow:
    """A docstring, or a call for its effect."""
    if isinstance(node.value, ast.Constant):
        return Flow.NEXT
    value = interp.evaluate(node.value)
    if value is not None:
        raise ScriptError(
            f"the value of `{ast.unparse(node.value)}` is not used",
            hint="store it into a buffer, or delete the line",
            span=interp.source.span(node.value),
        )
    return Flow.NEXT


@kernel_statement(ast.Assert)
def read_assert(interp: KernelInterpreter, node: ast.Assert) -> Flow:
    """``assert`` on what is known when parsing."""
    if isinstance(interp.evaluate(node.test), ScalarExpr):
        raise ScriptError(
            "an assertion is about what is known when parsing, not about elements and loops",
            hint="store what you want to know into an output; bounds of sizes are declared: "
            'n = relax.dims("n", lower=1)',
            span=interp.source.span(node.test),
        )
    return run_assert(interp, node)


@kernel_statement(ast.While)
def read_while(interp: KernelInterpreter, node: ast.While) -> Flow:
    """``while``: how often it runs could not be known before it does."""
    raise ScriptError("a kernel has no while", hint="loop over a range, with an `if` inside")


@kernel_statement(ast.Pass)
def read_pass(interp: KernelInterpreter, node: ast.Pass) -> Flow:
    """``pass``: nothing."""
    return Flow.NEXT


@kernel_statement(ast.Return)
def read_return(interp: KernelInterpreter, node: ast.Return) -> Flow:
    """``return value`` of a nested function; a kernel itself has no result."""
    if interp.frame.node is interp.kernel_node:
        raise ScriptError("a kernel returns nothing: it writes its last parameters", hint="store into a buffer")
    return run_return(interp, node)

