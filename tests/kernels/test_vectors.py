"""The width of vectors in compiled kernels."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from relaxdsl.kernels import te
from relaxdsl.kernels.codegen import machine_code
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import Loops
from relaxdsl.kernels.math.build import scales_slowly_to_zero
from relaxdsl.kernels.vectors import vector_bits, vector_registers, widest_vector_bits
from relaxdsl.types.dims import symbol


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_kernels_use_vectors_of_the_width_that_is_asked_for(bits, monkeypatch):
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", str(bits))
    x = te.placeholder((symbol("n"),), "float32", name="x")
    y = te.compute((symbol("n"),), lambda i: te.exp(x[i]), name="y")
    loops = Loops(create_prim_func([x], [y], name="widths"))
    code = machine_code("widths", loops.scheduled, loops.source)
    assert f'"prefer-vector-width"="{bits}"' in code._library.get_llvm_str()
    assert vector_bits() == bits
    assert vector_registers() in (16, 32)
    assert bits < 512 or vector_registers() == 32


def chain(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i, j: te.sin(x[i, j] * 3) + te.exp(x[i, j]), name="y")


def conditional(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i, j: te.if_then_else(x[i, j] > 0, te.sin(x[i, j]), x[i, j]), name="y")


def reduction(x: te.Tensor) -> te.Tensor:
    k = te.reduce_axis(x.shape[1], "k")
    return te.compute(x.shape[:1], lambda i: te.sum(te.sin(x[i, k]), axis=k), name="y")


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("define", [chain, conditional, reduction])
def test_loops_with_rare_cases_become_vectors(
    define: Callable[[te.Tensor], te.Tensor], dtype: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", str(bits))
    x = te.placeholder((symbol("m"), symbol("n")), dtype, name="x")
    loops = Loops(create_prim_func([x], [define(x)], name="rare"))
    text = machine_code("rare", loops.scheduled, loops.source)._library.get_llvm_str()
    lanes = {int(each) for each in re.findall(r"call [^\n]*@relaxdsl_sin_of_large_v(\d+)f\d+\(", text)}
    width = min(bits, widest_vector_bits())  # on a machine without the vectors that are asked for, LLVM takes its own
    assert lanes & {width // 32, width // 64}


@pytest.mark.skipif(not scales_slowly_to_zero(), reason="zeros take no longer")
def test_exponentials_that_are_zero_are_not_scaled() -> None:
    x = te.placeholder((symbol("n"),), "float32", "x")
    loops = Loops(create_prim_func([x], [te.compute((symbol("n"),), lambda i: te.exp(x[i]))], name="scaled"))
    assembly = machine_code("scaled", loops.scheduled, loops.source)._library.get_asm_str()
    scaling = re.findall(r"vscalefps.*%zmm.*", assembly)
    assert scaling
    assert all("{%k" in each for each in scaling)
