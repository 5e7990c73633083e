"""Calls from many threads, within calls, in forked children, interrupted, failing: what comes after them is right."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.kernels.work import SHARED_FROM
from relaxdsl.runtime import threads

n = relax.dims("n")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@relax.function
def normalized(x: relax.Tensor[(n, 8), "float32"]):
    """Needs workspace, and is made of several kernels."""
    centred = x - relax.mean(x, axis=0, keepdims=True)
    return centred / (1 + relax.sum(relax.abs(centred), axis=0, keepdims=True))


def reference(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0, keepdims=True)
    return centred / (1 + np.abs(centred).sum(axis=0, keepdims=True))


def sample(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).random((rows, 8), np.float32)


def is_right(rows: int) -> bool:
    return np.allclose(normalized(sample(rows)), reference(sample(rows)), atol=1e-5)


@pytest.fixture(autouse=True)
def shared_from_zero() -> Iterator[None]:
    """Even small calls use the pool."""
    before = relax.get_num_threads()
    relax.set_num_threads(2)
    threads.share_from(0)
    yield
    threads.share_from(SHARED_FROM)
    relax.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------------- threads


def test_eight_threads_call_one_function_with_different_sizes() -> None:
    started = threading.Barrier(8)

    def work(seed: int) -> bool:
        started.wait()
        sizes = [1 + seed * 37 % 50, 200 + seed, 3000 + seed, seed % 2]
        kept = [(rows, normalized(sample(rows))) for rows in [rows for rows in sizes if rows] * 6]
        return all(np.allclose(result, reference(sample(rows)), atol=1e-5) for rows, result in kept)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_the_lock_of_python_is_free_while_kernels_run() -> None:
    x, counted, stop = np.ones((400_000, 8), np.float32), [0], threading.Event()
    normalized(x)

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)  # gives the lock back

    # With this interval nobody takes the lock from this thread: the other counts only while a call has let it go.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    counter = threading.Thread(target=count)
    try:
        counter.start()
        before = counted[0]
        calls = 0
        while counted[0] == before and calls < 1000:  # a busy machine may not run the other thread at once
            normalized(x)
            calls += 1
        after = counted[0]
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        counter.join()
    assert after > before


# --------------------------------------------------------------------------------------------------- calls within calls


@relax.register_packed("test.calls_again", override=True)
def calls_again(x: np.ndarray) -> np.ndarray:
    return x if len(x) <= 1 else steps(x[1:].copy())


@relax.function(pure=False)
def steps(x: relax.Tensor[(n,), "float32"]):
    doubled = x + x
    inner = relax.call_packed("test.calls_again", x, out=relax.Tensor(("k",), "float32"))
    return relax.concat([doubled, inner])


def test_a_packed_function_calls_the_function_that_calls_it() -> None:
    x = np.arange(4, dtype="float32")
    np.testing.assert_array_equal(steps(x), [0, 2, 4, 6, 2, 4, 6, 4, 6, 6, 3])
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(steps, [x] * 8):
            np.testing.assert_array_equal(result, [0, 2, 4, 6, 2, 4, 6, 4, 6, 6, 3])


# ---------------------------------------------------------------------------------------------------------- exceptions


class RefusedError(Exception):
    pass


@relax.register_packed("test.refuses", override=True)
def refuses(x: np.ndarray) -> np.ndarray:
    if x[0] < 0:
        raise RefusedError("less than nothing")
    return x


@relax.function
def guarded(x: relax.Tensor[(n,), "float32"]):
    y = relax.call_pure_packed("test.refuses", x * 2, out=relax.Tensor((n,), "float32"))
    return y + 1


def test_an_exception_of_a_packed_function_leaves_nothing_behind() -> None:
    good, bad = np.ones(3, np.float32), -np.ones(3, np.float32)
    kept = guarded(good)
    for _ in range(3):
        with pytest.raises(RefusedError) as caught:
            guarded(bad)
        line = refuses.__code__.co_firstlineno + 9
        assert str(caught.value) == "less than nothing"
        assert caught.value.__notes__ == [f"test.refuses is called by guarded (test_calls_at_once.py:{line}:9)"]
        np.testing.assert_array_equal(guarded(good), 3)
    np.testing.assert_array_equal(kept, 3)
    executable = guarded._get_executable()
    assert len(executable.idle_frames()) == len(executable._frames) == 1


# ---------------------------------------------------------------------------------------------------------------- forks


def in_child(check: Callable[[], Any]) -> int:
    """The exit status of a forked child: 0 if the check is true there; it does not hang for ever."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
def test_a_fork_while_the_pool_works_for_another_thread() -> None:
    assert is_right(100)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            normalized(sample(3000))

    busy = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(5):
            assert in_child(lambda: is_right(500) and threads._word(threads.WORKER_COUNT) == 1) == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert is_right(500)


@needs_fork
def test_a_fork_while_another_thread_compiles() -> None:
    def compile_many() -> None:
        for power in range(4):
            x = relax.Var("x", relax.Tensor((n,), "float32"))
            bb = relax.BlockBuilder()
            with bb.function("f", [x]):
                bb.emit_func_output(relax.exp(x) * float(power))
            relax.compile(bb.get())["f"](np.ones(3, np.float32))

    compiler = threading.Thread(target=compile_many)
    compiler.start()

    def compiles() -> bool:
        compile_many()
        return is_right(10)

    assert in_child(compiles) == 0
    compiler.join()


@needs_fork
def test_workers_of_multiprocessing() -> None:
    assert is_right(10)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(is_right, [1, 50, 400, 1000], chunksize=1) == [True] * 4


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


@relax.function
def long_chain(x: relax.Tensor[(n, n), "float32"]):
    for _ in range(60):
        x = relax.nn.softmax(x @ x)
    return x


@relax.function
def long_chain_with_a_step_in_python(x: relax.Tensor[(n, n), "float32"]):
    x = relax.call_pure_packed("test.refuses_2d", x, out=relax.Tensor((n, n), "float32"))
    for _ in range(60):
        x = relax.nn.softmax(x @ x)
    return x


relax.register_packed("test.refuses_2d", lambda x: x, override=True)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
@pytest.mark.parametrize("chain", [long_chain, long_chain_with_a_step_in_python])
def test_ctrl_c_stops_between_kernels(chain: Callable[[np.ndarray], np.ndarray]) -> None:
    small, large = np.full((3, 3), 0.5, np.float32), np.full((700, 700), 0.5, np.float32)
    before = chain(small)

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            chain(large)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    np.testing.assert_array_equal(chain(small), before)
    executable = chain._get_executable()
    assert len(executable.idle_frames()) == len(executable._frames)
    assert sys.getrefcount(large) == 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
def test_a_signal_whose_handler_calls_the_function_again() -> None:
    large, inner = np.full((500, 500), 0.5, np.float32), []
    expected = long_chain(large)

    def handle(_: int, __: object) -> None:
        inner.append(long_chain(large[:3, :3].copy()))

    old = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        np.testing.assert_array_equal(long_chain(large), expected)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(inner) == 1
