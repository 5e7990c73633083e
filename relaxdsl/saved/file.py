"""Saved programs as bytes, and the files that hold them.

A file is a container of ``cache/container.py``: what is said of the program as JSON; the program's text; each constant
as NumPy's ``.npy``; and machine code with its seal, if there is some. Whatever stands in there was perhaps written by
somebody else: all of it is checked before it is used, and an error names the file and what is wrong with it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relaxdsl.cache import container
from relaxdsl.cache.container import DamagedError
from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError, RelaxError, Span
from relaxdsl.ir.graph import Function
from relaxdsl.saved.program import KINDS, SavedProgram
from relaxdsl.script.foreign_text import Origins
from relaxdsl.script.parse import ParsedProgram
from relaxdsl.script.tensor_ir.parse import ParsedKernel

FORMAT = 1
_MAGIC = b"relaxdsl program %d\n"
_ANY_MAGIC = re.compile(rb"relaxdsl program (\d{1,9})\n")
_LARGEST_HEADER_BYTES = 1 << 16
_LONGEST_FILE_LINES = 1 << 24


@dataclass(frozen=True, slots=True)
class SavedFile:
    """What a file holds.

    Args:
        code: machine code of the program's kernels. seal: what shows that this user has compiled it.
        version: of relaxdsl, which wrote it.
    """

    program: SavedProgram
    code: bytes | None = None
    seal: str | None = None
    version: str = ""

    def read(self, where: str) -> ParsedProgram | ParsedKernel:
        """The program; ``where`` is what to call the file in messages.

        Raises:
            ArgumentError: this version of relaxdsl does not understand the program's text.
        """
        try:
            program = self.program
            return program.read_kernel(where) if program.kind == "kernel" else program.read(where)
        except RelaxError as error:
            headline = f"{where} holds no program that relaxdsl {_version()} understands: {error.headline}"
            hint = None if self.version == _version() else f"relaxdsl {self.version} has saved it"
            raise ArgumentError(headline, details=error.details, hint=hint, span=error.span) from None

    def function_of(self, parsed: ParsedProgram, where: str) -> Function:
        """The function that was saved.

        Raises:
            ArgumentError: the program has none of that name.
        """
        if len(parsed.module.functions) == 1:
            return parsed.function
        function = parsed.module.graph_functions.get(self.program.name)
        if function is None:
            raise ArgumentError(f"{where} is damaged: its program has no function {self.program.name}")
        return function


def _version() -> str:
    return str(sys.modules["relaxdsl"].__version__)


# ------------------------------------------------------------------------------------------------------------- to bytes


def to_bytes(file: SavedFile) -> bytes:
    """The file's bytes."""
    program = file.program
    about = {
        "relaxdsl": _version(),
        "kind": program.kind,
        "name": program.name,
        "doc": program.doc,
        "accepted": list(program.accepted),
        "is_debug": program.is_debug,
        "constants": [_kind_of(value) for value in program.constants],
        "signatures": dict(program.signatures),
        "origins": _origins_as_json(program.origins),
        "seal": file.seal,
    }
    arrays = {f"constant {i}": _array_as_npy(value) for i, value in enumerate(program.constants)}
    code = {} if file.code is None else {"code": file.code}
    parts = {"about": json.dumps(about).encode(), "text": program.text.encode(), **arrays, **code}
    return container.pack(_MAGIC % FORMAT, {}, parts)


def _kind_of(value: Any) -> str:
    if isinstance(value, np.dtype):
        return "dtype"
    return "array" if isinstance(value, np.ndarray) else "number"


def _array_as_npy(value: Any) -> bytes:
    """The value as ``.npy``: a dtype as the empty array of it."""
    array = np.empty(0, value) if isinstance(value, np.dtype) else np.asarray(value)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _origins_as_json(origins: Origins) -> dict[str, Any]:
    files = list(dict.fromkeys(span.file for span in (*origins.lines.values(), *origins.params.values())))
    numbers = {file: number for number, file in enumerate(files)}

    def place(span: Span) -> list[int]:
        return [numbers[span.file], span.line, span.column, span.end_line, span.end_column]

    return {
        "files": files,
        "lines": [[line, *place(span)] for line, span in origins.lines.items()],
        "params": [[line, name, *place(span)] for (line, name), span in origins.params.items()],
    }


# ----------------------------------------------------------------------------------------------------------- from bytes


def from_bytes(data: bytes, where: str) -> SavedFile:
    """What these bytes hold.

    Args:
        where: the file's name, or what to call it in messages.

    Raises:
        ArgumentError: they are damaged, of another format, or were never a saved program.
    """
    try:
        _require_format(data)
        _, parts = container.unpack(_MAGIC % FORMAT, data)
        return _Parts(parts).file()
    except DamagedError as error:
        raise ArgumentError(f"{where} {error}", hint=_hint(data)) from None


def _require_format(data: bytes) -> None:
    found = _ANY_MAGIC.match(data)
    if found is None:
        raise DamagedError("is no saved program" if data else "is empty")
    if int(found[1]) != FORMAT:
        raise DamagedError(f"has format {int(found[1])} of saved programs; this version of relaxdsl reads {FORMAT}")


def _hint(data: bytes) -> str | None:
    return "save the program again" if _ANY_MAGIC.match(data) else "relax.load reads what fn.save has written"


