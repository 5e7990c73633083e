"""The entry: the C function that a call on NumPy arrays reaches first. Compiled once, it serves every program.

It is bound to a tuple ``(state, slow)``:

- ``state`` is an int64 array that describes the program (:mod:`relaxdsl.runtime.signature`);
- ``slow`` is the Python function that reads the arguments which the entry does not.

The entry takes an idle frame, stores pointers and sizes, has the driver run the call, and returns the outputs. At
anything unusual it gives up and calls ``slow`` with the same arguments: another argument count, an unknown keyword, a
wrong type or dtype, an array that is not contiguous, an ``out`` that may overlap an argument. Nothing
has happened by then. ``slow`` converts what it can and comes back by ``proceed``, or raises the error that explains it.
"""

from __future__ import annotations

from relaxdsl.runtime.capi import (
    ARRAY_DATA,
    ARRAY_SIZES,
    BOOL_NUMBER,
    BOOL_TYPE,
    C_CONTIGUOUS_AND_ALIGNED,
    DTYPE_SCALAR_TYPE,
    FIRST_FLOAT_NUMBER,
    FIRST_INT_NUMBER,
    FLOAT_TYPE,
    INT_TYPE,
    NONE,
    OUT_NAME,
    TYPE_OF,
    Py_DecRef,
    Py_IncRef,
    PyArray_DescrFromType,
    PyArray_FromAny,
    PyErr_Clear,
    PyLong_AsLongLong,
    PyLong_FromLongLong,
    PyObject_CallOneArg,
    PyObject_Vectorcall,
    PyTuple_GetItem,
    PyTuple_Size,
)
from relaxdsl.runtime.driver import RAISED, drive, give_back, take_frame
from relaxdsl.runtime.frame import CALLER, DEPTH, OUT, ROOT, SLOTS, TOUCHED, UNTIL
from relaxdsl.runtime.holding import hold
from relaxdsl.runtime.native import call, load, store
from relaxdsl.runtime.output_arrays import UNUSUAL, is_plain, pack_outputs, read_tuple
from relaxdsl.runtime.signature import (
    ARGUMENT_ROW_COUNT,
    ARGUMENTS,
    INT,
    NAMES,
    OBJECT,
    PARAMETER_COUNT,
    ROW_WIDTH,
    ROWS,
    TENSOR,
)

LARGEST_EXACT = 1 << 24
"""Integers up to here are exact in every float dtype."""


def enter(bound: int, arguments: int, count: int, keywords: int) -> int:
    """The Python function: its result, or NULL with an exception set."""
    state = load(call(PyTuple_GetItem, bound, 0) + ARRAY_DATA)
    if count <= load(state + 8 * PARAMETER_COUNT):
        frame = take_frame(state)
        if frame == RAISED:
            return 0
        result = read_call(state, frame, arguments, count, keywords)
        if result != UNUSUAL:
            result = finish(state, frame)
        give_back(state, frame)
        if result != UNUSUAL:
            return 0 if result == RAISED else result
        call(PyErr_Clear)
    return call(PyObject_Vectorcall, call(PyTuple_GetItem, bound, 1), arguments, count, keywords)


def proceed(state: int, store_arguments: int) -> int:
    """For Python: the result of a call, or NULL with an exception set; ``store_arguments`` gets the frame's address.

    Python never has a frame to give back, so no signal that is handled there can keep it from doing so.
    """
    frame = take_frame(state)
    if frame == RAISED:
        return 0
    result = RAISED
    stored = 0
    address = call(PyLong_FromLongLong, frame)
    if address != 0:
        stored = call(PyObject_CallOneArg, store_arguments, address)
        call(Py_DecRef, address)
    if stored != 0:
        call(Py_DecRef, stored)
        make_root(frame)
        result = finish(state, frame)
    give_back(state, frame)
    return 0 if result == RAISED else result


def make_root(frame: int) -> int:
    """Makes a call the first of all."""
    store(frame + 8 * CALLER, 0)
    store(frame + 8 * ROOT, frame)
    store(frame + 8 * DEPTH, 0)
    store(frame + 8 * UNTIL, 0)
    return 0


def finish(state: int, frame: int) -> int:
    """Runs a call; its result, ``RAISED`` or ``UNUSUAL``."""
    status = drive(frame)
    if status < 0:
        return status
    out = load(frame + 8 * OUT)
    if out <= 0:
        return pack_outputs(state, frame)
    call(Py_IncRef, out)
    return out


# ----------------------------------------------------------------------------------------------------------- arguments


def read_call(state: int, frame: int, arguments: int, count: int, keywords: int) -> int:
    """Stores what a call is about in a frame; returns 0, or ``UNUSUAL``."""
    out = order_arguments(state, frame, arguments, count, keywords)
    if out == UNUSUAL:
        return UNUSUAL
    touched = read_arguments(state, frame)
    make_root(frame)
    store(frame + 8 * OUT, out)
    store(frame + 8 * TOUCHED, touched)
    return UNUSUAL if touched == UNUSUAL else 0


