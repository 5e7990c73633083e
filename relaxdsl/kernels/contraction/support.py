"""Columns that a condition leaves out need not be computed: of causal attention, those behind the diagonal.

Where everything that reads a product does so under ``j <= i + c``, and what is made of it is a constant elsewhere that
changes nothing, the rows up to ``i`` need the columns before ``i + c + 1`` only: of the product, of the loops over
them, and of the sum of a contraction that follows.

What lies beyond is followed from stage to stage as a number: -inf is left out of a maximum, 0 of a sum. In a softmax,
``exp(-inf - greatest)`` is 0 unless the greatest is -inf or NaN, and ``0 / total``, or ``0 * (1 / total)``, is 0 unless
the total is 0 or NaN. Then all columns of the row are NaN, and so is what is made of them, if there is a column at all:
at least one is always computed. What a contraction leaves out is 0 times its right operand, which is NaN where that is
not finite; so that much is added to the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, Select, rewrite
from relaxdsl.kernels.contraction.chain import Chain
from relaxdsl.kernels.contraction.roles import Stage, named, uses_of
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute

#: What changes nothing, by the function that combines.
_NEUTRAL = {"add": 0.0, "maximum": -math.inf, "minimum": math.inf}
#: What functions make of two numbers.
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "add": lambda left, right: left + right,
    "subtract": lambda left, right: left - right,
    "multiply": lambda left, right: left * right,
    "divide": lambda left, right: left / right if right else math.nan,
    "maximum": max,
    "minimum": min,
}


@dataclass(frozen=True, eq=False, slots=True)
class Support:
    """Row ``i`` needs the columns before ``i + offset``; ``variables`` walk along them, one in a stage or none."""

    offset: Dim
    variables: tuple[str | None, ...]


def support_of(chain: Chain) -> Support | None:
    """Which columns of the first contraction a row needs, if conditions leave some out."""
    first = chain.contraction
    is_simple = len(first.rows) == len(first.columns) == 1 and first.result.buffer in chain.local
    return _Finder(chain).support() if is_simple and not chain.has_columns else None


@dataclass(frozen=True, slots=True)
class _Place:
    """A stage's variables that walk along the columns and the rows, and what the others are in all stages."""

    column: SymInt
    row: SymInt
    others: dict[str, Dim]


@dataclass(slots=True)
class _Finder:
    """Follows the columns of the first contraction through the stages.

    Args:
        axes: which axis of a buffer they are.
        beyond: what a buffer's elements are where the condition does not hold.
        greatest: of what a buffer has the greatest of each row, which is -inf beyond.
        powers: the buffers of exponentials, which are 0 beyond, and those of their sums, by which they may be divided.
        inverses: the buffers of what one is divided by such a sum, and those of the sums.
    """

    chain: Chain
    axes: dict[Buffer, int] = field(default_factory=dict)
    beyond: dict[Buffer, float] = field(default_factory=dict)
    greatest: dict[Buffer, object] = field(default_factory=dict)
    powers: dict[Buffer, set[Buffer]] = field(default_factory=dict)
    inverses: dict[Buffer, Buffer] = field(default_factory=dict)
    offsets: set[Dim] = field(default_factory=set)

    def support(self) -> Support | None:
        first = self.chain.contraction
        names = [bare_name(index) for index in first.result.indices]
        self.axes[first.result.buffer] = names.index(first.columns[0])
        variables: list[str | None] = [None] * len(self.chain.stages)
        variables[self.chain.main] = first.columns[0]
        for place in range(self.chain.main + 1, len(self.chain.stages)):
            found = self._stage(self.chain.stages[place], place)
            if found is None:
                return None
            variables[place] = found or None
        return Support(next(iter(self.offsets)), tuple(variables)) if len(self.offsets) == 1 else None

    def _stage(self, stage: Stage, place: int) -> str | None:
        """The stage's variable along the columns, empty if it has none; None if it needs all of them."""
        names = {
            bare_name(use.indices[self.axes[use.buffer]])
            for use in uses_of(stage.nest)
            if use.buffer in self.axes and not use.is_write
        }
        if not names:
            self._note_inverse(stage.nest.block.body)
            return ""
        (name, *others) = names
        if others or name is None:
            return None
        contraction = stage.contraction
        if contraction is not None:
            is_fine = contraction.steps == (name,) and self.beyond.get(contraction.left.buffer) == 0.0
            return name if is_fine and contraction.right.buffer not in self.axes else None
        return name if self._is_limited(stage, self._place(stage, place, name)) else None

    def _note_inverse(self, body: Stmt) -> None:
        match body:
            case Store(buffer, value=Apply("divide", (Const(value=1), Load(buffer=total)))):
                self.inverses[buffer] = total

    def _place(self, stage: Stage, place: int, name: str) -> _Place:
        extents, roles = stage.extents, self.chain.roles.variables[place]
        row = named(roles, "row")[0]
        batch = {each: loop_variable(f"batch.{number}", 1 << 62) for number, each in enumerate(named(roles, "batch"))}
        common = {name: loop_variable("column", 1 << 62), row: loop_variable("row", 1 << 62), **batch}
        return _Place(loop_variable(name, extents[name]), loop_variable(row, extents[row]), dict(common))

    def _is_limited(self, stage: Stage, at: _Place) -> bool:
        """Whether what the stage does beyond the condition leaves everything as it is."""
        body = stage.nest.block.body
        if not isinstance(body, Store):
            return False
        if stage.nest.block.init is None:
            return self._is_limited_store(body, at)
        match body.value:
            case Apply(function, (Load(buffer=old), value)) if old is body.buffer and function in _NEUTRAL:
                return self._is_limited_reduction(body.buffer, function, value, at)
        return False

    def _is_limited_reduction(self, result: Buffer, function: str, value: ScalarExpr, at: _Place) -> bool:
        if self._beyond(value, at) != _NEUTRAL[function]:
            return False
        if function == "maximum":
            self.greatest[result] = _key(value, at)
        elif isinstance(value, Load) and value.buffer in self.powers and function == "add":
            self.powers[value.buffer].add(result)
        return True

    def _is_limited_store(self, store: Store, at: _Place) -> bool:
        names = [bare_name(index) for index in store.indices]
        name = str(at.column)
        if name not in names or store.buffer not in self.chain.local:
            return False
        found = self._beyond(store.value, at)
        if found is None:
            return False
        self.axes[store.buffer] = names.index(name)
        self.beyond[store.buffer] = found
        if self._is_power(store.value, at):
            self.powers[store.buffer] = set()
        return True

    # ------------------------------------------------------------------------------------------ what is beyond

    def _beyond(self, value: ScalarExpr, at: _Place) -> float | None:
        """What a value is beyond the condition; None where that is not one number."""
        match value:
            case Const(value=int() | float() as number):
                return float(number)
            case Select(condition, chosen, otherwise):
                return self._beyond_choice(condition, chosen, otherwise, at)
            case Load(buffer=buffer):
                return self.beyond.get(buffer)
            case Cast(value=inner):
                return self._beyond(inner, at)
            case Apply("divide", (Load(buffer=power), Load(buffer=total))) if total in self.powers.get(power, ()):
                return 0.0
            case Apply("multiply", (Load(buffer=power), Load(buffer=factor))) if self._is_inverse(factor, power):
                return 0.0
            case Apply("exp") if self._is_power(value, at):
                return 0.0
            case Apply(function, (left, right)) if function in _ARITHMETIC:
                found = self._beyond(left, at), self._beyond(right, at)
                return _combined(function, *found)
        return None

    def _is_inverse(self, factor: Buffer, power: Buffer) -> bool:
        return self.inverses.get(factor) in self.powers.get(power, ())

    def _beyond_choice(
        self, condition: ScalarExpr, chosen: ScalarExpr, otherwise: ScalarExpr, at: _Place
    ) -> float | None:
        for holds, value in ((False, otherwise), (True, chosen)):
            found = set(_offsets(condition, at.column, at.row, holds))
            if len(found) == 1:
                self.offsets |= found
                return self._beyond(value, at)
        return None

    def _is_power(self, value: ScalarExpr, at: _Place) -> bool:
        """Whether a value is ``exp(x)`` or ``exp(x - greatest)``, of an ``x`` that is -inf beyond, and the greatest."""
        match value:
            case Apply("exp", (Apply("subtract", (element, Load(buffer=buffer))),)) if buffer in self.greatest:
                return self.greatest[buffer] == _key(element, at)
            case Apply("exp", (element,)):
                return self._beyond(element, at) == -math.inf
        return False


