"""The contenders of a workload: each with arrays of its own kind, and checked before anything is timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import torch
from timing import Call
from workload import Array, Variant, Workload

TOLERANCE_RATIO = {"float32": 1.0, "float64": 1e-6}
Make = Callable[[Variant, Sequence[Array], int], Call]


@dataclass(frozen=True, slots=True)
class Contender:
    """One variant of a library, ready to be called; ``call`` is None where it could not be made, or is wrong."""

    library: str
    variant: str
    call: Call | None
    failure: str = ""


def set_up_peers(threads: int) -> None:
    """The peers at their best: no gradients; jax runs where it is called, which saves a hand-over between threads."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    torch._dynamo.config.recompile_limit = 100  # workloads share functions; after eight compiles it would give up
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def contenders(workload: Workload, dtype: str, with_torch_compile: bool) -> list[Contender]:
    """Every variant of every library that has one, relaxdsl's first, each checked against NumPy in float64."""
    jax.config.update("jax_enable_x64", dtype == "float64")
    arrays = workload.arrays(dtype)
    expected = workload.numpy(*(each.astype(np.float64) for each in arrays))
    return [
        _contender(workload, library, name, variant, make, arrays, expected)
        for library, name, variant, make in _variants(workload, with_torch_compile)
    ]


def _variants(workload: Workload, with_torch_compile: bool) -> list[tuple[str, str, Variant, Make]]:
    found = [("relaxdsl", name, _variant(each), _relax_call) for name, each in workload.ours.items()]
    peers: list[tuple[str, Sequence[Any], Make]] = [
        ("numpy", (workload.numpy,), _numpy_call),
        ("torch", workload.torch, _torch_call),
        ("jax.jit", workload.jax, _jax_call),
    ]
    if with_torch_compile:
        peers.append(("torch.compile", workload.torch, _torch_compile_call))
    return found + [
        (library, str(at), _variant(each), make)
        for library, variants, make in peers
        for at, each in enumerate(variants)
    ]


def _variant(given: Callable[..., Any] | Variant) -> Variant:
    return given if isinstance(given, Variant) else Variant(given)


def _contender(
    workload: Workload,
    library: str,
    name: str,
    variant: Variant,
    make: Make,
    arrays: Sequence[Array],
    expected: Array,
) -> Contender:
    prepared = variant.prepare(*arrays)
    passed = len(prepared) if workload.passed is None else workload.passed
    try:
        call = make(variant, prepared, passed)
        error = relative_error(variant.restore(np.asarray(call())), expected)
    except Exception as failure:  # a peer that cannot run this is a fact to report, and so is relaxdsl
        return Contender(library, name, None, f"{type(failure).__name__}: {str(failure).strip().splitlines()[0][:200]}")
    limit = workload.tolerance * TOLERANCE_RATIO[arrays[0].dtype.name]
    if not error <= limit:
        return Contender(library, name, None, f"wrong: off by {error:.2g}, more than {limit:.2g}")
    return Contender(library, name, call)


def relative_error(got: Array, expected: Array) -> float:
    """The largest difference over the largest expected magnitude; infinite where the shapes differ."""
    if got.shape != expected.shape:
        return float("inf")
    if got.size == 0:
        return 0.0
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


# ----------------------------------------------------------------------------------------------------- the libraries
# Each makes a call that passes the first ``passed`` arrays; the others are bound before.


def _relax_call(variant: Variant, arrays: Sequence[Any], passed: int) -> Call:
    return Call(variant.function(arrays[0].dtype.name, *arrays[passed:]), tuple(arrays[:passed]))


def _numpy_call(variant: Variant, arrays: Sequence[Array], passed: int) -> Call:
    return Call(variant.function, tuple(arrays))


def _torch_call(variant: Variant, arrays: Sequence[Array], passed: int) -> Call:
    return Call(variant.function, tuple(map(torch.from_numpy, arrays)))


def _torch_compile_call(variant: Variant, arrays: Sequence[Array], passed: int) -> Call:
    tensors = tuple(map(torch.from_numpy, arrays))
    if passed == len(tensors):
        return Call(torch.compile(variant.function, dynamic=True), tensors)
    # Weights that are constants of the module may be packed when it is compiled.
    options = {"freezing": True}
    return Call(
        torch.compile(_Bound(variant.function, tensors[passed:]), dynamic=True, options=options), tensors[:passed]
    )


def _jax_call(variant: Variant, arrays: Sequence[Array], passed: int) -> Call:
    committed = tuple(map(jax.numpy.asarray, arrays))
    bound = committed[passed:]
    jitted = jax.jit(lambda *given: variant.function(*given, *bound))
    return Call(lambda *given: jitted(*given).block_until_ready(), committed[:passed])


class _Bound(torch.nn.Module):
    """A function whose last arguments are the module's."""

    def __init__(self, function: Callable[..., Any], bound: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        self.bound = torch.nn.ParameterList(torch.nn.Parameter(each, requires_grad=False) for each in bound)

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.function(*given, *self.bound)


def ready(function: Callable[..., Any]) -> Callable[..., Any]:
    """A jax function that returns when its result exists."""
    jitted = jax.jit(function)
    return lambda *arguments: jitted(*arguments).block_until_ready()
