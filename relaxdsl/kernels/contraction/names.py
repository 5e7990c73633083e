"""The engine's functions by name, and their parameters; importing this module imports nothing else."""

from __future__ import annotations

#: The dtypes the engine computes in.
ENGINE_DTYPES = ("float32", "float64")
#: Those of operands whose products are summed in int32: the right one names ``pack``, the left one ``contract``.
BYTE_DTYPES = ("int8", "uint8")
#: A parameter with a star is an address of elements, one with an ampersand that of a table of int64 offsets.
PARAMETERS = {
    "pack": "m n k b* b_steps b_columns first count panels*",
    "contract": (
        "m rows n first_column columns k steps a* a_rows a_steps b* b_steps b_columns c* c_rows panels* block*"
    ),
    "fill": "n k b* b_steps b_columns first_column columns first_step steps panels*",
    "contract_packed": "rows n first_column columns k steps is_first a* a_rows a_steps c* c_rows panels* block*",
    "pack_gathered": "n k b* b_step_offsets& b_column_offsets& first count panels*",
    "contract_gathered": (
        "rows n first_column columns k is_first a* a_row_offsets& a_step_offsets& c* c_rows panels* block*"
    ),
    "pack_turned": "n k b* b_steps b_columns first count panels*",
    "contract_turned": "rows n first_column columns k a* a_row_offsets& a_step_offsets& c* c_columns panels*",
    "pack_windows": "columns steps b* b_step_offsets& b_column_offsets& panels* strips&",
    "contract_windows": "rows columns k a* a_rows a_steps b* b_step_offsets& strips& c* c_rows panels*",
}
#: Entries that are compiled together: few programs need more than one or two of these.
FAMILIES = (
    ("pack", "contract", "fill", "contract_packed"),
    ("pack_gathered", "contract_gathered"),
    ("pack_turned", "contract_turned"),
    ("pack_windows", "contract_windows"),
)

#: What kernels call, as entry and dtype.
ENGINE_ENTRIES = tuple(
    (entry, dtype)
    for entry in PARAMETERS
    for dtype in (*ENGINE_DTYPES, *BYTE_DTYPES)
    if dtype in ENGINE_DTYPES or not entry.endswith(("_turned", "_windows"))
)
#: What they call it.
ENGINE_FUNCTIONS = tuple(f"{entry}_{dtype}" for entry, dtype in ENGINE_ENTRIES)


def symbol_name(entry: str, dtype: str) -> str:
    """What an entry of the engine's core is called for the linker."""
    return f"relaxdsl_{entry}_{dtype}"


def is_address(parameter: str) -> bool:
    """Whether a parameter is an address: of elements or of a table."""
    return parameter.endswith(("*", "&"))
