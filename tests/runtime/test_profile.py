"""Profiles: what is counted, what is timed, and how it is shown. No test looks at how long something took."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.errors import Span
from relaxdsl.kernels.operations import operations_of
from relaxdsl.runtime import profile as profile_module
from relaxdsl.runtime.limits import Limits, Probe, _best_rate, fma_probe
from relaxdsl.runtime.profile_report import Profile, Timing, format_seconds
from relaxdsl.types.dims import evaluate

m, n, k = relax.dims("m n k")
LIMITS = Limits(2, {"float32": 100e9, "float64": 50e9}, 10e9)


@pytest.fixture(autouse=True)
def known_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "limits", lambda threads: LIMITS)


# ------------------------------------------------------------------------------------------------------------- counting


@relax.prim_func
def matmul(x: T.Buffer((n, k), "float32"), w: T.Buffer((k, m), "float32"), y: T.Buffer((n, m), "float32")):
    for i, j, r in T.grid(n, m, k):
        with T.block("matmul"):
            vi, vj, vr = T.axis.remap("SSR", [i, j, r])
            with T.init():
                y[vi, vj] = T.float32(0)
            y[vi, vj] += x[vi, vr] * w[vr, vj]


@relax.prim_func
def below(x: T.Buffer((n,), "float64"), y: T.Buffer((n,), "float64")):
    """Sums of what stands before, for every second element."""
    for i in range(n):
        y[i] = 0.0
        if i % 2 == 0:
            for j in range(i):
                y[i] += T.exp(x[j])


@relax.prim_func
def lookup(table: T.Buffer((m, 64), "float32"), rows: T.Buffer((n,), "int64"), y: T.Buffer((n, 64), "float32")):
    for i, j in T.grid(n, 64):
        y[i, j] = table[rows[i], j]


def test_operations_and_bytes_are_closed_forms() -> None:
    found = operations_of(matmul.ir)
    assert (found.operations, found.dtype) == (2 * m * n * k, "float32")
    assert evaluate(found.moved_bytes, {"n": 2, "m": 3, "k": 5}) == 4 * (10 + 15 + 6)
    assert evaluate(found.moved_bytes, {"n": 0, "m": 3, "k": 5}) == 0
    assert str(operations_of(below.ir).operations) == "n * (n // 2) * 2"
    assert operations_of(below.ir).dtype == "float64"


def test_a_lookup_reads_the_rows_that_it_needs() -> None:
    found = operations_of(lookup.ir).moved_bytes
    assert evaluate(found, {"m": 1_000_000, "n": 10}) == 4 * 64 * 10 + 8 * 10 + 4 * 64 * 10


# --------------------------------------------------------------------------------------------------------------- timing


@relax.function
def two_layers(x: relax.Tensor[(m, n), "float32"], w: relax.Tensor[(n, k), "float32"]):
    hidden = relax.tanh(x @ w)
    return hidden @ relax.permute_dims(w), relax.sum(hidden)


def arrays() -> tuple[np.ndarray, np.ndarray]:
    return np.ones((3, 4), "float32"), np.ones((4, 5), "float32")


def test_every_kernel_is_there_with_what_it_does() -> None:
    found = two_layers.profile(*arrays(), repeats=3)
    assert (found.function, found.repeats) == ("two_layers", 3)
    assert [each.name for each in found.timings] == [each.name for each in two_layers.explain().kernels]
    assert [each.span for each in found.timings] == [each.span for each in two_layers.explain().kernels]
    first = found.timings[0]
    assert (first.operations, first.moved_bytes, first.threads) == (2 * 3 * 4 * 5 + 15, 4 * (12 + 20 + 15), 1)
    assert all(each.seconds >= 0 for each in found.timings)
    assert found.kernel_seconds == sum(each.seconds for each in found.timings)


def test_profiled_calls_compute_what_calls_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases, threads and branches run as in a call."""
    results: list[Any] = []
    relax.register_packed("profile.keep", lambda x: (results.append(x.copy()), x)[1], override=True)

    @relax.function
    def branches(x: relax.Tensor[(m, n), "float32"], w: relax.Tensor[(n, k), "float32"]):
        y = relax.nn.softmax(x @ w, axis=0)
        z = relax.exp(y) if relax.sum(x) > 0 else y - 1
        return relax.call_pure_packed("profile.keep", z, out=relax.Tensor((m, k), "float32"))

    rng = np.random.default_rng(0)
    x, w = rng.random((300, 200), "float32"), rng.random((200, 400), "float32")
    before = relax.get_num_threads()
    relax.set_num_threads(2)
    try:
        found = branches.profile(x, w, repeats=2)
    finally:
        relax.set_num_threads(before)
    assert len(results) == 6
    assert all(np.array_equal(each, results[0]) for each in results)
    shown = {each.name: (each.threads, each.operations is None) for each in found.timings}
    assert shown["profile.keep"] == (1, True)
    assert max(threads for threads, _ in shown.values()) == 2
    assert "subtract" not in " ".join(shown), "the other branch has not run"


def test_a_kernel_by_itself() -> None:
    x, w = arrays()
    (timing,) = matmul.profile(x, w, repeats=1).timings
    assert (timing.name, timing.operations) == ("matmul", 2 * 3 * 4 * 5)
    assert timing.span is not None
    assert timing.span == matmul.definition.span


def test_arguments_by_name() -> None:
    x, w = arrays()
    out = np.zeros((3, 5), "float32")
    (timing,) = matmul.profile(x, w=w, out=out, repeats=1).timings
    assert timing.name == "matmul"
    np.testing.assert_array_equal(out, np.full((3, 5), 4))
    assert two_layers.profile(w=w, x=x, repeats=2).repeats == 2
    assert two_layers.check(w=w, x=x)


