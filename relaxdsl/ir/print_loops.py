"""Kernels as TensorIR-like script, which ``@relax.prim_func`` reads: in block form and in scheduled form.

Buffers are ``T.Buffer(shape, dtype)``, scratch is ``T.alloc_buffer(…)``. A register is a local variable where it begins
with a value; else ``T.register(dtype)``, read and written as ``name[()]``. Serial loops one inside the other print as
one ``T.grid``; parts of a range are ``for lower, upper in T.parts(extent)``. Names of loops need not be identifiers in
the IR; here they are made so.
"""

from __future__ import annotations

from dataclasses import replace

from relaxdsl.errors import InternalError
from relaxdsl.ir.conditions import joined_by, may_fail
from relaxdsl.ir.layout import Lines, format_float, format_string, format_tuple
from relaxdsl.ir.local_variables import local_variables
from relaxdsl.ir.loops import (
    PARTS_PER_THREAD,
    Block,
    Buffer,
    CallExtern,
    For,
    IfThenElse,
    IterVar,
    Parts,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    sub_statements,
    walk,
)
from relaxdsl.ir.names import UniqueNames, as_identifier
from relaxdsl.ir.scalar import (
    COMPARISONS,
    Apply,
    Cast,
    Const,
    IndexValue,
    Load,
    Reduce,
    ScalarExpr,
    ScalarVar,
    Select,
)
from relaxdsl.ir.visit_loops import all_dims, used_buffers, walk_scalar
from relaxdsl.types.bounds import attributes_of
from relaxdsl.types.dims import Dim, Symbol, SymInt, free_symbols, substitute, symbols_of
from relaxdsl.types.symint import from_atom, shown

RESERVED_NAMES = ("T", "relax", "min", "max", "range", "abs", "float", "slice")

_INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "floor_divide": "//",
    "floor_mod": "%",
    "power": "**",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
    "left_shift": "<<",
    "right_shift": ">>",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "logical_and": "and",
    "logical_or": "or",
}
_PREFIX = {"negative": "-", "bitwise_not": "~", "logical_not": "not "}
_KIND_LETTERS = {"spatial": "S", "reduce": "R"}
_LOOPS = {"serial": "range", "parallel": "T.parallel", "vectorized": "T.vectorized", "unrolled": "T.unroll"}


def add_prim_func(lines: Lines, function: PrimFunc, name: str | None = None) -> None:
    """Adds the kernel's script to ``lines``, under ``name`` if it is given."""
    _KernelPrinter(lines, function).function(as_identifier(name or function.name))


def loop_headers(function: PrimFunc) -> list[str]:
    """The first line of each loop of the kernel, indented, and of each branch around loops; what it calls."""
    lines = Lines()
    _LoopPrinter(lines, function).stmt(function.body)
    return lines.text


def format_scalar(expr: ScalarExpr) -> str:
    """A scalar expression as script, with the names it has."""
    return _KernelPrinter(Lines(), None).scalar(expr)


def format_element(expr: ScalarExpr) -> str:
    """A scalar expression as the user wrote it: local variables and axes are bare names."""
    printer = _KernelPrinter(Lines(), None)
    loads = (node for node in walk_scalar(expr) if isinstance(node, Load))
    printer.local = frozenset(load.buffer for load in loads if load.buffer.scope == "register" and not load.indices)
    return shown(printer.scalar(expr))


def summarize_stmt(stmt: Stmt) -> str:
    """The statement in one line, with the names it has; what it contains is left out."""
    lines = Lines()
    _KernelPrinter(lines, None).stmt(stmt)
    return f"{lines.text[0]} ..." if lines.text[0].endswith(":") else lines.text[0]


