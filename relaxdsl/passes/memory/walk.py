"""The walk through a function of kernel calls: what each binding reads and makes, and for how long that is in use.

Positions number what happens, in order; the branches of an ``if`` come one after the other. A tensor that the second
branch needs is thus in use while the first one runs, and neither takes memory that the other's result is in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError, Span
from relaxdsl.ir.graph import (
    Binding,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    If,
    MatchCast,
    Op,
    SeqExpr,
    Tuple,
    TupleGetItem,
    Var,
)
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import bind_kernel_symbols
from relaxdsl.passes.memory.accesses import Part, parts_of
from relaxdsl.passes.memory.early import early_sizes
from relaxdsl.passes.memory.values import OPAQUE, Buffer, Origin, Place, Value, places_in
from relaxdsl.types.dims import Dim, free_symbols, substitute
from relaxdsl.types.dtype import itemsize
from relaxdsl.types.types import TensorType, TupleType, Type


@dataclass(eq=False, slots=True)
class KernelStep:
    """A call of a kernel.

    Args:
        tensors: where its inputs are. values: of its sizes.
        outputs: what it makes.
        position: when it happens.
    """

    var: Var
    call: Call
    kernel: PrimFunc
    tensors: list[Place]
    values: dict[str, Dim]
    outputs: list[Buffer]
    position: int
    is_top: bool


@dataclass(eq=False, slots=True)
class ViewStep:
    """A call of a kernel whose outputs are parts of its inputs, so that nothing has to run.

    Args:
        parts: for each output, the input, how many bytes from its start, and the output's type.
    """

    var: Var
    call: Call
    parts: list[tuple[Expr, Dim, TensorType]]


@dataclass(eq=False, slots=True)
class FillStep:
    """A call of a packed function that fills its outputs."""

    var: Var
    call: Call
    outputs: list[Buffer]


Step = KernelStep | ViewStep | FillStep


@dataclass(eq=False, slots=True)
class Walk:
    """What a walk found: steps by their variable, the positions of each binding, all buffers, and the result.

    ``last``: the position after everything. ``lines``: the user's line at each position.
    """

    steps: dict[Var, Step] = field(default_factory=dict)
    spans: dict[Var, tuple[int, int]] = field(default_factory=dict)
    lines: dict[int, Span | None] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    result: Value = OPAQUE
    last: int = 0

    @property
    def kernel_steps(self) -> Iterator[KernelStep]:
        return (step for step in self.steps.values() if isinstance(step, KernelStep))


def walk(function: Function, module: IRModule, copied: Collection[Var]) -> Walk:
    """Walks through ``function``, a flat program of calls of kernels of ``module``.

    Args:
        copied: the variables of views that have to be copies.
    """
    walker = _Walker(module, copied, early_sizes(function).symbols)
    for param in function.params:
        walker.values[param] = walker.given(param.name, param.type)
    walker.found.result = walker.sequence(function.body)
    walker.found.last = walker.position = walker.position + 1
    walker.use(walker.found.result)
    return walker.found


@dataclass(slots=True)
class _Walker:
    module: IRModule
    copied: Collection[Var]
    early: Collection[str]
    found: Walk = field(default_factory=Walk)
    position: int = 0
    depth: int = 0
    values: dict[Var, Value] = field(default_factory=dict)
    parts: dict[PrimFunc, tuple[Part, ...] | None] = field(default_factory=dict)

    # ---- bindings

    def sequence(self, sequence: SeqExpr) -> Value:
        for binding in sequence.bindings:
            self.position += 1
            start = self.position
            self.found.lines[start] = binding.span
            self.values[binding.var] = self.binding(binding)
            self.found.spans[binding.var] = start, self.position
        return self.value(sequence.body)

    def binding(self, binding: Binding) -> Value:
        match binding.value:
            case _ if isinstance(binding, MatchCast):
                return self.cast(binding)
            case If() as choice:
                return self.choice(choice)
            case Call() as call:
                return self.call(binding.var, call)
            case value:
                return self.value(value)

    def cast(self, binding: MatchCast) -> Value:
        """A cast keeps the value where it is; what had no type before has one now."""
        value = self.value(binding.value)
        return self.given(binding.var.name, binding.target) if value is OPAQUE else value

    def choice(self, choice: If) -> Value:
        self.use(self.value(choice.condition))
        self.depth += 1
        then_value = self.sequence(choice.then_branch)
        else_value = self.sequence(choice.else_branch)
        self.depth -= 1
        self.position += 1
        self.use(then_value)
        self.use(else_value)
        return _either(then_value, else_value, choice.type)

    def call(self, var: Var, call: Call) -> Value:
        match call.op, call.args:
            case Op(name="call_tir"), (GlobalVar() as callee, Tuple(fields=operands)):
                return self.kernel_call(var, call, self.kernel(callee), operands)
            case Op(name="call_dps_packed"), _:
                return self.fill(var, call)
        for arg in call.args:
            self.use(self.value(arg))
        return self.given(var.name, call.type)

    def kernel(self, callee: GlobalVar) -> PrimFunc:
        kernel = self.module[callee.name]
        if not isinstance(kernel, PrimFunc):
            raise InternalError(f"memory: {callee.name} is no kernel")
        return kernel

    def kernel_call(self, var: Var, call: Call, kernel: PrimFunc, operands: Sequence[Expr]) -> Value:
        values = bind_kernel_symbols(kernel, operands)
        inputs = operands[: len(kernel.inputs)]
        if kernel not in self.parts:
            self.parts[kernel] = parts_of(kernel)
        parts = self.parts[kernel]
        if parts is not None and var not in self.copied:
            return self.view(var, call, inputs, [(each.place, substitute(each.start, values)) for each in parts])
        tensors = [self.place(each) for each in inputs]
        for each in tensors:
            self.use(each)
        outputs, result = self.made(var, call)
        self.found.steps[var] = KernelStep(
            var, call, kernel, tensors, dict(values), outputs, self.position, not self.depth
        )
        return result

    def view(self, var: Var, call: Call, inputs: Sequence[Expr], parts: Sequence[tuple[int, Dim]]) -> Value:
        """Each output as a part of the input that it is."""
        types = call.type.fields if isinstance(call.type, TupleType) else (call.type,)
        views, places = [], []
        maker = None if self.depth else var
        for (place, start), type_ in zip(parts, types, strict=True):
            shape, dtype = _shape_and_dtype(type_)
            source, offset = self.place(inputs[place]), start * itemsize(dtype)
            views.append((inputs[place], offset, TensorType(shape, dtype)))
            places.append(Place(source.buffers, source.offset_bytes + offset, shape, dtype, maker))
        self.found.steps[var] = ViewStep(var, call, views)
        return tuple(places) if isinstance(call.type, TupleType) else places[0]

    def fill(self, var: Var, call: Call) -> Value:
        self.use(self.value(call.args[1]))
        outputs, result = self.made(var, call)
        self.found.steps[var] = FillStep(var, call, outputs)
        return result

    # ---- values

    def value(self, expr: Expr) -> Value:
        """Where the tensors of a leaf, or of a tuple of leaves, are."""
        match expr:
            case Var():
                return self.values[expr]
            case Tuple(fields=fields):
                return tuple(map(self.value, fields))
            case TupleGetItem(value=whole, index=index):
                value = self.value(whole)
                return value[index] if isinstance(value, tuple) else value
            case Constant(value=array):
                buffer = self.buffer("constant", array.shape, str(array.dtype), "given")
                buffer.array = array
                return _place_of(buffer)
            case _:
                return OPAQUE

    def place(self, expr: Expr) -> Place:
        value = self.value(expr)
        if not isinstance(value, Place):
            raise InternalError(f"memory: a kernel is called on {expr}")
        return value

    def given(self, name: str, type_: Type) -> Value:
        """A value whose memory is not the program's to use."""
        return self.typed(type_, lambda shape, dtype: _place_of(self.buffer(name, shape, dtype, "given")))

    def made(self, var: Var, call: Call) -> tuple[list[Buffer], Value]:
        """Memory for what a call makes."""
        outputs: list[Buffer] = []

        def make(shape: tuple[Dim, ...], dtype: str) -> Place:
            outputs.append(self.buffer(var.name, shape, dtype, "made"))
            outputs[-1].span = call.span
            return _place_of(outputs[-1])

        return outputs, self.typed(call.type, make)

    def typed(self, type_: Type, make: Callable[[tuple[Dim, ...], str], Value]) -> Value:
        if isinstance(type_, TupleType):
            return tuple(self.typed(field, make) for field in type_.fields)
        is_known = isinstance(type_, TensorType) and type_.shape is not None and type_.dtype is not None
        return make(*_shape_and_dtype(type_)) if is_known else OPAQUE

    def buffer(self, name: str, shape: tuple[Dim, ...], dtype: str, origin: Origin) -> Buffer:
        is_early = self.are_early(shape)
        made = Buffer(name, shape, dtype, origin, self.position, self.position, is_early, not self.depth)
        self.found.buffers.append(made)
        return made

    def use(self, value: Value) -> None:
        for place in places_in(value):
            for buffer in place.buffers:
                buffer.last = max(buffer.last, self.position)

    def are_early(self, dims: Iterable[Dim]) -> bool:
        return all(name in self.early for dim in dims for name in free_symbols(dim))


def _shape_and_dtype(type_: Type) -> tuple[tuple[Dim, ...], str]:
    if not isinstance(type_, TensorType) or type_.shape is None or type_.dtype is None:
        raise InternalError(f"memory: no memory for a value of type {type_}")
    return type_.shape, type_.dtype


def _place_of(buffer: Buffer) -> Place:
    return Place((buffer,), 0, buffer.shape, buffer.dtype)


def _either(one: Value, other: Value, type_: Type) -> Value:
    """The value of an ``if``: its tensors are where one branch or the other left them."""
    if isinstance(type_, TupleType):
        if not isinstance(one, tuple) or not isinstance(other, tuple):
            raise InternalError(f"memory: a branch gives no tuple for {type_}")
        return tuple(map(_either, one, other, type_.fields))
    if not isinstance(one, Place) or not isinstance(other, Place):
        return OPAQUE
    shape, dtype = _shape_and_dtype(type_)
    # Where it starts differs: no part of it is known to be the whole buffer.
    return Place((*one.buffers, *other.buffers), 0, shape, dtype)
