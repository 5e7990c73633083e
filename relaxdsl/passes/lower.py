"""Lowering: a function with explicit memory becomes the VM's program, in slots and instructions.

Arguments and outputs have fixed slots. What depends only on the arguments' sizes is computed in the prologue, where
every symbol is bound that can be. A tensor with memory of its own is an output; else its size is known only later, and
it is allocated when its size exists, which leaves compiled code for a moment.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import ArgumentError, InternalError, RelaxError, ShapeError, Span
from relaxdsl.ir.check_graph import MEMORY_OPS
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
from relaxdsl.ir.signature import bind_kernel_symbols, unbound_symbols
from relaxdsl.operators import registry
from relaxdsl.passes.kernel_calls import Constants, KernelCall, KernelCaller
from relaxdsl.passes.limits import Limits
from relaxdsl.passes.memory.early import early_sizes
from relaxdsl.passes.memory.kernels import KernelTable
from relaxdsl.passes.memory.values import size_bytes
from relaxdsl.passes.needed import needed_steps
from relaxdsl.passes.recursive_calls import RecursiveFunction
from relaxdsl.passes.results import output_places
from relaxdsl.passes.storage import Workspace
from relaxdsl.passes.trees import size_slots, slots_of, with_sizes
from relaxdsl.runtime.binding import bind_sizes
from relaxdsl.runtime.packed import get_packed
from relaxdsl.runtime.program import (
    WORKSPACE_SIZE_SLOT,
    Allocate,
    Arith,
    Branch,
    CallFunction,
    Check,
    Declaration,
    HostCall,
    Instruction,
    IntLeaf,
    Jump,
    ObjectLeaf,
    Program,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
    tensors_of,
    value_slots,
)
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.trace.kernel_programs import CALLS_A_KERNEL
from relaxdsl.trace.known_sizes import known_sizes
from relaxdsl.trace.memory_calls import (
    ALLOC_OWN,
    ALLOC_STORAGE,
    ALLOC_TENSOR,
    CALL_DPS_PACKED,
    COUNT_THREADS,
    VIEW,
)
from relaxdsl.types.bounds import bounded_symbols
from relaxdsl.types.dims import Dim, free_symbols, is_symbol, substitute
from relaxdsl.types.match import plan_binding
from relaxdsl.types.types import AnyType, TensorType, TupleType, Type, dims_of


def lower(function: Function, module: IRModule, table: KernelTable) -> Program:
    """The program of ``function``, whose memory is explicit; it calls kernels of ``module`` and packed functions.

    Args:
        table: the compiled kernels.
    """
    return _Lowering(function, module, table).program()


NOTHING = TupleTree(())


class _Lowering:
    def __init__(self, function: Function, module: IRModule, table: KernelTable) -> None:
        self._function = function
        self._declaration = _declaration(function)
        self._table = table
        self._module = module
        self._slots = SlotAllocator()
        self._prologue: list[Instruction] = []
        self._body: list[Instruction] = []
        self._arguments = tuple(self._slots.tree(param.name, param.type) for param in function.params)
        self._output = self._slots.tree("out", function.body.type)
        self._early = DimCompiler(self._slots, self._prologue)
        self._late = DimCompiler(self._slots, self._body, earlier=self._early)
        self._workspace = Workspace(self._early, self._late)
        self._constants = Constants(self._slots)
        self._kernels = KernelCaller(self._slots, self._early, self._late)
        self._objects: dict[int, Any] = {}
        self._values: dict[Var, Tree] = dict(zip(function.params, self._arguments, strict=True))
        self._places: dict[Var, Tree] = {}
        self._early_casts: set[MatchCast] = set()
        self._unchecked: dict[Dim, Span | None] = {}
        """Sizes that are checked last of all in the prologue: an operator's own requirement says more."""
        self._computed: list[int] = []
        """Slots of sizes that the prologue computes even if nothing reads them."""
        self._limits = Limits(known_sizes(function.params, ()).sizes)
        self._branch_depth = 0

    def program(self) -> Program:
        function, params = self._function, self._function.params
        self._slots.span = function.span
        plan = plan_binding([(param.name, param.type) for param in params])
        spans = [self._declaration.span_of(param.name) for param in params]
        bind_sizes(plan, self._arguments, self._early, function.name, spans)
        for cast in early_sizes(function).casts:
            self._early_casts.add(cast)
            self._cast_early(cast)
        self._places = output_places(function.body, self._output)
        self._sequence(function.body)
        output = self._return(function.body.body, self._output)
        for dim, span in self._unchecked.items():
            self._slots.span = span
            self._require(dim, 0, f"the size {dim} is negative", span)
        self._workspace.finish()
        read_after = (WORKSPACE_SIZE_SLOT, *value_slots(output), *self._early.symbols().values(), *self._computed)
        return Program(
            name=function.name,
            slots=self._slots.slots(),
            arguments=self._arguments,
            output=output,
            prologue=needed_steps(self._prologue, self._body, read_after, self._slots.slots()),
            body=tuple(self._body),
            constants=tuple(self._constants.arrays.values()),
            objects=tuple(self._objects.get(index) for index in range(self._slots.object_count)),
            symbols=tuple(self._early.symbols().items()),
            declaration=self._declaration,
            computed=tuple(self._computed),
        )

    # ------------------------------------------------------------------------------------- bindings

    def _sequence(self, sequence: SeqExpr) -> None:
        for binding in sequence.bindings:
            self._binding(binding)

    def _binding(self, binding: Binding) -> None:
        self._slots.span = binding.span or binding.value.span or self._slots.span
        self._values[binding.var] = (
            self._cast(binding) if isinstance(binding, MatchCast) else self._value(binding.var, binding.value)
        )

    def _value(self, var: Var, value: Expr) -> Tree:
        match value:
            case If():
                return self._if(var, value)
            case Call(op=GlobalVar(name=name)) if isinstance(kernel := self._module[name], PrimFunc):
                return self._kernel_call(kernel, value)
            case Call(op=Op(name=name)) if name.startswith(MEMORY_OPS):
                return self._memory(var, name, value)
            case Call(op=Op(name="call_packed" | "call_pure_packed"), args=(callee, *args)):
                if isinstance(callee, ExternFunc) and isinstance(callee.function, RecursiveFunction):
                    return self._call(var, callee.function, args, value)
                return self._host_call(var, _packed(callee), _name(callee), args, value)
            case Call(op=Op(name=name)):
                return self._host_operator(var, name, value)
            case _:
                return self._leaf(value)

    # --------------------------------------------------------------------------------------- leaves

    def _leaf(self, expr: Expr) -> Tree:
        """Where the value of a leaf, or of a tuple of leaves, is."""
        match expr:
            case Var():
                return self._values[expr]
            case Tuple(fields=fields):
                return TupleTree(tuple(map(self._leaf, fields)))
            case TupleGetItem(value=value, index=index):
                tree = self._leaf(value)
                return tree.fields[index] if isinstance(tree, TupleTree) else tree
            case Constant(value=array):
                return self._constant(array)
            case PrimValue(value=dim):
                return IntLeaf(str(dim), self._late.slot_of(dim))
            case ShapeExpr(values=dims):
                return ShapeLeaf("shape", tuple(map(self._late.slot_of, dims)))
            case HostObject(value=value):
                leaf = self._slots.tree("object", AnyType())
                if isinstance(leaf, ObjectLeaf):
                    self._objects[leaf.index] = value
                return leaf
        raise InternalError(f"lower: {type(expr).__name__} is no leaf")

    def _constant(self, array: np.ndarray) -> TensorLeaf:
        sizes = tuple(map(self._slots.constant, array.shape))
        return TensorLeaf("constant", str(array.dtype), self._constants.add(array), sizes)

    # -------------------------------------------------------------------------------------- kernels

    def _kernel_call(self, kernel: PrimFunc, call: Call) -> Tree:
        inputs, outputs, sizes = len(kernel.inputs), kernel.num_outputs, len(unbound_symbols(kernel))
        tensors = [self._tensor(each) for each in call.args[: inputs + outputs]]
        operands = (*call.args[:inputs], *call.args[inputs + outputs : inputs + outputs + sizes])
        values = bind_kernel_symbols(kernel, operands)
        self._require_all(call)
        self._require_scratch(kernel, values, call.span)
        self._kernels.add(
            KernelCall(
                self._table.get(kernel, call.span),
                tensors,
                [self._tensor(each) for each in call.args[inputs + outputs + sizes :]],
                values,
                frozenset(call.attrs.get("done", ())),
                call.span,
                tuple(_facts(kernel, call)),
            )
        )
        return NOTHING

    def _tensor(self, expr: Expr) -> TensorLeaf:
        leaf = self._leaf(expr)
        if not isinstance(leaf, TensorLeaf):
            raise InternalError(f"lower: a kernel is called on {leaf}")
        return leaf

    def _shape_and_dtype(self, call: Call) -> tuple[tuple[Dim, ...], str]:
        """Raises ShapeError for a tensor that is larger than any memory, whatever the arguments' sizes are."""
        type_ = call.type
        if not isinstance(type_, TensorType) or type_.shape is None or type_.dtype is None:
            raise InternalError(f"lower: no memory for a value of type {type_}")
        needed = size_bytes(type_.shape, type_.dtype)
        if isinstance(needed, int) and needed >= 2**63:
            tensor = f"{type_.dtype} of shape {type_.shape}"
            raise ShapeError(
                f"{self._function.name}: {tensor} needs {needed:,} bytes, more than any memory", span=call.span
            )
        return type_.shape, type_.dtype

    def _require_all(self, call: Call) -> None:
        for dim, least, message in call.attrs.get("requires") or ():
            self._require(dim, least, message, call.span)

    def _require_scratch(self, kernel: PrimFunc, values: Mapping[str, Dim], span: Span | None) -> None:
        """Checks the sizes of tensors that were fused into their readers, as if they were still there."""
        known = {size for tensor in kernel.params for size in tensor.shape}
        sizes = dict.fromkeys(size for tensor in kernel.scratch for size in tensor.shape if size not in known)
        for dim in (substitute(size, values) for size in sizes):
            if not isinstance(dim, int) and not is_symbol(dim):
                self._require(dim, 0, f"the size {dim} is negative", span)

    def _require_sizes(self, shape: tuple[Dim, ...], span: Span | None) -> None:
        """Checks sizes that could be negative, such as ``m - k + 1``."""
        for dim in shape:
            if self._limits.hold(dim, 0):
                continue
            if self._early.can_compute(dim) and not self._branch_depth:
                self._unchecked.setdefault(dim, span)
            else:
                self._require(dim, 0, f"the size {dim} is negative", span)

    def _require(self, dim: Dim, least: int, message: str, span: Span | None) -> None:
        """Checks ``dim >= least``, in the prologue if it can be computed there and the code is not in a branch.

        Of what cannot fail, computing the dim remains, which fails if it divides by zero or does not fit 64 bits.
        """
        is_early = self._early.can_compute(dim) and not self._branch_depth
        dims = self._early if is_early else self._late
        slot = dims.slot_of(dim)
        if self._limits.hold(dim, least):
            self._computed += [slot] if is_early else []
            return
        if is_early:
            self._limits.add(dim, least)
        failure = _too_small(f"{self._function.name}: {message}", dim, dims)
        dims.steps.append(Check("at_least", slot, self._slots.constant(least), failure, span))

    # --------------------------------------------------------------------------------------- memory

    def _memory(self, var: Var, op: str, call: Call) -> Tree:
        """What a memory operator leaves: a tensor, a size, or nothing."""
        match op:
            case ALLOC_STORAGE.name:
                self._workspace.add(var, call.attrs["size_bytes"])
            case ALLOC_TENSOR.name:
                (storage,) = call.args
                assert isinstance(storage, Var)
                return self._tensor_at(var, call, lambda: self._workspace.address(storage, call.attrs["offset"]))
            case VIEW.name:
                self._require_all(call)
                source = self._tensor(call.args[0])
                name = self._slots.name_of(source.pointer)
                return self._tensor_at(
                    var, call, lambda: self._workspace.moved(source.pointer, call.attrs["offset"], name)
                )
            case ALLOC_OWN.name:
                return self._own_tensor(var, call)
            case COUNT_THREADS.name:
                slot = self._kernels.thread_count()
                self._early.bind(var.name, slot)
                return IntLeaf(var.name, slot)
            case CALL_DPS_PACKED.name:
                self._fill(call)
        return NOTHING

    def _tensor_at(self, var: Var, call: Call, address: Callable[[], int]) -> TensorLeaf:
        """A tensor in memory that there is; its sizes are checked before its address is computed from them."""
        shape, dtype = self._shape_and_dtype(call)
        self._require_sizes(shape, call.span)
        return TensorLeaf(var.name, dtype, address(), tuple(map(self._late.slot_of, shape)))

    def _own_tensor(self, var: Var, call: Call) -> TensorLeaf:
        """An output, its sizes computed; or a tensor that is allocated now."""
        shape, dtype = self._shape_and_dtype(call)
        self._require_sizes(shape, call.span)
        place = self._places.get(var)
        if not isinstance(place, TensorLeaf):
            sizes = tuple(map(self._late.slot_of, shape))
            place = TensorLeaf(var.name, dtype, self._slots.add(var.name), sizes)
            self._body.append(Allocate(place, call.span))
            return place
        is_early = all(map(self._early.can_compute, shape))
        for size, slot in zip(shape, place.sizes, strict=True):
            (self._early if is_early else self._late).assign(size, slot)
        if not is_early:
            self._body.append(Allocate(place, call.span))
        return place

    # ----------------------------------------------------------------------------------- host calls

    def _fill(self, call: Call) -> None:
        """A packed function that gets memory to fill."""
        callee, args, outputs = call.args
        filled = tuple(tensors_of(self._leaf(outputs)))
        inputs = [self._leaf(arg) for arg in (args.fields if isinstance(args, Tuple) else (args,))]
        self._body.append(HostCall(_name(callee), _packed(callee), tuple(inputs), None, call.span, filled))

    def _host_operator(self, var: Var, name: str, call: Call) -> Tree:
        definition = registry.find(name)
        if definition is None or definition.host is None:
            raise InternalError(f"lower: {name} is no kernel call")
        return self._host_call(var, functools.partial(definition.host, **call.attrs), name, call.args, call)

    def _host_call(self, var: Var, function: Callable[..., Any], name: str, args: Sequence[Expr], call: Call) -> Tree:
        result = self._slots.tree(var.name, call.type)
        self._body.append(HostCall(name, function, tuple(map(self._leaf, args)), result, call.span))
        self._bind_late(name, call.type, result, call.span, "result of")
        return result

    def _call(self, var: Var, callee: RecursiveFunction, args: Sequence[Expr], call: Call) -> Tree:
        """A function that is a program of its own; what is an object on one side only goes through Python."""
        function = callee.function
        trees = [
            self._as_taken(self._leaf(arg), param.type, call.span)
            for arg, param in zip(args, function.params, strict=True)
        ]
        given = self._slots.tree(var.name, function.body.type)
        self._body.append(CallFunction(function.name, callee, tuple(trees), given, call.span))
        result = self._as_taken(given, call.type, call.span)
        self._bind_late(function.name, call.type, result, call.span, "result of")
        return result

    def _as_taken(self, tree: Tree, type_: Type, span: Span | None) -> Tree:
        """The value as one of the type: an object, where the type says no more."""
        if isinstance(tree, TupleTree) and isinstance(type_, TupleType):
            parts = zip(tree.fields, type_.fields, strict=True)
            return TupleTree(tuple(self._as_taken(part, field, span) for part, field in parts))
        if isinstance(tree, ObjectLeaf) or not isinstance(type_, AnyType):
            return tree
        result = self._slots.tree("object", type_)
        self._body.append(HostCall("object", _identity, (tree,), result, span))
        return result

    def _bind_late(self, what: str, type_: Type, tree: Tree, span: Span | None, subject: str) -> None:
        """Binds the type's new symbols to the sizes found, and checks the others."""
        plan = plan_binding([(what, type_)], known=self._late.symbols(), subject=subject)
        bind_sizes(plan, [tree], self._late, self._function.name, [span])

    def _cast(self, binding: MatchCast) -> Tree:
        """A cast keeps the value where it is; sizes are checked in the prologue where they are known there."""
        tree = self._leaf(binding.value)
        if isinstance(tree, ObjectLeaf):
            result = self._slots.tree(binding.var.name, binding.target)
            cast = HostCall("match_cast", _identity, (tree,), result, binding.span, subject="match_cast")
            self._body.append(cast)
            self._bind_late(binding.var.name, binding.target, result, binding.span, "match_cast of")
            return result
        if binding not in self._early_casts:
            plan = plan_binding([(binding.var.name, binding.target)], self._late.symbols(), "match_cast of")
            bind_sizes(plan, [tree], self._late, self._function.name, [binding.span])
        return tree

    def _cast_early(self, binding: MatchCast) -> None:
        """Binds and checks the sizes of a cast whose value's sizes are known before the body runs."""
        sizes = self._values.get(binding.value) if isinstance(binding.value, Var) else None
        tree = sizes or self._sizes_of(binding.value)
        plan = plan_binding([(binding.var.name, binding.target)], self._early.symbols(), "match_cast of")
        bind_sizes(plan, [tree], self._early, self._function.name, [binding.span])

    def _sizes_of(self, value: Expr) -> Tree:
        """A value as far as its sizes go, before it exists."""
        tree = self._slots.tree("cast", value.type)
        return with_sizes(tree, iter([self._early.slot_of(dim) for dim in dims_of(value.type)]))

    # ------------------------------------------------------------------------------------- branches

    def _if(self, var: Var, value: If) -> Tree:
        """Both branches leave their value's addresses and sizes in the same slots."""
        condition = self._tensor(value.condition)
        result = self._slots.tree(var.name, value.type)
        start = len(self._body)
        self._branch(value.then_branch, result)
        jump = len(self._body)
        self._branch(value.else_branch, result)
        # The Branch and the Jump go in front of the branches: indices after them move by one and two.
        then_part = _moved(self._body[start:jump], 1)
        else_part = _moved(self._body[jump:], 2)
        self._body[start:] = [
            Branch(condition.pointer, jump + 2, value.span),
            *then_part,
            Jump(len(self._body) + 2),
            *else_part,
        ]
        self._bind_fresh(var.name, value, result)
        return result

    def _branch(self, branch: SeqExpr, result: Tree) -> None:
        self._branch_depth += 1
        with self._late.branch(), self._workspace.branch():
            self._sequence(branch)
            self._move(self._leaf(branch.body), result)
        self._branch_depth -= 1

    def _move(self, source: Tree, target: Tree) -> None:
        zero = self._slots.constant(0)
        for old, new in zip(slots_of(source), slots_of(target), strict=True):
            self._body.append(Arith("add", new, old, zero))

    def _bind_fresh(self, name: str, value: If, tree: Tree) -> None:
        """Binds the sizes in which the branches differ, and checks those that have bounds."""
        pairs = list(zip(dims_of(value.type), size_slots(tree), strict=True))
        fresh = [(dim, slot) for dim, slot in pairs if is_symbol(dim) and not self._late.can_compute(dim)]
        if bounded_symbols(dim for dim, _ in fresh):
            self._bind_late(name, value.type, tree, value.span, "value of")
        else:
            for dim, slot in fresh:
                self._late.bind(free_symbols(dim)[0], slot)

    # --------------------------------------------------------------------------------------- output

    def _return(self, value: Expr, output: Tree) -> Tree:
        """Fills what of the output no kernel has written."""
        if isinstance(output, TupleTree):
            return TupleTree(tuple(map(self._return, _fields(value, len(output.fields)), output.fields)))
        source = self._leaf(value)
        if isinstance(source, ObjectLeaf):
            return source
        if not isinstance(output, TensorLeaf):
            self._move(source, output)
        elif not isinstance(source, TensorLeaf) or source.pointer != output.pointer:
            raise InternalError(f"lower: {output.name} has no memory of its own")
        return output


