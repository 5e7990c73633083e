"""What a kernel says of itself, as functions do: ``lower``, ``explain``, ``check``; and kernels in debug mode."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.errors import KernelError
from relaxdsl.passes import comparison

n, m = relax.dims("n m")


@relax.prim_func
def softmax(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
    """Each row."""
    for i in T.parallel(n):
        total = T.float32(0)
        for j in range(m):
            y[i, j] = T.exp(x[i, j])
            total += y[i, j]
        for j in T.vectorized(m):
            y[i, j] /= total


@relax.prim_func
def twice_and_sums(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32"), s: T.Buffer((n,), "float32")):
    for i, j in T.grid(n, m):
        with T.block("y"):
            vi, vj = T.axis.remap("SS", [i, j])
            y[vi, vj] = x[vi, vj] * 2.0
    for i, j in T.grid(n, m):
        with T.block("s"):
            vi, vj = T.axis.remap("SR", [i, j])
            with T.init():
                s[vi] = 0.0
            s[vi] += y[vi, vj]


@relax.prim_func
def rolled(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    for row in T.parallel(n):
        y[(row + 1) % n] = x[row]


@relax.prim_func
def gather(x: T.Buffer((m,), "float32"), index: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32")):
    for i in T.parallel(n):
        y[i] = x[index[i]]


X = np.arange(6, dtype="float32").reshape(2, 3) / 8


def without_times(explanation: object) -> str:
    head, _, times = str(explanation).rpartition("\n")
    assert times.startswith("compile time: parse ")
    return "\n".join(line for line in head.splitlines() if not line.startswith("   kernels compiled"))


def line_of(kernel: Any) -> int:
    return inspect.getsourcelines(kernel.__wrapped__)[1] + 1


# ------------------------------------------------------------------------------------------------------------ explain


def test_explain_shows_the_loops_and_what_threads_share() -> None:
    explanation = softmax.explain()
    assert without_times(explanation) == "\n".join(
        [
            "softmax: one compile for every shape",
            "symbols:",
            "   n is bound by argument x, axis 0",
            "   m is bound by argument x, axis 1",
            "kernels, in order:",
            f"   softmax (test_kernel_function.py:{line_of(softmax)}:5)",
            "      runs as it is written",
            "      over n",
            "      threads share it if m * n >= 15000",
            "loops, as they run:",
            "   for i in T.parallel(n):",
            "       for j in range(m):",
            "       for j1 in T.vectorized(m):",
            "memory:",
            "   no workspace",
            "copies:",
            "   argument x: only if it is not C-contiguous, aligned and of native byte order",
            "machine code:",
        ]
    )
    assert explanation.seconds["parse"] > 0
    assert explanation.loops[0] == "for i in T.parallel(n):"


def test_explain_shows_the_branches_around_loops() -> None:
    @relax.prim_func
    def by_parity(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32"), z: T.Buffer((n,), "float32")):
        for i in T.parallel(n):
            if i % 2 == 0:
                for j in range(m):
                    y[i, j] = x[i, j] if j > 0 else 0
            elif i % 3 == 0:
                for j in T.vectorized(m):
                    y[i, j] = x[i, j]
            elif i > 7:
                z[i] = 0
            if i == 0:
                z[i] = 1
            else:
                for j in range(1, m):
                    y[i, j] = x[i, j]

    assert by_parity.explain().loops == (
        "for i in T.parallel(n):",
        "    if (i % 2) == 0:",
        "        for j in range(m):",
        "    elif (i % 3) == 0:",
        "        for j1 in T.vectorized(m):",
        "    if i == 0:",
        "    else:",
        "        for j2 in range(1, m):",
    )


def test_explain_says_which_checks_are_made() -> None:
    @relax.prim_func
    def added(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32"), z: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("z"):
                vi = T.axis.spatial(n, i)
                z[vi] = x[vi] + y[vi]

    explanation = added.explain()
    (check,) = explanation.checks
    assert check.relation == "y.shape[0] == n"
    (kernel,) = explanation.kernels
    assert kernel.facts == ("has the default schedule",)


def test_explain_says_why_a_parallel_loop_runs_in_order() -> None:
    text = without_times(rolled.explain())
    assert "      runs as it is written\n      one thread\nloops, as they run:\n   for row in range(n):\n" in text
    why = "   row: two steps may touch the same element of y\n"
    assert f"T.parallel, but in order on one thread:\n{why}" in text


def test_explain_says_why_a_vectorized_loop_runs_in_order() -> None:
    @relax.prim_func
    def running(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32"), z: T.Buffer((n,), "float32")):
        for i in T.vectorized(n):
            total = T.float32(0)
            for j in T.vectorized(m):
                total += x[i, j]
            z[i] = total
            for k in T.vectorized(m):
                y[i, k] = x[i, k] if k == 0 else y[i, T.max(k - 1, 0)] + x[i, k]

    explanation = running.explain()
    assert explanation.loops == ("for i in T.vectorized(n):", "    for j in range(m):", "    for k in range(m):")
    why = (
        "T.vectorized, but one step after the other:\n"
        "   j: every step changes the variable total, begun outside of it\n"
        "   k: two steps may touch the same element of y\n"
    )
    assert why in str(explanation)
    assert "T.parallel, but" not in str(explanation)


def test_explain_shows_calls_of_the_engine() -> None:
    @relax.prim_func
    def product(a: T.Buffer((n, m), "float32"), b: T.Buffer((m, n), "float32"), c: T.Buffer((n, n), "float32")):
        for i, j, r in T.grid(n, n, m):
            with T.block("c"):
                vi, vj, vr = T.axis.remap("SSR", [i, j, r])
                with T.init():
                    c[vi, vj] = 0.0
                c[vi, vj] += a[vi, vr] * b[vr, vj]

    assert any(line.strip() == "contract_float32(…)" for line in product.explain().loops)


# -------------------------------------------------------------------------------------------------------------- lower


def test_lower_shows_the_kernel_on_its_way_down() -> None:
    stages = softmax.lower()
    assert list(stages) == ["typed", "loops", "source", "vm"]
    assert stages["typed"] == softmax.script()
    assert "y[i * m + j] = T.exp(x[i * m + j])" in stages["loops"]
    assert stages["source"].strip() == softmax.source().strip()
    assert stages["vm"].startswith("program softmax(x: float32(n, m)) -> ")


def test_the_text_of_a_kernel_in_the_ir_is_its_script() -> None:
    assert str(softmax.ir) == softmax.script()
    sch = relax.Schedule(softmax)
    assert str(sch.func) == str(sch)


# -------------------------------------------------------------------------------------------------------------- check


def test_check_agrees() -> None:
    result = softmax.check(X)
    assert result
    assert str(result) == "softmax: everything agrees with the reference (1 kernel)"
    assert twice_and_sums.check(x=X)


def test_check_shows_where_an_output_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    right = comparison.kernel_outputs

    def wrong(*args: Any) -> Any:
        first, second = right(*args)
        return [first, second + 1]

    monkeypatch.setattr(comparison, "kernel_outputs", wrong)
    result = twice_and_sums.check(np.zeros((2, 3), "float32"))
    assert not result
    assert str(result) == (
        f"twice_and_sums: the result (test_kernel_function.py:{line_of(twice_and_sums)}:5) is the first to differ: "
        "[1] 2 of 2 elements, first at (0,): expected 0.0, got 1.0"
    )


@pytest.mark.parametrize("method", ["check", "profile"])
def test_outputs_are_no_arguments(method: str) -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        getattr(softmax, method)(X, X)
    assert str(caught.value) == (
        "softmax: y is an output, which the call makes and returns\n"
        "   hint: to have it written into an array of yours, pass out=y"
    )


# ---------------------------------------------------------------------------------------------------------- arguments


@relax.prim_func
def repeated(x: T.Buffer((n,), "float32"), y: T.Buffer((n, m), "float32")):
    for i, j in T.grid(n, m):
        y[i, j] = x[i]


def message_of(*args: Any, **keywords: Any) -> str:
    with pytest.raises(relax.ArgumentError) as caught:
        repeated(*args, **keywords)
    return str(caught.value)


def drawn(headline: str, *details: str, at: str = "repeated") -> str:
    """The message, drawn under a part of the kernel's first line."""
    line = line_of(repeated)
    source = 'def repeated(x: T.Buffer((n,), "float32"), y: T.Buffer((n, m), "float32")):'
    margin, column = " " * len(str(line)), source.index(at)
    place = f"{margin} --> test_kernel_function.py:{line}:{column + 1}"
    lines = [headline, place, f"{margin} |", f"{line} | {source}", f"{margin} | {' ' * column}{'^' * len(at)}"]
    return "\n".join([*lines, *(f"   {each}" for each in details)])


