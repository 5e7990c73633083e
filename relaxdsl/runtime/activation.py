"""A call under way, as Python sees it: values from the slots of a frame, and slots from values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from relaxdsl.errors import InternalError
from relaxdsl.runtime.arguments import Conversion, plain_array
from relaxdsl.runtime.frame import TOUCHED, Frame, address_of
from relaxdsl.runtime.program import IntLeaf, ObjectLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree
from relaxdsl.runtime.shortage import new_array


class Activation:
    """Reads and writes the frame of a call."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._slots = frame.slots

    # ----------------------------------------------------------------------------------------------- slots from values

    def store_arguments(self, conversions: Iterable[Conversion]) -> None:
        """Puts the arguments in their slots. The caller of this keeps them alive."""
        frame = self._frame
        owners = [value for leaf, value in conversions if isinstance(leaf, TensorLeaf)]
        room = frame.memory[frame.layout.arguments : frame.layout.outputs]
        room[:] = 0
        room[: len(owners)] = list(map(id, owners))
        frame.memory[TOUCHED] = sum(array.size for array in owners)
        for leaf, value in conversions:
            self._store(leaf, value)

    def place(self, leaf: TensorLeaf, array: np.ndarray) -> None:
        """Makes ``array`` the memory of an output, of an allocated tensor, or of a result."""
        self._frame.hold(self._frame.held.arrays[leaf.pointer], array)
        self._frame.memory[TOUCHED] += array.size
        self._slots[leaf.pointer] = address_of(array)

    def store_result(self, tree: Tree, value: Any) -> None:
        """Puts what a Python function returned in its slots."""
        match tree:
            case TupleTree(fields=fields):
                for part, item in zip(fields, value, strict=True):
                    self.store_result(part, item)
            case TensorLeaf():
                array = plain_array(np.asarray(value), np.dtype(tree.dtype))
                # The memory of an argument may serve something else while the result is still in use.
                if _overlaps(array, self._written()):
                    array = array.copy()
                self.place(tree, array)
                self._store(tree, array)
            case _:
                self._store(tree, self._detached(value))

    def _store(self, leaf: Tree, value: Any) -> None:
        match leaf:
            case TensorLeaf():
                self._slots[leaf.pointer] = address_of(value)
                for slot, size in zip(leaf.sizes, value.shape, strict=True):
                    self._slots[slot] = size
            case IntLeaf():
                self._slots[leaf.slot] = value
            case ShapeLeaf():
                for slot, size in zip(leaf.slots, value, strict=True):
                    self._slots[slot] = size
            case ObjectLeaf():
                self._frame.hold(self._frame.held.objects[leaf.index], value)

    def _detached(self, value: Any) -> Any:
        """An object of a Python function's; arrays in it that are views of the call's memory, which changes, are
        copied.
        """
        if type(value) in (tuple, list):
            items = [self._detached(item) for item in value]
            is_same = all(new is old for new, old in zip(items, value, strict=True))
            return value if is_same else type(value)(items)
        if not isinstance(value, np.ndarray):
            return value
        is_view = any(np.may_share_memory(value, each.array) for each in _memories(self._frame))
        return value.copy() if is_view else value

    # ----------------------------------------------------------------------------------------------- values from slots

    def shape(self, leaf: TensorLeaf) -> tuple[int, ...]:
        """The sizes of a tensor, once they are known."""
        return tuple(int(self._slots[slot]) for slot in leaf.sizes)

    def size(self, slot: int) -> int:
        """A size, once it is known."""
        return int(self._slots[slot])

    def value(self, tree: Tree) -> Any:
        """What a Python function gets for ``tree``."""
        match tree:
            case TupleTree():
                return tuple(self.value(part) for part in tree.fields)
            case TensorLeaf():
                return self.view(tree)
            case IntLeaf():
                return int(self._slots[tree.slot])
            case ShapeLeaf():
                return tuple(int(self._slots[slot]) for slot in tree.slots)
            case ObjectLeaf():
                return self._frame.held_at(self._frame.held.objects[tree.index])

    def view(self, leaf: TensorLeaf, *, is_writable: bool = False) -> np.ndarray:
        """An array on the call's memory, which it keeps alive."""
        shape, dtype = self.shape(leaf), np.dtype(leaf.dtype)
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes == 0:
            return new_array(self._frame.program, self._slots, leaf)
        start = int(self._slots[leaf.pointer])
        for memory in _memories(self._frame):
            if memory.start <= start and start + size_bytes <= memory.end:
                view = memory.view(start, shape, dtype)
                view.flags.writeable = is_writable
                return view
        raise InternalError(f"{self._frame.program.name}: {leaf.name} points to no memory of the call")

    def _written(self) -> Iterator[_Memory]:
        """The memory that kernels of the program write to."""
        yield _Memory.of(self._frame.workspace)
        for place in self._frame.held.written:
            if (array := self._frame.held_at(place)) is not None:
                yield _Memory.of(array)


class _Memory(NamedTuple):
    """A contiguous array, and the addresses where it starts and ends."""

    start: int
    end: int
    array: np.ndarray

    @staticmethod
    def of(array: np.ndarray) -> _Memory:
        start = address_of(array)
        return _Memory(start, start + array.nbytes, array)

    def view(self, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """What lies from ``start`` on, as an array that keeps the memory alive."""
        if start == self.start and shape == self.array.shape and dtype == self.array.dtype:
            return self.array.view(np.ndarray)
        end = start + math.prod(shape) * dtype.itemsize
        return self.array.reshape(-1).view(np.uint8)[start - self.start : end - self.start].view(dtype).reshape(shape)


def _memories(frame: Frame) -> Iterator[_Memory]:
    """What a pointer in the frame may point into: memory of its call, and of those that it is within.

    In a deep recursion, most arguments are the first call's or the last caller's: these come before the others.
    """
    root = frame.root
    yield from _own_memories(frame)
    if frame is not root:
        yield from _own_memories(root)
    arguments = map(root.object_at, range(root.layout.arguments, root.layout.outputs))
    yield from (_Memory.of(each) for each in arguments if isinstance(each, np.ndarray))
    for caller in frame.callers:
        if caller is not root:
            yield from _own_memories(caller)


def _own_memories(frame: Frame) -> Iterator[_Memory]:
    """The memory of one call."""
    yield _Memory.of(frame.workspace)
    for place in frame.held.arrays.values():
        if (array := frame.held_at(place)) is not None:
            yield _Memory.of(array)
    yield from map(_Memory.of, frame.program.constants)


def _overlaps(array: np.ndarray, memories: Iterable[_Memory]) -> bool:
    """Whether a contiguous array has bytes of one of the memories."""
    start, end, _ = _Memory.of(array)
    return any(start < each.end and each.start < end for each in memories if start < end)
