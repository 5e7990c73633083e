"""Copies of what a block reads or writes, each made by a block of its own that can be moved where it pays."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.loops import Block, Buffer, For, IterVar, PrimFunc, Seq, Stmt, Store, loop_variable, substitute_buffers
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.primitives.dependence import touches
from relaxdsl.kernels.primitives.facts import buffer_called, require_only_writer
from relaxdsl.kernels.primitives.tree import (
    block_path,
    blocks_in,
    inserted_after,
    inserted_before,
    nest,
    refuse,
    replaced,
    top_statement,
    variable,
)


def cache_read(func: PrimFunc, names: UniqueNames, block: str, buffer: str | int) -> tuple[PrimFunc, str]:
    """The kernel with a copy for the block to read, and the copying block; see :meth:`.Schedule.cache_read`."""
    path, reader = block_path(func, block, "cache_read")
    source = buffer_called(func, reader, buffer, "cache_read")
    for each in touches(top_statement(path)):
        if each.buffer is source and each.is_write:
            headline = f"cache_read: {each.owner} writes {source.name} in the same loops"
            refuse(func, headline, block, each.place)
    cache = replace(source, name=names.fresh(f"{source.name}_cache"), scope="scratch")
    copy = _copy(names, source, cache, cache.name)
    func = replaced(func, reader, substitute_buffers(reader, {source: cache}, {}))
    func = inserted_before(func, top_statement(block_path(func, block, "cache_read")[0]), copy)
    return replace(func, scratch=(*func.scratch, cache)), blocks_in(copy)[0].name


def cache_write(func: PrimFunc, names: UniqueNames, block: str, buffer: str | int) -> tuple[PrimFunc, str]:
    """The kernel with a block that writes a copy, and the block that copies back; see :meth:`.Schedule.cache_write`."""
    path, writer = block_path(func, block, "cache_write")
    target = buffer_called(func, writer, buffer, "cache_write")
    require_only_writer(func, writer, "cache_write")
    for each in touches(top_statement(path)):
        if each.buffer is target and each.block is not writer:
            headline = f"cache_write: {each.owner} reads {target.name} in the same loops"
            refuse(func, headline, block, each.place)
    cache = replace(target, name=names.fresh(f"{target.name}_cache"), scope="scratch")
    copy = _copy(names, cache, target, names.fresh(f"{target.name}_copy"))
    func = replaced(func, writer, substitute_buffers(writer, {target: cache}, {target: cache}))
    func = inserted_after(func, top_statement(block_path(func, block, "cache_write")[0]), copy)
    return replace(func, scratch=(*func.scratch, cache)), blocks_in(copy)[0].name


def _copy(names: UniqueNames, source: Buffer, target: Buffer, name: str) -> Stmt:
    """``target[...] = source[...]``, for all elements."""
    loops = [For(names.fresh(f"ax{axis}"), size, Seq(())) for axis, size in enumerate(target.shape)]
    axes = tuple(IterVar(names.fresh(f"v_{loop.var}"), loop.extent, "spatial", variable(loop)) for loop in loops)
    indices = tuple(loop_variable(axis.var, axis.extent) for axis in axes)
    return nest(loops, Block(name, axes, Store(target, indices, Load(source, indices))))
