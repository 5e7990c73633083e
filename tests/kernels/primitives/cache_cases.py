"""Cases (``test_cases.py``) of ``cache_read`` and ``cache_write``."""

from __future__ import annotations

from case_kernels import changes_its_input
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax


@case
def cache_write_refuses_what_others_write() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.cache_write("second", "y")
    return sch


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
def cache_read_refuses_a_number_that_no_buffer_has() -> relax.Schedule:
    sch = start("matmul")
    sch.cache_read("c", 5)
    return sch


@case
def cache_write_refuses_a_number_that_no_buffer_has() -> relax.Schedule:
    sch = start("matmul")
    sch.cache_write("c", 5)
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
