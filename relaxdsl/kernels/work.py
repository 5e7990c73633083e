"""An estimate of how much a phase does, as a dim: how many loads, stores and operations of scalars it makes.

The runtime shares a phase's range among threads where the estimate is large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from relaxdsl.ir.loops import (
    Buffer,
    CallExtern,
    For,
    IfThenElse,
    Parts,
    Stmt,
    Store,
    loop_variable,
    sub_statements,
    substitute_variables,
)
from relaxdsl.ir.scalar import (
    ARITHMETIC,
    BITWISE,
    COMPARISONS,
    LOGICAL,
    PREDICATES,
    SUMMING,
    Apply,
    Const,
    IndexValue,
    ScalarExpr,
)
from relaxdsl.kernels.accesses import expressions, nodes
from relaxdsl.kernels.contraction.names import PARAMETERS, is_address
from relaxdsl.kernels.contraction.tile import COLUMN_GROUP
from relaxdsl.types.atoms import Atom
from relaxdsl.types.dims import (
    Dim,
    FloorDiv,
    Max,
    Min,
    dim_max,
    dim_min,
    floordiv,
    free_symbols,
    map_atoms,
    only_atom,
    substitute,
    terms,
)
from relaxdsl.types.dtype import itemsize
from relaxdsl.types.polynomial import Term
from relaxdsl.types.prove import Proof, prove_less, prove_less_equal
from relaxdsl.types.symint import from_atom, is_at_least

SHARED_FROM = 300_000
"""From which estimate on threads share a phase.

