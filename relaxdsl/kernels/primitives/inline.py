"""Blocks that disappear into those that read them, or into the one that they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relaxdsl.ir.loops import Block, Buffer, PrimFunc, Seq, Store, rewrite_statement
from relaxdsl.ir.scalar import Load, ScalarExpr, rewrite
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.primitives.coverage import require_all_places
from relaxdsl.kernels.primitives.dependence import touches
from relaxdsl.kernels.primitives.facts import (
    only_store,
    readers_of,
    reads_of,
    require_axes_in_place,
    require_inputs_made,
    require_only_writer,
    require_own_scratch,
    require_read_after,
    require_same_inputs,
    writes_of,
)
from relaxdsl.kernels.primitives.tree import block_path, blocks_in, refuse, replaced
from relaxdsl.types.dims import Dim, substitute


def compute_inline(func: PrimFunc, block: str) -> PrimFunc:
    """The kernel with a block's value computed wherever it is read; see :meth:`.Schedule.compute_inline`."""
    step = "compute_inline"
    _, producer = block_path(func, block, step)
    store = only_store(func, producer, step)
    require_own_scratch(func, producer, step)
    require_axes_in_place(func, producer, step)
    require_all_places(func, producer, step)
    require_same_inputs(func, producer, step)
    require_read_after(func, producer, step)
    for read in readers_of(func, producer):
        if read.indices is None or any(isinstance(index, ScalarExpr) for index in read.indices):
            refuse(func, f"{step}: {store.buffer.name} is read at an index that depends on data", block)
    rest = _without_block(func, producer)
    names = [str(bare_name(index)) for index in store.indices]

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer is not store.buffer:
            return None
        return _with_values(store.value, dict(zip(names, node.indices, strict=True)))  # type: ignore[arg-type]

    return _without_scratch(replace(rest, body=rewrite_statement(rest.body, on_node)), store.buffer)


def reverse_compute_inline(func: PrimFunc, block: str) -> PrimFunc:
    """The kernel with a block computed where its input is; see :meth:`.Schedule.reverse_compute_inline`."""
    step = "reverse_compute_inline"
    _, consumer = block_path(func, block, step)
    store = only_store(func, consumer, step)
    require_only_writer(func, consumer, step)
    require_all_places(func, consumer, step)
    producer = _only_producer(func, consumer)
    source = only_store(func, producer, step)
    require_all_places(func, producer, step)
    require_own_scratch(func, producer, step)
    require_axes_in_place(func, producer, step)
    require_read_after(func, producer, step)
    require_read_after(func, consumer, step)
    values = _axes_at(func, consumer, source)
    for other in (each for each in readers_of(func, producer) if each.block is not consumer):
        refuse(func, f"{step}: {other.owner} reads {source.buffer.name} too", block, other.place)
    _require_inputs_before(func, consumer, producer, source.buffer)

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        return source.value if isinstance(node, Load) and node.buffer is source.buffer else None

    moved = rewrite(_with_values(store.value, values), on_node)
    indices = tuple(each if isinstance(each, ScalarExpr) else substitute(each, values) for each in store.indices)
    result = replaced(func, producer, replace(producer, body=Store(store.buffer, indices, moved)))
    result = _without_scratch(_without_block(result, block_path(result, block, step)[1]), source.buffer)
    require_inputs_made(func, result, block, producer.name, producer.name, step)
    return result


def _without_block(func: PrimFunc, block: Block) -> PrimFunc:
    return replaced(func, block, Seq(()))


def _without_scratch(func: PrimFunc, buffer: Buffer) -> PrimFunc:
    return replace(func, scratch=tuple(each for each in func.scratch if each is not buffer))


def _with_values(value: ScalarExpr, values: Mapping[str, Dim]) -> ScalarExpr:
    return rewrite(value, on_dim=lambda dim: substitute(dim, values))


def _only_producer(func: PrimFunc, consumer: Block) -> Block:
    """The block in this kernel whose result ``consumer`` reads."""
    found = [each for each in blocks_in(func.body) if each is not consumer and _feeds(each, consumer)]
    scratch = [each for each in found if all(buffer.scope != "global" for buffer in writes_of(each))]
    if not scratch:
        headline = f"reverse_compute_inline: block {consumer.name} reads no other block's result"
        refuse(func, headline, consumer.name)
    return scratch[-1]


def _feeds(producer: Block, consumer: Block) -> bool:
    return bool(set(writes_of(producer)) & set(reads_of(consumer)))


def _axes_at(func: PrimFunc, consumer: Block, source: Store) -> dict[str, Dim]:
    """The axes of ``consumer`` in terms of the block that stores ``source``: it reads each element at its own place."""
    reads = {each.own_indices for each in touches(consumer) if each.buffer is source.buffer}
    names = [bare_name(index) for index in next(iter(reads))]
    own = {axis.var: axis.extent for axis in consumer.iter_vars}
    extents = [own.get(str(name)) for name in names]
    if len(reads) > 1 or set(names) != set(own) or extents != list(source.buffer.shape):
        headline = f"block {consumer.name} does not read {source.buffer.name} at the place of its axes"
        refuse(func, f"reverse_compute_inline: {headline}", consumer.name)
    return dict(zip(map(str, names), source.indices, strict=True))  # type: ignore[arg-type]


def _require_inputs_before(func: PrimFunc, consumer: Block, producer: Block, between: Buffer) -> None:
    """Refuses if something else that ``consumer`` reads is not there yet when ``producer`` runs."""
    found = touches(func.body)
    last = max(number for number, each in enumerate(found) if each.block is producer)
    for each in found[last + 1 :]:
        if each.is_write and each.buffer in reads_of(consumer) and each.buffer is not between:
            headline = f"{each.buffer.name}, which block {consumer.name} reads, is made after {producer.name}"
            refuse(func, f"reverse_compute_inline: {headline}", consumer.name, each.place)
