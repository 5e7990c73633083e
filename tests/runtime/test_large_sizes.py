"""Sizes that do not fit 64 bits, and tensors that do not fit memory: what the call says, or that it goes on."""

from __future__ import annotations

import numpy as np
import pytest
from hand_built import Builder

import relaxdsl as relax
from relaxdsl.errors import ArgumentError, ShapeError, Span
from relaxdsl.runtime import assist
from relaxdsl.runtime.large_sizes import store_large_sizes
from relaxdsl.runtime.program import Allocate, Check, HostCall, Program
from relaxdsl.runtime.slots import DimCompiler
from relaxdsl.types.types import TensorType

m, n, k, u, z = relax.dims("m n k u z")


@relax.function
def table(c: relax.Prim["int64"]):
    ones = relax.zeros((c, c), "float32") + 1
    return relax.sum(ones / relax.max(ones), axis=1)


@relax.function
def outer(x: relax.Tensor[(m, 0), "float32"], y: relax.Tensor[(n, 0), "float32"]):
    a = x @ y.T
    return relax.sum(a / relax.max(a))


@relax.function
def square(x: relax.Tensor[(m, 0), "int8"], y: relax.Tensor[(m * m,), "int8"]):
    return y + 1


@relax.function
def reshaped(x: relax.Tensor[(m, 0), "int8"]):
    return relax.reshape(x, (m * m, 0))


@relax.function
def one_more(c: relax.Prim["int64"]):
    return relax.ones((c + 1,), "float32")


@relax.function
def thrice(x: relax.Tensor[(m, 0), "float32"]):
    return relax.concat([x, x, x])


@relax.function
def products(x: relax.Tensor[(z, m, k), "int16"], y: relax.Tensor[(z, k, n), "int16"]):
    return relax.astype(x, "int32") @ relax.astype(y, "int32")


def needs(workspace: int, outputs: int) -> str:
    return f"not enough memory: a call needs {workspace:,} bytes of workspace and {outputs:,} of outputs"


def empty(*shape: int, dtype: str = "int8") -> np.ndarray:
    return np.empty(shape, dtype)


@pytest.mark.parametrize("count", [2**31, 2**32 + 1, 2**40])
def test_a_workspace_that_does_not_fit_64_bits(count: int) -> None:
    with pytest.raises(MemoryError) as caught:
        table(count)
    workspace = table.memory_plan().workspace_bytes(c=count)
    assert str(caught.value) == f"table: {needs(workspace, 4 * count)}, for c = {count}"
    assert table(3).tolist() == [3, 3, 3]
    rows = empty(count, 0, dtype="float32")
    with pytest.raises(MemoryError) as caught:
        outer(rows, rows)
    workspace = outer.memory_plan().workspace_bytes(m=count, n=count)
    assert str(caught.value) == f"outer: {needs(workspace, 4)}, for m = {count}, n = {count}"


def test_an_output_that_does_not_fit_64_bits() -> None:
    with pytest.raises(MemoryError) as caught:
        one_more(2**63 - 1)
    assert str(caught.value) == f"one_more: {needs(0, 2**65)}, for c = {2**63 - 1}"


def lines(text: str, mark: str) -> str:
    """Where this file has the text: what an error shows under its headline."""
    with open(__file__) as file:
        rows = file.read().splitlines()
    number = next(place for place, row in enumerate(rows, 1) if text in row)
    column, row = rows[number - 1].index(mark), rows[number - 1]
    margin = " " * len(str(number))
    caret = f"{margin} | {' ' * column}{'^' * len(mark)}"
    return f"{margin} --> test_large_sizes.py:{number}:{column + 1}\n{margin} |\n{number} | {row}\n{caret}"


def test_sizes_are_compared_as_they_are() -> None:
    with pytest.raises(ArgumentError) as caught:
        square(empty(2**32, 0), empty(0))
    headline = f"square: argument y, axis 0: expected {2**64} (m * m), got 0"
    where = lines("def square(", 'y: relax.Tensor[(m * m,), "int8"]')
    assert str(caught.value) == f"{headline}\n{where}\n   m = {2**32} is bound by argument x, axis 0"


def test_empty_tensors_with_large_sizes() -> None:
    with pytest.raises(ShapeError) as caught:
        reshaped(empty(2**32, 0))
    where = lines("return relax.reshape(x, (m * m", "relax.reshape(x, (m * m, 0))")
    too_large = f"reshaped: the size m * m is {2**64}, which does not fit 64 bits, for m = {2**32}"
    assert str(caught.value) == f"{too_large}\n{where}"
    with pytest.raises(ShapeError) as caught:
        thrice(empty(2**60, 0, dtype="float32"))
    tensor = f"float32 of shape ({3 * 2**60}, 0)"
    expected = f"thrice: NumPy has no array of {tensor}: without the zeros, its bytes would not fit 64 bits"
    assert str(caught.value) == expected


def test_a_call_goes_on_where_only_its_work_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def store(program: Program, slots: np.ndarray) -> None:
        names.append(program.name)
        store_large_sizes(program, slots)

    monkeypatch.setattr(assist, "store_large_sizes", store)
    x, y = empty(0, 2**20, 2**24, dtype="int16"), empty(0, 2**24, 2**24, dtype="int16")
    assert products(x, y).shape == (0, 2**20, 2**24)
    assert names == ["products"]


