"""The loops before and after a contraction: whether they run row by row, and what they are for some of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from relaxdsl.ir.loops import (
    Buffer,
    For,
    PrimFunc,
    Stmt,
    Store,
    loop_variable,
    rewrite_statement,
    sequence,
    sub_statements,
)
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.accesses import Access, accesses
from relaxdsl.types.dims import Dim, exact_divide, free_symbols

Schedule = Callable[[PrimFunc], PrimFunc]


@dataclass(frozen=True, eq=False, slots=True)
class Neighbour:
    """Scheduled loops that make an operand of a contraction, or use its result: the ``shared`` buffer.

    ``is_aligned``: every access of it is in the row that the loops around it are at. ``flat``: the flat buffers the
    loops use for the kernel's.
    """

    body: Stmt
    shared: Buffer
    is_aligned: bool
    flat: dict[Buffer, Buffer]
    scratch: tuple[Buffer, ...]

    @property
    def is_empty(self) -> bool:
        return not sub_statements(self.body)

    def runs_by_rows(self, rows: Dim, width: Dim) -> bool:
        """Whether any ``rows`` of ``width`` elements of the shared buffer can be done without the others."""
        loop = self.body
        if self.is_empty:
            return True
        if not isinstance(loop, For) or loop.kind != "parallel" or loop.start != 0:
            return False
        steps = exact_divide(loop.extent, rows)
        found = [each for each in accesses(loop.body) if each.buffer is self.flat[self.shared]]
        return steps is not None and all(self._is_in_row(each, loop, steps, width) for each in found)

    def _is_in_row(self, access: Access, loop: For, steps: Dim, width: Dim) -> bool:
        """Whether an access is in the row to which the loop's iteration belongs, there being ``steps`` to a row."""
        (position,) = access.indices
        share = exact_divide(width, steps)
        if share is None or isinstance(position, ScalarExpr):
            return False
        within = position - loop_variable(loop.var, loop.extent) * share
        return within == 0 or (steps == 1 and self.is_aligned and loop.var not in free_symbols(within))

    def for_rows(self, rows: Dim, start: Dim, count: Dim) -> Stmt:
        """The loops for ``count`` of all ``rows``, if they run by rows."""
        loop = self.body
        if not isinstance(loop, For):
            return sequence()
        steps = exact_divide(loop.extent, rows)
        assert steps is not None
        return replace(loop, start=start * steps, extent=count * steps, kind="serial")


def scheduled(
    prim_func: PrimFunc, statements: tuple[Stmt, ...], shared: Buffer, is_aligned: bool, schedule: Schedule
) -> Neighbour:
    """The statements of a kernel that stand before or after its contraction, scheduled on their own."""
    is_scratch = shared in prim_func.scratch
    buffers = (*prim_func.params, shared) if is_scratch else prim_func.params
    scratch = tuple(each for each in prim_func.scratch if each is not shared)
    made = schedule(replace(prim_func, params=buffers, scratch=scratch, body=sequence(*statements)))
    return Neighbour(made.body, shared, is_aligned, dict(zip(buffers, made.params, strict=True)), made.scratch)


def moved(stmt: Stmt, old: Buffer, new: Buffer, offset: Dim = 0) -> Stmt:
    """``stmt`` with flat ``new``, which starts at element ``offset`` of ``old``, in place of ``old``."""

    def place(index: Index) -> Index:
        return rewrite(index, on_node) if isinstance(index, ScalarExpr) else index

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer is not old:
            return None
        return Load(new, tuple(_shifted(place(each), offset) for each in node.indices))

    def on_store(store: Store) -> Store:
        if store.buffer is not old:
            return store
        return replace(store, buffer=new, indices=tuple(_shifted(each, offset) for each in store.indices))

    return stmt if old is new else rewrite_statement(stmt, on_node, on_store=on_store)


def _shifted(index: Index, offset: Dim) -> Index:
    """Only whole buffers, with no offset, are read where the data say."""
    return index if isinstance(index, ScalarExpr) else index - offset
