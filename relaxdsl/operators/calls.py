"""Making typed calls: operands to expressions, attributes checked, the type from the operator's body.

What surrounds a call (the user's source position, where fresh symbols come from, what happens when two sizes can't be
decided) is the :class:`CallContext`, set by whoever builds the program.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, InternalError, RelaxError, ScriptError, ShapeError, Span, nearest
from relaxdsl.ir.graph import Call, Constant, Expr, PrimValue, Tuple
from relaxdsl.ir.loops import Buffer
from relaxdsl.ir.scalar import COMPARISON_NAMES, ScalarExpr, const
from relaxdsl.ir.te import Tensor
from relaxdsl.operators.kernel_dtypes import require_kernel_dtypes
from relaxdsl.operators.registry import Operator, define, get
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.array_likes import as_array, kind_of
from relaxdsl.types.dims import Dim, DimCompare, SymInt, symbol
from relaxdsl.types.dtype import DTypeName, canonical_dtype, promote
from relaxdsl.types.prove import Proof, prove_less_equal
from relaxdsl.types.reading import reading
from relaxdsl.types.symint import user_compares
from relaxdsl.types.types import AnyType, PrimType, ShapeType, TensorType, TupleType, Type, tensor_type


@dataclass(frozen=True, slots=True)
class CallContext:
    """What surrounds a call while a program is built.

    Args:
        span: the user's source that makes the call.
        fresh_symbol: makes a new symbol for a data-dependent size from a hint.
        accept_undecided: called with two sizes whose equality can't be decided and the message an error would have;
        True accepts
            them (a run-time check will follow).
        on_requirement: called with a size that must be at least so much for the call to make sense, where that can't be
            proved, and what to say if it is not.
        emit_impure: called with an impure call, binds it at once (order matters) and returns its variable.
    """

    span: Span | None = None
    fresh_symbol: Callable[[str], Dim] | None = None
    accept_undecided: Callable[[Dim, Dim, str], bool] | None = None
    on_requirement: Callable[[Dim, int, str], None] | None = None
    emit_impure: Callable[[Call], Expr] | None = None


_context: ContextVar[CallContext] = ContextVar("relaxdsl_call_context", default=CallContext())  # noqa: B039 (frozen)
_fresh_numbers = itertools.count()

#: What PyTorch, NumPy and TVM call arguments that have other names here.
ARGUMENTS_ELSEWHERE = {
    "attn_mask": ("bias",), "dim": ("axis",), "input": ("x", "data"), "is_causal": ("causal_mask",),
    "keepdim": ("keepdims",), "layout": ("data_layout",), "other": ("x2",), "out_sinfo": ("out",),
    "stride": ("strides",),
}  # fmt: skip


def current_context() -> CallContext:
    """The context in force."""
    return _context.get()


@contextmanager
def call_context(**changes: Any) -> Iterator[CallContext]:
    """Within the block, calls are made in the current context with ``changes``."""
    context = replace(_context.get(), **changes)
    token = _context.set(context)
    try:
        yield context
    finally:
        _context.reset(token)


def fresh_symbol(hint: str) -> Dim:
    """A new symbol for a size that is known only at run time."""
    make = _context.get().fresh_symbol
    return make(hint) if make is not None else symbol(f"{hint}_{next(_fresh_numbers)}")


def accept_undecided(left: Dim, right: Dim, message: str) -> bool:
    """Whether sizes whose equality can't be decided are accepted here (to be checked at run time)."""
    accept = _context.get().accept_undecided
    return accept is not None and accept(left, right, message)


def require_at_least(dim: Dim, least: int, message: str) -> None:
    """Returns if ``dim >= least`` can hold; where it isn't certain, it is checked at run time.

    Raises:
        ShapeError: it never holds; says ``message``.
    """
    proof = prove_less_equal(least, dim)
    if proof is Proof.NO:
        raise ShapeError(message)
    require = _context.get().on_requirement
    if proof is Proof.UNKNOWN and require is not None:
        require(dim, least, message)


