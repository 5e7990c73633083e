"""The width of vectors in compiled kernels."""

from __future__ import annotations

import pytest

from relaxdsl.kernels import te
from relaxdsl.kernels.codegen import machine_code
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import Loops
from relaxdsl.kernels.vectors import vector_bits, vector_registers
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
