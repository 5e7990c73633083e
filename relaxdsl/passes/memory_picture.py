"""Memory plans in notebooks: a picture of which bytes are in use when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, HEIGHT, MARGIN = 720, 320, 60
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f")


class Drawn(Protocol):
    """What is drawn: bytes from an offset on, from one position of the program to another."""

    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


def picture(buffers: Sequence[Drawn], total: int, title: str) -> str:
    """A picture in SVG: the program runs from left to right, bytes from the bottom to the top."""
    end = max((each.last for each in buffers), default=0) + 1
    x_scale, y_scale = (WIDTH - 2 * MARGIN) / end, (HEIGHT - 2 * MARGIN) / max(total, 1)
    boxes = "".join(_box(each, COLOURS[number % len(COLOURS)], x_scale, y_scale) for number, each in enumerate(buffers))
    frame = f'<rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH - 2 * MARGIN}" height="{HEIGHT - 2 * MARGIN}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><text x="{MARGIN}" y="20" font-size="13">{escape(title)}</text>'
        f'<text x="{MARGIN}" y="{HEIGHT - 20}">instructions 0 to {end}</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 6}">{total:,} bytes</text>'
        f'<text x="{MARGIN - 12}" y="{HEIGHT - MARGIN}">0</text>'
        f'{frame} fill="none" stroke="#999"/>{boxes}</svg>'
    )


def _box(buffer: Drawn, colour: str, x_scale: float, y_scale: float) -> str:
    x, width = MARGIN + buffer.first * x_scale, (buffer.last - buffer.first + 1) * x_scale
    height = buffer.size_bytes * y_scale
    y = HEIGHT - MARGIN - buffer.offset * y_scale - height
    tip = f"{buffer.name}: {buffer.size_bytes:,} bytes at {buffer.offset:,}"
    label = f'<text x="{x + 3:.1f}" y="{y + height / 2 + 4:.1f}">{escape(buffer.name)}</text>' if height > 12 else ""
    return (
        f'<g><title>{escape(tip)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}" fill-opacity="0.6" stroke="{colour}"/>{label}</g>'
    )
