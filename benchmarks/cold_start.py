"""What a fresh process pays before its first result, measured in processes of their own."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from options import is_wanted
from report import Row, Target, show_time

CHILD = Path(__file__).with_name("fresh_process.py")
EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True, slots=True)
class Step:
    """A time that a fresh process prints: its name there, and the row it becomes."""

    name: str
    title: str
    limit_s: float


@dataclass(frozen=True, slots=True)
class Program:
    """What a fresh process runs, its steps, the libraries that have it, and whether it finds what another compiled."""

    name: str
    steps: tuple[Step, ...]
    peers: tuple[str, ...] = ()
    has_cache: bool = False


PROGRAMS = (
    Program(
        "digits",
        (
            Step("import_s", "fresh process: import", 0.3),
            Step("first_s", "fresh process: import to digits MLP's first result", 2),
            Step("chain_s", "fresh process: then a chain of 200 calls", 1),
        ),
        ("numpy", "jax.jit"),
    ),
    Program("block", (Step("first_s", "fresh process: import to transformer block's first result", 6),)),
    Program("encoder", (Step("first_s", "fresh process: import to 12-layer encoder's first result", 6),)),
    Program("digits", (Step("first_s", "second process: import to digits MLP's first result", 0.7),), has_cache=True),
    Program(
        "block", (Step("first_s", "second process: import to transformer block's first result", 1.2),), has_cache=True
    ),
)


def cold_start_rows(options: argparse.Namespace) -> tuple[dict[str, list[Row]], list[str]]:
    """A table with a row for each step, the median over processes, and a note of where relaxdsl's time goes.

    The first process of each library is not counted: it fills the file cache and writes the ``.pyc`` files, and for a
    program that has a cache, its entries.
    """
    wanted = [program for program in PROGRAMS if any(is_wanted(options, step.title) for step in program.steps)]
    runs = {program: _runs(program, 1 if options.quick else 5) for program in wanted}
    rows = [_row(step, found) for program, found in runs.items() for step in program.steps]
    cold = {program.name: found["relaxdsl"][0] for program, found in runs.items() if not program.has_cache}
    if "block" in cold and "encoder" in cold:
        rows.append(_kernels_row(cold["block"], cold["encoder"]))
    notes = [_where_time_goes(program, found["relaxdsl"]) for program, found in runs.items()]
    return ({"fresh processes": rows} if rows else {}), notes


def _kernels_row(block: dict[str, Any], encoder: dict[str, Any]) -> Row:
    """Whether twelve layers compile no more kernels than one; its time is numba's."""
    one, twelve = (found["parts"]["encoder"] for found in (block, encoder))
    counts = one["kernels_compiled"], twelve["kernels_compiled"]
    fact = f"{counts[1]} kernels, {counts[0]} for one layer", counts[1] <= counts[0]
    return Row(
        "fresh process: compiling 12-layer encoder's kernels", twelve["seconds"]["numba"], target=Target(fact=fact)
    )


def _runs(program: Program, processes: int) -> dict[str, list[dict[str, Any]]]:
    """What each counted process of each library printed."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("relaxdsl", *program.peers)}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(processes + 1):
            for library, found in runs.items():
                found.append(_run(library, program, cache))
    return {library: found[1:] for library, found in runs.items()}


def _run(library: str, program: Program, cache: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"RELAXDSL_CACHE": str(int(program.has_cache)), "RELAXDSL_CACHE_DIR": cache}
    environment["PYTHONPATH"] = os.pathsep.join((str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])))
    command = [sys.executable, str(CHILD), library, program.name]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{library} failed in a fresh process:\n{found.stderr}")
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def _row(step: Step, runs: dict[str, list[dict[str, Any]]]) -> Row:
    seconds = {library: [run[step.name] for run in found] for library, found in runs.items()}
    ours = seconds.pop("relaxdsl")
    peers = {library: statistics.median(each) for library, each in seconds.items()}
    return Row(step.title, statistics.median(ours), min(ours), peers, Target(limit_s=step.limit_s))


def _where_time_goes(program: Program, runs: Sequence[dict[str, Any]]) -> str:
    """The parts of the compile times, as ``explain`` reports them, in the median process."""
    run = sorted(runs, key=lambda each: each["first_s"])[len(runs) // 2]
    parts = "; ".join(f"{name}: {_parts(each)}" for name, each in run["parts"].items())
    which = "Second" if program.has_cache else "Fresh"
    return f"{which} process, {program.name}, where relaxdsl's time goes: {parts}."


def _parts(found: dict[str, Any]) -> str:
    times = (f"{part} {show_time(seconds)}" for part, seconds in found["seconds"].items())
    return f"{', '.join(times)}, {found['kernels_compiled']} kernels compiled"
