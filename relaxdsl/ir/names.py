"""The one place where names are made unique and fit to be Python identifiers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable


class UniqueNames:
    """Gives names that were not given before.

    Args:
        taken: names that must not be given.

    Example:
        >>> names = UniqueNames(taken=["x"])
        >>> names.fresh("lv"), names.fresh("lv"), names.fresh("x"), names.fresh("for")
        ('lv', 'lv1', 'x1', 'for_')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next_number: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def reserve(self, name: str) -> None:
        """Makes sure that ``name`` is never given."""
        self._taken.add(name)

    def fresh(self, wanted: str) -> str:
        """``wanted`` if nobody has it, else with the next free number: ``lv``, ``lv1``, ``lv2``."""
        name = as_identifier(wanted)
        if name in self._taken:
            name = self._numbered(name.rstrip("0123456789"))
        self._taken.add(name)
        return name

    def _numbered(self, stem: str) -> str:
        number = self._next_number.get(stem, 1)
        while f"{stem}{number}" in self._taken:
            number += 1
        self._next_number[stem] = number + 1
        return f"{stem}{number}"


def as_identifier(text: str) -> str:
    """``text`` made into a Python identifier that is not a keyword."""
    name = re.sub(r"\W", "_", text)
    if not name or name[0].isdigit():
        name = f"v{name}"
    return f"{name}_" if keyword.iskeyword(name) else name
