"""A kernel that begins with a contraction, as calls of the engine and the loops that follow, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from relaxdsl.ir.loops import (
    Buffer,
    CallExtern,
    For,
    PrimFunc,
    Seq,
    Stmt,
    loop_variable,
    rewrite_statement,
    sequence,
    sub_statements,
)
from relaxdsl.ir.scalar import Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import Access, accesses
from relaxdsl.kernels.contraction.match import Contraction, contraction_of
from relaxdsl.kernels.contraction.tile import DEPTH, MAX_COLUMNS, PANELS_START, ROW_BLOCK, SKINNY
from relaxdsl.kernels.patterns import is_aligned
from relaxdsl.kernels.schedule.columns import COLUMN_BLOCK
from relaxdsl.types.dims import Dim, ceildiv, dim_min, exact_divide, floordiv, free_symbols

Schedule = Callable[[PrimFunc], PrimFunc]

#: A product with constant sizes whose columns and depth are at most so many elements is left to plain loops.
TINY = 64
#: No identifiers, so that no size and no other loop has these names.
_BATCH, _BLOCK = "batch.index", "block.index"


def use_engine(prim_func: PrimFunc, schedule: Schedule) -> PrimFunc | None:
    """The scheduled kernel, if it begins with a contraction that the engine computes.

    Before::

        for i, j, k: with block: c[i, j] = c[i, j] + a[i, k] * b[k, j]    init: c[i, j] = 0
        for i, j: with block: out[i, j] = c[i, j] + bias[j]

    After::

        begin(panels)
        for block in parallel(ceildiv(m, 96)):
            contract(m, min(96, m - 96 * block), n, k, a, 96 * block * k, ..., b, ..., c, ..., panels, ...)
            for i in range(96 * block, min(96 * block + 96, m)):
                for j in range(n): out[i * n + j] = c[(i - 96 * block) * n + j] + bias[j]

    Args:
        schedule: how the loops that follow the contraction are scheduled.
    """
    statements = prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,)
    contraction = contraction_of(statements[0], prim_func.symbols) if statements else None
    if contraction is None or "in_place" in prim_func.attrs or not _is_worthwhile(contraction):
        return None
    rest = _scheduled_rest(prim_func, contraction.result, statements[1:], schedule)
    following = replace(prim_func, body=sequence(*statements[1:]))
    return _Lowering(prim_func, contraction, rest, is_aligned(following, contraction.result)).kernel()


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


@dataclass(frozen=True, eq=False, slots=True)
class _Rest:
    """The scheduled loops that follow, and the flat buffers they use for the kernel's."""

    body: Stmt
    flat: dict[Buffer, Buffer]
    scratch: tuple[Buffer, ...]

    @property
    def is_empty(self) -> bool:
        return not sub_statements(self.body)


def _scheduled_rest(prim_func: PrimFunc, result: Buffer, rest: tuple[Stmt, ...], schedule: Schedule) -> _Rest:
    is_scratch = result in prim_func.scratch
    buffers = (*prim_func.params, result) if is_scratch else prim_func.params
    scratch = tuple(each for each in prim_func.scratch if each is not result)
    scheduled = schedule(replace(prim_func, params=buffers, scratch=scratch, body=sequence(*rest)))
    return _Rest(scheduled.body, dict(zip(buffers, scheduled.params, strict=True)), scheduled.scratch)


