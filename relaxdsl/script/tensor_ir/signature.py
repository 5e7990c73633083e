"""A kernel's parameters, and which of them are outputs: the last ones, which it writes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from relaxdsl import tir
from relaxdsl.errors import DTypeError, ScriptError, ShapeError, Span
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, Parts, Stmt, Store, walk
from relaxdsl.ir.visit_loops import all_dims
from relaxdsl.script.annotations import evaluate_annotation
from relaxdsl.script.tensor_ir.buffers import BufferView
from relaxdsl.script.tensor_ir.constructs import Handle
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter
from relaxdsl.types.dims import free_symbols
from relaxdsl.types.types import TensorType


def declare_params(interp: KernelInterpreter, node: ast.FunctionDef) -> None:
    """Makes the parameters known: buffers, handles, and integers, which come last.

    Raises:
        ScriptError, ShapeError, DTypeError: a parameter is none of them.
    """
    _refuse_other_parameters(interp, node)
    for arg in node.args.args:
        declared = _declared(interp, arg)
        if isinstance(declared, tir.DTypeFunction):
            _declare_size(interp, arg, declared)
        elif interp.sizes:
            raise ScriptError(
                f"the buffer {arg.arg} stands after an integer",
                hint="the order of parameters is: inputs, outputs, integers",
                span=interp.source.span(arg),
            )
        elif isinstance(declared, TensorType):
            _declare_buffer(interp, arg, declared)
        else:
            interp.params[arg.arg] = None
            interp.frame.scope.variables[arg.arg] = Handle(arg.arg)
    for size in interp.symbols:
        interp.names.reserve(size)


def _refuse_other_parameters(interp: KernelInterpreter, node: ast.FunctionDef) -> None:
    args = node.args
    others = [*args.posonlyargs, *args.kwonlyargs, args.vararg, args.kwarg, *args.defaults]
    found = next((each for each in others if each is not None), None)
    if found is not None:
        raise ScriptError(
            f"{node.name}: a kernel's parameters are plain: no default, no star, no slash",
            span=interp.source.span(found),
        )
    if node.returns is not None and not (isinstance(node.returns, ast.Constant) and node.returns.value is None):
        raise ScriptError(
            f"{node.name}: a kernel returns nothing: it writes its last parameters",
            hint="leave out the result's annotation",
            span=interp.source.span(node.returns),
        )


def _declared(interp: KernelInterpreter, arg: ast.arg) -> TensorType | tir.DTypeFunction | None:
    span = interp.source.span(arg)
    if arg.annotation is None:
        hint = f'write its type, for example {arg.arg}: T.Buffer(("n", 4), "float32")'
        raise ScriptError(f"parameter {arg.arg} has no annotation", hint=hint, span=span)
    value = evaluate_annotation(interp, arg.annotation)
    if isinstance(value, TensorType):
        _require_complete(arg.arg, value, interp, arg)
        return value
    if isinstance(value, tir.DTypeFunction):
        return value
    if value is tir.handle:
        return None
    raise ScriptError(
        f"parameter {arg.arg}: a kernel takes buffers and integers",
        hint='write T.Buffer(("n", 4), "float32"), or T.int64 for an integer',
        span=span,
    )


def _require_complete(name: str, type_: TensorType, interp: KernelInterpreter, arg: ast.arg) -> None:
    if type_.shape is None or type_.dtype is None:
        raise ShapeError(
            f"parameter {name}: a kernel knows the shape and the dtype of its buffers",
            hint='write T.Buffer(("n", 4), "float32")',
            span=interp.source.span(arg),
        )


def _declare_size(interp: KernelInterpreter, arg: ast.arg, declared: tir.DTypeFunction) -> None:
    if declared.dtype != "int64":
        raise DTypeError(
            f"parameter {arg.arg}: only int64 is passed by value, not {declared.dtype}",
            hint=f'pass it as a buffer without axes: T.Buffer((), "{declared.dtype}")',
            span=interp.source.span(arg),
        )
    interp.symbols.setdefault(arg.arg, interp.size(arg.arg))
    interp.sizes.append(arg.arg)
    interp.param_spans[arg.arg] = interp.source.span(arg)


def _declare_buffer(interp: KernelInterpreter, arg: ast.arg, type_: TensorType) -> None:
    if arg.arg in interp.symbols:
        raise ScriptError(
            f"the buffer {arg.arg} has the name of a size",
            hint=f"give one of them another name: in the kernel, {arg.arg} is the buffer",
            span=interp.source.span(arg),
        )
    with interp.at(arg):
        buffer = interp.new_buffer(arg.arg, type_)
    interp.params[arg.arg] = buffer
    interp.param_spans[buffer.name] = interp.source.span(arg)
    interp.frame.scope.variables[arg.arg] = BufferView(interp, buffer)


# ------------------------------------------------------------------------------------------- what the body says of them


def matched_params(interp: KernelInterpreter, node: ast.FunctionDef) -> tuple[Buffer, ...]:
    """The buffers that the parameters are, in order.

    Raises:
        ScriptError: a handle was never matched with a buffer.
    """
    for arg in node.args.args:
        if arg.arg in interp.params and interp.params[arg.arg] is None:
            raise ScriptError(
                f"nothing says which buffer the handle {arg.arg} is",
                hint=f'write X = T.match_buffer({arg.arg}, (n,), "float32"), or {arg.arg}: T.Buffer((n,), "float32")',
                span=interp.source.span(arg),
            )
    return tuple(buffer for buffer in interp.params.values() if buffer is not None)


def count_outputs(interp: KernelInterpreter, node: ast.FunctionDef, params: tuple[Buffer, ...], body: Stmt) -> int:
    """How many of the last parameters are outputs: those that the kernel writes, or that ``T.outputs`` names.

    Raises:
        ScriptError: there are none, or they are not the last ones.
    """
    written = set(_written(body))
    declared = interp.declared_outputs
    outputs = [each for each in params if each in (written if declared is None else declared)]
    if not outputs:
        raise ScriptError(
            f"{node.name} writes none of its parameters",
            hint="store into the last ones: they are the outputs",
            span=interp.source.name_span(node),
        )
    inputs = params[: len(params) - len(outputs)]
    wrong = next((each for each in inputs if each in written or each in outputs), None)
    if wrong is not None:
        after = next(each for each in params[params.index(wrong) :] if each not in outputs)
        raise ScriptError(
            f"{wrong.name} is written, but {after.name} after it is not: the outputs are the last parameters",
            hint=f"declare {wrong.name} after {after.name}; a kernel does not write its inputs",
            span=_place_of_write(interp, body, wrong),
        )
    return len(outputs)


def _written(body: Stmt) -> Iterator[Buffer]:
    for stmt in walk(body):
        if isinstance(stmt, Store):
            yield stmt.buffer
        elif isinstance(stmt, CallExtern):
            yield from stmt.written


def _place_of_write(interp: KernelInterpreter, body: Stmt, buffer: Buffer) -> Span | None:
    stores = (stmt for stmt in walk(body) if isinstance(stmt, Store) and stmt.buffer is buffer)
    return next((interp.places.get(each) for each in stores), None)


def size_symbols(
    interp: KernelInterpreter, node: ast.FunctionDef, params: tuple[Buffer, ...], body: Stmt
) -> tuple[str, ...]:
    """The kernel's sizes: the declared integers, then those of the shapes, by first appearance.

    Raises:
        ScriptError: the body uses a size that is neither.
    """
    shapes = dict.fromkeys(name for each in params for size in each.shape for name in free_symbols(size))
    known = dict.fromkeys([*interp.sizes, *shapes])
    inside = {name for dim in all_dims(body) for name in free_symbols(dim)}
    unknown = sorted(inside.difference(known, _defined(body)))
    if unknown:
        raise ScriptError(
            f"nothing gives the size {unknown[0]} a value",
            hint=f"declare it as the last parameter: {unknown[0]}: T.int64",
            span=interp.source.name_span(node),
        )
    return tuple(known)


def _defined(body: Stmt) -> Iterator[str]:
    """The names of loops and axes."""
    for stmt in walk(body):
        if isinstance(stmt, For):
            yield stmt.var
        elif isinstance(stmt, Parts):
            yield from (stmt.lower, stmt.upper)
        elif isinstance(stmt, Block):
            yield from (axis.var for axis in stmt.iter_vars)
