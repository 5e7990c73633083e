"""One call, driven from Python: the VM runs, and whenever it leaves compiled code, the step is done here.

This is the way of programs with host calls, of ``out=``, and of everything that the entry found unusual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from relaxdsl.errors import DTypeError, InternalError, RelaxError, ShapeError
from relaxdsl.runtime.arguments import Conversion, plain_array
from relaxdsl.runtime.encoding import FAILED, LATE, STATUS_BITS, STATUS_MASK, STOPPED, Table
from relaxdsl.runtime.frame import Frame, address_of
from relaxdsl.runtime.large_sizes import arithmetic_failure, store_large_sizes
from relaxdsl.runtime.machine import next_pause, run_table
from relaxdsl.runtime.program import (
    WORKSPACE_SIZE_SLOT,
    Allocate,
    Arith,
    Check,
    CheckTrue,
    HostCall,
    Instruction,
    IntLeaf,
    ObjectLeaf,
    Program,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
)
from relaxdsl.runtime.shortage import explained_shortage, new_array


class Activation:
    """A call under way: a frame, the arrays that its pointers point into, and Python objects."""

    def __init__(self, program: Program, table: Table, frame: Frame) -> None:
        self._program = program
        self._table = table
        self._frame = frame
        self._slots = frame.slots
        self._objects = list(program.objects)
        self._read_only = list(map(_Memory.of, program.constants))
        self._writable: list[_Memory] = []
        self._arrays: dict[int, np.ndarray] = {}
        """The array that a pointer slot got, for outputs, allocations and host results."""
        self._from_host: set[int] = set()
        """Those of host results, which may share memory with anything."""

    def store_arguments(self, conversions: Sequence[Conversion]) -> None:
        """Puts the arguments in their slots."""
        for leaf, value in conversions:
            if isinstance(leaf, TensorLeaf):
                self._read_only.append(_Memory.of(value))
            self._store(leaf, value)

    def run_prologue(self) -> None:
        """Binds symbols, checks sizes, and makes the workspace."""
        self._run(self._table.prologue)
        with explained_shortage(self._program, self._slots):
            self._frame.reserve(int(self._slots[WORKSPACE_SIZE_SLOT]))
        self._writable.append(_Memory.of(self._frame.workspace))

    def output_shape(self, leaf: TensorLeaf) -> tuple[int, ...]:
        """The sizes of a tensor, once they are known."""
        return tuple(int(self._slots[slot]) for slot in leaf.sizes)

    def new_output(self, leaf: TensorLeaf) -> np.ndarray:
        """Memory for an output."""
        return new_array(self._program, self._slots, leaf)

    def place_output(self, leaf: TensorLeaf, array: np.ndarray) -> None:
        """Makes ``array`` the memory of an output or of an allocated tensor."""
        self._writable.append(_Memory.of(array))
        self._arrays[leaf.pointer] = array
        self._slots[leaf.pointer] = self._writable[-1].start

    def run_body(self) -> None:
        """Computes the outputs."""
        self._run(self._table.body)

    def result(self, inputs: Sequence[Any]) -> Any:
        """What the call returns; arrays in it share memory with nothing that outlives the call."""
        return self._result(self._program.output, [*self._program.constants, self._frame.workspace, *inputs])

    # ----------------------------------------------------------------------------------------------------------- steps

    def _run(self, pc: int) -> None:
        while True:
            stopped = run_table(self._frame.slots_address, self._table.address, pc, next_pause())
            pc, status = stopped >> STATUS_BITS, stopped & STATUS_MASK
            if status == STOPPED:
                return
            if status == LATE:
                continue  # Python has looked for signals before it came here
            step = self._table.instructions[pc]
            if status == FAILED and isinstance(step, Arith) and pc < self._table.body:
                store_large_sizes(self._program, self._slots)
                return
            if status == FAILED:
                raise self._failure(step)
            self._leave(step)
            pc = self._table.next_pc(pc)

    def _failure(self, step: Instruction) -> RelaxError:
        if isinstance(step, Check | CheckTrue):
            return step.failure(self._slots.tolist()).at(step.span)
        if isinstance(step, Arith):
            return arithmetic_failure(self._program, step, self._slots.tolist())
        raise InternalError(f"{self._program.name}: {step} cannot fail")

    def _leave(self, step: Instruction) -> None:
        match step:
            case Allocate(leaf=leaf):
                self.place_output(leaf, new_array(self._program, self._slots, leaf, step))
            case HostCall():
                value = self._call_host(step)
                if step.results is not None:
                    _ResultReader(step).check(step.results, value)
                    self._store_result(step.results, value)
            case _:
                raise InternalError(f"{self._program.name}: {step} does not leave compiled code")

    def _call_host(self, step: HostCall) -> Any:
        """What the Python function returns; what it raises is noted with the user's line, and otherwise as it is."""
        outputs = [self._view(leaf, is_writable=True) for leaf in step.outputs]
        try:
            return step.function(*map(self._value, step.args), *outputs)
        except Exception as error:
            at = "" if step.span is None else f" ({step.span})"
            note = f"{step.name} is called by {self._program.name}{at}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise

    # ----------------------------------------------------------------------------------------------- slots from values

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
                self._objects[leaf.index] = value

    def _store_result(self, tree: Tree, value: Any) -> None:
        if isinstance(tree, TupleTree):
            for part, item in zip(tree.fields, value, strict=True):
                self._store_result(part, item)
        elif isinstance(tree, TensorLeaf):
            array = plain_array(np.asarray(value), np.dtype(tree.dtype))
            # The memory of an argument may serve something else while the result is still in use.
            if _overlaps(array, self._writable):
                array = array.copy()
            self._read_only.append(_Memory.of(array))
            self._arrays[tree.pointer] = array
            self._from_host.add(tree.pointer)
            self._store(tree, array)
        else:
            self._store(tree, self._detached(value))

    def _detached(self, value: Any) -> Any:
        """An object of a host function's; arrays in it that are views of the call's memory, which changes, are
        copied.
        """
        if type(value) in (tuple, list):
            items = [self._detached(item) for item in value]
            is_same = all(new is old for new, old in zip(items, value, strict=True))
            return value if is_same else type(value)(items)
        if not isinstance(value, np.ndarray):
            return value
        is_view = any(np.may_share_memory(value, each.array) for each in (*self._writable, *self._read_only))
        return value.copy() if is_view else value

    # ----------------------------------------------------------------------------------------------- values from slots

    def _value(self, tree: Tree) -> Any:
        """What a host call gets for ``tree``."""
        match tree:
            case TupleTree():
                return tuple(self._value(part) for part in tree.fields)
            case TensorLeaf():
                return self._view(tree)
            case IntLeaf():
                return int(self._slots[tree.slot])
            case ShapeLeaf():
                return tuple(int(self._slots[slot]) for slot in tree.slots)
            case ObjectLeaf():
                return self._objects[tree.index]

    def _view(self, leaf: TensorLeaf, *, is_writable: bool = False) -> np.ndarray:
        """An array on the frame's memory, which it keeps alive."""
        shape, dtype = self.output_shape(leaf), np.dtype(leaf.dtype)
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes == 0:
            return np.empty(shape, dtype)
        start = int(self._slots[leaf.pointer])
        for memory in (*self._writable, *self._read_only):
            if memory.start <= start and start + size_bytes <= memory.end:
                view = memory.view(start, shape, dtype)
                view.flags.writeable = is_writable
                return view
        raise InternalError(f"{self._program.name}: {leaf.name} points to no memory of the call")

    def _result(self, tree: Tree, taken: list[np.ndarray]) -> Any:
        match tree:
            case TupleTree():
                return tuple(self._result(part, taken) for part in tree.fields)
            case TensorLeaf():
                array = self._arrays[tree.pointer]
                if tree.pointer in self._from_host and _must_copy(array, taken):
                    array = array.copy()
                taken.append(array)
                return array
            case _:
                return self._value(tree)


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
            return self.array.view()
        end = start + math.prod(shape) * dtype.itemsize
        return self.array.reshape(-1).view(np.uint8)[start - self.start : end - self.start].view(dtype).reshape(shape)


