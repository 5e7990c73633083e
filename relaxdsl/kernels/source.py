"""Scheduled loops as the Python source of one function, which numba compiles.

The function is ``void(int64* args, int64 lo, int64 hi)``. ``args`` holds the addresses of the parameters in order,
then the sizes, the addresses of the shared buffers, the number of the phase where there are several, and the addresses
of the scratch buffers; ``lo`` and ``hi`` are the part of the phase's range to run.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError, KernelError
from relaxdsl.ir.loops import Block, Buffer, CallExtern, For, IfThenElse, Parts, PrimFunc, Seq, Stmt, Store, walk
from relaxdsl.ir.scalar import REORDERED, SUMMING, Apply
from relaxdsl.kernels.accesses import accesses, dims_in
from relaxdsl.kernels.contraction.names import ENGINE_FUNCTIONS
from relaxdsl.kernels.expression_source import SUM, WRAPPING, ExpressionPrinter
from relaxdsl.kernels.math import supported_functions
from relaxdsl.kernels.offsets import Offsets
from relaxdsl.kernels.schedule.parallel import is_divided, phases
from relaxdsl.kernels.schedule.steps import MAX_STEPS
from relaxdsl.types.dims import Dim, Min, free_symbols, terms
from relaxdsl.types.dtype import DTYPES

_INDENT = "    "
#: Stands for the number of the phase among a kernel's arguments; no identifier, so that no size has this name.
PHASE_NUMBER = "phase.number"
#: Names the source uses for itself, so that no buffer, size or loop may be called so.
_RESERVED = frozenset(
    {
        *("args", "lo", "hi", "phase", "inf", "nan", *SUMMING, "multiply_add", *WRAPPING.values(), "lanes"),
        *(*DTYPES, *ENGINE_FUNCTIONS, *dir(builtins)),
    }
)


def kernel_source(prim_func: PrimFunc) -> str:
    """The source of a scheduled kernel.

    Args:
        prim_func: without blocks, with flat indices, and parallel only where a loop is a phase.
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
            elif isinstance(stmt, Parts):
                self.variables |= {stmt.lower: "lo", stmt.upper: "hi"}

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


def kernel_arguments(prim_func: PrimFunc) -> tuple[Buffer | str, ...]:
    """What a scheduled kernel is passed, in order: buffers' addresses, sizes by name, the number of the phase."""
    shared = (each for each in prim_func.scratch if each.scope == "shared")
    number = (PHASE_NUMBER,) if len(phases(prim_func.body)) > 1 else ()
    scratch = (each for each in prim_func.scratch if each.scope == "scratch")
    return (*prim_func.params, *prim_func.symbols, *shared, *number, *scratch)


