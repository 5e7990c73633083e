"""What a kernel needs besides its own code, made in threads while this one imports numba and infers types.

LLVM works without Python's lock: with a second processor, the engine and the VM are compiled in no time of their own.
On a busy machine it is no gain: a thread that is given the lock waits for a processor first, and all others for it.
Whoever needs what is made waits for the thread, or makes it, and meets any error there.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator

from relaxdsl.ir.loops import CallExtern, PrimFunc, walk
from relaxdsl.kernels.contraction.engine import provide
from relaxdsl.kernels.contraction.names import ENGINE_ENTRIES, symbol_name
from relaxdsl.kernels.schedule.pipeline import schedule

__all__ = ["making_besides", "schedule"]

_SYMBOLS = {f"{entry}_{dtype}": symbol_name(entry, dtype) for entry, dtype in ENGINE_ENTRIES}


@contextlib.contextmanager
def making_besides(scheduled: PrimFunc, others: Iterable[Callable[[], object]]) -> Iterator[None]:
    """Makes the cores of the engine that a kernel calls, and ``others``, while the block runs, and not longer: a fork
    would leave the threads behind, with the locks that they hold.
    """
    called = (each.function for each in walk(scheduled.body) if isinstance(each, CallExtern))
    symbols = [_SYMBOLS[name] for name in called if name in _SYMBOLS]
    to_make = (*others, *([lambda: provide(symbols)] if symbols else [])) if has_free_processor() else ()
    threads = [threading.Thread(target=_make, args=(make,)) for make in to_make]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def has_free_processor() -> bool:
    """Whether less was running in the last minute than the machine has processors, this process included."""
    try:
        return os.getloadavg()[0] + 0.5 < (os.cpu_count() or 1)
    except (AttributeError, OSError):  # not on this platform, or not now
        return False


def _make(make: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        make()
