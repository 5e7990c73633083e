"""Compiled code by what it was made from: what a saved program brought along, or what is on the disk.

Importing this module imports llvmlite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relaxdsl.cache.store import process_cache
from relaxdsl.kernels.fingerprint import content_key

_brought: dict[str, Mapping[str, bytes]] = {}
"""What saved programs brought along, by its key, until it is asked for."""
_used: dict[tuple[str, ...], Mapping[str, bytes]] = {}
"""What this process has compiled or found, by its content: what saving a program needs."""


def find(*content: str) -> Mapping[str, bytes] | None:
    """What was kept for ``content``, by any process of this version on such a processor; None if nothing was."""
    key = content_key(*content)
    if key is None:
        return None
    found = _brought.pop(key, None) or process_cache().read(key)
    if found is not None:
        _used[content] = found
    return found


def keep(parts: Mapping[str, bytes], *content: str) -> None:
    """Keeps the parts for ``content``, if there is a place for them."""
    key = content_key(*content)
    if key is not None:
        _used[content] = parts
        process_cache().write(key, parts)


def object_code(make: Callable[[], bytes], *content: str) -> bytes:
    """The object code for ``content``: what was kept, or else what ``make`` makes."""
    found = find(*content)
    if found is not None:
        return found["object"]
    made = make()
    keep({"object": made}, *content)
    return made


def bring(entries: Mapping[str, Mapping[str, bytes]]) -> None:
    """Has :func:`find` find these parts, by their keys; they come from a saved program."""
    _brought.update(entries)


def used(*content: str) -> Mapping[str, bytes] | None:
    """The parts for ``content``, if this process has compiled or found them."""
    return _used.get(content)


def used_of_kind(kind: str) -> dict[tuple[str, ...], Mapping[str, bytes]]:
    """All parts of this kind that this process has compiled or found; the kind is the first word of their content."""
    return {content: parts for content, parts in list(_used.items()) if content[0] == kind}
