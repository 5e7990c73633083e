"""The engine's core: one small library for each float dtype, compiled once a process and called by every contraction.

``c[i, j] = sum over k of a[i, k] * b[k, j]`` for matrices with any strides, given as addresses and steps in elements:

- ``pack(m, n, k, a_rows, a_steps, b, b_steps, b_columns, panels)`` writes all of ``b`` to ``panels``, if the product
  needs it;
- ``contract(m, rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block)`` computes ``rows`` of
  the ``m`` rows of ``c``: those at which ``a`` and ``c`` start.

Which way a product is computed depends on ``m``, ``n``, ``k`` and the strides, never on ``rows``, and an element's sum
is formed in the same order wherever it is: any division of the rows gives the same bits.

``panels`` has memory for ``(n + MAX_COLUMNS) * k`` elements, ``block`` for ``BLOCK_ELEMENTS``.

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
from relaxdsl.kernels.contraction.tile import DEPTH, ROW_BLOCK, SKINNY, SMALL, Tile, host_tile
from relaxdsl.kernels.contraction.tiles import emit_panel, emit_tile

PACKED, ADDS_ROWS, DOTS, ADDS_COLUMNS = range(4)


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
    for entry in ("pack", "contract"):
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
    emit_tile(library.function("tile", "depth a* b* c* c_rows rows columns is_first"), tile)
    for name, width in (("left_panel", tile.rows), ("right_panel", tile.columns)):
        emit_panel(library.function(name, "depth count source* stride step target*"), width)
    for rows in (2, 1):
        for steps in (direct.STEPS, 1):
            emit = library.function(f"add_rows_{rows}_{steps}", "n a* a_rows a_steps b* b_steps c* c_rows")
            direct.emit_add_rows(emit, rows, steps)
        for columns in (direct.STREAMS, 1):
            emit = library.function(f"dots_{rows}_{columns}", "depth a* a_rows b* b_columns c* c_rows")
            direct.emit_dots(emit, rows, columns)
    _emit_way(library.function("way", "m n k a_rows a_steps b_steps b_columns"))
    _emit_all_added_rows(library)
    _emit_all_dots(library)
    _emit_all_tiles(library)
    _emit_pack(library, dtype)
    _emit_contract(library, dtype)
    return library.module


def _emit_way(emit: Emitter) -> None:
    """How a product is computed: see :data:`PACKED` and the others."""
    m, n, k, a_rows, a_steps, b_steps, b_columns = emit.function.args
    are_rows = emit.builder.and_(emit.compare("==", a_steps, 1), emit.compare("==", b_steps, 1))
    is_vector = emit.compare("==", n, 1)
    emit.give_back(emit.compare("==", k, 0), ADDS_ROWS)
    emit.give_back(emit.all(is_vector, are_rows), DOTS)
    emit.give_back(emit.all(is_vector, emit.compare("==", a_rows, 1)), ADDS_COLUMNS)
    products = emit.mul(emit.mul(m, n), k)
    is_small = emit.builder.or_(emit.compare("<=", m, SKINNY), emit.compare("<=", products, SMALL))
    emit.give_back(emit.all(is_small, emit.compare("==", b_columns, 1)), ADDS_ROWS)
    emit.give_back(emit.all(is_small, are_rows), DOTS)
    emit.builder.ret(emit.integer(PACKED))


def _emit_all_added_rows(library: _Library) -> None:
    emit = library.function("all_added_rows", "rows n k a* a_rows a_steps b* b_steps c* c_rows")
    rows, n, k, a, a_rows, a_steps, b, b_steps, c, c_rows = emit.function.args
    with emit.loop(0, n, direct.RUN) as first:
        width = emit.smaller(direct.RUN, emit.sub(n, first))
        sources, targets = emit.at(b, first), emit.at(c, first)
        with emit.loop(0, rows) as row, emit.loop(0, width) as column:
            emit.store(emit.zero, targets, emit.add(emit.mul(row, c_rows), column))
        with emit.loop(0, k, direct.RUN_DEPTH) as start:
            stop = emit.smaller(k, emit.add(start, direct.RUN_DEPTH))
            for row, height in _by(emit, 0, rows, 2):
                target = emit.at(targets, emit.mul(row, c_rows))
                for step, steps in _by(emit, start, stop, direct.STEPS):
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
        for row, height in _by(emit, 0, rows, 2):
            left = emit.at(a, emit.mul(row, a_rows))
            target = emit.at(c, emit.add(emit.mul(row, c_rows), column))
            library.call(emit, f"dots_{height}_{width}", (k, left, a_rows, right, b_columns, target, c_rows))
    emit.builder.ret(emit.integer(0))


def _emit_all_tiles(library: _Library) -> None:
    emit = library.function("all_tiles", "rows n k a* a_rows a_steps c* c_rows panels* block*")
    rows, n, k, a, a_rows, a_steps, c, c_rows, panels, block = emit.function.args
    tile = library.tile
    with emit.loop(0, rows, ROW_BLOCK) as above, emit.loop(0, k, DEPTH) as start:
        height = emit.smaller(ROW_BLOCK, emit.sub(rows, above))
        depth = emit.smaller(DEPTH, emit.sub(k, start))
        with emit.loop(0, height, tile.rows) as row:
            source = emit.at(a, emit.add(emit.mul(emit.add(above, row), a_rows), emit.mul(start, a_steps)))
            count = emit.smaller(tile.rows, emit.sub(height, row))
            target = emit.at(block, emit.mul(row, depth))
            library.call(emit, "left_panel", (depth, count, source, a_rows, a_steps, target))
        is_first = emit.builder.zext(emit.compare("==", start, 0), INT64)
        with emit.loop(0, n, tile.columns) as column:
            right = emit.at(panels, emit.add(emit.mul(column, k), emit.mul(start, tile.columns)))
            width = emit.smaller(tile.columns, emit.sub(n, column))
            with emit.loop(0, height, tile.rows) as row:
                left = emit.at(block, emit.mul(row, depth))
                target = emit.at(c, emit.add(emit.mul(emit.add(above, row), c_rows), column))
                count = emit.smaller(tile.rows, emit.sub(height, row))
                library.call(emit, "tile", (depth, left, right, target, c_rows, count, width, is_first))
    emit.builder.ret(emit.integer(0))


def _emit_pack(library: _Library, dtype: str) -> None:
    emit = library.function("pack", PARAMETERS["pack"], symbol_name("pack", dtype))
    m, n, k, a_rows, a_steps, b, b_steps, b_columns, panels = emit.function.args
    way = library.call(emit, "way", (m, n, k, a_rows, a_steps, b_steps, b_columns))
    emit.give_back(emit.compare("!=", way, PACKED), 0)
    width = library.tile.columns
    with emit.loop(0, n, width) as column:
        source, target = emit.at(b, emit.mul(column, b_columns)), emit.at(panels, emit.mul(column, k))
        count = emit.smaller(width, emit.sub(n, column))
        library.call(emit, "right_panel", (k, count, source, b_columns, b_steps, target))
    emit.builder.ret(emit.integer(0))


def _emit_contract(library: _Library, dtype: str) -> None:
    emit = library.function("contract", PARAMETERS["contract"], symbol_name("contract", dtype))
    m, rows, n, k, a, a_rows, a_steps, b, b_steps, b_columns, c, c_rows, panels, block = emit.function.args
    way = library.call(emit, "way", (m, n, k, a_rows, a_steps, b_steps, b_columns))
    calls = {
        PACKED: ("all_tiles", (rows, n, k, a, a_rows, a_steps, c, c_rows, panels, block)),
        ADDS_ROWS: ("all_added_rows", (rows, n, k, a, a_rows, a_steps, b, b_steps, c, c_rows)),
        DOTS: ("all_dots", (rows, n, k, a, a_rows, b, b_columns, c, c_rows)),
        ADDS_COLUMNS: ("all_added_rows", (1, rows, k, b, 0, b_steps, a, a_steps, c, 0)),
    }
    for value, (name, arguments) in calls.items():
        with emit.builder.if_then(emit.compare("==", way, value)):
            library.call(emit, name, arguments)
    emit.builder.ret(emit.integer(0))
