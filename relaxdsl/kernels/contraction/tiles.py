"""The register tile: the product of some rows of the left operand with neighbouring vectors of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import STRIDED, Layout

#: Steps of the sum in one iteration of tiles with all rows; of the others, of which there are many, it is one.
UNROLLED = 4
#: How many steps before it is used the right operand is fetched: where it is read in place, no processor guesses it.
AHEAD = 8
_REST = "right* b_steps c* c_rows is_first last"


def emit_tiles(library: Library, layout: Layout) -> None:
    """``tile(rows, vectors, depth, a, …, b, b_steps, c, c_rows, is_first, last)``, for a layout of ``a``, sets a tile.

    Or it adds to it, if it is not the first. It has ``rows`` by ``vectors`` vectors, at most as many as the library's
    tile, and ``last`` columns of the last vector; all of that vector are there in ``b``.
    """
    rows_range, vectors_range = range(1, library.tile.rows + 1), range(1, library.tile.vectors + 1)
    for rows in rows_range:
        for vectors in vectors_range:
            _emit_tile(library, layout, rows, vectors)
    emit = library.function(f"tile{layout.suffix}", f"rows vectors depth {layout.left.PARAMETERS} {_REST}")
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


def tile_name(rows: int, vectors: int, layout: Layout = STRIDED) -> str:
    return f"tile_{rows}_{vectors}{layout.suffix}"


def _emit_tile(library: Library, layout: Layout, rows: int, vectors: int) -> None:
    emit = library.function(tile_name(rows, vectors, layout), f"depth {layout.left.PARAMETERS} {_REST}")
    depth, *a, b, b_steps, c, c_rows, is_first, last = emit.function.args
    goals = [
        (emit.at(c, emit.mul(c_rows, row)), vector * emit.lanes) for row in range(rows) for vector in range(vectors)
    ]
    masks = [*[None] * (vectors - 1), emit.lanes_below(last)] * rows
    is_frequent = rows == library.tile.rows
    following = emit.mul(c_rows, rows) if is_frequent else None
    totals = _totals(emit, goals, masks, is_first, following)
    # Panels come into the caches by themselves; for an operand in place, all steps are in the loop that fetches.
    are_panels = emit.compare("==", b_steps, vectors * emit.lanes)
    whole = emit.builder.select(are_panels, emit.multiple_below(depth, UNROLLED), emit.integer(0))
    loops = ((0, whole, UNROLLED), (whole, depth, 1)) if is_frequent else ((0, depth, 1),)
    ahead = emit.mul(b_steps, AHEAD)
    left = layout.left(emit, a, rows)
    places = [b, *left.places]
    for start, stop, steps in loops:
        with emit.carrying_loop(start, stop, [*places, *totals], steps) as loop:
            places, totals = loop.values[: len(places)], loop.values[len(places) :]
            for _ in range(steps):
                if steps == 1:
                    _fetch(emit, places[0], ahead, vectors)
                b, *lefts = places
                totals = _step(library, emit, left.elements(lefts), b, totals)
                places = [emit.moved(b, b_steps), *left.moved(lefts)]
            loop.following += places + totals
        places, totals = loop.values[: len(places)], loop.values[len(places) :]
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

    Then what is there for the tile after this one, which is ``following`` elements further, comes into the caches.
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
            after_first = emit.builder.block
    totals = [emit.builder.phi(emit.vector) for _ in goals]
    for total, value in zip(totals, loaded, strict=True):
        total.add_incoming(value, after_later)
        total.add_incoming(emit.zeros, after_first)
    return totals


def _fetch(emit: Emitter, b: Any, start: Any, vectors: int) -> None:
    """Asks for the lines of memory of some vectors, which need not exist."""
    for first in range(0, vectors * emit.lanes, emit.line_lanes):
        emit.prefetch(b, emit.add(start, first))


def _step(library: Library, emit: Emitter, elements: list[Any], b: Any, totals: list[Any]) -> list[Any]:
    """The totals after one step: its elements of the left operand by its vectors of the right one."""
    columns = [emit.load_vector(b, vector * emit.lanes) for vector in range(len(totals) // len(elements))]
    rest = iter(totals)
    following = []
    for element in elements:
        factor = emit.broadcast(element)
        following += [library.numbers.multiply_add(factor, column, next(rest), emit) for column in columns]
    return following


def _store(emit: Emitter, totals: list[Any], goals: list[tuple[Any, Any]], masks: Sequence[Any] = ()) -> None:
    for total, goal, mask in zip_longest(totals, goals, masks):
        if mask is None:
            emit.store_vector(total, *goal)
        else:
            place, offset = goal
            emit.store_masked(total, place, offset, mask)
