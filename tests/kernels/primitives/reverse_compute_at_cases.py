"""Cases (``test_cases.py``) of ``reverse_compute_at``."""

from __future__ import annotations

from case_kernels import changes_its_input, mirrored, rows_backwards
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax
from relaxdsl import tir as T

n = relax.dims("n")


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
def lower_triangle(x: T.Buffer((n, n), "float32"), y: T.Buffer((n, n), "float32")):
    t = T.alloc_buffer((n, n), "float32")
    for i, j in T.grid(n, n):
        with T.block("t"):
            vi, vj = T.axis.remap("SS", [i, j])
            t[vi, vj] = x[vi, vj] * T.float32(2.0)
    for i, j in T.grid(n, n):
        with T.block("y"):
            vi, vj = T.axis.remap("SS", [i, j])
            if vi >= vj:
                y[vi, vj] = t[vi, vj]
            else:
                y[vi, vj] = T.float32(0.0)


@case
def reverse_compute_at_refuses_a_condition_in_the_block() -> relax.Schedule:
    sch = relax.Schedule(lower_triangle)
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    return sch


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


@case
def reverse_compute_at_refuses_other_rows_of_a_shared_loop() -> relax.Schedule:
    sch = relax.Schedule(rows_backwards)
    sch.reverse_compute_at("y", sch.get_loops("u")[1])
    return sch
