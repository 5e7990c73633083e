"""What of a prologue is needed: sizes that nothing reads are not computed, such as those of a kernel's own memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relaxdsl.runtime.program import Arith, Instruction, Slot
from relaxdsl.runtime.reads import read_slots


def needed_steps(
    prologue: Sequence[Instruction], body: Iterable[Instruction], results: Iterable[int], slots: Sequence[Slot]
) -> tuple[Instruction, ...]:
    """The prologue without arithmetic whose result nothing reads and that cannot fail.

    Args:
        results: the slots that are read after the body.
    """
    read = {*results, *(slot for step in body for slot in read_slots(step))}
    kept: list[Instruction] = []
    for step in reversed(prologue):
        if isinstance(step, Arith) and step.target not in read and not _may_fail(step, slots):
            continue
        read.update(read_slots(step))
        kept.append(step)
    return tuple(reversed(kept))


def _may_fail(step: Arith, slots: Sequence[Slot]) -> bool:
    return step.op == "floordiv" and slots[step.right].initial == 0
