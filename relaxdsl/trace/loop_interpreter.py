"""The meaning of any kernel, one element after the other, in NumPy: what ``fn.check`` holds such kernels against.

It is slow and says what each statement says; :mod:`relaxdsl.trace.block_interpreter` does whole blocks at once, for
kernels that are nothing but loop nests around blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import Block, For, IfThenElse, PrimFunc, Seq, Stmt, Store, walk
from relaxdsl.ir.scalar import Select
from relaxdsl.kernels.schedule.initial_values import set_initial_values
from relaxdsl.trace.block_interpreter import BlockInterpreter, interpret_kernel, interpret_with
from relaxdsl.types.dims import Dim, evaluate, is_symbol


def run_kernel(kernel: PrimFunc, inputs: Sequence[np.ndarray], symbols: Mapping[str, int]) -> list[np.ndarray]:
    """The outputs of ``kernel`` on ``inputs``, the fastest way that gives it its meaning."""
    interpret = interpret_kernel if _is_made_of_blocks(kernel) else interpret_loops
    return interpret(kernel, inputs, symbols)


def interpret_loops(kernel: PrimFunc, inputs: Sequence[np.ndarray], symbols: Mapping[str, int]) -> list[np.ndarray]:
    """The outputs of ``kernel`` on ``inputs``, its symbols having these values."""
    return interpret_with(_LoopInterpreter(symbols), set_initial_values(kernel), inputs, symbols)


def _is_made_of_blocks(kernel: PrimFunc) -> bool:
    """Whether the kernel is nothing but perfect nests around blocks, whose axes are the loops."""
    nests = kernel.body.body if isinstance(kernel.body, Seq) else (kernel.body,)
    return all(map(_is_nest, nests))


def _is_nest(stmt: Stmt) -> bool:
    loops: dict[str, Dim] = {}
    while isinstance(stmt, For) and stmt.start == 0:
        loops[stmt.var] = stmt.extent
        stmt = stmt.body
    if not isinstance(stmt, Block) or any(isinstance(inner, For | IfThenElse) for inner in walk(stmt)):
        return False
    return {str(axis.binding): axis.extent for axis in stmt.iter_vars if is_symbol(axis.binding)} == loops


class _LoopInterpreter(BlockInterpreter):
    """Runs every statement where it stands."""

    def run(self, stmt: Stmt) -> None:
        match stmt:
            case Seq(body=body):
                for each in body:
                    self.run(each)
            case For() if _is_nest(stmt):
                self._nest(stmt)
            case For():
                self._loop(stmt)
            case IfThenElse():
                taken = stmt.then_body if self.scalar(stmt.condition) else stmt.else_body
                if taken is not None:
                    self.run(taken)
            case Store():
                self.store(stmt)
            case Block():
                self._point(stmt)
            case _:
                raise InternalError(f"interpret_loops: no meaning for {type(stmt).__name__}")

    def _nest(self, nest: For) -> None:
        """A block and its loops: all points at once. Its init runs even where a reduction has no step."""
        blocks = BlockInterpreter(self.values)
        blocks.memory = self.memory
        blocks.run(nest)

    def _loop(self, loop: For) -> None:
        start, extent = self._number(loop.start), self._number(loop.extent)
        for value in range(start, start + extent):
            self.values[loop.var] = value
            self.run(loop.body)

    def _point(self, block: Block) -> None:
        """The block for one point."""
        for axis in block.iter_vars:
            self.values[axis.var] = self._number(axis.binding)
        self.run(block.body)

    def _number(self, dim: Dim) -> int:
        return evaluate(dim, self.values)

    def select(self, expr: Select) -> object:
        return self.scalar(expr.then_value if self.scalar(expr.condition) else expr.else_value)
