"""Cases (``test_cases.py``) of ``decompose_reduction`` and ``rfactor``."""

from __future__ import annotations

import numpy as np
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.kernels.create import create_prim_func

m, n = relax.dims("m n")


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


@relax.prim_func
def remainders(x: T.Buffer((n,), "float32"), s: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(s)
    for i in range(n):
        for k in range(n % (i + 1)):
            with T.block("s"):
                vi = T.axis.spatial(n, i)
                vk = T.axis.reduce(n, k)
                with T.init():
                    s[vi] = T.float32(0.0)
                s[vi] = s[vi] + x[vk]


@case
def rfactor_refuses_a_range_without_a_bound() -> relax.Schedule:
    sch = relax.Schedule(remainders)
    sch.rfactor(sch.split(sch.get_loops("s")[1], factors=[None, 4])[1])
    return sch


@relax.prim_func
def starts_with_a_bias(x: T.Buffer((m, n), "float32"), s: T.Buffer((m,), "float32"), y: T.Buffer((m,), "float32")):
    T.outputs(s, y)
    t = T.alloc_buffer((m,), "float32", scope="scratch")
    for h in range(m):
        with T.block("t"):
            vh = T.axis.spatial(m, h)
            t[vh] = T.float32(2.0)
    for i in range(m):
        for k in range(n):
            with T.block("s"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    s[vi] = t[vi]
                s[vi] = s[vi] + x[vi, vk]
        with T.block("reset"):
            vr = T.axis.spatial(m, i)
            t[vr] = T.float32(0.0)
            y[vr] = T.float32(1.0)


@case
def rfactor_refuses_a_first_value_that_changes_in_its_loops() -> relax.Schedule:
    sch = relax.Schedule(starts_with_a_bias)
    sch.rfactor(sch.get_loops("s")[1])
    return sch


@relax.prim_func
def sums_and_statements(x: T.Buffer((m, n), "float32"), s: T.Buffer((m,), "float32"), y: T.Buffer((m,), "float32")):
    T.outputs(s, y)
    for i in range(m):
        for k in range(n):
            with T.block("s"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    s[vi] = T.float32(0.0)
                s[vi] = s[vi] + x[vi, vk]
        y[i] = s[i] * T.float32(2.0)


@case
def rfactor_refuses_a_result_used_by_a_statement_in_its_loops() -> relax.Schedule:
    sch = relax.Schedule(sums_and_statements)
    sch.rfactor(sch.get_loops("s")[1])
    return sch


@relax.prim_func
def fading(x: T.Buffer((m, n, 3), "float32"), y: T.Buffer((m,), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((m,), "float32")
    for i, j, k in T.grid(m, n, 3):
        with T.block("t"):
            vi, vj, vk = T.axis.remap("SRR", [i, j, k])
            with T.init():
                t[vi] = T.float32(0.0)
            t[vi] = t[vi] * T.float32(0.5) + x[vi, vj, vk]
    for i in range(m):
        with T.block("y"):
            vi = T.axis.spatial(m, i)
            y[vi] = t[vi]


def faded(x: np.ndarray) -> np.ndarray:
    result = np.zeros(x.shape[0], "float32")
    for step in np.moveaxis(x, 0, -1).reshape(x.shape[1] * x.shape[2], x.shape[0]):
        result = result * np.float32(0.5) + step
    return result


@case
def reorder_of_steps_that_need_the_one_before() -> relax.Schedule:
    """Rows may come in any order."""
    sch = relax.Schedule(fading)
    i, j, k = sch.get_loops("t")
    sch.reorder(j, k, i)
    assert_computes(sch.func, faded)
    return sch


@case
def reorder_refuses_steps_that_need_the_one_before() -> relax.Schedule:
    sch = relax.Schedule(fading)
    _, j, k = sch.get_loops("t")
    sch.reorder(k, j)
    return sch


@case
def compute_at_refuses_steps_that_need_the_one_before() -> relax.Schedule:
    sch = relax.Schedule(fading)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch
