"""Debug mode: accesses that cannot be decided when a kernel is read are checked when it runs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T

n, m = relax.dims("n m")


@relax.prim_func(debug=True)
def gather_twice(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "int32"), y: T.Buffer((n,), "float32")):
    for i in T.parallel(n):
        with T.block("gather"):
            vi = T.axis.spatial(n, i)
            y[vi] = x[index[index[vi]]]


X = np.arange(5, dtype="float32")


def indices(*values: int) -> np.ndarray:
    return np.array(values, "int32")


def message_of(function: object, *args: np.ndarray) -> str:
    with pytest.raises(relax.KernelError) as error:
        function(*args)  # type: ignore[operator]
    lines = str(error.value).splitlines()
    assert lines[1].strip().startswith("--> test_kernel_debug.py:")
    return "\n".join(line for line in lines if "|" not in line and "-->" not in line)


HINT = "   hint: guard it with `if` or T.if_then_else, or loop over fewer elements"


def test_loads_by_data() -> None:
    np.testing.assert_array_equal(gather_twice(X, indices(0, 3, 1, 2)), [0, 2, 3, 1])
    assert message_of(gather_twice, X, indices(0, 7, 1)) == (
        f"gather_twice: index, axis 0: the index index[vi] is out of range\n   it is 7, and the size is 3\n{HINT}"
    )
    assert message_of(gather_twice, X[:2], indices(2, 1, 0)) == (
        "gather_twice: x, axis 0: the index index[index[vi]] is out of range\n"
        f"   it is 2, and the size is 2\n{HINT}"
    )


@relax.prim_func(debug=True)
def gather_unsigned(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "uint64"), y: T.Buffer((n,), "float32")):
    for i in range(n):
        y[i] = x[index[i]]


@relax.prim_func(debug=True)
def gather_as_int64(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "uint64"), y: T.Buffer((n,), "float32")):
    for i in range(n):
        y[i] = x[T.int64(index[i])]


@pytest.mark.parametrize("value", [2**64 - 1, 2**63, 5])
def test_unsigned_indices(value: int) -> None:
    """A report holds int64; the message says what the index is."""
    index = np.array([0, value], "uint64")
    assert message_of(gather_unsigned, X, index) == (
        f"gather_unsigned: x, axis 0: the index index[i] is out of range\n   it is {value}, and the size is 5\n{HINT}"
    )
    with pytest.raises(relax.KernelError) as error:
        gather_unsigned.with_debug(False).check(X, index)
    assert error.value.details == (f"it is {value}, and the size is 5",)
    assert f"it is {index.view('int64')[1]}, and the size is 5" in message_of(gather_as_int64, X, index)


def test_in_a_function() -> None:
    @relax.function
    def main(x: relax.Tensor[(m,), "float32"], index: relax.Tensor[(n,), "int32"]):
        return relax.call_tir(gather_twice, (x * 2, index), out=relax.Tensor((n,), "float32")) + 1

    np.testing.assert_array_equal(main(X, indices(0, 2, 1)), [1, 3, 5])
    assert "it is -1, and the size is 1" in message_of(main, X, indices(-1))


@relax.module
class Counting:
    @relax.prim_func(debug=True)
    def count(
        index: T.Buffer((n,), "int64"),  # noqa: N805
        least: T.Buffer((), "int64"),
        counts: T.Buffer((4,), "int64"),
        total: T.Buffer((), "float64"),
    ):
        for j in range(4):
            counts[j] = 0
        total[()] = 0.0
        for i in range(n):
            if index[i] >= least[()]:
                counts[index[i]] += 1
                total[()] += 1.0

    @relax.function
    def main(index: relax.Tensor[(n,), "int64"], least: relax.Tensor[(), "int64"]):  # noqa: N805
        return relax.call_tir(cls.count, (index, least))


def test_stores_by_data_behind_a_condition() -> None:
    counts, total = Counting.main(np.array([1, 2, -4, 2]), np.array(0))
    np.testing.assert_array_equal(counts, [0, 1, 2, 0])
    assert total == 3
    assert message_of(Counting.main, np.array([1, -4]), np.array(-9)) == (
        f"count: counts, axis 0: the index index[i] is out of range\n   it is -4, and the size is 4\n{HINT}"
    )


def test_choices_and_local_variables() -> None:
    @relax.prim_func(debug=True)
    def pick(x: T.Buffer((n,), "float32"), at: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            position = at[i]
            y[i] = T.if_then_else(position >= 0, x[position], 0.0)

    np.testing.assert_array_equal(pick(X[:3], np.array([2, -1, 0])), [2, 0, 0])
    assert message_of(pick, X[:3], np.array([2, -1, 3])) == (
        f"pick: x, axis 0: the index position is out of range\n   it is 3, and the size is 3\n{HINT}"
    )


def test_axes_of_blocks_and_reductions() -> None:
    @relax.prim_func(debug=True)
    def segments(x: T.Buffer((n,), "float32"), start: T.Buffer((m,), "int64"), y: T.Buffer((m,), "float32")):
        for j, i in T.grid(m, 3):
            with T.block("sum"):
                vj, vi = T.axis.remap("SR", [j, i])
                with T.init():
                    y[vj] = 0.0
                y[vj] += x[start[vj] + vi]

    np.testing.assert_array_equal(segments(X, np.array([0, 2])), [3, 9])
    assert message_of(segments, X, np.array([0, 3])) == (
        f"segments: x, axis 0: the index start[vj] + vi is out of range\n   it is 5, and the size is 5\n{HINT}"
    )


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def define() -> relax.KernelFunction:
        @relax.prim_func
        def first(x: T.Buffer((n,), "float32"), at: T.Buffer((), "int64"), y: T.Buffer((), "float32")):
            y[()] = x[at[()]]

        return first

    assert define().debug is None
    monkeypatch.setenv("RELAXDSL_DEBUG", "1")
    assert "it is 9, and the size is 5" in message_of(define(), X, np.array(9))


def test_nothing_to_check() -> None:
    @relax.prim_func(debug=True)
    def copy(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = x[i]

    assert copy.debug is None
    np.testing.assert_array_equal(copy(X), X)


def test_indices_that_wrap_around() -> None:
    @relax.prim_func(debug=True)
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in range(n):
            y[i] = x[x[i] * 2 + 1]

    memory = np.arange(100, 110)
    inside = memory[5:8]
    inside[:] = [0, 2**63 - 1, 0]
    with pytest.raises(relax.KernelError) as caught:
        kernel(inside)
    assert "\n   it is -1, and the size is 3\n" in str(caught.value)
    inside[:] = [0, -(2**63), 0]  # which, twice, is 0
    np.testing.assert_array_equal(kernel(inside), [-(2**63)] * 3)


@relax.prim_func
def gather(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32")):
    for i in range(n):
        with T.block("gather"):
            vi = T.axis.spatial(n, i)
            y[vi] = x[index[vi]]


def scheduled_gather() -> relax.Schedule:
    sch = relax.Schedule(gather)
    (i,) = sch.get_loops("gather")
    i_0, i_1 = sch.split(i, factors=[None, 4])
    sch.parallel(i_0)
    sch.vectorize(i_1)
    return sch


AT = np.array([0, 2, 5])
REPORTED = f"gather: x, axis 0: the index index[vi] is out of range\n   it is 5, and the size is 3\n{HINT}"


def test_scheduled_kernels() -> None:
    kernel = relax.prim_func(scheduled_gather(), debug=True)
    np.testing.assert_array_equal(kernel(X[:3], AT[:2]), [0, 2])
    assert message_of(kernel, X[:3], AT) == REPORTED
    with pytest.raises(relax.KernelError) as error:
        kernel(X[:3], AT)
    assert error.value.span == gather.definition.span
    assert not hasattr(error.value, "__notes__")  # who calls it is plain


def test_the_environment_decides_for_all_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAXDSL_DEBUG", "1")
    sch = scheduled_gather()

    @relax.function
    def main(x: relax.Tensor[(m,), "float32"], index: relax.Tensor[(n,), "int64"]):
        return relax.call_tir(sch, (x, index)) + 1

    assert message_of(main, X[:3], AT) == REPORTED
    assert message_of(relax.prim_func(sch), X[:3], AT) == REPORTED
    with pytest.raises(relax.KernelError) as error:
        relax.compile(sch.func)(X[:3], AT)
    assert str(error.value) == REPORTED
    assert not hasattr(error.value, "__notes__")
    with pytest.raises(relax.KernelError) as error:
        main(X[:3], AT)
    (note,) = error.value.__notes__
    assert note.startswith("gather is called by main (test_kernel_debug.py:")
    assert relax.prim_func(sch, debug=False)(X[:3], AT[:2]).shape == (2,)


def taken(x: te.Tensor, index: te.Tensor) -> te.Tensor:
    return te.compute(index.shape, lambda i: x[index[i]], name="taken")


TAKEN = f"taken: x, axis 0: the index index[i] is out of range\n   it is 5, and the size is 3\n{HINT}"


def test_tensor_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAXDSL_DEBUG", "1")

    @relax.function
    def main(x: relax.Tensor[(m,), "float32"], index: relax.Tensor[(n,), "int64"]):
        return relax.emit_te(taken, x, index) + 1

    np.testing.assert_array_equal(main(X[:3], AT[:2]), [1, 3])
    assert message_of(main, X[:3], AT) == TAKEN
    assert main.check(X[:3], AT[:2])
    with pytest.raises(relax.ArgumentError) as error:
        pickle.dumps(main)
    lines = [line for line in str(error.value).splitlines() if "|" not in line and "-->" not in line]
    assert lines == [
        "main: a program that calls taken in debug mode cannot be saved",
        "   hint: define the kernel and the program without debug mode",
    ]


def test_the_reference_checks_all_accesses() -> None:
    @relax.function
    def main(x: relax.Tensor[(m,), "float32"], index: relax.Tensor[(n,), "int64"]):
        return relax.emit_te(taken, x, index) + 1

    assert message_of(main.check, X[:3], AT) == TAKEN
    assert "it is -1, and the size is 3" in message_of(main.check, X[:3], np.array([-1]))
