"""The tables: a row for each measurement, its ratios to the peers, and whether it meets its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

PEERS = ("numpy", "torch", "torch.compile", "jax.jit", "TVM")
LEGEND = (
    "A peer's column is its time divided by relaxdsl's in the same run: above 1, relaxdsl is faster. *ratio* is that "
    "of the best peer. Times are medians over interleaved rounds; *fastest* is relaxdsl's fastest round. *of limit* is "
    "the share of what a loop of nothing but multiply-adds, or nothing but loads, reaches between the same rounds."
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a row has to reach: a ratio to the best peer, to TVM, a share of the machine's limit, a time, a fact."""

    ratio: float | None = None
    tvm_ratio: float | None = None
    fraction: float | None = None
    limit_s: float | None = None
    fact: tuple[str, bool] | None = None

    def parts(self, row: Row) -> list[tuple[str, bool]]:
        """Each condition that can be judged in words, and whether it is met."""
        found = [] if self.fact is None else [self.fact]
        if self.limit_s is not None:
            found.append((f"≤ {show_time(self.limit_s)}", row.seconds <= self.limit_s))
        if self.ratio is not None and row.peers:
            found.append((f"≥ {self.ratio:g}", row.best_ratio >= self.ratio))
        if self.fraction is not None and row.limit is not None:
            found.append((f"≥ {self.fraction:g} of limit", row.fraction >= self.fraction))
        if self.tvm_ratio is not None and "TVM" in row.peers:
            found.append((f"TVM ≥ {self.tvm_ratio:g}", row.ratio("TVM") >= self.tvm_ratio))
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: relaxdsl's seconds, its peers' in the same run, and what failed.

    Args:
        workload: what was computed; ``variant`` tells relaxdsl's rows on it apart.
        limit: which of the machine's limits it was compared with; ``fraction`` is its share of that.
        is_judged: whether the target counts; float64 is there for reference.
    """

    workload: str
    seconds: float
    fastest_s: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    target: Target | None = None
    variant: str = ""
    limit: str | None = None
    fraction: float = 0.0
    failures: Mapping[str, str] = field(default_factory=dict)
    is_judged: bool = True

    @property
    def name(self) -> str:
        """The row's title."""
        return f"{self.workload}, {self.variant}" if self.variant else self.workload

    @property
    def best_peer(self) -> str:
        """The fastest peer; there must be one."""
        return min(self.peers, key=lambda peer: self.peers[peer])

    @property
    def best_ratio(self) -> float:
        """How many times longer than relaxdsl the fastest peer takes."""
        return self.ratio(self.best_peer)

    def ratio(self, peer: str) -> float:
        """How many times longer than relaxdsl the peer takes."""
        return self.peers[peer] / self.seconds

    def outcomes(self) -> list[tuple[str, bool]]:
        """Each condition of the target in words, and whether it is met."""
        if "relaxdsl" in self.failures:
            return [("a result", False)]
        return self.target.parts(self) if self.target and self.is_judged else []

    def verdict(self) -> str:
        """The conditions with their outcomes; empty where there are none."""
        return ", ".join(f"{words}: {'met' if met else 'MISSED'}" for words, met in self.outcomes())

    def with_peer(self, peer: str, seconds: float) -> Row:
        """The row with one more peer."""
        return replace(self, peers={**self.peers, peer: seconds})

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which ``row_of`` makes the row again."""
        return asdict(self)


def row_of(plain: Mapping[str, Any]) -> Row:
    """The row that ``to_json`` was called on."""
    target = plain["target"]
    if target is not None:
        fact = target["fact"]
        target = Target(**{**target, "fact": None if fact is None else (fact[0], fact[1])})
    return Row(**{**plain, "target": target})


def render(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that also lines up in a terminal."""
    peers = [peer for peer in PEERS if any(peer in (*row.peers, *row.failures) for row in rows)]
    limited = any(row.limit for row in rows)
    judged = any(row.target and row.target.ratio for row in rows)
    optional = [*(["best peer", "ratio"] if judged else []), *(["of limit"] if limited else [])]
    header = ["", "relaxdsl", "fastest", *peers, *optional, "target"]
    cells = [header, *([cell[title] for title in header] for cell in map(_cells, rows))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    numeric = [column for column, title in enumerate(header) if title not in ("", "best peer", "target")]
    rule = [f"{'-' * (width - 1)}:" if at in numeric else "-" * width for at, width in enumerate(widths)]
    aligned = [_align(line, widths, numeric) for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (aligned[0], rule, *aligned[1:]))


def failures(rows: Sequence[Row]) -> list[str]:
    """What could not be measured, and why."""
    return [f"{row.name}: {library} failed: {why}" for row in rows for library, why in row.failures.items()]


def tally(rows: Sequence[Row]) -> str:
    """How many conditions are met, and the rows that miss one."""
    outcomes = [(row, met) for row in rows for _, met in row.outcomes()]
    missed = list(dict.fromkeys(row.name for row, met in outcomes if not met))
    met = f"{sum(met for _, met in outcomes)} of {len(outcomes)} targets met."
    return f"{met} Missed: {'; '.join(missed)}." if missed else met


def show_time(seconds: float) -> str:
    """Three digits with the unit that suits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _cells(row: Row) -> dict[str, str]:
    """What stands in each column."""
    cells = {"": row.name, "target": row.verdict(), **{peer: _peer_cell(row, peer) for peer in PEERS}}
    if "relaxdsl" in row.failures:
        return cells | dict.fromkeys(("fastest", "best peer", "ratio", "of limit"), "") | {"relaxdsl": "fails"}
    return cells | {
        "relaxdsl": show_time(row.seconds),
        "fastest": "" if row.fastest_s is None else show_time(row.fastest_s),
        "best peer": row.best_peer if row.peers else "",
        "ratio": f"{row.best_ratio:.2f}×" if row.peers else "",
        "of limit": f"{row.fraction:.2f} {row.limit}" if row.limit else "",
    }


def _peer_cell(row: Row, peer: str) -> str:
    if peer not in row.peers:
        return "fails" if peer in row.failures else ""
    return show_time(row.peers[peer]) if "relaxdsl" in row.failures else f"{row.ratio(peer):.2f}×"


def _align(line: Sequence[str], widths: Sequence[int], numeric: Sequence[int]) -> list[str]:
    columns = enumerate(zip(line, widths, strict=True))
    return [cell.rjust(width) if at in numeric else cell.ljust(width) for at, (cell, width) in columns]