@dataclass(slots=True)
class _Lowering:
    """One kernel's lowering."""

    prim_func: PrimFunc
    contraction: Contraction
    rest: _Rest
    is_aligned: bool
    scratch: list[Buffer] = field(default_factory=list)

    def kernel(self) -> PrimFunc:
        is_scratch = self.contraction.result in self.prim_func.scratch
        follows = self._follows()
        result = self.rest.flat[self.contraction.result]
        if is_scratch:
            size = result.shape[0] if not follows else self._part(0, 0).width * dim_min(self._length, self._block)
            result = self._take(result.name, size, result.dtype)
        body = self._engine(result, follows)
        if not follows:
            body = sequence(body, _reading(self.rest.body, self.rest.flat[self.contraction.result], result, 0))
        used = {access.buffer for access in accesses(body)}
        return replace(
            self.prim_func,
            params=tuple(self.rest.flat[each] for each in self.prim_func.params),
            scratch=tuple(each for each in (*self.scratch, *self.rest.scratch) if each in used),
            body=body,
        )

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

    def _engine(self, result: Buffer, follows: bool) -> Stmt:
        """The calls of the engine, block by block, each with the loops that follow, if they can follow there."""
        blocks = ceildiv(self._length, self._block)
        batches = self.contraction.batch_size
        batch = loop_variable(_BATCH, batches) if self.contraction.batch else 0
        part = self._part(batch, loop_variable(_BLOCK, blocks))
        body = sequence(self._contract(part, result), *([self._following(part, result)] if follows else []))
        packing = () if self._is_direct else (self._begin(),)
        if not self.contraction.batch:
            return sequence(*packing, For(_BLOCK, blocks, body, "parallel"))
        return For(_BATCH, batches, sequence(*packing, For(_BLOCK, blocks, body)), "parallel")

    # ------------------------------------------------------------------------------------------- the loops that follow

    def _follows(self) -> bool:
        """Whether what follows can be done for each block: its iterations need no other block's results."""
        loop = self.rest.body
        if self.rest.is_empty:
            return True
        if not isinstance(loop, For) or loop.kind != "parallel" or loop.start != 0:
            return False
        steps = self._steps(loop)
        result = self.rest.flat[self.contraction.result]
        found = [each for each in accesses(loop.body) if each.buffer is result]
        return steps is not None and all(self._is_within(each, loop, steps) for each in found)

    def _steps(self, loop: For) -> Dim | None:
        """How many iterations of the loop there are to one row."""
        return exact_divide(loop.extent, self.contraction.batch_size * self._length)

    def _is_within(self, access: Access, loop: For, steps: Dim) -> bool:
        """Whether an access is a read in the rows that belong to the iteration."""
        (position,) = access.indices
        width = exact_divide(self._part(0, 0).width, steps)
        if access.is_write or width is None or isinstance(position, ScalarExpr):
            return False
        within = position - loop_variable(loop.var, loop.extent) * width
        return within == 0 or (steps == 1 and self.is_aligned and loop.var not in free_symbols(within))

    def _following(self, part: _Part, result: Buffer) -> Stmt:
        loop = self.rest.body
        if not isinstance(loop, For):
            return Seq(())
        steps = self._steps(loop)
        assert steps is not None
        old = self.rest.flat[self.contraction.result]
        offset = part.start * part.width if result is not old else 0
        body = _reading(loop.body, old, result, offset)
        return replace(loop, start=part.start * steps, extent=part.count * steps, body=body, kind="serial")

    # ----------------------------------------------------------------------------------------------------- the calls

    @property
    def _is_direct(self) -> bool:
        """Whether nothing is packed, whatever the sizes."""
        rows = self.contraction.row.extent
        return isinstance(rows, int) and rows <= SKINNY and fits_columns(self.contraction)

    def _begin(self) -> CallExtern:
        return CallExtern(f"begin_{self.contraction.result.dtype}", (self._panels, 0), (self._panels,))

    def _contract(self, part: _Part, result: Buffer) -> CallExtern:
        contraction = self.contraction
        rows, columns, depth = self._sizes
        is_local = result is not self.rest.flat[contraction.result]
        goal = 0 if is_local and self._follows() else part.start * part.width
        left, right = self._left(part.batch), self._right(part.batch)
        panels, block = (result, result) if self._is_direct else (self._panels, self._left_block)
        if self._is_vector:
            columns, right = part.count, (right[0], right[1] + part.first * contraction.column.right, *right[2:])
            count: Dim = 1
        else:
            left, count = (left[0], left[1] + part.first * contraction.row.left), part.count
        return CallExtern(
            f"contract_{result.dtype}",
            (
                *(rows, count, columns, depth, *left, *self._left_steps, *right),
                *(result, goal, contraction.column.extent, panels, 0, block, 0),
            ),
            (result, panels, block),
        )

    @property
    def _sizes(self) -> tuple[Dim, Dim, Dim]:
        return self.contraction.row.extent, self.contraction.column.extent, self.contraction.depth.extent

    @property
    def _left_steps(self) -> tuple[Dim, Dim]:
        return self.contraction.row.left, self.contraction.depth.left

    def _left(self, batch: Dim) -> tuple[Buffer, Dim]:
        steps = self._in_batch(batch, [axis.left for axis in self.contraction.batch])
        return self.rest.flat[self.contraction.left], self.contraction.left_offset + steps

    def _right(self, batch: Dim) -> tuple[Buffer, Dim, Dim, Dim]:
        contraction = self.contraction
        steps = self._in_batch(batch, [axis.right for axis in contraction.batch])
        offset = contraction.right_offset + steps
        return self.rest.flat[contraction.right], offset, contraction.depth.right, contraction.column.right

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
        return self._take("panels", (columns + MAX_COLUMNS) * depth + PANELS_START, self.contraction.result.dtype)

    @property
    def _left_block(self) -> Buffer:
        size = ROW_BLOCK * dim_min(DEPTH, self.contraction.depth.extent)
        return self._take("block", size, self.contraction.result.dtype)

    def _take(self, name: str, size: Dim, dtype: str) -> Buffer:
        """The scratch buffer of that name, made the first time."""
        for buffer in self.scratch:
            if buffer.name == name:
                return buffer
        self.scratch.append(Buffer(name, (size,), dtype, "scratch"))
        return self.scratch[-1]


def _reading(body: Stmt, old: Buffer, new: Buffer, offset: Dim) -> Stmt:
    """``body`` reading ``new``, which starts at element ``offset`` of ``old``, instead of ``old``."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer is not old:
            return None
        (position,) = node.indices
        if isinstance(position, ScalarExpr):
            return Load(new, (rewrite(position, on_node),))
        return Load(new, (position - offset,))

    return body if old is new else rewrite_statement(body, on_node)
