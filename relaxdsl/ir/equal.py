"""Structural equality and hash of programs: what is the same up to names.

A program is read as a stream of tokens in which variables, buffers and a function's symbols are numbered in order of
definition. Two programs are equal if their streams are; the hash is the stream's digest; the first token that differs
is where two programs differ. So the three can't disagree.

What counts: structure, operators, attributes (absent and None are the same), types, constants by dtype, shape and
bytes, names of functions of the module and of packed functions. What does not: spans, names of variables, symbols,
buffers, loops and blocks, the function's own name, empty blocks, and where a plain block ends
and the next plain one begins.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import (
    Binding,
    Call,
    Constant,
    DataflowBlock,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    HostObject,
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
)
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, IfThenElse, Parts, PrimFunc, Seq, Stmt, Store
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script, summary
from relaxdsl.ir.scalar import Apply, Cast, Combiner, Const, IndexValue, Load, Reduce, ScalarExpr, ScalarVar, Select
from relaxdsl.ir.visit import all_dims, dims_of_expr, walk
from relaxdsl.types.dims import Dim, Symbol, SymInt, free_symbols, is_symbol, substitute, symbols_of
from relaxdsl.types.symint import from_atom
from relaxdsl.types.types import FuncType, PrimType, ShapeType, TensorType, TupleType, Type, dims_of

Node: TypeAlias = "IRModule | Function | PrimFunc | Expr | Stmt | ScalarExpr | Type | SymInt | int"

# Tokens are strings, numbers, None and tuples of them; a free variable is its own token.
Path: TypeAlias = "tuple[Path, str] | None"
Step: TypeAlias = "tuple[Path, Any, Any]"


def structural_equal(a: Node, b: Node, *, map_free_vars: bool = False) -> bool:
    """Whether two programs (or parts) are the same up to names.

    Args:
        map_free_vars: whether variables and symbols that are not defined inside may differ by name too; else a free
            variable is only equal to itself and a free symbol to one of its name.
    """
    return a is b or _first_difference(a, b, map_free_vars) is None


def structural_hash(node: Node) -> int:
    """A number that is the same for structurally equal programs, in every process."""
    return int.from_bytes(bytes.fromhex(structural_digest(node))[:8], "little")


def structural_digest(node: Node) -> str:
    """A digest (64 hex digits), the same for structurally equal programs and no others, in every process."""
    lines = (f"{token!r}\n" for _, token, _ in _Tokens(map_free_vars=False).stream(node))
    return hashlib.blake2b("".join(lines).encode(), digest_size=32).hexdigest()


def assert_structural_equal(a: Node, b: Node, *, map_free_vars: bool = False) -> None:
    """Does nothing if the two are structurally equal.

    Raises:
        InternalError: they are not; shows where they differ first, and both in full.
    """
    difference = None if a is b else _first_difference(a, b, map_free_vars)
    if difference is None:
        return
    (path, left_token, left), (_, right_token, right) = difference
    details = [f"left  : {_describe(left)}", f"right : {_describe(right)}"]
    if _describe(left) == _describe(right):
        details = [f"left  : {_describe(left)}   {left_token}", f"right : {_describe(right)}   {right_token}"]
    whole = [*_whole("left", a), *_whole("right", b)]
    raise InternalError(f"the structures differ at {_show_path(path)}", details=details + whole)


def _first_difference(a: Node, b: Node, map_free_vars: bool) -> tuple[Step, Step] | None:
    left, right = _Tokens(map_free_vars).stream(a), _Tokens(map_free_vars).stream(b)
    # Every token says how many follow, so equal streams have equal lengths.
    for one, other in zip(left, right, strict=False):
        if one[1] != other[1]:
            return one, other
    return None


def _describe(node: object) -> str:
    return repr(node) if isinstance(node, Var) else summary(node)


def _whole(side: str, node: Node) -> list[str]:
    if not isinstance(node, IRModule | Function | PrimFunc):
        return []
    return [f"--- {side} ---", *script(node).splitlines()]


def _show_path(path: Path) -> str:
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return "".join(reversed(steps))


def canonical_symbols(dims: Iterable[Dim]) -> tuple[str, ...]:
    """The symbols of ``dims`` in an order that does not depend on their names.

    First those that stand alone, in order; then those that are the only one not yet known in their dim. Every symbol of
    a well-formed function is one or the other.
    """
    all_of_them = [dim for dim in dict.fromkeys(dims) if isinstance(dim, SymInt)]
    order = dict.fromkeys(name for dim in all_of_them if is_symbol(dim) for name in free_symbols(dim))
    while True:
        unknown = ([name for name in free_symbols(dim) if name not in order] for dim in all_of_them)
        solved = next((names[0] for names in unknown if len(names) == 1), None)
        if solved is None:
            break
        order[solved] = None
    order.update(dict.fromkeys(name for dim in all_of_them for name in free_symbols(dim)))
    return tuple(order)


# --------------------------------------------------------------------------------------------------------------- tokens


@dataclass(frozen=True, eq=False, slots=True)
class _Itself:
    """A free variable as a token: equal to itself only."""

    node: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.node is other.node

    def __hash__(self) -> int:
        return id(self.node)

    def __repr__(self) -> str:
        return repr(self.node)


class _Tokens:
    """Reads a program as tokens. Each comes with its path and the node to show for it."""

    def __init__(self, map_free_vars: bool) -> None:
        self.map_free_vars = map_free_vars
        self.numbers = itertools.count()
        self.variables: dict[object, int] = {}
        self.symbols: dict[str, int] = {}
        self.variables_of_loops: set[str] = set()
        self.dim_tokens: dict[Dim, str] = {}

    def stream(self, node: Any) -> Iterator[Step]:
        """The tokens of a whole program or part."""
        match node:
            case IRModule():
                yield from self.module(node)
            case PrimFunc(name=name):
                yield from self.kernel((None, name), node)
            case Function(name=name):
                yield from self.function((None, name), node)
            case Expr():
                self.number_free_symbols(dim for each in walk(node) for dim in dims_of_expr(each))
                yield from self.expr((None, "expression"), node)
            case Stmt():
                yield from self.stmt((None, "statement"), node)
            case ScalarExpr():
                yield from self.scalar((None, "expression"), node)
            case Type():
                self.number_free_symbols(dims_of(node))
                yield (None, "type"), self.type_(node), node
            case _:
                self.number_free_symbols([node])
                yield (None, "dim"), self.dim(node), node

    def number_free_symbols(self, dims: Iterable[Dim]) -> None:
        if self.map_free_vars:
            self.enter_scope(canonical_symbols(dims))

    def enter_scope(self, symbols: Iterable[str]) -> None:
        """Numbers the symbols of a function; those of the function before are forgotten."""
        self.symbols = {name: next(self.numbers) for name in symbols}
        self.variables_of_loops = set()
        self.dim_tokens = {}

    # ---- modules and functions

    def module(self, module: IRModule) -> Iterator[Step]:
        names = sorted(module.functions)
        yield (None, "module"), ("module", tuple(names), self.attrs(module.attrs)), module
        for name in names:
            function = module[name]
            path = (None, name)
            if isinstance(function, PrimFunc):
                yield from self.kernel(path, function)
            else:
                yield from self.function(path, function)

    def function(self, path: Path, function: Function) -> Iterator[Step]:
        outer_symbols = self.symbols
        self.enter_scope(canonical_symbols(all_dims(function)))
        yield path, ("function", len(function.params), function.is_pure), function
        yield (path, ".attrs"), self.attrs(function.attrs), function
        for position, param in enumerate(function.params):
            yield from self.define((path, f".params[{position}]"), param)
        yield from self.expr((path, ".body"), function.body)
        yield (path, ".ret_type"), self.type_(function.ret_type), function.ret_type
        self.symbols, self.dim_tokens = outer_symbols, {}

    def define(self, path: Path, var: Var) -> Iterator[Step]:
        self.variables[var] = next(self.numbers)
        yield path, (type(var).__name__, self.type_(var.type)), var

    # ---- graph expressions

    def expr(self, path: Path, expr: Expr) -> Iterator[Step]:
        match expr:
            case SeqExpr():
                yield from self.sequence(path, expr)
            case Function():
                yield from self.function(path, expr)
            case Call():
                yield from self.call(path, expr)
            case If():
                yield path, ("If", self.type_(expr.type)), expr
                yield from self.expr((path, ".condition"), expr.condition)
                yield from self.expr((path, ".then_branch"), expr.then_branch)
                yield from self.expr((path, ".else_branch"), expr.else_branch)
            case Tuple(fields=fields):
                yield path, ("Tuple", len(fields)), expr
                yield from self.many(path, "fields", fields)
            case TupleGetItem(value=value, index=index):
                yield path, ("TupleGetItem", index, self.type_(expr.type)), expr
                yield from self.expr((path, ".value"), value)
            case _:
                yield path, self.leaf(expr), expr

    def many(self, path: Path, field: str, exprs: Iterable[Expr]) -> Iterator[Step]:
        for position, each in enumerate(exprs):
            yield from self.expr((path, f".{field}[{position}]"), each)

    def leaf(self, expr: Expr) -> Any:
        match expr:
            case Var():
                return self.variable(expr)
            case Constant(value=value):
                return "Constant", _array_token(value), self.type_(expr.type)
            case ShapeExpr(values=values):
                return "ShapeExpr", tuple(map(self.dim, values))
            case PrimValue(value=value):
                return "PrimValue", self.dim(value)
            case GlobalVar(name=name) | ExternFunc(name=name):
                return type(expr).__name__, name
            case HostObject(value=value):
                return "HostObject", self.attr(value)
        raise InternalError(f"comparing: no rule for an expression of class {type(expr).__name__}")

    def variable(self, var: object) -> Any:
        if var not in self.variables and self.map_free_vars:
            self.variables[var] = next(self.numbers)
        number = self.variables.get(var)
        return _Itself(var) if number is None else ("variable", number)

    def call(self, path: Path, call: Call) -> Iterator[Step]:
        callee = call.op.name if isinstance(call.op, Op) else self.leaf(call.op)
        yield path, ("Call", callee, len(call.args)), call
        yield (path, ".attrs"), self.attrs(call.attrs), call
        yield (path, ".type"), self.type_(call.type), call.type
        yield from self.many(path, "args", call.args)

    def sequence(self, path: Path, sequence: SeqExpr) -> Iterator[Step]:
        blocks = _joined_blocks(sequence)
        yield path, ("SeqExpr", len(blocks)), sequence
        for position, (kind, bindings) in enumerate(blocks):
            block_path = (path, f".blocks[{position}]")
            yield block_path, (kind, len(bindings)), sequence
            for index, binding in enumerate(bindings):
                yield from self.binding((block_path, f".bindings[{index}]"), binding)
        yield from self.expr((path, ".body"), sequence.body)

    def binding(self, path: Path, binding: Binding) -> Iterator[Step]:
        target = self.type_(binding.target) if isinstance(binding, MatchCast) else None
        yield path, (type(binding).__name__, target), binding
        yield from self.expr((path, ".value"), binding.value)
        yield from self.define((path, ".var"), binding.var)

    # ---- types, dims, attributes

    def type_(self, type_: Type) -> Any:
        match type_:
            case TensorType(shape=shape, dtype=dtype, ndim=ndim):
                return "Tensor", dtype, ndim, None if shape is None else tuple(map(self.dim, shape))
            case ShapeType(values=values, ndim=ndim):
                return "Shape", ndim, None if values is None else tuple(map(self.dim, values))
            case PrimType(dtype=dtype, value=value):
                return "Prim", dtype, None if value is None else self.dim(value)
            case TupleType(fields=fields):
                return "Tuple", *map(self.type_, fields)
            case FuncType():
                return self.func_type(type_)
        return type(type_).__name__

    def func_type(self, type_: FuncType) -> Any:
        inner = _Tokens(self.map_free_vars)
        params = type_.params or ()
        inner.enter_scope(canonical_symbols(dim for each in (*params, type_.ret) for dim in dims_of(each)))
        known = None if type_.params is None else tuple(map(inner.type_, params))
        return "Callable", known, inner.type_(type_.ret), type_.pure

    def dim(self, dim: Dim) -> Any:
        """An int as it is; else the dim's text with its symbols numbered."""
        if not isinstance(dim, SymInt):
            return int(dim)
        if dim not in self.dim_tokens:
            numbered: dict[str, Dim] = {
                each.name: self.numbered(each) for each in symbols_of(dim) if each.name in self.symbols
            }
            renamed = substitute(dim, numbered)
            self.dim_tokens[dim] = renamed.sort_key if isinstance(renamed, SymInt) else str(renamed)
        return self.dim_tokens[dim]

    def numbered(self, symbol: Symbol) -> SymInt:
        """The symbol by its number. What bounds a loop's variable is the loop, which is compared by itself."""
        is_of_loop = symbol.name in self.variables_of_loops
        lower, upper = (0, None) if is_of_loop else (symbol.lower, symbol.upper)
        return _numbered_symbol(self.symbols[symbol.name], lower, upper)

    def attrs(self, attrs: Mapping[Any, Any]) -> Any:
        return tuple((name, self.attr(attrs[name])) for name in sorted(attrs) if attrs[name] is not None)

    def attr(self, value: object) -> Any:
        match value:
            case SymInt():
                return "dim", self.dim(value)
            case Type():
                return self.type_(value)
            case tuple() | list():
                return type(value).__name__, *map(self.attr, value)
            case Mapping():
                return "dict", self.attrs(value)
            case slice():
                return "slice", *map(self.attr, (value.start, value.stop, value.step))
            case np.ndarray():
                return _array_token(value)
            case _:
                # The class keeps 1, 1.0 and True apart; repr makes nan equal to itself and -0.0 differ from 0.0.
                return type(value).__name__, repr(value)

    # ---- kernels

    def kernel(self, path: Path, kernel: PrimFunc) -> Iterator[Step]:
        self.enter_scope(kernel.symbols)
        counts = len(kernel.params), kernel.num_outputs, len(kernel.symbols), len(kernel.scratch)
        yield path, ("kernel", *counts), kernel
        yield (path, ".attrs"), self.attrs(kernel.attrs), kernel
        for position, buffer in enumerate(kernel.params):
            yield (path, f".params[{position}]"), self.buffer(buffer), buffer
        for position, buffer in enumerate(kernel.scratch):
            yield (path, f".scratch[{position}]"), self.buffer(buffer), buffer
        yield from self.stmt((path, ".body"), kernel.body)

    def buffer(self, buffer: Buffer) -> Any:
        """The buffer's number; what it is, where it appears first."""
        if buffer in self.variables:
            return "buffer", self.variables[buffer]
        self.variables[buffer] = next(self.numbers)
        return "buffer", tuple(map(self.dim, buffer.shape)), buffer.dtype, buffer.scope

    def argument(self, argument: Buffer | Dim) -> Any:
        return self.buffer(argument) if isinstance(argument, Buffer) else ("dim", self.dim(argument))

    def define_symbol(self, name: str) -> None:
        self.symbols[name] = next(self.numbers)
        self.variables_of_loops.add(name)
        self.dim_tokens = {}

    def stmt(self, path: Path, stmt: Stmt) -> Iterator[Step]:
        match stmt:
            case Store(buffer=buffer, indices=indices, value=value):
                yield path, ("Store", self.buffer(buffer), len(indices)), stmt
                yield from self.indices(path, indices)
                yield from self.scalar((path, ".value"), value)
            case Seq(body=body):
                yield path, ("Seq", len(body)), stmt
                for position, each in enumerate(body):
                    yield from self.stmt((path, f".body[{position}]"), each)
            case For(start=start, extent=extent):
                yield path, ("For", stmt.kind, self.dim(start), self.dim(extent)), stmt
                self.define_symbol(stmt.var)
                yield from self.stmt((path, ".body"), stmt.body)
            case Parts(extent=extent, per_thread=per_thread):
                yield path, ("Parts", self.dim(extent), self.dim(per_thread)), stmt
                self.define_symbol(stmt.lower)
                self.define_symbol(stmt.upper)
                yield from self.stmt((path, ".body"), stmt.body)
            case CallExtern(function=function, written=written):
                arguments = tuple(self.argument(each) for each in stmt.arguments)
                yield path, ("CallExtern", function, arguments, tuple(map(self.buffer, written))), stmt
            case IfThenElse(else_body=else_body):
                yield path, ("IfThenElse", else_body is not None), stmt
                yield from self.scalar((path, ".condition"), stmt.condition)
                yield from self.stmt((path, ".then_body"), stmt.then_body)
                if else_body is not None:
                    yield from self.stmt((path, ".else_body"), else_body)
            case Block():
                yield from self.block(path, stmt)
            case _:
                raise InternalError(f"comparing: no rule for a statement of class {type(stmt).__name__}")

    def block(self, path: Path, block: Block) -> Iterator[Step]:
        axes = tuple((each.kind, self.dim(each.extent), self.dim(each.binding)) for each in block.iter_vars)
        yield path, ("Block", axes, block.init is not None), block
        for each in block.iter_vars:
            self.define_symbol(each.var)
        if block.init is not None:
            yield from self.stmt((path, ".init"), block.init)
        yield from self.stmt((path, ".body"), block.body)

    def indices(self, path: Path, indices: Iterable[Dim | ScalarExpr]) -> Iterator[Step]:
        for position, index in enumerate(indices):
            at = (path, f".indices[{position}]")
            if isinstance(index, ScalarExpr):
                yield from self.scalar(at, index)
            else:
                yield at, ("dim", self.dim(index)), index

    def scalar(self, path: Path, expr: ScalarExpr) -> Iterator[Step]:
        match expr:
            case Const(value=value, dtype=dtype):
                yield path, ("Const", repr(value), dtype), expr
            case IndexValue(dim=int(number), dtype=dtype):  # a size that is known is a number
                yield path, ("Const", repr(number), dtype), expr
            case IndexValue(dim=dim, dtype=dtype):
                yield path, ("IndexValue", self.dim(dim), dtype), expr
            case ScalarVar(name=name, dtype=dtype):
                yield path, ("ScalarVar", self.variables.get(name, name), dtype), expr
            case Load(buffer=buffer, indices=indices):
                yield path, ("Load", self.buffer(buffer), len(indices)), expr
                yield from self.indices(path, indices)
            case Apply(function=function, args=args, dtype=dtype):
                yield path, ("Apply", function, dtype, len(args)), expr
                yield from self.scalars(path, "args", args)
            case Cast(value=value, dtype=dtype):
                yield path, ("Cast", dtype), expr
                yield from self.scalar((path, ".value"), value)
            case Select():
                yield path, "Select", expr
                yield from self.scalars(path, "parts", (expr.condition, expr.then_value, expr.else_value))
            case Reduce():
                yield from self.reduce(path, expr)
            case _:
                raise InternalError(f"comparing: no rule for a scalar expression of class {type(expr).__name__}")

    def scalars(self, path: Path, field: str, exprs: Iterable[ScalarExpr]) -> Iterator[Step]:
        for position, each in enumerate(exprs):
            yield from self.scalar((path, f".{field}[{position}]"), each)

    def reduce(self, path: Path, reduce: Reduce) -> Iterator[Step]:
        extents = tuple(self.dim(axis.extent) for axis in reduce.axes)
        yield path, ("Reduce", extents, reduce.index, len(reduce.sources)), reduce
        for axis in reduce.axes:
            self.define_symbol(axis.name)
        yield from self.combiner((path, ".combiner"), reduce.combiner, reduce)
        yield from self.scalars(path, "sources", reduce.sources)

    def combiner(self, path: Path, combiner: Combiner, shown: Reduce) -> Iterator[Step]:
        yield path, ("Combiner", len(combiner.left), len(combiner.results), len(combiner.identities)), shown
        for each in (*combiner.left, *combiner.right):
            self.variables[each.name] = next(self.numbers)
        yield from self.scalars(path, "results", combiner.results)
        yield from self.scalars(path, "identities", combiner.identities)


@lru_cache(maxsize=256)
def _numbered_symbol(number: int, lower: int, upper: int | None) -> SymInt:
    return from_atom(Symbol(f"%{number}", lower, upper))


def _array_token(array: np.ndarray[Any, Any]) -> Any:
    content = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=32).hexdigest()
    return "array", str(array.dtype), array.shape, content


def _joined_blocks(sequence: SeqExpr) -> list[tuple[str, list[Binding]]]:
    """The blocks that are not empty, as (kind, bindings); plain ones next to each other as one."""
    joined: list[tuple[str, list[Binding]]] = []
    for block in sequence.blocks:
        kind = "DataflowBlock" if isinstance(block, DataflowBlock) else "BindingBlock"
        if joined and joined[-1][0] == kind == "BindingBlock":
            joined[-1][1].extend(block.bindings)
        elif block.bindings:
            joined.append((kind, list(block.bindings)))
    return joined
