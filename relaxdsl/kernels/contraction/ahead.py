"""What tiles fetch while they multiply: lines of memory that will be used after their own.

One every few steps: if many were fetched at once, a tile would wait for them before its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.rights import UNROLLED


@dataclass(frozen=True, eq=False, slots=True)
class Ahead:
    """``lines`` neighbouring lines of memory at each of ``runs`` places, which are ``spacing`` elements apart.

    ``PARAMETERS`` are those of functions that pass it on.
    """

    PARAMETERS: ClassVar[str] = "ahead* ahead_spacing ahead_runs ahead_lines"

    source: Any
    spacing: Any
    runs: Any
    lines: Any

    @property
    def arguments(self) -> tuple[Any, Any, Any, Any]:
        return self.source, self.spacing, self.runs, self.lines

    @staticmethod
    def nothing(source: Any) -> Ahead:
        """No lines; ``source`` is any address."""
        return Ahead(source, 0, 0, 0)

    @staticmethod
    def run(emit: Emitter, source: Any, size: Any) -> Ahead:
        """So many neighbouring elements."""
        return Ahead(source, emit.line_lanes, emit.quotient(size, emit.line_lanes), 1)

    def when(self, emit: Emitter, condition: Any, otherwise: Ahead) -> Ahead:
        """This, or the other."""
        return Ahead(*emit.choose(condition, self.arguments, otherwise.arguments))

    def share(self, emit: Emitter, number: Any, depth: Any, own: Any) -> tuple[Any, Any]:
        """Of a tile with this number, and so many steps: where it starts, and how far apart its lines are.

        Args:
            own: what a tile fetches for which nothing is left, again and again: an element that it uses anyway.
        """
        fetched = emit.larger(emit.quotient(depth, UNROLLED), 1)
        tiles = emit.larger(emit.quotient(emit.add(self.runs, emit.sub(fetched, 1)), fetched), 1)
        line = emit.quotient(number, tiles)
        first = emit.mul(emit.sub(number, emit.mul(line, tiles)), fetched)
        place = emit.at(self.source, emit.add(emit.mul(line, emit.line_lanes), emit.mul(first, self.spacing)))
        is_needed = emit.compare("<", line, self.lines)
        step = emit.builder.select(is_needed, emit.integer(self.spacing), emit.integer(0))
        return emit.builder.select(is_needed, place, own), step
