"""Random blocks: what is proved to touch elements of its own in each step, held against all steps of many sizes."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from relaxdsl.ir.loops import Block, Buffer, IterVar, Store, loop_variable, sequence
from relaxdsl.ir.scalar import const
from relaxdsl.kernels.steps_apart import are_steps_apart
from relaxdsl.types.dims import Dim, dims, evaluate, floordiv, modulo

n, m = dims("n m")
SIZES = ((1, 1), (2, 1), (1, 3), (2, 3), (3, 2), (5, 4), (7, 2), (23, 1), (1, 9))
POINTS = 2000


class Writer:
    """Writes one block of stores; ``rng`` decides."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.axes: list[IterVar] = []

    def block(self) -> Block:
        for place in range(self.rng.choice((1, 2, 2, 3))):
            extent = self.rng.choice((n, m, 4, 3, n * m, n * 2, 1))
            kind = self.rng.choice(("spatial", "spatial", "reduce")) if place else "spatial"
            self.axes.append(IterVar(f"v{place}", extent, kind, loop_variable(f"i{place}", extent)))
        rank = self.rng.choice((1, 1, 2, 3))
        buffer = Buffer("y", (n * m * 9 + 99,) * rank, "int64")
        places = (tuple(self.index() for _ in range(rank)) for _ in range(self.rng.choice((1, 1, 2))))
        return Block("b", tuple(self.axes), sequence(*(Store(buffer, place, const(1, "int64")) for place in places)))

    def index(self) -> Dim:
        index = self.part() * self.rng.choice((1, 1, 1, 2, 3, 4, n, m, -1))
        index += self.rng.choice((0, self.part() * self.rng.choice((1, 1, 2, n, m))))
        return index + self.rng.choice((0, 0, 0, 1, 5, 20, n, m))

    def part(self) -> Dim:
        axis = self.rng.choice(self.axes)
        variable, divisor = loop_variable(axis.var, axis.extent), self.rng.choice((2, 3, 4, n, m))
        forms = (variable, variable, variable, n - 1 - variable, floordiv(variable * (variable + 1), 2))
        return self.rng.choice((*forms, floordiv(variable, divisor), modulo(variable, divisor)))


def steps_that_meet(block: Block, sizes: dict[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Two steps that write one element, among the first points of the block."""
    extents = [evaluate(axis.extent, sizes) for axis in block.iter_vars]
    stores = block.body.body if hasattr(block.body, "body") else (block.body,)
    steps: dict[tuple[int, ...], tuple[int, ...]] = {}
    for point in product(*map(range, extents)) if math.prod(extents) <= POINTS else ():
        values = {**sizes, **{axis.var: value for axis, value in zip(block.iter_vars, point, strict=True)}}
        pairs = zip(block.iter_vars, point, strict=True)
        step = tuple(value for axis, value in pairs if axis.kind == "spatial")
        for store in stores:
            before = steps.setdefault(tuple(evaluate(index, values) for index in store.indices), step)
            if before != step:
                return before, step
    return None


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_what_is_proved_holds(first: int) -> None:
    proved = 0
    for seed in range(first, first + 50):
        block = Writer(random.Random(seed)).block()
        if are_steps_apart(block):
            proved += 1
            met = [steps_that_meet(block, {"n": left, "m": right}) for left, right in SIZES]
            assert met == [None] * len(SIZES), f"seed {seed}: {block.body}"
    assert proved > 5
