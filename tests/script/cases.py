"""Programs in text files: a source, a line of ``=``, and what must come out: the typed script, or the whole message.

``RELAXDSL_UPDATE_CASES=1`` writes what comes out now; read the difference before you commit it.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.script.parse import ParsedProgram, parse_function

SEPARATOR = "\n" + "=" * 60 + "\n"
HERE = Path(__file__).parent


class Program:
    """What ``@program`` in a case makes: the parsed function, which other programs can call."""

    def __init__(self, parsed: ParsedProgram) -> None:
        self.parsed = parsed
        self.ir = parsed.function
        self.module = parsed.module


def program(function: FunctionType | None = None, **options: Any) -> Any:
    """The decorator of the cases: parses as ``@relax.function`` does."""
    if function is None:
        return lambda each: Program(parse_function(each, **options))
    return Program(parse_function(function))


def run_source(source: str, file: str = "model.py") -> dict[str, Any]:
    """The names that a case's source defines."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    m, n = relax.dims("m n")
    names: dict[str, Any] = {"relax": relax, "np": np, "program": program, "m": m, "n": n}
    # What the source itself imports from __future__ counts, not what this file does.
    exec(compile(source, file, "exec", dont_inherit=True), names)
    return names


def last_program(names: dict[str, Any]) -> ParsedProgram:
    """The last program that a source defines."""
    return [value for value in names.values() if isinstance(value, Program)][-1].parsed


def case_files(folder: str) -> list[Any]:
    """The cases of a folder as pytest parameters."""
    return [pytest.param(path, id=path.stem) for path in sorted((HERE / folder).glob("*.txt"))]


def check_case(path: Path, outcome: Callable[[str], str]) -> None:
    """Compares what comes out of the case with what it says."""
    source, _, expected = path.read_text().partition(SEPARATOR)
    actual = outcome(source)
    if os.environ.get("RELAXDSL_UPDATE_CASES"):
        path.write_text(source.rstrip("\n") + SEPARATOR + actual + "\n")
    else:
        assert actual == expected.rstrip("\n")
