"""FuseOps and FuseTIR: kernels whose results only one other kernel reads become part of it.

Kernels are joined where the schedule can then do without the intermediate: it inlines it, or keeps a row of it. Nothing
expensive is computed twice. What a contraction is joined with, the contraction engine decides: see
:mod:`relaxdsl.kernels.contraction.chain`. It evaluates what makes a right operand where it packs that, and makes a left
operand for the rows at hand. An elementwise kernel between two contractions belongs to the first one,
whose results are at hand then; a reduction belongs to the second one, which leaves the first one its columns to divide
among threads.

A kernel with several results that only moves data, as a split does, gives way to kernels of one result each where all
of them can be part of their readers, which then read in place what was moved.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import field, replace
from types import MappingProxyType

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import (
    Binding,
    Call,
    Expr,
    Function,
    GlobalVar,
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.signature import bind_kernel_symbols, unbound_symbols
from relaxdsl.ir.visit import used_vars, with_bindings
from relaxdsl.kernels.combine import KernelUse, combine_kernels, single_output
from relaxdsl.kernels.contraction.chain import Extras, extras_of
from relaxdsl.kernels.patterns import (
    Kind,
    is_aligned,
    is_free,
    is_read_in_place,
    is_read_once,
    is_read_through,
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

    ``call``: the call in the program; if that has several results, the binding takes one, and the kernel makes that.
    ``is_displaced``: its loops are those of a reader that takes its elements in another order, a row at a time no more.
    ``is_repeated``: it costs nothing, and is made again for each of its reads, which are at different places.
    """

    index: int
    binding: Binding
    call: Call
    kernel: PrimFunc
    args: tuple[Expr, ...]
    group: int
    boundary: str = ""
    is_displaced: bool = False
    is_repeated: bool = False
    members: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Groups:
    """The kernel calls of a sequence, by the index of their bindings, and the groups that they have formed so far.

    ``readers``: the bindings that read a variable. ``sizes``: how many calls a group is made of.
    ``separated``: the bindings of calls that gave way to one for each result.
    """

    bindings: Sequence[Binding]
    calls: dict[int, _KernelBinding]
    returned: set[Var]
    readers: dict[Var, list[int]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    separated: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for index, binding in enumerate(self.bindings):
            for var in used_vars(binding.value):
                self.readers.setdefault(var, []).append(index)

    def taken_by(self, index: int) -> int | None:
        """Which result of a call a binding takes; None if it does anything else."""
        match self.bindings[index]:
            case VarBinding(value=TupleGetItem(index=place)) if index not in self.calls:
                return place
        return None


class _Fuser:
    def __init__(self, module: IRModule, add_kernel: AddKernel) -> None:
        self._module = module
        self._add_kernel = add_kernel
        self._kinds: dict[PrimFunc, Kind] = {}
        self._combinations: dict[Hashable, tuple[GlobalVar, PrimFunc]] = {}
        self._extras: dict[Hashable, Extras | None] = {}
        self._outputs: dict[tuple[PrimFunc, int], PrimFunc] = {}

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
        groups = _Groups(bindings, calls, set(used_vars(result)))
        self._form(groups)
        for call in calls.values():
            calls[call.group].members.append(call.index)
        for index, binding in enumerate(bindings):
            if index in groups.separated:
                continue
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
                        calls[index] = _KernelBinding(index, binding, value, kernel, args, index)
        return calls

    def _form(self, groups: _Groups) -> None:
        """Backwards, so that every reader has its group: a call joins the one group that reads its result."""
        for call in reversed(tuple(groups.calls.values())):
            if not self._separate(call, groups):
                self._join(call, groups)

    def _join(self, call: _KernelBinding, groups: _Groups) -> None:
        """Has a call join the group that reads its result, or be the last of its own, and says why."""
        var, calls = call.binding.var, groups.calls
        readers = groups.readers.get(var, [])
        found = {calls[reader].group if reader in calls else -1 for reader in readers}
        group = min(found, default=-1)
        call.boundary = self._why_alone(call, found, var in groups.returned)
        if not call.boundary:
            call.boundary = self._why_not_with(call, [calls[reader] for reader in readers], calls)
        if not call.boundary and groups.sizes[group] >= MAX_KERNELS:
            call.boundary = f"the kernel after it is made of {MAX_KERNELS} already"
        if not call.boundary:
            call.group = group
            call.is_displaced = any(_displaces(calls[reader], var) for reader in readers)
            call.is_repeated = is_free(call.kernel) and _is_spread(_reads([calls[reader] for reader in readers], var))
        groups.sizes[call.group] = groups.sizes.get(call.group, 0) + 1

    def _separate(self, call: _KernelBinding, groups: _Groups) -> bool:
        """Has calls of one result each take the place of one that only moves data, if all can join a group.

        before::

            lv = call_tir(cls.split, (x,))
            lv1 = lv[0]
            lv2 = lv[1]

        after, to be joined with what reads ``lv1`` and ``lv2``::

            lv1 = call_tir(cls.split0, (x,))
            lv2 = call_tir(cls.split1, (x,))

        Returns:
            Whether it is so.
        """
        parts = self._parts(call, groups)
        if not parts or not all(self._joins(part, groups) for part in parts):
            for part in parts:
                if groups.calls.pop(part.index, None) is not None:
                    groups.sizes[part.group] -= 1
            return False
        del groups.calls[call.index]
        groups.separated.add(call.index)
        for var in used_vars(call.call):
            reads = (part.index for part in parts if any(var is arg for arg in part.args))
            groups.readers[var] = [*(each for each in groups.readers[var] if each != call.index), *reads]
        return True

    def _joins(self, part: _KernelBinding, groups: _Groups) -> bool:
        groups.calls[part.index] = part
        self._join(part, groups)
        return not part.boundary

    def _parts(self, call: _KernelBinding, groups: _Groups) -> list[_KernelBinding]:
        """A call for each binding that takes a result, if the call only moves data and nothing else reads it."""
        var, kernel = call.binding.var, call.kernel
        places = {index: groups.taken_by(index) for index in groups.readers.get(var, ())}
        is_whole = var in groups.returned or None in places.values()
        if is_whole or not moves_data(kernel) or self._kind(kernel) is Kind.OPAQUE:
            return []
        return [self._part(call, index, place, groups) for index, place in places.items() if place is not None]

    def _part(self, call: _KernelBinding, index: int, place: int, groups: _Groups) -> _KernelBinding:
        """The call for the result at a place alone, as the binding ``index``."""
        kernel, values = call.kernel, bind_kernel_symbols(call.kernel, call.args)
        if (kernel, place) not in self._outputs:
            self._outputs[kernel, place] = single_output(kernel, place)
        made = self._outputs[kernel, place]
        tensors = (arg for buffer, arg in zip(kernel.inputs, call.args, strict=False) if buffer in made.inputs)
        sizes = (PrimValue(values[name]) for name in unbound_symbols(made))
        return _KernelBinding(index, groups.bindings[index], call.call, made, (*tensors, *sizes), index)

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
        members = [each for each in calls.values() if each is call or each.group == readers[0].group]
        is_whole = self._is_one_chain(sorted(members, key=lambda each: each.index))
        reads = _reads(readers, call.binding.var)
        is_spread = _is_spread(reads) and not is_free(call.kernel)
        for reader, read in reads:
            reason = self._why_not_in_chain(call, reader, calls) if is_whole else ""
            if is_whole is not True:
                reason = self._why_not(call.kernel, reader, read, is_plain=is_whole is None, is_spread=is_spread)
            if reason:
                return f"{reader.kernel.name} reads it, and {reason}"
        return ""

    def _is_one_chain(self, members: Sequence[_KernelBinding]) -> bool | None:
        """Whether the contraction engine runs the members as one chain; None if it has no part in any of them."""
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

    def _why_not(
        self, producer: PrimFunc, reader: _KernelBinding, read: Buffer, *, is_plain: bool, is_spread: bool
    ) -> str:
        """Why ``producer``, whose result is read as ``read``, is not computed inside its reader; empty if it is.

        Args:
            is_plain: whether the contraction engine has no part in either.
            is_spread: whether an element is read at several places, so that its row has to be kept.
        """
        consumer = reader.kernel
        first, second = self._kind(producer), self._kind(consumer)
        if Kind.OPAQUE in (first, second):
            return _why_opaque(producer if first is Kind.OPAQUE else consumer)
        if second is Kind.CONTRACTION:
            is_free = is_plain and is_read_through(producer)
            return "" if is_free else "a contraction reads each element many times"
        if not is_plain:
            if first is not Kind.CONTRACTION:
                return "a contraction later needs its rows otherwise"
            has_rows = is_row_by_row(consumer) and is_aligned(consumer, read)
            return "what follows takes its whole result" if has_rows else "what follows needs other rows"
        if first <= Kind.INJECTIVE and is_read_once(consumer, read) and not is_spread:
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
        call = last.call
        attrs = {**self._requirements(last, calls), "boundary": last.boundary}
        if len(last.members) > 1:
            callee, kernel, tensors = self._combined([calls[index] for index in sorted(last.members)])
            call = replace(call_kernel(callee, kernel, tensors), span=call.span, type=call.type)
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
        members = (calls[index].call for index in sorted(last.members))
        found = [need for call in members for need in call.attrs.get("requires", ())]
        return {"requires": tuple(dict.fromkeys(found))} if found else {}


def _reads(readers: Sequence[_KernelBinding], var: Var) -> list[tuple[_KernelBinding, Buffer]]:
    """Which of its inputs ``var`` is, for each of its readers."""
    return [
        (reader, buffer)
        for reader in readers
        for buffer, arg in zip(reader.kernel.inputs, reader.args, strict=False)
        if arg is var
    ]


def _is_spread(reads: Sequence[tuple[_KernelBinding, Buffer]]) -> bool:
    """Whether several reads take an element, and not all at the place of the element that they make."""
    if any(reader.is_repeated for reader, _ in reads):
        return True
    are_in_place = all(is_read_in_place(each.kernel, read) and not each.is_displaced for each, read in reads)
    return len(reads) > 1 and not are_in_place


def _displaces(reader: _KernelBinding, var: Var) -> bool:
    return reader.is_displaced or not all(is_aligned(reader.kernel, read) for _, read in _reads([reader], var))


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


def _why_opaque(kernel: PrimFunc) -> str:
    """Why a kernel that is opaque is joined with no other."""
    by_hand = kernel.attrs.get("scheduled", False)
    return f"the loops of {kernel.name} {'stay as they were written' if by_hand else 'are of no kind that is fused'}"
