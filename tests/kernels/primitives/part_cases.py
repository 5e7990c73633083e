"""Cases (``test_cases.py``) of blocks whose loops run over a part of their axes, and of what two blocks make."""

from __future__ import annotations

import numpy as np
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax
from relaxdsl import tir as T

m, n = relax.dims("m n")


@relax.prim_func
def triangle(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for i in range(n):
        for j in range(i + 1):
            with T.block("t"):
                vi = T.axis.spatial(n, i)
                vj = T.axis.reduce(n, j)
                with T.init():
                    t[vi] = T.float32(0.0)
                t[vi] = t[vi] + x[vj]
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = t[vk] * T.float32(2.0)


@case
def compute_at_refuses_sums_over_a_part() -> relax.Schedule:
    sch = relax.Schedule(triangle)
    sch.compute_at("t", sch.get_loops("y")[0])
    return sch


@case
def compute_at_refuses_sums_over_a_part_behind_a_copy() -> relax.Schedule:
    sch = relax.Schedule(triangle)
    copy = sch.cache_write("t", "t")
    k = sch.get_loops("y")[0]
    sch.compute_at(copy, k)
    assert_computes(sch.func, lambda x: 2 * np.cumsum(x))
    sch.compute_at("t", k)
    return sch


@case
def reverse_compute_at_of_sums_over_a_part() -> relax.Schedule:
    sch = relax.Schedule(triangle)
    sch.reverse_compute_at("y", sch.get_loops("t")[0])
    assert_computes(sch.func, lambda x: 2 * np.cumsum(x))
    return sch


@relax.prim_func
def ends(x: T.Buffer((n + 1,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for i in range(n - 1):
        with T.block("t"):
            vi = T.axis.spatial(n, i + 1)
            t[vi] = x[vi - 1]
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = T.if_then_else(vk < 1, T.float32(0.0), t[vk])


@case
def compute_inline_refuses_a_block_over_a_part() -> relax.Schedule:
    sch = relax.Schedule(ends)
    sch.compute_inline("t")
    return sch


@case
def reverse_compute_inline_refuses_a_producer_over_a_part() -> relax.Schedule:
    sch = relax.Schedule(ends)
    sch.reverse_compute_inline("y")
    return sch


@relax.prim_func
def halves(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((n,), "float32")
    for i in range(n // 2):
        with T.block("first"):
            vi = T.axis.spatial(n, i)
            t[vi] = x[vi]
    for j in range(n - n // 2):
        with T.block("second"):
            vj = T.axis.spatial(n, j + n // 2)
            t[vj] = x[vj] * T.float32(7.0)
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = t[vk] + T.float32(1.0)


def assert_halves(sch: relax.Schedule) -> None:
    assert_computes(sch.func, lambda x: x * np.where(np.arange(len(x)) < len(x) // 2, 1, 7) + 1)


@case
def reverse_compute_at_refuses_what_is_made_there_in_part() -> relax.Schedule:
    sch = relax.Schedule(halves)
    sch.reverse_compute_at("y", sch.get_loops("second")[0])
    return sch


@case
def compute_at_refuses_what_two_blocks_make() -> relax.Schedule:
    sch = relax.Schedule(halves)
    sch.compute_at("second", sch.get_loops("y")[0])
    return sch


@case
def compute_inline_refuses_what_two_blocks_make() -> relax.Schedule:
    sch = relax.Schedule(halves)
    sch.compute_inline("first")
    return sch


@case
def reverse_compute_inline_refuses_what_two_blocks_make() -> relax.Schedule:
    sch = relax.Schedule(halves)
    sch.reverse_compute_inline("y")
    return sch


@case
def loops_of_two_blocks_are_split_and_read_copies() -> relax.Schedule:
    sch = relax.Schedule(halves)
    for block in ("first", "second"):
        sch.split(sch.get_loops(block)[0], factors=[None, 4])
    sch.compute_at(sch.cache_read("y", "t"), sch.get_loops("y")[0])
    assert_halves(sch)
    return sch


@relax.prim_func
def made_again_in_each_row(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), n: T.int64):
    T.outputs(y)
    last = T.alloc_buffer((1,), "float32")
    t = T.alloc_buffer((n,), "float32")
    u = T.alloc_buffer((n,), "float32")
    for i in range(n):
        with T.block("last"):
            vl = T.axis.reduce(n, i)
            last[0] = x[vl]
        with T.block("u"):
            vi = T.axis.spatial(n, i)
            u[vi] = x[vi]
        for j in range(n):
            with T.block("t"):
                vj = T.axis.spatial(n, j)
                t[vj] = last[0]
    for k in range(n):
        with T.block("y"):
            vk = T.axis.spatial(n, k)
            y[vk] = u[vk] + t[vk]


@case
def reverse_compute_at_refuses_what_each_iteration_makes_anew() -> relax.Schedule:
    sch = relax.Schedule(made_again_in_each_row)
    assert_computes(sch.func, lambda x: x + x[-1:])
    sch.reverse_compute_at("y", sch.get_loops("u")[0])
    return sch


@relax.prim_func
def backwards(x: T.Buffer((m, n), "float32"), y: T.Buffer((m, n), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    t = T.alloc_buffer((m, n), "float32")
    for i, j in T.grid(m, n):
        with T.block("t"):
            vi = T.axis.spatial(m, m - 1 - i)
            vj = T.axis.spatial(n, j)
            t[vi, vj] = x[vi, vj] * T.float32(2.0)
    for k, p in T.grid(m, n):
        with T.block("y"):
            vk, vp = T.axis.remap("SS", [k, p])
            y[vk, vp] = t[vk, vp] + T.float32(1.0)


@case
def compute_at_of_tiles_of_a_loop_that_runs_backwards() -> relax.Schedule:
    sch = relax.Schedule(backwards)
    i, j = sch.get_loops("t")
    j_0, j_1 = sch.split(j, factors=[None, 4])
    sch.reorder(j_1, i, j_0)
    k, _ = sch.get_loops("y")
    sch.compute_at("t", k)
    sch.compute_at("t", sch.get_loops("y")[1])
    assert_computes(sch.func, lambda x: 2 * x + 1)
    return sch


@case
def compute_at_of_the_parts_of_fused_loops() -> relax.Schedule:
    sch = start("chain")
    sch.split(sch.fuse(*sch.get_loops("t")), factors=[3, None])
    sch.compute_at("t", sch.get_loops("u")[0])
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@relax.prim_func
def sums_so_far(x: T.Buffer((n,), "float32"), y: T.Buffer((n, m), "float32"), m: T.int64, n: T.int64):
    T.outputs(y)
    s = T.alloc_buffer((), "float32")
    for i in range(n):
        for a in range(i + 1):
            with T.block("s"):
                va = T.axis.reduce(n, a)
                with T.init():
                    s[()] = T.float32(0.0)
                s[()] = s[()] + x[va]
        for k in range(m):
            with T.block("y"):
                vi, vk = T.axis.remap("SS", [i, k])
                y[vi, vk] = s[()]


@case
def compute_at_refuses_sums_over_a_part_in_each_iteration() -> relax.Schedule:
    sch = relax.Schedule(sums_so_far)
    sch.compute_at("s", sch.get_loops("y")[1])
    return sch
