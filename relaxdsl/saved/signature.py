"""A function's signature as JSON, for whoever looks into a file without relaxdsl. Loading goes by the text."""

from __future__ import annotations

from typing import Any

from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import Function
from relaxdsl.ir.visit import all_dims
from relaxdsl.types.bounds import bounded_symbols
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import AnyType, FuncType, PrimType, ShapeType, TensorType, TupleType, Type


def signature_of(function: Function) -> dict[str, Any]:
    """The parameters and the result, and the bounds of sizes that have some.

    A size is a number or a text in the names of the sizes. What is not known is null.
    """
    bounds = bounded_symbols(all_dims(function))
    return {
        "parameters": [{"name": param.name, **describe_type(param.type)} for param in function.params],
        "result": describe_type(function.ret_type),
        "bounds": {name: {"lower": each.lower, "upper": each.upper} for name, each in bounds.items()},
    }


def describe_type(type_: Type) -> dict[str, Any]:
    """The type as JSON.

    Example:
        >>> from relaxdsl.types.dims import symbol
        >>> describe_type(TensorType((symbol("m"), 4), "float32"))
        {'kind': 'tensor', 'shape': ['m', 4], 'dtype': 'float32'}
    """
    match type_:
        case TensorType(shape=shape, dtype=dtype):
            return {"kind": "tensor", "shape": _sizes(shape), "dtype": dtype}
        case ShapeType(values=values):
            return {"kind": "shape", "values": _sizes(values)}
        case PrimType(dtype=dtype):
            return {"kind": "number", "dtype": dtype}
        case TupleType(fields=fields):
            return {"kind": "tuple", "fields": list(map(describe_type, fields))}
        case AnyType() | FuncType():
            return {"kind": "any"}
    raise InternalError(f"a signature with a type of class {type(type_).__name__}")


def _sizes(dims: tuple[Dim, ...] | None) -> list[int | str] | None:
    return None if dims is None else [dim if isinstance(dim, int) else str(dim) for dim in dims]
