"""Files that are not as they were written: each is an error that names the file and what is wrong, or is as before."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saving import n

import relaxdsl as relax
from relaxdsl.cache import container
from relaxdsl.saved.file import FORMAT, SavedFile, from_bytes, to_bytes
from relaxdsl.saved.program import saved_function

MAGIC = b"relaxdsl program %d\n" % FORMAT


@relax.function
def shifted(x: relax.Tensor[(n,), "float32"]):
    return x + relax.const(np.zeros(100, "float32"))[0]


DATA = to_bytes(SavedFile(saved_function(shifted.ir, shifted.module)))
AGAIN = "\n   hint: save the program again"


def message(data: bytes) -> str:
    with pytest.raises(relax.ArgumentError) as error:
        from_bytes(data, "model.rlx")
    return str(error.value)


def parts() -> dict[str, bytes]:
    return container.unpack(MAGIC, DATA)[1]


def with_parts(**changed: bytes | None) -> bytes:
    """The file with other parts, and the checksum of these."""
    new = {**parts(), **{name.replace("_", " "): data for name, data in changed.items()}}
    return container.pack(MAGIC, {}, {name: data for name, data in new.items() if data is not None})


def with_about(**changed: Any) -> bytes:
    return with_parts(about=json.dumps(json.loads(parts()["about"]) | changed).encode())


def test_a_truncated_file() -> None:
    assert message(DATA[:-100]) == f"model.rlx is truncated: 100 of {len(DATA):,} bytes are missing{AGAIN}"
    assert message(DATA[:60]) == f"model.rlx is truncated or damaged{AGAIN}"
    for length in range(len(MAGIC), len(DATA), 7):
        assert message(DATA[:length]).startswith("model.rlx is truncated")


def test_a_changed_byte() -> None:
    for place in (len(MAGIC) + 3, len(DATA) // 2, len(DATA) - 1):
        changed = bytearray(DATA)
        changed[place] ^= 1
        assert message(bytes(changed)) == (f"model.rlx is damaged: its checksum is not that of its content{AGAIN}")


def test_another_format() -> None:
    for other in (0, FORMAT + 1, 123456789):
        data = DATA.replace(MAGIC, b"relaxdsl program %d\n" % other)
        assert message(data) == (
            f"model.rlx has format {other} of saved programs; this version of relaxdsl reads {FORMAT}{AGAIN}"
        )


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (with_parts(text=None), "its part 'text' is missing"),
        (with_parts(about=None), "its part 'about' is missing"),
        (with_parts(constant_0=None), "its part 'constant 0' is missing"),
        (with_parts(text=b"\xff\xfe"), "its part 'text' is no text"),
        (with_parts(about=b"[1]"), "its part 'about' is no object of JSON"),
        (with_parts(about=b"[" * 100_000), "its part 'about' is no object of JSON"),
        (with_about(kind="virus"), "it does not say what it holds"),
        (with_about(name=3), "its 'name' is no text"),
        (with_about(accepted="x"), "its 'accepted' is no list"),
        (with_about(constants=["number"]), "its part 'constant 0' is no number"),
        (with_about(origins=[]), "it does not say where the program was written"),
        (
            with_about(origins={"files": [], "lines": [[1]], "params": []}),
            "it does not say where the program was written",
        ),
        (
            with_about(origins={"files": ["f"], "lines": [[1, 0, 1, 10**12, 1, 1]], "params": []}),
            "it does not say where the program was written",
        ),
        (
            with_about(origins={"files": ["f"], "lines": [], "params": [[1, 2, 0, 1, 1, 1, 1]]}),
            "it does not say where the program was written",
        ),
        (container.pack(MAGIC, {"x": 1}, {}), "its part 'about' is missing"),
    ],
)
def test_parts_that_somebody_has_changed(data: bytes, wrong: str) -> None:
    assert message(data) == f"model.rlx is damaged: {wrong}{AGAIN}"


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def pickled_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    return buffer.getvalue()


def header(dtype: str = "'<f4'", shape: str = "(2,)") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n"


@pytest.mark.parametrize(
    "array",
    [
        b"",
        b"no array",
        npy(header(), b"1234567"),
        npy(header(), b"123456789"),
        npy(header(shape="(10**12,)")),
        npy(header(shape="(1000000000000,)"), b"1234"),
        npy(header(shape="(-1,)"), b"12345678"),
        npy(header(dtype="__import__('os')"), b"12345678"),
        npy("(" * 60_000),
        npy("{}"),
        pickled_array(),
    ],
    ids=range(11),
)
def test_arrays_that_are_none(array: bytes) -> None:
    """None is read that asks for more memory than there are bytes, or holds Python objects."""
    assert (
        message(with_parts(constant_0=array))
        == f"model.rlx is damaged: its part 'constant 0' is no array of data{AGAIN}"
    )


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"{", "its header is no JSON"),
        (b"[]", "its header is no object of JSON"),
        (b'{"parts": 3}', "its header does not list its parts"),
        (b'{"parts": [["text", -1]]}', "its header does not list its parts"),
        (b'{"parts": [["text", true]]}', "its header does not list its parts"),
        (b'{"parts": [["text", 1e99]]}', "its header does not list its parts"),
        (b'{"parts": [["text", 9999999999999999]]}', "its parts are not as long as it says"),
        (b'{"parts": [["text", 0]]} ', "its part 'about' is missing"),
    ],
)
def test_containers_that_somebody_has_changed(content: bytes, wrong: str) -> None:
    content = len(content).to_bytes(8, "little") + content
    data = MAGIC + hashlib.sha256(content).digest() + content
    assert message(data) == f"model.rlx is damaged: {wrong}{AGAIN}"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_an_error_of_ours(data: st.DataObject) -> None:
    """Whatever the bytes are, and with their checksum made right."""
    content = bytearray(DATA[len(MAGIC) + 32 :])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    changed = MAGIC + hashlib.sha256(content).digest() + bytes(content)
    assert "model.rlx" in (_error_of(changed) or "model.rlx")


def _error_of(data: bytes) -> str | None:
    try:
        from_bytes(data, "model.rlx").read("model.rlx")
    except relax.ArgumentError as error:
        return str(error)
    return None


def test_a_program_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "model.rlx"
    text = shifted.script().replace("relax.add", "relax.new_operator").encode()
    about = json.loads(parts()["about"]) | {"relaxdsl": "9.9", "origins": {"files": [], "lines": [], "params": []}}
    path.write_bytes(with_parts(text=text, about=json.dumps(about).encode()))
    with pytest.raises(relax.ArgumentError) as error:
        relax.load(path)
    assert str(error.value).splitlines()[0] == (
        f"model.rlx holds no program that relaxdsl {relax.__version__} understands: "
        "a printed program cannot contain `relax.new_operator`"
    )
    assert str(error.value).splitlines()[-1] == "   hint: relaxdsl 9.9 has saved it"


def test_a_function_that_is_not_in_its_module(tmp_path: Path) -> None:
    path = tmp_path / "model.rlx"
    text = (
        "@relax.module\nclass Module:\n"
        '    @relax.function\n    def f(x: relax.Tensor(("n",), "float32")) -> relax.Tensor(("n",), "float32"):\n'
        "        return x\n"
        '    @relax.function\n    def g(x: relax.Tensor(("n",), "float32")) -> relax.Tensor(("n",), "float32"):\n'
        "        return x\n"
    )
    path.write_bytes(
        with_parts(text=text.encode(), about=json.dumps(json.loads(parts()["about"]) | {"name": "h"}).encode())
    )
    with pytest.raises(relax.ArgumentError) as error:
        relax.load(path)
    assert str(error.value) == "model.rlx is damaged: its program has no function h"
