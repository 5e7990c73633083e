"""The engine's core: one small library for each float dtype, compiled once a process and called by every contraction.

``c[i, j] = sum over k of a[i, k] * b[k, j]`` for matrices with any strides, given as addresses and steps in elements:

- ``begin(panels)`` forgets what is in ``panels``;
- ``contract(m, rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block)`` computes ``rows`` of
  the ``m`` rows of ``c``: those at which ``a`` and ``c`` start.

Which way a product is computed depends on ``m``, ``n``, ``k`` and the strides, never on ``rows``, and an element's sum
is formed in the same order wherever it is: any division of the rows gives the same bits.

The first call after ``begin`` packs ``b`` into ``panels``, part by part, each just before it is used; the calls after
it take it from there. ``panels`` has memory for ``(n + MAX_COLUMNS) * k + PANELS_START`` elements, ``block`` for
``ROW_BLOCK * min(k, DEPTH)``.

It is LLVM IR written by :class:`.emitter.Emitter`; numba's type inference would take many times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from relaxdsl.kernels.contraction import direct
from relaxdsl.kernels.contraction.emitter import INT64, Emitter
from relaxdsl.kernels.contraction.names import PARAMETERS, symbol_name
from relaxdsl.kernels.contraction.tile import (
    COLUMN_GROUP,
    DEPTH,
    NARROW,
    PACKED_STEPS,
    PANELS_START,
    ROW_BLOCK,
    SKINNY,
    SMALL,
    Tile,
    host_tile,
)
from relaxdsl.kernels.contraction.tiles import emit_panel, emit_tile

_TILES = "rows n k a* a_rows a_steps b* b_steps b_columns c* c_rows panels* block*"
PACKED, ADDS_ROWS, DOTS, DOTS_OF_ROWS, ADDS_COLUMNS = range(5)


@dataclass(slots=True)
class _Library:
    """The functions of one core under construction."""

    tile: Tile
    real: ir.Type
    module: ir.Module = field(default_factory=lambda: ir.Module("relaxdsl_contraction"))
    functions: dict[str, ir.Function] = field(default_factory=dict)

    def function(self, name: str, parameters: str, exported: str = "") -> Emitter:
        """Begins a function; a parameter with a star is an address."""
        names = parameters.split()
        kinds = [self.real.as_pointer() if each.endswith("*") else INT64 for each in names]
        made = ir.Function(self.module, ir.FunctionType(INT64, kinds), exported or name)
        if not exported:
            made.linkage = "internal"
        for argument, each in zip(made.args, names, strict=True):
            argument.name = each.rstrip("*")
        self.functions[name] = made
        return Emitter(made, self.real, self.tile.lanes)

    def call(self, emit: Emitter, name: str, arguments: Sequence[Any]) -> Any:
        return emit.builder.call(self.functions[name], [emit.integer(each) for each in arguments])


@dataclass(frozen=True, eq=False, slots=True)
class Core:
    """A compiled core: the addresses of its entries; ``engine`` keeps them alive."""

    dtype: str
    tile: Tile
    engine: Any

    def address(self, entry: str) -> int:
        return int(self.engine.get_function_address(symbol_name(entry, self.dtype)))


@lru_cache(maxsize=2)
def core(dtype: str) -> Core:
    """The core for ``dtype``, whose entries the linker knows by :func:`symbol_name` from now on."""
    tile = host_tile(int(dtype.removeprefix("float")))
    made = compile_core(dtype, tile)
    for entry in PARAMETERS:
        llvm.add_symbol(symbol_name(entry, dtype), made.address(entry))
    return made


def compile_core(dtype: str, tile: Tile) -> Core:
    """A core with the given tile."""
    machine = target_machine(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    engine = llvm.create_mcjit_compiler(parsed_for(machine, core_module(dtype, tile)), machine)
    engine.finalize_object()
    return Core(dtype, tile, engine)


def target_machine(cpu: str, features: str) -> Any:
    """The machine of that processor and this system."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2)


