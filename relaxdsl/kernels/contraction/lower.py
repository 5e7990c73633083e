"""A kernel that begins with a contraction, as calls of the engine and the loops that follow, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from relaxdsl.ir.loops import Buffer, CallExtern, For, LoopKind, PrimFunc, Seq, Stmt, loop_variable, sequence
from relaxdsl.kernels.accesses import accesses, buffers_touched
from relaxdsl.kernels.contraction.match import Axis, Contraction, contraction_of
from relaxdsl.kernels.contraction.neighbours import Neighbour, Schedule, moved, scheduled
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP, ROW_BLOCK, SKINNY, block_size, panels_size
from relaxdsl.kernels.patterns import is_aligned, is_row_by_row
from relaxdsl.kernels.schedule.columns import COLUMN_BLOCK
from relaxdsl.types.dims import Dim, ceildiv, dim_min, exact_divide, floordiv

#: A product with constant sizes whose columns and depth are at most so many elements is left to plain loops.
TINY = 64
#: No identifiers, so that no size and no other loop has these names.
_BATCH, _INNER, _BLOCK = "batch.index", "batch.inner", "block.index"


def use_engine(prim_func: PrimFunc, schedule: Schedule) -> PrimFunc | None:
    """The scheduled kernel, if the engine computes it: a contraction, what makes its left operand, and what follows.

    Before::

        for i, j, k: with block: c[i, j] = c[i, j] + a[i, k] * b[k, j]    init: c[i, j] = 0
        for i, j: with block: out[i, j] = c[i, j] + bias[j]

    After::

        pack(m, n, k, b, ..., 0, ceildiv(n, 192), panels)
        for block in parallel(ceildiv(m, 96)):
            contract(m, min(96, m - 96 * block), n, 0, n, k, a, 96 * block * k, ..., b, ..., c, ..., panels, ...)
            for i in range(96 * block, min(96 * block + 96, m)):
                for j in range(n): out[i * n + j] = c[(i - 96 * block) * n + j] + bias[j]

    Loops that make ``a`` row by row stand before ``contract``, for the block's rows.

    Args:
        schedule: how the loops around the contraction are scheduled.
    """
    statements = prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,)
    found = ((place, contraction_of(each, prim_func.symbols)) for place, each in enumerate(statements))
    position, contraction = next((each for each in found if each[1] is not None), (0, None))
    if contraction is None or "in_place" in prim_func.attrs or not _is_worthwhile(contraction):
        return None
    earlier, later = statements[:position], statements[position + 1 :]
    if earlier and not _makes_left_rows(prim_func, contraction, earlier, later):
        return None
    following = replace(prim_func, body=sequence(*later))
    after = scheduled(prim_func, later, contraction.result, is_aligned(following, contraction.result), schedule)
    before = scheduled(prim_func, earlier, contraction.left, True, schedule) if earlier else None
    if before is not None and not before.runs_by_rows(contraction.all_rows, contraction.depth.extent):
        return None
    return _Lowering(prim_func, contraction, before, after).kernel()


def _makes_left_rows(
    prim_func: PrimFunc, contraction: Contraction, earlier: tuple[Stmt, ...], later: tuple[Stmt, ...]
) -> bool:
    """Whether the statements before the contraction make its left operand, row by row, and nothing else."""
    left = contraction.left
    read_later, written_later = buffers_touched(sequence(*later))
    made = buffers_touched(sequence(*earlier))[1]
    others = tuple(each for each in prim_func.scratch if each is not left)
    maker = replace(prim_func, params=(left,), num_outputs=1, scratch=others, body=sequence(*earlier))
    return (
        left in made
        and made <= set(prim_func.scratch)
        and not made & (read_later | written_later | {contraction.right})
        and contraction.has_dense_left_rows
        and is_row_by_row(maker)
    )


def _is_worthwhile(contraction: Contraction) -> bool:
    work = contraction.column.extent * contraction.depth.extent
    if isinstance(work, int) and work <= TINY:
        return False
    return bool(contraction.batch) or contraction.row.extent != 1 or fits_columns(contraction)


def fits_columns(contraction: Contraction) -> bool:
    """Whether few rows times the matrix need no packing."""
    is_contiguous = contraction.depth.left == 1 and contraction.depth.right == 1
    return contraction.column.right == 1 or is_contiguous


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """What is finished together: ``count`` rows of a matrix, or elements of a vector, of ``width`` elements each.

    ``first`` is where they start in their matrix, ``start`` where they start in the whole result.
    """

    batch: Dim
    first: Dim
    start: Dim
    count: Dim
    width: Dim


@dataclass(slots=True)
class _Lowering:
    """One kernel's lowering: the loops before its contraction, if there are any, the contraction, the loops after."""

    prim_func: PrimFunc
    contraction: Contraction
    before: Neighbour | None
    after: Neighbour
    scratch: list[Buffer] = field(default_factory=list)

    def kernel(self) -> PrimFunc:
        result = self._result()
        body = self._engine(result)
        if self._depth == 0:
            body = sequence(body, moved(self.after.body, self.after.flat[self.contraction.result], result))
        own = (*self.scratch, *self.after.scratch, *(self.before.scratch if self.before is not None else ()))
        used = {access.buffer for access in accesses(body)}
        return replace(
            self.prim_func,
            params=tuple(self.after.flat[each] for each in self.prim_func.params),
            scratch=tuple(each for each in own if each in used),
            body=body,
        )

    def _result(self) -> Buffer:
        """Where the product goes: the output that it is, or scratch for as much as is used before the rest is made."""
        result = self.after.flat[self.contraction.result]
        if self.contraction.result not in self.prim_func.scratch:
            return result
        if self._is_by_blocks:
            return self._take(result.name, self._part(0, 0).width * dim_min(self._length, self._block), result.dtype)
        size = exact_divide(result.shape[0], self._sizes_of(self.contraction.batch[: self._depth]))
        assert size is not None
        return self._take(result.name, size, result.dtype)

    @property
    def _depth(self) -> int:
        """Inside how many loops the loops after the contraction run: its batch axes, then its blocks."""
        batch = self.contraction.batch
        if self.after.runs_by_rows(self.contraction.batch_size * self._length, self._part(0, 0).width):
            return len(batch) + 1
        size = self.after.flat[self.contraction.result].shape[0]
        for depth in range(len(batch), 0, -1):
            rows = self._sizes_of(batch[:depth])
            width = exact_divide(size, rows)
            if width is not None and self.after.runs_by_rows(rows, width):
                return depth
        return 0

    @property
    def _is_by_blocks(self) -> bool:
        return self._depth == len(self.contraction.batch) + 1

    @staticmethod
    def _sizes_of(axes: tuple[Axis, ...]) -> Dim:
        return math.prod((axis.extent for axis in axes), start=1)

    # --------------------------------------------------------------------------------------------------- the division

    @property
    def _is_vector(self) -> bool:
        return not self.contraction.batch and self.contraction.row.extent == 1

    @property
    def _length(self) -> Dim:
        """The range that is divided into blocks: a matrix's rows, or a vector's elements."""
        return self.contraction.column.extent if self._is_vector else self.contraction.row.extent

    @property
    def _block(self) -> int:
        return COLUMN_BLOCK if self._is_vector else ROW_BLOCK

    def _part(self, batch: Dim, block: Dim) -> _Part:
        first = block * self._block
        width = 1 if self._is_vector else self.contraction.column.extent
        start = batch * self._length + first
        return _Part(batch, first, start, dim_min(self._block, self._length - first), width)

    def _engine(self, result: Buffer) -> Stmt:
        """The calls of the engine, block by block, and the loops that can run between them."""
        if not self.contraction.batch:
            return sequence(*self._packing(0), self._blocks(0, 0, result, "parallel"))
        outer, inner = self._split_batch()
        first = loop_variable(_BATCH, outer)
        if inner == 1:
            body = sequence(*self._packing(first), self._blocks(first, first, result))
        else:
            batch = first * inner + loop_variable(_INNER, inner)
            body = For(_INNER, inner, sequence(*self._packing(batch), self._blocks(batch, first, result)))
        return For(_BATCH, outer, sequence(body, *self._following_batch(first, outer, result)), "parallel")

    def _split_batch(self) -> tuple[Dim, Dim]:
        """The sizes of the batch outside and inside of the loops that follow."""
        batch = self.contraction.batch
        depth = self._depth if 0 < self._depth < len(batch) else len(batch)
        return self._sizes_of(batch[:depth]), self._sizes_of(batch[depth:])

    def _packing(self, batch: Dim) -> tuple[Stmt, ...]:
        return () if self._is_direct else (self._pack(batch),)

    def _blocks(self, batch: Dim, outer: Dim, result: Buffer, kind: LoopKind = "serial") -> For:
        """The blocks of one matrix, which is part of what iteration ``outer`` of the outermost loop makes."""
        blocks = ceildiv(self._length, self._block)
        part = self._part(batch, loop_variable(_BLOCK, blocks))
        base = self._base(part, outer, result)
        calls = (*self._preceding(part), self._contract(part, result, part.start * part.width - base))
        following = self._following(part, result) if self._is_by_blocks else ()
        return For(_BLOCK, blocks, sequence(*calls, *following), kind)

    def _base(self, part: _Part, outer: Dim, result: Buffer) -> Dim:
        """The element of the whole result at which ``result`` starts."""
        if self._depth == 0 or result is self.after.flat[self.contraction.result]:
            return 0
        return part.start * part.width if self._is_by_blocks else outer * result.shape[0]

    def _preceding(self, part: _Part) -> Iterator[Stmt]:
        """The loops that make the left operand's rows, for the part's."""
        if self.before is None:
            return
        body = self.before.for_rows(self.contraction.all_rows, part.start, part.count)
        offset = part.start * self.contraction.depth.extent
        body = moved(body, self.before.flat[self.contraction.left], self._left_rows, offset)
        for param in self.prim_func.params:
            body = moved(body, self.before.flat[param], self.after.flat[param])
        yield body

    def _following(self, part: _Part, result: Buffer) -> Iterator[Stmt]:
        """The loops that use the result's rows, for the part's."""
        if not self.after.is_empty:
            old = self.after.flat[self.contraction.result]
            body = self.after.for_rows(self.contraction.batch_size * self._length, part.start, part.count)
            yield moved(body, old, result, part.start * part.width)

    def _following_batch(self, batch: Dim, count: Dim, result: Buffer) -> Iterator[Stmt]:
        """The loops that use the result of one iteration of the outermost loop, if they run there."""
        if 0 < self._depth <= len(self.contraction.batch):
            old = self.after.flat[self.contraction.result]
            yield moved(self.after.for_rows(count, batch, 1), old, result, batch * result.shape[0])

    # ----------------------------------------------------------------------------------------------------- the calls

    @property
    def _is_direct(self) -> bool:
        """Whether nothing is packed, whatever the sizes."""
        rows = self.contraction.row.extent
        return isinstance(rows, int) and rows <= SKINNY and fits_columns(self.contraction)

    def _pack(self, batch: Dim) -> CallExtern:
        columns = self.contraction.column.extent
        groups = (0, ceildiv(columns, COLUMN_GROUP))
        arguments = (*self._sizes, *self._right(batch), *groups, self._panels, 0)
        return CallExtern(f"pack_{self.contraction.result.dtype}", arguments, (self._panels,))

    def _contract(self, part: _Part, result: Buffer, goal: Dim) -> CallExtern:
        rows, columns, depth = self._sizes
        panels, block = (result, result) if self._is_direct else (self._panels, self._left_block)
        count, span = (1, (part.first, part.count)) if self._is_vector else (part.count, (0, columns))
        return CallExtern(
            f"contract_{result.dtype}",
            (
                *(rows, count, columns, *span, depth, *self._left(part), *self._left_steps, *self._right(part.batch)),
                *(result, goal, columns, panels, 0, block, 0),
            ),
            (result, block),
        )

    @property
    def _sizes(self) -> tuple[Dim, Dim, Dim]:
        return self.contraction.row.extent, self.contraction.column.extent, self.contraction.depth.extent

    @property
    def _left_steps(self) -> tuple[Dim, Dim]:
        return self.contraction.row.left, self.contraction.depth.left

    def _left(self, part: _Part) -> tuple[Buffer, Dim]:
        """Where the left operand's rows of the part are."""
        contraction = self.contraction
        if self.before is not None:
            return self._left_rows, 0
        steps = self._in_batch(part.batch, [axis.left for axis in contraction.batch])
        offset = contraction.left_offset + steps
        if not self._is_vector:
            offset = offset + part.first * contraction.row.left
        return self.after.flat[contraction.left], offset

    def _right(self, batch: Dim) -> tuple[Buffer, Dim, Dim, Dim]:
        contraction = self.contraction
        steps = self._in_batch(batch, [axis.right for axis in contraction.batch])
        offset = contraction.right_offset + steps
        return self.after.flat[contraction.right], offset, contraction.depth.right, contraction.column.right

    def _in_batch(self, batch: Dim, steps: list[Dim]) -> Dim:
        """Where the matrix number ``batch`` starts, the batch's axes being ``steps`` apart."""
        offset: Dim = 0
        axes = list(zip(self.contraction.batch, steps, strict=True))
        for place, (axis, step) in reversed(list(enumerate(axes))):
            index = batch if place == 0 else batch % axis.extent
            offset, batch = offset + index * step, floordiv(batch, axis.extent) if place else 0
        return offset

    # ----------------------------------------------------------------------------------------------------- the memory

    @property
    def _panels(self) -> Buffer:
        columns, depth = self.contraction.column.extent, self.contraction.depth.extent
        return self._take("panels", panels_size(columns, depth), self.contraction.result.dtype)

    @property
    def _left_rows(self) -> Buffer:
        """The left operand's rows of one block, where loops before the contraction make them."""
        size = dim_min(self._length, ROW_BLOCK) * self.contraction.depth.extent
        return self._take(self.contraction.left.name, size, self.contraction.left.dtype)

    @property
    def _left_block(self) -> Buffer:
        return self._take("block", block_size(self.contraction.depth.extent), self.contraction.result.dtype)

    def _take(self, name: str, size: Dim, dtype: str) -> Buffer:
        """The scratch buffer of that name, made the first time."""
        for buffer in self.scratch:
            if buffer.name == name:
                return buffer
        self.scratch.append(Buffer(name, (size,), dtype, "scratch"))
        return self.scratch[-1]
