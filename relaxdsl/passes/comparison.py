"""``fn.check``: the reference interpreter beside the compiled code, binding by binding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError, KernelError, Span
from relaxdsl.ir.graph import Binding, Function, Var
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.visit import all_bindings, used_vars
from relaxdsl.kernels.jit import kernel_outputs
from relaxdsl.passes.pipeline import Compiled
from relaxdsl.trace.debug import debug_kernel
from relaxdsl.trace.interpreter import interpret
from relaxdsl.types.counts import counted
from relaxdsl.types.dtype import is_float
from relaxdsl.types.types import TensorType, TupleType, Type

# Relative tolerance by the least exact dtype in which a value was computed; absolute tolerance is the same times the
# largest magnitude of the reference.
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that the compiled code computes otherwise than the reference."""

    name: str
    span: Span | None
    detail: str


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """The outcome of a check: true if every kernel's result and the function's agree with the reference."""

    function: str
    kernels: int
    difference: Difference | None

    def __bool__(self) -> bool:
        return self.difference is None

    def __repr__(self) -> str:
        return str(self)  # what a notebook or a prompt shows

    def __str__(self) -> str:
        if self.difference is None:
            return f"{self.function}: everything agrees with the reference ({counted(self.kernels, 'kernel')})"
        where = f" ({self.difference.span})" if self.difference.span else ""
        return f"{self.function}: {self.difference.name}{where} is the first to differ: {self.difference.detail}"


def compare(
    function: Function, module: IRModule, compiled: Compiled, args: Sequence[Any], run: Callable[..., Any]
) -> Comparison:
    """Compares, binding by binding, the compiled kernels with the reference; then the results of ``run``, the
    executable.

    Packed functions are called by each side. Each part of the reference gets what the compiled side computed before it,
    so an error shows where it begins, and rounding that a later part magnifies is none. If a fused kernel differs, its
    parts are compiled one by one to find the binding.
    """
    args = [_in_native_order(arg) for arg in args]
    stages = {stage.name: _entry(stage.module, function) for stage in compiled.stages}
    modules = {stage.name: stage.module for stage in compiled.stages}

    def first_difference(stage: str) -> tuple[Difference | None, Any]:
        """The first binding whose compiled value in ``stage`` is not the reference's; the reference's result."""
        judge = _Judge(_compiled_values(stages[stage], modules[stage], args))
        try:
            return None, interpret(stages["eliminate"], modules["eliminate"], args, on_binding=judge)
        except _DiffersError as error:
            return error.difference, None

    difference, expected = first_difference("fuse")
    if difference is not None:
        difference = first_difference("legalize")[0] or difference
    else:
        values = (*function.params, *(binding.var for binding in all_bindings(function.body)))
        dtypes = (each for value in values for each in _floats(value.type))
        detail = _difference_of(expected, run(*args), frozenset(dtypes))
        difference = None if detail is None else Difference("the result", function.span, detail)
    return Comparison(function.name, len(compiled.kernels), difference)


def require_in_range(function: Function, module: IRModule, args: Sequence[Any]) -> None:
    """Lets the reference refuse what kernels by hand would access out of range, where data decides that.

    Raises:
        KernelError: an access is out of range.
    """
    kernels = (each for each in module.functions.values() if isinstance(each, PrimFunc))
    if not any(debug_kernel(each) is not None for each in kernels):
        return
    try:
        interpret(function, module, tuple(map(_in_native_order, args)))
    except KernelError:
        raise
    except Exception:
        return  # the call says what is wrong with the arguments


def comparison_of_kernel(call: Comparison) -> Comparison:
    """The comparison of a kernel, from that of the program that calls it."""
    if call.difference is None:
        return call
    return replace(call, difference=replace(call.difference, name="the result"))


def _in_native_order(arg: Any) -> Any:
    """An argument whose arrays the reference can compute with: scalars as arrays, bytes in this machine's order."""
    if isinstance(arg, tuple | list):
        return tuple(map(_in_native_order, arg))
    if not isinstance(arg, np.ndarray | np.generic | float):
        return arg
    array = np.asarray(arg)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


class _DiffersError(Exception):
    def __init__(self, difference: Difference) -> None:
        self.difference = difference


def _compiled_values(function: Function, module: IRModule, args: Sequence[Any]) -> dict[str, Any]:
    """What compiled kernels give for each binding of a stage."""
    found: dict[str, Any] = {}

    def note(binding: Binding, value: Any) -> Any:
        found[_key(binding)] = value
        return value

    interpret(function, module, args, run_kernel=kernel_outputs, on_binding=note)
    return found


@dataclass(slots=True)
class _Judge:
    """Says what the reference goes on with: the compiled value, which must agree; its own where a fused kernel hides
    it.
    """

    found: Mapping[str, Any]
    computed_in: dict[Var, frozenset[str]] = field(default_factory=dict)
    """Of values that kernels hide, the float dtypes that they come from: each has rounded."""

    def __call__(self, binding: Binding, value: Any) -> Any:
        used = used_vars(binding.value)
        dtypes = frozenset(_floats(binding.var.type)).union(*(self._dtypes(each) for each in used))
        if _key(binding) not in self.found:
            self.computed_in[binding.var] = dtypes
            return value
        detail = _difference_of(value, self.found[_key(binding)], dtypes)
        if detail is not None:
            raise _DiffersError(Difference(binding.var.name, binding.span, detail))
        return self.found[_key(binding)]

    def _dtypes(self, var: Var) -> frozenset[str]:
        return self.computed_in.get(var, frozenset(_floats(var.type)))


def _floats(type_: Type) -> Iterator[str]:
    """The float dtypes of a value."""
    match type_:
        case TensorType(dtype=str(dtype)) if is_float(dtype):
            yield dtype
        case TupleType(fields=fields):
            for each in fields:
                yield from _floats(each)


def _entry(module: IRModule, function: Function) -> Function:
    entry = module[function.name]
    if not isinstance(entry, Function):
        raise InternalError(f"{function.name} is a kernel")
    return entry


def _key(binding: Binding) -> str:
    """Bindings keep their variable's name from one stage to the next; names are unique within the function."""
    return binding.var.name


def _difference_of(expected: Any, got: Any, dtypes: frozenset[str]) -> str | None:
    """What differs between two values, or None; ``dtypes`` are the float dtypes in which they were computed."""
    if isinstance(expected, tuple):
        for index, (left, right) in enumerate(zip(expected, got, strict=True)):
            detail = _difference_of(left, right, dtypes)
            if detail is not None:
                return f"[{index}] {detail}"
        return None
    left, right = np.asarray(expected), np.asarray(got)
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"expected {left.dtype}{left.shape}, got {right.dtype}{right.shape}"
    return _values_differ(left, right, dtypes)


def _values_differ(left: np.ndarray, right: np.ndarray, dtypes: frozenset[str]) -> str | None:
    if left.dtype == object or left.size == 0:
        return None
    own = str(left.dtype)
    tolerance = max(TOLERANCE[each] for each in {own, *dtypes} if each in TOLERANCE) if own in TOLERANCE else 0.0
    finite = np.abs(left[np.isfinite(left)]) if tolerance else np.zeros(0)
    scale = float(finite.max()) if finite.size else 0.0
    if is_float(own):
        close = np.isclose(left, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    else:
        close = left == right
    if close.all():
        return None
    place = tuple(int(axis) for axis in np.argwhere(~close)[0])
    count = int((~close).sum())
    return f"{count} of {left.size} elements, first at {place}: expected {left[place]}, got {right[place]}"