def test_an_output_that_holds_something_is_none_of_a_call() -> None:
    @relax.prim_func
    def added_up(x: T.Buffer((n,), "float32"), y: T.Buffer((1,), "float32")):
        T.outputs(y)
        for i in range(n):
            y[0] += x[i]

    with pytest.raises(KernelError) as direct:
        added_up(np.ones(3, "float32"))
    with pytest.raises(KernelError) as within:

        @relax.function
        def total(x: relax.Tensor[(n,), "float32"]):
            return relax.call_tir(added_up, (x,))

    for error in (direct, within):
        assert error.value.headline == (
            "added_up: y is read before anything is written to it, and is new in every call"
        )
        assert list(error.value.details) == [
            "T.outputs says that y holds something, as in the description of an intrinsic"
        ]
        assert error.value.hint == "to call the kernel, write it first, in loops before or under T.init() of a block"


def test_arguments_are_declared_as_buffers() -> None:
    assert message_of(np.ones(3), 2) == drawn(
        "repeated: argument x: expected dtype float32, got float64",
        'declared: T.Buffer((n,), "float32")',
        "passed:   float64 array of shape (3,)",
        'hint: x.astype("float32")',
        at='x: T.Buffer((n,), "float32")',
    )
    assert message_of(np.ones(3, "float32"), 2.0) == drawn(
        "repeated: argument m: expected an integer, got float", "declared: T.int64"
    )
    assert message_of(np.ones(3, "float32")) == drawn(
        "repeated: expected 2 arguments, got 1",
        "missing: m",
        'repeated(x: T.Buffer((n,), "float32"), m: T.int64)',
    )


