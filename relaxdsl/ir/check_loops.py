"""The rules of kernels (numbers 31 to 39 of :mod:`relaxdsl.ir.rules`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, Parts, PrimFunc, Stmt, Store, sub_statements
from relaxdsl.ir.print_loops import format_scalar, summarize_stmt
from relaxdsl.ir.rules import Stage, Violation
from relaxdsl.ir.scalar import Load, Reduce, ScalarExpr
from relaxdsl.ir.visit_loops import dims_of_scalar, dims_of_stmt, scalars_of, walk_scalar
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, free_symbols


def kernel_violations(kernel: PrimFunc, name: str, stage: Stage = "graph") -> Iterator[Violation]:
    """Every violation in ``kernel``, called ``name`` in its module."""
    checker = _KernelChecker(kernel, name, stage)
    checker.signature()
    checker.stmt(kernel.body, frozenset(kernel.symbols))
    yield from checker.found


class _KernelChecker:
    """Walks a kernel; the symbols known at each point are passed down."""

    def __init__(self, kernel: PrimFunc, name: str, stage: Stage) -> None:
        self.kernel = kernel
        self.name = name
        self.stage = stage
        self.found: list[Violation] = []
        self.loop_names = set(kernel.symbols)

    def report(self, rule: int, what: str) -> None:
        self.found.append(Violation(rule, self.name, what))

    def signature(self) -> None:
        kernel = self.kernel
        if not 0 < kernel.num_outputs <= len(kernel.params):
            self.report(31, f"{counted(kernel.num_outputs, 'output')} of {counted(len(kernel.params), 'parameter')}")
        for buffer in (*kernel.params, *kernel.scratch):
            self.known(buffer.shape, frozenset(kernel.symbols), f"buffer {buffer.name}")

    # ---- statements

    def stmt(self, stmt: Stmt, symbols: frozenset[str]) -> None:
        place = f"`{summarize_stmt(stmt)}`"
        if isinstance(stmt, Block):
            self.block(stmt, symbols, place)
            return
        self.known(dims_of_stmt(stmt), symbols, place)
        for expr in scalars_of(stmt):
            self.scalar(expr, symbols, place)
        if isinstance(stmt, Store):
            self.store(stmt, place)
        elif isinstance(stmt, IfThenElse) and stmt.condition.dtype != "bool":
            self.report(37, f"the condition of {place} is {stmt.condition.dtype}")
        if isinstance(stmt, For):
            self.define(stmt.var, place)
            symbols |= {stmt.var}
        elif isinstance(stmt, Parts):
            self.define(stmt.lower, place)
            self.define(stmt.upper, place)
            symbols |= {stmt.lower, stmt.upper}
        for inner in sub_statements(stmt):
            self.stmt(inner, symbols)

    def define(self, name: str, place: str) -> None:
        if name in self.loop_names:
            self.report(32, f"{place} defines {name} again")
        self.loop_names.add(name)

    def block(self, block: Block, symbols: frozenset[str], place: str) -> None:
        if self.stage == "scheduled":
            self.report(38, f"block {block.name} is left")
        self.known((axis.extent for axis in block.iter_vars), frozenset(self.kernel.symbols), place)
        self.known((axis.binding for axis in block.iter_vars), symbols, place)
        for axis in block.iter_vars:
            self.define(axis.var, place)
        own = frozenset((*self.kernel.symbols, *(axis.var for axis in block.iter_vars)))
        for inner in sub_statements(block):
            self.stmt(inner, own)

    def store(self, store: Store, place: str) -> None:
        self.element(store.buffer, len(store.indices), place)
        if store.buffer in self.kernel.inputs:
            self.report(36, f"{place} writes the input {store.buffer.name}")
        if store.value.dtype != store.buffer.dtype:
            target = f"{store.buffer.name}, which is {store.buffer.dtype}"
            self.report(37, f"{place} stores {store.value.dtype} into {target}")

    # ---- scalar expressions

    def scalar(self, root: ScalarExpr, symbols: frozenset[str], place: str) -> None:
        for expr in walk_scalar(root):
            if isinstance(expr, Reduce):
                symbols |= {axis.name for axis in expr.axes}
            self.known(dims_of_scalar(expr), symbols, place)
            if isinstance(expr, Load):
                self.element(expr.buffer, len(expr.indices), f"`{format_scalar(expr)}` in {place}")

    def element(self, buffer: Buffer, count: int, place: str) -> None:
        declared = (*self.kernel.params, *self.kernel.scratch)
        if buffer.scope != "register" and buffer not in declared:
            self.report(33, f"{place} uses {buffer.name}, which the kernel does not declare")
        if count != len(buffer.shape):
            indices = counted(count, "index", "indices")
            self.report(34, f"{place} has {indices}, {buffer.name} has {counted(len(buffer.shape), 'axis', 'axes')}")

    def known(self, dims: Iterable[Dim], symbols: frozenset[str], place: str) -> None:
        for name in dict.fromkeys(name for dim in dims for name in free_symbols(dim)):
            if name not in symbols:
                rule = 39 if name in self.loop_names else 35
                self.report(rule, f"{place} uses {name}, which is not known there")
