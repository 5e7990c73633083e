"""What compiled code leaves to Python while a call runs, and the errors of calls.

The driver asks for it with the address of a frame and a reason; when this returns, the call goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from operator import index
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, InternalError, RelaxError, ShapeError, Span
from relaxdsl.runtime.activation import Activation
from relaxdsl.runtime.arguments import is_plain
from relaxdsl.runtime.driver import MAKE_FRAME, PLACE_OUTPUTS, RESERVE, TOO_DEEP
from relaxdsl.runtime.encoding import FAILED, Table
from relaxdsl.runtime.frame import ASKED, OUT, PC, Frame, frame_at
from relaxdsl.runtime.large_sizes import arithmetic_failure, store_large_sizes
from relaxdsl.runtime.outputs import OutputChecker
from relaxdsl.runtime.program import (
    WORKSPACE_SIZE_SLOT,
    Allocate,
    Arith,
    CallFunction,
    Check,
    CheckTrue,
    HostCall,
    Instruction,
    IntLeaf,
    Leaf,
    Program,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
    leaves_of,
    slots_of,
)
from relaxdsl.runtime.shortage import explained_shortage, new_array
from relaxdsl.types.counts import counted


class Assistant:
    """Helps the calls of one program.

    Args:
        outputs: checks ``out``.
        make_frame: makes a frame; returns its address.
    """

    def __init__(
        self, program: Program, table: Table, outputs: OutputChecker, make_frame: Callable[[], int]
    ) -> None:
        self._program = program
        self._table = table
        self._outputs = outputs
        self._make_frame = make_frame

    def __call__(self, address: int, reason: int) -> int:
        """Helps the call in a frame. The address of a new frame, if that is wanted."""
        if reason == MAKE_FRAME:
            return self._make_frame()
        frame = frame_at(address)
        try:
            self._help(frame, reason)
        except Exception as error:
            for caller in frame.callers:
                assert isinstance(caller.step, CallFunction)
                _note(error, caller.step.name, caller.program, caller.step.span)
            raise
        return 0

    def _help(self, frame: Frame, reason: int) -> None:
        if reason == RESERVE:
            with explained_shortage(self._program, frame.slots):
                frame.reserve(int(frame.slots[WORKSPACE_SIZE_SLOT]))
        elif reason == PLACE_OUTPUTS:
            self._place_outputs(frame)
        elif reason == FAILED:
            self._fail(frame)
        elif reason == TOO_DEEP:
            raise self._recursion_error(frame)
        else:
            self._do_step(frame)

    # ---------------------------------------------------------------------------------------------- before the body

    def _place_outputs(self, frame: Frame) -> None:
        """Makes those outputs whose sizes are known, or takes the caller's arrays. Raises if they do not fit."""
        activation = Activation(frame)
        leaves = self._outputs.early_leaves
        if frame.memory[OUT] != ASKED or frame.given is None:
            arrays = [new_array(self._program, frame.slots, leaf) for leaf in leaves]
        else:
            (out, inputs), frame.given = frame.given, None
            arrays = self._outputs.check(out, activation, inputs)
        for leaf, array in zip(leaves, arrays, strict=True):
            activation.place(leaf, array)

    def _fail(self, frame: Frame) -> None:
        """Raises the error of the instruction at which the program failed, if nothing can be done about it."""
        if isinstance(frame.step, Arith) and frame.memory[PC] < self._table.body:
            store_large_sizes(self._program, frame.slots)
            return
        raise self._failure(frame.step, frame.slots.tolist())

    def _failure(self, step: Instruction, values: list[int]) -> RelaxError:
        if isinstance(step, Check | CheckTrue):
            return step.failure(values).at(step.span)
        if isinstance(step, Arith):
            return arithmetic_failure(self._program, step, values)
        raise InternalError(f"{self._program.name}: {step} cannot fail")

    # ----------------------------------------------------------------------------------------------- steps of the body

    def _do_step(self, frame: Frame) -> None:
        pc = int(frame.memory[PC])
        match step := frame.step:
            case CallFunction():
                executable = step.callee.executable
                _require_same_leaves(step, executable.program)
                self._table.link(pc, executable.link())
                return  # compiled code makes the call now
            case Allocate(leaf=leaf):
                Activation(frame).place(leaf, new_array(self._program, frame.slots, leaf, step.span, is_late=True))
            case HostCall():
                self._call_host(frame, step)
            case _:
                raise InternalError(f"{self._program.name}: {step} does not leave compiled code")
        frame.memory[PC] = self._table.next_pc(pc)

    def _recursion_error(self, frame: Frame) -> RecursionError:
        assert isinstance(frame.step, CallFunction)
        limit = f"Python's limit of {sys.getrecursionlimit()} (sys.setrecursionlimit)"
        return RecursionError(f"{frame.step.name} calls itself more deeply than {limit} allows")

    def _call_host(self, frame: Frame, step: HostCall) -> None:
        """Calls a Python function; what it raises is noted with the user's line, and otherwise as it is."""
        activation = Activation(frame)
        outputs = [activation.view(leaf, is_writable=True) for leaf in step.outputs]
        try:
            value = step.function(*map(activation.value, step.args), *outputs)
        except Exception as error:
            _note(error, step.name, self._program, step.span)
            raise
        if step.results is not None:
            _ResultReader(step).check(step.results, value)
            activation.store_result(step.results, value)


