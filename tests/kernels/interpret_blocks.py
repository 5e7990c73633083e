"""A direct interpreter of kernels in block form, one element at a time: what the schedule must not change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, IterVar, PrimFunc, Seq, Stmt, Store
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, Select
from relaxdsl.types.dims import evaluate

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor_mod": np.mod,
    "mod": np.fmod,
    "bitwise_not": np.invert,
    "round": np.rint,
    "erf": lambda x: type(x)(math.erf(x)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def interpret(prim_func: PrimFunc, inputs: Sequence[NDArray[Any]], sizes: Mapping[str, int]) -> list[NDArray[Any]]:
    """The outputs of a kernel in block form."""
    machine = _Machine(dict(sizes))
    for buffer, array in zip(prim_func.inputs, inputs, strict=True):
        machine.arrays[buffer] = array
    for buffer in (*prim_func.outputs, *prim_func.scratch):
        machine.arrays[buffer] = np.zeros([evaluate(size, sizes) for size in buffer.shape], buffer.dtype)
    for nest in prim_func.body.body if isinstance(prim_func.body, Seq) else (prim_func.body,):
        machine.run(nest, is_init=True)
        machine.run(nest, is_init=False)
    return [machine.arrays[buffer] for buffer in prim_func.outputs]


class _Machine:
    """The values of loop variables and buffers.

    A nest runs twice: first every block's init, with the reduction loops at their first step, so that it runs even if a
    reduction is empty; then the bodies.
    """

    def __init__(self, values: dict[str, int]) -> None:
        self.values = values
        self.arrays: dict[Buffer, NDArray[Any]] = {}

    def run(self, stmt: Stmt, is_init: bool) -> None:
        match stmt:
            case Seq(body):
                for inner in body:
                    self.run(inner, is_init)
            case For(var, extent, body):
                count = 1 if is_init and var in _reduce_loops(stmt) else evaluate(extent, self.values)
                for step in range(count):
                    self.values[var] = step
                    self.run(body, is_init)
            case Block(_, iter_vars, body, init):
                self._bind(iter_vars)
                if is_init and init is not None:
                    self.run(init, is_init=False)
                elif not is_init:
                    self.run(body, is_init=False)
            case IfThenElse(condition, then_body, else_body):
                if self.value(condition):
                    self.run(then_body, is_init)
                elif else_body is not None:
                    self.run(else_body, is_init)
            case Store(buffer, indices, value):
                array = self.arrays.setdefault(buffer, np.zeros((), buffer.dtype))
                array[self._position(indices)] = self.value(value)

    def _bind(self, iter_vars: tuple[IterVar, ...]) -> None:
        for each in iter_vars:
            self.values[each.var] = evaluate(each.binding, self.values)

    def _position(self, indices: tuple[Index, ...]) -> tuple[int, ...]:
        position = tuple(int(self.value(i)) if isinstance(i, ScalarExpr) else evaluate(i, self.values) for i in indices)
        assert all(each >= 0 for each in position), "an index is negative"
        return position

    def value(self, expr: ScalarExpr) -> Any:
        match expr:
            case Const(value, dtype):
                return np.dtype(dtype).type(value)
            case IndexValue(dim, _):
                return np.int64(evaluate(dim, self.values))
            case Load(buffer, indices):
                return self.arrays[buffer][self._position(indices)]
            case Cast(value, dtype):
                return np.asarray(self.value(value)).astype(dtype)[()]
            case Select(condition, then_value, else_value):
                return self.value(then_value if self.value(condition) else else_value)
            case Apply(function, args, dtype):
                compute = _FUNCTIONS.get(function) or getattr(np, function)
                result = compute(*map(self.value, args))
                assert result.dtype == dtype, f"{function} gives {result.dtype}, not {dtype}"
                return result
        raise AssertionError(f"unknown expression {expr}")


def _reduce_loops(stmt: Stmt) -> set[str]:
    """The loops that a nest's block reduces over."""
    while isinstance(stmt, For):
        stmt = stmt.body
    assert isinstance(stmt, Block)
    return {str(each.binding) for each in stmt.iter_vars if each.kind == "reduce"}
