"""Intrinsics that the tests of ``tensorize`` use, and schedules up to there."""

from __future__ import annotations

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.kernels.primitives.trace import LoopRef

#: The tile that both compute, along each loop.
SIZE = 4


@relax.prim_func
def multiply_described(a: T.Buffer((4, 4), "float32"), b: T.Buffer((4, 4), "float32"), c: T.Buffer((4, 4), "float32")):
    T.outputs(c)
    for i, j, k in T.grid(4, 4, 4):
        with T.block("multiply"):
            vi, vj, vk = T.axis.remap("SSR", [i, j, k])
            c[vi, vj] = c[vi, vj] + a[vi, vk] * b[vk, vj]


@relax.prim_func
def multiply_by_rows(a: T.Buffer((4, 4), "float32"), b: T.Buffer((4, 4), "float32"), c: T.Buffer((4, 4), "float32")):
    T.outputs(c)
    row = T.alloc_buffer((4,), "float32")
    for i in range(4):
        for j in range(4):
            row[j] = c[i, j]
        for k, j in T.grid(4, 4):
            row[j] = row[j] + a[i, k] * b[k, j]
        for j in range(4):
            c[i, j] = row[j]


@relax.prim_func
def double_described(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")):
    T.outputs(y)
    for i in range(4):
        with T.block("double"):
            vi = T.axis.spatial(4, i)
            y[vi] = x[vi] * T.float32(2.0)


relax.TensorIntrin.register("multiply4", multiply_described, multiply_by_rows)
relax.TensorIntrin.register("double4", double_described, double_described)


def tiled(sch: relax.Schedule, block: str) -> tuple[list[LoopRef], list[LoopRef]]:
    """Splits the loops of a block into tiles; those around the tiles, and those of a tile."""
    splits = [sch.split(loop, factors=[None, SIZE]) for loop in sch.get_loops(block)]
    outer, inner = ([split[part] for split in splits] for part in range(2))
    sch.reorder(*outer, *inner)
    return outer, inner