def parsed_for(machine: Any, module: ir.Module) -> Any:
    """The module for that machine. It runs through no passes: it is written as it should run, and they take long."""
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return llvm.parse_assembly(str(module))


# ----------------------------------------------------------------------------------------------------------- the module


def core_module(dtype: str, tile: Tile) -> ir.Module:
    """The core's LLVM IR."""
    library = _Library(tile, ir.FloatType() if dtype == "float32" else ir.DoubleType())
    for name, is_packed in (("tile", True), ("tile_in_place", False)):
        emit_tile(library.function(name, "depth a* a_rows a_steps b* c* c_rows rows columns is_first"), tile, is_packed)
    for name, width in (("left_panel", tile.rows), ("right_panel", tile.columns)):
        emit_panel(library.function(name, "depth count source* stride step target*"), width)
    for rows in (direct.ROWS, 1):
        for steps in (direct.STEPS[rows], 1):
            emit = library.function(f"add_rows_{rows}_{steps}", "n a* a_rows a_steps b* b_steps c* c_rows")
            direct.emit_add_rows(emit, rows, steps)
        for columns in (direct.STREAMS, 1):
            emit = library.function(f"dots_{rows}_{columns}", "depth a* a_rows b* b_columns c* c_rows")
            direct.emit_dots(emit, rows, columns)
    _emit_way(library.function("way", "m n k a_rows a_steps b_steps b_columns"))
    _emit_all_added_rows(library)
    _emit_all_dots(library)
    _emit_left_block(library)
    _emit_right_group(library)
    _emit_group_of_tiles(library)
    _emit_all_tiles(library)
    _emit_begin(library, dtype)
    _emit_contract(library, dtype)
    return library.module


def _emit_way(emit: Emitter) -> None:
    """How a product is computed: see :data:`PACKED` and the others."""
    m, n, k, a_rows, a_steps, b_steps, b_columns = emit.function.args
    are_rows = emit.builder.and_(emit.compare("==", a_steps, 1), emit.compare("==", b_steps, 1))
    is_vector = emit.compare("==", n, 1)
    emit.give_back(emit.compare("==", k, 0), ADDS_ROWS)
    emit.give_back(emit.all(is_vector, are_rows), DOTS_OF_ROWS)
    emit.give_back(emit.all(is_vector, emit.compare("==", a_rows, 1)), ADDS_COLUMNS)
    products = emit.mul(emit.mul(m, n), k)
    is_small = emit.builder.or_(emit.compare("<=", m, SKINNY), emit.compare("<=", products, SMALL))
    emit.give_back(emit.all(is_small, emit.compare("==", b_columns, 1)), ADDS_ROWS)
    emit.give_back(emit.all(is_small, are_rows), DOTS)
    emit.builder.ret(emit.integer(PACKED))


def _emit_all_added_rows(library: _Library) -> None:
    emit = library.function("all_added_rows", "rows n k a* a_rows a_steps b* b_steps c* c_rows")
    rows, n, k, a, a_rows, a_steps, b, b_steps, c, c_rows = emit.function.args
    is_one = emit.compare("==", rows, 1)
    run = emit.builder.select(is_one, emit.integer(direct.LONG_RUN), emit.integer(direct.RUN))
    with emit.loop(0, n, run) as first:
        width = emit.smaller(run, emit.sub(n, first))
        sources, targets = emit.at(b, first), emit.at(c, first)
        with emit.loop(0, rows) as row, emit.loop(0, width) as column:
            emit.store(emit.zero, targets, emit.add(emit.mul(row, c_rows), column))
        with emit.loop(0, k, direct.RUN_DEPTH) as start:
            stop = emit.smaller(k, emit.add(start, direct.RUN_DEPTH))
            for row, height in _by(emit, 0, rows, direct.ROWS):
                target = emit.at(targets, emit.mul(row, c_rows))
                for step, steps in _by(emit, start, stop, direct.STEPS[height]):
                    left = emit.at(a, emit.add(emit.mul(row, a_rows), emit.mul(step, a_steps)))
                    right = emit.at(sources, emit.mul(step, b_steps))
                    arguments = (width, left, a_rows, a_steps, right, b_steps, target, c_rows)
                    library.call(emit, f"add_rows_{height}_{steps}", arguments)
    emit.builder.ret(emit.integer(0))


