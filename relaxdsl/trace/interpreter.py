"""The reference interpreter: a graph program's meaning in NumPy, binding by binding.

Operators run as their references, kernels as :mod:`relaxdsl.trace.block_interpreter` says (or as the caller wants),
packed functions as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import InternalError, KernelError
from relaxdsl.ir.graph import (
    Binding,
    Call,
    Constant,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    HostObject,
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
)
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import bind_kernel_symbols
from relaxdsl.operators import registry
from relaxdsl.operators.calls import operands_of
from relaxdsl.runtime.packed import get_packed
from relaxdsl.trace import loop_interpreter
from relaxdsl.types.dims import Dim, SymInt, evaluate
from relaxdsl.types.match import Source, plan_binding, run_binding
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType, Type

RunKernel = Callable[[PrimFunc, Sequence[np.ndarray], Mapping[str, int]], Sequence[np.ndarray]]
OnBinding = Callable[[Binding, Any], Any]


def interpret(
    function: Function,
    module: IRModule,
    args: Sequence[Any],
    *,
    run_kernel: RunKernel = loop_interpreter.run_kernel,
    on_binding: OnBinding = lambda binding, value: value,
) -> Any:
    """What ``function`` gives on NumPy arrays, ints and tuples of them.

    Args:
        run_kernel: computes a kernel's outputs from its inputs and its symbols' values.
        on_binding: sees each binding with its value, in order, and returns the value that its variable gets.

    Raises:
        ArgumentError: an argument's sizes do not fit.
    """
    return Interpreter(module, run_kernel, on_binding).call(function, args)


class Interpreter:
    """Evaluates functions of a module; one object per call of a function, since symbols are the function's own."""

    def __init__(self, module: IRModule, run_kernel: RunKernel, on_binding: OnBinding) -> None:
        self._module = module
        self._run_kernel = run_kernel
        self._on_binding = on_binding
        self._values: dict[Var, Any] = {}
        self._symbols: dict[str, int] = {}

    def call(self, function: Function, args: Sequence[Any]) -> Any:
        """The function's result."""
        self._match([(param.name, param.type) for param in function.params], args, function.name)
        self._values.update(zip(function.params, args, strict=True))
        with np.errstate(all="ignore"):
            return self._sequence(function.body)

    def _match(self, declared: Sequence[tuple[str, Type]], values: Sequence[Any], function: str = "") -> None:
        """Binds the types' symbols to the values' sizes, and checks the others."""
        plan = plan_binding(declared, known=self._symbols)
        sizes = {
            source: size
            for index, value in enumerate(values)
            for source, size in _sizes(declared[index][1], value, index)
        }
        self._symbols.update(run_binding(plan, sizes, function=function, known=self._symbols))

    def _sequence(self, sequence: SeqExpr) -> Any:
        for binding in sequence.bindings:
            value = self._expr(binding.value)
            if isinstance(binding, MatchCast):
                self._match([(binding.var.name, binding.target)], [value])
            self._values[binding.var] = self._on_binding(binding, value)
        return self._expr(sequence.body)

    def _expr(self, expr: Expr) -> Any:
        match expr:
            case Var():
                return self._values[expr]
            case Constant(value=value) | HostObject(value=value):
                return value
            case PrimValue(value=dim):
                return self._dim(dim)
            case ShapeExpr(values=dims):
                return tuple(map(self._dim, dims))
            case Tuple(fields=fields):
                return tuple(map(self._expr, fields))
            case TupleGetItem(value=value, index=index):
                return self._expr(value)[index]
            case If():
                return self._if(expr)
            case Call():
                return self._call(expr)
        raise InternalError(f"interpret: {type(expr).__name__}")

    def _if(self, choice: If) -> Any:
        """The value of one branch; the sizes in which the branches differ are symbols of the If's type."""
        value = self._sequence(choice.then_branch if self._expr(choice.condition) else choice.else_branch)
        self._bind_result(choice.type, value)
        return value

    def _call(self, call: Call) -> Any:
        if isinstance(call.op, GlobalVar):
            callee = self._module[call.op.name]
            if not isinstance(callee, Function):
                raise InternalError(f"interpret: {call.op.name} is a kernel and is called without call_tir")
            inner = Interpreter(self._module, self._run_kernel, lambda binding, value: value)
            result = inner.call(callee, [self._expr(arg) for arg in call.args])
        else:
            result = self._call_op(call)
        self._bind_result(call.type, result)
        return result

    def _call_op(self, call: Call) -> Any:
        if not isinstance(call.op, Op):
            raise InternalError(f"interpret: a call of {call.op}")
        match call.op.name:
            case "call_tir":
                return self._call_kernel(call)
            case "call_dps_packed":
                return self._call_dps(call)
            case "call_packed" | "call_pure_packed":
                return _native(_packed(call.args[0])(*map(self._expr, call.args[1:])))
        return self._call_operator(call, call.op.name)

    def _call_operator(self, call: Call, name: str) -> Any:
        definition = registry.get(name)
        operands = {
            key: None if operand is None else self._expr(operand)
            for key, operand in operands_of(definition, call).items()
        }
        attrs = {key: self._attr(value) for key, value in call.attrs.items()}
        if next(iter(definition.signature.parameters)) in attrs:  # full(shape, fill_value)
            return _as_type(definition.reference(**operands, **attrs), call.type)
        return _as_type(definition.reference(*operands.values(), **attrs), call.type)

    def _call_kernel(self, call: Call) -> Any:
        callee, args = call.args
        kernel = self._module[callee.name] if isinstance(callee, GlobalVar) else None
        if not isinstance(kernel, PrimFunc) or not isinstance(args, Tuple):
            raise InternalError(f"interpret: {callee} is no kernel")
        dims = bind_kernel_symbols(kernel, args.fields)
        symbols = {name: self._dim(dim) for name, dim in dims.items()}
        inputs = [self._expr(arg) for arg in args.fields[: len(kernel.inputs)]]
        try:
            outputs = self._run_kernel(kernel, inputs, symbols)
        except KernelError as error:
            error.at(call.span)
            raise
        return tuple(outputs) if isinstance(call.type, TupleType) else outputs[0]

    def _call_dps(self, call: Call) -> Any:
        callee, args = call.args
        outputs = self._allocate(call.type)
        inputs = self._expr(args)
        _packed(callee)(*inputs, *(outputs if isinstance(outputs, tuple) else (outputs,)))
        return outputs

    def _allocate(self, type_: Type) -> Any:
        if isinstance(type_, TupleType):
            return tuple(map(self._allocate, type_.fields))
        if not isinstance(type_, TensorType) or type_.shape is None:
            raise InternalError(f"interpret: no memory for {type_}")
        return np.zeros(tuple(map(self._dim, type_.shape)), type_.dtype)

    def _bind_result(self, type_: Type, value: Any) -> None:
        """Binds symbols that the call's type introduces."""
        if not isinstance(type_, AnyType):
            self._match([("result", type_)], [value])

    def _dim(self, dim: Dim) -> int:
        return evaluate(dim, self._symbols)

    def _attr(self, value: Any) -> Any:
        if isinstance(value, SymInt):
            return self._dim(value)
        if isinstance(value, tuple):
            return tuple(map(self._attr, value))
        if isinstance(value, slice):
            return slice(self._attr(value.start), self._attr(value.stop), self._attr(value.step))
        return value


