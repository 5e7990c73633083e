"""A compiled kernel as the parts of a cache entry, and back: its object code, and its interface as JSON.

Sizes are written as text, in the names of the kernel that was compiled, and read in those of the kernel that wants it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, PrimFunc
from relaxdsl.kernels.interface import Interface, Phase, own_sizes
from relaxdsl.types.dim_parser import parse_expression
from relaxdsl.types.dims import Dim


@dataclass(frozen=True, slots=True)
class StoredKernel:
    """What the disk keeps of a kernel.

    Args:
        function: the name of the C function in the object code.
        imports: the names that the linker must know.
    """

    object_code: bytes
    function: str
    imports: tuple[str, ...]
    interface: Interface


def to_parts(kernel: StoredKernel) -> dict[str, bytes]:
    """The kernel as parts of an entry."""
    interface = kernel.interface
    about = {
        "function": kernel.function,
        "imports": kernel.imports,
        "symbols": interface.symbols,
        "phases": [_phase_as_json(each) for each in interface.phases],
        "shared": [_buffer_as_json(each) for each in interface.shared],
        "scratch": [_buffer_as_json(each) for each in interface.scratch],
    }
    return {"about": json.dumps(about).encode(), "object": kernel.object_code}


def from_parts(parts: Mapping[str, bytes], prim_func: PrimFunc) -> StoredKernel:
    """The kernel in these parts, whose structure is that of ``prim_func``, with the names this has for sizes."""
    about = json.loads(parts["about"])
    reader = _Reader(
        dict(zip(about["symbols"], prim_func.symbols, strict=True)), own_sizes(about["symbols"], prim_func)
    )
    interface = Interface(
        symbols=prim_func.symbols,
        phases=tuple(map(reader.phase, about["phases"])),
        shared=tuple(reader.buffer(each, "shared") for each in about["shared"]),
        scratch=tuple(reader.buffer(each, "scratch") for each in about["scratch"]),
    )
    return StoredKernel(parts["object"], about["function"], tuple(about["imports"]), interface)


def is_kept(kernel: StoredKernel, prim_func: PrimFunc) -> bool:
    """Whether the kernel comes back as it is: whether its sizes are those that their text means."""
    back = from_parts(to_parts(kernel), prim_func)
    return _as_comparable(back.interface) == _as_comparable(kernel.interface.in_terms_of(prim_func))


def _as_comparable(interface: Interface) -> tuple[object, ...]:
    memory = [(each.name, each.shape, each.dtype) for each in (*interface.shared, *interface.scratch)]
    return interface.symbols, interface.phases, memory


def _phase_as_json(phase: Phase) -> dict[str, Any]:
    sets = {name: sorted(getattr(phase, name)) for name in ("reads", "writes", "sizes")}
    return {name: str(getattr(phase, name)) for name in ("extent", "work", "per_thread")} | sets


def _buffer_as_json(buffer: Buffer) -> dict[str, Any]:
    return {"name": buffer.name, "shape": list(map(str, buffer.shape)), "dtype": buffer.dtype}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads in other names: ``names`` by the old ones, and the sizes that these are."""

    names: Mapping[str, str]
    sizes: Mapping[str, Dim]

    def dim(self, text: str) -> Dim:
        return int(text) if text.isdecimal() else parse_expression(text, self.sizes.__getitem__)

    def dims(self, texts: Iterable[str]) -> tuple[Dim, ...]:
        return tuple(map(self.dim, texts))

    def phase(self, about: Mapping[str, Any]) -> Phase:
        sizes = frozenset(self.names[name] for name in about["sizes"])
        reads, writes = frozenset(about["reads"]), frozenset(about["writes"])
        extent, work, per_thread = (self.dim(about[name]) for name in ("extent", "work", "per_thread"))
        return Phase(extent, work, reads, writes, sizes, per_thread)

    def buffer(self, about: Mapping[str, Any], scope: Any) -> Buffer:
        return Buffer(about["name"], self.dims(about["shape"]), about["dtype"], scope)
