"""``and`` and ``or`` of conditions: as Python has them, the right side is left out where the left one decides.

Where evaluating both sides makes no difference, they are the function ``logical_and`` or ``logical_or``. Where the
right side may fail, they are a choice, ``right if left else False`` or ``True if left else right``: the left side
guards the right one.
"""

from __future__ import annotations

from relaxdsl.ir.scalar import Apply, Const, IndexValue, Load, ScalarExpr, Select, const
from relaxdsl.ir.visit_loops import walk_scalar
from relaxdsl.types.atoms import FloorDiv, atom_operands
from relaxdsl.types.dims import Dim, terms
from relaxdsl.types.symint import is_at_least


def joined(function: str, left: ScalarExpr, right: ScalarExpr) -> ScalarExpr:
    """``left and right``, or ``left or right``, of bools; ``function`` is ``logical_and`` or ``logical_or``."""
    if not may_fail(right):
        return Apply(function, (left, right), "bool")
    return guarded(function, left, right)


def guarded(function: str, left: ScalarExpr, right: ScalarExpr) -> Select:
    """The same as a choice, which evaluates ``right`` only where ``left`` does not decide."""
    if function == "logical_and":
        return Select(left, right, const(False, "bool"))
    return Select(left, const(True, "bool"), right)


def joined_by(expr: ScalarExpr) -> tuple[str, tuple[ScalarExpr, ...]] | None:
    """The function that joins conditions to ``expr``, in either form, and these; None if it is none of them."""
    match expr:
        case Apply("logical_and" | "logical_or" as function, args):
            return function, args
        case Select(left, right, Const(value=False, dtype="bool")):
            return "logical_and", (left, right)
        case Select(left, Const(value=True, dtype="bool"), right):
            return "logical_or", (left, right)
    return None


def may_fail(expr: ScalarExpr) -> bool:
    """Whether evaluating ``expr`` may be an error, for all that the expression itself says: it reads or divides."""
    return any(
        (isinstance(node, Load) and bool(node.indices))
        or (isinstance(node, IndexValue) and _may_divide_by_zero(node.dim))
        for node in walk_scalar(expr)
    )


def _may_divide_by_zero(dim: Dim) -> bool:
    atoms = [atom for _, factors in terms(dim) for atom, _ in factors]
    if any(isinstance(atom, FloorDiv) and not is_at_least(atom.denominator, 1) for atom in atoms):
        return True
    return any(_may_divide_by_zero(operand) for atom in atoms for operand in atom_operands(atom))
