"""What a kernel does with its buffers' elements, read off its blocks: which parts of inputs its outputs are, and which
inputs an output may overwrite.

Both ask for blocks that take every element of what they write once, in row-major order. A kernel that was scheduled by
hand is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, PrimFunc, Seq, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Load, ScalarExpr
from relaxdsl.kernels.accesses import Access, accesses, flat_index
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.simplify import simplify_dim
from relaxdsl.types.dims import Dim, free_symbols, substitute
from relaxdsl.types.dtype import itemsize


@dataclass(frozen=True, slots=True)
class Part:
    """A contiguous part of an input: its position among the inputs, and the part's first element."""

    place: int
    start: Dim


@dataclass(frozen=True, eq=False, slots=True)
class _Pointwise:
    """A block that stores one value for each element of a buffer, in row-major order."""

    block: Block
    store: Store
    position: Dim

    def offset_of(self, access: Access) -> Dim | None:
        """How far the element read is from the element written; None if that differs from element to element."""
        position = flat_index(access.buffer.shape, access.indices)
        if isinstance(position, ScalarExpr):
            return None
        ranges = {axis.var: (0, axis.extent - 1) for axis in self.block.iter_vars}
        single: dict[str, Dim] = {axis.var: 0 for axis in self.block.iter_vars if axis.extent == 1}
        offset = substitute(simplify_dim(simplify_dim(position, ranges) - self.position, ranges), single)
        return None if any(name in ranges for name in free_symbols(offset)) else offset


def parts_of(kernel: PrimFunc) -> tuple[Part, ...] | None:
    """For each output, the part of an input that it is; None if an output is anything else."""
    blocks = _blocks(kernel)
    if blocks is None:
        return None
    parts: dict[Buffer, Part] = {each: Part(place, 0) for place, each in enumerate(kernel.inputs)}
    for stmt in blocks:
        made = _pointwise(stmt)
        if made is None or made.store.buffer in parts or not isinstance(made.store.value, Load):
            return None
        load = made.store.value
        offset = made.offset_of(Access(load.buffer, load.indices, False, (), False))
        if offset is None or load.buffer not in parts or load.dtype != made.store.buffer.dtype:
            return None
        source = parts[load.buffer]
        parts[made.store.buffer] = Part(source.place, source.start + offset)
    if not kernel.outputs or not all(each in parts for each in kernel.outputs):
        return None
    return tuple(parts[each] for each in kernel.outputs)


def overwritable(kernel: PrimFunc) -> Iterator[tuple[int, int]]:
    """The pairs ``(output, input)``, as positions among outputs and inputs, of which one may be written over the other.

    An element of the output is then the only one that depends on that element of the input, whatever the schedule.
    """
    blocks = _blocks(kernel)
    for place, output in enumerate(kernel.outputs):
        for number, given in enumerate(kernel.inputs if blocks is not None else ()):
            if blocks is not None and _is_alike(given, output) and _is_passed_on(blocks, given, output):
                yield place, number


def _is_alike(one: Buffer, other: Buffer) -> bool:
    same_size = math.prod(one.shape) == math.prod(other.shape)
    return same_size and itemsize(one.dtype) == itemsize(other.dtype)


def _is_passed_on(blocks: list[Block], given: Buffer, output: Buffer) -> bool:
    """Whether ``given`` is only read to make the same element of ``output``, directly or by way of scratch."""
    carriers = {given}
    is_made = False
    for block in blocks:
        touched = list(accesses(block))
        written = {each.buffer for each in touched if each.is_write}
        read = [each for each in touched if not each.is_write and each.buffer in carriers]
        if any(each.buffer is output and not each.is_write for each in touched) or (output in written and is_made):
            return False
        if not read:
            if written & (carriers | {output}):
                return False
            continue
        made = _pointwise(block)
        if made is None or not all(_is_zero(made.offset_of(each)) for each in read):
            return False
        if made.store.buffer is output:
            is_made = True
        elif made.store.buffer.scope == "scratch" and made.store.buffer not in carriers:
            carriers.add(made.store.buffer)
        else:
            return False
    return is_made


def _is_zero(offset: Dim | None) -> bool:
    return isinstance(offset, int) and offset == 0


# --------------------------------------------------------------------------------------------------------------- blocks


def _blocks(kernel: PrimFunc) -> list[Block] | None:
    """The kernel's blocks, each alone in loops over its axes; None if there is anything else in the kernel."""
    if kernel.attrs.get("scheduled"):
        return None
    found = [_block_in(stmt, {}) for stmt in (kernel.body.body if isinstance(kernel.body, Seq) else (kernel.body,))]
    blocks = [each for each in found if each is not None]
    return blocks if len(blocks) == len(found) else None


def _block_in(stmt: Stmt, loops: Mapping[str, Dim]) -> Block | None:
    """The block of a nest of loops that are exactly its axes."""
    if isinstance(stmt, For) and stmt.start == 0:
        return _block_in(stmt.body, {**loops, stmt.var: stmt.extent})
    if not isinstance(stmt, Block):
        return None
    bound = [bare_name(axis.binding) for axis in stmt.iter_vars]
    is_whole = all(
        name is not None and loops.get(name) == axis.extent for name, axis in zip(bound, stmt.iter_vars, strict=True)
    )
    return stmt if is_whole and len(set(bound)) == len(bound) == len(loops) else None


def _pointwise(block: Block) -> _Pointwise | None:
    store = block.body
    is_plain = block.init is None and all(axis.kind == "spatial" for axis in block.iter_vars)
    if not is_plain or not isinstance(store, Store):
        return None
    extents = tuple(axis.extent for axis in block.iter_vars)
    own = flat_index(extents, tuple(loop_variable(axis.var, axis.extent) for axis in block.iter_vars))
    position = flat_index(store.buffer.shape, store.indices)
    if isinstance(own, ScalarExpr) or isinstance(position, ScalarExpr):
        return None
    is_row_major = math.prod(extents) == math.prod(store.buffer.shape) and own == position
    return _Pointwise(block, store, position) if is_row_major else None
