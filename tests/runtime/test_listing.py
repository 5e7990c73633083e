"""Programs as text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_built import Builder, elementwise

import relaxdsl as relax
from relaxdsl.errors import InternalError, Span
from relaxdsl.runtime.activation import Activation
from relaxdsl.runtime.binding import slot_at
from relaxdsl.runtime.encoding import FAILED, LEFT
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.frame import PC, frame_at
from relaxdsl.runtime.listing import format_program
from relaxdsl.runtime.program import (
    Allocate,
    Branch,
    CallFunction,
    CheckTrue,
    CountThreads,
    HostCall,
    IntLeaf,
    Jump,
    Program,
    Sharing,
    Slot,
    TensorLeaf,
    TupleTree,
)
from relaxdsl.types.dims import dims, symbol
from relaxdsl.types.match import Source
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType

M = dims("m")


def test_every_instruction() -> None:
    params = [
        ("x", TensorType((M, 4), "float32")),
        ("y", TensorType((2 * symbol("n", lower=1),), "bool")),
        ("k", PrimType("int64")),
        ("s", ShapeType((M,))),
        ("how", AnyType()),
    ]
    builder = Builder("demo", params, TensorType((M * 4,), "float32"))
    x, y, k, s, how = builder.arguments
    out = builder.output
    weights = builder.constant(np.ones(4), "weights")
    builder.workspace(16 * M)
    builder.call(elementwise(lambda x: x, "float32", name="copy"), [x, weights, out], M * 4, M)
    builder.body[0] = replace(builder.body[0], span=Span("/somewhere/demo.py", 14, 1, 14, 2))
    builder.body += [
        CheckTrue(y.pointer, InternalError),
        Branch(y.pointer, 4),
        Jump(5),
        Allocate(out),
        HostCall("shuffle", print, (x, TupleTree((s, how))), k),
        HostCall("log", print, (out,), None),
        CallFunction("again", lambda: None, (x, TupleTree((s, how))), TupleTree((out, k))),
    ]
    assert format_program(builder.program()).splitlines() == EXPECTED.splitlines()


def test_shared_calls() -> None:
    builder = Builder("demo", [("x", TensorType((M,), "float32"))], TensorType((M,), "float32"))
    (x,) = builder.arguments
    thread_count = builder.slots.add("threads")
    builder.prologue.append(CountThreads(thread_count))
    builder.call(elementwise(lambda x: x, "float32", name="copy"), [x, builder.output], M)
    work = builder.dims.slot_of(M * 3)
    builder.body[0] = replace(builder.body[0], sharing=Sharing(work, thread_count, builder.slots.constant(4)))
    lines = format_program(builder.program()).splitlines()
    assert "     1  threads = number of threads" in lines
    assert lines[-1] == "     0  call copy(x, out) over m, work m * 3"


EXPECTED = """\
program demo(x: float32(m, x.shape[1]), y: bool(y.shape[0],), k, (s.shape[0],), how) -> out: float32(out.shape[0],)
slots
     0  workspace
     1  workspace_bytes
     2  x
     3  m
     4  x.shape[1]
     5  y
     6  y.shape[0]
     7  k
     8  s.shape[0]
     9  out
    10  out.shape[0]
    11  2
    12  n
    13  1
    14  4
    15  m * 4
    16  0
    17  weights (constant)
    18  16
    19  m * 16
prologue
     0  check y.shape[0] % 2 == 0
     1  n = y.shape[0] // 2
     2  check n >= 1
     3  check x.shape[1] == 4
     4  check s.shape[0] == m
     5  m * 4 = 4 * m
     6  out.shape[0] = m * 4
     7  m * 16 = 16 * m
     8  workspace_bytes = m * 16
body
     0  call copy(x, weights, out, m) over m * 4   # demo.py:14
     1  check y
     2  if not y go to 4
     3  go to 5
     4  allocate out: float32(out.shape[0],)
     5  k = host shuffle(x: float32(m, x.shape[1]), ((s.shape[0],), how))
     6  host log(out: float32(out.shape[0],))
     7  (out: float32(out.shape[0],), k) = function again(x: float32(m, x.shape[1]), ((s.shape[0],), how))"""


# ---------------------------------------------------------------------------------------------------- own defects


def empty(*arguments: TensorLeaf, slot_count: int = 6) -> Program:
    return Program("p", tuple(Slot(f"s{i}") for i in range(slot_count)), arguments, TupleTree(()), (), ())


def test_sizes_that_do_not_follow_their_pointer() -> None:
    program = empty(TensorLeaf("x", "int8", 2, (4,)))
    with pytest.raises(InternalError) as caught:
        Executable(program, ()).prepare()
    assert str(caught.value) == "the sizes of x do not follow its pointer"


def test_the_assistant_checks_the_vm() -> None:
    executable = Executable(empty(), ())
    frame, body = frame_at(executable._make_frame()), executable._table.body
    frame.memory[PC] = body
    executable._table.instructions[body] = Jump(0)
    for reason, message in [(FAILED, "cannot fail"), (LEFT, "does not leave compiled code")]:
        with pytest.raises(InternalError) as caught:
            executable._assistant(frame.address, reason)
        assert str(caught.value) == f"p: Jump(target=0) {message}"


def test_a_pointer_into_nothing() -> None:
    executable = Executable(empty(), ())
    frame = frame_at(executable._make_frame())
    with pytest.raises(InternalError) as caught:
        Activation(frame).value(TensorLeaf("x", "int8", 2, ()))
    assert str(caught.value) == "p: x points to no memory of the call"


def test_sources_without_a_slot() -> None:
    for tree, path in [(IntLeaf("k", 2), (1,)), (IntLeaf("k", 2), ())]:
        source = Source(0, path, 0)
        with pytest.raises(InternalError) as caught:
            slot_at([tree], source)
        assert str(caught.value) == f"{source}: no {'tuple' if path else 'size'} at {tree}"
    assert slot_at([TupleTree((IntLeaf("k", 2),))], Source(0, (0,), None)) == 2


def test_a_check_that_the_plan_passes() -> None:
    builder = Builder("f", [("x", TensorType((symbol("b", lower=1),), "int8"))], PrimType("int64"))
    with pytest.raises(InternalError) as caught:
        raise builder.prologue[0].failure([5] * 9)  # type: ignore[union-attr]
    assert str(caught.value) == "f: a check failed that the binding plan passes"


@relax.function
def of_all_kinds(x: relax.Tensor[("n", 4), "float32"], y: relax.Tensor[("2 * n",), "float32"]):
    found = relax.unique(y)
    cast = relax.match_cast(x + 1, relax.Tensor[("k", 4), "float32"])
    if relax.sum(found) > 0:
        chosen = relax.exp(cast)
    else:
        chosen = cast
    return relax.nn.softmax(chosen), x, found * 2


def test_steps_say_where_in_the_users_source_they_come_from() -> None:
    """Kernels, checks, allocations, branches and steps in Python do; arithmetic on sizes belongs to no single line."""
    steps = [
        line.split(maxsplit=1)[1] for line in of_all_kinds.lower()["vm"].splitlines() if line[:6].strip().isdigit()
    ]
    kinds = ("call ", "check ", "allocate ", "if not ", "found: ")
    for kind in kinds:
        placed = ["# test_listing.py:" in step for step in steps if step.startswith(kind)]
        assert placed, f"the program has no {kind}"
        assert all(placed), kind
    assert any("host unique" in step for step in steps)
