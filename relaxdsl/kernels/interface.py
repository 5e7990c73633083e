"""What the caller of a compiled kernel knows of it: sizes, phases, memory. The loops are not needed to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import PARTS_PER_THREAD, Buffer, PrimFunc
from relaxdsl.types.dims import Dim, substitute, symbol, symbols_of
from relaxdsl.types.symint import from_atom


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a kernel: any split of its range ``0 ... extent`` into parts may run in parallel.

    Args:
        work: the estimate of its work. per_thread: how many parts there are for each thread that shares it.
        reads, writes: what it shares with callers and other phases, as positions in the parameters and then the
        shared buffers.
        sizes: the names of the sizes on which depends what it leaves.
    """

    extent: Dim
    work: Dim
    reads: frozenset[int]
    writes: frozenset[int]
    sizes: frozenset[str]
    per_thread: Dim = PARTS_PER_THREAD


@dataclass(frozen=True, slots=True)
class Interface:
    """What a call of a kernel is made of.

    Args:
        symbols: the sizes to pass, in order.
        phases: in the order in which they must run, each when the one before is done.
        shared: what there is memory for once a call. scratch: what each running part needs memory of its own for.
    """

    symbols: tuple[str, ...]
    phases: tuple[Phase, ...]
    shared: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]

    def in_terms_of(self, prim_func: PrimFunc) -> Interface:
        """The same for another PrimFunc of this structure, with its names for sizes."""
        sizes = own_sizes(self.symbols, prim_func)
        return self._mapped(lambda dim: substitute(dim, sizes), prim_func.symbols)

    def _mapped(self, own: Callable[[Dim], Dim], symbols: tuple[str, ...]) -> Interface:
        names = dict(zip(self.symbols, symbols, strict=True))

        def phase(each: Phase) -> Phase:
            sizes = frozenset(names[name] for name in each.sizes)
            extent, work, per_thread = map(own, (each.extent, each.work, each.per_thread))
            return replace(each, extent=extent, work=work, per_thread=per_thread, sizes=sizes)

        def buffers(each: Iterable[Buffer]) -> tuple[Buffer, ...]:
            return tuple(replace(buffer, shape=tuple(map(own, buffer.shape))) for buffer in each)

        return Interface(symbols, tuple(map(phase, self.phases)), buffers(self.shared), buffers(self.scratch))


def own_sizes(symbols: Iterable[str], prim_func: PrimFunc) -> dict[str, Dim]:
    """By the names in ``symbols``, the sizes of a PrimFunc that stand in their places, with the bounds they have."""
    shapes = (size for buffer in (*prim_func.params, *prim_func.scratch) for size in buffer.shape)
    own = {each.name: from_atom(each) for size in shapes for each in symbols_of(size)}
    return {old: own.get(new, symbol(new)) for old, new in zip(symbols, prim_func.symbols, strict=True)}
