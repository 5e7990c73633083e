"""LegalizeOps: operator calls become calls of kernels, made by running the operators' bodies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from relaxdsl.ir.graph import Binding, Call, Expr, Function, GlobalVar, Op
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.scalar import Const
from relaxdsl.ir.te import Tensor
from relaxdsl.ir.visit import rewrite_function
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.operators import registry
from relaxdsl.operators.calls import call_context, operands_of, run_body, te_operand
from relaxdsl.operators.registry import Operator
from relaxdsl.trace.kernel_calls import call_kernel
from relaxdsl.types.dims import Dim

AddKernel = Callable[[PrimFunc, str], GlobalVar]


def legalize(function: Function, add_kernel: AddKernel) -> Function:
    """``function`` with every call of an operator that has a body replaced by a call of its kernel.

    before::

        lv = relax.add(x, y)

    after::

        lv = relax.call_tir(cls.add, (x, y), out=relax.Tensor(("m",), "float32"))

    Args:
        add_kernel: puts a kernel into the module under a name like the given one and returns its GlobalVar.
    """

    kernels: dict[Hashable, tuple[PrimFunc, GlobalVar]] = {}

    def on_binding(binding: Binding) -> Binding | None:
        call = binding.value
        if not (isinstance(call, Call) and isinstance(call.op, Op)):
            return None
        definition = registry.find(call.op.name)
        if definition is None or definition.body is None:
            return None
        return replace(binding, value=_kernel_call(definition, call, add_kernel, kernels))

    return rewrite_function(function, on_binding)


def _kernel_call(
    definition: Operator, call: Call, add_kernel: AddKernel, kernels: dict[Hashable, tuple[PrimFunc, GlobalVar]]
) -> Call:
    """The call of the operator's kernel; ``kernels`` are those made already, so that a chain of layers makes each
    once.
    """
    operands = operands_of(definition, call)
    placeholders = _Placeholders()
    te_operands = {name: placeholders.convert(operand, name, definition.name) for name, operand in operands.items()}
    key = (definition.name, *map(placeholders.key, te_operands.values()), repr(sorted(call.attrs.items())))
    with call_context(span=call.span):
        if key in kernels:
            kernel, callee = kernels[key]
            return replace(call_kernel(callee, kernel, placeholders.expressions), type=call.type)
        requirements: list[tuple[Dim, int, str]] = []
        kernel = _kernel(definition, te_operands, call.attrs, placeholders.tensors, requirements)
        callee = add_kernel(kernel, kernel.name)
        kernel_call = replace(call_kernel(callee, kernel, placeholders.expressions), type=call.type)
    if requirements:  # their messages name the operands
        return replace(kernel_call, attrs=MappingProxyType({"requires": tuple(requirements)}))
    kernels[key] = kernel, callee
    return kernel_call


def _kernel(
    definition: Operator,
    te_operands: Mapping[str, Any],
    attrs: Mapping[str, Any],
    tensors: Sequence[Tensor],
    requirements: list[tuple[Dim, int, str]],
) -> PrimFunc:
    """The kernel that the operator's body describes; what it requires of sizes is added to ``requirements``."""
    # What could not be decided was accepted when the call was typed, and a check stands before it.
    with call_context(
        accept_undecided=lambda *_: True,
        on_requirement=lambda dim, least, message: requirements.append((dim, least, message)),
    ):
        result = run_body(definition, te_operands, attrs)
    outputs = list(result) if isinstance(result, list | tuple) else [result]
    return create_prim_func(tensors, outputs, definition.name.rpartition(".")[2])


class _Placeholders:
    """The tensors among a call's operands, each once, as placeholders and as expressions."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.expressions: list[Expr] = []

    def key(self, converted: Any) -> Hashable:
        """What tells two operands apart for a kernel: shape, dtype and which input it is, or the value."""
        if isinstance(converted, list):
            return tuple(map(self.key, converted))
        if isinstance(converted, Tensor):
            return self.tensors.index(converted), converted.shape, converted.dtype
        if isinstance(converted, Const):
            return converted.dtype, repr(converted.value)
        return type(converted), converted

    def convert(self, operand: Expr | None, name: str, operator_name: str) -> Any:
        """The operand as the body sees it; a tensor used twice is one input."""
        return self._noted(te_operand(operand, name, operator_name), operand)

    def _noted(self, converted: Any, operand: Any) -> Any:
        if isinstance(converted, list):
            return [self._noted(item, field) for item, field in zip(converted, operand.fields, strict=True)]
        if not isinstance(converted, Tensor):
            return converted
        for tensor, known in zip(self.tensors, self.expressions, strict=True):
            if known is operand:
                return tensor
        self.tensors.append(converted)
        self.expressions.append(operand)
        return converted