def _prelude(prim_func: PrimFunc, names: _Names, printer: ExpressionPrinter) -> Iterator[str]:
    """The lines that read those arguments that the body uses."""
    buffers = {access.buffer for access in accesses(prim_func.body)}
    sizes = {name for dim in dims_in(prim_func.body) for name in free_symbols(dim)}
    in_place = dict(prim_func.attrs.get("in_place", ()))
    for slot, argument in enumerate(kernel_arguments(prim_func)):
        if isinstance(argument, Buffer) and argument in buffers:
            dtype = printer.checked(argument.dtype)
            yield f"{names.buffers[argument]} = {dtype}_buffer(args, {in_place.get(slot, slot)})"
        elif argument == PHASE_NUMBER:
            yield f"phase = args[{slot}]"
        elif isinstance(argument, str) and argument in sizes:
            yield f"{names.variables[argument]} = args[{slot}]"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes statements; ``printer`` knows what is in scope."""

    names: _Names
    printer: ExpressionPrinter

    def body(self, stmt: Stmt) -> Iterator[str]:
        """The whole function: the phase that is asked for."""
        split = phases(stmt)
        if len(split) == 1:
            yield from self._phase(stmt)
            return
        for number, phase in enumerate(split):
            yield f"{'elif' if number else 'if'} phase == {number}:"
            yield from _indented(self._phase(phase))

    def _phase(self, phase: Stmt) -> Iterator[str]:
        """A phase; its outermost loop, if it is parallel, runs over the caller's part of the range."""
        if isinstance(phase, Parts):
            yield from self._with_rows(phase.body, phase.lower, phase.upper)
        elif isinstance(phase, For) and is_divided(phase):
            start = "" if phase.start == 0 else f"{self.printer.dim(phase.start).within(SUM)} + "
            yield from self._loop(phase, f"range({start}lo, {start}hi)")
        else:
            yield from self._lines(phase)

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
                if function not in ENGINE_FUNCTIONS:  # anything else in there would be source as well
                    raise KernelError(f"{self.printer.kernel}: kernels know no function {function!r}")
                yield f"{function}({', '.join(map(self._argument, arguments))})"
            case For():
                yield from self._loop(stmt, self._range(stmt))
            case IfThenElse():
                yield from self._branch(stmt)
            case Parts():
                raise InternalError(f"{self.printer.kernel}: parts of a range stand inside of another statement")
            case Block(name):
                raise InternalError(f"{self.printer.kernel}: the block {name} is still in a scheduled kernel")

    def _loop(self, loop: For, span: str) -> Iterator[str]:
        yield f"for {self.names.variables[loop.var]} in {span}:"
        yield from _indented(self._with_rows(loop.body, loop.var))

    def _with_rows(self, body: Stmt, *variables: str) -> Iterator[str]:
        """The body, inside of which the variables are known; before it, the offsets that its loops share."""
        offsets = self.printer.offsets
        for variable in variables:
            offsets = offsets.inside(variable)
        writer = self._with_offsets(offsets)
        for offset in offsets.wanted(body):
            name = self.names.unique("row")
            yield f"{name} = {writer.printer.dim(offset).code}"
            writer = self._with_offsets(writer.printer.offsets.with_name(offset, name))
        yield from writer._lines(body)

    def _argument(self, argument: Buffer | Dim) -> str:
        return self.names.buffers[argument] if isinstance(argument, Buffer) else self.printer.dim(argument).code

    def _with_offsets(self, offsets: Offsets) -> _Writer:
        return replace(self, printer=replace(self.printer, offsets=offsets))

    def _branch(self, branch: IfThenElse, word: str = "if") -> Iterator[str]:
        yield f"{word} {self.printer.value(branch.condition)}:"
        yield from _indented(self._lines(branch.then_body))
        if isinstance(branch.else_body, IfThenElse):
            yield from self._branch(branch.else_body, "elif")
        elif branch.else_body is not None:
            yield "else:"
            yield from _indented(self._lines(branch.else_body))

    def _range(self, loop: For) -> str:
        stop = self._stop(loop)
        if _is_hidden(loop):
            return f"range(lanes({stop}))"
        return f"range({stop})" if loop.start == 0 else f"range({self.printer.dim(loop.start).code}, {stop})"

    def _stop(self, loop: For) -> str:
        """Where the loop ends; ``min(n, start + 2048)`` for a block of up to 2048."""
        ((coefficient, factors), *others) = terms(loop.extent) or ((0, ()),)
        if not others and coefficient == 1 and len(factors) == 1 and isinstance(factors[0][0], Min):
            ends = (self.printer.dim(loop.start + extent).code for extent in factors[0][0].args)
            return f"min({', '.join(ends)})"
        return self.printer.dim(loop.start + loop.extent).code


def _is_hidden(loop: For) -> bool:
    """Whether LLVM must not see how often a loop runs, so that it does not write the loop out.

    It should make vectors of some; others are sums in whatever order it likes. Of a sum that is written out it adds the
    terms of several rows at once, and those of the rows left over in another order: then a result would depend on which
    part of the range its row is in.
    """
    is_sum = isinstance(loop.extent, int) and loop.extent > MAX_STEPS and _sums_freely(loop)
    return isinstance(loop.extent, int) and loop.start == 0 and (loop.kind == "vectorized" or is_sum)


def _sums_freely(loop: For) -> bool:
    inside = list(walk(loop.body))
    values = [each.value for each in inside if isinstance(each, Store)]
    adds = any(isinstance(value, Apply) and value.function in REORDERED.values() for value in values)
    return adds and not any(isinstance(each, For) for each in inside)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}" for line in lines)
