"""Random programs at random sizes, 0 and 1 among them: no two live tensors share a byte, unless one is a view of the
other or is written in its place.

That results are right, and that arguments and earlier results are never written, is tested for the same programs in
``tests/test_random_programs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import relaxdsl as relax
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.kernels.interface import Interface
from relaxdsl.kernels.schedule.interface import interface_of
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.passes.constant_phases import DoneWhenCompiling
from relaxdsl.passes.memory import kernels
from relaxdsl.passes.memory.stage import plan_memory
from relaxdsl.passes.pipeline import PASSES, with_entry
from tests.passes.memory_shadow import judge
from tests.random_lines import KINDS
from tests.random_programs import Step, draft_program

m, n = relax.dims("m n")


@dataclass(frozen=True, eq=False)
class Uncompiled:
    """What planning asks of a kernel; there is no machine code."""

    interface: Interface

    def __getattr__(self, name: str) -> Any:
        if name in ("extents", "works"):
            return tuple(getattr(phase, name[:-1]) for phase in self.interface.phases)
        return getattr(self.interface, name)


class UncompiledTable(kernels.KernelTable):
    def get(self, kernel: PrimFunc, span: Any = None) -> Any:
        if kernel not in self.compiled:
            self.compiled[kernel] = Uncompiled(interface_of(schedule(kernel)))  # type: ignore[assignment]
        return self.compiled[kernel]


@pytest.fixture(autouse=True)
def _no_constant_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = DoneWhenCompiling(frozenset(), {})
    monkeypatch.setattr(kernels, "run_constant_phases", lambda *_: nothing)


def planned(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    for _, run in PASSES:
        function, module = run(function, module)
        module = with_entry(module, function)
    function, module, _ = plan_memory(function, module, UncompiledTable())
    return function, module


def assert_keeps_bytes(program: relax.CompiledFunction, sizes: dict[str, int]) -> None:
    function, module = planned(program.ir, program.module)
    for threads in (1, 3):
        judge(function, module, {**sizes, "threads": threads})


numbers = st.integers(0, 30)
steps = st.builds(Step, st.integers(0, len(KINDS) - 1), numbers, numbers, numbers)
recipes = st.tuples(st.lists(steps, min_size=2, max_size=9), st.lists(st.integers(0, 7), max_size=2))
sizes = st.integers(0, 3) | st.integers(0, 40)


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(recipes, sizes, sizes)
def test_random_programs(recipe: tuple[list[Step], list[int]], rows: int, columns: int) -> None:
    program = draft_program(*recipe, KINDS)
    note(program.relax_source)
    assert_keeps_bytes(program.compiled_from_source(), {"m": rows, "n": columns})


@relax.function
def chain(x: relax.Tensor[(m, n), "float32"], w: relax.Tensor[(n, n), "float32"]):
    y = x @ w
    for _ in range(3):
        y = relax.nn.softmax(y, axis=0) @ w + y
    return y


@relax.function
def diamond(x: relax.Tensor[(m, n), "float32"], flag: relax.Tensor[(), "bool"]):
    y = x - relax.max(x, axis=0)
    left = relax.sum(y, axis=1)
    if flag:
        z = relax.reshape(y / relax.max(y), (n, m))
    else:
        z = relax.permute_dims(y) * relax.sum(left)
    return relax.flatten(z), y[1:] + relax.sum(z), left


@relax.function
def parts(x: relax.Tensor[(m, n), "float32"]):
    y = relax.exp(x) @ relax.permute_dims(x)
    top, rest = y[:2], y[2:]
    return relax.sum(top, axis=0) + relax.max(rest), relax.flatten(rest), rest


@relax.function
def of_many_dtypes(x: relax.Tensor[(m, n), "float32"]):
    wide = relax.astype(x, "float64")
    narrow = relax.astype(wide / relax.max(wide), "int8")
    kept = narrow - relax.max(narrow, axis=0)
    return relax.sum(relax.astype(kept, "float64") / relax.sum(wide), axis=0), kept


@pytest.mark.parametrize("program", [chain, diamond, parts, of_many_dtypes], ids=lambda each: each.ir.name)
@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 3), (1, 1), (5, 1), (7, 33), (200, 40)])
def test_programs_that_share_much(program: relax.CompiledFunction, rows: int, columns: int) -> None:
    assert_keeps_bytes(program, {"m": rows, "n": columns})


def test_the_judge_sees_a_lost_byte() -> None:
    function, module = planned(chain.ir, chain.module)
    with pytest.raises(AssertionError):
        judge(function, _without_in_place(module), {"m": 4, "n": 4, "threads": 1})


def _without_in_place(module: IRModule) -> IRModule:
    """The module with kernels that do not say which input they overwrite."""
    return module.with_functions(
        {
            name: replace(each, attrs={}) if isinstance(each, PrimFunc) else each
            for name, each in module.functions.items()
        }
    )
