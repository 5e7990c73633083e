"""`relaxdsl cache …`: what its user reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relaxdsl.__main__ import main
from relaxdsl.cache.folder import Folder
from relaxdsl.cache.store import Cache


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Folder:
    """The only folder there is, with two entries in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("RELAXDSL_CACHE_DIR", str(tmp_path / "mine"))
    for name in ("RELAXDSL_CACHE", "RELAXDSL_CACHE_LIMIT_MIB"):
        monkeypatch.delenv(name, raising=False)
    mine = Folder(tmp_path / "mine")
    for key, size_bytes in (("small", 10), ("large", 2 << 20)):
        Cache([mine], 1 << 30).write(key, {"code": bytes(size_bytes)})
    return mine


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cache", *arguments]) == 0
    return capsys.readouterr().out


def test_info(folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "info").splitlines() == [
        f"* {tmp_path}/mine (RELAXDSL_CACHE_DIR): 2 entries, 2.0 MiB",
        f"  {tmp_path}/user/relaxdsl (the user's caches): 0 entries, 0.0 KiB",
        f"  {tmp_path}/temporary/relaxdsl-{os.getuid()} (temporary files): 0 entries, 0.0 KiB",
        "limit: 512 MiB (RELAXDSL_CACHE_LIMIT_MIB); what was not used for longest goes first",
        "another folder: RELAXDSL_CACHE_DIR; no cache: RELAXDSL_CACHE=0",
    ]


def test_info_when_it_is_off(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELAXDSL_CACHE", "0")
    first, second = output(capsys, "info").splitlines()[:2]
    assert first == "the cache is off: RELAXDSL_CACHE is 0"
    assert second == f"  {folder.path} (RELAXDSL_CACHE_DIR): 2 entries, 2.0 MiB"
    assert output(capsys, "path") == "none\n"


def test_info_where_no_folder_can_be_written(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Folder, "prepare", lambda folder: False)
    assert output(capsys, "info").splitlines()[0] == "there is no cache: no folder can be written"


def test_path(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "path") == f"{folder.path}\n"


def test_clear_removes_entries_and_nothing_else(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.path / "notes.txt").write_text("mine")
    assert output(capsys, "clear") == f"{folder.path}: 2 entries removed\n"
    assert [each.name for each in folder.path.iterdir()] == ["notes.txt"]
    assert output(capsys, "clear") == "the cache was empty\n"


def test_clear_leaves_other_folders_alone(folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = Folder(tmp_path / "user" / "relaxdsl")
    Cache([users], 1 << 30).write("other", {"code": b"1"})
    assert output(capsys, "clear") == f"{folder.path}: 2 entries removed\n"
    assert len(users.entries()) == 1
    Cache([folder], 1 << 30).write("again", {"code": b"1"})
    assert output(capsys, "clear", "--all").splitlines() == [
        f"{folder.path}: 1 entry removed",
        f"{users.path}: 1 entry removed",
    ]
    assert output(capsys, "clear", "--all") == "the cache was empty\n"


def test_help_says_what_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cache", "clear", "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "Removes the entries of the folder that new ones go to, and says how many; of all folders with --all." in text
    )
    assert "--all in all folders of cache info" in text


def test_clear_says_what_it_could_not_remove(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    assert output(capsys, "clear") == f"{folder.path}: 0 entries removed, 2 could not be removed\n"


def test_a_variable_that_means_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELAXDSL_CACHE", "off")
    assert main(["cache", "info"]) == 1
    assert capsys.readouterr().err == "RELAXDSL_CACHE: expected 0 or 1, got 'off'\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_cannot_be_written() -> None:
    for command in ([sys.executable], [sys.executable, "-u"]):
        with open("/dev/full", "w") as full:
            found = subprocess.run(
                [*command, "-m", "relaxdsl", "cache", "path"], stdout=full, stderr=subprocess.PIPE, text=True
            )
        expected = "relaxdsl: cannot write the output: No space left on device\n"
        assert (found.returncode, found.stderr) == (1, expected)


def test_output_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        found = subprocess.run(
            [sys.executable, "-m", "relaxdsl", "cache", "path"], stdout=pipe, stderr=subprocess.PIPE, text=True
        )
    assert (found.returncode, found.stderr) == (1, "")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cache", "burn"])
    expected = "relaxdsl cache: error: argument info|clear|path: invalid choice: 'burn'"
    assert capsys.readouterr().err.splitlines()[-1].startswith(expected)
