"""Programs that call programs, and tensors that are allocated on the way: all of it in compiled code."""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_built import Builder, elementwise

import relaxdsl as relax
from relaxdsl.errors import InternalError, ShapeError, Span
from relaxdsl.runtime import activation
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Allocate, CallFunction, HostCall, IntLeaf, ObjectLeaf, TensorLeaf, TupleTree
from relaxdsl.types.dims import dims
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType, Type

M, N = dims("m n")
VECTOR = TensorType((M,), "int64")
FLAG = TensorType((), "bool")


class Callee:
    """A function that another program calls."""

    def __init__(self, make: Callable[[], Executable]) -> None:
        self._make = make
        self._made: Executable | None = None

    def __call__(self, *args: Any) -> Any:
        return self.executable(*args)

    @property
    def executable(self) -> Executable:
        self._made = self._made or self._make()
        return self._made


def caller(callee: Callee, params: list[tuple[str, Type]], result: Type, name: str = "outer") -> Executable:
    """A function that hands its arguments on, and allocates and copies the vectors that it gets back."""
    builder = Builder(name, params, result)
    given = builder.slots.tree("given", result)
    builder.body.append(CallFunction("inner", callee, tuple(builder.arguments), given, Span("outer.py", 3, 1, 3, 2)))
    finish(builder, given, builder.output)
    return builder.executable()


def finish(builder: Builder, given: Any, output: Any) -> None:
    """Makes what a call gave the result."""
    if isinstance(output, TupleTree):
        for part, other in zip(given.fields, output.fields, strict=True):
            finish(builder, part, other)
    elif isinstance(output, TensorLeaf):
        copy(builder, given, output)
    elif isinstance(output, ObjectLeaf):
        builder.body.append(HostCall("same", lambda value: value, (given,), output))
    else:
        slots = ((given.slot, output.slot),) if isinstance(output, IntLeaf) else zip(given.slots, output.slots)
        for source, target in slots:
            builder.copy_slot(source, target)


def copy(builder: Builder, source: TensorLeaf, target: TensorLeaf) -> None:
    """A copy of a vector in memory that is allocated now."""
    for old, new in zip(source.sizes, target.sizes, strict=True):
        builder.copy_slot(old, new)
    builder.body.append(Allocate(target))
    builder.call_over(elementwise(lambda x: x, "int64"), [source, target], source.sizes[0])


def doubler() -> Executable:
    builder = Builder("inner", [("x", VECTOR)], VECTOR)
    builder.call(elementwise(lambda x: x + x, "int64"), [*builder.arguments, builder.output], M)
    return builder.executable()


X = np.arange(5)


def stays_in_compiled_code(executable: Executable, *args: Any) -> Any:
    """The result of a call that asks Python for nothing."""
    executable(*args)
    asked: list[int] = []
    assistant = type(executable._assistant)
    original = assistant.__call__

    def ask(self: Any, address: int, reason: int) -> None:
        asked.append(reason)
        original(self, address, reason)

    assistant.__call__ = ask  # type: ignore[method-assign]
    try:
        result = executable(*args)
    finally:
        assistant.__call__ = original  # type: ignore[method-assign]
    assert not asked
    return result


def test_a_program_calls_another_and_allocates() -> None:
    executable = caller(Callee(doubler), [("x", VECTOR)], VECTOR)
    assert not executable.program.leaves_compiled_code
    for x in (X, X[:0], np.arange(5000)):
        np.testing.assert_array_equal(stays_in_compiled_code(executable, x), x + x)


def test_what_a_call_holds_is_let_go() -> None:
    executable = caller(Callee(doubler), [("x", VECTOR)], VECTOR)
    result = executable(X)
    alive = weakref.ref(result)
    before = sys.getrefcount(X)
    for _ in range(20):
        result = executable(X)
    assert sys.getrefcount(X) == before
    assert sys.getrefcount(result) == 2
    assert alive() is None


def test_every_kind_of_argument_and_result() -> None:
    kind = TupleType((VECTOR, PrimType("int64"), ShapeType((M, N)), AnyType(), AnyType()))
    params = [("t", TupleType((VECTOR, AnyType()))), ("k", PrimType("int64")), ("s", ShapeType((M, N)))]

    def inner() -> Executable:
        builder = Builder("inner", params, kind)
        pair, number, shape = builder.arguments
        vector, *others = builder.output.fields  # type: ignore[union-attr]
        builder.call(elementwise(lambda x: x + 1, "int64"), [pair.fields[0], vector], M)  # type: ignore[union-attr]
        builder.copy_slot(number.slot, others[0].slot)  # type: ignore[union-attr]
        for source, target in zip(shape.slots, others[1].slots, strict=True):  # type: ignore[union-attr]
            builder.copy_slot(source, target)
        passed = pair.fields[1]  # type: ignore[union-attr]
        builder.body.append(HostCall("two", lambda value: (value, [value]), (passed,), TupleTree(tuple(others[2:]))))
        return builder.executable()

    label = object()
    before = sys.getrefcount(label)
    executable = caller(Callee(inner), params, kind)
    vector, number, shape, same, listed = executable((X, label), 7, (5, 3))
    np.testing.assert_array_equal(vector, X + 1)
    assert (number, shape) == (7, (5, 3))
    assert same is label
    assert listed[0] is label
    del same, listed
    gc.collect()
    assert sys.getrefcount(label) == before


