"""How large a tile of the result is held in registers, by the machine's vectors and its number of registers."""

from __future__ import annotations

import os

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import KernelError
from relaxdsl.kernels.contraction.names import BYTE_DTYPES
from relaxdsl.types.dims import Dim, ceildiv, dim_min

#: Overrides the vector width, in bits.
VECTOR_BITS_VARIABLE = "RELAXDSL_VECTOR_BITS"
#: Rows of a result that are finished together, where loops follow: a multiple of every tile's rows.
ROW_BLOCK = 96
#: Rows of the left operand that are used for all columns before the next ones: so much of it, by :attr:`Tile.depth`
#: steps, stays in the second-level cache. A multiple of every tile's rows.
PACKED_ROWS = 192
#: Steps of the sum in one pass over the tiles, for elements of 32 bits: a panel of the right operand of this depth
#: stays in the first-level cache.
DEPTH = 384
#: No tile is wider than this many columns.
MAX_COLUMNS = 64
#: Columns of the right operand that are packed together, or divided among threads: a multiple of every tile's columns.
COLUMN_GROUP = 192
#: Columns that threads share out among them: a multiple of every tile's.
GRANULE = COLUMN_GROUP // 2
#: Columns that a call packs for itself before it uses them: so much of the right operand, by :attr:`Tile.depth` steps,
#: is in the second-level cache besides the left one. A multiple of every tile's columns.
PACKED_COLUMNS = 96
#: Up to so many columns, the left operand is read where it is: packing it would take too long beside using it.
NARROW = 256
#: Steps of the sum that are packed of one panel before the next one.
PACKED_STEPS = 16
#: The same where tables say where elements are.
GATHERED_STEPS = 96
#: Elements after a packed block that packing may write.
BLOCK_MARGIN = 16
#: Up to so many rows use the right operand so few times that each call packs what it uses, just before it does.
FEW = 192
#: A right operand of so many elements stays in the first-level cache: tiles read it where it is.
CACHED = 4096
#: Up to so many rows are computed without packing, where the strides allow it.
SKINNY = 8
#: Up to so many products are computed without packing.
SMALL = 32 * 32 * 32


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: ``rows`` by ``vectors`` vectors of ``lanes`` elements of ``bits`` bits."""

    bits: int
    lanes: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        return self.lanes * self.vectors

    @property
    def depth(self) -> int:
        """Steps of the sum in one pass over the tiles."""
        return DEPTH * 32 // self.bits


def tile_for(bits: int, vector_bits: int, registers: int) -> Tile:
    """The tile for floats of ``bits`` bits.

    Three registers at least are left for a vector of the left operand and those of the right one.
    """
    lanes = max(1, vector_bits // bits)
    if registers >= 32:
        return Tile(bits, lanes, 8, 3)
    return Tile(bits, lanes, 6, 2) if vector_bits >= 256 else Tile(bits, lanes, 4, 2)


def panel_dtype(dtype: str) -> str:
    """The dtype of panels and blocks of operands of a dtype: bytes are packed two to an int32."""
    return "int32" if dtype in BYTE_DTYPES else dtype


def panels_size(columns: Dim, depth: Dim, dtype: str = "float32") -> Dim:
    """How many elements all panels of a right operand have room for."""
    return (columns + MAX_COLUMNS) * (ceildiv(depth, 2) if dtype in BYTE_DTYPES else depth)


def block_size(depth: Dim) -> Dim:
    """How many elements a packed block of the left operand and a packed group of the right one have room for."""
    return (PACKED_ROWS + PACKED_COLUMNS) * dim_min(DEPTH, depth) + BLOCK_MARGIN


def host_tile(bits: int) -> Tile:
    """The tile for the machine this runs on, or for the width that ``RELAXDSL_VECTOR_BITS`` asks for.

    Raises:
        KernelError: it asks for a width that is none.
    """
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    is_arm = "aarch64" in binding.get_process_triple() or "arm64" in binding.get_process_triple()
    has_avx512 = bool(features.get("avx512f"))
    widest = 512 if has_avx512 else 256 if features.get("avx2") else 128
    vector_bits = _requested_bits() or widest
    return tile_for(bits, vector_bits, 32 if has_avx512 or is_arm or vector_bits >= 512 else 16)


def _requested_bits() -> int | None:
    text = os.environ.get(VECTOR_BITS_VARIABLE)
    if text is None:
        return None
    if text in ("128", "256", "512"):
        return int(text)
    raise KernelError(
        f"{VECTOR_BITS_VARIABLE} is {text!r}, which is no width of vectors",
        hint="set it to 128, 256 or 512, or leave it unset",
    )
