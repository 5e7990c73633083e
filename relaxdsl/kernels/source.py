"""Scheduled loops as the Python source of one function, which numba compiles.

The function is ``void(int64* args, int64 lo, int64 hi)``. ``args`` holds the addresses of the parameters in order, then the sizes,
then the addresses of the scratch buffers; ``lo`` and ``hi`` are the part of the parallel loop to run.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, PrimFunc, Seq, Stmt, Store, walk
from relaxdsl.kernels.accesses import accesses
from relaxdsl.kernels.expression_source import ExpressionPrinter
from relaxdsl.kernels.math import supported_functions
from relaxdsl.types.dtype import DTYPES

_INDENT = "    "
#: Names the source uses for itself, so that no buffer, size or loop may be called so.
_RESERVED = frozenset({"args", "lo", "hi", "inf", "nan", "fast_add", "fast_multiply", *DTYPES, *dir(builtins)})


def kernel_source(prim_func: PrimFunc) -> str:
    """The source of a scheduled kernel.

    Args:
        prim_func: without blocks, with flat indices, and with at most one parallel loop, which is the whole body.
    """
    names = _Names(prim_func)
    printer = ExpressionPrinter(prim_func.name, names.buffers, names.variables)
    lines = [*_prelude(prim_func, names), *_parallel_lines(prim_func.body, printer)]
    return "\n".join([f"def {names.function}(args, lo, hi):", *(f"{_INDENT}{line}" for line in lines)]) + "\n"


def function_name(prim_func: PrimFunc) -> str:
    """What the source calls the kernel."""
    return _Names(prim_func).function


class _Names:
    """What everything in one kernel is called in its source: its own name, unless that is taken."""

    def __init__(self, prim_func: PrimFunc) -> None:
        self.taken = set(_RESERVED | supported_functions())
        self.function = self._unique(prim_func.name)
        self.variables = {name: self._unique(name) for name in prim_func.symbols}
        self.buffers: dict[Buffer, str] = {each: self._unique(each.name) for each in (*prim_func.params, *prim_func.scratch)}
        for access in accesses(prim_func.body):
            if access.buffer not in self.buffers:
                self.buffers[access.buffer] = self._unique(access.buffer.name)
        for stmt in walk(prim_func.body):
            if isinstance(stmt, For):
                self.variables[stmt.var] = self._unique(stmt.var)

    def _unique(self, hint: str) -> str:
        base = "".join(c if c.isalnum() else "_" for c in hint)
        base = f"_{base}" if not base[:1].isalpha() and not base.startswith("_") else base
        name, number = base, 0
        while name in self.taken or keyword.iskeyword(name):
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name


def _prelude(prim_func: PrimFunc, names: _Names) -> Iterator[str]:
    """The lines that read the arguments the body uses."""
    touched = {access.buffer for access in accesses(prim_func.body)}
    slot = 0
    for buffer in prim_func.params:
        if buffer in touched:
            yield f"{names.buffers[buffer]} = {buffer.dtype}_buffer(args, {slot})"
        slot += 1
    for symbol in prim_func.symbols:
        yield f"{names.variables[symbol]} = args[{slot}]"
        slot += 1
    for buffer in prim_func.scratch:
        if buffer in touched:
            yield f"{names.buffers[buffer]} = {buffer.dtype}_buffer(args, {slot})"
        slot += 1


def _parallel_lines(body: Stmt, printer: ExpressionPrinter) -> Iterator[str]:
    """The body; its outermost loop, if it is parallel, runs over the caller's part of the range."""
    if isinstance(body, For) and body.kind == "parallel":
        yield f"for {printer.variable_names[body.var]} in range(lo, hi):"
        yield from _indented(_lines(body.body, printer))
    else:
        yield from _lines(body, printer)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in lines)


def _lines(stmt: Stmt, printer: ExpressionPrinter) -> Iterator[str]:
    match stmt:
        case Seq(()):
            yield "pass"
        case Seq(body):
            for inner in body:
                yield from _lines(inner, printer)
        case Store(buffer, indices, value):
            yield f"{printer.element(buffer, indices)} = {printer.value(value)}"
        case For():
            yield f"for {printer.variable_names[stmt.var]} in {_range(stmt, printer)}:"
            yield from _indented(_lines(stmt.body, printer))
        case IfThenElse(condition, then_body, else_body):
            yield f"if {printer.value(condition)}:"
            yield from _indented(_lines(then_body, printer))
            if else_body is not None:
                yield "else:"
                yield from _indented(_lines(else_body, printer))
        case Block(name):
            raise InternalError(f"{printer.kernel}: the block {name} is still in a scheduled kernel")


def _range(loop: For, printer: ExpressionPrinter) -> str:
    stop = printer.dim(loop.start + loop.extent).code
    return f"range({stop})" if loop.start == 0 else f"range({printer.dim(loop.start).code}, {stop})"
