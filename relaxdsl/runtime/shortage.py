"""The error of a call for which there is not enough memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from relaxdsl.runtime.encoding import leaves_of, written_slots
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT, Program, TensorLeaf


@contextmanager
def explained_shortage(program: Program, slots: np.ndarray) -> Iterator[None]:
    """Within the block, where NumPy gets no memory, the error says what the call needs, and for which sizes."""
    try:
        yield
    except MemoryError:
        raise _shortage(program, slots.tolist()) from None
    except ValueError as error:
        if "negative" in str(error):
            raise
        raise _shortage(program, slots.tolist()) from None  # not even the number of bytes is possible


def _shortage(program: Program, slots: Sequence[int]) -> MemoryError:
    late = {slot for step in program.body for slot in written_slots(step)}
    outputs = sum(
        math.prod((slots[slot] for slot in leaf.sizes), start=np.dtype(leaf.dtype).itemsize)
        for leaf in leaves_of(program.output)
        if isinstance(leaf, TensorLeaf) and leaf.pointer not in late
    )
    needs = f"a call needs {slots[WORKSPACE_SIZE_SLOT]:,} bytes of workspace and {outputs:,} of outputs"
    sizes = ", ".join(f"{name} = {slots[slot]}" for name, slot in program.symbols)
    return MemoryError(f"{program.name}: not enough memory: {needs}" + (f", for {sizes}" if sizes else ""))
