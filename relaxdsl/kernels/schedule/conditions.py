"""``and`` and ``or`` of conditions that may all be evaluated: vectors and pipelines are better at that."""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.ir.conditions import guarded, joined_by, may_fail
from relaxdsl.ir.loops import PrimFunc, rewrite_statement
from relaxdsl.ir.scalar import Apply, Load, ScalarExpr, Select, rewrite
from relaxdsl.kernels.access_sites import sites_of
from relaxdsl.kernels.accesses import loads_of
from relaxdsl.kernels.out_of_range import is_proved


def evaluate_both_sides(prim_func: PrimFunc) -> PrimFunc:
    """Evaluates both sides of ``and`` and ``or`` where the right one reads only what is proved to be there.

    Before::

        for i in range(n):
            if (x[i] < m if x[i] >= 0 else False): ...

    After::

        for i in range(n):
            if logical_and(x[i] >= 0, x[i] < m): ...
    """
    everywhere = _with_both_sides(prim_func, None)
    if everywhere is None:
        return prim_func
    proved = {site.node: True for site in sites_of(everywhere)}
    for site in sites_of(everywhere):
        proved[site.node] &= is_proved(site)
    reads = {node for node, is_safe in proved.items() if is_safe and isinstance(node, Load)}
    return _with_both_sides(prim_func, reads) or prim_func


def _with_both_sides(prim_func: PrimFunc, safe: set[Load] | None) -> PrimFunc | None:
    """The kernel with both sides evaluated if the right one has ``safe`` reads only (None: any); None if none are."""
    changed = False

    def visit(expr: ScalarExpr) -> ScalarExpr:
        return rewrite(expr, on_node)

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        nonlocal changed
        joint = joined_by(node) if isinstance(node, Select) else None
        if joint is None or not may_fail(joint[1][-1]):
            return None
        function, (left, right) = joint
        sides = visit(left), visit(right)
        if safe is not None and not safe.issuperset(load for load in loads_of(right) if load.indices):
            return guarded(function, *sides)
        changed = True
        return Apply(function, sides, "bool")

    body = rewrite_statement(prim_func.body, on_node)
    return replace(prim_func, body=body) if changed else None
