"""The steps of a schedule as data: printed as Python, saved as JSON, done again on another kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScheduleError
from relaxdsl.kernels.primitives.layout import IndexMap
from relaxdsl.tracebacks import short_tracebacks_of_methods
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import SymInt, parse_dim

if TYPE_CHECKING:
    from relaxdsl.kernels.primitives.schedule import Schedule


@dataclass(frozen=True, slots=True)
class LoopRef:
    """A loop of a schedule: what :meth:`.Schedule.get_loops` gives and primitives take.

    Equal by name, as traces need it; a schedule takes only the objects that its own steps gave.
    """

    name: str


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block of a schedule: what :meth:`.Schedule.get_block` gives and primitives take."""

    name: str


Ref: TypeAlias = "LoopRef | BlockRef"
Result: TypeAlias = "Ref | tuple[Ref, ...] | None"


@dataclass(frozen=True, slots=True)
class Step:
    """A call of one primitive, and the loops and blocks it gave."""

    primitive: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Result

    @property
    def results(self) -> tuple[Ref, ...]:
        if self.result is None:
            return ()
        return self.result if isinstance(self.result, tuple) else (self.result,)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a kernel takes: the dtype and the sizes of a buffer, as text."""

    dtype: str
    shape: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.dtype}({', '.join(self.shape)})"

    def is_like(self, other: Parameter) -> bool:
        """Whether they differ in the names of sizes at most."""
        if (self.dtype, len(self.shape)) != (other.dtype, len(other.shape)):
            return False
        sizes = zip(self.shape, other.shape, strict=True)
        return all(a == b or not (a.isdigit() or b.isdigit()) for a, b in sizes)


@dataclass(frozen=True, slots=True)
@short_tracebacks_of_methods()
class Trace:
    """What was done to a kernel, in order.

    It is shown as Python. :meth:`as_json` and :meth:`from_json` save and load it, :meth:`apply_to` does it to
    the kernel of another schedule.

    Args:
        kernel: identifies the structure of the kernel it was made for.
        blocks: the names of that kernel's blocks, in order.
        parameters: what that kernel takes, for messages.
    """

    kernel: str
    blocks: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...] = field(default=())

    def __str__(self) -> str:
        names = _Names()
        return "\n".join(names.line(step) for step in self.steps)

    def __repr__(self) -> str:
        return str(self)

    def as_json(self) -> str:
        """The trace as JSON text, for :meth:`from_json`."""
        names = _Names()
        steps = [names.as_data(step) for step in self.steps]
        parameters = [[each.dtype, each.shape] for each in self.parameters]
        head = {"kernel": self.kernel, "blocks": self.blocks, "parameters": parameters}
        return json.dumps({**head, "steps": steps})

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """The trace that :meth:`as_json` wrote.

        Raises:
            ScheduleError: the text is no such trace.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise ValueError(f"an object is expected, got {type(data).__name__}")
            steps = tuple(_step_of(each) for each in data["steps"])
            parameters = tuple(Parameter(_text(dtype), tuple(map(_text, shape))) for dtype, shape in data["parameters"])
            return cls(_text(data["kernel"]), tuple(map(_text, data["blocks"])), parameters, steps)
        except KeyError as error:
            raise ScheduleError(f"Trace.from_json: the text is no trace: it has no {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ScheduleError(f"Trace.from_json: the text is no trace: {error}") from None

    def apply_to(self, schedule: Schedule) -> None:
        """Does all steps to the kernel of ``schedule``.

        If that kernel has the structure of the one the trace was made for, dtypes and sizes that are numbers included,
        blocks are matched by position, else by name.

        Raises:
            ScheduleError: a step does not fit the kernel, and nothing is done to it; ``schedule`` is none.
        """
        if not hasattr(type(schedule), "block_names"):
            raise ScheduleError(f"apply_to: {schedule!r} is no schedule", hint="make one: relax.Schedule(kernel)")
        other = None if schedule.structure == self.kernel else self._other_kernel(schedule)
        renamed = dict(zip(self.blocks, schedule.block_names, strict=False)) if other is None else {}
        done = schedule.copy()
        _Replay(done, renamed, other).run(self)
        schedule.take_over(done)

    def _other_kernel(self, schedule: Schedule) -> str:
        """How the kernel of ``schedule`` is known to differ from the trace's."""
        own = schedule.parameters
        unlike = ((name, a, b) for (name, a), b in zip(own.items(), self.parameters, strict=False) if not a.is_like(b))
        name, mine, theirs = next(unlike, (None, None, None))
        if len(own) != len(self.parameters):
            what = f"with {counted(len(self.parameters), 'parameter')}, not {len(own)}"
        elif name is not None:
            what = f"where {name} is {theirs}, not {mine}"
        elif len(self.blocks) != len(schedule.block_names):
            what = f"with the blocks {', '.join(self.blocks)}"
        else:
            what = "with other loops or statements"
        return f"the trace is of another kernel, {what}; so blocks are found by name"


# ------------------------------------------------------------------------------------------------------------ writing


class _Names:
    """The variables of a printed trace: ``b0`` for a block, ``l1`` for a loop."""

    def __init__(self) -> None:
        self._names: dict[Ref, str] = {}

    def line(self, step: Step) -> str:
        """The step as a line of Python."""
        arguments = [self._text(each) for each in step.args]
        arguments += [f"{name}={self._text(value)}" for name, value in step.kwargs.items()]
        call = f"sch.{step.primitive}({', '.join(arguments)})"
        if not step.results:
            return call
        targets = ", ".join(map(self._define, step.results))
        is_single = isinstance(step.result, tuple) and len(step.results) == 1
        return f"({targets},) = {call}" if is_single else f"{targets} = {call}"

    def as_data(self, step: Step) -> dict[str, Any]:
        """The step as JSON data."""
        args = [self._data(each) for each in step.args]
        kwargs = {name: self._data(value) for name, value in step.kwargs.items()}
        results = [self._define(each) for each in step.results]
        result = results if isinstance(step.result, tuple) else results[0] if results else None
        return {"primitive": step.primitive, "args": args, "kwargs": kwargs, "result": result}

    def _define(self, ref: Ref) -> str:
        if ref not in self._names:
            letter = "b" if isinstance(ref, BlockRef) else "l"
            self._names[ref] = f"{letter}{len(self._names)}"
        return self._names[ref]

    def _text(self, value: Any) -> str:
        if isinstance(value, LoopRef | BlockRef):
            return self._define(value)
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self._text, value))}]"
        return json.dumps(value) if isinstance(value, str) else str(value)

    def _data(self, value: Any) -> Any:
        if isinstance(value, LoopRef | BlockRef):
            return {"ref": self._define(value)}
        if isinstance(value, list | tuple):
            return [self._data(each) for each in value]
        if isinstance(value, IndexMap):
            return {"map": value.as_data()}
        return {"dim": str(value)} if isinstance(value, SymInt) else value


