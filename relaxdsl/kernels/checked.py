"""Kernels that check their own accesses: what debug mode runs.

Every access that is not proved to be in range is tested before it is made; the first that is not is reported and left
out, so that nothing outside of a buffer is touched. The kernel then runs on one thread, statement by statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    For,
    IfThenElse,
    PrimFunc,
    Stmt,
    Store,
    map_statements,
    sequence,
    substitute_variables,
)
from relaxdsl.ir.scalar import (
    Apply,
    Index,
    IndexValue,
    Load,
    ScalarExpr,
    Select,
    cast,
    children,
    const,
    rewrite,
)
from relaxdsl.kernels.access_sites import Site, sites_of
from relaxdsl.kernels.out_of_range import is_proved
from relaxdsl.kernels.schedule.decompose import nest_of
from relaxdsl.kernels.schedule.initial_values import set_initial_values
from relaxdsl.kernels.te_functions import logical_not
from relaxdsl.types.dims import Dim

#: What a report holds: which access was wrong, counted from 1 (0: none), its index, and the size.
REPORT = Buffer("report", (3,), "int64")


@dataclass(frozen=True, eq=False, slots=True)
class CheckedKernel:
    """A kernel with a last output more, the report of :data:`REPORT`; ``sites`` are the accesses that it tests."""

    prim_func: PrimFunc
    sites: tuple[Site, ...]

    def wrong_access(self, report: Iterable[int]) -> tuple[Site, int, int] | None:
        """The access out of range that a report tells of, with its index and the size; None if there was none."""
        number, index, size = map(int, report)
        if number == 0:
            return None
        site = self.sites[number - 1]
        return site, index % 2**64 if _is_uint64(site.index) else index, size


def with_checks(kernel: PrimFunc) -> CheckedKernel:
    """The kernel with a test before each access that is not proved to be in range.

    Before::

        y[i] = x[index[i]]

    After::

        if not (0 <= index[i] < m) and report[0] == 0:
            report[0], report[1], report[2] = 1, index[i], m
        y[i] = x[index[i]] if 0 <= index[i] < m else 0
    """
    sites = tuple(site for site in sites_of(kernel) if not is_proved(site))
    writer = _Writer(sites)
    start = [_store(i, const(0, "int64")) for i in range(3)]
    tested = set_initial_values(replace(kernel, body=writer.stmt(kernel.body)))
    body = _serial(sequence(*start, _lower(tested.body)))
    params = (*kernel.params, REPORT)
    checked = replace(kernel, params=params, num_outputs=kernel.num_outputs + 1, body=body)
    return CheckedKernel(checked, sites)


def _store(position: int, value: ScalarExpr) -> Store:
    return Store(REPORT, (position,), value)


class _Writer:
    """Writes the tests around the accesses at some sites."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self._sites: dict[Load | Store | Block, list[tuple[int, Site]]] = {}
        for number, site in enumerate(sites, start=1):
            self._sites.setdefault(site.node, []).append((number, site))

    def stmt(self, stmt: Stmt) -> Stmt:
        match stmt:
            case Store():
                return self._assignment(stmt)
            case IfThenElse(condition):
                tested = tuple(self._tests(condition, ()))
                inner = map_statements(stmt, self.stmt)
                assert isinstance(inner, IfThenElse)
                return sequence(*tested, replace(inner, condition=self.safe(condition)))
            case Block():
                inner = map_statements(stmt, self.stmt)
                return self._guarded(stmt, inner)
        return map_statements(stmt, self.stmt)

    def _assignment(self, store: Store) -> Stmt:
        indices = (index for index in store.indices if isinstance(index, ScalarExpr))
        tests = [test for expr in (*indices, store.value) for test in self._tests(expr, ())]
        safe = Store(store.buffer, tuple(map(self._safe_index, store.indices)), self.safe(store.value))
        return sequence(*tests, self._guarded(store, safe))

    def _guarded(self, node: Store | Block, stmt: Stmt) -> Stmt:
        """``stmt``, made only if the access of ``node`` is in range, which is tested before."""
        sites = self._sites.get(node, [])
        if not sites:
            return stmt
        return sequence(*(self._test(*each, ()) for each in sites), IfThenElse(self._all_in_range(node), stmt))

    def _tests(self, expr: ScalarExpr, guards: tuple[ScalarExpr, ...]) -> Iterator[Stmt]:
        """The tests of the loads in an expression, inner ones first."""
        if isinstance(expr, Select):
            condition = self.safe(expr.condition)
            yield from self._tests(expr.condition, guards)
            yield from self._tests(expr.then_value, (*guards, condition))
            yield from self._tests(expr.else_value, (*guards, logical_not(condition)))
            return
        for child in children(expr):
            yield from self._tests(child, guards)
        if isinstance(expr, Load):
            yield from (self._test(*each, guards) for each in self._sites.get(expr, ()))

    def _test(self, number: int, site: Site, guards: tuple[ScalarExpr, ...]) -> Stmt:
        """Reports an index that is out of range, if it is the first one."""
        index = _as_int64(self._safe_index(site.index))
        nothing_yet = Apply("equal", (Load(REPORT, (0,)), const(0, "int64")), "bool")
        wrong = _and(*guards, nothing_yet, logical_not(self._in_range(site)))
        values = (const(number, "int64"), index, IndexValue(site.size))
        return IfThenElse(wrong, sequence(*(_store(i, value) for i, value in enumerate(values))))

    def safe(self, expr: ScalarExpr) -> ScalarExpr:
        """``expr`` with 0 where an element does not exist."""

        def on_node(node: ScalarExpr) -> ScalarExpr | None:
            if not isinstance(node, Load) or node not in self._sites:
                return None
            load = Load(node.buffer, tuple(map(self._safe_index, node.indices)))
            return Select(self._all_in_range(node), load, const(0, node.dtype))

        return rewrite(expr, on_node)

    def _safe_index(self, index: Index) -> Index:
        return self.safe(index) if isinstance(index, ScalarExpr) else index

    def _all_in_range(self, node: Load | Store | Block) -> ScalarExpr:
        return _and(*(self._in_range(site) for _, site in self._sites[node]))

    def _in_range(self, site: Site) -> ScalarExpr:
        index = _as_int64(self._safe_index(site.index))
        return _and(
            Apply("greater_equal", (index, const(0, "int64")), "bool"),
            Apply("less", (index, IndexValue(site.size)), "bool"),
        )


