"""FoldConstant: what depends on constants only is computed when compiling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from relaxdsl.ir.graph import (
    Binding,
    BindingBlock,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
)
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.visit import rewrite_function
from relaxdsl.kernels.jit import kernel_outputs
from relaxdsl.operators import registry
from relaxdsl.operators.calls import constant
from relaxdsl.trace.interpreter import interpret
from relaxdsl.types.dtype import itemsize
from relaxdsl.types.types import TensorType, TupleType, Type, dims_of

SMALL_BYTES = 4096
"""Results of so many bytes are always computed; larger ones if they are no larger than what they are made of."""


def fold_constants(function: Function, module: IRModule) -> Function:
    """``function`` without calls whose operands are all constants; their results are constants instead.

    before::

        lv = relax.permute_dims(relax.constant(0))
        gv = relax.matmul(x, lv)

    after::

        gv = relax.matmul(x, relax.constant(1))

    Operators run as their references, kernels as they are compiled. What makes much of little, such as a broadcast or
    a cast to more bytes, is left to the program.
    """

    def on_binding(binding: Binding) -> Expr | None:
        if isinstance(binding, MatchCast) or not _is_foldable(binding.value):
            return None
        body = SeqExpr((BindingBlock((binding,)),), binding.var)
        made = Function("constant", (), body, binding.var.type)
        return _as_constant(interpret(made, module, (), run_kernel=kernel_outputs), binding)

    return rewrite_function(function, on_binding)


def _is_foldable(value: Expr) -> bool:
    """Whether the value is a call without effects whose operands are all constants, and not much larger than they."""
    if not isinstance(value, Call) or not isinstance(value.op, Op) or not _computes_elements(value.op):
        return False
    operands = list(_leaves(value.args))
    constants = [each for each in operands if isinstance(each, Constant)]
    known = all(isinstance(each, Constant | GlobalVar) or _is_static(each) for each in operands)
    size = _byte_count(value.type)
    limit = max(SMALL_BYTES, sum(each.value.nbytes for each in constants))
    return bool(constants) and known and size is not None and size <= limit


def _computes_elements(op: Op) -> bool:
    """Whether the operator is defined by what its elements are, and not by a function that runs in Python."""
    definition = registry.find(op.name)
    return op.name == "call_tir" or (definition is not None and definition.body is not None)


def _leaves(args: tuple[Expr, ...]) -> Iterator[Expr]:
    for arg in args:
        if isinstance(arg, Tuple):
            yield from _leaves(arg.fields)
        else:
            yield arg


def _is_static(expr: Expr) -> bool:
    return isinstance(expr, ShapeExpr | PrimValue) and all(isinstance(dim, int) for dim in dims_of(expr.type))


def _byte_count(type_: Type) -> int | None:
    """How many bytes a value of the type has; None where that is not known now."""
    if isinstance(type_, TupleType):
        counts = [_byte_count(field) for field in type_.fields]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None
    if not isinstance(type_, TensorType) or type_.shape is None or type_.dtype is None:
        return None
    sizes = [size for size in type_.shape if isinstance(size, int)]
    return math.prod(sizes, start=itemsize(type_.dtype)) if len(sizes) == len(type_.shape) else None


def _as_constant(value: Any, binding: Binding) -> Expr:
    if isinstance(value, tuple):
        return Tuple(tuple(_as_constant(each, binding) for each in value), binding.span)
    return constant(value, binding.span)
