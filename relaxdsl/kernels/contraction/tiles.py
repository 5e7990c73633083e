"""The register tile: the product of some rows of the left operand with neighbouring vectors of the right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.lefts import Left
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import STRIDED, Layout
from relaxdsl.kernels.contraction.rights import UNROLLED, Right

_REST = "ahead* ahead_offsets& c* c_rows is_first last"


def emit_tiles(library: Library, layout: Layout) -> None:
    """``tile(rows, vectors, depth, a, …, b, …, ahead, ahead_offsets, c, c_rows, is_first, last)``, for a layout of the
    operands, sets a tile.

    Or it adds to it, if it is not the first. It has ``rows`` by ``vectors`` vectors, at most as many as the library's
    tile, and ``last`` columns of the last vector; all of that vector are there in ``b``. Meanwhile it may fetch
    what is ``ahead`` (:mod:`.ahead`).
    """
    rows_range, vectors_range = range(1, library.most_rows(layout) + 1), range(1, library.tile.vectors + 1)
    for rows in rows_range:
        for vectors in vectors_range:
            _emit_tile(library, layout, rows, vectors)
    emit = library.function(f"tile{layout.suffix}", f"rows vectors {_parameters(library, layout)}")
    rows, vectors, *arguments = emit.function.args
    end = emit.builder.append_basic_block("end")
    stride = library.tile.vectors + 1
    switch = emit.builder.switch(emit.add(emit.mul(rows, stride), vectors), end)
    for height in rows_range:
        for width in vectors_range:
            block = emit.builder.append_basic_block(f"tile_{height}_{width}")
            switch.add_case(height * stride + width, block)
            emit.builder.position_at_end(block)
            library.call(emit, tile_name(height, width, layout), arguments)
            emit.builder.branch(end)
    emit.builder.position_at_end(end)
    emit.builder.ret(emit.integer(0))


def call_tile(library: Library, emit: Emitter, layout: Layout, rows: Any, columns: Any, arguments: Any) -> None:
    """Calls the tile with so many rows, and columns in whole vectors."""
    tile = library.tile
    is_whole = emit.all(emit.compare("==", rows, tile.rows), emit.compare("==", columns, tile.columns))
    with emit.builder.if_else(is_whole) as (whole, part):
        with whole:
            library.call(emit, tile_name(tile.rows, tile.vectors, layout), arguments)
        with part:
            library.call(emit, f"tile{layout.suffix}", (rows, emit.quotient(columns, tile.lanes), *arguments))


def _parameters(library: Library, layout: Layout) -> str:
    return f"depth {layout.left.PARAMETERS} {layout.right.parameters(library.tile)} {_REST}"


def tile_name(rows: int, vectors: int, layout: Layout = STRIDED) -> str:
    return f"tile_{rows}_{vectors}{layout.suffix}"


def _emit_tile(library: Library, layout: Layout, rows: int, vectors: int) -> None:
    """The function for one size of tiles. If they have all rows, it goes to one that is made for how they are spaced.

    In one function with a loop for each there would not be registers for all of them.
    """
    name, parameters = tile_name(rows, vectors, layout), _parameters(library, layout)
    emit = library.function(name, parameters)
    spacings = _usual(library, emit, layout, rows, vectors) if rows == library.tile.rows else []
    if not spacings:
        _emit_sum(library, emit, rows, vectors, *_operands(emit, layout, rows, vectors))
        return
    for number, (is_so_spaced, _, _) in enumerate(spacings):
        usual = library.function(f"{name}_usual_{number}", parameters)
        _, left, right = _usual(library, usual, layout, rows, vectors)[number]
        _emit_sum(library, usual, rows, vectors, left, right)
        with emit.builder.if_then(is_so_spaced):
            emit.builder.ret(library.call(emit, f"{name}_usual_{number}", emit.function.args, is_last=True))
    other = library.function(f"{name}_other", parameters)
    _emit_sum(library, other, rows, vectors, *_operands(other, layout, rows, vectors))
    emit.builder.ret(library.call(emit, f"{name}_other", emit.function.args, is_last=True))


def _operands(emit: Emitter, layout: Layout, rows: int, vectors: int) -> tuple[Left, Right]:
    """Those of a function that has the parameters of tiles."""
    operands = emit.function.args[1 : -len(_REST.split())]
    left_count = len(layout.left.PARAMETERS.split())
    return layout.left(emit, operands[:left_count], rows), layout.right(emit, operands[left_count:], vectors)


def _usual(
    library: Library, emit: Emitter, layout: Layout, rows: int, vectors: int
) -> list[tuple[Any, Left, Right]]:
    """They with constants for each of their usual spacings, and whether they are spaced so."""
    left, right = _operands(emit, layout, rows, vectors)
    is_usual, usual_right = right.usual()
    lefts = left.usual(library.numbers.is_read_in_place, library.may_pack_left(layout))
    return [(emit.all(is_usual, is_so_spaced), usual_left, usual_right) for is_so_spaced, usual_left in lefts]


def _emit_sum(library: Library, emit: Emitter, rows: int, vectors: int, left: Left, right: Right) -> None:
    """A tile's function. With all rows, it has a loop over several steps at a time, and one over those left over."""
    depth, *_, ahead, ahead_offsets, c, c_rows, is_first, last = emit.function.args
    goals = [
        (emit.at(c, emit.mul(c_rows, row)), vector * emit.lanes) for row in range(rows) for vector in range(vectors)
    ]
    masks = [*[None] * (vectors - 1), emit.lanes_below(last)] * rows
    is_frequent = rows == library.tile.rows
    following = emit.mul(c_rows, rows) if is_frequent else None
    totals = _totals(emit, goals, masks, is_first, following)
    whole = right.unrolled(depth) if is_frequent else None
    loops = ((0, depth, 1),) if whole is None else ((0, whole, UNROLLED), (whole, depth, 1))
    lefts, rights = left.places, right.places
    for start, stop, steps in loops:
        with emit.carrying_loop(start, stop, [ahead_offsets, *rights, *lefts, *totals], steps) as loop:
            ahead_offsets, *values = loop.values
            rights, lefts, totals = _parted(values, len(rights), len(lefts))
            if steps > 1:
                emit.prefetch(ahead, emit.load(ahead_offsets, 0))
                ahead_offsets = emit.at(ahead_offsets, 1)
            for _ in range(steps):
                if steps == 1:
                    right.fetch(rights)
                columns = right.vectors(rights)
                totals = _step(library, emit, left.elements(lefts), columns, totals, is_one_of_many=steps > 1)
                rights, lefts = right.moved(rights), left.moved(lefts)
            loop.following += [ahead_offsets, *rights, *lefts, *totals]
        ahead_offsets, *values = loop.values
        rights, lefts, totals = _parted(values, len(rights), len(lefts))
    if is_frequent:
        with emit.builder.if_then(emit.compare("==", last, emit.lanes)):
            _store(emit, totals, goals)
            emit.builder.ret(emit.integer(0))
    _store(emit, totals, goals, masks)
    emit.builder.ret(emit.integer(0))


