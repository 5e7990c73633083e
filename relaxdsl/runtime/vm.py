"""The interpreter of the table: a loop over int64, compiled once a process (see :mod:`relaxdsl.runtime.native`).

A division by zero fails at its instruction, and so does arithmetic whose result does not fit 64 bits. A call that may
take long has a time at which it stops after the kernel it is at, so that Python may see to its signals; then it goes
on.
"""

from __future__ import annotations

import sys

from relaxdsl.runtime.encoding import (
    ADD,
    ALIGN,
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
    LATE,
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
from relaxdsl.runtime.native import (
    add_overflows,
    call,
    divide,
    load,
    load_byte,
    multiply_overflows,
    stack_words,
    store,
    subtract_overflows,
)
from relaxdsl.runtime.parallel import CLOCK_MONOTONIC, clock_gettime, pthread_self, share
from relaxdsl.runtime.threads import MAIN_THREAD, POOL, THREAD_COUNT

COARSE_CLOCK = 6 if sys.platform == "linux" else CLOCK_MONOTONIC
"""The system's cheapest clock: on Linux it is read in 5 ns, and is right to some milliseconds."""

PAUSE_NS = 20_000_000
"""How long a call runs before it looks for signals."""


def run(slots: int, table: int, pc: int, until: int) -> int:
    """Runs the table from word ``pc`` until it stops, leaves, fails, or it is later than ``until`` (unless that is 0).

    Returns:
        ``pc << STATUS_BITS | status``, with the instruction that it stopped at, or would go on with.
    """
    gathered = slots + 8 * load(table)
    at = table + 8 * pc
    while True:
        code = load(at)
        if code >= ADD:
            left = load(slots + 8 * load(at + 16))
            right = load(slots + 8 * load(at + 24))
            if code == ADD:
                if add_overflows(left, right):
                    return stopped(table, at, FAILED)
                store(slots + 8 * load(at + 8), left + right)
            elif code == MUL:
                if multiply_overflows(left, right):
                    return stopped(table, at, FAILED)
                store(slots + 8 * load(at + 8), left * right)
            elif code == CHECK_EQUAL:
                if left != right:
                    return stopped(table, at, FAILED)
            elif not plain(code, slots + 8 * load(at + 8), left, right):
                return stopped(table, at, FAILED)
            at += 8 * PLAIN_WIDTH
        elif code == CALL:
            gather(slots, at, at + 8 * CALL_WIDTH, gathered)
            call(load(at + 8), gathered, 0, load(slots + 8 * load(at + 16)))
            at += 8 * (CALL_WIDTH + load(at + 24))
            if until != 0 and is_later(until):
                return stopped(table, at, LATE)
        elif code == SHARED_CALL:
            extent = load(slots + 8 * load(at + 16))
            if extent > 0:
                gather(slots, at, at + 8 * SHARED_CALL_WIDTH, gathered)
                if not share(slots, at, gathered):
                    call(load(at + 8), gathered, 0, extent)
            at += 8 * (SHARED_CALL_WIDTH + load(at + 24) + load(at + 56))
            if until != 0 and is_later(until):
                return stopped(table, at, LATE)
        elif code == JUMP:
            at = table + 8 * load(at + 8)
        elif code == BRANCH:
            target = table + 8 * load(at + 16)
            at = at + 8 * PLAIN_WIDTH if load_byte(load(slots + 8 * load(at + 8))) else target
        elif code == COUNT_THREADS:
            store(slots + 8 * load(at + 8), load(POOL + THREAD_COUNT))
            at += 8 * PLAIN_WIDTH
        else:
            return stopped(table, at, STOPPED if code == STOP else LEFT)


def coarse_nanoseconds() -> int:
    """The time, give or take some milliseconds, at little cost."""
    memory = stack_words(2)
    call(clock_gettime, COARSE_CLOCK, memory)
    return load(memory) * 1000000000 + load(memory + 8)


def next_pause() -> int:
    """The time at which a call should look for signals; 0, never, where Python handles none."""
    if pthread_self == 0 or call(pthread_self) != load(POOL + MAIN_THREAD):
        return 0
    return coarse_nanoseconds() + PAUSE_NS


def is_later(until: int) -> int:
    """Whether the time ``until`` is over."""
    return coarse_nanoseconds() > until


def stopped(table: int, at: int, status: int) -> int:
    """Where and why ``run`` stopped."""
    return (at - table) >> 3 << STATUS_BITS | status


def gather(slots: int, at: int, names: int, gathered: int) -> int:
    """Collects the arguments of the kernel call at address ``at``, whose slots are listed at ``names``."""
    for i in range(load(at + 24)):
        store(gathered + 8 * i, load(slots + 8 * load(names + 8 * i)))
    return 0


def plain(code: int, target: int, left: int, right: int) -> int:
    """Checks, or computes the word at ``target``; returns whether that succeeded."""
    if code >= CHECK_TRUE:
        return holds(code, left, right)
    if has_no_result(code, left, right):
        return 0
    store(target, arithmetic(code, left, right))
    return 1


def has_no_result(code: int, left: int, right: int) -> int:
    """Whether arithmetic divides by zero, or its result does not fit 64 bits; for sums and products ``run`` knows."""
    if code == SUB:
        return subtract_overflows(left, right)
    if code == ALIGN:
        return add_overflows(left, right - 1)
    return code == FLOORDIV and (right == 0 or (right == -1 and subtract_overflows(0, left)))


def holds(code: int, left: int, right: int) -> int:
    """Whether a check holds; equality is known to ``run``."""
    if code == CHECK_AT_LEAST:
        return left >= right
    if code == CHECK_TRUE:
        return load_byte(left)
    return right != 0 and floor_divide(left, right) * right == left


def arithmetic(code: int, left: int, right: int) -> int:
    """``left op right`` as Python defines it, where it has a result. What sums and products are is known to ``run``."""
    if code == SUB:
        return left - right
    if code == MIN:
        return left if left < right else right
    if code == MAX:
        return left if left > right else right
    if code == ALIGN:
        return left + right - 1 & -right
    return floor_divide(left, right)


def floor_divide(left: int, right: int) -> int:
    """The quotient rounded down. The machine's division rounds towards zero, and traps for the least int64 by -1."""
    if right == -1:
        return -left
    quotient = divide(left, right)
    rest = left - quotient * right
    return quotient - 1 if rest != 0 and (rest < 0) != (right < 0) else quotient


FUNCTIONS = (
    run,
    coarse_nanoseconds,
    next_pause,
    is_later,
    stopped,
    gather,
    plain,
    has_no_result,
    holds,
    arithmetic,
    floor_divide,
)
