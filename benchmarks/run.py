"""All benchmarks: checks every contender's results, times them side by side, prints the tables.

`make bench` runs it in an environment of its own; TVM, if it is installed, has another. `--quick` measures briefly,
`--only attention,conv` a few rows, `--save` everything and what memory is planned, and writes it to `results/`, a file
for each family of processors, with a plot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import machine
from cold_start import cold_start_rows
from options import add_options, passed_on
from report import LEGEND, Row, failures, render, row_of, tally
from saved import save

HERE = Path(__file__).parent
TVM_PYTHON = HERE.parent / ".venv-tvm" / "bin" / "python"
Tables = dict[str, list[Row]]
NOTES = (
    "NumPy has no erf: its gelu uses scipy's.",
    "A peer with several ways to do it counts with its best: torch with weights as relaxdsl has them and as "
    "`torch.nn.Linear` has them, in convolutions with channels first and last; jax with its attention operator and "
    "with plain products, in convolutions with both layouts. Each gets arrays in the layout that suits it.",
    "torch.compile has `dynamic=True`; where weights are bound it may pack them (`freezing`).",
    "TVM is Relax's CPU pipeline with fusion, untuned, on static shapes, measured right after the others.",
    "jax.jit ran only the first 50 shapes of the sweep; its times are extrapolated.",
)


def main() -> None:
    options = _options()
    description = machine.describe()
    print(description, LEGEND, sep="\n\n", flush=True)
    tables: Tables = {}
    curves: Tables = {}
    for threads in options.threads:
        found, drawn = _measured(options, threads)
        _show(found)
        tables |= found
        curves |= drawn
    fresh, parts = cold_start_rows(options)
    _show(fresh)
    tables |= fresh
    everything = [row for rows in tables.values() for row in rows]
    print("\n".join((tally(everything), *failures(everything), *parts)))
    if options.save:
        memory = _printed([sys.executable, str(HERE / "families" / "memory.py")])
        print(memory)
        save(description, tables, curves, memory, (*NOTES, *parts))
    if any("relaxdsl" in row.failures for row in everything):
        raise SystemExit("relaxdsl failed on a workload")


def _measured(options: argparse.Namespace, threads: int) -> tuple[Tables, Tables]:
    """The tables of one number of threads, with TVM's times in the rows of float32; and the curves."""
    words = "one thread" if threads == 1 else f"{threads} threads"
    tables: Tables = {}
    for line in _output(sys.executable, "measure.py", options, threads).splitlines():
        found = json.loads(line)
        tables.setdefault(f"{found['table']}, {words}", []).append(row_of(found["row"]))
    float32 = f"float32, {words}"
    if float32 in tables and TVM_PYTHON.exists():
        seconds = json.loads(_output(str(TVM_PYTHON), "tvm_peer.py", options, threads))
        tables[float32] = [_with_tvm(row, seconds) for row in tables[float32]]
    curves = {title: tables.pop(title) for title in list(tables) if " of " in title}
    return tables, curves


def _with_tvm(row: Row, seconds: dict[str, float]) -> Row:
    return row.with_peer("TVM", seconds[row.workload]) if row.workload in seconds else row


def _output(python: str, script: str, options: argparse.Namespace, threads: int) -> str:
    """What a script of this folder prints for some threads and options."""
    return _printed([python, str(HERE / script), "--threads", str(threads), *passed_on(options)])


def _printed(command: Sequence[str]) -> str:
    """What a command prints, in a process of its own that can import the examples."""
    paths = [str(HERE.parent / "examples"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{Path(command[1]).name} failed")
    return found.stdout


def _show(tables: Tables) -> None:
    for title, rows in tables.items():
        print(f"\n## {title}\n\n{render(rows)}\n", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    both = sorted({1, len(machine.usable_cores())})
    parser.add_argument("--threads", type=_counts, default=both, help="default: 1 and the machine's cores")
    parser.add_argument("--save", action="store_true", help="write results/ and the plot; with torch.compile")
    add_options(parser)
    options = parser.parse_args()
    options.torch_compile |= options.save
    options.curves |= options.save
    return options


def _counts(text: str) -> Sequence[int]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()
