"""Kernels as machine code, once per structure and process: found on the disk, or else compiled."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.kernels.interface import Interface
from relaxdsl.kernels.stored import StoredKernel, from_parts, is_kept, to_parts
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.locks import COMPILING
from relaxdsl.types.dims import Dim, evaluate

CACHE_LINE_BYTES = 64


class Loops:
    """A kernel's loops as they run, and the source they become; made when first asked for."""

    def __init__(self, prim_func: PrimFunc) -> None:
        self._prim_func = prim_func

    @cached_property
    def scheduled(self) -> PrimFunc:
        """The loops."""
        from relaxdsl.kernels.codegen import schedule  # imports numba

        return schedule(self._prim_func)

    @cached_property
    def source(self) -> str:
        """The Python that numba compiles."""
        from relaxdsl.kernels.codegen import kernel_source  # imports numba

        return kernel_source(self.scheduled)


@dataclass(frozen=True, eq=False, slots=True)
class CompiledKernel:
    """A kernel in machine code: ``void(int64* args, int64 lo, int64 hi)`` at ``address``.

    Args:
        interface: what a call is made of.
        prim_func: the kernel in block form.
        loops: its loops and its source; of a kernel that was compiled for another PrimFunc, that one's.
        codegen_seconds: what scheduling and writing the source took; 0 for a kernel that this process had before.
        numba_seconds: what machine code of that took; load_seconds: what finding it on the disk took; 0 likewise.
        code: keeps the machine code alive.
    """

    name: str
    address: int
    interface: Interface
    prim_func: PrimFunc
    loops: Loops
    codegen_seconds: float
    numba_seconds: float
    load_seconds: float
    code: Any

    @property
    def source(self) -> str:
        """The Python source it is compiled from."""
        return self.loops.source

    @property
    def scheduled(self) -> PrimFunc:
        """Its loops as they run."""
        return self.loops.scheduled

    @property
    def symbols(self) -> tuple[str, ...]:
        """The sizes to pass, in order."""
        return self.interface.symbols

    @property
    def extents(self) -> tuple[Dim, ...]:
        """Of each phase, how long its range is."""
        return tuple(each.extent for each in self.interface.phases)

    @property
    def works(self) -> tuple[Dim, ...]:
        """Of each phase, the estimate of its work."""
        return tuple(each.work for each in self.interface.phases)

    @property
    def shared(self) -> tuple[Buffer, ...]:
        """What there is memory for once a call."""
        return self.interface.shared

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        """What each running part needs memory of its own for."""
        return self.interface.scratch


_compiled: dict[str, CompiledKernel] = {}


def compile_kernel(prim_func: PrimFunc) -> CompiledKernel:
    """The machine code of a kernel in block form. A kernel of equal structure is compiled once in a process.

    Raises:
        DTypeError: the kernel uses a dtype that kernels do not compute in.
        KernelError: it uses a function that they do not have.
        InternalError: the generated source does not compile.
    """
    key = structural_key(prim_func)
    with COMPILING:
        found = _compiled.get(key)
        if found is None:
            made = _compiled[key] = _load(prim_func, key) or _compile(prim_func, key)
            return made
    return _in_terms_of(prim_func, found)


def _in_terms_of(prim_func: PrimFunc, found: CompiledKernel) -> CompiledKernel:
    """The kernel made before for a PrimFunc of the same structure, with this one's names for sizes."""
    return replace(
        found,
        name=prim_func.name,
        interface=found.interface.in_terms_of(prim_func),
        prim_func=prim_func,
        codegen_seconds=0.0,
        numba_seconds=0.0,
        load_seconds=0.0,
    )


def _load(prim_func: PrimFunc, key: str) -> CompiledKernel | None:
    """The kernel as an earlier process compiled it, if the disk has it."""
    from relaxdsl.kernels import disk
    from relaxdsl.kernels.contraction.engine import provide
    from relaxdsl.kernels.object_code import LoadedObject, are_known

    started = time.perf_counter()
    parts = disk.find("kernel", key)
    if parts is None:
        return None
    stored = from_parts(parts, prim_func)
    provide(stored.imports)
    if not are_known(stored.imports):
        return None
    code = LoadedObject(stored.object_code)
    return CompiledKernel(
        name=prim_func.name,
        address=code.address(stored.function),
        interface=stored.interface,
        prim_func=prim_func,
        loops=Loops(prim_func),
        codegen_seconds=0.0,
        numba_seconds=0.0,
        load_seconds=time.perf_counter() - started,
        code=code,
    )


