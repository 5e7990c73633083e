"""Loops in kernels: ``range``, ``T.grid``, ``T.serial``, ``T.parallel``, ``T.vectorized``, ``T.unroll``, parts."""

from __future__ import annotations

import ast
import builtins
from typing import Any

from relaxdsl import tir
from relaxdsl.errors import ScriptError
from relaxdsl.ir.loops import (
    MOST_STEPS_UNROLLED,
    PARTS_PER_THREAD,
    For,
    LoopKind,
    Parts,
    Stmt,
    loop_variable,
    steps_written_out,
)
from relaxdsl.script.calls import positional
from relaxdsl.script.interpreter import Flow
from relaxdsl.script.loops import run_for
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter, LoopAround, kernel_statement, plain_integer
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, SymInt
from relaxdsl.types.symint import is_at_least, require_int64

_WITHOUT_UNROLLING = "use range, or unroll an inner loop of a few steps"
_KINDS: dict[Any, LoopKind] = {
    builtins.range: "serial",
    tir.serial: "serial",
    tir.parallel: "parallel",
    tir.vectorized: "vectorized",
    tir.unroll: "unrolled",
}


@kernel_statement(ast.For)
def read_for(interp: KernelInterpreter, node: ast.For) -> Flow:
    """A loop of the kernel; over anything else, a copy of the body for each Python value."""
    function = interp.evaluate(node.iter.func) if isinstance(node.iter, ast.Call) else None
    if not _is_loop(function):
        return run_for(interp, node)
    assert isinstance(node.iter, ast.Call)
    if node.orelse:
        raise ScriptError("a loop has no else", hint="write what follows below it")
    if node.iter.keywords:
        raise ScriptError("a loop takes no keyword arguments", span=interp.source.span(node.iter))
    bounds = [plain_integer(each) for each in positional(interp, node.iter)]
    _require_integers(interp, node.iter, bounds)
    if function is tir.grid:
        _read_grid(interp, node, bounds)
    elif function is tir.parts:
        _read_parts(interp, node, bounds)
    else:
        _read_loop(interp, node, _KINDS[function], bounds)
    return Flow.NEXT


def _is_loop(function: Any) -> bool:
    return isinstance(function, tir.Construct | type) and function in (*_KINDS, tir.grid, tir.parts)


def _require_integers(interp: KernelInterpreter, call: ast.Call, bounds: list[Any]) -> None:
    has_stars = len(bounds) != len(call.args)
    for bound, node in zip(bounds, [call] * len(bounds) if has_stars else call.args, strict=True):
        if isinstance(bound, tuple | list):
            word = ast.unparse(call.func)
            raise ScriptError(
                f"{word} takes its extents one by one, not as a {type(bound).__name__}",
                hint=f"write {word}(n, m), or {word}(*x.shape)",
                span=interp.source.span(node),
            )
        if not tir.all_sizes(bound):
            raise ScriptError(
                f"a loop's bound is an integer made of sizes, not `{ast.unparse(node)}`",
                hint="loop over the whole range, with an `if` inside",
                span=interp.source.span(node),
            )
        with interp.at(node):
            require_int64(bound)


def _read_grid(interp: KernelInterpreter, node: ast.For, extents: list[Dim]) -> None:
    targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
    if len(targets) != len(extents) or not extents:
        raise ScriptError(
            f"T.grid has {counted(len(extents), 'extent')} for {counted(len(targets), 'name')}",
            hint="write a name for each: for i, j in T.grid(n, m)",
            span=interp.source.span(node.iter),
        )
    _read_nest(interp, node, [(name, 0, extent) for name, extent in zip(targets, extents, strict=True)], "serial")


