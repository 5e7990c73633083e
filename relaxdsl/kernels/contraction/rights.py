"""How tiles read the right operand: from one place on, a panel's or its own; or each vector from a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.tile import CACHED, Tile

#: How many steps before it is used the right operand is fetched: where it is read in place, no processor guesses it.
AHEAD = 8
#: Steps of the sum in one iteration of tiles with all rows; of the others, of which there are many, it is one.
UNROLLED = 4


class Right(Protocol):
    """The right operand of one tile; ``places`` are what changes from step to step."""

    @staticmethod
    def parameters(tile: Tile) -> str:
        """Those of a tile."""
        ...

    def __init__(self, emit: Emitter, arguments: Sequence[Any], vectors: int) -> None: ...

    @property
    def places(self) -> list[Any]:
        """They, at the first step."""
        ...

    def unrolled(self, depth: Any) -> Any:
        """How many of the first steps need not be fetched before they are used, a multiple of :data:`UNROLLED`."""
        ...

    def fetch(self, places: list[Any]) -> None:
        """Asks for the lines of memory of a later step, which need not exist."""
        ...

    def vectors(self, places: list[Any]) -> list[Any]:
        """The vectors of a step."""
        ...

    def moved(self, places: list[Any]) -> list[Any]:
        """They, one step on."""
        ...

    def usual(self) -> tuple[Any, Right]:
        """The operand with its usual spacing as constants, and whether it is spaced so."""
        ...


class Neighbours:
    """Vectors are neighbours in memory, steps ``b_steps`` apart. In a panel that is the number of its columns."""

    @staticmethod
    def parameters(tile: Tile) -> str:
        return "right* b_steps"

    def __init__(self, emit: Emitter, arguments: Sequence[Any], vectors: int) -> None:
        self.emit, self.count = emit, vectors
        self.source, self.b_steps = arguments
        self.ahead = emit.mul(self.b_steps, AHEAD)

    @property
    def places(self) -> list[Any]:
        return [self.source]

    def unrolled(self, depth: Any) -> Any:
        """Panels come into the caches by themselves, and what is small stays there; else all steps are fetched."""
        emit = self.emit
        is_small = emit.compare("<=", emit.mul(depth, self.b_steps), CACHED)
        whole = emit.multiple_below(depth, UNROLLED)
        return emit.builder.select(emit.any(self._are_panels, is_small), whole, emit.integer(0))

    @property
    def _are_panels(self) -> Any:
        return self.emit.compare("==", self.b_steps, self._width)

    @property
    def _width(self) -> int:
        return self.count * self.emit.lanes

    def fetch(self, places: list[Any]) -> None:
        """A line more than the step is long: few operands begin where a line does."""
        for first in [*range(0, self._width, self.emit.line_lanes), self._width - 1]:
            self.emit.prefetch(places[0], self.emit.add(self.ahead, first))

    def vectors(self, places: list[Any]) -> list[Any]:
        return [self.emit.load_vector(places[0], vector * self.emit.lanes) for vector in range(self.count)]

    def moved(self, places: list[Any]) -> list[Any]:
        return [self.emit.moved(places[0], self.b_steps)]

    def usual(self) -> tuple[Any, Right]:
        """Panels."""
        return self._are_panels, Neighbours(self.emit, (self.source, self._width), self.count)


class Runs:
    """Each vector is a run of memory at every step: where the run starts, and a table of the steps' offsets from there.

    Windows of a convolution are such runs. They are read again and again, so they are in the caches.
    """

    @staticmethod
    def parameters(tile: Tile) -> str:
        return " ".join(f"right_{vector}* b_steps_{vector}&" for vector in range(tile.vectors))

    def __init__(self, emit: Emitter, arguments: Sequence[Any], vectors: int) -> None:
        self.emit = emit
        self.starts, self.tables = arguments[: 2 * vectors : 2], arguments[1 : 2 * vectors : 2]

    @property
    def places(self) -> list[Any]:
        return [self.emit.integer(0)]

    def unrolled(self, depth: Any) -> Any:
        return self.emit.multiple_below(depth, UNROLLED)

    def fetch(self, places: list[Any]) -> None:
        pass

    def vectors(self, places: list[Any]) -> list[Any]:
        (step,) = places
        offsets = {table: self.emit.load(table, step) for table in dict.fromkeys(self.tables)}
        return [
            self.emit.load_vector(start, offsets[table]) for start, table in zip(self.starts, self.tables, strict=True)
        ]

    def moved(self, places: list[Any]) -> list[Any]:
        (step,) = places
        return [self.emit.add(step, 1)]

    def usual(self) -> tuple[Any, Right]:
        """With one table for all: none is packed."""
        numbers = [self.emit.builder.ptrtoint(table, INT64) for table in self.tables]
        have_one = self.emit.all(*(self.emit.compare("==", numbers[0], each) for each in numbers))
        arguments = [each for start in self.starts for each in (start, self.tables[0])]
        return have_one, Runs(self.emit, arguments, len(self.starts))
