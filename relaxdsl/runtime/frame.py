"""Frames: the memory of one call, kept for the next. An executable has one for each call that is under way at once."""

from __future__ import annotations

import numpy as np

from relaxdsl.runtime.program import WORKSPACE_SLOT
from relaxdsl.runtime.signature import CAPACITY, SLOTS

WORKSPACE_ALIGNMENT = 64


class Frame:
    """Slots and workspace. Constants are there from the start; other slots are written before they are read."""

    __slots__ = ("address", "memory", "slots", "slots_address", "workspace")

    def __init__(self, word_count: int, initial_slots: np.ndarray) -> None:
        self.memory = np.zeros(word_count, np.int64)
        self.slots = self.memory[SLOTS : SLOTS + len(initial_slots)]
        self.slots[:] = initial_slots
        self.workspace = np.empty(0, np.uint8)
        self.address = address_of(self.memory)
        self.slots_address = address_of(self.slots)

    def reserve(self, size_bytes: int) -> None:
        """Makes the workspace large enough. It grows by half at least, so that slowly growing sizes rarely get here."""
        capacity = int(self.memory[CAPACITY])
        if size_bytes <= capacity:
            return
        # The old one goes first: the two are never there at once, and none is left if there is no memory for the new.
        self.memory[CAPACITY] = 0
        self.workspace = np.empty(0, np.uint8)
        self.workspace = _aligned_bytes(max(size_bytes, capacity + capacity // 2))
        self.slots[WORKSPACE_SLOT] = address_of(self.workspace)
        self.memory[CAPACITY] = len(self.workspace)


class FramePool:
    """The frames of an executable. Threads, and a call within a call, each take their own."""

    def __init__(self, word_count: int, initial_slots: np.ndarray) -> None:
        self._word_count = word_count
        self._initial_slots = initial_slots
        self._frames: dict[int, Frame] = {}
        self.idle: set[int] = set()
        """Addresses of the frames no call uses. Taking from a set and adding to it are atomic, in C and in Python."""

    def take(self) -> Frame:
        """A frame that nobody else uses; give it back."""
        try:
            return self._frames[self.idle.pop()]
        except KeyError:
            frame = Frame(self._word_count, self._initial_slots)
            self._frames[frame.address] = frame
            return frame

    def give_back(self, frame: Frame) -> None:
        self.idle.add(frame.address)


def address_of(array: np.ndarray) -> int:
    """The address of the array's first element."""
    address: int = array.__array_interface__["data"][0]
    return address


def _aligned_bytes(size_bytes: int) -> np.ndarray:
    buffer = np.empty(size_bytes + WORKSPACE_ALIGNMENT, np.uint8)
    skip = -address_of(buffer) % WORKSPACE_ALIGNMENT
    return buffer[skip : skip + size_bytes]
