"""What a workload is: one computation in every contender's terms, with its inputs, its tolerance and its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import Target

Array = NDArray[Any]
Shape = tuple[int, ...]
FLOAT32 = ("float32",)
BOTH = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to write a workload for a library, with the layout of arrays that suits it.

    Args:
        function: for peers the computation; for relaxdsl what makes it: ``dtype -> relax function``.
        prepare: NumPy arrays as this variant wants them, before anything is timed.
        restore: its result as the others give it, for the comparison.
    """

    function: Callable[..., Any]
    prepare: Callable[..., tuple[Array, ...]] = lambda *arrays: arrays
    restore: Callable[[Array], Array] = lambda result: result


@dataclass(frozen=True, slots=True)
class Workload:
    """A computation on arrays of the given shapes; each of ``ours`` is a row, the best variant of a peer counts.

    Args:
        passed: how many of the arrays each call passes; the others are bound when it is compiled. None: all.
        flops: multiplications and additions, where the row is to be compared with the machine's peak.
        elements_read: what has to come from memory, where the row is to be compared with the machine's bandwidth.
        tolerance: the largest difference from NumPy in float64, relative to the largest element, in float32.
    """

    name: str
    shapes: tuple[Shape, ...]
    ours: Mapping[str, Callable[..., Any] | Variant]
    numpy: Callable[..., Any]
    torch: tuple[Callable[..., Any] | Variant, ...] = ()
    jax: tuple[Callable[..., Any] | Variant, ...] = ()
    target: Target | None = None
    passed: int | None = None
    flops: float | None = None
    elements_read: float | None = None
    dtypes: tuple[str, ...] = BOTH
    tolerance: float = 1e-5
    scales: Mapping[int, float] = field(default_factory=dict)

    def arrays(self, dtype: str) -> tuple[Array, ...]:
        """Normal values; what comes after the first array is scaled like weights, so that nothing saturates."""
        random = np.random.default_rng(0)
        drawn = (random.standard_normal(shape) * self._scale(at) for at, shape in enumerate(self.shapes))
        return tuple(each.astype(dtype) for each in drawn)

    def _scale(self, at: int) -> float:
        fan_in = int(np.prod(self.shapes[at][:-1]))
        return self.scales.get(at, 1.0 if at == 0 or len(self.shapes[at]) != 2 else fan_in**-0.5)


def products_flops(rows: int, shapes: tuple[Shape, ...]) -> float:
    """The multiplications and additions of ``rows`` rows times each matrix among ``shapes``."""
    return 2.0 * rows * sum(shape[0] * shape[1] for shape in shapes if len(shape) == 2)
