"""The compiled parts of the runtime, VM, entry and parallel driver, made once a process.

Importing this module imports llvmlite and compiles them.
"""

from __future__ import annotations

import atexit
import ctypes
import time

from relaxdsl.runtime import driver, entry, holding, new_arrays, output_arrays, parallel, threads, vm
from relaxdsl.runtime.capi import BuiltinMaker
from relaxdsl.runtime.native import NativeCode

_started = time.perf_counter()
_parts = (vm, holding, new_arrays, output_arrays, driver, entry, parallel)
_code = NativeCode([function for part in _parts for function in part.FUNCTIONS])

make_entry = BuiltinMaker("enter", _code.address("enter"))
"""Binds the entry to ``(state, slow)``, and whatever else must live as long."""

run_table = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(_code.address("run"))
"""``run_table(slots, table, pc, until)``: the VM, called from Python without Python's lock."""

proceed = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_int64, ctypes.py_object)(_code.address("proceed"))
"""``proceed(state, store_arguments)``: the result of a call whose arguments Python stores in a frame."""

stop_workers = ctypes.CFUNCTYPE(ctypes.c_int64)(_code.address("stop_workers"))
"""Ends the threads that share work; waits for the job they are at."""

threads.admit_workers(_code.address("work"))
atexit.register(stop_workers)  # the machine code must outlive the threads that run it

compile_seconds = time.perf_counter() - _started
