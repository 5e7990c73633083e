"""One function called on 1,000 different shapes: what a compile that serves them all saves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import torch
import workloads
from contenders import Array, ready, relative_error
from report import Row, Target

import relaxdsl as relax

SHAPES = 1000
Arrays = tuple[Array, ...]
TOLERANCE = 1e-5


def sweep(jax_shapes: int) -> tuple[Row, str]:
    """The sweep's row, relaxdsl's parse and compile included, and a note on how jax's time was found.

    jax compiles for every shape, so it runs only the first ``jax_shapes`` of them and its time is extrapolated.
    """
    inputs = [_arrays(shape) for shape in _shapes()]
    expected = [workloads.dense_numpy(*(each.astype(np.float64) for each in arrays)) for arrays in inputs]
    seconds, compiles = _sweep_relax(inputs, expected)
    tensors = [tuple(torch.from_numpy(each) for each in arrays) for arrays in inputs]
    committed = [tuple(jax.numpy.asarray(each) for each in arrays) for arrays in inputs[:jax_shapes]]
    jax_seconds = _timed("jax.jit", ready(workloads.dense_jax), committed, expected)
    peers = {
        "numpy": _timed("numpy", workloads.dense_numpy, inputs, expected),
        "torch": _timed("torch", workloads.dense_torch, tensors, expected),
        "jax.jit": jax_seconds * SHAPES / jax_shapes,
    }
    target = Target(fact=(f"{compiles} compile{'s' if compiles != 1 else ''}", compiles == 1))
    row = Row(f"softmax(x @ w + b), {SHAPES:,} shapes", seconds, peers=peers, target=target)
    return row, f"jax.jit's sweep ran the first {jax_shapes} shapes in {jax_seconds:.2f} s; the ratio extrapolates to {SHAPES:,}."


def steady(inputs_row: Row, seconds: float) -> Row:
    """The same row for a second pass over the shapes, when everything is compiled."""
    return replace(inputs_row, name=f"the same, again", seconds=seconds)


def _shapes() -> list[tuple[int, int, int]]:
    """Different sizes (n, k, m), 0 and 1 among them (m ≥ 1: a softmax over nothing has no NumPy reference)."""
    sizes = [(n, k, m) for n in range(48) for k in range(48) for m in range(1, 48)]
    drawn = random.Random(0).sample(sizes, SHAPES - 3)
    return [(5, 7, 3), (0, 4, 1), (1, 1, 1), *(each for each in drawn)]


def _arrays(shape: tuple[int, int, int]) -> Arrays:
    n, k, m = shape
    random_ = np.random.default_rng(n * 10_000 + k * 100 + m)
    return tuple(random_.standard_normal(each, dtype=np.float32) for each in ((n, k), (k, m), (m,)))


def _sweep_relax(inputs: Sequence[Arrays], expected: Sequence[Array]) -> tuple[float, int]:
    started = time.perf_counter()
    dense = relax.function(workloads.dense_relax)
    parsing = time.perf_counter() - started
    return parsing + _timed("relaxdsl", dense, inputs, expected), dense.compile_count


def _timed(name: str, function: Callable[..., Any], inputs: Sequence[Any], expected: Sequence[Array]) -> float:
    """Seconds for all calls; the results are checked afterwards."""
    started = time.perf_counter()
    results = [function(*arguments) for arguments in inputs]
    seconds = time.perf_counter() - started
    for result, right in zip(results, expected, strict=False):
        if not relative_error(np.asarray(result), right) <= TOLERANCE:
            raise SystemExit(f"shape sweep: {name} is wrong at {right.shape}")
    return seconds
