"""A program as the VM reads it: one int64 table. Here are the opcodes and how an instruction becomes numbers.

``table[0]`` is the slot where a kernel's arguments are gathered. Then come the prologue and the body, each ended by
``STOP``. Most instructions take four words, ``opcode target left right``; others take more::

    CALL           address extent count slot…
    SHARED_CALL    address extent count work threads per_thread scratch_count slot… scratch_bytes…
    ALLOCATE       dtype number, count of sizes, pointer slot, place among the held objects, bytes of an element,
                   size slot…
    CALL_FUNCTION  state address, count a, count b, count c, count d, then
                   a argument slots, b places of objects in arguments, c result slots, d places of results

The address of a function's state is 0 until its first call links it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import chain

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.runtime.held import Held
from relaxdsl.runtime.program import (
    Allocate,
    Arith,
    Branch,
    CallFunction,
    CallKernel,
    Check,
    CheckTrue,
    CountThreads,
    HostCall,
    Instruction,
    Jump,
    ObjectLeaf,
    Program,
    Sharing,
    TensorLeaf,
    leaves_of,
    value_slots,
)

STOP, CALL, LEAVE, BRANCH, JUMP, SHARED_CALL, COUNT_THREADS, ALLOCATE, CALL_FUNCTION = range(9)
ADD, SUB, MUL, MIN, MAX, FLOORDIV, ALIGN = range(9, 16)
CHECK_TRUE, CHECK_EQUAL, CHECK_AT_LEAST, CHECK_DIVISIBLE = range(16, 20)

ARITHMETIC = {"add": ADD, "sub": SUB, "mul": MUL, "floordiv": FLOORDIV, "min": MIN, "max": MAX, "align": ALIGN}
RELATIONS = {"equal": CHECK_EQUAL, "at_least": CHECK_AT_LEAST, "divisible": CHECK_DIVISIBLE}

# `run` returns `pc << STATUS_BITS | status`: why it stopped, and at which word of the table.
STATUS_BITS = 2
STATUS_MASK = (1 << STATUS_BITS) - 1
STOPPED, LEFT, FAILED, LATE = range(4)

PLAIN_WIDTH = 4
CALL_WIDTH = 4
SHARED_CALL_WIDTH = 8
ALLOCATE_WIDTH = 6
CALL_FUNCTION_WIDTH = 6
FIRST_PC = 1


@dataclass(frozen=True, slots=True)
class Table:
    """An encoded program: the words, where its two parts start, and the instruction at each word."""

    words: np.ndarray
    prologue: int
    body: int
    instructions: dict[int, Instruction]
    slot_count: int
    gathered_count: int
    address: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", self.words.ctypes.data)

    def next_pc(self, pc: int) -> int:
        """The word after the instruction at ``pc``."""
        return pc + _step_width(self.instructions[pc])

    def link(self, pc: int, state: int) -> None:
        """Tells the call of a function at ``pc`` where that function's state is."""
        self.words[pc + 1] = state


def encode(program: Program, held: Held) -> Table:
    """The table of ``program``; asks every kernel for its address, so the kernels get compiled here."""
    _check_targets(program)
    slot_count = len(program.slots)
    body = FIRST_PC + _width(program.prologue) + PLAIN_WIDTH
    words = [slot_count, *_encode_part(program.prologue, FIRST_PC, held), *_encode_part(program.body, body, held)]
    instructions = {**_places(program.prologue, FIRST_PC), **_places(program.body, body)}
    gathered = max(map(_gathered_count, program.body), default=0)
    return Table(np.array(words, np.int64), FIRST_PC, body, instructions, slot_count, gathered)


def _gathered_count(step: Instruction) -> int:
    """How many words the VM, or the driver, lists in a row for an instruction."""
    match step:
        case CallKernel(args=args):
            return len(args)
        case Allocate(leaf=leaf):
            return len(leaf.sizes)
        case _:
            return 0


def _encode_part(part: Sequence[Instruction], start: int, held: Held) -> list[int]:
    """The words of a prologue or body that starts at word ``start``, with its ``STOP``."""
    targets = [*_pcs(part, start), start + _width(part)]
    words: list[int] = []
    for step in part:
        words += _encode_step(step, targets, held)
    return [*words, STOP, 0, 0, 0]


