"""Compiled code on the disk, by what it was made from. Importing this module imports llvmlite."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relaxdsl.cache.store import process_cache
from relaxdsl.kernels.fingerprint import content_key


def find(*content: str) -> dict[str, bytes] | None:
    """What was kept for ``content``, by any process of this version on such a processor; None if nothing was."""
    key = content_key(*content)
    return None if key is None else process_cache().read(key)


def keep(parts: Mapping[str, bytes], *content: str) -> None:
    """Keeps the parts for ``content``, if there is a place for them."""
    key = content_key(*content)
    if key is not None:
        process_cache().write(key, parts)


def object_code(make: Callable[[], bytes], *content: str) -> bytes:
    """The object code for ``content``: what was kept, or else what ``make`` makes."""
    found = find(*content)
    if found is not None:
        return found["object"]
    made = make()
    keep({"object": made}, *content)
    return made
