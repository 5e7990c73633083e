"""The benchmarks' tables say what was measured, what is met, and what failed; nothing is timed here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def report() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    import report

    yield report
    sys.path.remove(str(BENCHMARKS))


def rows(report: ModuleType) -> list:
    peers = {"numpy": 4e-3, "torch": 1.5e-3, "TVM": 8e-3}
    target = report.Target(1.2, tvm_ratio=10, fraction=0.9)
    return [
        report.Row("softmax", 1e-3, 9e-4, peers, target, limit="FMA peak", fraction=0.95),
        report.Row(
            "conv", 0.0, None, {"torch": 2e-6}, report.Target(1.0), "NHWC", failures={"relaxdsl": "TypeError: no"}
        ),
        report.Row("import", 0.2, 0.1, target=report.Target(limit_s=0.3, fact=("1 compile", True))),
        report.Row("call", 2e-8, failures={"torch": "wrong: off by 1"}),
    ]


def test_a_table_shows_ratios_targets_and_failures(report: ModuleType) -> None:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.render(rows(report)).splitlines()]
    limit, verdict = "0.95 FMA peak", "≥ 1.2: met, ≥ 0.9 of limit: met, TVM ≥ 10: MISSED"
    assert lines[0] == [
        *("", "relaxdsl", "fastest", "numpy", "torch", "TVM", "best peer", "ratio", "of limit", "target"),
    ]
    assert lines[2:] == [
        ["softmax", "1 ms", "900 µs", "4.00×", "1.50×", "8.00×", "torch", "1.50×", limit, verdict],
        ["conv, NHWC", "fails", "", "", "2 µs", "", "", "", "", "a result: MISSED"],
        ["import", "200 ms", "100 ms", "", "", "", "", "", "", "1 compile: met, ≤ 300 ms: met"],
        ["call", "20 ns", "", "", "fails", "", "", "", "", ""],
    ]


def test_the_tally_names_what_is_missed(report: ModuleType) -> None:
    assert report.tally(rows(report)) == "4 of 6 targets met. Missed: softmax; conv, NHWC."
    assert report.tally(rows(report)[2:]) == "2 of 2 targets met."


def test_failures_are_listed_with_reasons(report: ModuleType) -> None:
    assert report.failures(rows(report)) == [
        "conv, NHWC: relaxdsl failed: TypeError: no",
        "call: torch failed: wrong: off by 1",
    ]


def test_a_row_survives_the_way_between_processes(report: ModuleType) -> None:
    for row in rows(report):
        assert report.row_of(json.loads(json.dumps(row.to_json()))) == row


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2e-8, "32 ns"), (1.5e-6, "1.5 µs"), (0.9994, "999 ms"), (2, "2 s"), (1234.5, "1234 s")]
)
def test_times_have_three_digits(report: ModuleType, seconds: float, text: str) -> None:
    assert report.show_time(seconds) == text
