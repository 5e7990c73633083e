"""Processes that share a cache: two at once, and one after them that compiles nothing."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, sys
import numpy as np
import relaxdsl as relax

n = relax.dims("n")

@relax.function
def scores(x: relax.Tensor[(n, 3), "float32"], w: relax.Tensor[(3, 4), "float32"]):
    return relax.nn.softmax(relax.tanh(x @ w), axis=1)

x, w = np.arange(6, dtype="float32").reshape(2, 3), np.ones((3, 4), "float32")
result = scores(x, w).tolist()
explained = scores.explain()
print(json.dumps({
    "result": result,
    "compiled": explained.kernels_compiled,
    "loaded": explained.kernels_loaded,
    "numba": "numba" in sys.modules,
}))
"""

USERS_NUMBA = """
import numba

@numba.njit
def sums(rows):
    found = {0: np.abs(np.zeros(1) + 1j)}
    for row in rows:
        found[len(found)] = row + np.sum(row)
    return [each[0] for each in found.values()]

print(json.dumps({"sums": sums(np.ones((1, 3)))}))
"""


def start(program: Path, cache: Path, folder: Path, **environment: str) -> subprocess.Popen[str]:
    settings = os.environ | {"RELAXDSL_CACHE": "1", "RELAXDSL_CACHE_DIR": str(cache)} | environment
    folder.mkdir()
    return run_in(folder, settings, str(program))


def run_in(folder: Path, environment: dict[str, str], *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
        preexec_fn=obey_permissions if os.name == "posix" else None,
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(output)
    return found


def test_two_processes_compile_at_once_and_a_third_loads(tmp_path: Path) -> None:
    """From other folders, and without a home; the third imports no numba."""
    program, cache = tmp_path / "program.py", tmp_path / "cache"
    program.write_text(PROGRAM)
    both = [start(program, cache, tmp_path / name) for name in ("one", "two")]
    first, second = map(outcome, both)
    os.utime(program, (0, 0))
    third = outcome(start(program, cache, tmp_path / "three", HOME=str(tmp_path / "no home")))
    assert first["compiled"] + first["loaded"] == second["compiled"] + second["loaded"] > 0
    assert (third["compiled"], third["loaded"], third["numba"]) == (0, first["compiled"] + first["loaded"], False)
    assert first["result"] == second["result"] == third["result"]


def test_numba_functions_of_the_user_find_everything_after_a_kernel(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.partition("explained =")[0] + USERS_NUMBA)
    assert outcome(start(program, tmp_path / "cache", tmp_path / "here", RELAXDSL_CACHE="0")) == {"sums": [1.0, 4.0]}


def obey_permissions() -> None:
    """In a child that starts a program: to root, too, a folder that is read-only is read-only from here on."""
    drop_from_bounding_set, override_access = 24, 1
    if os.geteuid() == 0 and sys.platform == "linux":
        ctypes.CDLL(None).prctl(drop_from_bounding_set, override_access, 0, 0, 0)


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions")
def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    home, temporary, program = (tmp_path / name for name in ("home", "temporary", "program.py"))
    program.write_text(PROGRAM)
    temporary.mkdir()
    home.mkdir()
    home.chmod(0o555)
    hidden = ("RELAXDSL_CACHE", "RELAXDSL_CACHE_DIR", "XDG_CACHE_HOME")
    settings = {name: value for name, value in os.environ.items() if name not in hidden}
    settings |= {"HOME": str(home), "TMPDIR": str(temporary)}
    refused = run_in(tmp_path, settings, "-c", "import os; os.mkdir(os.path.expanduser('~/new'))")
    assert "PermissionError" in refused.communicate()[1]
    first, second = (outcome(run_in(tmp_path, settings, str(program))) for _ in range(2))
    assert first["compiled"] > 0
    assert (second["compiled"], second["loaded"]) == (0, first["compiled"] + first["loaded"])
    assert first["result"] == second["result"]
    assert not list(home.iterdir())
    assert [path.name.partition("-")[0] for path in temporary.iterdir()] == ["relaxdsl"]
