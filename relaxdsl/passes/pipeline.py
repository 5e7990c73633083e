"""The pipeline: which passes run, in what order, and what each made of the program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.visit import used_globals
from relaxdsl.kernels.jit import CompiledKernel
from relaxdsl.passes.dead_code import eliminate_dead_code
from relaxdsl.passes.fold_constants import fold_constants
from relaxdsl.passes.fuse import fuse
from relaxdsl.passes.inline_functions import inline_functions
from relaxdsl.passes.known_types import require_known_types
from relaxdsl.passes.legalize import legalize
from relaxdsl.passes.lower import lower
from relaxdsl.passes.memory.kernels import KernelTable
from relaxdsl.passes.memory.plan import Plan
from relaxdsl.passes.memory.stage import plan_memory
from relaxdsl.runtime.program import CallKernel, Program
from relaxdsl.trace.builder import BlockBuilder


@dataclass(frozen=True, slots=True)
class Stage:
    """What a pass made: its name, the module after it, and the seconds it took."""

    name: str
    module: IRModule
    seconds: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """A function all the way down: the stages of its graph, and its program.

    Units: ``seconds`` by part: ``passes``, ``codegen`` (kernels' schedules and source), ``numba`` (their machine code),
    ``load`` (machine code from the cache), ``lower`` (the program). Kernels that other functions had before count
    nothing.
    """

    function: Function
    stages: tuple[Stage, ...]
    program: Program
    memory: Plan
    seconds: dict[str, float]

    @property
    def kernels(self) -> tuple[CompiledKernel, ...]:
        """The kernels the program calls, each once, in order of first call."""
        return kernels_called(self.program)

    def module_after(self, name: str) -> IRModule:
        """The module after the pass of this name."""
        (module,) = (each.module for each in self.stages if each.name == name)
        return module

    def stage(self, name: str) -> Function:
        """The function after the pass of this name."""
        return self.module_after(name).graph_functions[self.function.name]


def inline(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    """InlineFunctions, as a stage: calls of graph functions are replaced by their bodies, unless they are recursive."""
    return inline_functions(function, module, lambda *callee: compile_function(*callee).program), module


def eliminate(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    """DeadCodeElimination, as a stage: pure bindings that nothing uses are dropped."""
    return eliminate_dead_code(function), module


def fold(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    """FoldConstant, as a stage: what depends on constants only is computed."""
    return fold_constants(function, module), module


def legalize_operators(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    """LegalizeOps, as a stage: operators become kernels, which join the module."""
    builder = _kernel_builder(function, module)
    legal = legalize(function, builder.add_func)
    return legal, builder.get()


def fuse_kernels(function: Function, module: IRModule) -> tuple[Function, IRModule]:
    """FuseOps and FuseTIR, as a stage: kernels are joined; those that are not called any more leave the module."""
    builder = _kernel_builder(function, module)
    fused = fuse(function, module, builder.add_func)
    called = set(used_globals(fused))
    kernels = {name: kernel for name, kernel in builder.get().kernels.items() if name in called}
    return fused, IRModule(kernels)


def _kernel_builder(function: Function, module: IRModule) -> BlockBuilder:
    """A builder that gives kernels names other than the function's."""
    builder = BlockBuilder(IRModule(module.kernels))
    builder.get_unique_name(function.name)
    return builder


PASSES: tuple[tuple[str, Callable[[Function, IRModule], tuple[Function, IRModule]]], ...] = (
    ("inline", inline),
    ("eliminate", eliminate),
    ("fold", fold),
    ("legalize", legalize_operators),
    ("fuse", fuse_kernels),
)


def compile_function(function: Function, module: IRModule) -> Compiled:
    """Runs every pass on ``function`` (of ``module``), compiles its kernels, and lowers it to a program.

    Raises:
        ShapeError, DTypeError: the rank or dtype of a value that comes from outside is unknown.
    """
    require_known_types(function)
    stages = []
    for name, run in PASSES:
        started = time.perf_counter()
        function, module = run(function, module)
        module = with_entry(module, function)
        stages.append(Stage(name, module, time.perf_counter() - started))
    started = time.perf_counter()
    table = KernelTable()
    function, module, plan = plan_memory(function, module, table)
    module = with_entry(module, function)
    planned = time.perf_counter()
    program = lower(function, module, table)
    lowering = time.perf_counter() - started
    seconds = _seconds(stages, lowering, kernels_called(program))
    stages.append(Stage("memory", module, planned - started))
    return Compiled(function, tuple(stages), program, plan, seconds)


def _seconds(stages: Sequence[Stage], lowering: float, kernels: Sequence[CompiledKernel]) -> dict[str, float]:
    """The time by part. Planning memory, a part of lowering, compiles or loads kernels that no function before had."""
    parts = {
        "codegen": sum(kernel.codegen_seconds for kernel in kernels),
        "numba": sum(kernel.numba_seconds for kernel in kernels),
        "load": sum(kernel.load_seconds for kernel in kernels),
    }
    passes = sum(stage.seconds for stage in stages)
    return {"passes": passes, **parts, "lower": lowering - sum(parts.values())}


def kernels_called(program: Program) -> tuple[CompiledKernel, ...]:
    """The kernels a program calls, each once, in order of first call."""
    called = (step.kernel for step in program.body if isinstance(step, CallKernel))
    kernels: dict[int, CompiledKernel] = {}
    for kernel in called:
        if isinstance(kernel, CompiledKernel):
            kernels.setdefault(kernel.address, kernel)
    return tuple(kernels.values())


def with_entry(module: IRModule, function: Function) -> IRModule:
    """The module with ``function`` as it is now; graph functions that it called are gone or as they were."""
    others = {name: other for name, other in module.functions.items() if name != function.name}
    kernels: dict[str, Function | PrimFunc] = {
        name: each for name, each in others.items() if isinstance(each, PrimFunc)
    }
    graphs = {name: each for name, each in others.items() if isinstance(each, Function)}
    return module.with_functions({**kernels, **graphs, function.name: function})
