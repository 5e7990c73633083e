"""The contenders of a workload: each with arrays of its own kind, and checked before anything is timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import torch
from numpy.typing import NDArray
from timing import Call
from workloads import Shape, Workload

Array = NDArray[np.float32]


def set_up_peers(threads: int) -> None:
    """The peers at their best: no gradients; jax runs where it is called, which saves a hand-over between threads."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def arrays_of(shapes: Sequence[Shape]) -> tuple[Array, ...]:
    """Normal float32 arrays; those after the first are scaled like weights, so that nothing saturates."""
    random = np.random.default_rng(0)
    scales = (1.0, *(shape[0] ** -0.5 if len(shape) == 2 else 1.0 for shape in shapes[1:]))
    drawn = (random.standard_normal(shape) * scale for shape, scale in zip(shapes, scales, strict=True))
    return tuple(each.astype(np.float32) for each in drawn)


def ready(function: Callable[..., Any]) -> Callable[..., Any]:
    """A jax function that returns when its result exists."""
    jitted = jax.jit(function)
    return lambda *arguments: jitted(*arguments).block_until_ready()


def contenders(workload: Workload, arrays: Sequence[Array], with_torch_compile: bool) -> dict[str, Call]:
    """Every contender's call, by name. Peers get arrays of their own kind, converted beforehand."""
    given = tuple(arrays)
    tensors = tuple(torch.from_numpy(each) for each in given)
    found = {
        "relaxdsl": Call(workload.relax, given),
        "numpy": Call(workload.numpy, given),
        "torch": Call(workload.torch, tensors),
        "jax.jit": Call(ready(workload.jax), tuple(jax.numpy.asarray(each) for each in given)),
    }
    if with_torch_compile:
        found["torch.compile"] = Call(torch.compile(workload.torch, dynamic=True), tensors)
    return found


def check(workload: Workload, calls: dict[str, Call], arrays: Sequence[Array]) -> None:
    """Compares every contender's result with NumPy's in float64.

    Raises:
        SystemExit: one is wrong; nothing is timed then.
    """
    expected = workload.numpy(*(each.astype(np.float64) for each in arrays))
    for name, call in calls.items():
        error = relative_error(np.asarray(call()), expected)
        if not error <= workload.tolerance:
            raise SystemExit(f"{workload.name}: {name} is off by {error:.2g}, more than {workload.tolerance:.2g}")


def relative_error(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference over the largest expected magnitude; infinite where the shapes differ."""
    if got.shape != expected.shape:
        return float("inf")
    if got.size == 0:
        return 0.0
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))
