"""The notebooks run from top to bottom, and show what they print now.

``RELAXDSL_UPDATE_DOCS=1`` writes what comes out now; read the difference before you commit it. Highlighted programs are
compared by their text, and times not at all.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.kernels.create import create_prim_func

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


class OwnKernelManager(AsyncKernelManager):  # type: ignore[misc]
    """Kernels of the interpreter that runs the tests, whatever kernels are installed."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_what_it_prints(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    shown = [shown_text(cell) for cell in notebook.cells]
    run(notebook, path.parent)
    printed = [shown_text(cell) for cell in notebook.cells]
    if os.environ.get("RELAXDSL_UPDATE_DOCS") and printed != shown:
        nbformat.write(without_accidents(notebook), path)
    else:
        assert printed == shown


def run(notebook: Any, folder: Path) -> None:
    """Executes all cells; those that are tagged ``raises-exception`` may end with an error."""
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_manager_class=OwnKernelManager, timeout=120, resources=place).execute()


def shown_text(cell: Any) -> str:
    """What stands below a cell as text, without times and colours. (What is printed may come in several parts.)"""
    text = "".join(text_of(output) for output in cell.get("outputs", []))
    return re.sub(r"\d+\.\d+ s\b|\x1b\[[\d;]*m", "", text)


def text_of(output: Any) -> str:
    match output["output_type"]:
        case "stream":
            return str(output["text"])
        case "error":
            return "\n".join(output["traceback"])
        case _:
            return str(output["data"]["text/plain"])


def without_accidents(notebook: Any) -> Any:
    """The notebook without what differs from run to run: when cells ran, which Python ran them."""
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


n = relax.dims("n")


def read_a_function() -> None:
    @relax.function
    def after(x: relax.Tensor[(n,), "float32"]):
        return x @ "weights"


def read_a_kernel() -> None:
    @relax.prim_func
    def after(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = x[i + 1]


def schedule_a_kernel() -> None:
    x = te.placeholder((n,), "float32", name="x")
    sch = relax.Schedule(create_prim_func([x], [te.compute((n,), lambda i: x[i] * 2.0, name="y")], "double"))
    sch.reorder(*sch.get_loops("y"))


def replay_a_trace() -> None:
    relax.Trace.from_json("[]")


def compute_a_tensor() -> None:
    te.compute((n,), lambda i: "x")


def emit_a_tensor() -> None:
    @relax.function
    def after(x: relax.Tensor[(n,), "float32"]):
        return relax.emit_te(lambda x: te.compute((n,), lambda i: x[i + 1]), x)


@pytest.mark.parametrize(
    "step",
    [read_a_function, read_a_kernel, schedule_a_kernel, replay_a_trace, compute_a_tensor, emit_a_tensor],
)
def test_a_notebook_shows_no_lines_but_the_users(step: Callable[[], None]) -> None:
    with pytest.raises(relax.RelaxError) as raised:
        step()
    *places, blank, message = raised.value._render_traceback_()
    assert len(places) == 2  # in the test, and in the step
    assert all(place.startswith("test_notebooks.py:") for place in places)
    assert (blank, message) == ("", f"{type(raised.value).__name__}: {raised.value}")


def test_a_folder_beside_the_package_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may begin as that of the package does."""
    monkeypatch.setattr(relax, "__file__", f"{str(Path(__file__).parent)[:-1]}/__init__.py")
    with pytest.raises(relax.RelaxError) as raised:
        replay_a_trace()
    assert any(place.startswith("test_notebooks.py:") for place in raised.value._render_traceback_())


def test_a_notebook_shows_all_lines_of_a_defect() -> None:
    """An InternalError is about our lines, so they are shown."""
    with pytest.raises(relax.InternalError) as raised:
        raise relax.InternalError("two stages disagree")
    shown = raised.value._render_traceback_()
    assert shown[0] == "Traceback (most recent call last):"
    assert shown[-1] == "relaxdsl.errors.InternalError: two stages disagree"
