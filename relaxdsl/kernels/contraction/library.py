"""A module of LLVM IR under construction, whose functions call each other by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.numbers import Numbers
from relaxdsl.kernels.contraction.operands import STRIDED, Layout
from relaxdsl.kernels.contraction.tile import Tile

_OPERANDS = ("a*", "b*", "source*")


@dataclass(slots=True)
class Library:
    """The functions of one core under construction.

    ``has_registers``: the machine has registers for the tile's vectors.
    """

    tile: Tile
    numbers: Numbers
    has_registers: bool
    module: ir.Module = field(default_factory=lambda: ir.Module("relaxdsl_contraction"))
    functions: dict[str, ir.Function] = field(default_factory=dict)

    def function(self, name: str, parameters: str, exported: str = "") -> Emitter:
        """Begins a function; a parameter with a star is an address of elements, with an ampersand that of a table.

        Those of operands have the names in :data:`_OPERANDS`; others are of panels and results.
        """
        names = parameters.split()
        kinds = {"*": self.numbers.total.as_pointer(), "&": INT64.as_pointer()}
        kinds |= {each: self.numbers.operand.as_pointer() for each in _OPERANDS}
        types = [kinds.get(each, kinds.get(each[-1], INT64)) for each in names]
        made = ir.Function(self.module, ir.FunctionType(INT64, types), exported or name)
        if not exported:
            made.linkage = "internal"
        for argument, each in zip(made.args, names, strict=True):
            argument.name = each.rstrip("*&")
        self.functions[name] = made
        return Emitter(made, self.numbers.total, self.tile.lanes, self.has_registers)

    def call(self, emit: Emitter, name: str, arguments: Sequence[Any], is_last: bool = False) -> Any:
        """What the function gives; where that is the last thing that the caller does, it takes over its place."""
        return emit.builder.call(self.functions[name], [emit.integer(each) for each in arguments], tail=is_last)

    def table(self, name: str, numbers: Sequence[int]) -> Any:
        """The address of a constant table of this name."""
        if name not in self.module.globals:
            kind = ir.ArrayType(INT64, len(numbers))
            made = ir.GlobalVariable(self.module, kind, name)
            made.linkage, made.global_constant = "internal", True
            made.initializer = ir.Constant(kind, list(numbers))
        return self.module.globals[name].bitcast(INT64.as_pointer())

    def may_pack_left(self, layout: Layout) -> bool:
        """Whether left operands of this layout are ever packed; those always are that tiles cannot read in place."""
        return not self.numbers.is_read_in_place or (layout is STRIDED and self.tile.packs_left)

    def whole_vectors(self, emit: Emitter, columns: Any) -> Any:
        """The columns of the vectors that so many columns take, as panels have them."""
        return emit.multiple_above(columns, self.tile.lanes)

    def most_rows(self, layout: Layout) -> int:
        """Rows of the tallest tile of a left operand of this layout. Packed, it has as many as a panel."""
        return self.tile.rows if self.may_pack_left(layout) else self.tile.most_rows

    def next_rows(self, emit: Emitter, layout: Layout, left: Any) -> Any:
        """How many of the rows that are left the next tile takes."""
        if self.may_pack_left(layout):
            return emit.smaller(left, self.tile.rows)
        is_last = emit.compare("==", left, self.tile.most_rows)
        return emit.builder.select(is_last, left, _next_part(emit, left, self.tile.rows))

    def next_tiles(self, emit: Emitter, layout: Layout, left: Any) -> Any:
        """The same, or the rows of all tiles but the last ones, where these have all rows."""
        rows = self.tile.rows
        most_last = rows - 1 if self.may_pack_left(layout) else rows + rows // 3
        above = emit.sub(left, most_last)
        whole = emit.multiple_above(emit.larger(above, 0), rows)
        return emit.builder.select(emit.compare(">", above, 0), whole, self.next_rows(emit, layout, left))

    def next_columns(self, emit: Emitter, left: Any) -> Any:
        """The same for columns, as those of whole vectors: a panel is as wide."""
        lanes = self.tile.lanes
        vectors = emit.quotient(emit.add(left, lanes - 1), lanes)
        return emit.mul(_next_part(emit, vectors, self.tile.vectors), lanes)

    def units(self, emit: Emitter, steps: Any) -> Any:
        """How many elements so many steps are in a panel of width 1."""
        size = self.numbers.steps
        return steps if size == 1 else emit.quotient(emit.add(steps, size - 1), size)


def _next_part(emit: Emitter, left: Any, most: int) -> Any:
    """What is left, at most so much; half of it, where otherwise so little would be left for a tile of its own that it
    would wait for every sum, or read more than it multiplies.
    """
    half = emit.quotient(emit.add(left, 1), 2)
    is_halved = emit.all(emit.compare(">", left, most), emit.compare("<=", left, most + most // 3))
    return emit.builder.select(is_halved, half, emit.smaller(left, most))
