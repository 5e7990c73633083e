"""A call's arguments, one by one: what is accepted, what is converted, and the errors that say what is wrong.

A tensor parameter takes an array of exactly its dtype and rank, in any layout; an array that is not contiguous, not
aligned or of the other byte order is copied. A memory map is an array; other subclasses of ``ndarray`` mean something
else by their operators and are refused. A tensor without axes also takes a NumPy scalar of its dtype, or a Python
number as NumPy 2 would combine it with the dtype: a float for a float dtype, an int that is in range (exactly, for a
float dtype), a bool for bool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError, nearest
from relaxdsl.runtime.program import Declaration, IntLeaf, ObjectLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree
from relaxdsl.types.array_likes import as_array, kind_of
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim
from relaxdsl.types.types import PrimType, TensorType, TupleType, Type

Params = Sequence[tuple[str, Type]]
Conversion = tuple[TensorLeaf | IntLeaf | ShapeLeaf | ObjectLeaf, Any]


class ArgumentReader:
    """Reads the arguments of one function and explains what does not fit."""

    def __init__(self, function: str, params: Params, trees: Sequence[Tree], declaration: Declaration) -> None:
        self.function = function
        self.params = params
        self.trees = trees
        self.declaration = declaration
        self.names = [name for name, _ in params]

    def read(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Conversion]:
        """Each leaf with its value, an array converted to plain layout. Raises ArgumentError."""
        conversions: list[Conversion] = []
        for param, tree, value in zip(self.params, self.trees, self.ordered(args, keywords), strict=True):
            self._convert(_Place(*param), tree, value, conversions)
        return conversions

    def arrays(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
        """The caller's arrays, and where they are, such as ``x[0]``, of a call that :meth:`read` has accepted."""
        for name, value in zip(self.names, self.ordered(args, keywords), strict=True):
            yield from _arrays_in(name, value)

    def ordered(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        """The arguments of a call, by position. Raises ArgumentError if there are too many or too few."""
        if len(args) > len(self.names):
            raise self._count_error(len(args) + len(keywords), f"{len(args) - len(self.names)} too many")
        if len(args) == len(self.names) and not keywords:
            return list(args)
        given = dict(zip(self.names, args, strict=False))
        for name, value in keywords.items():
            self._check_keyword(name, given)
            given[name] = value
        missing = [name for name in self.names if name not in given]
        if missing:
            raise self._count_error(len(given), f"missing: {', '.join(missing)}")
        return [given[name] for name in self.names]

    def signature(self) -> str:
        """The function as the errors show it."""
        return shown_signature(self.function, self.params, self.declaration.is_kernel)

    # ------------------------------------------------------------------------------------------------ names and places

    def _check_keyword(self, name: str, given: Mapping[str, Any]) -> None:
        if name in given:
            raise self._signature_error(f"{self.function}: argument {name} is given twice")
        if name not in self.names:
            close = nearest(name, self.names) or ("out" if name.startswith("out") else None)
            hint = None if close is None else f"did you mean {close}?"
            raise self._signature_error(f"{self.function}: there is no argument {name}", hint=hint)

    def _count_error(self, count: int, detail: str) -> ArgumentError:
        expected = counted(len(self.names), "argument")
        return self._signature_error(f"{self.function}: expected {expected}, got {count}", detail)

    def _signature_error(self, headline: str, *details: str, hint: str | None = None) -> ArgumentError:
        details = (*details, self.signature())
        return ArgumentError(headline, details=details, hint=hint, span=self.declaration.span)

    # ---------------------------------------------------------------------------------------------------------- values

    def _convert(self, place: _Place, tree: Tree, value: Any, conversions: list[Conversion]) -> None:
        match tree:
            case TupleTree():
                items = self._items(place, tree, value)
                for index, (part, item) in enumerate(zip(tree.fields, items, strict=True)):
                    self._convert(place.item(index), part, item, conversions)
            case TensorLeaf():
                conversions.append((tree, self._array(place, tree, value)))
            case IntLeaf():
                conversions.append((tree, self._int(place, value)))
            case ShapeLeaf():
                conversions.append((tree, self._shape(place, tree, value)))
            case ObjectLeaf():
                conversions.append((tree, value))

    def _items(self, place: _Place, tree: TupleTree, value: Any) -> Sequence[Any]:
        if not isinstance(value, tuple | list):
            raise self._expected(place, "a tuple", value)
        if len(value) != len(tree.fields):
            raise self._error(place, f"expected {counted(len(tree.fields), 'item')}, got {len(value)}")
        return value

    def _array(self, place: _Place, leaf: TensorLeaf, value: Any) -> np.ndarray:
        dtype, ndim = np.dtype(leaf.dtype), len(leaf.sizes)
        if ndim == 0 and isinstance(value, bool | int | float) and not isinstance(value, np.generic):
            return self._number(place, dtype, value)
        if ndim == 0 and isinstance(value, np.generic):
            value = np.asarray(value)
        self._check_is_array(place, dtype, ndim, value)
        if value.dtype != dtype and value.dtype.newbyteorder("=") != dtype:
            hint = _with_dtype(place, dtype, value)
            raise self._error(place, f"expected dtype {dtype.name}, got {value.dtype.name}", hint, value)
        if value.ndim != ndim:
            raise self._error(place, f"expected {_axes(ndim)}, got {value.ndim}", _with_axes(place, value), value)
        try:
            return plain_array(value, dtype)
        except MemoryError:
            needs = f"its copy in plain layout needs {value.nbytes:,} bytes"
            raise MemoryError(f"{self._at(place)}: not enough memory: {needs}") from None

    def _check_is_array(self, place: _Place, dtype: np.dtype[Any], ndim: int, value: Any) -> None:
        if is_plain(value):
            return
        hint = as_array(value, place.path, dtype.name)
        if isinstance(value, np.ndarray):
            raise self._error(place, f"expected a plain array, got {type(value).__name__}", hint)
        if ndim and isinstance(value, bool | int | float | np.generic):
            raise self._error(place, f"expected {_axes(ndim)}, got a number ({type(value).__name__})")
        raise self._expected(place, "an array", value, hint)

    def _number(self, place: _Place, dtype: np.dtype[Any], value: float) -> np.ndarray:
        accepted = {bool: "b", int: "iuf", float: "f"}[bool if isinstance(value, bool) else type(value)]
        if dtype.kind in accepted:
            number = _to_dtype(value, dtype)
            if number is not None and (isinstance(value, float) or number.item() == value):
                return number
        raise self._error(place, f"{dtype.name} cannot hold {value!r}")

    def _int(self, place: _Place, value: Any) -> int:
        if isinstance(value, bool):  # Python counts it as 0 or 1; as an integer argument it is a mistake
            raise self._expected(place, "an integer", value)
        try:
            number = index(value)
        except TypeError:
            raise self._expected(place, "an integer", value) from None
        if not -(2**63) <= number < 2**63:
            raise self._error(place, f"{number} does not fit 64 bits")
        return number

    def _shape(self, place: _Place, leaf: ShapeLeaf, value: Any) -> tuple[int, ...]:
        if not isinstance(value, tuple | list):
            raise self._expected(place, "a shape (a tuple of integers)", value)
        if len(value) != len(leaf.slots):
            raise self._error(place, f"expected {counted(len(leaf.slots), 'size')}, got {len(value)}")
        return tuple(self._int(place.item(axis), size) for axis, size in enumerate(value))

    # ---------------------------------------------------------------------------------------------------------- errors

    def _at(self, place: _Place) -> str:
        return f"{self.function}: argument {place.path}"

    def _expected(self, place: _Place, what: str, value: Any, hint: str | None = None) -> ArgumentError:
        return self._error(place, f"expected {what}, got {kind_of(value)}", hint)

    def _error(
        self, place: _Place, what: str, hint: str | None = None, array: np.ndarray | None = None
    ) -> ArgumentError:
        """The error of one argument, at its parameter; ``array`` is what was passed."""
        details = [f"declared: {shown_type(place.kind, self.declaration.is_kernel)}"]
        details += [] if array is None else [f"passed:   {described(array)}"]
        span = self.declaration.span_of(place.param)
        return ArgumentError(f"{self._at(place)}: {what}", details=details, hint=hint, span=span)


@dataclass(frozen=True, slots=True)
class _Place:
    """An argument, or an item of one: its parameter, its type, and how it is written, such as ``x[0]``."""

    param: str
    kind: Type
    indices: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        return self.param + "".join(f"[{each}]" for each in self.indices)

    def item(self, index: int) -> _Place:
        """An item of a tuple, or a size of a shape, which has no type of its own."""
        kind = self.kind.fields[index] if isinstance(self.kind, TupleType) else self.kind
        return _Place(self.param, kind, (*self.indices, index))


def _axes(ndim: int) -> str:
    return f"{ndim} {'axis' if ndim == 1 else 'axes'}"


def _with_dtype(place: _Place, dtype: np.dtype[Any], array: np.ndarray) -> str:
    if array.dtype.kind == "c":
        return f"there are no complex kernels: pass {place.path}.real and {place.path}.imag"
    return f'{place.path}.astype("{dtype.name}")'


def _with_axes(place: _Place, array: np.ndarray) -> str | None:
    """What has one axis more or less than the array, and a shape that the parameter takes."""
    path, shape = place.path, array.shape
    views = {f"{path}[None]": (1, *shape), f"{path}[..., None]": (*shape, 1)}
    views |= {f"{path}[0]": shape[1:]} if shape[:1] == (1,) else {}
    views |= {f"{path}[..., 0]": shape[:-1]} if shape[-1:] == (1,) else {}
    declared = place.kind.shape if isinstance(place.kind, TensorType) else None
    for view, sizes in views.items():
        if declared is not None and len(sizes) == len(declared) and _may_fit(sizes, declared):
            return f"{view} has the shape {sizes}"
    return None


def _may_fit(sizes: Sequence[int], declared: Sequence[Dim]) -> bool:
    return all(size == dim or not isinstance(dim, int) for size, dim in zip(sizes, declared, strict=True))


def described(array: np.ndarray) -> str:
    """An array as errors show it."""
    return f"{array.dtype.name} array of shape {array.shape}"


def shown_signature(function: str, params: Params, is_kernel: bool = False) -> str:
    """A function or a kernel as errors show it."""
    return f"{function}({', '.join(f'{name}: {shown_type(kind, is_kernel)}' for name, kind in params)})"


def _arrays_in(path: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            yield from _arrays_in(f"{path}[{place}]", item)


def is_plain(value: Any) -> bool:
    """Whether it is an array, or a memory map, which is one; other subclasses mean something else by operators."""
    return type(value) is np.ndarray or isinstance(value, np.memmap)


def plain_array(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The array, contiguous, aligned and in the machine's byte order: itself if it is so already, else a copy."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array.view(np.ndarray)
    return np.array(array, dtype, order="C", subok=False)


def _to_dtype(value: float, dtype: np.dtype[Any]) -> np.ndarray | None:
    try:
        return np.array(value, dtype)
    except OverflowError:
        return None


def shown_type(kind: Type, is_kernel: bool = False) -> str:
    """A type as errors of calls show it; for a kernel, as its parameters are declared."""
    if is_kernel and isinstance(kind, PrimType):
        return f"T.{kind.dtype}"
    return str(kind).replace("relax.Tensor", "T.Buffer" if is_kernel else "Tensor").replace("relax.", "")
