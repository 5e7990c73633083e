"""Where the entry finds Python's and NumPy's C functions, and how their objects lie in memory.

Both layouts are part of the stable C ABI (the public headers ``object.h`` and ``ndarraytypes.h`` compile them into every extension).
The header of an object is measured, because it is longer in free-threaded builds.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
from numpy._core import _multiarray_umath

_HEAD = object.__basicsize__

LAYOUT = {
    "TYPE_OF": _HEAD - 8,
    "ARRAY_DATA": _HEAD,
    "ARRAY_NDIM": _HEAD + 8,
    "ARRAY_SIZES": _HEAD + 16,
    "ARRAY_DTYPE": _HEAD + 40,
    "ARRAY_FLAGS": _HEAD + 48,
    "DTYPE_BYTE_ORDER": _HEAD + 10,
    "DTYPE_NUMBER": _HEAD + 12,
}

PLAIN_FLAGS = 0x0001 | 0x0100
"""C-contiguous and aligned."""

SWAPPED_BYTE_ORDER = ord(">" if sys.byteorder == "little" else "<")

_PYTHON_FUNCTIONS = (
    "PyTuple_GetItem",
    "PyTuple_Size",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PySet_Size",
    "PySet_Pop",
    "PySet_Add",
    "PyLong_AsLongLong",
    "PyLong_FromLongLong",
    "PyErr_Clear",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyObject_Vectorcall",
    "Py_DecRef",
)

_ARRAY_NEW_INDEX = 93
"""The place of ``PyArray_New`` in NumPy's table of C functions."""


def addresses() -> dict[str, int]:
    """Every constant of the entry's source: addresses of C functions and types, and offsets in objects."""
    functions = {name: _function_address(name) for name in _PYTHON_FUNCTIONS}
    array_functions = _capsule_pointer(_multiarray_umath._ARRAY_API, None)
    array_new = ctypes.c_void_p.from_address(array_functions + 8 * _ARRAY_NEW_INDEX).value
    assert array_new is not None
    types = {"ARRAY_TYPE": id(np.ndarray), "INT_TYPE": id(int), "TUPLE_TYPE": id(tuple)}
    return {**functions, **types, **LAYOUT, "PyArray_New": array_new}


class _MethodDef(ctypes.Structure):
    """``PyMethodDef``: what makes a C function a Python function."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_FASTCALL_WITH_KEYWORDS = 0x80 | 0x02


class BuiltinMaker:
    """Makes Python functions out of one C function ``PyObject* (self, args, count, keyword_names)``."""

    def __init__(self, name: str, address: int) -> None:
        self._definition = _MethodDef(name.encode(), address, _FASTCALL_WITH_KEYWORDS, None)

    def __call__(self, bound: object) -> Any:
        """A function that gets ``bound`` as its self. It must not outlive this maker."""
        return _new_method(ctypes.byref(self._definition), bound, None, None)


_new_method = ctypes.pythonapi.PyCMethod_New
_new_method.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p]
_new_method.restype = ctypes.py_object

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_capsule_pointer.restype = ctypes.c_size_t


def _function_address(name: str) -> int:
    address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert address is not None
    return address
