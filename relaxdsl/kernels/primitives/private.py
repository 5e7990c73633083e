"""Scratch that each iteration of a loop fills before it reads it, so that iterations do not share it."""

from __future__ import annotations

from collections.abc import Sequence

from relaxdsl.ir.loops import Buffer, For, PrimFunc
from relaxdsl.kernels.primitives.dependence import Touch, is_same_point, names_along, names_in_index, touches
from relaxdsl.kernels.primitives.regions import box_of, covers, exact_box, ranges_of
from relaxdsl.types.dims import free_symbols
from relaxdsl.types.prove import Proof, prove_less_equal


def is_private(func: PrimFunc, buffer: Buffer, loop: For) -> bool:
    """Whether no iteration of ``loop`` reads what another iteration left in ``buffer``."""
    if buffer.scope == "global":
        return False
    found = [each for each in touches(func.body) if each.buffer is buffer]
    if any(loop not in each.loops or _reduces(each, loop) for each in found):
        return False
    return all(each.is_write or _is_filled_before(each, found[:place], loop) for place, each in enumerate(found))


def _is_filled_before(read: Touch, earlier: list[Touch], loop: For) -> bool:
    """Whether a write that always happens has set all that ``read`` takes, in the same iteration."""
    writes = (each for each in earlier if each.is_write)
    return any(is_same_point(each, read) or fills(each, read, loop) for each in writes)


def fills(write: Touch, read: Touch, loop: For) -> bool:
    """Whether ``write`` sets all that ``read`` takes, in one iteration of ``loop``, which is around both."""
    common = [each for each in write.loops if each in read.loops]
    written = exact_box(write, common) if loop in common and _is_done(write, common) else None
    return written is not None and covers(written, box_of(read, common), common)


def _is_done(write: Touch, fixed: Sequence[For]) -> bool:
    """Whether no loop or condition that the indices know nothing of can leave a write out. The initial value of a
    reduction stands even for no steps.
    """
    has_init = write.block is not None and write.block.init is not None
    known = names_along(write.block, "reduce") if write.block is not None and has_init else set()
    known = known.union(*map(names_in_index, write.indices or ()))
    others = [each for each in write.loops if each not in fixed and each.var not in known]
    ranges = ranges_of(write.loops)
    tested = {name for guard in write.guards for dim in guard or () for name in free_symbols(dim)}
    return all(each.var not in tested and prove_less_equal(1, each.extent, ranges) is Proof.YES for each in others)


def _reduces(touch: Touch, loop: For) -> bool:
    """Whether the loop, or one around it, runs over the access's reduction, whose steps take what others left."""
    reduced = names_along(touch.block, "reduce") if touch.block is not None and touch.is_write else set()
    around = touch.loops[: touch.loops.index(loop) + 1]
    return any(each.var in reduced for each in around)
