"""A binding plan as instructions: symbols come from the sizes of arguments, and every other size is checked.

Binding a symbol costs no instruction: its slot is the argument's size. A failed check runs the plan again with
:func:`relaxdsl.types.match.run_binding`, which raises the error that explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl.errors import InternalError, RelaxError, Span
from relaxdsl.runtime.program import Check, IntLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree
from relaxdsl.runtime.slots import DimCompiler
from relaxdsl.types import match as plans
from relaxdsl.types.match import BindingPlan, Source, run_binding
from relaxdsl.types.symint import from_atom

Failure = Callable[[Any], RelaxError]


def bind_sizes(
    plan: BindingPlan, trees: Sequence[Tree], dims: DimCompiler, function: str, spans: Sequence[Span | None]
) -> None:
    """Emits the plan's steps: symbols are bound in ``dims``, checks go to ``dims.steps``.

    Args:
        plan: of a function's parameters, or of a ``match_cast``; then the symbols of ``dims`` are its known ones.
        trees: the leaves of each parameter of the plan.
        function: named in messages.
        spans: where each parameter is declared, which a failure of its check points at.
    """
    failure = _explain(plan, trees, function, dims)
    emitter = _StepEmitter(trees, dims, failure, spans)
    for step in plan.steps:
        emitter.emit(step)
    dims.slots.origins.update({name: plan.describe(source) for name, source in plan.bound_at().items()})


def slot_at(trees: Sequence[Tree], source: Source) -> int:
    """The slot that holds the size (or the prim) that a plan's source names."""
    tree = trees[source.param]
    for place in source.path:
        if not isinstance(tree, TupleTree):
            raise InternalError(f"{source}: no tuple at {tree}")
        tree = tree.fields[place]
    match tree, source.axis:
        case TensorLeaf(sizes=slots) | ShapeLeaf(slots=slots), int(axis):
            return slots[axis]
        case IntLeaf(slot=slot), None:
            return slot
    raise InternalError(f"{source}: no size at {tree}")


def _explain(plan: BindingPlan, trees: Sequence[Tree], function: str, dims: DimCompiler) -> Failure:
    """What builds the error of any failed check of the plan from the values of the slots."""
    places = {step.source: slot_at(trees, step.source) for step in plan.steps}
    known, origins = dims.symbols(), dict(dims.slots.origins)

    def failure(values: Sequence[int]) -> RelaxError:
        sizes = {source: values[slot] for source, slot in places.items()}
        try:
            known_values = {name: values[slot] for name, slot in known.items()}
            run_binding(plan, sizes, function=function, known=known_values, origins=origins)
        except RelaxError as error:
            return error.with_traceback(None)
        return InternalError(f"{function}: a check failed that the binding plan passes")

    return failure


class _StepEmitter:
    def __init__(
        self, trees: Sequence[Tree], dims: DimCompiler, failure: Failure, spans: Sequence[Span | None]
    ) -> None:
        self._trees = trees
        self._dims = dims
        self._failure = failure
        self._spans = spans

    def emit(self, step: plans.Step) -> None:
        slot = slot_at(self._trees, step.source)
        match step:
            case plans.Bind():
                self._bind(step.symbol.name, slot)
            case plans.Solve():
                self._solve(step, slot)
            case plans.Require():
                self._require(step)
            case plans.Check():
                self._check(step, "equal", slot, self._dims.slot_of(step.dim))

    def _bind(self, name: str, slot: int) -> None:
        self._dims.slots.rename(slot, name)
        self._dims.bind(name, slot)

    def _solve(self, step: plans.Solve, slot: int) -> None:
        """``size == divisor * symbol + offset``. The check of divisibility fails for the divisor 0, too."""
        offset, divisor = step.solution.offset, step.solution.divisor
        if offset != 0:
            slot = self._dims.emit("sub", slot, self._dims.slot_of(offset))
        if divisor != 1:
            by = self._dims.slot_of(divisor)
            self._check(step, "divisible", slot, by)
            slot = self._dims.emit("floordiv", slot, by)
        self._bind(step.symbol.name, slot)

    def _require(self, step: plans.Require) -> None:
        slot, constant = self._dims.slot_of(from_atom(step.symbol)), self._dims.slots.constant
        if step.symbol.lower > 0 or not step.is_size:
            self._check(step, "at_least", slot, constant(step.symbol.lower))
        if step.symbol.upper is not None:
            self._check(step, "at_least", constant(step.symbol.upper), slot)

    def _check(self, step: plans.Step, relation: str, left: int, right: int) -> None:
        span = self._spans[step.source.param]
        self._dims.steps.append(Check(relation, left, right, self._failure, span))