class _KernelPrinter:
    """Prints one kernel: which names its buffers and symbols have."""

    def __init__(self, lines: Lines, function: PrimFunc | None) -> None:
        self.lines = lines
        self.kernel = function
        self.names = UniqueNames(RESERVED_NAMES)
        self.buffer_names: dict[Buffer, str] = {}
        self.symbols: dict[str, Dim] = {}
        self.loop_extents: dict[str, Dim] = {}
        self.local = frozenset[Buffer]() if function is None else local_variables(function.body)
        if function is not None:
            loops = (stmt for stmt in walk(function.body) if isinstance(stmt, For))
            self.loop_extents = {loop.var: loop.extent for loop in loops}
            self._name_symbols(function)
            for buffer in (*function.params, *function.scratch, *used_buffers(function.body)):
                self.buffer(buffer)

    def _name_symbols(self, function: PrimFunc) -> None:
        shapes = (dim for buffer in (*function.params, *function.scratch) for dim in buffer.shape)
        found = {each.name: each for dim in (*shapes, *all_dims(function.body)) for each in symbols_of(dim)}
        for name in dict.fromkeys([*function.symbols, *_defined_symbols(function.body), *found]):
            symbol = found.get(name, Symbol(name))
            self.symbols[name] = from_atom(Symbol(self.names.fresh(name), symbol.lower, symbol.upper))

    # ---- names

    def buffer(self, buffer: Buffer) -> str:
        if buffer not in self.buffer_names:
            self.buffer_names[buffer] = self.names.fresh(buffer.name) if self.kernel is not None else buffer.name
        return self.buffer_names[buffer]

    def dim(self, dim: Dim) -> str:
        return str(substitute(dim, self.symbols))

    def symbol(self, name: str) -> str:
        return str(self.symbols.get(name, name))

    def size(self, dim: Dim) -> str:
        return self.dim(dim) if isinstance(dim, int) else format_string(self.dim(dim))

    def index(self, index: Dim | ScalarExpr) -> str:
        return self.value(index) if isinstance(index, ScalarExpr) else self.dim(index)

    def element(self, buffer: Buffer, indices: tuple[Dim | ScalarExpr, ...]) -> str:
        if buffer in self.local:
            return self.buffer(buffer)
        return f"{self.buffer(buffer)}[{', '.join(map(self.index, indices)) or '()'}]"

    # ---- statements

    def function(self, name: str) -> None:
        kernel, lines = self.kernel, self.lines
        assert kernel is not None
        attrs = {key: value for key, value in kernel.attrs.items() if value is not None}
        attrs |= attributes_of(each for name in kernel.symbols for each in symbols_of(self.symbols[name]))
        lines.add(f"@relax.prim_func(attrs={attrs!r})" if attrs else "@relax.prim_func")
        params = [f"{self.buffer(each)}: {self._buffer_type(each)}" for each in kernel.params]
        params += [f"{self.symbol(each)}: T.int64" for each in kernel.symbols]
        lines.add(f"def {name}({', '.join(params)}):", one_item_a_line=True)
        lines.depth += 1
        outputs = ", ".join(map(self.buffer, kernel.outputs))
        lines.add(f"T.outputs({outputs})")
        self._declare_local_buffers(kernel)
        self.stmt(kernel.body)
        lines.depth -= 1

    def _buffer_type(self, buffer: Buffer) -> str:
        return f'T.Buffer({format_tuple([self.size(dim) for dim in buffer.shape])}, "{buffer.dtype}")'

    def _declare_local_buffers(self, kernel: PrimFunc) -> None:
        local = dict.fromkeys([*kernel.scratch, *used_buffers(kernel.body)])
        for buffer in local:
            if buffer in kernel.params or buffer in self.local:
                continue
            shape = format_tuple([self.dim(dim) for dim in buffer.shape])
            if buffer.scope == "register" and not buffer.shape:
                allocation = f'T.register("{buffer.dtype}")'
            else:
                allocation = f'T.alloc_buffer({shape}, "{buffer.dtype}", scope="{buffer.scope}")'
            self.lines.add(f"{self.buffer(buffer)} = {allocation}")

    def stmt(self, stmt: Stmt) -> None:
        match stmt:
            case Store(buffer=buffer, indices=indices, value=value):
                text = self.value(value) if buffer in self.local else self.scalar(value)
                self.lines.add(f"{self.element(buffer, indices)} = {text}")
            case CallExtern(function=function, arguments=arguments):
                parts = [self.buffer(each) if isinstance(each, Buffer) else self.dim(each) for each in arguments]
                writes = ", ".join(map(self.buffer, stmt.written))
                self.lines.add(f"T.call_extern({', '.join([format_string(function), *parts])}, writes=[{writes}])")
            case Seq(body=body):
                for each in body:
                    self.stmt(each)
                if not body:
                    self.lines.add("pass")
            case For():
                self.loops(stmt)
            case Parts(lower, upper, extent, body, per_thread):
                dims = (extent,) if per_thread == PARTS_PER_THREAD else (extent, per_thread)
                span = ", ".join(map(self.dim, dims))
                self.indented(f"for {self.symbol(lower)}, {self.symbol(upper)} in T.parts({span}):", body)
            case IfThenElse():
                self.branch(stmt, "if")
            case Block():
                self.block(stmt)
            case _:
                raise InternalError(f"printing: no script for a statement of class {type(stmt).__name__}")

    def branch(self, stmt: IfThenElse, word: str) -> None:
        self.indented(f"{word} {self.scalar(stmt.condition)}:", stmt.then_body)
        if isinstance(stmt.else_body, IfThenElse):
            self.branch(stmt.else_body, "elif")
        elif stmt.else_body is not None:
            self.indented("else:", stmt.else_body)

    def indented(self, head: str, body: Stmt) -> None:
        self.lines.add(head)
        self.lines.depth += 1
        self.stmt(body)
        self.lines.depth -= 1

    def loops(self, outer: For) -> None:
        """A loop; serial ones from 0 that are perfectly nested, as one grid."""
        nest = [outer]
        while isinstance(inner := nest[-1].body, For) and _may_share_a_grid(nest, inner):
            nest.append(inner)
        names = ", ".join(self.symbol(loop.var) for loop in nest)
        extents = ", ".join(self.dim(loop.extent) for loop in nest)
        if len(nest) > 1:
            self.indented(f"for {names} in T.grid({extents}):", nest[-1].body)
            return
        start = "" if _is_zero(outer.start) else f"{self.dim(outer.start)}, "
        stop = extents if not start else self.dim(outer.start + outer.extent)
        function = _LOOPS[outer.kind]
        self.indented(f"for {names} in {function}({start}{stop}):", outer.body)

    def block(self, block: Block) -> None:
        self.lines.add(f"with T.block({format_string(block.name)}):")
        self.lines.depth += 1
        self._axes(block.iter_vars)
        if block.init is not None:
            self.indented("with T.init():", block.init)
        self.stmt(block.body)
        self.lines.depth -= 1

    def _axes(self, axes: tuple[IterVar, ...]) -> None:
        """``T.axis.remap`` where the axes are just loops (whose extents they have), else an axis a line."""
        if axes and all(_is_loop_itself(axis, self.loop_extents) for axis in axes):
            names = ", ".join(self.symbol(axis.var) for axis in axes)
            kinds = "".join(_KIND_LETTERS[axis.kind] for axis in axes)
            loops = ", ".join(self.dim(axis.binding) for axis in axes)
            comma = "," if len(axes) == 1 else ""
            self.lines.add(f'{names}{comma} = T.axis.remap("{kinds}", [{loops}])')
            return
        for axis in axes:
            arguments = f"{self.dim(axis.extent)}, {self.dim(axis.binding)}"
            self.lines.add(f"{self.symbol(axis.var)} = T.axis.{axis.kind}({arguments})")

    # ---- scalar expressions

    def scalar(self, expr: ScalarExpr) -> str:
        match expr:
            case Const(value=value, dtype=dtype):
                number = format_float(value) if isinstance(value, float) else str(value)
                return f"T.{dtype}({number})"
            case IndexValue(dim=dim, dtype=dtype):
                is_plain = dtype == "int64" and not isinstance(dim, int)
                return self.dim(dim) if is_plain else f"T.{dtype}({self.dim(dim)})"
            case ScalarVar(name=name):
                return name
            case Load(buffer=buffer, indices=indices):
                return self.element(buffer, indices)
            case Apply():
                return self.apply(expr)
            case Cast(value=value, dtype=dtype):
                return f'T.cast({self.scalar(value)}, "{dtype}")'
            case Select():
                infix = _infix(expr)
                if infix is not None:
                    return f" {_INFIX[infix[0]]} ".join(map(self.operand, infix[1]))
                parts = (expr.condition, expr.then_value, expr.else_value)
                return f"T.if_then_else({', '.join(map(self.scalar, parts))})"
            case Reduce():
                return self.reduce(expr)
        raise InternalError(f"printing: no script for a scalar expression of class {type(expr).__name__}")

    def value(self, expr: ScalarExpr) -> str:
        """``expr`` where a size would stand for itself: a size that is meant as a number says so."""
        is_size = isinstance(expr, IndexValue) and isinstance(expr.dim, SymInt) and expr.dtype == "int64"
        return f"T.int64({self.scalar(expr)})" if is_size else self.scalar(expr)

    def apply(self, expr: Apply) -> str:
        if _infix(expr) is not None:
            left, right = map(self.operand, expr.args)
            if expr.function not in COMPARISONS and all(isinstance(each, IndexValue) for each in expr.args):
                left = self.value(expr.args[0])
            return f"{left} {_INFIX[expr.function]} {right}"
        if expr.function in _PREFIX and len(expr.args) == 1:
            (argument,) = expr.args
            text = self.value(argument) if isinstance(argument, IndexValue) else self.operand(argument)
            return f"{_PREFIX[expr.function]}{text}"
        return f"T.{expr.function}({', '.join(map(self.scalar, expr.args))})"

    def operand(self, expr: ScalarExpr) -> str:
        """``expr`` in parentheses unless it is a single word, call or element."""
        is_compound = _infix(expr) is not None or (isinstance(expr, Apply) and expr.function in _PREFIX)
        if isinstance(expr, IndexValue) and expr.dtype == "int64":
            is_compound = not self.dim(expr.dim).isalnum()
        return f"({self.scalar(expr)})" if is_compound else self.scalar(expr)

    def reduce(self, expr: Reduce) -> str:
        axes = format_tuple([f"{self.symbol(axis.name)} < {self.dim(axis.extent)}" for axis in expr.axes])
        sources = ", ".join(map(self.scalar, expr.sources))
        index = "" if expr.index == 0 and len(expr.sources) == 1 else f", index={expr.index}"
        return f"T.reduce({format_string(expr.combiner.name)}, {sources}, axes={axes}{index})"


