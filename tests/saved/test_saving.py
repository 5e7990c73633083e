"""What is saved comes back as it was: programs, constants, places in the user's source, names."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving import W, X, fresh, message_of, n, saved_in, scores

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.cache import container
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.visit import all_bindings
from relaxdsl.runtime import packed
from relaxdsl.saved import program
from relaxdsl.saved.signature import describe_type

__all__ = ["fresh"]

HERE = Path(__file__).name

m = relax.dims("m", lower=1, upper=64)
x_type = relax.Tensor[(4, n), "int32"]


@relax.module
class Steps:
    """Two functions, of which one calls the other."""

    @relax.function
    def step(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:  # noqa: N805
        return x * 2

    @relax.function
    def two_steps(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
        return cls.step(cls.step(x))


@relax.prim_func
def halves(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    """Halves."""
    for i in T.parallel(n):
        y[i] = x[i] / 2


@relax.function
def with_kernel(x: relax.Tensor[(n,), "float32"]):
    return halves(relax.exp(x))


@relax.function(checks="runtime")
def undecided(x: relax.Tensor[(n,), "float32"], y: relax.Tensor[(n // 2 * 2,), "float32"]):
    return x + y


@relax.function
def bounded(x: relax.Tensor[(m, 2), "float32"]):
    return relax.flatten(x)


@relax.function
def first_values(x: relax.Tensor[(n,), "int64"]):
    values = relax.unique(x)
    return values if relax.sum(x) > 3 else values + 1


def through_a_file(program: Any, folder: Path) -> Any:
    program.save(folder / "program.rlx", code=False)
    return relax.load(folder / "program.rlx")


@pytest.mark.parametrize("function", [scores, with_kernel, undecided, bounded, first_values], ids=lambda f: f.__name__)
def test_a_function_comes_back(function: relax.CompiledFunction, tmp_path: Path) -> None:
    loaded = through_a_file(function, tmp_path)
    assert_structural_equal(loaded.ir, function.ir)
    assert list(loaded.module) == list(function.module)
    assert (loaded.script(), loaded.__name__, loaded.__doc__) == (
        function.script(),
        function.__name__,
        function.__doc__,
    )
    assert loaded._accepted == function._accepted
    assert loaded.compile_count == 0


def test_a_module_and_a_kernel_come_back(tmp_path: Path) -> None:
    steps = through_a_file(Steps, tmp_path)
    assert isinstance(steps, relax.CompiledModule)
    np.testing.assert_array_equal(steps.two_steps(X[0]), X[0] * 4)
    kernel = through_a_file(halves, tmp_path)
    assert isinstance(kernel, relax.KernelFunction)
    assert (kernel.__name__, kernel.__doc__) == ("halves", "Halves.")
    np.testing.assert_array_equal(kernel(X[0]), X[0] / 2)
    step = through_a_file(Steps["two_steps"], tmp_path)
    np.testing.assert_array_equal(step(X[0]), X[0] * 4)


def test_places_are_those_of_the_users_file(tmp_path: Path) -> None:
    """Errors and ``explain()`` of a loaded function point to where it was written."""
    loaded = through_a_file(scores, tmp_path)
    assert loaded.ir.span == scores.ir.span
    assert [param.span for param in loaded.ir.params] == [param.span for param in scores.ir.params]
    places = [binding.value.span for binding in all_bindings(scores.ir.body)]
    assert [binding.value.span for binding in all_bindings(loaded.ir.body)] == places
    assert all(place is not None and place.file.endswith("saving.py") for place in places)
    with pytest.raises(relax.ArgumentError) as loaded_error:
        loaded(X, np.ones((2, 4), "float32"))
    with pytest.raises(relax.ArgumentError) as error:
        scores(X, np.ones((2, 4), "float32"))
    assert str(loaded_error.value) == str(error.value)


CONSTANTS = {
    "large": np.arange(100, dtype="float64"),
    "matrix": np.arange(200, dtype="int32").reshape(2, 100)[:, ::-1],
    "empty": np.zeros((0, 70), "float32"),
    "special": np.array([np.nan, -0.0, np.inf] * 30, "float32"),
    "scalar": np.array(2.5, "float32"),
    "bools": np.arange(80) % 3 == 0,
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_come_back_to_the_bit(name: str, tmp_path: Path) -> None:
    value = CONSTANTS[name]

    @relax.function
    def give(x: relax.Tensor[(n,), "float32"]):
        return x, relax.const(value)

    _, found = through_a_file(give, tmp_path)(X[0])
    assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, value.shape, value.tobytes())


def test_a_file_says_what_its_functions_take(tmp_path: Path) -> None:
    """As JSON, for whoever has no relaxdsl."""

    @relax.function
    def several(x: relax.Tensor[(m, 2 * m), "float32"], s: relax.Shape[(3, n)], pair: relax.Tuple[x_type, x_type]):
        return x, pair

    several.save(tmp_path / "several.rlx", code=False)
    about = json.loads(container.unpack(b"relaxdsl program 1\n", (tmp_path / "several.rlx").read_bytes())[1]["about"])
    tensor = {"kind": "tensor", "shape": [4, "n"], "dtype": "int32"}
    pair = {"kind": "tuple", "fields": [tensor, tensor]}
    first = {"kind": "tensor", "shape": ["m", "m * 2"], "dtype": "float32"}
    assert (about["relaxdsl"], about["kind"], about["name"]) == (relax.__version__, "function", "several")
    assert about["signatures"] == {
        "several": {
            "parameters": [
                {"name": "x", **first},
                {"name": "s", "kind": "shape", "values": [3, "n"]},
                {"name": "pair", **pair},
            ],
            "result": {"kind": "tuple", "fields": [first, pair]},
            "bounds": {"m": {"lower": 1, "upper": 64}},
        }
    }


def test_a_type_that_is_none() -> None:
    with pytest.raises(relax.InternalError) as error:
        describe_type(3)  # type: ignore[arg-type]
    assert str(error.value) == "a signature with a type of class int"


def test_what_does_not_read_back_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "structural_equal", lambda one, other: False)
    with pytest.raises(relax.InternalError) as error:
        scores.save(tmp_path / "scores.rlx")
    assert str(error.value) == "scores.save: the text of the program does not read back as the program"
    assert os.listdir(tmp_path) == []


def test_bound_functions(fresh: Path) -> None:
    bound = scores.bind(w=W)
    bound.save(fresh / "bound.rlx")
    assert saved_in(fresh / "bound.rlx").program.text == bound.script()
    np.testing.assert_array_equal(relax.load(fresh / "bound.rlx")(X), bound(X))


def test_packed_functions_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relax.register_packed("saved.sorted", np.sort, override=True)

    @relax.function
    def ordered(x: relax.Tensor[(n,), "float32"]):
        return relax.call_pure_packed("saved.sorted", x, out=relax.Tensor((n,), "float32"))

    loaded = through_a_file(ordered, tmp_path)
    np.testing.assert_array_equal(loaded(X[0][::-1]), X[0])
    unknown = relax.load(tmp_path / "program.rlx")
    monkeypatch.delitem(packed._PACKED, "saved.sorted")
    with pytest.raises(relax.ScriptError) as error:
        unknown(X[0])
    assert error.value.headline == "packed function 'saved.sorted' is not registered"
    assert error.value.hint == "register it with relax.register_packed(name, function)"


class Thing:
    """No data."""


def test_objects_that_are_no_data_are_refused(tmp_path: Path) -> None:
    thing, path = Thing(), tmp_path / "thing.rlx"

    @relax.function(pure=False)
    def holds(x: relax.Tensor[(n,), "float32"]):
        return relax.call_packed("saved.any", x, relax.host(thing), out=relax.Tensor((n,), "float32"))

    with pytest.raises(relax.ArgumentError) as error:
        holds.save(path)
    headline, where, *_, hint = str(error.value).splitlines()
    assert headline == "holds: a program that holds a Thing cannot be saved: that is no data"
    assert where.strip() == f"--> {HERE}:{inspect.getsourcelines(holds.__wrapped__)[1] + 2}:50"
    assert hint == "   hint: arrays, numbers, texts and tuples of them can; let a packed function make the object"
    assert os.listdir(tmp_path) == []


def test_attributes_that_are_no_data_are_refused(tmp_path: Path) -> None:
    @relax.function(attrs={"made_by": Thing()})
    def made(x: relax.Tensor[(n,), "float32"]):
        return x + 1

    with pytest.raises(relax.ArgumentError) as error:
        made.save(tmp_path / "made.rlx")
    assert str(error.value) == (
        "made: a program that holds a Thing cannot be saved: that is no data\n"
        "   hint: arrays, numbers, texts and tuples of them can; let a packed function make the object"
    )


def test_host_data_comes_back(tmp_path: Path) -> None:
    seen = []

    def look(x: np.ndarray, *objects: object) -> np.ndarray:
        seen.append(objects)
        return x

    relax.register_packed("saved.look", look, override=True)
    objects = (np.dtype("float16"), np.float32(2), ("a", 1.5, None), np.arange(3))

    @relax.function(pure=False)
    def looks(x: relax.Tensor[(n,), "float32"]):
        return relax.call_packed(
            "saved.look", x, *[relax.host(each) for each in objects], out=relax.Tensor((n,), "float32")
        )

    through_a_file(looks, tmp_path)(X[0])
    ((dtype, number, literal, array),) = seen
    assert (dtype, number, type(number), literal) == (*objects[:2], np.float32, objects[2])
    np.testing.assert_array_equal(array, objects[3])


# --------------------------------------------------------------------------------------------------------------- files


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program.rlx"
    scores.save(path, code=False)
    before = path.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space") as error:
        Steps.save(path, code=False)
    assert str(error.value) == f"[Errno 28] No space left on device: {str(path)!r}"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["program.rlx"]


def test_a_link_still_leads_to_the_file_whose_mode_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path, link = tmp_path / "folder" / "program.rlx", tmp_path / "link.rlx"
    link.symlink_to(path)
    scores.save(link, code=False)  # makes the file
    path.chmod(0o640)
    Steps.save(link, code=False)
    assert link.readlink() == path
    assert saved_in(path).program.kind == "module"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(path.parent) == ["program.rlx"]


def test_what_is_no_regular_file_stays(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link, tmp_path):
        with pytest.raises(relax.ArgumentError) as error:
            scores.save(path, code=False)
        assert str(error.value) == f"{path} is no regular file\n   hint: save replaces a file, or makes one"
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "circle"
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links") as error:
        scores.save(path, code=False)
    assert str(error.value) == f"[Errno 40] Too many levels of symbolic links: {str(path)!r}"


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "program.rlx"
    with pytest.raises(FileNotFoundError) as error:
        scores.save(path, code=False)
    assert str(error.value) == f"[Errno 2] No such file or directory: {str(path)!r}"
    with pytest.raises(FileNotFoundError) as error:
        relax.load(path)
    assert str(error.value) == f"[Errno 2] No such file or directory: {str(path)!r}"
    with pytest.raises(IsADirectoryError) as is_folder:
        relax.load(tmp_path)
    assert str(is_folder.value) == f"[Errno 21] Is a directory: {str(tmp_path)!r}"


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "empty.rlx").touch()
    assert message_of(tmp_path / "empty.rlx") == (
        "empty.rlx is empty\n   hint: relax.load reads what fn.save has written"
    )
    np.save(tmp_path / "array.npy", X)
    assert message_of(tmp_path / "array.npy") == (
        "array.npy is no saved program\n   hint: relax.load reads what fn.save has written"
    )
