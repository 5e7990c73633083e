"""The entry: the C function that a call on NumPy arrays reaches first. Compiled once, it serves every program.

It is bound to a tuple ``(state, slow, idle)``:

- ``state`` is an int64 array that describes the signature (:mod:`relaxdsl.runtime.signature`);
- ``slow`` is the Python function that does whatever the entry does not;
- ``idle`` is the set of the addresses of idle frames.

The entry takes a frame, stores pointers and sizes, runs the prologue, allocates the outputs (or takes those of
``out=``), runs the body and returns the outputs. At anything unusual it gives up and calls ``slow`` with the same
arguments: another argument count, an unknown keyword, a wrong type or dtype, an array that is not contiguous, a failed
check, a workspace that is too small, no idle frame, an ``out`` that may overlap an argument. Since a program that the
entry may run has no side effect but to write ``out``, ``slow`` simply starts again; it knows how to do the unusual, or
raises the error that explains it.
"""

from __future__ import annotations

from relaxdsl.runtime.capi import (
    ARRAY_DATA,
    ARRAY_DTYPE,
    ARRAY_FLAGS,
    ARRAY_NDIM,
    ARRAY_SIZES,
    ARRAY_TYPE,
    C_CONTIGUOUS_AND_ALIGNED,
    DTYPE_BYTE_ORDER,
    DTYPE_NUMBER,
    INT_TYPE,
    NONE,
    OUT_NAME,
    SWAPPED_BYTE_ORDER,
    TUPLE_TYPE,
    TYPE_OF,
    WRITEABLE,
    Py_DecRef,
    Py_IncRef,
    PyArray_New,
    PyErr_CheckSignals,
    PyErr_Clear,
    PyEval_RestoreThread,
    PyEval_SaveThread,
    PyLong_AsLongLong,
    PyLong_FromLongLong,
    PyObject_Vectorcall,
    PySet_Add,
    PySet_Pop,
    PySet_Size,
    PyTuple_GetItem,
    PyTuple_New,
    PyTuple_SetItem,
    PyTuple_Size,
)
from relaxdsl.runtime.encoding import LATE, STATUS_BITS, STATUS_MASK, STOPPED
from relaxdsl.runtime.native import call, load, load_byte, load_int32, store
from relaxdsl.runtime.parallel import INT32_MASK
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT
from relaxdsl.runtime.signature import (
    ARGUMENT_ROW_COUNT,
    BODY,
    CAPACITY,
    CONSTANT_ELEMENTS,
    INT,
    NAMES,
    OUTPUT_ROW_COUNT,
    PARAMETER_COUNT,
    PROLOGUE,
    ROW_WIDTH,
    ROWS,
    RUNS_IN_PYTHON,
    SCRATCH,
    SLOTS,
    TABLE,
    TENSOR,
    TUPLE,
)
from relaxdsl.runtime.vm import next_pause, run

HOLD_BELOW = 1024
"""A call that touches fewer elements keeps Python's lock: giving it back can cost far more than such a call takes."""

UNUSUAL, RAISED = -1, -2


def enter(bound: int, arguments: int, count: int, keywords: int) -> int:
    """The Python function: its result, or NULL with an exception set."""
    state = load(call(PyTuple_GetItem, bound, 0) + ARRAY_DATA)
    if count <= load(state + 8 * PARAMETER_COUNT) and load(state + 8 * RUNS_IN_PYTHON) == 0:
        idle = call(PyTuple_GetItem, bound, 2)
        if call(PySet_Size, idle) > 0:
            handle = call(PySet_Pop, idle)
            frame = call(PyLong_AsLongLong, handle)
            result = order_arguments(state, frame, arguments, count, keywords)
            if result != UNUSUAL:
                result = compute(state, frame, result)
            call(PySet_Add, idle, handle)
            call(Py_DecRef, handle)
            if result != UNUSUAL:
                return 0 if result == RAISED else result
            call(PyErr_Clear)
    return call(PyObject_Vectorcall, call(PyTuple_GetItem, bound, 1), arguments, count, keywords)


