"""Cases (``test_cases.py``) of ``tensorize``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from case_kernels import odd_stages
from intrinsics import double_described, multiply_by_rows, multiply_described, tiled
from schedule_cases import case, start
from schedule_kernels import assert_computes

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.ir.loops import CallExtern
from relaxdsl.kernels.create import create_prim_func

n = relax.dims("n")


@case
def tensorize_a_tile_of_a_matmul() -> relax.Schedule:
    sch = start("tiles")
    outer, inner = tiled(sch, "c")
    sch.decompose_reduction("c", outer[2])
    sch.tensorize(inner[0], "multiply4")
    sch.parallel(outer[0])
    assert_computes(sch.func, lambda a, b: a @ b)
    return sch


@case
def tensorize_refuses_a_reduction_with_init() -> relax.Schedule:
    sch = start("tiles")
    _, inner = tiled(sch, "c")
    sch.tensorize(inner[0], "multiply4")
    return sch


@case
def tensorize_refuses_tiles_that_are_not_whole() -> relax.Schedule:
    sch = start("matmul")
    outer, inner = tiled(sch, "c")
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
