"""Products by register tiles: blocks of rows, steps and columns, and what of the operands is packed when.

The steps are cut into even blocks of at most :attr:`.Tile.depth`, or :attr:`.Tile.panel_depth` where panels are packed
before. Of the right operand's panels, first come those of the first block, one after the other, then those of the next:
where a panel is depends on the operand's sizes only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.ahead import Ahead, emit_offsets
from relaxdsl.kernels.contraction.emitter import INT64, Emitter, Integer
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import GATHERED, STRIDED, Gathered, Layout, Strided
from relaxdsl.kernels.contraction.packing import emit_panels, emit_rows
from relaxdsl.kernels.contraction.rights import UNROLLED
from relaxdsl.kernels.contraction.tile import (
    COLUMN_GROUP,
    GATHERED_STEPS,
    PACKED_COLUMNS,
    PACKED_ROWS,
    PACKED_STEPS,
)
from relaxdsl.kernels.contraction.tiles import call_tiles, emit_tiles
from relaxdsl.kernels.contraction.ways import FROM_PANELS, IN_PLACE, PACKING, emit_packs_left

NO_PANELS = 0
_RIGHT = "source b* b_steps b_columns"
_RESULT = "c* c_rows panels* block*"


def emit_blocks(library: Library, layouts: Sequence[Layout]) -> None:
    """``all_panels`` and ``all_tiles``, and the same for operands given by tables, as far as the layouts are wanted."""
    for layout in dict.fromkeys(_left_layout(library, each) for each in layouts):
        emit_tiles(library, layout)
        _emit_group_of_tiles(library, layout)
    for layout in layouts:
        packs_left = library.may_pack_left(layout)
        if layout.packed is layout or layout.packed not in layouts:
            emit_panels(library, layout.packed, packs_left)
            if _may_be_in_place(library, layout.packed):
                emit_rows(library)
            _emit_right_group(library, layout.packed)
            _emit_all_panels(library, layout.packed)
        if packs_left:
            _emit_left_block(library, layout)
        _emit_all_tiles(library, layout)


def _left_layout(library: Library, layout: Layout) -> Layout:
    """As what tiles read a left operand: packed or not, it is evenly spaced, or they look into tables themselves."""
    return layout if library.numbers.is_read_in_place else STRIDED


# ---------------------------------------------------------------------------------------------------------- the packing


def _emit_all_panels(library: Library, layout: Layout) -> None:
    """Packs ``count`` groups of columns."""
    parameters = f"n k {layout.parameters('b', 'b_columns', 'b_steps')} first count panels*"
    emit = library.function(f"all_panels{layout.suffix}", parameters)
    n, k, *right, first, count, panels = emit.function.args
    operand = layout.operand(emit, *right)
    stop = emit.smaller(n, emit.mul(emit.add(first, count), COLUMN_GROUP))
    column = emit.mul(first, COLUMN_GROUP)
    with depths(emit, k, k, library.tile.panel_depth) as (start, depth):
        group = emit.at(panels, _group_offset(library, emit, n, start, column, depth))
        arguments = (emit.sub(stop, column), 0, depth, depth, *operand.moved(column, start).arguments, group)
        library.call(emit, f"right_group{layout.suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def emit_fill(library: Library, emit: Emitter) -> None:
    """Packs some steps of some groups of columns; ``b`` is at the first of both.

    Where an element of a panel is several steps, the first one starts an element.
    """
    n, k, b, b_steps, b_columns, first_column, columns, first_step, steps, panels = emit.function.args
    operand = Strided(emit, b, b_columns, b_steps)
    last_step = emit.add(first_step, steps)
    with depths(emit, k, k, library.tile.panel_depth) as (start, depth):
        lower, upper = emit.larger(start, first_step), emit.smaller(emit.add(start, depth), last_step)
        with emit.builder.if_then(emit.compare("<", lower, upper)):
            group = emit.at(panels, _group_offset(library, emit, n, start, first_column, depth))
            part = operand.moved(0, emit.sub(lower, first_step))
            sizes = (columns, emit.sub(lower, start), emit.sub(upper, lower), depth)
            library.call(emit, "right_group", (*sizes, *part.arguments, group))
    emit.builder.ret(emit.integer(0))


@contextmanager
def depths(emit: Emitter, k: Any, steps: Any, most: Integer) -> Iterator[tuple[Any, Any]]:
    """A loop over the blocks of the first ``steps`` of ``k``: where each starts and how deep it is, ``most`` at most.

    All but the last have the same depth.
    """
    blocks = emit.quotient(emit.add(k, emit.sub(most, 1)), most)
    even = emit.quotient(emit.add(k, emit.sub(blocks, 1)), emit.larger(blocks, 1))
    depth = emit.mul(emit.quotient(emit.add(even, UNROLLED - 1), UNROLLED), UNROLLED)
    with emit.loop(0, steps, depth) as start:
        yield start, emit.smaller(depth, emit.sub(k, start))


def _group_offset(library: Library, emit: Emitter, n: Any, start: Any, column: Any, depth: Any) -> Any:
    """Where in the panels those of a group of columns are, for the steps from ``start`` on."""
    start, depth = library.units(emit, start), library.units(emit, depth)
    return emit.add(emit.mul(start, library.whole_vectors(emit, n)), emit.mul(column, depth))


def _emit_right_group(library: Library, layout: Layout) -> None:
    """Packs neighbouring panels of ``panel_depth`` steps, or ``depth`` steps of each, from the step ``above`` on.

    There is nothing after their ``width`` columns, or they are groups of :data:`.PACKED_COLUMNS`.

    Rows that are runs of memory are packed one after the other. Of what is otherwise spaced, some steps of all panels
    are packed at a time, so that a page of memory is read at once. Where the steps are neighbours, it is read at once
    anyway. Tables are looked into before, which takes as long as many steps.
    """
    parameters = f"width above depth panel_depth {layout.parameters('b', 'b_columns', 'b_steps')} group*"
    emit = library.function(f"right_group{layout.suffix}", parameters)
    width, above, depth, panel_depth, *right, group = emit.function.args
    operand = layout.operand(emit, *right)
    chunk = emit.integer(PACKED_STEPS if layout is STRIDED else GATHERED_STEPS)
    if layout is STRIDED:
        chunk = emit.builder.select(emit.compare("==", operand.steps, 1), emit.integer(library.tile.panel_depth), chunk)
    whole = emit.integer(0)
    if _may_be_in_place(library, layout):
        are_runs = emit.compare("==", operand.places, 1)
        whole = emit.builder.select(are_runs, emit.multiple_below(width, PACKED_COLUMNS), whole)
        sizes = (whole, above, depth, panel_depth)
        library.call(emit, "right_rows", (*sizes, operand.source, operand.steps, group))
    with emit.loop(0, depth, chunk) as start, emit.loop(whole, width, PACKED_COLUMNS) as base:
        steps = emit.smaller(chunk, emit.sub(depth, start))
        extent = emit.smaller(PACKED_COLUMNS, emit.sub(width, base))
        with emit.parts(0, extent, partial(library.next_columns, emit)) as (place, panel):
            column, count = emit.add(base, place), emit.smaller(panel, emit.sub(extent, place))
            first = emit.mul(library.units(emit, emit.add(above, start)), panel)
            target = emit.at(group, emit.add(emit.mul(column, library.units(emit, panel_depth)), first))
            arguments = (steps, count, *operand.moved(column, start).arguments, target)
            library.call(emit, f"right_panel{layout.suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def _emit_left_block(library: Library, layout: Layout) -> None:
    parameters = f"height depth {layout.parameters('a', 'a_rows', 'a_steps')} block*"
    emit = library.function(f"left_block{layout.suffix}", parameters)
    height, depth, *left, block = emit.function.args
    operand, rows = layout.operand(emit, *left), library.tile.rows
    with emit.loop(0, height, rows) as row:
        count = emit.smaller(rows, emit.sub(height, row))
        target = emit.at(block, emit.mul(row, library.units(emit, depth)))
        library.call(emit, f"left_panel{layout.suffix}", (depth, count, *operand.moved(row, 0).arguments, target))
    emit.builder.ret(emit.integer(0))


# ------------------------------------------------------------------------------------------------------------ the tiles


def _emit_all_tiles(library: Library, layout: Layout) -> None:
    """By row block, then steps of the sum, then groups of columns. Of ``k`` steps in the panels, ``steps`` are summed,
    to what is there if these are not the first.

    A right operand given by tables is always packed before.
    """
    name, strides = ("all_tiles", _RIGHT) if layout is STRIDED else (f"all_tiles{layout.suffix}", "")
    left = layout.parameters("a", "a_rows", "a_steps")
    parameters = f"rows n first_column columns k steps is_first {left} {strides} {_RESULT}"
    emit = library.function(name, parameters)
    rows, n, first_column, columns, k, steps, is_first, *others = emit.function.args
    a, a_rows, a_steps, *right, c, c_rows, panels, block = others
    operand, stop = layout.operand(emit, a, a_rows, a_steps), emit.add(first_column, columns)
    packed, packs_left = block, None
    if library.numbers.is_read_in_place and library.may_pack_left(layout):
        packs_left = emit_packs_left(emit, n, columns, a_steps)
        most_rows = emit.smaller(PACKED_ROWS, emit.multiple_above(rows, library.tile.rows))
        left_rows = emit.builder.select(packs_left, most_rows, emit.integer(0))
        packed = emit.at(block, emit.mul(left_rows, emit.smaller(k, library.tile.panel_depth)))
    most = emit.integer(library.tile.panel_depth)
    if _may_be_in_place(library, layout):
        way, _, b_steps, b_columns = right
        is_before = emit.compare("==", way, FROM_PANELS)
        most = emit.builder.select(is_before, most, emit.integer(library.tile.depth))
        spacing = emit.builder.select(emit.compare("==", b_columns, 1), b_steps, b_columns)
        offsets = emit_offsets(library, emit, emit.compare("==", way, PACKING), spacing)
    with emit.loop(0, rows, PACKED_ROWS) as above, depths(emit, k, steps, most) as (start, panel_depth):
        depth = emit.smaller(panel_depth, emit.sub(steps, start))
        height = emit.smaller(PACKED_ROWS, emit.sub(rows, above))
        lefts = _left_tiles(library, emit, operand.moved(above, start), (height, depth), packs_left, block)
        sets = emit.builder.zext(emit.all(emit.compare("==", start, 0), emit.compare("==", is_first, 1)), INT64)
        with emit.loop(emit.multiple_below(first_column, PACKED_COLUMNS), stop, PACKED_COLUMNS) as base:
            column = emit.larger(first_column, base)
            width = emit.sub(emit.smaller(stop, emit.add(base, PACKED_COLUMNS)), column)
            goal = emit.at(c, layout.in_result(emit, above, emit.sub(column, first_column), c_rows))
            group = emit.at(panels, _group_offset(library, emit, n, start, base, panel_depth))
            extent = emit.smaller(PACKED_COLUMNS, emit.sub(n, base))
            before = _Panels(group, panel_depth, extent, emit.sub(column, base))
            kind = _left_layout(library, layout)
            tiles = _Tiles(library, emit, kind, height, depth, lefts, c_rows, sets)
            if _may_be_in_place(library, layout):
                ahead = _packed_next(library, emit, right, offsets, (base, first_column, stop), (start, depth, steps))
                tiles.multiply(right, (start, column), width, before, packed, ahead, goal)
            else:
                tiles.multiply_panels(width, before, Ahead.nothing(library, emit, panels), goal)
    emit.builder.ret(emit.integer(0))


def _may_be_in_place(library: Library, layout: Layout) -> bool:
    """Whether a right operand may be read in place, or packed by the call that uses it."""
    return library.numbers.is_read_in_place and layout is STRIDED


def _left_tiles(
    library: Library, emit: Emitter, operand: Strided | Gathered, sizes: tuple[Any, Any], is_packed: Any, block: Any
) -> tuple[Any, ...]:
    """The left operand as tiles read it: where it starts, what is between tiles per row, between rows, between steps.

    ``is_packed``: it is packed into ``block``; None where it never is. Tiles look into tables themselves: one
    instruction a step.
    """
    height, depth = sizes
    packed = (block, library.units(emit, depth), emit.integer(1), emit.integer(library.tile.rows))
    if not library.numbers.is_read_in_place:
        suffix = "" if isinstance(operand, Strided) else GATHERED.suffix
        library.call(emit, f"left_block{suffix}", (height, depth, *operand.arguments, block))
        return packed
    if isinstance(operand, Gathered):
        return operand.arguments
    in_place = (operand.source, operand.places, operand.places, operand.steps)
    if is_packed is None:
        return in_place
    with emit.builder.if_then(is_packed):
        library.call(emit, "left_block", (height, depth, *operand.arguments, block))
    return tuple(emit.choose(is_packed, packed, in_place))


@dataclass(frozen=True, eq=False, slots=True)
class _Panels:
    """A group of panels of ``extent`` columns together and ``depth`` steps; ``first`` columns of them are not used."""

    source: Any
    depth: Any
    extent: Any
    first: Any

    @property
    def arguments(self) -> tuple[Any, Any, Any, Any]:
        return self.source, self.depth, self.extent, self.first


@dataclass(frozen=True, eq=False, slots=True)
class _Tiles:
    """Some rows and steps of a product, whose columns are to be computed. Panels may have more steps than those."""

    library: Library
    emit: Emitter
    layout: Layout
    height: Any
    depth: Any
    left: tuple[Any, ...]
    c_rows: Any
    is_first: Any

    def multiply(
        self,
        right: list[Any],
        place: tuple[Any, Any],
        width: Any,
        before: _Panels,
        packed: Any,
        ahead: Ahead,
        goal: Any,
    ) -> None:
        """A group of columns, from wherever the right operand is read. ``place``: its first step and column."""
        emit, lanes = self.emit, self.library.tile.lanes
        source, b, b_steps, b_columns = right
        start, column = place
        operand = Strided(emit, b, b_columns, b_steps).moved(column, start)
        is_in_place = emit.compare("==", source, IN_PLACE)
        in_place = emit.builder.select(is_in_place, emit.multiple_below(width, lanes), emit.integer(0))
        self._multiply(in_place, (operand.source, 1, b_steps, NO_PANELS, 0), Ahead.nothing(self.library, emit, b), goal)
        rest, width = operand.moved(in_place, 0), emit.sub(width, in_place)
        is_before = emit.compare("==", source, FROM_PANELS)
        with emit.builder.if_then(emit.builder.not_(is_before)):
            self.library.call(emit, "right_group", (width, 0, self.depth, self.depth, *rest.arguments, packed))
        now = (packed, self.depth, width, 0)
        panels = _Panels(*emit.choose(is_before, before.arguments, now))
        self.multiply_panels(width, panels, ahead, emit.at(goal, in_place))

    def multiply_panels(self, width: Any, panels: _Panels, ahead: Ahead, goal: Any) -> None:
        """``width`` columns, from panels."""
        steps_apart = 0  # in a panel: its width
        units = self.library.units(self.emit, panels.depth)
        self._multiply(width, (panels.source, units, steps_apart, panels.extent, panels.first), ahead, goal)

    def _multiply(self, width: Any, right: tuple[Any, ...], ahead: Ahead, goal: Any) -> None:
        units = self.library.units(self.emit, self.depth)
        operands = (*self.left, *right, *ahead.arguments)
        arguments = (self.height, width, units, *operands, goal, self.c_rows, self.is_first)
        self.library.call(self.emit, f"group_of_tiles{self.layout.suffix}", arguments)


def _packed_next(
    library: Library,
    emit: Emitter,
    right: list[Any],
    offsets: Any,
    columns: tuple[Any, Any, Any],
    steps: tuple[Any, Any, Any],
) -> Ahead:
    """What a call will pack after this group: the group to its right, or the first one of the next steps, if any.

    Args:
        offsets: the table of where its lines are.
        columns: where this group starts, and the call's first column and the one after its last.
        steps: where this group starts, how deep it is, and how many there are.
    """
    way, b, b_steps, b_columns = right
    (base, first_column, stop), (start, depth, all_steps) = columns, steps
    is_last = emit.compare("<=", stop, emit.add(base, PACKED_COLUMNS))
    step = emit.builder.select(is_last, emit.add(start, depth), emit.integer(start))
    column = emit.builder.select(is_last, first_column, emit.add(base, PACKED_COLUMNS))
    count = emit.smaller(depth, emit.sub(all_steps, step))
    width = emit.smaller(PACKED_COLUMNS, emit.sub(stop, column))
    source = Strided(emit, b, b_columns, b_steps).moved(column, step).source
    by_rows = Ahead.of_runs(emit, source, b_steps, count, width, offsets)
    by_columns = Ahead.of_runs(emit, source, b_columns, width, count, offsets)
    are_rows, are_columns = emit.compare("==", b_columns, 1), emit.compare("==", b_steps, 1)
    is_packed = emit.all(emit.compare("==", way, PACKING), emit.compare(">", count, 0), emit.any(are_rows, are_columns))
    return by_rows.when(emit, are_rows, by_columns).when(emit, is_packed, Ahead.nothing(library, emit, b))


def _emit_group_of_tiles(library: Library, layout: Layout) -> None:
    """``height`` rows by ``width`` columns, tile by tile.

    The right operand is panels of ``extent`` columns together, of which the first ``before`` are left out, or, if that
    is :data:`NO_PANELS`, in place. Tiles end where panels do. They fetch what is ``ahead``, or if that is nothing, each
    panel the one after it.
    """
    right_parameters = "right* b_tiles b_steps extent before"
    operands = f"{layout.left.GROUP_PARAMETERS} {right_parameters} {Ahead.PARAMETERS}"
    parameters = f"height width depth {operands} c* c_rows is_first"
    emit = library.function(f"group_of_tiles{layout.suffix}", parameters)
    height, width, depth, *given, c, c_rows, is_first = emit.function.args
    ahead_count = len(Ahead.PARAMETERS.split())
    *a, b, b_tiles, b_steps, extent, before = given[:-ahead_count]
    tile, are_panels, ahead = library.tile, emit.compare("!=", extent, NO_PANELS), Ahead(*given[-ahead_count:])
    are_next = emit.all(are_panels, emit.compare("==", ahead.blocks, 0))
    tiles = emit.quotient(emit.add(height, tile.rows - 1), tile.rows)
    stop, most = emit.add(before, width), emit.builder.select(are_panels, extent, width)
    with emit.parts(0, most, partial(library.next_columns, emit)) as (start, panel):
        column = emit.larger(start, before)
        columns = emit.sub(emit.smaller(stop, emit.add(start, panel)), column)
        with emit.builder.if_then(emit.compare(">", columns, 0)):
            wide = library.whole_vectors(emit, columns)
            last = emit.sub(tile.lanes, emit.sub(wide, columns))
            source = emit.at(b, emit.add(emit.mul(start, b_tiles), emit.sub(column, start)))
            right = (source, emit.builder.select(are_panels, panel, b_steps))
            size = emit.mul(panel, b_tiles)
            following = emit.at(b, emit.mul(emit.add(start, panel), b_tiles))
            fetched = Ahead.run(library, emit, following, size).when(emit, are_next, ahead)
            tiles_before = emit.mul(emit.quotient(start, tile.columns), tiles)
            first = emit.builder.select(are_next, emit.integer(0), tiles_before)
            with emit.parts(0, height, partial(library.next_tiles, emit, layout)) as rows:
                number = emit.add(first, emit.quotient(rows[0], tile.rows))
                goal = emit.at(c, layout.in_result(emit, 0, emit.sub(column, before), c_rows))
                arguments = (depth, *a, *right, *fetched.arguments, number, source, goal, c_rows, is_first, last)
                call_tiles(library, emit, layout, rows, wide, arguments)
    emit.builder.ret(emit.integer(0))
