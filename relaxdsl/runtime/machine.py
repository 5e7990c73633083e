"""The compiled parts of the runtime, VM and entry, made once a process.

Importing this module imports llvmlite and compiles them.
"""

from __future__ import annotations

import ctypes
import time

from relaxdsl.runtime import entry, vm
from relaxdsl.runtime.capi import BuiltinMaker
from relaxdsl.runtime.native import NativeCode

_started = time.perf_counter()
_code = NativeCode((*vm.FUNCTIONS, *entry.FUNCTIONS))

make_entry = BuiltinMaker("enter", _code.address("enter"))
"""Binds the entry to ``(state, slow, idle)``."""

run_table = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(_code.address("run"))
"""``run_table(slots, table, pc)``: the VM, called from Python without Python's lock."""

compile_seconds = time.perf_counter() - _started
