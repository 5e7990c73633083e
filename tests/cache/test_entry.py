"""Entries of the cache as bytes: whatever is not whole, or not the entry asked for, is none."""

from __future__ import annotations

import pytest

from relaxdsl.cache.entry import MAGIC, pack, unpack

PARTS = {"code": bytes(range(256)), "about": b"{}", "empty": b""}
ENTRY = pack("key", PARTS)


def test_an_entry_comes_back() -> None:
    assert unpack("key", ENTRY) == PARTS


@pytest.mark.parametrize("length", [0, 1, len(MAGIC), len(MAGIC) + 32, len(ENTRY) // 2, len(ENTRY) - 1])
def test_a_truncated_entry_is_none(length: int) -> None:
    assert unpack("key", ENTRY[:length]) is None


@pytest.mark.parametrize("position", [0, len(MAGIC), len(MAGIC) + 33, len(ENTRY) // 2, len(ENTRY) - 1])
def test_an_entry_with_a_changed_byte_is_none(position: int) -> None:
    changed = bytearray(ENTRY)
    changed[position] ^= 1
    assert unpack("key", bytes(changed)) is None


def test_an_entry_with_more_after_its_end_is_none() -> None:
    assert unpack("key", ENTRY + b"x") is None


def test_the_entry_of_another_key_is_none() -> None:
    """A file that was renamed, or copied from another machine."""
    assert unpack("other", ENTRY) is None


def test_an_entry_of_an_older_format_is_none() -> None:
    assert unpack("key", ENTRY.replace(b"cache 1", b"cache 0")) is None
