"""Runs an operator's kernel on given arrays, for tests of single values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import operator_cases as cases

from relaxdsl.operators.registry import sample, tensor


def run(function: Callable[..., Any], *arrays: Any, symbolic: bool = False, **attrs: Any) -> Any:
    """What the operator's compiled kernel returns for these arrays; with ``symbolic``, compiled for any first size."""
    specs = [_spec(array, symbolic) if isinstance(array, np.ndarray) else array for array in arrays]
    case = cases.Case(function.__relax_operator__, sample(*specs, **attrs), 0)  # type: ignore[attr-defined]
    sizes = {f"n{len(array)}": len(array) for array in arrays if symbolic and isinstance(array, np.ndarray)}
    results = cases.compile_case(case).run(arrays, attrs, sizes)
    return results[0] if len(results) == 1 else results


def _spec(array: np.ndarray, symbolic: bool) -> Any:
    shape = (f"n{len(array)}", *array.shape[1:]) if symbolic else array.shape
    return tensor(*shape, dtype=array.dtype.name)
