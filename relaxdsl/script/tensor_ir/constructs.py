"""The words of ``T`` that are called: allocations, axes of blocks, and what is said about a kernel."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl import tir
from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span
from relaxdsl.ir.loops import Buffer, CallExtern, IterKind, IterVar, Scope, loop_variable
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.operators.calls import current_context
from relaxdsl.script.tensor_ir.buffers import BufferView
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter, plain_integer
from relaxdsl.types.bounds import require_no_misspelt_bound, without_bounds
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import Dim, SymInt, free_symbols, is_symbol
from relaxdsl.types.dtype import canonical_dtype
from relaxdsl.types.symint import require_int64
from relaxdsl.types.types import TensorType


@dataclass(frozen=True, slots=True)
class Allocation:
    """A buffer to be named by what it is assigned to."""

    shape: tuple[Dim, ...]
    dtype: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class AxisBinding:
    """An axis of a block, to be named by what it is assigned to."""

    kind: IterKind
    extent: Dim
    binding: Dim


@dataclass(frozen=True, slots=True)
class MatchedBuffer:
    """The buffer that a handle among the parameters is."""

    param: str
    type: TensorType
    span: Span | None


@dataclass(frozen=True, slots=True)
class Handle:
    """A parameter that is declared as ``T.handle``, until ``T.match_buffer`` says what it is."""

    name: str


def call_construct(interp: KernelInterpreter, construct: tir.Construct, node: ast.Call) -> Any:
    """What calling a word of ``T`` gives.

    Raises:
        ScriptError: kernels do not have it, it cannot stand here, or its arguments are wrong.
    """
    if construct.instead is not None:
        raise ScriptError(f"T.{construct.name} is not supported", hint=construct.instead)
    handler = _HANDLERS.get(construct.name)
    if handler is None:
        raise ScriptError(f"T.{construct.name} cannot stand here", hint=_PLACES[construct.name])
    with interp.at(node), interp.seeing_loops():
        args, kwargs = _arguments(interp, construct, node)
        return handler(interp, *args, **kwargs)


_PLACES = {
    "grid": "write `for i, j in T.grid(n, m):`",
    "serial": "write `for i in T.serial(n):`",
    "parallel": "write `for i in T.parallel(n):`",
    "vectorized": "write `for i in T.vectorized(n):`",
    "parts": "write `for lower, upper in T.parts(n):`",
    "unroll": "write `for i in T.unroll(4):`",
    "block": 'write `with T.block("name"):`',
    "init": "write `with T.init():` in a block",
    "handle": "write it as the annotation of a parameter",
}


def _arguments(
    interp: KernelInterpreter, construct: tir.Construct, node: ast.Call
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments' values.

    Raises:
        ScriptError: they are not those that the word takes.
    """
    with interp.naming_symbols(construct.name == "match_buffer"):
        args = [interp.evaluate(each) for each in node.args]
        kwargs = {str(each.arg): interp.evaluate(each.value) for each in node.keywords}
    signature = inspect.signature(_HANDLERS[construct.name])
    try:
        signature.bind(interp, *args, **kwargs)
    except TypeError as error:
        usage = ", ".join(str(each).partition(":")[0] for each in list(signature.parameters.values())[1:])
        raise ScriptError(f"T.{construct.name}: {error}", hint=f"write T.{construct.name}({usage})") from None
    return args, kwargs


# -------------------------------------------------------------------------------------------------------- allocations

_SCOPES: dict[str, Scope] = {"global": "scratch", "scratch": "scratch", "shared": "shared", "local": "scratch"}


def _alloc_buffer(interp: KernelInterpreter, shape: Any, dtype: Any = "float32", scope: str = "global") -> Allocation:
    if scope == "register":
        return Allocation((), canonical_dtype(dtype), "register")
    if scope not in _SCOPES:
        known = '"global", "scratch", "shared" or "register"'
        raise ScriptError(f"T.alloc_buffer: there is no scope {scope!r}", hint=f"write {known}")
    if any(isinstance(each, ScalarExpr) for each in (shape if isinstance(shape, list | tuple) else [shape])):
        raise ScriptError(
            "T.alloc_buffer: a size depends on no element: it is known before the kernel runs",
            hint="make it as large as it may become",
        )
    type_ = tir.Buffer(shape, dtype)
    for size in type_.shape or ():
        require_known_size(interp, size, "T.alloc_buffer: the size")
    return Allocation(type_.shape or (), str(type_.dtype), _SCOPES[scope])


def _register(interp: KernelInterpreter, dtype: Any) -> Allocation:
    return Allocation((), canonical_dtype(dtype), "register")


def _match_buffer(interp: KernelInterpreter, param: Any, shape: Any, dtype: Any = "float32") -> MatchedBuffer:
    if not isinstance(param, Handle):
        raise ScriptError("T.match_buffer: the first argument is no parameter that is declared as T.handle")
    return MatchedBuffer(param.name, Tensor(shape, dtype), current_context().span)


def require_known_size(interp: KernelInterpreter, size: Dim, what: str) -> None:
    """Returns if the size is the same for the whole kernel.

    Raises:
        ScriptError: it depends on a loop.
    """
    require_int64(size)
    for name in free_symbols(size):
        if name not in interp.symbols:
            raise ScriptError(f"{what} {size} depends on {name}, which is not a size of the kernel")


