"""Which slots an instruction reads."""

from __future__ import annotations

from relaxdsl.runtime.program import (
    Allocate,
    Arith,
    Branch,
    CallFunction,
    CallKernel,
    Check,
    CheckTrue,
    HostCall,
    Instruction,
    value_slots,
)


def read_slots(step: Instruction) -> tuple[int, ...]:
    """The slots an instruction reads."""
    if isinstance(step, CallKernel) and step.sharing is not None:
        return *exact_slots(step), step.sharing.work, step.sharing.per_thread
    return exact_slots(step)


def exact_slots(step: Instruction) -> tuple[int, ...]:
    """The slots whose values an instruction depends on. A kernel's estimated work is none of them, nor
    into how many parts it is cut: these may be any.
    """
    match step:
        case Arith(left=left, right=right) | Check(left=left, right=right):
            return left, right
        case CheckTrue(pointer=pointer) | Branch(pointer=pointer):
            return (pointer,)
        case CallKernel(args=args, extent=extent, sharing=sharing):
            shared = () if sharing is None else (sharing.threads, *sharing.scratch_bytes)
            return *args, extent, *shared
        case Allocate(leaf=leaf):
            return leaf.sizes
        case CallFunction(args=trees):
            return tuple(slot for tree in trees for slot in value_slots(tree))
        case HostCall(args=trees, outputs=outputs):
            return tuple(slot for tree in (*trees, *outputs) for slot in value_slots(tree))
        case _:
            return ()
