"""The objects that a call holds, in compiled code (:mod:`relaxdsl.runtime.held`)."""

from __future__ import annotations

from relaxdsl.runtime.capi import Py_DecRef, Py_IncRef
from relaxdsl.runtime.native import call, load, store
from relaxdsl.runtime.signature import HELD, HELD_COUNT


def held_at(state: int, frame: int, place: int) -> int:
    """The object in this place, or 0."""
    return load(frame + 8 * (load(state + 8 * HELD) + place))


def hold(state: int, frame: int, place: int, value: int) -> int:
    """Makes an object one that the call holds; what was held in its place is let go."""
    word = frame + 8 * (load(state + 8 * HELD) + place)
    old = load(word)
    call(Py_IncRef, value)
    store(word, value)
    if old != 0:
        call(Py_DecRef, old)
    return 0


def let_go(state: int, frame: int) -> int:
    """Lets all go that the call holds."""
    word = frame + 8 * load(state + 8 * HELD)
    for _ in range(load(state + 8 * HELD_COUNT)):
        value = load(word)
        if value != 0:
            store(word, 0)
            call(Py_DecRef, value)
        word += 8
    return 0


FUNCTIONS = (held_at, hold, let_go)
