"""The packing of panels.

A panel of width ``w`` holds, for each step of the sum, ``w`` neighbouring elements of an operand. Beyond the operand's
edge it repeats what is at the edge: of that, nothing reaches the result.

A panel is packed by strips: as many places as a vector has lanes. Where a strip's places are neighbours in memory, or
two runs of neighbours, or every second element, each step is a vector; otherwise, where the steps are neighbours,
vectors along the steps are transposed in registers; otherwise elements go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import Emitter, Integer
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import Gathered, Layout, Strided
from relaxdsl.kernels.contraction.tile import PACKED_STEPS
from relaxdsl.kernels.contraction.transposition import half_transposed, has_half_square, transposed

#: A row that is packed with others is long if it has more elements than this; how many rows ahead are fetched then, and
#: of shorter ones.
LONG_ROW, ROWS_AHEAD_IF_LONG, ROWS_AHEAD = 384, 2, 4
#: How to read one step of a strip as vectors, given where the step is; and the condition under which this is right.
_Reading = tuple[Any, Callable[[Any], list[Any]]]


def emit_panels(library: Library, layout: Layout, has_left: bool) -> None:
    """``left_panel``, if wanted, and ``right_panel(depth, count, source, places, steps, target)``: packs one panel.

    ``count`` of its places exist. A left panel is as wide as a tile is high, a right one as many vectors as it takes.
    """
    parameters = f"depth count {layout.parameters('source', 'places', 'steps')} target*"
    if has_left:
        rows, emit = library.tile.rows, library.function(f"left_panel{layout.suffix}", parameters)
        _emit_strip(library, emit, rows, rows, emit.function.args, layout)
    emit = library.function(f"right_strip{layout.suffix}", f"width {parameters}")
    width, *arguments = emit.function.args
    _emit_strip(library, emit, library.tile.lanes, width, arguments, layout)
    _emit_right_panel(library, library.function(f"right_panel{layout.suffix}", parameters), layout)


def emit_rows(library: Library) -> None:
    """``right_rows(width, above, depth, panel_depth, source, steps, group)``: packs whole panels row by row.

    That is the order in which rows come from memory fastest. A row some steps ahead is fetched: the fewer, the longer
    they are, so that the first-level cache holds them.
    """
    emit = library.function("right_rows", "width above depth panel_depth source* steps group*")
    width, above, depth, panel_depth, source, steps, group = emit.function.args
    columns, lanes = library.tile.columns, library.tile.lanes
    are_long = emit.compare(">", width, LONG_ROW)
    distance = emit.builder.select(are_long, emit.integer(ROWS_AHEAD_IF_LONG), emit.integer(ROWS_AHEAD))
    ahead, panel_size = emit.mul(distance, steps), emit.mul(columns, panel_depth)
    with emit.loop(0, depth) as step:
        goal = emit.at(group, emit.mul(emit.add(above, step), columns))
        start = emit.at(source, emit.mul(step, steps))
        with emit.carrying_loop(0, width, [start, goal], columns) as loop:
            place, target = loop.values
            for first in range(0, columns, emit.line_lanes):
                emit.prefetch(place, emit.add(ahead, first))
            vectors = [emit.load_vector(place, first) for first in range(0, columns, lanes)]
            for number, vector in enumerate(vectors):
                emit.store_vector(vector, target, number * lanes)
            loop.following += [emit.at(place, columns), emit.at(target, panel_size)]
    emit.builder.ret(emit.integer(0))


def _emit_right_panel(library: Library, emit: Emitter, layout: Layout) -> None:
    """Strip by strip, unless the whole panel is a run: then line by line of the caches."""
    depth, count, *where, target = emit.function.args
    operand, columns, lanes = layout.operand(emit, *where), library.tile.columns, library.tile.lanes
    panel = _Strip(library, emit, operand, count, columns, columns, depth, target)
    panel.copy(*panel.as_run())
    width = library.whole_vectors(emit, count)
    with emit.loop(0, width, lanes) as first:
        arguments = (width, depth, emit.sub(count, first), *operand.moved(first, 0).arguments, emit.at(target, first))
        library.call(emit, f"right_strip{layout.suffix}", arguments)
    emit.builder.ret(emit.integer(0))


def _emit_strip(
    library: Library, emit: Emitter, places: int, width: Integer, arguments: Sequence[Any], layout: Layout
) -> None:
    """Packs ``places`` of a panel of ``width``, of which the first ``count`` exist, and perhaps more.

    Where vectors do not divide the places, what they write beyond them is overwritten by the next step.
    """
    depth, count, *where, target = arguments
    operand = layout.operand(emit, *where)
    strip = _Strip(library, emit, operand, emit.smaller(count, places), places, width, depth, target)
    for condition, read in strip.readings():
        strip.copy(condition, read)
    strip.gather()
    emit.builder.ret(emit.integer(0))


@dataclass(frozen=True, eq=False, slots=True)
class _Strip:
    """A strip of ``places``, of which ``count`` exist, for ``depth`` steps of a panel of ``width``."""

    library: Library
    emit: Emitter
    operand: Strided | Gathered
    count: Any
    places: int
    width: Integer
    depth: Any
    target: Any

    def copy(self, condition: Any, read: Callable[[Any], list[Any]]) -> None:
        """If the condition holds, reads every step and returns from the function."""
        emit, operand = self.emit, self.operand
        with emit.builder.if_then(condition):
            with emit.loop(0, self.library.units(emit, self.depth)) as unit:
                if isinstance(operand, Strided):
                    emit.prefetch(operand.source, operand.step(emit.add(self._steps(unit)[0], PACKED_STEPS)))
                self._write(unit, self._joined(unit, read))
            emit.builder.ret(emit.integer(0))

    def _steps(self, unit: Any) -> list[Any]:
        """The steps that are one element of the panel."""
        size = self.library.numbers.steps
        return [unit] if size == 1 else [self.emit.add(self.emit.mul(unit, size), step) for step in range(size)]

    def _joined(self, unit: Any, read: Callable[[Any], list[Any]]) -> list[Any]:
        """What ``read`` gives for the steps of a unit, as elements of the panel. Steps that do not exist are zeros."""
        emit, numbers = self.emit, self.library.numbers
        first, *others = self._steps(unit)
        parts = [read(self.operand.step(first))]
        for step in others:
            exists, last = emit.compare("<", step, self.depth), emit.sub(self.depth, 1)
            found = read(self.operand.step(emit.smaller(step, last)))
            parts.append([emit.builder.select(exists, each, ir.Constant(each.type, None)) for each in found])
        return [numbers.join(list(each), emit) for each in zip(*parts, strict=True)]

    def _write(self, unit: Any, vectors: list[Any]) -> None:
        goal = self.emit.mul(unit, self.width)
        for number, vector in enumerate(vectors):
            self.emit.store_vector(vector, self.target, self.emit.add(goal, number * self.emit.lanes))

    # ---------------------------------------------------------------------------------------------- along the places

    def readings(self) -> Iterator[_Reading]:
        """The ways to read the strip step by step."""
        if self.emit.lanes == 1:
            return
        if self.library.numbers.steps > 1:
            # Few machines can read some bytes of a vector only.
            if self.places == self.emit.lanes and isinstance(self.operand, Strided):
                yield self.as_run()
        elif self.places != self.emit.lanes:
            if isinstance(self.operand, Strided):
                yield self._is_strided_by(1), self._read_parts
        elif isinstance(self.operand, Strided):
            yield from self._readings_of_strided(self.operand)
        else:
            yield from self._readings_of_gathered(self.operand)

    def as_run(self) -> _Reading:
        """As vectors along its places: right if all of them exist and are neighbours."""
        emit, operand = self.emit, self.operand
        if isinstance(operand, Strided):
            return self._is_strided_by(1), self.read_run
        is_whole = emit.compare("==", self.count, self.places)
        first = operand.place(0)
        runs = []
        for start in range(0, self.places, emit.lanes):
            offsets = emit.load_masked(operand.places, start, emit.lanes_below(emit.sub(self.count, start)))
            runs.append(emit.every(emit.are_from(offsets, emit.add(first, start), 1)))
        return emit.all(is_whole, *runs), lambda step: self.read_run(emit.add(step, first))

    def _readings_of_strided(self, operand: Strided) -> Iterator[_Reading]:
        yield self.as_run()
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
        yield emit.all(is_whole, emit.every(in_run)), lambda start: self.read_run(emit.add(start, first))
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

    def read_run(self, start: Any) -> list[Any]:
        """Places that are neighbours, and fill vectors."""
        firsts = range(0, self.places, self.emit.lanes)
        return [self.emit.load_vector(self.operand.source, self.emit.add(start, first)) for first in firsts]

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

    def gather(self) -> None:
        """By squares of vectors where the steps are neighbours, otherwise element by element."""
        emit = self.emit
        edge = emit.sub(self.count, 1)
        rows = [emit.at(self.operand.source, self.operand.place(emit.smaller(row, edge))) for row in range(self.places)]
        size = self.library.numbers.steps
        whole = emit.mul(emit.quotient(self.depth, size * emit.lanes), emit.lanes)
        with (
            emit.loop(0, whole, emit.lanes) as first,
            emit.builder.if_else(self._are_neighbours(emit.mul(first, size))) as (neighbours, others),
        ):
            with neighbours:
                self._transpose(rows, first)
            with others:
                self._copy_elements(rows, first, emit.add(first, emit.lanes))
        self._copy_elements(rows, whole, self.library.units(emit, self.depth))

    @property
    def is_panel(self) -> bool:
        """Whether nothing stands between its steps."""
        return isinstance(self.width, int) and self.width == self.places

    def _are_neighbours(self, start: Any) -> Any:
        """Whether the steps of as many units as a vector has lanes are neighbours."""
        emit = self.emit
        if isinstance(self.operand, Strided):
            return emit.compare("==", self.operand.steps, 1)
        runs = []
        for first in range(0, self.library.numbers.steps * emit.lanes, emit.lanes):
            offsets = emit.load_vector(self.operand.steps, emit.add(start, first))
            runs.append(emit.every(emit.are_from(offsets, emit.add(self.operand.step(start), first), 1)))
        return emit.all(*runs)

    def _transpose(self, rows: list[Any], first: Any) -> None:
        """A square of units from ``first`` on."""
        emit, lanes, numbers = self.emit, self.emit.lanes, self.library.numbers
        offset = self.operand.step(self._steps(first)[0])
        runs = [emit.load_vector(row, offset, lanes * numbers.steps) for row in rows]
        vectors = [numbers.join_run(run, emit) for run in runs]
        if self.is_panel and has_half_square(emit, self.places):
            self._write(first, half_transposed(emit, vectors))
            return
        vectors += [emit.undefined] * (-len(vectors) % lanes)
        squares = [transposed(emit, vectors[start : start + lanes]) for start in range(0, len(vectors), lanes)]
        for lane in range(lanes):
            self._write(emit.add(first, lane), [square[lane] for square in squares])

    def _copy_elements(self, rows: list[Any], start: Any, stop: Any) -> None:
        emit = self.emit
        with emit.loop(start, stop) as unit:
            elements = self._joined(unit, lambda offset: [emit.load(row, offset) for row in rows])
            goal = emit.mul(unit, self.width)
            for place, element in enumerate(elements):
                emit.store(element, self.target, emit.add(goal, place))
