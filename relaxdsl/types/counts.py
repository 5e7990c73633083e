"""Counts as messages say them: ``1 argument``, ``2 arguments``."""

from __future__ import annotations


def counted(count: int, one: str, several: str | None = None) -> str:
    """``count`` with its noun; ``several`` is the plural where that is not ``one`` with an ``s``.

    Example:
        >>> counted(1, "argument"), counted(0, "argument"), counted(2, "index", "indices")
        ('1 argument', '0 arguments', '2 indices')
    """
    return f"{count} {one if count == 1 else several or one + 's'}"
