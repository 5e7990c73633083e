"""What tensor expressions read is in range for all sizes that may be, as far as the function around them knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import te

n, m, k = relax.dims("n m k")
_COMPUTE = "te.compute(shape, lambda *i: body(*tensors, *i)), *params)"
HINT = "   hint: guard it with te.if_then_else(condition, value, otherwise), or make the result smaller"


def build(body: Callable[..., Any], shape: tuple[Any, ...], *types: tuple[tuple[Any, ...], str]) -> None:
    """Builds a function of tensors of these types whose result ``body`` computes from them, element by element."""
    params = [relax.Var(name, relax.Tensor(*type_)) for name, type_ in zip("xyz", types, strict=False)]
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        result = builder.emit_te(lambda *tensors: te.compute(shape, lambda *i: body(*tensors, *i)), *params)
        builder.emit_func_output(result)


def refusal_of(*args: Any) -> str:
    """The message without the line of ``build`` that has the te.compute."""
    with pytest.raises(relax.KernelError) as error:
        build(*args)
    before, _, after = str(error.value).partition("   in <lambda> (test_te_accesses.py:")
    line, _, rest = after.partition("\n")
    assert line.endswith("): result = builder.emit_te(lambda *tensors: " + _COMPUTE)
    return before + rest


@pytest.mark.parametrize(
    ("body", "shape", "types", "message"),
    [
        (
            lambda x, i: x[i + 1],
            (n,),
            [((n,), "float32")],
            "kernel: x, axis 0: the index i0 + 1 is out of range\n"
            "   for n = 1, i0 = 0 it is 1, and the size n is 1\n",
        ),
        (
            lambda x, i: x[i - 1],
            (n,),
            [((n,), "float32")],
            "kernel: x, axis 0: the index i0 - 1 is out of range\n"
            "   for n = 1, i0 = 0 it is -1, and the size n is 1\n",
        ),
        (
            lambda x, i, j: x[j, i * 2],
            (4, n),
            [((n, 4), "float32")],
            "kernel: x, axis 1: the index i0 * 2 is out of range\n   for i0 = 2 it is 4, and the size is 4\n",
        ),
        (
            lambda x, i: x[7],
            (n,),
            [((5,), "float32")],
            "kernel: x, axis 0: the index 7 is out of range\n   it is 7, and the size is 5\n",
        ),
        (
            lambda x, i, j: x[i + 1],
            (100_000, 100_000),
            [((100_000,), "float32")],
            "kernel: x, axis 0: the index i0 + 1 is out of range\n"
            "   for i0 = 99999 it is 100000, and the size is 100000\n",
        ),
        (
            lambda x, y, i: te.if_then_else(i < n, x[i + 1], y[i]),
            (n + 2,),
            [((n,), "float32"), ((n + 2,), "float32")],
            "kernel: x, axis 0: the index i0 + 1 is out of range\n"
            "   for n = 1, i0 = 0 it is 1, and the size n is 1\n",
        ),
    ],
)
def test_refused(body: Callable[..., Any], shape: Any, types: Any, message: str) -> None:
    assert refusal_of(body, shape, *types) == message + HINT


@pytest.mark.parametrize(
    ("shape", "types", "message"),
    [
        (
            (n,),
            [((n,), "float32"), ((m,), "float32")],
            "kernel: y, axis 0: the index i0 is out of range\n"
            "   for n = 1, m = 0, i0 = 0 it is 0, and the size m is 0\n"
            "   hint: `n` and `m` may differ; if they are always equal, name them alike (`n` in both), or match_cast "
            "one of them",
        ),
        (
            (n,),
            [((n,), "float32"), ((300,), "float32")],
            "kernel: y, axis 0: the index i0 is out of range\n"
            "   for n = 301, i0 = 300 it is 300, and the size is 300\n"
            "   hint: `n` and `300` may differ; if `n` is always 300, write 300 in its place, or match_cast it",
        ),
        (
            (n + 1,),
            [((n + 1,), "float32"), ((2 * m,), "float32")],
            "kernel: y, axis 0: the index i0 is out of range\n"
            "   for n = 0, m = 0, i0 = 0 it is 0, and the size m * 2 is 0\n"
            "   hint: `n + 1` and `m * 2` may differ; if they are always equal, write the same size in both, or "
            "match_cast one of them",
        ),
    ],
)
def test_sizes_that_may_differ(shape: Any, types: Any, message: str) -> None:
    assert refusal_of(lambda x, y, i: x[i] + y[i], shape, *types) == message


@pytest.mark.parametrize(
    ("body", "shape", "types"),
    [
        (lambda x, i: x[n - 1 - i], (n,), [((n,), "float32")]),
        (lambda x, i: te.if_then_else(i > 0, x[i - 1], 0.0), (n,), [((n,), "float32")]),
        (lambda x, y, i: x[y[i]], (n,), [((m,), "float32"), ((n,), "int64")]),
        (lambda x, i: x[i // 2], (n,), [((n,), "float32")]),
        (lambda x, i: x[i + 1], (n - 1,), [((n,), "float32")]),
        # what other parameters tell of the size
        (lambda x, y, i: x[2], (1,), [((n,), "float32"), ((n - 3,), "float32")]),
        (lambda x, y, z, i: x[2], (1,), [((n,), "float32"), ((k,), "float32"), ((n - k - 3,), "float32")]),
    ],
)
def test_accepted(body: Callable[..., Any], shape: Any, types: Any) -> None:
    build(body, shape, *types)


def add(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i: x[i] + y[i], name="add")


def test_what_casts_tell_of_sizes() -> None:
    @relax.function
    def of_pair(x: relax.Tensor[(n,), "float32"], y: relax.Tensor[(m,), "float32"], z: relax.Tensor[(k,), "float32"]):
        relax.match_cast((z, x), relax.Tuple(relax.Tensor((m,), "float32"), relax.Tensor((k,), "float32")))
        return relax.emit_te(add, x, y)

    ones = np.ones(3, "float32")
    np.testing.assert_array_equal(of_pair(ones, ones, ones), [2, 2, 2])
    with pytest.raises(relax.RelaxError, match="match_cast"):
        of_pair(ones, ones[:2], ones)


def test_what_run_time_checks_tell() -> None:
    @relax.function(checks="runtime")
    def twice(x: relax.Tensor[("n // 2",), "float32"], y: relax.Tensor[(m,), "float32"], z: relax.Tensor[(n,), "int8"]):
        return x + y + relax.emit_te(add, x, y)

    ones = np.ones(3, "float32")
    np.testing.assert_array_equal(twice(ones, ones, np.ones(7, "int8")), [4, 4, 4])
