"""One function called on 1,000 different shapes: what a compile that serves them all saves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import jax
import numpy as np
import torch
from contenders import ready, relative_error
from families.elementwise import softmax_numpy
from report import Row, Target
from workload import Array

import relaxdsl as relax

SHAPES = 1000
TOLERANCE = 1e-5
n, m, k = relax.dims("n m k")


def dense_relax(
    x: relax.Tensor[(n, k), "float32"],
    w: relax.Tensor[(k, m), "float32"],
    b: relax.Tensor[(m,), "float32"],
):
    """Decorated when it is timed, so that its time has the parsing and the compiling in it."""
    return relax.nn.softmax(x @ w + b, axis=1)


def dense_numpy(x, w, b):
    return softmax_numpy(x @ w + b)


def dense_torch(x, w, b):
    return torch.softmax(torch.addmm(b, x, w), 1)


def dense_jax(x, w, b):
    return jax.nn.softmax(x @ w + b, axis=1)


def sweep_rows(jax_shapes: int) -> list[Row]:
    """A row for the first pass over the shapes, with all compiling in it, one for a second pass.

    jax compiles for every shape, so it runs only the first ``jax_shapes`` of them and its times are extrapolated.
    """
    inputs = [_arrays(*shape) for shape in _shapes()]
    expected = [dense_numpy(*(each.astype(np.float64) for each in arrays)) for arrays in inputs]
    started = time.perf_counter()
    dense = relax.function(dense_relax)
    parsing = time.perf_counter() - started
    ours = _two_passes("relaxdsl", dense, inputs, expected)
    peers = _peers(inputs, expected, jax_shapes)
    compiles = dense.compile_count
    target = Target(fact=(f"{compiles} compile{'' if compiles == 1 else 's'}", compiles == 1))
    name = f"softmax(x @ w + b), {SHAPES:,} shapes"
    return [
        Row(
            f"{name}, with compiling",
            parsing + ours[0],
            peers={peer: each[0] for peer, each in peers.items()},
            target=target,
        ),
        Row(f"{name}, second pass", ours[1], peers={peer: each[1] for peer, each in peers.items()}),
    ]


def _peers(inputs: Sequence[Any], expected: Sequence[Array], jax_shapes: int) -> dict[str, tuple[float, float]]:
    tensors = [tuple(torch.from_numpy(each) for each in arrays) for arrays in inputs]
    committed = [tuple(jax.numpy.asarray(each) for each in arrays) for arrays in inputs[:jax_shapes]]
    first, second = _two_passes("jax.jit", ready(dense_jax), committed, expected[:jax_shapes])
    return {
        "numpy": _two_passes("numpy", dense_numpy, inputs, expected),
        "torch": _two_passes("torch", dense_torch, tensors, expected),
        "jax.jit": (first * SHAPES / jax_shapes, second * SHAPES / jax_shapes),
    }


def _shapes() -> list[tuple[int, int, int]]:
    """Different sizes (n, k, m), 0 and 1 among them; m ≥ 1, since NumPy has no maximum of nothing."""
    first = [(5, 7, 3), (0, 4, 1), (1, 1, 1), (3, 0, 2)]
    others = sorted(set(product(range(48), range(48), range(1, 48))) - set(first))
    return first + random.Random(0).sample(others, SHAPES - len(first))


def _arrays(n: int, k: int, m: int) -> tuple[Array, ...]:
    drawn = np.random.default_rng((n, k, m))
    return tuple(drawn.standard_normal(shape, dtype=np.float32) for shape in ((n, k), (k, m), (m,)))


def _two_passes(
    name: str, function: Callable[..., Any], inputs: Sequence[Any], expected: Sequence[Array]
) -> tuple[float, float]:
    """Seconds for all calls, twice; the results are checked after each pass."""
    return _timed(name, function, inputs, expected), _timed(name, function, inputs, expected)


def _timed(name: str, function: Callable[..., Any], inputs: Sequence[Any], expected: Sequence[Array]) -> float:
    started = time.perf_counter()
    results = [function(*arguments) for arguments in inputs]
    seconds = time.perf_counter() - started
    for result, right in zip(results, expected, strict=True):
        if not relative_error(np.asarray(result), right) <= TOLERANCE:
            raise SystemExit(f"shape sweep: {name} is wrong at {right.shape}")
    return seconds
