"""Flat memory: every access gets one index, the element's position in row-major order."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import Buffer, PrimFunc, Store, rewrite_statement
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import flat_index
from relaxdsl.types.dims import Dim


def flatten_accesses(prim_func: PrimFunc) -> PrimFunc:
    """Gives every buffer but registers one axis.

    Before, with ``x`` of shape ``(m, n)``: ``x[i, j]``. After, with ``x`` of shape ``(m * n,)``: ``x[i * n + j]``.
    """
    flat = {each: _flat_buffer(each) for each in (*prim_func.params, *prim_func.scratch)}

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer not in flat:
            return None
        indices = tuple(rewrite(i, on_node) if isinstance(i, ScalarExpr) else i for i in node.indices)
        return Load(flat[node.buffer], _position(node.buffer, indices))

    def on_store(store: Store) -> Store:
        if store.buffer not in flat:
            return store
        return Store(flat[store.buffer], _position(store.buffer, store.indices), store.value)

    return replace(
        prim_func,
        params=tuple(flat[each] for each in prim_func.params),
        scratch=tuple(flat[each] for each in prim_func.scratch),
        body=rewrite_statement(prim_func.body, on_node, on_store=on_store),
    )


def _position(buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Index]:
    return (flat_index(buffer.shape, indices),)


def _flat_buffer(buffer: Buffer) -> Buffer:
    size: Dim = 1
    for extent in buffer.shape:
        size = size * extent
    return replace(buffer, shape=(size,))