class _LoopPrinter(_KernelPrinter):
    """Prints the loops of a kernel and the branches around them, without what they do."""

    def stmt(self, stmt: Stmt) -> None:
        match stmt:
            case For() | Parts():
                super().stmt(stmt)
            case IfThenElse():
                if _has_loops(stmt):
                    self.branch(stmt, "if")
            case CallExtern(function=function):
                self.lines.add(f"{function}(…)")
            case _:
                for inner in sub_statements(stmt):
                    self.stmt(inner)

    def branch(self, stmt: IfThenElse, word: str) -> None:
        has_more = stmt.else_body is not None and _has_loops(stmt.else_body)
        super().branch(stmt if has_more else replace(stmt, else_body=None), word)

    def scalar(self, expr: ScalarExpr) -> str:
        """Without the dtypes of numbers: this is read by people, not parsed."""
        match expr:
            case Const(value=value):
                return format_float(value) if isinstance(value, float) else str(value)
            case IndexValue(dim=dim):
                return self.dim(dim)
        return super().scalar(expr)

    def value(self, expr: ScalarExpr) -> str:
        return self.scalar(expr)


def _has_loops(stmt: Stmt) -> bool:
    return any(isinstance(each, For | Parts | CallExtern) for each in walk(stmt))


def _infix(expr: ScalarExpr) -> tuple[str, tuple[ScalarExpr, ...]] | None:
    """The function whose word or sign stands between the operands, and these; None if it is written as a call.

    The script reads ``and`` and ``or`` as a function or as a choice, by what is on the right.
    """
    joint = joined_by(expr)
    if joint is not None:
        return joint if may_fail(joint[1][-1]) is isinstance(expr, Select) else None
    is_infix = isinstance(expr, Apply) and expr.function in _INFIX and len(expr.args) == 2
    return (expr.function, expr.args) if isinstance(expr, Apply) and is_infix else None


def _may_share_a_grid(nest: list[For], inner: For) -> bool:
    """Whether the loops are serial, from 0, and the inner one's extent is known outside of the nest."""
    are_plain = all(loop.kind == "serial" and _is_zero(loop.start) for loop in (*nest, inner))
    return are_plain and not {loop.var for loop in nest}.intersection(free_symbols(inner.extent))


def _is_zero(dim: Dim) -> bool:
    return isinstance(dim, int) and dim == 0


def _is_loop_itself(axis: IterVar, extents: dict[str, Dim]) -> bool:
    if not isinstance(axis.binding, SymInt):
        return False
    names = [each.name for each in symbols_of(axis.binding)]
    return names[:1] == [str(axis.binding)] and extents.get(names[0]) == axis.extent


def _defined_symbols(stmt: Stmt) -> list[str]:
    """The names of loops and iteration variables, in order."""
    names: list[str] = []
    for each in walk(stmt):
        if isinstance(each, For):
            names.append(each.var)
        elif isinstance(each, Parts):
            names += [each.lower, each.upper]
        elif isinstance(each, Block):
            names += [axis.var for axis in each.iter_vars]
    return names


setattr(ScalarExpr, "__repr__", format_element)  # noqa: B010 - an attribute that the class body does not declare
