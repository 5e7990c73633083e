"""An estimate of how much a kernel does, as a dim: how many loads, stores and operations of scalars it makes.

The runtime shares a kernel's range among threads where the estimate is large.
"""

from __future__ import annotations

from relaxdsl.ir.loops import For, PrimFunc, Stmt, Store, sub_statements
from relaxdsl.ir.scalar import (
    ARITHMETIC,
    BITWISE,
    COMPARISONS,
    LOGICAL,
    PREDICATES,
    Apply,
    Const,
    IndexValue,
    ScalarExpr,
)
from relaxdsl.kernels.accesses import expressions, nodes
from relaxdsl.types.dims import Dim, free_symbols, substitute
from relaxdsl.types.prove import Proof, prove_less

SHARED_FROM = 300_000
"""From which estimate on threads share a kernel.

Measured on two cores: a unit takes 0.03 to 0.07 ns, and two threads are faster than one from about 100,000 units on if
the second is awake; waking it takes as long as some 300,000.
"""

_CHEAP = ARITHMETIC | COMPARISONS | LOGICAL | BITWISE | PREDICATES | {"abs", "maximum", "minimum"}
_FUNCTION_COST = 10
"""What any other function costs, in units of an addition."""


def estimate_work(kernel: PrimFunc) -> Dim:
    """The number of scalar operations of a kernel in block form, in its sizes.

    Loops that depend on outer ones count as in the middle of the outer range; of a condition, both sides count.
    """
    return _work(kernel.body)


def _work(stmt: Stmt) -> Dim:
    inside = sum((_work(inner) for inner in sub_statements(stmt)), start=_own_work(stmt))
    if not isinstance(stmt, For):
        return inside
    if stmt.var in free_symbols(inside):
        inside = substitute(inside, {stmt.var: stmt.start + stmt.extent // 2})
    return stmt.extent * inside


def pays_to_share(range_extent: Dim, work: Dim) -> bool:
    """Whether threads may ever share a kernel with this range and this much work."""
    return range_extent != 1 and prove_less(work, SHARED_FROM) is not Proof.YES


def _own_work(stmt: Stmt) -> int:
    """What a statement does itself, once: its store and its expressions."""
    stored = 1 if isinstance(stmt, Store) else 0
    return stored + sum(_cost(node) for expr in expressions(stmt) for node in nodes(expr))


def _cost(node: ScalarExpr) -> int:
    if isinstance(node, Const | IndexValue):
        return 0
    return _FUNCTION_COST if isinstance(node, Apply) and node.function not in _CHEAP else 1
