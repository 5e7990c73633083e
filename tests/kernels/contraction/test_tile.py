"""Register tiles: their sizes, and the instructions they become."""

from __future__ import annotations

import itertools
import math
import re

import llvmlite.binding as llvm
import pytest

from relaxdsl.errors import KernelError
from relaxdsl.kernels.contraction import emitter
from relaxdsl.kernels.contraction.core import core_module
from relaxdsl.kernels.contraction.engine import target_machine
from relaxdsl.kernels.contraction.names import PARAMETERS
from relaxdsl.kernels.contraction.operands import GATHERED, STRIDED, TURNED, WINDOWS
from relaxdsl.kernels.contraction.rights import UNROLLED
from relaxdsl.kernels.contraction.tile import (
    COLUMN_GROUP,
    GRANULE,
    PACKED_COLUMNS,
    PACKED_ROWS,
    ROW_BLOCK,
    Tile,
    host_tile,
    tile_for,
)
from relaxdsl.kernels.contraction.tiles import tile_name
from relaxdsl.kernels.object_code import parsed_for
from relaxdsl.kernels.vectors import is_intel

ON_STACK = r"%rsp.*%[xyz]mm|%[xyz]mm.*%rsp"


def test_blocks_are_whole_tiles():
    tiles = [
        tile_for(bits, vector, registers) for bits in (32, 64) for vector in (128, 256, 512) for registers in (16, 32)
    ]
    assert all(size % tile.rows == 0 for size in (ROW_BLOCK, PACKED_ROWS) for tile in tiles)
    assert all(size % tile.columns == 0 for size in (COLUMN_GROUP, PACKED_COLUMNS) for tile in tiles)
    assert all(COLUMN_GROUP % math.lcm(GRANULE, tile.columns) == 0 for tile in tiles)
    assert all(tile.most_rows * tile.vectors + tile.vectors + 1 <= 32 for tile in tiles)


def test_the_vector_width_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", "128")
    assert (host_tile(32).lanes, host_tile(64).lanes) == (4, 2)
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", "512")
    assert host_tile(32) == Tile(32, 16, 8, 3, 9, is_intel())


def test_a_width_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("RELAXDSL_VECTOR_BITS", "100")
    with pytest.raises(KernelError) as caught:
        host_tile(32)
    assert str(caught.value) == (
        "RELAXDSL_VECTOR_BITS is '100', which is no width of vectors\n"
        "   hint: set it to 128, 256 or 512, or leave it unset"
    )


@pytest.mark.parametrize(
    ("cpu", "features", "vector_bits", "registers", "instruction"),
    [
        ("skylake-avx512", "+avx512f,+fma", 512, 32, r"vfmadd\d+ps\s.*%zmm"),
        ("haswell", "+avx2,+fma", 256, 16, r"vfmadd\d+ps\s.*%ymm"),
        ("x86-64", "", 128, 16, r"mulps\s.*%xmm"),
    ],
)
def test_the_tile_is_made_of_the_vectors_asked_for(cpu, features, vector_bits, registers, instruction):
    tile = tile_for(32, vector_bits, registers)
    assembly = assembly_for(cpu, features, "float32", tile)
    for layout, spacings in ((STRIDED, 2 + tile.packs_left), (GATHERED, 1), (TURNED, 1), (WINDOWS, 2)):
        tiles = tiles_of(assembly, tile_name(tile.rows, tile.vectors, layout), instruction)
        assert len(tiles) == spacings
        for name, body in tiles.items():
            counts = {part: len(re.findall(instruction, part)) for part in body.split(".LBB")}
            assert max(counts.values()) >= tile.rows * tile.vectors * UNROLLED, name
            for loop in (part for part, count in counts.items() if count >= tile.rows * tile.vectors):
                assert not re.search(ON_STACK, loop), f"{name} does not fit into the registers"


def test_every_size_of_tiles_fits_into_the_registers():
    instruction, tile = r"vfmadd\d+ps", tile_for(32, 512, 32)
    assembly = assembly_for("skylake-avx512", "+avx512f,+fma", "float32", tile)
    layouts, heights = (STRIDED, GATHERED, TURNED, WINDOWS), range(1, tile.most_rows + 1)
    sizes = itertools.product(layouts, heights, range(1, tile.vectors + 1))
    for layout, rows, vectors in sizes:
        tiles = tiles_of(assembly, tile_name(rows, vectors, layout), instruction)
        assert tiles, (layout, rows, vectors)
        for name, body in tiles.items():
            loops = [part for part in body.split(".LBB") if len(re.findall(instruction, part)) >= rows * vectors]
            assert loops, name
            assert not any(re.search(ON_STACK, loop) for loop in loops), f"{name} does not fit into the registers"


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "4s"), ("float64", "2d")])
def test_with_neon_tiles_are_multiply_adds_in_registers(dtype, kind, monkeypatch):
    """Machine code for a processor that this one need not be: nothing of it runs here."""
    monkeypatch.setattr(emitter, "VECTOR_REGISTER", "w")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine("neoverse-n1", opt=1)
    tile = tile_for(32 if dtype == "float32" else 64, 128, 32)
    assembly = machine.emit_assembly(parsed_for(machine, core_module(dtype, tile, tuple(PARAMETERS), 128)))
    instruction = rf"fmla\tv\d+\.{kind}"
    for layout in (STRIDED, GATHERED, TURNED, WINDOWS):
        tiles = tiles_of(assembly, tile_name(tile.rows, tile.vectors, layout), instruction)
        assert tiles, layout
        for name, body in tiles.items():
            counts = {part: len(re.findall(instruction, part)) for part in body.split(".LBB")}
            assert max(counts.values()) >= tile.rows * tile.vectors * UNROLLED, name
            for loop in (part for part, count in counts.items() if count >= tile.rows * tile.vectors * UNROLLED):
                assert not re.search(r"[vq]\d+.*\[sp", loop), f"{name} does not fit into the registers"


def assembly_for(cpu: str, features: str, dtype: str, tile: Tile) -> str:
    """The assembly of a whole core."""
    machine = target_machine(cpu, features)
    if "x86_64" not in machine.triple:
        pytest.skip("not x86")
    return machine.emit_assembly(parsed_for(machine, core_module(dtype, tile, tuple(PARAMETERS), 512)))


def tiles_of(assembly: str, tile: str, instruction: str) -> dict[str, str]:
    """The functions that compute tiles of one size, by name: one for each way they may be spaced."""
    parts = re.split(rf"\n({tile}(?:_usual_\d|_other)?):", assembly)
    bodies = {name: body.split(".cfi_endproc")[0] for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: body for name, body in bodies.items() if re.search(instruction, body)}


@pytest.mark.parametrize(
    ("cpu", "features", "vector_bits", "registers", "instruction"),
    [
        ("icelake-server", "+avx512f,+avx512vnni", 512, 32, r"vp(?:dpwssd|maddwd)\s.*%zmm"),
        ("skylake-avx512", "+avx512f", 512, 32, r"vpmaddwd\s.*%zmm"),
        ("haswell", "+avx2", 256, 16, r"vpmaddwd\s.*%ymm"),
        ("x86-64", "", 128, 16, r"pmaddwd\s.*%xmm"),
    ],
)
def test_bytes_are_multiplied_by_pairs(cpu, features, vector_bits, registers, instruction):
    tile = tile_for(32, vector_bits, registers)
    assembly = assembly_for(cpu, features, "int8", tile)
    for name, body in tiles_of(assembly, tile_name(tile.rows, tile.vectors), instruction).items():
        assert len(re.findall(instruction, body)) >= tile.rows * tile.vectors * UNROLLED, name
