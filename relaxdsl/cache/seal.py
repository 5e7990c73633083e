"""Seals: how a process knows machine code in a file as code that a process of the same user has compiled.

Machine code is run as it is, so a stranger's is not used unless the user says so. A seal is a keyed hash; the key is in
a file that only its user can read.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from relaxdsl.cache.folder import Folder
from relaxdsl.cache.places import Place, lasting_places

_FILE = "seal-key"
_KEY_BYTES = 32


def seal(data: bytes) -> str | None:
    """The seal of some data; None where there is no place for a key."""
    key = next(_keys(), None) or _new_key()
    return None if key is None else _seal(key, data)


def is_sealed(data: bytes, found: object) -> bool:
    """Whether ``found`` is a seal that a process of this user gave to this data."""
    return isinstance(found, str) and any(
        hmac.compare_digest(_seal(key, data).encode(), found.encode()) for key in _keys()
    )


def _seal(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _keys() -> Iterator[bytes]:
    for place in lasting_places():
        key = _read(place)
        if key is not None:
            yield key


def _read(place: Place) -> bytes | None:
    """The key in a folder, if only this user can have put it there and nobody else can read it."""
    path = place.folder.path / _FILE
    try:
        about = os.lstat(path)
        is_secret = stat.S_ISREG(about.st_mode) and not (hasattr(os, "getuid") and about.st_mode & 0o077)
        is_own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        key = path.read_bytes() if is_secret and is_own and place.folder.is_trusted() else b""
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def _new_key() -> bytes | None:
    """A key made now, in the first folder that takes it; another process's, where that was faster."""
    for place in lasting_places():
        if place.folder.prepare():
            _write(place.folder)
            key = _read(place)
            if key is not None:
                return key
    return None


def _write(folder: Folder) -> None:
    """Writes a key that appears whole, unless there is one: a link is made only if its name is free."""
    unfinished, path = Path(folder.path / f"{_FILE}.{os.urandom(8).hex()}"), folder.path / _FILE
    with contextlib.suppress(OSError):
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(unfinished, path)
    with contextlib.suppress(OSError):
        unfinished.unlink()
