"""What the machine can do at most: loops in LLVM's language that only multiply and add, or only read.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.object_code import native_target
from relaxdsl.kernels.vectors import widest_vector_bits

CHAINS = 12  # independent accumulators: two results a cycle, four or five cycles each, and some to spare
FMA_STEPS = 1_000_000
READ_BYTES = 1 << 28  # far more than any cache
MEASUREMENTS = 10

LOOP = """
declare {vector} @llvm.fma.{mangled}({vector}, {vector}, {vector})
define void @work(i64 %steps, ptr %in, ptr %out) {{
entry:
  %first = load {vector}, ptr %in, align 8
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{accumulators}
{step}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %steps
  br i1 %more, label %loop, label %done
done:
{sums}
  store {vector} %s{last}, ptr %out, align 8
  ret void
}}
"""
FMA = "  %b{chain} = call {vector} @llvm.fma.{mangled}({vector} %a{chain}, {vector} %first, {vector} %first)"
READ = """\
  %k{chain} = mul i64 %i, {chains}
  %at{chain} = add i64 %k{chain}, {chain}
  %p{chain} = getelementptr {vector}, ptr %in, i64 %at{chain}
  %v{chain} = load {vector}, ptr %p{chain}, align 8
  %b{chain} = fadd {vector} %a{chain}, %v{chain}"""

Work = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """A loop at one of the machine's limits: each ``run`` does ``amount`` (operations or bytes) of it."""

    limit: str
    run: Callable[[], None]
    amount: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine can do at most on so many threads.

    Args:
        operations_per_s: by dtype; a multiply-add is two.
        read_bytes_per_s: from memory, not from caches.
    """

    threads: int
    operations_per_s: dict[str, float]
    read_bytes_per_s: float

    def seconds_for(self, operations: float, moved_bytes: float, dtype: str) -> tuple[float, str]:
        """The least time that so much takes, and which limit says so: ``compute`` or ``memory``."""
        computing, moving = operations / self.operations_per_s[dtype], moved_bytes / self.read_bytes_per_s
        return max((computing, "compute"), (moving, "memory"))


@cache
def limits(threads: int) -> Limits:
    """The limits of this machine, measured when they are first asked for: half a second."""
    rates = {dtype: _best_rate(fma_probe(dtype, threads)) for dtype in ("float32", "float64")}
    return Limits(threads, rates, _best_rate(read_probe(threads)))


def _best_rate(probe: Probe) -> float:
    """The most of it that was done in a second."""
    seconds = []
    for _ in range(MEASUREMENTS):
        started = time.perf_counter()
        probe.run()
        seconds.append(time.perf_counter() - started)
    return probe.amount / min(seconds)


@cache
def fma_probe(dtype: str, threads: int) -> Probe:
    """Multiply-adds between registers, two operations each, on every thread."""
    lanes = _vector_bytes() // np.dtype(dtype).itemsize
    factors = np.full(lanes, 0.5, dtype)
    run = _on_threads(_machine_code(_loop(FMA, dtype, lanes)), FMA_STEPS, [factors] * threads)
    return Probe("FMA peak", run, 2.0 * lanes * CHAINS * FMA_STEPS * threads)


def read_probe(threads: int) -> Probe:
    """A long array read from memory and added up, a part of it by each thread."""
    lanes = _vector_bytes() // 4
    parts = np.array_split(np.ones(READ_BYTES // 4, np.float32), threads)
    steps = parts[-1].nbytes // (_vector_bytes() * CHAINS)
    run = _on_threads(_machine_code(_loop(READ, "float32", lanes)), steps, parts)
    return Probe("read bandwidth", run, float(steps * _vector_bytes() * CHAINS * threads))


def _loop(step: str, dtype: str, lanes: int) -> str:
    """The loop over ``step`` on ``CHAINS`` accumulators; their sum is stored, so that none can be left out."""
    width = {"float32": "float", "float64": "double"}[dtype]
    names = {"vector": f"<{lanes} x {width}>", "mangled": f"v{lanes}f{dtype[-2:]}", "chains": CHAINS}
    phi = "  %a{chain} = phi {vector} [ zeroinitializer, %entry ], [ %b{chain}, %loop ]"
    total = "  %s{chain} = fadd {vector} %{before}, %b{chain}"
    chains = range(CHAINS)
    return LOOP.format(
        **names,
        accumulators="\n".join(phi.format(chain=at, **names) for at in chains),
        step="\n".join(step.format(chain=at, **names) for at in chains),
        sums="\n".join(total.format(chain=at, before="first" if at == 0 else f"s{at - 1}", **names) for at in chains),
        last=CHAINS - 1,
    )


def _vector_bytes() -> int:
    return widest_vector_bits() // 8


_engines: list[Any] = []  # they own the machine code


def _machine_code(text: str) -> Work:
    features = llvm.get_host_cpu_features().flatten()
    machine = native_target().create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    _engines.append(engine)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    return prototype(engine.get_function_address("work"))


def _on_threads(work: Work, steps: int, inputs: list[NDArray[Any]]) -> Callable[[], None]:
    """Runs ``work`` on each input, on threads of their own; ctypes lets go of the interpreter's lock meanwhile.

    Each thread has a processor of its own, where there are as many: the system may let two of them take turns on one.
    """
    outs = [np.empty(_vector_bytes(), np.uint8) for _ in inputs]
    pool = ThreadPoolExecutor(len(inputs))

    def run() -> None:
        addresses = [(array.ctypes.data, out.ctypes.data) for array, out in zip(inputs, outs, strict=True)]
        processors = _processors() if len(_processors()) >= len(inputs) > 1 else [None] * len(inputs)
        calls = [(work, steps, *address, processor) for address, processor in zip(addresses, processors, strict=False)]
        others = [pool.submit(_run_on, *call) for call in calls[1:]]
        _run_on(*calls[0])
        for other in others:
            other.result()

    return run


def _processors() -> list[int]:
    """The processors that this thread may run on; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _run_on(work: Work, steps: int, source: int, out: int, processor: int | None) -> None:
    """Calls ``work`` on that processor, if any."""
    if processor is None:
        work(steps, source, out)
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        work(steps, source, out)
    finally:
        os.sched_setaffinity(0, allowed)