def compute(state: int, frame: int, out: int) -> int:
    """The program's result on plain arguments, ``UNUSUAL``, or ``RAISED``. Without an ``out``, that is 0."""
    touched = read_arguments(state, frame)
    if touched == UNUSUAL:
        return UNUSUAL
    slots = frame + 8 * SLOTS
    table = load(state + 8 * TABLE)
    if run(slots, table, load(state + 8 * PROLOGUE), 0) & STATUS_MASK != STOPPED:
        return UNUSUAL
    workspace = load(slots + 8 * WORKSPACE_SIZE_SLOT)
    if workspace > load(frame + 8 * CAPACITY):
        return UNUSUAL
    if out == 0:
        made = allocate_outputs(state, frame)
    else:
        made = take_outputs(state, frame, out)
    if made == UNUSUAL:
        return UNUSUAL
    touched += made + workspace + load(state + 8 * CONSTANT_ELEMENTS)
    status = run_body(slots, table, load(state + 8 * BODY), touched)
    if status != STOPPED:
        if out == 0:
            release_outputs(state, frame)
        return RAISED if status == LATE else UNUSUAL
    if out == 0:
        return pack_outputs(state, frame)
    call(Py_IncRef, out)
    return out


def run_body(slots: int, table: int, body: int, touched: int) -> int:
    """Runs the body, without Python's lock if it may take long. Returns its status: ``LATE`` if a signal raised."""
    if touched < HOLD_BELOW:
        return run(slots, table, body, 0) & STATUS_MASK
    at = body << STATUS_BITS | LATE
    while at & STATUS_MASK == LATE:
        thread = call(PyEval_SaveThread)
        at = run(slots, table, at >> STATUS_BITS, next_pause())
        call(PyEval_RestoreThread, thread)
        if at & STATUS_MASK == LATE and call(PyErr_CheckSignals) & INT32_MASK:
            return LATE
    return at & STATUS_MASK


# ----------------------------------------------------------------------------------------------------------- arguments


def order_arguments(state: int, frame: int, arguments: int, count: int, keywords: int) -> int:
    """Lists the arguments in the order of the parameters; returns the object given as ``out``, 0, or ``UNUSUAL``."""
    objects = frame + 8 * load(state + 8 * SCRATCH)
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
    objects = frame + 8 * load(state + 8 * SCRATCH)
    touched = 0
    row = state + 8 * ROWS
    for i in range(load(state + 8 * ARGUMENT_ROW_COUNT)):
        item = load(objects + 8 * i)
        kind = load(row)
        if kind == TENSOR:
            elements = read_tensor(row, item, frame + 8 * SLOTS + 8 * load(row + 24))
        elif kind == INT:
            elements = read_int(item, frame + 8 * SLOTS + 8 * load(row + 8))
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


def is_plain(row: int, array: int, flags: int) -> int:
    """Whether an object is an array of the row's dtype and rank that has the flags."""
    if load(array + TYPE_OF) != ARRAY_TYPE:
        return 0
    dtype = load(array + ARRAY_DTYPE)
    if load_int32(dtype + DTYPE_NUMBER) != load(row + 8) or load_byte(dtype + DTYPE_BYTE_ORDER) == SWAPPED_BYTE_ORDER:
        return 0
    return load_int32(array + ARRAY_NDIM) == load(row + 16) and load_int32(array + ARRAY_FLAGS) & flags == flags


def read_int(number: int, slot: int) -> int:
    """Stores a Python int and returns 0; -1 is unusual because it may mean that the int is too large."""
    if load(number + TYPE_OF) != INT_TYPE:
        return UNUSUAL
    value = call(PyLong_AsLongLong, number)
    store(slot, value)
    return UNUSUAL if value == -1 else 0


def read_tuple(row: int, items: int, objects: int) -> int:
    """Lists a tuple's parts among the objects and returns 0, or ``UNUSUAL``."""
    if load(items + TYPE_OF) != TUPLE_TYPE:
        return UNUSUAL
    length = load(row + 8)
    if call(PyTuple_Size, items) != length:
        return UNUSUAL
    first = objects + 8 * load(row + 16)
    for i in range(length):
        store(first + 8 * i, call(PyTuple_GetItem, items, i))
    return 0


# ------------------------------------------------------------------------------------------------------------- outputs


def output_row(state: int) -> int:
    """The address of the first output row."""
    return state + 8 * ROWS + 8 * ROW_WIDTH * load(state + 8 * ARGUMENT_ROW_COUNT)


def allocate_outputs(state: int, frame: int) -> int:
    """Makes the output arrays; returns how many elements they have, or ``UNUSUAL`` if NumPy refuses."""
    objects = frame + 8 * load(state + 8 * SCRATCH)
    row = output_row(state)
    touched = 0
    for i in range(load(state + 8 * OUTPUT_ROW_COUNT)):
        store(objects + 8 * i, 0)
    for i in range(load(state + 8 * OUTPUT_ROW_COUNT)):
        if load(row) == TENSOR:
            slot = frame + 8 * SLOTS + 8 * load(row + 24)
            array = call(PyArray_New, ARRAY_TYPE, load(row + 16), slot + 8, load(row + 8), 0, 0, 0, 0, 0)
            if array == 0:
                release_outputs(state, frame)
                return UNUSUAL
            store(objects + 8 * i, array)
            store(slot, load(array + ARRAY_DATA))
            touched += element_count(row, slot)
        row += 8 * ROW_WIDTH
    return touched


