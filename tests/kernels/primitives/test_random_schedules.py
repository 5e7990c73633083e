"""Random schedules of real kernels: every step is legal or refused, and the kernel still computes the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schedule_kernels import KERNELS, assert_computes, compiled

import relaxdsl as relax
from relaxdsl.ir.check_loops import kernel_violations
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


STEPS = (split, split, split, fuse, reorder, reorder, kind, kind, decompose, inline, move, move, move, cache, rfactor)


def random_schedule(data: st.DataObject, name: str) -> relax.Schedule:
    sch = relax.Schedule(KERNELS[name].build())
    for _ in range(data.draw(st.integers(1, MAX_STEPS))):
        step = data.draw(st.sampled_from(STEPS))
        try:
            step(data, sch)
        except relax.ScheduleError:
            continue
    return sch


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_change_nothing(name: str, data: st.DataObject) -> None:
    sch = random_schedule(data, name)
    assert not list(kernel_violations(sch.func, name))
    assert_computes(sch.func, KERNELS[name].numpy)
    again = relax.Schedule(KERNELS[name].build())
    relax.Trace.from_json(sch.trace.as_json()).apply_to(again)
    assert str(again) == str(sch)


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_schedules_compile(name: str, data: st.DataObject) -> None:
    assert_computes(random_schedule(data, name).func, KERNELS[name].numpy, compiled)
