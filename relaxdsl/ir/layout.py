"""How printed programs are laid out: indented lines, long ones wrapped at their brackets, and Python literals."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

LINE_WIDTH = 100
INDENT = "    "

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "\"'"


class Lines:
    """Collects lines; ``depth`` is the indentation of those to come."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.depth = 0

    def add(self, line: str, *, comment: str = "", one_item_a_line: bool = False) -> None:
        """Adds a line, wrapped if it is too long; the comment follows it."""
        wrapped = wrap(line, LINE_WIDTH - len(INDENT) * self.depth, one_item_a_line)
        if comment:
            wrapped[-1] += f"  # {comment}"
        self.text.extend(INDENT * self.depth + each for each in wrapped)

    def blank(self) -> None:
        """Adds an empty line."""
        self.text.append("")

    def __str__(self) -> str:
        return "\n".join(self.text)


def wrap(line: str, width: int = LINE_WIDTH, one_item_a_line: bool = False) -> list[str]:
    """``line`` as lines of at most ``width`` columns where its brackets allow it.

    The longest outermost bracket is broken open: its items stand on lines of their own, indented.
    """
    bracket = _longest_bracket(line) if len(line) > width else None
    if bracket is None:
        return [line]
    start, end = bracket
    items = _split_items(line[start + 1 : end])
    rows = items if one_item_a_line else _filled(items, width - len(INDENT))
    inner = [each for row in rows for each in wrap(row, width - len(INDENT))]
    return [line[: start + 1], *(INDENT + each for each in inner), *wrap(line[end:], width)]


def _filled(items: list[str], width: int) -> list[str]:
    """The items, joined into rows as long as ``width`` allows."""
    rows = [""]
    for item in items:
        joined = f"{rows[-1]} {item}".strip()
        if len(joined) <= width:
            rows[-1] = joined
        else:
            rows.append(item)
    return [row for row in rows if row]


def _split_items(text: str) -> list[str]:
    """``text`` cut after its outermost commas."""
    cuts = [at + 1 for at, character, depth in _code_characters(text) if character == "," and depth == 0]
    pieces = (text[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True))
    return [piece for piece in pieces if piece]


def _longest_bracket(line: str) -> tuple[int, int] | None:
    """Where the longest outermost bracket opens and closes; None if there is nothing in any."""
    starts = [at for at, character, depth in _code_characters(line) if character in _OPENING and depth == 1]
    ends = [at for at, character, depth in _code_characters(line) if character in _CLOSING and depth == 0]
    brackets = [(start, end) for start, end in zip(starts, ends, strict=False) if end > start + 1]
    return max(brackets, key=lambda bracket: bracket[1] - bracket[0], default=None)


def _code_characters(text: str) -> Iterator[tuple[int, str, int]]:
    """``(position, character, depth of brackets after it)`` of what is not inside a string."""
    quote, escaped, depth = "", False, 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
            continue
        quote = character if character in _QUOTES else ""
        depth += (character in _OPENING) - (character in _CLOSING)
        yield at, character, depth


def format_string(text: str) -> str:
    """A string as a Python literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def format_float(value: float) -> str:
    """A float as a Python expression of exactly this value."""
    if math.isfinite(value):
        return repr(value)
    return f'float("{value}")'


def format_tuple(texts: list[str] | tuple[str, ...]) -> str:
    """Texts of expressions as a tuple."""
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
