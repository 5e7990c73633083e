"""The graph IR: every node kind of Relax's A-normal form, in the order a reader meets them.

Nodes compare by identity; :mod:`relaxdsl.ir.equal` compares structure. Every expression carries its type. Operators
called on expressions (``x + y``, ``relax.nn.softmax(x)``) are attached by :mod:`relaxdsl.operators`; this file is
data only.

A program in this IR::

    Function(params=(x, w),
      body=SeqExpr(
        blocks=(DataflowBlock((VarBinding(lv, Call(Op("matmul"), (x, w))),
                               VarBinding(gv, Call(Op("nn.relu"), (lv,))))),),
        body=gv))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, ShapeError, Span
from relaxdsl.types.dims import Dim, symbol
from relaxdsl.types.dtype import DTypeName
from relaxdsl.types.types import FuncType, PrimType, ShapeType, TensorType, TupleType, Type

NO_ATTRS: Mapping[str, Any] = MappingProxyType({})


class Expr:
    """A graph expression. ``type`` is what is known of its value, ``span`` the user's source that made it."""

    __slots__ = ()
    type: Type
    span: Span | None

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The tensor's sizes (ints or symbolic dims).

        Raises:
            ShapeError: if the value is not a tensor, or its rank is unknown.
        """
        tensor = self._tensor_type("shape")
        if tensor.shape is None:
            raise ShapeError(
                f"shape: the shape of {self._describe()} is unknown",
                hint="give it one with relax.match_cast(value, relax.Tensor((m, n), dtype))",
            )
        return tensor.shape

    @property
    def ndim(self) -> int:
        """The tensor's rank (-1 if unknown)."""
        return self._tensor_type("ndim").ndim

    @property
    def dtype(self) -> str | None:
        """The tensor's or prim's dtype, which equals NumPy's too (None if unknown)."""
        name = self.type.dtype if isinstance(self.type, PrimType) else self._tensor_type("dtype").dtype
        return None if name is None else DTypeName(name)

    # ``x == y`` is an operator, as ``x < y`` is; sets and dicts of nodes go by identity, which Python asks first.
    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise ScriptError(
            f"whether {self._describe()} is true is not known when parsing",
            hint="an `if` on a 0-d bool tensor picks at run time; relax.where picks element by element",
        )

    def _tensor_type(self, attribute: str) -> TensorType:
        if not isinstance(self.type, TensorType):
            raise ShapeError(f"{attribute}: {self._describe()} is not a tensor but {self.type}")
        return self.type

    def _describe(self) -> str:
        return getattr(self, "name", "this value")


# ------------------------------------------------------------------------------------------- leaves


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Var(Expr):
    """A variable: a parameter or the result of a binding. An integer passed by value is the symbol of its name."""

    name: str
    type: Type
    span: Span | None = None

    def __post_init__(self) -> None:
        if isinstance(self.type, PrimType) and self.type.value is None:
            object.__setattr__(self, "type", PrimType(self.type.dtype, symbol(self.name)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.type})"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class DataflowVar(Var):
    """A variable visible only inside its dataflow block."""


@dataclass(frozen=True, eq=False, slots=True)
class Constant(Expr):
    """An array known at compile time. ``is_weak``: it came from a Python number and takes the other operand's dtype."""

    value: np.ndarray
    type: Type
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ShapeExpr(Expr):
    """A shape as a value."""

    values: tuple[Dim, ...]
    span: Span | None = None

    @property
    def type(self) -> Type:  # type: ignore[override]
        return ShapeType(self.values, len(self.values))


@dataclass(frozen=True, eq=False, slots=True)
class PrimValue(Expr):
    """An integer known at compile time as a dim, as a value."""

    value: Dim
    span: Span | None = None

    @property
    def type(self) -> Type:  # type: ignore[override]
        return PrimType("int64", self.value)


