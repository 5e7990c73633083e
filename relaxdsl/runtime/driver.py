"""The driver: runs a call in its frame to the end, with the calls of other programs that it makes.

A program's prologue binds and checks sizes; then there are outputs and a workspace, and the body runs. The VM stops at
every step that it does not do itself. Most of these are done here: a tensor is allocated whose size is known only now;
another program is called in a frame of its own, and what it returns is taken over. So recursion takes no stack.

The rest is Python's (:mod:`relaxdsl.runtime.assist`): a function of Python's, a larger workspace, another frame, the
error of a check that failed. When Python has done it, the call goes on.
"""

from __future__ import annotations

from relaxdsl.runtime.capi import (
    ARRAY_DATA,
    Py_DecRef,
    Py_GetRecursionLimit,
    PyErr_CheckSignals,
    PyErr_Clear,
    PyEval_RestoreThread,
    PyEval_SaveThread,
    PyLong_AsLongLong,
    PyLong_FromLongLong,
    PyObject_Vectorcall,
)
from relaxdsl.runtime.encoding import (
    ALLOCATE,
    ALLOCATE_WIDTH,
    CALL_FUNCTION,
    CALL_FUNCTION_WIDTH,
    FAILED,
    LATE,
    LEFT,
    STATUS_BITS,
    STATUS_MASK,
    STOPPED,
)
from relaxdsl.runtime.frame import CALLER, CAPACITY, DEPTH, NEXT, OUT, PC, ROOT, SLOTS, STATE, TOUCHED, UNTIL
from relaxdsl.runtime.holding import held_at, hold, let_go
from relaxdsl.runtime.native import call, load, stack_words, store
from relaxdsl.runtime.new_arrays import first_argument, new_array
from relaxdsl.runtime.output_arrays import (
    UNUSUAL,
    allocate_outputs,
    argument_elements,
    output_elements,
    take_outputs,
)
from relaxdsl.runtime.parallel import INT32_MASK
from relaxdsl.runtime.program import FIRST_ARGUMENT_SLOT, WORKSPACE_SIZE_SLOT
from relaxdsl.runtime.signature import (
    ASSIST,
    BODY,
    CONSTANT_ELEMENTS,
    IDLE,
    OBJECT_ARGUMENTS,
    PROLOGUE,
    RESULT_PLACES,
    RESULT_SLOTS,
    TABLE,
)
from relaxdsl.runtime.vm import PAUSE_NS, coarse_nanoseconds, is_later, next_pause, run

HOLD_BELOW = 1024
"""A call that touches fewer elements keeps Python's lock: giving it back can cost far more than such a call takes."""

RAISED = -2

# Why Python is asked for help, besides the statuses at which the VM stops: for more workspace, memory for the outputs,
# another frame, the error of a recursion that is too deep.
RESERVE, PLACE_OUTPUTS, MAKE_FRAME, TOO_DEEP = 4, 5, 6, 7


def drive(root: int) -> int:
    """Runs the call in the frame ``root``, whose arguments are there.

    Returns:
        0; ``RAISED`` with an exception set; or ``UNUSUAL``, before anything was done, if ``out`` is not plain.
    """
    begun = begin(load(root + 8 * STATE), root)
    if begun < 0:
        return begun
    frame = root
    while frame > 0:
        current = frame
        frame = advance(frame)
        if frame == RAISED:
            unwind(current)
    return frame


def begin(state: int, frame: int) -> int:
    """Runs the prologue and sees to workspace and outputs. Returns 0, ``RAISED`` or ``UNUSUAL``."""
    slots = frame + 8 * SLOTS
    at = run(slots, load(state + 8 * TABLE), load(state + 8 * PROLOGUE), 0)
    if at & STATUS_MASK != STOPPED:
        store(frame + 8 * PC, at >> STATUS_BITS)
        if assist(state, frame, FAILED) == RAISED:
            return RAISED
    workspace = load(slots + 8 * WORKSPACE_SIZE_SLOT)
    if workspace > load(frame + 8 * CAPACITY) and assist(state, frame, RESERVE) == RAISED:
        return RAISED
    made = make_outputs(state, frame)
    if made < 0:
        return made
    touched = load(frame + 8 * TOUCHED) + made + load(state + 8 * CONSTANT_ELEMENTS)
    store(frame + 8 * TOUCHED, touched + workspace if workspace > 0 else touched)
    store(frame + 8 * PC, load(state + 8 * BODY))
    return 0