# ------------------------------------------------------------------------------ the public function


def operator(name: str, **parts: Any) -> Callable[[Callable[..., Any]], Callable[..., Call]]:
    """Decorator: defines an operator from its body; the decorated name becomes its public function.

    ``parts`` are those of :func:`relaxdsl.operators.registry.define`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Call]:
        return public_function(define(name, function, **parts), function)

    return decorate


def public_function(definition: Operator, function: Callable[..., Any]) -> Callable[..., Call]:
    """The function users call: same signature and doc as the body, returns a typed call; attached to expressions as
    declared.
    """

    @short_tracebacks
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Call:
        with user_compares(False):
            return make_call(definition, args, kwargs)

    def call_reflected(right: Any, left: Any) -> Call:
        with user_compares(False):
            return make_call(definition, (left, right), {})

    bare = [parameter.replace(annotation=parameter.empty) for parameter in definition.signature.parameters.values()]
    call.__signature__ = inspect.Signature(bare)  # type: ignore[attr-defined]
    call.__relax_operator__ = definition  # type: ignore[attr-defined]
    for method in definition.methods:
        setattr(Expr, method, call)
    for method in definition.reflected:
        setattr(Expr, method, call_reflected)
    return call


def make_call(definition: Operator, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """A typed call of the operator.

    Raises:
        ScriptError: wrong number or names of arguments.
        RelaxError: what the type rule finds wrong.
    """
    values = _bind_arguments(definition, args, kwargs)
    operands = _operand_expressions(definition, values)
    try:
        attrs = {name: _plain(value) for name, value in values.items() if name not in definition.operands}
        result = infer_type(definition, operands, attrs)
    except RelaxError as error:
        error.at(_context.get().span)
        raise
    call = Call(definition.op, _call_args(operands), MappingProxyType(attrs), result, _context.get().span)
    emit = _context.get().emit_impure
    return call if definition.op.is_pure or emit is None else emit(call)  # type: ignore[return-value]


def _bind_arguments(definition: Operator, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    args, kwargs = _as_printed(definition, args, kwargs)
    return bind_arguments(definition.name, definition.signature, args, kwargs)


def bind_arguments(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, and the others' defaults.

    Raises:
        ScriptError: wrong number or names of arguments; says what the function ``name`` takes.
    """
    parameters = signature.parameters
    shown = [f"{name}{_show_signature(signature)}"]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for keyword in () if takes_any else kwargs:
        if keyword not in parameters:
            known = [each for each in ARGUMENTS_ELSEWHERE.get(keyword, ()) if each in parameters]
            close = known[0] if known else nearest(keyword, parameters)
            hint = f"did you mean {close!r}?" if close is not None else None
            raise ScriptError(
                f"{name}: unknown argument {keyword!r}", details=shown, hint=hint, span=_context.get().span
            )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ScriptError(f"{name}: {error}", details=shown, span=_context.get().span) from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _as_printed(
    definition: Operator, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments with operands named, where ``full(fill_value, shape=(2,))`` is given as programs print it: operands
    by position, attributes by keyword, although an attribute comes first in the signature.
    """
    first = next(iter(definition.signature.parameters), None)
    if first in definition.operands or first not in kwargs or not 0 < len(args) <= len(definition.operands):
        return args, kwargs
    named = dict(zip(definition.operands, args, strict=False))
    return (args, kwargs) if named.keys() & kwargs else ((), {**named, **kwargs})


def _show_signature(signature: inspect.Signature) -> str:
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(bare))


def _plain(value: Any) -> Any:
    """An attribute as plain immutable data: numbers as Python's, lists and shapes as tuples, dtypes by name."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype | type):
        return canonical_dtype(value)
    if isinstance(value, DTypeName):
        return str(value)
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, PrimValue):
        return value.value
    if isinstance(value, Expr) and isinstance(value.type, PrimType) and value.type.value is not None:
        return value.type.value
    if isinstance(value, Expr) and isinstance(value.type, ShapeType) and value.type.values is not None:
        return value.type.values
    return value