# ------------------------------------------------------------------------------------------------------------ reading


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise TypeError(f"{data!r} stands where a name should")
    return data


def _step_of(data: dict[str, Any]) -> Step:
    args = tuple(_value_of(each) for each in data["args"])
    kwargs = {name: _value_of(value) for name, value in data["kwargs"].items()}
    result = data["result"]
    refs = tuple(map(_ref_of, result)) if isinstance(result, list) else None if result is None else _ref_of(result)
    return Step(data["primitive"], args, kwargs, refs)


def _ref_of(name: str) -> Ref:
    return BlockRef(name) if name.startswith("b") else LoopRef(name)


def _value_of(data: Any) -> Any:
    match data:
        case {"ref": name}:
            return _ref_of(name)
        case {"dim": text}:
            return parse_dim(text)
        case {"map": parts}:
            return IndexMap.from_data(parts)
        case list():
            return [_value_of(each) for each in data]
    return data


# ---------------------------------------------------------------------------------------------------------- replaying


class _Replay:
    """Does the steps of a trace, keeping track of which loop is which."""

    def __init__(self, schedule: Schedule, blocks: Mapping[str, str], other: str | None) -> None:
        self._schedule = schedule
        self._blocks = blocks
        self._other = () if other is None else (other,)
        self._refs: dict[Ref, Ref] = {}

    def run(self, trace: Trace) -> None:
        names = _Names()
        for number, step in enumerate(trace.steps):
            place = f"replay: step {number + 1}, {names.line(step)}"
            try:
                result = self._call(step)
            except ScheduleError as error:
                details = (*self._other, *error.details)
                raise ScheduleError(f"{place}: {error.headline}", details=details, hint=error.hint) from None
            self._bind(step, result, place)

    def _call(self, step: Step) -> Result:
        if not hasattr(getattr(type(self._schedule), step.primitive, None), "__wrapped__"):  # what `recorded` leaves
            raise ScheduleError(f"a schedule has no step {step.primitive}")
        primitive = getattr(self._schedule, step.primitive)
        args = [self._moved(each) for each in step.args]
        kwargs = {name: self._moved(value) for name, value in step.kwargs.items()}
        if step.primitive == "get_block":
            args = [self._blocks.get(each, each) for each in args]
            kwargs = {name: self._blocks.get(value, value) for name, value in kwargs.items()}
        result: Result = primitive(*args, **kwargs)
        return result

    def _moved(self, value: Any) -> Any:
        if isinstance(value, LoopRef | BlockRef):
            if value not in self._refs:
                raise ScheduleError(f"no step before it gives {value.name}")
            return self._refs[value]
        return [self._moved(each) for each in value] if isinstance(value, list | tuple) else value

    def _bind(self, step: Step, result: Result, place: str) -> None:
        given = Step("", (), {}, result).results
        if len(given) != len(step.results):
            headline = f"{place}: the trace's kernel has {len(step.results)} there, this one {len(given)}"
            raise ScheduleError(headline, details=self._other)
        self._refs.update(zip(step.results, given, strict=True))
