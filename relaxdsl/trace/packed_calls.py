"""Calls of packed functions, and ``match_cast``, as expressions."""

from __future__ import annotations

from typing import Any

from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import NO_ATTRS, Call, Expr, ExternFunc, HostObject, Op, Tuple
from relaxdsl.operators.calls import as_expr, current_context, fresh_symbol
from relaxdsl.types.constructors import as_type
from relaxdsl.types.types import AnyType, FuncType, TensorType, TupleType, Type, with_named_sizes

CALL_PACKED = Op("call_packed", is_pure=False)
CALL_PURE_PACKED = Op("call_pure_packed")
CALL_DPS_PACKED = Op("call_dps_packed")


def call_packed(name: str, *args: Any, out: Any = None) -> Expr:
    """The result of the packed function ``name`` on ``args``; the call may have effects, so it is never moved or
    dropped.

    Args:
        out: the result's type. Symbols in it that are not known before are bound when the result exists; sizes that it
            leaves out are new symbols. Without it the result is of type Any: give it one with ``match_cast``.
    """
    call = _call(CALL_PACKED, name, _arguments("call_packed", args), out)
    emit = current_context().emit_impure
    return call if emit is None else emit(call)


def call_pure_packed(name: str, *args: Any, out: Any = None) -> Call:
    """Like ``call_packed``, for a function without effects: the call may be moved, merged or dropped."""
    return _call(CALL_PURE_PACKED, name, _arguments("call_pure_packed", args), out)


def call_dps_packed(name: str, args: Any, out: Any = None) -> Call:
    """The result of a packed function in destination-passing style: it gets ``args``, then arrays of type ``out`` to
    fill.

    Raises:
        ScriptError: without ``out``, or if it is no tensor of known sizes and dtype, nor a tuple of such.
    """
    span = current_context().span
    if out is None:
        raise ScriptError("call_dps_packed: out is needed: the type of what the function fills", span=span)
    if not _is_memory(as_type(out)):
        raise ScriptError(
            f"call_dps_packed: out is {as_type(out)}, which does not say how much memory the function fills",
            hint="name the dtype and every size: out=relax.Tensor((m, 4), \"float32\"), or a relax.Tuple of such types",
            span=span,
        )
    if not isinstance(args, list | tuple | Tuple):
        args = (args,)
    fields = args.fields if isinstance(args, Tuple) else args
    return _call(CALL_DPS_PACKED, name, (Tuple(_arguments("call_dps_packed", fields)),), out)


def _is_memory(type_: Type) -> bool:
    """Whether a type says how large the memory of its tensors is, and holds nothing else."""
    if isinstance(type_, TupleType):
        return all(map(_is_memory, type_.fields))
    return isinstance(type_, TensorType) and type_.shape is not None and type_.dtype is not None


def _call(op: Op, name: str, args: tuple[Expr, ...], out: Any) -> Call:
    if not isinstance(name, str):
        raise ScriptError(
            f"{op.name}: the function is given by its registered name, got {name!r}", span=current_context().span
        )
    result: Type = AnyType() if out is None else with_named_sizes(as_type(out), "u", fresh_symbol)
    callee = ExternFunc(name, FuncType(None, result, op.is_pure), current_context().span)
    return Call(op, (callee, *args), NO_ATTRS, result, current_context().span)


def _arguments(caller: str, args: Any) -> tuple[Expr, ...]:
    return tuple(
        HostObject(arg, AnyType(), current_context().span)
        if isinstance(arg, str)
        else as_expr(arg, f"{caller}: argument {i}")
        for i, arg in enumerate(args)
    )
