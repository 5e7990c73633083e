"""Scheduled loops as the Python source of one function, which numba compiles.

The function is ``void(int64* args, int64 lo, int64 hi)``. ``args`` holds the addresses of the parameters in order,
then the sizes, then the addresses of the scratch buffers; ``lo`` and ``hi`` are the part of the parallel loop to run.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from dataclasses import dataclass, replace

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, IfThenElse, PrimFunc, Seq, Stmt, Store, walk
from relaxdsl.kernels.accesses import accesses, dims_in
from relaxdsl.kernels.contraction.names import ENGINE_FUNCTIONS
from relaxdsl.kernels.expression_source import ExpressionPrinter
from relaxdsl.kernels.math import supported_functions
from relaxdsl.kernels.offsets import Offsets
from relaxdsl.kernels.schedule.parallel import split_preparation
from relaxdsl.types.dims import Dim, Min, free_symbols, terms
from relaxdsl.types.dtype import DTYPES

_INDENT = "    "
#: Names the source uses for itself, so that no buffer, size or loop may be called so.
_RESERVED = frozenset(
    {"args", "lo", "hi", "inf", "nan", "fast_add", "fast_multiply", *DTYPES, *ENGINE_FUNCTIONS, *dir(builtins)}
)


def kernel_source(prim_func: PrimFunc) -> str:
    """The source of a scheduled kernel.

    Args:
        prim_func: without blocks, with flat indices, and with at most one parallel loop, which is the whole body.
    """
    names = _Names(prim_func)
    printer = ExpressionPrinter(prim_func.name, names.buffers, names.variables, Offsets(frozenset(prim_func.symbols)))
    lines = [*_prelude(prim_func, names, printer), *_Writer(names, printer).body(prim_func.body)]
    return "\n".join([f"def {names.function}(args, lo, hi):", *(f"{_INDENT}{line}" for line in lines)]) + "\n"


def function_name(prim_func: PrimFunc) -> str:
    """What the source calls the kernel."""
    return _Names(prim_func).function


class _Names:
    """What everything in one kernel is called in its source: its own name, unless that is taken."""

    def __init__(self, prim_func: PrimFunc) -> None:
        self.taken = set(_RESERVED | supported_functions())
        self.function = self.unique(prim_func.name)
        self.variables = {name: self.unique(name) for name in prim_func.symbols}
        self.buffers: dict[Buffer, str] = {
            each: self.unique(each.name) for each in (*prim_func.params, *prim_func.scratch)
        }
        for access in accesses(prim_func.body):
            if access.buffer not in self.buffers:
                self.buffers[access.buffer] = self.unique(access.buffer.name)
        for stmt in walk(prim_func.body):
            if isinstance(stmt, For) and stmt.var not in self.variables:
                self.variables[stmt.var] = self.unique(stmt.var)

    def unique(self, hint: str) -> str:
        """``hint`` as an identifier that nothing else in the kernel has."""
        base = "".join(c if c.isalnum() else "_" for c in hint)
        base = f"_{base}" if not base[:1].isalpha() and not base.startswith("_") else base
        name, number = base, 0
        while name in self.taken or keyword.iskeyword(name):
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name


def _prelude(prim_func: PrimFunc, names: _Names, printer: ExpressionPrinter) -> Iterator[str]:
    """The lines that read those arguments that the body uses."""
    buffers = {access.buffer for access in accesses(prim_func.body)}
    sizes = {name for dim in dims_in(prim_func.body) for name in free_symbols(dim)}
    arguments: tuple[Buffer | str, ...] = (*prim_func.params, *prim_func.symbols, *prim_func.scratch)
    in_place = dict(prim_func.attrs.get("in_place", ()))
    for slot, argument in enumerate(arguments):
        if isinstance(argument, Buffer) and argument in buffers:
            dtype = printer.checked(argument.dtype)
            call = f"buffer_over(args, {slot}, {in_place[slot]})" if slot in in_place else f"buffer(args, {slot})"
            yield f"{names.buffers[argument]} = {dtype}_{call}"
        elif isinstance(argument, str) and argument in sizes:
            yield f"{names.variables[argument]} = args[{slot}]"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes statements; ``printer`` knows what is in scope."""

    names: _Names
    printer: ExpressionPrinter

    def body(self, stmt: Stmt) -> Iterator[str]:
        """The whole function; its outermost loop, if it is parallel, runs over the caller's part of the range."""
        before, loop = split_preparation(stmt)
        if isinstance(loop, For) and loop.kind == "parallel":
            for each in before:
                yield from self._lines(each)
            yield from self._loop(loop, "range(lo, hi)")
        else:
            yield from self._lines(stmt)

    def _lines(self, stmt: Stmt) -> Iterator[str]:
        match stmt:
            case Seq(()):
                yield "pass"
            case Seq(body):
                for inner in body:
                    yield from self._lines(inner)
            case Store(buffer, indices, value):
                yield f"{self.printer.element(buffer, indices)} = {self.printer.value(value)}"
            case CallExtern(function, arguments):
                yield f"{function}({', '.join(map(self._argument, arguments))})"
            case For():
                yield from self._loop(stmt, self._range(stmt))
            case IfThenElse():
                yield from self._branch(stmt)
            case Block(name):
                raise InternalError(f"{self.printer.kernel}: the block {name} is still in a scheduled kernel")

    def _loop(self, loop: For, span: str) -> Iterator[str]:
        yield f"for {self.names.variables[loop.var]} in {span}:"
        writer = self._with_offsets(self.printer.offsets.inside(loop.var))
        for offset in writer.printer.offsets.wanted(loop.body):
            name = self.names.unique("row")
            yield f"{_INDENT}{name} = {writer.printer.dim(offset).code}"
            writer = self._with_offsets(writer.printer.offsets.with_name(offset, name))
        yield from _indented(writer._lines(loop.body))

    def _argument(self, argument: Buffer | Dim) -> str:
        return self.names.buffers[argument] if isinstance(argument, Buffer) else self.printer.dim(argument).code

    def _with_offsets(self, offsets: Offsets) -> _Writer:
        return replace(self, printer=replace(self.printer, offsets=offsets))

    def _branch(self, branch: IfThenElse) -> Iterator[str]:
        yield f"if {self.printer.value(branch.condition)}:"
        yield from _indented(self._lines(branch.then_body))
        if branch.else_body is not None:
            yield "else:"
            yield from _indented(self._lines(branch.else_body))

    def _range(self, loop: For) -> str:
        stop = self._stop(loop)
        return f"range({stop})" if loop.start == 0 else f"range({self.printer.dim(loop.start).code}, {stop})"

    def _stop(self, loop: For) -> str:
        """Where the loop ends; ``min(n, start + 2048)`` for a block of up to 2048."""
        ((coefficient, factors), *others) = terms(loop.extent) or ((0, ()),)
        if not others and coefficient == 1 and len(factors) == 1 and isinstance(factors[0][0], Min):
            ends = (self.printer.dim(loop.start + extent).code for extent in factors[0][0].args)
            return f"min({', '.join(ends)})"
        return self.printer.dim(loop.start + loop.extent).code


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in lines)
