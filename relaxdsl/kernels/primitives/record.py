"""A kernel, the steps done to it so far, and how a step is recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, NoReturn, ParamSpec, Self, TypeVar

import numpy as np

from relaxdsl.errors import Definition, ScheduleError
from relaxdsl.ir.loops import Block, PrimFunc, map_statements
from relaxdsl.ir.loops import Stmt as Statement
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.print_graph import script
from relaxdsl.kernels.primitives.facts import place_of_buffer
from relaxdsl.kernels.primitives.layout import IndexMap
from relaxdsl.kernels.primitives.trace import BlockRef, LoopRef, Parameter, Step, Trace
from relaxdsl.kernels.primitives.tree import block_path, blocks_in, names_in
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.counts import counted

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="RecordedSteps")


def recorded(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """``method`` as a step of the trace. A block given by its name is looked up first, as a step of its own."""
    signature = inspect.signature(method)

    @short_tracebacks
    @wraps(method)
    def record(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        usage = ", ".join(str(each).partition(":")[0] for each in list(signature.parameters.values())[1:])
        hint = f"write sch.{method.__name__}({usage})"
        unknown = next((name for name in kwargs if name not in signature.parameters), None)
        if unknown is not None:
            raise ScheduleError(f"{method.__name__}: unknown argument {unknown!r}", hint=hint)
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise ScheduleError(f"{method.__name__}: {error}", hint=hint) from None
        given = [self._given(method, place, each) for place, each in enumerate(args)]
        named = {name: self._given(method, name, each) for name, each in kwargs.items()}
        if "buffer" in signature.parameters:
            bound = signature.bind(self, *given, **named)
            self._place_buffer(method.__name__, bound.arguments)
            (_, *given), named = bound.args, bound.kwargs
        result = method(self, *given, **named)
        self._steps.append(Step(method.__name__, tuple(given), MappingProxyType(named), result))  # type: ignore[arg-type]
        return result

    return record


class RecordedSteps:
    """A kernel as it is after some steps, and these steps."""

    @short_tracebacks
    def __init__(self, kernel: Any, name: str | None = None) -> None:
        self._module, func = _kernel_of(kernel, name)
        if "in_place" in func.attrs:
            raise ScheduleError(f"Schedule: {func.name} may write an output in the memory of an input")
        self._names = names_in(func)
        self._name = func.name if self._module is None else _name_in(self._module, func)
        self._func = replace(_with_own_block_names(func), attrs=MappingProxyType({**func.attrs, "scheduled": True}))
        self._start = self._func
        self._steps: list[Step] = []
        self.definition: Definition = getattr(kernel, "definition", Definition())
        """Where the source defines the kernel, if it came from ``@relax.prim_func``."""

    # ------------------------------------------------------------------------------------------------ what there is

    @property
    def func(self) -> PrimFunc:
        """The kernel as it is now, in block form."""
        return self._func

    @property
    def mod(self) -> IRModule:
        """The module with the kernel as it is now; a module of its own if it came without one."""
        functions = {} if self._module is None else self._module.functions
        return IRModule(MappingProxyType({**functions, self._name: self._func}))

    @property
    def trace(self) -> Trace:
        """The steps so far."""
        return Trace(self.structure, self.block_names, tuple(self.parameters.values()), tuple(self._steps))

    @property
    def structure(self) -> str:
        """What kernels share that differ in names only, as the kernel was at the start."""
        return structural_key(self._start)

    @property
    def block_names(self) -> tuple[str, ...]:
        """The names of the blocks at the start, in order."""
        return tuple(block.name for block in blocks_in(self._start.body))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What the kernel takes, by name."""
        params = self._start.params
        return {each.name: Parameter(each.dtype, tuple(map(str, each.shape))) for each in params}

    def copy(self) -> Self:
        """A schedule of the kernel as it is now, with the same trace, which goes its own way from here.

        Loops and blocks are those of the schedules in whose trace they were given: what was taken before the copy can
        be used with both, what is taken later with one of them.
        """
        other = type(self)(self._func)
        other._module, other._name, other._start = self._module, self._name, self._start
        other._names, other._steps, other.definition = names_in(self._func), list(self._steps), self.definition
        return other

    @short_tracebacks
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses, and says how to run what was scheduled.

        Raises:
            ScheduleError: always.
        """
        raise ScheduleError(
            f"{self._name}: a schedule is not called",
            hint="relax.prim_func(schedule) makes a function of arrays; in programs: relax.call_tir(schedule, (x, y))",
        )

    def __str__(self) -> str:
        return script(self._func)

    def __repr__(self) -> str:
        return f"<relax schedule of {self._name}: {counted(len(self._steps), 'step')}>"

    def show(self) -> None:
        """Prints the kernel as it is now; in a notebook highlighted."""
        print(self)

    @recorded
    def get_block(self, name: str) -> BlockRef:
        """The block called ``name``; a stage of tensor expressions gives its block the name of its result.

        Raises:
            ScheduleError: there is no such block, or ``name`` is no text.
        """
        if not isinstance(name, str):
            raise ScheduleError(f"get_block: {name!r} is no name of a block", hint="give the text in its T.block")
        block_path(self._func, name, "get_block")
        return BlockRef(name)

    def _given(self, method: Callable[..., Any], parameter: int | str, value: Any) -> Any:
        """An argument as it is recorded: the block for its name, the map for a function, an int for NumPy's."""
        names = method.__code__.co_varnames[1:]
        name = parameter if isinstance(parameter, str) else names[min(parameter, len(names) - 1)]
        if name == "index_map" and not isinstance(value, IndexMap):
            return IndexMap.of(value)
        if name == "factors" and isinstance(value, list | tuple):
            return [int(each) if isinstance(each, np.integer) else each for each in value]
        if isinstance(value, LoopRef | BlockRef):
            self._require_own(method.__name__, value)
        if name != "block" or not isinstance(value, str):
            return value
        known = (ref for step in self._steps for ref in step.results)
        return BlockRef(value) if BlockRef(value) in known else self.get_block(value)

    def _place_buffer(self, step: str, arguments: dict[str, Any]) -> None:
        """Replaces a buffer's name by its place, which is the same in kernels that differ in names."""
        block = arguments["block"]
        if isinstance(block, BlockRef) and isinstance(arguments["buffer"], str):
            _, found = block_path(self._func, block.name, step)
            place = place_of_buffer(found, arguments["buffer"], step)
            arguments["buffer"] = arguments["buffer"] if place is None else place

    def take_over(self, other: Self) -> None:
        """Makes this schedule what ``other`` is, a copy of it to which more was done."""
        self._func, self._names, self._steps = other._func, other._names, other._steps

    def _require_own(self, step: str, ref: LoopRef | BlockRef) -> None:
        """Refuses what no step of this schedule has given, whatever its name: the trace could not say where it is from.

        Raises:
            ScheduleError: it is of another schedule.
        """
        if not any(each is ref for done in self._steps for each in done.results):
            kind, method = ("loop", "get_loops(block)") if isinstance(ref, LoopRef) else ("block", "get_block(name)")
            raise ScheduleError(
                f"{step}: {ref.name} is a {kind} of another schedule",
                hint=f"take it from this one, with {method}; a copy has what was taken before it was made",
            )


