"""Programs that are one call of a kernel: how a kernel is called on arrays."""

from __future__ import annotations

from collections.abc import Sequence

from relaxdsl.errors import Definition, ScriptError
from relaxdsl.ir.graph import Function, Var
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import own_symbols, unbound_symbols
from relaxdsl.operators.calls import call_context
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.statements import Kernel, call_tir
from relaxdsl.types.binding import plan_binding
from relaxdsl.types.types import PrimType, TensorType, Type

#: The attribute of a function that only stands for a call of a kernel.
CALLS_A_KERNEL = "calls_a_kernel"


def program_of(kernel: Kernel, definition: Definition) -> tuple[Function, IRModule]:
    """A function of the kernel's inputs that calls it, and the module of both.

    An integer follows the inputs for each size that their shapes do not determine.
    """
    ir, span, spans = kernel.ir, definition.span, definition.params
    inputs = [Var(buffer.name, tensor_type_of(buffer), spans.get(buffer.name)) for buffer in ir.inputs]
    own = own_symbols(ir)
    sizes = [Var(name, PrimType("int64", own[name]), spans.get(name)) for name in sizes_to_pass(ir)]
    builder = BlockBuilder()
    with builder.function(ir.name, [*inputs, *sizes], attrs={CALLS_A_KERNEL: True}, span=span):
        values = [own[name] for name in unbound_symbols(ir)]
        with call_context(span=span):
            builder.emit_func_output(builder.emit(call_tir(kernel, [*inputs, *values])))
    module = builder.get()
    return module.graph_functions[ir.name], module


def tensor_type_of(buffer: Buffer) -> TensorType:
    """The type of the tensors that the buffer can be."""
    return TensorType(buffer.shape, buffer.dtype)


def sizes_to_pass(kernel: PrimFunc) -> tuple[str, ...]:
    """The sizes that no input's shape determines, not even by an equation such as ``2 * n + 1 == size``."""
    params = [(buffer.name, tensor_type_of(buffer)) for buffer in kernel.inputs]
    left = list(unbound_symbols(kernel))
    for name in tuple(left):
        others = [each for each in left if each != name]
        if _determines(params, others, name):
            left = others
    return tuple(left)


def _determines(params: Sequence[tuple[str, Type]], known: Sequence[str], name: str) -> bool:
    try:
        return name in plan_binding(params, known).bound_at()
    except ScriptError:
        return False
