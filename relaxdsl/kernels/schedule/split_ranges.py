"""Loops are split where a condition on their variable changes: at expensive choices, and where that cuts off edges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    For,
    IfThenElse,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
    map_statements,
    rewrite_statement,
    sequence,
    sub_statements,
    substitute_variables,
    walk,
)
from relaxdsl.ir.scalar import COMPARISONS, LOGICAL, Apply, Const, IndexValue, Load, ScalarExpr, Select, const, rewrite
from relaxdsl.kernels.accesses import as_dim, expressions, nodes
from relaxdsl.kernels.simplify import Ranges, simplify_dim
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, floordiv, free_symbols, linear_in
from relaxdsl.types.prove import Proof, prove_less_equal

#: A loop is split at so many places at most, since its body is written once for each part.
MAX_CUTS = 2
#: A loop of fewer iterations is not worth splitting.
MIN_EXTENT = 8
#: What is cut off of a loop is an edge if it has at most so many iterations, which LLVM writes out.
MAX_EDGE = 8


def split_ranges(prim_func: PrimFunc) -> PrimFunc:
    """Splits inner loops where conditions on their variable change, and leaves out what then has no effect.

    Expensive choices, before::

        for i in parallel(m):
            for j in range(n):
                out[i, j] = exp(x[i, j]) if j <= i else 0

    After::

        for i in parallel(m):
            for j in range(min(i + 1, n)):
                out[i, j] = exp(x[i, j])
            for j in range(min(i + 1, n), n):
                out[i, j] = 0

    Vectors compute both sides of a choice, which is wasted for an exponential. A reduction's steps over what a
    condition replaces by nothing (0 in a sum, -inf in a maximum) disappear.

    Edges, before::

        for c in parallel(m):
            for i in parallel(h + 2):
                for j in parallel(w + 2):
                    out[c, i, j] = x[c, i - 1, j - 1] if 0 <= i - 1 and i - 1 < h and 0 <= j - 1 and j - 1 < w else 0

    After::

        for c in parallel(m):
            for j in parallel(w + 2):
                out[c, 0, j] = 0
            for i in range(1, h + 1):
                out[c, i, 0] = 0
                for j in range(1, w + 1):
                    out[c, i, j] = x[c, i - 1, j - 1]
                out[c, i, w + 1] = 0
            for j in parallel(w + 2):
                out[c, h + 1, j] = 0

    What is inside of the edges is copied without masks.
    """
    return replace(prim_func, body=_Splitter({}).statement(prim_func.body))


_CHEAP = COMPARISONS | LOGICAL | {"add", "subtract", "multiply", "maximum", "minimum", "negative", "abs"}
#: How far a comparison is from being false: it holds where this is positive.
_ROOM: dict[str, Callable[[Dim, Dim], Dim]] = {
    "less": lambda left, right: right - left,
    "less_equal": lambda left, right: right - left + 1,
    "greater": lambda left, right: left - right,
    "greater_equal": lambda left, right: left - right + 1,
}


@dataclass(frozen=True, slots=True)
class _Cut:
    """A comparison as a place of the loop: it holds for variables below ``place``, or else from there on."""

    place: Dim
    holds_below: bool


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of a loop's range, and whether its variables are below places, as far as that is known."""

    start: Dim
    stop: Dim
    answers: Mapping[Dim, bool]


