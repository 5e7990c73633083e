"""The parallel driver: threads share the range of a kernel. Compiled along with the VM, in the same subset of Python.

A *job* is one kernel call, its range cut into *parts*. The calling thread and the *workers* take parts, one by one,
until none is left; the caller waits for those that others have taken. Each first takes parts of its own, the same ones
in every call, so that what they read is in its caches; then those that others have left. So a worker that wakes up late
costs nothing: its parts are done by then. Where the range is cut depends on its length and the number of threads only.
Which thread computes a part makes no difference to the result, since a part writes its own outputs, and each thread has
its own scratch.

One job runs at a time. A call that finds the pool busy, from another Python thread, does its work alone.

The *ticket* is one word: ``job number << 32 | threads << 16 | parts left``. A part is taken by exchanging it for
the ticket with one part less, which fails if anything has changed. From then on until the part is done, the job's
other words stay as they are, because its caller is waiting. Which part it is, the *queues* say: for each thread, how
many of its own parts are left, together at least as many as have been taken off the ticket and off no queue.
"""

from __future__ import annotations

import ctypes
import sys
import time

from relaxdsl.runtime.addresses import Address
from relaxdsl.runtime.native import (
    atomic_add,
    atomic_load,
    atomic_store,
    call,
    compare_exchange,
    divide,
    load,
    pause,
    stack_words,
    store,
)
from relaxdsl.runtime.threads import (
    BUSY,
    CALLER_PROCESSOR,
    CONDITION,
    DONE,
    HANDLES,
    JOB_ARGUMENTS,
    JOB_CALL,
    JOB_PARTS,
    JOB_SLOTS,
    JOB_THREADS,
    LAST_CALL,
    LAST_PLACED,
    LEAST_WORK,
    MUTEX,
    POOL,
    QUEUE_BYTES,
    QUEUES,
    SLEEPER_COUNT,
    STOPPING,
    THREAD_COUNT,
    TICKET,
    WORKER_CODE,
    WORKER_COUNT,
)

MOST_PER_THREAD = 16
"""A kernel may ask for fewer or more parts than usual, within reason: the ticket counts them."""

LONG_PART, PART_MULTIPLE = 1024, 64
"""Long parts start at multiples of 64, so that two threads seldom write to the same cache line."""

SPIN_COUNT = 2000
"""How often a thread looks for what it waits for before it gives its core away: for some 50 microseconds, as long as
waking a thread takes. It does not yield before: on a busy machine, who yields waits for milliseconds."""

AWAKE_COUNT = 200
"""How often a worker without work then lets others run, and looks again, before it sleeps. While a job that it may
share runs, it does not sleep at all: the next one often follows at once, such as the next phase of the same kernel."""

WAKING_FACTOR, SOON_NS = 16, 100_000
"""So many times the work from which threads share is worth waking one; calls follow closely with so much between."""

UNITS_PER_NS_SHIFT = 4
"""About 16 units of work take a nanosecond: how long the call before may have taken."""

PLACE_NS = 1_000_000
"""How long workers at least stay where they may run: a caller that moves about does not move them each time."""

MASK_WORDS = 16
"""The words of a set of processors, as the C library has it."""

INT32_MASK = 0xFFFFFFFF
PART_MASK = 0xFFFF
THREADS_AT, NUMBER_AT = 16, 32


_library = None if sys.platform == "win32" else ctypes.CDLL(None)


def _c_function(name: str) -> Address:
    """The address of a function of the C library, or 0 where it has none of this name."""
    function = getattr(_library, name, None)
    return Address(0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0)


pthread_create = _c_function("pthread_create")
pthread_join = _c_function("pthread_join")
pthread_mutex_init = _c_function("pthread_mutex_init")
pthread_mutex_lock = _c_function("pthread_mutex_lock")
pthread_mutex_unlock = _c_function("pthread_mutex_unlock")
pthread_cond_init = _c_function("pthread_cond_init")
pthread_cond_wait = _c_function("pthread_cond_wait")
pthread_cond_signal = _c_function("pthread_cond_signal")
pthread_cond_broadcast = _c_function("pthread_cond_broadcast")
pthread_self = _c_function("pthread_self")
sched_yield = _c_function("sched_yield")
sched_getcpu = _c_function("sched_getcpu")
sched_getaffinity = _c_function("sched_getaffinity")
pthread_setaffinity_np = _c_function("pthread_setaffinity_np")
clock_gettime = _c_function("clock_gettime")
CLOCK_MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 0)


