"""The entry of the parser for kernels: from a function, or from printed text, to a PrimFunc."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import FunctionType, MappingProxyType
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import Definition, RelaxError
from relaxdsl.ir.loops import Buffer, For, LoopKind, PrimFunc, Stmt, map_statements, sub_statements, walk
from relaxdsl.kernels.steps_apart import unproved_loops
from relaxdsl.script import parse as programs
from relaxdsl.script.interpreter import Frame
from relaxdsl.script.scope import Scope, Surroundings, surroundings_of
from relaxdsl.script.source import Source, source_of
from relaxdsl.script.tensor_ir import blocks, expressions, loops, statements
from relaxdsl.script.tensor_ir.check import errors_of
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter, Places
from relaxdsl.script.tensor_ir.signature import count_outputs, declare_params, matched_params, size_symbols
from relaxdsl.trace.debug import DebugKernel, debug_kernel
from relaxdsl.types.bounds import sizes_of_attributes, without_bounds
from relaxdsl.types.reading import KERNEL, while_reading

# Importing these makes the kinds of syntax they handle known to the interpreter.
_LOADED = (programs, blocks, expressions, loops, statements)


@dataclass(frozen=True, slots=True)
class ParsedKernel:
    """A kernel; where it and its accesses are in the user's source, and what its loops and axes are called there.

    ``in_order`` tells of loops written as parallel or vectorized that run in order, by these kinds: their steps are not
    proved to be apart.
    """

    prim_func: PrimFunc
    definition: Definition
    places: Places
    shown: Mapping[str, str]
    in_order: Mapping[LoopKind, tuple[str, ...]]

    def in_debug_mode(self) -> DebugKernel | None:
        """The kernel that checks its accesses and knows their lines; None if there is nothing to check."""
        return debug_kernel(self.prim_func, self.places, self.shown)


def parse_kernel(function: FunctionType, attrs: Mapping[str, Any] | None = None) -> ParsedKernel:
    """The kernel that a Python function's source means.

    Raises:
        RelaxError: the source is no kernel; several errors are reported together.
    """
    found = source_of(function)
    return parse_kernel_node(found.node, found.source, surroundings_of(function), attrs or {}, is_checked=True)


def parse_kernel_node(
    node: ast.FunctionDef, source: Source, around: Surroundings, attrs: Mapping[str, Any], *, is_checked: bool
) -> ParsedKernel:
    """The kernel of a definition.

    Args:
        is_checked: whether accesses out of range are errors; those of printed kernels were checked when they were made.

    Raises:
        RelaxError: it is no kernel.
    """
    interp = KernelInterpreter(source, around, node, is_checked=is_checked)
    interp.frame = Frame(node, Scope())
    interp.attrs.update(without_bounds(attrs))
    interp.bounded = sizes_of_attributes(attrs)
    try:
        with while_reading(KERNEL):
            kernel = _read(interp, node)
        if is_checked:
            kernel = _as_it_runs(kernel)
            for error in errors_of(kernel, interp.places, interp.shown, interp.declared_outputs or ()):
                interp.report(error)
        if interp.errors:
            raise interp.errors[0]
        unproved = tuple(unproved_loops(kernel)) if is_checked else ()
        kernel = _in_order(kernel, {loop.var for loop, _ in unproved}, interp.places)
        definition = Definition(source.name_span(node), interp.param_spans)
        return ParsedKernel(kernel, definition, interp.places, interp.shown, _told(unproved, interp.shown))
    except RelaxError as error:
        errors = [*interp.errors, error] if error not in interp.errors else interp.errors
        first, *others = errors
        raise first.with_others(others) from first.__cause__


def _as_it_runs(kernel: PrimFunc) -> PrimFunc:
    """A kernel that says how its loops run keeps them; all others get the default schedule."""
    is_scheduled = any(isinstance(stmt, For) and stmt.kind != "serial" for stmt in walk(kernel.body))
    if not is_scheduled:
        return kernel
    return replace(kernel, attrs=MappingProxyType({**kernel.attrs, "scheduled": True}))


def _told(
    unproved: Iterable[tuple[For, Buffer]], shown: Mapping[str, str]
) -> Mapping[LoopKind, tuple[str, ...]]:
    """Why loops run in order, by the kind that they are written as."""
    told: dict[LoopKind, tuple[str, ...]] = {}
    for loop, buffer in unproved:
        told[loop.kind] = (*told.get(loop.kind, ()), _why_in_order(loop, buffer, shown))
    return MappingProxyType(told)


def _why_in_order(loop: For, buffer: Buffer, shown: Mapping[str, str]) -> str:
    name = shown.get(loop.var, loop.var)
    if buffer.scope == "register":
        return f"{name}: every step changes the variable {buffer.name}, begun outside of it"
    return f"{name}: two steps may touch the same element of {buffer.name}"


def _in_order(kernel: PrimFunc, loops: Collection[str], places: Places) -> PrimFunc:
    """The kernel with some of its loops serial."""

    def visit(stmt: Stmt) -> Stmt:
        inner = map_statements(stmt, visit)
        if isinstance(stmt, For) and stmt.var in loops:
            assert isinstance(inner, For)
            return replace(inner, kind="serial")
        if all(new is old for new, old in zip(sub_statements(inner), sub_statements(stmt), strict=True)):
            return stmt
        places[inner] = places.get(stmt)
        return inner

    return replace(kernel, body=visit(kernel.body)) if loops else kernel


def _read(interp: KernelInterpreter, node: ast.FunctionDef) -> PrimFunc:
    declare_params(interp, node)
    interp.run_to_end(node.body)
    if interp.errors:
        raise interp.errors[0]
    body = interp.statements()
    params = matched_params(interp, node)
    return PrimFunc(
        node.name,
        params,
        count_outputs(interp, node, params, body),
        size_symbols(interp, node, params, body),
        body,
        tuple(interp.scratch),
        MappingProxyType(dict(interp.attrs)),
    )
