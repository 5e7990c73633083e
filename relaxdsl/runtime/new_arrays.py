"""New arrays, in compiled code: made by NumPy, and where their first elements lie if they are large."""

from __future__ import annotations

from relaxdsl.runtime.capi import (
    ARRAY_DATA,
    ARRAY_TYPE,
    BYTE_NUMBER,
    C_CONTIGUOUS_AND_ALIGNED,
    WRITEABLE,
    Py_DecRef,
    PyArray_New,
    PyArray_SetBaseObject,
)
from relaxdsl.runtime.frame import SLOTS, WORKSPACE_ALIGNMENT
from relaxdsl.runtime.native import call, load, stack_words, store
from relaxdsl.runtime.placement import LARGE_BYTES, PAGE_BYTES
from relaxdsl.runtime.signature import ARGUMENT_ROW_COUNT, ROW_WIDTH, ROWS, TENSOR

IN_PAGE = PAGE_BYTES - 1
HALF_A_PAGE = PAGE_BYTES // 2
IN_LINE = WORKSPACE_ALIGNMENT - 1


def new_array(number: int, count: int, sizes: int, item_bytes: int, argument: int) -> int:
    """An array of the dtype with this ``number``; 0 with an exception set if NumPy refuses.

    A large one starts with a line of the cache, and half a page further into its page than the first element of
    ``argument``: what reads a row there, and writes it here, would otherwise wait for stores that have the same low
    bits in their addresses. NumPy's own all start 16 bytes into a page.

    Args:
        count: its rank.
        sizes: where its sizes are.
        argument: an address, or 0.
    """
    size = item_bytes
    for axis in range(count):
        size = size * load(sizes + 8 * axis)
    if size < LARGE_BYTES:
        return call(PyArray_New, ARRAY_TYPE, count, sizes, number, 0, 0, 0, 0, 0)
    room = stack_words(1)
    store(room, size + PAGE_BYTES)
    memory = call(PyArray_New, ARRAY_TYPE, 1, room, BYTE_NUMBER, 0, 0, 0, 0, 0)
    if memory == 0:
        return 0
    start = load(memory + ARRAY_DATA)
    place = argument + HALF_A_PAGE
    start += (place - (place & IN_LINE) - start) & IN_PAGE
    array = call(PyArray_New, ARRAY_TYPE, count, sizes, number, 0, start, 0, C_CONTIGUOUS_AND_ALIGNED | WRITEABLE, 0)
    if array == 0:
        call(Py_DecRef, memory)
        return 0
    call(PyArray_SetBaseObject, array, memory)
    return array


def first_argument(state: int, frame: int) -> int:
    """The address of the first element of the first tensor among the arguments, or 0."""
    row = state + 8 * ROWS
    for _ in range(load(state + 8 * ARGUMENT_ROW_COUNT)):
        if load(row) == TENSOR:
            return load(frame + 8 * SLOTS + 8 * load(row + 24))
        row += 8 * ROW_WIDTH
    return 0


FUNCTIONS = (new_array, first_argument)
