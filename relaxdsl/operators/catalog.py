"""The public functions of all operators. Importing this module fills the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from relaxdsl.ir.graph import Call
from relaxdsl.operators import (
    attention,
    binary,
    convolution,
    create,
    einsum,
    indexing,
    joining,
    linear_algebra,
    manipulate,
    median,
    nn,
    numpy_protocol,
    reduce,
    reshape,
    selection,
    sets,
    subscript,
    unary,
)

FAMILIES: tuple[ModuleType, ...] = (
    unary, binary, selection, create, reduce, median, reshape, manipulate, joining, indexing, linear_algebra, einsum,
    nn, convolution, attention, sets, subscript,
)  # fmt: skip


def _public_functions() -> Iterator[tuple[str, Callable[..., Call]]]:
    for family in FAMILIES:
        for value in vars(family).values():
            definition = getattr(value, "__relax_operator__", None)
            if definition is not None:
                yield definition.name, value


def _namespace(prefix: str) -> dict[str, Callable[..., Call]]:
    """The functions of a namespace by their names in it; the empty prefix is the top level."""
    found = {name.rpartition("."): function for name, function in _public_functions()}
    return {base: function for (namespace, _, base), function in sorted(found.items()) if namespace == prefix}


# Attaches itself to expressions.
__all__ = ["FAMILIES", "NN", "PUBLIC", "numpy_protocol"]

#: ``relax.add``, ``relax.exp``, ..., and what is composed of operators.
PUBLIC: dict[str, Callable[..., Any]] = {**_namespace(""), "linear": linear_algebra.linear}
#: ``relax.nn.relu``, ...
NN: dict[str, Callable[..., Any]] = _namespace("nn")
