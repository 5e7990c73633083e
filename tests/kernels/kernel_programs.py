"""Building and running kernels in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relaxdsl.ir.te import Tensor
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.types.dims import evaluate

Array = NDArray[Any]


def run(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], arrays: Sequence[Array], parts: int = 2, **sizes: int
) -> list[Array]:
    """The outputs of the compiled kernel. Memory is filled with garbage first, so what is not written shows."""
    prim_func = create_prim_func(inputs, outputs, "kernel")
    compiled = compile_kernel(prim_func)
    results = [_garbage([evaluate(size, sizes) for size in each.shape], each.dtype) for each in prim_func.outputs]
    run_kernel(compiled, [*map(np.ascontiguousarray, arrays), *results], sizes, parts=parts)
    return results


def _garbage(shape: list[int], dtype: str) -> Array:
    array = np.empty(shape, dtype)
    array.view(np.uint8 if dtype == "bool" else dtype).fill(1)
    return array


def random_array(shape: Sequence[int], dtype: str = "float32", seed: int = 0) -> Array:
    """Small numbers of any sign the dtype has."""
    generator = np.random.default_rng([seed, *shape])
    if dtype == "bool":
        return generator.random(tuple(shape)) < 0.5
    if dtype.startswith("float"):
        return generator.standard_normal(tuple(shape)).astype(dtype)
    return generator.integers(0 if dtype.startswith("u") else -9, 10, tuple(shape)).astype(dtype)