def _by(emit: Emitter, start: Any, stop: Any, group: int) -> Any:
    """Two loops over a range: by whole groups, then one by one. Yields the index and the size of its group."""
    whole = emit.add(start, emit.multiple_below(emit.sub(stop, start), group))
    with emit.loop(start, whole, group) as index:
        yield index, group
    with emit.loop(whole, stop) as index:
        yield index, 1


def _emit_all_dots(library: _Library) -> None:
    emit = library.function("all_dots", "rows n k a* a_rows b* b_columns c* c_rows")
    rows, n, k, a, a_rows, b, b_columns, c, c_rows = emit.function.args
    for column, width in _by(emit, 0, n, direct.STREAMS):
        right = emit.at(b, emit.mul(column, b_columns))
        for row, height in _by(emit, 0, rows, direct.ROWS):
            left = emit.at(a, emit.mul(row, a_rows))
            target = emit.at(c, emit.add(emit.mul(row, c_rows), column))
            library.call(emit, f"dots_{height}_{width}", (k, left, a_rows, right, b_columns, target, c_rows))
    emit.builder.ret(emit.integer(0))


def _emit_begin(library: _Library, dtype: str) -> None:
    emit = library.function("begin", PARAMETERS["begin"], symbol_name("begin", dtype))
    (panels,) = emit.function.args
    emit.builder.store(emit.integer(0), emit.builder.bitcast(panels, INT64.as_pointer()))
    emit.builder.ret(emit.integer(0))


def _emit_all_tiles(library: _Library) -> None:
    """By row block, then steps of the sum, then groups of columns."""
    emit = library.function("all_tiles", _TILES)
    rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block = emit.function.args
    flag = emit.builder.bitcast(panels, INT64.as_pointer())
    with emit.loop(0, rows, ROW_BLOCK) as above:
        is_packed = emit.builder.load(flag)
        left, target = emit.at(a, emit.mul(above, a_rows)), emit.at(c, emit.mul(above, c_rows))
        height = emit.smaller(ROW_BLOCK, emit.sub(rows, above))
        with emit.loop(0, k, DEPTH) as start:
            depth = emit.smaller(DEPTH, emit.sub(k, start))
            source = emit.at(left, emit.mul(start, a_steps))
            library.call(emit, "left_block", (height, depth, n, source, a_rows, a_steps, block))
            with emit.loop(0, n, COLUMN_GROUP) as column:
                width = emit.smaller(COLUMN_GROUP, emit.sub(n, column))
                offset = emit.add(emit.mul(start, _padded(library, emit, n)), emit.mul(column, depth))
                group = emit.at(panels, emit.add(offset, PANELS_START))
                with emit.builder.if_then(emit.compare("==", is_packed, 0)):
                    right = emit.at(b, emit.add(emit.mul(start, b_steps), emit.mul(column, b_columns)))
                    library.call(emit, "right_group", (width, depth, right, b_steps, b_columns, group))
                is_first = emit.builder.zext(emit.compare("==", start, 0), INT64)
                goal = emit.at(target, column)
                arguments = (height, width, depth, n, source, a_rows, a_steps, block, group, goal, c_rows, is_first)
                library.call(emit, "group_of_tiles", arguments)
        emit.builder.store(emit.integer(1), flag)
    emit.builder.ret(emit.integer(0))


def _padded(library: _Library, emit: Emitter, n: Any) -> Any:
    """The columns of all panels together."""
    return emit.multiple_below(emit.add(n, library.tile.columns - 1), library.tile.columns)


