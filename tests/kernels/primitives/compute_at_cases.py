"""Cases (``test_cases.py``) of ``compute_at``."""

from __future__ import annotations

from case_kernels import changes_its_input, gather, odd_stages
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax
from relaxdsl import tir as T

m, n = relax.dims("m n")


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


@relax.prim_func
def scan(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32")):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32", scope="scratch")
    u = T.alloc_buffer((n + 2,), "float32", scope="scratch")
    for i in range(n):
        with T.block("t"):
            a = T.axis.reduce(n, i)
            t[a] = x[a]
    for j in range(n):
        with T.block("u"):
            b = T.axis.spatial(n, j)
            u[b] = x[b]
    for k in range(n):
        with T.block("y"):
            c = T.axis.spatial(n, k)
            y[c] = t[c] + u[c]


@case
def compute_at_refuses_a_block_of_steps() -> relax.Schedule:
    sch = relax.Schedule(scan)
    sch.compute_at("t", *sch.get_loops("y"))
    return sch


@case
def compute_at_refuses_axes_that_end_before_the_buffer() -> relax.Schedule:
    sch = relax.Schedule(scan)
    sch.compute_at("u", *sch.get_loops("y"))
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


@case
def compute_at_refuses_inputs_that_change() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.compute_at("t", sch.get_loops("third")[0])
    return sch


@case
def compute_at_computes_all_for_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch
