"""What each primitive makes of loops, and the whole message where it refuses, as files in ``cases/``.

A case is a function of this module; it ends with a schedule, whose loops are compared, or with a ScheduleError.
``RELAXDSL_UPDATE_CASES=1`` writes the files; read the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from schedule_kernels import KERNELS, Kernel, assert_computes, shown

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.ir.loops import CallExtern
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.primitives.layout import IndexMap

FOLDER = Path(__file__).parent / "cases"
CASES: dict[str, Callable[[], relax.Schedule]] = {}

m, n, p = relax.dims("m n p")


def case(function: Callable[[], relax.Schedule]) -> Callable[[], relax.Schedule]:
    CASES[function.__name__] = function
    return function


def start(name: str) -> relax.Schedule:
    return relax.Schedule(KERNELS[name].build())


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    try:
        text = shown(CASES[name]()) + "\n"
    except relax.ScheduleError as error:
        text = f"ScheduleError: {error}\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("RELAXDSL_UPDATE_CASES"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_file_is_a_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)


# ---------------------------------------------------------------------------------------------------------- compute_at


@case
def compute_at_tiles_a_chain() -> relax.Schedule:
    sch = start("chain")
    i, j = sch.get_loops("y")
    i_0, i_1 = sch.split(i, factors=[None, 4])
    j_0, j_1 = sch.split(j, factors=[None, 4])
    sch.reorder(i_0, j_0, i_1, j_1)
    sch.compute_at("u", j_0)
    sch.compute_at("t", j_0)
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def compute_at_recomputes_what_windows_share() -> relax.Schedule:
    sch = start("stencil")
    i_0, _ = sch.split(sch.get_loops("y")[0], factors=[None, 4])
    sch.compute_at("t", i_0)
    sch.parallel(i_0)
    _, a = sch.get_loops("t")
    _, lane = sch.split(a, factors=[None, 2])
    sch.vectorize(lane)
    assert_computes(sch.func, KERNELS["stencil"].numpy)
    return sch


@case
def compute_at_brings_a_reduction() -> relax.Schedule:
    sch = start("softmax")
    i, _ = sch.get_loops("y")
    for block in ("s", "e", "peak"):
        sch.compute_at(block, i)
    sch.parallel(i)
    assert_computes(sch.func, KERNELS["softmax"].numpy)
    return sch


@case
def compute_at_refuses_a_reader_outside() -> relax.Schedule:
    sch = start("softmax")
    sch.compute_at("e", sch.get_loops("y")[0])
    return sch


@case
def compute_at_refuses_an_output() -> relax.Schedule:
    sch = start("chain")
    sch.compute_at("y", sch.get_loops("t")[0])
    return sch


@relax.prim_func
def rows_one_late(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m", "n"), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32", scope="scratch")
    for i in range(m):
        for j in range(n):
            with T.block("y"):
                a, b = T.axis.remap("SS", [i, j])
                y[a, b] = T.Select(a < 1, T.float32(0.0), t[b])
        for k in range(n):
            with T.block("t"):
                c, d = T.axis.remap("RS", [i, k])
                t[d] = x[c, d]


@case
def compute_at_refuses_what_is_read_before_it() -> relax.Schedule:
    sch = relax.Schedule(rows_one_late)
    sch.compute_at("t", sch.get_loops("y")[1])
    return sch


@relax.prim_func
def running_sums(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m", "n"), "float32")):
    T.outputs(y)
    s = T.alloc_buffer((n,), "float32", scope="scratch")
    for i in range(m):
        for j in range(n):
            with T.block("s"):
                d, c = T.axis.remap("SR", [j, i])
                with T.init():
                    s[d] = T.float32(0.0)
                s[d] = s[d] + x[c, d]
        for k in range(n):
            with T.block("y"):
                a, b = T.axis.remap("SS", [i, k])
                y[a, b] = s[b]


@case
def compute_at_refuses_sums_that_are_read_as_they_grow() -> relax.Schedule:
    sch = relax.Schedule(running_sums)
    sch.compute_at("s", sch.get_loops("y")[1])
    return sch


@relax.prim_func
def even_places(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32", scope="scratch")
    for i in range(n):
        if 2 * i < n:
            with T.block("t"):
                a = T.axis.spatial(n, i)
                t[a] = x[2 * a]
    for j in range(n):
        with T.block("y"):
            b = T.axis.spatial(n, j)
            y[b] = T.Select(b * 2 < n, t[b], T.float32(0.0))


@case
def compute_at_refuses_a_condition_that_is_no_last_tile() -> relax.Schedule:
    sch = relax.Schedule(even_places)
    sch.compute_at("t", *sch.get_loops("y"))
    return sch


@relax.prim_func
def remainders(x: T.Buffer(("m", 9), "float32"), y: T.Buffer(("m", 9), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((m, 9), "float32", scope="scratch")
    for i, j in T.grid(m, 9):
        with T.block("t"):
            a, b = T.axis.remap("SS", [i, j])
            t[a, b] = x[a, b]
    for k in range(m):
        for r in range(9):
            with T.block("y"):
                c, d = T.axis.remap("SS", [k, r])
                y[c, d] = t[c, 8 % (d + 1)]


@case
def compute_at_computes_all_for_remainders_by_a_loop() -> relax.Schedule:
    sch = relax.Schedule(remainders)
    sch.compute_at("t", sch.get_loops("y")[0])
    assert_computes(sch.func, lambda x: x[:, [8 % (r + 1) for r in range(9)]])
    return sch


@case
def compute_at_refuses_its_own_loop() -> relax.Schedule:
    sch = start("chain")
    sch.compute_at("t", sch.get_loops("t")[0])
    return sch


@case
def compute_at_refuses_what_nobody_reads() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    sch.compute_at("v", sch.get_loops("y")[0])
    return sch


@relax.prim_func
def changes_its_input(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for a in range(n):
        with T.block("first"):
            va = T.axis.spatial(n, a)
            y[va] = x[va]
    for b in range(n):
        with T.block("t"):
            vb = T.axis.spatial(n, b)
            t[vb] = y[vb]
    for c in range(n):
        with T.block("second"):
            vc = T.axis.spatial(n, c)
            y[vc] = x[vc] * T.float32(2.0)
    for d in range(n):
        with T.block("third"):
            vd = T.axis.spatial(n, d)
            y[vd] = y[vd] + t[vd]


@case
def compute_at_refuses_inputs_that_change() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.compute_at("t", sch.get_loops("third")[0])
    return sch


@case
def compute_inline_refuses_inputs_that_change() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.compute_inline("t")
    return sch


@case
def cache_write_refuses_what_others_write() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.cache_write("second", "y")
    return sch


@relax.prim_func
def odd_stages(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((n,), "float32")
    w = T.alloc_buffer((n,), "float32")
    v = T.alloc_buffer((n,), "float32")
    for e in range(n):
        with T.block("v"):
            ve = T.axis.spatial(n, e)
            v[ve] = x[ve]
    for a in range(n):
        with T.block("t"):
            va = T.axis.spatial(n, a)
            t[n - 1 - va] = x[va]
    for b in range(n):
        if b < n - 1:
            with T.block("u"):
                vb = T.axis.spatial(n, b)
                u[vb] = x[vb]
    for c in range(n):
        with T.block("w"):
            vc = T.axis.spatial(n, c)
            w[vc] = x[vc]
            y[vc] = x[vc]
    for d in range(n):
        with T.block("y"):
            vd = T.axis.spatial(n, d)
            y[vd] = y[vd] + t[vd] + u[vd] + w[T.int64(x[vd])]


@case
def compute_inline_refuses_other_places() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    sch.compute_inline("t")
    return sch


@case
def compute_inline_refuses_a_condition() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    sch.compute_inline("u")
    return sch


@case
def compute_inline_refuses_two_values() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    sch.compute_inline("w")
    return sch


@relax.prim_func
def gather(x: T.Buffer((n,), "float32"), at: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for a in range(n):
        with T.block("t"):
            va = T.axis.spatial(n, a)
            t[va] = x[va] * T.float32(2.0)
    for b in range(n):
        with T.block("y"):
            vb = T.axis.spatial(n, b)
            y[vb] = t[at[vb]]


@case
def compute_inline_refuses_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.compute_inline("t")
    return sch


@case
def transform_layout_refuses_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.transform_layout("t", "t", lambda i: (i // 4, i % 4))
    return sch


@case
def compute_at_computes_all_for_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch


# -------------------------------------------------------------------------------------------------- reverse_compute_at


@case
def reverse_compute_at_follows_a_tile() -> relax.Schedule:
    sch = start("matmul")
    copy = sch.cache_write("c", "c")
    i, j, k = sch.get_loops("c")
    i_0, i_1 = sch.split(i, factors=[None, 4])
    sch.reorder(i_0, j, k, i_1)
    sch.reverse_compute_at(copy, j)
    assert_computes(sch.func, KERNELS["matmul"].numpy)
    return sch


@case
def reverse_compute_at_refuses_sums_that_go_on() -> relax.Schedule:
    sch = start("matmul")
    copy = sch.cache_write("c", "c")
    i, j, k = sch.get_loops("c")
    sch.reorder(k, i, j)
    sch.reverse_compute_at(copy, i)
    return sch


@case
def reverse_compute_at_refuses_windows() -> relax.Schedule:
    sch = start("stencil")
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    return sch


@case
def reverse_compute_at_refuses_loops_that_make_nothing_for_it() -> relax.Schedule:
    sch = start("chain")
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    return sch


@case
def reverse_compute_at_refuses_what_is_made_after_the_loop() -> relax.Schedule:
    sch = start("softmax")
    sch.reverse_compute_at("y", sch.get_loops("e")[0])
    return sch


@case
def reverse_compute_at_refuses_what_others_write() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.reverse_compute_at("second", sch.get_loops("first")[0])
    return sch


@case
def reverse_compute_at_refuses_parts_it_cannot_tell() -> relax.Schedule:
    sch = start("chain")
    i, j = sch.get_loops("u")
    i_0, i_1 = sch.split(i, factors=[None, 4])
    sch.fuse(i_1, j)
    sch.reverse_compute_at("y", i_0)
    return sch


@relax.prim_func
def mirrored(x: T.Buffer((n, n), "float32"), y: T.Buffer((n, n), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n, n), "float32")
    for a, b in T.grid(n, n):
        with T.block("t"):
            va, vb = T.axis.remap("SS", [a, b])
            t[va, vb] = x[va, vb]
    for c, d in T.grid(n, n):
        with T.block("y"):
            vc, vd = T.axis.remap("SS", [c, d])
            y[vc, vd] = t[vc, vd] + t[vd, vc]


@case
def reverse_compute_at_refuses_two_parts_of_one_axis() -> relax.Schedule:
    sch = relax.Schedule(mirrored)
    a, _ = sch.get_loops("t")
    a_0, _ = sch.split(a, factors=[None, 2])
    sch.reverse_compute_at("y", a_0)
    return sch


@case
def reverse_compute_at_a_fused_loop() -> relax.Schedule:
    sch = start("chain")
    sch.reverse_compute_at("y", sch.fuse(*sch.get_loops("u")))
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


# ------------------------------------------------------------------------------------------------------------- inline


@case
def compute_inline_of_a_stage() -> relax.Schedule:
    sch = start("chain")
    i, j = sch.get_loops("t")
    sch.split(sch.fuse(i, j), factors=[None, 4])
    sch.compute_inline("t")
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def reverse_compute_inline_of_a_stage() -> relax.Schedule:
    sch = start("chain")
    sch.reverse_compute_inline("y")
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def compute_inline_refuses_a_reduction() -> relax.Schedule:
    sch = start("softmax")
    sch.compute_inline("peak")
    return sch


@case
def compute_inline_refuses_an_output() -> relax.Schedule:
    sch = start("chain")
    sch.compute_inline("y")
    return sch


@case
def reverse_compute_inline_refuses_a_block_that_reads_arguments_only() -> relax.Schedule:
    sch = start("chain")
    sch.reverse_compute_inline("t")
    return sch


@case
def reverse_compute_inline_refuses_other_places() -> relax.Schedule:
    sch = relax.Schedule(mirrored)
    sch.reverse_compute_inline("y")
    return sch


@case
def reverse_compute_inline_refuses_other_readers() -> relax.Schedule:
    sch = start("softmax")
    sch.compute_inline("e")
    copy = sch.cache_write("y", "y")
    sch.cache_read(copy, "y_cache")
    x = te.placeholder((n,), "float32", name="x")
    t = te.compute((n,), lambda i: x[i] + 1.0, name="t")
    outs = [te.compute((n,), lambda i: t[i] * 2.0, name="a"), te.compute((n,), lambda i: t[i] * 3.0, name="b")]
    sch = relax.Schedule(create_prim_func([x], outs, "both"))
    sch.reverse_compute_inline("a")
    return sch


@relax.prim_func
def two_outputs(x: T.Buffer((n,), "float32"), a: T.Buffer((n,), "float32"), b: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(a, b)
    t = T.alloc_buffer((n,), "float32")
    for i in range(n):
        with T.block("t"):
            vi = T.axis.spatial(n, i)
            t[vi] = x[vi] * T.float32(2.0)
    for j in range(n):
        with T.block("a"):
            vj = T.axis.spatial(n, j)
            a[vj] = x[n - 1 - vj]
    for k in range(n):
        with T.block("b"):
            vk = T.axis.spatial(n, k)
            b[vk] = a[vk] + t[vk]


@case
def reverse_compute_inline_refuses_inputs_made_later() -> relax.Schedule:
    sch = relax.Schedule(two_outputs)
    sch.reverse_compute_inline("b")
    return sch


@relax.prim_func
def made_again(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32"), z: T.Buffer(("n",), "float32")):
    T.outputs(y, z)
    t = T.alloc_buffer((n,), "float32", scope="scratch")
    for a in range(n):
        with T.block("first"):
            va = T.axis.spatial(n, a)
            t[va] = x[va]
    for b in range(n):
        with T.block("y"):
            vb = T.axis.spatial(n, b)
            y[vb] = t[vb]
    for c in range(n):
        with T.block("second"):
            vc = T.axis.spatial(n, c)
            t[vc] = x[vc] * T.float32(3.0)
    for d in range(n):
        with T.block("z"):
            vd = T.axis.spatial(n, d)
            z[vd] = t[vd]


@case
def reverse_compute_at_refuses_what_is_made_again_later() -> relax.Schedule:
    sch = relax.Schedule(made_again)
    sch.reverse_compute_at("y", *sch.get_loops("second"))
    return sch


@relax.prim_func
def rows_backwards(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m", "n"), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((m, n), "float32", scope="scratch")
    u = T.alloc_buffer((m, n), "float32", scope="scratch")
    for i in range(m):
        for j in range(n):
            with T.block("t"):
                a, b = T.axis.remap("SS", [i, j])
                t[a, b] = x[a, b]
        for k in range(n):
            with T.block("u"):
                c, d = T.axis.remap("SS", [i, k])
                u[c, d] = x[c, d] + T.float32(1.0)
    for r, s in T.grid(m, n):
        with T.block("y"):
            e, f = T.axis.remap("SS", [r, s])
            y[e, f] = t[m - 1 - e, f] + u[e, f]


@case
def reverse_compute_at_refuses_other_rows_of_a_shared_loop() -> relax.Schedule:
    sch = relax.Schedule(rows_backwards)
    sch.reverse_compute_at("y", sch.get_loops("u")[1])
    return sch


@case
def reverse_compute_inline_refuses_other_rows_of_a_shared_loop() -> relax.Schedule:
    sch = relax.Schedule(rows_backwards)
    sch.reverse_compute_inline("y")
    return sch


# ------------------------------------------------------------------------------------------------------------- caches


@case
def caches_around_a_tile() -> relax.Schedule:
    sch = start("matmul")
    i, j, k = sch.get_loops("c")
    i_0, i_1 = sch.split(i, factors=[None, 4])
    j_0, j_1 = sch.split(j, factors=[None, 8])
    k_0, k_1 = sch.split(k, factors=[None, 4])
    sch.reorder(i_0, j_0, k_0, k_1, i_1, j_1)
    sch.reverse_compute_at(sch.cache_write("c", "c"), j_0)
    sch.compute_at(sch.cache_read("c", "b"), k_0)
    sch.vectorize(j_1)
    sch.unroll(i_1)
    sch.parallel(i_0)
    sch.decompose_reduction("c", k_0)
    assert_computes(sch.func, KERNELS["matmul"].numpy)
    return sch


@case
def cache_read_refuses_what_the_block_does_not_read() -> relax.Schedule:
    sch = start("matmul")
    sch.cache_read("c", "c")
    return sch


@case
def cache_write_refuses_what_the_block_does_not_write() -> relax.Schedule:
    sch = start("matmul")
    sch.cache_write("c", "a")
    return sch


@case
def cache_read_refuses_what_the_same_loops_write() -> relax.Schedule:
    sch = start("chain")
    sch.compute_at("u", sch.get_loops("y")[0])
    sch.cache_read("y", "u")
    return sch


@case
def cache_write_refuses_what_the_same_loops_read() -> relax.Schedule:
    sch = start("chain")
    sch.compute_at("u", sch.get_loops("y")[0])
    sch.cache_write("u", "u")
    return sch


# --------------------------------------------------------------------------------------------------------- reductions


@case
def decompose_reduction_of_a_tile() -> relax.Schedule:
    sch = start("matmul")
    i, j, k = sch.get_loops("c")
    j_0, j_1 = sch.split(j, factors=[None, 8])
    sch.reorder(i, j_0, k, j_1)
    sch.decompose_reduction("c", k)
    assert_computes(sch.func, KERNELS["matmul"].numpy)
    return sch


@case
def decompose_reduction_refuses_a_block_without_init() -> relax.Schedule:
    sch = start("chain")
    sch.decompose_reduction("t", sch.get_loops("t")[0])
    return sch


@case
def decompose_reduction_refuses_a_loop_elsewhere() -> relax.Schedule:
    sch = start("softmax")
    sch.decompose_reduction("s", sch.get_loops("e")[0])
    return sch


@case
def decompose_reduction_refuses_a_loop_inside_of_the_reduction() -> relax.Schedule:
    sch = start("matmul")
    i, j, k = sch.get_loops("c")
    sch.reorder(k, i, j)
    sch.decompose_reduction("c", i)
    return sch


@relax.prim_func
def sums_in_reused_scratch(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m",), "float32")):
    T.outputs(y)
    s = T.alloc_buffer((m,), "float32", scope="scratch")
    for i in range(m):
        with T.block("first"):
            a = T.axis.spatial(m, i)
            s[a] = T.float32(5.0)
        for j in range(n):
            with T.block("s"):
                b, k = T.axis.remap("SR", [i, j])
                with T.init():
                    s[b] = T.float32(0.0)
                s[b] = s[b] + x[b, k]
        with T.block("y"):
            c = T.axis.spatial(m, i)
            y[c] = s[c]


@case
def decompose_reduction_refuses_scratch_that_others_write() -> relax.Schedule:
    sch = relax.Schedule(sums_in_reused_scratch)
    sch.decompose_reduction("s", sch.get_loops("s")[0])
    return sch


@relax.prim_func
def sums_read_early(x: T.Buffer(("m", "n"), "float32"), y: T.Buffer(("m",), "float32")):
    T.outputs(y)
    s = T.alloc_buffer((m,), "float32", scope="scratch")
    for h in range(m):
        with T.block("first"):
            a = T.axis.spatial(m, h)
            s[a] = T.float32(5.0)
    for i in range(m):
        with T.block("y"):
            c = T.axis.spatial(m, i)
            y[c] = s[c]
        for j in range(n):
            with T.block("s"):
                b, k = T.axis.remap("SR", [i, j])
                with T.init():
                    s[b] = T.float32(0.0)
                s[b] = s[b] + x[b, k]


@case
def decompose_reduction_refuses_scratch_that_is_read_before() -> relax.Schedule:
    sch = relax.Schedule(sums_read_early)
    sch.decompose_reduction("s", sch.get_loops("s")[0])
    return sch


@case
def decompose_reduction_refuses_elements_computed_again() -> relax.Schedule:
    x = te.placeholder((n, n), "float32", name="x")
    k = te.reduce_axis((0, n), name="k")
    s = te.compute((n,), lambda i: te.sum(x[i, k], axis=k), name="s")
    y = te.compute((n, n), lambda i, j: x[i, j] + s[j], name="y")
    sch = relax.Schedule(create_prim_func([x], [y], "again"))
    i, j = sch.get_loops("y")
    sch.compute_at("s", j)
    sch.decompose_reduction("s", i)
    return sch


@case
def rfactor_of_an_inner_loop() -> relax.Schedule:
    sch = start("row_sums")
    _, k = sch.get_loops("s")
    _, k_1 = sch.split(k, factors=[None, 4])
    parts = sch.rfactor(k_1, 1)
    i, k_0, k_1 = sch.get_loops(parts)
    sch.reorder(i, k_1, k_0)
    sch.parallel(i)
    assert_computes(sch.func, KERNELS["row_sums"].numpy)
    return sch


@case
def rfactor_of_an_outer_loop() -> relax.Schedule:
    sch = start("matmul")
    i, j, k = sch.get_loops("c")
    k_0, _ = sch.split(k, factors=[None, 4])
    sch.reorder(k_0, i, j)
    parts = sch.rfactor(k_0)
    sch.parallel(sch.get_loops(parts)[0])
    assert_computes(sch.func, KERNELS["matmul"].numpy)
    return sch


def test_rfactor_counts_axes_from_the_end_too() -> None:
    def parts(axis: int) -> str:
        sch = start("row_sums")
        sch.rfactor(sch.get_loops("s")[1], axis)
        return str(sch)

    assert parts(-1) == parts(1)
    assert parts(-2) == parts(0)


@case
def rfactor_refuses_parts_that_no_step_sets() -> relax.Schedule:
    sch = start("row_sums")
    _, k = sch.get_loops("s")
    parts = sch.rfactor(sch.split(k, factors=[None, 4])[0])
    sch.rfactor(sch.get_loops(parts)[2])
    return sch


@case
def rfactor_refuses_a_place_before_the_first() -> relax.Schedule:
    sch = start("row_sums")
    sch.rfactor(sch.get_loops("s")[1], -3)
    return sch


@case
def rfactor_refuses_a_loop_of_no_reduction() -> relax.Schedule:
    sch = start("matmul")
    sch.rfactor(sch.get_loops("c")[0])
    return sch


@case
def rfactor_refuses_loops_without_a_reduction() -> relax.Schedule:
    sch = start("chain")
    sch.rfactor(sch.get_loops("t")[0])
    return sch


@case
def rfactor_refuses_a_place_that_is_no_integer() -> relax.Schedule:
    sch = start("row_sums")
    sch.rfactor(sch.get_loops("s")[1], "first")  # type: ignore[arg-type]
    return sch


@case
def rfactor_refuses_a_place_that_is_none() -> relax.Schedule:
    sch = start("row_sums")
    sch.rfactor(sch.get_loops("s")[1], 2)
    return sch


@case
def rfactor_refuses_steps_that_cannot_be_grouped() -> relax.Schedule:
    sch = relax.Schedule(running)
    sch.rfactor(sch.get_loops("s")[-1])
    return sch


@relax.prim_func
def running(x: T.Buffer((n,), "float32"), s: T.Buffer((), "float32"), n: T.int64):
    T.outputs(s)
    for k in range(n):
        with T.block("s"):
            vk = T.axis.reduce(n, k)
            with T.init():
                s[()] = T.float32(0.0)
            s[()] = s[()] * T.float32(0.5) + x[vk]


@case
def rfactor_refuses_a_range_that_depends_on_other_loops() -> relax.Schedule:
    sch = relax.Schedule(triangle)
    sch.rfactor(sch.get_loops("s")[1])
    return sch


@relax.prim_func
def triangle(x: T.Buffer((n, n), "float32"), s: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(s)
    for i in range(n):
        for k in range(i + 1):
            with T.block("s"):
                vi = T.axis.spatial(n, i)
                vk = T.axis.reduce(n, k)
                with T.init():
                    s[vi] = T.float32(0.0)
                s[vi] = s[vi] + x[vi, vk]


@case
def rfactor_refuses_a_result_used_in_its_loops() -> relax.Schedule:
    sch = start("softmax")
    i, _ = sch.get_loops("y")
    sch.compute_at("s", i)
    sch.rfactor(sch.get_loops("s")[-1])
    return sch


# ------------------------------------------------------------------------------------------------------------- layout


@case
def transform_layout_of_scratch() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (j // 4, i, j % 4))
    sch.parallel(sch.get_loops("t")[0])
    again = start("chain")
    relax.Trace.from_json(sch.trace.as_json()).apply_to(again)
    assert str(again) == str(sch)
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def transform_layout_refuses_an_argument() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "x", lambda i, j: (j, i))
    return sch


@case
def transform_layout_refuses_a_map_of_other_axes() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i: (i,))
    return sch


@case
def transform_layout_refuses_a_map_that_loses_elements() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (j // 4, i, j % 3))
    return sch


@case
def transform_layout_refuses_a_map_below_zero() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (i - j, j))
    return sch


@case
def transform_layout_refuses_a_map_to_no_indices() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: "ij")
    return sch


@case
def transform_layout_refuses_what_is_no_map() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", None)  # type: ignore[arg-type]
    return sch


# ---------------------------------------------------------------------------------------------------------- tensorize

SIZE = 4


@relax.prim_func
def multiply_described(a: T.Buffer((4, 4), "float32"), b: T.Buffer((4, 4), "float32"), c: T.Buffer((4, 4), "float32")):
    T.outputs(c)
    for i, j, k in T.grid(4, 4, 4):
        with T.block("multiply"):
            vi, vj, vk = T.axis.remap("SSR", [i, j, k])
            c[vi, vj] = c[vi, vj] + a[vi, vk] * b[vk, vj]


@relax.prim_func
def multiply_by_rows(a: T.Buffer((4, 4), "float32"), b: T.Buffer((4, 4), "float32"), c: T.Buffer((4, 4), "float32")):
    T.outputs(c)
    row = T.alloc_buffer((4,), "float32")
    for i in range(4):
        for j in range(4):
            row[j] = c[i, j]
        for k, j in T.grid(4, 4):
            row[j] = row[j] + a[i, k] * b[k, j]
        for j in range(4):
            c[i, j] = row[j]


@relax.prim_func
def double_described(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")):
    T.outputs(y)
    for i in range(4):
        with T.block("double"):
            vi = T.axis.spatial(4, i)
            y[vi] = x[vi] * T.float32(2.0)


relax.TensorIntrin.register("multiply4", multiply_described, multiply_by_rows)
relax.TensorIntrin.register("double4", double_described, double_described)


def whole_tiles() -> relax.Schedule:
    rows, columns, steps = 4 * m, 4 * n, 4 * p
    a, b = te.placeholder((rows, steps), "float32", name="a"), te.placeholder((steps, columns), "float32", name="b")
    k = te.reduce_axis((0, steps), name="k")
    c = te.compute((rows, columns), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    return relax.Schedule(create_prim_func([a, b], [c], "tiles"))


def tiled(sch: relax.Schedule) -> tuple:
    splits = [sch.split(loop, factors=[None, SIZE]) for loop in sch.get_loops("c")]
    outer, inner = zip(*splits, strict=True)
    sch.reorder(*outer, *inner)
    return outer, inner


@case
def tensorize_a_tile_of_a_matmul() -> relax.Schedule:
    sch = whole_tiles()
    outer, inner = tiled(sch)
    sch.decompose_reduction("c", outer[2])
    sch.tensorize(inner[0], "multiply4")
    sch.parallel(outer[0])
    assert_computes(sch.func, lambda a, b: a @ b)
    return sch


@case
def tensorize_refuses_a_reduction_with_init() -> relax.Schedule:
    sch = whole_tiles()
    _, inner = tiled(sch)
    sch.tensorize(inner[0], "multiply4")
    return sch


@case
def tensorize_refuses_tiles_that_are_not_whole() -> relax.Schedule:
    sch = start("matmul")
    outer, inner = tiled(sch)
    sch.decompose_reduction("c", outer[2])
    sch.tensorize(inner[0], "multiply4")
    return sch


@case
def tensorize_refuses_other_extents() -> relax.Schedule:
    sch = start("chain")
    sch.tensorize(sch.get_loops("t")[1], "double4")
    return sch


def doubled(value: Callable, dtype: str = "float32") -> relax.Schedule:
    x = te.placeholder((4,), dtype, name="x")
    return relax.Schedule(create_prim_func([x], [te.compute((4,), lambda i: value(x, i), name="y")], "f"))


@case
def tensorize_a_vector() -> relax.Schedule:
    sch = doubled(lambda x, i: x[i] * 2.0)
    sch.tensorize(*sch.get_loops("y"), "double4")
    return sch


@case
def tensorize_refuses_other_values() -> relax.Schedule:
    sch = doubled(lambda x, i: x[i] * 3.0)
    sch.tensorize(*sch.get_loops("y"), "double4")
    return sch


@case
def tensorize_refuses_other_places() -> relax.Schedule:
    sch = doubled(lambda x, i: x[3 - i] * 2.0)
    sch.tensorize(*sch.get_loops("y"), "double4")
    return sch


@case
def tensorize_refuses_other_dtypes() -> relax.Schedule:
    sch = doubled(lambda x, i: x[i] * 2.0, "float64")
    sch.tensorize(*sch.get_loops("y"), "double4")
    return sch


@case
def tensorize_refuses_other_statements() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    (c,) = sch.get_loops("w")
    relax.TensorIntrin.register("copy", copy_described, copy_described)
    sch.tensorize(c, "copy")
    return sch


@relax.prim_func
def copy_described(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    for i in range(n):
        with T.block("copy"):
            vi = T.axis.spatial(n, i)
            y[vi] = x[vi]


@case
def tensorize_refuses_an_unknown_intrinsic() -> relax.Schedule:
    sch = start("chain")
    sch.tensorize(sch.get_loops("t")[1], "double8")
    return sch


@case
def tensorize_refuses_to_pass_the_address_of_a_part() -> relax.Schedule:
    x, y = double_described.ir.params
    passed = replace(double_described.ir, body=CallExtern("double", (x, y), (y,)))
    relax.TensorIntrin.register("extern4", double_described, passed)
    x = te.placeholder((4 * n,), "float32", name="x")
    sch = relax.Schedule(create_prim_func([x], [te.compute((4 * n,), lambda i: x[i] * 2.0, name="y")], "f"))
    _, inner = sch.split(*sch.get_loops("y"), factors=[None, 4])
    sch.tensorize(inner, "extern4")
    return sch


@case
def intrinsics_have_names_of_their_own() -> relax.Schedule:
    relax.TensorIntrin.register("double4", double_described, double_described)
    return start("chain")


@case
def intrinsics_have_the_parameters_of_their_description() -> relax.Schedule:
    relax.TensorIntrin.register("mixed", double_described, multiply_described)
    return start("chain")


@case
def intrinsics_are_described_by_loops_around_one_block() -> relax.Schedule:
    relax.TensorIntrin.register("rows", multiply_by_rows, multiply_by_rows)
    return start("chain")


# ------------------------------------------------------------------------------------------------------------ finding


@case
def blocks_are_called_by_their_names() -> relax.Schedule:
    sch = start("softmax")
    sch.get_loops("peek")
    return sch


def test_relations_between_blocks() -> None:
    sch = start("softmax")
    assert [block.name for block in sch.get_producers("y")] == ["e", "s"]
    assert [block.name for block in sch.get_consumers("e")] == ["s", "y"]
    assert [block.name for block in sch.get_output_blocks()] == ["y"]
    assert str(IndexMap.of(lambda i: (i,))) == "lambda i: (i,)"
    assert isinstance(KERNELS["chain"], Kernel)
