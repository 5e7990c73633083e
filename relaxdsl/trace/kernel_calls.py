"""Calls of kernels: ``emit_te`` turns a TE function into a kernel and a call, ``call_tir`` calls a kernel there is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, KernelError, RelaxError, ScriptError, ShapeError
from relaxdsl.ir.graph import NO_ATTRS, Call, Constant, Expr, GlobalVar, Op, PrimValue, ShapeExpr, Tuple
from relaxdsl.ir.loops import Block, Buffer, PrimFunc, Store, walk
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Load
from relaxdsl.ir.signature import bind_kernel_symbols, output_type, own_symbols, require_inputs, unbound_symbols
from relaxdsl.ir.te import Compute, Tensor
from relaxdsl.kernels.access_errors import declaration_for, error_of_access, names_in_stage
from relaxdsl.kernels.access_sites import AxisValue, Site, sites_of
from relaxdsl.kernels.accesses import expressions, is_variable, loads_of
from relaxdsl.kernels.create import create_with_stages
from relaxdsl.kernels.dtypes import unsupported_dtype, unsupported_nodes
from relaxdsl.kernels.first_reads import unset_reads_of
from relaxdsl.kernels.out_of_range import KnownSizes, find_example, is_proved
from relaxdsl.operators.calls import bind_arguments, constant, current_context
from relaxdsl.types.dims import SymInt
from relaxdsl.types.match import unify_types
from relaxdsl.types.reading import TE, while_reading
from relaxdsl.types.shape import naming_hint
from relaxdsl.types.symint import user_compares
from relaxdsl.types.types import Grade, PrimType, ShapeType, TensorType, TupleType, Type, is_base_of, tensor_type
from relaxdsl.user_lines import UserLine, calling_line

CALL_TIR = Op("call_tir")
AddFunction = Callable[[PrimFunc, str], GlobalVar]


def call_te(
    add_function: AddFunction,
    known: Callable[[], KnownSizes],
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Call:
    """The ``call_tir`` of the kernel that ``fn`` describes when it gets ``args`` as TE tensors, dims and Python values.

    ``primfunc_name_hint`` among ``kwargs`` names the kernel; the others go to ``fn``.

    Args:
        known: what the function around the call knows of its sizes.

    Raises:
        ScriptError: ``fn`` is no function, or does not take these arguments.
        KernelError: ``fn`` returned something else than TE tensors.
        KernelError: the kernel reads outside of its inputs, for some sizes that may be.
        DTypeError: an argument that TE has no form for, or a dtype that kernels do not compute in.
    """
    kwargs = dict(kwargs)
    name = kwargs.pop("primfunc_name_hint", None) or getattr(fn, "__name__", "kernel")
    inputs = _Inputs()
    try:
        with user_compares(False):
            kernel, stages = _described(fn, args, kwargs, "kernel" if name == "<lambda>" else name, inputs)
            _require_dtypes(kernel)
            _require_in_range(kernel, stages, known)
            return call_kernel(add_function(kernel, kernel.name), kernel, inputs.expressions)
    except RelaxError as error:
        error.at(current_context().span)
        raise


def _described(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], name: str, inputs: _Inputs
) -> tuple[PrimFunc, dict[Block, Compute]]:
    """The kernel that a TE function describes, and the stages of its blocks."""
    _require_parameters(fn, args, kwargs)
    te_args = [inputs.convert(arg) for arg in args]
    te_kwargs = {key: inputs.convert(value) for key, value in kwargs.items()}
    with while_reading(TE), user_compares(True):
        result = fn(*te_args, **te_kwargs)
    return create_with_stages(inputs.tensors, _outputs(result, name), name)


def _require_parameters(fn: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Returns unless ``fn`` is no function of these arguments, as far as can be known before the call."""
    usage = "a function comes first, and then what it gets: relax.emit_te(function, x, y)"
    if not callable(fn):
        kind = fn.type if isinstance(fn, Expr) else type(fn).__name__
        raise ScriptError(f"emit_te: {kind} stands where the function does", hint=usage)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # some that are not written in Python have none
        return
    try:
        bind_arguments(getattr(fn, "__name__", "function").strip("<>"), signature, args, kwargs)
    except ScriptError as error:
        error.hint = error.hint or usage
        raise


