"""The engine's core: a small library for each dtype, called by every contraction.

``c[i, j] = sum over k of a[i, k] * b[k, j]`` for matrices with any strides, given as addresses and steps in elements.
The result may be computed piece by piece, and pieces at once:

- ``pack`` packs ``count`` groups of :data:`.COLUMN_GROUP` columns of ``b``, from group ``first`` on, into ``panels``;
  it does nothing where the product needs no panels.
- ``contract`` computes ``rows`` of the ``m`` rows of ``c``, and ``columns`` of its ``n`` columns from ``first_column``
  on, a multiple of :data:`.GRANULE`. ``a`` is at the first row, ``c`` at the first element, ``b`` at the start of the
  whole operand, and the panels of all those columns are packed. Of the ``k`` steps the first ``steps`` are summed.

Which way a product is computed depends on ``m``, ``n``, ``k`` and the strides, never on the piece, and an element's sum
is formed in the same order wherever it is: any division gives the same bits. (A caller may make a product of its own of
some columns, with ``n`` of them: :meth:`.calls.Calls.contract_piece`. Last bits may then differ from other columns'.)
Where the product needs no panels (:func:`.ways.emit_way`), ``first_column`` may be anything. A caller that packed
before it knew ``m`` passes more than :data:`.FEW` to both.

``pack_gathered`` and ``contract_gathered`` are the same for operands whose elements are where tables of offsets say:
element (row, step) of ``a`` at ``a_row_offsets[row] + a_step_offsets[step]``. Such products always need panels.

``pack_turned`` and ``contract_turned`` are the same for a left operand given by tables, and a result whose rows are
neighbours in memory: element (row, column) of ``c`` at ``row + column * c_columns``.

An operand that is nowhere in memory is evaluated rectangle by rectangle, which calls use at once:

- ``fill`` packs ``steps`` from ``first_step`` on of ``columns`` from ``first_column`` on, which are groups of
  :data:`.PACKED_COLUMNS`.
- ``contract_packed`` is ``contract`` for panels that have been filled. The panels may be those of some of the steps,
  whose products are added to the result if they are not the first.

Products of bytes, each int8 or uint8, are summed in int32. Their operands are always packed: the right one by the
``pack`` of its dtype, the left one by the ``contract`` of its own.

``panels`` has memory for :func:`.panels_size` elements of :func:`.panel_dtype`, ``block``, of which every running call
has its own, for :attr:`.Product.block_size` and :data:`.BLOCK_MARGIN`.

It is LLVM IR written by :class:`.emitter.Emitter`; numba's type inference would take many times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from relaxdsl.kernels.contraction import direct, windows
from relaxdsl.kernels.contraction.blocks import emit_blocks, emit_fill
from relaxdsl.kernels.contraction.emitter import Emitter
from relaxdsl.kernels.contraction.library import Library
from relaxdsl.kernels.contraction.names import PARAMETERS, symbol_name
from relaxdsl.kernels.contraction.numbers import numbers_for
from relaxdsl.kernels.contraction.operands import GATHERED, LAYOUTS, TURNED, Layout
from relaxdsl.kernels.contraction.tile import Tile
from relaxdsl.kernels.contraction.ways import DIRECT, FROM_PANELS, emit_way


def core_module(dtype: str, tile: Tile, entries: Sequence[str], widest_bits: int) -> ir.Module:
    """The LLVM IR of a core with all entries of some :data:`.FAMILIES`, for vectors of at most ``widest_bits``."""
    library = Library(tile, numbers_for(dtype), has_registers=tile.lanes * tile.bits <= widest_bits)
    layouts = [each for each in LAYOUTS if _is_wanted(library, each, entries)]
    emit_blocks(library, layouts)
    _emit_clear(library.function("clear", "rows columns c* c_rows"))
    if "contract" in entries:
        _emit_entries(library, dtype)
    if GATHERED in layouts:
        _emit_gathered_entries(library, dtype)
    if TURNED in layouts:
        _emit_turned_entries(library, dtype)
    if "contract_windows" in entries and library.numbers.is_read_in_place:
        _emit_windows_entries(library, dtype)
    return library.module


def _is_wanted(library: Library, layout: Layout, entries: Sequence[str]) -> bool:
    """Whether one of the entries needs the layout; bytes have no turned products."""
    return f"contract{layout.suffix}" in entries and (layout is not TURNED or library.numbers.is_read_in_place)


def _emit_entries(library: Library, dtype: str) -> None:
    if library.numbers.is_read_in_place:
        direct.emit_products(library)
        emit_way(library.function("way", "m n k b_steps b_columns"), library.tile)
        _emit_pack(library, dtype)
        _emit_contract(library, dtype)
    else:
        _emit_packed_entries(library, dtype)
    emit_fill(library, _entry(library, "fill", dtype))
    _emit_contract_packed(library, dtype)


def _entry(library: Library, entry: str, dtype: str) -> Emitter:
    return library.function(entry, PARAMETERS[entry], symbol_name(entry, dtype))


def _emit_pack(library: Library, dtype: str) -> None:
    emit = _entry(library, "pack", dtype)
    m, n, k, b, b_steps, b_columns, first, count, panels = emit.function.args
    way = library.call(emit, "way", (m, n, k, b_steps, b_columns))
    with emit.builder.if_then(emit.compare("==", way, FROM_PANELS)):
        library.call(emit, "all_panels", (n, k, b, b_columns, b_steps, first, count, panels))
    emit.builder.ret(emit.integer(0))


def _emit_contract(library: Library, dtype: str) -> None:
    emit = _entry(library, "contract", dtype)
    m, rows, n, first_column, columns, k, steps, a, a_rows, a_steps, b, b_steps, b_columns, *rest = emit.function.args
    way = library.call(emit, "way", (m, n, k, b_steps, b_columns))
    is_direct = emit.any(emit.compare("==", way, DIRECT), emit.compare("==", steps, 0))
    with emit.builder.if_else(is_direct) as (direct, tiles):
        with direct:
            c, c_rows, _, _ = rest
            right = emit.at(b, emit.mul(first_column, b_columns))
            operands = (a, a_rows, a_steps, right, b_steps, b_columns)
            library.call(emit, "product", (rows, n, columns, steps, *operands, c, c_rows))
        with tiles:
            right = (way, b, b_steps, b_columns)
            left = (a, a_rows, a_steps)
            sizes = (rows, n, first_column, columns, k, steps, 1)
            library.call(emit, "all_tiles", (*sizes, *left, *right, *rest))
    emit.builder.ret(emit.integer(0))


def _emit_packed_entries(library: Library, dtype: str) -> None:
    """The entries for operands that are always packed, each in the way of its own dtype."""
    emit = _entry(library, "pack", dtype)
    _, n, k, b, b_steps, b_columns, first, count, panels = emit.function.args
    library.call(emit, "all_panels", (n, k, b, b_columns, b_steps, first, count, panels))
    emit.builder.ret(emit.integer(0))
    emit = _entry(library, "contract", dtype)
    _, rows, n, first_column, columns, k, steps, *operands, c, c_rows, panels, block = emit.function.args
    left, right = operands[:3], operands[3:]
    sizes = (rows, n, first_column, columns, k, steps, 1)
    library.call(emit, "all_tiles", (*sizes, *left, FROM_PANELS, *right, c, c_rows, panels, block))
    _clear_if_empty(library, emit, steps, (rows, columns, c, c_rows))
    emit.builder.ret(emit.integer(0))


def _emit_contract_packed(library: Library, dtype: str) -> None:
    emit = _entry(library, "contract_packed", dtype)
    *sizes, a, a_rows, a_steps, c, c_rows, panels, block = emit.function.args
    rows, _, _, columns, _, steps, _ = sizes
    right = (FROM_PANELS, a, 0, 0)
    library.call(emit, "all_tiles", (*sizes, a, a_rows, a_steps, *right, c, c_rows, panels, block))
    _clear_if_empty(library, emit, steps, (rows, columns, c, c_rows))
    emit.builder.ret(emit.integer(0))


def _emit_pack_always(library: Library, dtype: str, layout: Layout) -> None:
    """The entry for right operands that are packed whatever their size."""
    emit = _entry(library, f"pack{layout.suffix}", dtype)
    n, k, b, b_steps, b_columns, first, count, panels = emit.function.args
    panels_of = f"all_panels{layout.packed.suffix}"
    library.call(emit, panels_of, (n, k, b, b_columns, b_steps, first, count, panels))
    emit.builder.ret(emit.integer(0))


def _emit_gathered_entries(library: Library, dtype: str) -> None:
    _emit_pack_always(library, dtype, GATHERED)
    emit = _entry(library, "contract_gathered", dtype)
    rows, n, first_column, columns, k, is_first, a, *others = emit.function.args
    library.call(emit, "all_tiles_gathered", (rows, n, first_column, columns, k, k, is_first, a, *others))
    _clear_if_empty(library, emit, k, (rows, columns, *others[2:4]))
    emit.builder.ret(emit.integer(0))


def _emit_turned_entries(library: Library, dtype: str) -> None:
    _emit_pack_always(library, dtype, TURNED)
    emit = _entry(library, "contract_turned", dtype)
    rows, n, first_column, columns, k, *left, c, c_columns, panels = emit.function.args
    block = panels  # no left operand is packed
    sizes = (rows, n, first_column, columns, k, k, 1)
    library.call(emit, "all_tiles_turned", (*sizes, *left, c, c_columns, panels, block))
    _clear_if_empty(library, emit, k, (columns, rows, c, c_columns))
    emit.builder.ret(emit.integer(0))


def _emit_windows_entries(library: Library, dtype: str) -> None:
    windows.emit_helpers(library)
    windows.emit_pack(library, _entry(library, "pack_windows", dtype))
    emit = _entry(library, "contract_windows", dtype)
    rows, columns, k, *_, c, c_rows, _ = emit.function.args
    _clear_if_empty(library, emit, k, (rows, columns, c, c_rows))
    windows.emit_contract(library, emit)


def _clear_if_empty(library: Library, emit: Emitter, steps: Any, result: tuple[Any, ...]) -> None:
    """A sum of nothing is zero."""
    with emit.builder.if_then(emit.compare("==", steps, 0)):
        library.call(emit, "clear", result)


def _emit_clear(emit: Emitter) -> None:
    rows, columns, c, c_rows = emit.function.args
    whole = emit.multiple_below(columns, emit.lanes)
    with emit.loop(0, rows) as row:
        start = emit.at(c, emit.mul(row, c_rows))
        with emit.loop(0, whole, emit.lanes) as column:
            emit.store_vector(emit.zeros, start, column)
        with emit.loop(whole, columns) as column:
            emit.store(emit.zero, start, column)
    emit.builder.ret(emit.integer(0))
