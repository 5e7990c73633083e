"""Scheduled kernels are kernels like any other: they print and parse back, are called, and are left alone by fusion."""

from __future__ import annotations

import numpy as np
import pytest
from schedule_kernels import KERNELS, matmul, softmax

import relaxdsl as relax
from relaxdsl.ir.equal import structural_equal
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.script.parse_text import parse_kernel_source


def tiled_matmul() -> relax.Schedule:
    sch = relax.Schedule(matmul())
    i, j, k = sch.get_loops("c")
    i_0, i_1 = sch.split(i, factors=[None, 2])
    j_0, j_1 = sch.split(j, factors=[None, 16])
    sch.reorder(i_0, j_0, k, j_1, i_1)
    sch.reverse_compute_at(sch.cache_write("c", "c"), j_0)
    sch.vectorize(j_1)
    sch.unroll(i_1)
    sch.parallel(i_0)
    return sch


def row_softmax() -> relax.Schedule:
    sch = relax.Schedule(softmax())
    i, _ = sch.get_loops("y")
    for block in ("s", "e", "peak"):
        sch.compute_at(block, i)
    sch.parallel(i)
    return sch


@pytest.mark.parametrize("make", [tiled_matmul, row_softmax])
def test_a_scheduled_kernel_parses_back(make):
    sch = make()
    again = parse_kernel_source(str(sch), {"relax": relax})
    assert structural_equal(again, sch.func)
    assert again.attrs["scheduled"]


def test_a_program_calls_a_scheduled_kernel_and_fusion_leaves_it_alone():
    sch = tiled_matmul()

    @relax.function
    def program(a: relax.Tensor[("m", "p"), "float32"], b: relax.Tensor[("p", "n"), "float32"]):
        return relax.exp(relax.call_tir(sch.func, (relax.negative(a), b)))

    a, b = np.ones((3, 5), "float32"), np.full((5, 20), 0.25, "float32")
    np.testing.assert_allclose(program(a, b), np.exp(-a @ b), rtol=1e-6)
    assert [kernel.phases[0].extent for kernel in program.explain().kernels] == ["m * p", "ceil(m / 2)", "m * n"]
    assert "the loops of matmul stay as they were written" in str(program.explain())
    assert "agrees" in str(program.check(a, b))
    assert "for i_0 in range(lo, hi):" in program.source()


def test_a_scheduled_kernel_is_called_on_arrays():
    kernel = relax.prim_func(row_softmax().func)
    x = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
    np.testing.assert_allclose(kernel(x), KERNELS["softmax"].numpy(x), rtol=1e-6)


def test_the_source_is_what_was_scheduled():
    expected = """
def softmax(args, lo, hi):
    x = float32_buffer(args, 0)
    y = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    e = float32_buffer(args, 4)
    for i_3 in range(lo, hi):
        row = i_3 * n
        peak_acc = float32(-inf)
        for ax2 in range(n):
            peak_acc = fast_maximum(peak_acc, x[row + ax2])
        peak = peak_acc
        for ax1 in range(n):
            e[ax1] = exp(x[row + ax1] - peak)
        s_acc = float32(0.0)
        for ax0 in range(n):
            s_acc = fast_add(s_acc, e[ax0])
        s = s_acc
        for j_2 in range(n):
            y[row + j_2] = e[j_2] / s
"""
    assert kernel_source(schedule(row_softmax().func)) == expected.lstrip()


def test_tiles_that_are_whole_have_no_conditions():
    sch = relax.Schedule(KERNELS["chain"].build())
    for block in ("u", "t"):
        sch.compute_inline(block)
    i, j = sch.get_loops("y")
    i_0, i_1 = sch.split(i, factors=[None, 2])
    j_0, j_1 = sch.split(j, factors=[None, 16])
    sch.reorder(i_0, j_0, j_1, i_1)
    sch.unroll(i_1)
    sch.vectorize(j_1)
    tests = [line.strip() for line in kernel_source(schedule(sch.func)).splitlines() if " if " in line]
    assert tests == ["if row_1 + 1 < m:", "if row_1 + 1 < m:"]  # once a tile, and for the last row of the last one


def test_a_schedule_shows_itself(capsys):
    sch = row_softmax()
    sch.show()
    assert capsys.readouterr().out == f"{sch}\n"
    assert "peak" in sch._repr_html_()
