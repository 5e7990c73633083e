"""The arrays that a call's results are computed in, in compiled code: made by NumPy, or those of ``out``."""

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
    SWAPPED_BYTE_ORDER,
    TUPLE_TYPE,
    TYPE_OF,
    WRITEABLE,
    Py_DecRef,
    Py_IncRef,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_New,
    PyTuple_SetItem,
    PyTuple_Size,
)
from relaxdsl.runtime.frame import SLOTS
from relaxdsl.runtime.holding import held_at, hold
from relaxdsl.runtime.native import call, load, load_byte, load_int32, store
from relaxdsl.runtime.new_arrays import first_argument, new_array
from relaxdsl.runtime.signature import (
    ARGUMENT_ROW_COUNT,
    INT,
    LATE,
    OBJECT,
    OBJECT_ARGUMENTS,
    OUTPUT_ROW_COUNT,
    OUTPUTS,
    RESULT_SLOTS,
    ROW_WIDTH,
    ROWS,
    TENSOR,
    TUPLE,
)

UNUSUAL = -1
"""What compiled code gives up at, so that Python does it."""


def output_row(state: int) -> int:
    """The address of the first output row."""
    return state + 8 * ROWS + 8 * ROW_WIDTH * load(state + 8 * ARGUMENT_ROW_COUNT)


def allocate_outputs(state: int, frame: int) -> int:
    """Makes the output arrays whose sizes are known; returns how many elements they have, or ``UNUSUAL`` if NumPy
    refuses.
    """
    row = output_row(state)
    beside = first_argument(state, frame)
    touched = 0
    for _ in range(load(state + 8 * OUTPUT_ROW_COUNT)):
        if load(row) == TENSOR:
            slot = frame + 8 * SLOTS + 8 * load(row + 24)
            array = new_array(load(row + 8), load(row + 16), slot + 8, load(row + 32), beside)
            if array == 0:
                return UNUSUAL
            hold(state, frame, load(row + 40), array)
            call(Py_DecRef, array)
            store(slot, load(array + ARRAY_DATA))
            touched += element_count(row, slot)
        row += 8 * ROW_WIDTH
    return touched


def argument_elements(state: int, frame: int) -> int:
    """How many elements the tensors among the arguments have."""
    return elements_of(state + 8 * ROWS, load(state + 8 * ARGUMENT_ROW_COUNT), frame)


def output_elements(state: int, frame: int) -> int:
    """How many elements the outputs have."""
    return elements_of(output_row(state), load(state + 8 * OUTPUT_ROW_COUNT), frame)


def elements_of(row: int, count: int, frame: int) -> int:
    """How many elements the tensors of some rows have."""
    elements = 0
    for _ in range(count):
        if load(row) == TENSOR or load(row) == LATE:
            elements += element_count(row, frame + 8 * SLOTS + 8 * load(row + 24))
        row += 8 * ROW_WIDTH
    return elements


def element_count(row: int, slot: int) -> int:
    """How many elements the tensor has whose sizes follow ``slot``."""
    elements = 1
    for axis in range(load(row + 16)):
        elements = elements * load(slot + 8 + 8 * axis)
    return elements


def pack_outputs(state: int, frame: int) -> int:
    """The result: an array, an int, an object, or a tuple. Parts come after their tuple, so this walks backwards."""
    objects = frame + 8 * load(state + 8 * OUTPUTS)
    last = load(state + 8 * OUTPUT_ROW_COUNT) - 1
    for back in range(last + 1):
        i = last - back
        row = output_row(state) + 8 * ROW_WIDTH * i
        kind = load(row)
        if kind == INT:
            store(objects + 8 * i, call(PyLong_FromLongLong, load(frame + 8 * SLOTS + 8 * load(row + 8))))
        elif kind == TUPLE:
            store(objects + 8 * i, pack_tuple(load(row + 8), objects + 8 * load(row + 16)))
        else:
            value = held_at(state, frame, load(row + 8) if kind == OBJECT else load(row + 40))
            call(Py_IncRef, value)
            store(objects + 8 * i, value)
    return load(objects)


def pack_tuple(length: int, parts: int) -> int:
    """A tuple that takes over the references in ``parts``."""
    items = call(PyTuple_New, length)
    if items == 0:
        return 0
    for i in range(length):
        call(PyTuple_SetItem, items, i, load(parts + 8 * i))
    return items


# ------------------------------------------------------------------------------------------------------------------ out


def take_outputs(state: int, frame: int, out: int) -> int:
    """Makes the caller's arrays the outputs; returns how many elements they have, or ``UNUSUAL`` if they do not fit.

    An argument that is an object may be an array that they overlap, or hold one.
    """
    if load(state + 8 * RESULT_SLOTS) != load(state + 8 * OBJECT_ARGUMENTS):
        return UNUSUAL
    objects = frame + 8 * load(state + 8 * OUTPUTS)
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
    hold(state, frame, load(row + 40), array)
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


# ------------------------------------------------------------------------------------------------ also of arguments


def is_plain(row: int, array: int, flags: int) -> int:
    """Whether an object is an array of the row's dtype and rank that has the flags."""
    if load(array + TYPE_OF) != ARRAY_TYPE:
        return 0
    dtype = load(array + ARRAY_DTYPE)
    if load_int32(dtype + DTYPE_NUMBER) != load(row + 8) or load_byte(dtype + DTYPE_BYTE_ORDER) == SWAPPED_BYTE_ORDER:
        return 0
    return load_int32(array + ARRAY_NDIM) == load(row + 16) and load_int32(array + ARRAY_FLAGS) & flags == flags


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


FUNCTIONS = (
    output_row,
    allocate_outputs,
    argument_elements,
    output_elements,
    elements_of,
    element_count,
    pack_outputs,
    pack_tuple,
    take_outputs,
    take_tensor,
    overlaps,
    is_plain,
    read_tuple,
)