class _Parts:
    """The parts of a container, read with suspicion."""

    def __init__(self, parts: Mapping[str, bytes]) -> None:
        self._parts = parts
        self._about = self._json("about")

    def file(self) -> SavedFile:
        about = self._about
        kind = next((each for each in KINDS if each == about.get("kind")), None)
        if kind is None:
            raise DamagedError("is damaged: it does not say what it holds")
        program = SavedProgram(
            kind,
            self._text("name"),
            self._decoded("text"),
            tuple(self._constants()),
            self._origins(),
            tuple(map(str, self._list("accepted"))),
            None if about.get("doc") is None else self._text("doc"),
            about.get("is_debug") is True,
        )
        seal = about.get("seal")
        version = str(about.get("relaxdsl"))
        return SavedFile(program, self._parts.get("code"), seal if isinstance(seal, str) else None, version)

    def _part(self, name: str) -> bytes:
        if name not in self._parts:
            raise DamagedError(f"is damaged: its part {name!r} is missing")
        return self._parts[name]

    def _decoded(self, name: str) -> str:
        try:
            return self._part(name).decode()
        except UnicodeDecodeError:
            raise DamagedError(f"is damaged: its part {name!r} is no text") from None

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(self._decoded(name))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise DamagedError(f"is damaged: its part {name!r} is no object of JSON")
        return value

    def _text(self, name: str) -> str:
        if not isinstance(self._about.get(name), str):
            raise DamagedError(f"is damaged: its {name!r} is no text")
        return str(self._about[name])

    def _list(self, name: str) -> list[Any]:
        if not isinstance(self._about.get(name), list):
            raise DamagedError(f"is damaged: its {name!r} is no list")
        return list(self._about[name])

    def _constants(self) -> Iterator[Any]:
        for number, kind in enumerate(self._list("constants")):
            name = f"constant {number}"
            array = _array_of_npy(name, self._part(name))
            if kind == "number" and array.ndim:
                raise DamagedError(f"is damaged: its part {name!r} is no number")
            yield array.dtype if kind == "dtype" else array[()] if kind == "number" else array

    def _origins(self) -> Origins:
        match self._about.get("origins"):
            case {"files": list(files), "lines": list(lines), "params": list(params)}:
                return Origins(
                    dict(_line(each, files) for each in lines),
                    dict(_param(each, files) for each in params),
                )
        raise DamagedError("is damaged: it does not say where the program was written")


def _array_of_npy(name: str, data: bytes) -> np.ndarray:
    """The array, if its header asks for as many bytes as there are."""
    buffer = io.BytesIO(data)
    try:
        shape, is_fortran, dtype = _header_of_npy(buffer)
        rest = data[buffer.tell() :]
        if dtype.hasobject or min(shape, default=0) < 0:
            raise ValueError(dtype, shape)
        return np.frombuffer(rest, dtype).reshape(shape, order="F" if is_fortran else "C").copy(order="K")
    except Exception:  # NumPy and Python's tokenizer raise many kinds
        raise DamagedError(f"is damaged: its part {name!r} is no array of data") from None


def _header_of_npy(buffer: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis varies fastest, and dtype."""
    version = np.lib.format.read_magic(buffer)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(buffer, _LARGEST_HEADER_BYTES)


def _line(item: Any, files: Sequence[Any]) -> tuple[int, Span]:
    match item:
        case [int(line), *place]:
            return line, _span(place, files)
    raise DamagedError("is damaged: it does not say where the program was written")


def _param(item: Any, files: Sequence[Any]) -> tuple[tuple[int, str], Span]:
    match item:
        case [int(line), str(name), *place]:
            return (line, name), _span(place, files)
    raise DamagedError("is damaged: it does not say where the program was written")


def _span(place: Sequence[Any], files: Sequence[Any]) -> Span:
    match place:
        case [int(file), *numbers] if 0 <= file < len(files) and len(numbers) == 4 and all(map(_is_place, numbers)):
            return Span(str(files[file]), *numbers)
    raise DamagedError("is damaged: it does not say where the program was written")


def _is_place(number: Any) -> bool:
    return isinstance(number, int) and 0 < number < _LONGEST_FILE_LINES


# ---------------------------------------------------------------------------------------------------------------- files


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes the file: it is there as a whole, or what was there before is. Where a link leads, it still leads there.

    Raises:
        ArgumentError: something is there that is no regular file, such as a folder or a device.
        OSError: it cannot be written.
    """
    try:
        mode = _mode_of(path)
        _replace(Path(os.path.realpath(path)), data, mode)
    except OSError as error:
        raise _of_file(error, Path(path)) from None


def _mode_of(path: str | os.PathLike[str]) -> int | None:
    """Who may do what with the file, to which links may lead; None if there is none."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise ArgumentError(f"{Path(path)} is no regular file", hint="save replaces a file, or makes one")
    return stat.S_IMODE(mode)


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    unfinished = target.with_name(f".{os.urandom(8).hex()}.unfinished")
    try:
        with open(unfinished, "xb") as file:
            if mode is not None:
                os.chmod(unfinished, mode)
            file.write(data)
        os.replace(unfinished, target)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _of_file(error, Path(path)) from None


def _of_file(error: OSError, path: Path) -> OSError:
    """The error with the name that the user knows."""
    return OSError(error.errno, error.strerror, str(path))
