"""What a terminal shows of an error: the user's lines, and none of the package's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.errors import InternalError, RelaxError
from relaxdsl.tracebacks import short_tracebacks

OWN = os.path.dirname(relax.__file__)
n, m = relax.dims("n m")


@relax.function
def doubled(x: relax.Tensor[(n, 4), "float32"]):
    return x * 2


@relax.prim_func
def copied(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    for i in range(n):
        y[i] = x[i]


@relax.prim_func
def added_up(x: T.Buffer((n,), "float32"), y: T.Buffer((1,), "float32")):
    T.outputs(y)
    for i in range(n):
        y[0] += x[i]


@relax.module
class Halves:
    @relax.function
    def half(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
        return x / 2


class NotAModule:
    @relax.function
    def step(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
        return x


def bad_function():
    @relax.function
    def wrong(x: relax.Tensor[(n, 4), "float32"], w: relax.Tensor[(5, m), "float32"]):
        return x @ w


def bad_function_with_options():
    @relax.function(pure=False)
    def wrong(x: relax.Tensor[(n, 4), "float32"]):
        return relax.sum(x, axis=3)


def bad_kernel():
    @relax.prim_func
    def wrong(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = x[i + 1]


def bad_module():
    @relax.module
    class Wrong:
        @relax.function
        def step(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
            return unknown(x)


def deep():
    @relax.function
    def endless(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        return endless(x)

    endless(np.ones(2, "float32"))


def large():
    @relax.function
    def zeros(x: relax.Tensor[(n,), "float32"]):
        return relax.zeros((n * 2**42,), "float32")

    zeros(np.ones(9, "float32"))


def callback():
    relax.register_packed("tests.fails", lambda x: x / "2", override=True)

    @relax.function
    def calls(x: relax.Tensor[(n,), "float32"]):
        return relax.call_pure_packed("tests.fails", x, out=relax.Tensor((n,), "float32"))

    calls(np.ones(2, "float32"))


def unknown_keyword():
    relax.function(pur=False)


def builder():
    x = relax.Var("x", relax.Tensor((n, 4), "float32"))
    bb = relax.BlockBuilder()
    with bb.function("main", [x]):
        bb.emit_te(lambda a: te.compute((0.5,), lambda i: a[i, 0]), x)


def builder_without_output():
    with relax.BlockBuilder().function("main", []):
        pass


def builder_outside_a_function():
    with relax.BlockBuilder().dataflow():
        pass


ENTRIES: list[Callable[[], object]] = [
    bad_function,
    bad_function_with_options,
    bad_kernel,
    bad_module,
    deep,
    large,
    callback,
    unknown_keyword,
    builder,
    builder_without_output,
    builder_outside_a_function,
    lambda: doubled(np.ones((3, 5), "float32")),
    lambda: doubled(np.ones((3, 4))),
    lambda: doubled(),
    lambda: doubled.bind(y=1),
    lambda: doubled.check(np.ones(3, "float32")),
    lambda: doubled.peak_bytes(k=1),
    lambda: copied(np.ones((3, 3), "float32")),
    lambda: copied.check(np.ones((3, 3), "float32")),
    lambda: relax.Schedule(copied).split("i", [3, None]),
    lambda: relax.Schedule(3),
    lambda: relax.Schedule(copied).bind("i", "threadIdx.x"),
    lambda: relax.Schedule(copied)(np.ones(3, "float32")),
    lambda: relax.Schedule(copied).func(np.ones(3, "float32")),
    lambda: doubled.lower()["lops"],
    lambda: NotAModule.step(np.ones(3, "float32")),
    lambda: relax.Trace.from_json("{bad"),
    lambda: relax.dims("a", lower=5, upper=3),
    lambda: relax.dims("1n"),
    lambda: relax.Tensor[(n, 4), "flot32"],
    lambda: relax.Tensor[(-1, 4), "float32"],
    lambda: relax.Prim("int65"),
    lambda: T.Buffer((n,), "float33"),
    lambda: relax.Tensor[n, "float32"],
    lambda: T.grid(3),
    lambda: relax.set_num_threads(0),
    lambda: relax.register_packed("x", 3),
    lambda: relax.load("missing.rlx"),
    lambda: doubled.save("missing/x.rlx"),
    lambda: range(n),
    lambda: list(n),
    lambda: relax.compile(3),
    lambda: relax.TensorIntrin.get("missing"),
    lambda: relax.TensorIntrin.register("mixed", copied, added_up),
    lambda: Halves.halve,
    lambda: added_up(np.ones(3, "float32")),
    lambda: relax.sum(relax.Var("x", relax.Tensor((n, 4), "float32")), axis=3),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda each: each.__name__)
def test_no_line_of_the_package_is_shown(entry):
    with pytest.raises((RelaxError, TypeError, MemoryError, RecursionError, OSError)) as caught:
        entry()
    lines = _files(caught.value)
    assert set(lines) == {__file__}


def test_lines_of_the_user_in_between_stay():
    def wrong(x):
        return relax.sum(x, axis=3)

    x = relax.Var("x", relax.Tensor((n, 4), "float32"))
    bb = relax.BlockBuilder()
    with pytest.raises(RelaxError) as caught, bb.function("main", [x]):
        bb.emit_te(lambda a: te.compute((0.5,), lambda i: a[i, 0]), x)
    shown = [each.name for each in traceback.extract_tb(caught.value.__traceback__)]
    assert shown == ["test_lines_of_the_user_in_between_stay", "<lambda>"]


def test_causes_are_short_as_well():
    @short_tracebacks
    def fail():
        try:
            doubled(np.ones((3, 5), "float32"))
        except RelaxError as error:
            raise RelaxError("above") from error

    with pytest.raises(RelaxError) as caught:
        fail()
    assert caught.value.__cause__ is not None
    assert not [each for each in _files(caught.value.__cause__) if each.startswith(OWN)]


def test_causes_without_a_line_of_the_user_are_left_out():
    with pytest.raises(RelaxError) as caught:

        @relax.function
        def wrong(x: relax.Tensor[(n,), "float32"]):
            return relax.relu(x)

    shown = "".join(traceback.format_exception(caught.value))
    assert "AttributeError" not in shown
    assert "direct cause" not in shown


def test_functions_of_the_user_stay_among_the_causes():
    def fails(x):
        raise ValueError("too large")

    with pytest.raises(RelaxError) as caught:

        @relax.function
        def wrong(x: relax.Tensor[(n,), "float32"]):
            return fails(x)

    assert [each.name for each in traceback.extract_tb(caught.value.__cause__.__traceback__)] == ["fails"]


def test_all_lines_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("RELAXDSL_FULL_TRACEBACKS", "1")
    with pytest.raises(RelaxError) as caught:
        bad_function()
    assert [each for each in _files(caught.value) if each.startswith(OWN)]


def test_a_defect_of_the_package_shows_its_lines():
    @short_tracebacks
    def broken():
        raise InternalError("broken")

    with pytest.raises(InternalError) as caught:
        broken()
    assert [each for each in _files(caught.value) if each.startswith(OWN)]


def _files(error: BaseException) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
