"""Calls of compiled kernels, phase by phase: their arguments, their memory, and whether threads share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.ir.loops import Buffer
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.kernels.work import pays_to_share
from relaxdsl.passes.constant_phases import DoneWhenCompiling, run_constant_phases
from relaxdsl.passes.storage import ALIGNMENT_BYTES, Storage, Workspace, size_bytes
from relaxdsl.runtime.program import Allocate, CallKernel, CountThreads, Instruction, Sharing, TensorLeaf
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.types.dims import Dim, Symbol, ceildiv, substitute
from relaxdsl.types.symint import from_atom

_THREADS_NAME = "thread.count"  # no identifier, so that no size is called so
_THREADS = from_atom(Symbol(_THREADS_NAME, 1, None))


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
    """A kernel, the tensors it gets, the values of its sizes, and what is said of it."""

    kernel: CompiledKernel
    tensors: Sequence[TensorLeaf]
    values: Mapping[str, Dim]
    span: Span | None = None
    note: str = ""

    def sizes_of(self, buffers: Sequence[Buffer]) -> list[Dim]:
        """The bytes of buffers."""
        return [size_bytes(tuple(substitute(dim, self.values) for dim in each.shape), each.dtype) for each in buffers]


@dataclass(slots=True)
class KernelCaller:
    """Writes calls of kernels into a program under construction.

    Args:
        early: computes sizes in the prologue, where they are known there; ``late`` in the body.
    """

    slots: SlotAllocator
    early: DimCompiler
    late: DimCompiler
    workspace: Workspace
    constants: Constants

    def add(self, call: KernelCall, *, is_reusable: bool) -> None:
        """Adds the call: one instruction a phase, but for those that depend on constants only, which run now.

        Args:
            is_reusable: whether the workspace that it takes may serve others after (not in a branch).
        """
        arrays = [self.constants.arrays.get(tensor.pointer) for tensor in call.tensors]
        done = run_constant_phases(call.kernel, arrays, call.values)
        works = [substitute(work, call.values) for work in call.kernel.works]
        extents = [substitute(extent, call.values) for extent in call.kernel.extents]
        waiting = [number for number, _ in enumerate(works) if number not in done.phases]
        shareable = {number for number in waiting if pays_to_share(extents[number], works[number])}
        copies = self._thread_count() if shareable else 1
        shared = self._shared(call, done, is_reusable)
        sizes = call.sizes_of(call.kernel.scratch)
        scratch = [self._memory(size, call.span, is_reusable, copies) for size in sizes]
        for number in waiting:
            sharing = self._sharing(works[number], copies, sizes) if number in shareable else None
            args = self._arguments(call, shared, number, scratch)
            extent = self.late.slot_of(extents[number])
            self._steps.append(CallKernel(call.kernel, args, extent, call.span, _note(call, done), sharing, number))
        self._release(*shared, *scratch)

    @property
    def _steps(self) -> list[Instruction]:
        return self.late.steps

    def _arguments(
        self,
        call: KernelCall,
        shared: Sequence[Storage | TensorLeaf],
        phase: int,
        scratch: Sequence[Storage | TensorLeaf],
    ) -> tuple[int, ...]:
        """The slots of what :func:`relaxdsl.kernels.source.kernel_arguments` lists."""
        number = [self.slots.constant(phase)] if len(call.kernel.extents) > 1 else []
        tensors = (tensor.pointer for tensor in call.tensors)
        sizes = (self.late.slot_of(call.values[name]) for name in call.kernel.symbols)
        return (*tensors, *sizes, *(each.pointer for each in shared), *number, *(each.pointer for each in scratch))

    def _sharing(self, work: Dim, copies: Dim, sizes: Sequence[Dim]) -> Sharing:
        return Sharing(self.late.slot_of(work), self.late.slot_of(copies), tuple(map(self._aligned, sizes)))

    # --------------------------------------------------------------------------------------- memory

    def _shared(self, call: KernelCall, done: DoneWhenCompiling, is_reusable: bool) -> list[Storage | TensorLeaf]:
        """What all phases see: constants where a phase that has run left them, memory of the call elsewhere."""
        found: list[Storage | TensorLeaf] = []
        for place, size in enumerate(call.sizes_of(call.kernel.shared)):
            if place in done.shared:
                array = done.shared[place]
                found.append(TensorLeaf("constant", str(array.dtype), self.constants.add(array), ()))
            else:
                found.append(self._memory(size, call.span, is_reusable))
        return found

    def _memory(self, size: Dim, span: Span | None, is_reusable: bool, copies: Dim = 1) -> Storage | TensorLeaf:
        """So many bytes until the kernel is done: workspace, or memory of its own where the size is known only now."""
        if self.early.can_compute(size):
            return self.workspace.take(size, self._steps, is_reusable=is_reusable, copies=copies)
        length = self.late.slot_of(_whole_lines(size) * copies)
        leaf = TensorLeaf("scratch", "uint8", self.slots.add("scratch"), (length,))
        self._steps.append(Allocate(leaf, span))
        return leaf

    def _aligned(self, size: Dim) -> int:
        """The slot of how far apart the threads' pieces of scratch are, so that no two write to one cache line."""
        return self.workspace.aligned(size) if self.early.can_compute(size) else self.late.slot_of(_whole_lines(size))

    def _release(self, *memory: Storage | TensorLeaf) -> None:
        for each in memory:
            if isinstance(each, Storage):
                self.workspace.release(each)

    def _thread_count(self) -> Dim:
        """The number of threads of a call, as a size that the prologue finds out."""
        if not self.early.can_compute(_THREADS):
            slot = self.slots.add(_THREADS_NAME)
            self.early.steps.append(CountThreads(slot))
            self.early.bind(_THREADS_NAME, slot)
        return _THREADS


def _whole_lines(size: Dim) -> Dim:
    return ceildiv(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _note(call: KernelCall, done: DoneWhenCompiling) -> str:
    """What is said of the call, and what of it has been done already."""
    if not done.phases:
        return call.note
    names = ", ".join(call.kernel.shared[place].name for place in sorted(done.shared))
    return "; ".join(part for part in (call.note, f"{names} made when compiling") if part)
