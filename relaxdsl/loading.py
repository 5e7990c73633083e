"""``relax.load``, and what functions, modules and kernels pickle as: programs as text, made callable again."""

from __future__ import annotations

import copyreg
import functools
import os
import time
from typing import TYPE_CHECKING, Any

from relaxdsl.api import CompiledFunction, CompiledModule
from relaxdsl.kernel_function import KernelFunction
from relaxdsl.script.parse import ParsedProgram
from relaxdsl.tracebacks import short_tracebacks

if TYPE_CHECKING:
    from relaxdsl.saved.code import FileCode
    from relaxdsl.saved.file import SavedFile

Loaded = CompiledFunction | CompiledModule | KernelFunction


@short_tracebacks
def load(path: str | os.PathLike[str], *, trust_code: bool = False) -> Any:
    """The function, module or kernel that ``save`` has written to a file.

    Nothing in the file is run but the program, when it is called. Its machine code is used, and nothing compiled, where
    it fits this machine and these versions; ``explain()`` of a function says so, or what differs.

    Args:
        trust_code: use machine code that another user, or another machine, has compiled, if it fits. It is run as it
            is, so the file must come from somebody whom you would let run programs here.

    Raises:
        ArgumentError: the file is damaged, of another format, or no saved program.
        OSError: the file cannot be read.

    Example:
        >>> import os, tempfile
        >>> import numpy as np, relaxdsl as relax
        >>> n = relax.dims("n")
        >>> @relax.function
        ... def double(x: relax.Tensor[(n,), "float32"]):
        ...     return x + x
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "double.rlx")
        ...     double.save(path)
        ...     loaded = relax.load(path)
        >>> loaded(np.arange(3, dtype="float32"))
        array([0., 2., 4.], dtype=float32)
    """
    from relaxdsl.saved.code import FileCode
    from relaxdsl.saved.file import from_bytes, read_file

    name = os.path.basename(os.fspath(path))
    file = from_bytes(read_file(path), name)
    return _restored(file, name, FileCode(name, file, trust_code))


def restore(data: bytes) -> Loaded:
    """What was pickled as these bytes; its kernels come from the cache, or are compiled.

    Raises:
        ArgumentError: the bytes are damaged.
    """
    from relaxdsl.saved.file import from_bytes

    return _restored(from_bytes(data, "the pickle"), "the pickle", None)


def _reduce(program: Any) -> tuple[Any, ...]:
    from relaxdsl.saved.file import SavedFile, to_bytes

    return restore, (to_bytes(SavedFile(program.as_saved())),)


for _kind in (CompiledFunction, CompiledModule, KernelFunction):
    copyreg.pickle(_kind, _reduce)  # what makes them again is here, above them


def _restored(file: SavedFile, where: str, code: FileCode | None) -> Loaded:
    started = time.perf_counter()
    program, parsed = file.program, file.read(where)
    made: CompiledFunction | KernelFunction
    if not isinstance(parsed, ParsedProgram):
        debug = parsed.in_debug_mode() if program.is_debug else None
        compile = functools.partial(CompiledFunction, parse_seconds=time.perf_counter() - started, code=code)
        made = KernelFunction(parsed.prim_func, compile, debug)
    elif program.kind == "module":
        return CompiledModule(parsed.module, code=code)
    else:
        function = file.function_of(parsed, where)
        seconds = time.perf_counter() - started
        made = CompiledFunction(function, parsed.module, accepted=program.accepted, parse_seconds=seconds, code=code)
    made.__doc__ = program.doc
    return made
