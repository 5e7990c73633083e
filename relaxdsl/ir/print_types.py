"""Types as relaxdsl script. Symbolic sizes are strings: a type can be written where its symbols have no names yet."""

from __future__ import annotations

from collections.abc import Iterable

from relaxdsl.errors import InternalError
from relaxdsl.ir.layout import format_string, format_tuple
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import (
    UNKNOWN_NDIM,
    AnyType,
    FuncType,
    PrimType,
    ShapeType,
    TensorType,
    TupleType,
    Type,
)


def format_type(type_: Type) -> str:
    """The type as script.

    Example:
        >>> from relaxdsl.types.dims import symbol
        >>> print(format_type(TensorType((symbol("m") + 1, 4), "float32")))
        relax.Tensor(("m + 1", 4), "float32")
    """
    match type_:
        case TensorType():
            return _format_tensor(type_)
        case ShapeType(values=tuple(values)):
            return f"relax.Shape({format_sizes(values)})"
        case ShapeType(ndim=ndim):
            return "relax.Shape()" if ndim == UNKNOWN_NDIM else f"relax.Shape(ndim={ndim})"
        case PrimType(dtype=dtype, value=value):
            return f'relax.Prim("{dtype}"{"" if value is None else f", value={format_size(value)}"})'
        case TupleType(fields=fields):
            return f"relax.Tuple({', '.join(map(format_type, fields))})"
        case FuncType(params=params, ret=ret, pure=pure):
            shown = "..." if params is None else f"[{', '.join(map(format_type, params))}]"
            return f"relax.Callable({shown}, {format_type(ret)}{'' if pure else ', pure=False'})"
        case AnyType():
            return "relax.Any"
    raise InternalError(f"printing: no script for a type of class {type(type_).__name__}")


def _format_tensor(tensor: TensorType) -> str:
    if tensor.shape is not None:
        dtype = "" if tensor.dtype is None else f', "{tensor.dtype}"'
        return f"relax.Tensor({format_sizes(tensor.shape)}{dtype})"
    known = [] if tensor.ndim == UNKNOWN_NDIM else [f"ndim={tensor.ndim}"]
    known += [] if tensor.dtype is None else [f'dtype="{tensor.dtype}"']
    return f"relax.Tensor({', '.join(known)})"


def format_size(dim: Dim) -> str:
    """A size in a type: a number, or a string of symbols."""
    return str(dim) if isinstance(dim, int) else format_string(str(dim))


def format_sizes(dims: Iterable[Dim]) -> str:
    """The sizes of a shape in a type."""
    return format_tuple([format_size(dim) for dim in dims])
