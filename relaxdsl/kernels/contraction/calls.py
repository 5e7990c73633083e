"""Calls of the engine: where a contraction's operands are for a piece, as strides or as tables, and the panels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, CallExtern, For, Stmt, Store, loop_variable, sequence
from relaxdsl.ir.scalar import IndexValue, Load
from relaxdsl.kernels.contraction.match import Contraction, position_of
from relaxdsl.kernels.contraction.names import BYTE_DTYPES
from relaxdsl.kernels.contraction.restrict import Local, Piece, Span
from relaxdsl.kernels.contraction.tile import (
    BLOCK_MARGIN,
    COLUMN_GROUP,
    element_bits,
    host_tile,
    panels_size,
)
from relaxdsl.kernels.contraction.ways import Product
from relaxdsl.types.dims import Dim, ceildiv, dim_min, floordiv, substitute

#: More rows than any for which a right operand is not packed before.
_MANY_ROWS = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Offsets of the elements of an operand along the joint indices of its rows or columns, and of the steps."""

    places: Buffer
    steps: Buffer


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """Those of both operands, or of one."""

    left: Table | None
    right: Table | None


@dataclass(frozen=True, slots=True)
class Where:
    """An operand in memory: its first element, and how far apart its rows or columns are, and its steps."""

    buffer: Buffer
    offset: Dim
    places: Dim = 0
    steps: Dim = 0


@dataclass(frozen=True, slots=True)
class Panels:
    """A part of a right operand, packed: some columns, and some steps."""

    buffer: Buffer
    columns: Span
    steps: Span


