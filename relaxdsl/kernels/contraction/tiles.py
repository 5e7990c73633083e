"""The register tile: the product of two packed panels."""

from __future__ import annotations

from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter, Integer
from relaxdsl.kernels.contraction.tile import Tile


def emit_tile(emit: Emitter, tile: Tile, is_packed: bool) -> None:
    """``tile(depth, a, a_rows, a_steps, b, c, c_rows, rows, columns, is_first)`` sets a tile of ``c``, or adds to it.

    Args:
        is_packed: ``a`` is a panel; otherwise it is anywhere, and all rows of the tile exist.
    """
    depth, a, a_rows, a_steps, b, c, c_rows, rows, columns, is_first = emit.function.args
    if is_packed:
        a_rows, a_steps = 1, tile.rows
    totals = _products(emit, tile, depth, a, a_rows, a_steps, b)
    is_whole = emit.all(emit.compare("==", rows, tile.rows), emit.compare("==", columns, tile.columns))
    with emit.builder.if_else(is_whole) as (whole, ragged):
        with whole:
            _write_whole(emit, tile, totals, c, c_rows, is_first)
        with ragged:
            _write_part(emit, tile, totals, c, c_rows, rows, columns, is_first)
    emit.builder.ret(emit.integer(0))


def _products(emit: Emitter, tile: Tile, depth: Any, a: Any, a_rows: Integer, a_steps: Integer, b: Any) -> list[Any]:
    """The tile's vectors, row by row: every step multiplies a column of ``a`` with a row of ``b``."""
    initial = [emit.zeros] * (tile.rows * tile.vectors)
    rows = [emit.at(a, emit.mul(a_rows, row)) for row in range(tile.rows)]
    with emit.carrying_loop(0, depth, initial) as loop:
        left, right = emit.mul(loop.index, a_steps), emit.mul(loop.index, tile.columns)
        vectors = [emit.load_vector(b, emit.add(right, lane * tile.lanes)) for lane in range(tile.vectors)]
        for row in range(tile.rows):
            factor = emit.broadcast(emit.load(rows[row], left))
            for place, vector in enumerate(vectors):
                total = loop.values[row * tile.vectors + place]
                loop.following.append(emit.multiply_add(factor, vector, total))
    return loop.values


def _write_whole(emit: Emitter, tile: Tile, totals: list[Any], c: Any, c_rows: Any, is_first: Any) -> None:
    rows = [emit.mul(c_rows, row) for row in range(tile.rows)]
    places = [emit.add(row, vector * tile.lanes) for row in rows for vector in range(tile.vectors)]
    with emit.builder.if_else(emit.compare("!=", is_first, 0)) as (first, later):
        with first:
            for total, place in zip(totals, places, strict=True):
                emit.store_vector(total, c, place)
        with later:
            for total, place in zip(totals, places, strict=True):
                emit.store_vector(emit.plus(emit.load_vector(c, place), total), c, place)


def _write_part(
    emit: Emitter, tile: Tile, totals: list[Any], c: Any, c_rows: Any, rows: Any, columns: Any, is_first: Any
) -> None:
    """Through memory, from which the elements within the result are copied."""
    with emit.builder.goto_entry_block():
        whole = emit.builder.alloca(emit.real, tile.rows * tile.columns)
    for number, total in enumerate(totals):
        emit.store_vector(total, whole, number * tile.lanes)
    with emit.loop(0, rows) as row, emit.loop(0, columns) as column:
        place = emit.add(emit.mul(row, c_rows), column)
        total = emit.load(whole, emit.add(emit.mul(row, tile.columns), column))
        old = emit.load(c, place)
        is_set = emit.compare("!=", is_first, 0)
        emit.store(emit.builder.select(is_set, total, emit.plus(old, total)), c, place)
