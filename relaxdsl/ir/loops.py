"""Loops (TensorIR) as data: buffers, loops, blocks, stores, the PrimFunc.

A kernel is made in two forms of this IR. First with blocks, which say *what* is computed: variables with a kind,
and the value of a reduction before its first step. Then, after scheduling, without blocks: *how* it runs, in loops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, rewrite
from relaxdsl.tracebacks import short_tracebacks
from relaxdsl.types.dims import Dim, Symbol, SymInt, substitute
from relaxdsl.types.symint import from_atom, is_at_least

Scope = Literal["global", "scratch", "shared", "register"]
LoopKind = Literal["serial", "parallel", "vectorized", "unrolled"]
#: The kinds of loops whose steps run at once.
KINDS_AT_ONCE: tuple[LoopKind, ...] = ("parallel", "vectorized")
IterKind = Literal["spatial", "reduce"]


@dataclass(frozen=True, eq=False, slots=True)
class Buffer:
    """Memory that a kernel reads or writes, dense and in row-major order.

    ``global``: an argument. ``scratch``: an intermediate in the caller's workspace, of which each part of a phase that
    runs has one of its own. ``shared``: an intermediate of which there is one a call, for all parts of all phases.
    ``register``: a scalar held in a local variable (shape ``()``).
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
class CallExtern(Stmt):
    """``function(*arguments)``: compiled code that is no kernel. A buffer stands for its address.

    ``written``: the buffers it writes; it reads the others, and may read these.
    """

    function: str
    arguments: tuple[Buffer | Dim, ...]
    written: tuple[Buffer, ...]


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


MOST_STEPS_UNROLLED = 1_000
"""Unrolled loops have no more steps: 1,000 statements compile in ten seconds, 3,000 in minutes."""


PARTS_PER_THREAD = 6
"""Into how many parts each thread's share of a range is cut, each shorter than the last: a slow or busy core takes
fewer of them."""


@dataclass(frozen=True, eq=False, slots=True)
class Parts(Stmt):
    """``body`` for parts ``lower … upper`` that make up ``0 … extent``: any division will do, parts may run at once.

    ``lower`` and ``upper`` are names of symbols, unique in the function: ``loop_variable(lower, extent + 1)``. A loop
    over ``range(lower, upper)`` is what a parallel loop is; a body that does more for a part than for each of its
    elements stands here. ``per_thread`` is how many parts there are for each thread, if the range is as long.
    """

    lower: str
    upper: str
    extent: Dim
    body: Stmt
    per_thread: Dim = PARTS_PER_THREAD


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
        scratch: intermediates that the caller provides memory for, ``scratch`` and ``shared`` ones.
        attrs: ``in_place``, pairs of positions in ``params``: an output and the input in whose memory it is. Each
            element of the input is then read for the same element of the output, and for nothing else.
            ``constants``, positions of inputs that are the same arrays in every call.
    """

    name: str
    params: tuple[Buffer, ...]
    num_outputs: int
    symbols: tuple[str, ...]
    body: Stmt
    scratch: tuple[Buffer, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def inputs(self) -> tuple[Buffer, ...]:
        return self.params[: len(self.params) - self.num_outputs]

    @property
    def outputs(self) -> tuple[Buffer, ...]:
        return self.params[len(self.params) - self.num_outputs :]

    @short_tracebacks
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses, and says how to run it.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(
            f"{self.name}: a PrimFunc is not called",
            hint="relax.prim_func(kernel) makes a function of arrays; in programs: relax.call_tir(kernel, (x, y))",
        )


# ---------------------------------------------------------------------------- visiting and rewriting


def loop_variable(name: str, extent: Dim) -> SymInt:
    """The symbol of a loop or an axis over ``0 … extent - 1``; any name will do, so that it differs from all sizes."""
    upper = extent - 1 if isinstance(extent, int) and extent > 0 else None
    return from_atom(Symbol(name, 0, upper))


def sizes_of(kernel: PrimFunc) -> frozenset[Dim]:
    """The sizes of its buffers: a call in which one is below 0 is an error."""
    return frozenset(size for buffer in (*kernel.params, *kernel.scratch) for size in buffer.shape)


def may_multiply(extents: Iterable[Dim], sizes: Collection[Dim]) -> bool:
    """Whether the product of the extents says how often nested loops run: of two below 0, it would be above.

    Args:
        sizes: what is certainly no less than 0.
    """
    return sum(not is_at_least(each, 0) and each not in sizes for each in extents) < 2


def sub_statements(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside a statement, in the order they run."""
    match stmt:
        case Seq(body):
            return body
        case For(body=body) | Parts(body=body):
            return (body,)
        case IfThenElse(_, then_body, else_body):
            return (then_body,) if else_body is None else (then_body, else_body)
        case Block(body=body, init=init):
            return (body,) if init is None else (init, body)
        case _:
            return ()


def walk(stmt: Stmt) -> Iterator[Stmt]:
    """The statement and all statements inside, in the order they run."""
    yield stmt
    for inner in sub_statements(stmt):
        yield from walk(inner)


