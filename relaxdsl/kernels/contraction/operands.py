"""Where the elements of an operand are: evenly spaced, or where tables of offsets say.

A *place* is a row of the left operand or a column of the right one; a *step* is one of the sum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, Self

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import Emitter, Integer
from relaxdsl.kernels.contraction.lefts import Left, Spaced, Tabled
from relaxdsl.kernels.contraction.rights import Neighbours, Right, Runs


class Operand(Protocol):
    """An operand from some place and step on."""

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        """What is passed for it to a function with the parameters :attr:`parameters`."""
        ...

    def moved(self, place: Integer, step: Integer) -> Self:
        """The operand from that place and step on."""
        ...

    def place(self, index: Integer) -> Any:
        """How many elements a place is away from the start."""
        ...

    def step(self, index: Integer) -> Any:
        """How many elements a step is away from a place."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Strided:
    """Places are ``places`` elements apart, and steps ``steps`` elements."""

    emit: Emitter
    source: Any
    places: Integer
    steps: Integer

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        return self.source, self.places, self.steps

    def moved(self, place: Integer, step: Integer) -> Self:
        return replace(self, source=self.emit.at(self.source, self.emit.add(self.place(place), self.step(step))))

    def place(self, index: Integer) -> Any:
        return self.emit.mul(index, self.places)

    def step(self, index: Integer) -> Any:
        return self.emit.mul(index, self.steps)


@dataclass(frozen=True, eq=False, slots=True)
class Gathered:
    """``places`` and ``steps`` are tables of offsets; an element is at the sum of its two from ``source``."""

    emit: Emitter
    source: Any
    places: Any
    steps: Any

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        return self.source, self.places, self.steps

    def moved(self, place: Integer, step: Integer) -> Self:
        return replace(self, places=self.emit.at(self.places, place), steps=self.emit.at(self.steps, step))

    def place(self, index: Integer) -> Any:
        return self.emit.load(self.places, index)

    def step(self, index: Integer) -> Any:
        return self.emit.load(self.steps, index)


@dataclass(frozen=True, slots=True)
class Layout:
    """One of the two, as a part of functions' names and the mark of the parameters that say where elements are.

    Args:
        left: how tiles read such a left operand where it is.
        right: how they read the right one.
        is_turned: the right operand is evenly spaced, and the result's rows are neighbours, its columns are not.
    """

    suffix: str
    mark: str
    operand: Any
    left: type[Left]
    right: type[Right] = Neighbours
    is_turned: bool = False

    def parameters(self, source: str, places: str, steps: str) -> str:
        return f"{source}* {places}{self.mark} {steps}{self.mark}"

    @property
    def packed(self) -> Layout:
        """That of right operands, which are packed."""
        return STRIDED if self.is_turned else self

    def in_result(self, emit: Emitter, row: Integer, column: Integer, spacing: Any) -> Any:
        """How many elements a place in the result is away from the start, if rows, or turned columns, are so spaced."""
        apart, neighbour = (column, row) if self.is_turned else (row, column)
        return emit.add(emit.mul(apart, spacing), neighbour)


STRIDED = Layout("", "", Strided, Spaced)
GATHERED = Layout("_gathered", "&", Gathered, Tabled)
TURNED = Layout("_turned", "&", Gathered, Tabled, is_turned=True)
LAYOUTS = (STRIDED, GATHERED, TURNED)
#: A right operand given by tables, of which tiles read what are runs of memory where it is.
WINDOWS = Layout("_windows", "&", Gathered, Spaced, Runs)
