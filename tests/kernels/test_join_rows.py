"""Rows of windows computed together: which ones, what is read, and that no bit changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.ir.loops import For, PrimFunc, Store, walk
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.kernels.accesses import expressions, loads_of
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import CompiledKernel, compile_kernel, run_kernel
from relaxdsl.kernels.schedule.decompose import decompose_reductions
from relaxdsl.kernels.schedule.flatten import flatten_accesses
from relaxdsl.kernels.schedule.merge import merge_loops
from relaxdsl.kernels.schedule.pipeline import apply_rules
from relaxdsl.kernels.schedule.rows import join_rows
from relaxdsl.kernels.schedule.shrink import shrink_scratch
from relaxdsl.kernels.schedule.unroll_sums import unroll_sums
from relaxdsl.types.dims import Dim, dims

c, h, w = dims("c h w")

BEFORE = (unroll_sums, decompose_reductions, merge_loops, shrink_scratch, flatten_accesses)
Change = Callable[[ScalarExpr], ScalarExpr]


def _windows(
    taps: tuple[int, int] = (3, 3),
    stride: int = 1,
    after: Change | None = None,
    sizes: tuple[Dim, Dim] = (h, w),
    dtype: str = "float32",
) -> PrimFunc:
    """Windows of each channel times its weights; ``after`` is done to the sums."""
    rows, columns = sizes
    x = te.placeholder((c, rows * stride + taps[0], columns * stride + taps[1]), dtype, "x")
    weight = te.placeholder((c, *taps), dtype, "weight")

    def body(k: Dim, i: Dim, j: Dim) -> ScalarExpr:
        u, v = (te.reduce_axis(size, name=name) for size, name in zip(taps, "uv", strict=True))
        return te.sum(x[k, i * stride + u, j * stride + v] * weight[k, u, v], (u, v))

    made = te.compute((c, rows, columns), body, name="sums")
    if after is not None:
        made = te.compute((c, rows, columns), lambda k, i, j: after(made[k, i, j]), name="out")
    return create_prim_func([x, weight], [made], "windows")


def _loops(kernel: PrimFunc) -> list[tuple[str, int]]:
    """The ranges of the loops around rows, and what a step of the row reads and stores in memory."""
    made = apply_rules(kernel, (*BEFORE, join_rows))
    (channels,) = (each for each in walk(made.body) if isinstance(each, For) and each.extent is c)
    outer = [each for each in walk(channels.body) if isinstance(each, For) and isinstance(each.body, For)]
    return [(f"{each.start} {each.start + each.extent}", _accesses(each)) for each in outer]


def _accesses(loop: For) -> int:
    stores = [each for each in walk(loop) if isinstance(each, Store)]
    reads = [load for each in stores for value in expressions(each) for load in loads_of(value)]
    moving = [load.buffer.name for load in reads if isinstance(load, Load) and load.indices]
    return sum(name == "x" for name in moving) + sum(each.buffer.scope != "register" for each in stores)


WHOLE = "min(w // 16, 1) * (h // 2)"


def test_two_rows_read_what_they_share_once() -> None:
    assert _loops(_windows()) == [(f"0 {WHOLE}", 12 + 2), (f"{WHOLE} * 2 h", 9 + 1)]
    assert _loops(_windows((3, 2))) == [(f"0 {WHOLE}", 8 + 2), (f"{WHOLE} * 2 h", 6 + 1)]


def test_what_follows_in_registers_is_done_for_each_row() -> None:
    relu = _windows(after=lambda value: te.maximum(value + 1, 0))
    assert _loops(relu) == [(f"0 {WHOLE}", 12 + 2), (f"{WHOLE} * 2 h", 9 + 1)]


def test_sizes_that_are_known() -> None:
    assert _loops(_windows(sizes=(6, 40))) == [("0 3", 12 + 2)]
    assert _loops(_windows(sizes=(7, 40))) == [("0 3", 12 + 2), ("6 7", 9 + 1)]
    assert _loops(_windows(sizes=(6, 15))) == [("0 6", 9 + 1)]  # LLVM makes no vectors of two such rows
    assert _loops(_windows(sizes=(6, 8), dtype="float64")) == [("0 3", 12 + 2)]


@pytest.mark.parametrize(
    "kernel",
    [
        _windows((1, 9)),  # no element is read for two rows
        _windows((2, 3)),  # a quarter of the elements is
        _windows(stride=2),
        _windows((3, 1)),  # three elements are few
        _windows((5, 5)),  # a loop over the row for each of its steps
        _windows(after=te.exp),
        _windows(after=lambda value: te.if_then_else(te.less(value, 0), te.const(0, "float32"), value)),
    ],
)
def test_what_is_not_joined(kernel: PrimFunc) -> None:
    before = apply_rules(kernel, BEFORE)
    assert _ranges(join_rows(before)) == _ranges(before)


def _ranges(kernel: PrimFunc) -> list[str]:
    return [f"{each.start} {each.extent}" for each in walk(kernel.body) if isinstance(each, For)]


def test_rows_that_threads_share_stay() -> None:
    x = te.placeholder((h + 3, w + 3), name="x")

    def body(i: Dim, j: Dim) -> ScalarExpr:
        u, v = (te.reduce_axis(3, name=name) for name in "uv")
        return te.sum(x[i + u, j + v], (u, v))

    before = apply_rules(create_prim_func([x], [te.compute((h, w), body, name="out")], "blur"), BEFORE)
    assert _ranges(join_rows(before)) == _ranges(before)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_no_bit_depends_on_which_rows_are_joined(parts: int, relu: bool) -> None:
    """Rows of less than 16 run alone, and so does the last one of an odd number."""
    kernel = compile_kernel(_windows(after=(lambda value: te.maximum(value, 0)) if relu else None))
    random = np.random.default_rng(0)
    for rows, columns in [(0, 20), (1, 20), (2, 0), (4, 33), (5, 16), (7, 15), (6, 57)]:
        x = random.standard_normal((3, rows + 3, columns + 3)).astype("float32")
        weight = random.standard_normal((3, 3, 3)).astype("float32")
        out = _result(kernel, x, weight, (rows, columns), parts)
        alone = [_result(kernel, x[:, row : row + 4], weight, (1, columns)) for row in range(rows)]
        np.testing.assert_array_equal(out, np.concatenate([out[:, :0], *alone], axis=1))
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, :rows, :columns]
        sums = np.einsum("kijuv,kuv->kij", windows.astype("float64"), weight)
        np.testing.assert_allclose(out, np.maximum(sums, 0) if relu else sums, rtol=1e-5, atol=1e-5)


def _result(
    kernel: CompiledKernel, x: np.ndarray, weight: np.ndarray, sizes: tuple[int, int], parts: int = 1
) -> np.ndarray:
    out = np.full((3, *sizes), np.nan, "float32")
    run_kernel(kernel, [np.ascontiguousarray(x), weight, out], {"c": 3, "h": sizes[0], "w": sizes[1]}, parts)
    return out