Measured on two cores: a unit takes 0.02 to 0.07 ns, also one of the contraction engine, and two threads are faster than
one from about 150,000 units on if the second is awake. What it takes to wake it: :mod:`relaxdsl.runtime.parallel`.
"""

_CHEAP = ARITHMETIC | COMPARISONS | LOGICAL | BITWISE | PREDICATES | SUMMING | {"abs", "maximum", "minimum"}
_FUNCTION_COST = 10
"""What any other function costs, in units of an addition."""
_NEGLIGIBLE = 8
"""A term is left out beside one with more factors, even if its number is so many times larger."""
_FEW = 8
"""Sizes that differ by so many iterations or less count as the same where loops are split."""


def estimate_work(stmt: Stmt) -> Dim:
    """The number of scalar operations of a statement, in the kernel's sizes.

    Loops that depend on outer ones count as in the middle of the outer range; where one side of a condition certainly
    does more, that side counts, else both. A multiplication with an addition in the contraction engine is one.
    """
    return _defined_everywhere(_without_small_terms(_estimate(stmt)))


def pays_to_share(extent: Dim, work: Dim) -> bool:
    """Whether threads may ever share a phase with this range and this much work."""
    return extent != 1 and prove_less(work, SHARED_FROM) is not Proof.YES


def is_cheap(value: ScalarExpr) -> bool:
    """Whether a value takes no function that costs more than a few additions."""
    return not any(isinstance(node, Apply) and node.function not in _CHEAP for node in nodes(value))


def _estimate(stmt: Stmt) -> Dim:
    match stmt:
        case For():
            return _over_loop(stmt, _estimate(stmt.body))
        case Parts(lower, upper, extent, body):
            return _estimate(substitute_variables(body, {lower: 0, upper: extent}))
        case IfThenElse(then_body=then_body, else_body=else_body):
            otherwise = 0 if else_body is None else _estimate(else_body)
            return _own_work(stmt) + _either(_estimate(then_body), otherwise)
        case CallExtern():
            return _engine_work(stmt)
        case _:
            return sum(map(_estimate, sub_statements(stmt)), start=_own_work(stmt))


def _over_loop(loop: For, inside: Dim) -> Dim:
    """The sum of ``inside`` over the loop's iterations."""
    total: Dim = 0
    extent = loop.extent if loop.start == 0 else _about(loop.extent)
    for coefficient, factors in terms(inside):
        lengths = ((factor, _whole(factor, loop)) for factor in factors)
        block, count = next(((factor, whole) for factor, whole in lengths if whole is not None), (None, extent))
        others = (_power_within(factor, loop.var) for factor in factors if factor is not block)
        total = total + coefficient * count * math.prod(others)
    if loop.var in free_symbols(total):
        total = substitute(total, {loop.var: loop.start + loop.extent // 2})
    return total


def _about(dim: Dim) -> Dim:
    """The dim to within a few iterations, as edges are: the least of some sizes is about any of them that is not much
    more than the others, and the greatest about any that is not much less.
    """

    def on_atom(atom: Atom) -> Dim:
        is_condition = isinstance(atom, Min) and 1 in atom.args
        if is_condition or not isinstance(atom, Min | Max):
            return from_atom(atom)
        near = ((each, [other for other in atom.args if other is not each]) for each in atom.args)
        if isinstance(atom, Min):
            return next((each for each, others in near if _are_below([each - _FEW], others)), from_atom(atom))
        return next((each for each, others in near if _are_below(others, [each + _FEW])), from_atom(atom))

    return map_atoms(dim, on_atom)


def _are_below(lower: Sequence[Dim], upper: Sequence[Dim]) -> bool:
    return all(prove_less_equal(small, large) is Proof.YES for small in lower for large in upper)


def _power_within(factor: tuple[Atom, int], variable: str) -> Dim:
    """The factor; of a minimum, what does not vary with the loop, as most of its blocks are full."""
    atom, power = factor
    fixed = [arg for arg in atom.args if variable not in free_symbols(arg)] if isinstance(atom, Min) else []
    return math.prod([dim_min(*fixed) if fixed else from_atom(atom)] * power)


def _without_small_terms(work: Dim) -> Dim:
    """``work`` without the terms that are a fraction of another: ``2 * m * n + m`` is about ``2 * m * n``."""
    parts = terms(work)
    kept = [part for part in parts if not any(_outweighs(each, part) for other in parts for each in _bounds(other))]
    return sum(map(_product, kept), start=0)


def _product(part: Term) -> Dim:
    coefficient, factors = part
    return coefficient * math.prod(from_atom(atom) ** power for atom, power in factors)


def _bounds(part: Term) -> Iterator[Term]:
    """The term, and others that are no larger: with a size in place of the larger one of it and another."""
    yield part
    coefficient, factors = part
    for number, (atom, power) in enumerate(factors):
        if isinstance(atom, Max):
            others = _product((coefficient, (*factors[:number], *factors[number + 1 :])))
            for size in atom.args:
                found = terms(others * size**power)
                if len(found) == 1:
                    yield found[0]


def _defined_everywhere(dim: Dim) -> Dim:
    """The dim with 1 for a divisor that may be 0: a loop that divides by a size runs only where there is one."""

    def on_atom(atom: Atom) -> Dim:
        match atom:
            case FloorDiv(numerator, denominator):
                divisor = denominator if is_at_least(denominator, 1) else dim_max(1, _defined_everywhere(denominator))
                return floordiv(_defined_everywhere(numerator), divisor)
            case Min(args):
                return dim_min(*map(_defined_everywhere, args))
            case Max(args):
                return dim_max(*map(_defined_everywhere, args))
        return from_atom(atom)

    return map_atoms(dim, on_atom)


def _outweighs(other: Term, part: Term) -> bool:
    powers = dict(other[1])
    divides = all(powers.get(atom, 0) >= power for atom, power in part[1])
    grows = all(is_at_least(from_atom(atom), 0) for atom in powers)
    return divides and grows and other is not part and abs(part[0]) <= _NEGLIGIBLE * other[0]


def _whole(factor: tuple[Atom, int], loop: For) -> Dim | None:
    """``n``, if the factor is the length ``min(c, n - c * i)`` of block number ``i``, over which the loop runs.

    Of the larger one of such a length and another size, the larger one of both.
    """
    atom, power = factor
    if isinstance(atom, Max) and power == 1:
        return _whole_of_larger(atom, loop)
    if not isinstance(atom, Min) or len(atom.args) != 2 or power != 1:
        return None
    variable = loop_variable(loop.var, loop.extent)
    for length, rest in (atom.args, atom.args[::-1]):
        whole = rest + length * variable
        if loop.var in free_symbols(rest) and loop.var not in (*free_symbols(whole), *free_symbols(length)):
            return whole
    return None


def _whole_of_larger(atom: Max, loop: For) -> Dim | None:
    varying = [each for each in atom.args if loop.var in free_symbols(each)]
    length = only_atom(varying[0]) if len(varying) == 1 else None
    whole = None if length is None else _whole((length, 1), loop)
    return None if whole is None else dim_max(whole, *(each for each in atom.args if each is not varying[0]))


def _either(first: Dim, second: Dim) -> Dim:
    if prove_less_equal(first, second) is Proof.YES:
        return second
    return first if prove_less_equal(second, first) is Proof.YES else first + second


def _engine_work(call: CallExtern) -> Dim:
    """What a call of the contraction engine does: its products, or what it packs.

    A product of few rows takes as long as reading the operand.
    """
    sizes = _sizes_passed(call)
    if "rows" in sizes:
        least = itemsize(call.function.rpartition("_")[2])
        rows, columns = dim_max(sizes["rows"], least), sizes["columns"]
        if isinstance(columns, int):
            columns = max(columns, least)
        return rows * columns * sizes.get("steps", sizes["k"])
    if "columns" in sizes:
        return sizes["columns"] * sizes["steps"]
    return sizes["count"] * COLUMN_GROUP * sizes["k"]


def _sizes_passed(call: CallExtern) -> dict[str, Dim]:
    """The arguments that are no addresses, by the parameters' names; an address is a buffer and an offset."""
    rest = iter(call.arguments)
    sizes: dict[str, Dim] = {}
    for name in PARAMETERS[call.function.rpartition("_")[0]].split():
        argument = next(rest)
        if is_address(name):
            next(rest)
        elif not isinstance(argument, Buffer):
            sizes[name] = argument
    return sizes


def _own_work(stmt: Stmt) -> int:
    """What a statement does itself, once: its store and its expressions."""
    stored = 1 if isinstance(stmt, Store) else 0
    return stored + sum(_cost(node) for expr in expressions(stmt) for node in nodes(expr))


def _cost(node: ScalarExpr) -> int:
    if isinstance(node, Const | IndexValue):
        return 0
    return _FUNCTION_COST if isinstance(node, Apply) and node.function not in _CHEAP else 1
