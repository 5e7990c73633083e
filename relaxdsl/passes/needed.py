"""What of a prologue is needed: sizes that nothing reads are not computed, such as those of a kernel's own memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relaxdsl.passes.trees import slots_of
from relaxdsl.runtime.program import (
    Allocate,
    Arith,
    Branch,
    CallKernel,
    Check,
    CheckTrue,
    HostCall,
    Instruction,
    ObjectLeaf,
    Slot,
    Tree,
    TupleTree,
)


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


def read_slots(step: Instruction) -> tuple[int, ...]:
    """The slots an instruction reads."""
    match step:
        case Arith(left=left, right=right) | Check(left=left, right=right):
            return left, right
        case CheckTrue(pointer=pointer) | Branch(pointer=pointer):
            return (pointer,)
        case CallKernel(args=args, extent=extent, sharing=sharing):
            shared = () if sharing is None else (sharing.work, sharing.threads, *sharing.scratch_bytes)
            return *args, extent, *shared
        case Allocate(leaf=leaf):
            return leaf.sizes
        case HostCall(args=trees, outputs=outputs):
            return tuple(slot for tree in (*trees, *outputs) for slot in value_slots(tree))
        case _:
            return ()


def value_slots(tree: Tree) -> tuple[int, ...]:
    """Every slot of a value; objects have none."""
    if isinstance(tree, TupleTree):
        return tuple(slot for part in tree.fields for slot in value_slots(part))
    return () if isinstance(tree, ObjectLeaf) else tuple(slots_of(tree))
