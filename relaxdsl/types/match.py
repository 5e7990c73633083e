"""Matching declared parameter types with actual ones by a binding plan: with numbers or, when compiling, with dims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError, DTypeError, RelaxError, ShapeError, Span
from relaxdsl.types.atoms import Symbol
from relaxdsl.types.binding import (
    ACTUAL_SIZE,
    Bind,
    BindingPlan,
    Check,
    Require,
    Solve,
    Source,
    Step,
    occurrences_of,
    plan_binding,
)
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, evaluate, free_symbols, has_atoms, is_symbol, substitute
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.solve import solved_dim
from relaxdsl.types.types import Fit, Grade, PrimType, ShapeType, TensorType, TupleType, Type, is_base_of

__all__ = [
    "ACTUAL_SIZE",
    "Bind",
    "BindingPlan",
    "Check",
    "Require",
    "Solve",
    "Source",
    "Step",
    "plan_binding",
    "run_binding",
    "unify_types",
]

OnUndecided: TypeAlias = Callable[[Dim, Dim, str], bool]


# --- with numbers ---------------------------------------------------------------------------------------------------


def run_binding(
    plan: BindingPlan,
    sizes: Mapping[Source, int],
    *,
    function: str = "",
    known: Mapping[str, int] | None = None,
    origins: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """The value of every symbol for the sizes found.

    Args:
        sizes: the actual size at every source of the plan.
        function: the function's name, for messages.
        known: values of symbols that were bound before.
        origins: where these were bound, for messages.

    Raises:
        ArgumentError: a size does not fit; names argument, axis, expected, got, and where symbols were bound.
    """
    runner = _Runner(plan, function, dict(known or {}), origins or {})
    for step in plan.steps:
        runner.run(step, sizes[step.source])
    return runner.values


@dataclass(slots=True)
class _Runner:
    plan: BindingPlan
    function: str
    values: dict[str, int]
    origins: Mapping[str, str]

    def run(self, step: Step, got: int) -> None:
        match step:
            case Bind(symbol=bound):
                self.values[bound.name] = got
            case Solve():
                self._solve(step, got)
            case Require(symbol=bound):
                self._require(bound, step.source, got)
            case Check():
                self._check(step, got)

    def _solve(self, step: Solve, got: int) -> None:
        values = {**self.values, str(ACTUAL_SIZE): got}
        divisor = evaluate(step.solution.divisor, values)
        if divisor == 0:
            reason = f"cannot find {step.symbol.name} from {step.dim}, because {step.solution.divisor} is 0"
            self._refuse(step.source, reason, step.solution.divisor)
        if evaluate(step.solution.remainder, values):
            others = [name for name in free_symbols(step.dim) if name != step.symbol.name]
            given = f" with {', '.join(f'{name} = {self.values[name]}' for name in others)}" if others else ""
            reason = f"got {got}, which is not of the form {step.dim}{given}"
            self._refuse(step.source, reason, step.dim)
        self.values[step.symbol.name] = evaluate(step.solution.value, values)

    def _require(self, bound: Symbol, source: Source, got: int) -> None:
        value = self.values[bound.name]
        solved = f"got {got}, which makes {bound.name} = {value}" if value != got else f"got {got} ({bound.name})"
        if value < bound.lower:
            self._refuse(source, f"{solved}, but {bound.name} is at least {bound.lower}")
        if bound.upper is not None and value > bound.upper:
            self._refuse(source, f"{solved}, but {bound.name} is at most {bound.upper}")

    def _check(self, step: Check, got: int) -> None:
        expected = evaluate(step.dim, self.values)
        if expected != got:
            of = "" if isinstance(step.dim, int) else f" ({step.dim})"
            self._refuse(step.source, f"expected {expected}{of}, got {got}", step.dim)

    def _refuse(self, source: Source, reason: str, *explained: Dim) -> NoReturn:
        prefix = f"{self.function}: " if self.function else ""
        headline = f"{prefix}{self.plan.describe(source)}: {reason}"
        raise ArgumentError(headline, details=_origins(self.plan, self.values, explained, self.origins))


def _origins(
    plan: BindingPlan, values: Mapping[str, Dim], explained: Sequence[Dim], origins: Mapping[str, str]
) -> tuple[str, ...]:
    """Where the symbols of the explained dims were bound; a compound dim also needs their values to be understood."""
    places = plan.bound_at()
    bare = all(is_symbol(dim) for dim in explained)
    lines = []
    for name in dict.fromkeys(name for dim in explained for name in free_symbols(dim) if name in values):
        place = plan.describe(places[name]) if name in places else origins.get(name)
        where = "known from outside" if place is None else f"bound by {place}"
        lines.append(f"{name} is {where}" if bare else f"{name} = {values[name]} is {where}")
    return tuple(lines)


# --- with dims --------------------------------------------------------------------------------------------------------


def unify_types(
    params: Sequence[tuple[str, Type]],
    arg_types: Sequence[Type],
    *,
    callee: str = "call",
    on_undecided: OnUndecided | None = None,
    spans: Sequence[Span | None] = (),
) -> dict[str, Dim]:
    """What every symbol of the callee is in a call with arguments of the given types, as dims of the caller.

    Args:
        params: the callee's parameters.
        arg_types: types of the arguments, in the caller's symbols.
        callee: the function's name, for messages.
        on_undecided: asked about equalities that cannot be decided; True accepts one.
        spans: where the parameters are declared; errors of sizes point there.

    Raises:
        ArgumentError: the number of arguments or an argument's kind or rank differs.
        DTypeError: an argument's dtype differs.
        ShapeError: a size differs or cannot be proved equal, or an argument's shape is unknown.
    """
    if len(params) != len(arg_types):
        raise ArgumentError(f"{callee}: takes {counted(len(params), 'argument')}, got {len(arg_types)}")
    plan = plan_binding(params)
    for (name, declared), actual in zip(params, arg_types, strict=True):
        _require_kind(callee, name, declared, actual)
    given = {source: dim for dim, source in occurrences_of([("", each) for each in arg_types])}
    unifier = _Unifier(callee, plan, on_undecided, spans, {})
    for step in plan.steps:
        unifier.run(step, given[step.source])
    return unifier.values


def _require_kind(callee: str, name: str, declared: Type, actual: Type) -> None:
    """Kind, dtype and rank fit, and every declared size is there to be compared."""
    place = f"{callee}: argument {name}"
    fit = is_base_of(_without_sizes(declared), _without_sizes(actual))
    if not fit.fits:
        raise _kind_error(place, declared, actual, fit)
    missing = _first_missing(declared, actual)
    if missing is not None:
        raise ShapeError(
            f"{place}: the sizes of {missing} are not known",
            details=(f"declared : {declared}", f"got      : {actual}"),
            hint="match_cast the argument first",
        )


def _kind_error(place: str, declared: Type, actual: Type, fit: Fit) -> RelaxError:
    details = (f"declared : {declared}", f"got      : {actual}")
    hint = "match_cast the argument first" if fit.grade is Grade.NEEDS_CAST else None
    error = DTypeError if fit.is_about_dtype else ArgumentError
    return error(f"{place}: {fit.reason}", details=details, hint=hint)


def require_castable(actual: Type, target: Type) -> None:
    """Returns if a value of type ``actual`` may be one of ``target``: kind, dtype and rank are not certainly others.

    Raises:
        DTypeError, ShapeError: they are.
    """
    fit = is_base_of(_without_sizes(target), _without_sizes(actual))
    if fit.grade is not Grade.IMPOSSIBLE:
        return
    details = (f"value  : {actual}", f"target : {target}")
    if fit.is_about_dtype:
        hint = "match_cast asserts a type; astype makes a tensor of another one"
        raise DTypeError(f"match_cast: {fit.reason}", details=details, hint=hint)
    raise ShapeError(f"match_cast: {fit.reason}", details=details)


def _without_sizes(type_: Type) -> Type:
    """The type with the sizes unknown and the ranks kept."""
    match type_:
        case TensorType():
            return TensorType(None, type_.dtype, type_.ndim)
        case ShapeType():
            return ShapeType(None, type_.ndim)
        case PrimType():
            return PrimType(type_.dtype)
        case TupleType(fields=fields):
            return TupleType(tuple(_without_sizes(each) for each in fields))
    return type_


def _first_missing(declared: Type, actual: Type) -> Type | None:
    """The first part of ``actual`` without sizes where ``declared`` has some."""
    match declared, actual:
        case TensorType(shape=tuple()), TensorType(shape=None):
            return actual
        case ShapeType(values=tuple()), ShapeType(values=None):
            return actual
        case PrimType(value=value), PrimType(value=None) if value is not None:
            return actual
        case TupleType(), TupleType():
            found = (_first_missing(a, b) for a, b in zip(declared.fields, actual.fields, strict=True))
            return next((each for each in found if each is not None), None)
    return None


@dataclass(slots=True)
class _Unifier:
    callee: str
    plan: BindingPlan
    on_undecided: OnUndecided | None
    spans: Sequence[Span | None]
    values: dict[str, Dim]

    def run(self, step: Step, got: Dim) -> None:
        match step:
            case Bind(symbol=bound):
                self.values[bound.name] = got
            case Solve():
                self._solve(step, got)
            case Require(symbol=bound):
                self._require(bound, step.source)
            case Check():
                self._check(step, got)

    def _solve(self, step: Solve, got: Dim) -> None:
        divisor = substitute(step.solution.divisor, self.values)
        if divisor == 0:
            reason = f"cannot find {step.symbol.name} from {step.dim}, because {step.solution.divisor} is 0"
            self._refuse(step.source, reason, step.solution.divisor)
        value, remainder = solved_dim(step.solution, got, self.values)
        refused = f"got {got}, which is not of the form {step.dim}"
        self._require_same(remainder, step, 0, refused, f"whether `{got}` is of the form {step.dim}")
        self.values[step.symbol.name] = value

    def _require(self, bound: Symbol, source: Source) -> None:
        value = self.values[bound.name]
        self._require_order(bound.lower, value, source, f"at least {bound.lower}", bound)
        if bound.upper is not None:
            self._require_order(value, bound.upper, source, f"at most {bound.upper}", bound)

    def _require_order(self, low: Dim, high: Dim, source: Source, what: str, bound: Symbol) -> None:
        proof = prove_less_equal(low, high)
        if proof is Proof.YES:
            return
        certainty = "is not" if proof is Proof.NO else "is not known to be"
        self._refuse(source, f"{bound.name} = {self.values[bound.name]} {certainty} {what}")

    def _check(self, step: Check, got: Dim) -> None:
        expected = substitute(step.dim, self.values)
        of = "" if str(expected) == str(step.dim) else f" ({step.dim})"
        refused = f"expected {expected}{of}, got {got}"
        self._require_same(expected, step, got, refused, f"whether `{got}` equals `{expected}`{of}")

    def _require_same(self, expected: Dim, step: Check | Solve, got: Dim, refused: str, undecided: str) -> None:
        """Proves ``expected == got``, for a size that was declared as ``step.dim``."""
        proof = prove_equal(expected, got)
        if proof is Proof.YES:
            return
        if proof is Proof.NO:
            self._refuse(step.source, refused, step.dim)
        if not (has_atoms(expected) or has_atoms(got)):
            hint = "if they are always equal, declare them with the same symbol, or match_cast the argument"
            self._refuse(step.source, f"{refused}: they may differ", step.dim, hint=hint)
        message = f"{self._place(step.source)}: {undecided} cannot be decided"
        if self.on_undecided is None or not self.on_undecided(expected, got, message):
            hint = 'match_cast the argument, or check when run: @relax.function(checks="runtime")'
            raise ShapeError(message, details=self._origins(step.dim), hint=hint)

    def _refuse(self, source: Source, reason: str, *explained: Dim, hint: str | None = None) -> NoReturn:
        span = self.spans[source.param] if self.spans else None
        details = self._origins(*explained)
        raise ShapeError(f"{self._place(source)}: {reason}", details=details, hint=hint, span=span)

    def _place(self, source: Source) -> str:
        return f"{self.callee}: {self.plan.describe(source)}"

    def _origins(self, *explained: Dim) -> tuple[str, ...]:
        return _origins(self.plan, self.values, explained, {})
