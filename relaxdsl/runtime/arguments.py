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

from relaxdsl.errors import ArgumentError, nearest
from relaxdsl.runtime.program import IntLeaf, ObjectLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree
from relaxdsl.types.types import Type

Params = Sequence[tuple[str, Type]]
Conversion = tuple[TensorLeaf | IntLeaf | ShapeLeaf | ObjectLeaf, Any]


class ArgumentReader:
    """Reads the arguments of one function and explains what does not fit."""

    def __init__(self, function: str, params: Params, trees: Sequence[Tree]) -> None:
        self.function = function
        self.params = params
        self.trees = trees
        self.names = [name for name, _ in params]

    def read(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Conversion]:
        """Each leaf with its value, an array converted to plain layout. Raises ArgumentError."""
        conversions: list[Conversion] = []
        for name, tree, value in zip(self.names, self.trees, self.ordered(args, keywords), strict=True):
            self._convert(name, tree, value, conversions)
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
        return shown_signature(self.function, self.params)

    # ------------------------------------------------------------------------------------------------ names and places

    def _check_keyword(self, name: str, given: Mapping[str, Any]) -> None:
        if name in given:
            raise self._error(f"{self.function}: argument {name} is given twice")
        if name not in self.names:
            close = nearest(name, self.names)
            hint = None if close is None else f"did you mean {close}?"
            raise self._error(f"{self.function}: there is no argument {name}", hint)

    def _count_error(self, count: int, detail: str) -> ArgumentError:
        expected = f"{len(self.names)} argument{'' if len(self.names) == 1 else 's'}"
        headline = f"{self.function}: expected {expected}, got {count}"
        return ArgumentError(headline, details=[detail, self.signature()])

    # ---------------------------------------------------------------------------------------------------------- values

    def _convert(self, path: str, tree: Tree, value: Any, conversions: list[Conversion]) -> None:
        match tree:
            case TupleTree():
                for place, (part, item) in enumerate(zip(tree.fields, self._items(path, tree, value), strict=True)):
                    self._convert(f"{path}[{place}]", part, item, conversions)
            case TensorLeaf():
                conversions.append((tree, self._array(path, tree, value)))
            case IntLeaf():
                conversions.append((tree, self._int(path, value)))
            case ShapeLeaf():
                conversions.append((tree, self._shape(path, tree, value)))
            case ObjectLeaf():
                conversions.append((tree, value))

    def _items(self, path: str, tree: TupleTree, value: Any) -> Sequence[Any]:
        if not isinstance(value, tuple | list):
            raise self._expected(path, "a tuple", value)
        if len(value) != len(tree.fields):
            raise self._error(f"{self._at(path)}: expected {len(tree.fields)} items, got {len(value)}")
        return value

    def _array(self, path: str, leaf: TensorLeaf, value: Any) -> np.ndarray:
        dtype, ndim = np.dtype(leaf.dtype), len(leaf.sizes)
        if ndim == 0 and isinstance(value, bool | int | float) and not isinstance(value, np.generic):
            return self._number(path, dtype, value)
        if ndim == 0 and isinstance(value, np.generic):
            value = np.asarray(value)
        self._check_is_array(path, dtype, value)
        if value.dtype != dtype and value.dtype.newbyteorder("=") != dtype:
            hint = f'{path}.astype("{dtype.name}")'
            raise self._error(f"{self._at(path)}: expected dtype {dtype.name}, got {value.dtype.name}", hint)
        if value.ndim != ndim:
            axes = f"{ndim} {'axis' if ndim == 1 else 'axes'}"
            raise self._error(f"{self._at(path)}: expected {axes}, got {value.ndim}: shape {value.shape}")
        try:
            return plain_array(value, dtype)
        except MemoryError:
            needs = f"its copy in plain layout needs {value.nbytes:,} bytes"
            raise MemoryError(f"{self._at(path)}: not enough memory: {needs}") from None

    def _check_is_array(self, path: str, dtype: np.dtype[Any], value: Any) -> None:
        if is_plain(value):
            return
        if isinstance(value, np.ndarray):
            headline = f"{self._at(path)}: expected a plain array, got {type(value).__name__}"
            raise self._error(headline, f"np.asarray({path})")
        raise self._expected(path, "an array", value, f'np.asarray({path}, dtype="{dtype.name}")')

    def _number(self, path: str, dtype: np.dtype[Any], value: float) -> np.ndarray:
        accepted = {bool: "b", int: "iuf", float: "f"}[bool if isinstance(value, bool) else type(value)]
        if dtype.kind in accepted:
            number = _to_dtype(value, dtype)
            if number is not None and (isinstance(value, float) or number.item() == value):
                return number
        raise self._error(f"{self._at(path)}: {dtype.name} cannot hold {value!r}")

    def _int(self, path: str, value: Any) -> int:
        if isinstance(value, bool):  # Python counts it as 0 or 1; as an integer argument it is a mistake
            raise self._expected(path, "an integer", value)
        try:
            number = index(value)
        except TypeError:
            raise self._expected(path, "an integer", value) from None
        if not -(2**63) <= number < 2**63:
            raise self._error(f"{self._at(path)}: {number} does not fit 64 bits")
        return number

    def _shape(self, path: str, leaf: ShapeLeaf, value: Any) -> tuple[int, ...]:
        if not isinstance(value, tuple | list):
            raise self._expected(path, "a shape (a tuple of integers)", value)
        if len(value) != len(leaf.slots):
            raise self._error(f"{self._at(path)}: expected {len(leaf.slots)} sizes, got {len(value)}")
        return tuple(self._int(f"{path}[{axis}]", size) for axis, size in enumerate(value))

    # ---------------------------------------------------------------------------------------------------------- errors

    def _at(self, path: str) -> str:
        return f"{self.function}: argument {path}"

    def _expected(self, path: str, what: str, value: Any, hint: str | None = None) -> ArgumentError:
        return self._error(f"{self._at(path)}: expected {what}, got {type(value).__name__}", hint)

    def _error(self, headline: str, hint: str | None = None) -> ArgumentError:
        return ArgumentError(headline, details=[self.signature()], hint=hint)


def shown_signature(function: str, params: Params) -> str:
    """A function as errors show it."""
    return f"{function}({', '.join(f'{name}: {_short(kind)}' for name, kind in params)})"


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


def _short(kind: Type) -> str:
    return str(kind).replace("relax.", "")
