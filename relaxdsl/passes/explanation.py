"""What the compiler decided, for ``fn.explain()``: symbols, checks, kernels, fusion, memory, compile time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import groupby
from types import MappingProxyType

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import LoopKind
from relaxdsl.ir.print_loops import loop_headers
from relaxdsl.ir.visit import all_bindings
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.kernels.work import SHARED_FROM
from relaxdsl.passes.pipeline import Compiled
from relaxdsl.runtime.program import (
    CallFunction,
    CallKernel,
    Check,
    HostCall,
    Instruction,
    Slot,
    tensors_of,
)
from relaxdsl.types.dims import Dim, substitute
from relaxdsl.types.match import Bind, Solve, plan_binding
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.readable import conditions_of, readable, readable_at_least, where
from relaxdsl.types.types import TensorType, TupleType, Type

_MOST = 80
"""A size with a longer text is not shown."""
_IN_ORDER: dict[LoopKind, str] = {
    "parallel": "T.parallel, but in order on one thread",
    "vectorized": "T.vectorized, but one step after the other",
}


@dataclass(frozen=True, slots=True)
class SymbolFact:
    """A symbol and what binds it."""

    name: str
    bound_by: str


@dataclass(frozen=True, slots=True)
class CheckFact:
    """A check made on every call, and the line it stands for (None: the signature)."""

    relation: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class PhaseFact:
    """A phase of a kernel: what it makes, its range, and when threads share that.

    Args:
        makes, reads: names of the kernel's parameters, and of memory that its phases share.
        runs_if: conditions on sizes without which there is nothing to do.
        extent: the length of the range.
        work: the estimate of its scalar operations; threads share the range where it is large. None: they never do.
        shared_if: the same as a condition on sizes; empty if it always holds.
    """

    makes: tuple[str, ...]
    reads: tuple[str, ...]
    runs_if: tuple[str, ...]
    extent: str
    work: str | None
    shared_if: str


@dataclass(frozen=True, slots=True)
class KernelFact:
    """A kernel call: the kernel, the user's line, what it is made of and why it ends there, and its phases."""

    name: str
    span: Span | None
    facts: tuple[str, ...]
    phases: tuple[PhaseFact, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What the compiler decided about a function; prints as text.

    Units: ``seconds`` in seconds, by part: ``parse``, ``passes``, ``codegen`` (the kernels' schedules and source),
    ``numba`` (their machine code, numba's import too), ``load`` (machine code from the cache), ``lower`` (the program),
    ``machine`` (the VM and the entry, once a process).

    Args:
        kernels_compiled: how many kernels were compiled for this function. kernels_loaded: how many came from the
        cache on the disk.
        kernels_shared: the names of the others, which functions before it had in equal structure.
        workspace: what memory a call needs besides its results.
        code_in_file: of a function that was loaded, what became of the machine code in its file.
        loops: of a kernel written by hand, the first lines of its loops as they run, and of branches around them.
        in_order: of such a kernel, the loops written as ``T.parallel`` or ``T.vectorized`` that run in order, and why.
    """

    function: str
    symbols: tuple[SymbolFact, ...]
    checks: tuple[CheckFact, ...]
    accepted: tuple[str, ...]
    kernels: tuple[KernelFact, ...]
    computed: tuple[str, ...]
    copies: tuple[str, ...]
    steps_in_python: tuple[str, ...]
    workspace: str
    kernels_compiled: int
    kernels_loaded: int
    kernels_shared: tuple[str, ...]
    seconds: dict[str, float]
    code_in_file: str = ""
    loops: tuple[str, ...] = ()
    in_order: Mapping[LoopKind, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        lines = [f"{self.function}: one compile for every shape"]
        lines += _section("symbols", [f"{each.name} is bound by {each.bound_by}" for each in self.symbols])
        lines += _section("checks on every call", list(_check_lines(self.checks)))
        lines += _section("accepted, to be checked at run time", self.accepted)
        lines += _section("kernels, in order", [line for each in self.kernels for line in _kernel_lines(each)])
        lines += _section("loops, as they run", self.loops)
        for kind, title in _IN_ORDER.items():
            lines += _section(title, self.in_order.get(kind, ()))
        lines += _section("computed when compiling", self.computed)
        lines += _section("memory", [self.workspace])
        lines += _section("copies", self.copies)
        lines += _section("steps in Python", self.steps_in_python)
        lines += _section("machine code", list(self._code_lines()))
        times = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in self.seconds.items())
        return "\n".join([*lines, f"compile time: {times} (once a process)"])

    def _code_lines(self) -> Iterator[str]:
        yield f"kernels compiled for this function: {self.kernels_compiled}"
        if self.kernels_loaded:
            yield f"loaded from {'its file or the cache' if self.code_in_file else 'the cache'}: {self.kernels_loaded}"
        if self.kernels_shared:
            yield f"shared with functions before it: {', '.join(self.kernels_shared)}"
        if self.code_in_file:
            yield f"machine code in {self.code_in_file}"


def explain(
    source: Function, compiled: Compiled, accepted: tuple[str, ...], seconds: dict[str, float], code_in_file: str = ""
) -> Explanation:
    """The explanation of a compiled function.

    Args:
        source: the function as it was written.
        accepted: equalities that were not decided when compiling.
        seconds: compile time by part.
        code_in_file: what became of the machine code of a file.
    """
    program = compiled.program
    names = [_in_program(slot) for slot in program.slots]
    steps = (*program.prologue, *program.body)
    calls = [step for step in program.body if isinstance(step, CallKernel)]
    by_kernel = groupby(calls, lambda each: each.note)
    return Explanation(
        function=source.name,
        symbols=_symbols(source, compiled),
        checks=tuple(_check(step, names) for step in steps if isinstance(step, Check)),
        accepted=accepted,
        kernels=tuple(_kernel(tuple(group), names) for _, group in by_kernel),
        computed=_computed(compiled),
        copies=tuple(_copies(source, calls)),
        steps_in_python=tuple(text for step in program.body if (text := _step_in_python(step)) is not None),
        workspace=_workspace(compiled.memory.layout.size),
        kernels_compiled=sum(kernel.numba_seconds > 0 for kernel in compiled.kernels),
        kernels_loaded=sum(kernel.load_seconds > 0 for kernel in compiled.kernels),
        kernels_shared=tuple(kernel.name for kernel in compiled.kernels if _is_shared(kernel)),
        seconds=seconds,
        code_in_file=code_in_file,
    )


def explain_kernel(
    call: Explanation, kernels: Sequence[CompiledKernel], in_order: Mapping[LoopKind, tuple[str, ...]]
) -> Explanation:
    """The explanation of a kernel written by hand.

    Args:
        call: that of the program that calls the kernel.
        kernels: what it was compiled to: one kernel, in debug mode and what copies its outputs.
        in_order: the loops written as parallel or vectorized that run in order, by these kinds.
    """
    schedules = {kernel.name: _schedule_of(kernel) for kernel in kernels}
    facts = (replace(fact, facts=(schedules[fact.name],)) for fact in call.kernels)
    loops = (line for kernel in kernels for line in loop_headers(kernel.scheduled))
    return replace(call, kernels=tuple(facts), loops=tuple(loops), in_order=in_order)


def _schedule_of(kernel: CompiledKernel) -> str:
    return "runs as it is written" if kernel.prim_func.attrs.get("scheduled") else "has the default schedule"


def _in_program(slot: Slot) -> str:
    """The size in a slot, or where to find one that is too long to be its slot's name."""
    return f"a long size ({slot.name} in lower()['vm'])" if slot.name.startswith("%") else slot.name


def _workspace(size: Dim) -> str:
    if size == 0:
        return "no workspace"
    bytes_needed = _text(size, "")
    much = f" of {bytes_needed} bytes" if bytes_needed else ""
    return f"a workspace{much}: memory_plan() says {'what' if much else 'how large it is, and what'} is where"


def _is_shared(kernel: CompiledKernel) -> bool:
    return kernel.numba_seconds == kernel.load_seconds == 0


def _symbols(source: Function, compiled: Compiled) -> tuple[SymbolFact, ...]:
    params = [(param.name, param.type) for param in source.params]
    names = [name for name, _ in params]
    facts = []
    for step in plan_binding(params).steps:
        if isinstance(step, Bind):
            facts.append(SymbolFact(step.symbol.name, step.source.describe(names)))
        elif isinstance(step, Solve):
            facts.append(SymbolFact(step.symbol.name, f"{step.source.describe(names)}, which is {step.dim}"))
    known = {fact.name for fact in facts}
    for call in compiled.program.body:
        if isinstance(call, HostCall | CallFunction) and call.results is not None:
            place = _placed(f"the result of {call.name}", call.span)
            facts += [SymbolFact(name, place) for name in _new_names(call, compiled, known)]
    return tuple(facts)


def _new_names(step: HostCall | CallFunction, compiled: Compiled, known: set[str]) -> list[str]:
    leaves = tensors_of(step.results) if step.results is not None else ()
    slots = [slot for leaf in leaves for slot in leaf.sizes]
    names = [compiled.program.slots[slot].name for slot in slots]
    return [name for name in names if name.isidentifier() and name not in known]


_RELATIONS = {"equal": "==", "at_least": ">=", "divisible": "is divisible by"}


def _check(step: Check, names: Sequence[str]) -> CheckFact:
    return CheckFact(f"{names[step.left]} {_RELATIONS[step.relation]} {names[step.right]}", step.span)


def _kernel(calls: Sequence[CallKernel], names: Sequence[str]) -> KernelFact:
    first = calls[0]
    return KernelFact(first.kernel.name, first.span, first.note.facts, tuple(_phase(each, names) for each in calls))


def _phase(call: CallKernel, names: Sequence[str]) -> PhaseFact:
    kernel = call.kernel
    assert isinstance(kernel, CompiledKernel)
    phase = kernel.interface.phases[call.phase]
    buffers = [each.name for each in (*kernel.prim_func.params, *kernel.shared)]
    extent, work = (substitute(each, call.note.sizes) for each in (phase.extent, phase.work))
    conditions = conditions_of(extent)
    made = [buffers[place] for place in sorted(phase.writes)]
    return PhaseFact(
        makes=tuple(made),
        reads=tuple(name for place in sorted(phase.reads) if (name := buffers[place]) not in made),
        runs_if=tuple(text for _, text in conditions),
        extent=_text(where(extent, conditions), names[call.extent]),
        work=None if call.sharing is None else _text(work, names[call.sharing.work]),
        shared_if="" if call.sharing is None else _shared_if(where(work, conditions), names[call.sharing.work]),
    )


def _shared_if(work: Dim, name: str) -> str:
    if prove_less_equal(SHARED_FROM, work) is Proof.YES:
        return ""
    condition = readable_at_least(work, SHARED_FROM)
    return condition if len(condition) <= _MOST else f"its work, {name}, is >= {SHARED_FROM}"


def _text(dim: Dim, otherwise: str) -> str:
    """The dim as text, or something else where that is too long to be read."""
    text = readable(dim)
    return text if len(text) <= _MOST else otherwise


def _computed(compiled: Compiled) -> tuple[str, ...]:
    """The calls that are constants: bindings that the stage "fold" has dropped."""
    before, after = (list(all_bindings(compiled.stage(name))) for name in ("eliminate", "fold"))
    kept = {binding.var.name for binding in after}
    dropped = (binding for binding in before if binding.var.name not in kept)
    return tuple(_placed(binding.var.name, binding.span) for binding in dropped)


def _copies(source: Function, calls: Sequence[CallKernel]) -> Iterator[str]:
    tensors = [param.name for param in source.params if isinstance(param.type, TensorType)]
    tuples = [param.name for param in source.params if param.name not in tensors and _holds_tensor(param.type)]
    plain = "C-contiguous, aligned and of native byte order"
    if len(tensors) == 1:
        yield f"argument {tensors[0]}: only if it is not {plain}"
    elif tensors:
        yield f"arguments {', '.join(tensors)}: only those that are not {plain}"
    if tuples:
        yield f"arrays in argument{'s'[: len(tuples) - 1]} {', '.join(tuples)}: only those that are not {plain}"
    for call in calls:
        if call.kernel.name == "copy":
            yield _placed("an output that no kernel writes (copy)", call.span)


def _holds_tensor(type_: Type) -> bool:
    match type_:
        case TupleType(fields=fields):
            return any(map(_holds_tensor, fields))
        case _:
            return isinstance(type_, TensorType)


def _step_in_python(step: Instruction) -> str | None:
    match step:
        case HostCall(name=name, span=span):
            return _placed(f"call of {name}", span)
        case _:
            return None


def _check_lines(checks: Iterable[CheckFact]) -> Iterator[str]:
    """A line for each check; those of one argument's sizes stand together."""
    for (_, span), group in groupby(checks, lambda each: (each.relation.partition(".shape[")[0], each.span)):
        yield _placed(", ".join(each.relation for each in group), span)


def _kernel_lines(fact: KernelFact) -> Iterator[str]:
    yield _placed(fact.name, fact.span)
    yield from (f"   {each}" for each in fact.facts)
    is_divided = len(fact.phases) > 1
    indent = "      " if is_divided else "   "
    for number, phase in enumerate(fact.phases, start=1):
        if is_divided:
            made, read = ", ".join(phase.makes), ", ".join(phase.reads)
            yield f"   phase {number} makes {made}{' of ' if read else ''}{read}"
        yield from (f"{indent}{line}" for line in (*_condition_lines(number, fact.phases), *_range_lines(phase)))


def _condition_lines(number: int, phases: Sequence[PhaseFact]) -> Iterator[str]:
    """When a phase has something to do, and what a later one does without it."""
    phase = phases[number - 1]
    if not phase.runs_if:
        return
    condition = f"only if {' and '.join(phase.runs_if)}"
    for later, other in enumerate(phases[number:], start=number + 1):
        instead = [name for name in phase.reads if name in other.reads]
        if instead and not set(phase.makes).isdisjoint(other.reads):
            yield f"{condition}: else phase {later} reads {', '.join(instead)} itself"
            return
    yield condition


def _range_lines(phase: PhaseFact) -> Iterator[str]:
    if phase.extent != "1":
        yield f"over {phase.extent}"
    if phase.work is None:
        yield "one thread"
    else:
        yield f"threads share it if {phase.shared_if}" if phase.shared_if else "threads share it"


def _placed(text: str, span: Span | None) -> str:
    return text if span is None else f"{text} ({span})"


def _section(title: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"{title}:", *(f"   {line}" for line in lines)] if lines else []
