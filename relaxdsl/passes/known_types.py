"""What compiled code must know of the values that come from outside: rank and dtype of every tensor."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.errors import DTypeError, ShapeError, Span
from relaxdsl.ir.check_graph import PACKED_CALLS
from relaxdsl.ir.graph import Call, ExternFunc, Function, MatchCast, Op
from relaxdsl.ir.visit import all_bindings
from relaxdsl.types.types import UNKNOWN_NDIM, FuncType, ShapeType, TensorType, TupleType, Type


def require_known_types(function: Function) -> None:
    """Checks parameters, results of packed functions, and casts.

    Raises:
        ShapeError, DTypeError: the rank or dtype of one is unknown.
    """
    for param in function.params:
        require_known(function.name, f"parameter {param.name}", param.type, None)
    for what, type_, span in _results(function):
        require_known(function.name, what, type_, span)


def _results(function: Function) -> Iterator[tuple[str, Type, Span | None]]:
    for binding in all_bindings(function.body):
        match binding.value:
            case _ if isinstance(binding, MatchCast):
                yield f"{binding.var.name} after match_cast", binding.target, binding.span
            case Call(op=Op(name=name), args=(ExternFunc(name=callee), *_)) as call if name in PACKED_CALLS:
                yield f"the result of {callee}", call.type, call.span


def require_known(function: str, what: str, type_: Type, span: Span | None) -> None:
    """Raises ShapeError or DTypeError where the rank or dtype of a tensor in the type is unknown."""
    headline = f"{function}: the {{}} of {what} is unknown; a compiled function needs it"
    match type_:
        case TupleType(fields=fields):
            for index, field in enumerate(fields):
                require_known(function, f"{what}[{index}]", field, span)
        case TensorType(ndim=ndim) if ndim == UNKNOWN_NDIM:
            hint = 'for example as relax.Tensor((m, n), "float32") or relax.Tensor(ndim=2, dtype="float32")'
            raise ShapeError(headline.format("rank"), hint=f"declare it, {hint}", span=span)
        case TensorType(dtype=None):
            hint = 'declare it, for example as relax.Tensor((m, n), "float32")'
            raise DTypeError(headline.format("dtype"), hint=hint, span=span)
        case ShapeType(ndim=ndim) if ndim == UNKNOWN_NDIM:
            hint = "declare it, for example as relax.Shape((m, n)) or relax.Shape(ndim=2)"
            raise ShapeError(headline.format("rank"), hint=hint, span=span)
        case FuncType():
            hint = "register it with relax.register_packed and call it by name"
            raise DTypeError(f"{function}: {what} is a function, which no argument can be", hint=hint, span=span)
