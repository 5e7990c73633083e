"""The kernels of a program as they are called: what is known of each call makes variants, and tells its own memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, InternalError, KernelError, Span
from relaxdsl.ir.graph import GlobalVar
from relaxdsl.ir.loops import PrimFunc, substitute_buffers
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.kernels.jit import CompiledKernel, compile_kernel
from relaxdsl.kernels.work import pays_to_share
from relaxdsl.passes.constant_phases import run_constant_phases, with_constants
from relaxdsl.passes.memory.offsets import whole_lines
from relaxdsl.passes.memory.values import Place, size_bytes
from relaxdsl.passes.memory.walk import KernelStep
from relaxdsl.types.dims import Dim, dim_min, substitute
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.types import AnyType, FuncType


@dataclass(slots=True)
class KernelTable:
    """The compiled kernels of one function: each is compiled, or loaded, once."""

    compiled: dict[PrimFunc, CompiledKernel] = field(default_factory=dict)

    def get(self, kernel: PrimFunc, span: Span | None = None) -> CompiledKernel:
        """The kernel's machine code; ``span`` is where an error points."""
        if kernel not in self.compiled:
            try:
                self.compiled[kernel] = compile_kernel(kernel)
            # Others, such as that of a variable of the environment, have no place in the program.
            except (KernelError, DTypeError, InternalError) as error:
                error.at(span)
                raise
        return self.compiled[kernel]


@dataclass(slots=True)
class Variants:
    """The kernels of the module under construction, by what they do; each has a name of its own."""

    known: dict[PrimFunc, GlobalVar] = field(default_factory=dict)
    made: dict[tuple[PrimFunc, str], PrimFunc] = field(default_factory=dict)
    names: UniqueNames = field(default_factory=UniqueNames)
    kernels: dict[str, PrimFunc] = field(default_factory=dict)

    def of_step(self, step: KernelStep, in_place: tuple[tuple[int, int], ...]) -> PrimFunc:
        """The kernel of a call: it knows which operands are constants, and which output is written over an input."""
        attrs = with_constants(step.kernel, [_constant(place) for place in step.tensors]).attrs
        if in_place:
            inputs = len(step.kernel.inputs)
            pairs = tuple((inputs + output, place) for output, place in in_place)
            attrs = MappingProxyType({**attrs, "in_place": pairs})
        key = step.kernel, repr([attrs.get(name) for name in ("constants", "in_place")])
        if key not in self.made:
            self.made[key] = step.kernel if attrs == step.kernel.attrs else _copy(step.kernel, attrs)
        return self.made[key]

    def name_of(self, kernel: PrimFunc) -> GlobalVar:
        """The name of a kernel, which joins the module."""
        if kernel not in self.known:
            name = self.names.fresh(kernel.name)
            self.kernels[name] = kernel
            self.known[kernel] = GlobalVar(name, FuncType(None, AnyType(), True))
        return self.known[kernel]

    def module(self, others: IRModule) -> IRModule:
        """The kernels that are called, and the graph functions of ``others``."""
        return IRModule(MappingProxyType({**self.kernels, **others.graph_functions}))


def _copy(kernel: PrimFunc, attrs: Mapping[str, Any]) -> PrimFunc:
    """The kernel with other attributes; kernels of a module have no buffers in common."""
    new = {each: replace(each) for each in (*kernel.params, *kernel.scratch)}
    return replace(
        kernel,
        params=tuple(new[each] for each in kernel.params),
        scratch=tuple(new[each] for each in kernel.scratch),
        body=substitute_buffers(kernel.body, new, new),
        attrs=attrs,
    )


def _constant(place: Place) -> np.ndarray | None:
    whole = place.whole
    return None if whole is None or whole.shape != place.shape else whole.array


@dataclass(frozen=True, slots=True)
class WorkMemory:
    """A kernel's own memory in one call, in the order of its arguments: arrays made when compiling, or what is needed.

    Args:
        done: the numbers of the phases that have run.
    """

    parts: tuple[np.ndarray | WorkBuffer, ...]
    done: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class WorkBuffer:
    """So many elements that the kernel needs while it runs. ``is_for_each``: every thread needs as many."""

    name: str
    shape: tuple[Dim, ...]
    dtype: str
    is_for_each: bool = False


def work_memory(kernel: CompiledKernel, step: KernelStep) -> WorkMemory:
    """What a call of ``kernel`` needs besides its tensors; its phases that depend on constants only run here."""
    arrays = [*map(_constant, step.tensors), *(None for _ in step.outputs)]
    done = run_constant_phases(kernel, arrays, step.values)
    shapes = [tuple(substitute(dim, step.values) for dim in each.shape) for each in (*kernel.shared, *kernel.scratch)]
    shared: Iterator[np.ndarray | WorkBuffer] = (
        done.shared.get(place, WorkBuffer(each.name, _if_written(kernel, step, place, shape), each.dtype))
        for place, (each, shape) in enumerate(zip(kernel.shared, shapes, strict=False))
    )
    is_for_each = bool(shareable_phases(kernel, step.values, done.phases))
    scratch = (
        WorkBuffer(each.name, shape, each.dtype, is_for_each)
        for each, shape in zip(kernel.scratch, shapes[len(kernel.shared) :], strict=True)
    )
    return WorkMemory((*shared, *scratch), tuple(sorted(done.phases)))


def _if_written(kernel: CompiledKernel, step: KernelStep, place: int, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape of memory that phases share; none where the one phase that writes it has nothing to do.

    So there is no memory for packed matrices where there are so few rows that nothing is packed.
    """
    number = len(step.tensors) + len(step.outputs) + place
    extents = [substitute(each.extent, step.values) for each in kernel.interface.phases if number in each.writes]
    if len(extents) != 1 or len(shape) != 1 or prove_less_equal(1, extents[0]) is Proof.YES:
        return shape
    return (shape[0] * dim_min(1, extents[0]),)


def shareable_phases(kernel: CompiledKernel, values: Mapping[str, Dim], done: frozenset[int]) -> frozenset[int]:
    """The phases that run in a call and whose range threads may share."""
    extents = [substitute(extent, values) for extent in kernel.extents]
    works = [substitute(work, values) for work in kernel.works]
    return frozenset(
        number
        for number, (extent, work) in enumerate(zip(extents, works, strict=True))
        if number not in done and pays_to_share(extent, work)
    )


def bytes_for_each(buffer: WorkBuffer) -> Dim:
    """How far apart the threads' pieces are."""
    return whole_lines(size_bytes(buffer.shape, buffer.dtype))
