"""Kernels that certainly read outside of their inputs are refused; all others pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relaxdsl.errors import KernelError
from relaxdsl.kernels import te
from relaxdsl.kernels.bounds import require_in_bounds
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import dims

n, m = dims("n m")
HINT = "   hint: guard it with te.if_then_else(condition, value, otherwise), or make the result smaller"


def check(body: Callable[..., Any], shape: tuple[Any, ...], *inputs: tuple[tuple[Any, ...], str]) -> None:
    tensors = [te.placeholder(size, dtype, name) for (size, dtype), name in zip(inputs, "xyz", strict=False)]
    require_in_bounds(create_prim_func(tensors, [te.compute(shape, lambda *i: body(*tensors, *i))], "kernel"))


@pytest.mark.parametrize(
    ("body", "shape", "inputs", "message"),
    [
        (
            lambda x, i: x[i + 1],
            (n,),
            [((n,), "float32")],
            "kernel: x, axis 0: the index i0 + 1 is out of range\n   for i0 = n - 1 it is n, and the size is n\n",
        ),
        (
            lambda x, i: x[i - 1],
            (n,),
            [((n,), "float32")],
            "kernel: x, axis 0: the index i0 - 1 is out of range\n   for i0 = 0 it is -1, and the size is n\n",
        ),
        (
            lambda x, i, j: x[j, i * 2],
            (4, n),
            [((n, 4), "float32")],
            "kernel: x, axis 1: the index i0 * 2 is out of range\n   for i0 = 3 it is 6, and the size is 4\n",
        ),
        (
            lambda x, i: x[7],
            (n,),
            [((5,), "float32")],
            "kernel: x, axis 0: the index 7 is out of range\n   the size is 5\n",
        ),
    ],
)
def test_refused(body: Callable[..., Any], shape: Any, inputs: Any, message: str) -> None:
    with pytest.raises(KernelError) as error:
        check(body, shape, *inputs)
    assert str(error.value) == message + HINT


@pytest.mark.parametrize(
    ("body", "shape", "inputs"),
    [
        (lambda x, i: x[n - 1 - i], (n,), [((n,), "float32")]),
        (lambda x, i: te.if_then_else(i > 0, x[i - 1], 0.0), (n,), [((n,), "float32")]),
        (lambda x, y, i: x[y[i]], (n,), [((m,), "float32"), ((n,), "int64")]),
        (lambda x, i: x[i // 2], (n,), [((n,), "float32")]),
        # only for some sizes: the caller may know better
        (lambda x, i: x[i], (n,), [((m,), "float32")]),
        (lambda x, i: x[i + 1], (n - 1,), [((n,), "float32")]),
    ],
)
def test_accepted(body: Callable[..., Any], shape: Any, inputs: Any) -> None:
    check(body, shape, *inputs)
