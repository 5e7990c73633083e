"""Offsets in the workspace that are right for every value of the symbols.

Pieces of memory that are in use at the same time must not overlap. That one lies before another is proved, never
guessed: by equality, by bounds, by the symbols' declared upper bounds. Where sizes cannot be compared, an offset is the
maximum of ends. Which of several right places is taken, and who is placed first, is decided by the sizes at a few
values of the symbols.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from functools import lru_cache

from relaxdsl.dataclass import dataclass
from relaxdsl.types.dims import Dim, Symbol, ceildiv, dim_max, evaluate, free_symbols, symbols_of
from relaxdsl.types.prove import is_non_negative

LINE_BYTES = 64
"""Pieces start and end with whole cache lines, so that no two threads write to one."""

REFERENCE_SIZES = (1000, 64, 1)
CACHED = 8192
"""Layers of a network ask the same of the same sizes."""


@lru_cache(maxsize=CACHED)
def whole_lines(size: Dim) -> Dim:
    """``size`` in whole cache lines."""
    return ceildiv(size, LINE_BYTES) * LINE_BYTES


@dataclass(eq=False, slots=True)
class Piece:
    """A piece of workspace, in use from position ``first`` to ``last``; ``offset`` is where it is placed.

    ``weights``, ``starts``, ``ends``: its size in whole lines and where it lies, at the symbols' reference values.
    """

    name: str
    size: Dim
    first: int
    last: int
    offset: Dim = 0
    end: Dim = 0
    weights: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def put(self, offset: Dim, starts: tuple[int, ...]) -> None:
        """Places the piece at ``offset``, which is ``starts`` at the reference values."""
        self.offset, self.starts = offset, starts
        self.end = offset + whole_lines(self.size)
        self.ends = tuple(start + weight for start, weight in zip(starts, self.weights, strict=True))

    def conflicts(self, other: Piece) -> bool:
        """Whether both are in use at some position."""
        return self.first <= other.last and other.first <= self.last


@dataclass(slots=True)
class Layout:
    """The placed pieces, in the order of the program, and the size of the workspace."""

    pieces: list[Piece]
    size: Dim
    reference: list[dict[str, int]] = field(default_factory=list)


def place(tensors: Sequence[Piece], work: Sequence[Piece] = ()) -> Layout:
    """Gives each piece its offset.

    Args:
        work: what kernels need while they run. It comes after the tensors, whose offsets thus do not depend on it.
    """
    pieces = [*tensors, *work]
    reference = reference_values(symbol for each in pieces for symbol in symbols_of(each.size))
    for each in pieces:
        each.weights = tuple(evaluate(whole_lines(each.size), values) for values in reference)
    live: defaultdict[int, list[Piece]] = defaultdict(list)
    for each in [*_largest_first(tensors), *_largest_first(work)]:
        positions = range(each.first, each.last + 1)
        _place_one(each, list(dict.fromkeys(other for position in positions for other in live[position])))
        for position in positions:
            live[position].append(each)
    return Layout(pieces, _greatest_end(pieces), reference)


def _largest_first(pieces: Sequence[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda piece: (*(-weight for weight in piece.weights), piece.first))


def reference_values(symbols: Iterable[Symbol]) -> list[dict[str, int]]:
    """The values of the symbols at which sizes are compared, where that is a matter of taste."""
    known = {each.name: each for each in symbols}
    return [{name: _within(size, each) for name, each in known.items()} for size in REFERENCE_SIZES]


def _within(size: int, symbol: Symbol) -> int:
    return max(symbol.lower, size if symbol.upper is None else min(size, symbol.upper))


def _place_one(piece: Piece, others: Sequence[Piece]) -> None:
    for offset, starts in _candidates(piece, others):
        piece.put(offset, starts)
        if all(lies_clear(piece, other) for other in others):
            return


def _candidates(piece: Piece, others: Sequence[Piece]) -> Iterator[tuple[Dim, tuple[int, ...]]]:
    """Places in the order of preference, with their values at the reference; the last one is always right."""
    yield 0, (0,) * len(piece.weights)
    ordered = sorted(others, key=lambda other: other.ends)
    ends: list[Dim] = []
    starts = (0,) * len(piece.weights)
    for other in ordered:
        ends = [*(end for end in ends if not _is_below(end, other.end)), other.end]
        starts = tuple(map(max, starts, other.ends))
        yield dim_max(*ends), starts


@lru_cache(maxsize=CACHED)
def _is_below(one: Dim, other: Dim) -> bool:
    return is_non_negative(other - one)


def lies_clear(piece: Piece, other: Piece) -> bool:
    """Whether two pieces overlap for no value of the symbols."""
    return lies_before(piece, other) or lies_before(other, piece)


def lies_before(one: Piece, other: Piece) -> bool:
    """Whether ``one`` ends before ``other`` starts, for every value of the symbols.

    All offsets are whole lines, so it is enough that its bytes do.
    """
    if any(end > start for end, start in zip(one.ends, other.starts, strict=True)):
        return False  # not at the reference values
    return _is_below(one.offset + one.size, other.offset)


def _greatest_end(pieces: Sequence[Piece]) -> Dim:
    kept: dict[Dim, tuple[int, ...]] = {}
    for end, values in {each.end: each.ends for each in pieces}.items():
        if not any(_ends_before(end, values, *other) for other in kept.items()):
            kept = {other: at for other, at in kept.items() if not _ends_before(other, at, end, values)} | {end: values}
    return dim_max(*kept) if kept else 0


def _ends_before(one: Dim, values: tuple[int, ...], other: Dim, other_values: tuple[int, ...]) -> bool:
    """Whether ``one <= other`` for every value of the symbols; those at the reference are looked at first."""
    return all(map(operator.le, values, other_values)) and _is_below(one, other)


def symbols_in(dims: Iterable[Dim]) -> tuple[str, ...]:
    """The names of the symbols in dims, each once."""
    return tuple(dict.fromkeys(name for dim in dims for name in free_symbols(dim)))
