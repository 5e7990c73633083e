"""Cases (``test_cases.py``) of ``transform_layout``."""

from __future__ import annotations

from case_kernels import gather
from schedule_cases import case, start
from schedule_kernels import KERNELS, assert_computes

import relaxdsl as relax


@case
def transform_layout_refuses_indices_that_depend_on_data() -> relax.Schedule:
    sch = relax.Schedule(gather)
    sch.transform_layout("t", "t", lambda i: (i // 4, i % 4))
    return sch


@case
def transform_layout_of_scratch() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (j // 4, i, j % 4))
    sch.parallel(sch.get_loops("t")[0])
    again = start("chain")
    relax.Trace.from_json(sch.trace.as_json()).apply_to(again)
    assert str(again) == str(sch)
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def transform_layout_refuses_an_argument() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "x", lambda i, j: (j, i))
    return sch


@case
def transform_layout_of_diagonals() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("u", "u", lambda i, j: (i + j, j))
    assert_computes(sch.func, KERNELS["chain"].numpy)
    return sch


@case
def transform_layout_refuses_what_the_block_does_not_use() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "y", lambda i, j: (j, i))
    return sch


@case
def transform_layout_refuses_a_map_that_divides() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (j, i / 2))
    return sch


@case
def transform_layout_refuses_a_map_of_other_axes() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i: (i,))
    return sch


@case
def transform_layout_refuses_a_map_that_loses_elements() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (j // 4, i, j % 3))
    return sch


@case
def transform_layout_refuses_a_map_below_zero() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: (i - j, j))
    return sch


@case
def transform_layout_refuses_a_map_to_no_indices() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", lambda i, j: "ij")
    return sch


@case
def transform_layout_refuses_what_is_no_map() -> relax.Schedule:
    sch = start("chain")
    sch.transform_layout("t", "t", None)  # type: ignore[arg-type]
    return sch
