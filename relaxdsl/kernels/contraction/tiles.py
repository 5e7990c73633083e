"""The register tile: the product of some rows of the left operand with the columns of a panel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.library import Library

#: Steps of the sum in one iteration.
UNROLLED = 4
_TILE = "depth left* a_rows a_steps right* b_steps c* c_rows is_first"


def emit_tiles(library: Library) -> None:
    """``tile(rows, columns, depth, a, ..., b, b_steps, c, c_rows, is_first)`` sets ``rows`` by ``columns`` of ``c``.

    Or it adds to them, if it is not the first. They are at most as many as the library's tile has; of ``b`` there are
    as many columns as in a whole tile.
    """
    for rows in range(1, library.tile.rows + 1):
        _emit_tile(library, rows)
    emit = library.function("tile", f"rows columns {_TILE}")
    rows, columns, *operands, c, c_rows, is_first = emit.function.args
    with _whole_tile(library, emit, rows, columns, c, c_rows, is_first) as goal:
        end = emit.builder.append_basic_block("end")
        switch = emit.builder.switch(rows, end)
        for number in range(1, library.tile.rows + 1):
            block = emit.builder.append_basic_block(f"rows_{number}")
            switch.add_case(number, block)
            emit.builder.position_at_end(block)
            library.call(emit, f"tile_{number}", (*operands, *goal, is_first))
            emit.builder.branch(end)
        emit.builder.position_at_end(end)
    emit.builder.ret(emit.integer(0))


@contextmanager
def _whole_tile(
    library: Library, emit: Emitter, rows: Any, columns: Any, c: Any, c_rows: Any, is_first: Any
) -> Iterator[tuple[Any, Any]]:
    """Memory for a whole tile's columns: where they are, or elsewhere, with what they are before, and copied after."""
    width = library.tile.columns
    whole = emit.builder.alloca(emit.real, library.tile.rows * width)
    is_ragged = emit.compare("<", columns, width)
    with emit.builder.if_then(emit.all(is_ragged, emit.compare("==", is_first, 0))):
        _copy(emit, rows, columns, (c, c_rows), (whole, width))
    yield emit.builder.select(is_ragged, whole, c), emit.builder.select(is_ragged, emit.integer(width), c_rows)
    with emit.builder.if_then(is_ragged):
        _copy(emit, rows, columns, (whole, width), (c, c_rows))


def _copy(emit: Emitter, rows: Any, columns: Any, source: tuple[Any, Any], target: tuple[Any, Any]) -> None:
    with emit.loop(0, rows) as row, emit.loop(0, columns) as column:
        start, goal = (emit.add(emit.mul(row, step), column) for _, step in (source, target))
        emit.store(emit.load(source[0], start), target[0], goal)


def _emit_tile(library: Library, rows: int) -> None:
    emit, vectors = library.function(f"tile_{rows}", _TILE), library.tile.vectors
    depth, a, a_rows, a_steps, b, b_steps, c, c_rows, is_first = emit.function.args
    goals = [
        (emit.at(c, emit.mul(c_rows, row)), vector * emit.lanes) for row in range(rows) for vector in range(vectors)
    ]
    totals = _totals(emit, goals, is_first)
    lefts = [emit.at(a, emit.mul(a_rows, row)) for row in range(rows)]
    whole = emit.multiple_below(depth, UNROLLED)
    for start, stop, steps in ((0, whole, UNROLLED), (whole, depth, 1)):
        with emit.carrying_loop(start, stop, totals, steps) as loop:
            following = loop.values
            for step in range(steps):
                index = emit.add(loop.index, step)
                left, right = emit.mul(index, a_steps), emit.mul(index, b_steps)
                following = _step(library, emit, [(row, left) for row in lefts], (b, right), following)
            loop.following += following
        totals = loop.values
    for total, goal in zip(totals, goals, strict=True):
        emit.store_vector(total, *goal)
    emit.builder.ret(emit.integer(0))


def _totals(emit: Emitter, goals: list[tuple[Any, Any]], is_first: Any) -> list[Any]:
    """What the products are added to: zeros, or what is there."""
    with emit.builder.if_else(emit.compare("==", is_first, 0)) as (later, first):
        with later:
            loaded = [emit.load_vector(*goal) for goal in goals]
            after_later = emit.builder.block
        with first:
            after_first = emit.builder.block
    totals = [emit.builder.phi(emit.vector) for _ in goals]
    for total, value in zip(totals, loaded, strict=True):
        total.add_incoming(value, after_later)
        total.add_incoming(emit.zeros, after_first)
    return totals


def _step(
    library: Library, emit: Emitter, lefts: list[tuple[Any, Any]], right: tuple[Any, Any], totals: list[Any]
) -> list[Any]:
    """The totals after one step: its elements of the left operand by its vectors of the right one."""
    b, start = right
    vectors = len(totals) // len(lefts)
    columns = [emit.load_vector(b, emit.add(start, vector * emit.lanes)) for vector in range(vectors)]
    rest = iter(totals)
    following = []
    for place in lefts:
        factor = emit.broadcast(emit.load(*place))
        following += [library.numbers.multiply_add(factor, column, next(rest), emit) for column in columns]
    return following
