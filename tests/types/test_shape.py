"""Shape rules: what they give, and the whole message where they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.errors import ShapeError
from relaxdsl.types.dims import Dim, SymInt, dim_max, symbol
from relaxdsl.types.shape import (
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    require_equal,
    reshape_shape,
    size_of,
)

m, n = symbol("m"), symbol("n")
half = n // 2 * 2

BROADCAST: list[tuple[list[tuple[Dim, ...]], tuple[Dim, ...]]] = [
    ([], ()),
    ([(m, 4)], (m, 4)),
    ([(2, 1), (3,)], (2, 3)),
    ([(m, 1), (1, n)], (m, n)),
    ([(m, n), (n,), ()], (m, n)),
    ([(1,), (1,)], (1,)),
    ([(0,), (1,)], (0,)),
    ([(m * 2,), (m + m,)], (2 * m,)),
    ([(symbol("c", lower=3, upper=3),), (3,)], (3,)),
]


@pytest.mark.parametrize(("shapes", "result"), BROADCAST, ids=range(len(BROADCAST)))
def test_broadcast(shapes: list[tuple[Dim, ...]], result: tuple[Dim, ...]) -> None:
    assert broadcast_shapes("add", [(f"x{i}", shape) for i, shape in enumerate(shapes)]) == result


static_shapes = st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), min_size=1, max_size=3)


@settings(max_examples=200, deadline=None)
@given(static_shapes)
def test_static_broadcast_agrees_with_numpy(shapes: list[tuple[int, ...]]) -> None:
    arguments = [("x", shape) for shape in shapes]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast_shapes("add", arguments)
    else:
        assert broadcast_shapes("add", arguments) == expected


def test_axes() -> None:
    assert normalize_axis("sum", -1, 3) == 2
    assert normalize_axis("sum", np.int64(1), 3) == 1  # type: ignore[arg-type]
    assert normalize_axes("sum", None, 3) == (0, 1, 2)
    assert normalize_axes("sum", (-1, 0), 3) == (2, 0)
    assert normalize_axes("sum", 1, 3) == (1,)
    assert normalize_axes("sum", [], 3) == ()


def test_size_of() -> None:
    assert size_of((m, 4, n)) == 4 * m * n
    assert size_of(()) == 1


RESHAPES: list[tuple[tuple[Dim, ...], tuple[Dim, ...], tuple[Dim, ...]]] = [
    ((m, 224), (m * 224,), (m * 224,)),
    ((m, 224), (-1,), (m * 224,)),
    ((m, 2, 3), (-1, 6), (m, 6)),
    ((m, 4, n), (n, -1), (n, 4 * m)),
    ((2, 3), (3, -1), (3, 2)),
    ((0, 3), (-1, 3), (0, 3)),
    ((m,), (m, 1), (m, 1)),
    ((), (1, 1), (1, 1)),
]


@pytest.mark.parametrize(("shape", "new", "result"), RESHAPES, ids=range(len(RESHAPES)))
def test_reshape(shape: tuple[Dim, ...], new: tuple[Dim, ...], result: tuple[Dim, ...]) -> None:
    assert reshape_shape("reshape", shape, new) == result


def test_undecided_sizes_can_be_accepted() -> None:
    asked: list[tuple[Dim, Dim, str]] = []

    def accept(a: Dim, b: Dim, message: str) -> bool:
        asked.append((a, b, message))
        return True

    assert broadcast_shapes("add", [("x", (half,)), ("y", (n,))], on_undecided=accept) == (half,)
    assert reshape_shape("reshape", (half,), (n,), on_undecided=accept) == (n,)
    require_equal("dot", "x", half, "y", n, on_undecided=accept)
    assert asked == [
        (half, n, "add: axis 0: whether `n // 2 * 2` equals `n` cannot be decided"),
        (half, n, "reshape: number of elements: whether `n // 2 * 2` equals `n` cannot be decided"),
        (half, n, "dot: sizes: whether `n // 2 * 2` equals `n` cannot be decided"),
    ]
    with pytest.raises(ShapeError, match="may differ"):
        broadcast_shapes("add", [("x", (m,)), ("y", (n,))], on_undecided=accept)


def test_require_equal_accepts_what_is_proved() -> None:
    require_equal("matmul", "x", 2 * m, "y", m + m)


RUNTIME_HINT = '   hint: match_cast one of them, or check when run: @relax.function(checks="runtime")'
SAME_HINT = "   hint: if they are always equal, write the same size in both, or match_cast one of them"

REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: broadcast_shapes("add", [("x", (n, 4)), ("y", (5,))]),
        """add: axis 1 differs: 4 and 5
   x : Tensor((n, 4))   axis 1 is 4
   y : Tensor((5,))     axis 0 is 5""",
    ),
    (
        lambda: broadcast_shapes("add", [("x", (m, 4)), ("bias", (n, 1))]),
        """add: axis 0: symbolic sizes `m` and `n` may differ
   x    : Tensor((m, 4))   axis 0 is m
   bias : Tensor((n, 1))   axis 0 is n
   hint: if they are always equal, name them alike (`m` in both), or match_cast one of them""",
    ),
    (
        lambda: broadcast_shapes("add", [("x", (3,)), ("y", (n,))]),
        """add: axis 0: sizes `3` and `n` may differ
   x : Tensor((3,))   axis 0 is 3
   y : Tensor((n,))   axis 0 is n
   hint: if `n` is always 3, write 3 in its place, or match_cast it""",
    ),
    (
        lambda: broadcast_shapes("add", [("x", (2 * m,)), ("y", (n,))]),
        f"""add: axis 0: symbolic sizes `m * 2` and `n` may differ
   x : Tensor((m * 2,))   axis 0 is m * 2
   y : Tensor((n,))       axis 0 is n
{SAME_HINT}""",
    ),
    (
        lambda: broadcast_shapes("add", [("x", (half,)), ("y", (n,))], on_undecided=lambda a, b, text: False),
        f"""add: axis 0: whether `n // 2 * 2` equals `n` cannot be decided
   x : Tensor((n // 2 * 2,))   axis 0 is n // 2 * 2
   y : Tensor((n,))            axis 0 is n
   they differ for n = 1
{RUNTIME_HINT}""",
    ),
    (
        lambda: require_equal("f", "x", (n + 1) // 3 + (n + 1) // 3 + n // 3, "y", n),
        f"""f: sizes: whether `n // 3 + 2 * ((n + 1) // 3)` equals `n` cannot be decided
   x is n // 3 + 2 * ((n + 1) // 3)
   y is n
   they differ for n = 1
{RUNTIME_HINT}""",
    ),
    (
        lambda: require_equal("f", "x", dim_max(n, 2) - 2 + m, "y", n - 2 + m),
        """f: sizes: whether `m + max(n, 2) - 2` equals `m + n - 2` cannot be decided
   x is m + max(n, 2) - 2
   y is m + n - 2
   they differ for m = 0, n = 0
   hint: they are equal where n is at least 2: write n = relax.dims("n", lower=2), or match_cast one of them""",
    ),
    (
        lambda: require_equal("f", "x", 7 // n, "y", 0),  # equal from 8 on, and not defined for 0
        """f: sizes: whether `7 // n` equals `0` cannot be decided
   x is 7 // n
   y is 0
   they differ for n = 1
   hint: they are equal where n is at least 8: write n = relax.dims("n", lower=8), or match_cast one of them""",
    ),
    (
        lambda: require_equal("f", "x", dim_max(symbol("k", upper=9), 8), "y", symbol("k", upper=9)),
        """f: sizes: whether `max(k, 8)` equals `k` cannot be decided
   x is max(k, 8)
   y is k
   they differ for k = 0
   hint: they are equal where k is at least 8: write k = relax.dims("k", lower=8), or match_cast one of them""",
    ),
    (
        lambda: require_equal("matmul", "x, axis 1,", 4, "w, axis 0,", 5, headline="inner size", hint="transpose w"),
        """matmul: inner size differs: 4 and 5
   x, axis 1, is 4
   w, axis 0, is 5
   hint: transpose w""",
    ),
    (
        lambda: normalize_axis("sum", 2, 2),
        "sum: axis 2 does not exist: the tensor has 2 axes\n   hint: axes go from -2 to 1",
    ),
    (
        lambda: normalize_axis("sum", -2, 1),
        "sum: axis -2 does not exist: the tensor has 1 axis\n   hint: axes go from -1 to 0",
    ),
    (
        lambda: normalize_axis("sum", 0, 0),
        "sum: axis 0 does not exist: the tensor has 0 axes\n   hint: a scalar has no axes",
    ),
    (lambda: normalize_axis("sum", True, 2), "sum: axis True is not an integer"),
    (lambda: normalize_axis("sum", m, 2), "sum: axis m is not an integer"),  # type: ignore[arg-type]
    (lambda: normalize_axes("sum", (0, -2), 2), "sum: axis 0 is given twice, in (0, -2)"),
    (lambda: reshape_shape("reshape", (m,), (-1, -1)), "reshape: only one axis can be -1, in (-1, -1)"),
    (lambda: reshape_shape("reshape", (m,), (m, -2)), "reshape: axis 1 of (m, -2) has the negative size -2"),
    (
        lambda: reshape_shape("reshape", (2, 3), (7,)),
        """reshape: number of elements differs: 6 and 7
   from (2, 3) with 6 elements
   to (7,) with 7""",
    ),
    (
        lambda: reshape_shape("reshape", (m, 4), (n, 4)),
        f"""reshape: number of elements: symbolic sizes `m * 4` and `n * 4` may differ
   from (m, 4) with m * 4 elements
   to (n, 4) with n * 4
{SAME_HINT}""",
    ),
    (
        lambda: reshape_shape("reshape", (2, 3), (4, -1)),
        """reshape: no size for -1 fits: 6 is not a multiple of 4
   from (2, 3)
   to (4, -1)""",
    ),
    (
        lambda: reshape_shape("reshape", (m, 3), (4, -1)),
        """reshape: no size for -1 fits: m * 3 is not known to be a multiple of 4
   from (m, 3)
   to (4, -1)""",
    ),
]


@pytest.mark.parametrize(("action", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(action: Callable[[], object], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        action()
    assert str(caught.value) == message


def test_results_are_dims() -> None:
    (dim,) = broadcast_shapes("add", [("x", (m,)), ("y", (1,))])
    assert isinstance(dim, SymInt)


def test_what_the_normal_form_cannot_show_is_proved_by_cases() -> None:
    require_equal("f", "x", (n + 2) // 3 + (n + 1) // 3 + n // 3, "y", n)
