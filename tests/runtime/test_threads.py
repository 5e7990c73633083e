"""Threads that share work: whoever computes what, results are the same, and nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_built import PythonKernel

import relaxdsl as relax
from relaxdsl.errors import ArgumentError
from relaxdsl.ir.loops import PARTS_PER_THREAD
from relaxdsl.kernels.work import SHARED_FROM
from relaxdsl.runtime import threads
from relaxdsl.runtime.encoding import encode
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.held import held_by
from relaxdsl.runtime.machine import run_table, stop_workers
from relaxdsl.runtime.parallel import WAKING_FACTOR
from relaxdsl.runtime.program import CallKernel, CountThreads, Program, Sharing, Slot, TupleTree
from relaxdsl.runtime.reads import read_slots

m, n = relax.dims("m n")
EXTENTS = [0, 1, 2, 3, 7, 1000, 20_000]


@pytest.fixture(autouse=True)
def shared_from_zero() -> Iterator[None]:
    """Everything is shared, however small."""
    before = relax.get_num_threads()
    threads.share_from(0)
    yield
    threads.share_from(SHARED_FROM)
    relax.set_num_threads(before)


@relax.function
def normalized(x: relax.Tensor[(m, n), "float32"]):
    return relax.nn.softmax(x, axis=1)


@relax.function
def many_kernels(x: relax.Tensor[(m, n), "float32"]):
    y = relax.exp(x) / 3 + x
    total = relax.sum(y, axis=0)
    return relax.nn.softmax(relax.permute_dims(y), axis=0), total, relax.matmul(relax.permute_dims(y), y)


def divided_by_sum(x: Any) -> Any:
    i, j = relax.te.reduce_axis(x.shape[0], "i"), relax.te.reduce_axis(x.shape[1], "j")
    total = relax.te.compute((), lambda: relax.te.sum(x[i, j], axis=(i, j)), "total")
    return relax.te.compute(x.shape, lambda a, b: relax.te.exp(x[a, b]) / total[()], "out")


@relax.function
def shares(x: relax.Tensor[(m, n), "float32"]):
    """One kernel in two phases: the second needs what the first leaves of all rows."""
    return relax.emit_te(divided_by_sum, x)


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-3, 3, shape).astype(np.float32)


def run(call: CallKernel, *slots: int, per_thread: int = PARTS_PER_THREAD) -> None:
    """Runs one kernel call on the slots' values, in a program whose last slots are the number of threads, and of parts
    for each.
    """
    count = len(slots)
    names = tuple(Slot(f"s{i}") for i in range(count + 2))
    program = Program("p", names, (), TupleTree(()), (), (CountThreads(count), call))
    table = encode(program, held_by(program))
    memory = np.zeros(table.slot_count + table.gathered_count, np.int64)
    memory[: count + 2] = *slots, 0, per_thread
    run_table(address_of(memory), table.address, table.body, 0)


def parts_of(extent: int, work: int = 0, per_thread: int = PARTS_PER_THREAD) -> list[tuple[int, int]]:
    """The parts into which a kernel's range is cut."""
    parts: list[tuple[int, int]] = []
    kernel = PythonKernel(lambda args, lo, hi: parts.append((lo, hi)), "note")
    call = CallKernel(kernel, (), 0, sharing=Sharing(work=1, threads=2, per_thread=3))
    run(call, extent, work, per_thread=per_thread)
    return sorted(parts)


# --------------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("thread_count", [1, 2, 3, 4])
@pytest.mark.parametrize("extent", EXTENTS)
def test_the_parts_make_up_the_range(extent: int, thread_count: int) -> None:
    relax.set_num_threads(thread_count)
    parts = parts_of(extent)
    assert [index for lo, hi in parts for index in range(lo, hi)] == list(range(extent))
    most = PARTS_PER_THREAD * thread_count
    assert len(parts) == min(extent, 1) if min(extent, thread_count) < 2 else len(parts) <= most
    assert parts == parts_of(extent)