def test_outputs_are_declared_as_buffers() -> None:
    assert message_of(np.ones(3, "float32"), 2, out=np.empty(3, "float32")) == drawn(
        "repeated: out: expected shape (3, 2), got (3,)",
        'result: T.Buffer((n, m), "float32"), here n = 3, m = 2',
        "passed: float32 array of shape (3,)",
        'hint: out may be np.empty((3, 2), "float32")',
    )


# ---------------------------------------------------------------------------------------------------------- schedules


def scheduled() -> relax.Schedule:
    sch = relax.Schedule(twice_and_sums)
    sch.parallel(sch.get_loops("y")[0])
    return sch


@pytest.mark.parametrize("make", [scheduled, lambda: scheduled().copy()], ids=["schedule", "copy"])
def test_a_scheduled_kernel_knows_where_its_kernel_is_written(make: Any) -> None:
    kernel = relax.prim_func(make())
    line = f"test_kernel_function.py:{line_of(twice_and_sums)}"
    place = f"{line}:5"
    with pytest.raises(relax.ArgumentError) as caught:
        kernel(np.ones(3, "float32"))
    assert str(caught.value).splitlines()[:2] == [
        "twice_and_sums: argument x: expected 2 axes, got 1",
        f"{' ' * len(str(line_of(twice_and_sums)))} --> {line}:20",
    ]
    assert str(kernel.explain().kernels[0].span) == place
    assert {str(each.span) for each in kernel.profile(X).timings} == {place}
    assert str(copy.copy(kernel).definition.span) == place


# --------------------------------------------------------------------------------------------------------- debug mode


def test_a_kernel_in_debug_mode_is_another_kernel() -> None:
    checked = relax.prim_func(gather, debug=True)
    index = np.array([0, 3])
    with pytest.raises(relax.KernelError) as caught:
        checked(np.zeros(3, "float32"), index)
    place = line_of(gather) + 2
    assert str(caught.value) == "\n".join(
        [
            "gather: x, axis 0: the index index[i] is out of range",
            f"   --> test_kernel_function.py:{place}:16",
            "   |",
            f"{place} |         y[i] = x[index[i]]",
            "   |                ^^^^^^^^^^^",
            "   it is 3, and the size is 3",
            "   hint: guard it with `if` or T.if_then_else, or loop over fewer elements",
        ]
    )
    assert gather.debug is None
    assert (checked.__wrapped__, checked.ir) == (gather.__wrapped__, gather.ir)
    assert relax.prim_func(checked, debug=False).debug is None
    assert copy.copy(checked).debug is checked.debug


def test_a_kernel_without_source_in_debug_mode() -> None:
    plain = relax.prim_func(gather.ir)
    with pytest.raises(relax.KernelError) as caught:
        relax.prim_func(plain, debug=True)(np.zeros(3, "float32"), np.array([0, 3]))
    assert caught.value.headline == "gather: x, axis 0: the index index[i] is out of range"


@pytest.mark.parametrize("made", [softmax, softmax.ir, relax.Schedule(softmax)], ids=["kernel", "ir", "schedule"])
def test_attributes_are_given_where_a_kernel_is_defined(made: Any) -> None:
    with pytest.raises(relax.ScriptError) as caught:
        relax.prim_func(made, attrs={"a": 1})
    assert str(caught.value) == (
        "relax.prim_func: softmax has its attributes already\n   hint: give them where it is defined"
    )
