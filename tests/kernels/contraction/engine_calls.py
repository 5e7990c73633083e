"""Calling the entries of the engine's core on arrays, piece by piece."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relaxdsl.kernels.contraction.engine import Core, compile_core
from relaxdsl.kernels.contraction.names import PARAMETERS, is_address
from relaxdsl.kernels.contraction.tile import (
    BLOCK_MARGIN,
    COLUMN_GROUP,
    GRANULE,
    Tile,
    element_bits,
    host_tile,
    panel_dtype,
    panels_size,
    tile_for,
)
from relaxdsl.kernels.contraction.ways import Product as Known
from relaxdsl.kernels.object_code import LoadedObject

Array = NDArray[Any]
GUARD = 4096
"""Elements after a block that must stay as they are."""
_cores: dict[tuple[str, Tile], Core] = {}


def core_for(dtype: str, vector_bits: int | None = None) -> Core:
    """A compiled core, with vectors of that width or the machine's own."""
    bits = element_bits(dtype)
    if vector_bits is None:
        tile = host_tile(bits)
    else:
        tile = tile_for(bits, max(vector_bits, bits), 32 if vector_bits == 512 else 16)
    if (dtype, tile) not in _cores:
        _cores[dtype, tile] = Core(dtype, tile, LoadedObject(compile_core(dtype, tile, tuple(PARAMETERS))))
    return _cores[dtype, tile]


def call(core: Core, entry: str, *arguments: Any) -> None:
    """An entry of the core; an array is passed as its address."""
    kinds = [ctypes.c_void_p if is_address(name) else ctypes.c_int64 for name in PARAMETERS[entry].split()]
    values = [each.ctypes.data if isinstance(each, np.ndarray) else int(each) for each in arguments]
    ctypes.CFUNCTYPE(None, *kinds)(core.address(entry))(*values)