@dataclass(eq=False, slots=True)
class Calls:
    """The calls for one contraction.

    Args:
        flat: the flat buffers that stand for the kernel's.
        local: the buffers of which there is no more than a piece.
        width: how many columns there are at most for the core's calls.
        tables: the offsets of operands that are not evenly spaced.
        is_constant: the right operand is the same in every call, so that it is packed once, for any number of rows.
        is_evaluated: the right operand is in panels only.
        ends_anywhere: not all columns are computed, but any number of the first ones.
        panels: where the packed right operand is; None if nothing is ever packed before.
        strips: where those parts of it start that are read where they are; None if all is packed.
        is_turned: its columns are the rows of a product by the left operand, of which the panels are.
    """

    contraction: Contraction
    flat: Mapping[Buffer, Buffer]
    local: Mapping[Buffer, Local]
    width: Dim
    tables: Tables | None = None
    is_constant: bool = False
    is_evaluated: bool = False
    ends_anywhere: bool = False
    panels: Buffer | None = None
    strips: Buffer | None = None
    is_turned: bool = False
    _product: Product = field(init=False)
    _block: Buffer | None = field(init=False)

    def __post_init__(self) -> None:
        contraction = self.contraction
        rows, _, depth = contraction.sizes
        dtype, are_bytes = contraction.result.buffer.dtype, contraction.right.dtype in BYTE_DTYPES
        tile, (left, right) = host_tile(element_bits(dtype)), self._spacings()
        sizes = (rows, self.width, depth)
        self._product = product = Product(*sizes, left, right, tile, are_bytes, self.ends_anywhere)
        size = 0 if self.is_direct else product.left_block_size if self.is_evaluated else product.block_size
        self._block = Buffer("block", (size + BLOCK_MARGIN,), dtype, "scratch") if size != 0 else None

    def _spacings(self) -> tuple[tuple[Dim, Dim] | None, tuple[Dim, Dim] | None]:
        """How far apart an operand's rows or columns are, and its steps; None where tables say."""
        if self.tables is not None:
            return None, None
        left = self.left(Piece(tuple(0 for _ in self.contraction.batch), Span(0, 1), None))
        right = None if self.is_evaluated else self._right(tuple(0 for _ in self.contraction.batch))
        return (left.places, left.steps), None if right is None else (right.places, right.steps)

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        """The memory needed besides operands, unless it turns out not to be used."""
        tables = () if self.tables is None else (self.tables.left, self.tables.right)
        offsets = (buffer for each in tables if each is not None for buffer in (each.places, each.steps))
        packed = (each for each in (self.panels, self.strips, self._block) if each is not None)
        return (*offsets, *packed)

    @property
    def is_direct(self) -> bool:
        """Whether nothing is ever packed."""
        return self._product.is_direct and (not self.is_constant or self._product.rows == 1)

    @property
    def groups(self) -> Dim:
        """How many groups of columns there are."""
        return ceildiv(self.contraction.sizes[1], COLUMN_GROUP)

    @property
    def groups_to_pack(self) -> Dim:
        """How many groups of columns there are to pack, 0 where the rows are so few that nothing is packed before."""
        return self.groups * (1 if self.is_constant else self._product.is_packed_before)

    def pack(self, batch: Sequence[Dim], group: Dim) -> CallExtern:
        """Packs a group of columns of the right operand."""
        return self._pack(self._right(batch), self.contraction.sizes[1], group, 1)

    def pack_all(self, batch: Sequence[Dim]) -> CallExtern:
        """Packs the right operand of a matrix of the batch."""
        return self._pack(self._right(batch), self.contraction.sizes[1], 0, self.groups)

    def pack_piece(self, batch: Sequence[Dim], columns: Span) -> CallExtern:
        """Packs some columns as if there were no others, but for what is read where it is."""
        right = self._right_piece(batch, columns)
        if self.strips is None:
            return self._pack(right, columns.count, 0, ceildiv(columns.count, COLUMN_GROUP))
        assert self.tables is not None
        assert self.tables.right is not None
        assert self.panels is not None
        steps = self.contraction.sizes[2]
        operand = (right.buffer, right.offset, self.tables.right.steps, 0, self.tables.right.places, right.places)
        arguments = (columns.count, steps, *operand, self.panels, 0, self.strips, 0)
        return CallExtern(f"pack_windows_{right.buffer.dtype}", arguments, (self.panels, self.strips))

    def _pack(self, right: Where, width: Dim, first: Dim, count: Dim) -> CallExtern:
        _, _, steps = self.contraction.sizes
        assert self.panels is not None
        rows = _MANY_ROWS if self.is_constant else self._deciding_rows
        goal = (first, count, self.panels, 0)
        if self.tables is None:
            arguments = (rows, width, steps, right.buffer, right.offset, right.steps, right.places, *goal)
            return CallExtern(f"pack_{right.buffer.dtype}", arguments, (self.panels,))
        assert self.tables.right is not None
        tables = (self.tables.right.steps, 0, self.tables.right.places, right.places)
        return CallExtern(
            f"pack_gathered_{right.buffer.dtype}",
            (width, steps, right.buffer, right.offset, *tables, *goal),
            (self.panels,),
        )

    def pack_turned(self, group: Dim) -> CallExtern:
        """Packs a group of rows of the left operand."""
        assert self.panels is not None
        rows, _, steps = self.contraction.sizes
        batch = tuple(0 for _ in self.contraction.batch)
        left = self.left(Piece(batch, Span(0, rows), None))
        operand = (left.buffer, left.offset, left.steps, left.places)
        return CallExtern(
            f"pack_turned_{left.buffer.dtype}", (rows, steps, *operand, group, 1, self.panels, 0), (self.panels,)
        )

    def contract(self, piece: Piece, columns: Span, steps: Dim | None = None) -> CallExtern:
        """The piece's rows of these columns of the whole right operand, from all steps or the first ``steps``."""
        return self._contract(piece, self._right(piece.batch), self.contraction.sizes[1], columns, steps)

    def contract_piece(self, piece: Piece, columns: Span) -> CallExtern:
        """The same, of columns that were packed as if there were no others."""
        right = self._right_piece(piece.batch, columns)
        if self.is_turned:
            return self._contract_turned(piece, right, columns)
        if self.strips is not None:
            return self._contract_windows(self.strips, piece, right, columns)
        return self._contract(piece, right, columns.count, Span(0, columns.count), None, columns.first)

    def _contract(
        self, piece: Piece, right: Where, width: Dim, columns: Span, summed: Dim | None, shift: Dim = 0
    ) -> CallExtern:
        _, _, steps = self.contraction.sizes
        left, result = self.left(piece), self.result(piece, columns.first + shift)
        goal, written = self._goal(result, self.panels)
        if self.tables is None:
            span = (columns.first, columns.count, steps, steps if summed is None else summed)
            operands = (left.buffer, left.offset, left.places, left.steps)
            others = (right.buffer, right.offset, right.steps, right.places)
            return CallExtern(
                f"contract_{left.buffer.dtype}",
                (self._deciding_rows, piece.rows.count, width, *span, *operands, *others, *goal),
                written,
            )
        assert self.tables.left is not None
        sizes = (piece.rows.count, width, columns.first, columns.count, steps)
        return self._contract_gathered(self.tables.left, left, sizes, Span(0, steps), (goal, written))

    def _contract_windows(self, strips: Buffer, piece: Piece, right: Where, columns: Span) -> CallExtern:
        assert self.tables is not None
        assert self.tables.right is not None
        assert self.panels is not None
        left, result = self.left(piece), self.result(piece, columns.first)
        sizes = (piece.rows.count, columns.count, self.contraction.sizes[2])
        operands = (left.buffer, left.offset, left.places, left.steps, right.buffer, right.offset)
        tables = (self.tables.right.steps, 0, strips, 0)
        goal = (result.buffer, result.offset, result.places, self.panels, 0)
        return CallExtern(
            f"contract_windows_{left.buffer.dtype}", (*sizes, *operands, *tables, *goal), (result.buffer,)
        )

    def _contract_turned(self, piece: Piece, right: Where, columns: Span) -> CallExtern:
        assert self.tables is not None
        assert self.tables.right is not None
        assert self.panels is not None
        rows, _, steps = self.contraction.sizes
        result = self.result(piece, columns.first)
        sizes = (columns.count, rows, piece.rows.first, piece.rows.count, steps)
        operand = (right.buffer, right.offset, self.tables.right.places, right.places, self.tables.right.steps, 0)
        goal = (result.buffer, result.offset, result.places, self.panels, 0)
        return CallExtern(f"contract_turned_{right.buffer.dtype}", (*sizes, *operand, *goal), (result.buffer,))

    def _goal(
        self, result: Where, panels: Buffer | None, shift: Dim = 0
    ) -> tuple[tuple[Buffer | Dim, ...], tuple[Buffer, ...]]:
        """The last arguments of a product, and what of them is written; memory that is not needed is the result's."""
        buffer, block = result.buffer, self._block or result.buffer
        goal = (buffer, result.offset + shift, result.places, panels or buffer, 0, block, 0)
        return goal, tuple(dict.fromkeys((buffer, block)))

    def contract_packed(
        self, piece: Piece, columns: Span, panels: Panels, summed: Dim, result_first: Dim | None = None
    ) -> CallExtern:
        """The piece's rows of some columns; of the steps in the panels, the first ``summed`` are.

        Args:
            result_first: the first column that a local result holds, if not that of ``columns``.
        """
        left, result = self.left(piece), self.result(piece, columns.first)
        is_local = self.contraction.result.buffer in self.local
        shift = columns.first - result_first if is_local and result_first is not None else 0
        depth = panels.steps.count
        sizes = (piece.rows.count, panels.columns.count, columns.first - panels.columns.first, columns.count, depth)
        goal, written = self._goal(result, panels.buffer, shift)
        if self.tables is not None:
            assert self.tables.left is not None
            return self._contract_gathered(self.tables.left, left, sizes, panels.steps, (goal, written))
        operand = (left.buffer, left.offset + panels.steps.first * left.steps, left.places, left.steps)
        arguments = (*sizes, summed, _is_first(panels.steps), *operand, *goal)
        return CallExtern(f"contract_packed_{left.buffer.dtype}", arguments, written)

    def _contract_gathered(
        self,
        table: Table,
        left: Where,
        sizes: tuple[Dim, ...],
        steps: Span,
        goal: tuple[tuple[Buffer | Dim, ...], tuple[Buffer, ...]],
    ) -> CallExtern:
        arguments, written = goal
        operand = (_is_first(steps), left.buffer, left.offset, table.places, left.places, table.steps, steps.first)
        return CallExtern(f"contract_gathered_{left.buffer.dtype}", (*sizes, *operand, *arguments), written)

    @property
    def is_read_in_place(self) -> bool:
        """Whether products without packing can read the left operand."""
        return self.tables is None and self.contraction.left.dtype not in BYTE_DTYPES

    @property
    def _deciding_rows(self) -> Dim:
        """The rows by which the engine decides whether it packs: many where it has already, unless there is one."""
        rows = self.contraction.sizes[0]
        return rows + _MANY_ROWS * dim_min(1, floordiv(rows, 2)) if self.is_constant else rows

    # ------------------------------------------------------------------------------------------------- the operands

    def left(self, piece: Piece) -> Where:
        """From the piece's first row on; where there are tables, ``places`` is where the rows start in theirs."""
        contraction = self.contraction
        access = contraction.left
        if access.buffer in self.local:
            return self._local(access, contraction.steps)
        offset = self._start(access, piece.batch)
        if self.tables is not None and self.tables.left is not None:
            return Where(self.flat[access.buffer], offset, piece.rows.first)
        places, steps = contraction.spacing(access, contraction.rows), contraction.spacing(access, contraction.steps)
        assert places is not None
        assert steps is not None
        return Where(self.flat[access.buffer], offset + piece.rows.first * places, places, steps)

    def _local(self, access: Load, steps: Sequence[str]) -> Where:
        """The whole local buffer; its first axis is the rows."""
        local = self.local[access.buffer]
        indices = local.place(access.indices, access.buffer.shape, 0, None)[1:]
        rest = Load(Buffer(local.buffer.name, local.buffer.shape[1:], local.buffer.dtype), indices)
        spacing = self.contraction.spacing(rest, steps)
        assert spacing is not None
        return Where(local.flat, 0, _elements(local.buffer.shape[1:]), spacing)

    def _right(self, batch: Sequence[Dim]) -> Where:
        contraction = self.contraction
        access = contraction.right
        offset = self._start(access, batch)
        if self.tables is not None:
            return Where(self.flat[access.buffer], offset)
        places, steps = contraction.spacing(access, contraction.columns), contraction.spacing(access, contraction.steps)
        assert places is not None
        assert steps is not None
        return Where(self.flat[access.buffer], offset, places, steps)

    def _right_piece(self, batch: Sequence[Dim], columns: Span) -> Where:
        whole = self._right(batch)
        if self.tables is not None:
            return Where(whole.buffer, whole.offset, columns.first)
        return Where(whole.buffer, whole.offset + columns.first * whole.places, whole.places, whole.steps)

    def result(self, piece: Piece, first_column: Dim) -> Where:
        contraction = self.contraction
        access = contraction.result
        if access.buffer in self.local:
            local = self.local[access.buffer]
            return Where(local.flat, 0, _elements(local.buffer.shape[1:]))
        places = contraction.spacing(access, contraction.rows)
        assert places is not None
        offset = self._start(access, piece.batch) + piece.rows.first * places + first_column
        return Where(self.flat[access.buffer], offset, places)

    def _start(self, access: Load | Store, batch: Sequence[Dim]) -> Dim:
        """The first element of the matrix at ``batch``."""
        values: dict[str, Dim] = dict.fromkeys(self.contraction.extents, 0)
        return substitute(position_of(access), values | dict(zip(self.contraction.batch, batch, strict=True)))


