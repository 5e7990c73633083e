"""Accesses of a kernel that are out of range for some sizes: proved not to be, shown by an example, or undecided.

A proof takes the loops' ranges and one condition at a time. What it leaves is tried on small sizes: an example in
which every condition around the access certainly holds is an error. What depends on data stays undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import chain, product
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.ir.conditions import joined_by
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.scalar import Apply, Cast, Const, IndexValue, ScalarExpr, Select
from relaxdsl.kernels.access_sites import AxisValue, Condition, Fact, LoopRange, Site, axis_values, dims_of_fact
from relaxdsl.kernels.accesses import as_dim, index_dims
from relaxdsl.types.dims import Dim, FloorDiv, Symbol, evaluate, free_symbols, is_symbol, substitute, symbols_of, terms
from relaxdsl.types.prove import Ranges, is_non_negative
from relaxdsl.types.symint import from_atom

Values: TypeAlias = dict[str, int]

#: Points of loops tried for one access.
_STEP_LIMIT = 8192

#: What small sizes are, by how many sizes there are at most.
_SMALL = ((3, (0, 1, 2, 3, 4, 5, 7, 8)), (6, (0, 1, 2, 3)))
_SMALLEST = (0, 1)


@dataclass(frozen=True, slots=True)
class KnownSizes:
    """What the caller of a kernel knows: sizes that are not negative, since tensors have them, and equal sizes."""

    sizes: tuple[Dim, ...] = ()
    equal: tuple[tuple[Dim, Dim], ...] = ()

    def about(self, names: Iterable[str]) -> KnownSizes:
        """What says something of these symbols, be it by way of others."""
        sizes = [size for size in self.sizes if len(free_symbols(size)) > 0 and not is_symbol(size)]
        facts = [frozenset(free_symbols(size)) for size in sizes]
        facts += [frozenset((*free_symbols(a), *free_symbols(b))) for a, b in self.equal]
        reached = set(names)
        while more := {name for fact in facts if fact & reached for name in fact - reached}:
            reached |= more
        return KnownSizes(
            tuple(size for size in sizes if reached & set(free_symbols(size))),
            tuple((a, b) for a, b in self.equal if reached & {*free_symbols(a), *free_symbols(b)}),
        )

    def names(self) -> Iterator[str]:
        """The symbols that it speaks of."""
        for dim in self.dims():
            yield from free_symbols(dim)

    def dims(self) -> Iterator[Dim]:
        """The sizes that it speaks of."""
        yield from self.sizes
        yield from (dim for pair in self.equal for dim in pair)

    def allows(self, values: Mapping[str, int]) -> bool:
        """Whether the symbols may have these values."""
        are_sizes = all(_evaluated(size, values, -1) >= 0 for size in self.sizes)
        return are_sizes and all(_evaluated(a, values, 0) == _evaluated(b, values, 1) for a, b in self.equal)


NOTHING_KNOWN = KnownSizes()


# --------------------------------------------------------------------------------------------------------------- proofs


def is_proved(site: Site) -> bool:
    """Whether the index is shown to be in range, for all sizes."""
    if isinstance(site.index, ScalarExpr):
        return False
    axes = axis_values(site.facts)
    loops = [fact for fact in site.facts if isinstance(fact, LoopRange)]
    positive = positive_sizes(loop.extent for loop in loops)

    def known_here(dim: Dim) -> Dim:
        return substitute(substitute(dim, axes), positive)

    index, size = known_here(site.index), known_here(site.size)
    ranges = {loop.var: (known_here(loop.start), known_here(loop.start + loop.extent - 1)) for loop in loops}
    known = [known_here(each) for fact in site.facts for each in _known_non_negative(fact)]
    return all(_follows(goal, ranges, known) for goal in (index, size - index - 1))


def positive_sizes(extents: Iterable[Dim]) -> dict[str, Dim]:
    """The sizes that are at least 1 where a loop over them, or over a product of them, takes a step."""
    products = [terms(extent)[0][1] for extent in extents if len(terms(extent)) == 1]
    factors = {atom for product in products for atom, _ in product if isinstance(atom, Symbol)}
    return {each.name: from_atom(Symbol(each.name, max(each.lower, 1), each.upper)) for each in factors}


def _follows(goal: Dim, ranges: Ranges, known: list[Dim]) -> bool:
    """Whether ``goal >= 0``, by the ranges and at most one of the dims known to be ``>= 0``."""
    return is_non_negative(goal, ranges) or any(is_non_negative(goal - each, ranges) for each in known)


def _known_non_negative(fact: Fact) -> Iterator[Dim]:
    """The dims that a condition, or the range of a block's axis, shows to be ``>= 0``."""
    match fact:
        case Condition(expr, holds):
            yield from _from_condition(expr, holds)
        case AxisValue(_, binding, extent):
            yield from (binding, extent - binding - 1)