def block_name(step: str, block: BlockRef | str) -> str:
    if not isinstance(block, BlockRef | str):
        headline = f"{step}: {block!r} is no block of a schedule"
        raise ScheduleError(headline, hint="give its name, or take it from sch.get_block(name)")
    return block if isinstance(block, str) else block.name


def loop_name(step: str, loop: LoopRef) -> str:
    if not isinstance(loop, LoopRef):
        headline = f"{step}: {loop!r} is no loop of a schedule"
        raise ScheduleError(headline, hint="take the loops from sch.get_loops(block)")
    return loop.name


def loop_names(step: str, loops: Sequence[LoopRef]) -> list[str]:
    """The names of the loops that a step takes as arguments of their own."""
    if any(isinstance(each, list | tuple) for each in loops):
        raise ScheduleError(f"{step}: the loops are arguments of their own, no list", hint=f"{step}(*loops)")
    return [loop_name(step, each) for each in loops]


# --------------------------------------------------------------------------------------------------------- the kernel


def _kernel_of(kernel: Any, name: str | None) -> tuple[IRModule | None, PrimFunc]:
    """``(module, kernel)``; no module for a kernel alone."""
    found = getattr(kernel, "ir", kernel)
    if isinstance(found, PrimFunc) and name is None:
        return None, found
    module = found if isinstance(found, IRModule) else getattr(kernel, "module", None)
    if not isinstance(module, IRModule):
        raise ScheduleError(
            f"Schedule: {getattr(kernel, '__name__', repr(kernel))} is no kernel and has none",
            hint="write the kernel with @relax.prim_func, or call it in a @relax.function",
        )
    kernels = module.kernels
    if not kernels:
        raise ScheduleError(
            "Schedule: the module has no kernel",
            hint="operators get theirs when it is compiled; those of relax.call_tir and relax.emit_te are there before",
        )
    known = ", ".join(kernels)
    if name is None and len(kernels) != 1:
        raise ScheduleError(f"Schedule: which kernel? The module has {known}", hint="Schedule(module, name)")
    if name is not None and name not in kernels:
        raise ScheduleError(f"Schedule: the module has no kernel {name}, it has {known}")
    return module, kernels[name if name is not None else next(iter(kernels))]


def _name_in(module: IRModule, func: PrimFunc) -> str:
    return next(name for name, each in module.kernels.items() if each is func)


def _with_own_block_names(func: PrimFunc) -> PrimFunc:
    """The kernel with a name of its own for every block."""
    names = UniqueNames()

    def visit(stmt: Statement) -> Statement:
        if isinstance(stmt, Block):
            stmt = replace(stmt, name=names.fresh(stmt.name))
        return map_statements(stmt, visit)

    return replace(func, body=visit(func.body))
