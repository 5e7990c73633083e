"""The package's locks. A fork waits for them: a child has only the thread that forked, and what another one held would
stay held for ever.
"""

from __future__ import annotations

import os
import threading

COMPILING = threading.RLock()
"""One thread compiles at a time: functions share kernels, and the compilers underneath have locks of their own."""

SIZES = threading.Lock()
"""Of the table of sizes."""

ATOMS = threading.Lock()
"""Of the table of what sizes consist of."""

_IN_ORDER = (COMPILING, SIZES, ATOMS)
"""A thread that holds one takes only those behind it."""


def _take_all() -> None:
    for lock in _IN_ORDER:
        lock.acquire()


def _give_all() -> None:
    for lock in reversed(_IN_ORDER):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_give_all, after_in_child=_give_all)
