"""An entry of the cache as bytes: named parts, and what it takes to see that they are whole and the ones asked for."""

from __future__ import annotations

from collections.abc import Mapping

from relaxdsl.cache import container
from relaxdsl.cache.container import DamagedError

MAGIC = b"relaxdsl cache 1\n"
"""What every entry starts with. The number is the format's: an entry of another format is no entry."""


def pack(key: str, parts: Mapping[str, bytes]) -> bytes:
    """The entry of this key."""
    return container.pack(MAGIC, {"key": key}, parts)


def unpack(key: str, data: bytes) -> dict[str, bytes] | None:
    """The parts of the entry, or None: it is truncated or damaged, of another format, or another key's.

    Example:
        >>> entry = pack("k", {"code": b"1234"})
        >>> unpack("k", entry)
        {'code': b'1234'}
        >>> print(unpack("another", entry), unpack("k", entry[:-1]))
        None None
    """
    try:
        header, parts = container.unpack(MAGIC, data)
    except DamagedError:
        return None
    return parts if header.get("key") == key else None
