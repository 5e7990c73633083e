"""All benchmarks: checks every contender's results, times them side by side, prints one table.

`make bench` runs it in an environment of its own. `--quick` measures briefly, `--save` writes RESULTS.md.
"""

from __future__ import annotations

import argparse

import machine
from report import LEGEND, Row, render, save
from timing import Effort, time_calls


def main() -> None:
    options = _options()
    cores = machine.usable_cores()
    machine.limit_threads(options.threads)
    description = machine.describe(len(cores), options.threads)
    rows, notes = measure(options, cores)
    print("\n\n".join((description, LEGEND, render(rows), "\n".join(notes))))
    if options.save:
        save(description, rows, notes)


def measure(options: argparse.Namespace, cores: set[int]) -> tuple[list[Row], list[str]]:
    """Every benchmark's rows, and the notes below the table."""
    # Imported here: the libraries in them read the limit on threads when they are imported.
    from call_overhead import call_rows
    from cold_start import cold_start_rows
    from contenders import set_up_peers
    from shape_sweep import sweep_rows

    effort = Effort(rounds=3, slot_s=0.005) if options.quick else Effort(rounds=21, slot_s=0.04)
    set_up_peers(options.threads)
    cold_rows, time_note = cold_start_rows(1 if options.quick else 7, cores)
    swept_rows, sweep_note = sweep_rows(5 if options.quick else 50)
    rows = [*_workload_rows(effort, options.torch_compile), *swept_rows, *cold_rows, *call_rows(effort)]
    return rows, ["NumPy has no erf: its gelu uses scipy's.", sweep_note, time_note]


def _workload_rows(effort: Effort, with_torch_compile: bool) -> list[Row]:
    from contenders import arrays_of, check, contenders
    from workloads import WORKLOADS

    rows = []
    for workload in WORKLOADS:
        arrays = arrays_of(workload.shapes)
        calls = contenders(workload, arrays, with_torch_compile)
        check(workload, calls, arrays)
        times = time_calls(calls, effort)
        ours = times.pop("relaxdsl")
        peers = {peer: each.median_s for peer, each in times.items()}
        rows.append(Row(workload.name, ours.median_s, ours.fastest_s, peers, workload.target))
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="threads of each library (default 1)")
    parser.add_argument("--quick", action="store_true", help="a few short rounds: shows that everything runs, no more")
    parser.add_argument("--save", action="store_true", help="write benchmarks/RESULTS.md")
    parser.add_argument("--torch-compile", action="store_true", help="also torch.compile, with dynamic shapes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
