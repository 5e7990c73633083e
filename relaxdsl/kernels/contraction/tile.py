"""How large a tile of the result is held in registers, by the machine's vectors and its number of registers."""

from __future__ import annotations

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.names import BYTE_DTYPES
from relaxdsl.types.dims import Dim, ceildiv

#: Rows of a result that are finished together, where loops follow: a multiple of every tile's rows.
ROW_BLOCK = 96
#: Rows of the left operand that are used for all columns before the next ones: so much of it, by :attr:`Tile.depth` or
#: :attr:`Tile.panel_depth` steps, stays in the second-level cache. A multiple of every tile's rows.
PACKED_ROWS = 192
#: Steps of the sum in one pass over the tiles, for elements of 32 bits. A panel of the right operand of this depth is
#: as large as a first-level cache, or larger: what is gone from there comes from the second level in time. Fewer steps
#: would fit, but more tiles would begin, and read and write the result, which takes longer.
DEPTH = 512
#: The same where panels are packed before the first call, with large second-level caches: results that do not fit in
#: there are read and written half as often. Where the operand is read in place, more steps would meet in the same sets.
WIDE_PANEL_DEPTH = 1024
#: The same where tiles read windows in place, which are not neighbours in memory: with small first-level caches fewer
#: steps are faster, with large second-level ones as few passes as can be.
WINDOW_DEPTH, WIDE_WINDOW_DEPTH = 256, 2048
#: Columns of the right operand that are packed together, or divided among threads: a multiple of every tile's columns.
COLUMN_GROUP = 192
#: Columns that threads share out among them are multiples of so many, and of a tile's.
GRANULE = COLUMN_GROUP // 4
#: Columns that a call packs for itself before it uses them: so much of the right operand, by :attr:`Tile.depth` steps,
#: is in the second-level cache besides the left one. A multiple of every tile's columns.
PACKED_COLUMNS = 96
#: Up to so many columns, a left operand is read where it is: packing it would take too long beside using it.
NARROW = 128
#: What the caches hold and fetch at a time.
LINE_BYTES = 64
#: Rows of memory whose distance is a multiple of so many bytes meet in the same few sets of the caches. Processors with
#: vectors of 512 bits have larger ones.
ALIAS_BYTES, WIDE_ALIAS_BYTES = 2048, 4096
#: Steps of the sum that are packed of one panel before the next one.
PACKED_STEPS = 16
#: The same where tables say where elements are.
GATHERED_STEPS = 96
#: Elements after packed operands that packing may write.
BLOCK_MARGIN = 16
#: Up to so many rows use the right operand so few times that each call packs what it uses, just before it does. It may
#: be more rows where the operand has more than :data:`IN_PLACE_SIZE` elements: all its panels would not fit a cache.
FEW, FEW_IF_LARGE = 192, 384
#: Up to so many rows, wide tiles use a right operand that is not too large where it is. There most vectors lie in two
#: lines of memory, which costs Intel's processors a tenth of the time.
WIDE_IN_PLACE_ROWS, INTEL_IN_PLACE_ROWS = 512, 64
#: Of fewer steps, turning a result takes too long.
TURNED_STEPS = 128
#: A right operand of so many elements stays in the first-level cache: tiles read it where it is.
CACHED = 4096
#: Up to so many rows are computed without packing, where the strides allow it and the operand is not a small one.
SKINNY = 8
#: Up to so many rows are dot products, whatever their size: packing takes longer.
ALWAYS_DOTTED_ROWS = 3
#: A right operand of up to so many elements is used where it is by products of few rows: packing it would take a fifth
#: of their time. One of two wide tiles' rows or less may be larger, and so few rows use any.
IN_PLACE_SIZE, WIDE_TWO_TILES_SIZE, ALWAYS_IN_PLACE_ROWS = 1 << 20, 1 << 22, 4
#: Up to so many multiplications may be done without packing.
SMALL = 32 * 32 * 32
#: Up to so many dot products are formed one by one, plus so many for each of their steps, plus so many where the
#: columns are no whole vectors: a few take less than packing and multiplying. With vectors of less than
#: :data:`DOT_LANES`, twice as many, and those of up to so many rows: packing then reads few elements at a time.
FEW_DOTS, FEW_DOTS_A_STEP, FEW_DOTS_WITH_REST, DOT_LANES, SHORT_DOTTED_ROWS = 96, 4, 64, 8, 11
#: Rows of a result, times steps of the sum, from which on tiles take less than adding up rows of a small right operand:
#: to begin them takes longer, but they keep sums in registers.
LEAST_TILED = 288
#: The same with wide tiles, times the columns that are no whole vector, where a vector counts as four of them: adding
#: up rows takes so long.
WIDE_LEAST_TILED, COLUMNS_A_VECTOR = 257, 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: ``rows`` by ``vectors`` vectors of ``lanes`` elements of ``bits`` bits.

    Args:
        most_rows: those of the last tile may be so many, if they would be ``rows`` and one more tile.
        is_intel: vectors that lie in two lines of memory take longer to read, and a tile waits if many are fetched.
    """

    bits: int
    lanes: int
    rows: int
    vectors: int
    most_rows: int
    is_intel: bool = False

    @property
    def columns(self) -> int:
        return self.lanes * self.vectors

    @property
    def depth(self) -> int:
        """Steps of the sum in one pass over the tiles."""
        return DEPTH * 32 // self.bits

    @property
    def panel_depth(self) -> int:
        """The same where they read panels that are packed before the first call."""
        return WIDE_PANEL_DEPTH * 32 // self.bits if self.is_wide else self.depth

    @property
    def window_depth(self) -> int:
        """The same where they read windows in place."""
        return WIDE_WINDOW_DEPTH if self.is_wide else WINDOW_DEPTH

    @property
    def is_wide(self) -> bool:
        """Whether it has vectors of 512 bits."""
        return self.lanes * self.bits >= 512

    @property
    def packs_left(self) -> bool:
        """Whether a left operand is packed where it is used often: its rows come from the second-level cache then.

        With wide tiles that gains less than it costs: there are fewer of them, and those caches are larger.
        """
        return not self.is_wide

    @property
    def streamed_rows(self) -> int:
        """Up to so many rows of a product are sums of whole rows of the right operand, without tiles.

        A wide tile reads as fast, since it is some lines of memory wide, and adds up in registers.
        """
        return 2 if self.is_wide else SKINNY

    @property
    def always_streamed_rows(self) -> int:
        """The same where the right operand stays in the first-level cache, so that reading it again costs little."""
        return min(self.streamed_rows, ALWAYS_IN_PLACE_ROWS)

    @property
    def few_dotted_rows(self) -> int:
        """Up to so many rows of a small product are dot products, however many columns it has."""
        return ALWAYS_DOTTED_ROWS if self.lanes >= DOT_LANES else SHORT_DOTTED_ROWS

    @property
    def few_dots(self) -> tuple[int, int, int]:
        """How many are formed one by one, how many more for each step, and where columns are no whole vectors."""
        times = 1 if self.lanes >= DOT_LANES else 2
        return times * FEW_DOTS, times * FEW_DOTS_A_STEP, times * FEW_DOTS_WITH_REST

    @property
    def in_place_rows(self) -> int:
        """Up to so many rows use the right operand where it is."""
        if self.is_wide:
            return INTEL_IN_PLACE_ROWS if self.is_intel else WIDE_IN_PLACE_ROWS
        return 2 * self.rows

    @property
    def fetches_new(self) -> bool:
        """Whether a tile that sets its part of a result fetches the next one's, as one does that adds to it."""
        return not self.is_intel

    @property
    def turns_windows(self) -> bool:
        """Whether products by windows are computed with these as rows, and turned as they are written.

        The elements of a row are read one by one then, where the windows would be vectors, of which most lie in two
        lines of memory: narrow tiles read many of them, and Intel's processors wait for them.
        """
        return self.lanes > 1 and (self.is_intel or not self.is_wide)

    @property
    def two_tiles_size(self) -> int:
        """Up to so many elements of it, whatever is between its rows, products of two tiles' rows or less do, too.

        A narrow tile reads a line of each row before the next line of any: memory gives it that at a third of the speed
        at which it gives whole rows.
        """
        return WIDE_TWO_TILES_SIZE if self.is_wide else 0

    @property
    def alias_bytes(self) -> int:
        """Rows of the right operand so far apart, or a multiple of that, are not used where they are."""
        return WIDE_ALIAS_BYTES if self.is_wide else ALIAS_BYTES


