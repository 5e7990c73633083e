"""Rfactor of reductions by every function that it takes, that start with a value of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from schedule_kernels import assert_computes, compiled

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.ir.equal import structural_equal
from relaxdsl.kernels.primitives.factor import NEUTRAL
from relaxdsl.script.parse_text import parse_kernel_source

m, n = relax.dims("m n")

#: How each function is written, and a dtype and a value to start with, which is not the neutral one.
REDUCTIONS = {
    "add": (lambda a, b: a + b, "float32", 3.0),
    "multiply": (lambda a, b: a * b, "int64", 2),
    "maximum": (T.maximum, "float32", 0.25),
    "minimum": (T.minimum, "int32", -1),
    "logical_and": (T.logical_and, "bool", False),
    "logical_or": (T.logical_or, "bool", True),
    "bitwise_and": (lambda a, b: a & b, "uint8", 12),
    "bitwise_or": (lambda a, b: a | b, "int64", 4),
    "bitwise_xor": (lambda a, b: a ^ b, "int64", 5),
}


def reduction(combine: Callable, dtype: str, start: float) -> relax.Schedule:
    @relax.prim_func
    def reduced(x: T.Buffer((m, n), dtype), y: T.Buffer((m,), dtype)):
        for i, k in T.grid(m, n):
            with T.block("y"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    y[vi] = start
                y[vi] = combine(y[vi], x[vi, vk])

    return relax.Schedule(reduced)


def in_parts(sch: relax.Schedule, is_split: bool) -> relax.Schedule:
    _, k = sch.get_loops("y")
    sch.rfactor(sch.split(k, factors=[None, 4])[1] if is_split else k)
    return sch


@pytest.mark.parametrize("is_split", [True, False], ids=["split", "whole"])
@pytest.mark.parametrize("name", NEUTRAL)
def test_the_initial_value_is_taken_once(name: str, is_split: bool) -> None:
    combine, dtype, start = REDUCTIONS[name]
    sch = in_parts(reduction(combine, dtype, start), is_split)
    reduce = getattr(np, name).reduce
    assert_computes(sch.func, lambda x: reduce(x, axis=1, initial=np.dtype(dtype).type(start)), compiled)
    assert not list(kernel_violations(sch.func, name))
    assert structural_equal(parse_kernel_source(str(sch), {"relax": relax}), sch.func)


@pytest.mark.parametrize(("name", "dtype", "start"), [("bitwise_and", "int8", 12), ("maximum", "int16", -5)])
def test_the_neutral_value_is_one_of_the_dtype(name: str, dtype: str, start: int) -> None:
    sch = in_parts(reduction(REDUCTIONS[name][0], dtype, start), is_split=True)
    assert_computes(sch.func, lambda x: getattr(np, name).reduce(x, axis=1, initial=start), compiled)


def test_parts_of_a_triangle_are_well_formed() -> None:
    @relax.prim_func
    def triangle(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            for k in range(i + 1):
                with T.block("y"):
                    vi = T.axis.spatial(n, i)
                    vk = T.axis.reduce(n, k)
                    with T.init():
                        y[vi] = 3.0
                    y[vi] += x[vk]

    sch = in_parts(relax.Schedule(triangle), is_split=True)
    assert_computes(sch.func, lambda x: 3 + np.cumsum(x))
    assert not list(kernel_violations(sch.func, "triangle"))
    assert structural_equal(parse_kernel_source(str(sch), {"relax": relax}), sch.func)