def _is_first(steps: Span) -> Dim:
    """1 where steps are the first ones, else 0."""
    return 1 - dim_min(1, steps.first)


def panels_for(contraction: Contraction, columns: Dim, depth: Dim, name: str, is_shared: bool = False) -> Buffer:
    """Memory for so many packed columns and steps of the right operand."""
    dtype, are_bytes = contraction.result.buffer.dtype, contraction.right.dtype in BYTE_DTYPES
    size = panels_size(columns, depth, host_tile(element_bits(dtype)), are_bytes)
    return Buffer(f"{contraction.right.buffer.name}_{name}", (size,), dtype, "shared" if is_shared else "scratch")


def turned_panels_for(contraction: Contraction) -> Buffer:
    """Memory for the left operand, packed."""
    rows, _, depth = contraction.sizes
    dtype = contraction.result.buffer.dtype
    size = panels_size(rows, depth, host_tile(element_bits(dtype)))
    return Buffer(f"{contraction.left.buffer.name}_panels", (size,), dtype, "shared")


def strips_for(contraction: Contraction) -> Buffer:
    """Memory for where the strips of a group of columns start."""
    lanes = host_tile(element_bits(contraction.result.buffer.dtype)).lanes
    return Buffer(f"{contraction.right.buffer.name}_strips", (ceildiv(COLUMN_GROUP, lanes),), "int64", "scratch")


