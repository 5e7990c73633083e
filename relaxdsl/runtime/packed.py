"""Packed functions: Python functions that programs call by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from relaxdsl.errors import ScriptError, Span, nearest
from relaxdsl.tracebacks import short_tracebacks

F = TypeVar("F", bound=Callable[..., Any])

_PACKED: dict[str, Callable[..., Any]] = {}


@short_tracebacks
def register_packed(name: str, function: F | None = None, *, override: bool = False) -> Any:
    """Registers a Python function under ``name`` for ``call_packed``, ``call_pure_packed`` and ``call_dps_packed``.

    Used as a call, ``register_packed("sort", np.sort)``, or as a decorator, ``@register_packed("sort")``. The
    function gets NumPy arrays (inputs read-only; destination-passing calls get their outputs last, writable), ints
    and tuples of ints.

    An array that it gets is valid during the call only: it is a view of memory that serves something else afterwards,
    or, as an output to fill, may be the caller's result. What it returns is not copied while the program runs, so a
    function that returns a buffer of its own must not write to it again before the program is done.

    Raises:
        ScriptError: if the name is taken and ``override`` is not set, or it is no function.

    Example:
        >>> import numpy as np, relaxdsl as relax
        >>> @relax.register_packed("docs.sorted", override=True)
        ... def sorted_copy(x):
        ...     return np.sort(x)
    """

    def register(function: F) -> F:
        if not callable(function):
            raise ScriptError(f"register_packed: {name!r} is to be a function, got {function!r}")
        if name in _PACKED and not override:
            raise ScriptError(
                f"register_packed: {name!r} is registered already",
                hint="pass override=True to replace it",
            )
        _PACKED[name] = function
        return function

    return register if function is None else register(function)


def get_packed(name: str, span: Span | None = None) -> Callable[..., Any]:
    """The function registered under ``name``, for a call in the line at ``span``.

    Raises:
        ScriptError: if there is none.
    """
    if name not in _PACKED:
        close = nearest(name, _PACKED)
        raise ScriptError(
            f"packed function {name!r} is not registered",
            hint=f"did you mean {close!r}?" if close else "register it with relax.register_packed(name, function)",
            span=span,
        )
    return _PACKED[name]
