"""The keys of what is kept on the disk: whatever machine code depends on besides the program it was made from.

Names of files, their times and the working directory are no part of it. A change anywhere in relaxdsl's own source
makes other keys: which helper a kernel's code came from need not be known.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from relaxdsl.cache.loaded import LOADED_AT_S

_PACKAGE = Path(__file__).parent.parent
_PREFIXES = ("NUMBA_", "RELAXDSL_VECTOR_BITS")
_IRRELEVANT = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")


def content_key(*content: str) -> str | None:
    """The key of what is made from ``content``, by this version of everything, for this processor.

    None: the source on the disk is not what this process runs, or what there is cannot be told.
    """
    fixed = fingerprint()
    if fixed is None:
        return None
    return hashlib.sha256("\0".join((*fixed.values(), *environment(), *content)).encode()).hexdigest()


@lru_cache(maxsize=1)
def fingerprint() -> dict[str, str] | None:
    """What stays the same while the process runs, by what it is of: the versions, relaxdsl's source, the processor."""
    digest, numba = source_digest(_PACKAGE, LOADED_AT_S), _numba_version()
    if digest is None or numba is None:
        return None
    return {
        "the source of relaxdsl": digest,
        "Python": f"{sys.implementation.name} {sys.version}",
        "NumPy": np.__version__,
        "numba": numba,
        "LLVM": f"{'.'.join(map(str, llvm.llvm_version_info))}, llvmlite {llvmlite.__version__}",
        "the system": llvm.get_process_triple(),
        "the processor": processor(),
    }


def processor() -> str:
    """The processor's name and features."""
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def environment() -> tuple[str, ...]:
    """The variables of the environment that change what is compiled."""
    names = sorted(name for name in os.environ if name.startswith(_PREFIXES) and name not in _IRRELEVANT)
    return tuple(f"{name}={os.environ[name]}" for name in names)


def source_digest(package: Path, loaded_at_s: float) -> str | None:
    """A hash of a package's Python source; None if it cannot be read, or changed since it was loaded."""
    digest, now_s = hashlib.sha256(), time.time()
    try:
        for path in _source_files(str(package)):
            with open(path, "rb", buffering=0) as file:
                if loaded_at_s < os.fstat(file.fileno()).st_mtime <= now_s:
                    return None
                digest.update(file.read() + b"\0")
    except OSError:
        return None
    return digest.hexdigest()


def _source_files(folder: str) -> Iterator[str]:
    """In an order that is the same everywhere. (`Path.rglob` takes twice as long as reading the files.)"""
    with os.scandir(folder) as found:
        for each in sorted(found, key=lambda entry: entry.name):
            if each.name.endswith(".py"):
                yield each.path
            elif each.is_dir() and each.name != "__pycache__":
                yield from _source_files(each.path)


def _numba_version() -> str | None:
    """What identifies numba's version. numba is not imported, nor, where it can be helped, what reads metadata."""
    found = importlib.util.find_spec("numba")
    generated = Path(found.origin).parent / "_version.py" if found is not None and found.origin else None
    if generated is not None and generated.is_file():
        return hashlib.sha256(generated.read_bytes()).hexdigest()
    from importlib.metadata import PackageNotFoundError, version  # which read mail, at a price

    try:
        return version("numba")
    except PackageNotFoundError:
        return None
