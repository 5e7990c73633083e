"""The machine code in a saved program: from its kernels, and to the process that loads it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from relaxdsl.dataclass import dataclass
from relaxdsl.saved.file import SavedFile, to_bytes, write_file
from relaxdsl.saved.program import SavedProgram

if TYPE_CHECKING:
    from relaxdsl.kernels.jit import CompiledKernel


def save_program(path: str | os.PathLike[str], program: SavedProgram, kernels: Iterable[CompiledKernel] | None) -> None:
    """Writes the program to a file, with the machine code of its kernels if they are given.

    Raises:
        ArgumentError: something is there that is no regular file.
        OSError: the file cannot be written.
    """
    file = SavedFile(program) if kernels is None else _with_code(program, kernels)
    write_file(path, to_bytes(file))


def _with_code(program: SavedProgram, kernels: Iterable[CompiledKernel]) -> SavedFile:
    from relaxdsl.kernels.saved_code import pack_code, seal_of

    code = pack_code(kernels)
    return SavedFile(program, code, None if code is None else seal_of(code))


@dataclass(frozen=True, slots=True)
class FileCode:
    """The machine code of a file that was loaded. It is looked at when something of the file is compiled.

    Args:
        where: the file's name. is_trusted: whether its code may run whoever has compiled it.
    """

    where: str
    file: SavedFile
    is_trusted: bool

    def bring(self) -> str:
        """Has this process use the code if it fits; returns what became of it, for ``explain()``."""
        from relaxdsl.kernels.saved_code import bring_code

        if self.file.code is None:
            return f"{self.where}: there is none"
        return f"{self.where}: {bring_code(self.file.code, self.file.seal, is_trusted=self.is_trusted)}"
