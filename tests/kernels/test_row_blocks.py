"""Windows over rows that the kernel makes: which run in blocks, what a block makes, and that no bit changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.ir.loops import For, PrimFunc, walk
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.pipeline import DEFAULT_RULES, apply_rules
from relaxdsl.kernels.schedule.row_blocks import block_rows
from relaxdsl.types.dims import Dim, dims

b, h, w, c = dims("b h w c")

Change = Callable[[ScalarExpr], ScalarExpr]


def _unchanged(value: ScalarExpr) -> ScalarExpr:
    return value


def _windows(
    taps: int = 3, stride: int = 1, margin: int = 1, made: Change = _unchanged, rows: Dim = h, shared: int = 1
) -> PrimFunc:
    """Sums over windows of rows and columns of padded images, channels last.

    Args:
        made: what is done to the padded image before.
        shared: rows of windows that read the same rows.
    """
    x = te.placeholder((b, rows, w, c), "float32", "x")

    def inside(n: Dim, p: Dim, q: Dim, k: Dim) -> ScalarExpr:
        i, j = p - margin, q - margin
        is_row = te.logical_and(te.less_equal(0, i), te.less(i, rows))
        is_column = te.logical_and(te.less_equal(0, j), te.less(j, w))
        is_inside = te.logical_and(is_row, is_column)
        return made(te.if_then_else(is_inside, x[n, i, j, k], te.const(0, "float32")))

    padded = te.compute((b, rows + 2 * margin, w + 2 * margin, c), inside, name="padded")

    def total(n: Dim, i: Dim, j: Dim, k: Dim) -> ScalarExpr:
        u, v = (te.reduce_axis(taps, name=name) for name in "uv")
        return te.sum(padded[n, i // shared * stride + u, j * stride + v, k], (u, v))

    height, width = ((size + 2 * margin - taps) // stride + 1 for size in (rows, w))
    return create_prim_func([x], [te.compute((b, height * shared, width, c), total, name="sums")], "windows")


def _blocked(kernel: PrimFunc) -> list[str]:
    """The ranges of the loops around blocks, of the blocks, of the rows made in each, and of the windows."""
    made = apply_rules(kernel, DEFAULT_RULES[: DEFAULT_RULES.index(block_rows) + 1])
    blocks = next((each for each in walk(made.body) if isinstance(each, For) and each.var.endswith(".block")), None)
    if blocks is None:
        return []
    inner = [each for each in walk(blocks.body) if isinstance(each, For)]
    (rows,) = {each.shape[1] for each in made.scratch if each.name == "padded"}
    reading = next(each for each in inner if each.var == blocks.var.removesuffix(".block"))
    return [str(each) for each in (blocks.extent, rows, inner[0].start, inner[0].extent, reading.extent)]


def test_a_block_makes_what_its_windows_read() -> None:
    number = "i.block"
    left = f"min(h - 8 * {number}, 8)"
    assert _blocked(_windows()) == ["(h + 7) // 8", "10", f"{number} * 8", f"{left} + 2", left]
    assert _blocked(_windows(taps=5, margin=2))[:2] == ["(h + 15) // 16", "20"]
    assert _blocked(_windows(rows=20))[:2] == ["3", "10"]


def test_windows_that_are_apart() -> None:
    extent, rows, start, *_ = _blocked(_windows(stride=2))
    assert (extent, rows, start) == ("(h + 15) // 16", "17", "i.block * 16")


@pytest.mark.parametrize(
    "kernel",
    [
        _windows(rows=8),  # one block
        _windows(made=te.exp),  # rows that two blocks make take too long
        _windows(shared=2),  # no window for each row
    ],
)
def test_what_stays_whole(kernel: PrimFunc) -> None:
    assert _blocked(kernel) == []


def test_rows_that_something_else_reads_stay() -> None:
    x = te.placeholder((b, h + 2, w, c), "float32", "x")
    twice = te.compute((b, h + 2, w, c), lambda n, i, j, k: x[n, i, j, k] * 2, name="twice")
    near = te.compute((b, h, w, c), lambda n, i, j, k: twice[n, i, j, k] + twice[n, i + 2, j, k], name="near")
    kernel = create_prim_func([x], [near, twice], "returned")
    assert _blocked(kernel) == []


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize(("taps", "stride", "margin"), [(3, 1, 1), (3, 2, 1), (5, 1, 2), (2, 1, 0), (3, 1, 0)])
def test_no_value_depends_on_the_blocks(parts: int, taps: int, stride: int, margin: int) -> None:
    kernel = compile_kernel(_windows(taps, stride, margin))
    random = np.random.default_rng(0)
    for images, rows, columns in [(1, 7, 9), (1, 8, 5), (2, 9, 6), (1, 17, 7), (3, 33, 5), (0, 9, 9), (1, 64, 5)]:
        x = random.integers(-9, 9, (images, rows, columns, 3)).astype("float32")
        height, width = ((size + 2 * margin - taps) // stride + 1 for size in (rows, columns))
        out = np.full((images, height, width, 3), np.nan, "float32")
        run_kernel(kernel, [x, out], {"b": images, "h": rows, "w": columns, "c": 3}, parts)
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (taps, taps), axis=(1, 2))
        np.testing.assert_array_equal(out, windows[:, ::stride, ::stride].sum(axis=(-2, -1)))
