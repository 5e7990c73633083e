"""What the tests of saved programs share: a process that has compiled nothing, and files that are made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.kernels import disk, fingerprint, jit
from relaxdsl.saved.file import SavedFile, from_bytes, to_bytes
from relaxdsl.saved.program import Kind, SavedProgram

n, k = relax.dims("n k")


@relax.function
def scores(x: relax.Tensor[(n, 3), "float32"], w: relax.Tensor[(3, k), "float32"]):
    """The scores of rows."""
    return relax.nn.softmax(x @ w, axis=1)


X, W = np.arange(6, dtype="float32").reshape(2, 3), np.ones((3, 4), "float32")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A process that has compiled nothing, of a user of its own, without a cache."""
    monkeypatch.setenv("RELAXDSL_CACHE", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(fingerprint, "LOADED_AT_S", float("inf"))  # whoever edits relaxdsl while this runs
    monkeypatch.setattr(jit, "_compiled", {})
    monkeypatch.setattr(disk, "_used", {})
    monkeypatch.setattr(disk, "_brought", {})
    fingerprint.fingerprint.cache_clear()
    yield tmp_path
    fingerprint.fingerprint.cache_clear()


def forget() -> None:
    """What this process has compiled is as if it had not been."""
    jit._compiled.clear()
    disk._used.clear()
    fingerprint.fingerprint.cache_clear()


def file_with(text: str, path: Path, kind: Kind = "function", name: str = "f") -> Path:
    """A file that holds this text, whatever it is."""
    path.write_bytes(to_bytes(SavedFile(SavedProgram(kind, name, text))))
    return path


def saved_in(path: Path) -> SavedFile:
    return from_bytes(path.read_bytes(), path.name)


def message_of(path: Path, **options: Any) -> str:
    """The message with which loading the file fails."""
    with pytest.raises(relax.ArgumentError) as error:
        relax.load(path, **options)
    return str(error.value)
