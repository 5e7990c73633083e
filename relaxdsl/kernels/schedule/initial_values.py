"""What a reduction starts with is set before its outermost loop, also in nests that hold more than its block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.ir.loops import Block, IfThenElse, PrimFunc, Stmt, loop_variable, sequence, sub_statements, walk
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Apply, IndexValue, const
from relaxdsl.kernels.access_sites import sites_of
from relaxdsl.kernels.accesses import buffers_touched, expressions, loads_of
from relaxdsl.kernels.out_of_range import is_proved
from relaxdsl.kernels.primitives.reductions import initial_values, reduce_loops
from relaxdsl.kernels.primitives.tree import Path, names_in, with_statement
from relaxdsl.kernels.schedule.decompose import nest_of


def set_initial_values(prim_func: PrimFunc) -> PrimFunc:
    """Sets the initial values of reductions that are no perfect nest before the loops that they run over.

    Before::

        for i in range(m):
            for k in range(n):
                with block: s[i] = s[i] + x[i, k]    init: s[i] = 0
            for j in range(p):
                with block: y[i, j] = s[i]

    After::

        for i in range(m):
            with block: s[i] = 0
            for k in range(n):
                with block: s[i] = s[i] + x[i, k]
            for j in range(p):
                with block: y[i, j] = s[i]

    So they are set even if there is no step. A reduction whose loops do more than it, in a way that matters, starts
    in its first step, and stays unset if there is none.
    """
    names = names_in(prim_func)
    while (path := next(_reductions(prim_func.body), None)) is not None:
        early = _set_before_loops(prim_func, path, names)
        prim_func = _set_in_first_step(prim_func, path) if early is None else early
    return prim_func


def _reductions(stmt: Stmt, above: Path = ()) -> Iterator[Path]:
    """The way to each block that has an init and is not in a perfect nest."""
    path = (*above, stmt)
    if nest_of(stmt) is not None:
        return
    if isinstance(stmt, Block):
        if stmt.init is not None:
            yield path
        return
    for inner in sub_statements(stmt):
        yield from _reductions(inner, path)


def _set_before_loops(func: PrimFunc, path: Path, names: UniqueNames) -> PrimFunc | None:
    block = _block_at(path)
    loops = reduce_loops(path, block)
    place: Stmt = loops[0] if loops else block
    if _is_changed_within(path[path.index(place) :]):
        return None
    first = initial_values(path, block, place, names)
    update = with_statement(place, block, replace(block, init=None))
    moved = replace(func, body=with_statement(func.body, place, sequence(first, update)))
    return moved if _is_in_range(moved, first) else None


def _block_at(path: Path) -> Block:
    block = path[-1]
    assert isinstance(block, Block)
    return block


def _is_changed_within(path: Path) -> bool:
    """Whether the first statement of ``path`` changes what the init at its end sets, reads or runs under, or may read
    what it sets before that.
    """
    block = _block_at(path)
    assert block.init is not None
    needed, set_ = buffers_touched(block.init)
    for each in path:
        needed |= {load.buffer for expr in expressions(each) for load in loads_of(expr)}
    read, written = buffers_touched(with_statement(path[0], block, sequence()))
    return bool((needed | set_) & written or set_ & read or needed & buffers_touched(block)[1])


def _is_in_range(func: PrimFunc, first: Stmt) -> bool:
    """Whether ``first``, which stands under fewer conditions than before, is proved to stay within its buffers."""
    statements = list(walk(first))
    inside: set[object] = {*statements}
    inside.update(load for each in statements for expr in expressions(each) for load in loads_of(expr))
    return all(is_proved(site) for site in sites_of(func) if site.node in inside)


def _set_in_first_step(func: PrimFunc, path: Path) -> PrimFunc:
    block = _block_at(path)
    assert block.init is not None
    init = block.init
    for axis in (axis for axis in block.iter_vars if axis.kind == "reduce"):
        step = IndexValue(loop_variable(axis.var, axis.extent))
        init = IfThenElse(Apply("equal", (step, const(0, "int64")), "bool"), init)
    started = replace(block, body=sequence(init, block.body), init=None)
    return replace(func, body=with_statement(func.body, block, started))
