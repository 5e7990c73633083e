"""Long sums are made of sums of blocks, so that rounding errors grow with the block and not with the sum."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import (
    Buffer,
    For,
    IfThenElse,
    PrimFunc,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    rewrite_statement,
    sequence,
    substitute_variables,
    walk,
)
from relaxdsl.ir.scalar import REORDERED, Apply, IndexValue, Load, ScalarExpr, cast, const
from relaxdsl.kernels.accesses import Access, accesses
from relaxdsl.types.dims import Dim, ceildiv, dim_min
from relaxdsl.types.dtype import is_float

#: Terms that are added up one after the other, in as many lanes as the machine has; NumPy adds 128 in 8 lanes.
BLOCK = 1024
_SUMS = ("add", REORDERED["add"])


def block_sums(prim_func: PrimFunc) -> PrimFunc:
    """Adds the terms of a long loop up in blocks, and these in float64.

    Before::

        for k in range(n):
            s = fast_add(s, x[k])

    After::

        s_total = float64(0)
        for k_block in range(ceildiv(n, 1024)):
            s_part = 0
            for k in range(k_block * 1024, k_block * 1024 + min(1024, n - k_block * 1024)):
                s_part = fast_add(s_part, x[k])
            s_total = s_total + float64(s_part)
        s = s + float32(s_total)

    A loop that runs once a row, and may be short, is kept for short rows; where it does more than to add, it is left
    alone.

    Source: blocked summation; Higham, *Accuracy and Stability of Numerical Algorithms*, section 4.2.
    """
    return replace(prim_func, body=_visit(prim_func.body, is_inside=False))


def _visit(stmt: Stmt, is_inside: bool) -> Stmt:
    if not isinstance(stmt, For):
        return map_statements(stmt, lambda inner: _visit(inner, is_inside))
    loop = replace(stmt, body=_visit(stmt.body, is_inside=True))
    sums = _sums_in(loop.body) if loop.kind == "serial" and not _is_short(loop.extent) else []
    if not sums or (is_inside and not isinstance(loop.body, Store)):
        return loop
    blocked = _in_blocks(loop, sums)
    if not is_inside or isinstance(loop.extent, int):
        return blocked
    return IfThenElse(Apply("less_equal", (IndexValue(loop.extent), const(BLOCK, "int64")), "bool"), loop, blocked)


def _is_short(extent: Dim) -> bool:
    return isinstance(extent, int) and extent <= BLOCK


def _sums_in(body: Stmt) -> list[Buffer]:
    """The registers that the body does nothing with but add to them."""
    found = [access for access in accesses(body) if access.buffer.scope == "register" and is_float(access.buffer.dtype)]
    steps = [buffer for stmt in _stores(body) if (buffer := _summed(stmt)) is not None]
    return [buffer for buffer in dict.fromkeys(steps) if _count(found, buffer) == 2 * steps.count(buffer)]


def _count(found: list[Access], buffer: Buffer) -> int:
    return sum(1 for access in found if access.buffer is buffer)


def _stores(stmt: Stmt) -> list[Store]:
    return [each for each in walk(stmt) if isinstance(each, Store)]


def _summed(store: Store) -> Buffer | None:
    """The buffer of ``buffer = buffer + term``."""
    match store.value:
        case Apply(function, (Load(buffer), _)) if buffer is store.buffer and function in _SUMS:
            return buffer
    return None


def _in_blocks(loop: For, sums: list[Buffer]) -> Stmt:
    parts = {buffer: replace(buffer, name=f"{buffer.name}_part") for buffer in sums}
    totals = {buffer: replace(buffer, name=f"{buffer.name}_total", dtype="float64") for buffer in sums}
    name = f"{loop.var}.block"
    start = loop_variable(name, ceildiv(loop.extent, BLOCK)) * BLOCK
    # A variable of its own: the loop itself may stand beside this one, for short rows.
    inner_name = f"{loop.var}.inner"
    extent = dim_min(BLOCK, loop.extent - start)
    moved = substitute_variables(_moved(loop.body, parts), {loop.var: loop_variable(inner_name, loop.extent)})
    inner = replace(loop, var=inner_name, body=moved, start=loop.start + start, extent=extent)
    outer = sequence(
        *(Store(part, (), const(0.0, part.dtype)) for part in parts.values()),
        inner,
        *(_added(totals[buffer], Load(parts[buffer], ())) for buffer in sums),
    )
    return sequence(
        *(Store(total, (), const(0.0, "float64")) for total in totals.values()),
        For(name, ceildiv(loop.extent, BLOCK), outer),
        *(_added(buffer, Load(totals[buffer], ())) for buffer in sums),
    )


def _added(register: Buffer, term: ScalarExpr) -> Store:
    """``register = register + term``."""
    return Store(register, (), Apply("add", (Load(register, ()), cast(term, register.dtype)), register.dtype))


def _moved(body: Stmt, parts: dict[Buffer, Buffer]) -> Stmt:
    """The body on the parts instead of the sums."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return Load(parts[node.buffer], ()) if isinstance(node, Load) and node.buffer in parts else None

    def on_store(store: Store) -> Store:
        return replace(store, buffer=parts[store.buffer]) if store.buffer in parts else store

    return rewrite_statement(body, on_node, on_store=on_store)
