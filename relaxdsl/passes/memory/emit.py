"""The program with explicit memory, as the plan has it: what allocates, what views, what is called on what."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError, Span
from relaxdsl.ir.graph import (
    NO_ATTRS,
    Binding,
    BindingBlock,
    Call,
    Constant,
    Expr,
    Function,
    If,
    MatchCast,
    SeqExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.visit import all_dims, bound_vars
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.passes.memory.kernels import WorkBuffer
from relaxdsl.passes.memory.offsets import symbols_in
from relaxdsl.passes.memory.outputs import Path
from relaxdsl.passes.memory.plan import Plan
from relaxdsl.passes.memory.values import Buffer, Group
from relaxdsl.passes.memory.walk import FillStep, KernelStep, ViewStep
from relaxdsl.trace import memory_calls
from relaxdsl.types.dims import Dim, symbol
from relaxdsl.types.dtype import dtype_to_move
from relaxdsl.types.types import PrimType, TensorType, TupleType, Type, tensor_type


def with_memory(function: Function, plan: Plan) -> Function:
    """``function`` with the memory of ``plan``.

    before::

        lv = call_tir(cls.exp, (x,))
        lv1 = call_tir(cls.sum, (lv,))
        return lv1

    after::

        storage = memory.alloc_storage(size_bytes=n * 64)
        lv = memory.alloc_tensor(storage, offset=0, shape=(n, 16), dtype="float32")
        cls.exp(x, lv)
        lv1 = builtin.alloc_tensor(shape=(n,), dtype="float32")
        cls.sum(lv, lv1)
        memory.kill_tensor(lv)
        memory.kill_storage(storage)
        return lv1
    """
    names = UniqueNames([each.name for each in (*function.params, *bound_vars(function))])
    for name in symbols_in(all_dims(function)):
        names.reserve(name)
    emitter = _Emitter(plan, names, function.span)
    start = list(emitter.start())
    bindings = [*start, *emitter.bindings(function.body)]
    body, ending = emitter.result(function.body.body)
    bindings += [*ending, *emitter.end()]
    blocks = (BindingBlock(tuple(bindings)),) if bindings else ()
    return replace(function, body=SeqExpr(blocks, body, function.body.span))


@functools.cache
def copy_kernel(dtype: str) -> PrimFunc:
    """The kernel that copies a flat tensor."""
    x = te.placeholder((symbol("n"),), dtype, "x")
    return create_prim_func([x], [te.compute(x.shape, lambda i: x[i], name="out")], "copy")


@dataclass(slots=True)
class _Emitter:
    plan: Plan
    names: UniqueNames
    span: Span | None = None
    """Of the function: the place of what stands nowhere in it."""
    storage: Var | None = None
    tensors: dict[Buffer, Var] = field(default_factory=dict)
    """The variable of each buffer."""
    living: list[Buffer] = field(default_factory=list)
    """What the sequence at hand has allocated in the workspace and not killed yet."""
    outputs: dict[Group, Var] = field(default_factory=dict)
    """Of groups that are results, the variable of the memory."""
    results: dict[Path, Var] = field(default_factory=dict)
    """The variables to return where the program's own are not those of the memory."""

    # ---- the whole

    def start(self) -> Iterator[Binding]:
        if self.plan.threads is not None:
            count = Call(memory_calls.COUNT_THREADS, (), NO_ATTRS, PrimType("int64", self.plan.threads))
            yield VarBinding(Var(str(self.plan.threads), count.type), count)
        if self.plan.layout.pieces:
            size = memory_calls.alloc_storage(size_bytes=self.plan.layout.size)
            self.storage = Var(self.names.fresh("storage"), size.type)
            yield VarBinding(self.storage, size)

    def end(self) -> Iterator[Binding]:
        if self.storage is not None:
            yield _effect(memory_calls.effect(memory_calls.KILL_STORAGE, self.storage), None)

    def bindings(self, sequence: SeqExpr) -> Iterator[Binding]:
        """The bindings of a sequence; after each, what dies with it is killed."""
        outside, self.living = self.living, []
        for binding in sequence.bindings:
            yield from self.binding(binding)
            last = self.plan.results.walk.spans[binding.var][1]
            yield from (self.killed(each) for each in self.living if each.last <= last)
            self.living = [each for each in self.living if each.last > last]
        self.living = outside

    def binding(self, binding: Binding) -> Iterator[Binding]:
        value, step = binding.value, self.plan.results.walk.steps.get(binding.var)
        if isinstance(value, If):
            then_branch, else_branch = self.branch(value.then_branch), self.branch(value.else_branch)
            yield replace(binding, value=replace(value, then_branch=then_branch, else_branch=else_branch))
        elif isinstance(step, KernelStep):
            yield from self.kernel(step, binding.span)
        elif isinstance(step, ViewStep):
            yield from self.view(step, binding.span)
        elif isinstance(step, FillStep):
            yield from self.fill(step, binding.span)
        else:
            yield binding

    def branch(self, branch: SeqExpr) -> SeqExpr:
        bindings = tuple(self.bindings(branch))
        return SeqExpr((BindingBlock(bindings),) if bindings else (), branch.body, branch.span)

    # ---- steps

    def kernel(self, step: KernelStep, span: Span | None) -> Iterator[Binding]:
        yield from self.allocations(step.var, step.call.type, step.outputs, span)
        kernel, memory = self.plan.kernels[step], self.plan.work[step]
        work: list[Expr] = []
        for part in memory.parts:
            if isinstance(part, WorkBuffer):
                var = Var(self.names.fresh(part.name), self.work_type(part))
                yield VarBinding(var, self.work_allocation(part, var.type), span)
                work.append(var)
            else:
                work.append(Constant(part, tensor_type(part.shape, str(part.dtype))))
        operands = _fields(step.call.args[1])
        inputs, sizes = operands[: len(kernel.inputs)], operands[len(kernel.inputs) :]
        outputs = (self.tensors[each] for each in step.outputs)
        attrs = {**step.call.attrs, **({"done": memory.done} if memory.done else {})}
        callee = self.plan.variants.name_of(kernel)
        yield _effect(memory_calls.kernel_call(callee, (*inputs, *outputs, *sizes, *work), attrs), span)
        yield from (
            _effect(memory_calls.effect(memory_calls.KILL_TENSOR, each), span) for each in work if isinstance(each, Var)
        )
        yield from self.tupled(step.var, step.call.type, step.outputs, span)

    def fill(self, step: FillStep, span: Span | None) -> Iterator[Binding]:
        yield from self.allocations(step.var, step.call.type, step.outputs, span)
        callee, args = step.call.args
        inputs = args if isinstance(args, Tuple) else Tuple((args,))
        outputs = Tuple(tuple(self.tensors[each] for each in step.outputs))
        call = memory_calls.effect(memory_calls.CALL_DPS_PACKED, callee, inputs, outputs)
        yield _effect(call, span)
        yield from self.tupled(step.var, step.call.type, step.outputs, span)

    def view(self, step: ViewStep, span: Span | None) -> Iterator[Binding]:
        requires = step.call.attrs.get("requires")
        views = [
            memory_calls.view(source, offset=offset, shape=type_.shape or (), requires=requires)
            for source, offset, type_ in step.parts
        ]
        if not isinstance(step.call.type, TupleType):
            yield _bound(step.var, views[0], span)
            return
        fields = [Var(self.names.fresh(step.var.name), each.type) for each in views]
        yield from (_bound(var, each, span) for var, each in zip(fields, views, strict=True))
        yield VarBinding(step.var, Tuple(tuple(fields)), span)

    def tupled(self, var: Var, type_: Type, outputs: Sequence[Buffer], span: Span | None) -> Iterator[Binding]:
        """The variable of a call with several results."""
        if isinstance(type_, TupleType):
            rest = iter(outputs)
            yield VarBinding(var, self.tuple_of(type_, rest), span)

    def tuple_of(self, type_: Type, rest: Iterator[Buffer]) -> Expr:
        if isinstance(type_, TupleType):
            return Tuple(tuple(self.tuple_of(field, rest) for field in type_.fields))
        return self.tensors[next(rest)]

    # ---- memory

    def allocations(self, var: Var, type_: Type, outputs: Sequence[Buffer], span: Span | None) -> Iterator[Binding]:
        for buffer in outputs:
            name = var.name
            own = var if not isinstance(type_, TupleType) else Var(self.names.fresh(name), _type_of(buffer), var.span)
            self.tensors[buffer] = own
            yield from self.allocation(buffer, own, span)

    def allocation(self, buffer: Buffer, var: Var, span: Span | None) -> Iterator[Binding]:
        group = self.plan.sharing.groups[buffer]
        if group.output is not None:
            yield from self.in_result(buffer, group, var, span)
        elif self.is_planned(buffer):
            self.living.append(buffer)
            yield _bound(var, self.in_storage(self.plan.pieces[group].offset, _type_of(buffer)), span)
        else:
            yield _bound(var, memory_calls.alloc_own(shape=buffer.shape, dtype=buffer.dtype), span)

    def in_result(self, buffer: Buffer, group: Group, var: Var, span: Span | None) -> Iterator[Binding]:
        """A buffer that is a result, or that one is written over."""
        assert group.output is not None
        path, place = self.plan.results.owned[group.output]
        if group not in self.outputs:
            is_direct = buffer is group.output and place.shape == buffer.shape
            memory = var if is_direct else Var(self.names.fresh("out"), tensor_type(place.shape, place.dtype))
            self.outputs[group] = memory
            if not is_direct or place.maker is not None:
                self.results[path] = memory
            yield _bound(memory, memory_calls.alloc_own(shape=place.shape, dtype=place.dtype), span)
        memory = self.outputs[group]
        if memory is not var:
            dtype = None if place.dtype == buffer.dtype else buffer.dtype
            yield _bound(var, memory_calls.view(memory, offset=0, shape=buffer.shape, dtype=dtype), span)

    def in_storage(self, offset: Dim, type_: TensorType) -> Call:
        assert self.storage is not None
        assert type_.dtype is not None
        return memory_calls.alloc_tensor(self.storage, offset=offset, shape=type_.shape or (), dtype=type_.dtype)

    def is_planned(self, buffer: Buffer) -> bool:
        """Whether the buffer is in the workspace."""
        return self.plan.sharing.groups[buffer] in self.plan.pieces

    def killed(self, buffer: Buffer) -> Binding:
        return _effect(memory_calls.effect(memory_calls.KILL_TENSOR, self.tensors[buffer]), buffer.span)

    def work_type(self, part: WorkBuffer) -> TensorType:
        size = self.plan.parts[part].size
        return tensor_type((size,), "uint8") if part.is_for_each else tensor_type(part.shape, part.dtype)

    def work_allocation(self, part: WorkBuffer, type_: Type) -> Call:
        assert isinstance(type_, TensorType)
        piece = self.plan.parts[part].piece
        if piece is not None:
            return self.in_storage(piece.offset, type_)
        return memory_calls.alloc_own(shape=type_.shape or (), dtype=type_.dtype or "uint8")

    # ---- the result

    def result(self, value: Expr) -> tuple[Expr, list[Binding]]:
        """The result, and the bindings that it needs: copies of what is something else's."""
        if not self.results and not self.plan.results.copied:
            return value, []
        bindings: list[Binding] = []
        return self.result_at(value, (), bindings), bindings

    def result_at(self, value: Expr, path: Path, bindings: list[Binding]) -> Expr:
        if isinstance(value.type, TupleType):
            parts = [_field(value, index, bindings, self.names) for index, _ in enumerate(value.type.fields)]
            return Tuple(tuple(self.result_at(part, (*path, index), bindings) for index, part in enumerate(parts)))
        if path in self.plan.results.copied:
            return self.copied(value, bindings)
        memory = self.results.get(path)
        if memory is None or memory.type == value.type:
            return value if memory is None else memory
        bindings.append(MatchCast(Var(self.names.fresh(memory.name), value.type), memory, value.type))
        return bindings[-1].var

    def copied(self, value: Expr, bindings: list[Binding]) -> Var:
        """A copy of a tensor that is an argument, a constant or another result."""
        type_ = value.type
        if not isinstance(type_, TensorType) or type_.shape is None or type_.dtype is None:
            raise InternalError(f"memory: an output of type {type_}")
        shape, count, span = type_.shape, math.prod(type_.shape), value.span or self.span

        def bind(call: Call, name: str) -> Var:
            bindings.append(_bound(Var(self.names.fresh(name), call.type), call, span))
            return bindings[-1].var

        out = bind(memory_calls.alloc_own(shape=shape, dtype=type_.dtype), "out")
        moved = dtype_to_move(type_.dtype)
        other = None if moved == type_.dtype else moved
        flat = [bind(memory_calls.view(each, offset=0, shape=(count,), dtype=other), "flat") for each in (value, out)]
        kernel = copy_kernel(moved)
        bindings.append(_effect(memory_calls.kernel_call(self.plan.variants.name_of(kernel), flat, {}), span))
        return out


def _field(value: Expr, index: int, bindings: list[Binding], names: UniqueNames) -> Expr:
    """A field of a tuple, bound to a variable unless it is one."""
    if isinstance(value, Tuple):
        return value.fields[index]
    assert isinstance(value.type, TupleType)
    type_ = value.type.fields[index]
    bindings.append(VarBinding(Var(names.fresh("field"), type_), TupleGetItem(value, index, type_)))
    return bindings[-1].var


def _fields(args: Expr) -> tuple[Expr, ...]:
    return args.fields if isinstance(args, Tuple) else ()


def _type_of(buffer: Buffer) -> TensorType:
    return tensor_type(buffer.shape, buffer.dtype)


def _bound(var: Var, call: Call, span: Span | None) -> VarBinding:
    return VarBinding(var, replace(call, span=span), span)


def _effect(call: Call, span: Span | None) -> VarBinding:
    return VarBinding(Var("_", call.type), replace(call, span=span), span)
