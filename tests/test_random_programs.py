"""Random programs: what they compile to, in both spellings, agrees with NumPy at every size; and they print and parse.

``RELAXDSL_RANDOM_PROGRAMS=2000`` tries so many, other ones in every run.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

import relaxdsl as relax
from relaxdsl.ir.check import check_module
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.print_graph import script_with_constants
from relaxdsl.script.parse_text import parse_source
from tests.random_lines import KINDS
from tests.random_programs import Program, Step, draft_program, leaves_of

WANTED = int(os.environ.get("RELAXDSL_RANDOM_PROGRAMS", "0"))

numbers = st.integers(0, 30)
steps = st.builds(Step, st.integers(0, len(KINDS) - 1), numbers, numbers, numbers)
recipes = st.tuples(st.lists(steps, min_size=1, max_size=8), st.lists(st.integers(0, 7), max_size=2))


def assert_close(got: Any, expected: Any, tolerance: float) -> None:
    for left, right in zip(leaves_of(got), leaves_of(expected), strict=True):
        wanted = np.asarray(right)
        assert np.asarray(left).dtype == wanted.dtype
        assert np.shape(left) == wanted.shape
        if tolerance:
            np.testing.assert_allclose(left, wanted, rtol=0, atol=tolerance)
        else:
            np.testing.assert_array_equal(left, wanted)


def assert_agrees_at_every_size(program: Program, compiled: Any) -> None:
    """Calls at one size after another agree with NumPy, change no argument and no earlier output."""
    earlier = []
    for args, expected in zip(program.arguments, program.expected, strict=True):
        copies = [arg.copy() for arg in args]
        got = compiled(*args)
        for each, wanted, tolerance in zip(got, expected, program.tolerances, strict=True):
            assert_close(each, wanted, tolerance)
        for arg, copy in zip(args, copies, strict=True):
            np.testing.assert_array_equal(arg, copy)
        earlier += [(leaf, np.copy(leaf)) for leaf in leaves_of(got)]
    for leaf, copy in earlier:
        np.testing.assert_array_equal(leaf, copy)
    assert compiled.compile_count == 1


def assert_parses_back(compiled: Any) -> None:
    program = compiled.module if len(compiled.module.functions) > 1 else compiled.ir
    text, constants = script_with_constants(program)
    again = parse_source(text, {"relax": relax}, constants, module=compiled.module)
    assert_structural_equal(again.function, compiled.ir)


def assert_right(program: Program) -> None:
    from_source, from_builder = program.compiled_from_source(), program.compiled_from_builder()
    for compiled in (from_source, from_builder):
        check_module(compiled.module)
        assert_parses_back(compiled)
        assert_agrees_at_every_size(program, compiled)
    for stage in from_source._get_compiled().stages:
        check_module(stage.module)
    for args in program.arguments[:2]:
        comparison = from_source.check(*args)
        assert comparison, str(comparison)


@settings(
    max_examples=WANTED or 90,
    deadline=None,
    derandomize=not WANTED,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(recipes)
def test_random_programs_agree_with_numpy(recipe: tuple[list[Step], list[int]]) -> None:
    program = draft_program(*recipe, KINDS)
    note(program.relax_source)
    note(program.numpy_source)
    assert_right(program)
