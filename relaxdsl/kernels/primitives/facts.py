"""What steps that move blocks ask first: who writes and reads a buffer, and whether a value would still be the same."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import permutations

from relaxdsl.ir.loops import Block, Buffer, IterVar, PrimFunc, Store, walk
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.primitives.dependence import Guard, Touch, names_along, touches
from relaxdsl.kernels.primitives.private import fills, is_private
from relaxdsl.kernels.primitives.tree import block_path, blocks_in, loops_on, refuse
from relaxdsl.types.dims import Dim, free_symbols


def reads_of(block: Block) -> tuple[Buffer, ...]:
    """The buffers a block reads, but not those that it only adds to, in the order it reads them."""
    written = set(writes_of(block))
    found = (each.buffer for each in touches(block) if not each.is_write and each.buffer.scope != "register")
    return tuple(dict.fromkeys(each for each in found if each not in written))


def writes_of(block: Block) -> tuple[Buffer, ...]:
    """The buffers a block writes, registers aside."""
    found = (each.buffer for each in touches(block) if each.is_write and each.buffer.scope != "register")
    return tuple(dict.fromkeys(found))


def buffer_called(func: PrimFunc, block: Block, buffer: str | int, among: tuple[Buffer, ...], step: str) -> Buffer:
    """One of the buffers that a block reads or writes, by its name or its place among them."""
    found = [each for place, each in enumerate(among) if buffer in (each.name, place)]
    if not found:
        names = ", ".join(each.name for each in among) or "none"
        verb = "reads" if among == reads_of(block) else "writes"
        refuse(func, f"{step}: block {block.name} {verb} {names}, not {buffer}", block.name)
    return found[0]


def only_store(func: PrimFunc, block: Block, step: str) -> Store:
    """The one store of a block without a reduction."""
    if block.init is not None or any(axis.kind == "reduce" for axis in block.iter_vars):
        refuse(func, f"{step}: block {block.name} is a reduction", block.name)
    if not isinstance(block.body, Store):
        refuse(func, f"{step}: block {block.name} does more than store one value", block.name)
    return block.body


def require_own_scratch(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses unless what the block writes is scratch that no other block writes."""
    for buffer in writes_of(block):
        if buffer.scope == "global":
            refuse(func, f"{step}: block {block.name} writes {buffer.name}, an output of the kernel", block.name)
    require_only_writer(func, block, step)


def require_only_writer(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if another block writes what this one writes."""
    for other in blocks_in(func.body):
        shared = set(writes_of(other)) & set(writes_of(block))
        if other.name != block.name and shared:
            name = next(iter(shared)).name
            refuse(func, f"{step}: blocks {block.name} and {other.name} both write {name}", block.name, other.name)


def require_axes_in_place(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses unless each axis of the block is an index of all it writes: it sets each element at its own place."""
    spatial = {axis.var: axis.extent for axis in block.iter_vars if axis.kind == "spatial"}
    for each in (stmt for stmt in walk(block) if isinstance(stmt, Store) and stmt.buffer.scope != "register"):
        names = [bare_name(index) for index in each.indices]
        sizes = dict(zip(names, each.buffer.shape, strict=True))
        if len(sizes) < len(names) or sizes != spatial:
            indices = ", ".join(map(str, each.indices))
            place = f"{each.buffer.name}[{indices}]"
            refuse(func, f"{step}: block {block.name} stores at {place}, which are not all its axes", block.name)


def require_no_condition(func: PrimFunc, block: Block, guards: Iterable[Guard], step: str) -> None:
    """Refuses if the block is computed under a condition, other than that of a split loop's last tile."""
    for guard in guards:
        if guard is None or not _is_last_tile(block, guard):
            refuse(func, f"{step}: block {block.name} is computed under a condition", block.name)


def _is_last_tile(block: Block, guard: tuple[Dim, Dim]) -> bool:
    """Whether a condition only keeps axes within their ranges."""
    left, right = guard
    own = set(free_symbols(left))
    axes = [axis for axis in block.iter_vars if own & set(free_symbols(axis.binding))]
    if math.prod(axis.extent for axis in axes) != right:
        return False
    return any(_place_along(order) == left for order in permutations(axes))


def _place_along(axes: Iterable[IterVar]) -> Dim:
    """The place of a block's instance among all along these axes, the last one walking fastest."""
    place: Dim = 0
    for axis in axes:
        place = place * axis.extent + axis.binding
    return place


def guards_of(func: PrimFunc, block: Block) -> tuple[Guard, ...]:
    """The conditions around a block."""
    return next((each.guards for each in touches(func.body) if each.block is block), ())


def require_same_inputs(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if something that the block reads is written after it, so that later its value would be another."""
    found = touches(func.body)
    own = next(each for each in found if each.block is block)
    order = [each.name for each in blocks_in(func.body)]
    for write in (each for each in found if each.is_write and each.buffer in reads_of(block)):
        assert write.block is not None
        common = [loop for loop in own.loops if loop in write.loops]
        is_before = order.index(write.block.name) < order.index(block.name)
        if not is_before or (common and not is_private(func, write.buffer, common[-1])):
            value = f"{write.buffer.name}, which block {block.name} reads,"
            refuse(func, f"{step}: {value} is written again by {write.block.name}", block.name, write.block.name)


def require_read_after(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if something before the block reads what it writes: what an earlier iteration of loops around it left."""
    written = writes_of(block)
    for each in touches(func.body):
        if each.block is block:
            return
        if each.buffer in written and not each.is_write:
            assert each.block is not None
            headline = f"{step}: block {each.block.name} reads {each.buffer.name} before block {block.name} computes it"
            refuse(func, headline, each.block.name, block.name)


def require_inputs_made(func: PrimFunc, moved: PrimFunc, block: str, place: str, within: str, step: str) -> None:
    """Refuses if ``block``, which stands at the block ``place`` in ``moved``, reads there what is only made in part.

    That is made in a loop that it did not stand in: each iteration has to make all that the block takes in it. What is
    made in the loop or block ``within`` the step has looked at itself.
    """
    before = {loop.var for loop in loops_on(block_path(func, block, step)[0])}
    found = touches(moved.body)
    for number, read in enumerate(found):
        if read.is_write or read.block is None or read.block.name != place:
            continue
        writes = [each for each in found[:number] if each.is_write and each.buffer is read.buffer]
        for write in writes:
            assert write.block is not None
            around = [loop for loop in write.loops if loop in read.loops and loop.var not in before]
            if not around or within in {write.block.name, *(loop.var for loop in write.loops)}:
                continue
            sums = names_along(write.block, "reduce")
            last = around[-1]
            if any(loop.var in sums for loop in around) or not any(fills(each, read, last) for each in writes):
                headline = f"{step}: block {block} needs more of {read.buffer.name} than is made in {last.var}"
                refuse(func, headline, block, last.var)


def readers_of(func: PrimFunc, block: Block) -> list[Touch]:
    """The reads, by other blocks, of what a block writes."""
    written = writes_of(block)
    found = touches(func.body)
    return [each for each in found if each.buffer in written and not each.is_write and each.block is not block]
