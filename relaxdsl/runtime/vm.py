"""The interpreter of the table: a loop over int64, compiled once a process (see :mod:`relaxdsl.runtime.native`).

Sizes wrap as the machine's int64 does. A division by zero fails at its instruction.
"""

from __future__ import annotations

from relaxdsl.runtime.encoding import (
    ADD,
    BRANCH,
    CALL,
    CALL_WIDTH,
    CHECK_AT_LEAST,
    CHECK_EQUAL,
    CHECK_TRUE,
    COUNT_THREADS,
    FAILED,
    FLOORDIV,
    JUMP,
    LEAVE,
    LEFT,
    MAX,
    MIN,
    MUL,
    PLAIN_WIDTH,
    SHARED_CALL,
    SHARED_CALL_WIDTH,
    STATUS_BITS,
    STOP,
    STOPPED,
    SUB,
)
from relaxdsl.runtime.native import call, divide, load, load_byte, store
from relaxdsl.runtime.parallel import share
from relaxdsl.runtime.threads import POOL, THREAD_COUNT


def run(slots: int, table: int, pc: int) -> int:
    """Runs the table from word ``pc`` until it stops, leaves or fails; returns ``pc << STATUS_BITS | status``."""
    gathered = slots + 8 * load(table)
    while True:
        at = table + 8 * pc
        code = load(at)
        if code == CALL:
            gather(slots, at, at + 8 * CALL_WIDTH, gathered)
            call(load(at + 8), gathered, 0, load(slots + 8 * load(at + 16)))
            pc += CALL_WIDTH + load(at + 24)
        elif code == SHARED_CALL:
            gather(slots, at, at + 8 * SHARED_CALL_WIDTH, gathered)
            if not share(slots, at, gathered):
                call(load(at + 8), gathered, 0, load(slots + 8 * load(at + 16)))
            pc += SHARED_CALL_WIDTH + load(at + 24) + load(at + 48)
        elif code == JUMP:
            pc = load(at + 8)
        elif code == BRANCH:
            pc += PLAIN_WIDTH
            if load_byte(load(slots + 8 * load(at + 8))) == 0:
                pc = load(at + 16)
        elif code == COUNT_THREADS:
            store(slots + 8 * load(at + 8), load(POOL + THREAD_COUNT))
            pc += PLAIN_WIDTH
        elif code == STOP:
            return pc << STATUS_BITS | STOPPED
        elif code == LEAVE:
            return pc << STATUS_BITS | LEFT
        elif code >= CHECK_TRUE:
            if not holds(slots, at, code):
                return pc << STATUS_BITS | FAILED
            pc += PLAIN_WIDTH
        else:
            right = load(slots + 8 * load(at + 24))
            if right == 0 and code == FLOORDIV:
                return pc << STATUS_BITS | FAILED
            store(slots + 8 * load(at + 8), arithmetic(code, load(slots + 8 * load(at + 16)), right))
            pc += PLAIN_WIDTH


def gather(slots: int, at: int, names: int, gathered: int) -> int:
    """Collects the arguments of the kernel call at address ``at``, whose slots are listed at ``names``."""
    for i in range(load(at + 24)):
        store(gathered + 8 * i, load(slots + 8 * load(names + 8 * i)))
    return 0


def holds(slots: int, at: int, code: int) -> int:
    """Whether the check at address ``at`` holds."""
    left = load(slots + 8 * load(at + 8))
    if code == CHECK_TRUE:
        return load_byte(left)
    right = load(slots + 8 * load(at + 16))
    if code == CHECK_EQUAL:
        return left == right
    if code == CHECK_AT_LEAST:
        return left >= right
    return right != 0 and floor_divide(left, right) * right == left


def arithmetic(code: int, left: int, right: int) -> int:
    """``left op right`` as Python defines it; the divisor is not 0."""
    if code == ADD:
        return left + right
    if code == SUB:
        return left - right
    if code == MUL:
        return left * right
    if code == MIN:
        return left if left < right else right
    if code == MAX:
        return left if left > right else right
    return floor_divide(left, right)


def floor_divide(left: int, right: int) -> int:
    """The quotient rounded down. The machine's division rounds towards zero, and traps for the least int64 by -1."""
    if right == -1:
        return -left
    quotient = divide(left, right)
    rest = left - quotient * right
    return quotient - 1 if rest != 0 and (rest < 0) != (right < 0) else quotient


FUNCTIONS = (run, gather, holds, arithmetic, floor_divide)