# ---------------------------------------------------------------------------------------------------------- the caller


def share(slots: int, at: int, arguments: int) -> int:
    """Runs the shared kernel call at address ``at`` on several threads. Returns 0, having done nothing, if not so."""
    work = load(slots + 8 * load(at + 32))
    least = load(POOL + LEAST_WORK)
    if work < least:
        return 0
    extent = load(slots + 8 * load(at + 16))
    most = minimum(load(slots + 8 * load(at + 40)), load(POOL + THREAD_COUNT))
    if minimum(most, extent) < 2 or pthread_create == 0:
        return 0
    sleepers = atomic_load(POOL + SLEEPER_COUNT)
    wakes = sleepers == 0 or pays_to_wake(work, least)
    if (not wakes and sleepers >= load(POOL + WORKER_COUNT)) or not compare_exchange(POOL + BUSY, 0, 1):
        return 0
    store(POOL + JOB_CALL, at)
    store(POOL + JOB_SLOTS, slots)
    store(POOL + JOB_ARGUMENTS, arguments)
    run_job(extent, most, load(slots + 8 * load(at + 48)), wakes)
    atomic_store(POOL + BUSY, 0)
    return 1


def pays_to_wake(work: int, least: int) -> int:
    """Whether to wake workers that sleep: for much work, or where one call comes soon after another.

    Waking takes the caller 10 microseconds and the worker 50. Where calls follow closely, they find it awake then.
    """
    now = nanoseconds()
    before = load(POOL + LAST_CALL)
    store(POOL + LAST_CALL, now)
    return work >= least * WAKING_FACTOR or now - before < SOON_NS + (work >> UNITS_PER_NS_SHIFT)


def nanoseconds() -> int:
    """The time."""
    memory = stack_words(2)
    call(clock_gettime, CLOCK_MONOTONIC, memory)
    return load(memory) * 1000000000 + load(memory + 8)


def run_job(extent: int, most: int, per_thread: int, wakes: int) -> int:
    """Runs the job on up to ``most`` threads, in up to ``per_thread`` parts for each."""
    threads = minimum(most, extent)
    start_workers(threads - 1)
    place_workers()
    parts = part_count(extent, threads, at_least_one(minimum(per_thread, MOST_PER_THREAD)))
    store(POOL + JOB_PARTS, parts)
    store(POOL + JOB_THREADS, threads)
    atomic_store(POOL + DONE, 0)
    for thread in range(threads):
        atomic_store(queue_of(thread), own_parts(thread, parts, threads))
    number = (atomic_load(POOL + TICKET) >> NUMBER_AT) + 1
    atomic_store(POOL + TICKET, number << NUMBER_AT | most << THREADS_AT | parts)
    if wakes and atomic_load(POOL + SLEEPER_COUNT) > 0:
        wake_workers(threads - 1)
    while take_part(0):
        continue
    return wait_for(parts)


def wait_for(parts: int) -> int:
    """Waits until so many parts are done."""
    looks = 0
    while atomic_load(POOL + DONE) < parts:
        looks += 1
        if looks < SPIN_COUNT:
            pause()
        else:
            call(sched_yield)
    return 0


def part_count(extent: int, threads: int, rounds: int) -> int:
    """How many parts there are: single ones, or as many rounds of parts as have something for each thread."""
    if extent <= threads * rounds:
        return extent
    while extent >> (rounds - 1) < threads:
        rounds -= 1
    return threads * rounds


def part_start(extent: int, part: int, parts: int, threads: int) -> int:
    """Where a part of the range starts, or the one before it ends.

    The first round of parts, one for each thread, is half of the range, the second half of what is left, and so on; the
    last round is all that is left. So threads take few parts, and yet end at nearly the same time.
    """
    if parts == extent:
        return part
    if part == parts:
        return extent
    above = divide(part, threads)
    left = extent >> above
    round_size = left if above == divide(parts, threads) - 1 else left - (left >> 1)
    start = extent - left + divide(round_size * (part - above * threads), threads)
    return start if round_size < LONG_PART * threads else start & -PART_MULTIPLE


def minimum(left: int, right: int) -> int:
    return left if left < right else right


def at_least_one(count: int) -> int:
    return count if count > 0 else 1


