"""From a plan to what people see of it: every buffer, where it is, and why it may be there."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.errors import Span
from relaxdsl.ir.graph import Function
from relaxdsl.passes.memory.offsets import Piece
from relaxdsl.passes.memory.plan import Plan, WorkPiece
from relaxdsl.passes.memory.values import Buffer, Group
from relaxdsl.passes.memory.walk import ViewStep
from relaxdsl.passes.memory_plan import WHILE_IT_RUNS, MemoryPlan, PlannedBuffer, Where, symbols_in_order
from relaxdsl.types.dims import Dim, Symbol, substitute
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import dims_of


def describe(function: Function, plan: Plan) -> MemoryPlan:
    """The plan of ``function`` as it is shown."""
    buffers = tuple(sorted(_Describer(plan).buffers(), key=lambda each: each.first))
    dims = [plan.layout.size, *(each.size_bytes for each in buffers if each.where == "output")]
    threads = None if plan.threads is None else str(plan.threads)
    arguments = [dim for param in function.params for dim in dims_of(param.type)]
    symbols = symbols_in_order([*arguments, *dims])
    return MemoryPlan(function.name, buffers, plan.layout.size, symbols, symbols_in_order(dims), threads)


class _Describer:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._placed: list[tuple[str, Piece]] = []

    def buffers(self) -> Iterator[PlannedBuffer]:
        for group in self._plan.sharing.all_groups():
            yield from self._of_group(group)
        for buffer, piece in self._plan.parts.items():
            yield self._of_work(buffer.dtype, piece)
        yield from self._views()
        for given in self._plan.results.walk.buffers:
            if given.origin == "given" and not given.is_early:
                when, why = (given.first, given.last), "made by a function that is called"
                yield self._described(given.name, "late", given.shape, given.dtype, None, when, why)
        for place in self._plan.results.copied.values():
            yield self._described("out", "output", place.shape, place.dtype, None, self._end, "a copy")

    @property
    def _end(self) -> tuple[int, int]:
        last = self._plan.results.walk.last
        return last, last

    def _of_group(self, group: Group) -> Iterator[PlannedBuffer]:
        piece = self._plan.pieces.get(group)
        for number, each in enumerate(group.buffers):
            before = f"in place of {group.buffers[number - 1].name}" if number else None
            where: Where = "late" if piece is None else "workspace"
            shares = before if piece is None else before or self._sharing(piece)
            if group.output is not None:
                where = "output" if each is group.output else "view"
                shares = before if each is group.output else f"in the memory of {group.output.name}"
            offset = None if piece is None else piece.offset
            yield self._described(each.name, where, each.shape, each.dtype, offset, (each.first, each.last), shares)
        if piece is not None:
            self._placed.append((group.buffers[-1].name, piece))

    def _of_work(self, dtype: str, work: WorkPiece) -> PlannedBuffer:
        piece = work.piece
        if piece is None:
            return self._described(work.buffer.name, "late", work.buffer.shape, dtype, None, self._end, None)
        when = piece.first, piece.last
        return self._described(piece.name, "workspace", (work.size,), "uint8", piece.offset, when, WHILE_IT_RUNS)

    def _views(self) -> Iterator[PlannedBuffer]:
        walk = self._plan.results.walk
        for step in walk.steps.values():
            for source, offset, type_ in step.parts if isinstance(step, ViewStep) else ():
                start = "" if isinstance(offset, int) and offset == 0 else f" from byte {offset} on"
                text = f"view of {getattr(source, 'name', 'a constant')}{start}"
                shape, dtype = type_.shape or (), type_.dtype or ""
                yield self._described(step.var.name, "view", shape, dtype, None, walk.spans[step.var], text)

    def _described(
        self,
        name: str,
        where: Where,
        shape: tuple[Dim, ...],
        dtype: str,
        offset: Dim | None,
        when: tuple[int, int],
        shares: str | None,
    ) -> PlannedBuffer:
        first, last = when
        line, last_line = self._line(first), self._line(last)
        size = Buffer(name, shape, dtype, "made", first, last).size_bytes
        return PlannedBuffer(name, where, shape, dtype, size, offset, first, last, line, last_line, shares)

    def _line(self, position: int) -> Span | None:
        return self._plan.results.walk.lines.get(position)

    def _sharing(self, piece: Piece) -> str | None:
        """Whose bytes the piece is in, of those before it, and what is known of the sizes."""
        before = [each for each in self._placed if _common_bytes(piece, each[1]) and each[1].last < piece.first]
        if not before:
            return None
        name, other = max(before, key=lambda each: _common_bytes(piece, each[1]))
        return f"{relation(piece.size, other.size)}, after {name}"


def _common_bytes(one: Piece, other: Piece) -> int:
    """How many bytes two pieces have in common, at the reference values together."""
    spans = zip(one.starts, one.ends, other.starts, other.ends, strict=True)
    return sum(max(0, min(end, other_end) - max(start, other_start)) for start, end, other_start, other_end in spans)


def relation(size: Dim, other: Dim) -> str:
    """How a size compares with that of what was in the bytes before."""
    if prove_equal(size, other) is Proof.YES:
        return f"same bytes {size}"
    for small, large, text in ((size, other, "provably not larger"), (other, size, "provably not smaller")):
        if prove_less_equal(small, large) is Proof.YES:
            sign = "<=" if small is size else ">="
            return f"{text}: {size} {sign} {other}{_bounds_needed(small, large)}"
    return "whatever the sizes"


def _bounds_needed(small: Dim, large: Dim) -> str:
    """The declared upper bounds that a comparison needs."""
    bounded = [each for each in symbols_in_order([small, large]) if each.upper is not None]
    plain = {each.name: from_atom(Symbol(each.name, each.lower)) for each in bounded}
    if not bounded or prove_less_equal(substitute(small, plain), substitute(large, plain)) is Proof.YES:
        return ""
    return f", bounded by {', '.join(f'{each.name} <= {each.upper}' for each in bounded)}"
