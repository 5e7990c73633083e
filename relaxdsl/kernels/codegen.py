"""From a kernel in block form to machine code: schedule, source, numba.

Importing this module imports numba, so it is imported when the first kernel is compiled, not where the disk has all.
"""

from __future__ import annotations

import atexit
import contextlib
import linecache
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from numba import types

from relaxdsl.errors import InternalError, RelaxError
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import pointers
from relaxdsl.kernels.contraction.intrinsics import ENGINE_INTRINSICS
from relaxdsl.kernels.math import intrinsics
from relaxdsl.kernels.numba_pipeline import compile_callback
from relaxdsl.kernels.object_code import imports_of
from relaxdsl.kernels.schedule.interface import interface_of
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import function_name, kernel_source

__all__ = ["interface_of", "kernel_source", "machine_code", "object_of", "schedule"]

_SIGNATURE = types.void(types.CPointer(types.int64), types.int64, types.int64)  # type: ignore[no-untyped-call]
_numbers = count()


def machine_code(kernel: str, scheduled: PrimFunc, source: str) -> Any:
    """numba's compiled function. Whatever fails in there is reported as the kernel's, without numba's traceback."""
    function = function_name(scheduled)
    path = _write_source(function, source)
    try:
        return _compile_with_numba(path, function, source)
    except RelaxError:
        raise
    except Exception as error:
        details = (f"{type(error).__name__}: {_reason(error)}", *source.splitlines())
        raise InternalError(f"{kernel}: numba does not compile the kernel's source", details=details) from None


def object_of(code: Any) -> tuple[bytes, str, tuple[str, ...]]:
    """numba's compiled function as an object file, the name of the function in there, and what it imports."""
    library = code._library
    return library._get_compiled_object(), code.native_name, imports_of(library._final_module)


def _reason(error: Exception) -> str:
    """The line of numba's message that says what is wrong; the one before it says where in numba."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Failed in ")), "no reason given")


def _compile_with_numba(path: Path, function: str, source: str) -> Any:
    namespace = dict(_namespace())
    exec(compile(source, str(path), "exec"), namespace)
    return compile_callback(namespace[function], _SIGNATURE)


@lru_cache(maxsize=1)
def _namespace() -> Mapping[str, Any]:
    """The names the source may use besides Python's own."""
    functions = {**pointers.INTRINSICS, **ENGINE_INTRINSICS, **intrinsics()}
    return {**pointers.NUMBA_TYPES, **functions, "inf": float("inf"), "nan": float("nan")}


@lru_cache(maxsize=1)
def _source_folder() -> Path:
    """Removed when the process ends; where no folder can be made, the name of none."""
    try:
        folder = tempfile.mkdtemp(prefix="relaxdsl-")
    except OSError:
        return Path("<relaxdsl>")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _write_source(function: str, source: str) -> Path:
    """A real file with the source, so that tracebacks, debuggers and profilers show it.

    Nothing needs it: where it cannot be written, Python's tracebacks find the source in ``linecache`` all the same.
    """
    path = _source_folder() / f"{function}_{next(_numbers)}.py"
    with contextlib.suppress(OSError):
        path.write_text(source, encoding="utf-8")
    linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    return path
