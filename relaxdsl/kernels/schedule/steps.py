"""The steps of a reduction, written after one another in one statement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relaxdsl.ir.loops import For, Store
from relaxdsl.ir.scalar import Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import accesses
from relaxdsl.types.dims import Dim, substitute

#: The most steps that are written out: their weights stay in vector registers. Windows of 5 x 5 gain nothing, of 7 x 7
#: they lose half; both are fast enough in passes over a row.
MAX_STEPS = 16


def has_few_steps(loops: Sequence[For]) -> bool:
    """Whether loops of a reduction take so few steps that they are written out, by us or by LLVM."""
    extents = [loop.extent for loop in loops if isinstance(loop.extent, int)]
    return len(extents) == len(loops) and 1 < math.prod(extents) <= MAX_STEPS


def is_unrollable(update: Store) -> bool:
    """Whether the value refers to the element it updates once, so that steps can be nested into one another."""
    return sum(1 for access in accesses(update) if access.buffer is update.buffer and not access.is_write) == 1


def unrolled(update: Store, steps: Sequence[dict[str, Dim]], start: ScalarExpr | None = None) -> Store:
    """One store for several steps: each takes the result of the step before it instead of loading the element.

    The first takes ``start``, or else the element as it is.
    """
    value: ScalarExpr = Load(update.buffer, update.indices) if start is None else start
    for values in steps:
        value = _one_step(update, values, value)
    return Store(update.buffer, update.indices, value)


def _one_step(update: Store, values: dict[str, Dim], before: ScalarExpr) -> ScalarExpr:
    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return before if isinstance(node, Load) and node.buffer is update.buffer else None

    def on_dim(dim: Dim) -> Dim:
        return substitute(dim, values)

    return rewrite(update.value, on_node, on_dim)
