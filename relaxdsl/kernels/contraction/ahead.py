"""What tiles fetch while they multiply: lines of memory that will be used after their own.

One every few steps: if many were fetched at once, a tile would wait for them before its own. They come in the order in
which memory has them, as far as may be, since it gives neighbours fastest. A table says where they are, for a tile has
no time to compute that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.rights import UNROLLED

#: Neighbouring lines that are fetched before those of the next run.
LINES = 8


@dataclass(frozen=True, eq=False, slots=True)
class Ahead:
    """``blocks`` of :data:`LINES` neighbouring lines of each of ``runs`` of memory, ``spacing`` elements apart.

    ``offsets`` is a table of where the lines of the first block are, run by run, as many as a tile may fetch.
    ``PARAMETERS`` are those of functions that pass it on.
    """

    PARAMETERS: ClassVar[str] = "ahead* ahead_spacing ahead_runs ahead_blocks ahead_offsets&"

    source: Any
    spacing: Any
    runs: Any
    blocks: Any
    offsets: Any

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.source, self.spacing, self.runs, self.blocks, self.offsets

    @staticmethod
    def nothing(library: Library, emit: Emitter, source: Any) -> Ahead:
        """No lines; ``source`` is any address."""
        return Ahead(source, 0, 0, 0, neighbours(library, emit))

    @staticmethod
    def run(library: Library, emit: Emitter, source: Any, size: Any) -> Ahead:
        """So many neighbouring elements."""
        block = _block(emit)
        return Ahead(source, block, emit.add(emit.quotient(size, block), 1), 1, neighbours(library, emit))

    @staticmethod
    def of_runs(emit: Emitter, source: Any, spacing: Any, runs: Any, length: Any, offsets: Any) -> Ahead:
        """Runs of so many elements, wherever in a line they start; ``offsets`` as :func:`emit_offsets` makes them."""
        return Ahead(source, spacing, runs, emit.add(emit.quotient(length, _block(emit)), 1), offsets)

    def when(self, emit: Emitter, condition: Any, otherwise: Ahead) -> Ahead:
        """This, or the other."""
        return Ahead(*emit.choose(condition, self.arguments, otherwise.arguments))

    def shares(self, emit: Emitter, depth: Any, own: Any) -> Callable[[Any], tuple[Any, Any]]:
        """What each tile of so many steps fetches, by its number: where that starts, and the table of its lines.

        Args:
            own: where a tile starts for which nothing is left: at elements that it uses anyway.
        """
        fetched = emit.larger(emit.quotient(depth, UNROLLED * LINES), 1)
        tiles = emit.larger(emit.quotient(emit.add(self.runs, emit.sub(fetched, 1)), fetched), 1)

        def share(number: Any) -> tuple[Any, Any]:
            block = emit.quotient(number, tiles)
            first = emit.mul(emit.sub(number, emit.mul(block, tiles)), fetched)
            place = emit.at(self.source, emit.add(emit.mul(block, _block(emit)), emit.mul(first, self.spacing)))
            return emit.builder.select(emit.compare("<", block, self.blocks), place, own), self.offsets

        return share


def emit_offsets(library: Library, emit: Emitter, is_wanted: Any, spacing: Any) -> Any:
    """If wanted, a table for runs so far apart; it lasts until the function returns."""
    count = library.tile.depth // UNROLLED
    with emit.builder.goto_entry_block():
        table = emit.builder.alloca(INT64, count)
    with emit.builder.if_then(is_wanted), emit.loop(0, count // LINES) as run:
        for line in range(LINES):
            offset = emit.add(emit.mul(run, spacing), line * emit.line_lanes)
            emit.store(offset, table, emit.add(emit.mul(run, LINES), line))
    return table


def neighbours(library: Library, emit: Emitter) -> Any:
    """The table of neighbouring lines: a constant."""
    most = max(library.tile.panel_depth, library.tile.window_depth) // UNROLLED
    return library.table("neighbouring_lines", range(0, most * emit.line_lanes, emit.line_lanes))


def _block(emit: Emitter) -> int:
    """How many elements :data:`LINES` have."""
    return LINES * emit.line_lanes
