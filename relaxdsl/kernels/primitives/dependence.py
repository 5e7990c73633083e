"""Whether two iterations of loops may touch the same element: what makes a reordering or a parallel loop illegal.

Indices are polynomials in the loops' variables. Two accesses, in iterations whose distance along each loop has a known
sign, cannot meet if the prover shows for some index, or for some sum of indices, that the difference is never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import chain, combinations
from typing import Literal, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    CallExtern,
    For,
    IfThenElse,
    IterKind,
    Stmt,
    Store,
    loop_variable,
    sub_statements,
)
from relaxdsl.ir.scalar import Apply, Index, IndexValue, Load, ScalarExpr
from relaxdsl.ir.visit_loops import scalars_of
from relaxdsl.kernels.accesses import flat_index, index_dims, loads_of
from relaxdsl.kernels.patterns import bare_name, spatial_variables
from relaxdsl.types.atoms import FloorDiv, Symbol
from relaxdsl.types.dims import Dim, SymInt, free_symbols, split_linear, substitute, terms
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.symint import from_atom

#: A condition ``left < right`` on loop variables; None stands for any other condition.
Guard: TypeAlias = "tuple[Dim, Dim] | None"
#: How far apart two iterations are along a loop: the same, the second one later, earlier, or anything.
Sign = Literal["=", "<", ">", "*"]


@dataclass(frozen=True, eq=False, slots=True)
class Touch:
    """A read or a write of a buffer, in terms of the loops around it.

    Args:
        indices: over loop variables; None where all of the buffer may be touched.
        own_indices: over the axes of ``block``, as they are written.
        loops: those around it, outermost first.
        guards: the conditions around it.
        node: the load or the store; None where a function gets the buffer.
    """

    buffer: Buffer
    indices: tuple[Index, ...] | None
    is_write: bool
    own_indices: tuple[Index, ...]
    block: Block | None
    loops: tuple[For, ...]
    guards: tuple[Guard, ...]
    node: Load | Store | None = None

    @property
    def owner(self) -> str:
        """Whose access it is, in words."""
        return "a statement outside of blocks" if self.block is None else f"block {self.block.name}"

    @property
    def place(self) -> str:
        """The name of its block, or else of the innermost loop around it, to point at."""
        if self.block is not None:
            return self.block.name
        return self.loops[-1].var if self.loops else ""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What is around a statement."""

    loops: tuple[For, ...] = ()
    block: Block | None = None
    bindings: Mapping[str, Dim] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()

    def inside(self, stmt: Stmt) -> _Surroundings:
        match stmt:
            case For():
                return replace(self, loops=(*self.loops, stmt))
            case Block():
                inner = {axis.var: substitute(axis.binding, self.bindings) for axis in stmt.iter_vars}
                return replace(self, block=stmt, bindings={**self.bindings, **inner})
            case IfThenElse():
                return replace(self, guards=(*self.guards, self._guard(stmt)))
        return self

    def _guard(self, branch: IfThenElse) -> Guard:
        match branch:
            case IfThenElse(Apply("less", (IndexValue(left), IndexValue(right))), _, None):
                return substitute(left, self.bindings), substitute(right, self.bindings)
        return None

    def touch(self, node: Load | Store) -> Touch:
        indices, is_write = node.indices, isinstance(node, Store)
        bound = tuple(each if isinstance(each, ScalarExpr) else substitute(each, self.bindings) for each in indices)
        return Touch(node.buffer, bound, is_write, indices, self.block, self.loops, self.guards, node)


def touches(stmt: Stmt, around: Sequence[For] = ()) -> list[Touch]:
    """Every read and write in a statement, in the order they run; ``around`` are the loops around it."""
    return list(_touches(stmt, _Surroundings(tuple(around))))


def _touches(stmt: Stmt, around: _Surroundings) -> Iterator[Touch]:
    for expr in scalars_of(stmt):
        yield from (around.touch(load) for load in loads_of(expr))
    match stmt:
        case Store():
            yield around.touch(stmt)
        case CallExtern(arguments=arguments, written=written):
            for buffer in (each for each in arguments if isinstance(each, Buffer)):
                yield Touch(buffer, None, buffer in written, (), around.block, around.loops, around.guards)
    inner = around.inside(stmt)
    for each in sub_statements(stmt):
        yield from _touches(each, inner)


def conflicting_pairs(found: Iterable[Touch]) -> Iterator[tuple[Touch, Touch]]:
    """Every ordered pair of accesses of the same buffer of which one writes."""
    by_buffer: dict[Buffer, list[Touch]] = {}
    for each in found:
        by_buffer.setdefault(each.buffer, []).append(each)
    for group in by_buffer.values():
        if any(each.is_write for each in group):
            yield from ((a, b) for a in group for b in group if a.is_write or b.is_write)


def is_within_block(buffer: Buffer, found: Iterable[Touch]) -> bool:
    """Whether a register only carries a value from one statement of a block to the next."""
    own = [each for each in found if each.buffer is buffer]
    return buffer.scope == "register" and own[0].is_write and len({each.block for each in own}) == 1


def is_same_point(a: Touch, b: Touch) -> bool:
    """Whether the accesses meet only where a block computes the same element: in one instance, or steps of its sum."""
    if a.block is None or a.block is not b.block or a.own_indices != b.own_indices:
        return False
    return set(spatial_variables(a.block)) <= {bare_name(index) for index in a.own_indices}


