"""How a product is computed, and what memory that takes: the core decides in each call, kernels know it in advance as
far as they know sizes.
"""

from __future__ import annotations

from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.tile import (
    ALWAYS_DOTTED_ROWS,
    ALWAYS_IN_PLACE_ROWS,
    CACHED,
    COLUMNS_A_VECTOR,
    FEW,
    FEW_IF_LARGE,
    IN_PLACE_SIZE,
    LEAST_TILED,
    NARROW,
    PACKED_COLUMNS,
    PACKED_ROWS,
    SKINNY,
    SMALL,
    WIDE_LEAST_TILED,
    Tile,
)
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv

#: Where tiles read the right operand: in panels packed before, in panels packed by the call, in place; or no tiles.
FROM_PANELS, PACKING, IN_PLACE, DIRECT = range(4)


# -------------------------------------------------------------------------------------------------------- in each call


def emit_way(emit: Emitter, tile: Tile) -> None:
    """Which of the ways above a product of these sizes and strides is computed in."""
    m, n, k, b_steps, b_columns = emit.function.args
    size = emit.mul(n, k)
    are_rows, are_columns = emit.compare("==", b_columns, 1), emit.compare("==", b_steps, 1)
    is_streamed = emit.all(are_rows, _is_streamed(emit, tile, size))
    is_dotted = emit.all(are_columns, _is_dotted(emit, tile, size))
    is_direct = emit.any(emit.compare("==", k, 0), emit.compare("==", n, 1), is_streamed, is_dotted)
    emit.give_back(is_direct, DIRECT)
    # Where rows alias, what a tile reads is gone from the cache before the third one needs it.
    are_apart = emit.builder.not_(emit.are_aliases(b_steps, tile.alias_bytes))
    are_few = emit.all(emit.compare("<=", m, tile.in_place_rows), emit.compare("<=", size, IN_PLACE_SIZE), are_apart)
    are_two_tiles = emit.all(emit.compare("<=", m, 2 * tile.rows), emit.compare("<=", size, tile.two_tiles_size))
    is_cheap = emit.any(
        emit.compare("<=", size, CACHED), are_few, are_two_tiles, emit.compare("<=", m, ALWAYS_IN_PLACE_ROWS)
    )
    emit.give_back(emit.all(are_rows, is_cheap), IN_PLACE)
    is_large = emit.compare(">", size, IN_PLACE_SIZE)
    most = emit.builder.select(is_large, emit.integer(FEW_IF_LARGE), emit.integer(FEW))
    emit.give_back(emit.compare("<=", m, most), PACKING)
    emit.builder.ret(emit.integer(FROM_PANELS))


def _is_streamed(emit: Emitter, tile: Tile, size: Any) -> Any:
    """Whether rows of the right operand, of so many elements, are added up."""
    m, n, k, *_ = emit.function.args
    is_large = emit.compare(">", size, CACHED)
    rows = emit.builder.select(is_large, emit.integer(tile.streamed_rows), emit.integer(tile.always_streamed_rows))
    is_small = emit.compare("<=", emit.mul(m, size), SMALL)
    steps, least = emit.mul(m, k), LEAST_TILED
    if tile.is_wide:
        lanes = emit.integer(tile.lanes)
        whole, rest = emit.builder.udiv(n, lanes), emit.builder.urem(n, lanes)
        steps, least = emit.mul(steps, emit.add(emit.mul(whole, COLUMNS_A_VECTOR), rest)), WIDE_LEAST_TILED
    are_few = emit.all(is_small, emit.any(is_large, emit.compare("<", steps, least)))
    return emit.any(are_few, emit.compare("<=", m, rows))


def _is_dotted(emit: Emitter, tile: Tile, size: Any) -> Any:
    """Whether dot products are formed with the columns of the right operand, of so many elements."""
    m, n, k, *_ = emit.function.args
    has_rest = emit.compare("!=", emit.builder.urem(n, emit.integer(tile.lanes)), 0)
    few, a_step, rest = tile.few_dots
    most = emit.add(emit.mul(k, a_step), emit.builder.select(has_rest, emit.integer(few + rest), emit.integer(few)))
    are_few = emit.compare("<=", emit.mul(m, n), most)
    is_small = emit.compare("<=", emit.mul(m, size), SMALL)
    is_large = emit.compare(">", size, CACHED)
    rows = emit.builder.select(is_large, emit.integer(SKINNY), emit.integer(ALWAYS_DOTTED_ROWS))
    is_short = emit.compare("<=", m, tile.few_dotted_rows)
    return emit.any(emit.all(is_small, emit.any(is_short, are_few)), emit.compare("<=", m, rows))


def emit_packs_left(emit: Emitter, n: Any, columns: Any, a_steps: Any) -> Any:
    """Whether tiles that pack left operands read this one from a packed block, since it is used often.

    Where its rows are runs of memory, the columns of the call count, and otherwise all ``n``: reading steps that are
    far apart takes so long that packing them again in each call takes less.
    """
    return emit.compare(">", emit.builder.select(emit.compare("==", a_steps, 1), columns, n), NARROW)


