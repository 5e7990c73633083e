"""What memory planning knows of values: pieces of memory, how long they are in use, and which tensors lie in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import field
from typing import Literal, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Span
from relaxdsl.ir.graph import Var
from relaxdsl.types.dims import Dim
from relaxdsl.types.dtype import itemsize
from relaxdsl.types.prove import Proof, prove_equal

Origin = Literal["given", "made", "work"]
"""Whose memory: arguments, constants and results of Python; what a kernel or a packed function of this program fills;
a kernel's own working memory."""


def size_bytes(shape: tuple[Dim, ...], dtype: str) -> Dim:
    """The bytes of a dense tensor."""
    return math.prod(shape, start=itemsize(dtype))


@dataclass(eq=False, slots=True)
class Buffer:
    """A piece of memory that one tensor was made for; views of it are tensors too.

    Args:
        first, last: the positions of the program between which it is in use.
        is_early: whether its size is known before the body runs.
        is_top: whether it is made outside of all branches.
        array: its elements, of a constant.
    """

    name: str
    shape: tuple[Dim, ...]
    dtype: str
    origin: Origin
    first: int
    last: int
    is_early: bool = True
    is_top: bool = True
    span: Span | None = None
    array: np.ndarray | None = None

    @property
    def size_bytes(self) -> Dim:
        return size_bytes(self.shape, self.dtype)


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Where a tensor is: its buffer (the value of an ``if`` is in one of several), and how far from its start.

    ``maker``: the variable of the view that it is, if it is one.
    """

    buffers: tuple[Buffer, ...]
    offset_bytes: Dim
    shape: tuple[Dim, ...]
    dtype: str
    maker: Var | None = None

    @property
    def whole(self) -> Buffer | None:
        """The buffer, if the tensor is all of it."""
        (buffer, *others) = self.buffers
        starts_with_it = isinstance(self.offset_bytes, int) and self.offset_bytes == 0
        is_whole = not others and starts_with_it and have_same_size(self, buffer)
        return buffer if is_whole else None


def have_same_size(one: Place | Buffer, other: Place | Buffer) -> bool:
    """Whether two tensors have as many bytes, for every value of the symbols."""
    if one.shape == other.shape and one.dtype == other.dtype:
        return True
    return prove_equal(size_bytes(one.shape, one.dtype), size_bytes(other.shape, other.dtype)) is Proof.YES


@dataclass(frozen=True, eq=False, slots=True)
class Opaque:
    """A value without memory of its own that is planned: an integer, a shape, an object."""


Value: TypeAlias = "Place | Opaque | tuple[Value, ...]"
OPAQUE = Opaque()


def places_in(value: Value) -> Iterator[Place]:
    """Every tensor of a value, in order."""
    if isinstance(value, tuple):
        for part in value:
            yield from places_in(part)
    elif isinstance(value, Place):
        yield value


@dataclass(eq=False, slots=True)
class Group:
    """Buffers in the same bytes, one after the other: each is written in place of the one before it.

    ``output``: the last one, if it is a result of the function.
    """

    buffers: list[Buffer] = field(default_factory=list)
    output: Buffer | None = None

    @property
    def first(self) -> int:
        return min(each.first for each in self.buffers)

    @property
    def last(self) -> int:
        return max(each.last for each in self.buffers)

    @property
    def size_bytes(self) -> Dim:
        return self.buffers[0].size_bytes
