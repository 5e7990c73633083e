"""Where new arrays begin, which decides how much memory they take."""

from __future__ import annotations

LARGE_BYTES = 1 << 17
"""From here on, an array that holds the memory of another costs less than a start at the wrong place."""

PAGE_BYTES = 4096


def bytes_taken(size_bytes: int) -> int:
    """The bytes that are allocated for an array of ``size_bytes``: a large one may start anywhere in a page."""
    return size_bytes if size_bytes < LARGE_BYTES else size_bytes + PAGE_BYTES
