"""``and`` and ``or``: which sides are evaluated, what they say, and how they are written."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.script.parse_text import parse_kernel_source

n, m = relax.dims("n m")


def source_line(condition: str) -> str:
    text = f"""\
@relax.prim_func
def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "bool"), n: T.int64, m: T.int64):
    T.outputs(y)
    for i in range(n):
        y[i] = {condition}
"""
    kernel = parse_kernel_source(text, {})
    function = relax.prim_func(kernel)
    assert_structural_equal(parse_kernel_source(function.script(), {}), kernel)
    (line,) = (line for line in function.source().splitlines() if line.strip().startswith("y[i] = "))
    return line.strip().removeprefix("y[i] = ")


@pytest.mark.parametrize(
    ("condition", "source"),
    [
        ("i > 2 and i < m", "(i > 2) & (i < m)"),
        ("x[i] > 2 and x[i] < m", "(x[i] > 2) & (x[i] < m)"),
        ("0 <= x[i] < m", "(0 <= x[i]) & (x[i] < m)"),
        ("i >= 1 and x[i - 1] > 0", "i >= 1 and x[i - 1] > 0"),
        ("i == 0 or x[i - 1] > 0", "i == 0 or x[i - 1] > 0"),
        ("x[i] >= 0 and x[i] < n and x[x[i]] > 0", "(x[i] >= 0) & (x[i] < n) and x[x[i]] > 0"),
        ("x[i] > 2 and (i == 0 or x[i - 1] > 0)", "x[i] > 2 and (i == 0 or x[i - 1] > 0)"),
        ("(i >= 1 and x[i - 1] > 0) and x[i] > 2", "(i >= 1 and x[i - 1] > 0) & (x[i] > 2)"),
        ("not (i >= 1 and x[i - 1] > 0)", "not (i >= 1 and x[i - 1] > 0)"),
        ("m > 0 and i // m < 2", "(m > 0) & (i // m < 2)"),
        ("T.logical_and(x[i] > 2, x[i] < m)", "(x[i] > 2) & (x[i] < m)"),
        ("(x[i] > 0) if x[i] < m else False", "(x[i] < m) & (x[i] > 0)"),
        ("(i < 2) if x[i] < m else T.bool(False)", "x[i] < m and i < 2"),
    ],
)
def test_both_sides_are_evaluated_where_the_right_one_can_not_fail(condition: str, source: str) -> None:
    assert source_line(condition) == source


def test_what_a_guard_says_holds_inside() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in range(n):
            y[i] = 0
            if i >= 1 and x[i - 1] > 0:
                y[i] = x[i - 1]
            if not (i + 1 >= n or x[i + 1] <= 0):
                y[i] += x[i + 1]

    np.testing.assert_array_equal(kernel(np.array([3, -1, 5])), [0, 8, 0])


def test_debug_mode_looks_at_what_is_evaluated() -> None:
    @relax.prim_func(debug=True)
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in range(n):
            y[i] = 1 if x[i] >= 0 and x[x[i]] > 0 else 0

    np.testing.assert_array_equal(kernel(np.array([1, 2, -9])), [1, 0, 0])
    with pytest.raises(relax.KernelError) as caught:
        kernel(np.array([1, 3, -9]))
    assert "it is 3, and the size is 3" in str(caught.value)


def test_the_reference_interpreter_leaves_the_right_side_out() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64"), m: T.int64):
        for i in range(n):
            y[i] = 1 if m > 0 and i // m < 1 else 0

    @relax.function
    def main(x: relax.Tensor[(n,), "int64"], w: relax.Tensor[(m,), "int64"]):
        return relax.call_tir(kernel, (x, m), out=relax.Tensor((n,), "int64")), w

    assert main.check(np.arange(3), np.arange(0))
    np.testing.assert_array_equal(main(np.arange(3), np.arange(2))[0], [1, 1, 0])
