"""What ``@relax.prim_func`` makes: a kernel that is called on arrays, and by programs through ``relax.call_tir``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from relaxdsl.display import show, to_html
from relaxdsl.errors import ArgumentError, Definition
from relaxdsl.ir.graph import Expr, Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script
from relaxdsl.locks import COMPILING
from relaxdsl.script.tensor_ir.parse import ParsedKernel
from relaxdsl.trace.builder import current_builder
from relaxdsl.trace.debug import DebugKernel, debug_kernel
from relaxdsl.trace.kernel_programs import program_of
from relaxdsl.trace.statements import call_tir
from relaxdsl.tracebacks import short_tracebacks_of_methods, shorten_traceback
from relaxdsl.types.symint import user_compares

if TYPE_CHECKING:
    from relaxdsl.passes.comparison import Comparison
    from relaxdsl.passes.explanation import Explanation
    from relaxdsl.passes.stages import Stages
    from relaxdsl.saved.program import SavedProgram


WRAPPED = (*functools.WRAPPER_ASSIGNMENTS, "__wrapped__")
"""What functions and kernels have of the Python function that they were read from."""


class Runnable(Protocol):
    """A compiled function."""

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """Runs it on arrays."""

    def source(self) -> str:
        """The generated Python of its kernels."""

    def compiled_kernels(self) -> Sequence[Any]:
        """Its kernels in machine code."""

    def lower(self) -> Any:
        """Its stages."""

    def explain(self) -> Any:
        """What was decided about it."""

    def check(self, /, *args: Any, **keywords: Any) -> Any:
        """The reference beside it."""

    def profile(self, /, *args: Any, repeats: int | None = None, **keywords: Any) -> Any:
        """How long a call takes."""


@short_tracebacks_of_methods()
class KernelFunction:
    """A kernel written by hand. ``ir`` is its PrimFunc.

    ``kernel(*arrays)`` runs it: the inputs, then an integer for each size that their shapes do not determine. The
    outputs are allocated and returned. Inside a program it is ``relax.call_tir(kernel, arrays)``.
    """

    def __init__(
        self,
        ir: PrimFunc,
        compile: Callable[[Function, IRModule], Runnable],
        debug: DebugKernel | None = None,
        parsed: ParsedKernel | None = None,
        definition: Definition | None = None,
    ) -> None:
        self.ir = ir
        self.debug = debug
        """The kernel that checks its accesses, in debug mode; None also where all are proved to be in range."""
        known = definition if parsed is None else parsed.definition
        self.definition = known or Definition()
        """Where the source defines it, or the kernel that it was scheduled from."""
        self._parsed = parsed
        self.__name__ = ir.name
        self.__qualname__ = ir.name
        self._compile = compile
        self._compiled: Runnable | None = None

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The outputs on NumPy arrays; a tuple if there are several.

        Args:
            args: the inputs in order, then integers; by position or by name.
            keywords: arguments by name, and ``out``: an array, or a tuple of arrays, that is written instead.

        Raises:
            ArgumentError: an argument does not fit the kernel's signature.
        """
        try:
            if any(isinstance(each, Expr) for each in (*args, *keywords.values())):
                return self._call_in_program(args, keywords)
            self._refuse_outputs(args, keywords)
            return self._runnable()(*args, **keywords)
        except Exception as error:
            shorten_traceback(error)
            raise

    def _refuse_outputs(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Refuses outputs among the arguments, where TVM has them: calls allocate them."""
        if not keywords and len(args) <= len(self.ir.inputs):
            return
        names = [each.name for each in self.ir.outputs]
        extra = args[len(self.ir.inputs) :]
        is_array = bool(extra) and hasattr(extra[0], "__dlpack__")
        named = (each for each in names if each in keywords and each != "out")
        given = names[0] if is_array else next(named, None)
        if given is not None:
            arrays = names[0] if len(names) == 1 else f"({', '.join(names)})"
            raise ArgumentError(
                f"{self.__name__}: {given} is an output, which the call makes and returns",
                hint=f"to have it written into an array of yours, pass out={arrays}",
            )

    def _call_in_program(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        if current_builder() is None or keywords:
            raise ArgumentError(
                f"{self.__name__}: the arguments are tensors of a program",
                hint="call it on arrays, or write relax.call_tir(kernel, (x, y)) inside @relax.function",
            )
        with user_compares(False):
            return call_tir(self, args)

    def save(self, path: str | os.PathLike[str], *, code: bool = True) -> None:
        """Writes the kernel to a file, from which ``relax.load`` makes it again.

        Args:
            code: whether to put machine code into the file, for which the kernel is compiled if it was not yet.

        Raises:
            OSError: the file cannot be written.
        """
        from relaxdsl.saved.code import save_program

        save_program(path, self.as_saved(), self._runnable().compiled_kernels() if code else None)

    def as_saved(self) -> SavedProgram:
        """The kernel as data, for files and pickles."""
        from relaxdsl.saved.program import saved_kernel

        return saved_kernel(self.ir, doc=self.__dict__.get("__doc__"), is_debug=self.debug is not None)

    def __copy__(self) -> KernelFunction:
        return self._with_debug(self.debug)

    def with_debug(self, debug: bool) -> KernelFunction:
        """This kernel, in debug mode or not."""
        if not debug:
            return self._with_debug(None)
        return self._with_debug(self._parsed.in_debug_mode() if self._parsed is not None else debug_kernel(self.ir))

    def _with_debug(self, debug: DebugKernel | None) -> KernelFunction:
        copy = KernelFunction(self.ir, self._compile, debug, self._parsed, self.definition)
        copy.__dict__.update({name: self.__dict__[name] for name in WRAPPED if name in self.__dict__})
        return copy

    def __deepcopy__(self, memo: Any) -> KernelFunction:
        return self.__copy__()

    def script(self) -> str:
        """The kernel as Python text, which parses back to an equal kernel."""
        return script(self.ir)

    def show(self) -> None:
        """Prints the kernel, highlighted in notebooks and colour terminals."""
        show(self.script())

    def source(self) -> str:
        """The generated Python, as numba compiles it."""
        return self._runnable().source()

    def lower(self) -> Stages:
        """The kernel as it was read, its loops as they run, the generated source, the VM's table; prints as text."""
        from relaxdsl.passes.stages import stages_of_kernel

        return stages_of_kernel(self.script(), self._runnable().lower(), to_html)

    def explain(self) -> Explanation:
        """Sizes and what binds them, checks, loops, what threads share, compile time; prints as text."""
        from relaxdsl.passes.explanation import explain_kernel

        made = self._runnable()
        in_order = {} if self._parsed is None else self._parsed.in_order
        return explain_kernel(made.explain(), made.compiled_kernels(), in_order)

    def check(self, /, *args: Any, **keywords: Any) -> Comparison:
        """Runs the reference interpreter beside the machine code on the arguments of a call.

        Returns:
            The comparison: true if the outputs agree; prints where they do not.
        """
        from relaxdsl.passes.comparison import comparison_of_kernel

        self._refuse_outputs(args, keywords)
        return comparison_of_kernel(self._runnable().check(*args, **keywords))

    def profile(self, /, *args: Any, repeats: int | None = None, **keywords: Any) -> Any:
        """How long the kernel takes, and how near that is to what the machine can do; see ``CompiledFunction``'s."""
        self._refuse_outputs(args, keywords)
        return self._runnable().profile(*args, repeats=repeats, **keywords)

    def __str__(self) -> str:
        return self.script()

    def __repr__(self) -> str:
        params = ", ".join(f"{each.name}: Buffer({_shape_text(each.shape)}, {each.dtype!r})" for each in self.ir.params)
        return f"<relax kernel {self.__name__}({params}), {self.ir.num_outputs} written>"

    def _repr_html_(self) -> str:
        return to_html(self.script())

    def _runnable(self) -> Runnable:
        with COMPILING:
            if self._compiled is None:
                self._compiled = self._compile(*program_of(self, self.definition))
            return self._compiled


def _shape_text(shape: tuple[Any, ...]) -> str:
    sizes = ", ".join(map(str, shape))
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"