def _note(error: BaseException, name: str, program: Program, span: Span | None) -> None:
    """Says with the error which line has called the function; an error that takes no notes stays as it is.

    A program that is nothing but the call of a kernel is not the user's.
    """
    if program.declaration.is_kernel:
        return
    at = "" if span is None else f" ({span})"
    note = f"{name} is called by {program.name}{at}"
    with suppress(Exception):
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def _require_same_leaves(step: CallFunction, callee: Program) -> None:
    """Raises InternalError unless arguments and results are, leaf by leaf, what the callee takes and gives."""
    sides = ((step.args, callee.arguments), ((step.results,), (callee.output,)))
    for own, others in sides:
        if list(map(_kind, _all_leaves(own))) != list(map(_kind, _all_leaves(others))):
            raise InternalError(f"{step.name} is called on {own}, but is made for {others}")


def _all_leaves(trees: tuple[Tree, ...]) -> list[Leaf]:
    return [leaf for tree in trees for leaf in leaves_of(tree)]


def _kind(leaf: Leaf) -> tuple[object, ...]:
    return type(leaf), getattr(leaf, "dtype", None), len(slots_of(leaf))


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
            raise self._error(ShapeError, f"{path}: expected {what} of {length}, got {counted(len(value), 'item')}")

    def _check_array(self, path: str, leaf: TensorLeaf, value: Any) -> None:
        if not isinstance(value, np.ndarray | np.generic):
            raise self._error(DTypeError, f"{path}: expected an array, got {type(value).__name__}")
        if isinstance(value, np.ndarray) and not is_plain(value):
            raise self._error(DTypeError, f"{path}: expected a plain array, got {type(value).__name__}")
        if value.dtype.newbyteorder("=") != leaf.dtype:
            raise self._error(DTypeError, f"{path}: expected dtype {leaf.dtype}, got {value.dtype.name}")
        if value.ndim != len(leaf.sizes):
            expected = f"{len(leaf.sizes)} {'axis' if len(leaf.sizes) == 1 else 'axes'}"
            raise self._error(ShapeError, f"{path}: expected {expected}, got {value.ndim}: shape {value.shape}")

    def _check_int(self, path: str, value: Any) -> None:
        try:
            number = index(value)
        except TypeError:
            number = None
        if number is None or isinstance(value, bool):
            raise self._error(DTypeError, f"{path}: expected an integer, got {type(value).__name__}")
        if not -(2**63) <= number < 2**63:
            raise self._error(ShapeError, f"{path}: {number} does not fit 64 bits")

    def _error(self, kind: type[RelaxError], what: str) -> RelaxError:
        step = self._step
        return kind(f"{step.subject or f'packed function {step.name}'}: {what}", span=step.span)
