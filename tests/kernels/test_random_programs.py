"""Random TE programs: the scheduled, compiled kernel computes what the block form says, element by element."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from interpret_blocks import interpret
from kernel_programs import random_array, run

from relaxdsl.ir.te import Tensor
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.types.dims import Dim, dims, evaluate

SIZES = dims("m n")
FUNCTIONS = [
    lambda v: v * 2.0 - 1.0,
    lambda v: te.maximum(v, 0.0),
    lambda v: v * v,
    lambda v: te.if_then_else(v > 0.5, v, -v),
]
REDUCTIONS = [te.sum, te.max, te.min]
STEPS = ("map", "combine", "transpose", "reduce", "broadcast", "shift", "flatten")


@dataclass
class Program:
    """A program under construction: each step makes a tensor from earlier ones."""

    tensors: list[Tensor] = field(default_factory=list)

    def step(self, kind: str, which: int, choice: int) -> None:
        source = self.tensors[which % len(self.tensors)]
        made = getattr(self, f"_{kind}")(source, choice)
        if made is not None:
            self.tensors.append(made)

    def _map(self, t: Tensor, choice: int) -> Tensor:
        function = FUNCTIONS[choice % len(FUNCTIONS)]
        return te.compute(t.shape, lambda *axes: function(t[axes]), "map")

    def _combine(self, t: Tensor, choice: int) -> Tensor | None:
        partners = [each for each in self.tensors if each.shape == t.shape]
        other = partners[choice % len(partners)]
        return te.compute(t.shape, lambda *axes: t[axes] + other[axes] * 0.5, "both")

    def _transpose(self, t: Tensor, choice: int) -> Tensor | None:
        if t.ndim < 2:
            return None
        shape = t.shape[::-1]
        return te.compute(shape, lambda *axes: t[axes[::-1]], "turned")

    def _reduce(self, t: Tensor, choice: int) -> Tensor | None:
        if t.ndim == 0:
            return None
        axis = choice % t.ndim
        k = te.reduce_axis(t.shape[axis], "k")
        reduction = REDUCTIONS[choice % len(REDUCTIONS)]
        shape = t.shape[:axis] + t.shape[axis + 1 :]
        return te.compute(shape, lambda *axes: reduction(t[(*axes[:axis], k, *axes[axis:])], axis=k), "reduced")

    def _broadcast(self, t: Tensor, choice: int) -> Tensor | None:
        if t.ndim != 1:
            return None
        extra: Dim = (SIZES[0], 3)[choice % 2]
        return te.compute((extra, *t.shape), lambda i, j: t[j] + i, "spread")

    def _shift(self, t: Tensor, choice: int) -> Tensor | None:
        if t.ndim == 0:
            return None
        return te.compute(t.shape, lambda i, *rest: te.if_then_else(i >= 1, t[(i - 1, *rest)], 0.0), "shifted")

    def _flatten(self, t: Tensor, choice: int) -> Tensor | None:
        if t.ndim != 2:
            return None
        rows, columns = t.shape
        return te.compute((rows * columns,), lambda f: t[f // columns, f % columns], "flat")


steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps=steps, outputs=st.sets(st.integers(0, 7), min_size=1, max_size=2))
def test_scheduled_kernels_compute_what_the_blocks_say(steps, outputs):
    m, n = SIZES
    inputs = [te.placeholder((m, n), name="x"), te.placeholder((n,), name="y")]
    program = Program(list(inputs))
    for step in steps:
        program.step(*step)
    results = [program.tensors[-1 - each % len(program.tensors)] for each in sorted(outputs)]
    prim_func = create_prim_func(inputs, results, "kernel")
    for sizes in ({"m": 2, "n": 3}, {"m": 1, "n": 6}, {"m": 0, "n": 2}, {"m": 5, "n": 1}):
        arrays = [random_array([evaluate(size, sizes) for size in each.shape], seed=i) for i, each in enumerate(inputs)]
        with np.errstate(all="ignore"):
            wanted = interpret(prim_func, arrays, sizes)
        for got, want in zip(run(inputs, results, arrays, parts=3, **sizes), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
