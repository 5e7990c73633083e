"""The checks of handwritten kernels, on kernels that are right: those of every operator."""

from __future__ import annotations

import operator_cases as cases
import pytest

from relaxdsl.kernels.access_sites import sites_of
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.independence import conflicts_of
from relaxdsl.kernels.out_of_range import find_example, is_proved

#: Samples whose sizes are promised to be large enough by a condition that the call carries.
ASSUMING = {"strided_slice-4", "strided_slice-5"}
WITH_BODY = [case for case in cases.all_cases() if case.definition.host is None]


@pytest.mark.parametrize("case", WITH_BODY, ids=str)
def test_kernels_of_operators_pass(case: cases.Case) -> None:
    definition = case.definition
    operands, outputs = cases.te_of(definition, cases.call_of(definition, case.sample))
    kernel = create_prim_func(cases.placeholders(operands), outputs, definition.name.replace(".", "_"))
    assert not list(conflicts_of(kernel))
    undecided = [site for site in sites_of(kernel) if not is_proved(site)]
    wrong = [site for site in undecided if find_example(kernel, site) is not None]
    assert not wrong or str(case) in ASSUMING


def test_nearly_all_accesses_of_operators_are_proved() -> None:
    proved = total = 0
    for case in WITH_BODY[::5]:
        definition = case.definition
        operands, outputs = cases.te_of(definition, cases.call_of(definition, case.sample))
        kernel = create_prim_func(cases.placeholders(operands), outputs, "kernel")
        proofs = [is_proved(site) for site in sites_of(kernel)]
        proved, total = proved + sum(proofs), total + len(proofs)
    assert proved >= 0.97 * total