# ------------------------------------------------------------------------------------------------------------ meeting


def may_meet(a: Touch, b: Touch, signs: Mapping[str, Sign]) -> bool:
    """Whether ``a`` in one iteration and ``b`` in another may touch the same element.

    Args:
        signs: how the second iteration lies to the first along the loops around both; a loop that is not named here and
            is around both is at the same iteration, one around ``b`` only is at any.
    """
    if a.indices is None or b.indices is None:
        return True
    ranges = {loop.var: _range(loop) for loop in a.loops}
    moved: dict[str, Dim] = {}
    for loop in b.loops:
        sign = signs.get(loop.var, "=" if loop in a.loops else "*")
        if sign in "<>" and prove_less_equal(loop.extent, 1, ranges) is Proof.YES:
            return False
        moved |= _moved(loop, sign, moved, ranges)
    later = tuple(each if isinstance(each, ScalarExpr) else substitute(each, moved) for each in b.indices)
    differences = _differences(a.buffer, a.indices, later)
    return not any(prove_equal(each, 0, ranges) is Proof.NO for each in differences)


def may_meet_anyhow(a: Touch, b: Touch, signs: Mapping[str, Sign]) -> bool:
    """The same as :func:`may_meet`, with each loop that may lie anyhow looked at before, at and after the iteration."""
    if not may_meet(a, b, signs):
        return False
    free = next((var for var, sign in signs.items() if sign == "*"), None)
    if free is None:
        return True
    each_way: tuple[Sign, ...] = ("=", "<", ">")
    return any(may_meet_anyhow(a, b, {**signs, free: sign}) for sign in each_way)


def _range(loop: For) -> tuple[Dim, Dim]:
    return loop.start, loop.start + loop.extent - 1


def _moved(loop: For, sign: Sign, moved: Mapping[str, Dim], ranges: dict[str, tuple[Dim, Dim]]) -> dict[str, Dim]:
    """The value of the loop's variable in the second iteration; the ranges of new symbols join ``ranges``."""
    if sign == "=":
        return {}
    start, extent = substitute(loop.start, moved), substitute(loop.extent, moved)
    if sign == "*":
        other = loop_variable(f"{loop.var}.other", loop.extent)
        ranges[f"{loop.var}.other"] = (start, start + extent - 1)
        return {loop.var: other}
    name = f"{loop.var}.step"
    step = from_atom(Symbol(name, 1, loop.extent - 1 if isinstance(loop.extent, int) else None))
    ranges[name] = (1, extent - 1)
    own = loop_variable(loop.var, loop.extent)
    return {loop.var: own + step if sign == "<" else own - step}


def _differences(buffer: Buffer, first: tuple[Index, ...], second: tuple[Index, ...]) -> Iterator[Dim]:
    """Sums of indices of ``second`` minus the same of ``first``: if one is never zero, the elements differ."""
    plain = [
        b - a
        for a, b in zip(first, second, strict=True)
        if not isinstance(a, ScalarExpr) and not isinstance(b, ScalarExpr)
    ]
    yield from plain
    if len(plain) < len(first):
        return
    before, after = flat_index(buffer.shape, first), flat_index(buffer.shape, second)
    if not isinstance(before, ScalarExpr) and not isinstance(after, ScalarExpr):
        yield after - before
    for left in range(len(plain)):
        for size in _divisors(first[left]):
            yield from (size * plain[left] + plain[right] for right in range(len(plain)) if right != left)
    for left, right in combinations(range(len(plain)), 2):
        for a, b in _shared_divisions(first[left], first[right]):
            yield b * plain[left] - a * plain[right]


def names_in_index(index: Index) -> set[str]:
    """The variables that an index depends on."""
    return {name for dim in index_dims(index) for name in free_symbols(dim)}


def _divisors(index: Index) -> tuple[Dim, ...]:
    """What an index divides by: ``f // n`` and ``f % n`` make up ``f``, if the first is taken ``n`` times."""
    if isinstance(index, ScalarExpr):
        return ()
    atoms = chain.from_iterable(factors for _, factors in terms(index))
    return tuple(dict.fromkeys(atom.denominator for atom, _ in atoms if isinstance(atom, FloorDiv)))


def _shared_divisions(left: Index, right: Index) -> Iterator[tuple[Dim, Dim]]:
    """How often each division that both indices hold is in the one and in the other."""
    if isinstance(left, SymInt) and isinstance(right, SymInt):
        divisions = {each for factors in left.polynomial for each, _ in factors if isinstance(each, FloorDiv)}
        for each in sorted(divisions, key=lambda atom: atom.sort_key):
            a, b = (split_linear(index, each)[0] for index in (left, right))
            if b != 0:
                yield a, b


# ------------------------------------------------------------------------------------------------------ what loops do


def reduced_by(loop: For) -> Block | None:
    """A block in the loop that runs over a reduction along it."""
    for block in _blocks(loop.body):
        for axis in block.iter_vars:
            if axis.kind == "reduce" and loop.var in free_symbols(axis.binding):
                return block
    return None


def names_along(block: Block, kind: IterKind) -> set[str]:
    """The variables that a block's axes of one kind run along."""
    return {name for axis in block.iter_vars if axis.kind == kind for name in free_symbols(axis.binding)}


def _blocks(stmt: Stmt) -> Iterator[Block]:
    if isinstance(stmt, Block):
        yield stmt
    for inner in sub_statements(stmt):
        yield from _blocks(inner)