def test_long_parts_start_at_multiples_of_64() -> None:
    relax.set_num_threads(2)
    assert parts_of(20_000)[:3] == [(0, 4992), (4992, 9984), (9984, 12_480)]
    assert parts_of(20_000)[-1] == (19_687, 20_000)  # short ones start anywhere


def test_each_round_of_parts_is_half_of_what_is_left_and_the_last_one_all_of_it() -> None:
    relax.set_num_threads(2)
    assert [hi - lo for lo, hi in parts_of(36)] == [9, 9, 4, 5, 2, 3, 1, 1, 1, 1]
    relax.set_num_threads(3)
    assert [hi - lo for lo, hi in parts_of(1000)] == [
        *(166, 167, 167, 83, 83, 84, 41, 42, 42, 21, 21, 21),
        *(10, 10, 11, 10, 10, 11),
    ]


def test_few_iterations_are_a_part_each() -> None:
    relax.set_num_threads(2)
    assert [hi - lo for lo, hi in parts_of(3)] == [1, 1, 1]
    assert [hi - lo for lo, hi in parts_of(12)] == [1] * 12


@pytest.mark.parametrize(("per_thread", "count"), [(1, 2), (2, 4), (0, 2), (-1, 2), (1 << 40, 12)])
def test_a_kernel_may_ask_for_fewer_or_more_parts(per_thread: int, count: int) -> None:
    relax.set_num_threads(2)
    parts = parts_of(100, per_thread=per_thread)
    assert len(parts) == count
    assert [index for lo, hi in parts for index in range(lo, hi)] == list(range(100))


def test_what_says_how_a_kernel_is_shared_is_computed() -> None:
    kernel = PythonKernel(lambda args, lo, hi: None, "nothing")
    call = CallKernel(kernel, (1, 2), 3, sharing=Sharing(4, 5, 6, (7,)))
    assert set(read_slots(call)) == {1, 2, 3, 4, 5, 6, 7}


def test_little_work_is_not_shared() -> None:
    relax.set_num_threads(2)
    threads.share_from(100)
    assert parts_of(1000, work=99) == [(0, 1000)]
    assert len(parts_of(1000, work=100 * WAKING_FACTOR)) == 12


def test_a_little_more_work_wakes_no_sleepers_unless_calls_follow_closely() -> None:
    relax.set_num_threads(2)
    threads.share_from(100)
    parts_of(1000, work=100 * WAKING_FACTOR)
    wait_until_workers_sleep(1)
    threads._set_word(threads.LAST_CALL, 0)
    assert parts_of(1000, work=100) == [(0, 1000)]
    threads._set_word(threads.LAST_CALL, 2**62)  # later than now
    assert len(parts_of(1000, work=100)) == 12


def test_each_thread_has_scratch_of_its_own() -> None:
    relax.set_num_threads(3)
    meeting = threading.Barrier(3, timeout=20)
    seen: dict[int, list[int]] = {}

    def body(args: Any, lo: int, hi: int) -> None:
        seen[threading.get_ident()] = [args[0], args[1], args[2]]
        meeting.wait()  # so that no thread takes two of the three parts

    call = CallKernel(PythonKernel(body), (2, 3, 4), 0, sharing=Sharing(1, 7, 8, (5, 6)))
    run(call, 3, 0, 11, 1000, 2000, 64, 128)
    assert sorted(seen.values()) == [[11, 1000, 2000], [11, 1064, 2128], [11, 1128, 2256]]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say where threads may run")
