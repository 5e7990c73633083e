"""Phases: what of a kernel threads share, and what must be done before what follows begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from relaxdsl.ir.loops import (
    PARTS_PER_THREAD,
    Buffer,
    CallExtern,
    For,
    Parts,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    move_accesses,
    sequence,
    substitute_variables,
    walk,
)
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels.accesses import Access, accesses
from relaxdsl.kernels.schedule.shrink import is_assigned_first
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv, free_symbols


def bind_parallel_range(prim_func: PrimFunc) -> PrimFunc:
    """Leaves parallel the loops that are a phase each: whose range the caller divides among threads.

    Before::

        for i in parallel(m): for j in parallel(n): total = total + x[i, j]     # total is a register
        for i in parallel(m): t[i] = ...                                        # t is scratch
        for i in parallel(m): out[i] = t[m - 1 - i] / total

    After::

        for i in range(m): for j in range(n): total = total + x[i, j]
        total_kept[0] = total                                                   # total_kept and t are shared
        for i in parallel(m): t[i] = ...
        for i in parallel(m): out[i] = t[m - 1 - i] / total_kept[0]

    A loop that writes what a later phase reads stays parallel only if each iteration writes elements of its own.

    Threads share two loops, one directly around the other, if there is a third: the first may run once, as over a batch
    of one image. Before::

        for i in parallel(m):
            for j in parallel(8):
                for k in parallel(p): out[i, j, k] = x[i, k] * y[j, k]

    After::

        for lower, upper in parts(m * 8):
            for i in range(lower // 8, ceildiv(upper, 8)):
                for j in range(max(lower - i * 8, 0), min(upper - i * 8, 8)):
                    for k in range(p): out[i, j, k] = x[i, k] * y[j, k]
    """
    split = list(phases(prim_func.body))
    kept = _kept_between(split)
    while (number := next((n for n, each in enumerate(split) if not _keeps_apart(each, kept)), None)) is not None:
        split = list(phases(sequence(*split[:number], _serial(split[number]), *split[number + 1 :])))
        kept = _kept_between(split)
    return _with_shared(prim_func, split, kept)


def phases(body: Stmt) -> tuple[Stmt, ...]:
    """The parts of a scheduled kernel that run one wholly before the next.

    Parallel loops and :class:`Parts` are a phase each; what stands between them is one whose range has length 1.
    """
    found: list[Stmt] = []
    waiting: list[Stmt] = []
    for stmt in body.body if isinstance(body, Seq) else (body,):
        if not is_divided(stmt):
            waiting.append(stmt)
            continue
        if waiting:
            found.append(sequence(*waiting))
        found.append(stmt)
        waiting = []
    return (*found, sequence(*waiting)) if waiting or not found else tuple(found)


def extent_of(phase: Stmt) -> Dim:
    """The length of the range of a phase, which the caller runs in parts: 1 where there is none to divide."""
    return phase.extent if isinstance(phase, For | Parts) and is_divided(phase) else 1


def is_divided(stmt: Stmt) -> bool:
    """Whether threads share a statement that stands in no other."""
    return isinstance(stmt, Parts) or (isinstance(stmt, For) and stmt.kind == "parallel")


def parts_of_pairs(
    name: str,
    outer: Dim,
    inner: Dim,
    body: Callable[[Dim, Dim, Dim], Stmt],
    per_thread: Dim = PARTS_PER_THREAD,
) -> Parts:
    """Parts of ``outer * inner`` pieces; ``body(item, first, stop)`` does the pieces ``first … stop`` of an item.

    Args:
        name: the variable of the loop over items, which no other loop has.
        inner: at least 1. ``stop`` may lie beyond it.
    """
    extent, lower_name, upper_name = outer * inner, f"{name}.lower", f"{name}.upper"
    lower, upper = loop_variable(lower_name, extent + 1), loop_variable(upper_name, extent + 1)
    if outer == 1:
        return Parts(lower_name, upper_name, extent, body(0, lower, upper), per_thread)
    first_item = floordiv(lower, inner)
    items = ceildiv(upper, inner) - first_item
    item = loop_variable(name, items)
    first = dim_max(lower - item * inner, 0)
    inside = For(name, items, body(item, first, upper - item * inner), start=first_item)
    return Parts(lower_name, upper_name, extent, inside, per_thread)


def _bound(phase: Stmt) -> Stmt:
    """The phase, with what threads share of it outermost and nothing parallel inside of that."""
    if not isinstance(phase, For) or not is_divided(phase):
        return map_statements(phase, _serial) if is_divided(phase) else _serial(phase)
    inner = phase.body
    if not isinstance(inner, For) or not _is_pair(phase, inner):
        return map_statements(phase, _serial)

    def body(item: Dim, first: Dim, stop: Dim) -> Stmt:
        count = dim_min(stop, inner.extent) - first
        variable = loop_variable(inner.var, inner.extent)
        inside = substitute_variables(_serial(inner.body), {phase.var: item, inner.var: variable})
        return For(inner.var, count, inside, start=first)

    return parts_of_pairs(phase.var, phase.extent, dim_max(1, inner.extent), body)


def _is_pair(outer: For, inner: For) -> bool:
    """Whether threads may share both loops. What is innermost stays whole: it is a row of memory."""
    are_loops = inner.kind == "parallel" and outer.start == 0 and inner.start == 0
    is_fixed = outer.var not in free_symbols(inner.extent)
    shared = (each for each in accesses(inner) if each.is_write and each.buffer.scope == "shared")
    return (
        are_loops
        and is_fixed
        and any(isinstance(each, For) for each in walk(inner.body))
        and all(inner.var in _symbols_in(each) for each in shared)
    )


def _serial(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _serial)
    return replace(stmt, kind="serial") if isinstance(stmt, For) and stmt.kind == "parallel" else stmt


# ------------------------------------------------------------------------------------------------- between the phases


def _kept_between(split: list[Stmt]) -> frozenset[Buffer]:
    """The buffers whose contents a phase finds as an earlier one left them."""
    kept: set[Buffer] = set()
    met: set[Buffer] = set()
    for phase in split:
        found = list(accesses(phase))
        touched = dict.fromkeys(each.buffer for each in found)
        kept |= {buffer for buffer in touched if buffer in met and _finds(buffer, found)}
        met |= set(touched)
    return frozenset(kept)


def _finds(buffer: Buffer, found: list[Access]) -> bool:
    """Whether something is read that may have been there before."""
    if buffer.scope == "register":
        return not is_assigned_first([each for each in found if each.buffer is buffer])
    return buffer.scope == "scratch"


def _keeps_apart(phase: Stmt, kept: frozenset[Buffer]) -> bool:
    """Whether no two iterations of a phase's range write to the same element of what is kept."""
    if not isinstance(phase, For) or not is_divided(phase):
        return True
    written = (each for each in accesses(phase) if each.is_write and each.buffer in kept)
    return all(phase.var in _symbols_in(each) for each in written)


def _symbols_in(access: Access) -> Iterator[str]:
    plain = (index for index in access.indices if not isinstance(index, ScalarExpr))
    return (name for index in plain for name in free_symbols(index))


def _with_shared(prim_func: PrimFunc, split: list[Stmt], kept: frozenset[Buffer]) -> PrimFunc:
    """The kernel of these phases, with what is kept between them in shared buffers."""
    ordered = [each for phase in split for each in dict.fromkeys(access.buffer for access in accesses(phase))]
    shared = {old: _shared(old) for old in dict.fromkeys(ordered) if old in kept}
    body = sequence(*(_bound(_on_shared(phase, shared)) for phase in split))
    local = (shared.get(each, each) for each in prim_func.scratch)
    registers = (new for old, new in shared.items() if old.scope == "register")
    return replace(prim_func, body=body, scratch=(*local, *registers))


def _shared(buffer: Buffer) -> Buffer:
    if buffer.scope == "register":
        return Buffer(f"{buffer.name}_kept", (1,), buffer.dtype, "shared")
    return replace(buffer, scope="shared")


def _on_shared(phase: Stmt, shared: dict[Buffer, Buffer]) -> Stmt:
    """The phase on shared buffers; a register that it assigns is written to memory at its end."""
    found = list(accesses(phase))
    assigned = [old for old in shared if old.scope == "register" and _touches(found, old) and not _finds(old, found)]
    moved = {old: new for old, new in shared.items() if old not in assigned}
    stores = (Store(shared[old], (0,), Load(old, ())) for old in assigned)
    return sequence(_moved(phase, moved), *stores)


def _touches(found: list[Access], buffer: Buffer) -> bool:
    return any(each.buffer is buffer for each in found)


def _moved(stmt: Stmt, moved: dict[Buffer, Buffer]) -> Stmt:
    def on_call(inner: Stmt) -> Stmt:
        if not isinstance(inner, CallExtern):
            return map_statements(inner, on_call)
        arguments = (moved.get(each, each) if isinstance(each, Buffer) else each for each in inner.arguments)
        written = (moved.get(each, each) for each in inner.written)
        return replace(inner, arguments=tuple(arguments), written=tuple(written))

    if not moved:
        return stmt
    return on_call(move_accesses(stmt, moved, lambda buffer, indices: (moved[buffer], indices or (0,))))
