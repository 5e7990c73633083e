"""Host calls: what Python functions get and return, and sizes that are known only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hand_built import Builder, elementwise

import relaxdsl as relax
from relaxdsl.errors import ArgumentError, DTypeError, RelaxError, ShapeError, Span
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Allocate, HostCall, ObjectLeaf, TensorLeaf, TupleTree
from relaxdsl.runtime.slots import DimCompiler
from relaxdsl.types.dims import dims
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType, Type

M, U = dims("m u")
VECTOR = TensorType((M,), "int64")


def unique_squared() -> Executable:
    """The squares of the distinct elements: a size that depends on the data, and a kernel on it."""
    builder = Builder("unique_squared", [("x", VECTOR)], TensorType((U,), "int64"))
    found = builder.slots.tree("found", TensorType((U,), "int64"))
    late = DimCompiler(builder.slots, builder.body, earlier=builder.dims)
    builder.body.append(HostCall("unique", np.unique, tuple(builder.arguments), found))
    late.bind("u", found.sizes[0])
    late.assign(U, builder.output.sizes[0])
    builder.body.append(Allocate(builder.output))
    builder.dims = late
    builder.call(elementwise(lambda x: x * x, "int64"), [found, builder.output], U)
    return builder.executable()


def test_a_size_that_depends_on_data() -> None:
    executable = unique_squared()
    np.testing.assert_array_equal(executable(np.array([3, 1, 3, 2, 1])), [1, 4, 9])
    assert executable(np.array([], np.int64)).shape == (0,)
    assert executable.program.leaves_compiled_code


def test_out_for_such_a_size() -> None:
    with pytest.raises(ArgumentError) as caught:
        unique_squared()(np.arange(3), out=np.empty(3, np.int64))
    assert str(caught.value) == "unique_squared: out: the size of this output is known only after the call"


def host(function: Callable[..., Any], result: Type = VECTOR, span: Span | None = None) -> Executable:
    """``function(x)``, returned as it is, which lowering does with numbers and objects only."""
    builder = Builder("f", [("x", VECTOR)], result)
    builder.body.append(HostCall("my.op", function, tuple(builder.arguments), builder.output, span))
    return builder.executable()


X = np.arange(4)


def test_results_are_returned() -> None:
    kind = TupleType((VECTOR, PrimType("int64"), ShapeType((M, M)), AnyType()))
    array, number, shape, label = host(lambda x: (x + 1, np.int64(3), [5, 6], "label"), kind)(X)
    np.testing.assert_array_equal(array, X + 1)
    assert (number, shape, label) == (3, (5, 6), "label")


relax.register_packed("tests.passed", np.copy, override=True)


@relax.function
def passed(x: relax.Tensor[("m",), "int64"]):
    out = relax.Tensor((M,), "int64")
    return relax.call_pure_packed("tests.passed", x, out=out), relax.call_pure_packed("tests.passed", x, out=out)


def test_a_result_that_shares_memory_is_copied() -> None:
    constant = np.arange(4)
    constant.flags.writeable = False
    for function in (lambda x: x, lambda x: x[::-1], lambda x: constant):
        relax.register_packed("tests.passed", function, override=True)
        first, second = passed.bind()(X)
        for result in (first, second):
            np.testing.assert_array_equal(result, function(X))
            assert result.flags.writeable
            assert not np.shares_memory(result, X)
            assert not np.shares_memory(result, constant)
        assert not np.shares_memory(first, second)


def test_arguments_are_read_only_views() -> None:
    def write(x: np.ndarray) -> np.ndarray:
        x[0] = 1
        return x

    with pytest.raises(ValueError, match="read-only"):
        host(write)(X)


def test_an_exception_passes_through_and_the_frame_is_given_back() -> None:
    def fail(x: np.ndarray) -> np.ndarray:
        raise KeyError("mine")

    executable = host(fail)
    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            executable(X)
    assert len(executable.idle_frames()) == 1


def test_a_host_call_may_call_the_executable_again() -> None:
    executable = host(lambda x: x if len(x) == 0 else np.append(executable(x[1:]), x[0]))
    np.testing.assert_array_equal(executable(X), X[::-1])


def test_destination_passing_and_temporaries() -> None:
    builder = Builder("f", [("x", VECTOR)], VECTOR)
    (x,) = builder.arguments
    temporary = TensorLeaf("t", "int64", 0, x.sizes)
    builder.workspace(8 * M)
    builder.call(elementwise(lambda x: x + 1, "int64"), [x, temporary], M)

    def multiply(pair: tuple[np.ndarray, np.ndarray], count: int, out: np.ndarray) -> None:
        assert count == 0 or not (pair[0].flags.writeable or pair[1].flags.writeable)
        np.multiply(*pair, out=out)
        assert count == len(out)

    count = builder.slots.tree("count", PrimType("int64"))
    builder.body += [
        HostCall("len", len, (x,), count),
        HostCall("multiply", multiply, (TupleTree((x, temporary)), count), None, outputs=(builder.output,)),
    ]
    executable = builder.executable()
    np.testing.assert_array_equal(executable(X), X * (X + 1))
    assert executable(X[:0]).shape == (0,)
    out = np.empty_like(X)
    assert executable(X, out=out) is out
    np.testing.assert_array_equal(out, X * (X + 1))


def test_objects() -> None:
    builder = Builder("f", [("x", VECTOR), ("how", AnyType())], VECTOR)
    x, how = builder.arguments
    assert isinstance(how, ObjectLeaf)
    builder.body.append(HostCall("apply", lambda x, how: how(x), (x, how), builder.output))
    np.testing.assert_array_equal(builder.executable()(X, np.negative), -X)


@pytest.mark.parametrize(
    ("kind", "result", "error", "message"),
    [
        (VECTOR, [1], DTypeError, "result: expected an array, got list"),
        (VECTOR, X.astype("f4"), DTypeError, "result: expected dtype int64, got float32"),
        (VECTOR, X.reshape(2, 2), ShapeError, "result: expected 1 axis, got 2: shape (2, 2)"),
        (TensorType((M, M), "int64"), X, ShapeError, "result: expected 2 axes, got 1: shape (4,)"),
        (PrimType("int64"), 1.5, DTypeError, "result: expected an integer, got float"),
        (VECTOR, np.ma.masked_array(X), DTypeError, "result: expected a plain array, got MaskedArray"),
        (PrimType("int64"), True, DTypeError, "result: expected an integer, got bool"),
        (PrimType("int64"), 2**63, ShapeError, f"result: {2**63} does not fit 64 bits"),
        (ShapeType((M,)), [-(2**70)], ShapeError, f"result[0]: {-(2**70)} does not fit 64 bits"),
        (ShapeType((M,)), 1, DTypeError, "result: expected a shape of 1, got int"),
        (ShapeType((M,)), (1, 2), ShapeError, "result: expected a shape of 1, got 2 items"),
        (ShapeType((M,)), ("1",), DTypeError, "result[0]: expected an integer, got str"),
        (TupleType((VECTOR,)), X, DTypeError, "result: expected a tuple of 1, got ndarray"),
        (TupleType((VECTOR,)), (), ShapeError, "result: expected a tuple of 1, got 0 items"),
        (TupleType((VECTOR,)), ([1],), DTypeError, "result[0]: expected an array, got list"),
    ],
)
def test_results_that_do_not_fit(kind: Type, result: object, error: type[RelaxError], message: str) -> None:
    span = Span("nowhere.py", 3, 1, 3, 2)
    with pytest.raises(error) as caught:
        host(lambda x: result, kind, span)(X)
    assert str(caught.value) == f"packed function my.op: {message}\n  --> nowhere.py:3:1"


def test_a_cast_that_does_not_fit() -> None:
    @relax.function
    def f(x: relax.Any):
        return relax.match_cast(x, relax.Tensor(("m",), "int64"))

    np.testing.assert_array_equal(f(X), X)
    with pytest.raises(DTypeError) as caught:
        f("text")
    assert caught.value.headline == "match_cast: result: expected an array, got str"


class StubbornError(Exception):
    """Takes no notes."""

    __notes__ = ()


def test_an_exception_that_takes_no_notes_arrives_as_it_is() -> None:
    def refuse(x: np.ndarray) -> np.ndarray:
        raise StubbornError("mine")

    with pytest.raises(StubbornError, match="mine"):
        host(refuse)(X)


def test_out_may_not_be_an_object_among_the_arguments() -> None:
    relax.register_packed("tests.sum", lambda p, x: p + x, override=True)

    @relax.function
    def f(p: relax.Any, x: relax.Tensor[("m",), "int64"]):
        return relax.call_pure_packed("tests.sum", p, x, out=relax.Tensor((M,), "int64")) + 1

    out = np.empty_like(X)
    assert f(X, X, out=out) is out
    np.testing.assert_array_equal(out, 2 * X + 1)
    argument = X.copy()
    with pytest.raises(ArgumentError) as caught:
        f(argument, X, out=argument)
    assert caught.value.headline == "f: out: overlaps argument p in memory"
    np.testing.assert_array_equal(argument, X)


def test_an_empty_array_that_numpy_does_not_have() -> None:
    relax.register_packed("tests.fill", lambda x, out: None, override=True)

    @relax.function
    def f(x: relax.Tensor[("m", "n"), "float32"]):
        filled = relax.call_dps_packed("tests.fill", (x,), out=relax.Tensor((8 * M, "n"), "float32"))
        return relax.sum(filled + 1)

    assert f(np.empty((3, 0), "float32")) == 0
    with pytest.raises(ShapeError) as caught:
        f(np.empty((2**58, 0), "float32"))
    assert caught.value.headline == (
        f"f: NumPy has no array of float32 of shape ({2**61}, 0): without the zeros, its bytes would not fit 64 bits"
    )


def test_results_in_another_byte_order_agree_with_the_reference() -> None:
    relax.register_packed("tests.swapped", lambda x: x.astype(">i8"), override=True)

    @relax.function
    def f(x: relax.Tensor[("m",), "int64"]):
        return relax.sum(relax.call_pure_packed("tests.swapped", x, out=relax.Tensor(("k",), "int64")))

    assert f(X) == 6
    assert f.check(X)