def _from_condition(expr: ScalarExpr, holds: bool) -> Iterator[Dim]:
    joint = joined_by(expr)
    if joint is not None:
        function, args = joint
        if (function == "logical_and") is holds:
            for each in args:
                yield from _from_condition(each, holds)
        return
    match expr:
        case Apply("logical_not", (inner,)):
            yield from _from_condition(inner, not holds)
        case Apply(function, (left, right)) if function in _NEGATED:
            a, b = as_dim(left), as_dim(right)
            if a is not None and b is not None:
                yield from _from_comparison(function if holds else _NEGATED[function], a, b)


_NEGATED = {
    "less": "greater_equal",
    "less_equal": "greater",
    "greater": "less_equal",
    "greater_equal": "less",
    "equal": "not_equal",
    "not_equal": "equal",
}


def _from_comparison(function: str, a: Dim, b: Dim) -> Iterator[Dim]:
    match function:
        case "less":
            yield b - a - 1
        case "less_equal":
            yield b - a
        case "greater":
            yield a - b - 1
        case "greater_equal":
            yield a - b
        case "equal":
            yield a - b
            yield b - a


# ------------------------------------------------------------------------------------------------------------- examples


def find_example(kernel: PrimFunc, site: Site, known: KnownSizes = NOTHING_KNOWN) -> Values | None:
    """Values of all names for which the access is certainly made and is out of range; None if none was found.

    After all points of loops over few elements, the ends of longer ones are tried.
    """
    small = (small_sizes(kernel, site.facts, known), Walk(_used_loops(site)))
    numbers = sorted({number for dim in _dims_of(site) for number in numbers_in(dim)})
    longer = chain(small_sizes(kernel, site.facts, known), larger_sizes(kernel, site.facts, numbers, known))
    for choices, walk in (small, (longer, Walk(_used_loops(site), is_along_ends=True))):
        for sizes in choices:
            for values in walk.points(sizes, site.facts):
                index = index_at(site, values)
                if index is not None and not 0 <= index < size_at(site, values):
                    return values
    return None


def small_sizes(kernel: PrimFunc, facts: tuple[Fact, ...], known: KnownSizes = NOTHING_KNOWN) -> Iterator[Values]:
    """Small values of the kernel's sizes, least first, for which no buffer's size is negative."""
    known = known.about(kernel.symbols)
    count = len({*kernel.symbols, *known.names()})
    return _sizes(kernel, facts, next((steps for most, steps in _SMALL if count <= most), _SMALLEST), known)


def larger_sizes(
    kernel: PrimFunc, facts: tuple[Fact, ...], numbers: Iterable[int], known: KnownSizes = NOTHING_KNOWN
) -> Iterator[Values]:
    """Values of the kernel's sizes of which one at least is a little larger than one of the numbers."""
    for number in numbers:
        for values in _sizes(kernel, facts, (0, 1, number + 1), known.about(kernel.symbols)):
            if any(value > number for value in values.values()):
                yield values


def numbers_in(dim: Dim) -> Iterator[int]:
    """The numbers that a dim is made of, without their signs."""
    for number, factors in terms(dim):
        yield abs(number)
        for atom in (atom for atom, _ in factors if isinstance(atom, FloorDiv)):
            yield from (*numbers_in(atom.numerator), *numbers_in(atom.denominator))


def _sizes(kernel: PrimFunc, facts: tuple[Fact, ...], steps: tuple[int, ...], known: KnownSizes) -> Iterator[Values]:
    shapes = [size for buffer in (*kernel.params, *kernel.scratch) for size in buffer.shape]
    inside = (dim for fact in facts for dim in dims_of_fact(fact))
    bounds = {each.name: each for dim in (*inside, *known.dims(), *shapes) for each in symbols_of(dim)}
    names = tuple(dict.fromkeys((*kernel.symbols, *known.names())))
    choices = [_values_of(bounds.get(name, Symbol(name)), steps) for name in names]
    compound = [size for size in shapes if not is_symbol(size)]
    for chosen in sorted(product(*choices), key=sum):
        values = dict(zip(names, chosen, strict=True))
        if all(_evaluated(size, values, -1) >= 0 for size in compound) and known.allows(values):
            yield values


