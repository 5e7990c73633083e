"""Workspace for intermediates: one offset each, reused where a dead tensor has provably the same number of bytes."""

from __future__ import annotations

import math
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Var
from relaxdsl.runtime.program import WORKSPACE_SIZE_SLOT, WORKSPACE_SLOT, Arith, Instruction
from relaxdsl.runtime.slots import DimCompiler, SlotAllocator
from relaxdsl.types.dims import Dim, exact_divide
from relaxdsl.types.dtype import itemsize

ALIGNMENT_BYTES = 64


def size_bytes(shape: tuple[Dim, ...], dtype: str) -> Dim:
    """The bytes of a dense tensor."""
    return math.prod(shape, start=itemsize(dtype))


@dataclass(slots=True)
class Storage:
    """A piece of workspace: the slot of its address, its size, how often it is there, and what lives in it."""

    pointer: int
    size_bytes: Dim
    copies: Dim
    is_reusable: bool
    tenants: set[Var] = field(default_factory=set)


class Workspace:
    """Hands out storage. Offsets are computed in the prologue, addresses where a storage is first used."""

    def __init__(self, slots: SlotAllocator, dims: DimCompiler) -> None:
        self._slots = slots
        self._dims = dims
        self._total: int | None = None
        self._free: dict[tuple[Dim, Dim], list[Storage]] = {}
        self._aligned: dict[Dim, int] = {}
        self._by_pointer: dict[int, Storage] = {}

    def take(self, size: Dim, steps: list[Instruction], *, is_reusable: bool, copies: Dim = 1) -> Storage:
        """A storage of ``size`` bytes: a free one of that size, or a new one whose address ``steps`` then compute.

        Args:
            is_reusable: whether it may serve again after :meth:`release`; not so in branches, which may not run.
            copies: how many of that size, each of whole cache lines, lie one after the other.
        """
        free = self._free.get((size, copies))
        if free:
            return free.pop()
        name = f"workspace[{size}]" if copies == 1 else f"workspace[{size}] for each of {copies}"
        storage = Storage(self._slots.add(name), size, copies, is_reusable)
        self._by_pointer[storage.pointer] = storage
        steps.append(Arith("add", storage.pointer, WORKSPACE_SLOT, self._reserve(size, copies)))
        return storage

    def aligned(self, size: Dim) -> int:
        """The slot of ``size`` in whole cache lines, which is computed in the prologue."""
        if isinstance(size, int):
            return self._slots.constant(-(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
        if exact_divide(size, ALIGNMENT_BYTES) is not None:
            return self._dims.slot_of(size)
        if size not in self._aligned:
            line = self._slots.constant(ALIGNMENT_BYTES)
            self._aligned[size] = self._dims.emit("align", self._dims.slot_of(size), line, f"{size} aligned")
        return self._aligned[size]

    def move_in(self, var: Var, pointer: int) -> None:
        """``var`` lives where ``pointer`` points, if that is workspace."""
        if pointer in self._by_pointer:
            self._by_pointer[pointer].tenants.add(var)

    def move_out(self, var: Var, pointer: int) -> None:
        """``var`` is dead; the last tenant's storage becomes free."""
        storage = self._by_pointer.get(pointer)
        if storage is not None and var in storage.tenants:
            storage.tenants.discard(var)
            if not storage.tenants:
                self.release(storage)

    def pin(self, pointer: int) -> None:
        """Whatever lives at ``pointer`` stays: something else points there too."""
        if pointer in self._by_pointer:
            self._by_pointer[pointer].is_reusable = False

    def release(self, storage: Storage) -> None:
        """The storage may serve again."""
        if storage.is_reusable:
            self._free.setdefault((storage.size_bytes, storage.copies), []).append(storage)

    def finish(self) -> None:
        """Emits the size of the workspace; nothing may be taken after."""
        if self._total is not None:
            zero = self._slots.constant(0)
            self._dims.steps.append(Arith("add", WORKSPACE_SIZE_SLOT, self._total, zero))

    def _reserve(self, size: Dim, copies: Dim) -> int:
        """The slot of a new storage's offset."""
        offset = self._slots.constant(0) if self._total is None else self._total
        space = self.aligned(size)
        if copies != 1:
            space = self._dims.emit("mul", space, self._dims.slot_of(copies))
        self._total = space if self._total is None else self._dims.emit("add", offset, space, "workspace end")
        return offset
