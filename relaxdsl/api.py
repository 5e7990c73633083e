"""What users hold: compiled functions and modules, and the decorators that make them.

The passes and the runtime are imported at the first compilation: a third of the package, which parsing does not need.
What saves programs is imported when one is saved.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from relaxdsl.display import show, to_html
from relaxdsl.errors import ArgumentError, ScriptError, nearest
from relaxdsl.ir.check import require_well_formed
from relaxdsl.ir.graph import Expr, Function
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script
from relaxdsl.ir.symbol_bounds import module_with_declared_bounds, with_declared_bounds
from relaxdsl.kernel_function import WRAPPED, KernelFunction
from relaxdsl.kernels.primitives.schedule import Schedule
from relaxdsl.locks import COMPILING
from relaxdsl.script.parse import ParsedProgram, parse_function
from relaxdsl.script.parse_module import FunctionOptions, KernelOptions, ModuleMember, is_in_class, parse_module
from relaxdsl.script.tensor_ir.parse import parse_kernel
from relaxdsl.trace.builder import current_builder
from relaxdsl.trace.debug import debug_kernel, is_debug
from relaxdsl.trace.function_calls import call_program
from relaxdsl.tracebacks import short_tracebacks, short_tracebacks_of_methods, shorten_traceback
from relaxdsl.types.symint import user_compares

if TYPE_CHECKING:
    from relaxdsl.kernels.jit import CompiledKernel
    from relaxdsl.passes.comparison import Comparison
    from relaxdsl.passes.explanation import Explanation
    from relaxdsl.passes.memory_plan import MemoryPlan
    from relaxdsl.passes.pipeline import Compiled
    from relaxdsl.passes.stages import Stages
    from relaxdsl.runtime.executable import Executable
    from relaxdsl.runtime.profile_report import Profile
    from relaxdsl.saved.code import FileCode
    from relaxdsl.saved.program import SavedProgram


@short_tracebacks_of_methods()
class CompiledFunction:
    """A relax function: callable on NumPy arrays, compiled once, at the first call, for every shape.

    Made by ``@relax.function`` and ``relax.compile``. ``ir`` is its typed graph, ``module`` that graph with all that
    it calls.
    """

    def __init__(
        self,
        ir: Function,
        module: IRModule,
        *,
        accepted: tuple[str, ...] = (),
        parse_seconds: float = 0.0,
        code: FileCode | None = None,
    ) -> None:
        self.ir = ir
        self.module = module
        self.compile_count = 0
        """How often this function was compiled: 0 before the first call, 1 after it, whatever the shapes."""
        self._accepted = accepted
        self._parse_seconds = parse_seconds
        self._code = code
        self._code_use = ""
        self._compiled: Compiled | None = None
        self._executable: Executable | None = None
        self._entry: Callable[..., Any] = self._call_first
        self.__name__ = ir.name
        self.__qualname__ = ir.name

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The result on NumPy arrays (and ints, and tuples, where the parameters say so).

        Args:
            args: one a parameter, by position or by name; never written.
            keywords: parameters by name, and ``out``: an array, or a tuple of arrays, that the result is written into.

        Raises:
            ArgumentError: an argument does not fit the signature.
        """
        try:
            return self._entry(*args, **keywords)
        except Exception as error:
            if isinstance(error, ArgumentError) and _has_expression(args, keywords):
                return self._call_in_program(args, keywords)
            shorten_traceback(error)
            raise

    def compile(self) -> CompiledFunction:
        """Compiles now what the first call would; returns the function."""
        self._get_executable().prepare()
        return self

    def bind(self, /, **values: Any) -> CompiledFunction:
        """This function with values in place of some parameters: weights that are known before the first call.

        What depends on them only is computed when the function is compiled: transposes, sums, the packing of matrices.
        The sizes of arrays become numbers everywhere; a size may also be given alone, as in ``bind(m=64)``.

        Args:
            values: parameters by name, as a call takes them (arrays are copied), or sizes by name.

        Raises:
            ArgumentError: there is no parameter or size of that name, or the value does not fit it.
            ShapeError: the sizes of the arrays contradict one another.

        Example:
            >>> import numpy as np, relaxdsl as relax
            >>> m, n, k = relax.dims("m n k")
            >>> @relax.function
            ... def dense(x: relax.Tensor[(m, n), "float32"], w: relax.Tensor[(n, k), "float32"]):
            ...     return x @ w
            >>> scaled = dense.bind(w=np.eye(3, dtype="float32") * 2)
            >>> scaled
            <relax function dense(x: Tensor((m, 3), "float32")) -> Tensor((m, 3), "float32")>
            >>> scaled(np.ones((1, 3), "float32"))
            array([[2., 2., 2.]], dtype=float32)

        Source: Relax's ``BindParams`` and ``BindSymbolicVars``.
        """
        from relaxdsl.passes.bind_params import bind_params

        function, module = bind_params(self.ir, self.module, values)
        return CompiledFunction(function, module, accepted=self._accepted, parse_seconds=self._parse_seconds)

    # --------------------------------------------------------------------------------------- saving

    def save(self, path: str | os.PathLike[str], *, code: bool = True) -> None:
        """Writes the function to a file, from which ``relax.load`` makes it again.

        The file holds the program, its constants, and the machine code of its kernels, so that a process on such a
        machine compiles nothing. A file that was there before is replaced by a whole one or stays.

        Args:
            code: whether to put machine code into the file, for which the function is compiled if it was not yet.

        Raises:
            ArgumentError: the program holds a Python object that is no data.
            OSError: the file cannot be written.
        """
        from relaxdsl.saved.code import save_program

        save_program(path, self.as_saved(), self.compiled_kernels() if code else None)

    def compiled_kernels(self) -> tuple[CompiledKernel, ...]:
        """The kernels that a call runs, each once; compiled now if they were not yet."""
        return self.compile()._get_compiled().kernels

    def as_saved(self) -> SavedProgram:
        """The function as data, for files and pickles."""
        from relaxdsl.saved.program import saved_function

        return saved_function(self.ir, self.module, accepted=self._accepted, doc=self.__dict__.get("__doc__"))

    def __copy__(self) -> CompiledFunction:
        """A function of its own for the same program, which nothing changes."""
        copy = CompiledFunction(
            self.ir, self.module, accepted=self._accepted, parse_seconds=self._parse_seconds, code=self._code
        )
        copy.__dict__.update({name: self.__dict__[name] for name in WRAPPED if name in self.__dict__})
        return copy

    def __deepcopy__(self, memo: Any) -> CompiledFunction:
        return self.__copy__()

    # --------------------------------------------------------------------------------------- seeing

    def script(self) -> str:
        """The typed program as Python text, which parses back to an equal program."""
        return script(self.ir) if self._is_alone else script(self.module)

    def show(self) -> None:
        """Prints the typed program, highlighted in notebooks and colour terminals."""
        show(self.script())

    def lower(self) -> Stages:
        """The program after each pass, the loops of its kernels, and the VM's table, by name; prints what changed."""
        from relaxdsl.passes.stages import stages_of

        return stages_of(self.script(), self._get_compiled(), to_html)

    def source(self) -> str:
        """The generated Python of the kernels, as numba compiles it."""
        return "\n\n".join(kernel.source.strip("\n") for kernel in self._get_compiled().kernels) + "\n"

    def explain(self) -> Explanation:
        """Symbols and where they are bound, checks, kernels, fusion, copies, compile time; prints as text."""
        from relaxdsl.passes.explanation import explain

        compiled = self._get_compiled()
        executable = self._get_executable()
        executable.prepare()
        seconds = {"parse": self._parse_seconds, **compiled.seconds, "machine": executable.machine_seconds}
        return explain(self.ir, compiled, self._accepted, seconds, self._code_use)

    def memory_plan(self) -> MemoryPlan:
        """Where every tensor is, for every value of the symbols, which share bytes, and why; prints as a table.

        Example:
            >>> import numpy as np, relaxdsl as relax
            >>> m = relax.dims("m")
            >>> @relax.function
            ... def total(x: relax.Tensor[(m, 16), "float32"]):
            ...     return relax.sum(x / relax.max(x))
            >>> total.memory_plan().workspace
            64
        """
        from relaxdsl.passes.memory.describe import describe

        return describe(self.ir, self._get_compiled().memory)

    def peak_bytes(self, /, **sizes: int) -> int:
        """The most bytes that a call allocates for arrays: workspace and outputs, at a value for each symbol.

        Raises:
            ArgumentError: a symbol is missing or unknown, its value is out of bounds, or a size depends on data.

        Example:
            >>> import numpy as np, relaxdsl as relax
            >>> m = relax.dims("m")
            >>> @relax.function
            ... def flat(x: relax.Tensor[(m, 16), "float32"]):
            ...     return relax.flatten(relax.exp(x))
            >>> flat.peak_bytes(m=1000)
            64000
        """
        return self.memory_plan().peak_bytes(**sizes)

    def profile(self, /, *args: Any, repeats: int | None = None, **keywords: Any) -> Profile:
        """How long each kernel of a call takes, and how near that is to what the machine can do.

        Args:
            args, keywords: those of a call; it is run many times. A parameter named ``repeats`` goes by position.
            repeats: how often; by default for a third of a second.

        Returns:
            The profile: prints as a table, and writes a trace for Perfetto or Chrome with ``save_trace(path)``.

        Raises:
            ArgumentError: an argument does not fit the signature.
        """
        from relaxdsl.runtime.profile import profile  # imports llvmlite

        executable = self._get_executable()
        executable.prepare()
        return profile(executable.program, executable.params, args, keywords, repeats)

    def check(self, /, *args: Any, **keywords: Any) -> Comparison:
        """Runs the reference interpreter beside the compiled code on arguments, by position or by name.

        Returns:
            The comparison: true if all bindings agree; prints the first one that differs.
        """
        from relaxdsl.passes.comparison import compare, require_in_range

        executable = self._get_executable()
        ordered = executable.in_order(args, keywords)
        require_in_range(self.ir, self.module, ordered)
        executable(*ordered)  # bad arguments fail as in a call
        return compare(self.ir, self.module, self._get_compiled(), ordered, executable)

    def __str__(self) -> str:
        return self.script()

    def __repr__(self) -> str:
        params = ", ".join(f"{param.name}: {param.type}" for param in self.ir.params)
        return f"<relax function {self.ir.name}({params}) -> {self.ir.ret_type}>".replace("relax.Tensor", "Tensor")

    def _repr_html_(self) -> str:
        return to_html(self.script())

    # ------------------------------------------------------------------------------------ compiling

    @property
    def _is_alone(self) -> bool:
        return len(self.module.functions) == 1

    def _call_in_program(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """A call by a plain Python helper of a program that is being read, on tensors of that program."""
        builder = current_builder()
        if builder is None:
            raise ArgumentError(
                f"{self.__name__}: the arguments are tensors of a program",
                hint="call it on arrays, or inside @relax.function",
            )
        with user_compares(False):
            return call_program(builder, self, args, keywords)

    def _call_first(self, /, *args: Any, **keywords: Any) -> Any:
        if _has_expression(args, keywords):
            return self._call_in_program(args, keywords)
        executable = self._get_executable()
        executable.prepare()
        self._entry = executable.entry
        return self._entry(*args, **keywords)

    def _get_compiled(self) -> Compiled:
        from relaxdsl.passes.pipeline import compile_function

        with COMPILING:
            if self._compiled is None:
                self._code_use = "" if self._code is None else self._code.bring()
                self._compiled = compile_function(self.ir, self.module)
                self.compile_count += 1
            return self._compiled

    def _get_executable(self) -> Executable:
        from relaxdsl.runtime.executable import Executable

        with COMPILING:
            if self._executable is None:
                params = [(param.name, param.type) for param in self.ir.params]
                self._executable = Executable(self._get_compiled().program, params)
            return self._executable


def _has_expression(args: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    return any(isinstance(arg, Expr) for arg in (*args, *keywords.values()))


class UnknownFunctionError(ScriptError, AttributeError):
    """A module has no function of this name."""


@short_tracebacks_of_methods("__getattr__")
class CompiledModule(Mapping[str, CompiledFunction]):
    """The functions of a module, by name; each compiles when it is first called."""

    def __init__(self, module: IRModule, *, code: FileCode | None = None) -> None:
        self.ir = module
        self._functions = {
            name: CompiledFunction(function, module, code=code) for name, function in module.graph_functions.items()
        }
        compile = functools.partial(CompiledFunction, code=code)
        self._kernels = {name: KernelFunction(kernel, compile) for name, kernel in module.kernels.items()}

    def __getitem__(self, name: str) -> CompiledFunction:
        return self._functions[name]

    def __iter__(self) -> Any:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __getattr__(self, name: str) -> CompiledFunction | KernelFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._kernels.get(name, self._functions.get(name))
        if found is None:
            close = nearest(name, [*self._functions, *self._kernels])
            raise UnknownFunctionError(
                f"the module has no function {name!r}; it has {', '.join(self._functions)}",
                hint=None if close is None else f"did you mean {close}?",
            )
        return found

    def save(self, path: str | os.PathLike[str], *, code: bool = True) -> None:
        """Writes the module to a file, from which ``relax.load`` makes it again; see :meth:`CompiledFunction.save`.

        Raises:
            ArgumentError: a program holds a Python object that is no data.
            OSError: the file cannot be written.
        """
        from relaxdsl.saved.code import save_program

        kernels = [each for function in self.values() for each in function.compiled_kernels()] if code else None
        save_program(path, self.as_saved(), kernels)

    def as_saved(self) -> SavedProgram:
        """The module as data, for files and pickles."""
        from relaxdsl.saved.program import saved_module

        return saved_module(self.ir)

    def __copy__(self) -> CompiledModule:
        return CompiledModule(self.ir)

    def __deepcopy__(self, memo: Any) -> CompiledModule:
        return self.__copy__()

    def script(self) -> str:
        """The module as Python text."""
        return script(self.ir)

    def show(self) -> None:
        """Prints the module, highlighted in notebooks and colour terminals."""
        show(self.script())

    def __str__(self) -> str:
        return self.script()

    def __repr__(self) -> str:
        return f"<relax module of {', '.join(self._functions)}>"

    def _repr_html_(self) -> str:
        return to_html(self.script())


@overload
def function(fn: Callable[..., Any]) -> CompiledFunction: ...


@overload
def function(
    *,
    pure: bool = True,
    checks: Literal["strict", "runtime"] = "strict",
    private: bool = False,
    dataflow: bool = True,
    attrs: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], CompiledFunction]: ...


@short_tracebacks
def function(
    fn: Callable[..., Any] | None = None,
    *,
    pure: bool = True,
    checks: Literal["strict", "runtime"] = "strict",
    private: bool = False,
    dataflow: bool = True,
    attrs: Mapping[str, Any] | None = None,
) -> CompiledFunction | Callable[[Callable[..., Any]], CompiledFunction]:
    """Decorator: the Python function, read from its source, as a relax function that is called on NumPy arrays.

    Args:
        pure: whether the function has no effects; ``call_packed`` needs ``pure=False``.
        checks: ``"strict"``: sizes that cannot be proved equal are errors. ``"runtime"``: where that is only because
            ``//``, ``%``, ``min`` or ``max`` hide it, the sizes are compared at each call.
        private: not part of the module's interface.
        dataflow: put maximal runs of pure bindings into dataflow blocks, unless the function has a
            ``relax.dataflow()``.
        attrs: attributes that the function carries. ``tir_var_upper_bound`` and ``tir_var_lower_bound`` are bounds of
            sizes by name, as ``{"m": 1024}``; they become part of the sizes. A name that is almost one of these is an
            error; all others are kept.

    Raises:
        RelaxError: all that is wrong with the function, each with the line.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> m = relax.dims("m")
        >>> @relax.function
        ... def double(x: relax.Tensor[(m,), "float32"]):
        ...     return x + x
        >>> double(np.arange(3, dtype="float32"))
        array([0., 2., 4.], dtype=float32)
    """

    options = FunctionOptions(pure=pure, checks=checks, private=private, dataflow=dataflow, attrs=attrs)

    @short_tracebacks
    def decorate(fn: Callable[..., Any]) -> CompiledFunction:
        python_function = _python_function(fn, "relax.function")
        if is_in_class(python_function):
            # @relax.module around the class parses it, when the names of all its functions are known.
            return cast(CompiledFunction, ModuleMember(python_function, options))
        started = time.perf_counter()
        compiled = from_parsed(parse_function(python_function, **options), started)
        functools.update_wrapper(compiled, fn)
        return compiled

    return decorate if fn is None else decorate(fn)


def _python_function(fn: object, decorator: str) -> FunctionType:
    if isinstance(fn, FunctionType):
        return fn
    if isinstance(fn, CompiledFunction):
        raise ScriptError(f"{decorator}: {fn.__name__} is a relax function already")
    if isinstance(fn, KernelFunction):
        hint = f"relax.prim_func({fn.__name__}, debug=True) is the same kernel in debug mode"
        raise ScriptError(f"{decorator}: {fn.__name__} is a kernel already", hint=hint)
    what = f"the class {fn.__name__}" if isinstance(fn, type) else repr(fn)
    hint = "classes take @relax.module" if isinstance(fn, type) else f"write one with def below @{decorator}"
    raise ScriptError(f"{decorator}: {what} is no Python function", hint=hint)


@overload
def prim_func(fn: Callable[..., Any] | PrimFunc | Schedule, *, debug: bool | None = None) -> KernelFunction: ...


@overload
def prim_func(
    *, attrs: Mapping[str, Any] | None = None, debug: bool | None = None
) -> Callable[[Callable[..., Any]], KernelFunction]: ...


@short_tracebacks
def prim_func(
    fn: Callable[..., Any] | PrimFunc | Schedule | None = None,
    *,
    attrs: Mapping[str, Any] | None = None,
    debug: bool | None = None,
) -> KernelFunction | Callable[[Callable[..., Any]], KernelFunction]:
    """Decorator: the Python function, read from its source, as a kernel: loops over elements of buffers.

    The last parameters are the outputs: those that it writes. Integers may follow, for sizes that no shape has.
    A schedule's kernel as it is now, or another PrimFunc, is made callable. With ``debug``, so is a kernel that is
    callable already: another one, in debug mode or not.

    Args:
        attrs: attributes that the kernel carries.
        debug: whether calls check the accesses that are not proved to be in range, and raise a KernelError with the
            line; slow. By default, whether the environment variable ``RELAXDSL_DEBUG`` is 1.

    Raises:
        RelaxError: all that is wrong with the kernel, each with the line; an access out of range, with an example.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> from relaxdsl import tir as T
        >>> n = relax.dims("n")
        >>> @relax.prim_func
        ... def double(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        ...     for i in T.parallel(n):
        ...         y[i] = x[i] * 2
        >>> double(np.arange(3, dtype="float32"))
        array([0., 2., 4.], dtype=float32)
    """

    @short_tracebacks
    def decorate(fn: Callable[..., Any]) -> KernelFunction:
        python_function = _python_function(fn, "relax.prim_func")
        if is_in_class(python_function):
            return cast(KernelFunction, ModuleMember(python_function, KernelOptions(attrs, debug)))
        started = time.perf_counter()
        parsed = parse_kernel(python_function, attrs)
        checked = parsed.in_debug_mode() if is_debug(debug) else None
        compile = functools.partial(CompiledFunction, parse_seconds=time.perf_counter() - started)
        kernel = KernelFunction(parsed.prim_func, compile, checked, parsed)
        functools.update_wrapper(kernel, fn)
        return kernel

    if isinstance(fn, PrimFunc | Schedule | KernelFunction) and attrs is not None:
        name = fn.__name__ if isinstance(fn, KernelFunction) else fn.name if isinstance(fn, PrimFunc) else fn.func.name
        raise ScriptError(f"relax.prim_func: {name} has its attributes already", hint="give them where it is defined")
    if isinstance(fn, KernelFunction) and debug is not None:
        return fn.with_debug(debug)
    if isinstance(fn, PrimFunc | Schedule):
        return _callable_kernel(fn, debug)
    return decorate if fn is None else decorate(fn)


def _callable_kernel(given: PrimFunc | Schedule, debug: bool | None) -> KernelFunction:
    kernel, definition = (given, None) if isinstance(given, PrimFunc) else (given.func, given.definition)
    checked = debug_kernel(kernel) if is_debug(debug) else None
    return KernelFunction(kernel, CompiledFunction, checked, definition=definition)


def from_parsed(parsed: ParsedProgram, started: float) -> CompiledFunction:
    """A parsed program as a function; its parsing ``started`` at that reading of ``time.perf_counter``."""
    seconds = time.perf_counter() - started
    accepted = tuple(f"{message} ({span})" if span else message for _, _, message, span in parsed.undecided)
    return CompiledFunction(parsed.function, parsed.module, accepted=accepted, parse_seconds=seconds)


@short_tracebacks
def compile(program: IRModule | Function | PrimFunc | CompiledFunction) -> Any:
    """A module, a function, or a kernel, built by hand made callable.

    Returns:
        For a module, a mapping of its functions by name; for a function or a kernel, that one.

    Raises:
        ScriptError: ``program`` is something else, or breaks the rules of programs.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> n = relax.dims("n")
        >>> x = relax.Var("x", relax.Tensor((n,), "float32"))
        >>> bb = relax.BlockBuilder()
        >>> with bb.function("main", [x]):
        ...     _ = bb.emit_func_output(relax.exp(x))
        >>> relax.compile(bb.get())["main"](np.zeros(2, "float32"))
        array([1., 1.], dtype=float32)
    """
    if isinstance(program, IRModule):
        require_well_formed(program)
        return CompiledModule(module_with_declared_bounds(program))
    if isinstance(program, Function):
        require_well_formed(IRModule({program.name: program}))
        program = with_declared_bounds(program)
        return CompiledFunction(program, IRModule({program.name: program}))
    if isinstance(program, PrimFunc):
        return _callable_kernel(program, None)
    if isinstance(program, CompiledFunction):
        return program.compile()
    raise ScriptError(
        f"compile: {type(program).__name__} is no program",
        hint="decorate a Python function with @relax.function, or pass what BlockBuilder.get() gives",
    )


@short_tracebacks
def module(cls: type) -> CompiledModule:
    """Decorator: the ``@relax.function`` programs of a class as a module; they call each other as ``cls.other(x)``.

    Raises:
        RelaxError: a function is no program, or there is none.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> n = relax.dims("n")
        >>> @relax.module
        ... class Steps:
        ...     @relax.function
        ...     def step(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        ...         return x * 2
        ...     @relax.function
        ...     def two_steps(x: relax.Tensor[(n,), "float32"]):
        ...         return cls.step(cls.step(x))
        >>> Steps.two_steps(np.ones(2, "float32"))
        array([4., 4.], dtype=float32)
    """
    if not isinstance(cls, type):
        raise ScriptError(f"relax.module: {cls!r} is no class", hint="write one with class below @relax.module")
    return CompiledModule(parse_module(cls))


__all__ = ["CompiledFunction", "CompiledModule", "compile", "function", "module", "prim_func"]
