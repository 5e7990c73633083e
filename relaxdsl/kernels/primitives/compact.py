"""Scratch of scheduled kernels keeps only what one iteration of the loops around it needs.

What can shrink is found while there are blocks, which say what is a step of a reduction; indices change when they are
gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, For, PrimFunc, move_accesses
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.primitives.dependence import Touch, touches
from relaxdsl.kernels.primitives.private import is_private
from relaxdsl.kernels.primitives.regions import Box, box_of, most_over, union
from relaxdsl.types.dims import Dim
from relaxdsl.types.prove import Proof, prove_less_equal


@dataclass(frozen=True, slots=True)
class Smaller:
    """A buffer that becomes a smaller one, whose element 0 is the old one's element ``origin``."""

    old: Buffer
    new: Buffer
    origin: tuple[Dim, ...]


def plan_smaller_scratch(func: PrimFunc) -> list[Smaller]:
    """For scratch that each iteration of some loops fills anew: what one iteration needs. ``func`` has blocks."""
    plans = (_plan(func, buffer) for buffer in func.scratch)
    return [plan for plan in plans if plan is not None]


def with_smaller_scratch(func: PrimFunc, plans: Sequence[Smaller]) -> PrimFunc:
    """Makes scratch as small as what is touched in one iteration of the loops around all its uses.

    Before::

        t = alloc_buffer((n,))
        for i_0 in range(n // 8):
            for a in range(8): t[i_0 * 8 + a] = exp(x[i_0 * 8 + a])
            for i_1 in range(8): y[i_0 * 8 + i_1] = t[i_0 * 8 + i_1] + 1

    After::

        t = alloc_buffer((8,))
        for i_0 in range(n // 8):
            for a in range(8): t[a] = exp(x[i_0 * 8 + a])
            for i_1 in range(8): y[i_0 * 8 + i_1] = t[i_1] + 1
    """
    by_buffer = {plan.old: plan for plan in plans}

    def moved(buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Index, ...]]:
        plan = by_buffer[buffer]
        if plan.new.scope == "register":
            return plan.new, ()
        pairs = zip(indices, plan.origin, strict=True)
        return plan.new, tuple(each if isinstance(each, ScalarExpr) else each - origin for each, origin in pairs)

    scratch = (by_buffer[each].new if each in by_buffer else each for each in func.scratch)
    return replace(
        func,
        body=move_accesses(func.body, by_buffer, moved),
        scratch=tuple(each for each in scratch if each.scope != "register"),
    )


def _plan(func: PrimFunc, buffer: Buffer) -> Smaller | None:
    found = [each for each in touches(func.body) if each.buffer is buffer]
    if not found or any(each.indices is None for each in found):
        return None
    common = _common_loops(found)
    while common and not is_private(func, buffer, common[-1]):
        common = common[:-1]
    if not common:
        return None
    if any(isinstance(index, ScalarExpr) for each in found for index in each.indices or ()):
        return None
    box = union((box_of(each, common) for each in found), common)
    origin, shape = _smaller(buffer, box, common)
    if shape == buffer.shape:
        return None
    scope = "register" if all(size == 1 for size in shape) else buffer.scope
    return Smaller(buffer, replace(buffer, shape=() if scope == "register" else shape, scope=scope), origin)


def _common_loops(found: Sequence[Touch]) -> list[For]:
    return [loop for loop in found[0].loops if all(loop in each.loops for each in found)]


def _smaller(buffer: Buffer, box: Box, common: Sequence[For]) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    """``(origin, shape)``, axis by axis; an axis that can't be shown to get smaller stays."""
    origin: list[Dim] = []
    shape: list[Dim] = []
    for (low, _), extent, size in zip(box.spans, box.extents, buffer.shape, strict=True):
        most = most_over(extent, common)
        is_less = most is not None and (isinstance(most, int) or prove_less_equal(most, size) is Proof.YES)
        origin.append(low if is_less else 0)
        shape.append(most if is_less and most is not None else size)
    return tuple(origin), tuple(shape)
