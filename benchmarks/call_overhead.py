"""What a call costs besides its work: functions of one to eight small arrays beside one `np.add`, by position, by name
and into an array; what each kernel of a chain adds, each level of a recursion, and a step in Python that a call goes
past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from contenders import relative_error
from report import Row, Target
from timing import Call, Effort, Timing, time_calls

import relaxdsl as relax
from relaxdsl import tir as T

COUNTS = range(1, 9)
CHAIN_LENGTHS = (10, 100, 1000)
SIZE = 8

CALL_BUDGET_S, ARGUMENT_BUDGET_S, KERNEL_BUDGET_S, LEVEL_BUDGET_S = 1e-6, 1e-7, 2e-8, 1e-6
LEVELS = 100

n = relax.dims("n")


def call_rows(effort: Effort) -> list[Row]:
    """A row for each number of arguments, for other ways to call, and for each length of a chain.

    Functions of several arrays add the first and the last; the others are only checked.
    """
    rows = [_call_row(count, effort) for count in COUNTS]
    chains = (_chain_row(length, effort) for length in CHAIN_LENGTHS)
    return [*rows, *_rows_of_ways(effort), *chains, _recursion_row(effort), _branch_row(effort)]


def _call_row(count: int, effort: Effort) -> Row:
    arrays = tuple(np.full(SIZE, at + 1, np.float32) for at in range(count))
    ends = (arrays[0], arrays[-1])
    tensors = tuple(torch.from_numpy(each) for each in ends)
    committed = tuple(jax.numpy.asarray(each) for each in ends)
    calls = {
        "relaxdsl": Call(_function_of(count), arrays),
        "numpy": Call(np.add, ends),
        "torch": Call(torch.add, tensors),
        "jax.jit": Call(jax.jit(jax.numpy.add), committed),
    }
    for name, call in calls.items():
        if relative_error(np.asarray(call()), ends[0] + ends[1]) > 0:
            raise SystemExit(f"call overhead, {count} arrays: {name} is wrong")
    times = time_calls(calls, effort)
    name = f"call, {count} array{'s' if count > 1 else ''} (peers: one add)"
    return _row(name, times, CALL_BUDGET_S + count * ARGUMENT_BUDGET_S)


def _row(name: str, times: dict[str, Timing], budget_s: float) -> Row:
    ours = times.pop("relaxdsl")
    peers = {peer: each.median_s for peer, each in times.items()}
    return Row(name, ours.median_s, ours.fastest_s, peers, Target(limit_s=budget_s))


def _rows_of_ways(effort: Effort) -> list[Row]:
    """A call of two arrays with its arguments by name, and with an array to write into; a number instead of one."""
    x, y, out = (np.full(SIZE, at, np.float32) for at in (1, 2, 0))
    add = _function_of(2)
    by_name = {"relaxdsl": Call(lambda: add(x0=x, x1=y), ()), "numpy": Call(lambda: np.add(x, y), ())}
    into = {"relaxdsl": Call(lambda: add(x, y, out=out), ()), "numpy": Call(lambda: np.add(x, y, out=out), ())}
    number = {"relaxdsl": Call(scaled, (x, 3.5)), "numpy": Call(np.multiply, (x, 3.5))}
    budget_s = CALL_BUDGET_S + 2 * ARGUMENT_BUDGET_S
    names = {"call, 2 arrays by name": by_name, "call, 2 arrays, out=": into, "call, an array and a number": number}
    return [_row(name, time_calls(calls, effort), budget_s) for name, calls in names.items()]


@relax.function
def scaled(x: relax.Tensor[(n,), "float32"], factor: relax.Tensor[(), "float32"]):
    """A product with a number that is an argument."""
    return x * factor


def _function_of(count: int) -> Any:
    """A relax function of ``count`` arrays of one size."""
    params = [relax.Var(f"x{at}", relax.Tensor((n,), "float32")) for at in range(count)]
    builder = relax.BlockBuilder()
    with builder.function("ends", params):
        builder.emit_func_output(params[0] + params[-1])
    return relax.compile(builder.get())["ends"]


# -------------------------------------------------------------------------------------------------------------- chains


@relax.prim_func
def plus_one(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    """A kernel whose loop is as it stands here, so that no other is fused with it."""
    for i in T.parallel(n):
        y[i] = x[i] + T.float32(1)


def _chain_row(length: int, effort: Effort) -> Row:
    """Kernels one after the other on a small array: beside as many of NumPy's, and of those that XLA keeps apart."""
    x = np.zeros(SIZE, np.float32)
    calls = {
        "relaxdsl": Call(_chain_of(length), (x,)),
        "numpy": Call(lambda start: _repeated(np.add, start, length), (x,)),
        "jax.jit": Call(jax.jit(lambda start: _repeated(_kept_apart, start, length)), (jax.numpy.asarray(x),)),
    }
    for name, call in calls.items():
        if relative_error(np.asarray(call()), x + length) > 0:
            raise SystemExit(f"a chain of {length} kernels: {name} is wrong")
    budget_s = CALL_BUDGET_S + ARGUMENT_BUDGET_S + length * KERNEL_BUDGET_S
    return _row(f"chain of {length} kernels", time_calls(calls, effort), budget_s)


def _repeated(add: Callable[[Any, Any], Any], value: Any, count: int) -> Any:
    one = np.float32(1)
    for _ in range(count):
        value = add(value, one)
    return value


def _kept_apart(left: Any, right: Any) -> Any:
    return jax.lax.optimization_barrier(left + right)


def _chain_of(length: int) -> Any:
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("chain", [x]):
        value: Any = x
        for _ in range(length):
            value = builder.emit(relax.call_tir(plus_one, (value,)))
        builder.emit_func_output(value)
    return relax.compile(builder.get())["chain"]


# ------------------------------------------------------------------------------------------- calls and steps in Python


@relax.function
def power(x: relax.Tensor[(n,), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Tensor[(n,), "float32"]:
    """A product in every level of a recursion."""
    if times == 0:
        y = relax.ones_like(x)
    else:
        y = x * power(x, times - 1)
    return y


def _power_in_numpy(x: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.ones_like(x) if times == 0 else x * _power_in_numpy(x, times - 1)


def _recursion_row(effort: Effort) -> Row:
    x, times = np.ones(SIZE, np.float32), np.array(LEVELS)
    calls = {"relaxdsl": Call(power, (x, times)), "numpy": Call(_power_in_numpy, (x, times))}
    budget_s = CALL_BUDGET_S + 2 * ARGUMENT_BUDGET_S + LEVELS * LEVEL_BUDGET_S
    return _row(f"recursion of {LEVELS} levels", time_calls(calls, effort), budget_s)


relax.register_packed("benchmarks.repaired", np.nan_to_num, override=True)


@relax.function
def repaired(x: relax.Tensor[(n,), "float32"], is_broken: relax.Tensor[(), "bool"]):
    """A packed function in one branch, and a kernel in the other."""
    if is_broken:
        y = relax.call_pure_packed("benchmarks.repaired", x, out=relax.Tensor((n,), "float32"))
    else:
        y = x + 1
    return y


def _branch_row(effort: Effort) -> Row:
    x, no = np.ones(SIZE, np.float32), np.array(False)
    calls = {
        "relaxdsl": Call(repaired, (x, no)),
        "numpy": Call(lambda x, is_broken: np.nan_to_num(x) if is_broken else x + 1, (x, no)),
    }
    return _row("call past a packed function", time_calls(calls, effort), CALL_BUDGET_S + 2 * ARGUMENT_BUDGET_S)
