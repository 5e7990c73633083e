"""Plans that bind every symbol of declared parameter types from the sizes found in arguments, and check every size.

A bare occurrence of a symbol binds it, wherever it stands; what is left is solved from sizes with one unknown. The plan
is data: the runtime compiles it, :mod:`relaxdsl.types.match` evaluates it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError
from relaxdsl.types.atoms import Symbol
from relaxdsl.types.bounds import describe_bounds, has_bounds
from relaxdsl.types.dims import Dim, free_symbols, is_symbol, symbols_of
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.solve import Solution, solve_for
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType, Type

#: The size found in an argument, in the dims of a :class:`Solution`. No user can write this name.
ACTUAL_SIZE = from_atom(Symbol("size found"))


class Source(NamedTuple):
    """Where a size is found: a parameter, the way into nested tuples, and the axis; no axis for a prim's value."""

    param: int
    path: tuple[int, ...]
    axis: int | None

    def describe(self, names: Sequence[str], subject: str = "argument") -> str:
        """As messages say it, such as ``argument x[0], axis 1``."""
        place = f"{subject} {names[self.param]}{''.join(f'[{i}]' for i in self.path)}"
        return place if self.axis is None else f"{place}, axis {self.axis}"


@dataclass(frozen=True, slots=True)
class Bind:
    """The symbol is the size found."""

    symbol: Symbol
    source: Source


@dataclass(frozen=True, slots=True)
class Solve:
    """The symbol is solved from the size found; the solution is in terms of ``ACTUAL_SIZE`` and symbols bound before.

    Holds only if the divisor is not 0 and the remainder is 0.
    """

    symbol: Symbol
    source: Source
    dim: Dim
    solution: Solution


@dataclass(frozen=True, slots=True)
class Require:
    """The bound symbol lies within its bounds, ``lower <= symbol`` and, if ``upper`` is given, ``symbol <= upper``.

    ``is_size``: it is never negative, as it is the size of an axis, or solved from one.
    """

    symbol: Symbol
    source: Source
    is_size: bool


@dataclass(frozen=True, slots=True)
class Check:
    """The size found equals ``dim``, whose symbols are bound."""

    dim: Dim
    source: Source


Step: TypeAlias = Bind | Solve | Require | Check


@dataclass(frozen=True, slots=True)
class BindingPlan:
    """Steps in an order in which every symbol is bound before it is used; ``subject`` is what messages call a
    parameter.
    """

    params: tuple[str, ...]
    steps: tuple[Step, ...]
    subject: str = "argument"

    def describe(self, source: Source) -> str:
        """A source as messages say it."""
        return source.describe(self.params, self.subject)

    def bound_at(self) -> dict[str, Source]:
        """Where each symbol is bound."""
        return {step.symbol.name: step.source for step in self.steps if isinstance(step, Bind | Solve)}


class _Occurrence(NamedTuple):
    """A size and where it is found; ``is_axis``: of an array, which never has a negative one."""

    dim: Dim
    source: Source
    is_axis: bool


def occurrences_of(params: Sequence[tuple[str, Type]]) -> Iterator[tuple[Dim, Source]]:
    """Every dim in the parameters' types with its source, from left to right."""
    return ((dim, source) for dim, source, _ in _all_occurrences(params))


def _all_occurrences(params: Sequence[tuple[str, Type]]) -> Iterator[_Occurrence]:
    for position, (_, type_) in enumerate(params):
        yield from _occurrences_in(type_, position, ())


def _occurrences_in(type_: Type, param: int, path: tuple[int, ...]) -> Iterator[_Occurrence]:
    match type_:
        case TensorType(shape=tuple(values)) | ShapeType(values=tuple(values)):
            is_axis = isinstance(type_, TensorType)
            yield from (_Occurrence(dim, Source(param, path, axis), is_axis) for axis, dim in enumerate(values))
        case PrimType(value=value) if value is not None:
            yield _Occurrence(value, Source(param, path, None), False)
        case TupleType(fields=fields):
            for position, each in enumerate(fields):
                yield from _occurrences_in(each, param, (*path, position))


