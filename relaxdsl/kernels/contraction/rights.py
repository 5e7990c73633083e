"""How tiles read the right operand: from one place on, a panel's or its own; or each vector from a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.tile import Tile

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
        """Panels come into the caches by themselves; of an operand in place, all steps are fetched."""
        are_panels = self.emit.compare("==", self.b_steps, self.count * self.emit.lanes)
        whole = self.emit.multiple_below(depth, UNROLLED)
        return self.emit.builder.select(are_panels, whole, self.emit.integer(0))

    def fetch(self, places: list[Any]) -> None:
        for first in range(0, self.count * self.emit.lanes, self.emit.line_lanes):
            self.emit.prefetch(places[0], self.emit.add(self.ahead, first))

    def vectors(self, places: list[Any]) -> list[Any]:
        return [self.emit.load_vector(places[0], vector * self.emit.lanes) for vector in range(self.count)]

    def moved(self, places: list[Any]) -> list[Any]:
        return [self.emit.moved(places[0], self.b_steps)]


class Runs:
    """Each vector is a run of memory at every step: where the run starts, and a table of the steps' offsets from there.

    Windows of a convolution are such runs. They are read again and again, so they are in the caches.
    """

    @staticmethod
    def parameters(tile: Tile) -> str:
        return " ".join(f"right_{vector}* b_steps_{vector}&" for vector in range(tile.vectors))

    def __init__(self, emit: Emitter, arguments: Sequence[Any], vectors: int) -> None:
        self.emit = emit
        self.runs = list(zip(arguments[::2], arguments[1::2], strict=True))[:vectors]

    @property
    def places(self) -> list[Any]:
        return [self.emit.integer(0)]

    def unrolled(self, depth: Any) -> Any:
        return self.emit.multiple_below(depth, UNROLLED)

    def fetch(self, places: list[Any]) -> None:
        pass

    def vectors(self, places: list[Any]) -> list[Any]:
        (step,) = places
        return [self.emit.load_vector(start, self.emit.load(table, step)) for start, table in self.runs]

    def moved(self, places: list[Any]) -> list[Any]:
        """Hidden, or else LLVM loads the vectors of all steps first, for which there are no registers."""
        (step,) = places
        return [self.emit.hidden(self.emit.add(step, 1))]
