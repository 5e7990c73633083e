"""A call whose sizes are too large for the VM: its prologue once more, on Python's integers, which have no limit.

What counts may well fit: an estimate of work, or a product on the way to a smaller size, may not fit 64 bits where no
tensor is too large. Then the call goes on. Else the error says what the call would need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from relaxdsl.errors import RelaxError, ShapeError
from relaxdsl.runtime.encoding import written_slots
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT, Arith, Check, CountThreads, Program, value_slots
from relaxdsl.runtime.reads import exact_slots
from relaxdsl.runtime.shortage import early_output_bytes, shortage, sizes_text
from relaxdsl.runtime.threads import get_num_threads

LIMIT = 2**63

OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "add": lambda left, right: left + right,
    "sub": lambda left, right: left - right,
    "mul": lambda left, right: left * right,
    "floordiv": lambda left, right: left // right,
    "min": min,
    "max": max,
    "align": lambda left, right: left + right - 1 & -right,
}


def store_large_sizes(program: Program, slots: np.ndarray) -> None:
    """Does the prologue's work, where some arithmetic in it does not fit 64 bits.

    Raises:
        RelaxError: a check fails, or a size is needed that does not fit.
        MemoryError: the workspace and the outputs would be larger than any memory.
    """
    exact = _run(program, slots.tolist())
    if exact[WORKSPACE_SIZE_SLOT] + early_output_bytes(program, exact) >= LIMIT:
        raise shortage(program, exact)
    _check_needed(program, exact)
    for slot in {slot for step in program.prologue for slot in written_slots(step)}:
        slots[slot] = min(max(exact[slot], -LIMIT), LIMIT - 1)


def _run(program: Program, values: list[int]) -> list[int]:
    """The slots after the prologue."""
    for step in program.prologue:
        match step:
            case Arith(op="floordiv") if values[step.right] == 0:
                raise arithmetic_failure(program, step, values)
            case Arith():
                values[step.target] = OPERATIONS[step.op](values[step.left], values[step.right])
            case CountThreads():
                values[step.target] = get_num_threads()
            case Check() if not _holds(step.relation, values[step.left], values[step.right]):
                raise step.failure(values).at(step.span)
    return values


def _holds(relation: str, left: int, right: int) -> bool:
    if relation == "equal":
        return left == right
    if relation == "at_least":
        return left >= right
    return right != 0 and left % right == 0


def _check_needed(program: Program, values: Sequence[int]) -> None:
    """Raises for the first size too large that one which is needed is computed from."""
    needed = {WORKSPACE_SIZE_SLOT, *program.computed}
    needed.update(step.left for step in program.prologue if isinstance(step, Check))
    needed.update(slot for step in program.body for slot in exact_slots(step))
    needed.update(value_slots(program.output), (slot for _, slot in program.symbols))
    first: Arith | None = None
    for step in reversed(program.prologue):
        if isinstance(step, Arith) and step.target in needed and not -LIMIT <= values[step.target] < LIMIT:
            first = step
            needed.update((step.left, step.right))
    if first is not None:
        raise arithmetic_failure(program, first, values)


def arithmetic_failure(program: Program, step: Arith, values: Sequence[int]) -> RelaxError:
    """The error of arithmetic that divides by zero, or whose result does not fit 64 bits."""
    left, right = (program.slots[slot].name for slot in (step.left, step.right))
    if step.op == "floordiv" and values[step.right] == 0:
        return ShapeError(f"{program.name}: a size divides by zero: {left} // {right}", span=step.span)
    size = OPERATIONS[step.op](values[step.left], values[step.right])
    name = program.slots[step.target].name
    what = "a size" if name.startswith("%") else f"the size {name}"
    headline = f"{program.name}: {what} is {size}, which does not fit 64 bits"
    return ShapeError(headline + sizes_text(program, values), span=step.span)
