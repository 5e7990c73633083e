"""What of a kernel is done when compiling: phases that depend on constants only, such as packing a weight matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels.jit import CompiledKernel, aligned_array, run_phase
from relaxdsl.kernels.patterns import Kind, kind_of
from relaxdsl.types.dims import Dim, evaluate, free_symbols, substitute
from relaxdsl.types.symint import bounds_of

_MANY_ROWS = 1 << 20
"""For how many rows a right operand is packed when there are no rows yet: so many that packing it pays."""


@dataclass(frozen=True, slots=True)
class DoneWhenCompiling:
    """The numbers of the phases that have run, and by position in ``kernel.shared``, what they left."""

    phases: frozenset[int]
    shared: Mapping[int, np.ndarray]


def with_constants(kernel: PrimFunc, arrays: Sequence[np.ndarray | None]) -> PrimFunc:
    """The kernel, told which matrices it gets in every call, if it multiplies: it packs them for any number of rows.

    Args:
        arrays: of each input, the array it is in every call, or None.
    """
    places = tuple(place for place, array in enumerate(arrays) if array is not None and array.ndim > 1)
    if not places or kind_of(kernel) is not Kind.CONTRACTION:
        return kernel
    return replace(kernel, attrs=MappingProxyType({**kernel.attrs, "constants": places}))


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
    """Goes through the phases of a kernel. Buffers are positions: the parameters', then the shared buffers'."""

    def __init__(self, kernel: CompiledKernel, arrays: Sequence[np.ndarray | None], values: Mapping[str, Dim]) -> None:
        self._kernel = kernel
        self._arrays = arrays
        self._phases = kernel.interface.phases
        self._sizes = {name: size for name in kernel.symbols if isinstance(size := values[name], int)}
        self._known = {place for place, array in enumerate(arrays) if array is not None}
        self._made: dict[int, np.ndarray] = {}

    def run(self) -> DoneWhenCompiling:
        done = [number for number, _ in enumerate(self._phases) if self._can_run(number) and self._run(number)]
        return DoneWhenCompiling(frozenset(done), self._made)

    def _can_run(self, number: int) -> bool:
        phase = self._phases[number]
        others = {place for each in self._phases if each is not phase for place in each.writes}
        made = [place - len(self._arrays) for place in phase.writes]
        return (
            bool(made)
            and all(place >= 0 for place in made)
            and phase.reads <= self._known | phase.writes
            and not phase.writes & others
            and phase.sizes <= self._sizes.keys()
            and all(set(free_symbols(self._kernel.shared[place].shape[0])) <= self._sizes.keys() for place in made)
            and self._is_longest(phase.extent)
        )

    def _is_longest(self, extent: Dim) -> bool:
        """Whether the range is as long for many rows as it can be: a call with fewer needs a part of it at most."""
        known = substitute(extent, self._sizes)
        return bounds_of(known)[1] == evaluate(known, dict.fromkeys(free_symbols(known), _MANY_ROWS))

    def _run(self, number: int) -> bool:
        for place in self._phases[number].writes:
            buffer = self._kernel.shared[place - len(self._arrays)]
            made = aligned_array(evaluate(buffer.shape[0], self._sizes), buffer.dtype)
            self._made[place - len(self._arrays)] = made
        self._known |= self._phases[number].writes
        shared = [self._made.get(place) for place, _ in enumerate(self._kernel.shared)]
        sizes = {name: self._sizes.get(name, _MANY_ROWS) for name in self._kernel.symbols}
        run_phase(self._kernel, number, self._arrays, sizes, shared)
        return True