def order_arguments(state: int, frame: int, arguments: int, count: int, keywords: int) -> int:
    """Lists the arguments in the order of the parameters; returns the object given as ``out``, 0, or ``UNUSUAL``."""
    objects = frame + 8 * load(state + 8 * ARGUMENTS)
    for i in range(count):
        store(objects + 8 * i, load(arguments + 8 * i))
    missing = load(state + 8 * PARAMETER_COUNT) - count
    if keywords == 0:
        return UNUSUAL if missing else 0
    for i in range(missing):
        store(objects + 8 * (count + i), 0)
    out = 0
    for i in range(call(PyTuple_Size, keywords)):
        name = call(PyTuple_GetItem, keywords, i)
        value = load(arguments + 8 * (count + i))
        place = place_of(state, name)
        if place >= count:  # a call has no keyword twice
            store(objects + 8 * place, value)
            missing = missing - 1
        elif place >= 0 or name != OUT_NAME:
            return UNUSUAL
        elif value != NONE:
            out = value
    return UNUSUAL if missing else out


def place_of(state: int, name: int) -> int:
    """Which parameter has the name, or -1."""
    names = state + 8 * load(state + 8 * NAMES)
    for i in range(load(state + 8 * PARAMETER_COUNT)):
        if load(names + 8 * i) == name:
            return i
    return -1


def read_arguments(state: int, frame: int) -> int:
    """Stores every leaf's pointer and sizes; returns how many elements they have, or ``UNUSUAL``."""
    objects = frame + 8 * load(state + 8 * ARGUMENTS)
    touched = 0
    row = state + 8 * ROWS
    for i in range(load(state + 8 * ARGUMENT_ROW_COUNT)):
        item = load(objects + 8 * i)
        kind = load(row)
        if kind == TENSOR:
            slot = frame + 8 * SLOTS + 8 * load(row + 24)
            elements = read_tensor(row, item, slot)
            if elements == UNUSUAL and load(row + 16) == 0:
                elements = read_number(state, frame, row, item, slot)
        elif kind == INT:
            elements = read_int(item, frame + 8 * SLOTS + 8 * load(row + 8))
        elif kind == OBJECT:
            elements = hold(state, frame, load(row + 8), item)
        else:
            elements = read_tuple(row, item, objects)
        if elements == UNUSUAL:
            return UNUSUAL
        touched += elements
        row += 8 * ROW_WIDTH
    return touched


def read_tensor(row: int, array: int, slot: int) -> int:
    """Stores a plain array's pointer and sizes; returns its element count, or ``UNUSUAL``."""
    if not is_plain(row, array, C_CONTIGUOUS_AND_ALIGNED):
        return UNUSUAL
    store(slot, load(array + ARRAY_DATA))
    sizes = load(array + ARRAY_SIZES)
    elements = 1
    for axis in range(load(row + 16)):
        size = load(sizes + 8 * axis)
        store(slot + 8 + 8 * axis, size)
        elements = elements * size
    return elements


def read_number(state: int, frame: int, row: int, number: int, slot: int) -> int:
    """Makes an array of a number, for a tensor without axes; returns 1, or ``UNUSUAL`` if the dtype may not hold it."""
    dtype = call(PyArray_DescrFromType, load(row + 8))
    if not is_number_for(dtype, load(row + 8), number):
        call(Py_DecRef, dtype)
        return UNUSUAL
    array = call(PyArray_FromAny, number, dtype, 0, 0, 0, 0)
    if array == 0:
        return UNUSUAL
    hold(state, frame, load(row + 40), array)
    call(Py_DecRef, array)
    store(slot, load(array + ARRAY_DATA))
    return 1


def is_number_for(dtype: int, dtype_number: int, number: int) -> int:
    """Whether an object is a scalar of the dtype, or a number of Python's that NumPy would combine with it exactly."""
    kind = load(number + TYPE_OF)
    if kind == load(dtype + DTYPE_SCALAR_TYPE):
        return 1
    if kind == FLOAT_TYPE:
        return dtype_number >= FIRST_FLOAT_NUMBER
    if kind == BOOL_TYPE:
        return dtype_number == BOOL_NUMBER
    if kind != INT_TYPE or dtype_number < FIRST_INT_NUMBER:
        return 0
    value = call(PyLong_AsLongLong, number)
    return value >= -LARGEST_EXACT and value <= LARGEST_EXACT


def read_int(number: int, slot: int) -> int:
    """Stores a Python int and returns 0; -1 is unusual because it may mean that the int is too large."""
    if load(number + TYPE_OF) != INT_TYPE:
        return UNUSUAL
    value = call(PyLong_AsLongLong, number)
    store(slot, value)
    return UNUSUAL if value == -1 else 0


FUNCTIONS = (
    enter,
    proceed,
    make_root,
    finish,
    read_call,
    order_arguments,
    place_of,
    read_arguments,
    read_tensor,
    read_number,
    is_number_for,
    read_int,
)