@dataclass(frozen=True, slots=True)
class _Splitter:
    """Splits loops inside loops of known ranges.

    Args:
        is_shared: whether threads may share the loop that comes next along with the one around it.
    """

    ranges: Ranges
    is_shared: bool = False

    def statement(self, stmt: Stmt) -> Stmt:
        if not isinstance(stmt, For):
            return map_statements(stmt, self.statement)
        return self._split(stmt) or self._with_body_split(stmt)

    def _with_body_split(self, loop: For) -> For:
        ranges = {**self.ranges, loop.var: (loop.start, loop.start + loop.extent - 1)}
        has_rows = isinstance(loop.body, For) and any(isinstance(each, For) for each in walk(loop.body.body))
        is_shared = not self.ranges and loop.kind == "parallel" and has_rows
        return replace(loop, body=_Splitter(ranges, is_shared).statement(loop.body))

    def _split(self, loop: For) -> Stmt | None:
        """The loop in parts; None if it stays whole, as do the outermost ones, which threads share."""
        is_short = isinstance(loop.extent, int) and loop.extent < MIN_EXTENT
        if is_short or not self.ranges or loop.kind == "unrolled":
            return None
        cuts = list(_cuts_in(loop))
        sections = self._sections(loop, cuts)
        is_expensive = bool(sections) and _has_expensive_choice(loop)
        sections = sections or self._inside_and_edges(loop, cuts)
        if not sections or not (is_expensive or self._are_edges(loop, sections)):
            return None
        parts = [self._part(loop, number, section) for number, section in enumerate(sections)]
        if self.is_shared and loop.kind == "parallel":
            return self._chosen(loop, parts)
        kept = (part for part in parts if sub_statements(part.body) or isinstance(part.body, Store))
        return sequence(*map(self._with_body_split, kept))

    def _sections(self, loop: For, cuts: Sequence[_Cut]) -> list[_Section]:
        """The loop cut at all places; nothing where there are none, or too many, or their order is not known."""
        places = self._ordered({cut.place for cut in cuts})
        end = loop.start + loop.extent
        borders = [loop.start, *(self._clamped(place, loop.start, end) for place in places), end]
        return [
            _Section(first, stop, {place: position >= number for position, place in enumerate(places)})
            for number, (first, stop) in enumerate(pairwise(borders))
            if places and first != stop
        ]

    def _inside_and_edges(self, loop: For, cuts: Sequence[_Cut]) -> list[_Section]:
        """Where all comparisons hold; and what is before and after that, where it stays open which ones do."""
        if not cuts:
            return []
        end = loop.start + loop.extent
        lower, upper = ([cut.place for cut in cuts if cut.holds_below is side] for side in (False, True))
        first = self._clamped(dim_max(loop.start, *lower), loop.start, end)
        stop = self._clamped(dim_min(end, *upper), first, end)
        inside = dict.fromkeys(lower, False) | dict.fromkeys(upper, True)
        sections = [_Section(loop.start, first, {}), _Section(first, stop, inside), _Section(stop, end, {})]
        return [each for each in sections if each.start != each.stop]

    def _are_edges(self, loop: For, sections: Sequence[_Section]) -> bool:
        """Whether all parts of a loop but one, of which more is known, are short, and each is a nest around stores."""
        others = [each for each in sections if not self._is_short(each.stop - each.start)]
        body = loop.body
        while isinstance(body, For):
            body = body.body
        stmts = body.body if isinstance(body, Seq) else (body,)
        return len(others) == 1 and bool(others[0].answers) and all(isinstance(each, Store) for each in stmts)

    def _is_short(self, extent: Dim) -> bool:
        return prove_less_equal(extent, MAX_EDGE, self.ranges) is Proof.YES

    def _part(self, loop: For, number: int, section: _Section) -> For:
        name = f"{loop.var}.{number}" if number else loop.var
        decided = rewrite_statement(loop.body, lambda node: _decided(node, loop, section.answers))
        own = _with_own_variables(_effective(decided), number) if number else _effective(decided)
        body = substitute_variables(own, {loop.var: loop_variable(name, section.start + loop.extent)})
        return replace(loop, var=name, start=section.start, extent=section.stop - section.start, body=body)

    def _chosen(self, loop: For, parts: Sequence[For]) -> For:
        """One loop over all parts."""
        variable = loop_variable(loop.var, loop.start + loop.extent)
        *others, last = (self._with_body_split(part) for part in parts)
        body = substitute_variables(last.body, {last.var: variable})
        for part in reversed(others):
            is_in_part = Apply("less", (IndexValue(variable), IndexValue(part.start + part.extent)), "bool")
            body = IfThenElse(is_in_part, substitute_variables(part.body, {part.var: variable}), body)
        return replace(loop, body=body)

    def _ordered(self, places: Collection[Dim]) -> list[Dim]:
        """The places in the order in which they certainly are; none if there are too many or it isn't known."""
        if len(places) > MAX_CUTS:
            return []
        first, *others = places or [0]
        if not others:
            return list(places)
        if prove_less_equal(first, others[0], self.ranges) is Proof.YES:
            return [first, others[0]]
        return [others[0], first] if prove_less_equal(others[0], first, self.ranges) is Proof.YES else []

    def _clamped(self, place: Dim, start: Dim, end: Dim) -> Dim:
        return simplify_dim(dim_max(start, dim_min(place, end)), self.ranges)


