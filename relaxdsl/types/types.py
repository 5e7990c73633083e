"""The types of expressions: any, prim, shape, tensor, tuple and function. Data that prints as relaxdsl script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from relaxdsl.errors import InternalError, ShapeError
from relaxdsl.types.dims import Dim, SymInt, free_symbols, substitute, symbol, symbols_of
from relaxdsl.types.dtype import canonical_dtype

UNKNOWN_NDIM = -1


@dataclass(frozen=True, slots=True)
class Type:
    """The base of all types."""


@dataclass(frozen=True, slots=True)
class AnyType(Type):
    """Any value at all: the top of the lattice."""

    def __str__(self) -> str:
        return "relax.Any"


@dataclass(frozen=True, slots=True)
class PrimType(Type):
    """A scalar; ``value`` is the dim it holds, where that is known."""

    dtype: str
    value: Dim | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", canonical_dtype(self.dtype))

    def __str__(self) -> str:
        value = "" if self.value is None else f", value={self.value}"
        return f'relax.Prim("{self.dtype}"{value})'


@dataclass(frozen=True, slots=True)
class ShapeType(Type):
    """A shape as a value; ``values`` is None where only the rank, or nothing (``ndim == -1``), is known."""

    values: tuple[Dim, ...] | None = None
    ndim: int = UNKNOWN_NDIM

    def __post_init__(self) -> None:
        _normalize_shape(self, "values", "Shape")

    def __str__(self) -> str:
        if self.values is not None:
            return f"relax.Shape({format_shape(self.values)})"
        return "relax.Shape" if self.ndim == UNKNOWN_NDIM else f"relax.Shape(ndim={self.ndim})"


@dataclass(frozen=True, slots=True)
class TensorType(Type):
    """A tensor. ``shape`` None, ``dtype`` None and ``ndim`` -1 stand for unknown; a tensor of known shape has its rank."""

    shape: tuple[Dim, ...] | None = None
    dtype: str | None = None
    ndim: int = UNKNOWN_NDIM

    def __post_init__(self) -> None:
        _normalize_shape(self, "shape", "Tensor")
        if self.dtype is not None:
            object.__setattr__(self, "dtype", canonical_dtype(self.dtype))

    def __str__(self) -> str:
        known = [] if self.shape is None else [format_shape(self.shape)]
        if self.shape is None and self.ndim != UNKNOWN_NDIM:
            known.append(f"ndim={self.ndim}")
        if self.dtype is not None:
            known.append(f'"{self.dtype}"' if self.shape is not None else f'dtype="{self.dtype}"')
        return f"relax.Tensor({', '.join(known)})" if known else "relax.Tensor"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """A tuple of values; the empty one is the type of nothing."""

    fields: tuple[Type, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))

    def __str__(self) -> str:
        return f"relax.Tuple({', '.join(map(str, self.fields))})"


@dataclass(frozen=True, slots=True)
class FuncType(Type):
    """A function; ``params`` None means that it takes anything. Its symbols are its own."""

    params: tuple[Type, ...] | None
    ret: Type
    pure: bool = True

    def __post_init__(self) -> None:
        if self.params is not None:
            object.__setattr__(self, "params", tuple(self.params))

    def __str__(self) -> str:
        params = "..." if self.params is None else f"[{', '.join(map(str, self.params))}]"
        return f"relax.Callable({params}, {self.ret}{'' if self.pure else ', pure=False'})"


def tensor_type(shape: Iterable[Dim] | None, dtype: object = None, ndim: int = UNKNOWN_NDIM) -> TensorType:
    """A tensor type from any iterable of sizes and anything that names a dtype."""
    return TensorType(
        None if shape is None else tuple(shape), None if dtype is None else canonical_dtype(dtype), ndim
    )


def format_shape(shape: Iterable[Dim]) -> str:
    """A shape as Python writes a tuple."""
    texts = [str(dim) for dim in shape]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _normalize_shape(owner: ShapeType | TensorType, attribute: str, what: str) -> None:
    """Makes the shape a tuple of dims and the rank agree with it."""
    shape, ndim = getattr(owner, attribute), owner.ndim
    if ndim < UNKNOWN_NDIM:
        raise ShapeError(f"{what}: ndim={ndim} is negative", hint="leave ndim out where the rank is unknown")
    if shape is None:
        return
    dims = tuple(_check_dim(what, axis, dim) for axis, dim in enumerate(shape))
    if ndim not in (UNKNOWN_NDIM, len(dims)):
        raise ShapeError(f"{what}: the shape {format_shape(dims)} has {len(dims)} axes, but ndim={ndim}")
    object.__setattr__(owner, attribute, dims)
    object.__setattr__(owner, "ndim", len(dims))


def _check_dim(what: str, axis: int, dim: object) -> Dim:
    if isinstance(dim, SymInt):
        return dim
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise ShapeError(f"{what}: axis {axis} has size {dim!r}, which is not an integer")
    size = int(dim)
    if size < 0:
        raise ShapeError(f"{what}: axis {axis} has the negative size {size}")
    return size


# --- symbols --------------------------------------------------------------------------------------------------------


def dims_of(type_: Type) -> Iterator[Dim]:
    """Every dim in a type, from left to right, but those inside function types, whose symbols are their own."""
    match type_:
        case TensorType(shape=tuple(values)) | ShapeType(values=tuple(values)):
            yield from values
        case PrimType(value=value) if value is not None:
            yield value
        case TupleType(fields=fields):
            for each in fields:
                yield from dims_of(each)


def free_symbols_of(type_: Type) -> tuple[str, ...]:
    """The names of the symbols in a type, in order of first appearance."""
    return tuple(dict.fromkeys(name for dim in dims_of(type_) for name in free_symbols(dim)))


def substitute_type(type_: Type, values: Mapping[str, Dim]) -> Type:
    """The type with the named symbols replaced, all at once. A type without them is returned as it is."""
    if not any(name in values for name in free_symbols_of(type_)):
        return type_
    match type_:
        case TensorType(shape=tuple(shape)):
            return TensorType(tuple(substitute(dim, values) for dim in shape), type_.dtype)
        case ShapeType(values=tuple(shape)):
            return ShapeType(tuple(substitute(dim, values) for dim in shape))
        case PrimType(value=value) if value is not None:
            return PrimType(type_.dtype, substitute(value, values))
        case TupleType(fields=fields):
            return TupleType(tuple(substitute_type(each, values) for each in fields))
    raise InternalError(f"substitute_type: {type(type_).__name__} has symbols but no rule")


def rename_symbols(type_: Type, names: Mapping[str, str]) -> Type:
    """The type with symbols renamed; each keeps its bounds."""
    values: dict[str, Dim] = {
        each.name: symbol(names[each.name], lower=each.lower, upper=each.upper)
        for dim in dims_of(type_)
        for each in symbols_of(dim)
        if each.name in names
    }
    return substitute_type(type_, values)
