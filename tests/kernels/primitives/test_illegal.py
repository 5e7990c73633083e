"""Steps that would change a result, and are refused; and what a bound has to stand outside of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.loops import Block, CallExtern, For, IterVar, PrimFunc, loop_variable

n, m, k = relax.dims("n m k")


@relax.prim_func
def scan(x: T.Buffer((n, m), "int64"), t: T.Buffer((n, m), "int64")):
    for i, j in T.grid(n, m):
        with T.block("t"):
            vi, vj = T.axis.remap("RR", [i, j])
            t[vi, vj] = x[vi, vj] + (t[vi - 1, vj + 1] if vi >= 1 and vj + 1 < m else 0)


@relax.prim_func
def scan_in_space(t: T.Buffer((n, m, k), "int64")):
    for i, j, h in T.grid(n, m, k):
        with T.block("t"):
            vi, vj, vh = T.axis.remap("RRR", [i, j, h])
            t[vi, vj, vh] = 1 + (t[vi - 1, vj + 1, vh - 1] if vi >= 1 and vj + 1 < m and vh >= 1 else 0)


@relax.prim_func
def far_scan(x: T.Buffer((n, m), "int64"), t: T.Buffer((n, m), "int64")):
    for i, j in T.grid(n, m):
        with T.block("t"):
            vi, vj = T.axis.remap("RR", [i, j])
            t[vi, vj] = x[vi, vj] + (t[vi - 3, vj + 1] if vi >= 3 and vj + 1 < m else 0)


def split_columns(sch: relax.Schedule) -> None:
    i, j = sch.get_loops("t")
    j_0, _ = sch.split(j, factors=[None, 8])
    sch.reorder(j_0, i)


def split_rows(sch: relax.Schedule) -> None:
    i, _ = sch.get_loops("t")
    i_0, i_1 = sch.split(i, factors=[3, None])
    sch.reorder(i_1, i_0)


def outer_two(sch: relax.Schedule) -> None:
    i, j, _ = sch.get_loops("t")
    sch.reorder(j, i)


@pytest.mark.parametrize(
    ("kernel", "step", "headline"),
    [
        (scan, split_columns, "reorder: in the order j_0, i an element of t may be read before it is written"),
        (far_scan, split_rows, "reorder: in the order i_1, i_0 an element of t may be read before it is written"),
        (scan_in_space, outer_two, "reorder: in the order j, i an element of t may be read before it is written"),
    ],
)
def test_reorder_looks_at_the_loops_within(
    kernel: Any, step: Callable[[relax.Schedule], None], headline: str
) -> None:
    with pytest.raises(relax.ScheduleError) as caught:
        step(relax.Schedule(kernel))
    assert str(caught.value).splitlines()[0] == headline


def refusal(step: Callable[[], object]) -> list[str]:
    with pytest.raises(relax.ScheduleError) as caught:
        step()
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("kernel", "step", "example"),
    [
        (
            scan,
            split_columns,
            [
                "   for n = 9, m = 9:",
                "      i = 0, j_0 = 1, j_1 = 0: block t writes t[vi, vj], that is t[0, 8]",
                "      i = 1, j_0 = 0, j_1 = 7: block t reads t[vi - 1, vj + 1], that is t[0, 8]",
            ],
        ),
        (
            far_scan,
            split_rows,
            [
                "   for n = 5, m = 2:",
                "      i_0 = 0, i_1 = 1, j = 1: block t writes t[vi, vj], that is t[1, 1]",
                "      i_0 = 2, i_1 = 0, j = 0: block t reads t[vi - 3, vj + 1], that is t[1, 1]",
            ],
        ),
        (
            scan_in_space,
            outer_two,
            [
                "   for n = 2, m = 2, k = 2:",
                "      i = 0, j = 1, h = 0: block t writes t[vi, vj, vh], that is t[0, 1, 0]",
                "      i = 1, j = 0, h = 1: block t reads t[vi - 1, vj + 1, vh - 1], that is t[0, 1, 0]",
            ],
        ),
    ],
)
def test_reorder_shows_iterations_that_would_change_order(
    kernel: Any, step: Callable[[relax.Schedule], None], example: list[str]
) -> None:
    assert refusal(lambda: step(relax.Schedule(kernel)))[1:4] == example


def test_sizes_that_are_numbers_are_not_shown() -> None:
    @relax.prim_func
    def decayed(x: T.Buffer((2, 6), "float32"), y: T.Buffer((2,), "float32")):
        for i, j in T.grid(2, 6):
            with T.block("y"):
                vi, vj = T.axis.remap("SR", [i, j])
                with T.init():
                    y[vi] = 0.0
                y[vi] = y[vi] * 0.5 + x[vi, vj]

    sch = relax.Schedule(decayed)
    _, j = sch.get_loops("y")
    j_0, j_1 = sch.split(j, factors=[None, 2])
    assert refusal(lambda: sch.reorder(j_1, j_0))[1:3] == [
        "   i = 0, j_0 = 0, j_1 = 1: block y reads y[vi], that is y[0]",
        "   i = 0, j_0 = 1, j_1 = 0: block y writes y[vi], that is y[0]",
    ]


@relax.prim_func
def each_step_twice(x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32")):
    for i, j, _again in T.grid(m, n, 2):
        with T.block("y"):
            vi, vj = T.axis.remap("SR", [i, j])
            with T.init():
                y[vi] = 1.0
            y[vi] = y[vi] + x[vi, vj]


@relax.prim_func
def twice_the_sums(x: T.Buffer((m, n), "float32"), z: T.Buffer((m,), "float32")):
    y = T.alloc_buffer((m,), "float32")
    for i, j, _again in T.grid(m, n, 2):
        with T.block("y"):
            vi, vj = T.axis.remap("SR", [i, j])
            with T.init():
                y[vi] = 1.0
            y[vi] = y[vi] + x[vi, vj]
    for i in range(m):
        with T.block("z"):
            vi = T.axis.spatial(m, i)
            z[vi] = y[vi] * 2.0


@relax.prim_func
def places_that_overlap(x: T.Buffer((m, n + 2), "float32"), z: T.Buffer((m,), "float32")):
    y = T.alloc_buffer((m,), "float32")
    for i, j, h in T.grid(m, n + 1, 2):
        with T.block("y"):
            vi = T.axis.spatial(m, i)
            vj = T.axis.reduce(n + 2, j + h)
            with T.init():
                y[vi] = 1.0
            y[vi] = y[vi] + x[vi, vj]
    for i in range(m):
        with T.block("z"):
            vi = T.axis.spatial(m, i)
            z[vi] = y[vi] * 2.0


@pytest.mark.parametrize(
    ("kernel", "step", "headline"),
    [
        (
            each_step_twice,
            lambda sch: sch.rfactor(sch.get_loops("y")[1], 0),
            "rfactor: _again repeats steps of block y, since none of its axes uses it",
        ),
        (
            twice_the_sums,
            lambda sch: sch.compute_at("y", sch.get_loops("z")[0]),
            "compute_at: _again repeats steps of block y, since none of its axes uses it",
        ),
        (
            places_that_overlap,
            lambda sch: sch.compute_at("y", sch.get_loops("z")[0]),
            "compute_at: the loops around block y may run over vj more than once",
        ),
    ],
)
def test_steps_that_are_repeated_stay_so(
    kernel: Any, step: Callable[[relax.Schedule], None], headline: str
) -> None:
    first, *shown = refusal(lambda: step(relax.Schedule(kernel)))
    assert first == headline
    assert shown[0].startswith("   for i, j")
    assert '       with T.block("y"):  # <-- y' in shown


def test_what_starts_again_may_be_repeated() -> None:
    """Around a whole reduction, a loop that no axis uses computes the same sums."""

    @relax.prim_func
    def sums(x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32")):
        for _again, i, j in T.grid(2, m, n):
            with T.block("y"):
                vi, vj = T.axis.remap("SR", [i, j])
                with T.init():
                    y[vi] = 1.0
                y[vi] = y[vi] + x[vi, vj]

    sch = relax.Schedule(sums)
    sch.rfactor(sch.get_loops("y")[2], 0)
    x = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(relax.prim_func(sch)(x), [4, 13])


def test_an_example_enters_the_loops_that_it_shows() -> None:
    """An init does not know its reduction; but inside of it, a loop runs only if the reduction has a step."""
    sch = relax.Schedule(each_step_twice)
    _, _, _again = sch.get_loops("y")
    assert refusal(lambda: sch.parallel(_again))[1:4] == [
        "   for m = 1, n = 1:",
        "      i = 0, _again = 0: block y writes y[vi], that is y[0]",
        "      i = 0, _again = 1: block y writes y[vi], that is y[0]",
    ]


def test_accesses_are_named_if_no_example_is_found() -> None:
    @relax.prim_func
    def scattered(x: T.Buffer((n,), "float32"), index: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[index[i]] = x[i]
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                y[vi] = x[vi]

    sch = relax.Schedule(scattered)
    lines = refusal(lambda: sch.parallel(sch.get_loops("y")[0]))
    assert lines[:3] == [
        "parallel: two iterations of i may write the same element of y",
        "   a statement outside of blocks writes y[index[i]]",
        "   for i in range(n):  # <-- i",
    ]


def test_a_function_that_gets_a_buffer_touches_all_of_it() -> None:
    x, y = double_4.ir.params
    block = Block("y", (IterVar("v", n, "spatial", loop_variable("i", n)),), CallExtern("f", (x, y), (y,)))
    sch = relax.Schedule(PrimFunc("kernel", (x, y), 1, ("n",), For("i", n, block)))
    lines = refusal(lambda: sch.parallel(sch.get_loops("y")[0]))
    assert lines[:2] == ["parallel: two iterations of i may write the same element of y", "   block y writes y"]


def test_what_data_decides_is_no_example() -> None:
    @relax.prim_func
    def positive(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        t = T.alloc_buffer((n,), "float32")
        for i in range(n):
            if x[i] > 0:
                with T.block("t"):
                    vi = T.axis.spatial(n, i)
                    t[vi] = x[vi]
        for i in range(n):
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                y[vi] = t[vi]

    sch = relax.Schedule(positive)
    lines = refusal(lambda: sch.compute_at("t", sch.get_loops("y")[0]))
    assert lines[:2] == ["compute_at: block t is computed under a condition", "   for i in range(n):"]


def test_a_bound_stands_outside_of_a_condition_on_data() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((1,), "int64")):
        for j in range(n):
            if x[j] > 2:
                with T.block("s"):
                    vo, vj = T.axis.spatial(1, 0), T.axis.reduce(n, j)
                    with T.init():
                        y[vo] = 5
                    y[vo] += x[vj]

    sch = relax.Schedule(kernel)
    (j,) = sch.get_loops("s")
    sch.split(j, factors=[None, 4])
    text = str(sch)
    assert text.index("if (4 * j_0 + j_1) < n:") < text.index("if x[4 * j_0 + j_1] > T.int64(2):")
    for run in (relax.prim_func(sch.func), relax.prim_func(sch.func, debug=True)):
        for size in (1, 3, 4, 5, 9):
            x = np.arange(3, 3 + size)
            np.testing.assert_array_equal(run(x), [5 + x.sum()])


def test_fuse_refuses_loops_that_may_both_run_less_than_0_times() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n, n), "int64")):
        for a, b in T.grid(n, n):
            y[a, b] = 0
        for a, b in T.grid(n - 6, n - 6):
            with T.block("y"):
                va, vb = T.axis.remap("SS", [a, b])
                y[va, vb] = x[va] + x[vb]

    sch = relax.Schedule(kernel)
    with pytest.raises(relax.ScheduleError) as caught:
        sch.fuse(*sch.get_loops("y"))
    first, *_, hint = str(caught.value).splitlines()
    assert first == "fuse: the times that the loops run may be less than 0: a1 n - 6 and b1 n - 6"
    assert hint == "   hint: declare a size with a lower bound: relax.dims(…, lower=1)"


@relax.prim_func
def double_4(x: T.Buffer((4,), "int64"), y: T.Buffer((4,), "int64")):
    for i in range(4):
        with T.block("y"):
            vi = T.axis.spatial(4, i)
            y[vi] = x[vi] * 2


@relax.prim_func
def double_4_in_two_steps(x: T.Buffer((4,), "int64"), y: T.Buffer((4,), "int64")):
    for i in range(4):
        y[i] = 0
    for i in range(4):
        y[i] += x[i] * 2


relax.TensorIntrin.register("double_4_in_two_steps", double_4, double_4_in_two_steps)


REGISTER = 'relax.TensorIntrin.register("{}", description, implementation) makes one'


@pytest.mark.parametrize(
    ("known", "name", "message"),
    [
        (["double4", "sum8"], "double8", "   there are double4, sum8\n   hint: did you mean double4?"),
        (["double4", "sum8"], "wmma", f"   there are double4, sum8\n   hint: {REGISTER.format('wmma')}"),
        ([], "wmma", f"   none is registered\n   hint: {REGISTER.format('wmma')}"),
    ],
)
def test_tensorize_refuses_an_unknown_intrinsic(
    monkeypatch: pytest.MonkeyPatch, known: list[str], name: str, message: str
) -> None:
    monkeypatch.setattr(relax.TensorIntrin, "_known", {})
    for each in known:
        relax.TensorIntrin.register(each, double_4, double_4)
    sch = relax.Schedule(double_4)
    with pytest.raises(relax.ScheduleError) as caught:
        sch.tensorize(sch.get_loops("y")[0], name)
    assert str(caught.value) == f"tensorize: there is no intrinsic {name}\n{message}"


def test_tensorize_refuses_a_buffer_that_is_two_of_the_description() -> None:
    @relax.prim_func
    def kernel(y: T.Buffer((4,), "int64")):
        T.outputs(y)
        for i in range(4):
            with T.block("b"):
                v = T.axis.spatial(4, i)
                y[v] = y[v] * 2

    sch = relax.Schedule(kernel)
    with pytest.raises(relax.ScheduleError) as caught:
        sch.tensorize(sch.get_loops("b")[0], "double_4_in_two_steps")
    assert str(caught.value).splitlines()[0] == (
        "tensorize: the loops are not double_4_in_two_steps: y is both x and y of the description"
    )


@pytest.mark.parametrize("index_map", [lambda i, j: (i + j, j), lambda i, j: (i * 2, j)])
def test_layouts_of_empty_buffers(index_map: Callable[..., Any]) -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n, m), "int64"), y: T.Buffer((n, m), "int64")):
        t = T.alloc_buffer((n, m), "int64")
        for i, j in T.grid(n, m):
            with T.block("t"):
                vi, vj = T.axis.remap("SS", [i, j])
                t[vi, vj] = x[vi, vj] + 1
        for i, j in T.grid(n, m):
            with T.block("y"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = t[vi, vj] * 2

    sch = relax.Schedule(kernel)
    sch.transform_layout("t", "t", index_map)
    run = relax.prim_func(sch.func)
    for shape in ((0, 0), (0, 3), (2, 0), (1, 1), (3, 5)):
        x = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(run(x), (x + 1) * 2)
