"""What a fresh process pays before its first result, measured in processes of their own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from report import Row, Target, show_time

CHILD = Path(__file__).with_name("fresh_process.py")
PEERS = ("numpy", "jax.jit")
STEPS = (
    ("import_s", "fresh process: import", Target(limit_s=0.3)),
    ("first_s", "fresh process: import to digits MLP's first result", Target(limit_s=2)),
    ("chain_s", "fresh process: then a chain of 200 calls", Target(limit_s=1)),
)


def cold_start_rows(processes: int, cores: set[int]) -> tuple[list[Row], str]:
    """A row for each step, the median over processes that may use all ``cores``, and where relaxdsl's time goes.

    The first process of each library is not counted: it fills the file cache and writes the ``.pyc`` files.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("relaxdsl", *PEERS)}
    for _ in range(processes + 1):
        for name, found in runs.items():
            found.append(_run(name, cores))
    counted = {name: found[1:] for name, found in runs.items()}
    rows = [_row(step, name, target, counted) for step, name, target in STEPS]
    return rows, _where_time_goes(counted["relaxdsl"])


def _run(library: str, cores: set[int]) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, str(CHILD), library]
    unpin = (lambda: os.sched_setaffinity(0, cores)) if hasattr(os, "sched_setaffinity") else None
    found = subprocess.run(command, env=environment, preexec_fn=unpin, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{library} failed in a fresh process:\n{found.stderr}")
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def _row(step: str, name: str, target: Target, runs: dict[str, list[dict[str, Any]]]) -> Row:
    seconds = {library: [run[step] for run in found] for library, found in runs.items()}
    ours = seconds.pop("relaxdsl")
    peers = {library: statistics.median(each) for library, each in seconds.items()}
    return Row(name, statistics.median(ours), min(ours), peers, target)


def _where_time_goes(runs: list[dict[str, Any]]) -> str:
    """The parts of the compile times, as ``explain`` reports them, in the median process."""
    run = sorted(runs, key=lambda each: each["first_s"])[len(runs) // 2]
    parts = {name: _parts(seconds) for name, seconds in run["parts"].items()}
    return (
        "Fresh process, where relaxdsl's time goes (kernels, a part of lower, has numba's import and start-up in it, "
        "and scipy's import, since numba imports scipy where it is installed): "
        f"digits MLP: {parts['digits']}; chain: {parts['chain']}."
    )


def _parts(seconds: dict[str, float]) -> str:
    return ", ".join(f"{part} {show_time(each)}" for part, each in seconds.items())
