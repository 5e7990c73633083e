"""Products from packed panels: blocks of rows, steps and columns around the register tile.

Of the right operand, first come the panels of the first :data:`.DEPTH` steps, one after the other, then those of the
next steps: so a panel's place depends on the sizes of the whole operand only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import LAYOUTS, STRIDED, Layout
from relaxdsl.kernels.contraction.packing import emit_panels
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, DEPTH, NARROW, PACKED_STEPS, ROW_BLOCK
from relaxdsl.kernels.contraction.tiles import emit_tile

_TILE = "depth a* a_rows a_steps b* c* c_rows rows columns is_first"
_GROUP = "height width depth is_in_place a* a_rows a_steps block* group* c* c_rows is_first"


def emit_blocks(library: Library) -> None:
    """``all_panels`` and ``all_tiles``, and the same for operands given by tables."""
    for name, is_packed in (("tile", True), ("tile_in_place", False)):
        emit_tile(library.function(name, _TILE), library.tile, is_packed)
    _emit_group_of_tiles(library)
    for layout in LAYOUTS:
        emit_panels(library, layout)
        _emit_left_block(library, layout)
        _emit_right_group(library, layout)
        _emit_all_panels(library, layout)
        _emit_all_tiles(library, layout)


@contextmanager
def _depths(emit: Emitter, k: Any) -> Iterator[tuple[Any, Any]]:
    """A loop over the blocks of steps: where each starts and how deep it is."""
    with emit.loop(0, k, DEPTH) as start:
        yield start, emit.smaller(DEPTH, emit.sub(k, start))


@contextmanager
def _groups(
    library: Library, emit: Emitter, n: Any, columns: tuple[Any, Any], block: tuple[Any, Any], panels: Any
) -> Iterator[tuple[Any, Any, Any]]:
    """A loop over groups of columns: where each starts, how wide it is, and the address of its panels."""
    first, stop = columns
    start, depth = block
    with emit.loop(first, stop, COLUMN_GROUP) as column:
        offset = emit.add(emit.mul(start, library.padded(emit, n)), emit.mul(column, depth))
        yield column, emit.smaller(COLUMN_GROUP, emit.sub(stop, column)), emit.at(panels, offset)


def _emit_all_panels(library: Library, layout: Layout) -> None:
    """Packs ``count`` groups of columns."""
    parameters = f"n k {layout.parameters('b', 'b_columns', 'b_steps')} first count panels*"
    emit = library.function(f"all_panels{layout.suffix}", parameters)
    n, k, b, b_columns, b_steps, first, count, panels = emit.function.args
    right = layout.operand(emit, b, b_columns, b_steps)
    stop = emit.smaller(n, emit.mul(emit.add(first, count), COLUMN_GROUP))
    columns = (emit.mul(first, COLUMN_GROUP), stop)
    with (
        _depths(emit, k) as (start, depth),
        _groups(library, emit, n, columns, (start, depth), panels) as (column, width, group),
    ):
        library.call(emit, f"right_group{layout.suffix}", (width, depth, *right.moved(column, start).arguments, group))
    emit.builder.ret(emit.integer(0))


def _emit_all_tiles(library: Library, layout: Layout) -> None:
    """By row block, then steps of the sum, then groups of columns."""
    parameters = f"rows n first_column columns k {layout.parameters('a', 'a_rows', 'a_steps')} c* c_rows panels* block*"
    emit = library.function(f"all_tiles{layout.suffix}", parameters)
    rows, n, first_column, columns, k, a, a_rows, a_steps, c, c_rows, panels, block = emit.function.args
    whole = layout.operand(emit, a, a_rows, a_steps)
    span = (first_column, emit.add(first_column, columns))
    is_in_place = emit.compare("<=", n, NARROW) if layout is STRIDED else emit.compare("<", n, 0)
    is_in_place = emit.builder.zext(is_in_place, n.type)
    with emit.loop(0, rows, ROW_BLOCK) as above, _depths(emit, k) as (start, depth):
        height = emit.smaller(ROW_BLOCK, emit.sub(rows, above))
        left = whole.moved(above, start).arguments
        library.call(emit, f"left_block{layout.suffix}", (height, depth, is_in_place, *left, block))
        is_first = emit.builder.zext(emit.compare("==", start, 0), n.type)
        with _groups(library, emit, n, span, (start, depth), panels) as (column, width, group):
            goal = emit.at(c, emit.add(emit.mul(above, c_rows), emit.sub(column, first_column)))
            in_place = left if layout is STRIDED else (block, 0, 0)
            library.call(
                emit,
                "group_of_tiles",
                (height, width, depth, is_in_place, *in_place, block, group, goal, c_rows, is_first),
            )
    emit.builder.ret(emit.integer(0))


def _emit_left_block(library: Library, layout: Layout) -> None:
    """Packs those rows of the left operand that the tiles do not read where they are."""
    parameters = f"height depth is_in_place {layout.parameters('a', 'a_rows', 'a_steps')} block*"
    emit = library.function(f"left_block{layout.suffix}", parameters)
    height, depth, is_in_place, a, a_rows, a_steps, block = emit.function.args
    left = layout.operand(emit, a, a_rows, a_steps)
    rows = library.tile.rows
    with emit.loop(0, height, rows) as row:
        count = emit.smaller(rows, emit.sub(height, row))
        with emit.builder.if_then(emit.builder.not_(_is_read_in_place(emit, is_in_place, count, rows))):
            target = emit.at(block, emit.mul(row, depth))
            library.call(emit, f"left_panel{layout.suffix}", (depth, count, *left.moved(row, 0).arguments, target))
    emit.builder.ret(emit.integer(0))


def _is_read_in_place(emit: Emitter, is_in_place: Any, count: Any, rows: int) -> Any:
    return emit.all(emit.compare("!=", is_in_place, 0), emit.compare("==", count, rows))


def _emit_right_group(library: Library, layout: Layout) -> None:
    """Packs neighbouring panels, some steps of all of them at a time, so that a page of memory is read at once."""
    parameters = f"width depth {layout.parameters('b', 'b_columns', 'b_steps')} group*"
    emit = library.function(f"right_group{layout.suffix}", parameters)
    width, depth, b, b_columns, b_steps, group = emit.function.args
    right = layout.operand(emit, b, b_columns, b_steps)
    columns = library.tile.columns
    with emit.loop(0, depth, PACKED_STEPS) as start, emit.loop(0, width, columns) as column:
        steps = emit.smaller(PACKED_STEPS, emit.sub(depth, start))
        count = emit.smaller(columns, emit.sub(width, column))
        target = emit.at(group, emit.add(emit.mul(column, depth), emit.mul(start, columns)))
        arguments = (steps, count, *right.moved(column, start).arguments, target)
        library.call(emit, f"right_panel{layout.suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def _emit_group_of_tiles(library: Library) -> None:
    emit = library.function("group_of_tiles", _GROUP)
    height, width, depth, is_in_place, a, a_rows, a_steps, block, group, c, c_rows, is_first = emit.function.args
    tile = library.tile
    with emit.loop(0, width, tile.columns) as column, emit.loop(0, height, tile.rows) as row:
        right, target = emit.at(group, emit.mul(column, depth)), emit.at(c, emit.add(emit.mul(row, c_rows), column))
        rows = emit.smaller(tile.rows, emit.sub(height, row))
        columns = emit.smaller(tile.columns, emit.sub(width, column))
        goal = (right, target, c_rows, rows, columns, is_first)
        with emit.builder.if_else(_is_read_in_place(emit, is_in_place, rows, tile.rows)) as (in_place, packed):
            with in_place:
                left = emit.at(a, emit.mul(row, a_rows))
                library.call(emit, "tile_in_place", (depth, left, a_rows, a_steps, *goal))
            with packed:
                left = emit.at(block, emit.mul(row, depth))
                library.call(emit, "tile", (depth, left, 0, 0, *goal))
    emit.builder.ret(emit.integer(0))