def _require_dtypes(kernel: PrimFunc) -> None:
    """Returns unless the kernel computes in a dtype that kernels do not have."""
    for _, node in unsupported_nodes(kernel):
        raise unsupported_dtype(kernel.name, node.dtype)


def _require_in_range(kernel: PrimFunc, stages: Mapping[Block, Compute], known: Callable[[], KnownSizes]) -> None:
    """Returns unless an access is out of range for some sizes; those that depend on data are taken to be meant."""
    for site in sites_of(kernel):
        if not is_proved(site):
            example = find_example(kernel, site, known())
            if example is not None:
                block = next(each for each in stages if _is_inside(site.node, each))
                names = names_in_stage(kernel, block, stages[block])
                error = error_of_access(kernel, site, example, names, _hint(kernel, site))
                error.details += tuple(_lines_of_stages(site, block, stages))
                raise error


def _is_inside(node: Load | Store | Block, block: Block) -> bool:
    statements = list(walk(block))
    loads = (load for each in statements for expr in expressions(each) for load in loads_of(expr))
    return any(each is node for each in (*statements, *loads))


def _lines_of_stages(site: Site, block: Block, stages: Mapping[Block, Compute]) -> Iterator[str]:
    """The user's lines that describe the stage with the access and the one that makes what it reads, if a message at
    the call does not show them.
    """
    line = _helper_line(stages[block])
    if line is not None:
        yield str(line)
    if isinstance(site.what, Buffer):
        makers = (stage for each, stage in stages.items() if each is not block and _makes(each, site.what))
        lines = (line for stage in makers if (line := _helper_line(stage)) is not None)
        yield from (f"{site.what.name} is made {line}" for line in lines)


def _helper_line(stage: Compute) -> UserLine | None:
    """Where a helper function describes the stage; None where the program does so itself: Python does not run that."""
    line = stage.made_at
    return None if line is None or line == calling_line() or line.is_in(current_context().span) else line


def _makes(block: Block, buffer: Buffer) -> bool:
    return any(isinstance(each, Store) and each.buffer is buffer for each in walk(block))


def _hint(kernel: PrimFunc, site: Site) -> str:
    ranges = [fact for fact in site.facts if isinstance(fact, AxisValue) and is_variable(site.index, fact.var)]
    if ranges and site.what in kernel.inputs:
        extent = ranges[0].extent
        return f"`{extent}` and `{site.size}` may differ; {naming_hint(extent, site.size)}"
    otherwise = declaration_for(site) or "make the result smaller"
    return f"guard it with te.if_then_else(condition, value, otherwise), or {otherwise}"


def call_kernel(callee: GlobalVar, kernel: PrimFunc, tensors: Sequence[Expr]) -> Call:
    """``call_tir`` of a kernel made for exactly these tensors: its unbound symbols are passed under their own names."""
    unbound = unbound_symbols(kernel)
    own = own_symbols(kernel) if unbound else {}
    extra = [PrimValue(own[name]) for name in unbound]
    args = (*tensors, *extra)
    return _call_tir(callee, args, output_type(kernel, bind_kernel_symbols(kernel, args)))


def call_tir(callee: GlobalVar, kernel: PrimFunc, args: Sequence[Expr], out: Type | None = None) -> Call:
    """A call of ``kernel`` on ``args``: its inputs, then an integer for each symbol that no input's shape binds.

    Args:
        args: the integers may be left out where the types of the inputs and of the result tell them.
        out: the result's type, checked against the kernel's signature.

    Raises:
        KernelError: an output is read before it is written.
        ShapeError, DTypeError: the arguments, or ``out``, do not fit.
    """
    span = current_context().span
    _require_set_outputs(kernel)
    try:
        args = _with_sizes(kernel, args, out)
        result = output_type(kernel, bind_kernel_symbols(kernel, args))
    except RelaxError as error:
        error.at(span)
        raise
    if out is not None:
        fit = is_base_of(out, result)
        if fit.grade is not Grade.FITS:
            raise ShapeError(f"call_tir: {kernel.name} gives {result}, not {out}", details=[fit.reason], span=span)
    return _call_tir(callee, args, result)