def _native(value: Any) -> Any:
    """What a packed function returned, arrays in the machine's byte order."""
    if type(value) in (tuple, list):
        return type(value)(map(_native, value))
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        return value.astype(value.dtype.newbyteorder("="))
    return value


def _packed(callee: Expr) -> Callable[..., Any]:
    if not isinstance(callee, ExternFunc):
        raise InternalError(f"interpret: {callee} is no packed function")
    return callee.function or get_packed(callee.name, callee.span)


def _as_type(value: Any, type_: Type) -> Any:
    """A reference's result as arrays."""
    if isinstance(type_, TupleType):
        return tuple(_as_type(item, field) for item, field in zip(value, type_.fields, strict=True))
    return np.asarray(value)


def _sizes(type_: Type, value: Any, param: int, path: tuple[int, ...] = ()) -> Iterator[tuple[Source, int]]:
    """The sizes found at every place of the type that has one."""
    match type_:
        case TensorType(shape=tuple(shape)):
            for axis, _ in enumerate(shape):
                yield Source(param, path, axis), np.shape(value)[axis]
        case ShapeType(values=tuple(values)):
            for axis, _ in enumerate(values):
                yield Source(param, path, axis), value[axis]
        case PrimType(value=dim) if dim is not None:
            yield Source(param, path, None), int(value)
        case TupleType(fields=fields):
            for index, field in enumerate(fields):
                yield from _sizes(field, value[index], param, (*path, index))