def tables_for(contraction: Contraction, has_left: bool, has_right: bool) -> tuple[Tables, Stmt]:
    """The tables of a contraction's operands, or of one of them, and what fills them."""
    left, right, filling = None, None, list[Stmt]()
    if has_left:
        left, fill = _table_for(contraction, contraction.left, contraction.rows, "rows")
        filling.append(fill)
    if has_right:
        right, fill = _table_for(contraction, contraction.right, contraction.columns, "columns")
        filling.append(fill)
    return Tables(left, right), sequence(*filling)


def _table_for(contraction: Contraction, access: Load, places: Sequence[str], what: str) -> tuple[Table, Stmt]:
    name, count = access.buffer.name, contraction.count
    table = Table(
        Buffer(f"{name}_{what}", (count(places),), "int64", "shared"),
        Buffer(f"{name}_steps", (count(contraction.steps),), "int64", "shared"),
    )
    fillings = (
        _filled(contraction, access, places, table.places),
        _filled(contraction, access, contraction.steps, table.steps),
    )
    return table, sequence(*fillings)


def _filled(contraction: Contraction, access: Load, names: Sequence[str], table: Buffer) -> Stmt:
    """Loops over variables that write where the elements are, at their joint index."""
    variables = {name: loop_variable(f"{table.name}.{name}", contraction.extents[name]) for name in names}
    joint: Dim = 0
    for name in names:
        joint = joint * contraction.extents[name] + variables[name]
    values: dict[str, Dim] = dict(variables)
    position = substitute(contraction.part(access, names), values)
    result: Stmt = Store(table, (joint,), IndexValue(position))
    for name in reversed(names):
        result = For(f"{table.name}.{name}", contraction.extents[name], result)
    return result


def _elements(shape: Sequence[Dim]) -> Dim:
    return math.prod(shape, start=1)