def _require_set_outputs(kernel: PrimFunc) -> None:
    """Refuses a kernel that takes what its outputs held before: a call makes them new."""
    outputs = set(kernel.outputs)
    for load in unset_reads_of(kernel):
        if load.buffer in outputs:
            name = load.buffer.name
            raise KernelError(
                f"{kernel.name}: {name} is read before anything is written to it, and is new in every call",
                details=[f"T.outputs says that {name} holds something, as in the description of an intrinsic"],
                hint="to call the kernel, write it first, in loops before or under T.init() of a block",
                span=current_context().span,
            )


def _with_sizes(kernel: PrimFunc, args: Sequence[Expr], out: Type | None) -> Sequence[Expr]:
    """``args`` with the integers that were left out, where the types of the inputs and of the result tell them."""
    unbound = unbound_symbols(kernel)
    if not unbound or len(args) != len(kernel.inputs):
        return args
    results = () if out is None else out.fields if isinstance(out, TupleType) else (out,)
    if not all(isinstance(each, TensorType) and each.shape is not None for each in results):
        return args
    require_inputs(kernel, args)
    buffers = kernel.params[: len(args) + len(results)]
    declared = [(buffer.name, tensor_type(buffer.shape, buffer.dtype)) for buffer in buffers]
    try:
        values = unify_types(declared, [*(arg.type for arg in args), *results], callee=kernel.name)
    except ScriptError:  # they do not tell all sizes
        return args
    return (*args, *(PrimValue(values[name]) for name in unbound)) if values.keys() >= set(unbound) else args


def _call_tir(callee: GlobalVar, args: Sequence[Expr], result: Type) -> Call:
    return Call(CALL_TIR, (callee, Tuple(tuple(args))), NO_ATTRS, result, current_context().span)


class _Inputs:
    """The tensors among a TE function's arguments: as placeholders, and as the expressions to pass."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.expressions: list[Expr] = []
        self._names = UniqueNames()
        self._letters: Iterator[str] = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

    def convert(self, value: Any) -> Any:
        """``value`` as the TE function sees it."""
        match value:
            case ShapeExpr():
                return list(value.values)
            case Expr(type=ShapeType(values=tuple(values))):
                return list(values)
            case Expr(type=PrimType(value=known)) if known is not None:
                return known
            case Expr(type=TensorType()):
                return self._placeholder(value)
            case np.ndarray():
                return self._placeholder(constant(value))
            case list() | tuple():
                return [self.convert(item) for item in value]
            case dict():
                return {key: self.convert(item) for key, item in value.items()}
            case None | bool() | int() | float() | str() | SymInt() | np.generic():
                return value
        if callable(value) and not isinstance(value, Expr):
            return value
        kind = value.type if isinstance(value, Expr) else type(value).__name__
        raise DTypeError(f"emit_te: cannot pass {kind} to a TE function")

    def _placeholder(self, expr: Expr) -> Tensor:
        type_ = expr.type
        assert isinstance(type_, TensorType)
        if type_.shape is None or type_.dtype is None:
            raise ShapeError(
                f"emit_te: {getattr(expr, 'name', 'an argument')} has the type {type_}; shape and dtype must be known",
                hint="give it a type first with relax.match_cast",
            )
        hint = getattr(expr, "name", None) if not isinstance(expr, Constant) else None
        name = self._names.fresh(hint or next(self._letters, "A"))
        tensor = Tensor(Buffer(name, type_.shape, type_.dtype))
        self.tensors.append(tensor)
        self.expressions.append(expr)
        return tensor


def _outputs(result: Any, name: str) -> list[Tensor]:
    outputs = list(result) if isinstance(result, list | tuple) else [result]
    for output in outputs:
        if not isinstance(output, Tensor):
            raise KernelError(
                f"emit_te: {name} must return a te tensor or a tuple of them, got {type(output).__name__}",
                hint="build the result with te.compute(shape, lambda i, j: …)",
            )
    if not outputs:
        raise KernelError(f"emit_te: {name} returned no tensor")
    return outputs
