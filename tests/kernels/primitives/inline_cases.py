"""Cases (``test_cases.py``) of ``compute_inline`` and ``reverse_compute_inline``."""

from __future__ import annotations

from case_kernels import changes_its_input, gather, mirrored, odd_stages, rows_backwards
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.kernels.create import create_prim_func

n = relax.dims("n")


@case
def compute_inline_refuses_inputs_that_change() -> relax.Schedule:
    sch = relax.Schedule(changes_its_input)
    sch.compute_inline("t")
    return sch


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
def compute_inline_shows_no_example_without_an_element() -> relax.Schedule:
    """Where an axis has no steps, no iteration of the block is left out."""
    sch = start("chain")
    outer, _ = sch.split(sch.fuse(*sch.get_loops("y")), factors=[None, 16])
    sch.compute_at("u", outer)
    sch.compute_inline("u")
    return sch


@case
def compute_inline_refuses_two_values() -> relax.Schedule:
    sch = relax.Schedule(odd_stages)
    sch.compute_inline("w")
    return sch


@case
def compute_inline_refuses_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.compute_inline("t")
    return sch


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


@case
def reverse_compute_inline_refuses_other_rows_of_a_shared_loop() -> relax.Schedule:
    sch = relax.Schedule(rows_backwards)
    sch.reverse_compute_inline("y")
    return sch
