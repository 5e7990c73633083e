"""Explicit memory in programs: storage, the tensors in it, views, and kernels that write into them.

The memory stage (:mod:`relaxdsl.passes.memory`) makes programs of these calls; its text parses back by them. A kernel
is called on all that it touches, ``cls.add(x, y, lv)``: inputs, outputs, sizes, then its own working memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from relaxdsl.ir.graph import Call, Expr, ExternFunc, GlobalVar, Op, Tuple
from relaxdsl.operators.calls import as_expr, current_context, fresh_symbol
from relaxdsl.trace.builder import current_builder
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import AnyType, FuncType, PrimType, TensorType, TupleType, Type, tensor_type

ALLOC_STORAGE = Op("memory.alloc_storage")
ALLOC_TENSOR = Op("memory.alloc_tensor")
ALLOC_OWN = Op("builtin.alloc_tensor")
VIEW = Op("memory.view")
KILL_TENSOR = Op("memory.kill_tensor")
KILL_STORAGE = Op("memory.kill_storage")
COUNT_THREADS = Op("memory.count_threads")
CALL_DPS_PACKED = Op("memory.call_dps_packed")

NOTHING = TupleType(())
"""The type of calls that only have an effect."""


def alloc_storage(*, size_bytes: Dim) -> Call:
    """So many bytes of the call's workspace, for tensors."""
    return _call(ALLOC_STORAGE, (), AnyType(), size_bytes=size_bytes)


def alloc_tensor(storage: Expr, *, offset: Dim, shape: Sequence[Dim], dtype: str) -> Call:
    """A tensor in a storage, ``offset`` bytes from its start."""
    return _call(ALLOC_TENSOR, (storage,), tensor_type(shape, dtype), offset=offset, shape=tuple(shape), dtype=dtype)


def alloc_own(*, shape: Sequence[Dim], dtype: str) -> Call:
    """A tensor with memory of its own: an output, or one whose size is known only now."""
    return _call(ALLOC_OWN, (), tensor_type(shape, dtype), shape=tuple(shape), dtype=dtype)


def view(
    data: Expr,
    *,
    offset: Dim,
    shape: Sequence[Dim],
    dtype: str | None = None,
    requires: tuple[Any, ...] | None = None,
) -> Call:
    """A part of a tensor's memory as another tensor, ``offset`` bytes from its start.

    Args:
        dtype: its dtype, where that is another one.
        requires: what must hold of sizes for there to be such a part.
    """
    known = data.type.dtype if isinstance(data.type, TensorType) else None
    shape = tuple(shape)
    type_ = tensor_type(shape, known if dtype is None else dtype)
    return _call(VIEW, (data,), type_, offset=offset, shape=shape, dtype=dtype, requires=requires)


def kill_tensor(tensor: Expr) -> Expr:
    """Nothing uses the tensor from here on."""
    return _emitted(effect(KILL_TENSOR, tensor))


def kill_storage(storage: Expr) -> Expr:
    """Nothing uses the storage from here on."""
    return _emitted(effect(KILL_STORAGE, storage))


def count_threads() -> Call:
    """The number of threads that kernels may use in this call, as a size."""
    return _call(COUNT_THREADS, (), PrimType("int64", fresh_symbol("threads")))


def call_dps_packed(name: str, args: Any, outputs: Any) -> Expr:
    """Calls the packed function ``name`` on ``args`` and on ``outputs``, which it fills."""
    callee = ExternFunc(name, FuncType(None, NOTHING, True), current_context().span)
    tuples = (each if isinstance(each, Tuple) else Tuple(tuple(map(_expr, each))) for each in (args, outputs))
    return _emitted(effect(CALL_DPS_PACKED, callee, *tuples))


def call_kernel_into(kernel: GlobalVar, args: Sequence[Any], attrs: Mapping[str, Any]) -> Expr:
    """Calls a kernel on its inputs, outputs, sizes and working memory."""
    return _emitted(kernel_call(kernel, tuple(map(_expr, args)), attrs))


def effect(op: Op, *args: Expr) -> Call:
    """The call of an operator that stands for its effect, as an expression."""
    return _call(op, args, NOTHING)


def kernel_call(kernel: GlobalVar, args: Sequence[Expr], attrs: Mapping[str, Any]) -> Call:
    """The call of a kernel as an expression."""
    return Call(kernel, tuple(args), MappingProxyType(dict(attrs)), NOTHING, current_context().span)


def _expr(value: Any) -> Expr:
    return as_expr(value, "a kernel's argument")


def _call(op: Op, args: tuple[Expr, ...], type_: Type, **attrs: Any) -> Call:
    return Call(op, args, MappingProxyType(attrs), type_, current_context().span)


def _emitted(call: Call) -> Expr:
    """The call where a program is read: it is bound at once, as its order matters."""
    builder = current_builder()
    return call if builder is None else builder.emit(call)
