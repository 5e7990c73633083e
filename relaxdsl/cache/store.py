"""The cache that a process uses: the first folder that can be written, and those before it for reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from relaxdsl.cache.entry import pack, unpack
from relaxdsl.cache.folder import Folder
from relaxdsl.cache.places import is_on, limit_bytes, places

_SHRINK_TO = 0.8
"""What part of the limit is kept when it is exceeded, so that not every new entry means going through the folder."""


class Cache:
    """Parts by key. Reading and writing never raise: what does not work is a miss.

    Args:
        folders: best first; none: nothing is kept.
        limit_bytes: how much a folder's entries may take.
    """

    def __init__(self, folders: Sequence[Folder], limit_bytes: int) -> None:
        self._folders = tuple(folders)
        self._limit_bytes = limit_bytes
        self._is_writable: dict[Folder, bool] = {}
        self._size_bytes: dict[Folder, int] = {}

    def read(self, key: str) -> dict[str, bytes] | None:
        """The parts written under this key, by this process or any other; None if there are none that are whole."""
        for folder in self._readable():
            data = folder.read(key)
            parts = None if data is None else unpack(key, data)
            if parts is not None:
                return parts
            if data is not None:
                folder.remove(key)
        return None

    def write(self, key: str, parts: Mapping[str, bytes]) -> bool:
        """Keeps the parts in the first folder that takes them; returns whether one did."""
        data = pack(key, parts)
        for folder in self._folders:
            if self._can_write(folder):
                self._is_writable[folder] = folder.write(key, data)
            if self._is_writable[folder]:
                self._grown(folder, len(data))
                return True
        return False

    def _readable(self) -> Iterator[Folder]:
        for folder in self._folders:
            yield folder
            if self._can_write(folder):
                return

    def _can_write(self, folder: Folder) -> bool:
        if folder not in self._is_writable:
            self._is_writable[folder] = folder.prepare()
        return self._is_writable[folder]

    def _grown(self, folder: Folder, by_bytes: int) -> None:
        """Evicts what was not used for longest where the folder is too large now; what others write counts later."""
        if folder not in self._size_bytes:
            self._size_bytes[folder] = sum(each.size_bytes for each in folder.entries())
        else:
            self._size_bytes[folder] += by_bytes
        if self._size_bytes[folder] > self._limit_bytes:
            self._size_bytes[folder] = folder.shrink(int(self._limit_bytes * _SHRINK_TO))


def process_cache() -> Cache:
    """The cache that the environment asks for.

    Raises:
        ArgumentError: a variable of the environment has no meaning.
    """
    folders = tuple(place.folder for place in places()) if is_on() else ()
    return _cache_of(folders, limit_bytes())


@lru_cache(maxsize=8)
def _cache_of(folders: tuple[Folder, ...], limit_bytes: int) -> Cache:
    return Cache(folders, limit_bytes)
