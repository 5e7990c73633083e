"""What a function's parameters and bindings tell of sizes: what proofs about the kernels it calls may rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from relaxdsl.ir.graph import Binding, MatchCast, Var
from relaxdsl.kernels.out_of_range import KnownSizes
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import ShapeType, TensorType, TupleType, Type


def known_sizes(params: Sequence[Var], bindings: Iterable[Binding]) -> KnownSizes:
    """No tensor has a negative size; what was cast to a type has its sizes."""
    bound = tuple(bindings)
    types = [each.type for each in (*params, *(binding.var for binding in bound))]
    casts = (binding for binding in bound if isinstance(binding, MatchCast))
    return KnownSizes(
        tuple(dict.fromkeys(size for type_ in types for size in _tensor_sizes(type_))),
        tuple(dict.fromkeys(pair for cast in casts for pair in _equal_sizes(cast.value.type, cast.target))),
    )


def _tensor_sizes(type_: Type) -> Iterator[Dim]:
    match type_:
        case TensorType(shape=tuple(shape)):
            yield from shape
        case TupleType(fields=fields):
            for each in fields:
                yield from _tensor_sizes(each)


def _equal_sizes(given: Type, target: Type) -> Iterator[tuple[Dim, Dim]]:
    """The sizes of a value, and what a cast has found them to be."""
    match given, target:
        case (
            (TensorType(shape=tuple(sizes)), TensorType(shape=tuple(others)))
            | (ShapeType(values=tuple(sizes)), ShapeType(values=tuple(others)))
        ):
            yield from zip(sizes, others, strict=False)
        case TupleType(fields=fields), TupleType(fields=others):
            for each, other in zip(fields, others, strict=False):
                yield from _equal_sizes(each, other)
