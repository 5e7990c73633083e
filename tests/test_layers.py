"""The layer table of docs/architecture.md: a module imports only from layers below its own, and only at its top."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "relaxdsl"

LAYERS = {
    "dataclass": 0,
    "errors": 0,
    "locks": 0,
    "tracebacks": 1,
    "user_lines": 1,
    "cache": 2,
    "types": 2,
    "ir": 3,
    "kernels": 4,
    "runtime": 5,
    "operators": 6,
    "trace": 7,
    "tir": 7,
    "script": 8,
    "passes": 8,
    "display": 9,
    "saved": 9,
    "kernel_function": 10,
    "api": 11,
    "nn": 11,
    "loading": 12,
    "memory": 11,
    "builtin": 11,
    "__main__": 11,
    "__init__": 11,
}
# operators may not import the runtime, though it is below them; script and passes do not know each other.
FORBIDDEN = {("operators", "runtime"), ("script", "passes"), ("passes", "script")}
# Imported where they are used, since importing them costs more than the rest of the package.
LAZY = {"numba", "llvmlite", "sympy", "scipy", "IPython", "pygments"}
# Of our own rooms, imported when something is first compiled or saved, for the sake of `import relaxdsl`.
LATE = {
    "api": ("relaxdsl.passes.", "relaxdsl.runtime.executable", "relaxdsl.saved."),
    "kernel_function": ("relaxdsl.passes.", "relaxdsl.saved."),
    "loading": ("relaxdsl.saved.",),
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
MODULE_NAMES = {".".join(("relaxdsl", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in MODULE_NAMES or node.module == "relaxdsl" else node.module), node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_lower_layers(path: Path) -> None:
    room = room_of(path)
    for name, line in imports(ast.parse(path.read_text())):
        assert not name.startswith("."), f"{path.name}:{line}: imports are absolute"
        if not name.startswith("relaxdsl."):
            continue
        other = name.split(".")[1]
        is_own = other == room
        is_lower = LAYERS[other] < LAYERS[room] or room == "__init__"
        assert is_own or is_lower, f"{path.name}:{line}: {room} imports {other}"
        assert (room, other) not in FORBIDDEN, f"{path.name}:{line}: {room} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_inside_functions_are_for_cost_only(path: Path) -> None:
    """Inside a function: only a costly package, or one of our own modules that imports one at its top."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for name, line in imports(function):
                package = name.split(".")[0]
                costly = package in LAZY or name in costly_modules() or package in sys.stdlib_module_names
                costly = costly or name.startswith(LATE.get(room_of(path), ()))
                assert costly, f"{path.name}:{line}: import {name} at the top"


def costly_modules() -> set[str]:
    """Our modules that may be imported late: numba or sympy stands at the top of what they import."""
    if not _COSTLY:
        top = {name: [other for other, _ in top_imports(path)] for name, path in MODULE_NAMES.items()}
        grew = True
        while grew:
            new = {
                name
                for name, others in top.items()
                if name not in _COSTLY and any(other.split(".")[0] in LAZY or other in _COSTLY for other in others)
            }
            _COSTLY.update(new)
            grew = bool(new)
    return _COSTLY


_COSTLY: set[str] = set()


def top_imports(path: Path) -> Iterator[tuple[str, int]]:
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from imports(statement)


def test_importing_the_package_is_cheap() -> None:
    """``import relaxdsl`` imports neither numba nor sympy."""
    code = f"import sys, relaxdsl; print([name for name in {sorted(LAZY)!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_dataclasses_are_our_own(path: Path) -> None:
    """The standard library's take ten times as long to make. (``errors`` is below ``relaxdsl.dataclass``.)"""
    statements = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom))
    taken = [alias.name for node in statements if node.module == "dataclasses" for alias in node.names]
    assert "dataclass" not in taken or path.name == "errors.py", f"{path.name}: take dataclass from relaxdsl.dataclass"
