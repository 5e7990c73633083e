"""Where the entry finds Python's and NumPy's C functions, and how their objects lie in memory.

Both layouts are part of the stable C ABI: the public headers ``object.h`` and ``ndarraytypes.h`` compile them into
every extension. The head of an object is measured, because it is longer in free-threaded builds.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from typing import Any

import numpy as np

from relaxdsl.runtime.addresses import Address


def _python_function(name: str) -> Address:
    """The address of a function of Python's C API."""
    address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert address is not None
    return Address(address)


def _numpy_function(index: int) -> Address:
    """The address of a function of NumPy's C API, by its place in the table that extensions import."""
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer_of.restype = ctypes.c_size_t
    table = pointer_of(import_module("numpy._core._multiarray_umath")._ARRAY_API, None)
    return Address(ctypes.c_size_t.from_address(table + ctypes.sizeof(ctypes.c_size_t) * index).value)


_HEAD = object.__basicsize__
TYPE_OF = _HEAD - 8
ARRAY_DATA = _HEAD
ARRAY_NDIM = _HEAD + 8
ARRAY_SIZES = _HEAD + 16
ARRAY_DTYPE = _HEAD + 40
ARRAY_FLAGS = _HEAD + 48
DTYPE_SCALAR_TYPE = _HEAD
DTYPE_BYTE_ORDER = _HEAD + 10
DTYPE_NUMBER = _HEAD + 12

C_CONTIGUOUS_AND_ALIGNED = 0x0001 | 0x0100
WRITEABLE = 0x0400
SWAPPED_BYTE_ORDER = ord(">" if sys.byteorder == "little" else "<")

ARRAY_TYPE = Address(id(np.ndarray))
BOOL_TYPE = Address(id(bool))
FLOAT_TYPE = Address(id(float))
INT_TYPE = Address(id(int))
TUPLE_TYPE = Address(id(tuple))
NONE = Address(id(None))
OUT_NAME = Address(id(sys.intern("out")))

PyErr_CheckSignals = _python_function("PyErr_CheckSignals")
PyErr_Clear = _python_function("PyErr_Clear")
PyEval_RestoreThread = _python_function("PyEval_RestoreThread")
PyEval_SaveThread = _python_function("PyEval_SaveThread")
PyLong_AsLongLong = _python_function("PyLong_AsLongLong")
PyLong_FromLongLong = _python_function("PyLong_FromLongLong")
PyObject_CallOneArg = _python_function("PyObject_CallOneArg")
PyObject_Vectorcall = _python_function("PyObject_Vectorcall")
PyTuple_GetItem = _python_function("PyTuple_GetItem")
PyTuple_New = _python_function("PyTuple_New")
PyTuple_SetItem = _python_function("PyTuple_SetItem")
PyTuple_Size = _python_function("PyTuple_Size")
Py_DecRef = _python_function("Py_DecRef")
Py_GetRecursionLimit = _python_function("Py_GetRecursionLimit")
Py_IncRef = _python_function("Py_IncRef")
PyArray_DescrFromType = _numpy_function(45)
PyArray_FromAny = _numpy_function(69)
PyArray_New = _numpy_function(93)
PyArray_SetBaseObject = _numpy_function(282)

# NumPy's numbers of dtypes: bool, then integers, then floats.
BOOL_NUMBER, FIRST_INT_NUMBER, BYTE_NUMBER, FIRST_FLOAT_NUMBER = 0, 1, 2, 11


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
