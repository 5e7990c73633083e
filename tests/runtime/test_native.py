"""The native subset of Python: what compiles does what Python does; what is outside is refused."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.errors import InternalError
from relaxdsl.runtime import native
from relaxdsl.runtime.addresses import Address
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.native import (
    NativeCode,
    add_overflows,
    atomic_add,
    atomic_load,
    atomic_store,
    call,
    compare_exchange,
    divide,
    load,
    load_byte,
    load_int32,
    multiply_overflows,
    pause,
    stack_words,
    store,
    subtract_overflows,
)

LIMIT = 10


def collatz_steps(n: int) -> int:
    """Loops, conditions, calls of one another, constants."""
    steps = 0
    while n != 1 and steps < 100 * LIMIT:
        n = 3 * n + 1 if is_odd(n) else n >> 1
        steps += 1
    return steps


def is_odd(n: int) -> int:
    return n & 1 == 1


def odd_sum(n: int) -> int:
    total = 0
    for i in range(n):
        if not is_odd(i) or (i == 3 or i > LIMIT):
            continue
        total += i
    return -total


def test_loops_and_conditions() -> None:
    code = NativeCode([collatz_steps, is_odd, odd_sum])
    for function in (collatz_steps, odd_sum):
        compiled = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address(function.__name__))
        for n in (1, 2, 7, 27):
            assert compiled(n) == function(n)


def copy_and_add(source: int, target: int, add: int) -> int:
    store(target, load(source) + load_int32(source) + load_byte(source))
    store(target + 8, divide(-7, 2))
    return call(add, 3, 4) | 1 << 4


def test_memory_and_calls() -> None:
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    add = kind(lambda a, b: a + b)
    source, target = np.array([-2]), np.zeros(2, np.int64)
    code = NativeCode([copy_and_add])
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(code.address("copy_and_add"))
    assert run(address_of(source), address_of(target), ctypes.cast(add, ctypes.c_void_p).value) == 7 | 16
    assert target.tolist() == [-2 + 2**32 - 2 + 254, -3]


def exchange(place: int, amount: int) -> int:
    atomic_store(place, 10)
    old = atomic_add(place, amount)
    if compare_exchange(place, old, 0):
        return -1
    return compare_exchange(place, 10 + amount, atomic_load(place) * 2)


def test_atomic_memory() -> None:
    code = NativeCode([exchange])
    place = np.zeros(1, np.int64)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(code.address("exchange"))
    assert (run(address_of(place), 5), place[0]) == (1, 30)


def reversed_sum(values: int, count: int) -> int:
    copy = stack_words(count)
    for i in range(count):
        store(copy + 8 * (count - 1 - i), load(values + 8 * i))
    return load(copy) * 100 + load(copy + 8 * (count - 1))


def test_memory_on_the_stack() -> None:
    code = NativeCode([reversed_sum])
    values = np.arange(1, 51)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(code.address("reversed_sum"))
    assert run(address_of(values), 50) == 5001


def waits(n: int) -> int:
    while n > 0:
        n -= 1
        pause()
    return n


def test_pauses() -> None:
    code = NativeCode([waits])
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("waits"))(3) == 0


def uses_float(n: int) -> int:
    return n + 1.5  # type: ignore[return-value]


def uses_list(n: int) -> int:
    [n] = [n]
    return n


def uses_print(n: int) -> int:
    print(n)
    return n


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (uses_float, "uses_float: not in the native subset: 1.5"),
        (uses_list, "uses_list: not in the native subset: [n] = [n]"),
        (uses_print, "uses_print: not in the native subset: print(…)"),
    ],
)
def test_refusals(function: Callable[..., int], message: str) -> None:
    with pytest.raises(InternalError) as caught:
        NativeCode([function])
    assert str(caught.value) == message


RAW = {load: 1, load_int32: 1, load_byte: 1, store: 2, divide: 2, call: 1}
RAW |= {atomic_load: 1, atomic_store: 2, atomic_add: 2, compare_exchange: 3, stack_words: 1, pause: 0}
RAW |= {add_overflows: 2, subtract_overflows: 2, multiply_overflows: 2}


@pytest.mark.parametrize("function", RAW)
def test_raw_memory_is_not_for_python(function: Callable[..., int]) -> None:
    with pytest.raises(InternalError) as caught:
        function(*(0,) * RAW[function])
    assert str(caught.value) == f"{function.__name__} exists in compiled code only"


# ------------------------------------------------------------------------------------------------------- on the disk

FIRST, SECOND = np.array([1, 2]), np.array([3, 4])
PLACE = Address(address_of(FIRST))
MISSING = Address(0)
TOO_LARGE = 1 << 47


def element(index: int) -> int:
    return load(PLACE + 8 * index) if MISSING == 0 else -1


def large() -> int:
    return TOO_LARGE


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, ...], bytes]:
    """What is on the disk."""
    entries: dict[tuple[str, ...], bytes] = {}

    def object_code(make: Callable[[], bytes], *content: str) -> bytes:
        if content not in entries:
            entries[content] = make()
        return entries[content]

    monkeypatch.setattr(native, "object_code", object_code)
    return entries


def test_code_that_was_kept_finds_what_has_moved(
    kept: dict[tuple[str, ...], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is another number in another process; its code is the same."""
    first = NativeCode([element])
    monkeypatch.setattr(sys.modules[__name__], "PLACE", Address(address_of(SECOND)))
    monkeypatch.setattr(native, "_compile", None)
    second = NativeCode([element])
    assert len(kept) == 1
    codes = (ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(each.address("element")) for each in (first, second))
    assert [code(1) for code in codes] == [2, 4]


def test_other_numbers_and_other_functions_are_other_code(
    kept: dict[tuple[str, ...], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    NativeCode([odd_sum, is_odd])
    NativeCode([is_odd])
    monkeypatch.setattr(sys.modules[__name__], "LIMIT", 11)
    NativeCode([odd_sum, is_odd])
    assert len(kept) == 3


def test_a_number_that_must_be_an_address_is_our_mistake() -> None:
    with pytest.raises(InternalError) as caught:
        NativeCode([large])
    assert str(caught.value) == "TOO_LARGE is 140737488355328: if that is an address, it should be an Address"
