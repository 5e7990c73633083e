"""What each primitive makes of loops, and the whole message where it refuses, as files in ``cases/``.

The cases are functions, in a file for each primitive. ``RELAXDSL_UPDATE_CASES=1`` writes the files; read the difference
before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import cache_cases
import compute_at_cases
import inline_cases
import layout_cases
import part_cases
import pytest
import reduction_cases
import reverse_compute_at_cases
import statement_cases
import tensorize_cases
from schedule_cases import CASES, case, start
from schedule_kernels import KERNELS, Kernel, shown

import relaxdsl as relax
from relaxdsl.kernels.primitives.layout import IndexMap

FOLDER = Path(__file__).parent / "cases"
PRIMITIVES = (
    cache_cases,
    compute_at_cases,
    inline_cases,
    layout_cases,
    part_cases,
    reduction_cases,
    reverse_compute_at_cases,
    statement_cases,
    tensorize_cases,
)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    try:
        text = shown(CASES[name]()) + "\n"
    except relax.ScheduleError as error:
        text = f"ScheduleError: {error}\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("RELAXDSL_UPDATE_CASES"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_file_is_a_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(CASES)


def test_rfactor_counts_axes_from_the_end_too() -> None:
    def parts(axis: int) -> str:
        sch = start("row_sums")
        sch.rfactor(sch.get_loops("s")[1], axis)
        return str(sch)

    assert parts(-1) == parts(1)
    assert parts(-2) == parts(0)


@case
def blocks_are_called_by_their_names() -> relax.Schedule:
    sch = start("softmax")
    sch.get_loops("peek")
    return sch


@case
def blocks_are_called_by_text() -> relax.Schedule:
    sch = start("softmax")
    sch.get_block(3)  # type: ignore[arg-type]
    return sch


def test_relations_between_blocks() -> None:
    sch = start("softmax")
    assert [block.name for block in sch.get_producers("y")] == ["e", "s"]
    assert [block.name for block in sch.get_consumers("e")] == ["s", "y"]
    assert [block.name for block in sch.get_output_blocks()] == ["y"]
    assert str(IndexMap.of(lambda i: (i,))) == "lambda i: (i,)"
    assert isinstance(KERNELS["chain"], Kernel)
