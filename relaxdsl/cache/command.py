"""``relaxdsl cache info``, ``clear`` and ``path``: what is on the disk, for its user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from relaxdsl.cache.folder import Folder
from relaxdsl.cache.places import (
    DIR_VARIABLE,
    LIMIT_VARIABLE,
    SWITCH_VARIABLE,
    Place,
    is_on,
    limit_bytes,
    places,
)

_KIB, _MIB = 1 << 10, 1 << 20


def info() -> str:
    """Where the cache is, what it holds, and how to change that."""
    return "\n".join(_info())


def clear(*, everywhere: bool = False) -> str:
    """Removes the entries of the folder that new ones go to, and says how many; of all folders with --all."""
    folders: Iterable[Folder] = (place.folder for place in places()) if everywhere else islice(_writable(), 1)
    return "\n".join(line for folder in folders if (line := _cleared(folder))) or "the cache was empty"


def path() -> str:
    """The folder that new entries go to."""
    current = _current()
    return "none" if current is None else str(current.path)


COMMANDS: dict[str, Callable[..., str]] = {"info": info, "clear": clear, "path": path}


def _info() -> Iterator[str]:
    current = _current()
    if not is_on():
        yield f"the cache is off: {SWITCH_VARIABLE} is 0"
    elif current is None:
        yield "there is no cache: no folder can be written"
    yield from (_line(place, current) for place in places())
    yield f"limit: {limit_bytes() // _MIB} MiB ({LIMIT_VARIABLE}); what was not used for longest goes first"
    yield f"another folder: {DIR_VARIABLE}; no cache: {SWITCH_VARIABLE}=0"


def _cleared(folder: Folder) -> str:
    removed, kept = folder.clear()
    refused = f", {kept} could not be removed" if kept else ""
    return f"{folder.path}: {_count(removed, 'entry', 'entries')} removed{refused}" if removed or kept else ""


def _line(place: Place, current: Folder | None) -> str:
    entries = place.folder.entries()
    size = _size(sum(each.size_bytes for each in entries))
    mark = "*" if place.folder == current else " "
    return f"{mark} {place.folder.path} ({place.origin}): {_count(len(entries), 'entry', 'entries')}, {size}"


def _current() -> Folder | None:
    return next(_writable(), None) if is_on() else None


def _writable() -> Iterator[Folder]:
    """The folders that can be written, best first."""
    return (place.folder for place in places() if place.folder.prepare())


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB" if size_bytes >= _MIB else f"{size_bytes / _KIB:.1f} KiB"
