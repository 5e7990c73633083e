"""A text that kernels share if they differ in names only, so that equal kernels compile once."""

from __future__ import annotations

import hashlib
from dataclasses import field

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    CallExtern,
    For,
    IfThenElse,
    Parts,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
)
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, Select
from relaxdsl.kernels.accesses import dims_in
from relaxdsl.types.atoms import dim_sort_key
from relaxdsl.types.dims import Dim, Symbol, substitute, symbols_of
from relaxdsl.types.symint import from_atom


def structural_key(prim_func: PrimFunc) -> str:
    """A hash of the kernel's structure: names of buffers, sizes, loops and blocks do not count, everything else does.

    Sizes with other bounds make another kernel, since the schedule may rely on them.
    """
    return hashlib.sha256(_Writer().function(prim_func).encode()).hexdigest()


@dataclass(slots=True)
class _Writer:
    """Writes a kernel with every name replaced by its number."""

    symbols: dict[str, Dim] = field(default_factory=dict)
    buffers: dict[Buffer, int] = field(default_factory=dict)

    def function(self, prim_func: PrimFunc) -> str:
        shapes = [size for buffer in (*prim_func.params, *prim_func.scratch) for size in buffer.shape]
        bounds = {each.name: each for dim in (*shapes, *dims_in(prim_func.body)) for each in symbols_of(dim)}
        for number, name in enumerate(prim_func.symbols):
            known = bounds.get(name, Symbol(name))
            self.symbols[name] = from_atom(Symbol(f"size{number}", known.lower, known.upper))
        params = [self.buffer(each) for each in (*prim_func.params, *prim_func.scratch)]
        attrs = sorted((key, repr(value)) for key, value in prim_func.attrs.items())
        return f"{params} {prim_func.num_outputs} {len(self.symbols)} {attrs}\n{self.statement(prim_func.body)}"

    def buffer(self, buffer: Buffer) -> str:
        """The buffer's number, with its type where it is first met."""
        if buffer in self.buffers:
            return f"b{self.buffers[buffer]}"
        self.buffers[buffer] = len(self.buffers)
        shape = ",".join(map(self.dim, buffer.shape))
        return f"b{self.buffers[buffer]}:{buffer.scope} {buffer.dtype}({shape})"

    def dim(self, dim: Dim) -> str:
        return dim_sort_key(substitute(dim, self.symbols))

    def bind(self, name: str, extent: Dim) -> str:
        """The number of a loop's variable, which is in scope from here on."""
        self.symbols[name] = loop_variable(f"loop{len(self.symbols)}", extent)
        return self.dim(self.symbols[name])

    def statement(self, stmt: Stmt) -> str:
        match stmt:
            case Seq(body):
                return "\n".join(map(self.statement, body))
            case Store(buffer, indices, value):
                return f"{self.buffer(buffer)}[{self.indices(indices)}]={self.expression(value)}"
            case For(var, extent, body, kind, start):
                span = f"{self.dim(start)}+{self.dim(extent)}"
                return f"for {kind} {self.bind(var, extent)} {span} {{{self.statement(body)}}}"
            case Parts(lower, upper, extent, body, per_thread):
                bounds = f"{self.bind(lower, extent + 1)} {self.bind(upper, extent + 1)}"
                return f"parts {bounds} {self.dim(extent)} {self.dim(per_thread)} {{{self.statement(body)}}}"
            case CallExtern(function, arguments, written):
                parts = (self.buffer(each) if isinstance(each, Buffer) else self.dim(each) for each in arguments)
                return f"{function}({','.join(parts)}) {','.join(map(self.buffer, written))}"
            case IfThenElse(condition, then_body, else_body):
                otherwise = "" if else_body is None else self.statement(else_body)
                return f"if {self.expression(condition)} {{{self.statement(then_body)}}} {{{otherwise}}}"
            case Block():
                return self.block(stmt)
        raise InternalError(f"structural_key: unknown statement {type(stmt).__name__}")

    def block(self, block: Block) -> str:
        axes = []
        for each in block.iter_vars:
            binding = self.dim(each.binding)
            axes.append(f"{each.kind} {self.bind(each.var, each.extent)} {self.dim(each.extent)} {binding}")
        init = "" if block.init is None else self.statement(block.init)
        return f"block ({'; '.join(axes)}) {{{init}}} {{{self.statement(block.body)}}}"

    def indices(self, indices: tuple[Index, ...]) -> str:
        return ",".join(self.expression(i) if isinstance(i, ScalarExpr) else self.dim(i) for i in indices)

    def expression(self, expr: ScalarExpr) -> str:
        match expr:
            case Const(value, dtype):
                return f"{dtype} {value!r}"
            case IndexValue(dim, dtype):
                return f"dim {dtype} {self.dim(dim)}"
            case Load(buffer, indices):
                return f"{self.buffer(buffer)}[{self.indices(indices)}]"
            case Apply(function, args, dtype):
                return f"{function} {dtype}({','.join(map(self.expression, args))})"
            case Cast(value, dtype):
                return f"cast {dtype}({self.expression(value)})"
            case Select(condition, then_value, else_value):
                return f"select({','.join(map(self.expression, (condition, then_value, else_value)))})"
        raise InternalError(f"structural_key: unknown expression {type(expr).__name__}")
