"""Kernels compiled to machine code: schedule, source, numba; once per structure and process."""

from __future__ import annotations

import atexit
import ctypes
import linecache
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relaxdsl.errors import InternalError, RelaxError
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.kernels.math import intrinsics
from relaxdsl.kernels.schedule.parallel import extent_of, phases
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import function_name, kernel_source
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.kernels.work import estimate_work
from relaxdsl.types.dims import Dim, evaluate, substitute, symbol, symbols_of
from relaxdsl.types.symint import from_atom

CACHE_LINE_BYTES = 64


@dataclass(frozen=True, eq=False, slots=True)
class CompiledKernel:
    """A kernel in machine code: ``void(int64* args, int64 lo, int64 hi)`` at ``address``.

    Args:
        source: the Python source it was compiled from.
        extents: of each phase, how long its range is; any split of ``0 ... extent`` into parts may run in parallel,
        once the phase before is done. works: of each phase, the estimate of its work.
        shared: what there is memory for once a call. scratch: what each running part needs memory of its own for.
        symbols: the sizes to pass, in order.
        prim_func: the kernel in block form.
        scheduled: its loops as they run.
        codegen_seconds: what scheduling and writing the source took; 0 for a kernel that had been compiled before.
        numba_seconds: what machine code of that took; 0 likewise.
        code: keeps the machine code alive.
    """

    name: str
    address: int
    source: str
    extents: tuple[Dim, ...]
    works: tuple[Dim, ...]
    shared: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    symbols: tuple[str, ...]
    prim_func: PrimFunc
    scheduled: PrimFunc
    codegen_seconds: float
    numba_seconds: float
    code: Any


_compiled: dict[str, CompiledKernel] = {}
_lock = threading.RLock()


def compile_kernel(prim_func: PrimFunc) -> CompiledKernel:
    """The machine code of a kernel in block form. A kernel of equal structure is compiled once in a process.

    Raises:
        KernelError: the kernel uses a dtype or a function that kernels do not have.
        InternalError: the generated source does not compile.
    """
    key = structural_key(prim_func)
    with _lock:
        found = _compiled.get(key)
        if found is None:
            _compiled[key] = compiled = _compile(prim_func)
            return compiled
    return _in_terms_of(prim_func, found)


def _compile(prim_func: PrimFunc) -> CompiledKernel:
    started = time.perf_counter()
    scheduled = schedule(prim_func)
    split = phases(scheduled.body)
    source = kernel_source(scheduled)
    written = time.perf_counter()
    code = _machine_code(prim_func.name, function_name(scheduled), source)
    return CompiledKernel(
        name=prim_func.name,
        address=code.address,
        source=source,
        extents=tuple(map(extent_of, split)),
        works=tuple(map(estimate_work, split)),
        shared=tuple(each for each in scheduled.scratch if each.scope == "shared"),
        scratch=tuple(each for each in scheduled.scratch if each.scope == "scratch"),
        symbols=prim_func.symbols,
        prim_func=prim_func,
        scheduled=scheduled,
        codegen_seconds=written - started,
        numba_seconds=time.perf_counter() - written,
        code=code,
    )


def _in_terms_of(prim_func: PrimFunc, found: CompiledKernel) -> CompiledKernel:
    """The kernel compiled before for a PrimFunc of the same structure, with this one's names for sizes."""
    shapes = (size for buffer in (*prim_func.params, *prim_func.scratch) for size in buffer.shape)
    own = {each.name: from_atom(each) for size in shapes for each in symbols_of(size)}
    sizes = {old: own.get(new, symbol(new)) for old, new in zip(found.symbols, prim_func.symbols, strict=True)}

    def own_sizes(dims: Iterable[Dim]) -> tuple[Dim, ...]:
        return tuple(substitute(each, sizes) for each in dims)

    return replace(
        found,
        name=prim_func.name,
        extents=own_sizes(found.extents),
        works=own_sizes(found.works),
        shared=tuple(replace(each, shape=own_sizes(each.shape)) for each in found.shared),
        scratch=tuple(replace(each, shape=own_sizes(each.shape)) for each in found.scratch),
        symbols=prim_func.symbols,
        prim_func=prim_func,
        codegen_seconds=0.0,
        numba_seconds=0.0,
    )


def _machine_code(kernel: str, function: str, source: str) -> Any:
    """numba's compiled function. Whatever fails in there is reported as the kernel's, without numba's traceback."""
    path = _write_source(function, source)
    try:
        return _compile_with_numba(path, function, source)
    except RelaxError:
        raise
    except Exception as error:
        details = (f"{type(error).__name__}: {_reason(error)}", *source.splitlines())
        raise InternalError(f"{kernel}: numba does not compile the kernel's source", details=details) from None


def _reason(error: Exception) -> str:
    """The line of numba's message that says what is wrong; the one before it says where in numba."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Failed in ")), "no reason given")


def _compile_with_numba(path: Path, function: str, source: str) -> Any:
    from relaxdsl.kernels.numba_pipeline import compile_callback

    namespace = dict(_namespace())
    exec(compile(source, str(path), "exec"), namespace)
    return compile_callback(namespace[function], _signature())


@lru_cache(maxsize=1)
def _signature() -> Any:
    from numba import types

    return types.void(types.CPointer(types.int64), types.int64, types.int64)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _namespace() -> Mapping[str, Any]:
    """The names the source may use besides Python's own."""
    from relaxdsl.kernels import pointers
    from relaxdsl.kernels.contraction.intrinsics import ENGINE_INTRINSICS

    functions = {**pointers.INTRINSICS, **ENGINE_INTRINSICS, **intrinsics()}
    return {**pointers.NUMBA_TYPES, **functions, "inf": float("inf"), "nan": float("nan")}


@lru_cache(maxsize=1)
def _source_folder() -> Path:
    """This process's folder for sources, removed when it ends."""
    folder = tempfile.mkdtemp(prefix="relaxdsl-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _write_source(function: str, source: str) -> Path:
    """A real file with the source, so that tracebacks, debuggers and profilers show it."""
    path = _source_folder() / f"{function}_{len(_compiled)}.py"
    path.write_text(source)
    linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    return path


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
    for part in range(parts):
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
