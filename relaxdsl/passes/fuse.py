"""FuseOps and FuseTIR: kernels whose results only one other kernel reads become part of it.

Kernels are joined where the schedule can then do without the intermediate: it inlines it, or keeps a row of it. Nothing
expensive is computed twice. What a contraction is joined with, the contraction engine decides: see
:mod:`relaxdsl.kernels.contraction.chain`. It evaluates what makes a right operand where it packs that, and makes a left
operand for the rows at hand. An elementwise kernel between two contractions belongs to the first one,
whose results are at hand then; a reduction belongs to the second one, which leaves the first one its columns to divide
among threads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import field, replace
from types import MappingProxyType

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import Binding, Call, Expr, Function, GlobalVar, If, MatchCast, Op, SeqExpr, Tuple, Var
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import bind_kernel_symbols
from relaxdsl.ir.visit import used_vars, with_bindings
from relaxdsl.kernels.combine import KernelUse, combine_kernels
from relaxdsl.kernels.contraction.chain import Extras, extras_of
from relaxdsl.kernels.patterns import (
    Kind,
    is_aligned,
    is_permutation,
    is_read_in_place,
    is_read_once,
    is_row_by_row,
    kind_of,
    moves_data,
)
from relaxdsl.trace.kernel_calls import call_kernel
from relaxdsl.types.types import TupleType

AddKernel = Callable[[PrimFunc, str], GlobalVar]

MAX_KERNELS = 24
"""A kernel is made of at most so many; larger ones cost more to compile than they save."""

MAX_NAME = 60


def fuse(function: Function, module: IRModule, add_kernel: AddKernel) -> Function:
    """``function`` with kernel calls joined; each remaining call says why it ends where it does.

    before::

        lv = call_tir(cls.matmul, (x, w))
        lv1 = call_tir(cls.add, (lv, b))
        lv2 = call_tir(cls.relu, (lv1,))

    after::

        lv2 = call_tir(cls.fused_matmul_add_relu, (x, w, b))

    Args:
        add_kernel: puts a kernel into the module under a name like the given one and returns its GlobalVar.
    """
    body = _Fuser(module, add_kernel).sequence(function.body)
    return function if body is function.body else replace(function, body=body)


@dataclass(slots=True)
class _KernelBinding:
    """A binding of a kernel call: where it stands, its kernel, and the group it has joined (the index of its last).

    ``is_displaced``: its loops are those of a reader that takes its elements in another order, a row at a time no more.
    """

    index: int
    binding: Binding
    kernel: PrimFunc
    args: tuple[Expr, ...]
    group: int
    boundary: str = ""
    is_displaced: bool = False
    members: list[int] = field(default_factory=list)


class _Fuser:
    def __init__(self, module: IRModule, add_kernel: AddKernel) -> None:
        self._module = module
        self._add_kernel = add_kernel
        self._kinds: dict[PrimFunc, Kind] = {}
        self._combinations: dict[Hashable, tuple[GlobalVar, PrimFunc]] = {}
        self._extras: dict[Hashable, Extras | None] = {}

    def sequence(self, sequence: SeqExpr) -> SeqExpr:
        blocks = []
        for block in sequence.blocks:
            bindings = [self._in_branches(binding) for binding in block.bindings]
            blocks.append(with_bindings(block, self._fused(bindings, sequence.body)))
        return SeqExpr(tuple(blocks), sequence.body, sequence.span)

    def _in_branches(self, binding: Binding) -> Binding:
        value = binding.value
        if not isinstance(value, If):
            return binding
        then_branch, else_branch = self.sequence(value.then_branch), self.sequence(value.else_branch)
        return replace(binding, value=replace(value, then_branch=then_branch, else_branch=else_branch))

    # ------------------------------------------------------------------------------------------------ groups

    def _fused(self, bindings: Sequence[Binding], result: Expr) -> Iterator[Binding]:
        calls = self._kernel_calls(bindings)
        self._form_groups(bindings, calls, result)
        for call in calls.values():
            calls[call.group].members.append(call.index)
        for index, binding in enumerate(bindings):
            if index not in calls:
                yield binding
            elif calls[index].group == index:
                yield self._joined(calls[index], calls)

    def _kernel_calls(self, bindings: Sequence[Binding]) -> dict[int, _KernelBinding]:
        calls = {}
        for index, binding in enumerate(bindings):
            value = binding.value
            if isinstance(binding, MatchCast) or not (isinstance(value, Call) and isinstance(value.op, Op)):
                continue
            match value.args:
                case (GlobalVar(name=name), Tuple(fields=args)) if value.op.name == "call_tir":
                    kernel = self._module[name]
                    if isinstance(kernel, PrimFunc):
                        calls[index] = _KernelBinding(index, binding, kernel, args, index)
        return calls

    def _form_groups(self, bindings: Sequence[Binding], calls: dict[int, _KernelBinding], result: Expr) -> None:
        """Backwards, so that every reader has its group: a call joins the one group that reads its result."""
        readers: dict[Var, list[int]] = {}
        for index, binding in enumerate(bindings):
            for var in used_vars(binding.value):
                readers.setdefault(var, []).append(index)
        returned = set(used_vars(result))
        sizes: dict[int, int] = {}
        for call in reversed(calls.values()):
            var = call.binding.var
            groups = {calls[reader].group if reader in calls else -1 for reader in readers.get(var, ())}
            call.boundary = self._why_alone(call, groups, var in returned)
            group = min(groups, default=-1)
            if not call.boundary:
                call.boundary = self._why_not_with(call, [calls[reader] for reader in readers[var]], calls)
            if not call.boundary and sizes[group] >= MAX_KERNELS:
                call.boundary = f"the kernel after it is made of {MAX_KERNELS} already"
            if not call.boundary:
                call.group = group
                call.is_displaced = any(_displaces(calls[reader], var) for reader in readers[var])
            sizes[call.group] = sizes.get(call.group, 0) + 1

    def _why_alone(self, call: _KernelBinding, groups: set[int], is_returned: bool) -> str:
        """Why a call cannot be part of another, whatever that does; empty if it can."""
        if is_returned:
            return "its result is returned"
        if isinstance(call.binding.var.type, TupleType):
            return "it has several results"
        if -1 in groups or not groups:
            return "its result is read by something that is no kernel"
        if len(groups) > 1:
            return "its result is read by several kernels"
        return ""

    def _why_not_with(
        self, call: _KernelBinding, readers: Sequence[_KernelBinding], calls: dict[int, _KernelBinding]
    ) -> str:
        group = [each for each in calls.values() if each.group == readers[0].group and each.index > call.index]
        is_whole = self._is_one_chain(call, group)
        for reader in readers:
            for read in _reads(reader, call.binding.var):
                reason = self._why_not_in_chain(call, reader, calls) if is_whole else ""
                if is_whole is not True:
                    reason = self._why_not(call.kernel, reader, read, is_whole is None)
                if reason:
                    return f"{reader.kernel.name} reads it, and {reason}"
        return ""

    def _is_one_chain(self, call: _KernelBinding, group: Sequence[_KernelBinding]) -> bool | None:
        """Whether the contraction engine runs the call as part of the group's chain; None if it has no part in them."""
        members = (call, *group)
        if not any(self._kind(each.kernel) is Kind.CONTRACTION for each in members):
            return None
        alone = [extras for each in members if (extras := self._extras_of([each])) is not None]
        if not alone:
            return None
        joined = self._extras_of(members)
        return (
            joined is not None
            and joined.loops <= sum(each.loops for each in alone)
            and joined.tables <= sum(each.tables for each in alone)
        )

    def _extras_of(self, members: Sequence[_KernelBinding]) -> Extras | None:
        uses = [_use(member) for member in members]
        key = _key(uses)
        if key not in self._extras:
            kernel = uses[0].kernel if len(uses) == 1 else combine_kernels(_name(members), uses)[0]
            self._extras[key] = extras_of(kernel)
        return self._extras[key]

    def _why_not_in_chain(self, call: _KernelBinding, reader: _KernelBinding, calls: dict[int, _KernelBinding]) -> str:
        """Why a call stays out of a chain that it could be in."""
        if self._kind(reader.kernel) is not Kind.CONTRACTION or moves_data(call.kernel):
            return ""
        if self._kind(call.kernel) <= Kind.INJECTIVE and self._follows_contraction(call, calls):
            return "it belongs to the contraction before it"
        return ""

    def _follows_contraction(self, call: _KernelBinding, calls: dict[int, _KernelBinding]) -> bool:
        """Whether the call uses what a contraction makes, by way of elementwise kernels alone."""
        producers = (each for each in calls.values() if any(each.binding.var is arg for arg in call.args))
        return any(
            self._kind(each.kernel) is Kind.CONTRACTION
            or (self._kind(each.kernel) <= Kind.INJECTIVE and self._follows_contraction(each, calls))
            for each in producers
        )

    def _why_not(self, producer: PrimFunc, reader: _KernelBinding, read: Buffer, is_plain: bool) -> str:
        """Why ``producer``, whose result is read as ``read``, is not computed inside its reader; empty if it is.

        Args:
            is_plain: whether the contraction engine has no part in either.
        """
        consumer = reader.kernel
        first, second = self._kind(producer), self._kind(consumer)
        if Kind.OPAQUE in (first, second):
            return "the analysis does not see through one of them"
        if second is Kind.CONTRACTION:
            is_free = is_plain and is_permutation(producer)
            return "" if is_free else "a contraction reads each element many times"
        if not is_plain:
            is_first = first is Kind.CONTRACTION
            return "what follows needs other rows" if is_first else "a contraction later needs its rows otherwise"
        if first <= Kind.INJECTIVE and is_read_once(consumer, read):
            return ""
        if reader.is_displaced:
            return "a later kernel takes its elements in another order"
        if first is Kind.CONTRACTION:
            is_epilogue = second <= Kind.BROADCAST and is_read_in_place(consumer, read)
            return "" if is_epilogue else "only elementwise kernels follow a contraction"
        if is_row_by_row(producer) and is_row_by_row(consumer) and is_aligned(consumer, read):
            return ""
        return (
            "it needs other rows than those at hand" if first is Kind.REDUCTION else "it would be computed many times"
        )

    def _kind(self, kernel: PrimFunc) -> Kind:
        if kernel not in self._kinds:
            self._kinds[kernel] = kind_of(kernel)
        return self._kinds[kernel]

    # ------------------------------------------------------------------------------------------------ joining

    def _joined(self, last: _KernelBinding, calls: dict[int, _KernelBinding]) -> Binding:
        """The group's last binding, calling one kernel for all members."""
        call = last.binding.value
        if not isinstance(call, Call):
            return last.binding
        attrs = {**self._requirements(last, calls), "boundary": last.boundary}
        if len(last.members) > 1:
            callee, kernel, tensors = self._combined([calls[index] for index in sorted(last.members)])
            call = replace(call_kernel(callee, kernel, tensors), span=call.span)
        return replace(last.binding, value=replace(call, attrs=MappingProxyType(attrs)))

    def _combined(self, members: Sequence[_KernelBinding]) -> tuple[GlobalVar, PrimFunc, list[Expr]]:
        """The kernel of a group, its name, and what it is called on; groups that are alike share one."""
        uses = [_use(member) for member in members]
        key = _key(uses)
        made = {value for use in uses for value in use.outputs}
        inputs = dict.fromkeys(value for use in uses for value in use.inputs)
        tensors = [value for value in inputs if value not in made and isinstance(value, Expr)]
        if key not in self._combinations:
            kernel, found = combine_kernels(_name(members), uses)
            if list(map(id, found)) != list(map(id, tensors)):
                raise InternalError(f"fuse: {kernel.name} takes its inputs in another order")
            kernel = replace(kernel, attrs=MappingProxyType({"fused": tuple(each.kernel.name for each in members)}))
            self._combinations[key] = self._add_kernel(kernel, kernel.name), kernel
        return *self._combinations[key], tensors

    def _requirements(self, last: _KernelBinding, calls: dict[int, _KernelBinding]) -> dict[str, object]:
        """What the members need of sizes, each once."""
        values = [calls[index].binding.value for index in sorted(last.members)]
        found = [need for value in values if isinstance(value, Call) for need in value.attrs.get("requires", ())]
        return {"requires": tuple(dict.fromkeys(found))} if found else {}