def _facts(kernel: PrimFunc, call: Call) -> Iterator[str]:
    """What a kernel call is made of and why it ends there, for ``explain()``."""
    members = kernel.attrs.get("fused", ())
    if members:
        yield f"fuses {', '.join(members)}"
    if "boundary" in call.attrs:
        yield f"ends here because {call.attrs['boundary']}"
    for _, place in kernel.attrs.get("in_place", ()):
        yield f"written over {kernel.params[place].name}"


def _too_small(message: str, dim: Dim, dims: DimCompiler) -> Callable[[Sequence[int]], RelaxError]:
    slot, slots, origins = dims.slot_of(dim), dims.symbols(), dict(dims.slots.origins)
    symbols = [] if is_symbol(dim) else [name for name in free_symbols(dim) if name in slots]

    def failure(values: Sequence[int]) -> RelaxError:
        bound = {name: f" is bound by {origins[name]}" if name in origins else "" for name in symbols}
        details = [f"{name} = {values[slots[name]]}{place}" for name, place in bound.items()]
        return ArgumentError(message, details=[f"{dim} is {values[slot]}", *details])

    return failure


def _declaration(function: Function) -> Declaration:
    places = {param.name: param.span for param in function.params}
    return Declaration(function.span, places, function.ret_type, CALLS_A_KERNEL in function.attrs)


def _identity(value: Any) -> Any:
    return value


def _packed(callee: Expr) -> Callable[..., Any]:
    name = _name(callee)
    given = callee.function if isinstance(callee, ExternFunc) else None
    return given or get_packed(name, callee.span)


def _name(callee: Expr) -> str:
    if not isinstance(callee, ExternFunc):
        raise InternalError(f"lower: {callee} is no packed function")
    return callee.name


def _fields(value: Expr, count: int) -> list[Expr]:
    if isinstance(value, Tuple):
        return list(value.fields)
    if isinstance(value.type, TupleType):
        return [TupleGetItem(value, index, value.type.fields[index]) for index in range(count)]
    raise InternalError(f"lower: {value.type} is no tuple")


def _moved(steps: Sequence[Instruction], by: int) -> Iterator[Instruction]:
    """The steps, ``by`` places further on."""
    for step in steps:
        match step:
            case Branch(pointer=pointer, target=target, span=span):
                yield Branch(pointer, target + by, span)
            case Jump(target=target):
                yield Jump(target + by)
            case _:
                yield step
