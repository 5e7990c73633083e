"""Frames: the memory of one call, kept for the next. An executable has one for each call that is under way at once.

A frame is an array of words::

    CAPACITY … UNTIL        what the driver knows of the call (:mod:`relaxdsl.runtime.driver`)
    SLOTS …                 the program's slots
    …                       where a kernel's arguments are gathered
    …                       the caller's objects, one an argument row (:mod:`relaxdsl.runtime.signature`)
    …                       room for the results, one an output row
    …                       the objects that the call holds (:mod:`relaxdsl.runtime.held`), then constant ones
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.runtime.capi import ARRAY_DATA
from relaxdsl.runtime.held import Held
from relaxdsl.runtime.program import WORKSPACE_SLOT, Instruction, Program

if TYPE_CHECKING:
    from relaxdsl.runtime.encoding import Table

# Bytes of the workspace; the state of the program; while it is idle, the next idle frame or 0; the frame of the call
# that this one is made by, or 0; that of the first call of all, which may be itself; how many calls this one is within;
# where the program goes on; how many elements the call touches, so far as is known; the object that is given as `out`,
# 0, or ASKED; of a first call, the time at which it looks for signals and lets other threads run, or 0.
CAPACITY, STATE, NEXT, CALLER, ROOT, DEPTH, PC, TOUCHED, OUT, UNTIL = range(10)
SLOTS = 10

ASKED = -1
"""In place of ``out``: Python is asked for the outputs' memory."""

WORKSPACE_ALIGNMENT = 64

_FRAMES: WeakValueDictionary[int, Frame] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """Where a frame's parts begin, in words."""

    arguments: int
    outputs: int
    held: int
    word_count: int


class Frame:
    """Slots and workspace. Constants are there from the start; other slots are written before they are read."""

    __slots__ = (
        "__weakref__",
        "address",
        "given",
        "held",
        "layout",
        "memory",
        "program",
        "slots",
        "slots_address",
        "table",
        "workspace",
    )

    def __init__(self, program: Program, table: Table, held: Held, layout: FrameLayout, state_address: int) -> None:
        self.program = program
        self.table = table
        self.held = held
        self.layout = layout
        self.memory = np.zeros(layout.word_count, np.int64)
        self.memory[STATE] = state_address
        self.memory[ROOT] = address_of(self.memory)
        self.memory[layout.held + held.count :] = [id(each) for each in held.constants]
        self.slots = self.memory[SLOTS : SLOTS + len(program.slots)]
        self.slots[:] = [slot.initial for slot in program.slots]
        self.workspace = np.empty(0, np.uint8)
        self.address = address_of(self.memory)
        self.slots_address = address_of(self.slots)
        self.given: tuple[Any, list[tuple[str, np.ndarray]]] | None = None
        """The ``out`` of a call that Python is asked about, and the caller's arrays."""
        _FRAMES[self.address] = self

    def reserve(self, size_bytes: int) -> None:
        """Makes the workspace large enough. It grows by half at least, so that slowly growing sizes rarely get here."""
        capacity = int(self.memory[CAPACITY])
        if size_bytes <= capacity:
            return
        # The old one goes first: the two are never there at once, and none is left if there is no memory for the new.
        self.memory[CAPACITY] = 0
        self.workspace = np.empty(0, np.uint8)
        try:
            self.workspace = _aligned_bytes(max(size_bytes, capacity + capacity // 2))
        except MemoryError:
            self.workspace = _aligned_bytes(size_bytes)
        self.slots[WORKSPACE_SLOT] = address_of(self.workspace)
        self.memory[CAPACITY] = len(self.workspace)

    def object_at(self, word: int) -> Any:
        """The object whose address is in a word; None if that is 0."""
        return ctypes.py_object.from_address(self.address + 8 * word).value if self.memory[word] else None

    def hold(self, place: int, value: object) -> None:
        """Makes an object one that the call holds; what was held in its place is let go."""
        word = self.layout.held + place
        old = self.object_at(word)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
        self.memory[word] = id(value)
        if old is not None:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(old))

    def held_at(self, place: int) -> Any:
        """The object that the call holds in this place, or None."""
        return self.object_at(self.layout.held + place)

    @property
    def step(self) -> Instruction:
        """The instruction at which the program goes on."""
        return self.table.instructions[int(self.memory[PC])]

    @property
    def caller(self) -> Frame | None:
        """The frame of the call that this one is made by."""
        address = int(self.memory[CALLER])
        return frame_at(address) if address else None

    @property
    def callers(self) -> Iterator[Frame]:
        """The frames of the calls that this one is within, from the inside out."""
        caller = self.caller
        while caller is not None:
            yield caller
            caller = caller.caller

    @property
    def root(self) -> Frame:
        """The frame of the first call of all."""
        return frame_at(int(self.memory[ROOT]))


def frame_at(address: int) -> Frame:
    """The frame whose words are at ``address``."""
    return _FRAMES[address]


def address_of(array: np.ndarray) -> int:
    """The address of the array's first element, from where the array has it: ten times as fast as by its interface."""
    return ctypes.c_int64.from_address(id(array) + ARRAY_DATA).value


def _aligned_bytes(size_bytes: int) -> np.ndarray:
    buffer = np.empty(size_bytes + WORKSPACE_ALIGNMENT, np.uint8)
    skip = -address_of(buffer) % WORKSPACE_ALIGNMENT
    return buffer[skip : skip + size_bytes]
