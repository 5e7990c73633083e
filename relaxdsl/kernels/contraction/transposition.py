"""Transposing a square of vectors in registers.

Elements first change places within chunks of 128 bits, which every machine does in one instruction, then the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter


def transposed(emit: Emitter, rows: list[Any]) -> list[Any]:
    """The columns of as many vectors as each has lanes."""
    chunk = min(emit.lanes, emit.chunk_lanes)
    groups = [_within_chunks(emit, rows[first : first + chunk], chunk) for first in range(0, len(rows), chunk)]
    distance = 1
    while distance < len(groups):
        groups = _exchanged(emit, groups, distance, chunk)
        distance *= 2
    return [vector for group in groups for vector in group]


def has_half_square(emit: Emitter, rows: int) -> bool:
    """Whether :func:`half_transposed` can do so many rows."""
    return rows == 2 * emit.chunk_lanes and emit.lanes == 4 * emit.chunk_lanes


def half_transposed(emit: Emitter, rows: list[Any]) -> list[Any]:
    """The columns of half as many vectors as each has lanes: two columns in each vector.

    It takes half of the instructions of a square.
    """
    chunk = emit.chunk_lanes
    upper, lower = (_within_chunks(emit, rows[first : first + chunk], chunk) for first in (0, chunk))
    made = []
    for half in (0, 2):
        places = ((0, half), (1, half), (0, half + 1), (1, half + 1))
        columns = [_chunks(emit, *pair, places) for pair in zip(upper, lower, strict=True)]
        for quarter in (0, 2):
            places = ((0, quarter), (0, quarter + 1), (1, quarter), (1, quarter + 1))
            made += [_chunks(emit, columns[column], columns[column + 1], places) for column in range(0, chunk, 2)]
    return made


def _chunks(emit: Emitter, left: Any, right: Any, places: Sequence[tuple[int, int]]) -> Any:
    """Chunks of two vectors, each named by its side and its number."""
    chunk = emit.chunk_lanes
    starts = (side * emit.lanes + number * chunk for side, number in places)
    return emit.shuffle(left, right, [start + lane for start in starts for lane in range(chunk)])


def _within_chunks(emit: Emitter, rows: list[Any], chunk: int) -> list[Any]:
    """For ``chunk`` rows: vector ``i`` has column ``i`` of every chunk, one chunk after the other."""
    unit = 1
    while unit < chunk:
        rows = [vector for pair in _pairs(rows, unit) for vector in _interleaved(emit, *pair, unit, chunk)]
        unit *= 2
    return rows


def _pairs(rows: list[Any], unit: int) -> list[tuple[Any, Any]]:
    """Those that are interleaved: of each ``2 * unit`` rows, one of the first half with one of the second."""
    firsts = [row for row in range(len(rows)) if row // unit % 2 == 0]
    return [(rows[row], rows[row + unit]) for row in firsts]


def _interleaved(emit: Emitter, left: Any, right: Any, unit: int, chunk: int) -> tuple[Any, Any]:
    """In every chunk, groups of ``unit`` of the lower halves of both, and the same of the upper halves."""
    halves = []
    for half in (0, chunk // 2):
        within = [
            start + lane + side
            for start in range(half, half + chunk // 2, unit)
            for side in (0, emit.lanes)
            for lane in range(unit)
        ]
        mask = [place + lane for place in range(0, emit.lanes, chunk) for lane in within]
        halves.append(emit.shuffle(left, right, mask))
    return halves[0], halves[1]


def _exchanged(emit: Emitter, groups: list[list[Any]], distance: int, chunk: int) -> list[list[Any]]:
    """Chunks change places between groups ``distance`` apart, as in the transposition of a square of chunks."""
    made = list(groups)
    for first in (group for group in range(len(groups)) if group // distance % 2 == 0):
        pairs = list(zip(groups[first], groups[first + distance], strict=True))
        for number, offset in ((first, 0), (first + distance, distance)):
            mask = [_source(emit, lane, offset, distance, chunk) for lane in range(emit.lanes)]
            made[number] = [emit.shuffle(left, right, mask) for left, right in pairs]
    return made


def _source(emit: Emitter, lane: int, offset: int, distance: int, chunk: int) -> int:
    """The lane of two joined vectors from which a lane is taken: each ``2 * distance`` chunks hold half of both."""
    place = lane // chunk
    is_second = place // distance % 2
    taken = place - is_second * distance + offset
    return is_second * emit.lanes + taken * chunk + lane % chunk
