"""What of a kernel is done when compiling: phases that depend on constants only, such as packing a weight matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relaxdsl.ir.loops import CallExtern, For, Parts, Stmt, walk
from relaxdsl.ir.visit_loops import dims_of_scalar, dims_of_stmt, scalars_of, walk_scalar
from relaxdsl.kernels.accesses import buffers_touched
from relaxdsl.kernels.jit import CompiledKernel, aligned_array, run_phase
from relaxdsl.kernels.schedule.parallel import is_divided, phases
from relaxdsl.types.dims import Dim, evaluate, free_symbols, substitute
from relaxdsl.types.symint import bounds_of

_MANY_ROWS = 1 << 20
"""For how many rows a right operand is packed when there are no rows yet: so many that packing it pays."""


@dataclass(frozen=True, slots=True)
class DoneWhenCompiling:
    """The numbers of the phases that have run, and by position in ``kernel.shared``, what they left."""

    phases: frozenset[int]
    shared: Mapping[int, np.ndarray]


def run_constant_phases(
    kernel: CompiledKernel, arrays: Sequence[np.ndarray | None], values: Mapping[str, Dim]
) -> DoneWhenCompiling:
    """Runs the phases whose inputs and sizes are all known; what they write must be shared buffers.

    Args:
        arrays: of each parameter, the array it is in every call, or None.
        values: of each of the kernel's sizes.
    """
    if len(kernel.extents) == 1:
        return DoneWhenCompiling(frozenset(), {})
    return _Runner(kernel, arrays, values).run()


class _Runner:
    """Goes through the phases of the kernel as it was compiled, whose names may be those of another PrimFunc."""

    def __init__(self, kernel: CompiledKernel, arrays: Sequence[np.ndarray | None], values: Mapping[str, Dim]) -> None:
        self._kernel = kernel
        self._arrays = arrays
        self._phases = phases(kernel.scheduled.body)
        self._touched = [buffers_touched(phase) for phase in self._phases]
        sizes = [values[name] for name in kernel.symbols]
        self._sizes = {name: size for name, size in zip(kernel.symbols, sizes, strict=True) if isinstance(size, int)}
        inner = zip(kernel.scheduled.symbols, sizes, strict=True)
        self._inner_sizes = {name for name, size in inner if isinstance(size, int)}
        params = zip(kernel.scheduled.params, arrays, strict=True)
        self._known = {buffer for buffer, array in params if array is not None}
        self._shared = [each for each in kernel.scheduled.scratch if each.scope == "shared"]
        self._made: dict[int, np.ndarray] = {}

    def run(self) -> DoneWhenCompiling:
        done = [number for number, _ in enumerate(self._phases) if self._can_run(number) and self._run(number)]
        return DoneWhenCompiling(frozenset(done), self._made)

    def _can_run(self, number: int) -> bool:
        phase = self._phases[number]
        read, written = self._touched[number]
        own = {each for each in written if each.scope in ("scratch", "register")}
        others = {each for place, (_, target) in enumerate(self._touched) if place != number for each in target}
        made = [place for place, each in enumerate(self._shared) if each in written]
        needed = {name for place in made for dim in self._kernel.shared[place].shape for name in free_symbols(dim)}
        return (
            bool(made)
            and read <= self._known | own | written
            and all(each.scope != "global" for each in written)
            and not {self._shared[place] for place in made} & others
            and set(_sizes_needed(phase)) <= self._inner_sizes
            and needed <= set(self._sizes)
            and self._is_longest(self._kernel.extents[number])
        )

    def _is_longest(self, extent: Dim) -> bool:
        """Whether the range is as long for many rows as it can be: a call with fewer needs a part of it at most."""
        known = substitute(extent, self._sizes)
        return bounds_of(known)[1] == evaluate(known, dict.fromkeys(free_symbols(known), _MANY_ROWS))

    def _run(self, number: int) -> bool:
        written = self._touched[number][1]
        for place, each in enumerate(self._kernel.shared):
            if self._shared[place] in written:
                self._made[place] = aligned_array(evaluate(each.shape[0], self._sizes), each.dtype)
                self._known.add(self._shared[place])
        shared = [self._made.get(place) for place, _ in enumerate(self._kernel.shared)]
        sizes = {name: self._sizes.get(name, _MANY_ROWS) for name in self._kernel.symbols}
        run_phase(self._kernel, number, self._arrays, sizes, shared)
        return True


def _sizes_needed(phase: Stmt) -> Iterator[str]:
    """The names of the sizes on which what a phase leaves depends, its range left aside."""
    bound: set[str] = set()
    if isinstance(phase, Parts):
        bound |= {phase.lower, phase.upper}
    for stmt in walk(phase):
        if isinstance(stmt, For):
            bound.add(stmt.var)
        elsewhere = (dim for expr in scalars_of(stmt) for node in walk_scalar(expr) for dim in dims_of_scalar(node))
        own = () if stmt is phase and is_divided(phase) else _own_dims(stmt)
        for dim in (*own, *elsewhere):
            yield from (name for name in free_symbols(dim) if name not in bound)


def _own_dims(stmt: Stmt) -> tuple[Dim, ...]:
    """The dims that a statement uses itself. How many rows there will be only decides whether packing pays."""
    if isinstance(stmt, CallExtern) and stmt.function.startswith("pack_") and "gathered" not in stmt.function:
        return dims_of_stmt(stmt)[1:]
    return dims_of_stmt(stmt)
