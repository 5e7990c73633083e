"""The one table: a row for each measurement, its ratios to the peers, and whether it meets its target."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PEERS = ("numpy", "torch", "torch.compile", "jax.jit")
SAVED = Path(__file__).parent / "RESULTS.md"
LEGEND = (
    "A peer's column is its time divided by relaxdsl's in the same run: above 1, relaxdsl is faster. "
    "Times are medians over interleaved rounds; *fastest* is relaxdsl's fastest round."
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a row has to reach: an absolute time, a multiple of NumPy's speed, or a fact that holds or does not."""

    limit_s: float | None = None
    numpy_factor: float | None = None
    fact: tuple[str, bool] | None = None

    def parts(self, row: Row) -> list[tuple[str, bool]]:
        """Each condition in words, and whether it is met."""
        found = [] if self.fact is None else [self.fact]
        if self.limit_s is not None:
            found.append((f"≤ {show_time(self.limit_s)}", row.seconds <= self.limit_s))
        if self.numpy_factor is not None:
            words = "below NumPy" if self.numpy_factor == 1 else f"≥ {self.numpy_factor:g}× NumPy"
            found.append((words, row.ratio("numpy") >= self.numpy_factor))
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: relaxdsl's seconds and its peers' in the same run."""

    name: str
    seconds: float
    fastest_s: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    target: Target | None = None

    def ratio(self, peer: str) -> float:
        """How many times longer than relaxdsl the peer takes."""
        return self.peers[peer] / self.seconds

    def verdict(self) -> str:
        """The target in words, with each condition's outcome; empty where there is none."""
        parts = self.target.parts(self) if self.target else []
        return ", ".join(f"{words}: {'met' if met else 'MISSED'}" for words, met in parts)


def render(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that also lines up in a terminal."""
    peers = [peer for peer in PEERS if any(peer in row.peers for row in rows)]
    header = ["", "relaxdsl", "fastest", *peers, "target"]
    cells = [header, *([*_figures(row), *_ratios(row, peers), row.verdict()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    numeric = range(1, len(header) - 1)
    rule = [f"{'-' * (width - 1)}:" if at in numeric else "-" * width for at, width in enumerate(widths)]
    aligned = [_align(line, widths, numeric) for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (aligned[0], rule, *aligned[1:]))


def save(description: str, rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Writes RESULTS.md: the machine, the date, the table."""
    paragraphs = (
        "# Benchmark results",
        f"Written by `python benchmarks/run.py --save` on {datetime.date.today().isoformat()}.",
        description,
        LEGEND,
        render(rows),
        "\n".join(f"- {note}" for note in notes),
    )
    SAVED.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")


def show_time(seconds: float) -> str:
    """Three digits with the unit that suits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _figures(row: Row) -> list[str]:
    return [row.name, show_time(row.seconds), "" if row.fastest_s is None else show_time(row.fastest_s)]


def _ratios(row: Row, peers: Sequence[str]) -> list[str]:
    return [f"{row.ratio(peer):.2f}×" if peer in row.peers else "" for peer in peers]


def _align(line: Sequence[str], widths: Sequence[int], numeric: range) -> list[str]:
    columns = enumerate(zip(line, widths, strict=True))
    return [cell.rjust(width) if at in numeric else cell.ljust(width) for at, (cell, width) in columns]