def tile_for(bits: int, vector_bits: int, registers: int, is_intel: bool = False) -> Tile:
    """The tile for floats of ``bits`` bits.

    Registers are left for a vector of the left operand and those of the right one; with ``most_rows``, no others.
    """
    lanes = max(1, vector_bits // bits)
    if registers >= 32:
        return Tile(bits, lanes, 8, 3, most_rows=9, is_intel=is_intel)
    rows = 6 if vector_bits >= 256 else 4
    return Tile(bits, lanes, rows, 2, most_rows=rows)


def element_bits(dtype: str) -> int:
    """The size of what is added up for operands of a dtype."""
    return 64 if dtype == "float64" else 32


def panel_dtype(dtype: str) -> str:
    """The dtype of panels and blocks of operands of a dtype: bytes are packed two to an int32."""
    return "int32" if dtype in BYTE_DTYPES else dtype


def panels_size(columns: Dim, depth: Dim, tile: Tile, are_bytes: bool = False) -> Dim:
    """How many elements all panels of a right operand have room for."""
    return (columns + tile.lanes - 1) * (ceildiv(depth, 2) if are_bytes else depth) + BLOCK_MARGIN


def host_tile(bits: int) -> Tile:
    """The tile for this machine's vectors, or for those that ``RELAXDSL_VECTOR_BITS`` asks for."""
    from relaxdsl.kernels.vectors import is_intel, vector_bits, vector_registers  # imports llvmlite

    return tile_for(bits, vector_bits(), vector_registers(), is_intel())