# ------------------------------------------------------------------------------------------------------ axes of blocks


def _spatial(interp: KernelInterpreter, extent: Any, binding: Any) -> AxisBinding:
    return _axis(interp, "spatial", extent, binding)


def _reduce(interp: KernelInterpreter, extent: Any, binding: Any) -> AxisBinding:
    return _axis(interp, "reduce", extent, binding)


def _axis(interp: KernelInterpreter, kind: IterKind, extent: Any, binding: Any) -> AxisBinding:
    _require_block(interp, f"T.axis.{kind}")
    extent, binding = plain_integer(extent), plain_integer(binding)
    for what, value in (("extent", extent), ("binding", binding)):
        if not tir.all_sizes(value):
            raise ScriptError(
                f"T.axis.{kind}: the {what} is no integer made of sizes and loops",
                hint=f"write T.axis.{kind}(n, i); an index may depend on data where it is used",
            )
    if is_symbol(extent) and str(extent) in interp.loops:
        shown = interp.loops[str(extent)].shown
        raise ScriptError(
            f"T.axis.{kind}: the extent comes first, then the loop {shown}",
            hint=f"write T.axis.{kind}({binding}, {shown})",
        )
    require_known_size(interp, extent, f"T.axis.{kind}: the extent")
    return AxisBinding(kind, extent, binding)


_KINDS: dict[str, IterKind] = {"S": "spatial", "R": "reduce"}


def _remap(interp: KernelInterpreter, kinds: str, bindings: Sequence[Any]) -> tuple[AxisBinding, ...]:
    _require_block(interp, "T.axis.remap")
    if not isinstance(kinds, str) or len(kinds) != len(bindings) or not set(kinds) <= set(_KINDS):
        raise ScriptError(
            f"T.axis.remap: {kinds!r} says no kind for each of the axes",
            hint='write a letter for each, S for spatial and R for reduce: T.axis.remap("SR", [i, k])',
        )
    return tuple(_of_loop(interp, _KINDS[kind], loop) for kind, loop in zip(kinds, bindings, strict=True))


def _of_loop(interp: KernelInterpreter, kind: IterKind, loop: Any) -> AxisBinding:
    if not is_symbol(loop) or str(loop) not in interp.loops:
        raise ScriptError(
            f"T.axis.remap: {loop} is not the variable of a loop",
            hint=f"bind an axis to anything else by T.axis.{kind}(extent, value)",
        )
    return _axis(interp, kind, interp.loops[str(loop)].stop, loop)


def _require_block(interp: KernelInterpreter, what: str) -> None:
    if interp.block is None or interp.is_in_init:
        raise ScriptError(f"{what}: axes belong to a block", hint='write it first inside `with T.block("name"):`')
    if not interp.is_at_start_of_block():
        raise ScriptError(f"{what}: a block's axes stand before its statements", hint="move it up")


def add_axis(interp: KernelInterpreter, axis: AxisBinding, wanted: str) -> SymInt:
    """The variable of a new axis of the open block."""
    assert interp.block is not None
    name = interp.fresh_variable(wanted, "block")
    interp.block.axes.append(IterVar(name, axis.extent, axis.kind, axis.binding))
    return loop_variable(name, axis.extent)


# ---------------------------------------------------------------------------------------------------- the whole kernel


def _outputs(interp: KernelInterpreter, *buffers: Any) -> None:
    interp.declared_outputs = tuple(_buffer_of("T.outputs", each) for each in buffers)


def _func_attr(interp: KernelInterpreter, attrs: Any) -> None:
    if not isinstance(attrs, dict):
        raise ScriptError("T.func_attr takes a dict of attributes")
    if len(without_bounds(attrs)) != len(attrs):
        raise ScriptError(
            "T.func_attr stands after the sizes that it bounds",
            hint='write @relax.prim_func(attrs={"tir_var_upper_bound": {"m": 1024}})',
        )
    require_no_misspelt_bound(attrs)
    interp.attrs.update(attrs)


def _call_extern(interp: KernelInterpreter, function: str, *arguments: Any, writes: Sequence[Any] = ()) -> None:
    given = tuple(each.buffer if isinstance(each, BufferView) else plain_integer(each) for each in arguments)
    if not isinstance(function, str) or not all(isinstance(each, Buffer) or tir.all_sizes(each) for each in given):
        raise ScriptError("T.call_extern takes the name of a function, then buffers and integers")
    written = tuple(_buffer_of("T.call_extern", each) for each in writes)
    interp.body.append(CallExtern(function, given, written))
    for buffer in written:
        interp.history.note_write(buffer, current_context().span)


def _buffer_of(what: str, value: Any) -> Buffer:
    if not isinstance(value, BufferView):
        hint = f"buffers are named without quotes: {what}({value})" if isinstance(value, str) else None
        raise ScriptError(f"{what}: {value!r} is no buffer", hint=hint)
    return value.buffer


_HANDLERS: dict[str, Callable[..., Any]] = {
    "alloc_buffer": _alloc_buffer,
    "register": _register,
    "match_buffer": _match_buffer,
    "axis.spatial": _spatial,
    "axis.reduce": _reduce,
    "axis.remap": _remap,
    "outputs": _outputs,
    "func_attr": _func_attr,
    "call_extern": _call_extern,
}
