"""The register tile: the product of some rows of the left operand with neighbouring vectors of the right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, pairwise
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.ahead import Ahead
from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.lefts import Left
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.operands import STRIDED, Layout
from relaxdsl.kernels.contraction.rights import UNROLLED, Right
from relaxdsl.kernels.contraction.transposition import transposed

_REST = f"{Ahead.PARAMETERS} number own* c* c_rows is_first last"


def emit_tiles(library: Library, layout: Layout) -> None:
    """``tile(rows, vectors, first, stop, depth, a, …, b, …, ahead, …, c, c_rows, is_first, last)``, for a layout of the
    operands, sets the rows of a result from ``first`` to ``stop``: one tile, or several with all rows.

    Or it adds to them, if they are not the first. A tile has ``rows`` by ``vectors`` vectors, at most as many as the
    library's, and ``last`` columns of the last vector; all of that vector are there in ``b``. Meanwhile it may
    fetch what is ``ahead`` (:mod:`.ahead`): the first tile the share with this ``number``.
    """
    rows_range, vectors_range = range(1, library.most_rows(layout) + 1), range(1, library.tile.vectors + 1)
    for rows in rows_range:
        for vectors in vectors_range:
            _emit_tiles(library, layout, rows, vectors)
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


def call_tiles(
    library: Library, emit: Emitter, layout: Layout, span: tuple[Any, Any], columns: Any, arguments: Sequence[Any]
) -> None:
    """Calls tiles for some rows, from where on and how many, and columns in whole vectors."""
    tile, (first, count) = library.tile, span
    are_whole = emit.compare("==", emit.builder.urem(count, emit.integer(tile.rows)), 0)
    arguments = (first, emit.add(first, count), *arguments)
    with emit.builder.if_else(emit.all(are_whole, emit.compare("==", columns, tile.columns))) as (whole, part):
        with whole:
            library.call(emit, tile_name(tile.rows, tile.vectors, layout), arguments)
        with part:
            rows = emit.builder.select(are_whole, emit.integer(tile.rows), count)
            library.call(emit, f"tile{layout.suffix}", (rows, emit.quotient(columns, tile.lanes), *arguments))


def _parameters(library: Library, layout: Layout) -> str:
    return f"first stop depth {layout.left.GROUP_PARAMETERS} {layout.right.parameters(library.tile)} {_REST}"


def tile_name(rows: int, vectors: int, layout: Layout = STRIDED) -> str:
    return f"tile_{rows}_{vectors}{layout.suffix}"


def _emit_tiles(library: Library, layout: Layout, rows: int, vectors: int) -> None:
    """The function for one size of tiles. If they have all rows, it goes to one that is made for how they are spaced.

    In one function with a loop for each there would not be registers for all of them.
    """
    name, parameters = tile_name(rows, vectors, layout), _parameters(library, layout)
    tiles = _TileFunction(library, library.function(name, parameters), layout, rows, vectors)
    spacings = tiles.usual(tiles.first) if rows == library.tile.rows else []
    if not spacings:
        tiles.emit_tiles()
        return
    emit = tiles.emit
    for number, (is_so_spaced, _, _) in enumerate(spacings):
        made = _TileFunction(library, library.function(f"{name}_usual_{number}", parameters), layout, rows, vectors)
        made.emit_tiles(number)
        with emit.builder.if_then(is_so_spaced):
            emit.builder.ret(library.call(emit, f"{name}_usual_{number}", emit.function.args, is_last=True))
    other = _TileFunction(library, library.function(f"{name}_other", parameters), layout, rows, vectors)
    other.emit_tiles()
    emit.builder.ret(library.call(emit, f"{name}_other", emit.function.args, is_last=True))


class _TileFunction:
    """A function for tiles of one size under construction, with its parameters."""

    def __init__(self, library: Library, emit: Emitter, layout: Layout, rows: int, vectors: int) -> None:
        self.library, self.emit, self.layout, self.rows, self.vectors = library, emit, layout, rows, vectors
        self.first, self.stop, self.depth, *others = emit.function.args
        *others, self.number, self.own, self.c, self.c_rows, self.is_first, self.last = others
        left_count, ahead_count = (len(each.split()) for each in (layout.left.GROUP_PARAMETERS, Ahead.PARAMETERS))
        self.left, self.right = others[:left_count], others[left_count:-ahead_count]
        self.ahead = Ahead(*others[-ahead_count:])

    def operands(self, row: Any) -> tuple[Left, Right]:
        """Those of the tile at a row."""
        layout, emit = self.layout, self.emit
        left = layout.left(emit, layout.left.of_tile(emit, self.left, row), self.rows)
        return left, layout.right(emit, self.right, self.vectors)

    def usual(self, row: Any) -> list[tuple[Any, Left, Right]]:
        """They with constants for each of their usual spacings, and whether they are spaced so."""
        left, right = self.operands(row)
        is_usual, usual_right = right.usual()
        lefts = left.usual(self.library.numbers.is_read_in_place, self.library.may_pack_left(self.layout))
        return [(self.emit.all(is_usual, is_so_spaced), usual_left, usual_right) for is_so_spaced, usual_left in lefts]

    def emit_tiles(self, usual: int | None = None) -> None:
        """One tile after the other, if they have all rows, otherwise one. ``usual``: for which of their spacings."""
        emit, rows = self.emit, self.rows
        if rows == self.library.tile.rows:
            shares = self.ahead.shares(emit, self.depth, self.own)
            with emit.carrying_loop(self.first, self.stop, [self.number], rows) as loop:
                self._emit_frequent(loop.index, usual, shares(loop.values[0]))
                loop.following += [emit.add(loop.values[0], 1)]
        else:
            goal = self._goal(self.first)
            start = _Sum(*self.operands(self.first), self._totals(goal, None))
            goal.store(self._added(start, 0, self.depth).totals)
        emit.builder.ret(emit.integer(0))

    def _emit_frequent(self, row: Any, usual: int | None, share: tuple[Any, Any]) -> None:
        """A tile with all rows: a loop over several steps at a time, and one over those left over."""
        emit, goal = self.emit, self._goal(row)
        left, right = self.operands(row) if usual is None else self.usual(row)[usual][1:]
        is_next = emit.compare("<", emit.add(row, self.rows), self.stop)
        fetched = emit.builder.select(is_next, emit.mul(self.c_rows, self.rows), emit.integer(0))
        start = _Sum(left, right, self._totals(goal, fetched))
        whole = right.unrolled(self.depth)
        unrolled = self._added(start, 0, whole, UNROLLED, share)
        goal.store(self._added(unrolled, whole, self.depth).totals)

    def _goal(self, row: Any) -> _Goal | _TurnedGoal:
        emit = self.emit
        if self.layout.is_turned:
            return _TurnedGoal(emit, emit.at(self.c, row), self.c_rows, self.vectors, self.last, self.is_first)
        lines = [emit.at(self.c, emit.mul(self.c_rows, emit.add(row, number))) for number in range(self.rows)]
        return _Goal(emit, lines, self.vectors, self.last)

    def _totals(self, goal: _Goal | _TurnedGoal, fetched: Any | None) -> list[Any]:
        """What the products are added to: zeros, or what is there.

        ``fetched``: lines that will be written, so many elements from the tile's, come into the caches meanwhile, on
        some machines only where tiles read them, too.
        """
        emit = self.emit
        if isinstance(goal, _TurnedGoal):
            return [emit.zeros] * (self.rows * self.vectors)
        with emit.builder.if_else(emit.compare("==", self.is_first, 0)) as (later, first):
            with later:
                loaded = goal.load()
                if fetched is not None and not self.library.tile.fetches_new:
                    goal.fetch(fetched)
                after_later = emit.builder.block
            with first:
                after_first = emit.builder.block
        totals = emit.either((loaded, after_later), ([emit.zeros] * len(loaded), after_first))
        if fetched is not None and self.library.tile.fetches_new:
            goal.fetch(fetched)
        return totals

    def _added(
        self, start: _Sum, first: Any, stop: Any, steps: int = 1, share: tuple[Any, Any] | None = None
    ) -> _Sum:
        """The sum with the steps from ``first`` to ``stop`` added, so many in an iteration. ``share``: of what is
        ahead, one line in each.
        """
        emit, left, right = self.emit, start.left, start.right
        lines, table = (None, []) if share is None else (share[0], [share[1]])
        rights, lefts, totals = start.right_places, start.left_places, start.totals
        sizes = (len(rights), len(lefts), len(totals))
        with emit.carrying_loop(first, stop, [*rights, *lefts, *totals, *table], steps) as loop:
            rights, lefts, totals, table = _parted(loop.values, *sizes)
            for place in table:
                emit.prefetch(lines, emit.load(place, 0))
            for _ in range(steps):
                if steps == 1:
                    right.fetch(rights)
                columns = right.vectors(rights)
                totals = _step(self.library, emit, left.elements(lefts), columns, totals, is_one_of_many=steps > 1)
                rights, lefts = right.moved(rights), left.moved(lefts)
            loop.following += [*rights, *lefts, *totals, *(emit.at(place, 1) for place in table)]
        rights, lefts, totals, _ = _parted(loop.values, *sizes)
        return _Sum(left, right, totals, lefts, rights)


class _Sum:
    """A tile's totals after some steps, and where the operands' next ones are."""

    def __init__(
        self,
        left: Left,
        right: Right,
        totals: list[Any],
        left_places: list[Any] | None = None,
        right_places: list[Any] | None = None,
    ) -> None:
        self.left, self.right, self.totals = left, right, totals
        self.left_places = left.places if left_places is None else left_places
        self.right_places = right.places if right_places is None else right_places


@dataclass(frozen=True, eq=False, slots=True)
class _Goal:
    """Where a tile is written: where its rows start, and so many vectors of each, of the last one ``last`` columns."""

    emit: Emitter
    rows: list[Any]
    vectors: int
    last: Any

    def load(self) -> list[Any]:
        """The vectors that are there."""
        emit = self.emit
        with self._is_whole() as (whole, part):
            with whole:
                all_columns = [emit.load_vector(*place) for place in self._places]
                after_whole = emit.builder.block
            with part:
                some_columns = [
                    emit.load_vector(*place) if mask is None else emit.load_masked(*place, mask)
                    for place, mask in zip(self._places, self._masks(), strict=True)
                ]
                after_part = emit.builder.block
        return emit.either((all_columns, after_whole), (some_columns, after_part))

    def store(self, totals: list[Any]) -> None:
        emit = self.emit
        with self._is_whole() as (whole, part):
            with whole:
                for total, place in zip(totals, self._places, strict=True):
                    emit.store_vector(total, *place)
            with part:
                for total, place, mask in zip(totals, self._places, self._masks(), strict=True):
                    if mask is None:
                        emit.store_vector(total, *place)
                    else:
                        emit.store_masked(total, *place, mask)

    def fetch(self, distance: Any) -> None:
        """Asks for the lines that are so many elements further, to be written."""
        for row, offset in self._places:
            self.emit.prefetch(row, self.emit.add(distance, offset), for_writing=True)

    @property
    def _places(self) -> list[tuple[Any, Any]]:
        return [(row, vector * self.emit.lanes) for row in self.rows for vector in range(self.vectors)]

    def _is_whole(self) -> AbstractContextManager[tuple[Any, Any]]:
        """Two branches, of which the first has whole vectors only."""
        made: AbstractContextManager[tuple[Any, Any]]
        made = self.emit.builder.if_else(self.emit.compare("==", self.last, self.emit.lanes))
        return made

    def _masks(self) -> list[Any]:
        return [*[None] * (self.vectors - 1), self.emit.lanes_below(self.last)] * len(self.rows)


@dataclass(frozen=True, eq=False, slots=True)
class _TurnedGoal:
    """Where a tile is written whose rows are neighbours in memory, and its columns ``spacing`` apart."""

    emit: Emitter
    first: Any
    spacing: Any
    vectors: int
    last: Any
    is_first: Any

    def store(self, totals: list[Any]) -> None:
        """Writes the totals, or adds them to what is there if they are not the first."""
        emit = self.emit
        with emit.builder.if_else(emit.compare("==", self.is_first, 0)) as (later, first):
            with later:
                self._store(totals, adds=True)
            with first:
                self._store(totals, adds=False)

    def _store(self, totals: list[Any], adds: bool) -> None:
        emit, lanes = self.emit, self.emit.lanes
        for vector in range(self.vectors):
            columns = _columns(emit, totals[vector :: self.vectors])
            for lane, parts in enumerate(columns):
                place = emit.at(self.first, emit.mul(self.spacing, vector * lanes + lane))
                if vector < self.vectors - 1 or lane == 0:
                    self._store_column(parts, place, adds)
                    continue
                with emit.builder.if_then(emit.compare("<", lane, self.last)):
                    self._store_column(parts, place, adds)

    def _store_column(self, parts: list[Any], place: Any, adds: bool) -> None:
        start = 0
        for part in parts:
            count = part.type.count
            made = self.emit.plus(self.emit.load_vector(place, start, count), part) if adds else part
            self.emit.store_vector(made, place, start)
            start += count


def _columns(emit: Emitter, rows: list[Any]) -> Iterator[list[Any]]:
    """The columns of so many vectors, each in vectors of powers of two: those are written in one instruction."""
    squares = []
    for first in range(0, len(rows), emit.lanes):
        square = rows[first : first + emit.lanes]
        missing = [emit.undefined] * (emit.lanes - len(square))
        squares.append((len(square), transposed(emit, [*square, *missing])))
    for lane in range(emit.lanes):
        yield [part for count, square in squares for part in _in_powers_of_two(emit, square[lane], count)]


def _in_powers_of_two(emit: Emitter, vector: Any, count: int) -> Iterator[Any]:
    """The first ``count`` lanes of a vector."""
    start = 0
    for power in reversed(range(count.bit_length())):
        size = 1 << power
        if count & size:
            yield emit.shuffle(vector, vector, range(start, start + size))
            start += size


def _parted(values: list[Any], *sizes: int) -> list[list[Any]]:
    """They in groups of these sizes, and those that are left."""
    ends = [0, *accumulate(sizes), len(values)]
    return [values[start:stop] for start, stop in pairwise(ends)]


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
