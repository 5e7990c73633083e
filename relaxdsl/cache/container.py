"""Named parts of bytes as one piece, with a checksum: what entries of the cache and saved programs are made of.

The piece is a line that names the format, a checksum of all that follows, the length of the header, the header (JSON),
and the parts. Nothing is compressed, so nothing is larger than it looks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_DIGEST_BYTES = hashlib.sha256().digest_size
_LENGTH_BYTES = 8


class DamagedError(Exception):
    """The bytes are not what :func:`pack` made. It says why, as the rest of a sentence about the file."""


def pack(magic: bytes, header: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """The parts and what is said of them, as one piece; ``magic`` is a line that names the format."""
    listed = {**header, "parts": [[name, len(data)] for name, data in parts.items()]}
    text = json.dumps(listed).encode()
    content = b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts.values()])
    return magic + hashlib.sha256(content).digest() + content


def unpack(magic: bytes, data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The header and the parts of a piece of this format.

    Raises:
        DamagedError: it is truncated, damaged, or no such piece at all.

    Example:
        >>> piece = pack(b"example 1\\n", {"of": "x"}, {"code": b"1234"})
        >>> unpack(b"example 1\\n", piece)
        ({'of': 'x'}, {'code': b'1234'})
        >>> unpack(b"example 1\\n", piece[:-2])
        Traceback (most recent call last):
        relaxdsl.cache.container.DamagedError: is truncated: 2 of 89 bytes are missing
    """
    if not data.startswith(magic):
        raise DamagedError("is of another format")
    digest, content = data[len(magic) :][:_DIGEST_BYTES], data[len(magic) + _DIGEST_BYTES :]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedError(_what_is_wrong(data, content))
    header, start = _header(content)
    parts = {}
    for name, size_bytes in _sizes(header):
        parts[name] = content[start : start + size_bytes]
        start += size_bytes
    if start != len(content):
        raise DamagedError("is damaged: its parts are not as long as it says")
    return {name: value for name, value in header.items() if name != "parts"}, parts


def _what_is_wrong(data: bytes, content: bytes) -> str:
    """Why the checksum is not that of the content, as far as one can tell."""
    if len(content) < _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little") or not content:
        return "is truncated or damaged"
    header, start = _header(content)
    missing = start + sum(size_bytes for _, size_bytes in _sizes(header)) - len(content)
    if missing > 0:
        return f"is truncated: {missing:,} of {len(data) + missing:,} bytes are missing"
    return "is damaged: its checksum is not that of its content"


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the parts start."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    try:
        header = json.loads(content[_LENGTH_BYTES:start])
    except (ValueError, RecursionError):
        raise DamagedError("is damaged: its header is no JSON") from None
    if not isinstance(header, dict):
        raise DamagedError("is damaged: its header is no object of JSON")
    return header, start


def _sizes(header: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The names and lengths of the parts."""
    listed = header.get("parts")
    if not isinstance(listed, list) or not all(_is_size(each) for each in listed):
        raise DamagedError("is damaged: its header does not list its parts")
    return [(name, size_bytes) for name, size_bytes in listed]


def _is_size(item: object) -> bool:
    match item:
        case [str(), int(size_bytes)] if not isinstance(size_bytes, bool):
            return size_bytes >= 0
    return False
