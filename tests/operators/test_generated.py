"""Tests that every operator gets from its definition: types, kernels and hosts against NumPy, mistakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import operator_cases as cases
import pytest
from operator_cases import Case

from relaxdsl.errors import DTypeError
from relaxdsl.ir.graph import Call
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel
from relaxdsl.operators.registry import Mistake, Operator, Sample, TensorSample

CASES = cases.all_cases()
MISTAKES = cases.all_mistakes()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_type_agrees_with_the_reference(case: Case) -> None:
    symbolic = cases.tensor_types(cases.call_of(case.definition, case.sample).type)
    for sizes in (*cases.size_choices(case.sample), cases.static_sizes(case.sample)):
        static = cases.tensor_types(cases.call_of(case.definition, case.sample, sizes).type)
        results = cases.reference_result(case.definition, *cases.array_arguments(case.definition, case.sample, sizes))
        assert len(symbolic) == len(static) == len(results)
        for types in (symbolic, static):
            for type_, result in zip(types, results, strict=True):
                _check_type(type_, result, sizes, case)


def _check_type(type_: cases.TensorType, result: np.ndarray, sizes: cases.Sizes, case: Case) -> None:
    shape = cases.shape_with_numbers(type_, sizes)
    assert type_.dtype == result.dtype.name, f"{case}: {type_.dtype}, NumPy {result.dtype.name}"
    expected = tuple(None if size is None else real for size, real in zip(shape, result.shape, strict=True))
    assert shape == expected, f"{case} at {dict(sizes)}"


@pytest.mark.parametrize(("name", "definition", "wrong"), MISTAKES, ids=[name for name, _, _ in MISTAKES])
def test_mistake_gives_the_whole_message(name: str, definition: Operator, wrong: Mistake) -> None:
    with pytest.raises(wrong.error) as error:
        cases.call_of(definition, wrong)
    assert type(error.value) is wrong.error
    assert str(error.value) == wrong.message


# ---------------------------------------------------------------------------------------------------- kernels and hosts

KERNEL_CASES = [case for case in CASES if case.definition.body is not None]
HOST_CASES = [case for case in CASES if case.definition.host is not None]


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_symbolic_kernel_agrees_with_the_reference(case: Case) -> None:
    kernel = cases.compile_case(case)
    for sizes in cases.size_choices(case.sample):
        for parts in (1, 3):
            _check_kernel(kernel, sizes, parts)


def _widest_cases() -> list[Case]:
    """Of each operator the case whose operands have most axes: where sizes known as numbers change the loops most."""
    widest: dict[str, Case] = {}
    for case in KERNEL_CASES:
        name = case.definition.name
        widest[name] = max(widest.get(name, case), case, key=lambda each: cases.total_ndim(each.sample))
    return list(widest.values())


@pytest.mark.parametrize("case", _widest_cases(), ids=str)
def test_static_kernel_agrees_with_the_reference(case: Case) -> None:
    sizes = cases.static_sizes(case.sample)
    _check_kernel(cases.compile_case(case, sizes), sizes, 1)


def _check_kernel(kernel: cases.CaseKernel, sizes: cases.Sizes, parts: int) -> None:
    case = kernel.case
    args, attrs = cases.array_arguments(case.definition, case.sample, sizes)
    expected = cases.reference_result(case.definition, args, attrs)
    actual = kernel.run(args, attrs, sizes, parts)
    for got, wanted in zip(actual, expected, strict=True):
        cases.assert_agrees(got, wanted, case.sample.tolerance, f"{case} at {dict(sizes)}, parts={parts}")


@pytest.mark.parametrize("case", HOST_CASES, ids=str)
def test_host_agrees_with_the_reference(case: Case) -> None:
    for sizes in cases.size_choices(case.sample):
        args, attrs = cases.array_arguments(case.definition, case.sample, sizes)
        expected = cases.reference_result(case.definition, args, attrs)
        result = case.definition.host(*args, **attrs)
        actual = result if isinstance(result, tuple | list) else (result,)
        for got, wanted in zip(actual, expected, strict=True):
            cases.assert_agrees(np.asarray(got), wanted, case.sample.tolerance, f"{case} at {dict(sizes)}")


# ------------------------------------------------------------------------------------ dtypes that kernels do not have


def _in_half(case: Case) -> Sample:
    """The sample with float16 in place of float32."""

    def half(value: Any) -> Any:
        if isinstance(value, TensorSample) and value.dtype == "float32":
            return replace(value, dtype="float16")
        return type(value)(map(half, value)) if isinstance(value, list | tuple) else value

    return replace(case.sample, args=half(case.sample.args))


HALF_CASES = [case for case in KERNEL_CASES if _in_half(case) != case.sample]

@pytest.mark.parametrize("case", HALF_CASES, ids=str)
def test_float16_is_refused_at_the_call_or_computed_nowhere(case: Case) -> None:
    name = case.definition.name
    call = _call_or_error(case)
    if isinstance(call, Call):
        operands, outputs = cases.te_of(case.definition, call)
        compile_kernel(create_prim_func(cases.placeholders(operands), outputs, name))
    elif call.headline == f"{name}: kernels do not compute in float16":
        assert call.details[-1].startswith(f"{name} takes ")
        assert "float32" in call.details[-1]
    else:  # it takes no floats
        assert call.headline.startswith(f"{name}: ")
        assert "float16" in call.headline


def _call_or_error(case: Case) -> Call | DTypeError:
    try:
        return cases.call_of(case.definition, _in_half(case))
    except DTypeError as error:
        return error