def plan_binding(
    params: Sequence[tuple[str, Type]], known: Iterable[str] = (), subject: str = "argument"
) -> BindingPlan:
    """How to bind the symbols of the parameters' types from actual sizes.

    Args:
        params: names and declared types.
        known: symbols that have a value already.
        subject: what messages call one of ``params``.

    Raises:
        ScriptError: a symbol is never bound, or is declared with different bounds.
    """
    names = tuple(name for name, _ in params)
    planner = _Planner(names, list(_all_occurrences(params)), set(known))
    return BindingPlan(names, tuple(planner.steps()), subject)


class _Planner:
    def __init__(self, names: tuple[str, ...], occurrences: list[_Occurrence], known: set[str]) -> None:
        self._names = names
        self._bound = known
        self._waiting = occurrences
        self._check_bounds_agree()

    def steps(self) -> Iterator[Step]:
        """Bare occurrences first, then what can be solved until nothing changes, then the checks in order."""
        yield from self._take(self._bind_step)
        before = -1
        while len(self._waiting) != before:
            before = len(self._waiting)
            yield from self._take(self._solve_step)
        self._require_all_bound()
        for dim, source, _ in self._waiting:
            yield Check(dim, source)

    def _take(self, make_step: Callable[[_Occurrence], Bind | Solve | None]) -> Iterator[Step]:
        waiting, self._waiting = self._waiting, []
        for occurrence in waiting:
            step = make_step(occurrence)
            if step is None:
                self._waiting.append(occurrence)
                continue
            self._bound.add(step.symbol.name)
            yield step
            is_size = occurrence.is_axis and _is_never_negative(step)
            if not is_size or has_bounds(step.symbol):
                yield Require(step.symbol, step.source, is_size)

    def _bind_step(self, occurrence: _Occurrence) -> Bind | None:
        if not is_symbol(occurrence.dim):
            return None
        (found,) = symbols_of(occurrence.dim)
        return None if found.name in self._bound else Bind(found, occurrence.source)

    def _solve_step(self, occurrence: _Occurrence) -> Solve | None:
        unknown = [name for name in free_symbols(occurrence.dim) if name not in self._bound]
        if len(unknown) != 1:
            return None
        solution = solve_for(occurrence.dim, unknown[0], ACTUAL_SIZE)
        return None if solution is None else Solve(solution.symbol, occurrence.source, occurrence.dim, solution)

    def _require_all_bound(self) -> None:
        for dim, _, _ in self._waiting:
            for name in free_symbols(dim):
                if name not in self._bound:
                    self._refuse_unbound(name)

    def _refuse_unbound(self, name: str) -> NoReturn:
        places = [(dim, source) for dim, source, _ in self._waiting if name in free_symbols(dim)]
        raise ScriptError(
            f"symbol {name} is never bound",
            details=tuple(f"{source.describe(self._names)} is {dim}" for dim, source in places),
            hint=f"give some argument an axis of size `{name}`, or pass it as relax.Prim or relax.Shape",
        )

    def _check_bounds_agree(self) -> None:
        first: dict[str, tuple[Symbol, Source]] = {}
        for dim, source, _ in self._waiting:
            for each in symbols_of(dim):
                earlier, place = first.setdefault(each.name, (each, source))
                if earlier is not each:
                    raise ScriptError(
                        f"symbol {each.name} is declared with different bounds",
                        details=(
                            f"{place.describe(self._names)} has {describe_bounds(earlier)}",
                            f"{source.describe(self._names)} has {describe_bounds(each)}",
                        ),
                    )


def _is_never_negative(step: Bind | Solve) -> bool:
    """Whether what a symbol is bound to is not, if the size found is not."""
    return isinstance(step, Bind) or prove_less_equal(0, step.solution.value) is Proof.YES