def test_arguments_that_do_not_fit() -> None:
    x, w = arrays()
    with pytest.raises(relax.ArgumentError) as error:
        two_layers.profile(x, w, repeats=0)
    assert str(error.value) == "two_layers.profile: repeats is at least 1, got 0"
    with pytest.raises(relax.ArgumentError) as error:
        two_layers.profile(x)
    assert error.value.headline == "two_layers: expected 2 arguments, got 1"
    assert error.value.details[0] == "missing: w"
    assert error.value.span == two_layers.ir.span


def test_limits_are_measured() -> None:
    found = Limits(1, {"float32": 1e9}, 1e8)
    assert found.seconds_for(1e9, 1e7, "float32") == (1.0, "compute")
    assert found.seconds_for(1e9, 1e9, "float32") == (10.0, "memory")
    assert _best_rate(Probe("nothing", lambda: None, 1.0)) > 0
    fma_probe("float64", 2).run()


# --------------------------------------------------------------------------------------------------------------- report

PROFILE = Profile(
    "model",
    7,
    0.0031,
    (
        Timing(
            "matmul", Span("/home/user/model.py", 6, 9, 6, 14), "fuses matmul, relu", 2e-3, 10**8, 10**6, "float32", 2
        ),
        Timing("copy", None, "", 1e-6, 0, 8000, "float32", 1),
        Timing("sort", Span("/home/user/model.py", 7, 9, 7, 14), "", 1e-3, None, None, "float32", 1, "Python"),
        Timing("empty", None, "", 0.0, 0, 0, "float64", 1),
    ),
    LIMITS,
)

TABLE = """\
kernel       time  share  GB/s  GFLOP/s    of the limit  threads  written at
----------------------------------------------------------------------------
matmul       2 ms    67%   0.5     50.0  50% of compute        2  model.py:6:9
sort         1 ms    33%                                  Python  model.py:7:9
copy         1 µs     0%   8.0      0.0   80% of memory        1
empty   too short                                              1

model: a call takes 3.1 ms, its kernels 3 ms (medians of 7 calls)
limits, measured on 2 threads: 100 GFLOP/s in float32, 50 GFLOP/s in float64; 10.0 GB/s read from memory"""


def test_the_table() -> None:
    assert str(PROFILE) == repr(PROFILE)
    assert str(PROFILE) == TABLE


def test_kernels_too_short_to_be_timed() -> None:
    short = replace(PROFILE, call_seconds=9.36e-7, timings=PROFILE.timings[-1:])
    assert "model: a call takes 936 ns, its kernels are too short to be timed (medians of 7 calls)" in str(short)
    assert "a call takes 936 ns, its kernels 0 ns (medians" in str(replace(short, timings=()))


def test_html_shows_the_same() -> None:
    shown = PROFILE._repr_html_()
    assert shown.startswith("<table")
    assert shown.count("<tr>") == 5
    assert '<td style="text-align: left; white-space: nowrap">matmul</td>' in shown
    assert '<td style="text-align: right; white-space: nowrap">50% of compute</td>' in shown
    assert "a call takes 3.1 ms" in shown


def test_a_column_of_places_is_shown_where_there_are_any() -> None:
    nowhere = replace(PROFILE, timings=PROFILE.timings[1::2])
    assert "written at" in str(PROFILE)
    assert "written at" not in str(nowhere)
    assert "written at" not in nowhere._repr_html_()
    assert str(nowhere).splitlines()[0].endswith("threads")


def test_trace_events(tmp_path: Path) -> None:
    """What the format asks of complete events: a name, a category, times in microseconds, process and thread."""
    PROFILE.save_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert set(trace) == {"traceEvents", "displayTimeUnit"}
    names = [each for each in trace["traceEvents"] if each["ph"] == "M"]
    assert [(each["tid"], each["args"]["name"]) for each in names] == [(0, "call"), (1, "kernels")]
    events = [each for each in trace["traceEvents"] if each["ph"] == "X"]
    assert [set(each) for each in events] == [{"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}] * 5
    assert [(each["name"], each["cat"], each["tid"]) for each in events] == [
        ("model", "call", 0),
        ("matmul", "kernel", 1),
        ("copy", "kernel", 1),
        ("sort", "Python", 1),
        ("empty", "kernel", 1),
    ]
    assert [round(each["ts"], 6) for each in events] == [0, 0, 2000, 2001, 3001]
    assert [round(each["dur"], 6) for each in events] == [3100, 2000, 1, 1000, 0]
    assert events[1]["args"] == {
        "written at": "model.py:6:9",
        "made of": "fuses matmul, relu",
        "operations": 10**8,
        "bytes": 10**6,
        "GFLOP/s": pytest.approx(50),
        "GB/s": pytest.approx(0.5),
        "of the limit": "50% of compute",
        "threads": 2,
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.01234, "12.3 ms"), (5e-6, "5 µs"), (4.2e-8, "42 ns"), (0.0, "0 ns")]
)
def test_times(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@relax.function
def power(x: relax.Tensor[(n,), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Tensor[(n,), "float32"]:
    if times == 0:
        y = relax.ones_like(x)
    else:
        y = x * power(x, times - 1)
    return y


def test_a_recursive_function() -> None:
    kinds = {timing.name: timing.kind for timing in power.profile(np.ones(3, "float32"), 2, repeats=3).timings}
    kernels = dict.fromkeys(("equal", "subtract", "multiply", "copy"), "kernel")
    assert kinds == {**kernels, "power": "function"}
