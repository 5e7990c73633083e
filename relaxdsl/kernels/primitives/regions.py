"""Which part of a buffer loops touch: a box, from a least to a greatest index along each axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import For, loop_variable
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.primitives.dependence import Guard, Touch, names_along
from relaxdsl.types.atoms import FloorDiv, Max, Min, Symbol
from relaxdsl.types.dims import (
    Dim,
    SymInt,
    dim_max,
    dim_min,
    floordiv,
    free_symbols,
    has_atoms,
    linear_in,
    substitute,
    terms,
)
from relaxdsl.types.polynomial import Monomial, Polynomial
from relaxdsl.types.prove import Proof, is_non_negative, prove_less_equal
from relaxdsl.types.remainders import Remainder, split_remainder
from relaxdsl.types.symint import from_atom, from_polynomial

Span = tuple[Dim, Dim]


@dataclass(frozen=True, slots=True)
class Box:
    """The elements from ``spans[d][0]`` to ``spans[d][1]``, both included, along each axis ``d``."""

    spans: tuple[Span, ...]

    @property
    def extents(self) -> tuple[Dim, ...]:
        return tuple(folded(high - low + 1) for low, high in self.spans)


def box_of(touch: Touch, fixed: Sequence[For]) -> Box:
    """The elements an access may touch while the loops ``fixed`` stand still, within the buffer.

    A write that always happens is within it anyway; a read may be guarded by a choice.
    """
    if touch.indices is None:
        return Box(tuple((0, size - 1) for size in touch.buffer.shape))
    touch = _without_split_loops(touch, fixed)
    inner = [loop for loop in touch.loops if loop not in fixed]
    known = ranges_of(fixed)
    spans = [span_over(index, inner, known) for index in touch.indices or ()]
    if touch.is_write and not touch.guards and None not in spans:
        return Box(tuple((folded(span[0]), folded(span[1])) for span in spans if span is not None))
    return Box(tuple(_clipped(span, size, known) for span, size in zip(spans, touch.buffer.shape, strict=True)))


def exact_box(touch: Touch, fixed: Sequence[For]) -> Box | None:
    """The elements that an access touches for sure while the loops ``fixed`` stand still: each axis is walked by loops
    of its own, step by step. None where that can't be seen.
    """
    if touch.indices is None:
        return None
    touch = _without_split_loops(touch, fixed)
    inner = [loop for loop in touch.loops if loop not in fixed]
    walked: list[str] = []
    for index in touch.indices or ():
        loops = _walking(index, inner)
        if loops is None:
            return None
        walked += loops
    if not all(_is_independent(each, inner) for each in inner if each.var in walked):
        return None
    pairs = set(zip(touch.indices or (), touch.buffer.shape, strict=True))
    # the box ends where the buffer does, and the last step of a reduction leaves no element out
    is_open = any(guard not in pairs and not _is_on_reduction(touch, guard) for guard in touch.guards)
    return None if is_open or len(set(walked)) < len(walked) else box_of(touch, fixed)


def _is_independent(loop: For, others: Sequence[For]) -> bool:
    """Whether a loop has the same range in all iterations of the others."""
    return not {*free_symbols(loop.start), *free_symbols(loop.extent)} & {each.var for each in others}


def _is_on_reduction(touch: Touch, guard: Guard) -> bool:
    reduced = names_along(touch.block, "reduce") if touch.block is not None else set()
    names = {name for dim in guard or () for name in free_symbols(dim)} & {loop.var for loop in touch.loops}
    return guard is not None and bool(names) and names <= reduced


def ranges_of(loops: Iterable[For]) -> dict[str, Span]:
    """The least and greatest value of each loop's variable."""
    return {loop.var: (loop.start, loop.start + loop.extent - 1) for loop in loops}


def union(boxes: Iterable[Box], fixed: Sequence[For]) -> Box:
    """A box that holds all boxes."""
    known = ranges_of(fixed)
    first, *others = boxes
    for other in others:
        pairs = zip(first.spans, other.spans, strict=True)
        first = Box(tuple((_least(a[0], b[0], known), _greatest(a[1], b[1], known)) for a, b in pairs))
    return first


