"""An entry of the cache as bytes: named parts, and what it takes to see that they are whole and the ones asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

MAGIC = b"relaxdsl cache 1\n"
"""What every entry starts with. The number is the format's: an entry of another format is no entry."""

_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 8


def pack(key: str, parts: Mapping[str, bytes]) -> bytes:
    """The entry: the format's name, a checksum of all that follows, a header (JSON), and the parts."""
    header = json.dumps({"key": key, "parts": [[name, len(data)] for name, data in parts.items()]}).encode()
    content = b"".join([len(header).to_bytes(_LENGTH_BYTES, "little"), header, *parts.values()])
    return MAGIC + hashlib.sha256(content).digest() + content


def unpack(key: str, data: bytes) -> dict[str, bytes] | None:
    """The parts of the entry, or None: it is truncated or damaged, of another format, or another key's.

    Example:
        >>> entry = pack("k", {"code": b"1234"})
        >>> unpack("k", entry)
        {'code': b'1234'}
        >>> print(unpack("another", entry), unpack("k", entry[:-1]))
        None None
    """
    digest, content = data[len(MAGIC) :][:_DIGEST_BYTES], data[len(MAGIC) + _DIGEST_BYTES :]
    if not data.startswith(MAGIC) or hashlib.sha256(content).digest() != digest:
        return None
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    if header["key"] != key:
        return None
    parts = {}
    for name, size_bytes in header["parts"]:
        parts[name] = content[start : start + size_bytes]
        start += size_bytes
    return parts
