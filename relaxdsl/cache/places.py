"""Where the cache may be, and what the environment says about it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from relaxdsl.cache.folder import Folder
from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError

DIR_VARIABLE = "RELAXDSL_CACHE_DIR"
SWITCH_VARIABLE = "RELAXDSL_CACHE"
LIMIT_VARIABLE = "RELAXDSL_CACHE_LIMIT_MIB"
DEFAULT_LIMIT_MIB = 512


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that the cache may use, and why this one."""

    folder: Folder
    origin: str


def places() -> tuple[Place, ...]:
    """The folders to try, best first."""
    return tuple(_places())


def lasting_places() -> tuple[Place, ...]:
    """The folders that stay the same whatever the environment says of the cache."""
    return tuple(_lasting_places())


def _places() -> Iterator[Place]:
    if (chosen := _chosen()) is not None:
        yield Place(Folder(chosen), DIR_VARIABLE)
    yield from _lasting_places()


def _lasting_places() -> Iterator[Place]:
    if (home := _user_caches()) is not None:
        yield Place(Folder(home / "relaxdsl"), "the user's caches")
    if (temporary := _temporary()) is not None:
        yield Place(Folder(temporary, is_public=True), "temporary files")


def is_on() -> bool:
    """Whether there is to be a cache: unless ``RELAXDSL_CACHE`` is 0.

    Raises:
        ArgumentError: it is neither 0 nor 1.
    """
    text = os.environ.get(SWITCH_VARIABLE, "").strip()
    if text not in ("", "0", "1"):
        raise ArgumentError(f"{SWITCH_VARIABLE}: expected 0 or 1, got {text!r}")
    return text != "0"


def limit_bytes() -> int:
    """How much the entries may take: ``RELAXDSL_CACHE_LIMIT_MIB``, or 512 MiB.

    Raises:
        ArgumentError: it is no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip() or str(DEFAULT_LIMIT_MIB)
    if not text.isdecimal():
        raise ArgumentError(f"{LIMIT_VARIABLE}: expected a number of MiB, got {text!r}")
    return int(text) << 20


def _chosen() -> Path | None:
    text = os.environ.get(DIR_VARIABLE, "").strip()
    try:
        return Path(text).expanduser().absolute() if text else None
    except (RuntimeError, OSError):  # no home to expand ~ to, or no working directory any more
        return None


def _user_caches() -> Path | None:
    """The platform's folder for a user's caches, if the user has a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else home / ".cache"  # the XDG specification: ignore it if it is relative


def _temporary() -> Path | None:
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    try:
        return Path(tempfile.gettempdir()) / f"relaxdsl{user}"
    except OSError:
        return None