def steps_written_out(stmt: Stmt) -> int:
    """How many steps the unrolled loops of a statement are written out as; those inside count for each step around."""
    steps = sum(map(steps_written_out, sub_statements(stmt)))
    if isinstance(stmt, For) and stmt.kind == "unrolled" and isinstance(stmt.extent, int):
        return stmt.extent * max(steps, 1)
    return steps


def map_statements(stmt: Stmt, visit: Callable[[Stmt], Stmt]) -> Stmt:
    """``stmt`` with ``visit`` applied to the statements directly inside it."""
    match stmt:
        case Seq(body):
            return sequence(*map(visit, body))
        case For(body=body) | Parts(body=body):
            return replace(stmt, body=visit(body))
        case IfThenElse(_, then_body, else_body):
            return replace(stmt, then_body=visit(then_body), else_body=None if else_body is None else visit(else_body))
        case Block(body=body, init=init):
            return replace(stmt, body=visit(body), init=None if init is None else visit(init))
        case _:
            return stmt


def sequence(*statements: Stmt) -> Stmt:
    """The statements in order, as one: nested sequences are spliced, a sequence of one is that one."""
    flat: list[Stmt] = []
    for stmt in statements:
        flat.extend(stmt.body if isinstance(stmt, Seq) else (stmt,))
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def rewrite_statement(
    stmt: Stmt,
    on_node: Callable[[ScalarExpr], ScalarExpr | None] = lambda _: None,
    on_dim: Callable[[Dim], Dim] = lambda dim: dim,
    on_store: Callable[[Store], Store] = lambda store: store,
) -> Stmt:
    """``stmt`` with its scalar nodes, dims and stores replaced (see :func:`relaxdsl.ir.scalar.rewrite`).

    ``on_store`` sees each store after its indices and value have been rewritten.
    """

    def visit_index(index: Index) -> Index:
        return rewrite(index, on_node, on_dim) if isinstance(index, ScalarExpr) else on_dim(index)

    def visit_iter(iter_var: IterVar) -> IterVar:
        return replace(iter_var, extent=on_dim(iter_var.extent), binding=on_dim(iter_var.binding))

    def visit(inner: Stmt) -> Stmt:
        inner = map_statements(inner, visit)
        match inner:
            case Store(buffer, indices, value):
                return on_store(Store(buffer, tuple(map(visit_index, indices)), rewrite(value, on_node, on_dim)))
            case CallExtern(arguments=arguments):
                kept = (each if isinstance(each, Buffer) else on_dim(each) for each in arguments)
                return replace(inner, arguments=tuple(kept))
            case For(extent=extent, start=start):
                return replace(inner, extent=on_dim(extent), start=on_dim(start))
            case Parts(extent=extent, per_thread=per_thread):
                return replace(inner, extent=on_dim(extent), per_thread=on_dim(per_thread))
            case IfThenElse(condition=condition):
                return replace(inner, condition=rewrite(condition, on_node, on_dim))
            case Block(iter_vars=iter_vars):
                return replace(inner, iter_vars=tuple(map(visit_iter, iter_vars)))
            case _:
                return inner

    return visit(stmt)


def substitute_variables(stmt: Stmt, values: Mapping[str, Dim]) -> Stmt:
    """``stmt`` with the named symbols replaced in every dim."""
    return rewrite_statement(stmt, on_dim=lambda dim: substitute(dim, values)) if values else stmt


def move_accesses(
    stmt: Stmt,
    buffers: Container[Buffer],
    moved: Callable[[Buffer, tuple[Index, ...]], tuple[Buffer, tuple[Index, ...]]],
) -> Stmt:
    """``stmt`` with the elements of some buffers read and written elsewhere: ``moved`` gives buffer and indices,
    for a buffer and indices in which that has been done.
    """

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer not in buffers:
            return None
        indices = tuple(rewrite(each, on_node) if isinstance(each, ScalarExpr) else each for each in node.indices)
        return Load(*moved(node.buffer, indices))

    def on_store(store: Store) -> Store:
        return Store(*moved(store.buffer, store.indices), store.value) if store.buffer in buffers else store

    return rewrite_statement(stmt, on_node, on_store=on_store)


def substitute_buffers(stmt: Stmt, read: Mapping[Buffer, Buffer], written: Mapping[Buffer, Buffer]) -> Stmt:
    """``stmt`` with other buffers of the same shape read and written."""

    def on_node(node: ScalarExpr) -> ScalarExpr | None:
        if not isinstance(node, Load) or node.buffer not in read:
            return None
        indices = (rewrite(each, on_node) if isinstance(each, ScalarExpr) else each for each in node.indices)
        return Load(read[node.buffer], tuple(indices))

    def on_store(store: Store) -> Store:
        return replace(store, buffer=written.get(store.buffer, store.buffer))

    return rewrite_statement(stmt, on_node, on_store=on_store)