def _is_uint64(index: Index) -> bool:
    return isinstance(index, ScalarExpr) and index.dtype == "uint64"


def _as_int64(index: Index) -> ScalarExpr:
    return cast(index, "int64") if isinstance(index, ScalarExpr) else IndexValue(index)


def _and(*conditions: ScalarExpr) -> ScalarExpr:
    result, *others = conditions
    for other in others:
        result = Apply("logical_and", (result, other), "bool")
    return result


# ---------------------------------------------------------------------------------------------------------- plain loops


def _lower(stmt: Stmt) -> Stmt:
    """Blocks replaced by what they do: an init runs before its reduction."""
    nest = nest_of(stmt)
    if nest is not None:
        init = () if nest.block.init is None else (_bound(nest.block, nest.block.init),)
        return _around(nest.spatial, sequence(*init, _around(nest.reduce, _bound(nest.block, nest.block.body))))
    if isinstance(stmt, Block):
        return _bound(stmt, stmt.body)
    return map_statements(stmt, _lower)


def _bound(block: Block, stmt: Stmt) -> Stmt:
    values: dict[str, Dim] = {axis.var: axis.binding for axis in block.iter_vars}
    return substitute_variables(stmt, values)


def _around(loops: tuple[For, ...], body: Stmt) -> Stmt:
    for loop in reversed(loops):
        body = replace(loop, body=body)
    return body


def _serial(stmt: Stmt) -> Stmt:
    stmt = map_statements(stmt, _serial)
    return replace(stmt, kind="serial") if isinstance(stmt, For) else stmt