# ----------------------------------------------------------------------------------------- operands


def _operand_expressions(definition: Operator, values: Mapping[str, Any]) -> dict[str, Expr | None]:
    given = {name: values[name] for name in definition.operands}
    for name, value in given.items():
        if not definition.takes_several(name):
            _require_one(definition, name, value)
    typed = [dtype for value in given.values() for dtype in _known_dtypes(value)]
    optional = definition.optional_operands()
    return {
        name: None if value is None and name in optional else as_expr(value, f"{definition.name}: {name}", typed)
        for name, value in given.items()
    }


def _require_one(definition: Operator, name: str, value: Any) -> None:
    """Raises for several values where one is wanted; an empty tuple holds the place of an optional operand."""
    count = len(value.fields) if isinstance(value, Tuple) else len(value) if isinstance(value, list | tuple) else None
    if count is None or (count == 0 and name in definition.optional_operands()):
        return
    raise DTypeError(
        f"{definition.name}: {name} must be a tensor, an array or a number, got {type(value).__name__.lower()}",
        hint="make one array of it: of numbers with np.array, of tensors with relax.stack",
        span=_context.get().span,
    )


def _known_dtypes(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _known_dtypes(item)
    elif isinstance(value, Expr) and isinstance(value.type, TensorType) and value.type.dtype is not None:
        yield value.type.dtype
    elif isinstance(value, np.ndarray | np.generic):
        yield canonical_dtype(value.dtype)


#: What is written where a whole tensor is combined with a number of a kernel.
_NUMBER = "elements are those of kernels; a number is written 2.0, or np.float32(2)"


def as_expr(value: Any, what: str, other_dtypes: Sequence[str] = ()) -> Expr:
    """``value`` as a graph expression: expressions as they are, arrays as constants, Python numbers as constants of
    the dtype they take beside ``other_dtypes``, dims as prim values, sequences as tuples.

    Raises:
        DTypeError: for anything else; ``what`` names it.
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, np.ndarray | np.generic) and not isinstance(value, np.ma.MaskedArray):
        return constant(np.asarray(value))
    if isinstance(value, bool | int | float):
        dtype = "bool" if isinstance(value, bool) else promote(*other_dtypes, value)
        return constant(_number(value, dtype, what))
    if isinstance(value, SymInt):
        return PrimValue(value, _context.get().span)
    if isinstance(value, DimCompare):
        return make_call(get(COMPARISON_NAMES[value.op]), (value.left, value.right), {})
    if isinstance(value, list | tuple):
        fields = tuple(as_expr(item, f"{what}[{i}]", other_dtypes) for i, item in enumerate(value))
        return Tuple(fields, _context.get().span)
    is_element = isinstance(value, ScalarExpr)
    of_kernels = "an element" if is_element else "a buffer" if hasattr(value, "buffer") else None
    instead = _NUMBER if is_element else as_array(value, what.rpartition(" ")[2])
    raise DTypeError(
        f"{what} must be a tensor, an array or a number, got {of_kernels or kind_of(value)}",
        hint=reading().functions or instead,
        span=_context.get().span,
    )


def _number(value: bool | int | float, dtype: str, what: str) -> np.ndarray:
    try:
        return np.array(value, dtype=dtype)
    except OverflowError:
        raise DTypeError(f"{what}: {value} does not fit into {dtype}", span=_context.get().span) from None


def constant(array: np.ndarray, span: Span | None = None) -> Constant:
    """A constant with its type; the array is copied if it could change.

    Raises:
        DTypeError: if relaxdsl has no such dtype.
    """
    dtype = canonical_dtype(array.dtype)
    frozen = np.ascontiguousarray(array) if array.ndim else array
    frozen = frozen.copy()
    frozen.flags.writeable = False
    return Constant(frozen, tensor_type(frozen.shape, dtype), span or _context.get().span)


# -------------------------------------------------------------------------------------------- types


def infer_type(definition: Operator, operands: Mapping[str, Expr | None], attrs: Mapping[str, Any]) -> Type:
    """The type of a call: from the type rule, or read off what the body returns on placeholders."""
    if definition.type_rule is not None:
        return definition.type_rule(**operands, **attrs)
    te_operands = {name: te_operand(operand, name, definition.name) for name, operand in operands.items()}
    result = run_body(definition, te_operands, attrs)
    with call_context(accept_undecided=lambda *_: True, on_requirement=None):
        body = functools.partial(run_body, definition)
        require_kernel_dtypes(definition.name, body, te_operands, attrs, result)
    return type_of_te(result)


def run_body(definition: Operator, te_operands: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    """What the operator's body returns on operands as :func:`te_operand` gives them."""
    if definition.body is None:
        raise InternalError(f"operator {definition.name} has no body")
    return definition.body(**te_operands, **attrs)


_HINT_FOR_ANY = (
    'give it a type: out=relax.Tensor((m, n), "float32") where a packed function returns it, '
    '-> relax.Tensor[(m, n), "float32"] on a function that does, or match_cast'
)


def te_operand(expr: Expr | None, name: str, operator_name: str) -> Any:
    """An expression as a TE body sees it: a placeholder, a scalar constant, a dim, a list of them, None."""
    if expr is None:
        return None
    if isinstance(expr, Constant) and expr.value.ndim == 0:
        return const(expr.value.item(), canonical_dtype(expr.value.dtype))
    if isinstance(expr, Tuple) and not expr.fields:
        return None
    if isinstance(expr, PrimValue):
        return expr.value
    if isinstance(expr, Tuple):
        return [te_operand(field, f"{name}[{i}]", operator_name) for i, field in enumerate(expr.fields)]
    if isinstance(expr.type, PrimType) and expr.type.value is not None:
        return expr.type.value
    if isinstance(expr.type, TensorType):
        return _placeholder(expr, expr.type, getattr(expr, "name", name), operator_name)
    raise DTypeError(
        f"{operator_name}: {name} must be a tensor, got {expr.type}",
        hint=_HINT_FOR_ANY if isinstance(expr.type, AnyType) else None,
    )


def _placeholder(expr: Expr, type_: TensorType, name: str, operator_name: str) -> Tensor:
    if type_.shape is None or type_.dtype is None:
        unknown = "rank" if type_.shape is None else "dtype"
        raise ShapeError(
            f"{operator_name}: the {unknown} of {name} is unknown",
            hint="write it in the parameter's annotation, or give the value a type: "
            f'{name} = relax.match_cast({name}, relax.Tensor((m, n), "float32"))',
        )
    return Tensor(Buffer(name, type_.shape, type_.dtype))


def type_of_te(result: Tensor | Sequence[Tensor]) -> Type:
    """The graph type of what a TE function returned."""
    if isinstance(result, Tensor):
        return tensor_type(result.shape, result.dtype)
    return TupleType(tuple(type_of_te(item) for item in result))


def operands_of(definition: Operator, call: Call) -> dict[str, Expr | None]:
    """The call's operands by parameter name (None where an optional one was left out)."""
    given: dict[str, Expr | None] = dict.fromkeys(definition.operands)
    given.update(zip(definition.operands, call.args, strict=False))
    for name in definition.optional_operands():
        if is_absent(given[name]):
            given[name] = None
    return given


def is_absent(operand: Expr | None) -> bool:
    """Whether an optional operand was left out: None, or the empty tuple that holds its place before others."""
    return operand is None or (isinstance(operand, Tuple) and not operand.fields)


def _call_args(operands: Mapping[str, Expr | None]) -> tuple[Expr, ...]:
    """The operands in order; trailing absent ones are dropped, others hold their place with an empty tuple."""
    args = list(operands.values())
    while args and args[-1] is None:
        args.pop()
    return tuple(Tuple(()) if operand is None else operand for operand in args)
