"""The native subset of Python: what compiles does what Python does; what is outside is refused."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.errors import InternalError
from relaxdsl.runtime.frame import address_of
from relaxdsl.runtime.native import NativeCode, call, divide, load, load_byte, load_int32, store

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


@pytest.mark.parametrize("function", [load, load_int32, load_byte, store, divide, call])
def test_raw_memory_is_not_for_python(function: Callable[..., int]) -> None:
    with pytest.raises(InternalError) as caught:
        function(*(0,) * (2 if function in (store, divide) else 1))
    assert str(caught.value) == f"{function.__name__} exists in compiled code only"