def _reads(reader: _KernelBinding, var: Var) -> list[Buffer]:
    """As what inputs a kernel reads ``var``."""
    inputs = reader.kernel.inputs
    return [buffer for buffer, arg in zip(inputs, reader.args, strict=False) if arg is var]


def _displaces(reader: _KernelBinding, var: Var) -> bool:
    return reader.is_displaced or not all(is_aligned(reader.kernel, read) for read in _reads(reader, var))


def _use(member: _KernelBinding) -> KernelUse:
    kernel = member.kernel
    var = member.binding.var
    outputs = (var,) if kernel.num_outputs == 1 else tuple((var, place) for place in range(kernel.num_outputs))
    inputs = member.args[: len(kernel.inputs)]
    return KernelUse(kernel, inputs, outputs, bind_kernel_symbols(kernel, member.args))


def _key(uses: Sequence[KernelUse]) -> Hashable:
    """What tells two groups apart: their kernels, and which values these pass on to each other."""
    numbers: dict[Hashable, int] = {}
    for use in uses:
        for value in (*use.inputs, *use.outputs):
            numbers.setdefault(value, len(numbers))
    return tuple(
        (use.kernel, *(numbers[value] for value in (*use.inputs, *use.outputs)), *use.symbols.items()) for use in uses
    )


def _name(members: Sequence[_KernelBinding]) -> str:
    name = "_".join(("fused", *(member.kernel.name for member in members)))
    return name if len(name) <= MAX_NAME else name[:MAX_NAME].rstrip("_") + "_etc"
