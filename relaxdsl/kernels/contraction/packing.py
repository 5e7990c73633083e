"""The packing of panels.

A panel of width ``w`` holds, for each step of the sum, ``w`` neighbouring elements of an operand. Beyond the operand's
edge it repeats what is at the edge: of that, nothing reaches the result.

A panel is packed by strips: as many places as a vector has lanes. Where a strip's places are neighbours in memory, or
two runs of neighbours, or every second element, each step is a vector; otherwise, where the steps are neighbours,
vectors along the steps are transposed in registers; otherwise elements go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import STRIDED, Gathered, Layout, Strided
from relaxdsl.kernels.contraction.tile import PACKED_STEPS
from relaxdsl.kernels.contraction.transposition import transposed

#: How to read one step of a strip as vectors, given where the step is; and the condition under which this is right.
_Reading = tuple[Any, Callable[[Any], list[Any]]]


def emit_panels(library: Library, layout: Layout) -> None:
    """``left_panel`` and ``right_panel(depth, count, source, places, steps, target)``: packs one panel.

    ``count`` of its places exist.
    """
    parameters = f"depth count {layout.parameters('source', 'places', 'steps')} target*"
    rows, columns, lanes = library.tile.rows, library.tile.columns, library.tile.lanes
    _emit_strip(library.function(f"left_panel{layout.suffix}", parameters), rows, rows, layout)
    _emit_strip(library.function(f"right_strip{layout.suffix}", parameters), lanes, columns, layout)
    _emit_right_panel(library.function(f"right_panel{layout.suffix}", parameters), library, layout)


def _emit_right_panel(emit: Emitter, library: Library, layout: Layout) -> None:
    """Strip by strip, unless the whole panel is a run: then line by line of the caches."""
    depth, count, *where, target = emit.function.args
    operand, columns, lanes = layout.operand(emit, *where), library.tile.columns, library.tile.lanes
    if layout is STRIDED:
        is_run = emit.all(emit.compare("==", operand.places, 1), emit.compare("==", count, columns))
        with emit.builder.if_then(is_run):
            _copy_lines(emit, operand, columns, depth, target)
            emit.builder.ret(emit.integer(0))
    with emit.loop(0, columns, lanes) as first:
        place = emit.smaller(first, emit.sub(count, 1))
        arguments = (depth, emit.sub(count, place), *operand.moved(place, 0).arguments, emit.at(target, first))
        library.call(emit, f"right_strip{layout.suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def _copy_lines(emit: Emitter, operand: Strided, columns: int, depth: Any, target: Any) -> None:
    with emit.loop(0, depth) as step:
        emit.prefetch(operand.source, operand.step(emit.add(step, PACKED_STEPS)))
        start, goal = operand.step(step), emit.mul(step, columns)
        for place in range(0, columns, emit.lanes):
            emit.store_vector(emit.load_vector(operand.source, emit.add(start, place)), target, emit.add(goal, place))


def _emit_strip(emit: Emitter, places: int, width: int, layout: Layout) -> None:
    """Packs ``places`` of a panel of ``width``, of which the first ``count`` exist, and perhaps more.

    Where vectors do not divide the places, what they write beyond them is overwritten by the next step.
    """
    depth, count, *where, target = emit.function.args
    strip = _Strip(emit, layout.operand(emit, *where), emit.smaller(count, places), places, width, target)
    for condition, read in strip.readings():
        with emit.builder.if_then(condition):
            with emit.loop(0, depth) as step:
                strip.write(step, read(strip.operand.step(step)))
            emit.builder.ret(emit.integer(0))
    strip.gather(depth)
    emit.builder.ret(emit.integer(0))


@dataclass(frozen=True, eq=False, slots=True)
class _Strip:
    """A strip of ``places``, of which ``count`` exist."""

    emit: Emitter
    operand: Strided | Gathered
    count: Any
    places: int
    width: int
    target: Any

    def write(self, step: Any, vectors: list[Any]) -> None:
        goal = self.emit.mul(step, self.width)
        for number, vector in enumerate(vectors):
            self.emit.store_vector(vector, self.target, self.emit.add(goal, number * self.emit.lanes))

    # ---------------------------------------------------------------------------------------------- along the places

    def readings(self) -> Iterator[_Reading]:
        """The ways to read the strip step by step."""
        if self.emit.lanes == 1:
            return
        if self.places != self.emit.lanes:
            if isinstance(self.operand, Strided):
                yield self._is_strided_by(1), self._read_parts
        elif isinstance(self.operand, Strided):
            yield from self._readings_of_strided(self.operand)
        else:
            yield from self._readings_of_gathered(self.operand)

    def _readings_of_strided(self, operand: Strided) -> Iterator[_Reading]:
        yield self._is_strided_by(1), self._read_run
        yield self._is_strided_by(2), self._read_every_second
        existing = self.emit.lanes_below(self.count)
        yield self.emit.compare("==", operand.places, 1), lambda start: [self._masked(start, existing)]

    def _is_strided_by(self, spacing: int) -> Any:
        is_whole = self.emit.compare("==", self.count, self.places)
        return self.emit.all(is_whole, self.emit.compare("==", self.operand.places, spacing))

    def _readings_of_gathered(self, operand: Gathered) -> Iterator[_Reading]:
        emit, builder = self.emit, self.emit.builder
        existing = emit.lanes_below(self.count)
        offsets = emit.load_masked(operand.places, 0, existing)
        missing = builder.not_(existing)
        first = operand.place(0)
        is_whole = emit.compare("==", self.count, self.places)
        in_run = builder.or_(emit.are_from(offsets, first, 1), missing)
        yield emit.all(is_whole, emit.every(in_run)), lambda start: self._read_run(emit.add(start, first))
        in_second = emit.are_from(offsets, first, 2)
        yield emit.all(is_whole, emit.every(in_second)), lambda start: self._read_every_second(emit.add(start, first))
        # Two runs: a bit after the last one for a strip that is one run but not whole.
        length = emit.smaller(emit.first_false(in_run), emit.sub(self.count, 1))
        second = emit.sub(operand.place(length), length)
        in_first = emit.lanes_below(length)
        in_rest = builder.and_(builder.not_(in_first), existing)
        are_two = emit.every(builder.or_(builder.or_(emit.are_from(offsets, second, 1), in_first), missing))

        def read(start: Any) -> list[Any]:
            begin = self._masked(emit.add(start, first), in_first)
            return [self._masked(emit.add(start, second), in_rest, begin)]

        yield are_two, read

    def _read_run(self, start: Any) -> list[Any]:
        return [self.emit.load_vector(self.operand.source, start)]

    def _read_every_second(self, start: Any) -> list[Any]:
        """Of two vectors that reach from the first element to the last, and not beyond."""
        lanes = self.emit.lanes
        lower = self.emit.load_vector(self.operand.source, start)
        upper = self.emit.load_vector(self.operand.source, self.emit.add(start, lanes - 1))
        return [self.emit.shuffle(lower, upper, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])]

    def _read_parts(self, start: Any) -> list[Any]:
        """Vectors for the places of a strip that vectors do not divide."""
        lanes = self.emit.lanes
        sizes = [min(lanes, self.places - first) for first in range(0, self.places, lanes)]
        masks = [self.emit.lanes_below(size) for size in sizes]
        return [self._masked(self.emit.add(start, number * lanes), mask) for number, mask in enumerate(masks)]

    def _masked(self, start: Any, mask: Any, otherwise: Any = None) -> Any:
        return self.emit.load_masked(self.operand.source, start, mask, otherwise)

    # ----------------------------------------------------------------------------------------------- along the steps

    def gather(self, depth: Any) -> None:
        """By squares of vectors where the steps are neighbours, otherwise element by element."""
        emit = self.emit
        edge = emit.sub(self.count, 1)
        rows = [emit.at(self.operand.source, self.operand.place(emit.smaller(row, edge))) for row in range(self.places)]
        whole = emit.multiple_below(depth, emit.lanes)
        with (
            emit.loop(0, whole, emit.lanes) as start,
            emit.builder.if_else(self._are_neighbours(start)) as (neighbours, others),
        ):
            with neighbours:
                self._transpose(rows, start)
            with others:
                self._copy_elements(rows, start, emit.add(start, emit.lanes))
        self._copy_elements(rows, whole, depth)

    def _are_neighbours(self, start: Any) -> Any:
        """Whether as many steps as a vector has lanes are neighbours."""
        emit = self.emit
        if isinstance(self.operand, Strided):
            return emit.compare("==", self.operand.steps, 1)
        offsets = emit.load_vector(self.operand.steps, start)
        return emit.every(emit.are_from(offsets, self.operand.step(start), 1))

    def _transpose(self, rows: list[Any], start: Any) -> None:
        emit, lanes = self.emit, self.emit.lanes
        offset = self.operand.step(start)
        vectors = [emit.load_vector(row, offset) for row in rows]
        missing = -len(vectors) % lanes
        vectors += [emit.undefined] * missing
        squares = [transposed(emit, vectors[first : first + lanes]) for first in range(0, len(vectors), lanes)]
        for lane in range(lanes):
            self.write(emit.add(start, lane), [square[lane] for square in squares])

    def _copy_elements(self, rows: list[Any], start: Any, stop: Any) -> None:
        emit = self.emit
        with emit.loop(start, stop) as step:
            offset, goal = self.operand.step(step), emit.mul(step, self.width)
            for place, row in enumerate(rows):
                emit.store(emit.load(row, offset), self.target, emit.add(goal, place))
