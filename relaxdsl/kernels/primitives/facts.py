"""What steps that move blocks ask first: who writes and reads a buffer, and whether a value would still be the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from relaxdsl.ir.loops import Block, Buffer, For, PrimFunc, Store, walk
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.primitives.combining import ORDERLESS_HINT, combines_in_any_order
from relaxdsl.kernels.primitives.dependence import Touch, names_along, touches
from relaxdsl.kernels.primitives.private import fills, is_private
from relaxdsl.kernels.primitives.tree import block_path, loops_on, refuse
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import is_symbol


def reads_of(block: Block) -> tuple[Buffer, ...]:
    """The buffers a block reads, but not those that it only adds to, in the order it reads them."""
    written = set(writes_of(block))
    found = (each.buffer for each in touches(block) if not each.is_write and each.buffer.scope != "register")
    return tuple(dict.fromkeys(each for each in found if each not in written))


def writes_of(block: Block) -> tuple[Buffer, ...]:
    """The buffers a block writes, registers aside."""
    found = (each.buffer for each in touches(block) if each.is_write and each.buffer.scope != "register")
    return tuple(dict.fromkeys(found))


#: Among which buffers of a block a step looks for the one that it takes.
_AMONG = {"cache_read": ("reads",), "cache_write": ("writes",), "transform_layout": ("reads", "writes")}


def buffer_called(func: PrimFunc, block: Block, buffer: str | int, step: str) -> Buffer:
    """The buffer of a block that a step takes, by its name or its place."""
    among = _among(block, step)
    place = place_of_buffer(block, buffer, step)
    if place is None:
        lists = (f"{verb} {', '.join(each.name for each in some)}" for verb, some in among.items() if some)
        there_are = " and ".join(lists) or f"{next(iter(among))} none"
        count = len(_known(among))
        counts = f"there {'is' if count == 1 else 'are'} {counted(count, 'buffer')}, counted from 0"
        hint = counts if isinstance(buffer, int) else None
        refuse(func, f"{step}: block {block.name} {there_are}, not {buffer}", block.name, hint=hint)
    return _known(among)[place]


def place_of_buffer(block: Block, buffer: str | int, step: str) -> int | None:
    """The place of the buffer among those that a step may take; None if it is none of them."""
    known = _known(_among(block, step))
    return next((place for place, each in enumerate(known) if buffer in (each.name, place)), None)


def _among(block: Block, step: str) -> dict[str, Sequence[Buffer]]:
    touched = {"reads": reads_of(block), "writes": writes_of(block)}
    return {verb: tuple(touched[verb]) for verb in _AMONG[step]}


def _known(among: dict[str, Sequence[Buffer]]) -> list[Buffer]:
    return list(dict.fromkeys(chain.from_iterable(among.values())))


def only_store(func: PrimFunc, block: Block, step: str) -> Store:
    """The one store of a block without a reduction."""
    if block.init is not None or any(axis.kind == "reduce" for axis in block.iter_vars):
        refuse(func, f"{step}: block {block.name} is a reduction", block.name)
    if not isinstance(block.body, Store):
        refuse(func, f"{step}: block {block.name} does more than store one value", block.name)
    return block.body


def require_own_scratch(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses unless what the block writes is scratch that nothing else writes."""
    for buffer in writes_of(block):
        if buffer.scope == "global":
            refuse(func, f"{step}: block {block.name} writes {buffer.name}, an output of the kernel", block.name)
    require_only_writer(func, block, step)


def require_only_writer(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if anything else writes what the block writes."""
    written = writes_of(block)
    for each in touches(func.body):
        if each.is_write and each.buffer in written and each.block is not block:
            headline = f"{step}: block {block.name} and {each.owner} both write {each.buffer.name}"
            refuse(func, headline, block.name, each.place)


def require_axes_in_place(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses unless each axis of the block is an index of all it writes: it sets each element at its own place."""
    spatial = {axis.var: axis.extent for axis in block.iter_vars if axis.kind == "spatial"}
    for each in (stmt for stmt in walk(block) if isinstance(stmt, Store) and stmt.buffer.scope != "register"):
        names = [bare_name(index) for index in each.indices]
        sizes = dict(zip(names, each.buffer.shape, strict=True))
        place = f"{each.buffer.name}[{', '.join(map(str, each.indices))}]"
        if len(sizes) < len(names) or set(sizes) != set(spatial):
            axes = f"its spatial axes are {', '.join(spatial)}" if spatial else "has no spatial axes"
            refuse(func, f"{step}: block {block.name} stores at {place}, and {axes}", block.name)
        for axis, extent in spatial.items():
            if sizes[axis] != extent:
                headline = f"block {block.name} stores at {place}, and {axis} has {extent} of {sizes[axis]} places"
                refuse(func, f"{step}: {headline}", block.name)


def require_same_inputs(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if something that the block reads is written after it, so that later its value would be another."""
    found = touches(func.body)
    place = next(number for number, each in enumerate(found) if each.block is block)
    for number, write in enumerate(found):
        if not write.is_write or write.buffer not in reads_of(block):
            continue
        common = [loop for loop in found[place].loops if loop in write.loops]
        if number > place or (common and not is_private(func, write.buffer, common[-1])):
            value = f"{write.buffer.name}, which block {block.name} reads,"
            refuse(func, f"{step}: {value} is written again by {write.owner}", block.name, write.place)


def require_read_after(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if something before the block reads what it writes: what an earlier iteration of loops around it left."""
    written = writes_of(block)
    for each in touches(func.body):
        if each.block is block:
            return
        if each.buffer in written and not each.is_write:
            headline = f"{step}: {each.owner} reads {each.buffer.name} before block {block.name} computes it"
            refuse(func, headline, each.place, block.name)


def require_steps_in_order(func: PrimFunc, block: Block, step: str) -> None:
    """Refuses if new loops over the block's reduction may take steps in another order that gives another result."""
    axes = [axis for axis in block.iter_vars if axis.kind == "reduce" and axis.extent != 1]
    is_in_order = len(axes) <= 1 and all(is_symbol(axis.binding) for axis in axes)
    if is_in_order or all(combines_in_any_order(block, each) for each in writes_of(block)):
        return
    headline = f"{step}: in new loops block {block.name} may take steps before those that they need"
    refuse(func, headline, block.name, hint=ORDERLESS_HINT)


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
            around = [loop for loop in write.loops if loop in read.loops and loop.var not in before]
            if not around or within in {write.place, *(loop.var for loop in write.loops)}:
                continue
            last = around[-1]
            if _goes_on(write, around) or not any(fills(each, read, last) for each in writes):
                headline = f"{step}: block {block} needs more of {read.buffer.name} than is made in {last.var}"
                refuse(func, headline, block, last.var)


def _goes_on(write: Touch, loops: Iterable[For]) -> bool:
    """Whether later iterations of the loops may write again what one of them has written."""
    sums = set() if write.block is None else names_along(write.block, "reduce")
    return write.block is None or any(loop.var in sums for loop in loops)


def readers_of(func: PrimFunc, block: Block) -> list[Touch]:
    """The reads, by anything else, of what a block writes."""
    written = writes_of(block)
    found = touches(func.body)
    return [each for each in found if each.buffer in written and not each.is_write and each.block is not block]
