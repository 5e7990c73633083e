"""Random schedules of real and random kernels: every step is legal or refused, and the kernel computes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intrinsics import SIZE, tiled
from random_kernels import STAGES, random_kernel, random_kernels
from schedule_kernels import KERNELS, SIZES, Kernel, assert_computes, compiled, in_python, inputs_of

import relaxdsl as relax
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.kernels.checked import with_checks
from relaxdsl.kernels.primitives.tree import blocks_in

MAX_STEPS = 8
FACTORS = ([None, 2], [None, 4], [3, None], [None, 2, 2])


def any_loop(data: st.DataObject, sch: relax.Schedule, block: str):
    loops = sch.get_loops(block)
    return data.draw(st.sampled_from(loops)) if loops else None


def any_block(data: st.DataObject, sch: relax.Schedule):
    return data.draw(st.sampled_from(current_blocks(sch)))


def current_blocks(sch: relax.Schedule) -> list[str]:
    return [block.name for block in blocks_in(sch.func.body)]


def split(data, sch):
    sch.split(any_loop(data, sch, any_block(data, sch)), factors=data.draw(st.sampled_from(FACTORS)))


def fuse(data, sch):
    loops = sch.get_loops(any_block(data, sch))
    first = data.draw(st.integers(0, max(0, len(loops) - 2)))
    sch.fuse(*loops[first : first + 2])


def reorder(data, sch):
    loops = sch.get_loops(any_block(data, sch))
    first = data.draw(st.integers(0, len(loops)))
    sch.reorder(*data.draw(st.permutations(loops[first:])))


def kind(data, sch):
    step = data.draw(st.sampled_from(["parallel", "vectorize", "unroll"]))
    getattr(sch, step)(any_loop(data, sch, any_block(data, sch)))


def decompose(data, sch):
    block = any_block(data, sch)
    sch.decompose_reduction(block, any_loop(data, sch, block))


def inline(data, sch):
    getattr(sch, data.draw(st.sampled_from(["compute_inline", "reverse_compute_inline"])))(any_block(data, sch))


def move(data, sch):
    loop = any_loop(data, sch, any_block(data, sch))
    getattr(sch, data.draw(st.sampled_from(["compute_at", "reverse_compute_at"])))(any_block(data, sch), loop)


def cache(data, sch):
    step = data.draw(st.sampled_from(["cache_read", "cache_write"]))
    getattr(sch, step)(any_block(data, sch), data.draw(st.integers(0, 1)))


def rfactor(data, sch):
    loop = any_loop(data, sch, any_block(data, sch))
    sch.rfactor(loop, data.draw(st.integers(0, 1)))


def layout(data, sch):
    index_map = data.draw(st.sampled_from(MAPS))
    sch.transform_layout(any_block(data, sch), data.draw(st.integers(0, 1)), index_map)


MAPS = (
    lambda i: (i // 2, i % 2),
    lambda i, j: (j, i),
    lambda i, j: (i + j, j),
    lambda i, j: (i, j // 4, j % 4),
)
STEPS = (
    *(split, split, split, fuse, reorder, reorder, kind, kind, decompose, inline),
    *(move, move, move, cache, rfactor, layout),
)


def random_schedule(data: st.DataObject, kernel: Kernel) -> relax.Schedule:
    sch = relax.Schedule(kernel.build())
    take_random_steps(data, sch, data.draw(st.integers(1, MAX_STEPS)))
    return sch


def take_random_steps(data: st.DataObject, sch: relax.Schedule, count: int) -> None:
    for _ in range(count):
        step = data.draw(st.sampled_from(STEPS))
        try:
            step(data, sch)
        except relax.ScheduleError:
            continue


def assert_changes_nothing(sch: relax.Schedule, kernel: Kernel) -> None:
    assert not list(kernel_violations(sch.func, "kernel"))
    assert_computes(sch.func, kernel.numpy)
    assert_debug_mode_finds_nothing(sch, kernel)
    again = relax.Schedule(kernel.build())
    relax.Trace.from_json(sch.trace.as_json()).apply_to(again)
    assert str(again) == str(sch)


def assert_debug_mode_finds_nothing(sch: relax.Schedule, kernel: Kernel) -> None:
    checked = with_checks(sch.func).prim_func
    assert_computes(checked, kernel.numpy)
    run = in_python(checked)
    for sizes in SIZES:
        own = {name: sizes[name] for name in checked.symbols}
        report = run(inputs_of(checked, own), own)[-1]
        np.testing.assert_array_equal(report, [0, 0, 0])


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_change_nothing(name: str, data: st.DataObject) -> None:
    assert_changes_nothing(random_schedule(data, KERNELS[name]), KERNELS[name])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_of_random_kernels_change_nothing(data: st.DataObject) -> None:
    kernel = data.draw(random_kernels())
    assert_changes_nothing(random_schedule(data, kernel), kernel)


def tensorized_tiles() -> relax.Schedule:
    sch = relax.Schedule(KERNELS["tiles"].build())
    outer, inner = tiled(sch, "c")
    sch.decompose_reduction("c", outer[-1])
    sch.tensorize(inner[0], "multiply4")
    return sch


def tensorized_fours() -> relax.Schedule:
    sch = relax.Schedule(KERNELS["fours"].build())
    _, inner = sch.split(sch.get_loops("t")[-1], factors=[None, SIZE])
    sch.tensorize(inner, "double4")
    return sch


@pytest.mark.parametrize(("name", "begin"), [("tiles", tensorized_tiles), ("fours", tensorized_fours)])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_of_intrinsics_change_nothing(
    name: str, begin: Callable[[], relax.Schedule], data: st.DataObject
) -> None:
    sch = begin()
    take_random_steps(data, sch, data.draw(st.integers(0, MAX_STEPS)))
    assert_changes_nothing(sch, KERNELS[name])


@pytest.mark.parametrize("name", STAGES)
def test_random_kernels_compute_what_they_should(name: str) -> None:
    kernel = random_kernel([name, "doubled"], [0, 1])
    assert_computes(kernel.build(), kernel.numpy)


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_compile(name: str, data: st.DataObject) -> None:
    assert_computes(random_schedule(data, KERNELS[name]).func, KERNELS[name].numpy, compiled)