def test_an_object_of_the_program_is_handed_on() -> None:
    def inner() -> Executable:
        builder = Builder("inner", [("how", AnyType()), ("x", VECTOR)], AnyType())
        builder.body.append(HostCall("pair", lambda how, x: (how, x.sum()), tuple(builder.arguments), builder.output))
        return builder.executable()

    builder = Builder("outer", [("x", VECTOR)], AnyType())
    how = builder.slots.tree("how", AnyType())
    builder.objects[how.index] = "mean"  # type: ignore[union-attr]
    builder.body.append(CallFunction("inner", Callee(inner), (how, *builder.arguments), builder.output))
    executable = builder.executable()
    for _ in range(3):
        assert executable(X) == ("mean", 10)


def countdown() -> Executable:
    """The sum of the numbers up to ``k``: itself, called with one less, or nothing."""
    callee = Callee(lambda: executable)
    builder = Builder("countdown", [("x", VECTOR), ("k", PrimType("int64"))], PrimType("int64"))
    x, k = builder.arguments
    rest, less = builder.slots.tree("rest", PrimType("int64")), builder.slots.tree("less", PrimType("int64"))
    assert isinstance(k, IntLeaf)
    assert isinstance(rest, IntLeaf)
    assert isinstance(less, IntLeaf)
    assert isinstance(builder.output, IntLeaf)
    builder.subtract(k.slot, 1, less.slot)
    builder.stop_unless_positive(k.slot, "k is 0")
    builder.body.append(CallFunction("countdown", callee, (x, less), rest, Span("down.py", 2, 1, 2, 2)))
    executable = builder.executable()
    return executable


def test_an_error_within_calls_gives_every_frame_back() -> None:
    executable = countdown()
    for depth in (3, 0, 50, 7):
        with pytest.raises(ShapeError) as caught:
            executable(X, depth)
        assert caught.value.headline == "k is 0"
        notes = ["countdown is called by countdown (down.py:2:1)"] if depth else []
        assert getattr(caught.value, "__notes__", []) == notes
        assert len(executable.idle_frames()) == len(executable._frames)


def test_as_deep_as_python_allows() -> None:
    executable = countdown()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ShapeError):  # no stack is used: a million would do
            executable(X, 50_000)
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(RecursionError) as caught:
        countdown()(X, 10**6)
    assert str(caught.value) == (
        f"countdown calls itself more deeply than Python's limit of {limit} (sys.setrecursionlimit) allows"
    )


def test_calls_of_programs_in_many_threads() -> None:
    executable = caller(Callee(doubler), [("x", VECTOR)], VECTOR)
    wrong: list[int] = []

    def work(number: int) -> None:
        x = np.full(number + 1, number)
        wrong.extend(number for _ in range(300) if not np.array_equal(executable(x), x + x))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_callee_of_another_signature() -> None:
    executable = caller(Callee(doubler), [("x", TensorType((M,), "int32"))], VECTOR)
    with pytest.raises(InternalError) as caught:
        executable(X.astype("int32"))
    assert caught.value.headline.startswith("inner is called on (TensorLeaf(name='x', dtype='int32'")


def test_a_view_of_a_callers_memory() -> None:
    """A Python function in a callee gets, and may return, what lies in the workspace of the caller."""
    seen: list[np.ndarray] = []

    def inner() -> Executable:
        builder = Builder("inner", [("x", VECTOR)], VECTOR)
        found = builder.slots.tree("found", VECTOR)
        builder.body.append(HostCall("look", lambda x: seen.append(x) or x, tuple(builder.arguments), found))
        copy(builder, found, builder.output)  # type: ignore[arg-type]
        return builder.executable()

    builder = Builder("outer", [("x", VECTOR)], VECTOR)
    (x,) = builder.arguments
    builder.workspace(8 * M)
    temporary = TensorLeaf("t", "int64", 0, x.sizes)
    builder.call(elementwise(lambda x: x * 3, "int64"), [x, temporary], M)
    given = builder.slots.tree("given", VECTOR)
    builder.body.append(CallFunction("inner", Callee(inner), (temporary,), given))
    copy(builder, given, builder.output)  # type: ignore[arg-type]
    executable = builder.executable()
    np.testing.assert_array_equal(executable(X), X * 3)
    np.testing.assert_array_equal(seen[0], X * 3)
    assert not seen[0].flags.writeable


n = relax.dims("n")


