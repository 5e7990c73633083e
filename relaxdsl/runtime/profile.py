"""``fn.profile``: how long each kernel of a call takes, and how that compares with what the machine can do.

The call is run from Python, which leaves compiled code at every kernel: in the program that is profiled, a call of a
kernel is a host call that runs a table of one instruction, by the same VM and on the same threads, with a clock around
it. An empty table is timed before each, and what it takes is taken off.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.kernels.operations import Operations, operations_of
from relaxdsl.kernels.work import SHARED_FROM
from relaxdsl.runtime.arguments import Params
from relaxdsl.runtime.encoding import Table, encode
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.held import held_by
from relaxdsl.runtime.limits import limits
from relaxdsl.runtime.machine import run_table
from relaxdsl.runtime.profile_report import Profile, Timing
from relaxdsl.runtime.program import (
    CallFunction,
    CallKernel,
    HostCall,
    Instruction,
    IntLeaf,
    Program,
    Sharing,
    Slot,
    TupleTree,
)
from relaxdsl.runtime.threads import get_num_threads
from relaxdsl.types.dims import evaluate

MIN_REPEATS, MAX_REPEATS = 5, 200
_ENOUGH_S = 0.3
_KINDS = {CallKernel: "kernel", HostCall: "Python", CallFunction: "function"}
_NEVER = 0
"""For the VM: do not stop to let Python look for signals."""


def profile(
    program: Program, params: Params, args: Sequence[Any], keywords: Mapping[str, Any], repeats: int | None = None
) -> Profile:
    """The times of the kernels of a call.

    Args:
        args, keywords: the call's.
        repeats: how often the call is run; by default for a third of a second.

    Raises:
        ArgumentError: an argument does not fit, or there is nothing to repeat.
    """
    if repeats is not None and repeats < 1:
        raise ArgumentError(f"{program.name}.profile: repeats is at least 1, got {repeats}")
    whole = list(_call_seconds(partial(_entry(program, params), *args, **keywords), repeats))
    recorder = _Recorder()
    run_timed = partial(_entry(_timed(program, recorder), params), *args, **keywords)
    run_timed()  # what runs first is slower
    recorder.start()
    for _ in whole:
        recorder.begin_run()
        run_timed()
    return Profile(program.name, len(whole), median(whole), tuple(recorder.timings()), limits(get_num_threads()))


def _entry(program: Program, params: Params) -> Callable[..., Any]:
    executable = Executable(program, params)
    executable.prepare()
    return executable.entry


def _call_seconds(run: Callable[[], object], repeats: int | None) -> Iterator[float]:
    """How long calls take, one after the other."""
    run()
    begun, count = time.perf_counter(), 0
    while _goes_on(count, repeats, time.perf_counter() - begun):
        started = time.perf_counter_ns()
        run()
        yield (time.perf_counter_ns() - started) * 1e-9
        count += 1


def _goes_on(done: int, repeats: int | None, seconds: float) -> bool:
    if repeats is not None:
        return done < repeats
    return done < MIN_REPEATS or (done < MAX_REPEATS and seconds < _ENOUGH_S)


# ------------------------------------------------------------------------------------------------------- what is timed


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """A step that is timed: the phases of a kernel call, or a call of another function.

    Args:
        first: the place of its first instruction in the body.
    """

    first: int
    instruction: CallKernel | HostCall | CallFunction
    operations: Operations | None


def _timed(program: Program, recorder: _Recorder) -> Program:
    """The program, with a clock around its kernels and its calls of functions."""
    body: list[Instruction] = []
    last: _Step | None = None
    for place, each in enumerate(program.body):
        if isinstance(each, CallKernel):
            if last is None or not _continues(last.instruction, each, program.body[last.first : place]):
                last = _Step(place, each, _operations(each))
            body.append(_timed_kernel(each, last, recorder))
        elif isinstance(each, HostCall):
            last = None
            timed = _timed_function(each.function, _Step(place, each, None), recorder)
            body.append(replace(each, function=timed))
        elif isinstance(each, CallFunction):
            last = None
            timed = _timed_function(each.callee, _Step(place, each, None), recorder)
            body.append(HostCall(each.name, timed, each.args, each.results, each.span))
        else:
            body.append(each)
    return replace(program, body=tuple(body))


def _continues(first: CallKernel | HostCall | CallFunction, call: CallKernel, between: Sequence[Instruction]) -> bool:
    """Whether the call is a further phase of the same kernel call."""
    before = [each for each in between if isinstance(each, CallKernel)]
    return isinstance(first, CallKernel) and before[-1].kernel is call.kernel and before[-1].phase < call.phase


def _operations(call: CallKernel) -> Operations | None:
    return operations_of(call.kernel.prim_func) if isinstance(call.kernel, CompiledKernel) else None


def _timed_kernel(call: CallKernel, step: _Step, recorder: _Recorder) -> HostCall:
    """A host call that gets the values of the slots which the call reads, and runs it on them."""
    single = _SingleCall(call)

    def run(*values: int) -> None:
        recorder.run(step, single, values)

    args = tuple(IntLeaf(f"slot {slot}", slot) for slot in single.slots)
    return HostCall(call.kernel.name, run, args, None, call.span)


def _timed_function(function: Callable[..., Any], step: _Step, recorder: _Recorder) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        started = time.perf_counter_ns()
        try:
            return function(*args)
        finally:
            recorder.add(step, (time.perf_counter_ns() - started) * 1e-9)

    return run


class _SingleCall:
    """A program of one kernel call. Its slots are those that the call reads, in the order of ``slots``."""

    def __init__(self, call: CallKernel) -> None:
        sharing = call.sharing
        others = () if sharing is None else (sharing.work, sharing.threads, sharing.per_thread, *sharing.scratch_bytes)
        self.slots = (*call.args, call.extent, *others)
        count = len(call.args)
        if sharing is not None:
            places = tuple(range(count + 4, len(self.slots)))
            sharing = Sharing(count + 1, count + 2, count + 3, places)
        own = replace(call, args=tuple(range(count)), extent=count, sharing=sharing)
        self._work = None if sharing is None else count + 1
        self._threads = None if sharing is None else count + 2
        self._table, self._memory = _loaded(call.kernel.name, len(self.slots), (own,))

    def run(self, values: Sequence[int]) -> float:
        """Runs it; returns the seconds that it takes, with those of getting there."""
        self._memory[: len(values)] = values
        return _run_seconds(self._table, self._memory)

    def is_shared(self, values: Sequence[int]) -> bool:
        """Whether threads share the call."""
        if self._work is None or self._threads is None:
            return False
        return values[self._threads] > 1 and values[self._work] >= SHARED_FROM


def _loaded(name: str, slot_count: int, body: tuple[CallKernel, ...]) -> tuple[Table, np.ndarray]:
    """The table of a program with this body, and memory for its slots and what follows them."""
    slots = tuple(Slot(f"slot {number}") for number in range(slot_count))
    program = Program(name, slots, (), TupleTree(()), (), body)
    table = encode(program, held_by(program))
    return table, np.zeros(table.slot_count + table.gathered_count, np.int64)


def _run_seconds(table: Table, memory: np.ndarray) -> float:
    slots, words, body = address_of(memory), table.address, table.body
    started = time.perf_counter_ns()
    run_table(slots, words, body, _NEVER)
    return (time.perf_counter_ns() - started) * 1e-9


# ------------------------------------------------------------------------------------------------------------ recording


class _Recorder:
    """Collects the times of steps, run by run."""

    def __init__(self) -> None:
        self._nothing = _loaded("nothing", 1, ())
        self.start()

    def start(self) -> None:
        """Forgets what was recorded."""
        self._runs: list[dict[_Step, float]] = [{}]
        self._ways: list[float] = []
        self._parts: dict[_Step, int] = {}
        self._values: dict[_Step, Mapping[str, int]] = {}
        self._shared: set[_Step] = set()

    def begin_run(self) -> None:
        """What is added from here on is of another run."""
        self._runs.append({})
        self._parts.clear()

    def run(self, step: _Step, call: _SingleCall, values: Sequence[int]) -> None:
        """Runs a phase of a kernel, and notes how long it takes."""
        self._ways.append(_run_seconds(*self._nothing))
        self.add(step, call.run(values))
        self._parts[step] = self._parts.get(step, 0) + 1
        if call.is_shared(values):
            self._shared.add(step)
        if isinstance(step.instruction, CallKernel) and step not in self._values:
            self._values[step] = _sizes(step.instruction, values)

    def add(self, step: _Step, seconds: float) -> None:
        """Notes a step that has run."""
        run = self._runs[-1]
        run[step] = run.get(step, 0.0) + seconds

    def _seconds(self, step: _Step) -> float:
        """What the step takes: what is typical, without the ways from Python to its kernels."""
        found = median(run[step] for run in self._runs if step in run)
        return max(found - self._parts.get(step, 0) * median(self._ways or [0.0]), 0.0)

    def timings(self) -> Iterator[Timing]:
        """The steps that ran, in the order of the program."""
        for step in sorted({step for run in self._runs for step in run}, key=lambda step: step.first):
            call, sizes = step.instruction, self._values.get(step, {})
            known = step.operations
            yield Timing(
                call.kernel.name if isinstance(call, CallKernel) else call.name,
                call.span,
                "; ".join(call.note.facts) if isinstance(call, CallKernel) else "",
                self._seconds(step),
                None if known is None else _evaluated(known.operations, sizes),
                None if known is None else _evaluated(known.moved_bytes, sizes),
                "float32" if known is None else known.dtype,
                get_num_threads() if step in self._shared else 1,
                _KINDS[type(call)],
            )


def _sizes(call: CallKernel, values: Sequence[int]) -> Mapping[str, int]:
    """The values of the kernel's sizes, which follow its tensors among the arguments."""
    kernel = call.kernel
    if not isinstance(kernel, CompiledKernel):
        return {}
    first = len(kernel.prim_func.params)
    return dict(zip(kernel.symbols, values[first:], strict=False))


def _evaluated(dim: Any, sizes: Mapping[str, int]) -> int:
    return max(int(evaluate(dim, sizes)), 0)
