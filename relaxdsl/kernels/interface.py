"""What the caller of a compiled kernel knows of it: sizes, phases, memory. The loops are not needed to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from relaxdsl.ir.loops import Buffer, CallExtern, PrimFunc, Stmt, walk
from relaxdsl.ir.visit_loops import dims_of_scalar, dims_of_stmt, scalars_of, walk_scalar
from relaxdsl.kernels.accesses import buffers_touched
from relaxdsl.kernels.schedule.parallel import extent_of, is_divided, phases
from relaxdsl.kernels.work import estimate_work
from relaxdsl.types.dims import Dim, free_symbols, substitute, symbol, symbols_of
from relaxdsl.types.symint import from_atom


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a kernel: any split of its range ``0 ... extent`` into parts may run in parallel.

    Args:
        work: the estimate of its work.
        reads, writes: what it shares with callers and other phases, as positions in the parameters and then the
        shared buffers.
        sizes: the names of the sizes on which depends what it leaves.
    """

    extent: Dim
    work: Dim
    reads: frozenset[int]
    writes: frozenset[int]
    sizes: frozenset[str]


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
            return replace(each, extent=own(each.extent), work=own(each.work), sizes=sizes)

        def buffers(each: Iterable[Buffer]) -> tuple[Buffer, ...]:
            return tuple(replace(buffer, shape=tuple(map(own, buffer.shape))) for buffer in each)

        return Interface(symbols, tuple(map(phase, self.phases)), buffers(self.shared), buffers(self.scratch))


def interface_of(scheduled: PrimFunc) -> Interface:
    """The interface of a kernel with these loops."""
    shared = tuple(each for each in scheduled.scratch if each.scope == "shared")
    places = {buffer: place for place, buffer in enumerate((*scheduled.params, *shared))}
    return Interface(
        symbols=scheduled.symbols,
        phases=tuple(_phase(each, scheduled, places) for each in phases(scheduled.body)),
        shared=shared,
        scratch=tuple(each for each in scheduled.scratch if each.scope == "scratch"),
    )


def own_sizes(symbols: Iterable[str], prim_func: PrimFunc) -> dict[str, Dim]:
    """By the names in ``symbols``, the sizes of a PrimFunc that stand in their places, with the bounds they have."""
    shapes = (size for buffer in (*prim_func.params, *prim_func.scratch) for size in buffer.shape)
    own = {each.name: from_atom(each) for size in shapes for each in symbols_of(size)}
    return {old: own.get(new, symbol(new)) for old, new in zip(symbols, prim_func.symbols, strict=True)}


def _phase(phase: Stmt, scheduled: PrimFunc, places: dict[Buffer, int]) -> Phase:
    read, written = buffers_touched(phase)
    return Phase(
        extent=extent_of(phase),
        work=estimate_work(phase),
        reads=frozenset(places[each] for each in read if each in places),
        writes=frozenset(places[each] for each in written if each in places),
        sizes=frozenset(_sizes_needed(phase)) & frozenset(scheduled.symbols),
    )


def _sizes_needed(phase: Stmt) -> Iterator[str]:
    """The names of the sizes, and of loops' variables, on which what a phase leaves depends, its range left aside."""
    for stmt in walk(phase):
        elsewhere = (dim for expr in scalars_of(stmt) for node in walk_scalar(expr) for dim in dims_of_scalar(node))
        own = () if stmt is phase and is_divided(phase) else _own_dims(stmt)
        for dim in (*own, *elsewhere):
            yield from free_symbols(dim)


def _own_dims(stmt: Stmt) -> tuple[Dim, ...]:
    """The dims that a statement uses itself. How many rows there will be only decides whether packing pays."""
    if isinstance(stmt, CallExtern) and stmt.function.startswith("pack_") and "gathered" not in stmt.function:
        return dims_of_stmt(stmt)[1:]
    return dims_of_stmt(stmt)
