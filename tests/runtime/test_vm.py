"""The compiled interpreter, instruction by instruction, against Python."""

from __future__ import annotations

import numpy as np
import pytest
from hand_built import PythonKernel
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.errors import InternalError
from relaxdsl.runtime.encoding import (
    ARITHMETIC,
    FAILED,
    FIRST_PC,
    LEFT,
    RELATIONS,
    STATUS_BITS,
    STATUS_MASK,
    STOPPED,
    encode,
)
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.held import held_by
from relaxdsl.runtime.machine import run_table
from relaxdsl.runtime.program import (
    Allocate,
    Arith,
    Branch,
    CallKernel,
    Check,
    CheckTrue,
    Instruction,
    Jump,
    Program,
    Slot,
    TensorLeaf,
    TupleTree,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-20, 20)


def program(body: list[Instruction], slot_count: int = 8) -> Program:
    return Program("p", tuple(Slot(f"s{i}") for i in range(slot_count)), (), TupleTree(()), (), tuple(body))


def run(body: list[Instruction], *values: int) -> tuple[int, Instruction | None, list[int]]:
    """The status, the instruction it stopped at, and the slots."""
    built = program(body)
    table = encode(built, held_by(built))
    slots = np.zeros(table.slot_count + table.gathered_count, np.int64)
    slots[: len(values)] = values
    stopped = run_table(address_of(slots), address_of(table.words), table.body, 0)
    where = table.instructions.get(stopped >> STATUS_BITS)
    return stopped & STATUS_MASK, where, slots.tolist()


@settings(max_examples=60, deadline=None)
@given(left=INT64 | SMALL, right=INT64 | SMALL)
def test_arithmetic_is_pythons(left: int, right: int) -> None:
    expected = {"add": left + right, "sub": left - right, "mul": left * right}
    expected |= {"min": min(left, right), "max": max(left, right)}
    if right != 0:
        expected["floordiv"] = left // right
    if right > 0 and right & (right - 1) == 0:
        expected["align"] = -(-left // right) * right
    for op, value in expected.items():
        status, _, slots = run([Arith(op, 2, 0, 1)], left, right)
        fits = -(2**63) <= (left + right - 1 if op == "align" else value) < 2**63
        assert (status, slots[2]) == ((STOPPED, value) if fits else (FAILED, 0)), op
    assert set(expected) | {"floordiv", "align"} == set(ARITHMETIC)


@settings(max_examples=60, deadline=None)
@given(left=INT64 | SMALL, right=INT64 | SMALL)
def test_relations(left: int, right: int) -> None:
    expected = {"equal": left == right, "at_least": left >= right, "divisible": right != 0 and left % right == 0}
    for relation, holds in expected.items():
        check = Check(relation, 0, 1, InternalError)
        status, where, _ = run([check], left, right)
        assert (status, where) == ((STOPPED, None) if holds else (FAILED, check)), relation
    assert set(expected) == set(RELATIONS)


def test_division_by_zero_fails_at_its_instruction() -> None:
    division = Arith("floordiv", 3, 0, 1)
    status, where, slots = run([Arith("add", 2, 0, 0), division], 7, 0)
    assert (status, where, slots[2:4]) == (FAILED, division, [14, 0])


@pytest.mark.parametrize("truth", [0, 1])
def test_flags(truth: int) -> None:
    flag = np.array([truth], np.uint8)
    check = CheckTrue(0, InternalError)
    assert run([check], address_of(flag))[:2] == ((STOPPED, None) if truth else (FAILED, check))
    body = [Branch(0, 3), Arith("add", 1, 2, 2), Jump(4), Arith("sub", 1, 1, 2)]
    assert run(body, address_of(flag), 0, 5)[2][1] == (10 if truth else -5)


def test_jumps_count_instructions_not_words() -> None:
    calls: list[list[int]] = []

    def note(args: object, lo: int, hi: int) -> None:
        calls.append([args[0], args[1], args[2], lo, hi])

    kernel = PythonKernel(note)
    body = [Jump(2), Arith("add", 0, 0, 0), CallKernel(kernel, (0, 1, 2), 1), Jump(5), Arith("add", 0, 0, 0)]
    body.append(CallKernel(kernel, (2, 2, 2), 3))
    status, _, slots = run(body, 10, 20, 30)
    assert (status, slots[0]) == (STOPPED, 10)
    assert calls == [[10, 20, 30, 0, 20], [30, 30, 30, 0, 0]]


def test_leaving_says_where() -> None:
    step = Allocate(TensorLeaf("t", "int8", 4, ()))
    assert run([Arith("add", 0, 0, 0), step, Arith("add", 0, 0, 0)], 1)[:2] == (LEFT, step)


def test_constants_must_not_be_overwritten() -> None:
    wrong = Program("p", (Slot("one", 1),), (), TupleTree(()), (Arith("add", 0, 0, 0),), ())
    with pytest.raises(InternalError) as caught:
        encode(wrong, held_by(wrong))
    assert str(caught.value) == "p: an instruction overwrites the constant slot one"


def test_the_prologue_starts_the_table() -> None:
    empty = program([])
    table = encode(empty, held_by(empty))
    assert (table.prologue, table.body, table.words.tolist()) == (FIRST_PC, FIRST_PC + 4, [8] + [0] * 8)