def test_sizes_that_are_known_when_compiling() -> None:
    @relax.function
    def constant(x: relax.Tensor[(m,), "float32"]):
        return relax.zeros((4294967296, 1073741824), "float32") + relax.sum(x)

    @relax.function
    def three(x: relax.Tensor[(2**62, 0), "int8"]):
        return relax.reshape(x, (0, 2**62 * 3))

    with pytest.raises(ShapeError) as caught:
        constant(np.ones(3, "float32"))
    tensor = "float32 of shape (4294967296, 1073741824)"
    expression = 'relax.zeros((4294967296, 1073741824), "float32") + relax.sum(x)'
    where = lines("return relax.zeros((4294", expression)
    assert str(caught.value) == f"constant: {tensor} needs {2**64:,} bytes, more than any memory\n{where}"
    with pytest.raises(ShapeError) as caught:
        three(empty(2**62, 0))
    where = lines("return relax.reshape(x, (0, 2**62", "relax.reshape(x, (0, 2**62 * 3))")
    assert str(caught.value) == f"a size here comes to {3 * 2**62}, which does not fit 64 bits\n{where}"


def test_a_late_tensor_that_does_not_fit_memory() -> None:
    @relax.function
    def squares(x: relax.Tensor[(m,), "float32"]):
        u = relax.unique(x)
        return u, relax.outer(u, u)

    count = 4_000_000
    with pytest.raises(MemoryError) as caught:
        squares(np.arange(count, dtype="float32"))
    line = lines("return u, relax.outer", "relax.outer(u, u)").splitlines()[0].split("--> ")[1]
    tensor = f"float32 of shape ({count}, {count}), which depends on data, needs {4 * count**2:,} bytes"
    assert str(caught.value) == f"squares: not enough memory: {tensor} ({line})"


def test_a_late_size_that_does_not_fit_64_bits() -> None:
    builder = Builder("f", [("x", TensorType((m,), "int8"))], TensorType((3 * u, 0), "int8"))
    found = builder.slots.tree("found", TensorType((u, 0), "int8"))
    builder.body.append(HostCall("big", lambda x: empty(2**62, 0), tuple(builder.arguments), found))
    late = DimCompiler(builder.slots, builder.body, earlier=builder.dims)
    late.bind("u", found.sizes[0])
    late.assign(3 * u, builder.output.sizes[0])
    with pytest.raises(ShapeError) as caught:
        builder.executable()(empty(3))
    assert str(caught.value) == f"f: the size u * 3 is {3 * 2**62}, which does not fit 64 bits"


def test_the_copy_of_an_argument_that_does_not_fit_memory() -> None:
    @relax.function
    def add_one(x: relax.Tensor[(m,), "float32"]):
        return x + 1

    with pytest.raises(MemoryError) as caught:
        add_one(np.broadcast_to(np.float32(1), (2**50,)))
    needed = f"its copy in plain layout needs {2**52:,} bytes"
    assert str(caught.value) == f"add_one: argument x: not enough memory: {needed}"


def test_what_else_fails_after_a_size_that_does_not_fit() -> None:
    builder = Builder("f", [("x", TensorType((m, n), "int8"))], TensorType((m * m // n,), "int8"))
    with pytest.raises(ShapeError) as caught:
        builder.executable()(empty(2**32, 0))
    assert str(caught.value) == "f: a size divides by zero: m * m // n"

    builder = Builder("g", [("x", TensorType((m, 0), "int8"))], TensorType((m * m - m * m,), "int8"))
    large = builder.dims.slot_of(m * m + 1)
    for relation in ("at_least", "divisible"):
        builder.prologue.append(Check(relation, large, builder.slots.constant(3), lambda values: uneven(values[large])))
    with pytest.raises(ShapeError) as caught:
        builder.executable()(empty(2**32, 0))
    assert str(caught.value) == f"g: {2**64 + 1} is not a multiple of 3"


def uneven(size: int) -> ShapeError:
    return ShapeError(f"g: {size} is not a multiple of 3")


def test_a_late_tensor_that_numpy_refuses() -> None:
    builder = Builder("f", [("x", TensorType((m,), "int8"))], TensorType((u, 0), "float64"))
    found = builder.slots.tree("found", TensorType((u, 0), "int8"))
    late = DimCompiler(builder.slots, builder.body, earlier=builder.dims)
    builder.body.append(HostCall("big", lambda x: empty(2**62, 0), tuple(builder.arguments), found))
    late.bind("u", found.sizes[0])
    late.assign(u, builder.output.sizes[0])
    builder.body.append(Allocate(builder.output, Span("<here>", 3, 5, 3, 9)))
    with pytest.raises(ShapeError) as caught:
        builder.executable()(empty(3))
    what = f"float64 of shape ({2**62}, 0): without the zeros, its bytes would not fit 64 bits"
    assert str(caught.value) == f"f: NumPy has no array of {what}\n  --> <here>:3:5"
