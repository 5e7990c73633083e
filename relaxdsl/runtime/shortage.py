"""The error of a call for which there is not enough memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from relaxdsl.errors import ShapeError, Span
from relaxdsl.runtime.encoding import written_slots
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT, Program, TensorLeaf, tensors_of


@contextmanager
def explained_shortage(program: Program, slots: np.ndarray) -> Iterator[None]:
    """Within the block, where NumPy gets no memory, the error says what the call needs, and for which sizes."""
    try:
        yield
    except (MemoryError, ValueError):  # a ValueError: not even the number of bytes is possible
        raise shortage(program, slots.tolist()) from None


def new_array(
    program: Program, slots: np.ndarray, leaf: TensorLeaf, span: Span | None = None, *, is_late: bool = False
) -> np.ndarray:
    """Memory for a tensor whose sizes are known.

    Args:
        span: the line that needs it.
        is_late: whether its sizes depend on data.
    """
    shape = tuple(int(slots[slot]) for slot in leaf.sizes)
    try:
        return np.empty(shape, leaf.dtype)
    except (MemoryError, ValueError):
        if min(shape, default=0) < 0:
            raise
        raise _refusal(program, slots, leaf, span, is_late) from None


def _refusal(program: Program, slots: np.ndarray, leaf: TensorLeaf, span: Span | None, is_late: bool) -> Exception:
    """Why there is no such array."""
    tensor = f"{leaf.dtype} of shape {tuple(int(slots[slot]) for slot in leaf.sizes)}"
    size_bytes = _tensor_bytes(leaf, slots.tolist())
    if size_bytes == 0:
        return ShapeError(
            f"{program.name}: NumPy has no array of {tensor}: without the zeros, its bytes would not fit 64 bits",
            span=span,
        )
    if not is_late:
        return shortage(program, slots.tolist())
    at = "" if span is None else f" ({span})"
    needs = f"{tensor}, which depends on data, needs {size_bytes:,} bytes"
    return MemoryError(f"{program.name}: not enough memory: {needs}{at}")


def shortage(program: Program, slots: Sequence[int]) -> MemoryError:
    """The error that says what a call needs, by the sizes in its slots."""
    outputs = early_output_bytes(program, slots)
    needs = f"a call needs {slots[WORKSPACE_SIZE_SLOT]:,} bytes of workspace and {outputs:,} of outputs"
    return MemoryError(f"{program.name}: not enough memory: {needs}{sizes_text(program, slots)}")


def early_output_bytes(program: Program, slots: Sequence[int]) -> int:
    """The bytes of the outputs whose sizes are known before the body runs."""
    late = {slot for step in program.body for slot in written_slots(step)}
    return sum(_tensor_bytes(leaf, slots) for leaf in tensors_of(program.output) if leaf.pointer not in late)


def _tensor_bytes(leaf: TensorLeaf, slots: Sequence[int]) -> int:
    return math.prod((slots[slot] for slot in leaf.sizes), start=np.dtype(leaf.dtype).itemsize)


def sizes_text(program: Program, slots: Sequence[int]) -> str:
    """The values of a program's symbols, for the end of a sentence."""
    sizes = ", ".join(f"{name} = {slots[slot]}" for name, slot in program.symbols)
    return f", for {sizes}" if sizes else ""
