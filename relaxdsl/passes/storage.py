"""Explicit memory as slots: storages become parts of the one workspace of a call, tensors in them addresses.

Sizes and addresses are computed for branches, too, that are not taken and in which a size may divide by zero. There
any number will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relaxdsl.ir.graph import Var
from relaxdsl.passes.memory.offsets import whole_lines
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT, WORKSPACE_SLOT
from relaxdsl.runtime.slots import DimCompiler
from relaxdsl.types.dims import Dim
from relaxdsl.types.divisors import with_positive_divisors

MAX_NAME = 40
"""An offset with a longer text is a number in the names of slots."""


class Workspace:
    """The workspace of a program under construction. Offsets are computed in the prologue, addresses where needed.

    Args:
        early: computes sizes in the prologue; ``late`` in the body.
    """

    def __init__(self, early: DimCompiler, late: DimCompiler) -> None:
        self._early = early
        self._late = late
        self._starts: dict[Var, Dim] = {}
        self._size: Dim = 0
        self._addresses: dict[tuple[int, Dim], int] = {}

    def add(self, storage: Var, size: Dim) -> None:
        """Makes room for a storage."""
        self._starts[storage] = self._size
        self._size = self._size + whole_lines(size)

    def address(self, storage: Var, offset: Dim) -> int:
        """The slot of the address so many bytes into a storage."""
        return self.moved(WORKSPACE_SLOT, self._starts[storage] + offset, "workspace")

    def moved(self, pointer: int, offset: Dim, name: str) -> int:
        """The slot of the address ``offset`` bytes after the one in ``pointer``; computed once."""
        offset = with_positive_divisors(offset)
        if isinstance(offset, int) and offset == 0:
            return pointer
        key = pointer, offset
        if key not in self._addresses:
            place = str(offset) if len(str(offset)) <= MAX_NAME else f"offset {len(self._addresses)}"
            self._addresses[key] = self._late.emit("add", pointer, self._late.slot_of(offset), f"{name}[{place}]")
        return self._addresses[key]

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Code that may not run: addresses computed inside are forgotten after."""
        saved = dict(self._addresses)
        yield
        self._addresses = saved

    def finish(self) -> None:
        """Emits the size of the workspace."""
        if self._starts:
            self._early.assign(with_positive_divisors(self._size), WORKSPACE_SIZE_SLOT)