def _values_of(size: Symbol, steps: tuple[int, ...]) -> list[int]:
    return [size.lower + step for step in steps if size.upper is None or size.lower + step <= size.upper]


def _evaluated(dim: Dim, values: Mapping[str, int], otherwise: int) -> int:
    try:
        return evaluate(dim, values)
    except ShapeError:  # a denominator is 0
        return otherwise


def _used_loops(site: Site) -> frozenset[str]:
    """The loops whose values matter to whether the access is made, and where."""
    return frozenset(name for dim in _dims_of(site) for name in free_symbols(dim))


def _dims_of(site: Site) -> list[Dim]:
    return [*index_dims(site.index), site.size, *(dim for fact in site.facts for dim in dims_of_fact(fact))]


@dataclass(slots=True)
class Walk:
    """Walks the points of loops, up to a limit. Of loops that are not ``used``, the first step is enough.

    Args:
        is_along_ends: whether only the first and the last step of each loop are walked.
    """

    used: frozenset[str]
    is_along_ends: bool = False
    steps: int = field(default=0)
    is_whole: bool = field(default=True)
    """Whether no point was left out for the limit, or since a condition depends on data."""

    def points(self, values: Values, facts: tuple[Fact, ...]) -> Iterator[Values]:
        """The values of all names, outermost first, at every point where all conditions certainly hold."""
        self.steps += 1
        if self.steps > _STEP_LIMIT:
            self.is_whole = False
            return
        if not facts:
            yield values
            return
        for inner in self._of_fact(facts[0], values):
            yield from self.points(inner, facts[1:])

    def _of_fact(self, fact: Fact, values: Values) -> Iterator[Values]:
        match fact:
            case LoopRange(var, start, extent):
                first, count = _evaluated(start, values, 0), _evaluated(extent, values, 0)
                steps = range(first, first + (count if var in self.used else min(count, 1)))
                chosen = steps[:: len(steps) - 1] if self.is_along_ends and len(steps) > 2 else steps
                yield from ({**values, var: value} for value in chosen)
            case AxisValue(var, binding, extent):
                value = _evaluated(binding, values, 0)
                if 0 <= value < _evaluated(extent, values, 0):
                    yield {**values, var: value}
            case Condition(expr, holds):
                truth = value_of(expr, values)
                self.is_whole &= truth is not None
                if truth is not None and bool(truth) is holds:
                    yield values


def index_at(site: Site, values: Values) -> int | None:
    """The index for these values of all names; None if it depends on data."""
    return value_of(site.index, values) if isinstance(site.index, ScalarExpr) else _evaluated(site.index, values, 0)


def size_at(site: Site, values: Values) -> int:
    """The size that the index must stay below."""
    return evaluate(site.size, values)


def value_of(expr: ScalarExpr, values: Mapping[str, int]) -> int | None:
    """The value of an integer or bool expression; None if it depends on data."""
    joint = joined_by(expr)
    if joint is not None:
        function, args = joint
        return _logic(function == "logical_and", [value_of(each, values) for each in args])
    match expr:
        case IndexValue(dim):
            return _evaluated(dim, values, 0)
        case Const(value=int(value)):
            return value
        case Cast(value, dtype) if dtype in ("int32", "int64") and not value.dtype.startswith("float"):
            return value_of(value, values)
        case Select(condition, then_value, else_value):
            chosen = value_of(condition, values)
            return None if chosen is None else value_of(then_value if chosen else else_value, values)
        case Apply(function, args) if function in _FUNCTIONS:
            operands = [value_of(each, values) for each in args]
            known = [each for each in operands if each is not None]
            return _FUNCTIONS[function](*known) if len(known) == len(operands) else None
    return None


def _logic(is_and: bool, values: list[int | None]) -> bool | None:
    """One false operand decides ``and``, one true operand ``or``."""
    if any(value is not None and bool(value) is not is_and for value in values):
        return not is_and
    return None if None in values else is_and


_FUNCTIONS: dict[str, Callable[..., int | None]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "negative": lambda a: -a,
    "floor_divide": lambda a, b: a // b if b else None,
    "floor_mod": lambda a, b: a % b if b else None,
    "minimum": min,
    "maximum": max,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "logical_not": lambda a: not a,
}
