"""Kernels print as scripts that ``@relax.prim_func`` reads back: those of every operator, scheduled, and fused."""

from __future__ import annotations

import operator_cases as cases
import pytest

import relaxdsl as relax
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.print_graph import script
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.passes.pipeline import compile_function
from relaxdsl.script.parse_text import parse_kernel_source


def assert_parses_back(kernel: PrimFunc) -> None:
    text = script(kernel)
    again = parse_kernel_source(text, {})
    assert_structural_equal(again, kernel)
    assert script(again) == text


def kernel_of(case: cases.Case, sizes: cases.Sizes | None) -> PrimFunc:
    definition = case.definition
    operands, outputs = cases.te_of(definition, cases.call_of(definition, case.sample, sizes))
    return create_prim_func(cases.placeholders(operands), outputs, definition.name.replace(".", "_"))


WITH_BODY = [case for case in cases.all_cases() if case.definition.host is None]


@pytest.mark.parametrize("case", WITH_BODY, ids=str)
def test_kernels_of_operators(case: cases.Case) -> None:
    assert_parses_back(kernel_of(case, None))
    assert_parses_back(schedule(kernel_of(case, None)))


@pytest.mark.parametrize("case", [case for case in WITH_BODY if case.number == 0], ids=str)
def test_kernels_of_known_sizes(case: cases.Case) -> None:
    kernel = kernel_of(case, cases.static_sizes(case.sample))
    assert_parses_back(kernel)
    assert_parses_back(schedule(kernel))


m, n, k = relax.dims("m n k")


@relax.function
def elementwise(x: relax.Tensor[(m, n), "float32"], y: relax.Tensor[(n,), "float32"]):
    return relax.nn.gelu(relax.exp(x) * y + 1.5), relax.flatten(x) - 2


@relax.function
def attention_weights(q: relax.Tensor[(m, k), "float32"], w: relax.Tensor[(n, k), "float32"]):
    scores = relax.matmul(q, relax.permute_dims(w)) / 8.0
    return relax.nn.softmax(relax.where(scores > 0, scores, -1e9))


@relax.function
def normalized(x: relax.Tensor[(m, 2 * n), "float32"], weight: relax.Tensor[(2 * n,), "float32"]):
    return relax.nn.relu(relax.nn.rms_norm(x, weight)), relax.sum(relax.concat([x, x], axis=0), axis=1)


@relax.function
def of_integers(x: relax.Tensor[(m, n), "int32"]):
    kept = relax.where(x > 3, x // 2, -x)
    return relax.argmax(kept, axis=1), relax.astype(kept, "float64") ** 0.5


@pytest.mark.parametrize("function", [elementwise, attention_weights, normalized, of_integers], ids=lambda f: f.ir.name)
def test_fused_kernels(function: relax.CompiledFunction) -> None:
    compiled = compile_function(function.ir, function.module)
    kernels = compiled.module_after("fuse").kernels
    assert kernels
    for kernel in kernels.values():
        assert_parses_back(kernel)
        assert_parses_back(schedule(kernel))