def _combined(function: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    made = _ARITHMETIC[function](left, right)
    return None if math.isnan(made) else made


def _key(value: ScalarExpr, at: _Place) -> object:
    """What two expressions share that are the same in terms of row, column and batch."""
    return _described(rewrite(value, on_dim=lambda dim: substitute(dim, at.others)))


def _described(value: Index) -> object:
    match value:
        case Const(value=number, dtype=dtype):
            return "const", dtype, repr(number)
        case IndexValue(dim=dim):
            return "dim", dim
        case Load(buffer=buffer, indices=indices):
            return buffer, *map(_described, indices)
        case Apply(function=function, args=args, dtype=dtype):
            return function, dtype, *map(_described, args)
        case Cast(value=inner, dtype=dtype):
            return "cast", dtype, _described(inner)
        case Select(condition, chosen, otherwise):
            return "select", *map(_described, (condition, chosen, otherwise))
    return value


# ------------------------------------------------------------------------------------------------------- conditions

_NOT = {"less": "greater_equal", "less_equal": "greater", "greater": "less_equal", "greater_equal": "less"}


def _offsets(condition: ScalarExpr, variable: SymInt, row: SymInt, holds: bool) -> Iterator[Dim]:
    """``c``, for each part of a condition that is ``variable < row + c``, or for ``holds``, of its opposite."""
    match condition:
        case Select(inner, Const(value=True), Const(value=False)):
            yield from _offsets(inner, variable, row, holds)
        case Apply("logical_not", (inner,)):
            yield from _offsets(inner, variable, row, not holds)
        case Apply("logical_and" | "logical_or" as function, parts) if (function == "logical_or") == holds:
            for part in parts:
                yield from _offsets(part, variable, row, holds)
        case Apply(function, (IndexValue(dim=low), IndexValue(dim=high))) if function in _NOT:
            name = _NOT[function] if holds else function
            if name.startswith("greater"):
                low, high = high, low
            yield from _offset(low, high, 1 if name.endswith("equal") else 0, variable, row)


def _offset(low: Dim, high: Dim, more: int, variable: SymInt, row: SymInt) -> Iterator[Dim]:
    """``c`` of ``low < high + more``, if that is ``variable < row + c``."""
    offset = high - low + variable - row + more
    if not {*free_symbols(variable), *free_symbols(row)} & set(free_symbols(offset)):
        yield offset