def covers(outer: Box, inner: Box, fixed: Sequence[For]) -> bool:
    """Whether it could be proved that ``outer`` holds all of ``inner``."""
    known = ranges_of(fixed)
    return all(
        prove_less_equal(a[0], b[0], known) is Proof.YES and prove_less_equal(b[1], a[1], known) is Proof.YES
        for a, b in zip(outer.spans, inner.spans, strict=True)
    )


def folded(dim: Dim) -> Dim:
    """``min(a, b) + c`` as ``min(a + c, b + c)``."""
    for coefficient, factors in terms(dim):
        match factors:
            case ((Min() | Max() as atom, 1),) if coefficient == 1:
                rest = dim - from_atom(atom)
                choose = dim_min if isinstance(atom, Min) else dim_max
                return dim if has_atoms(rest) else choose(*(each + rest for each in atom.args))
    return dim


def _clipped(span: Span | None, size: Dim, known: dict[str, Span]) -> Span:
    if span is None:
        return 0, size - 1
    return folded(_greatest(span[0], 0, known)), folded(_least(span[1], size - 1, known))


def _least(a: Dim, b: Dim, known: dict[str, Span]) -> Dim:
    if prove_less_equal(a, b, known) is Proof.YES:
        return a
    return b if prove_less_equal(b, a, known) is Proof.YES else dim_min(a, b)


def _greatest(a: Dim, b: Dim, known: dict[str, Span]) -> Dim:
    if prove_less_equal(a, b, known) is Proof.YES:
        return b
    return a if prove_less_equal(b, a, known) is Proof.YES else dim_max(a, b)


# ------------------------------------------------------------------------------------------------------- split loops


def _without_split_loops(touch: Touch, fixed: Sequence[For]) -> Touch:
    """The access with one loop where a loop had been split, so that the condition on the rest is gone."""
    for guard in touch.guards:
        found = None if guard is None else _joined(touch, *guard, fixed)
        touch = found or touch
    return touch


def _joined(touch: Touch, left: Dim, right: Dim, fixed: Sequence[For]) -> Touch | None:
    """``for a, b: if 4 * a + b < n: x[4 * a + b]`` as ``for g in range(n): x[g]``."""
    inner = [loop for loop in touch.loops if loop not in fixed]
    parts = _walking(left, inner)
    total = math.prod(loop.extent for loop in inner if parts and loop.var in parts)
    is_whole = prove_less_equal(right, total, ranges_of(fixed)) is Proof.YES
    if not parts or not is_whole or set(free_symbols(left)) & {loop.var for loop in fixed}:
        return None
    last = next(loop for loop in inner if loop.var == parts[0])
    joined = For(f"{last.var}.joined", right, last.body)
    value = loop_variable(joined.var, right) - left + loop_variable(last.var, last.extent)
    indices = tuple(
        each if isinstance(each, ScalarExpr) else substitute(each, {last.var: value}) for each in touch.indices or ()
    )
    if any(name in parts for each in indices if not isinstance(each, ScalarExpr) for name in free_symbols(each)):
        return None
    loops = tuple(joined if loop is last else loop for loop in touch.loops if loop is last or loop.var not in parts)
    guards = tuple(each for each in touch.guards if each != (left, right))
    return replace(touch, indices=indices, loops=loops, guards=guards)


def _walking(index: Index, inner: Sequence[For]) -> list[str] | None:
    """The loops that walk an index step by step, the fastest first: ``i_0 * 4 + i_1``; None if they leave gaps."""
    if isinstance(index, ScalarExpr):
        return None
    used = {loop.var: loop for loop in inner if loop.var in free_symbols(index)}
    stride: Dim = 1
    found: list[str] = []
    while used:
        name = next((name for name in used if _step(index, name) == stride), None)
        if name is None or used[name].start != 0:
            return None
        found.append(name)
        stride = stride * used.pop(name).extent
    return found


