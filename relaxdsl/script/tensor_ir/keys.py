"""Keys of dicts, items of sets and indices of lists in kernels: they must be known when the kernel is read."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np

from relaxdsl.errors import ScriptError
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.types.dims import DimCompare, SymInt
from relaxdsl.types.symint import shown

_TABLE = "a table that a kernel reads is a parameter, a buffer"
_OF_ONE_KEY = frozenset({"get", "pop", "setdefault", "add", "discard", "remove", "__contains__", "__getitem__"})


def require_known_key(key: Any) -> None:
    """Returns if the key of a dict, or the item of a set, is known when the kernel is read.

    Raises:
        ScriptError: it depends on an element, a loop or a size.
    """
    unknown = _unknown(key)
    if unknown is not None:
        raise ScriptError(
            f"`{shown(unknown)}` is known only when the kernel runs, so no dict and no set can look for it",
            hint=f"compare it: T.if_then_else(x[i] == 0, a, b); {_TABLE}",
        )


def require_known_index(container: Any, index: Any, text: str) -> None:
    """Returns unless a list, an array or a dict of Python is indexed by what is known only when the kernel runs.

    Args:
        text: the container as it is written.

    Raises:
        ScriptError: it is.
    """
    if isinstance(container, Mapping):
        require_known_key(index)
    elif isinstance(container, Collection | np.ndarray):
        unknown = _unknown(index)
        if unknown is not None:
            raise ScriptError(
                f"`{text}` is known when parsing, but its index `{shown(unknown)}` only when the kernel runs",
                hint=_TABLE,
            )


def require_known_keys_of_call(function: Any, args: list[Any]) -> None:
    """Returns unless the call looks up, or makes a key of, what is known only when the kernel runs.

    Raises:
        ScriptError: it does.
    """
    for key in _keys_of_call(function, args):
        require_known_key(key)


def _keys_of_call(function: Any, args: list[Any]) -> Iterator[Any]:
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if function is builtins.hash or (isinstance(owner, Mapping | Set) and name in _OF_ONE_KEY):
        yield from args[:1]
    elif function is builtins.dict:
        yield from (pair[0] for pair in _items(args[:1]) if isinstance(pair, tuple | list) and pair)
    elif function in (builtins.set, builtins.frozenset) or name == "fromkeys":
        yield from _items(args[:1])
    elif isinstance(owner, Set):
        yield from _items(args)


def _items(values: Iterable[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, list | tuple | set | frozenset | dict):
            yield from each


def _unknown(key: Any) -> Any:
    """What in a key or an index is known only when the kernel runs; None if nothing is."""
    if isinstance(key, slice):
        key = (key.start, key.stop, key.step)
    if isinstance(key, tuple | list):
        return next((found for each in key if (found := _unknown(each)) is not None), None)
    return key if isinstance(key, ScalarExpr | SymInt | DimCompare) else None
