"""The documents are true: their Python runs and prints what stands below it, and the files they name are there.

A document's Python blocks run in order, as one program in a process of its own. The ``text`` block right below one is
what it prints (``...`` stands for anything), or the error it ends with. ``RELAXDSL_UPDATE_DOCS=1`` writes what it
prints now; read the difference before you commit it.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from relaxdsl import tir
from relaxdsl.operators.registry import all_operators
from tests.operators_page import operators_page

ROOT = Path(__file__).parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# ------------------------------------------------------------------------------------------------- Python in documents


@dataclass(frozen=True, slots=True)
class Block:
    """A Python block: its first line's number (from 1), its text, and what the document says it prints."""

    line: int
    text: str
    output: str


FENCED = re.compile(r"^```python\n(?P<text>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def python_blocks(document: str) -> list[Block]:
    return [
        Block(document.count("\n", 0, match.start("text")) + 1, match["text"], match["output"] or "")
        for match in FENCED.finditer(document)
    ]


# Runs the blocks of argv[1] and prints what each of them printed, as JSON. Only the standard library is imported
# before them, as in a user's process.
RUN_BLOCKS = """
import contextlib, io, json, sys

path = sys.argv[1]
namespace, outputs = {"__name__": "__main__", "__file__": path}, []
for line, text in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(compile("\\n" * (line - 1) + text, path, "exec"), namespace)
        except namespace["relax"].RelaxError as error:
            print(f"{type(error).__name__}: {error}")
    outputs.append(printed.getvalue())
print(json.dumps(outputs))
"""


def run_blocks(blocks: list[Block], path: Path) -> list[str]:
    """What each block prints. ``path`` becomes a file with only the blocks in it, on the lines they have."""
    lines = [""] * max(block.line + block.text.count("\n") for block in blocks)
    for block in blocks:
        own = block.text.splitlines()
        lines[block.line - 1 : block.line - 1 + len(own)] = own
    path.write_text("\n".join(lines) + "\n")
    program = json.dumps([(block.line, block.text) for block in blocks])
    command = [sys.executable, "-c", RUN_BLOCKS, str(path), program]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, env=environment)
    assert result.returncode == 0, result.stderr
    outputs: list[str] = json.loads(result.stdout)
    return outputs


PAGES = ("te", "architecture", "calls", "kernels", "memory", "profiling", "saving", "schedules")
RUN = ("README.md", *(f"docs/{name}.md" for name in PAGES))


@pytest.mark.parametrize("document", RUN)
def test_the_python_in_a_document_prints_what_it_says(document: str, tmp_path: Path) -> None:
    path = ROOT / document
    blocks = python_blocks(path.read_text())
    outputs = run_blocks(blocks, tmp_path / path.name)
    if os.environ.get("RELAXDSL_UPDATE_DOCS"):
        write_outputs(path, outputs)
    for block, printed in zip(python_blocks(path.read_text()), outputs, strict=True):
        message = f"{document}:{block.line}: prints\n{printed}\nthe document says\n{block.output}"
        assert agrees(block.output, printed), message


def agrees(output: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(output, printed, doctest.ELLIPSIS)


def write_outputs(path: Path, outputs: list[str]) -> None:
    """Puts what the blocks print into the document, where it says something else; times are not kept."""
    remaining = iter(outputs)

    def with_output(match: re.Match[str]) -> str:
        printed = next(remaining)
        if agrees(match["output"] or "", printed):
            return match[0]
        printed = re.sub(r"^compile time: .*", "compile time: ...", printed, flags=re.MULTILINE)
        return f"```python\n{match['text']}```\n" + (f"\n```text\n{printed}```\n" if printed else "")

    path.write_text(FENCED.sub(with_output, path.read_text()))


# -------------------------------------------------------------------------------------------------- files in documents

HEADING = re.compile(r"^### `(?P<folder>[\w/]+/)`", re.MULTILINE)
ENTRY = re.compile(r"^- `(?P<name>[\w.*/]+)`", re.MULTILINE)


def listed_files() -> set[str]:
    """The files that the architecture page lists, by their folders' headings."""
    _, *sections = re.split(r"^(?=### `)", ARCHITECTURE.read_text(), flags=re.MULTILINE)
    found = set()
    for section in sections:
        heading = HEADING.match(section)
        assert heading is not None, section.splitlines()[0]
        entries = re.split(r"^## ", section, flags=re.MULTILINE)[0]
        found |= {heading["folder"] + name for name in ENTRY.findall(entries)}
    return found


def test_the_architecture_page_lists_every_module() -> None:
    package = ROOT / "relaxdsl"
    modules = {str(path.relative_to(ROOT)) for path in package.rglob("*.py") if path.stat().st_size > 1}
    packages = {name for name in modules if name.endswith("/__init__.py") and name != "relaxdsl/__init__.py"}
    missing = sorted(modules - packages - listed_files())
    assert not missing, f"docs/architecture.md: a sentence is missing for {', '.join(missing)}"


def test_the_architecture_page_lists_only_what_exists() -> None:
    gone = sorted(name for name in listed_files() if not (ROOT / name).exists())
    assert not gone, f"docs/architecture.md: there is no {', '.join(gone)}"


DOCUMENTS = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))


def test_files_that_the_text_names_exist() -> None:
    for path in DOCUMENTS:
        for name in re.findall(r"`(\w+/[\w/]*(?:\.py)?)`", path.read_text()):
            assert (ROOT / name).exists() or (ROOT / "relaxdsl" / name).exists(), f"{path.name}: {name}"


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_layer_table_is_the_one_that_is_enforced() -> None:
    from tests.test_layers import LAYERS

    rows = re.findall(r"^\| (\d+) \| (.*?) \|", ARCHITECTURE.read_text(), re.MULTILINE)
    listed = {name.rstrip("/"): int(layer) for layer, names in rows for name in re.findall(r"`([\w/]+)`", names)}
    assert listed == LAYERS


# ----------------------------------------------------------------------------------------------- the words of kernels


def test_the_page_of_kernels_lists_every_word_of_theirs() -> None:
    _, _, section = (ROOT / "docs" / "kernels.md").read_text().partition("## The words of `T`\n")
    listed = re.findall(r"`(\w+)`", section.partition("| for | words |")[2])
    assert sorted(listed) == sorted(tir.__all__)
    for name, other in re.findall(r"`(\w+)` = `(\w+)`", section):
        assert getattr(tir, name) is getattr(tir, other), f"{name} is not {other}"


# ----------------------------------------------------------------------------------------------------- the operators


def test_the_page_of_operators_is_what_the_registry_says() -> None:
    path, page = ROOT / "docs" / "operators.md", operators_page()
    if os.environ.get("RELAXDSL_UPDATE_DOCS"):
        path.write_text(page)
    assert path.read_text() == page
    listed = set(re.findall(r"^\| `([\w.]+)\(", page, re.MULTILINE))
    assert listed == {operator.name for operator in all_operators() if not operator.name.startswith("docs.")}
