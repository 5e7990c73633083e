"""One folder of entries: a file an entry, named by its key. Whatever goes wrong on the disk is an answer, no error.

Files appear whole, under their name, or not at all: they are written beside and then renamed. So processes need no
locks; where two write the same entry, either one stays, and both are right.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from relaxdsl.dataclass import dataclass

SUFFIX = ".relaxdsl"
_UNFINISHED = ".unfinished"
_ABANDONED_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class EntryFile:
    """A file of the folder. ``used_s`` says when it was last read or written, in seconds since 1970."""

    path: Path
    size_bytes: int
    used_s: float


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds entries, or may hold some.

    Args:
        is_public: it lies where others may write, so that it is used only if it belongs to this user alone.
    """

    path: Path
    is_public: bool = False

    def is_trusted(self) -> bool:
        """Whether nobody else could have put anything into it; code from it will be run."""
        if not self.is_public or not hasattr(os, "getuid"):
            return True
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022

    def prepare(self) -> bool:
        """Makes the folder if need be; returns whether entries can be written there, as far as one can tell."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return False
        return self.is_trusted() and os.access(self.path, os.W_OK | os.X_OK)

    def read(self, key: str) -> bytes | None:
        """The bytes of an entry, which counts as used from now; None if there is none."""
        if not self.is_trusted():
            return None
        path = self._file(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def write(self, key: str, data: bytes) -> bool:
        """Writes an entry; returns whether that worked."""
        try:
            number, name = tempfile.mkstemp(_UNFINISHED, key[:16], self.path)
        except OSError:
            return False
        try:
            with open(number, "wb") as file:
                file.write(data)
            os.replace(name, self._file(key))
        except OSError:
            _remove(Path(name))
            return False
        return True

    def remove(self, key: str) -> None:
        """Removes an entry, if that is possible."""
        _remove(self._file(key))

    def entries(self) -> list[EntryFile]:
        """All entries, those first that were not used for longest."""
        return sorted(self._files(SUFFIX), key=lambda entry: entry.used_s)

    def shrink(self, limit_bytes: int) -> int:
        """Removes what was not used for longest, until the entries take at most so much; returns what they take."""
        for each in self._files(_UNFINISHED):
            if each.used_s < time.time() - _ABANDONED_AFTER_S:
                _remove(each.path)
        entries = self.entries()
        total_bytes = sum(each.size_bytes for each in entries)
        for each in entries:
            if total_bytes <= limit_bytes:
                break
            _remove(each.path)
            total_bytes -= each.size_bytes
        return total_bytes

    def clear(self) -> tuple[int, int]:
        """Removes all entries; returns how many are gone and how many could not be removed."""
        for each in self._files(_UNFINISHED):
            _remove(each.path)
        removed = [_remove(each.path) for each in self.entries()]
        return sum(removed), len(removed) - sum(removed)

    def _file(self, key: str) -> Path:
        return self.path / f"{key}{SUFFIX}"

    def _files(self, suffix: str) -> Iterator[EntryFile]:
        try:
            found = list(os.scandir(self.path))
        except OSError:
            return
        for each in found:
            with contextlib.suppress(OSError):
                if each.name.endswith(suffix):
                    about = each.stat(follow_symlinks=False)
                    yield EntryFile(Path(each.path), about.st_size, about.st_mtime)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return True  # another process was faster
    except OSError:
        return False
    return True