def _encode_step(step: Instruction, targets: Sequence[int], held: Held) -> list[int]:
    match step:
        case CallKernel():
            return _encode_call(step)
        case CountThreads():
            return [COUNT_THREADS, step.target, 0, 0]
        case Arith():
            return [ARITHMETIC[step.op], step.target, step.left, step.right]
        case Check():
            return [RELATIONS[step.relation], 0, step.left, step.right]
        case CheckTrue():
            return [CHECK_TRUE, 0, step.pointer, 0]
        case Branch():
            return [BRANCH, step.pointer, targets[step.target], 0]
        case Jump():
            return [JUMP, targets[step.target], 0, 0]
        case Allocate(leaf=leaf):
            place = held.arrays[leaf.pointer]
            dtype = np.dtype(leaf.dtype)
            return [ALLOCATE, dtype.num, len(leaf.sizes), leaf.pointer, place, dtype.itemsize, *leaf.sizes]
        case CallFunction():
            return _encode_function_call(step, held)
        case HostCall():
            return [LEAVE, 0, 0, 0]


def _encode_call(step: CallKernel) -> list[int]:
    call = [step.kernel.address, step.extent, len(step.args)]
    if step.sharing is None:
        return [CALL, *call, *step.args]
    sharing = step.sharing
    scratch_bytes = sharing.scratch_bytes
    slots = (sharing.work, sharing.threads, sharing.per_thread)
    return [SHARED_CALL, *call, *slots, len(scratch_bytes), *step.args, *scratch_bytes]


def _encode_function_call(step: CallFunction, held: Held) -> list[int]:
    lists = _function_call_lists(step, held)
    return [CALL_FUNCTION, 0, *map(len, lists), *chain.from_iterable(lists)]


def _function_call_lists(step: CallFunction, held: Held) -> tuple[list[int], ...]:
    """The slots of the arguments, the places of objects among them, the slots and the places of the results."""
    leaves = [leaf for tree in step.args for leaf in leaves_of(tree)]
    return (
        [slot for tree in step.args for slot in value_slots(tree)],
        list(held.places(leaf for leaf in leaves if isinstance(leaf, ObjectLeaf))),
        list(value_slots(step.results)),
        list(held.places(leaves_of(step.results))),
    )


def _pcs(part: Sequence[Instruction], start: int) -> Iterator[int]:
    """The word at which each instruction starts."""
    for step in part:
        yield start
        start += _step_width(step)


def _places(part: Sequence[Instruction], start: int) -> dict[int, Instruction]:
    return dict(zip(_pcs(part, start), part, strict=True))


def _width(part: Sequence[Instruction]) -> int:
    return sum(map(_step_width, part))


def _step_width(step: Instruction) -> int:
    match step:
        case CallKernel(sharing=None):
            return CALL_WIDTH + len(step.args)
        case CallKernel(sharing=Sharing(scratch_bytes=scratch_bytes)):
            return SHARED_CALL_WIDTH + len(step.args) + len(scratch_bytes)
        case Allocate(leaf=leaf):
            return ALLOCATE_WIDTH + len(leaf.sizes)
        case CallFunction(args=args, results=results):
            trees = (*args, results)
            objects = sum(isinstance(leaf, ObjectLeaf) for tree in args for leaf in leaves_of(tree))
            held = sum(isinstance(leaf, TensorLeaf | ObjectLeaf) for leaf in leaves_of(results))
            return CALL_FUNCTION_WIDTH + sum(len(value_slots(tree)) for tree in trees) + objects + held
        case _:
            return PLAIN_WIDTH


# --------------------------------------------------------------------------------------------------- what gets written


def written_slots(step: Instruction) -> tuple[int, ...]:
    """The slots an instruction writes."""
    match step:
        case Arith() | CountThreads():
            return (step.target,)
        case Allocate():
            return (step.leaf.pointer,)
        case CallFunction(results=results):
            return value_slots(results)
        case HostCall() if step.results is not None:
            return value_slots(step.results)
        case _:
            return ()


def _check_targets(program: Program) -> None:
    """Constants stay constant: frames keep their slots between calls, so nothing may overwrite an initial value."""
    for step in (*program.prologue, *program.body):
        for slot in written_slots(step):
            if program.slots[slot].initial != 0:
                name = program.slots[slot].name
                raise InternalError(f"{program.name}: an instruction overwrites the constant slot {name}")