# ---------------------------------------------------------------------------------------------------------- in advance


@dataclass(frozen=True, slots=True)
class Product:
    """A product as a kernel knows it.

    Args:
        columns: what a call of the core takes for all columns; pieces of a larger product have at most so many.
        left, right: how far apart an operand's rows or columns are, and its steps; None where tables say.
        are_bytes: both operands are always packed, two steps to an element.
        ends_anywhere: calls compute any number of columns, not only to the end of a tile or of all.
    """

    rows: Dim
    columns: Dim
    depth: Dim
    left: tuple[Dim, Dim] | None
    right: tuple[Dim, Dim] | None
    tile: Tile
    are_bytes: bool = False
    ends_anywhere: bool = False

    @property
    def is_direct(self) -> bool:
        """Whether :func:`emit_way` certainly says so."""
        if self.right is None or self.are_bytes or not isinstance(self.rows, int):
            return False
        columns, steps = self.right
        is_large = self._size is not None and self._size > CACHED and not self.ends_anywhere
        streamed = self.tile.streamed_rows if is_large else self.tile.always_streamed_rows
        dotted = SKINNY if is_large else ALWAYS_DOTTED_ROWS
        return (columns == 1 and self.rows <= streamed) or (steps == 1 and self.rows <= dotted)

    @property
    def is_packed_before(self) -> Dim:
        """1 where panels of the right operand may be needed before the first call, 0 where they are not."""
        if self.right is None or self.are_bytes:
            return 1
        few = FEW_IF_LARGE if self._is_certainly_large else FEW
        most = max(few, self._rows_in_place)
        return dim_min(1, floordiv(self.rows, most + 1))

    @property
    def block_size(self) -> Dim:
        """How many elements a packed block of the left operand and a packed group of the right one take.

        There is :data:`.BLOCK_MARGIN` after them.
        """
        return self.left_block_size + self._right_columns * self._units(self.tile.depth)

    @property
    def left_block_size(self) -> Dim:
        """The same where the right operand is never packed into the block."""
        rows = dim_min(PACKED_ROWS, self.rows + self.tile.rows - 1) if self._packs_left else 0
        return rows * self._units(self.tile.panel_depth)

    def _units(self, most: int) -> Dim:
        """How many elements of a row or column are packed at once, of up to so many steps."""
        steps = dim_min(most, self.depth)
        return ceildiv(steps, 2) if self.are_bytes else steps

    @property
    def _packs_left(self) -> bool:
        """Whether :func:`emit_packs_left` may say so."""
        if self.are_bytes:
            return True
        if self.left is None or not self.tile.packs_left:
            return False
        return not (isinstance(self.columns, int) and self.columns <= NARROW)

    @property
    def _right_columns(self) -> Dim:
        """How many columns a call packs at a time: where the operand is in place, those that are no whole vector."""
        if self.right is None or self.are_bytes:
            return 0
        lanes, in_place = self.tile.lanes, self._rows_in_place
        is_whole = isinstance(self.columns, int) and self.columns % lanes == 0 and not self.ends_anywhere
        rest = 0 if is_whole else lanes
        most = dim_min(PACKED_COLUMNS, self.columns + lanes - 1)
        if in_place >= FEW_IF_LARGE:
            return rest
        few = FEW_IF_LARGE if self._may_be_large else FEW
        are_more, are_few = floordiv(self.rows, in_place + 1), 1 - dim_min(1, floordiv(self.rows, few + 1))
        return dim_max(rest, most * dim_min(are_more, are_few))

    @property
    def _size(self) -> int | None:
        """How many elements the right operand has, if that is known."""
        columns, depth = self.columns, self.depth
        return columns * depth if isinstance(columns, int) and isinstance(depth, int) else None

    @property
    def _is_certainly_large(self) -> bool:
        """Whether every piece is."""
        return self._size is not None and self._size > IN_PLACE_SIZE and not self.ends_anywhere

    @property
    def _may_be_large(self) -> bool:
        return self._size is None or self._size > IN_PLACE_SIZE

    @property
    def _rows_in_place(self) -> int:
        """Up to so many rows, :func:`emit_way` never asks for panels."""
        assert self.right is not None
        columns, steps = self.right
        if columns != 1:
            return 0
        size, found = self._size, ALWAYS_IN_PLACE_ROWS
        if size is None:
            return found
        if size <= self.tile.two_tiles_size:
            found = max(found, 2 * self.tile.rows)
        if size <= IN_PLACE_SIZE and isinstance(steps, int) and not self._are_aliases(steps, self.tile.alias_bytes):
            found = max(found, self.tile.in_place_rows)
        return found

    def _are_aliases(self, spacing: int, alias_bytes: int) -> bool:
        return spacing * self.tile.bits // 8 % alias_bytes == 0
