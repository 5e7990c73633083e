"""Products without packing, for few rows: sums of whole rows of the right operand, or dot products of rows.

An element's sum is formed in the same order wherever the element is, so that a part of the result has the same bits.
"""

from __future__ import annotations

from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter

#: Columns in a pass over the rows of the right operand, for one row and for more: long runs of memory, while the
#: results stay in the first-level cache, and what of the right operand is used again in the second-level one.
LONG_RUN, RUN = 8192, 2048
#: Rows of the right operand that are used for all rows of the left one before the next ones are read.
RUN_DEPTH = 64
#: Rows of the left operand that use what is read of the right one, and how many terms are then added to an element at a
#: time: as many as there are registers for.
ROWS = 2
STEPS = {1: 8, ROWS: 4}
#: Columns, and so streams of memory, whose dot products are formed together.
STREAMS = 4


def emit_add_rows(emit: Emitter, rows: int, steps: int) -> None:
    """``add_rows(n, a, a_rows, a_steps, b, b_steps, c, c_rows)``: ``c[:rows] += a[:rows, :steps] @ b[:steps, :n]``."""
    n, a, a_rows, a_steps, b, b_steps, c, c_rows = emit.function.args
    factors = [
        [emit.load(a, emit.add(emit.mul(a_rows, row), emit.mul(a_steps, step))) for step in range(steps)]
        for row in range(rows)
    ]
    wide = [[emit.broadcast(factor) for factor in each] for each in factors]
    sources = [emit.at(b, emit.mul(b_steps, step)) for step in range(steps)]
    targets = [emit.at(c, emit.mul(c_rows, row)) for row in range(rows)]
    whole = emit.multiple_below(n, emit.lanes)
    with emit.loop(0, whole, emit.lanes) as column:
        vectors = [emit.load_vector(source, column) for source in sources]
        for target, each in zip(targets, wide, strict=True):
            total = emit.load_vector(target, column)
            emit.store_vector(_accumulated(emit, total, each, vectors), target, column)
    with emit.loop(whole, n) as column:
        elements = [emit.load(source, column) for source in sources]
        for target, each in zip(targets, factors, strict=True):
            emit.store(_accumulated(emit, emit.load(target, column), each, elements), target, column)
    emit.builder.ret(emit.integer(0))


def _accumulated(emit: Emitter, total: Any, factors: list[Any], terms: list[Any]) -> Any:
    for factor, term in zip(factors, terms, strict=True):
        total = emit.multiply_add(factor, term, total)
    return total


def emit_dots(emit: Emitter, rows: int, columns: int) -> None:
    """``dots(depth, a, a_rows, b, b_columns, c, c_rows)``: dot products of ``rows`` by ``columns`` contiguous rows."""
    depth, a, a_rows, b, b_columns, c, c_rows = emit.function.args
    lefts = [emit.at(a, emit.mul(a_rows, row)) for row in range(rows)]
    rights = [emit.at(b, emit.mul(b_columns, column)) for column in range(columns)]
    whole = emit.multiple_below(depth, emit.lanes)
    with emit.carrying_loop(0, whole, [emit.zeros] * (rows * columns), emit.lanes) as loop:
        left_vectors = [emit.load_vector(left, loop.index) for left in lefts]
        right_vectors = [emit.load_vector(right, loop.index) for right in rights]
        loop.following += _outer(emit, left_vectors, right_vectors, loop.values)
    sums = [emit.sum_of_lanes(total) for total in loop.values]
    with emit.carrying_loop(whole, depth, sums) as rest:
        left_elements = [emit.load(left, rest.index) for left in lefts]
        right_elements = [emit.load(right, rest.index) for right in rights]
        rest.following += _outer(emit, left_elements, right_elements, rest.values)
    for number, total in enumerate(rest.values):
        emit.store(total, c, emit.add(emit.mul(c_rows, number // columns), number % columns))
    emit.builder.ret(emit.integer(0))


def _outer(emit: Emitter, lefts: list[Any], rights: list[Any], totals: list[Any]) -> list[Any]:
    pairs = [(left, right) for left in lefts for right in rights]
    return [emit.multiply_add(*pair, total) for pair, total in zip(pairs, totals, strict=True)]