@dataclass(frozen=True, eq=False, slots=True)
class HostObject(Expr):
    """A Python object (a string, a dtype) handed as it is to a packed function."""

    value: Any
    type: Type
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class GlobalVar(Expr):
    """The name of a function of the module: a graph function or a kernel."""

    name: str
    type: Type
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ExternFunc(Expr):
    """A Python function: the one registered under this name (``relax.register_packed``), unless it is given here."""

    name: str
    type: Type
    span: Span | None = None
    function: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Op:
    """An operator, by name (``matmul``, ``nn.softmax``, ``call_tir``). Its definition lives in
    :mod:`relaxdsl.operators`.
    """

    name: str
    is_pure: bool = True


# ---------------------------------------------------------------------------------------- compounds


@dataclass(frozen=True, eq=False, slots=True)
class Tuple(Expr):
    """A tuple of expressions."""

    fields: tuple[Expr, ...]
    span: Span | None = None

    @property
    def type(self) -> Type:  # type: ignore[override]
        return TupleType(tuple(field.type for field in self.fields))


@dataclass(frozen=True, eq=False, slots=True)
class TupleGetItem(Expr):
    """A tuple's field."""

    value: Expr
    index: int
    type: Type
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Call(Expr):
    """A call: of an operator, of a function of the module, or of a packed function.

    Tensor operands are ``args``; everything else (axes, shapes, flags) is in ``attrs``: plain Python values, dims and
    tuples of them. The calls to what the compiler does not define put their callee first::

        call_tir          args=(GlobalVar kernel, Tuple(inputs…))          attrs={}             type = the outputs'
        call_dps_packed   args=(ExternFunc, Tuple(inputs…))                attrs={}             type = the outputs'
        call_packed       args=(ExternFunc, *inputs)                       attrs={}             type = the declared
        result call_pure_packed  the same
    """

    op: Op | GlobalVar | Var
    args: tuple[Expr, ...]
    attrs: Mapping[str, Any]
    type: Type
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class If(Expr):
    """A choice at run time by a 0-d bool tensor. Both branches give values of the same type."""

    condition: Expr
    then_branch: SeqExpr
    else_branch: SeqExpr
    type: Type
    span: Span | None = None


# --------------------------------------------------------------------------- bindings and functions


@dataclass(frozen=True, eq=False, slots=True)
class VarBinding:
    """``var = value``."""

    var: Var
    value: Expr
    span: Span | None = None


@dataclass(frozen=True, eq=False, slots=True)
class MatchCast:
    """``var = match_cast(value, target)``: asserts the type at run time; symbols of ``target`` not seen before are
    bound.
    """

    var: Var
    value: Expr
    target: Type
    span: Span | None = None


Binding = VarBinding | MatchCast


@dataclass(frozen=True, eq=False, slots=True)
class BindingBlock:
    """Bindings in order."""

    bindings: tuple[Binding, ...]


@dataclass(frozen=True, eq=False, slots=True)
class DataflowBlock(BindingBlock):
    """Bindings without effects or control flow; only Vars that are not DataflowVars are visible after it."""


@dataclass(frozen=True, eq=False, slots=True)
class SeqExpr(Expr):
    """Blocks, then the value (a leaf or a tuple of leaves)."""

    blocks: tuple[BindingBlock, ...]
    body: Expr
    span: Span | None = None

    @property
    def type(self) -> Type:  # type: ignore[override]
        return self.body.type

    @property
    def bindings(self) -> Iterator[Binding]:
        """All bindings in order, blocks flattened."""
        for block in self.blocks:
            yield from block.bindings


@dataclass(frozen=True, eq=False, slots=True)
class Function(Expr):
    """A graph function. ``symbols`` of its parameters' types are its own."""

    name: str
    params: tuple[Var, ...]
    body: SeqExpr
    ret_type: Type
    is_pure: bool = True
    attrs: Mapping[str, Any] = field(default_factory=lambda: NO_ATTRS)
    span: Span | None = None

    @property
    def type(self) -> Type:  # type: ignore[override]
        return FuncType(tuple(param.type for param in self.params), self.ret_type, self.is_pure)
