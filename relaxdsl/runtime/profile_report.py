"""A profile as data, as a table, and as a trace for Perfetto or Chrome."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.runtime.limits import Limits
from relaxdsl.runtime.tables import as_html, as_text, lines_as_html
from relaxdsl.types.counts import counted

_HEADINGS = ("kernel", "time", "share", "GB/s", "GFLOP/s", "of the limit", "threads", "written at")
_NUMBERS = frozenset({1, 2, 3, 4, 5, 6})
"""The columns that hold numbers."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A kernel call, all its phases, or a call of a function.

    Args:
        seconds: the median of several calls; of a shared kernel, until the last thread is done.
        note: what the kernel is made of.
        operations: on elements; a multiply-add is two. None: nobody knows what a function does.
        moved_bytes: of the inputs and outputs, each once.
        dtype: the widest that it computes in.
        threads: how many may have shared it.
        kind: ``kernel``, ``Python``, or ``function``: a relax function that is a program of its own.
    """

    name: str
    span: Span | None
    note: str
    seconds: float
    operations: int | None
    moved_bytes: int | None
    dtype: str
    threads: int
    kind: str = "kernel"

    @property
    def gflops(self) -> float | None:
        """Thousands of millions of operations a second."""
        return None if self.operations is None or not self.seconds else self.operations / self.seconds * 1e-9

    @property
    def gbytes(self) -> float | None:
        """Thousands of millions of bytes a second."""
        return None if self.moved_bytes is None or not self.seconds else self.moved_bytes / self.seconds * 1e-9

    def of_limit(self, limits: Limits) -> tuple[float, str] | None:
        """What part of the limit was reached that is the nearer one, and which that is: compute or memory."""
        if self.operations is None or self.moved_bytes is None or not self.seconds:
            return None
        least_s, limit = limits.seconds_for(self.operations, self.moved_bytes, self.dtype)
        return least_s / self.seconds, limit


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """How long a call takes, and each kernel in it; prints as a table, longest first.

    Args:
        repeats: how many calls were timed. call_seconds: what a call takes that nobody watches (the median).
        timings: the kernels, in the order in which they run.
        limits: what the machine can do.
    """

    function: str
    repeats: int
    call_seconds: float
    timings: tuple[Timing, ...]
    limits: Limits

    @property
    def kernel_seconds(self) -> float:
        """What all kernels take."""
        return sum(timing.seconds for timing in self.timings)

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the call as trace events (JSON), which https://ui.perfetto.dev and Chrome's ``about:tracing`` open.

        The kernels stand one after the other, each as long as its median; what is between them is not shown.

        Source: the Trace Event Format of Chrome.
        """
        trace = {"traceEvents": list(self._events()), "displayTimeUnit": "ns"}
        Path(path).write_text(json.dumps(trace, indent=1))

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        lines = as_text(self._table(), _NUMBERS)
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", *self._remarks()])

    def _repr_html_(self) -> str:
        header, *rows = self._table()
        return as_html(header, rows, _NUMBERS) + lines_as_html(tuple(self._remarks()))

    # ---- rows

    def _table(self) -> list[tuple[str, ...]]:
        """The headings and the rows; without the places where nothing has one, as in a kernel that no file defines."""
        table = [_HEADINGS, *self._rows()]
        return table if any(row[-1] for row in table[1:]) else [row[:-1] for row in table]

    def _rows(self) -> Iterator[tuple[str, ...]]:
        total = self.kernel_seconds or 1.0
        for timing in sorted(self.timings, key=lambda timing: -timing.seconds):
            part = timing.of_limit(self.limits)
            yield (
                timing.name,
                format_seconds(timing.seconds) if _can_be_timed(timing.seconds) else "too short",
                f"{timing.seconds / total:.0%}" if _can_be_timed(timing.seconds) else "",
                _rate(timing.gbytes),
                _rate(timing.gflops),
                "" if part is None else f"{part[0]:.0%} of {part[1]}",
                str(timing.threads) if timing.kind == "kernel" else timing.kind,
                "" if timing.span is None else str(timing.span),
            )

    def _remarks(self) -> Iterator[str]:
        yield (
            f"{self.function}: a call takes {format_seconds(self.call_seconds)}, "
            f"its kernels {self._shown_kernel_time()} (medians of {counted(self.repeats, 'call')})"
        )
        limits = self.limits
        threads = counted(limits.threads, "thread")
        peaks = ", ".join(f"{rate * 1e-9:.0f} GFLOP/s in {dtype}" for dtype, rate in limits.operations_per_s.items())
        yield f"limits, measured on {threads}: {peaks}; {limits.read_bytes_per_s * 1e-9:.1f} GB/s read from memory"

    def _shown_kernel_time(self) -> str:
        if _can_be_timed(self.kernel_seconds) or not self.timings:
            return format_seconds(self.kernel_seconds)
        return "are too short to be timed"

    # ---- events

    def _events(self) -> Iterator[dict[str, Any]]:
        """A row for the call and one for its kernels; times are in microseconds."""
        for row, name in ((0, "call"), (1, "kernels")):
            yield {"name": "thread_name", "ph": "M", "pid": 0, "tid": row, "args": {"name": name}}
        yield _event(self.function, "call", 0, 0.0, self.call_seconds, {"repeats": self.repeats})
        start = 0.0
        for timing in self.timings:
            yield _event(timing.name, timing.kind, 1, start, timing.seconds, self._about(timing))
            start += timing.seconds

    def _about(self, timing: Timing) -> dict[str, Any]:
        part = timing.of_limit(self.limits)
        about = {
            "written at": None if timing.span is None else str(timing.span),
            "made of": timing.note or None,
            "operations": timing.operations,
            "bytes": timing.moved_bytes,
            "GFLOP/s": timing.gflops,
            "GB/s": timing.gbytes,
            "of the limit": None if part is None else f"{part[0]:.0%} of {part[1]}",
            "threads": timing.threads,
        }
        return {name: value for name, value in about.items() if value is not None}


def _event(name: str, kind: str, row: int, start_s: float, seconds: float, about: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": start_s * 1e6, "dur": seconds * 1e6}
    return {"name": name, "cat": kind, "ph": "X", **times, "pid": 0, "tid": row, "args": about}


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"


def _can_be_timed(seconds: float) -> bool:
    """Whether it is more than what getting to a kernel takes, which was taken off."""
    return seconds >= 0.5e-9


def format_seconds(seconds: float) -> str:
    """The time in a unit that fits, with three digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1.0:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