@pytest.mark.parametrize("thread_count", [2, 3])
def test_workers_keep_off_the_callers_processor(thread_count: int) -> None:
    allowed = os.sched_getaffinity(0)
    relax.set_num_threads(1)  # ends the workers of other tests
    os.sched_setaffinity(0, {max(allowed)})  # the caller stays where it is
    try:
        relax.set_num_threads(thread_count)
        before = native_threads()
        parts_of(1000)
        started = native_threads() - before
        assert [os.sched_getaffinity(thread) for thread in started] == [{max(allowed)}] * (thread_count - 1)
    finally:
        os.sched_setaffinity(0, allowed)
    threads._set_word(threads.CALLER_PROCESSOR, 0)  # the set of the caller has changed
    parts_of(1000)
    caller = threads._word(threads.CALLER_PROCESSOR) - 1
    places = allowed - {caller} if len(allowed) >= thread_count else allowed
    assert [os.sched_getaffinity(thread) for thread in started] == [places] * (thread_count - 1)


def native_threads() -> set[int]:
    """The system's numbers of this process's threads."""
    return {int(name) for name in os.listdir("/proc/self/task")}


# ------------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("rows", EXTENTS[:-1])
def test_the_number_of_threads_changes_no_bit(rows: int) -> None:
    x = array(rows, 9)
    relax.set_num_threads(1)
    expected = [normalized(x), *many_kernels(x)]
    for thread_count in (2, 3, 4):
        relax.set_num_threads(thread_count)
        for got, wanted in zip([normalized(x), *many_kernels(x)], expected, strict=True):
            assert got.tobytes() == wanted.tobytes()


def test_the_number_of_threads_may_grow_between_calls() -> None:
    x = array(50, 33)
    relax.set_num_threads(1)
    expected = normalized(x)
    for thread_count in (4, 2, 3, 1, 4):
        relax.set_num_threads(thread_count)
        assert relax.get_num_threads() == thread_count
        assert (normalized(x) == expected).all()
        assert threads._word(threads.WORKER_COUNT) == thread_count - 1


def test_sleeping_workers_wake_up() -> None:
    relax.set_num_threads(2)
    parts_of(2)
    wait_until_workers_sleep(1)
    test_each_thread_has_scratch_of_its_own()


def wait_until_workers_sleep(count: int) -> None:
    moment = threading.Event()
    for _ in range(5000):
        if threads._word(threads.SLEEPER_COUNT) == count:
            return
        moment.wait(0.001)
    raise AssertionError("the workers do not sleep")


def test_several_callers_at_once() -> None:
    relax.set_num_threads(3)
    inputs = [array(40 + i, 20 + i) for i in range(4)]
    expected = [normalized(x) for x in inputs]
    wrong: list[int] = []

    def call(i: int) -> None:
        wrong.extend(i for _ in range(200) if not (normalized(inputs[i]) == expected[i]).all())

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_a_call_from_within_a_part_does_its_work_alone() -> None:
    relax.set_num_threads(2)
    inner: list[list[tuple[int, int]]] = []
    outer = PythonKernel(lambda args, lo, hi: inner.append(parts_of(100)), "outer")
    run(CallKernel(outer, (), 0, sharing=Sharing(1, 2, 3)), 2, 0)
    assert inner == [[(0, 100)]] * 2


@relax.function
def small_product(x: relax.Tensor[(m, 8), "float32"], w: relax.Tensor[(8, 8), "float32"]):
    return relax.matmul(x, w) * 0.2


@relax.function
def small_softmax(x: relax.Tensor[(n, 8), "float32"]):
    return relax.nn.softmax(x, axis=0)


@pytest.mark.parametrize("rows", [5, 8, 24, 100])
def test_math_is_rounded_the_same_way_in_parts_of_any_length(rows: int) -> None:
    x = 10 * array(rows, 8)
    relax.set_num_threads(1)
    expected = small_softmax(x)
    for thread_count in (2, 3, 4):
        relax.set_num_threads(thread_count)
        for _ in range(3):
            np.testing.assert_array_equal(small_softmax(x), expected)


def test_the_bits_depend_neither_on_the_place_nor_on_the_number_of_threads() -> None:
    """What is left over at the end of a part is rounded as its vectors are."""
    x, w = np.repeat(array(1, 8), 1211, axis=0), array(8, 8)
    for thread_count in (1, 2, 3, 4):
        relax.set_num_threads(thread_count)
        result = small_product(x, w)
        np.testing.assert_array_equal(result, np.repeat(result[:1], len(x), axis=0))