def make_outputs(state: int, frame: int) -> int:
    """Sees to the outputs' memory; returns how many elements they have, ``RAISED`` or ``UNUSUAL``."""
    out = load(frame + 8 * OUT)
    if out > 0:
        return take_outputs(state, frame, out)
    if out == 0:
        made = allocate_outputs(state, frame)
        if made != UNUSUAL:
            return made
        call(PyErr_Clear)
    return RAISED if assist(state, frame, PLACE_OUTPUTS) == RAISED else HOLD_BELOW


def advance(frame: int) -> int:
    """Runs the program in ``frame`` until it has stopped, and does what it stopped for.

    Returns:
        The frame to go on with: this one, that of a function called, or the caller's; 0 at the end of it all; or
        ``RAISED``.
    """
    state = load(frame + 8 * STATE)
    table = load(state + 8 * TABLE)
    status = run_body(frame, table)
    if status == STOPPED:
        return give_results(state, frame)
    if status == LATE:
        return RAISED
    step = table + 8 * load(frame + 8 * PC)
    if status == LEFT:
        code = load(step)
        if code == ALLOCATE:
            if allocate(state, frame, step):
                return frame
            call(PyErr_Clear)
        if code == CALL_FUNCTION and load(step + 8) != 0:
            return call_function(state, frame, step)
    return RAISED if assist(state, frame, status) == RAISED else frame


def run_body(frame: int, table: int) -> int:
    """Runs the VM, without Python's lock if it may take long. Returns its status: ``LATE`` if a signal raised."""
    slots = frame + 8 * SLOTS
    if load(frame + 8 * TOUCHED) < HOLD_BELOW:
        at = run(slots, table, load(frame + 8 * PC), 0)
        store(frame + 8 * PC, at >> STATUS_BITS)
        return at & STATUS_MASK
    root = load(frame + 8 * ROOT)
    at = load(frame + 8 * PC) << STATUS_BITS | LATE
    while at & STATUS_MASK == LATE:
        if load(root + 8 * UNTIL) == 0:
            store(root + 8 * UNTIL, next_pause())
        thread = call(PyEval_SaveThread)
        at = run(slots, table, at >> STATUS_BITS, load(root + 8 * UNTIL))
        call(PyEval_RestoreThread, thread)
        store(frame + 8 * PC, at >> STATUS_BITS)
        if at & STATUS_MASK == LATE:
            store(root + 8 * UNTIL, 0)
            if call(PyErr_CheckSignals) & INT32_MASK:
                return LATE
    return at & STATUS_MASK


def assist(state: int, frame: int, reason: int) -> int:
    """Has Python help the call in ``frame``. Returns 0, or ``RAISED`` with an exception set."""
    made = ask(state, frame, reason)
    if made == 0:
        return RAISED
    call(Py_DecRef, made)
    return 0


def ask(state: int, frame: int, reason: int) -> int:
    """What Python returns when it is asked for help, or NULL with an exception set."""
    arguments = stack_words(2)
    address = call(PyLong_FromLongLong, frame)
    if address == 0:
        return 0
    store(arguments, address)
    store(arguments + 8, call(PyLong_FromLongLong, reason))  # a small number, which is always there
    made = call(PyObject_Vectorcall, load(state + 8 * ASSIST), arguments, 2, 0)
    call(Py_DecRef, address)
    call(Py_DecRef, load(arguments + 8))
    return made


# ----------------------------------------------------------------------------------------------------------- allocation


def allocate(state: int, frame: int, step: int) -> int:
    """Makes the tensor that the step is about; returns whether NumPy did."""
    slots = frame + 8 * SLOTS
    count = load(step + 16)
    sizes = slots + 8 * load(load(state + 8 * TABLE))
    elements = 1
    for axis in range(count):
        size = load(slots + 8 * load(step + 48 + 8 * axis))
        store(sizes + 8 * axis, size)
        elements = elements * size
    array = new_array(load(step + 8), count, sizes, load(step + 40), first_argument(state, frame))
    if array == 0:
        return 0
    store(slots + 8 * load(step + 24), load(array + ARRAY_DATA))
    hold(state, frame, load(step + 32), array)
    call(Py_DecRef, array)
    store(frame + 8 * TOUCHED, load(frame + 8 * TOUCHED) + elements)
    store(frame + 8 * PC, load(frame + 8 * PC) + ALLOCATE_WIDTH + count)
    return 1


# ---------------------------------------------------------------------------------------------------- calls of programs


