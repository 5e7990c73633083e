"""Products with a right operand given by tables of which much is runs of memory, such as the windows of a convolution.

A *strip* is as many neighbouring columns as a vector has lanes. Where the columns of a strip are neighbours in memory,
tiles read it where it is: at each step, a vector from where the strip starts plus the step's offset. Other strips are
packed, one after the other, so that the offset of a step is its number times the lanes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir

from relaxdsl.kernels.contraction.blocks import depths
from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import GATHERED, WINDOWS
from relaxdsl.kernels.contraction.packing import emit_panels
from relaxdsl.kernels.contraction.tile import PACKED_ROWS
from relaxdsl.kernels.contraction.tiles import emit_tiles, tile_name

#: In the table of strips: this one is packed. No strip starts there.
PACKED = -(1 << 62)


def emit_helpers(library: Library) -> None:
    """What the two entries need."""
    if "right_strip_gathered" not in library.functions:  # all entries may be in one core
        emit_panels(library, GATHERED, has_left=False)
    emit_tiles(library, WINDOWS)
    _emit_rows_of_tiles(library)


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
    """By steps of the sum, then row blocks, then tiles' columns."""
    rows, columns, k, a, a_rows, a_steps, b, b_steps, strips, c, c_rows, panels = emit.function.args
    tile = library.tile
    with depths(emit, k, k, library.tile.window_depth) as (start, most):
        depth = emit.smaller(most, emit.sub(k, start))
        is_first = emit.builder.zext(emit.compare("==", start, 0), INT64)
        parts = emit.parts(0, columns, partial(library.next_columns, emit))
        with emit.loop(0, rows, PACKED_ROWS) as above, parts as (column, most_columns):
            height = emit.smaller(PACKED_ROWS, emit.sub(rows, above))
            width = emit.smaller(most_columns, emit.sub(columns, column))
            left = emit.at(a, emit.add(emit.mul(above, a_rows), emit.mul(start, a_steps)))
            goal = emit.at(c, emit.add(emit.mul(above, c_rows), column))
            right = []
            for vector in range(tile.vectors):
                # Of a tile with fewer vectors, the last one stands for those that are not there.
                own = emit.smaller(emit.add(column, vector * tile.lanes), emit.sub(columns, 1))
                place = emit.quotient(own, tile.lanes)
                first = emit.load(strips, place)
                is_run = emit.compare("!=", first, PACKED)
                packed = emit.at(panels, emit.mul(emit.add(emit.mul(place, k), start), tile.lanes))
                right.append(emit.builder.select(is_run, emit.at(b, first), packed))
                right.append(emit.builder.select(is_run, emit.at(b_steps, start), _multiples(library)))
            operands = (left, a_rows, a_steps, *right)
            library.call(emit, "rows_of_tiles", (height, width, depth, *operands, goal, c_rows, is_first))
    emit.builder.ret(emit.integer(0))


def _multiples(library: Library) -> Any:
    """The offsets of the steps of a packed strip: a constant table."""
    name, depth, lanes = "multiples", library.tile.window_depth, library.tile.lanes
    if name not in library.module.globals:
        kind = ir.ArrayType(INT64, depth)
        made = ir.GlobalVariable(library.module, kind, name)
        made.linkage, made.global_constant = "internal", True
        made.initializer = ir.Constant(kind, [lanes * step for step in range(depth)])
    return library.module.globals[name].bitcast(INT64.as_pointer())


def _emit_rows_of_tiles(library: Library) -> None:
    """``height`` rows of one tile's columns."""
    tile = library.tile
    rights = WINDOWS.right.parameters(tile)
    parameters = f"height width depth left* a_rows a_steps {rights} c* c_rows is_first"
    emit = library.function("rows_of_tiles", parameters)
    height, width, depth, left, a_rows, a_steps, *right, c, c_rows, is_first = emit.function.args
    wide = library.whole_vectors(emit, width)
    last = emit.sub(tile.lanes, emit.sub(wide, width))
    with emit.parts(0, height, partial(library.next_rows, emit, WINDOWS)) as (row, rows):
        goal = emit.at(c, emit.mul(row, c_rows))
        first = emit.at(left, emit.mul(row, a_rows))
        operands = (depth, first, a_rows, a_steps, *right, first, 0, goal, c_rows, is_first, last)
        is_whole = emit.all(emit.compare("==", rows, tile.rows), emit.compare("==", wide, tile.columns))
        with emit.builder.if_else(is_whole) as (whole, part):
            with whole:
                library.call(emit, tile_name(tile.rows, tile.vectors, WINDOWS), operands)
            with part:
                vectors = emit.quotient(wide, tile.lanes)
                library.call(emit, f"tile{WINDOWS.suffix}", (rows, vectors, *operands))
    emit.builder.ret(emit.integer(0))
