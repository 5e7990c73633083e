"""The commands in docs/cache.md print what stands below them."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from relaxdsl.__main__ import main
from relaxdsl.cache.folder import Folder
from relaxdsl.cache.store import Cache

PAGE = Path(__file__).parents[2] / "docs" / "cache.md"
COMMAND = re.compile(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ |```).*\n)*)", re.MULTILINE)


def test_the_commands_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RELAXDSL_CACHE", "RELAXDSL_CACHE_DIR", "RELAXDSL_CACHE_LIMIT_MIB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for key in ("one", "two"):
        Cache([Folder(tmp_path / "relaxdsl")], 1 << 30).write(key, {"code": bytes(6_200)})
    found = list(COMMAND.finditer(PAGE.read_text()))
    assert len(found) == 5
    for each in found:
        with monkeypatch.context() as settings:
            *variables, program, room, command = shlex.split(each["command"])
            for variable in variables:
                settings.setenv(*variable.split("="))
            assert program == "relaxdsl"
            assert main([room, command]) == 0
        printed = capsys.readouterr().out
        assert doctest.OutputChecker().check_output(each["output"], printed, doctest.ELLIPSIS), printed
