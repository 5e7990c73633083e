"""Tensor expressions (TE) as data: placeholders and computes. :mod:`relaxdsl.kernels.te` builds them."""

from __future__ import annotations

from dataclasses import dataclass

from relaxdsl.ir.loops import Buffer
from relaxdsl.ir.scalar import Index, Load, ScalarExpr
from relaxdsl.errors import KernelError
from relaxdsl.types.dims import Dim


@dataclass(frozen=True, eq=False, slots=True)
class Compute:
    """One stage: for every point of ``axes`` (symbol name, extent), element ``i`` of the outputs is ``bodies[i]``.

    A body is a scalar expression, or a Reduce at its top; all bodies of a reduction share one combiner.
    """

    name: str
    axes: tuple[tuple[str, Dim], ...]
    bodies: tuple[ScalarExpr, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
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
            raise KernelError(f"{self.name}: {self.ndim} indices are needed, got {len(indices)}")
        return Load(self.buffer, indices)
