"""Accesses of a kernel that are out of range for some sizes: proved not to be, shown by an example, or undecided.

A proof takes the loops' ranges and one condition at a time. What it leaves is tried on small sizes: an example in
which every condition around the access certainly holds is an error. What depends on data stays undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import product
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.ir.conditions import joined_by
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.scalar import Apply, Cast, Const, IndexValue, ScalarExpr, Select
from relaxdsl.kernels.access_sites import AxisValue, Condition, Fact, LoopRange, Site, axis_values, dims_of_fact
from relaxdsl.kernels.accesses import as_dim, expression_dims
from relaxdsl.types.dims import Dim, Symbol, evaluate, free_symbols, is_symbol, substitute, symbols_of, terms
from relaxdsl.types.prove import Ranges, is_non_negative
from relaxdsl.types.symint import from_atom

Values: TypeAlias = dict[str, int]

#: Points of loops tried for one access.
_STEP_LIMIT = 8192
_FEW_SYMBOLS, _MANY_SYMBOLS = (0, 1, 2, 3, 4, 5, 7, 8), (0, 1, 2, 3)


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


def find_example(kernel: PrimFunc, site: Site) -> Values | None:
    """Values of all names for which the access is certainly made and is out of range; None if none was found."""
    walk = Walk(_used_loops(site))
    for sizes in small_sizes(kernel, site.facts):
        for values in walk.points(sizes, site.facts):
            index = index_at(site, values)
            if index is not None and not 0 <= index < size_at(site, values):
                return values
    return None


def small_sizes(kernel: PrimFunc, facts: tuple[Fact, ...]) -> Iterator[Values]:
    """Small values of the kernel's sizes, least first, for which no buffer's size is negative."""
    return _sizes(kernel, facts, _FEW_SYMBOLS if len(kernel.symbols) < 4 else _MANY_SYMBOLS)


def larger_sizes(kernel: PrimFunc, facts: tuple[Fact, ...], numbers: Iterable[int]) -> Iterator[Values]:
    """Values of the kernel's sizes of which one at least is a little larger than one of the numbers."""
    for number in numbers:
        for values in _sizes(kernel, facts, (0, 1, number + 1)):
            if any(value > number for value in values.values()):
                yield values


def _sizes(kernel: PrimFunc, facts: tuple[Fact, ...], steps: tuple[int, ...]) -> Iterator[Values]:
    shapes = [size for buffer in (*kernel.params, *kernel.scratch) for size in buffer.shape]
    inside = (dim for fact in facts for dim in dims_of_fact(fact))
    bounds = {each.name: each for dim in (*inside, *shapes) for each in symbols_of(dim)}
    choices = [_values_of(bounds.get(name, Symbol(name)), steps) for name in kernel.symbols]
    compound = [size for size in shapes if not is_symbol(size)]
    for chosen in sorted(product(*choices), key=sum):
        values = dict(zip(kernel.symbols, chosen, strict=True))
        if all(_evaluated(size, values, -1) >= 0 for size in compound):
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
    index = expression_dims(site.index) if isinstance(site.index, ScalarExpr) else (site.index,)
    dims = [*index, site.size, *(dim for fact in site.facts for dim in dims_of_fact(fact))]
    return frozenset(name for dim in dims for name in free_symbols(dim))


@dataclass(slots=True)
class Walk:
    """Walks the points of loops, up to a limit. Of loops that are not ``used``, the first step is enough."""

    used: frozenset[str]
    steps: int = field(default=0)

    def points(self, values: Values, facts: tuple[Fact, ...]) -> Iterator[Values]:
        """The values of all names, outermost first, at every point where all conditions certainly hold."""
        self.steps += 1
        if self.steps > _STEP_LIMIT:
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
                stop = first + (count if var in self.used else min(count, 1))
                yield from ({**values, var: value} for value in range(first, stop))
            case AxisValue(var, binding, extent):
                value = _evaluated(binding, values, 0)
                if 0 <= value < _evaluated(extent, values, 0):
                    yield {**values, var: value}
            case Condition(expr, holds):
                truth = value_of(expr, values)
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