def _emit_left_block(library: _Library) -> None:
    """Packs those rows of the left operand that the tiles do not read where they are."""
    emit = library.function("left_block", "height depth n a* a_rows a_steps block*")
    height, depth, n, a, a_rows, a_steps, block = emit.function.args
    rows = library.tile.rows
    with emit.loop(0, height, rows) as row:
        count = emit.smaller(rows, emit.sub(height, row))
        is_read_in_place = emit.all(emit.compare("<=", n, NARROW), emit.compare("==", count, rows))
        with emit.builder.if_then(emit.builder.not_(is_read_in_place)):
            source, target = emit.at(a, emit.mul(row, a_rows)), emit.at(block, emit.mul(row, depth))
            library.call(emit, "left_panel", (depth, count, source, a_rows, a_steps, target))
    emit.builder.ret(emit.integer(0))


def _emit_right_group(library: _Library) -> None:
    """Packs neighbouring panels, some steps of all of them at a time, so that a page of memory is read at once."""
    emit = library.function("right_group", "width depth b* b_steps b_columns group*")
    width, depth, b, b_steps, b_columns, group = emit.function.args
    columns = library.tile.columns
    with emit.loop(0, depth, PACKED_STEPS) as start, emit.loop(0, width, columns) as column:
        steps = emit.smaller(PACKED_STEPS, emit.sub(depth, start))
        count = emit.smaller(columns, emit.sub(width, column))
        source = emit.at(b, emit.add(emit.mul(start, b_steps), emit.mul(column, b_columns)))
        target = emit.at(group, emit.add(emit.mul(column, depth), emit.mul(start, columns)))
        library.call(emit, "right_panel", (steps, count, source, b_columns, b_steps, target))
    emit.builder.ret(emit.integer(0))


def _emit_group_of_tiles(library: _Library) -> None:
    emit = library.function("group_of_tiles", "height width depth n a* a_rows a_steps block* group* c* c_rows is_first")
    height, width, depth, n, a, a_rows, a_steps, block, group, c, c_rows, is_first = emit.function.args
    tile = library.tile
    with emit.loop(0, width, tile.columns) as column, emit.loop(0, height, tile.rows) as row:
        right, target = emit.at(group, emit.mul(column, depth)), emit.at(c, emit.add(emit.mul(row, c_rows), column))
        rows = emit.smaller(tile.rows, emit.sub(height, row))
        columns = emit.smaller(tile.columns, emit.sub(width, column))
        goal = (right, target, c_rows, rows, columns, is_first)
        is_in_place = emit.all(emit.compare("<=", n, NARROW), emit.compare("==", rows, tile.rows))
        with emit.builder.if_else(is_in_place) as (in_place, packed):
            with in_place:
                left = emit.at(a, emit.mul(row, a_rows))
                library.call(emit, "tile_in_place", (depth, left, a_rows, a_steps, *goal))
            with packed:
                left = emit.at(block, emit.mul(row, depth))
                library.call(emit, "tile", (depth, left, 0, 0, *goal))
    emit.builder.ret(emit.integer(0))


def _emit_contract(library: _Library, dtype: str) -> None:
    emit = library.function("contract", PARAMETERS["contract"], symbol_name("contract", dtype))
    m, rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block = emit.function.args
    way = library.call(emit, "way", (m, n, k, a_rows, a_steps, b_steps, b_columns))
    calls = {
        PACKED: ("all_tiles", (rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block)),
        ADDS_ROWS: ("all_added_rows", (rows, n, k, a, a_rows, a_steps, b, b_steps, c, c_rows)),
        DOTS: ("all_dots", (rows, n, k, a, a_rows, b, b_columns, c, c_rows)),
        DOTS_OF_ROWS: ("all_dots", (1, rows, k, b, 0, a, a_rows, c, 0)),
        ADDS_COLUMNS: ("all_added_rows", (1, rows, k, b, 0, b_steps, a, a_steps, c, 0)),
    }
    for value, (name, arguments) in calls.items():
        with emit.builder.if_then(emit.compare("==", way, value)):
            library.call(emit, name, arguments)
    emit.builder.ret(emit.integer(0))
