"""How tiles read the left operand: evenly spaced, packed or where it is; or where tables of offsets say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

from relaxdsl.kernels.contraction.emitter import Emitter

#: Rows whose addresses are parts of instructions, with one register for all of them.
ROW_GROUP = 3


class Left(Protocol):
    """The left operand of one tile; ``places`` are what changes from step to step.

    ``GROUP_PARAMETERS`` are those of a group of tiles, one below the other.
    """

    GROUP_PARAMETERS: ClassVar[str]

    @staticmethod
    def of_tile(emit: Emitter, group: Sequence[Any], row: Any) -> tuple[Any, ...]:
        """A tile's arguments, where it starts at a row of the group."""
        ...

    def __init__(self, emit: Emitter, arguments: Sequence[Any], rows: int) -> None: ...

    @property
    def places(self) -> list[Any]:
        """They, at the first step."""
        ...

    def elements(self, places: list[Any]) -> Iterator[Any]:
        """The element of each row at a step."""
        ...

    def moved(self, places: list[Any]) -> list[Any]:
        """They, one step on."""
        ...

    def usual(self, may_be_in_place: bool, may_be_packed: bool) -> Iterator[tuple[Any, Left]]:
        """The operand with each usual spacing as constants, and whether it is spaced so."""
        ...


class Spaced:
    """Rows ``a_rows`` apart, and steps ``a_steps``; in a group, tiles ``a_tiles`` a row."""

    GROUP_PARAMETERS: ClassVar[str] = "left* a_tiles a_rows a_steps"

    @staticmethod
    def of_tile(emit: Emitter, group: Sequence[Any], row: Any) -> tuple[Any, ...]:
        left, a_tiles, a_rows, a_steps = group
        return emit.at(left, emit.mul(row, a_tiles)), a_rows, a_steps

    def __init__(self, emit: Emitter, arguments: Sequence[Any], rows: int) -> None:
        self.emit, self.rows = emit, rows
        self.source, self.a_rows, self.a_steps = arguments

    @property
    def places(self) -> list[Any]:
        return [self.emit.at(self.source, self.emit.mul(self.a_rows, row)) for row in range(0, self.rows, ROW_GROUP)]

    def elements(self, places: list[Any]) -> Iterator[Any]:
        emit = self.emit
        rows = ((places[row // ROW_GROUP], row % ROW_GROUP) for row in range(self.rows))
        return (emit.load(place, emit.mul(self.a_rows, number)) for place, number in rows)

    def moved(self, places: list[Any]) -> list[Any]:
        return [self.emit.moved(place, self.a_steps) for place in places]

    def usual(self, may_be_in_place: bool, may_be_packed: bool) -> Iterator[tuple[Any, Left]]:
        """Rows that are runs of memory, and packed ones."""
        emit = self.emit
        if may_be_in_place:
            yield emit.compare("==", self.a_steps, 1), Spaced(emit, (self.source, self.a_rows, 1), self.rows)
        if may_be_packed:
            is_packed = emit.all(emit.compare("==", self.a_rows, 1), emit.compare("==", self.a_steps, self.rows))
            yield is_packed, Spaced(emit, (self.source, 1, self.rows), self.rows)


class Tabled:
    """An element is at the sum of its row's offset and its step's from ``source``."""

    GROUP_PARAMETERS: ClassVar[str] = "source* a_row_offsets& a_step_offsets&"

    @staticmethod
    def of_tile(emit: Emitter, group: Sequence[Any], row: Any) -> tuple[Any, ...]:
        source, row_offsets, step_offsets = group
        return source, emit.at(row_offsets, row), step_offsets

    def __init__(self, emit: Emitter, arguments: Sequence[Any], rows: int) -> None:
        self.emit = emit
        source, row_offsets, self.step_offsets = arguments
        self.starts = [emit.at(source, emit.load(row_offsets, row)) for row in range(rows)]

    @property
    def places(self) -> list[Any]:
        return [self.step_offsets]

    def elements(self, places: list[Any]) -> Iterator[Any]:
        (table,) = places
        offset = self.emit.load(table, 0)
        return (self.emit.load(start, offset) for start in self.starts)

    def moved(self, places: list[Any]) -> list[Any]:
        (table,) = places
        return [self.emit.at(table, 1)]

    def usual(self, may_be_in_place: bool, may_be_packed: bool) -> Iterator[tuple[Any, Left]]:
        yield from ()
