"""The statements of a program that need the function being built: ``emit_te``, ``call_tir``, ``match_cast``,
``dataflow``, ``output``.

They work inside ``@relax.function`` and in plain Python helpers it calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError
from relaxdsl.ir.graph import Call, Expr, GlobalVar, PrimValue, Tuple, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels.primitives.schedule import Schedule
from relaxdsl.operators.calls import as_expr, current_context, fresh_symbol
from relaxdsl.trace import kernel_calls
from relaxdsl.trace.builder import BlockBuilder, current_builder
from relaxdsl.trace.debug import DebugKernel
from relaxdsl.types.constructors import as_type
from relaxdsl.types.symint import user_compares
from relaxdsl.types.types import TupleType, Type, with_named_sizes


@runtime_checkable
class Kernel(Protocol):
    """What ``@relax.prim_func`` makes: a kernel with its PrimFunc."""

    @property
    def ir(self) -> PrimFunc:
        """The kernel."""

    @property
    def debug(self) -> DebugKernel | None:
        """The kernel that checks its accesses, in debug mode."""


def emit_te(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    """The call of the kernel that the TE function ``fn`` describes.

    Tensors among ``args`` (and in lists and dicts of them) reach ``fn`` as TE tensors with the same symbolic shapes,
    shapes as lists of dims, everything else as it is. ``primfunc_name_hint=`` names the kernel.

    What an index that depends on data reads is not checked, but for debug mode (``RELAXDSL_DEBUG=1``).

    Raises:
        ScriptError: outside of a function.
        KernelError: ``fn`` does not return TE tensors, or reads outside of a tensor for some sizes, with an example.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> from relaxdsl import te
        >>> n = relax.dims("n")
        >>> def reverse(x):
        ...     return te.compute(x.shape, lambda i: x[x.shape[0] - 1 - i], name="reverse")
        >>> @relax.function
        ... def backwards(x: relax.Tensor[(n,), "float32"]):
        ...     return relax.emit_te(reverse, x)
        >>> backwards(np.arange(3, dtype="float32"))
        array([2., 1., 0.], dtype=float32)
    """
    return _builder("emit_te").call_te(fn, *args, **kwargs)


def call_tir(kernel: GlobalVar | PrimFunc | Schedule | Kernel, args: Any, out: Any = None) -> Call:
    """A call of a kernel: of the module (by its name) or, joining it, a ``@relax.prim_func``, PrimFunc or Schedule.

    Args:
        args: the inputs, then an integer for each symbol of the kernel that no input's shape binds. The integers may
            be left out where the types of the inputs and of the result determine them.
        out: the result's type; it may be left out, and is checked against the kernel where it is given. A tuple or a
            list of types for several results.

    Raises:
        ScriptError: outside of a function; for something that is no kernel.
        KernelError: an output is read before it is written.
        ShapeError, DTypeError: the arguments, or ``out``, do not fit.
    """
    with user_compares(False):
        return _call_tir(_builder("call_tir"), kernel, args, out)


def _callee(builder: BlockBuilder, kernel: GlobalVar | PrimFunc | Schedule | Kernel) -> Any:
    """The kernel's name in the module."""
    if isinstance(kernel, PrimFunc | Schedule):
        return builder.add_func(kernel if isinstance(kernel, PrimFunc) else kernel.func)
    if not isinstance(kernel, Kernel) or not isinstance(kernel.ir, PrimFunc):
        return kernel
    callee = builder.add_func(kernel.ir)
    builder.debug_kernels[callee.name] = kernel.debug
    return callee


def _call_tir(builder: BlockBuilder, kernel: GlobalVar | PrimFunc | Schedule | Kernel, args: Any, out: Any) -> Call:
    callee = _callee(builder, kernel)
    function = builder.get()[callee.name] if isinstance(callee, GlobalVar) and callee.name in builder.get() else None
    if not isinstance(function, PrimFunc):
        raise ScriptError(
            f"call_tir: {getattr(kernel, '__name__', repr(kernel))} is not a kernel",
            hint="write kernels with @relax.prim_func; a function of tensor expressions is called by "
            "relax.emit_te(function, x)",
            span=current_context().span,
        )
    given: Sequence[Any] = (
        args.fields if isinstance(args, Tuple) else args if isinstance(args, list | tuple) else (args,)
    )
    operands = tuple(_operand(arg, i, len(function.inputs)) for i, arg in enumerate(given))
    result = None if out is None else _result_type(out)
    return builder.checked_call(kernel_calls.call_tir(callee, function, operands, result))


def _operand(arg: Any, position: int, inputs: int) -> Expr:
    """An argument as an expression; what follows the inputs is an integer."""
    if position >= inputs and isinstance(arg, int) and not isinstance(arg, bool):
        return PrimValue(arg, current_context().span)
    return as_expr(arg, f"call_tir: argument {position}")


def _result_type(out: Any) -> Type:
    if any(isinstance(each, Expr) for each in (out if isinstance(out, list | tuple) else (out,))):
        raise ScriptError(
            "call_tir: a tensor stands where the type of the result does",
            hint="the arguments are a tuple: relax.call_tir(kernel, (x, w))",
            span=current_context().span,
        )
    return TupleType(tuple(map(as_type, out))) if isinstance(out, list | tuple) else as_type(out)


def match_cast(value: Any, target: Any) -> Var:
    """``value``, asserted at run time to be of type ``target``; symbols of ``target`` that are new are bound there,
    and so are new ones for sizes that it leaves out.

    Raises:
        ScriptError: outside of a function.
        DTypeError, ShapeError: the value certainly is of another kind, dtype or rank.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> n, m = relax.dims("n m")
        >>> @relax.function
        ... def add(x: relax.Tensor[(n,), "float32"], y: relax.Tensor[(m,), "float32"]):
        ...     return x + relax.match_cast(y, relax.Tensor((n,), "float32"))
        >>> add(np.ones(2, "float32"), np.ones(2, "float32"))
        array([2., 2.], dtype=float32)
    """
    with user_compares(False):
        sizes = with_named_sizes(as_type(target), "u", fresh_symbol)
        return _builder("match_cast").match_cast(as_expr(value, "match_cast"), sizes)


@dataclass(frozen=True, slots=True)
class DataflowMarker:
    """What ``relax.dataflow()`` returns: the parser reads the ``with`` statement around it."""

    def __enter__(self) -> None:
        raise ScriptError("relax.dataflow() only has a meaning inside @relax.function")

    def __exit__(self, *_: object) -> None:
        return None


def dataflow() -> DataflowMarker:
    """Marks a dataflow block: ``with relax.dataflow(): …; relax.output(y)``."""
    return DataflowMarker()


def output(*values: Expr) -> None:
    """Names what leaves the dataflow block; the last statement in it.

    Raises:
        ScriptError: outside of ``with relax.dataflow()`` in a ``@relax.function``.
    """
    raise ScriptError("relax.output: only as the last statement of `with relax.dataflow():` inside @relax.function")


def _builder(caller: str) -> BlockBuilder:
    builder = current_builder()
    if builder is None:
        raise ScriptError(
            f"{caller}: no function is being built here",
            hint=f"use it inside @relax.function, or use BlockBuilder.{caller}",
        )
    return builder
