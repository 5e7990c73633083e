"""Loops split at conditions: which ones, into what, and what they compute."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeGuard

import numpy as np
import pytest

from relaxdsl.ir.loops import Buffer, For, PrimFunc, Stmt, Store, loop_variable, walk
from relaxdsl.ir.scalar import Apply, IndexValue, Load, ScalarExpr, Select, const
from relaxdsl.kernels import te
from relaxdsl.kernels.accesses import expressions, nodes
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.decompose import decompose_reductions
from relaxdsl.kernels.schedule.split_ranges import split_ranges
from relaxdsl.types.dims import Dim, dims

m, n = dims("m n")

Condition = Callable[[Dim, Dim], ScalarExpr]


def _masked(condition: Condition, function: Callable[[ScalarExpr], ScalarExpr] = te.exp, size: Dim = n) -> PrimFunc:
    x = te.placeholder((m, size), name="x")

    def body(i: Dim, j: Dim) -> ScalarExpr:
        return te.if_then_else(condition(i, j), function(x[i, j]), te.const(0, "float32"))

    return create_prim_func([x], [te.compute((m, size), body, name="out")], "masked")


def _inner_loops(kernel: PrimFunc) -> list[str]:
    """The ranges of the loops along rows, and whether they still choose."""
    loops = [
        stmt
        for stmt in walk(split_ranges(decompose_reductions(kernel)).body)
        if isinstance(stmt, For) and stmt.extent is not m
    ]
    return [f"{loop.start} {loop.start + loop.extent}{' ?' * _chooses(loop)}" for loop in loops]


def _chooses(loop: For) -> bool:
    values = (value for stmt in walk(loop.body) for value in expressions(stmt))
    return any(isinstance(node, Select) for value in values for node in nodes(value))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda i, j: te.less_equal(j, i), ["0 min(i + 1, n)", "min(i + 1, n) n"]),
        (lambda i, j: te.less(i, j), ["0 min(i + 1, n)", "min(i + 1, n) n"]),
        (lambda i, j: te.greater_equal(j, 3), ["0 min(n, 3)", "min(n, 3) n"]),
        (
            lambda i, j: te.logical_and(te.less_equal(i, j), te.greater(i + 5, j)),
            ["0 min(i, n)", "min(i, n) min(i + 5, n)", "min(i + 5, n) n"],
        ),
        (lambda i, j: te.less(2 * j, i), ["0 min(n, (i + 1) // 2)", "min(n, (i + 1) // 2) n"]),
        (lambda i, j: te.less_equal(i, 3 * j), ["0 min(n, (i + 2) // 3)", "min(n, (i + 2) // 3) n"]),
        (lambda i, j: te.less(j * j, i), ["0 n ?"]),  # no even steps
        (lambda i, j: te.logical_and(te.less(j, i), te.less(j, 5)), ["0 n ?"]),  # in which order is not known
        (lambda i, j: te.less(i, 3), ["0 n ?"]),  # the same for the whole row
    ],
)
def test_where_a_loop_is_split(condition: Condition, expected: list[str]) -> None:
    assert _inner_loops(_masked(condition)) == expected


def test_arithmetic_and_short_loops_stay() -> None:
    assert _inner_loops(_masked(lambda i, j: te.less(j, i), lambda x: x * 2)) == ["0 n ?"]
    assert _inner_loops(_masked(lambda i, j: te.less(j, i), size=7)) == ["0 7 ?"]


def _bordered(before: int, after: int, sizes: tuple[Dim, Dim] = (m, n), batch: tuple[int, ...] = (5, 11)) -> PrimFunc:
    """Images with a border of zeros around them."""
    rows, columns = sizes
    x = te.placeholder((*batch, rows, columns), name="x")

    def body(*places: Dim) -> ScalarExpr:
        *outer, i, j = places
        inside = (
            te.logical_and(te.less_equal(0, position - before), te.less(position - before, size))
            for position, size in ((i, rows), (j, columns))
        )
        return te.if_then_else(te.logical_and(*inside), x[*outer, i - before, j - before], te.const(0, "float32"))

    grown = tuple(size + before + after for size in sizes)
    return create_prim_func([x], [te.compute((*batch, *grown), body, name="out")], "bordered")


def _all_loops(kernel: PrimFunc) -> list[str]:
    (images,) = (each for each in walk(split_ranges(decompose_reductions(kernel)).body) if _is_over_images(each))
    loops = [each for each in walk(images.body) if isinstance(each, For)]
    return [f"{loop.start} {loop.start + loop.extent}{' ?' * _chooses(loop)}" for loop in loops]


def _is_over_images(stmt: Stmt) -> TypeGuard[For]:
    return isinstance(stmt, For) and stmt.extent == 11


def test_edges_are_cut_off() -> None:
    """Of rows, and of each row that is not one."""
    edge, last = ["0 2", "0 n + 3"], ["m + 2 m + 3", "0 n + 3"]
    assert _all_loops(_bordered(2, 1)) == [*edge, "2 m + 2", "0 2", "2 n + 2", "n + 2 n + 3", *last]
    assert _all_loops(_bordered(2, 0)) == ["0 2", "0 n + 2", "2 m + 2", "0 2", "2 n + 2"]
    assert _all_loops(_bordered(9, 9)) == ["0 m + 18 ?", "0 n + 18 ?"]  # wide edges would be loops of their own
    assert _all_loops(_bordered(1, 1, (2, 3))) == ["0 4 ?", "0 5 ?"]


def test_loops_that_threads_share_keep_their_edges() -> None:
    x = te.placeholder((m, n), name="x")

    def body(i: Dim, j: Dim) -> ScalarExpr:
        return te.if_then_else(te.less(i, 1), te.const(0, "float32"), x[i - 1, j])

    kernel = create_prim_func([x], [te.compute((m + 1, n), body, name="out")], "shifted")
    rows, _ = (each for each in walk(split_ranges(decompose_reductions(kernel)).body) if isinstance(each, For))
    assert rows.extent is m + 1


def test_a_second_loop_that_threads_share_stays_one() -> None:
    """Its body chooses."""
    row = ["0 2", "2 n + 2", "n + 2 n + 3"]
    kernel = _bordered(2, 1, batch=(11,))
    assert _all_loops(kernel) == ["0 m + 3", "0 n + 3", *row, "0 n + 3"]
    source = compile_kernel(kernel).source
    assert re.findall("if i1 .*:|else:", source) == ["if i1 < 2:", "if i1 < m + 2:", "else:"]
    assert "elif i1 < m + 2:" in source


def _added_up(shift: int) -> PrimFunc:
    """``out[i, j + shift] = out[i, j] + (0 if j < 2 else x[i, j])``."""
    x, out = Buffer("x", (11, n), "float32"), Buffer("out", (11, n + shift), "float32")
    i, j = loop_variable("i", 11), loop_variable("j", n)
    condition = Apply("less", (IndexValue(j), IndexValue(2)), "bool")
    value = Load(out, (i, j)) + Select(condition, const(0.0, "float32"), Load(x, (i, j)))
    row = For("j", n, Store(out, (i, j + shift), value), "parallel" if shift == 0 else "serial")
    return PrimFunc("f", (x, out), 1, ("n",), For("i", 11, row, "parallel"))


@pytest.mark.parametrize(("shift", "expected"), [(0, ["min(n, 2) n"]), (1, ["0 min(n, 2)", "min(n, 2) n"])])
def test_steps_that_change_nothing_are_left_out(shift: int, expected: list[str]) -> None:
    """An element that goes into another one changes that."""
    loops = [each for each in walk(split_ranges(_added_up(shift)).body) if isinstance(each, For) and each.var != "i"]
    assert [f"{loop.start} {loop.start + loop.extent}" for loop in loops] == expected


def test_edges_of_single_rows_are_loops() -> None:
    """Threads do not share a loop along a row, so its body need not choose."""
    x = te.placeholder((n,), name="x")

    def body(c: Dim, i: Dim) -> ScalarExpr:
        is_inside = te.logical_and(te.less_equal(0, i - 1), te.less(i - 1, n))
        return te.if_then_else(is_inside, x[i - 1], te.const(0, "float32"))

    kernel = create_prim_func([x], [te.compute((11, n + 2), body, name="out")], "grown")
    loops = [each for each in walk(split_ranges(decompose_reductions(kernel)).body) if isinstance(each, For)]
    assert [str(each.extent) for each in loops] == ["11", "1", "n", "1"]


def _interleaved(border: int, spacing: int) -> PrimFunc:
    """Rows with a border of zeros, and those of their elements together that are as far from a multiple."""
    x = te.placeholder((m, n), name="x")

    def body(i: Dim, r: Dim, j: Dim) -> ScalarExpr:
        place = spacing * j + r - border
        is_inside = te.logical_and(te.less_equal(0, place), te.less(place, n))
        return te.if_then_else(is_inside, x[i, place], te.const(0, "float32"))

    return create_prim_func([x], [te.compute((m, spacing, n // spacing + 9), body, name="out")], "interleaved")


@pytest.mark.parametrize(("border", "spacing"), [(0, 2), (3, 2), (5, 3), (2, 4), (7, 5)])
def test_copies_of_every_few_elements(border: int, spacing: int) -> None:
    kernel = compile_kernel(_interleaved(border, spacing))
    for rows, columns in [(0, 0), (2, 0), (1, 1), (2, 2), (3, 5), (5, 69)]:
        x = np.random.default_rng(0).standard_normal((rows, columns)).astype("float32")
        width = columns // spacing + 9
        padded = np.zeros((rows, width * spacing), "float32")
        padded[:, border : border + columns] = x[:, : width * spacing - border]
        expected = padded.reshape(rows, width, spacing).transpose(0, 2, 1)
        out = np.full_like(expected, np.nan, order="C")
        run_kernel(kernel, [x, out], {"m": rows, "n": columns}, 2)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("batch", [(11,), (2, 3)])
@pytest.mark.parametrize("border", [(0, 1), (2, 1), (3, 3)])
def test_copies_with_edges(border: tuple[int, int], batch: tuple[int, ...]) -> None:
    kernel = compile_kernel(_bordered(*border, batch=batch))
    for rows, columns in [(0, 0), (0, 3), (1, 1), (4, 0), (9, 33)]:
        x = np.random.default_rng(0).standard_normal((*batch, rows, columns)).astype("float32")
        expected = np.pad(x, (*[(0, 0)] * len(batch), border, border))
        out = np.full_like(expected, np.nan)
        run_kernel(kernel, [x, out], {"m": rows, "n": columns}, 2)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("offset", [-40, -1, 0, 3, 40])
def test_results_do_not_change(offset: int) -> None:
    kernel = compile_kernel(_masked(lambda i, j: te.logical_and(te.less(j, i + offset), te.less(i, j + 7))))
    for rows, columns in [(0, 3), (5, 0), (1, 1), (9, 33)]:
        x = np.random.default_rng(0).standard_normal((rows, columns)).astype("float32")
        out = np.empty_like(x)
        run_kernel(kernel, [x, out], {"m": rows, "n": columns}, 1)
        i, j = np.ogrid[:rows, :columns]
        seen = (j < i + offset) & (i < j + 7)
        np.testing.assert_allclose(out, np.where(seen, np.exp(x), 0), rtol=1e-6)


def test_a_step_that_is_not_always_one() -> None:
    """At 0, 1 and 2 the condition looks as if it moved one step with the column."""
    kernel = compile_kernel(_masked(lambda i, j: te.less(j + j // 4, i + 6)))
    x = np.random.default_rng(0).standard_normal((3, 16)).astype("float32")
    out = np.empty_like(x)
    run_kernel(kernel, [x, out], {"m": 3, "n": 16}, 1)
    i, j = np.ogrid[:3, :16]
    np.testing.assert_allclose(out, np.where(j + j // 4 < i + 6, np.exp(x), 0), rtol=1e-6)


def test_steps_without_effect_disappear() -> None:
    x = te.placeholder((m, n), name="x")

    def body(i: Dim) -> ScalarExpr:
        j = te.reduce_axis(n, name="j")
        return te.sum(te.if_then_else(te.less(j, i), te.exp(x[i, j]), te.const(0, "float32")), j)

    made = create_prim_func([x], [te.compute((m,), body, name="out")], "total")
    kernel = compile_kernel(made)
    assert _sums_up_to_the_row(kernel.source)
    array = np.random.default_rng(0).standard_normal((9, 21)).astype("float32")
    out = np.empty(9, "float32")
    run_kernel(kernel, [array, out], {"m": 9, "n": 21}, 1)
    np.testing.assert_allclose(out, [np.exp(row[:i]).sum() for i, row in enumerate(array)], rtol=1e-6)


def _sums_up_to_the_row(source: str) -> bool:
    return " if j " not in source and "min(" in source
