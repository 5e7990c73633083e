"""Products with a right operand given by tables of which much is runs of memory, such as the windows of a convolution.

A *strip* is as many neighbouring columns as a vector has lanes. Where the columns of a strip are neighbours in memory,
tiles read it where it is: at each step, a vector from where the strip starts plus the step's offset. Other strips are
packed, one after the other, so that the offset of a step is its number times the lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from relaxdsl.kernels.contraction.ahead import Ahead
from relaxdsl.kernels.contraction.blocks import depths
from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import GATHERED, WINDOWS
from relaxdsl.kernels.contraction.packing import emit_panels
from relaxdsl.kernels.contraction.tile import PACKED_ROWS
from relaxdsl.kernels.contraction.tiles import call_tiles, emit_tiles

#: In the table of strips: this one is packed. No strip starts there.
PACKED = -(1 << 62)


def emit_helpers(library: Library) -> None:
    """What the two entries need."""
    if "right_strip_gathered" not in library.functions:  # all entries may be in one core
        emit_panels(library, GATHERED, has_left=False)
    emit_tiles(library, WINDOWS)


def emit_pack(library: Library, emit: Emitter) -> None:
    """Fills ``strips``: where each one starts. Packs those that are no runs."""
    columns, steps, b, b_steps, b_columns, panels, strips = emit.function.args
    operand, lanes = GATHERED.operand(emit, b, b_columns, b_steps), library.tile.lanes
    with emit.loop(0, columns, lanes) as column:
        strip = operand.moved(column, 0)
        count = emit.smaller(lanes, emit.sub(columns, column))
        first = strip.place(0)
        offsets = emit.load_masked(strip.places, 0, emit.lanes_below(count))
        is_whole = emit.compare("==", count, lanes)
        is_run = emit.all(is_whole, emit.every(emit.are_from(offsets, first, 1)))
        place = emit.quotient(column, lanes)
        with emit.builder.if_else(is_run) as (run, other):
            with run:
                emit.store(first, strips, place)
            with other:
                emit.store(INT64(PACKED), strips, place)
                target = emit.at(panels, emit.mul(column, steps))
                library.call(emit, "right_strip_gathered", (lanes, steps, count, *strip.arguments, target))
    emit.builder.ret(emit.integer(0))


def emit_contract(library: Library, emit: Emitter) -> None:
    """By steps of the sum, then tile by tile."""
    rows, columns, k, a, a_rows, a_steps, b, b_steps, strips, c, c_rows, panels = emit.function.args
    tile = library.tile
    with depths(emit, k, k, library.tile.window_depth) as (start, most):
        depth = emit.smaller(most, emit.sub(k, start))
        is_first = emit.builder.zext(emit.compare("==", start, 0), INT64)
        with _tiles(library, emit, rows, columns) as (above, height, column, most_columns):
            width = emit.smaller(most_columns, emit.sub(columns, column))
            left, goal = emit.at(a, emit.mul(start, a_steps)), emit.at(c, column)
            right = []
            for vector in range(tile.vectors):
                # Of a tile with fewer vectors, the last one stands for those that are not there.
                own = emit.smaller(emit.add(column, vector * tile.lanes), emit.sub(columns, 1))
                strip = emit.quotient(own, tile.lanes)
                first = emit.load(strips, strip)
                is_run = emit.compare("!=", first, PACKED)
                packed = emit.at(panels, emit.mul(emit.add(emit.mul(strip, k), start), tile.lanes))
                right.append(emit.builder.select(is_run, emit.at(b, first), packed))
                right.append(emit.builder.select(is_run, emit.at(b_steps, start), _multiples(library)))
            wide = library.whole_vectors(emit, width)
            last = emit.sub(tile.lanes, emit.sub(wide, width))
            ahead = Ahead.nothing(library, emit, left).arguments  # lines of a row that are used anyway
            operands = (depth, left, a_rows, a_rows, a_steps, *right, *ahead, 0, left, goal, c_rows, is_first, last)
            call_tiles(library, emit, WINDOWS, (above, height), wide, operands)
    emit.builder.ret(emit.integer(0))


@contextmanager
def _tiles(library: Library, emit: Emitter, rows: Any, columns: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """A loop over tiles: the first row and how many there are, the first column and how many there are at most.

    Of narrow tiles, neighbours follow each other: their windows share most of what they read, which stays in a small
    first-level cache besides a few rows of the left operand. Wide tiles keep their columns for a block of rows.
    """
    next_rows, next_columns = partial(library.next_rows, emit, WINDOWS), partial(library.next_columns, emit)
    if not library.tile.is_wide:
        with emit.parts(0, rows, next_rows) as above, emit.parts(0, columns, next_columns) as column:
            yield *above, *column
        return
    with emit.loop(0, rows, PACKED_ROWS) as first, emit.parts(0, columns, next_columns) as column:
        stop = emit.smaller(rows, emit.add(first, PACKED_ROWS))
        with emit.parts(first, stop, next_rows) as above:
            yield *above, *column


def _multiples(library: Library) -> Any:
    """The offsets of the steps of a packed strip: a constant table."""
    depth, lanes = library.tile.window_depth, library.tile.lanes
    return library.table("multiples", range(0, depth * lanes, lanes))
