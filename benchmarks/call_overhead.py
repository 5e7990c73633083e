"""What a call costs besides its work: functions of one to eight small arrays beside one `np.add`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import torch
from contenders import relative_error
from report import Row
from timing import Call, Effort, time_calls

import relaxdsl as relax

COUNTS = range(1, 9)
SIZE = 8


def call_rows(effort: Effort) -> list[Row]:
    """A row for each number of arguments. Every function adds its first and its last; the others are only checked."""
    return [_call_row(count, effort) for count in COUNTS]


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
    ours = times.pop("relaxdsl")
    return Row(name, ours.median_s, ours.fastest_s, {peer: each.median_s for peer, each in times.items()})


def _function_of(count: int) -> Any:
    """A relax function of ``count`` arrays of one size."""
    n = relax.dims("n")
    params = [relax.Var(f"x{at}", relax.Tensor((n,), "float32")) for at in range(count)]
    builder = relax.BlockBuilder()
    with builder.function("ends", params):
        builder.emit_func_output(params[0] + params[-1])
    return relax.compile(builder.get())["ends"]
