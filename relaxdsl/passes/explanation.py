"""What the compiler decided, for ``fn.explain()``: symbols, checks, kernels, fusion, memory, compile time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.ir.graph import Function, Var
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
from relaxdsl.types.match import Bind, Solve, plan_binding
from relaxdsl.types.types import TensorType, TupleType, Type


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
    """A phase of a kernel: its range, and the estimate of its scalar operations.

    Threads share the range where the work is large. None: they never do.
    """

    extent: str
    work: str | None


@dataclass(frozen=True, slots=True)
class KernelFact:
    """A kernel call: the kernel, its phases, the user's line, and why it stands alone."""

    name: str
    phases: tuple[PhaseFact, ...]
    span: Span | None
    fusion: str


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
        code_in_file: of a function that was loaded, what became of the machine code in its file.
        loops: of a kernel written by hand, the first lines of its loops as they run.
        in_order: of such a kernel, the loops written as ``T.parallel`` that run in order, and why.
    """

    function: str
    symbols: tuple[SymbolFact, ...]
    checks: tuple[CheckFact, ...]
    accepted: tuple[str, ...]
    kernels: tuple[KernelFact, ...]
    computed: tuple[str, ...]
    copies: tuple[str, ...]
    steps_in_python: tuple[str, ...]
    kernels_compiled: int
    kernels_loaded: int
    kernels_shared: tuple[str, ...]
    seconds: dict[str, float]
    code_in_file: str = ""
    loops: tuple[str, ...] = ()
    in_order: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        lines = [f"{self.function}: one compile for every shape"]
        lines += _section("symbols", [f"{each.name} is bound by {each.bound_by}" for each in self.symbols])
        lines += _section("checks on every call", [_placed(each.relation, each.span) for each in self.checks])
        lines += _section("accepted, to be checked at run time", self.accepted)
        lines += _section("kernels, in order", [_kernel_line(each) for each in self.kernels])
        lines += _section("loops, as they run", self.loops)
        lines += _section("T.parallel, but in order on one thread", self.in_order)
        lines += _section("computed when compiling", self.computed)
        lines += _section("copies", self.copies)
        lines += _section("steps in Python", self.steps_in_python)
        compiled = f"kernels compiled for this function: {self.kernels_compiled}"
        if self.kernels_loaded:
            origin = "its file or the cache" if self.code_in_file else "the cache"
            compiled += f"; loaded from {origin}: {self.kernels_loaded}"
        if self.kernels_shared:
            compiled += f"; shared with functions before it: {', '.join(self.kernels_shared)}"
        times = ", ".join(f"{part} {seconds:.3f} s" for part, seconds in self.seconds.items())
        saved = [f"machine code in {self.code_in_file}"] if self.code_in_file else []
        return "\n".join([*lines, compiled, *saved, f"compile time: {times}"])


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
    names = [_size_name(slot) for slot in program.slots]
    steps = (*program.prologue, *program.body)
    calls = [step for step in program.body if isinstance(step, CallKernel)]
    return Explanation(
        function=source.name,
        symbols=_symbols(source, compiled),
        checks=tuple(_check(step, names) for step in steps if isinstance(step, Check)),
        accepted=accepted,
        kernels=tuple(_kernel(each, names) for each in _by_kernel(calls)),
        computed=_computed(compiled),
        copies=_copies(source, calls),
        steps_in_python=tuple(text for step in program.body if (text := _step_in_python(step)) is not None),
        kernels_compiled=sum(kernel.numba_seconds > 0 for kernel in compiled.kernels),
        kernels_loaded=sum(kernel.load_seconds > 0 for kernel in compiled.kernels),
        kernels_shared=tuple(kernel.name for kernel in compiled.kernels if _is_shared(kernel)),
        seconds=seconds,
        code_in_file=code_in_file,
    )


def explain_kernel(call: Explanation, kernels: Sequence[CompiledKernel], in_order: tuple[str, ...]) -> Explanation:
    """The explanation of a kernel written by hand.

    Args:
        call: that of the program that calls the kernel.
        kernels: what it was compiled to: one kernel, in debug mode and what copies its outputs.
        in_order: the loops written as parallel that run in order.
    """
    schedules = {kernel.name: _schedule_of(kernel) for kernel in kernels}
    facts = (replace(fact, fusion=schedules[fact.name]) for fact in call.kernels)
    loops = (line for kernel in kernels for line in loop_headers(kernel.scheduled))
    return replace(call, kernels=tuple(facts), loops=tuple(loops), in_order=in_order)


def _schedule_of(kernel: CompiledKernel) -> str:
    return "runs as it is written" if kernel.prim_func.attrs.get("scheduled") else "has the default schedule"


def _size_name(slot: Slot) -> str:
    """The size in a slot, or where to find one that is too long to be its slot's name."""
    return f"a long size ({slot.name} in lower()['vm'])" if slot.name.startswith("%") else slot.name


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


def _check(step: Check, names: list[str]) -> CheckFact:
    return CheckFact(f"{names[step.left]} {_RELATIONS[step.relation]} {names[step.right]}", step.span)


def _by_kernel(calls: list[CallKernel]) -> list[list[CallKernel]]:
    """The calls, those of one kernel's phases together."""
    found: list[list[CallKernel]] = []
    for call in calls:
        if found and found[-1][-1].phase < call.phase:
            found[-1].append(call)
        else:
            found.append([call])
    return found


def _kernel(calls: list[CallKernel], names: list[str]) -> KernelFact:
    phases = (PhaseFact(names[each.extent], names[each.sharing.work] if each.sharing else None) for each in calls)
    return KernelFact(calls[0].kernel.name, tuple(phases), calls[0].span, calls[0].note)


def _computed(compiled: Compiled) -> tuple[str, ...]:
    """The calls that are constants: bindings that the stage "fold" has dropped."""
    before, after = (list(all_bindings(compiled.stage(name))) for name in ("eliminate", "fold"))
    kept = {binding.var.name for binding in after}
    dropped = (binding for binding in before if binding.var.name not in kept)
    return tuple(_placed(binding.var.name, binding.span) for binding in dropped)


def _copies(source: Function, calls: list[CallKernel]) -> tuple[str, ...]:
    return (
        *(text for param in source.params if (text := _copy_of_argument(param)) is not None),
        *(f"an output that no kernel writes ({call.kernel.name})" for call in calls if call.kernel.name == "copy"),
    )


def _copy_of_argument(param: Var) -> str | None:
    """When an argument is copied; None if it holds no array."""
    plain = "C-contiguous, aligned and of native byte order"
    if isinstance(param.type, TensorType):
        return f"argument {param.name}: only if it is not {plain}"
    if _holds_tensor(param.type):
        return f"arrays in argument {param.name}: only those that are not {plain}"
    return None


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


def _kernel_line(fact: KernelFact) -> str:
    ranges = ", then ".join(each.extent for each in fact.phases)
    threads = ", then ".join(map(_sharing, fact.phases))
    placed = _placed(f"{fact.name} over {ranges}", fact.span)
    return placed + "".join(f"; {part}" for part in (threads, fact.fusion) if part)


def _sharing(phase: PhaseFact) -> str:
    return "one thread" if phase.work is None else f"threads share it if {phase.work} >= {SHARED_FROM}"


def _placed(text: str, span: Span | None) -> str:
    return text if span is None else f"{text} ({span})"


def _section(title: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"{title}:", *(f"   {line}" for line in lines)] if lines else []