def _read_loop(interp: KernelInterpreter, node: ast.For, kind: LoopKind, bounds: list[Dim]) -> None:
    if len(bounds) not in (1, 2):
        is_backward = len(bounds) == 3 and isinstance(bounds[2], int) and bounds[2] < 0
        raise ScriptError(
            "a loop has a stop, or a start and a stop",
            hint="count up, and index from the end: for i in range(n): x[n - 1 - i]"
            if is_backward
            else "loop over the number of steps, and multiply: i * step",
            span=interp.source.span(node.iter),
        )
    start, stop = bounds if len(bounds) == 2 else (0, bounds[0])
    if kind == "unrolled" and not isinstance(stop - start, int):
        raise ScriptError(
            f"an unrolled loop runs {stop - start} times, which is no number",
            hint=_WITHOUT_UNROLLING,
            span=interp.source.span(node.iter),
        )
    _read_nest(interp, node, [(node.target, start, stop - start)], kind)


def _read_nest(
    interp: KernelInterpreter, node: ast.For, loops: list[tuple[ast.expr, Dim, Dim]], kind: LoopKind
) -> None:
    """The loops one inside the other, with the body in the innermost."""
    names, around, values = [], {}, {}
    for target, start, extent in loops:
        if not isinstance(target, ast.Name):
            hint = "several loops are one T.grid: for i, j in T.grid(n, m)" if isinstance(target, ast.Tuple) else None
            raise ScriptError("a loop's variable is a name", hint=hint, span=interp.source.span(target))
        name, begin, values[target.id] = _variable(interp, target.id, start, extent)
        names.append((name, begin))
        around[name] = LoopAround(target.id, start + extent, kind)
    body = _read_body(interp, node, around, values)
    for (name, begin), (_, _, extent) in zip(reversed(names), reversed(loops), strict=True):
        body = For(name, extent, body, kind, begin)
    if kind == "unrolled" and (steps := steps_written_out(body)) > MOST_STEPS_UNROLLED:
        raise ScriptError(
            f"{steps:,} steps would be written out, of {MOST_STEPS_UNROLLED:,} at most",
            hint=_WITHOUT_UNROLLING,
            span=interp.source.span(node.iter),
        )
    interp.body.append(body)


def _variable(interp: KernelInterpreter, wanted: str, start: Dim, extent: Dim) -> tuple[str, Dim, SymInt]:
    """The name of a loop's symbol, where it starts, and the value of the loop's variable.

    Symbols of loops are known to be no less than 0: where the variable may be, the loop counts its steps. Loops of
    printed kernels start where they were proved to.
    """
    if not interp.is_checked or is_at_least(start, 0):
        name = interp.fresh_variable(wanted, "loop")
        return name, start, variable(name, start, extent)
    name = interp.fresh_variable(f"{wanted}_step", "loop")
    value = loop_variable(name, extent) + start
    assert isinstance(value, SymInt)
    return name, 0, value


def _read_parts(interp: KernelInterpreter, node: ast.For, bounds: list[Dim]) -> None:
    """``for lower, upper in T.parts(extent, per_thread)``: what scheduled kernels have."""
    match node.target, [*bounds, PARTS_PER_THREAD][:2]:
        case ast.Tuple(elts=[ast.Name(id=first), ast.Name(id=second)]), [extent, per_thread] if len(bounds) <= 2:
            lower, upper = (interp.fresh_variable(each, "loop") for each in (first, second))
        case _:
            message = "T.parts has two names, an extent, and perhaps a number of parts for each thread"
            raise ScriptError(message, span=interp.source.span(node.iter))
    ends = {first: variable(lower, 0, extent + 1), second: variable(upper, 0, extent + 1)}
    around = {lower: LoopAround(first, extent + 1), upper: LoopAround(second, extent + 1)}
    interp.body.append(Parts(lower, upper, extent, _read_body(interp, node, around, ends), per_thread))


def _read_body(interp: KernelInterpreter, node: ast.For, around: dict[str, LoopAround], values: dict[str, Any]) -> Stmt:
    with interp.inside_loops(around), interp.history.loop():
        return interp.read(node.body, "loop", **values)


def variable(name: str, start: Dim, extent: Dim) -> SymInt:
    """The symbol of a loop's variable, which is known to be below the loop's stop."""
    return loop_variable(name, start + extent)
