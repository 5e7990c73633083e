"""Cases (``test_cases.py``) of statements outside of blocks that read and write what blocks do."""

from __future__ import annotations

import numpy as np
from schedule_cases import case
from schedule_kernels import assert_computes

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.kernels.primitives.record import recorded
from relaxdsl.kernels.primitives.trace import LoopRef

m, n = relax.dims("m n")


class ScheduleOfStatements(relax.Schedule):
    """A schedule that also gives loops without a block."""

    @recorded
    def get_loop(self, name: str) -> LoopRef:
        return LoopRef(name)


@relax.prim_func
def between(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    u = T.alloc_buffer((n,), "float32")
    t = T.alloc_buffer((n,), "float32")
    s = T.alloc_buffer((n,), "float32")
    for i in range(n):
        u[i] = x[i] + T.float32(1.0)
    for j in range(n):
        with T.block("t"):
            vj = T.axis.spatial(n, j)
            t[vj] = u[vj] * T.float32(2.0)
    for k in range(n):
        s[k] = T.float32(5.0)
        for _r in range(3):
            s[k] = s[k] + t[k]
    for p in range(n):
        with T.block("y"):
            vp = T.axis.spatial(n, p)
            y[vp] = s[vp]


def numpy_between(x: np.ndarray) -> np.ndarray:
    return 5 + 6 * (x + 1)


@case
def compute_at_a_statement() -> relax.Schedule:
    sch = ScheduleOfStatements(between)
    sch.compute_at("t", sch.get_loop("k"))
    assert_computes(sch.func, numpy_between)
    return sch


@case
def compute_inline_into_a_statement() -> relax.Schedule:
    sch = relax.Schedule(between)
    sch.compute_inline("t")
    assert_computes(sch.func, numpy_between)
    return sch


@case
def reverse_compute_at_refuses_what_statements_make() -> relax.Schedule:
    sch = ScheduleOfStatements(between)
    sch.reverse_compute_at("y", sch.get_loop("k"))
    return sch


@case
def compute_at_refuses_statements_outside_of_the_loop() -> relax.Schedule:
    sch = relax.Schedule(between)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch


@relax.prim_func
def changes(x: T.Buffer((m, n), "float32"), y: T.Buffer((m, n), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    u = T.alloc_buffer((n,), "float32")
    t = T.alloc_buffer((n,), "float32")
    for i in range(n):
        u[i] = T.float32(1.0)
    for k in range(m):
        for j in range(n):
            with T.block("t"):
                vk, vj = T.axis.remap("RS", [k, j])
                with T.init():
                    t[vj] = T.float32(0.0)
                t[vj] = t[vj] + u[vj] + x[vk, vj]
        for r in range(n):
            u[r] = u[r] + T.float32(1.0)
    for p, q in T.grid(m, n):
        with T.block("y"):
            vp, vq = T.axis.remap("SS", [p, q])
            y[vp, vq] = t[vq]


@case
def compute_at_refuses_inputs_that_statements_change() -> relax.Schedule:
    sch = relax.Schedule(changes)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch


@case
def cache_read_refuses_what_statements_write_in_the_same_loops() -> relax.Schedule:
    sch = relax.Schedule(changes)
    sch.cache_read("t", "u")
    return sch


@relax.prim_func
def peeks(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((n,), "float32")
    for h in range(n):
        with T.block("u"):
            vh = T.axis.spatial(n, h)
            u[vh] = x[vh]
    for i in range(n):
        with T.block("t"):
            vi = T.axis.spatial(n, i)
            t[vi] = u[vi]
        y[i] = u[0] + t[i]
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = t[vk] + y[vk]


@case
def cache_write_refuses_what_statements_read_in_the_same_loops() -> relax.Schedule:
    sch = relax.Schedule(peeks)
    sch.cache_write("t", "t")
    return sch


@case
def cache_write_refuses_what_statements_write_too() -> relax.Schedule:
    sch = relax.Schedule(peeks)
    sch.cache_write("y", "y")
    return sch


@case
def reverse_compute_inline_refuses_a_statement_that_reads() -> relax.Schedule:
    sch = relax.Schedule(peeks)
    sch.reverse_compute_inline("t")
    return sch


@relax.prim_func
def comes_late(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((n,), "float32")
    for i in range(n):
        with T.block("t"):
            vi = T.axis.spatial(n, i)
            t[vi] = x[vi]
    for j in range(n):
        u[j] = x[j] + T.float32(1.0)
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = t[vk] * u[vk]


@case
def reverse_compute_inline_refuses_inputs_that_statements_make_later() -> relax.Schedule:
    sch = relax.Schedule(comes_late)
    sch.reverse_compute_inline("y")
    return sch


@case
def reverse_compute_at_refuses_inputs_that_statements_make_later() -> relax.Schedule:
    sch = relax.Schedule(comes_late)
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    return sch


@relax.prim_func
def adds_up(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((1,), "float32")
    u[0] = T.float32(0.0)
    for i in range(n):
        with T.block("t"):
            vi = T.axis.spatial(n, i)
            t[vi] = x[vi]
        u[0] = u[0] + x[i]
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = t[vk] * u[0]


@case
def reverse_compute_at_refuses_what_statements_add_up() -> relax.Schedule:
    sch = relax.Schedule(adds_up)
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    return sch


@relax.prim_func
def reads_early(x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((m,), "float32")
    for h in range(m):
        t[h] = T.float32(1.0)
    for i in range(m):
        y[i] = t[i]
        for k in range(n):
            with T.block("t"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    t[vi] = T.float32(0.0)
                t[vi] = t[vi] + x[vi, vk]


@case
def decompose_reduction_refuses_what_statements_read() -> relax.Schedule:
    sch = relax.Schedule(reads_early)
    sch.decompose_reduction("t", sch.get_loops("t")[0])
    return sch


@case
def compute_at_refuses_what_statements_write_too() -> relax.Schedule:
    sch = ScheduleOfStatements(reads_early)
    sch.compute_at("t", sch.get_loop("h"))
    return sch


@case
def decompose_reduction_refuses_what_statements_write() -> relax.Schedule:
    sch = relax.Schedule(writes_too)
    sch.decompose_reduction("s", sch.get_loops("s")[0])
    return sch


@relax.prim_func
def writes_too(x: T.Buffer((m, n), "float32"), s: T.Buffer((m,), "float32"), m: T.int64, n: T.int64):
    T.outputs(s)
    for i in range(m):
        for k in range(n):
            with T.block("s"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    s[vi] = T.float32(0.0)
                s[vi] = s[vi] + x[vi, vk]
        s[i] = s[i] * T.float32(2.0)


@relax.prim_func
def sums_so_far(x: T.Buffer((m, n), "float32"), y: T.Buffer((m, n), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    s = T.alloc_buffer((m,), "float32")
    for i in range(m):
        for k in range(n):
            with T.block("s"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    s[vi] = T.float32(0.0)
                s[vi] = s[vi] + x[vi, vk]
            y[i, k] = s[0]


def numpy_sums_so_far(x: np.ndarray) -> np.ndarray:
    """The sums of the first row, as they grow while it is added up."""
    return np.concatenate([np.cumsum(x[:1], axis=1), np.full_like(x[1:], x[:1].sum())])


@case
def sums_that_a_statement_reads_stay_in_memory() -> relax.Schedule:
    sch = relax.Schedule(sums_so_far)
    assert_computes(sch.func, numpy_sums_so_far)
    return sch


@relax.prim_func
def keeps_a_corner(x: T.Buffer((m, n, n), "float32"), y: T.Buffer((m, n, n), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n, n), "float32")
    for o in range(m):
        for a, b in T.grid(n, n):
            if o < 1:
                t[a, b] = x[o, a, b]
        for c in range(n):
            for d in range(c + 1):
                t[c, d] = x[o, c, d]
        for i, j in T.grid(n, n):
            with T.block("y"):
                vo, vi, vj = T.axis.remap("SSS", [o, i, j])
                y[vo, vi, vj] = t[vi, vj]


@case
def parallel_refuses_scratch_that_is_filled_in_part() -> relax.Schedule:
    sch = relax.Schedule(keeps_a_corner)
    sch.parallel(sch.get_loops("y")[0])
    return sch


@relax.prim_func
def keeps_the_first(x: T.Buffer((m, n), "float32"), y: T.Buffer((m,), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((1,), "float32")
    for o in range(m):
        if o < 1:
            t[0] = T.float32(5.0)
        for k in range(n):
            t[0] = x[o, k]
        with T.block("y"):
            vo = T.axis.spatial(m, o)
            y[vo] = t[0]


@case
def parallel_refuses_scratch_that_a_loop_over_nothing_fills() -> relax.Schedule:
    sch = relax.Schedule(keeps_the_first)
    sch.parallel(sch.get_loops("y")[0])
    return sch
