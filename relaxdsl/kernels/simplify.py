"""Index simplification: what is known of the loops' ranges makes remainders, minima and guards disappear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import For, IfThenElse, Parts, PrimFunc, Seq, Stmt, Store, loop_variable, sequence
from relaxdsl.ir.scalar import Apply, Const, Index, ScalarExpr, Select, const, rewrite
from relaxdsl.kernels.accesses import as_dim
from relaxdsl.types.dims import (
    Dim,
    FloorDiv,
    Max,
    Min,
    SymInt,
    dim_max,
    dim_min,
    floordiv,
    has_atoms,
    map_atoms,
    terms,
)
from relaxdsl.types.prove import Proof, prove_equal, prove_less, prove_less_equal
from relaxdsl.types.symint import from_atom

Ranges = Mapping[str, tuple[Dim, Dim]]


def simplify_indices(prim_func: PrimFunc) -> PrimFunc:
    """Simplifies every dim and condition with the ranges of the loops around it.

    Before::

        for i in range(n):
            for j in range(4):
                out[i * 4 + j] = x[(i * 4 + j) // 4] if i < n else 0

    After::

        for i in range(n):
            for j in range(4):
                out[i * 4 + j] = x[i]
    """
    return replace(prim_func, body=_Simplifier({}).statement(prim_func.body))


def simplify_dim(dim: Dim, ranges: Ranges) -> Dim:
    """``dim``, equal for all values in the ranges, with fewer divisions, minima and maxima where that can be proved."""
    if not has_atoms(dim):
        return dim
    return map_atoms(dim, lambda atom: _simplify_atom(from_atom(atom), atom, ranges))


def _simplify_atom(original: SymInt, atom: object, ranges: Ranges) -> Dim:
    if isinstance(atom, FloorDiv):
        return _simplify_division(simplify_dim(atom.numerator, ranges), simplify_dim(atom.denominator, ranges), ranges)
    if isinstance(atom, Min):
        return _simplify_extremum([simplify_dim(each, ranges) for each in atom.args], ranges, is_min=True)
    if isinstance(atom, Max):
        return _simplify_extremum([simplify_dim(each, ranges) for each in atom.args], ranges, is_min=False)
    return original


def _simplify_division(numerator: Dim, denominator: Dim, ranges: Ranges) -> Dim:
    """``(q * d + r) // d == q`` if ``0 <= r < d``: the terms with a factor ``d`` are ``q * d``."""
    whole, rest = _split_multiples(numerator, denominator)
    lies_within = prove_less_equal(0, rest, ranges) is Proof.YES and prove_less(rest, denominator, ranges) is Proof.YES
    return whole if lies_within else floordiv(numerator, denominator)


def _split_multiples(numerator: Dim, denominator: Dim) -> tuple[Dim, Dim]:
    """``(q, r)`` with ``numerator == q * denominator + r``, term by term, for a denominator of one term."""
    single = terms(denominator)
    if len(single) != 1:
        return 0, numerator
    ((scale, factors),) = single
    whole: Dim = 0
    for coefficient, monomial in terms(numerator):
        powers = dict(monomial)
        if coefficient % scale == 0 and all(powers.get(atom, 0) >= power for atom, power in factors):
            part: Dim = coefficient // scale
            for atom, power in monomial:
                for _ in range(power - dict(factors).get(atom, 0)):
                    part = part * from_atom(atom)
            whole = whole + part
    return whole, numerator - whole * denominator


def _simplify_extremum(args: list[Dim], ranges: Ranges, is_min: bool) -> Dim:
    """Leaves out what another argument is proved to beat."""
    kept: list[Dim] = []
    for each in args:
        if any(_beats(other, each, ranges, is_min) for other in kept):
            continue
        kept = [other for other in kept if not _beats(each, other, ranges, is_min)]
        kept.append(each)
    return dim_min(*kept) if is_min else dim_max(*kept)


def _beats(winner: Dim, loser: Dim, ranges: Ranges, is_min: bool) -> bool:
    smaller, greater = (winner, loser) if is_min else (loser, winner)
    return prove_less_equal(smaller, greater, ranges) is Proof.YES


@dataclass(frozen=True, slots=True)
class _Simplifier:
    """Simplifies statements and expressions inside loops of known ranges."""

    ranges: Ranges

    def statement(self, stmt: Stmt) -> Stmt:
        match stmt:
            case Seq(body):
                return sequence(*map(self.statement, body))
            case For():
                return self._loop(stmt)
            case Parts():
                return self._parts(stmt)
            case IfThenElse():
                return self._branch(stmt)
            case Store(buffer, indices, value):
                return Store(buffer, tuple(map(self._index, indices)), self.expression(value))
            case _:
                return stmt

    def _loop(self, loop: For) -> For:
        start, extent = self._dim(loop.start), self._dim(loop.extent)
        inner = _Simplifier({**self.ranges, loop.var: (start, start + extent - 1)})
        return replace(loop, start=start, extent=extent, body=inner.statement(loop.body))

    def _parts(self, parts: Parts) -> Parts:
        extent = self._dim(parts.extent)
        lower = loop_variable(parts.lower, parts.extent + 1)
        inner = _Simplifier({**self.ranges, parts.lower: (0, extent), parts.upper: (lower, extent)})
        return replace(parts, extent=extent, body=inner.statement(parts.body), per_thread=self._dim(parts.per_thread))

    def _branch(self, branch: IfThenElse) -> Stmt:
        condition = self.expression(branch.condition)
        if isinstance(condition, Const):
            chosen = branch.then_body if condition.value else branch.else_body
            return Seq(()) if chosen is None else self.statement(chosen)
        otherwise = None if branch.else_body is None else self.statement(branch.else_body)
        return IfThenElse(condition, self.statement(branch.then_body), otherwise)

    def expression(self, expr: ScalarExpr) -> ScalarExpr:
        return rewrite(expr, self._decided, self._dim)

    def _index(self, index: Index) -> Index:
        return self.expression(index) if isinstance(index, ScalarExpr) else self._dim(index)

    def _dim(self, dim: Dim) -> Dim:
        return simplify_dim(dim, self.ranges)

    def _decided(self, node: ScalarExpr) -> ScalarExpr | None:
        """What a condition, or a choice by it, is known to be."""
        match node:
            case Select(condition, then_value, else_value):
                return self._choice(self.expression(condition), then_value, else_value)
            case Apply("logical_and" | "logical_or" | "logical_not", _, _):
                return self._logic(node)
            case Apply(function, (left, right), "bool"):
                return self._comparison(function, as_dim(left), as_dim(right))
        return None

    def _choice(self, condition: ScalarExpr, then_value: ScalarExpr, else_value: ScalarExpr) -> ScalarExpr:
        if isinstance(condition, Const):
            return self.expression(then_value if condition.value else else_value)
        return Select(condition, self.expression(then_value), self.expression(else_value))

    def _logic(self, node: Apply) -> ScalarExpr:
        args = tuple(map(self.expression, node.args))
        known = [each for each in args if isinstance(each, Const)]
        if not known:
            return Apply(node.function, args, "bool")
        if node.function == "logical_not":
            return const(not known[0].value, "bool")
        decisive = node.function == "logical_or"
        if any(bool(each.value) is decisive for each in known):
            return const(decisive, "bool")
        return next((each for each in args if not isinstance(each, Const)), const(not decisive, "bool"))

    def _comparison(self, function: str, left: Dim | None, right: Dim | None) -> ScalarExpr | None:
        proof = Proof.UNKNOWN if left is None or right is None else self._proof(function, left, right)
        return None if proof is Proof.UNKNOWN else const(proof is Proof.YES, "bool")

    def _proof(self, function: str, left: Dim, right: Dim) -> Proof:
        match function:
            case "less":
                return prove_less(left, right, self.ranges)
            case "less_equal":
                return prove_less_equal(left, right, self.ranges)
            case "greater":
                return prove_less(right, left, self.ranges)
            case "greater_equal":
                return prove_less_equal(right, left, self.ranges)
            case "equal":
                return prove_equal(left, right, self.ranges)
            case "not_equal":
                return _opposite(prove_equal(left, right, self.ranges))
        return Proof.UNKNOWN


def _opposite(proof: Proof) -> Proof:
    return {Proof.YES: Proof.NO, Proof.NO: Proof.YES, Proof.UNKNOWN: Proof.UNKNOWN}[proof]
