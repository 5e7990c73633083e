"""A scheduled kernel's interface: what callers must know, read off its loops."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.ir.loops import PARTS_PER_THREAD, Buffer, CallExtern, Parts, PrimFunc, Stmt, walk
from relaxdsl.ir.visit_loops import dims_of_scalar, dims_of_stmt, scalars_of, walk_scalar
from relaxdsl.kernels.accesses import buffers_touched
from relaxdsl.kernels.contraction.names import PARAMETERS
from relaxdsl.kernels.interface import Interface, Phase
from relaxdsl.kernels.schedule.parallel import extent_of, is_divided, phases
from relaxdsl.kernels.work import estimate_work
from relaxdsl.types.dims import Dim, free_symbols


def interface_of(scheduled: PrimFunc) -> Interface:
    """The interface of a kernel with these loops."""
    shared = tuple(each for each in scheduled.scratch if each.scope == "shared")
    places = {buffer: place for place, buffer in enumerate((*scheduled.params, *shared))}
    return Interface(
        symbols=scheduled.symbols,
        phases=tuple(_phase(each, scheduled, places) for each in phases(scheduled.body)),
        shared=shared,
        scratch=tuple(each for each in scheduled.scratch if each.scope == "scratch"),
    )


def _phase(phase: Stmt, scheduled: PrimFunc, places: dict[Buffer, int]) -> Phase:
    read, written = buffers_touched(phase)
    return Phase(
        extent=extent_of(phase),
        work=estimate_work(phase),
        reads=frozenset(places[each] for each in read if each in places),
        writes=frozenset(places[each] for each in written if each in places),
        sizes=frozenset(_sizes_needed(phase)) & frozenset(scheduled.symbols),
        per_thread=phase.per_thread if isinstance(phase, Parts) else PARTS_PER_THREAD,
    )


def _sizes_needed(phase: Stmt) -> Iterator[str]:
    """The names of the sizes, and of loops' variables, on which what a phase leaves depends, its range left aside."""
    for stmt in walk(phase):
        elsewhere = (dim for expr in scalars_of(stmt) for node in walk_scalar(expr) for dim in dims_of_scalar(node))
        own = () if stmt is phase and is_divided(phase) else _own_dims(stmt)
        for dim in (*own, *elsewhere):
            yield from free_symbols(dim)


def _own_dims(stmt: Stmt) -> tuple[Dim, ...]:
    """The dims that a statement uses itself. How many rows there will be only decides whether packing pays."""
    if isinstance(stmt, CallExtern) and PARAMETERS[stmt.function.rpartition("_")[0]].startswith("m n k b*"):
        return dims_of_stmt(stmt)[1:]
    return dims_of_stmt(stmt)
