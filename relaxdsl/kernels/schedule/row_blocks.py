"""Rows that are made for windows over them are made in blocks, so that threads share one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Buffer,
    For,
    PrimFunc,
    Seq,
    Stmt,
    loop_variable,
    move_accesses,
    sequence,
    substitute_variables,
    walk,
)
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.accesses import Access, accesses, buffers_touched, expressions, is_variable
from relaxdsl.kernels.work import is_cheap
from relaxdsl.types.dims import Dim, ceildiv, dim_min, linear_in
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.symint import bounds_of

#: So many rows at least are computed from one block of rows.
MIN_ROWS = 8
#: And so many times the rows that a block shares with the next one, which are made for both.
ROWS_PER_SHARED = 4


def block_rows(prim_func: PrimFunc) -> PrimFunc:
    """Divides the rows of windows into blocks, and makes what they read block by block.

    Before::

        for b in parallel(n):
            for p in parallel(h + 2):
                for q in parallel(w + 2): padded[b, p, q] = x[b, p - 1, q - 1] if ... else 0
            for i in parallel(h):
                for j in parallel(w): out[b, i, j] = padded[b, i, j] + padded[b, i + 2, j + 2]

    After::

        for b in parallel(n):
            for block in parallel(ceildiv(h, 8)):
                for p in parallel(8 * block, 8 * block + min(8, h - 8 * block) + 2):
                    for q in parallel(w + 2): padded[b, p - 8 * block, q] = x[b, p - 1, q - 1] if ... else 0
                for i in parallel(min(8, h - 8 * block)):
                    for j in parallel(w):
                        out[b, i + 8 * block, j] = padded[b, i, j] + padded[b, i + 2, j + 2]

    Threads then share the blocks of an image, and what is padded stays in a cache. The rows between two blocks are made
    twice, so they have to be cheap.
    """
    statements = prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,)
    for number, stmt in enumerate(statements):
        found = _windows_in(stmt, [*statements[:number], *statements[number + 1 :]])
        if found is not None:
            body = sequence(*statements[:number], found.blocked(), *statements[number + 1 :])
            scratch = tuple(found.block if each is found.made else each for each in prim_func.scratch)
            return replace(prim_func, body=body, scratch=scratch)
    return prim_func


@dataclass(frozen=True, eq=False, slots=True)
class _Windows:
    """A loop in which one loop makes rows, and another one reads them.

    Args:
        made: the scratch that holds the rows, along ``axis``.
        stride: row ``i`` of the windows reads ``made`` from row ``stride * i`` on,
        shared: and so many rows after that.
        block: holds the rows of ``made`` for ``size`` rows of windows.
    """

    outer: For
    making: For
    reading: For
    made: Buffer
    axis: int
    stride: int
    shared: int
    size: int
    block: Buffer

    def blocked(self) -> For:
        name, blocks = f"{self.reading.var}.block", ceildiv(self.reading.extent, self.size)
        number = loop_variable(name, blocks)
        rows = dim_min(self.size, self.reading.extent - number * self.size)
        first = number * (self.stride * self.size)
        made_rows = self.stride * (rows - 1) + self.shared + 1
        making = replace(self.making, body=self._moved(self.making.body, first), start=first, extent=made_rows)
        row = loop_variable(self.reading.var, self.size)
        moved = substitute_variables(self.reading.body, {self.reading.var: number * self.size + row})
        reading = replace(self.reading, body=self._moved(moved, first), extent=rows)
        return replace(self.outer, body=For(name, blocks, sequence(making, reading), "parallel"))

    def _moved(self, body: Stmt, first: Dim) -> Stmt:
        """``body`` with the block in place of all rows, of which it holds those from ``first`` on."""

        def placed(_: Buffer, indices: tuple[Index, ...]) -> tuple[Buffer, tuple[Index, ...]]:
            return self.block, tuple(
                index - first if axis == self.axis and not isinstance(index, ScalarExpr) else index
                for axis, index in enumerate(indices)
            )

        return move_accesses(body, (self.made,), placed)


def _windows_in(stmt: Stmt, others: Sequence[Stmt]) -> _Windows | None:
    """What of a statement can run in blocks, if its own loop may run once only, and there are loops over pixels."""
    match stmt:
        case For(kind="parallel", start=0, body=Seq((For() as making, For() as reading))):
            if not (_is_over_rows(making) and _is_over_rows(reading) and _is_cheap(making)):
                return None
            (made,) = written if len(written := buffers_touched(making)[1]) == 1 else (None,)
            if made is None or made.scope != "scratch" or any(made in set().union(*buffers_touched(o)) for o in others):
                return None
            return _found(stmt, making, reading, made)
    return None


def _is_over_rows(loop: For) -> bool:
    return loop.kind == "parallel" and loop.start == 0 and isinstance(loop.body, For) and loop.body.kind == "parallel"


def _is_cheap(making: For) -> bool:
    """Whether the loop only stores what takes a few instructions."""
    inner = list(walk(making))
    loops = [each for each in inner if isinstance(each, For)]
    values = [expr for each in inner for expr in expressions(each)]
    return all(each.kind == "parallel" for each in loops) and all(map(is_cheap, values))


def _found(outer: For, making: For, reading: For, made: Buffer) -> _Windows | None:
    """The windows, if each row of them reads rows around one place, and the last one no further than there are any."""
    writes, reads = ([each for each in accesses(loop) if each.buffer is made] for loop in (making, reading))
    if not all(each.is_write for each in writes) or any(each.is_write for each in reads):
        return None
    (read_first, _), (_, written_later) = buffers_touched(making), buffers_touched(reading)
    if read_first & written_later:
        return None
    for axis in range(len(made.shape)):
        if not all(is_variable(each.indices[axis], making.var) for each in writes):
            continue
        found = _rows_read(reads, axis, reading)
        if found is None:
            return None
        stride, shared = found
        size = max(MIN_ROWS, ROWS_PER_SHARED * shared)
        is_few = isinstance(reading.extent, int) and reading.extent <= size
        last = stride * (reading.extent - 1) + shared + 1
        if is_few or prove_less_equal(last, making.extent) is not Proof.YES:
            return None
        rows = stride * (size - 1) + shared + 1
        block = replace(made, shape=(*made.shape[:axis], rows, *made.shape[axis + 1 :]))
        return _Windows(outer, making, reading, made, axis, stride, shared, size, block)
    return None


def _rows_read(reads: Sequence[Access], axis: int, reading: For) -> tuple[int, int] | None:
    """How many rows further the windows of the next row begin, and how many rows each reads after its first."""
    stride, most = None, 0
    for each in reads:
        index = each.indices[axis]
        found = None if isinstance(index, ScalarExpr) else linear_in(index, reading.var)
        if found is None or not isinstance(found[0], int) or found[0] < 1 or stride not in (None, found[0]):
            return None
        lower, upper = bounds_of(found[1])
        if lower is None or lower < 0 or upper is None:
            return None
        stride, most = found[0], max(most, upper)
    return None if stride is None else (stride, most)
