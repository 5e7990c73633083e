"""Compute_at and its reverse: a block runs in the loops of those that read it, or of the one that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from relaxdsl.ir.loops import Block, Buffer, For, IterVar, PrimFunc, Seq, Stmt, loop_variable, sequence
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.primitives.coverage import require_all_places, require_all_results
from relaxdsl.kernels.primitives.dependence import Touch, touches
from relaxdsl.kernels.primitives.facts import (
    readers_of,
    reads_of,
    require_axes_in_place,
    require_inputs_made,
    require_only_writer,
    require_own_scratch,
    require_read_after,
    require_same_inputs,
    require_steps_in_order,
    writes_of,
)
from relaxdsl.kernels.primitives.kinds import require_kinds
from relaxdsl.kernels.primitives.reductions import reduce_loops
from relaxdsl.kernels.primitives.regions import box_of, exact_box, union
from relaxdsl.kernels.primitives.tree import Path, block_path, loop_path, loops_on, nest, refuse, replaced
from relaxdsl.types.dims import Dim

#: Where a part of an axis starts, and how long it is.
Part: TypeAlias = tuple[Dim, Dim]

# ---------------------------------------------------------------------------------------------------------- compute_at


def compute_at(func: PrimFunc, names: UniqueNames, block: str, loop: str) -> PrimFunc:
    """The kernel with a block computed where it is needed in ``loop``; see :meth:`.Schedule.compute_at`."""
    step = "compute_at"
    path, producer = block_path(func, block, step)
    target_path, target = loop_path(func, loop, step)
    _require_elsewhere(func, path, producer, target, step)
    require_own_scratch(func, producer, step)
    require_axes_in_place(func, producer, step)
    require_all_places(func, producer, step)
    require_steps_in_order(func, producer, step)
    require_read_after(func, producer, step)
    readers = readers_of(func, producer)
    if not readers:
        refuse(func, f"{step}: nothing reads what block {block} computes", block)
    sums = reduce_loops(path, producer)
    for read in readers:
        if target not in read.loops:
            refuse(func, f"{step}: {read.owner} reads {read.buffer.name} outside of {loop}", block, loop)
        late = [each for each in sums if each in read.loops]
        if late:
            headline = f"{step}: {read.owner} reads {read.buffer.name} before the end of {late[0].var}"
            refuse(func, headline, late[0].var, read.place)
    require_same_inputs(func, producer, step)
    around = loops_on(target_path)
    box = union((box_of(read, around) for read in readers), around)
    starts = [(span[0], extent) for span, extent in zip(box.spans, box.extents, strict=True)]
    parts = {str(bare_name(index)): part for index, part in zip(_indices(producer), starts, strict=True)}
    new = _nest_over(producer, parts, names)
    made = writes_of(producer)
    func = _placed(func, producer, loop, new, lambda stmt: any(each.buffer in made for each in touches(stmt)))
    return require_kinds(func, step)


def _require_elsewhere(func: PrimFunc, path: Path, block: Block, target: For, step: str) -> None:
    if target in path:
        refuse(func, f"{step}: {target.var} is around block {block.name} already", target.var, block.name)


def _indices(block: Block) -> Sequence[Dim | ScalarExpr]:
    """The place of the element that a block computes."""
    written = writes_of(block)
    return next(each.own_indices for each in touches(block) if each.is_write and each.buffer in written)


def _nest_over(block: Block, parts: Mapping[str, Part], names: UniqueNames) -> Stmt:
    """The block in loops of its own: over the given part of some axes, over all of the others."""
    loops: list[For] = []
    axes: list[IterVar] = []
    for axis in block.iter_vars:
        start, extent = parts.get(axis.var, (0, axis.extent))
        if extent == 1:
            axes.append(replace(axis, binding=start))
            continue
        loop = For(names.fresh(f"ax{len(loops)}"), extent, block)
        loops.append(loop)
        axes.append(replace(axis, binding=start + loop_variable(loop.var, extent)))
    return nest(loops, replace(block, iter_vars=tuple(axes)))


def _placed(func: PrimFunc, old: Block, loop: str, new: Stmt, is_place: Callable[[Stmt], bool]) -> PrimFunc:
    """The kernel without the block ``old``, and with ``new`` in ``loop``, before the first statement that needs it."""
    func = replaced(func, old, Seq(()))
    _, target = loop_path(func, loop, "compute_at")
    body = target.body.body if isinstance(target.body, Seq) else (target.body,)
    place = next((number for number, stmt in enumerate(body) if is_place(stmt)), len(body))
    return replaced(func, target, replace(target, body=sequence(*body[:place], new, *body[place:])))


# -------------------------------------------------------------------------------------------------- reverse_compute_at


def reverse_compute_at(func: PrimFunc, names: UniqueNames, block: str, loop: str) -> PrimFunc:
    """The kernel with a block computed as soon as its input is made; see :meth:`.Schedule.reverse_compute_at`."""
    step = "reverse_compute_at"
    path, consumer = block_path(func, block, step)
    target_path, target = loop_path(func, loop, step)
    _require_elsewhere(func, path, consumer, target, step)
    require_only_writer(func, consumer, step)
    require_all_places(func, consumer, step)
    require_steps_in_order(func, consumer, step)
    require_read_after(func, consumer, step)
    inside = [each for each in _writes_for(func, consumer) if target in each.loops]
    if not inside:
        refuse(func, f"{step}: block {block} reads nothing that is made in {loop}", block, loop)
    _require_made_before(func, consumer, target)
    new = _nest_over(consumer, _made_parts(func, consumer, inside, target_path), names)
    moved = _placed(func, consumer, loop, new, lambda _: False)
    require_inputs_made(func, moved, block, block, loop, step)
    return require_kinds(moved, step)


def _writes_for(func: PrimFunc, consumer: Block) -> list[Touch]:
    """The writes of what ``consumer`` reads."""
    return [each for each in touches(func.body) if each.is_write and each.buffer in reads_of(consumer)]


def _require_made_before(func: PrimFunc, consumer: Block, target: For) -> None:
    found = touches(func.body)
    last = max(number for number, each in enumerate(found) if target in each.loops)
    for each in found[last + 1 :]:
        if each.is_write and each.buffer in reads_of(consumer):
            headline = f"reverse_compute_at: {each.owner} makes {each.buffer.name} after {target.var}"
            refuse(func, headline, target.var, each.place)


def _made_parts(func: PrimFunc, consumer: Block, writes: Sequence[Touch], target_path: Path) -> Mapping[str, Part]:
    """The parts of the axes of ``consumer`` for which the writes make all in an iteration of the target.

    All writes make the same part: what is made in a part for every iteration stands still after it.
    """
    step = "reverse_compute_at"
    around = loops_on(target_path)
    parts: Mapping[str, Part] | None = None
    for write in writes:
        if write.block is None:
            headline = f"{step}: {write.owner} makes {write.buffer.name}, which block {consumer.name} reads"
            refuse(func, headline, write.place, consumer.name, hint="write it as a block, which says what it makes")
        require_read_after(func, write.block, step)
        require_axes_in_place(func, write.block, step)
        require_all_results(func, write.block, step)
        _require_complete(func, write, target_path, step)
        for found in _parts_of(func, consumer, write, around):
            if parts is not None and parts != found:
                loop = around[-1].var
                headline = f"{step}: block {consumer.name} needs several parts of what is made in {loop}"
                refuse(func, headline, loop, consumer.name)
            parts = found
    return parts or {}


def _require_complete(func: PrimFunc, write: Touch, target_path: Path, step: str) -> None:
    """Refuses if a loop around the place still adds to what was written."""
    assert write.block is not None
    path, _ = block_path(func, write.block.name, step)
    late = [loop for loop in reduce_loops(path, write.block) if loop in target_path]
    if late:
        headline = f"{step}: {write.buffer.name} is not complete before the end of {late[0].var}"
        refuse(func, headline, late[0].var, write.block.name)


def _parts_of(func: PrimFunc, consumer: Block, write: Touch, around: Sequence[For]) -> Iterator[dict[str, Part]]:
    """For each read of what ``write`` makes in an iteration of the loops ``around``: the parts of axes it bounds."""
    step = "reverse_compute_at"
    box = exact_box(write, around)
    if box is None:
        headline = f"{step}: which part of {write.buffer.name} is made there can't be told"
        refuse(func, headline, around[-1].var)
    axes = {axis.var: axis for axis in consumer.iter_vars}
    for indices in _reads(consumer, write.buffer):
        parts: dict[str, Part] = {}
        for index, span, extent, size in zip(indices, box.spans, box.extents, write.buffer.shape, strict=True):
            if span == (0, size - 1):
                continue
            axis = axes.get(str(bare_name(index)))
            if axis is None or axis.extent != size or axis.kind == "reduce":
                headline = f"{step}: block {consumer.name} needs more of {write.buffer.name} than is made there"
                refuse(func, headline, around[-1].var, consumer.name)
            parts[axis.var] = (span[0], extent)
        yield parts


def _reads(block: Block, buffer: Buffer) -> set[tuple[Dim | ScalarExpr, ...]]:
    return {each.own_indices for each in touches(block) if each.buffer is buffer and not each.is_write}