# ----------------------------------------------------------------------------------------------------------- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    relax.set_num_threads(3)
    x = array(100, 20)
    expected = normalized(x)
    child = os.fork()
    if child == 0:
        is_right = (normalized(x) == expected).all() and threads._word(threads.WORKER_COUNT) == 2
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (normalized(x) == expected).all()


SCRIPT = """\
import numpy as np
import relaxdsl as relax
from relaxdsl.runtime import threads

print(relax.get_num_threads())
relax.set_num_threads(4)
threads.share_from(0)

@relax.function
def doubled(x: relax.Tensor[("n",), "float32"]):
    return x + x

assert (doubled(np.ones(5000, np.float32)) == 2).all()
print(threads._word(threads.WORKER_COUNT))
"""


def test_the_environment_and_the_end_of_the_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, threads.VARIABLE: "1"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "3"], "")


def test_workers_end_when_told_and_start_again() -> None:
    relax.set_num_threads(2)
    parts_of(4)
    stop_workers()
    assert threads._word(threads.WORKER_COUNT) == 0
    assert len(parts_of(8)) == 8
    assert threads._word(threads.WORKER_COUNT) == 1


# -------------------------------------------------------------------------------------------------- numbers of threads


@cache
def core_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(("text", "count"), [("1", 1), (" 1 ", 1), ("1000", None), ("", None), (None, None)])
def test_the_default_is_what_the_environment_says_or_the_cores(
    monkeypatch: pytest.MonkeyPatch, text: str | None, count: int | None
) -> None:
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(threads.VARIABLE, text)
    assert threads._default_count() == (count or core_count())


@pytest.mark.parametrize("text", ["0", "-2", "many", "1.5"])
def test_an_environment_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(ArgumentError) as caught:
        threads._default_count()
    got = text if text == "0" else repr(text)
    assert str(caught.value) == f"RELAXDSL_NUM_THREADS: expected a number of threads from 1 to 1024, got {got}"


@pytest.mark.parametrize("count", [0, -1, 1025, 2.0, True, "2", None])
def test_counts_that_make_no_sense(count: Any) -> None:
    before = relax.get_num_threads()
    with pytest.raises(ArgumentError) as caught:
        relax.set_num_threads(count)
    assert str(caught.value) == f"set_num_threads: expected a number of threads from 1 to 1024, got {count!r}"
    assert relax.get_num_threads() == before


def test_numpy_counts() -> None:
    relax.set_num_threads(np.int64(2))  # type: ignore[arg-type]
    assert relax.get_num_threads() == 2


# --------------------------------------------------------------------------------------------------------- explanation


def test_phases_run_one_after_the_other() -> None:
    x = array(1000, 300) + 4
    relax.set_num_threads(1)
    alone = shares(x)
    assert len(shares.explain().kernels) == 1
    assert len(shares.explain().kernels[0].phases) == 2
    np.testing.assert_allclose(alone, np.exp(x) / x.sum(), rtol=1e-5)
    for thread_count in (2, 3, 4):
        relax.set_num_threads(thread_count)
        for _ in range(20):
            np.testing.assert_array_equal(shares(x), alone)


def test_explain_says_which_kernels_threads_may_share() -> None:
    (kernel,) = normalized.explain().kernels
    assert [(each.extent, each.work) for each in kernel.phases] == [("m", "m * n * 26")]
    assert "\n      over m\n      threads share it if m * n >= 11539\n" in str(normalized.explain())

    @relax.function
    def small(x: relax.Tensor[(8,), "float32"]):
        return x + 1

    (kernel,) = small.explain().kernels
    assert [each.work for each in kernel.phases] == [None]
    assert "\n      over 8\n      one thread\n" in str(small.explain())
