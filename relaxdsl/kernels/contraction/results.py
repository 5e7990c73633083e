"""Products that stand where the kernel's output will: what follows element by element is done in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.ir.loops import Buffer, PrimFunc, Seq, Stmt, Store, sequence, substitute_buffers
from relaxdsl.ir.scalar import Index, Load
from relaxdsl.kernels.accesses import buffers_touched, expressions, loads_of
from relaxdsl.kernels.contraction.match import contraction_of
from relaxdsl.kernels.schedule.decompose import nest_of


def with_results_in_outputs(prim_func: PrimFunc) -> PrimFunc:
    """The kernel without scratch for products whose only reader makes an element of an output of each.

    Before::

        for i, j, k: with block: c[i, j] = c[i, j] + a[i, k] * b[k, j]    init: c[i, j] = 0
        for i, j: with block: out[i, j] = c[i, j] + bias[j]

    After::

        for i, j, k: with block: out[i, j] = out[i, j] + a[i, k] * b[k, j]    init: out[i, j] = 0
        for i, j: with block: out[i, j] = out[i, j] + bias[j]
    """
    statements = list(prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,))
    gone = set[Buffer]()
    for place, stmt in enumerate(statements):
        contraction = contraction_of(stmt, prim_func.symbols)
        if contraction is None or contraction.result.buffer not in prim_func.scratch:
            continue
        product = contraction.result.buffer
        found = _reader(prim_func, statements, place, product)
        if found is None:
            continue
        reader, output = found
        for each in (place, reader):
            statements[each] = substitute_buffers(statements[each], {product: output}, {product: output})
        gone.add(product)
    if not gone:
        return prim_func
    scratch = tuple(each for each in prim_func.scratch if each not in gone)
    return replace(prim_func, scratch=scratch, body=sequence(*statements))


def _reader(
    prim_func: PrimFunc, statements: Sequence[Stmt], maker: int, product: Buffer
) -> tuple[int, Buffer] | None:
    """The only statement that reads a product, and the output that it makes of it and nothing else touches."""
    touching = [set[Buffer]().union(*buffers_touched(each)) for each in statements]
    readers = [place for place, buffers in enumerate(touching) if product in buffers and place != maker]
    if len(readers) != 1 or readers[0] < maker:
        return None
    (reader,) = readers
    output = _made_of(statements[reader], product)
    # What shares memory with an input that is still to be read cannot hold anything else before.
    shared = {prim_func.params[place] for place, _ in prim_func.attrs.get("in_place", ())}
    if output is None or output not in prim_func.outputs or output in shared:
        return None
    is_alone = not any(output in buffers for place, buffers in enumerate(touching) if place != reader)
    return (reader, output) if is_alone else None


def _made_of(stmt: Stmt, product: Buffer) -> Buffer | None:
    """The buffer that the statement writes, each element once, at the very place where it reads the product, which is
    like it.
    """
    nest = nest_of(stmt)
    if nest is None or nest.reduce or nest.block.init is not None or not isinstance(nest.block.body, Store):
        return None
    store = nest.block.body
    reads = [load for expr in expressions(store) for load in loads_of(expr)]
    at = {_place(each) for each in reads if each.buffer is product}
    is_like = (store.buffer.shape, store.buffer.dtype) == (product.shape, product.dtype)
    is_own = at == {_place(store)} and not any(each.buffer is store.buffer for each in reads)
    return store.buffer if is_like and is_own else None


def _place(access: Load | Store) -> tuple[Index, ...]:
    """Where an access is, on the axes that have more than one place."""
    return tuple(index for index, size in zip(access.indices, access.buffer.shape, strict=True) if size != 1)