def _step(index: Dim, name: str) -> Dim | None:
    """How much an index grows with one more step of a loop, if that is the same everywhere."""
    split = linear_in(index, name)
    return None if split is None else split[0]


# ------------------------------------------------------------------------------------------------------------- spans


def span_over(index: Index, inner: Sequence[For], known: dict[str, Span]) -> Span | None:
    """The least and greatest value of an index over the loops ``inner``; None where that is not known."""
    if isinstance(index, ScalarExpr):
        return None
    span: Span | None = (index, index)
    for loop in reversed(inner):
        span = span and _over_loop(span, loop, known)
    return span


def most_over(extent: Dim, loops: Sequence[For]) -> Dim | None:
    """The greatest value of an extent over the loops, in terms of sizes; None where that is not known."""
    variables = {loop.var for loop in loops}
    if not variables & set(free_symbols(extent)):
        return extent
    choices = [each for each in _arguments_of_min(extent) if not variables & set(free_symbols(each))]
    if choices:
        return min(choices, key=lambda each: not isinstance(each, int))
    span = span_over(extent, loops, {})
    return None if span is None else span[1]


def _arguments_of_min(extent: Dim) -> tuple[Dim, ...]:
    match terms(extent):
        case ((1, ((Min(args=args), 1),)),):
            return args
    return ()


def _over_loop(span: Span, loop: For, known: dict[str, Span]) -> Span | None:
    ends = (loop.start, loop.start + loop.extent - 1)
    low, high = _extreme(span[0], loop.var, ends, known), _extreme(span[1], loop.var, ends, known)
    return None if low is None or high is None else (low[0], high[1])


def _extreme(dim: Dim, name: str, ends: Span, known: dict[str, Span]) -> Span | None:
    """The least and greatest value of ``dim`` over the values of one symbol."""
    if not isinstance(dim, SymInt) or name not in free_symbols(dim):
        return dim, dim
    remainder = split_remainder(dim.polynomial)
    if remainder is not None:
        return _with_remainder(remainder, name, ends, known)
    low: Dim = 0
    high: Dim = 0
    for coefficient, factors in terms(dim):
        span = _extreme_of_term(coefficient, factors, name, ends, known)
        if span is None:
            return None
        low, high = low + span[0], high + span[1]
    return low, high


def _with_remainder(found: tuple[Remainder, Polynomial], name: str, ends: Span, known: dict[str, Span]) -> Span | None:
    """``a % b`` lies between 0 and ``b - 1``."""
    remainder, rest = found
    if remainder.factor or remainder.scale < 0 or name in free_symbols(remainder.division.denominator):
        return None
    others = _extreme(from_polynomial(dict(rest)), name, ends, known)
    if others is None:
        return None
    return others[0], others[1] + remainder.scale * (remainder.division.denominator - 1)


def _extreme_of_term(coefficient: int, factors: Monomial, name: str, ends: Span, known: dict[str, Span]) -> Span | None:
    """A term is monotone in the symbol if the symbol, or a division of it, stands in it once, times something known."""
    slope: Dim = coefficient
    span: Span | None = (1, 1)
    for atom, power in factors:
        own = name in free_symbols(from_atom(atom))
        if own and (power > 1 or span != (1, 1)):
            return None
        if own:
            span = _extreme_of_atom(atom, name, ends, known)
        else:
            for _ in range(power):
                slope = slope * from_atom(atom)
    if span is None:
        return None
    if is_non_negative(slope, known):
        return slope * span[0], slope * span[1]
    return (slope * span[1], slope * span[0]) if is_non_negative(-slope, known) else None


def _extreme_of_atom(atom: object, name: str, ends: Span, known: dict[str, Span]) -> Span | None:
    if isinstance(atom, Symbol):
        return ends
    if isinstance(atom, FloorDiv) and name not in free_symbols(atom.denominator):
        numerator = _extreme(atom.numerator, name, ends, known)
        return numerator and (floordiv(numerator[0], atom.denominator), floordiv(numerator[1], atom.denominator))
    return None
