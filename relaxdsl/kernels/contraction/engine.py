"""The engine's compiled cores: from the disk, or compiled, once a process; the linker knows their entries.

There is one for each dtype and family of entries, compiled when a kernel calls one of these.

Importing this module imports llvmlite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any

import llvmlite.binding as llvm

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.names import BYTE_DTYPES, ENGINE_DTYPES, FAMILIES, symbol_name
from relaxdsl.kernels.contraction.tile import Tile, element_bits, host_tile
from relaxdsl.kernels.disk import object_code
from relaxdsl.kernels.object_code import LoadedObject, native_target, parsed_for
from relaxdsl.kernels.vectors import widest_vector_bits


@dataclass(frozen=True, eq=False, slots=True)
class Core:
    """A compiled core: the addresses of its entries; ``code`` keeps them alive."""

    dtype: str
    tile: Tile
    code: LoadedObject

    def address(self, entry: str) -> int:
        return self.code.address(symbol_name(entry, self.dtype))


@cache
def core(dtype: str, family: tuple[str, ...]) -> Core:
    """The core for ``dtype`` with one of :data:`.FAMILIES`, which the linker knows by :func:`.symbol_name` then."""
    tile = host_tile(element_bits(dtype))
    content = content_of_core(dtype, family)
    made = Core(dtype, tile, LoadedObject(object_code(lambda: compile_core(dtype, tile, family), *content)))
    for entry in family:
        llvm.add_symbol(symbol_name(entry, dtype), made.address(entry))
    return made


def content_of_core(dtype: str, family: tuple[str, ...]) -> tuple[str, ...]:
    """What a core is made from, as the disk knows it."""
    return "core", dtype, *family, repr(host_tile(element_bits(dtype)))


def provide(names: Iterable[str]) -> None:
    """Makes the cores whose entries are among ``names``, which code is about to be linked with."""
    for dtype, family in cores_of(names):
        core(dtype, family)


def cores_of(names: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The dtypes and families of the cores whose entries are among ``names``."""
    wanted = set(names)
    for dtype, family in product((*ENGINE_DTYPES, *BYTE_DTYPES), FAMILIES):
        if not wanted.isdisjoint(symbol_name(entry, dtype) for entry in family):
            yield dtype, family


def compile_core(dtype: str, tile: Tile, entries: tuple[str, ...]) -> bytes:
    """The object code of a core. It runs through no passes: it is written as it should run."""
    from relaxdsl.kernels.contraction.core import core_module  # seldom needed: the disk has the core

    machine = target_machine(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    module = core_module(dtype, tile, entries, widest_vector_bits())
    made: bytes = machine.emit_object(parsed_for(machine, module))
    return made


def target_machine(cpu: str, features: str) -> Any:
    """The machine of that processor and this system."""
    return native_target().create_target_machine(cpu=cpu, features=features, opt=1)