def _compile(prim_func: PrimFunc, key: str) -> CompiledKernel:
    started = time.perf_counter()
    from relaxdsl.kernels.codegen import interface_of, machine_code  # imports numba

    imported = time.perf_counter()
    loops = Loops(prim_func)
    source = loops.source
    written = time.perf_counter()
    code = machine_code(prim_func.name, loops.scheduled, source)
    compiled = time.perf_counter()
    made = CompiledKernel(
        name=prim_func.name,
        address=code.address,
        interface=interface_of(loops.scheduled),
        prim_func=prim_func,
        loops=loops,
        codegen_seconds=written - imported,
        numba_seconds=imported - started + compiled - written,
        load_seconds=0.0,
        code=code,
    )
    _keep(made, key)
    return made


def _keep(kernel: CompiledKernel, key: str) -> None:
    """Keeps a kernel that numba has compiled on the disk, for later processes."""
    from relaxdsl.kernels import disk
    from relaxdsl.kernels.codegen import object_of

    stored = StoredKernel(*object_of(kernel.code), kernel.interface)
    if is_kept(stored, kernel.prim_func):
        disk.keep(to_parts(stored), "kernel", key)


def run_kernel(
    compiled: CompiledKernel, arrays: Sequence[NDArray[Any]], symbols: Mapping[str, int], parts: int = 1
) -> None:
    """Runs a kernel on contiguous arrays of the parameters' dtypes, inputs first; the outputs are written in place.

    Args:
        symbols: the value of each size.
        parts: into how many parts the range of each phase is divided, one after the other.
    """
    shared = [aligned_array(evaluate(each.shape[0], symbols), each.dtype) for each in compiled.shared]
    for phase, _ in enumerate(compiled.extents):
        run_phase(compiled, phase, arrays, symbols, shared, parts)


def run_phase(
    compiled: CompiledKernel,
    phase: int,
    arrays: Sequence[NDArray[Any] | None],
    symbols: Mapping[str, int],
    shared: Sequence[NDArray[Any] | None],
    parts: int = 1,
) -> None:
    """Runs one phase of a kernel as :func:`run_kernel` runs all; arrays that it does not touch may be missing."""
    known = [*map(_address, arrays), *(symbols[name] for name in compiled.symbols), *map(_address, shared)]
    known += [phase] if len(compiled.extents) > 1 else []
    extent = evaluate(compiled.extents[phase], symbols)
    run = _callable_at(compiled.address)
    for part in reversed(range(parts)):  # as threads take them, so that what depends on the order shows
        lower, upper = extent * part // parts, extent * (part + 1) // parts
        if lower == upper:  # a phase that threads do not share would run twice
            continue
        scratch = [aligned_array(evaluate(each.shape[0], symbols), each.dtype) for each in compiled.scratch]
        args = np.array([*known, *map(_address, scratch), 0], np.int64)
        run(args.ctypes.data, lower, upper)


def kernel_outputs(kernel: PrimFunc, inputs: Sequence[NDArray[Any]], symbols: Mapping[str, int]) -> list[NDArray[Any]]:
    """What the kernel, compiled, makes of arrays of any layout."""
    outputs = [np.empty(tuple(evaluate(dim, symbols) for dim in each.shape), each.dtype) for each in kernel.outputs]
    contiguous = [np.ascontiguousarray(array).reshape(np.shape(array)) for array in inputs]
    run_kernel(compile_kernel(kernel), [*contiguous, *outputs], symbols)
    return outputs


def aligned_array(length: int, dtype: str) -> NDArray[Any]:
    """Memory for so many elements that starts with a cache line, as the workspace's does."""
    size = length * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(dtype)


def _address(array: NDArray[Any] | None) -> int:
    return 0 if array is None else array.ctypes.data


def _callable_at(address: int) -> Callable[[int, int, int], None]:
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(address)
