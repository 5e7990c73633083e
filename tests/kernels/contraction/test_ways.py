"""How products are computed: what a kernel knows in advance agrees with what the core decides."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxdsl.kernels.contraction.engine import target_machine
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.numbers import numbers_for
from relaxdsl.kernels.contraction.tile import FEW, NARROW, PACKED_COLUMNS, Tile, tile_for
from relaxdsl.kernels.contraction.ways import DIRECT, FROM_PANELS, IN_PLACE, PACKING, Product, emit_way
from relaxdsl.kernels.object_code import LoadedObject, parsed_for
from relaxdsl.types.dims import dims, evaluate

VECTORS = ((512, 32), (256, 16), (128, 16))
"""Their bits, and how many registers of them there are."""
TILES = [
    *(tile_for(bits, vector, registers) for bits in (32, 64) for vector, registers in VECTORS),
    *(tile_for(bits, 512, 32, is_intel=True) for bits in (32, 64)),
]
SIZES = st.sampled_from((1, 2, 3, 8, 16, 47, 48, 192, 193, 512, 513)) | st.integers(1, 3000)
_loaded: list[LoadedObject] = []
"""They own the machine code."""


@cache
def way_of(tile: Tile) -> Callable[..., int]:
    library = Library(tile, numbers_for("float32" if tile.bits == 32 else "float64"), has_registers=False)
    emit_way(library.function("way", "m n k b_steps b_columns", "way"), tile)
    machine = target_machine("", "")
    _loaded.append(LoadedObject(machine.emit_object(parsed_for(machine, library.module))))
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)(_loaded[-1].address("way"))


@settings(max_examples=400, deadline=None)
@given(
    tile=st.sampled_from(TILES),
    sizes=st.tuples(SIZES, SIZES, SIZES),
    layout=st.sampled_from(("rows", "columns", "neither", "wide rows")),
)
def test_what_is_known_in_advance_is_what_the_core_decides(tile, sizes, layout):
    m, n, k = sizes
    columns, steps = {"rows": (1, n), "columns": (k, 1), "neither": (2, 2 * n), "wide rows": (1, 1024)}[layout]
    way = way_of(tile)(m, n, k, steps, columns)
    product = Product(m, n, k, (k, 1), (columns, steps), tile)
    right = product.block_size - product.left_block_size
    depth = min(tile.depth, k)
    if way == FROM_PANELS:
        assert product.is_packed_before == 1
    if way == PACKING:
        assert right == min(PACKED_COLUMNS, n + tile.lanes - 1) * depth
    if way == IN_PLACE:
        assert right >= (0 if n % tile.lanes == 0 else tile.lanes) * depth
    if product.is_direct:
        assert way == DIRECT


@settings(max_examples=200, deadline=None)
@given(tile=st.sampled_from(TILES), sizes=st.tuples(SIZES, SIZES, SIZES), at=st.sampled_from(("", "rows", "all")))
def test_unknown_sizes_get_as_much_memory_as_known_ones(tile, sizes, at):
    rows, columns, depth = dims("rows columns depth")
    values = dict(zip(("rows", "columns", "depth"), sizes, strict=True))
    known = Product(*sizes, (sizes[2], 1), (1, sizes[1]), tile)
    unknown = {
        "": known,
        "rows": Product(rows, *sizes[1:], (sizes[2], 1), (1, sizes[1]), tile),
        "all": Product(rows, columns, depth, (depth, 1), (1, columns), tile),
    }[at]
    assert evaluate(unknown.block_size, values) >= known.block_size
    assert evaluate(unknown.is_packed_before, values) >= known.is_packed_before
    assert not unknown.is_direct or known.is_direct


def test_the_memory_of_a_layer_of_any_number_of_rows():
    (rows,) = (dims("rows"),)

    def layer(vector_bits: int, registers: int, columns: int) -> Product:
        return Product(rows, columns, 500, (500, 1), (1, columns), tile_for(32, vector_bits, registers))

    assert layer(512, 32, 560).block_size == 0
    assert str(layer(512, 32, 560).is_packed_before) == "min(rows // 513, 1)"
    assert str(layer(512, 32, 570).block_size) == "8000"  # a vector of the last ten columns
    turned = [Product(rows, 1520, 500, (1, rows), (1, 1520), tile_for(32, *each)) for each in ((512, 32), (256, 16))]
    for wide, narrow in ((layer(512, 32, 1520), layer(256, 16, 1520)), turned):  # whether its rows are runs or not
        assert str(wide.left_block_size) == "0"
        assert str(narrow.left_block_size) == "500 * min(rows, 187) + 2500"
    assert layer(256, 16, NARROW).left_block_size == 0
    layers = layer(256, 16, 560)
    right_size = layers.block_size - layers.left_block_size
    sizes = [evaluate(right_size, {"rows": size}) for size in (1, 12, 13, FEW, FEW + 1)]
    assert [size / 500 for size in sizes] == [0, 0, 96, 96, 0]


@pytest.mark.parametrize("are_bytes", [False, True])
def test_tables_need_no_block_but_for_bytes(are_bytes):
    product = Product(100, 100, 100, None, None, TILES[0], are_bytes)
    assert product.block_size == (107 * 50 if are_bytes else 0)
    assert product.is_packed_before == 1
