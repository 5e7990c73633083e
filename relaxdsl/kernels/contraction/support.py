"""Columns that a condition leaves out need not be computed: of causal attention, those behind the diagonal.

Where everything that reads a product does so under ``j <= i + c``, and what is made of it is 0 elsewhere, the rows up
to ``i`` need the columns before ``i + c + 1`` only: of the product, of the loops over them, and of the sum of a
contraction that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, Store, loop_variable
from relaxdsl.ir.scalar import Apply, Const, IndexValue, Load, ScalarExpr, Select
from relaxdsl.kernels.contraction.chain import Chain
from relaxdsl.kernels.contraction.roles import Stage, named, uses_of
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.types.dims import Dim, SymInt, free_symbols

#: What changes nothing, by the function that combines.
_NEUTRAL = {"add": 0.0, "maximum": float("-inf"), "minimum": float("inf")}


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
    """A stage's variables that walk along the columns and the rows."""

    column: SymInt
    row: SymInt


@dataclass(slots=True)
class _Finder:
    """Follows the columns of the first contraction through the stages.

    ``axes``: which axis of a buffer they are. ``zero``: the buffers that are 0 where the condition does not hold.
    """

    chain: Chain
    axes: dict[Buffer, int] = field(default_factory=dict)
    zero: set[Buffer] = field(default_factory=set)
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
            return ""
        (name, *others) = names
        if others or name is None:
            return None
        contraction = stage.contraction
        if contraction is not None:
            is_fine = contraction.steps == (name,) and contraction.left.buffer in self.zero
            return name if is_fine and contraction.right.buffer not in self.axes else None
        extents = stage.extents
        row = named(self.chain.roles.variables[place], "row")[0]
        at = _Place(*(loop_variable(each, extents[each]) for each in (name, row)))
        return name if self._is_limited(stage, at) else None

    def _is_limited(self, stage: Stage, at: _Place) -> bool:
        """Whether what the stage does beyond the condition leaves everything as it is."""
        body = stage.nest.block.body
        if not isinstance(body, Store):
            return False
        if stage.nest.block.init is None:
            return self._is_limited_store(body, at)
        match body.value:
            case Apply(function, (Load(buffer=old), value)) if old is body.buffer and function in _NEUTRAL:
                return self._is_limited_value(value, _NEUTRAL[function], at)
        return False

    def _is_limited_store(self, store: Store, at: _Place) -> bool:
        names = [bare_name(index) for index in store.indices]
        name = str(at.column)
        if name not in names or store.buffer not in self.chain.local:
            return False
        self.axes[store.buffer] = names.index(name)
        if self._is_limited_value(store.value, 0.0, at):
            self.zero.add(store.buffer)
            return True
        return False

    def _is_limited_value(self, value: ScalarExpr, neutral: float, at: _Place) -> bool:
        """Whether the value is neutral beyond the condition."""
        match value:
            case Select(condition, _, Const(value=otherwise)) if otherwise == neutral:
                found = set(_offsets(condition, at.column, at.row))
                self.offsets |= found
                return len(found) == 1
            case Load(buffer=buffer):
                return neutral == 0.0 and buffer in self.zero
        return False


def _offsets(condition: ScalarExpr, variable: SymInt, row: SymInt) -> Iterator[Dim]:
    """``c``, for each part of a condition that is ``variable < row + c``."""
    match condition:
        case Apply("logical_and", parts):
            for part in parts:
                yield from _offsets(part, variable, row)
        case Apply("less" | "less_equal" as function, (IndexValue(dim=low), IndexValue(dim=high))):
            yield from _offset(low, high, 1 if function == "less_equal" else 0, variable, row)
        case Apply("greater" | "greater_equal" as function, (IndexValue(dim=high), IndexValue(dim=low))):
            yield from _offset(low, high, 1 if function == "greater_equal" else 0, variable, row)


def _offset(low: Dim, high: Dim, more: int, variable: SymInt, row: SymInt) -> Iterator[Dim]:
    """``c`` of ``low < high + more``, if that is ``variable < row + c``."""
    offset = high - low + variable - row + more
    if not {*free_symbols(variable), *free_symbols(row)} & set(free_symbols(offset)):
        yield offset
