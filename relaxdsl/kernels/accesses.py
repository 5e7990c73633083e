"""What statements read and write: the facts the schedule's rules ask for."""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.conditions import joined_by
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, IfThenElse, Parts, Stmt, Store, sub_statements, walk
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, children
from relaxdsl.types.dims import Dim, SymInt, free_symbols, is_symbol, substitute


@dataclass(frozen=True, eq=False, slots=True)
class Access:
    """One read or write of a buffer, and the loops around it, outermost first."""

    buffer: Buffer
    indices: tuple[Index, ...]
    is_write: bool
    loops: tuple[str, ...] = ()
    is_conditional: bool = False


def nodes(expr: ScalarExpr) -> Iterator[ScalarExpr]:
    """The node and all nodes inside."""
    yield expr
    for child in children(expr):
        yield from nodes(child)


def expressions(stmt: Stmt) -> Iterator[ScalarExpr]:
    """The scalar expressions a statement evaluates itself, not those of statements inside."""
    match stmt:
        case Store(_, indices, value):
            yield from (index for index in indices if isinstance(index, ScalarExpr))
            yield value
        case IfThenElse(condition=condition):
            yield condition


def loads_of(expr: ScalarExpr) -> Iterator[Load]:
    """Every read inside an expression."""
    return (node for node in nodes(expr) if isinstance(node, Load))


def reads(expr: ScalarExpr, buffer: Buffer) -> bool:
    """Whether anything inside an expression reads the buffer."""
    return any(load.buffer is buffer for load in loads_of(expr))


def accesses(stmt: Stmt, loops: tuple[str, ...] = (), is_conditional: bool = False) -> Iterator[Access]:
    """Every read and write inside a statement, in the order they run."""
    for expr in expressions(stmt):
        yield from (Access(load.buffer, load.indices, False, loops, is_conditional) for load in loads_of(expr))
    if isinstance(stmt, Store):
        yield Access(stmt.buffer, stmt.indices, True, loops, is_conditional)
    if isinstance(stmt, CallExtern):
        for buffer in (each for each in stmt.arguments if isinstance(each, Buffer)):
            yield Access(buffer, (0,), buffer in stmt.written, loops, is_conditional)
    inner_loops = (*loops, stmt.var) if isinstance(stmt, For) else loops
    for inner in sub_statements(stmt):
        yield from accesses(inner, inner_loops, is_conditional or isinstance(stmt, IfThenElse))


def buffers_touched(stmt: Stmt) -> tuple[set[Buffer], set[Buffer]]:
    """``(read, written)``."""
    read: set[Buffer] = set()
    written: set[Buffer] = set()
    for inner in walk(stmt):
        read.update(load.buffer for expr in expressions(inner) for load in loads_of(expr))
        if isinstance(inner, Store):
            written.add(inner.buffer)
        elif isinstance(inner, CallExtern):
            written.update(inner.written)
            read.update(each for each in inner.arguments if isinstance(each, Buffer) and each not in inner.written)
    return read, written


def are_independent(first: Stmt, second: Stmt) -> bool:
    """Whether the statements may run in either order: neither writes what the other touches."""
    first_read, first_written = buffers_touched(first)
    second_read, second_written = buffers_touched(second)
    return not (first_written & (second_read | second_written)) and not (second_written & first_read)


def dims_in(stmt: Stmt) -> Iterator[Dim]:
    """Every dim a statement evaluates: indices, values, extents, bindings."""
    for inner in walk(stmt):
        yield from _own_value_dims(inner)
        if isinstance(inner, For):
            yield from (inner.extent, inner.start)
        elif isinstance(inner, Parts):
            yield inner.extent
        elif isinstance(inner, Block):
            yield from (dim for each in inner.iter_vars for dim in (each.extent, each.binding))
        elif isinstance(inner, CallExtern):
            yield from (each for each in inner.arguments if not isinstance(each, Buffer))


def value_dims(stmt: Stmt) -> Iterator[Dim]:
    """The dims in indices and values, but not those that bound loops."""
    return (dim for inner in walk(stmt) for dim in _own_value_dims(inner))


def _own_value_dims(stmt: Stmt) -> Iterator[Dim]:
    if isinstance(stmt, Store):
        yield from (index for index in stmt.indices if not isinstance(index, ScalarExpr))
    for expr in expressions(stmt):
        yield from expression_dims(expr)


def expression_dims(expr: ScalarExpr) -> Iterator[Dim]:
    """Every dim inside an expression."""
    for node in nodes(expr):
        if isinstance(node, IndexValue):
            yield node.dim
        elif isinstance(node, Load):
            yield from (index for index in node.indices if not isinstance(index, ScalarExpr))


def index_dims(index: Index) -> Iterator[Dim]:
    """Every dim inside an index."""
    if isinstance(index, ScalarExpr):
        yield from expression_dims(index)
    else:
        yield index


def as_dim(expr: ScalarExpr) -> Dim | None:
    """The dim that an expression of sizes and loops is; None if it is none."""
    match expr:
        case IndexValue(dim):
            return dim
        case Const(value=int(value)) if not isinstance(value, bool):
            return value
        case Apply("add" | "subtract" | "multiply" as function, (left, right), "int64"):
            a, b = as_dim(left), as_dim(right)
            if a is None or b is None:
                return None
            return a + b if function == "add" else a - b if function == "subtract" else a * b
    return None


def both_of(condition: ScalarExpr) -> tuple[ScalarExpr, ...]:
    """The conditions of which all hold if ``condition`` does: those that ``and`` joins."""
    match joined_by(condition):
        case "logical_and", args:
            return tuple(inner for each in args for inner in both_of(each))
    return (condition,)


def flat_index(shape: tuple[Dim, ...], indices: tuple[Index, ...]) -> Index:
    """The position of an element in row-major memory: ``(i * n + j) * p + k``."""
    position: Index = 0
    for size, index in zip(shape, indices, strict=True):
        position = _add(_multiply(position, size), index)
    return position


def _multiply(position: Index, size: Dim) -> Index:
    if isinstance(position, ScalarExpr):
        return Apply("multiply", (position, IndexValue(size)), "int64")
    return position * size


def _add(position: Index, index: Index) -> Index:
    if isinstance(position, int) and position == 0:
        return index
    if not isinstance(position, ScalarExpr) and not isinstance(index, ScalarExpr):
        return position + index
    return Apply("add", (_as_int64(position), _as_int64(index)), "int64")


def _as_int64(index: Index) -> ScalarExpr:
    if not isinstance(index, ScalarExpr):
        return IndexValue(index)
    return index if index.dtype == "int64" else Cast(index, "int64")


def stride(position: Index, variable: SymInt) -> Dim | None:
    """How far apart in memory neighbours along ``variable`` are; None if that differs from place to place."""
    (name,) = free_symbols(variable)
    if isinstance(position, ScalarExpr):
        used = any(name in free_symbols(dim) for dim in expression_dims(position))
        return None if used else 0
    step = substitute(position, {name: variable + 1}) - position
    return None if name in free_symbols(step) else step


def is_variable(index: Index, name: str) -> bool:
    """Whether an index is just the loop variable called ``name``."""
    return isinstance(index, SymInt) and is_symbol(index) and free_symbols(index) == (name,)
