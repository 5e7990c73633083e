"""Flat memory: every access gets one index, the element's position in row-major order."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import Buffer, PrimFunc, move_accesses
from relaxdsl.ir.scalar import Index
from relaxdsl.kernels.accesses import flat_index
from relaxdsl.types.dims import Dim


def flatten_accesses(prim_func: PrimFunc) -> PrimFunc:
    """Gives every buffer but registers one axis.

    Before, with ``x`` of shape ``(m, n)``: ``x[i, j]``. After, with ``x`` of shape ``(m * n,)``: ``x[i * n + j]``.
    """
    flat = {each: _flat_buffer(each) for each in (*prim_func.params, *prim_func.scratch)}

    def placed(buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Index, ...]]:
        return flat[buffer], (flat_index(buffer.shape, indices),)

    return replace(
        prim_func,
        params=tuple(flat[each] for each in prim_func.params),
        scratch=tuple(flat[each] for each in prim_func.scratch),
        body=move_accesses(prim_func.body, flat, placed),
    )


def _flat_buffer(buffer: Buffer) -> Buffer:
    size: Dim = 1
    for extent in buffer.shape:
        size = size * extent
    return replace(buffer, shape=(size,))
