"""Tables for people: cells under one another in text, and in HTML as notebooks show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from html import escape

#: Said in full, since Jupyter sets output in the font of prose.
_CODE_FONT = "font-family: var(--jp-code-font-family, monospace)"


def as_text(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """The rows as lines.

    Args:
        numbers: the columns whose cells end under one another; in the others they begin there.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def cells(row: Sequence[str]) -> Iterator[str]:
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            yield cell.rjust(width) if column in numbers else cell.ljust(width)

    return ["  ".join(cells(row)).rstrip() for row in rows]


def as_html(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """The same in HTML, on the left of the page, each row on one line: Jupyter centres tables and breaks cells."""

    def line(row: Sequence[str], tag: str) -> str:
        sides = ("right" if column in numbers else "left" for column in range(len(row)))
        return "".join(
            f'<{tag} style="text-align: {side}; white-space: nowrap">{escape(cell)}</{tag}>'
            for cell, side in zip(row, sides, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{line(header, 'th')}</tr></thead>"
    return f'<table style="{_CODE_FONT}; margin-left: 0">{head}<tbody>{body}</tbody></table>'


def lines_as_html(lines: Sequence[str]) -> str:
    """Lines of text below a table, spaces and all."""
    return f'<pre style="{_CODE_FONT}">{escape(chr(10).join(lines))}</pre>' if lines else ""
