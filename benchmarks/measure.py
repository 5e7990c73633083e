"""Measures the workloads on one number of threads; `run.py` starts it, in a process of its own for each number.

Prints every row as JSON, on a line of its own, and what it is doing on the error stream.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import machine
from options import add_options, is_wanted
from report import Row, Target
from timing import Call, Effort, Timing, time_calls

if TYPE_CHECKING:
    from contenders import Contender
    from workload import Workload

    from relaxdsl.runtime.limits import Probe

Work = tuple["Probe", float] | None
Times = dict[tuple[str, str], Timing]
ITEM_BYTES = {"float32": 4, "float64": 8}
LIMIT = ("the limit", "")


def main() -> None:
    options = _options()
    machine.limit_threads(options.threads)
    from contenders import set_up_peers  # here, since libraries read the limit when they are imported

    set_up_peers(options.threads)
    for table, row in measured(options):
        print(json.dumps({"table": table, "row": row.to_json()}), flush=True)


def measured(options: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Every row that was asked for, with the table it belongs to: a dtype, ``calls``, or a curve."""
    from families import WORKLOADS
    from families.curves import CURVES

    for workload in WORKLOADS:
        for dtype in workload.dtypes:
            if is_wanted(options, workload.name) and dtype in options.dtypes:
                yield from ((dtype, row) for row in _workload_rows(workload, dtype, options))
    if options.curves:
        for name, workloads in CURVES.items():
            yield from ((name, row) for each in workloads for row in _workload_rows(each, "float32", options))
    if options.threads == 1:
        yield from (("calls", row) for row in _call_rows(options))


def _workload_rows(workload: Workload, dtype: str, options: argparse.Namespace) -> list[Row]:
    from contenders import contenders

    _say(f"{options.threads} threads, {dtype}: {workload.name}")
    # float64 is there for reference, and a curve has many points: fewer rounds, and no compiling by torch, which takes
    # seconds each.
    thorough = dtype == "float32" and workload.target is not None
    found = contenders(workload, dtype, options.torch_compile and thorough)
    work = _limiting_work(workload, dtype, options.threads)
    calls = {(each.library, each.variant): each.call for each in found if each.call is not None}
    if work is not None:
        calls[LIMIT] = Call(work[0].run, ())
    times = time_calls(calls, _effort(options, thorough))
    if options.fastest:
        times = {key: each.at_best() for key, each in times.items()}
    rows = [_row(workload, variant, found, times, work) for variant in workload.ours]
    return [replace(row, target=_target(row, options.threads), is_judged=dtype == "float32") for row in rows]


def _target(row: Row, threads: int) -> Target | None:
    """The row's target. The share of the peak of multiply-adds is one for a single core."""
    if row.target is None or threads == 1 or row.limit != "FMA peak":
        return row.target
    return replace(row.target, fraction=None)


def _limiting_work(workload: Workload, dtype: str, threads: int) -> Work:
    """The loop at the limit that the workload is compared with, and how much of that the workload does."""
    from relaxdsl.runtime.limits import fma_probe, read_probe

    if workload.flops is not None:
        return fma_probe(dtype, threads), workload.flops
    if workload.elements_read is not None:
        return read_probe(threads), workload.elements_read * ITEM_BYTES[dtype]
    return None


def _row(workload: Workload, variant: str, found: list[Contender], times: Times, work: Work) -> Row:
    """relaxdsl's row for one of its variants; a peer's time is that of its best variant."""
    peers: dict[str, float] = {}
    for (library, _), timing in times.items():
        if library not in ("relaxdsl", LIMIT[0]):
            peers[library] = min(peers.get(library, timing.median_s), timing.median_s)
    failures = {
        each.library: each.failure
        for each in found
        if each.call is None and (each.variant == variant if each.library == "relaxdsl" else each.library not in peers)
    }
    row = Row(workload.name, 0.0, None, peers, workload.target, variant, failures=failures)
    ours = times.get(("relaxdsl", variant))
    if ours is None:
        return row
    row = replace(row, seconds=ours.median_s, fastest_s=ours.fastest_s)
    if work is None:
        return row
    probe, amount = work
    fraction = (amount / ours.median_s) / (probe.amount / times[LIMIT].median_s)
    return replace(row, limit=probe.limit, fraction=fraction)


def _effort(options: argparse.Namespace, thorough: bool) -> Effort:
    pause = 0.0 if options.threads == 1 else 0.16
    if options.quick:
        return Effort(rounds=3, slot_s=0.005, pause_s=pause)
    return Effort(rounds=13 if thorough else 5, slot_s=0.02, pause_s=pause)


def _call_rows(options: argparse.Namespace) -> Iterator[Row]:
    """What calls cost besides their work, and what a compile for every shape saves."""
    from call_overhead import call_rows
    from shape_sweep import sweep_rows

    if is_wanted(options, "shapes"):
        _say("1,000 shapes")
        yield from sweep_rows(5 if options.quick else 50)
    if is_wanted(options, "call"):
        _say("calls")
        yield from call_rows(_effort(options, True))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