# --------------------------------------------------------------------------------------------------------- all threads


def is_open(ticket: int, thread: int) -> int:
    """Whether the thread may take a part."""
    return ticket & PART_MASK > 0 and thread < ticket >> THREADS_AT & PART_MASK


def take_part(thread: int) -> int:
    """Takes a part and runs it; returns 0 if there is none for this thread."""
    ticket = atomic_load(POOL + TICKET)
    while is_open(ticket, thread):
        if compare_exchange(POOL + TICKET, ticket, ticket - 1):
            run_part(thread, next_part(thread))
            atomic_add(POOL + DONE, 1)
            return 1
        ticket = atomic_load(POOL + TICKET)
    return 0


def next_part(thread: int) -> int:
    """The part for a thread that has taken one off the ticket: one of its own, else of the threads after it."""
    threads = load(POOL + JOB_THREADS)
    owner = thread if thread < threads else 0
    while True:
        queue = queue_of(owner)
        waiting = atomic_load(queue)
        if waiting == 0:
            owner = owner + 1 if owner + 1 < threads else 0
        elif compare_exchange(queue, waiting, waiting - 1):
            return owner + threads * (own_parts(owner, load(POOL + JOB_PARTS), threads) - waiting)


def queue_of(thread: int) -> int:
    """Where a thread's queue is."""
    return POOL + QUEUES + QUEUE_BYTES * thread


def own_parts(thread: int, parts: int, threads: int) -> int:
    """How many parts are a thread's own: every ``threads``-th one, from the part of its number on."""
    return divide(parts - thread + threads - 1, threads)


def run_part(thread: int, part: int) -> int:
    """Runs one part of the job."""
    at = load(POOL + JOB_CALL)
    extent = load(load(POOL + JOB_SLOTS) + 8 * load(at + 16))
    parts = load(POOL + JOB_PARTS)
    threads = load(POOL + JOB_THREADS)
    start = part_start(extent, part, parts, threads)
    end = part_start(extent, part + 1, parts, threads)
    if thread == 0 or load(at + 56) == 0:
        call(load(at + 8), load(POOL + JOB_ARGUMENTS), start, end)
    else:
        run_with_own_scratch(thread, start, end)
    return 0


def run_with_own_scratch(thread: int, start: int, end: int) -> int:
    """Runs the kernel on a copy of its arguments, with the scratch of this thread."""
    at = load(POOL + JOB_CALL)
    arguments = load(POOL + JOB_ARGUMENTS)
    count = load(at + 24)
    own = stack_words(count)
    for i in range(count):
        store(own + 8 * i, load(arguments + 8 * i))
    scratch_count = load(at + 56)
    scratch = own + 8 * (count - scratch_count)
    sizes = at + 64 + 8 * count
    for i in range(scratch_count):
        size_bytes = load(load(POOL + JOB_SLOTS) + 8 * load(sizes + 8 * i))
        store(scratch + 8 * i, load(scratch + 8 * i) + thread * size_bytes)
    call(load(at + 8), own, start, end)
    return 0


# ------------------------------------------------------------------------------------------------------------- workers


def start_workers(count: int) -> int:
    """Makes the pool ``count`` workers large, if the system lets it."""
    if load(POOL + WORKER_COUNT) == 0:
        call(pthread_mutex_init, POOL + MUTEX, 0)
        call(pthread_cond_init, POOL + CONDITION, 0)
    while load(POOL + WORKER_COUNT) < count:
        workers = load(POOL + WORKER_COUNT)
        if call(pthread_create, POOL + HANDLES + 8 * workers, 0, load(POOL + WORKER_CODE), workers + 1) & INT32_MASK:
            return 0
        store(POOL + WORKER_COUNT, workers + 1)
        store(POOL + CALLER_PROCESSOR, 0)
    return 0


def place_workers() -> int:
    """Keeps the workers off the processor that the calling thread runs on, where they could only take turns with it.

    The system wakes a thread where it ran last or where it is woken from, and on a busy machine it does not look for
    a free processor; the two threads then share one for many milliseconds.
    """
    if sched_getcpu == 0 or sched_getaffinity == 0 or pthread_setaffinity_np == 0:
        return 0
    processor = call(sched_getcpu) & INT32_MASK
    placed = load(POOL + CALLER_PROCESSOR)
    if placed == processor + 1 or processor >= 64 * MASK_WORDS:
        return 0
    now = nanoseconds()
    if placed > 0 and now - load(POOL + LAST_PLACED) < PLACE_NS:
        return 0
    store(POOL + LAST_PLACED, now)
    store(POOL + CALLER_PROCESSOR, processor + 1)
    return keep_off(processor)


