"""The interpreter of a kernel's script: Python values are computed now, loops and stores become statements.

It is that of programs with other rules for the few kinds of syntax whose meaning depends on a kernel's elements.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any, TypeAlias

import numpy as np

from relaxdsl import tir
from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ScriptError, Span
from relaxdsl.ir.loops import Buffer, IterVar, LoopKind, Stmt, sequence
from relaxdsl.ir.names import UniqueNames
from relaxdsl.ir.scalar import Index, Load, ScalarExpr
from relaxdsl.ir.visit_loops import dims_of_scalar, walk_scalar
from relaxdsl.operators.calls import current_context
from relaxdsl.script.interpreter import ExpressionHandler, Flow, Interpreter, Options, StatementHandler
from relaxdsl.script.scope import Missing, Scope, Surroundings
from relaxdsl.script.source import Source
from relaxdsl.script.tensor_ir.history import History
from relaxdsl.script.tensor_ir.keys import require_known_key
from relaxdsl.script.tensor_ir.state import require_items_left
from relaxdsl.script.trees import walk_own
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.types.dims import Dim, SymInt, free_symbols
from relaxdsl.types.symint import require_int64
from relaxdsl.types.types import TensorType, dims_of

#: What accesses of elements are noted with: the node that makes it, and its place in the user's source.
Places: TypeAlias = dict[Load | Stmt, Span | None]

_JUMPS = (ast.Break, ast.Continue, ast.Return)


@dataclass(frozen=True, slots=True)
class LoopAround:
    """A loop around the statement being read."""

    shown: str
    stop: Dim
    kind: LoopKind = "serial"


@dataclass(frozen=True, slots=True)
class LocalVariable:
    """What a name stands for that has been given an element: a register, read wherever the name is.

    ``loops`` are those around the statement that began it, ``function`` is the definition that this stands in.
    """

    buffer: Buffer
    loops: frozenset[str]
    function: ast.AST


@dataclass(slots=True)
class OpenBlock:
    """A block being read: its axes so far, what ``T.init`` holds, and its own statements so far."""

    name: str
    axes: list[IterVar] = field(default_factory=list)
    init: Stmt | None = None
    body: list[Stmt] = field(default_factory=list)


class KernelInterpreter(Interpreter):
    """Reads one kernel. Statements are collected in ``body``."""

    def __init__(self, source: Source, around: Surroundings, node: ast.FunctionDef, *, is_checked: bool) -> None:
        super().__init__(BlockBuilder(), source, around, Options(node.name))
        self.kernel_node = node
        self.is_checked = is_checked
        """Whether the kernel is a user's; printed ones were checked when they were made."""
        self.names = UniqueNames()
        self.sizes: list[str] = []
        self.params: dict[str, Buffer | None] = {}
        """The buffer that each parameter is; None for a handle that has not been matched yet."""
        self.param_spans: dict[str, Span | None] = {}
        """Where each parameter is declared, by the name of its buffer or its size."""
        self.body: list[Stmt] = []
        self.places: Places = {}
        self.history = History()
        self.scratch: list[Buffer] = []
        self.attrs: dict[str, Any] = {}
        self.declared_outputs: tuple[Buffer, ...] | None = None
        self.shown: dict[str, str] = {}
        """What the user calls loops and axes, by the names of their symbols."""
        self.ends_with: dict[str, str] = {}
        self.loops: dict[str, LoopAround] = {}
        self.block: OpenBlock | None = None
        self.is_in_init = False
        self.hidden: dict[str, str] = {}
        """The loops around the open block, which its statements do not see, by the names of their symbols."""
        self.fixed_scope: Scope | None = None
        """The scope outside of the innermost loop or branch: what it holds is changed once, however often that runs."""

    def expression_handler(self, node: ast.expr) -> ExpressionHandler | None:
        return KERNEL_EXPRESSIONS.get(type(node)) or super().expression_handler(node)

    def statement_handler(self, node: ast.stmt) -> StatementHandler | None:
        return KERNEL_STATEMENTS.get(type(node)) or super().statement_handler(node)

    def settle(self, value: Any) -> Any:
        value = super().settle(value)
        if isinstance(value, LocalVariable):
            load = Load(value.buffer, ())
            self.history.note_read(load, current_context().span)
            return load
        if isinstance(value, SymInt):
            self._require_visible(value)
        return value

    def _require_visible(self, dim: Dim, span: Span | None = None) -> None:
        """Returns if the loops and axes that the dim is made of are around what is being read, and seen there."""
        for name in free_symbols(dim):
            if name in self.hidden:
                self._refuse_hidden(self.hidden[name])
            if name in self.shown and not self._is_around(name):
                reason = ended(self.shown[name], dim, self.ends_with[name])
                raise ScriptError(reason.reason, hint=reason.hint, span=span)

    def _is_around(self, name: str) -> bool:
        axes = () if self.block is None else self.block.axes
        return name in self.loops or any(axis.var == name for axis in axes)

    def _refuse_hidden(self, loop: str) -> None:
        assert self.block is not None
        raise ScriptError(
            f"the block {self.block.name} does not see the loop {loop} around it, only its own axes",
            hint=f"bind it to an axis: v{loop} = T.axis.spatial(extent, {loop})",
        )

    def as_key(self, value: Any) -> Any:
        require_known_key(value)
        return value

    def require_items(self, value: Any, node: ast.AST) -> None:
        require_items_left(self, value, node.value if isinstance(node, ast.Starred) else node, node)

    @staticmethod
    def is_type_constructor(value: Any) -> bool:
        return isinstance(value, tir.BufferAnnotation) or Interpreter.is_type_constructor(value)

    def fresh_variable(self, wanted: str, ends_with: str) -> str:
        """The name of a new loop's or axis's symbol, and what it ends with: its loop, or its block."""
        name = self.names.fresh(wanted)
        self.shown[name] = wanted
        self.ends_with[name] = ends_with
        return name

    def use(self, values: Sequence[Index], span: Span | None) -> None:
        """The script uses the values at this point: stores them, or decides by them.

        Raises:
            ScriptError: they are made of a loop that has ended, or would be others than where they were read.
        """
        self.history.use(values, span)
        for value in values:
            if isinstance(value, ScalarExpr):
                for dim in (dim for node in walk_scalar(value) for dim in dims_of_scalar(node)):
                    self._require_visible(dim, span)

    def new_buffer(self, name: str, type_: TensorType) -> Buffer:
        """A buffer of that type, whose sizes are known by name from here on."""
        sizes = map(require_int64, dims_of(self.declare(type_)))
        return Buffer(self.names.fresh(name), tuple(sizes), str(type_.dtype))

    # ------------------------------------------------------------------------------------------------------ statements

    def read(self, statements: list[ast.stmt], place: str, body: list[Stmt] | None = None, **variables: Any) -> Stmt:
        """The statements of a loop, a branch or a block as one; names they give values to are theirs.

        Args:
            place: which of them it is, for messages.
            body: an empty list that they are collected in; None for a new one.
            variables: the names that the loop gives values to.
        """
        outer, self.body = self.body, [] if body is None else body
        around, scope = self.frame.scope, self.frame.scope.child(**variables).child()
        fixed = self.fixed_scope if place == "block" else around
        try:
            with self.in_scope(scope), self.fixing(fixed):
                self.run_to_end(statements)
            return self.statements()
        finally:
            self.body = outer
            inner = scope.ended.items()
            around.ended |= {name: (value, at if isinstance(value, SymInt) else place) for name, (value, at) in inner}
            around.ended |= {name: (value, place) for name, value in (variables | scope.variables).items()}

    def run_to_end(self, statements: list[ast.stmt]) -> None:
        """Reads statements; leaving them early is an error."""
        if self.execute(statements) is Flow.NEXT:
            return
        jumps = (each for outer in statements for each in walk_own(outer) if isinstance(each, _JUMPS))
        span = self.source.span(next(jumps, statements[-1]))
        if all(error.span != span for error in self.errors):
            self.report(_jump_error(span))

    def statements(self) -> Stmt:
        """What has been collected in ``body``, as one statement."""
        return sequence(*self.body)

    def is_at_start_of_block(self) -> bool:
        """Whether the open block has no statement yet, and what is read stands in no loop or branch of it."""
        return self.block is not None and self.body is self.block.body and not self.body

    @contextmanager
    def fixing(self, scope: Scope | None) -> Iterator[None]:
        """Within the block, what this scope holds is not changed."""
        outer, self.fixed_scope = self.fixed_scope, scope
        try:
            yield
        finally:
            self.fixed_scope = outer

    @contextmanager
    def inside_loops(self, loops: dict[str, LoopAround]) -> Iterator[None]:
        """Within the block, these loops are around."""
        outer, self.loops = self.loops, {**self.loops, **loops}
        try:
            yield
        finally:
            self.loops = outer

    @contextmanager
    def seeing_loops(self) -> Iterator[None]:
        """Within the block, the loops around the open block may be used: to bind its axes."""
        hidden, self.hidden = self.hidden, {}
        try:
            yield
        finally:
            self.hidden = hidden


