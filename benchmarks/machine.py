"""The machine a benchmark ran on: its description, and how many threads the libraries may use on it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RELAXDSL_NUM_THREADS",
    "TVM_NUM_THREADS",
)
PACKAGES = ("relaxdsl", "numba", "numpy", "scipy", "torch", "jax")


def limit_threads(threads: int) -> None:
    """Limits every library to ``threads`` threads. Call it before they are imported: most read their limit only then.

    Where the system can, the process is also pinned to that many cores: jax takes its limit from there.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(usable_cores())[-threads:])


def usable_cores() -> set[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def describe() -> str:
    """One paragraph: processor, system, versions, and how busy the machine was already."""
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    busy = f" Load average at the start: {os.getloadavg()[0]:.1f}." if hasattr(os, "getloadavg") else ""
    return (
        f"{_processor()}, {len(usable_cores())} cores, {kind()}, {family()}; {platform.system()} {platform.machine()}, "
        f"Python {sys.version.split()[0]}; {versions}.{busy}"
    )


def family() -> str:
    """The family of processors, as LLVM calls it: ``znver4``.

    A virtual machine may give its processor the number of an older one: that of the first with tiles is
    ``sapphirerapids``, of which later ones differ little.
    """
    from llvmlite import binding  # here, since TVM's environment has none

    name = str(binding.get_host_cpu_name())
    has_tiles = binding.get_host_cpu_features().get("amx-tile")
    return "sapphirerapids" if has_tiles and not name.endswith("rapids") else name


def _processor() -> str:
    return _cpu_fact("model name") or platform.processor() or platform.machine()


def kind() -> str:
    """The processor's widest vectors, or what it is where that is not known."""
    flags = _cpu_fact("flags").split()
    vectors = (("avx512f", "AVX-512"), ("avx2", "AVX2"))
    return next((name for flag, name in vectors if flag in flags), platform.machine())


def _cpu_fact(key: str) -> str:
    """A line of Linux's description of the first core, or nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