@dataclass(frozen=True)
class Division:
    """Where a product is cut: after how many rows, and after how many granules of columns."""

    rows: tuple[int, ...] = ()
    granules: tuple[int, ...] = ()

    def row_pieces(self, rows: int) -> Iterator[tuple[int, int]]:
        return _pieces(self.rows, rows)

    def column_pieces(self, columns: int) -> Iterator[tuple[int, int]]:
        return _pieces([each * GRANULE for each in self.granules], columns)

    def group_pieces(self, columns: int) -> Iterator[tuple[int, int]]:
        """What is packed at a time: whole groups."""
        return _pieces([each * GRANULE // COLUMN_GROUP for each in self.granules], -(-columns // COLUMN_GROUP))


def _pieces(cuts: Sequence[int], stop: int) -> Iterator[tuple[int, int]]:
    edges = sorted({0, *(min(each, stop) for each in cuts), stop})
    return pairwise(edges)


@dataclass
class Product:
    """``left @ right`` of two matrices with any strides, as calls of a core.

    The result is surrounded by elements that must not change, and all memory is filled with garbage first. ``steps``:
    how many steps are summed, if not all. ``columns``: how many columns are computed, if not all. Bytes are packed by a
    core of their own: that of the right operand's dtype.
    """

    core: Core
    left: Array
    right: Array
    division: Division = field(default_factory=Division)
    steps: int | None = None
    columns: int | None = None
    packing: Core | None = None

    def result(self) -> Array:
        m, k = self.left.shape
        n = self.right.shape[1]
        wanted = n if self.columns is None else self.columns
        panels, block, frame = memory(self.core.tile, self.left, self.right, wanted)
        c = frame[1:-1, 1:-1]
        packing, right = self.packing or self.core, (self.right, *_steps(self.right))
        for first, stop in self.division.group_pieces(n):
            call(packing, "pack", m, n, k, *right, first, stop - first, panels)
        for row, row_stop in self.division.row_pieces(m):
            for column, stop in self.division.column_pieces(wanted):
                columns = stop - column
                left, goal = self.left[row:], c[row:, column:]
                operands = (left, *_steps(left), *right, goal, wanted + 2, panels, block)
                sizes = (m, row_stop - row, n, column, columns, k, k if self.steps is None else self.steps)
                call(self.core, "contract", *sizes, *operands)
        assert_whole(panels, block)
        return _inner(frame)

    def gathered_result(self) -> Array:
        """The same through tables of offsets."""
        m, k = self.left.shape
        n = self.right.shape[1]
        rows, left_steps = (np.arange(size) * step for size, step in zip((m, k), _steps(self.left), strict=True))
        steps, columns = (np.arange(size) * step for size, step in zip((k, n), _steps(self.right), strict=True))
        tables = Tables(rows, left_steps, steps, columns)
        return gathered_product(self.core, self.left, self.right, tables, self.division, self.packing)

    def filled_result(self, columns: int, steps: int, depth: int) -> Array:
        """The same from panels of ``depth`` steps at a time, filled by rectangles of so many columns and steps."""
        m, k = self.left.shape
        n = self.right.shape[1]
        panels, block, frame = memory(self.core.tile, self.left, self.right, is_filled=True)
        c, packing = frame[1:-1, 1:-1], self.packing or self.core
        for start, stop in _pieces(range(0, k, depth), k) if k else [(0, 0)]:
            part, left = self.right[start:stop], self.left[:, start:]
            for first, column in itertools.product(range(0, stop - start, steps), range(0, n, columns)):
                sizes = (column, min(columns, n - column), first, min(steps, stop - start - first))
                corner = part[first:, column:]
                call(packing, "fill", n, stop - start, corner, *_steps(corner), *sizes, panels)
            sizes = (m, n, 0, n, stop - start, stop - start, int(start == 0))
            call(self.core, "contract_packed", *sizes, left, *_steps(left), c, n + 2, panels, block)
        assert_whole(panels, block)
        return _inner(frame)


@dataclass(frozen=True)
class Tables:
    """Offsets of a product's operands."""

    left_rows: Array
    left_steps: Array
    right_steps: Array
    right_columns: Array


def gathered_product(
    core: Core, left: Array, right: Array, tables: Tables, division: Division, packing: Core | None = None
) -> Array:
    """The product of operands given by tables."""
    m, n, k = len(tables.left_rows), len(tables.right_columns), len(tables.left_steps)
    panels, block, frame = memory_for(Known(m, n, k, None, None, core.tile, left.itemsize == 1), str(left.dtype), n)
    c = frame[1:-1, 1:-1]
    for first, stop in division.group_pieces(n):
        sources = (right, tables.right_steps, tables.right_columns)
        call(packing or core, "pack_gathered", n, k, *sources, first, stop - first, panels)
    for row, row_stop in division.row_pieces(m):
        for column, stop in division.column_pieces(n):
            columns = stop - column
            operands = (left, tables.left_rows[row:], tables.left_steps, c[row:, column:], n + 2, panels, block)
            call(core, "contract_gathered", row_stop - row, n, column, columns, k, 1, *operands)
    assert_whole(panels, block)
    return _inner(frame)


def memory(
    tile: Tile, left: Array, right: Array, columns: int | None = None, is_filled: bool = False
) -> tuple[Array, Array, Array]:
    """Panels, a block, and the result, of all columns or some, in a frame. ``is_filled``: all is in panels."""
    n = right.shape[1]
    known = known_product(tile, left, right, ends_anywhere=columns is not None)
    return memory_for(known, str(left.dtype), n if columns is None else columns, is_filled)


def known_product(tile: Tile, left: Array, right: Array, ends_anywhere: bool) -> Known:
    """What a kernel knows of a product whose sizes and strides it knows."""
    (m, k), n = left.shape, right.shape[1]
    steps, columns = _steps(right)
    return Known(m, n, k, _steps(left), (columns, steps), tile, left.itemsize == 1, ends_anywhere)


def memory_for(known: Known, dtype: str, columns: int, is_filled: bool = False) -> tuple[Array, Array, Array]:
    kind = panel_dtype(dtype)
    block = (known.left_block_size if is_filled else known.block_size) + BLOCK_MARGIN
    panels = panels_size(known.columns, known.depth, known.tile, known.are_bytes)
    sizes = (panels + GUARD, block + GUARD, (known.rows + 2, columns + 2))
    panels, block, frame = (np.full(size, _garbage(kind), kind) for size in sizes)
    return panels, block, frame


def assert_whole(*packed: Array) -> None:
    """Nothing is written after panels and a block, and their margins."""
    for each in packed:
        untouched = np.full(GUARD, _garbage(str(each.dtype)), each.dtype)
        np.testing.assert_array_equal(each[-GUARD:], untouched, "what lies after packed operands was written")


def _garbage(dtype: str) -> float:
    return -(2**31) + 1 if dtype == "int32" else np.nan


def _inner(frame: Array) -> Array:
    """The result, after a look at its frame."""
    for edge in (frame[0], frame[-1], frame[:, 0], frame[:, -1]):
        untouched = np.full(edge.shape, _garbage(str(frame.dtype)), frame.dtype)
        np.testing.assert_array_equal(edge, untouched, "an element outside of the result was written")
    return frame[1:-1, 1:-1]


def _steps(array: Array) -> tuple[int, int]:
    first, second = (step // array.itemsize for step in array.strides)
    return first, second