def _overlaps(array: np.ndarray, memories: Iterable[_Memory]) -> bool:
    """Whether a contiguous array has bytes of one of the memories."""
    start, end, _ = _Memory.of(array)
    return any(start < each.end and each.start < end for each in memories if start < end)


def _must_copy(array: np.ndarray, taken: Sequence[np.ndarray]) -> bool:
    return not array.flags.writeable or any(np.may_share_memory(array, other) for other in taken)


class _ResultReader:
    """Checks what a host function returned against what the program expects."""

    def __init__(self, step: HostCall) -> None:
        self._step = step

    def check(self, tree: Tree, value: Any, path: str = "result") -> None:
        match tree:
            case TupleTree():
                self._check_length(path, "a tuple", len(tree.fields), value)
                for place, (part, item) in enumerate(zip(tree.fields, value, strict=True)):
                    self.check(part, item, f"{path}[{place}]")
            case TensorLeaf():
                self._check_array(path, tree, value)
            case IntLeaf():
                self._check_int(path, value)
            case ShapeLeaf():
                self._check_length(path, "a shape", len(tree.slots), value)
                for place, size in enumerate(value):
                    self._check_int(f"{path}[{place}]", size)

    def _check_length(self, path: str, what: str, length: int, value: Any) -> None:
        if not isinstance(value, tuple | list):
            raise self._error(DTypeError, f"{path}: expected {what} of {length}, got {type(value).__name__}")
        if len(value) != length:
            raise self._error(ShapeError, f"{path}: expected {what} of {length}, got {len(value)} items")

    def _check_array(self, path: str, leaf: TensorLeaf, value: Any) -> None:
        if not isinstance(value, np.ndarray | np.generic):
            raise self._error(DTypeError, f"{path}: expected an array, got {type(value).__name__}")
        if value.dtype.newbyteorder("=") != leaf.dtype:
            raise self._error(DTypeError, f"{path}: expected dtype {leaf.dtype}, got {value.dtype.name}")
        if value.ndim != len(leaf.sizes):
            expected = f"{len(leaf.sizes)} {'axis' if len(leaf.sizes) == 1 else 'axes'}"
            raise self._error(ShapeError, f"{path}: expected {expected}, got {value.ndim}: shape {value.shape}")

    def _check_int(self, path: str, value: Any) -> None:
        try:
            index(value)
        except TypeError:
            raise self._error(DTypeError, f"{path}: expected an integer, got {type(value).__name__}") from None

    def _error(self, kind: type[RelaxError], what: str) -> RelaxError:
        return kind(f"packed function {self._step.name}: {what}", span=self._step.span)
