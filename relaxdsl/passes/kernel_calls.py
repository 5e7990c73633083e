"""Calls of compiled kernels, phase by phase: their arguments, and whether threads share them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.passes.memory.kernels import shareable_phases
from relaxdsl.passes.memory.offsets import whole_lines
from relaxdsl.passes.memory.values import size_bytes
from relaxdsl.runtime.program import CallKernel, CountThreads, KernelNote, Sharing, TensorLeaf
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.types.dims import Dim, substitute

MAX_WORK = 2**63 - 1
"""More work is not told apart: it is shared in any case."""


@dataclass(slots=True)
class Constants:
    """The arrays of a program, by the slot of their address."""

    slots: SlotAllocator
    arrays: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, array: np.ndarray) -> int:
        """The slot of the array's address."""
        slot = self.slots.add(f"constant {len(self.arrays)}", array.ctypes.data)
        self.arrays[slot] = array
        return slot


@dataclass(frozen=True, slots=True)
class KernelCall:
    """A kernel, what it is called on, and what is said of it.

    Args:
        tensors: inputs, then outputs. work: its own memory, shared before scratch.
        values: of its sizes.
        done: the phases that have run when compiling.
        facts: what people are told of it, a text each.
    """

    kernel: CompiledKernel
    tensors: Sequence[TensorLeaf]
    work: Sequence[TensorLeaf]
    values: Mapping[str, Dim]
    done: frozenset[int] = frozenset()
    span: Span | None = None
    facts: tuple[str, ...] = ()


@dataclass(slots=True)
class KernelCaller:
    """Writes calls of kernels into a program under construction.

    Args:
        early: computes sizes in the prologue, where they are known there; ``late`` in the body.
    """

    slots: SlotAllocator
    early: DimCompiler
    late: DimCompiler
    _threads: int | None = None

    def add(self, call: KernelCall) -> None:
        """Adds the call: one instruction a phase, but for those that have run."""
        kernel = call.kernel
        shareable = shareable_phases(kernel, call.values, call.done)
        note = KernelNote((*call.facts, *_made_before(call)), call.values)
        for number, extent in enumerate(kernel.extents):
            if number not in call.done:
                sharing = self._sharing(call, number) if number in shareable else None
                length = self.late.slot_of(substitute(extent, call.values))
                args = self._arguments(call, number)
                self.late.steps.append(CallKernel(kernel, args, length, call.span, note, sharing, number))

    def thread_count(self) -> int:
        """The slot of the number of threads of a call, which the prologue finds out."""
        if self._threads is None:
            self._threads = self.slots.add("thread.count")
            self.early.steps.append(CountThreads(self._threads))
        return self._threads

    def _arguments(self, call: KernelCall, phase: int) -> tuple[int, ...]:
        """The slots of what :func:`relaxdsl.kernels.source.kernel_arguments` lists."""
        number = [self.slots.constant(phase)] if len(call.kernel.extents) > 1 else []
        sizes = [self.late.slot_of(call.values[name]) for name in call.kernel.symbols]
        tensors, work = ([each.pointer for each in leaves] for leaves in (call.tensors, call.work))
        shared = len(call.kernel.shared)
        return (*tensors, *sizes, *work[:shared], *number, *work[shared:])

    def _sharing(self, call: KernelCall, phase: int) -> Sharing:
        shapes = (tuple(substitute(dim, call.values) for dim in each.shape) for each in call.kernel.scratch)
        sizes = (
            whole_lines(size_bytes(shape, each.dtype)) for shape, each in zip(shapes, call.kernel.scratch, strict=True)
        )
        work = substitute(call.kernel.works[phase], call.values)
        most = min(work, MAX_WORK) if isinstance(work, int) else work
        parts = self.late.slot_of(substitute(call.kernel.interface.phases[phase].per_thread, call.values))
        return Sharing(self.late.slot_of(most), self.thread_count(), parts, tuple(map(self.late.slot_of, sizes)))


def _made_before(call: KernelCall) -> Iterator[str]:
    """What of the call has been done when compiling."""
    phases = call.kernel.interface.phases
    made = sorted({place - len(call.tensors) for number in call.done for place in phases[number].writes})
    if made:
        yield f"{', '.join(call.kernel.shared[place].name for place in made)} made when compiling"
