"""Loops (TensorIR) as data: buffers, loops, blocks, stores, the PrimFunc.

A kernel is made in two forms of this IR. First with blocks, which say *what* is computed: iteration variables with a kind, and
the value of a reduction before its first step. Then, after scheduling, without blocks: *how* it runs, in registers and loops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.types.dims import Dim

Scope = Literal["global", "scratch", "register"]
LoopKind = Literal["serial", "parallel", "vectorized", "unrolled"]
IterKind = Literal["spatial", "reduce"]


@dataclass(frozen=True, eq=False, slots=True)
class Buffer:
    """Memory that a kernel reads or writes, dense and in row-major order.

    ``global``: an argument. ``scratch``: an intermediate in the caller's workspace. ``register``: a scalar held in a local
    variable (shape ``()``).
    """

    name: str
    shape: tuple[Dim, ...]
    dtype: str
    scope: Scope = "global"


class Stmt:
    """A statement."""

    __slots__ = ()


@dataclass(frozen=True, eq=False, slots=True)
class Store(Stmt):
    """``buffer[indices] = value``."""

    buffer: Buffer
    indices: tuple[Index, ...]
    value: ScalarExpr


@dataclass(frozen=True, eq=False, slots=True)
class Seq(Stmt):
    """Statements in order."""

    body: tuple[Stmt, ...]


@dataclass(frozen=True, eq=False, slots=True)
class For(Stmt):
    """``for var in range(start, start + extent): body``. ``var`` is a symbol's name, unique in the function."""

    var: str
    extent: Dim
    body: Stmt
    kind: LoopKind = "serial"
    start: Dim = 0


@dataclass(frozen=True, eq=False, slots=True)
class IfThenElse(Stmt):
    """A condition around statements."""

    condition: ScalarExpr
    then_body: Stmt
    else_body: Stmt | None = None


@dataclass(frozen=True, eq=False, slots=True)
class IterVar:
    """An iteration variable of a block: the symbol ``var`` over ``0 … extent - 1``, bound to a value of the loops."""

    var: str
    extent: Dim
    kind: IterKind
    binding: Dim


@dataclass(frozen=True, eq=False, slots=True)
class Block(Stmt):
    """A unit of computation: ``body`` for one point of ``iter_vars``; ``init`` runs before a reduction's first step."""

    name: str
    iter_vars: tuple[IterVar, ...]
    body: Stmt
    init: Stmt | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PrimFunc:
    """A kernel.

    Args:
        params: the buffers passed by the caller, the ``num_outputs`` last ones are written.
        symbols: the names of the sizes the caller passes, in order: every free symbol of the function.
        scratch: intermediates that the caller provides memory for.
    """

    name: str
    params: tuple[Buffer, ...]
    num_outputs: int
    symbols: tuple[str, ...]
    body: Stmt
    scratch: tuple[Buffer, ...] = ()
    attrs: Mapping[str, Any] = field(default=MappingProxyType({}))

    @property
    def inputs(self) -> tuple[Buffer, ...]:
        return self.params[: len(self.params) - self.num_outputs]

    @property
    def outputs(self) -> tuple[Buffer, ...]:
        return self.params[len(self.params) - self.num_outputs :]
