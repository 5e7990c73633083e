"""The vectors that compiled code uses: those of this machine, or narrower ones that were asked for.

Importing this module imports llvmlite.
"""

from __future__ import annotations

import os

from llvmlite import binding

from relaxdsl.errors import KernelError

#: Overrides the vector width, in bits.
VECTOR_BITS_VARIABLE = "RELAXDSL_VECTOR_BITS"


def vector_bits() -> int:
    """The width of vectors: the machine's widest, or what ``RELAXDSL_VECTOR_BITS`` asks for.

    Raises:
        KernelError: it asks for a width that is none.
    """
    return _requested_bits() or widest_vector_bits()


def vector_registers() -> int:
    """How many vectors fit registers: what is wider than the machine has is as if it had them."""
    return 32 if is_arm() or max(widest_vector_bits(), vector_bits()) >= 512 else 16


def is_intel() -> bool:
    """Whether this is a processor of Intel's with vectors of 512 bits; AMD's have ``sse4a``."""
    features = binding.get_host_cpu_features()
    return bool(features.get("avx512f")) and not features.get("sse4a")


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return any(name in binding.get_process_triple() for name in ("aarch64", "arm64"))


def widest_vector_bits() -> int:
    """The width of the machine's widest vectors."""
    features = binding.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx2") else 128


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