def element_count(row: int, slot: int) -> int:
    """How many elements the tensor has whose sizes follow ``slot``."""
    elements = 1
    for axis in range(load(row + 16)):
        elements = elements * load(slot + 8 + 8 * axis)
    return elements


def release_outputs(state: int, frame: int) -> int:
    """Gives the output arrays back."""
    objects = frame + 8 * load(state + 8 * SCRATCH)
    for i in range(load(state + 8 * OUTPUT_ROW_COUNT)):
        if load(objects + 8 * i) != 0:
            call(Py_DecRef, load(objects + 8 * i))
    return 0


def pack_outputs(state: int, frame: int) -> int:
    """The result: an array, an int, or a tuple. Parts come after their tuple, so this walks backwards."""
    objects = frame + 8 * load(state + 8 * SCRATCH)
    last = load(state + 8 * OUTPUT_ROW_COUNT) - 1
    for back in range(last + 1):
        i = last - back
        row = output_row(state) + 8 * ROW_WIDTH * i
        if load(row) == INT:
            store(objects + 8 * i, call(PyLong_FromLongLong, load(frame + 8 * SLOTS + 8 * load(row + 8))))
        elif load(row) != TENSOR:
            store(objects + 8 * i, pack_tuple(load(row + 8), objects + 8 * load(row + 16)))
    return load(objects)


def pack_tuple(length: int, parts: int) -> int:
    """A tuple that takes over the references in ``parts``."""
    items = call(PyTuple_New, length)
    for i in range(length):
        call(PyTuple_SetItem, items, i, load(parts + 8 * i))
    return items


# ------------------------------------------------------------------------------------------------------------------ out


def take_outputs(state: int, frame: int, out: int) -> int:
    """Makes the caller's arrays the outputs; returns how many elements they have, or ``UNUSUAL`` if they do not fit."""
    objects = frame + 8 * load(state + 8 * SCRATCH)
    store(objects, out)
    row = output_row(state)
    touched = 0
    for i in range(load(state + 8 * OUTPUT_ROW_COUNT)):
        item = load(objects + 8 * i)
        kind = load(row)
        if kind == TENSOR:
            elements = take_tensor(state, frame, row, item)
        elif kind == TUPLE:
            elements = read_tuple(row, item, objects)
        else:
            elements = UNUSUAL
        if elements == UNUSUAL:
            return UNUSUAL
        touched += elements
        row += 8 * ROW_WIDTH
    return touched


def take_tensor(state: int, frame: int, row: int, array: int) -> int:
    """Makes an array the output of this row if it fits and overlaps nothing; its element count, or ``UNUSUAL``."""
    if not is_plain(row, array, C_CONTIGUOUS_AND_ALIGNED | WRITEABLE):
        return UNUSUAL
    slot = frame + 8 * SLOTS + 8 * load(row + 24)
    sizes = load(array + ARRAY_SIZES)
    for axis in range(load(row + 16)):
        if load(sizes + 8 * axis) != load(slot + 8 + 8 * axis):
            return UNUSUAL
    start = load(array + ARRAY_DATA)
    elements = element_count(row, slot)
    if overlaps(state, frame, row, start, start + elements * load(row + 32)):
        return UNUSUAL
    store(slot, start)
    return elements


def overlaps(state: int, frame: int, end_row: int, start: int, end: int) -> int:
    """Whether the bytes from ``start`` to ``end`` are some of an argument's, or of an output's before ``end_row``."""
    row = state + 8 * ROWS
    while row < end_row:
        if load(row) == TENSOR:
            slot = frame + 8 * SLOTS + 8 * load(row + 24)
            other = load(slot)
            if start < other + element_count(row, slot) * load(row + 32) and other < end:
                return 1
        row += 8 * ROW_WIDTH
    return 0


FUNCTIONS = (
    enter,
    compute,
    run_body,
    order_arguments,
    place_of,
    read_arguments,
    read_tensor,
    is_plain,
    read_int,
    read_tuple,
    output_row,
    allocate_outputs,
    release_outputs,
    pack_outputs,
    pack_tuple,
    element_count,
    take_outputs,
    take_tensor,
    overlaps,
)
