"""The plan of a function's memory as data: what the program becomes, and what ``fn.memory_plan()`` shows."""

from __future__ import annotations

from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.visit import all_dims
from relaxdsl.passes.memory.early import early_sizes
from relaxdsl.passes.memory.kernels import KernelTable, Variants, WorkBuffer, WorkMemory, bytes_for_each, work_memory
from relaxdsl.passes.memory.offsets import Layout, Piece, place, symbols_in
from relaxdsl.passes.memory.outputs import Results, find_results
from relaxdsl.passes.memory.sharing import Sharing, choose_sharing, pieces_of
from relaxdsl.passes.memory.values import Group, size_bytes
from relaxdsl.passes.memory.walk import KernelStep
from relaxdsl.types.dims import Dim, symbol


@dataclass(frozen=True, slots=True)
class WorkPiece:
    """A kernel's own memory in one call. ``piece``: None where its size is known late."""

    buffer: WorkBuffer
    size: Dim
    piece: Piece | None


@dataclass(slots=True)
class Plan:
    """Everything that is decided.

    Args:
        pieces: of each group in the workspace.
        kernels: of each call, the kernel that is called.
        work: of each call, its memory; ``parts`` of those that are no arrays.
        threads: the size that stands for the number of threads, if some kernel needs memory for each.
    """

    results: Results
    sharing: Sharing
    variants: Variants
    layout: Layout
    pieces: dict[Group, Piece]
    kernels: dict[KernelStep, PrimFunc] = field(default_factory=dict)
    work: dict[KernelStep, WorkMemory] = field(default_factory=dict)
    parts: dict[WorkBuffer, WorkPiece] = field(default_factory=dict)
    threads: Dim | None = None


def make_plan(function: Function, module: IRModule, table: KernelTable) -> Plan:
    """The plan of ``function``, a flat program of kernel calls; its kernels are compiled."""
    results = find_results(function, module)
    sharing = choose_sharing(results)
    plan = Plan(results, sharing, Variants(), Layout([], 0), pieces_of(sharing))
    plan.variants.names.reserve(function.name)
    early = early_sizes(function).symbols
    threads = symbol(UniqueNames(symbols_in(all_dims(function))).fresh("threads"), lower=1)
    for step in results.walk.kernel_steps:
        kernel = plan.variants.of_step(step, sharing.in_place.get(step, ()))
        plan.kernels[step] = kernel
        plan.work[step] = work_memory(table.get(kernel, step.call.span), step)
        for buffer in plan.work[step].parts:
            if isinstance(buffer, WorkBuffer):
                _add_work(plan, step, buffer, threads, early)
    work = [each.piece for each in plan.parts.values() if each.piece is not None]
    plan.layout = place(list(plan.pieces.values()), work)
    return plan


def _add_work(plan: Plan, step: KernelStep, buffer: WorkBuffer, threads: Dim, early: frozenset[str]) -> None:
    size = size_bytes(buffer.shape, buffer.dtype)
    if buffer.is_for_each:
        size, plan.threads = bytes_for_each(buffer) * threads, threads
    is_early = all(name in early for name in symbols_in(buffer.shape))
    piece = Piece(f"{step.var.name}: {buffer.name}", size, step.position, step.position) if is_early else None
    plan.parts[buffer] = WorkPiece(buffer, size, piece)