def keep_off(processor: int) -> int:
    """Lets the workers run wherever the calling thread may, but there; anywhere, if that leaves too few processors."""
    mask = stack_words(MASK_WORDS)
    if call(sched_getaffinity, 0, 8 * MASK_WORDS, mask) & INT32_MASK:
        return 0
    workers = load(POOL + WORKER_COUNT)
    if count_processors(mask) > workers:
        word = mask + 8 * (processor >> 6)
        store(word, load(word) & (-1 - (1 << (processor & 63))))
    for i in range(workers):
        call(pthread_setaffinity_np, load(POOL + HANDLES + 8 * i), 8 * MASK_WORDS, mask)
    return 0


def count_processors(mask: int) -> int:
    """How many processors a set has."""
    count = 0
    for i in range(MASK_WORDS):
        word = load(mask + 8 * i)
        while word != 0:
            word = word & (word - 1)
            count += 1
    return count


def stop_workers() -> int:
    """Ends all workers and waits until they are gone. The next call that shares its work starts new ones."""
    while not compare_exchange(POOL + BUSY, 0, 1):
        call(sched_yield)
    atomic_store(POOL + STOPPING, 1)
    workers = load(POOL + WORKER_COUNT)
    if workers > 0:
        wake_workers(workers)
    for i in range(workers):
        call(pthread_join, load(POOL + HANDLES + 8 * i), 0)
    store(POOL + WORKER_COUNT, 0)
    atomic_store(POOL + STOPPING, 0)
    atomic_store(POOL + BUSY, 0)
    return 0


def wake_workers(count: int) -> int:
    """Wakes up to ``count`` that sleep. A worker that is about to sleep looks once more, with the mutex held."""
    call(pthread_mutex_lock, POOL + MUTEX)
    if count >= atomic_load(POOL + SLEEPER_COUNT):
        call(pthread_cond_broadcast, POOL + CONDITION)
    else:
        for _ in range(count):
            call(pthread_cond_signal, POOL + CONDITION)
    call(pthread_mutex_unlock, POOL + MUTEX)
    return 0


def work(thread: int) -> int:
    """What a worker does until it is stopped. It is a thread of the system; Python does not know it."""
    while atomic_load(POOL + STOPPING) == 0:
        if not take_part(thread) and not spin(thread):
            sleep(thread)
    return 0


def is_wanted(thread: int) -> int:
    """Whether there is anything to do but to wait."""
    return is_open(atomic_load(POOL + TICKET), thread) or atomic_load(POOL + STOPPING)


def spin(thread: int) -> int:
    """Waits a moment, or until the job is done; returns whether there is anything to do."""
    looks = 0
    while looks < SPIN_COUNT + AWAKE_COUNT or shares_job(thread):
        if is_wanted(thread):
            return 1
        looks += 1
        if looks < SPIN_COUNT:
            pause()
        else:
            call(sched_yield)
    return 0


def shares_job(thread: int) -> int:
    """Whether a job runs that the thread may take parts of."""
    return atomic_load(POOL + BUSY) and thread < atomic_load(POOL + TICKET) >> THREADS_AT & PART_MASK


def sleep(thread: int) -> int:
    """Waits as long as there is nothing to do."""
    call(pthread_mutex_lock, POOL + MUTEX)
    atomic_add(POOL + SLEEPER_COUNT, 1)
    while not is_wanted(thread):
        call(pthread_cond_wait, POOL + CONDITION, POOL + MUTEX)
    atomic_add(POOL + SLEEPER_COUNT, -1)
    call(pthread_mutex_unlock, POOL + MUTEX)
    return 0


FUNCTIONS = (
    share,
    pays_to_wake,
    nanoseconds,
    run_job,
    wait_for,
    part_count,
    part_start,
    minimum,
    at_least_one,
    is_open,
    take_part,
    next_part,
    queue_of,
    own_parts,
    run_part,
    run_with_own_scratch,
    start_workers,
    place_workers,
    keep_off,
    count_processors,
    stop_workers,
    wake_workers,
    work,
    is_wanted,
    spin,
    shares_job,
    sleep,
)
