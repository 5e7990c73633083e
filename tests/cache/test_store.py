"""The cache on the disk: every way that such caches fail."""

from __future__ import annotations

import errno
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaxdsl.cache.folder import SUFFIX, Folder
from relaxdsl.cache.places import places
from relaxdsl.cache.store import Cache, process_cache
from relaxdsl.errors import ArgumentError

LIMIT_BYTES = 1 << 20
PARTS = {"code": b"machine code"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache([Folder(tmp_path / "first"), Folder(tmp_path / "second")], LIMIT_BYTES)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A home and a folder for temporary files, and nothing said about the cache."""
    for name in ("RELAXDSL_CACHE", "RELAXDSL_CACHE_DIR", "RELAXDSL_CACHE_LIMIT_MIB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return monkeypatch


def only_file(path: Path) -> Path:
    (found,) = path.rglob(f"*{SUFFIX}")
    return found


# ------------------------------------------------------------------------------------------------------- what it keeps


def test_what_is_written_is_read_by_another_process(cache: Cache, tmp_path: Path) -> None:
    assert cache.write("key", PARTS)
    assert cache.read("key") == PARTS
    assert Cache([Folder(tmp_path / "first")], LIMIT_BYTES).read("key") == PARTS
    assert cache.read("other") is None


def test_neither_the_working_directory_nor_file_times_count(cache: Cache, tmp_path: Path, environment: Any) -> None:
    cache.write("key", PARTS)
    os.utime(only_file(tmp_path / "first"), (0, 0))
    (tmp_path / "elsewhere").mkdir()
    environment.chdir(tmp_path / "elsewhere")
    assert cache.read("key") == PARTS


def test_a_relative_folder_is_that_of_the_first_working_directory(tmp_path: Path, environment: Any) -> None:
    environment.setenv("RELAXDSL_CACHE_DIR", "kept")
    environment.chdir(tmp_path)
    assert places()[0].folder.path == tmp_path / "kept"


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"", lambda data: data[:-1] + b"?"])
def test_a_truncated_or_corrupted_entry_is_a_miss_and_goes(cache: Cache, tmp_path: Path, damage: Any) -> None:
    cache.write("key", PARTS)
    file = only_file(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert cache.read("key") is None
    assert not file.exists()
    assert cache.write("key", PARTS)
    assert cache.read("key") == PARTS


def test_an_entry_under_another_name_is_a_miss(cache: Cache, tmp_path: Path) -> None:
    cache.write("key", PARTS)
    only_file(tmp_path).rename(tmp_path / "first" / f"other{SUFFIX}")
    assert cache.read("other") is None


def _write_often(path: Path, own: bytes) -> None:
    cache = Cache([Folder(path)], LIMIT_BYTES)
    for _ in range(200):
        cache.write("key", {"code": own * 10_000})


def test_two_processes_write_the_same_entry_at_once(tmp_path: Path) -> None:
    """A reader finds one or the other, never a part of one."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_often, args=(tmp_path, own)) for own in (b"a", b"b")]
    for each in processes:
        each.start()
    cache = Cache([Folder(tmp_path)], LIMIT_BYTES)
    found = []
    while any(each.is_alive() for each in processes):
        found.append(cache.read("key"))
    for each in processes:
        each.join()
    seen = {parts["code"] for parts in (*found, cache.read("key")) if parts is not None}
    assert seen <= {b"a" * 10_000, b"b" * 10_000}
    assert list(tmp_path.iterdir()) == [tmp_path / f"key{SUFFIX}"]
    first = next(index for index, parts in enumerate([*found, PARTS]) if parts is not None)
    assert None not in found[first:]


# --------------------------------------------------------------------------------------------- where it cannot be kept


def test_where_no_folder_can_be_made_the_next_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache([Folder(tmp_path / "file" / "cache"), Folder(tmp_path / "second")], LIMIT_BYTES)
    assert cache.write("key", PARTS)
    assert only_file(tmp_path).parent == tmp_path / "second"
    assert cache.read("key") == PARTS


def test_what_is_in_a_read_only_folder_is_used_and_the_rest_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Folder(tmp_path / "first"), Folder(tmp_path / "second")
    Cache([first], LIMIT_BYTES).write("old", PARTS)
    monkeypatch.setattr(os, "access", lambda path, mode: path != first.path)  # to root, everything can be written
    monkeypatch.setattr(os, "utime", _fail_with(errno.EROFS))
    cache = Cache([first, second], LIMIT_BYTES)
    assert cache.read("old") == PARTS
    assert cache.write("new", PARTS)
    assert only_file(second.path).stem == "new"
    assert cache.read("new") == PARTS


def _fail_with(number: int) -> Any:
    def fail(*args: Any, **keywords: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["os.replace", "tempfile.mkstemp"])
def test_a_full_disk_is_no_error(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    cache.write("key", PARTS)
    with monkeypatch.context() as full:
        full.setattr(call, _fail_with(errno.ENOSPC))
        assert not cache.write("new", PARTS)
    assert cache.read("new") is None
    assert cache.read("key") == PARTS
    assert not list(tmp_path.rglob("*unfinished"))


def test_when_the_disk_is_full_the_next_folder_is_used(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    full = _fail_with(errno.ENOSPC)
    in_first = str(tmp_path / "first")
    monkeypatch.setattr(os, "replace", lambda old, new: (full if in_first in str(new) else replace)(old, new))
    assert cache.write("key", PARTS)
    assert only_file(tmp_path).parent == tmp_path / "second"
    assert cache.read("key") == PARTS


def test_an_entry_that_cannot_be_removed_is_a_miss(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write("key", PARTS)
    only_file(tmp_path).write_bytes(b"damaged")
    monkeypatch.setattr(Path, "unlink", _fail_with(errno.EROFS))
    assert cache.read("key") is None


def test_without_any_folder_nothing_is_kept(tmp_path: Path) -> None:
    cache = Cache([], LIMIT_BYTES)
    assert not cache.write("key", PARTS)
    assert cache.read("key") is None


def test_a_folder_among_the_temporary_files_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    """Code from it is run, so nobody else may have put it there."""
    public = Folder(tmp_path / "public", is_public=True)
    assert Cache([public], LIMIT_BYTES).write("key", PARTS)
    assert Cache([public], LIMIT_BYTES).read("key") == PARTS
    public.path.chmod(0o777)
    assert Cache([public], LIMIT_BYTES).read("key") is None
    assert not Cache([public], LIMIT_BYTES).write("key", PARTS)


def test_a_link_among_the_temporary_files_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert not Cache([Folder(tmp_path / "link", is_public=True)], LIMIT_BYTES).write("key", PARTS)


# ------------------------------------------------------------------------------------------------------------ eviction


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache([Folder(tmp_path)], limit_bytes=4_000)
    for age, key in enumerate(["newest", "middle", "oldest"]):
        cache.write(key, {"code": bytes(1_000)})
        os.utime(tmp_path / f"{key}{SUFFIX}", (1_000 - age, 1_000 - age))
    cache.read("oldest")
    cache.write("last", {"code": bytes(1_000)})
    kept = {each.stem for each in tmp_path.iterdir()}
    assert kept == {"oldest", "last"}  # 80 % of the limit: two entries


def test_files_that_a_process_left_unfinished_go(tmp_path: Path) -> None:
    abandoned, current = tmp_path / "a.unfinished", tmp_path / "b.unfinished"
    for each in (abandoned, current):
        each.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    Folder(tmp_path).shrink(LIMIT_BYTES)
    assert list(tmp_path.iterdir()) == [current]


def test_the_size_of_what_was_there_before_counts(tmp_path: Path) -> None:
    for key in ("one", "two", "three"):
        Cache([Folder(tmp_path)], LIMIT_BYTES).write(key, {"code": bytes(1_000)})
    Cache([Folder(tmp_path)], limit_bytes=3_000).write("four", {"code": bytes(1_000)})
    assert len(list(tmp_path.iterdir())) == 2


# --------------------------------------------------------------------------------------------------------- environment


def test_the_chain_of_folders(environment: Any, tmp_path: Path) -> None:
    environment.setenv("RELAXDSL_CACHE_DIR", str(tmp_path / "mine"))
    user = f"relaxdsl-{os.getuid()}"
    expected = [tmp_path / "mine", tmp_path / "home" / ".cache" / "relaxdsl", tmp_path / "temporary" / user]
    assert [place.folder.path for place in places()] == expected


@pytest.mark.parametrize(("platform", "folder"), [("darwin", "Library/Caches"), ("win32", "AppData/Local")])
def test_the_platforms_folders(environment: Any, tmp_path: Path, platform: str, folder: str) -> None:
    environment.setattr("sys.platform", platform)
    environment.delenv("LOCALAPPDATA", raising=False)
    assert places()[0].folder.path == tmp_path / "home" / folder / "relaxdsl"


def test_xdg_cache_home(environment: Any, tmp_path: Path) -> None:
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert places()[0].folder.path == tmp_path / "xdg" / "relaxdsl"


def test_without_a_home_entries_are_temporary(environment: Any, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    environment.setattr(Path, "home", staticmethod(no_home))
    environment.setenv("RELAXDSL_CACHE_DIR", "~there-is-no-such-user/cache")
    assert process_cache().write("key", PARTS)
    assert only_file(tmp_path).parent.parent == tmp_path / "temporary"


def test_a_home_that_does_not_exist_and_cannot_be_made(environment: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    environment.setenv("HOME", str(tmp_path / "file" / "home"))
    assert process_cache().write("key", PARTS)
    assert only_file(tmp_path).parent.parent == tmp_path / "temporary"


def test_without_a_home_and_temporary_files_nothing_is_kept(environment: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    environment.setenv("HOME", str(tmp_path / "file" / "home"))
    environment.setattr(tempfile, "gettempdir", _fail_with(errno.ENOENT))
    assert not process_cache().write("key", PARTS)
    assert process_cache().read("key") is None


def test_the_cache_can_be_turned_off(environment: Any, tmp_path: Path) -> None:
    environment.setenv("RELAXDSL_CACHE", "0")
    assert not process_cache().write("key", PARTS)
    environment.setenv("RELAXDSL_CACHE", "1")
    assert process_cache().write("key", PARTS)


def test_the_limit_is_set_in_mib(environment: Any, tmp_path: Path) -> None:
    environment.setenv("RELAXDSL_CACHE_LIMIT_MIB", "1")
    for key in ("one", "two", "three"):
        process_cache().write(key, {"code": bytes(400_000)})
    assert len(list((tmp_path / "home").rglob(f"*{SUFFIX}"))) == 2


def test_variables_that_mean_nothing_are_errors(environment: Any) -> None:
    environment.setenv("RELAXDSL_CACHE", "no")
    with pytest.raises(ArgumentError) as caught:
        process_cache()
    assert str(caught.value) == "RELAXDSL_CACHE: expected 0 or 1, got 'no'"
    environment.setenv("RELAXDSL_CACHE", "1")
    environment.setenv("RELAXDSL_CACHE_LIMIT_MIB", "1 GB")
    with pytest.raises(ArgumentError) as caught:
        process_cache()
    assert str(caught.value) == "RELAXDSL_CACHE_LIMIT_MIB: expected a number of MiB, got '1 GB'"
