"""Traces: printed as Python, saved, loaded, and done again on other kernels."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from schedule_kernels import chain, matmul, row_sums

import relaxdsl as relax
from relaxdsl import te
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import Dim

m, n, p = relax.dims("m n p")


def other_matmul() -> PrimFunc:
    """The same structure, with other names."""
    rows, columns, steps = relax.dims("rows columns steps")
    x, w = te.placeholder((rows, steps), "float32", name="x"), te.placeholder((steps, columns), "float32", name="w")
    s = te.reduce_axis((0, steps), name="s")
    y = te.compute((rows, columns), lambda r, q: te.sum(x[r, s] * w[s, q], axis=s), name="y")
    return create_prim_func([x, w], [y], "product")


def tiled(func: PrimFunc) -> relax.Schedule:
    sch = relax.Schedule(func)
    i, j, k = sch.get_loops("c")
    outer, inner = sch.split(j, factors=[None, m + 1])
    sch.reorder(outer, k, i, inner)
    sch.vectorize(inner)
    return sch


def test_a_trace_prints_as_python():
    expected = """
    b0 = sch.get_block("c")
    l1, l2, l3 = sch.get_loops(b0)
    l4, l5 = sch.split(l2, factors=[None, m + 1])
    sch.reorder(l4, l3, l1, l5)
    sch.vectorize(l5)
    """
    assert str(tiled(matmul()).trace) == textwrap.dedent(expected).strip()


def test_a_printed_trace_runs():
    sch = relax.Schedule(matmul())
    (i, j, k) = sch.get_loops("c")
    sch.split(i, factors=[None, 4])
    sch.reorder(k, j)
    again = relax.Schedule(matmul())
    exec(str(sch.trace), {"sch": again})
    assert str(again) == str(sch)


def test_a_trace_is_saved_and_loaded():
    sch = tiled(matmul())
    trace = relax.Trace.from_json(sch.trace.as_json())
    assert str(trace) == str(sch.trace)
    assert trace.as_json() == sch.trace.as_json()
    again = relax.Schedule(matmul())
    trace.apply_to(again)
    assert str(again) == str(sch)


def test_a_trace_fits_a_kernel_of_the_same_structure():
    sch = relax.Schedule(matmul())
    i, j, _ = sch.get_loops("c")
    sch.parallel(sch.fuse(i, j))
    other = relax.Schedule(other_matmul())
    sch.trace.apply_to(other)
    assert "for r_q_fused in T.parallel(columns * rows):" in str(other)
    assert str(other.trace).splitlines()[1:] == str(sch.trace).splitlines()[1:]


def test_buffers_are_found_whatever_their_names():
    sch = relax.Schedule(matmul())
    sch.cache_read("c", "b")
    copied = sch.cache_write("c", "c")
    sch.transform_layout("c", "c_cache", lambda i, j: (j, i))
    sch.parallel(sch.get_loops(copied)[0])
    assert [line.partition(" = ")[2] or line for line in str(sch.trace).splitlines()][1:4] == [
        "sch.cache_read(b0, 1)",
        "sch.cache_write(b0, 0)",
        "sch.transform_layout(b0, 2, lambda i, j: (j, i))",
    ]
    other = relax.Schedule(other_matmul())
    sch.trace.apply_to(other)
    assert other.structure == sch.structure
    assert str(other.trace) == str(sch.trace).replace('"c"', '"y"')
    rng = np.random.default_rng(0)
    x, w = rng.random((5, 3), "float32"), rng.random((3, 4), "float32")
    np.testing.assert_array_equal(relax.prim_func(other)(x, w), relax.prim_func(sch)(x, w))


def test_a_trace_that_does_not_fit_does_nothing():
    data = tiled(matmul()).trace.as_json()
    sch = relax.Schedule(matmul())
    before = str(sch)
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Trace.from_json(data.replace("vectorize", "nothing")).apply_to(sch)
    assert str(caught.value) == "replay: step 5, sch.nothing(l5): a schedule has no step nothing"
    assert (str(sch), str(sch.trace)) == (before, "")


def test_a_trace_refuses_a_kernel_without_its_blocks():
    with pytest.raises(relax.ScheduleError) as caught:
        tiled(matmul()).trace.apply_to(relax.Schedule(row_sums()))
    expected = """
    replay: step 1, b0 = sch.get_block("c"): get_block: there is no block c
       the trace is of another kernel, with 3 parameters, not 2; so blocks are found by name
       for i, k in T.grid(m, n):
           with T.block("s"):
               v_i, v_k = T.axis.remap("SR", [i, k])
               with T.init():
                   s[v_i] = T.float32(0.0)
               s[v_i] = s[v_i] + x[v_i, v_k]
       hint: the kernel has s
    """
    assert str(caught.value) == textwrap.dedent(expected).strip()


def test_a_trace_refuses_a_kernel_with_fewer_loops():
    sch = relax.Schedule(chain())
    sch.get_loops("t")
    x = te.placeholder((n,), "float32", name="x")
    other = relax.Schedule(create_prim_func([x], [te.compute((n,), lambda i: x[i] + 1.0, name="t")], "one"))
    with pytest.raises(relax.ScheduleError) as caught:
        sch.trace.apply_to(other)
    assert str(caught.value) == (
        "replay: step 2, l1, l2 = sch.get_loops(b0): the trace's kernel has 2 there, this one 1\n"
        "   the trace is of another kernel, where x is float32(m, n), not float32(n); so blocks are found by name"
    )


def doubled(dtype: str, size: Dim, name: str, stages: int = 1, factor: int = 2) -> PrimFunc:
    x = te.placeholder((size,), dtype, name="x")
    y = te.compute((size,), lambda i: x[i] * factor, name="first" if stages > 1 else name)
    result = te.compute((size,), lambda i: y[i] + y[size - 1 - i], name=name) if stages > 1 else y
    return create_prim_func([x], [result], "doubled")


@pytest.mark.parametrize(
    ("kernel", "difference"),
    [
        (doubled("float64", n, "t"), "where x is float32(n), not float64(n)"),
        (doubled("float32", 8, "t"), "where x is float32(n), not float32(8)"),
        (doubled("float32", p, "t", stages=2), "with the blocks y"),
        (doubled("float32", n, "t", factor=3), "with other loops or statements"),
    ],
)
def test_a_trace_says_how_its_kernel_differs(kernel: PrimFunc, difference: str) -> None:
    sch = relax.Schedule(doubled("float32", n, "y"))
    sch.parallel(sch.get_loops("y")[0])
    trace = relax.Trace.from_json(sch.trace.as_json())
    with pytest.raises(relax.ScheduleError) as caught:
        trace.apply_to(relax.Schedule(kernel))
    headline, first, *_ = str(caught.value).splitlines()
    assert headline == 'replay: step 1, b0 = sch.get_block("y"): get_block: there is no block y'
    assert first == f"   the trace is of another kernel, {difference}; so blocks are found by name"


def test_a_text_that_is_no_trace():
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Trace.from_json("[1]")
    assert str(caught.value) == "Trace.from_json: the text is no trace: an object is expected, got list"


@pytest.mark.parametrize("name", ["no_such_step", "show"])
def test_a_trace_with_a_step_that_is_none(name):
    sch = relax.Schedule(matmul())
    sch.get_loops("c")
    trace = relax.Trace.from_json(sch.trace.as_json().replace("get_loops", name))
    with pytest.raises(relax.ScheduleError) as caught:
        trace.apply_to(relax.Schedule(matmul()))
    assert str(caught.value) == f"replay: step 2, l1, l2, l3 = sch.{name}(b0): a schedule has no step {name}"


# ----------------------------------------------------------------------------------------------------- the schedule


def test_a_schedule_takes_kernels_of_modules_by_name():
    double = relax.Schedule(PLAIN).func

    @relax.function
    def program(x: relax.Tensor[(n,), "float32"]):
        return relax.call_tir(double, (x,))

    assert relax.Schedule(program).mod["double"].attrs["scheduled"]
    assert list(relax.Schedule(program, "double").mod) == list(program.module)
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(program, "dubble")
    assert str(caught.value) == "Schedule: the module has no kernel dubble, it has double"


def test_a_schedule_takes_no_kernel_that_works_in_place():
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(replace(PLAIN, attrs={"in_place": ((1, 0),)}))
    assert str(caught.value) == "Schedule: double may write an output in the memory of an input"


def test_a_schedule_needs_a_kernel():
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(3)
    hint = "write the kernel with @relax.prim_func, or call it in a @relax.function"
    assert str(caught.value) == f"Schedule: 3 is no kernel and has none\n   hint: {hint}"
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(matmul)
    assert str(caught.value) == f"Schedule: matmul is no kernel and has none\n   hint: {hint}"

    @relax.function
    def program(x: relax.Tensor[(n,), "float32"]):
        return x

    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(program)
    assert str(caught.value) == (
        "Schedule: the module has no kernel\n"
        "   hint: operators get theirs when it is compiled; those of relax.call_tir and relax.emit_te are there before"
    )


def test_a_schedule_of_a_module_needs_a_name():
    first = relax.Schedule(PLAIN).func

    @relax.function
    def program(x: relax.Tensor[(n,), "float32"]):
        return relax.call_tir(first, (relax.call_tir(PLAIN, (x,)),))

    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(program)
    known = ", ".join(program.module.kernels)
    assert str(caught.value) == f"Schedule: which kernel? The module has {known}\n   hint: Schedule(module, name)"


X = te.placeholder((n,), "float32", name="x")
PLAIN = create_prim_func([X], [te.compute((n,), lambda i: X[i] * 2.0, name="y")], "double")


def test_copies_go_their_own_way():
    sch = relax.Schedule(matmul())
    i, j, _ = sch.get_loops("c")
    other = sch.copy()
    other.reorder(j, i)
    assert str(other) != str(sch)
    assert len(other.trace.steps) == len(sch.trace.steps) + 1
    assert repr(sch) == "<relax schedule of matmul: 2 steps>"


def test_copies_have_what_was_taken_before():
    sch = relax.Schedule(matmul())
    i, j, k = sch.get_loops("c")
    other = sch.copy()
    outer, _ = other.split(i, factors=[None, 4])
    sch.reorder(k, j)
    other.trace.apply_to(relax.Schedule(matmul()))
    with pytest.raises(relax.ScheduleError) as caught:
        sch.parallel(outer)
    assert str(caught.value) == (
        "parallel: i_0 is a loop of another schedule\n"
        "   hint: take it from this one, with get_loops(block); a copy has what was taken before it was made"
    )


def test_loops_and_blocks_of_another_schedule():
    first, second = relax.Schedule(matmul()), relax.Schedule(matmul())
    second.get_loops("c")
    with pytest.raises(relax.ScheduleError) as caught:
        second.split(first.get_loops("c")[0], factors=[None, 4])
    assert str(caught.value) == (
        "split: i is a loop of another schedule\n"
        "   hint: take it from this one, with get_loops(block); a copy has what was taken before it was made"
    )
    with pytest.raises(relax.ScheduleError) as caught:
        second.cache_write(block=first.get_block("c"), buffer="c")
    assert str(caught.value) == (
        "cache_write: c is a block of another schedule\n"
        "   hint: take it from this one, with get_block(name); a copy has what was taken before it was made"
    )


def test_a_trace_that_uses_what_no_step_gives():
    sch = relax.Schedule(matmul())
    sch.parallel(sch.get_loops("c")[0])
    text = sch.trace.as_json().replace('"args": [{"ref": "l1"}]', '"args": [{"ref": "l7"}]')
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Trace.from_json(text).apply_to(relax.Schedule(matmul()))
    assert str(caught.value) == "replay: step 3, sch.parallel(l4): no step before it gives l7"


def test_a_trace_is_shown_as_python():
    trace = tiled(matmul()).trace
    assert repr(trace) == str(trace)


def test_arguments_that_a_step_does_not_take():
    sch = relax.Schedule(matmul())
    i, _, _ = sch.get_loops("c")
    with pytest.raises(relax.ScheduleError) as caught:
        sch.split(i, factor=4)  # type: ignore[call-arg]
    assert str(caught.value) == "split: unknown argument 'factor'\n   hint: write sch.split(loop, factors)"
    with pytest.raises(relax.ScheduleError) as caught:
        sch.split(i)  # type: ignore[call-arg]
    message = "split: missing a required argument: 'factors'\n   hint: write sch.split(loop, factors)"
    assert str(caught.value) == message
    with pytest.raises(relax.ScheduleError) as caught:
        sch.rfactor(i, axis=0)  # type: ignore[call-arg]
    assert str(caught.value) == "rfactor: unknown argument 'axis'\n   hint: write sch.rfactor(loop, factor_axis)"


def test_blocks_inside_of_a_loop():
    sch = relax.Schedule(chain())
    i, _ = sch.get_loops("u")
    assert [block.name for block in sch.get_child_blocks(i)] == ["u"]
    with pytest.raises(relax.ScheduleError) as caught:
        sch.get_block("w")
    assert str(caught.value).startswith("get_block: there is no block w\n   t = T.alloc_buffer")


@pytest.mark.parametrize("step", ["reorder", "fuse"])
def test_loops_are_arguments_of_their_own(step: str) -> None:
    sch = relax.Schedule(matmul())
    i, j, _ = sch.get_loops("c")
    with pytest.raises(relax.ScheduleError) as caught:
        getattr(sch, step)([i, j])
    assert str(caught.value) == f"{step}: the loops are arguments of their own, no list\n   hint: {step}(*loops)"


def test_a_trace_is_done_to_schedules_only() -> None:
    with pytest.raises(relax.ScheduleError) as caught:
        tiled(matmul()).trace.apply_to(3)  # type: ignore[arg-type]
    assert str(caught.value) == "apply_to: 3 is no schedule\n   hint: make one: relax.Schedule(kernel)"


def test_blocks_that_a_trace_does_not_name_are_found_by_their_names() -> None:
    data = json.loads(tiled(matmul()).trace.as_json())
    sch = relax.Schedule(matmul())
    relax.Trace.from_json(json.dumps({**data, "blocks": []})).apply_to(sch)
    assert str(sch) == str(tiled(matmul()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "it has no 'steps'"),
        (
            '{"kernel": "", "blocks": [], "steps": [{"args": [], "kwargs": []}]}',
            "'list' object has no attribute 'items'",
        ),
        ('{"kernel": "", "blocks": [3], "parameters": [], "steps": []}', "3 stands where a name should"),
        ('{"kernel": "", "blocks": [], "parameters": [["x", [2]]], "steps": []}', "2 stands where a name should"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, reason: str) -> None:
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Trace.from_json(text)
    assert str(caught.value) == f"Trace.from_json: the text is no trace: {reason}"
