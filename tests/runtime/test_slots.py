"""Sizes in slots: compiled dims agree with evaluated ones, and nothing is computed twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.errors import InternalError
from relaxdsl.runtime.encoding import STATUS_MASK, STOPPED, encode
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.held import held_by
from relaxdsl.runtime.machine import run_table
from relaxdsl.runtime.program import Arith, Instruction, IntLeaf, ObjectLeaf, Program, ShapeLeaf, TensorLeaf, TupleTree
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.types.dims import Dim, dim_max, dim_min, dims, evaluate, symbol
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType

NAMES = ("a", "b", "c")
A, B, C = dims("a b c")


def grow(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda pair: pair[0] + pair[1]),
        pairs.map(lambda pair: pair[0] - pair[1]),
        pairs.map(lambda pair: pair[0] * pair[1]),
        pairs.map(lambda pair: dim_min(*pair)),
        pairs.map(lambda pair: dim_max(*pair)),
        st.tuples(inner, st.integers(1, 7)).map(lambda pair: pair[0] // pair[1]),
        st.tuples(inner, st.integers(1, 7)).map(lambda pair: pair[0] % pair[1]),
        inner.map(lambda dim: 100 // (dim_max(dim, 0) + 1)),
    )


DIMS = st.recursive(st.sampled_from([A, B, C]) | st.integers(-3, 9), grow, max_leaves=6)


def compiler() -> DimCompiler:
    slots = SlotAllocator()
    dims = DimCompiler(slots, [])
    for name in NAMES:
        dims.bind(name, slots.add(name))
    return dims


def run(dims: DimCompiler, values: dict[str, int]) -> list[int]:
    """All slots, once the steps ran."""
    program = Program("p", dims.slots.slots(), (), TupleTree(()), tuple(dims.steps), ())
    table = encode(program, held_by(program))
    slots = np.array([slot.initial for slot in program.slots])
    for name, value in values.items():
        slots[dims.symbols()[name]] = value
    stopped = run_table(address_of(slots), address_of(table.words), table.prologue, 0)
    assert stopped & STATUS_MASK == STOPPED
    return slots.tolist()


@settings(max_examples=150, deadline=None)
@given(st.lists(DIMS, min_size=1, max_size=4), st.tuples(*[st.integers(0, 30)] * 3))
def test_compiled_dims_agree_with_evaluated_ones(wanted: list[Dim], numbers: tuple[int, ...]) -> None:
    dims, values = compiler(), dict(zip(NAMES, numbers, strict=True))
    places = [dims.slot_of(dim) for dim in wanted]
    slots = run(dims, values)
    assert [slots[place] for place in places] == [evaluate(dim, values) for dim in wanted]


def steps(dims: DimCompiler) -> list[str]:
    name = dims.slots.name_of
    return [f"{step.op} {name(step.left)} {name(step.right)}" for step in dims.steps if isinstance(step, Arith)]


def test_common_parts_are_shared() -> None:
    dims = compiler()
    slot = dims.slot_of(A * B * C)
    assert dims.slot_of(A * B * C) == slot
    dims.slot_of(A * B)
    dims.slot_of(A * B * 2 - C)
    assert steps(dims) == ["mul a b", f"mul {A * B} c", f"mul 2 {A * B}", f"sub {A * B * 2} c"]
    before = len(dims.steps)
    assert dims.slot_of(5) == dims.slot_of(5)
    assert dims.slot_of(A) == dims.symbols()["a"]
    assert len(dims.steps) == before


def test_assign() -> None:
    dims = compiler()
    target = dims.slots.add("size")
    dims.assign(A + 1, target)
    assert run(dims, {"a": 6})[target] == 7


def test_what_can_be_computed_earlier_is() -> None:
    early = compiler()
    late = DimCompiler(early.slots, [], earlier=early)
    late.bind("u", early.slots.add("u"))
    u = symbol("u")
    late.slot_of(A * B)
    late.slot_of(u * A * B)
    assert len(early.steps) == 1
    assert len(late.steps) == 2
    assert [early.can_compute(A * B), early.can_compute(u), late.can_compute(u * A)] == [True, False, True]


def test_a_branch_forgets_what_it_computed() -> None:
    dims: DimCompiler = compiler()
    outside: list[Instruction] = dims.steps
    with dims.branch():
        first = dims.slot_of(A * B)
    assert dims.slot_of(A * B) != first
    assert len(outside) == 2


def test_an_unbound_symbol() -> None:
    with pytest.raises(InternalError) as caught:
        compiler().slot_of(symbol("z") + 1)
    assert str(caught.value) == "symbol z is used before it is bound"


def test_trees() -> None:
    slots = SlotAllocator()
    kind = TupleType((TensorType((A, 3), "int8"), ShapeType((A,)), PrimType("int64"), AnyType(), TupleType()))
    assert slots.tree("t", kind) == TupleTree(
        (
            TensorLeaf("t[0]", "int8", 2, (3, 4)),
            ShapeLeaf("t[1]", (5,)),
            IntLeaf("t[2]", 6),
            ObjectLeaf("t[3]", 0),
            TupleTree(()),
        )
    )
    names = [slot.name for slot in slots.slots()]
    assert names[:5] == ["workspace", "workspace_bytes", "t[0]", "t[0].shape[0]", "t[0].shape[1]"]


@pytest.mark.parametrize("kind", [TensorType(None, "int8"), PrimType("float32"), ShapeType()])
def test_types_without_slots(kind: TensorType | PrimType | ShapeType) -> None:
    with pytest.raises(InternalError) as caught:
        SlotAllocator().tree("x", kind)
    assert str(caught.value) == f"x: a value of type {kind} has no slots"