def _with_own_variables(stmt: Stmt, number: int) -> Stmt:
    """The statement with variables of its own for its loops: those of other parts have the same names."""
    stmt = map_statements(stmt, lambda inner: _with_own_variables(inner, number))
    if not isinstance(stmt, For):
        return stmt
    name = f"{stmt.var}.part{number}"
    variable = loop_variable(name, stmt.start + stmt.extent)
    return replace(stmt, var=name, body=substitute_variables(stmt.body, {stmt.var: variable}))


def _has_expensive_choice(loop: For) -> bool:
    """Whether the loop is an innermost one, and a choice in its body guards more than arithmetic."""
    if any(isinstance(each, For) for each in walk(loop.body)):
        return False
    values = (value for stmt in walk(loop.body) for value in expressions(stmt))
    choices = (node for value in values for node in nodes(value) if isinstance(node, Select))
    sides = (node for choice in choices for side in (choice.then_value, choice.else_value) for node in nodes(side))
    return any(isinstance(node, Apply) and node.function not in _CHEAP for node in sides)


def _cuts_in(loop: For) -> Iterator[_Cut]:
    """The comparisons that choices in the body depend on, of those that change once in the loop."""
    inner = {each.var for each in walk(loop.body) if isinstance(each, For)}
    for stmt in walk(loop.body):
        for value in expressions(stmt):
            choices = (node.condition for node in nodes(value) if isinstance(node, Select))
            found = (_cut(each, loop) for condition in choices for each in nodes(condition))
            yield from (cut for cut in found if cut is not None and inner.isdisjoint(free_symbols(cut.place)))


def _cut(node: ScalarExpr, loop: For) -> _Cut | None:
    """Where the comparison changes, if it is of integers and moves by constant steps with the variable."""
    if not isinstance(node, Apply) or node.function not in _ROOM:
        return None
    left, right = map(as_dim, node.args)
    if left is None or right is None:
        return None
    room = _ROOM[node.function](left, right)
    match linear_in(room, loop.var):
        case (int() as slope, zero) if slope < 0:
            return _Cut(ceildiv(zero, -slope), True)
        case (int() as slope, zero) if slope > 0:
            return _Cut(floordiv(-zero, slope) + 1, False)
    return None


def _decided(node: ScalarExpr, loop: For, answers: Mapping[Dim, bool]) -> ScalarExpr | None:
    """The node with the choices made that are known; None where it is to be looked into."""

    def visit(expr: ScalarExpr) -> ScalarExpr:
        return rewrite(expr, lambda inner: _decided(inner, loop, answers))

    match node:
        case Select(condition, then_value, else_value):
            known = visit(condition)
            if isinstance(known, Const):
                return visit(then_value if known.value else else_value)
            return Select(known, visit(then_value), visit(else_value))
        case Apply("logical_and", (left, right)):
            return _both(visit(left), visit(right))
    cut = _cut(node, loop)
    if cut is None or cut.place not in answers:
        return None
    return const(answers[cut.place] is cut.holds_below, "bool")


def _both(left: ScalarExpr, right: ScalarExpr) -> ScalarExpr:
    if isinstance(left, Const):
        return right if left.value else left
    if isinstance(right, Const):
        return left if right.value else right
    return Apply("logical_and", (left, right), "bool")


def _effective(stmt: Stmt) -> Stmt:
    """The statement without reduction steps that change nothing."""
    stmts = stmt.body if isinstance(stmt, Seq) else (stmt,)
    return sequence(*(each for each in stmts if not _changes_nothing(each)))


def _changes_nothing(stmt: Stmt) -> bool:
    match stmt:
        case Store(buffer, indices, Apply("maximum", (Load(old, place), Const(value)))):
            return old is buffer and place == indices and value == float("-inf")
        case Store(buffer, indices, Apply("add" | "fast_add" | "fused_add", (Load(old, place), Const(value)))):
            return old is buffer and place == indices and value == 0
    return False
