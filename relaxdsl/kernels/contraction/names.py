"""The engine's functions by name, and their parameters; importing this module imports nothing else."""

from __future__ import annotations

#: The dtypes the engine computes in.
ENGINE_DTYPES = ("float32", "float64")
#: A parameter with a star is an address.
PARAMETERS = {
    "begin": "panels*",
    "contract": "m rows n k a* a_rows a_steps b* b_steps b_columns c* c_rows panels* block*",
}
#: What kernels call them.
ENGINE_FUNCTIONS = tuple(f"{entry}_{dtype}" for entry in PARAMETERS for dtype in ENGINE_DTYPES)


def symbol_name(entry: str, dtype: str) -> str:
    """What an entry of the engine's core is called for the linker."""
    return f"relaxdsl_{entry}_{dtype}"
