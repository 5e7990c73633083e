"""How many threads a call may use, and the words of memory through which they work together.

``RELAXDSL_NUM_THREADS`` in the environment gives the number; without it, it is the number of cores that the process
may use. The threads themselves are :mod:`relaxdsl.runtime.parallel`'s: they start when a call first shares its work.
"""

from __future__ import annotations

import os
import threading
from operator import index

import numpy as np

from relaxdsl.errors import ArgumentError
from relaxdsl.kernels.work import SHARED_FROM
from relaxdsl.runtime.addresses import Address
from relaxdsl.tracebacks import short_tracebacks

MAX_THREADS = 1024
VARIABLE = "RELAXDSL_NUM_THREADS"

# The pool's words, as byte offsets. What different threads write at the same time is on different cache lines.
TICKET = 0  # which job, for how many threads, and how many of its parts nobody has taken
DONE = 64  # how many parts of the job are finished
BUSY = 128  # 1 while a call uses the pool
SLEEPER_COUNT, STOPPING = 192, 200
THREAD_COUNT, LEAST_WORK, WORKER_CODE, WORKER_COUNT, LAST_CALL = 256, 264, 272, 280, 288
CALLER_PROCESSOR, LAST_PLACED = 296, 304  # where the workers are kept away from (plus 1), and since when
MAIN_THREAD = 312  # the thread in which Python handles signals
JOB_CALL, JOB_SLOTS, JOB_ARGUMENTS, JOB_PARTS, JOB_THREADS = 320, 328, 336, 344, 352  # what the parts are parts of
MUTEX, CONDITION = 384, 512
QUEUES, QUEUE_BYTES = 640, 64  # for each thread: how many of its own parts nobody has taken
HANDLES = QUEUES + MAX_THREADS * QUEUE_BYTES

_pool = np.zeros(HANDLES // 8 + MAX_THREADS, np.int64)
POOL = Address(_pool.ctypes.data)
"""The address of the pool's words."""


@short_tracebacks
def get_num_threads() -> int:
    """How many threads a call may use.

    Raises:
        ArgumentError: the environment's ``RELAXDSL_NUM_THREADS`` is no such number.

    Example:
        >>> import relaxdsl as relax
        >>> relax.get_num_threads() >= 1
        True
    """
    if _word(THREAD_COUNT) == 0:
        _set_word(THREAD_COUNT, _default_count())
    return _word(THREAD_COUNT)


@short_tracebacks
def set_num_threads(count: int) -> None:
    """Lets the calls that begin from now on use up to ``count`` threads; 1 keeps all work on the caller's thread.

    Results do not depend on it.

    Raises:
        ArgumentError: ``count`` is not a number from 1 to 1024.

    Example:
        >>> import relaxdsl as relax
        >>> before = relax.get_num_threads()
        >>> relax.set_num_threads(1)
        >>> relax.get_num_threads()
        1
        >>> relax.set_num_threads(before)
    """
    _check("set_num_threads", count)
    if count < _word(WORKER_COUNT) + 1:
        from relaxdsl.runtime.machine import stop_workers  # imports llvmlite and compiles

        stop_workers()
    _set_word(THREAD_COUNT, index(count))


def share_from(least_work: int) -> None:
    """Sets from which work estimate on a kernel's range is shared. For tests and measurements."""
    _set_word(LEAST_WORK, least_work)


def admit_workers(code: int) -> None:
    """Lets the pool start threads, whose code is at address ``code``; settles how many."""
    get_num_threads()
    _set_word(WORKER_CODE, code)


def _default_count() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return min(cores, MAX_THREADS)
    count = int(text) if text.isdecimal() else text
    _check(VARIABLE, count)
    return min(cores, int(count))


def _check(what: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= MAX_THREADS:
        raise ArgumentError(f"{what}: expected a number of threads from 1 to {MAX_THREADS}, got {count!r}")


def _word(offset: int) -> int:
    return int(_pool[offset // 8])


def _set_word(offset: int, value: int) -> None:
    _pool[offset // 8] = value


def _forget_threads() -> None:
    """After a fork: the child has the pool's words, but none of its threads. The one that forked is its main thread."""
    kept = {offset: _word(offset) for offset in (THREAD_COUNT, LEAST_WORK, WORKER_CODE)}
    _pool[:] = 0
    for offset, value in kept.items():
        _set_word(offset, value)
    _set_word(MAIN_THREAD, threading.get_ident())


_set_word(MAIN_THREAD, threading.main_thread().ident or 0)
share_from(SHARED_FROM)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
