"""Which sizes are known before a function's body runs: those of its arguments, and what casts find from them."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.graph import Function, MatchCast
from relaxdsl.types.dims import free_symbols
from relaxdsl.types.types import AnyType, ShapeType, TensorType, TupleType, Type, dims_of


@dataclass(frozen=True, slots=True)
class EarlySizes:
    """The symbols bound by the parameters and by the casts that can be made before the body, and these casts."""

    symbols: frozenset[str]
    casts: tuple[MatchCast, ...]


def early_sizes(function: Function) -> EarlySizes:
    """What is known early of a function. A cast is made early if all sizes of its value are known early."""
    symbols = {name for param in function.params for name in _symbols(param.type)}
    casts: list[MatchCast] = []
    for binding in function.body.bindings:
        if not isinstance(binding, MatchCast) or isinstance(binding.value.type, AnyType):
            continue
        is_argument = any(binding.value is param for param in function.params)
        has_known_sizes = is_argument or not any(map(_is_without_sizes, _leaf_types(binding.value.type)))
        if has_known_sizes and set(_symbols(binding.value.type)) <= symbols:
            symbols |= set(_symbols(binding.target))
            casts.append(binding)
    return EarlySizes(frozenset(symbols), tuple(casts))


def _symbols(type_: Type) -> Iterator[str]:
    return (name for dim in dims_of(type_) for name in free_symbols(dim))


def _leaf_types(type_: Type) -> Iterator[Type]:
    if isinstance(type_, TupleType):
        for each in type_.fields:
            yield from _leaf_types(each)
    else:
        yield type_


def _is_without_sizes(type_: Type) -> bool:
    """Whether a value of the type has sizes that the type does not tell."""
    return (isinstance(type_, TensorType) and type_.shape is None) or (
        isinstance(type_, ShapeType) and type_.values is None
    )