def call_function(state: int, frame: int, step: int) -> int:
    """Begins a call in a frame of the function's; returns that frame, or ``RAISED``."""
    depth = load(frame + 8 * DEPTH) + 1
    if depth > call(Py_GetRecursionLimit) & INT32_MASK:
        return RAISED if assist(state, frame, TOO_DEEP) == RAISED else frame
    root = load(frame + 8 * ROOT)
    if look_around(root) == RAISED:
        return RAISED
    callee_state = load(step + 8)
    callee = take_frame(callee_state)
    if callee == RAISED:
        return RAISED
    store(callee + 8 * CALLER, frame)
    store(callee + 8 * ROOT, root)
    store(callee + 8 * DEPTH, depth)
    store(callee + 8 * OUT, 0)
    give_arguments(state, frame, step, callee)
    store(callee + 8 * TOUCHED, argument_elements(callee_state, callee))
    if begin(callee_state, callee) < 0:
        give_back(callee_state, callee)
        return RAISED
    return callee


def look_around(root: int) -> int:
    """From time to time, lets other threads run and signals be handled; ``RAISED`` if one of these raises."""
    until = load(root + 8 * UNTIL)
    if until != 0 and not is_later(until):
        return 0
    store(root + 8 * UNTIL, coarse_nanoseconds() + PAUSE_NS)
    if until == 0:
        return 0
    call(PyEval_RestoreThread, call(PyEval_SaveThread))
    return RAISED if call(PyErr_CheckSignals) & INT32_MASK else 0


def give_arguments(state: int, frame: int, step: int, callee: int) -> int:
    """Stores the arguments of a call in the callee's frame."""
    listed = step + 8 * CALL_FUNCTION_WIDTH
    slots = callee + 8 * (SLOTS + FIRST_ARGUMENT_SLOT)
    count = load(step + 16)
    for i in range(count):
        store(slots + 8 * i, load(frame + 8 * SLOTS + 8 * load(listed + 8 * i)))
    listed += 8 * count
    callee_state = load(step + 8)
    places = callee_state + 8 * load(callee_state + 8 * OBJECT_ARGUMENTS)
    for i in range(load(step + 24)):
        value = held_at(state, frame, load(listed + 8 * i))
        hold(callee_state, callee, load(places + 8 * i), value)
    return 0


def give_results(state: int, frame: int) -> int:
    """Ends the call in ``frame``: its caller takes the results. Returns the caller's frame, 0 if there is none."""
    caller = load(frame + 8 * CALLER)
    if caller == 0:
        return 0
    caller_state = load(caller + 8 * STATE)
    step = load(caller_state + 8 * TABLE) + 8 * load(caller + 8 * PC)
    listed = step + 8 * (CALL_FUNCTION_WIDTH + load(step + 16) + load(step + 24))
    slots = state + 8 * load(state + 8 * RESULT_SLOTS)
    slot_count = load(step + 32)
    for i in range(slot_count):
        store(caller + 8 * SLOTS + 8 * load(listed + 8 * i), load(frame + 8 * SLOTS + 8 * load(slots + 8 * i)))
    listed += 8 * slot_count
    places = state + 8 * load(state + 8 * RESULT_PLACES)
    place_count = load(step + 40)
    for i in range(place_count):
        value = held_at(state, frame, load(places + 8 * i))
        hold(caller_state, caller, load(listed + 8 * i), value)
    store(caller + 8 * TOUCHED, load(caller + 8 * TOUCHED) + output_elements(state, frame))
    store(caller + 8 * PC, (listed + 8 * place_count - load(caller_state + 8 * TABLE)) >> 3)
    give_back(state, frame)
    return caller


def take_frame(state: int) -> int:
    """An idle frame of the program's, or a new one; ``RAISED`` if there is no memory for it."""
    frame = load(state + 8 * IDLE)
    if frame != 0:
        store(state + 8 * IDLE, load(frame + 8 * NEXT))
        return frame
    made = ask(state, 0, MAKE_FRAME)
    if made == 0:
        return RAISED
    frame = call(PyLong_AsLongLong, made)
    call(Py_DecRef, made)
    return frame


def give_back(state: int, frame: int) -> int:
    """Makes a frame idle again, for whom has Python's lock next. This takes no memory, so it cannot fail."""
    let_go(state, frame)
    store(frame + 8 * NEXT, load(state + 8 * IDLE))
    store(state + 8 * IDLE, frame)
    return 0


def unwind(frame: int) -> int:
    """Gives back the frames from this one up to the first call's."""
    while load(frame + 8 * CALLER) != 0:
        caller = load(frame + 8 * CALLER)
        give_back(load(frame + 8 * STATE), frame)
        frame = caller
    return 0


FUNCTIONS = (
    drive,
    begin,
    make_outputs,
    advance,
    run_body,
    assist,
    ask,
    allocate,
    call_function,
    look_around,
    give_arguments,
    give_results,
    take_frame,
    give_back,
    unwind,
)