def _totals(
    emit: Emitter, goals: list[tuple[Any, Any]], masks: list[Any], is_first: Any, following: Any | None
) -> list[Any]:
    """What the products are added to: zeros, or what is there.

    With ``following``, lines that are written come into the caches first: this tile's, if it does not read them anyway,
    and otherwise those of the tile after it, which is so many elements further.
    """
    with emit.builder.if_else(emit.compare("==", is_first, 0)) as (later, first):
        with later:
            loaded = [
                emit.load_vector(*goal) if mask is None else emit.load_masked(*goal, mask)
                for goal, mask in zip(goals, masks, strict=True)
            ]
            if following is not None:
                for place, offset in goals:
                    emit.prefetch(place, emit.add(following, offset), for_writing=True)
            after_later = emit.builder.block
        with first:
            if following is not None:
                for place, offset in goals:
                    emit.prefetch(place, offset, for_writing=True)
            after_first = emit.builder.block
    totals = [emit.builder.phi(emit.vector) for _ in goals]
    for total, value in zip(totals, loaded, strict=True):
        total.add_incoming(value, after_later)
        total.add_incoming(emit.zeros, after_first)
    return totals


def _parted(values: list[Any], first: int, second: int) -> tuple[list[Any], list[Any], list[Any]]:
    return values[:first], values[first : first + second], values[first + second :]


def _step(
    library: Library,
    emit: Emitter,
    elements: Iterator[Any],
    columns: list[Any],
    totals: list[Any],
    is_one_of_many: bool,
) -> list[Any]:
    """The totals after one step: its elements of the left operand by its vectors of the right one.

    Of several steps in an iteration, each row is multiplied before the element of the next one is read.
    """
    rest = iter(totals)
    following = []
    for element in elements:
        factor = emit.broadcast(element)
        sums = [library.numbers.multiply_add(factor, column, next(rest), emit) for column in columns]
        following += emit.in_registers(sums) if is_one_of_many else sums
    return following


def _store(emit: Emitter, totals: list[Any], goals: list[tuple[Any, Any]], masks: Sequence[Any] = ()) -> None:
    for total, goal, mask in zip_longest(totals, goals, masks):
        if mask is None:
            emit.store_vector(total, *goal)
        else:
            place, offset = goal
            emit.store_masked(total, place, offset, mask)