@relax.function
def power(x: relax.Tensor[(n, n), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Tensor[(n, n), "float32"]:
    if times == 0:
        y = x
    else:
        y = relax.nn.softmax(x @ power(x, times - 1))
    return y


@contextlib.contextmanager
def interrupts() -> Iterator[None]:
    """Within the block, the alarm is a Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@contextlib.contextmanager
def recursion_limit(limit: int) -> Iterator[None]:
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(old)


def repeat(call: Callable[[], object], count: int) -> None:
    for _ in range(count):
        call()


def test_a_recursion_stops_for_signals() -> None:
    """Also where its frames are there already, so that nothing of it runs in Python."""
    x = np.ones((64, 64), "float32")
    with recursion_limit(6000), interrupts():
        power(x, 5000)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            repeat(lambda: power(x, 5000), 100)
    executable = power._get_executable()
    assert len(executable.idle_frames()) == len(executable._frames)
    np.testing.assert_allclose(power(x, 3), np.full((64, 64), 1 / 64), rtol=1e-5)
    with pytest.raises(RecursionError):  # the frames are there, but the limit holds
        power(x, 2000)


relax.register_packed("tests.same", lambda x: x, override=True)


@relax.function
def doubled(x: relax.Tensor[(n,), "int64"]):
    return relax.call_pure_packed("tests.same", x, out=relax.Tensor((n,), "int64")) * 2


def test_signals_lose_no_frames() -> None:
    """Arguments that Python reads, too: wherever it is interrupted, compiled code gives the frame back."""
    strided = np.arange(16)[::2]
    with interrupts():
        for delay in range(2000):
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + delay % 50 * 2e-6)
                repeat(lambda: doubled(strided), 50)
                signal.setitimer(signal.ITIMER_REAL, 0)
    executable = doubled._get_executable()
    assert len(executable.idle_frames()) == len(executable._frames)
    np.testing.assert_array_equal(doubled(strided), strided * 2)


def test_a_recursion_beside_a_busy_thread() -> None:
    """It lets the other one run from time to time, not at every call, which would take a switch of threads each."""

    @relax.function
    def count(i: relax.Tensor[(), "int64"]) -> relax.Tensor[(), "int64"]:
        if i < 2:
            total = i
        else:
            total = count(i - 1) + count(i - 2)
        return total

    assert count(12) == 144
    switches = count_switches(lambda: count(16))
    assert switches < 50, "2,584 calls"


def count_switches(call: Callable[[], object]) -> int:
    """How often another thread gets Python's lock during a call."""
    turns, stop = [0], threading.Event()

    def busy() -> None:
        while not stop.is_set():
            turns[0] += 1

    thread = threading.Thread(target=busy)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    thread.start()
    try:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        call()
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_packed_calls_find_the_arguments_of_the_first_call() -> None:
    """Not by a walk through all levels."""
    visited: list[int] = []
    relax.register_packed("tests.copied", lambda x: x.copy(), override=True)

    @relax.function
    def chain(x: relax.Tensor[("m",), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Tensor[("m",), "float32"]:
        if times == 0:
            y = relax.ones_like(x)
        else:
            y = relax.call_pure_packed("tests.copied", x, out=relax.Tensor(("m",), "float32")) * chain(x, times - 1)
        return y

    x = np.full(3, 0.5, "float32")
    np.testing.assert_allclose(chain(x, 20), x**20, rtol=1e-5)
    original = activation._own_memories

    def watched(frame: Any) -> Any:
        visited.append(frame.address)
        return original(frame)

    activation._own_memories = watched
    try:
        chain(x, 100)
    finally:
        activation._own_memories = original
    assert len(visited) <= 3 * 100


OUT_OF_MEMORY = """
import resource, sys
import numpy as np
import relaxdsl as relax

n = relax.dims("n")

@relax.function
def deep(x: relax.Tensor[(n,), "float32"], t: relax.Tensor[(), "int64"]) -> relax.Tensor[(n,), "float32"]:
    if t == 0:
        y = x
    else:
        y = deep(x + 1, t - 1) * 2
    return y

@relax.function
def wide(x: relax.Tensor[(n,), "float32"]):
    a = x / relax.sum(x)
    c = relax.concat([a, a * 2, a, a * 2])
    return relax.sum(c / relax.max(c))

def limit(extra):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, resource.getrlimit(resource.RLIMIT_AS)[1]))

relax.set_num_threads(1)
x, large = np.ones(1, "float32"), np.ones(2_200_000, "float32")
print(deep(x, 3), wide(large[:2_000_000]) > 0)
sys.setrecursionlimit(10**6)
limit(20 << 20)
print(wide(large) > 0)  # half as much again as before would not fit
try:
    deep(x, 100_000)
except MemoryError:
    print("MemoryError")
print(deep(x, 3), len(deep._get_executable().idle_frames()) == len(deep._get_executable()._frames))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_memory_that_runs_out_in_a_recursion(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(OUT_OF_MEMORY)
    run = subprocess.run([sys.executable, tmp_path / "deep.py"], capture_output=True, text=True, timeout=120)
    assert run.stdout.splitlines() == ["[32.] True", "True", "MemoryError", "[32.] True"], run.stderr
