"""Slices and indices on symbolic axes against Python's own."""

from __future__ import annotations

import itertools

import pytest

from relaxdsl.errors import ShapeError
from relaxdsl.operators.slices import resolve_index, resolve_slice
from relaxdsl.types.dims import Dim, dims, evaluate, symbol

n, k = dims("n k")
NUMBERS: list[Dim | None] = [None, 0, 1, 3, -1, -2, -4]
BOUNDS = [*NUMBERS, n, n - 1, n - 2, n - 3, k, k - 2, n - k, 2 * k - n, -k, -k - 1, n // 2]
STEPS = [1, 2, 3, -1, -2]


@pytest.mark.parametrize("step", STEPS)
def test_a_slice_selects_what_python_selects(step: int) -> None:
    for begin, end in itertools.product(BOUNDS, BOUNDS):
        piece = resolve_slice("x", begin, end, step, n)
        for size, other in itertools.product(range(5), range(4)):
            values = {"n": size, "k": other}
            first, last = (None if bound is None else evaluate(bound, values) for bound in (begin, end))
            start, length = evaluate(piece.start, values), evaluate(piece.length, values)
            expected = list(range(size))[first:last:step]
            assert [start + i * step for i in range(length)] == expected, (begin, end, step, values)


@pytest.mark.parametrize(
    ("begin", "end", "step", "start", "length"),
    [
        (None, None, None, "0", "n"),
        (1, None, None, "1", "max(n, 1) - 1"),
        (None, -1, None, "0", "max(n, 1) - 1"),
        (None, n - 1, None, "0", "max(n, 1) - 1"),
        (None, 3, None, "0", "min(n, 3)"),
        (-2, None, None, "max(n, 2) - 2", "min(n, 2)"),
        (None, None, -1, "n - 1", "n"),
        (None, None, 2, "0", "(n + 1) // 2"),
        (n // 2, None, None, "n // 2", "n - n // 2"),
        (0, n, 1, "0", "n"),
    ],
)
def test_common_slices_come_out_simple(begin: Dim, end: Dim, step: int, start: str, length: str) -> None:
    piece = resolve_slice("x", begin, end, step, n)
    assert (str(piece.start), str(piece.length)) == (start, length)


def test_a_symbolic_step_of_known_sign() -> None:
    step = symbol("s", lower=1)
    for s, size in itertools.product((1, 2, 5), range(5)):
        piece = resolve_slice("x", None, None, step, n)
        assert evaluate(piece.length, {"n": size, "s": s}) == len(range(0, size, s))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "op: axis 0: the step of a slice is 0"),
        (
            (0, 1, k),
            "op: axis 0: the sign of the step `k` is unknown\n"
            "   hint: give the size a lower bound: relax.dims(name, lower=1)",
        ),
        ((True, 1, 1), "op: axis 0: a slice is made of integers and sizes, got True"),
        ((0, 1.5, 1), "op: axis 0: a slice is made of integers and sizes, got 1.5"),
    ],
)
def test_slices_that_make_no_sense(arguments: tuple[Dim, Dim, Dim], message: str) -> None:
    with pytest.raises(ShapeError) as error:
        resolve_slice("op: axis 0", *arguments, n)
    assert str(error.value) == message


def test_an_index_counts_from_the_end_where_it_is_negative() -> None:
    for index in (0, 2, -1, -3, k, k - 2, n - 1, -k):
        for size, other in itertools.product(range(1, 5), range(4)):
            values = {"n": size, "k": other}
            number = evaluate(index, values)
            position = evaluate(resolve_index("x", index, n).position, values)
            assert position == (number if number >= 0 else number + size), (index, values)


def test_whether_an_index_is_known_to_exist() -> None:
    at_least_two = symbol("m", lower=2)
    assert resolve_index("x", 1, at_least_two).is_inside
    assert resolve_index("x", -2, at_least_two).is_inside
    assert not resolve_index("x", 2, at_least_two).is_inside
    assert not resolve_index("x", 0, n).is_inside
    assert resolve_index("x", n, n + 1).is_inside


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-4, 3), (n, n), (n + 2, n), (0, 0), (-1, 0)])
def test_an_index_that_no_size_allows(index: Dim, size: Dim) -> None:
    with pytest.raises(ShapeError) as error:
        resolve_index("op: axis 1", index, size)
    assert str(error.value) == f"op: axis 1: index {index} is out of range: the size is {size}"