def ended(name: str, value: Any, place: str) -> Missing:
    """What is said of a variable that is used after the loop, branch or block where it has a value."""
    if isinstance(value, Missing):
        return value
    if place == "T.init":
        return Missing(f"{name} ends with T.init", "compute it again after T.init")
    if isinstance(value, SymInt):
        hint = f"use it inside of the {place}"
    else:
        dtype = value.buffer.dtype if isinstance(value, LocalVariable) else dtype_of_number(value)
        example = "" if dtype is None else f": {name} = T.{dtype}(0)"
        hint = f"begin it before the {'if' if place == 'branch' else place}{example}"
    return Missing(f"{name} ends with its {place}", hint)


def dtype_of_number(value: Any) -> str | None:
    """The dtype that a local variable of this value has; None where the value is no number."""
    match value:
        case np.generic():
            return str(value.dtype)
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float32"
    return None


def plain_integer(value: Any) -> Any:
    """An integer of NumPy as Python's, which sizes are made of; anything else as it is."""
    return int(value) if isinstance(value, np.integer) else value


def _jump_error(span: Span | None) -> ScriptError:
    return ScriptError(
        "a kernel's loops and branches run to their end",
        hint="put what follows into an `if`",
        span=span,
    )


KERNEL_EXPRESSIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {}
KERNEL_STATEMENTS: dict[type[ast.AST], Callable[[Any, Any], Flow]] = {}

KernelExpression: TypeAlias = Callable[[KernelInterpreter, Any], Any]
KernelStatement: TypeAlias = Callable[[KernelInterpreter, Any], Flow]


def kernel_expression(*kinds: type[ast.expr]) -> Callable[[KernelExpression], KernelExpression]:
    """Decorator: the function evaluates nodes of these kinds in kernels."""

    def register(handler: KernelExpression) -> KernelExpression:
        KERNEL_EXPRESSIONS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def kernel_statement(*kinds: type[ast.stmt]) -> Callable[[KernelStatement], KernelStatement]:
    """Decorator: the function reads statements of these kinds in kernels."""

    def register(handler: KernelStatement) -> KernelStatement:
        KERNEL_STATEMENTS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
