"""Tensor expressions (TE) as data: placeholders and computes. :mod:`relaxdsl.kernels.te` builds them."""

from __future__ import annotations

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import KernelError
from relaxdsl.ir.loops import Buffer
from relaxdsl.ir.scalar import Index, IndexValue, Load, Reduce, ScalarExpr, axes_of, element_of, whole_is_no_element
from relaxdsl.ir.whole import Whole
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.dtype import is_integer
from relaxdsl.types.symint import does_user_compare
from relaxdsl.user_lines import UserLine


@dataclass(frozen=True, eq=False, slots=True)
class Compute:
    """One stage: for every point of ``axes`` (symbol name, extent), element ``i`` of the outputs is ``bodies[i]``.

    A body is a scalar expression, or a Reduce at its top; all bodies of a reduction share one combiner. ``inputs``
    are the tensors the bodies read, ``made_at`` is the user's line.
    """

    name: str
    axes: tuple[tuple[str, Dim], ...]
    bodies: tuple[ScalarExpr, ...]
    buffers: tuple[Buffer, ...]
    inputs: tuple[Tensor, ...]
    made_at: UserLine | None = None

    @property
    def all_axes(self) -> tuple[tuple[str, Dim], ...]:
        """``axes``, then those of the reduction."""
        first = self.bodies[0]
        reduced = first.axes if isinstance(first, Reduce) else ()
        return (*self.axes, *((each.name, each.extent) for each in reduced))


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Tensor(Whole):
    """A TE tensor: an output of a compute, or an input (``operation`` is None). Indexing it gives an element."""

    buffer: Buffer
    operation: Compute | None = None

    @property
    def name(self) -> str:
        return self.buffer.name

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.buffer.shape

    @property
    def dtype(self) -> str:
        return self.buffer.dtype

    @property
    def ndim(self) -> int:
        return len(self.buffer.shape)

    def __getitem__(self, indices: Index | tuple[Index, ...]) -> ScalarExpr:
        indices = indices if isinstance(indices, tuple) else (indices,)
        if len(indices) != self.ndim:
            raise KernelError(
                f"{self.name}: {counted(self.ndim, 'index is', 'indices are')} needed, got {len(indices)}",
                hint=f"index every axis, such as {element_of(self.buffer)}; a TE tensor has no slices",
            )
        return Element(self.buffer, tuple(map(self._index, indices)), self)

    def _index(self, index: object) -> Index:
        """``index`` as a dim where it is one, else as an integer expression."""
        if isinstance(index, IndexValue):
            return index.dim
        if isinstance(index, ScalarExpr) and is_integer(index.dtype):
            return index
        if isinstance(index, SymInt) or (hasattr(index, "__index__") and not isinstance(index, bool)):
            return index if isinstance(index, SymInt) else int(index)
        shown = f"an expression of dtype {index.dtype}" if isinstance(index, ScalarExpr) else repr(index)
        raise KernelError(
            f"{self.name}: {shown} is not an index",
            hint="an index is an axis, an integer, arithmetic over them, or an integer element of a tensor",
        )

    def __eq__(self, other: object) -> bool:
        if does_user_compare():
            raise whole_is_no_element(self.buffer)
        return NotImplemented

    __hash__ = object.__hash__

    def no_operand(self) -> KernelError:
        """The error for the tensor where an element is wanted, outside of a compute."""
        return KernelError(
            f"{self.name} is no element: a TE function computes element by element",
            hint=f"return te.compute({self.name}.shape, lambda {axes_of(self.buffer)}: ...) with "
            f"{element_of(self.buffer)} in its body",
        )

    def __repr__(self) -> str:
        return f"the tensor {self.name}"

    def __iter__(self) -> None:
        raise KernelError(
            f"{self.name}: a TE tensor cannot be iterated over",
            hint="write te.compute(shape, lambda i: ...) with x[i] in its body",
        )


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Element(Load):
    """An element of a TE tensor: a Load that remembers its tensor, so that a compute knows what it reads."""

    tensor: Tensor
