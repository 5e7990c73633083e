"""The meaning of a kernel in block form, in NumPy: what ``fn.check`` holds compiled kernels against.

Every block runs for all points of its spatial axes at once, as arrays; reduction axes step in Python. Scalar
functions are the references of the operators with the same names, so nothing here is shared with the code generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import InternalError, KernelError
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, PrimFunc, Seq, Stmt, Store
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, ScalarVar, Select
from relaxdsl.kernels.access_errors import headline_of, hint_for, names_of_axes
from relaxdsl.kernels.access_sites import Site
from relaxdsl.operators import registry
from relaxdsl.types.atoms import FloorDiv, Min, Symbol
from relaxdsl.types.dims import Dim, evaluate, terms

Values = dict[str, Any]


def interpret_kernel(kernel: PrimFunc, inputs: Sequence[np.ndarray], symbols: Mapping[str, int]) -> list[np.ndarray]:
    """The outputs of ``kernel`` (in block form) on ``inputs``, its symbols having these values."""
    return interpret_with(BlockInterpreter(symbols), kernel, inputs, symbols)


def interpret_with(
    interpreter: BlockInterpreter, kernel: PrimFunc, inputs: Sequence[np.ndarray], symbols: Mapping[str, int]
) -> list[np.ndarray]:
    """The outputs of ``kernel`` as the interpreter runs it.

    Raises:
        KernelError: an access is out of range.
    """
    for buffer, array in zip(kernel.inputs, inputs, strict=True):
        interpreter.memory[buffer] = array
    for buffer in (*kernel.outputs, *kernel.scratch):
        shape = tuple(evaluate(size, symbols) for size in buffer.shape)
        interpreter.memory[buffer] = np.zeros(shape, buffer.dtype)
    try:
        with np.errstate(all="ignore"):
            interpreter.run(kernel.body)
    except _OutOfRangeError as error:
        site, names = error.site, names_of_axes(kernel)
        details = [f"it is {error.index}, and the size is {site.size}"]
        raise KernelError(headline_of(kernel, site, names), details=details, hint=hint_for(site, names)) from None
    return [interpreter.memory[buffer] for buffer in kernel.outputs]


class _OutOfRangeError(Exception):
    def __init__(self, site: Site, index: int) -> None:
        self.site = site
        self.index = index


class BlockInterpreter:
    """Runs a kernel's blocks; ``memory`` holds its buffers, ``values`` those of sizes, loops and axes."""

    def __init__(self, symbols: Mapping[str, int]) -> None:
        self.memory: dict[Buffer, np.ndarray] = {}
        self.values: Values = dict(symbols)
        self._guarded = 0

    def run(self, stmt: Stmt) -> None:
        """Runs loop nests around blocks: loops are what the blocks' iteration variables say, so only blocks matter."""
        match stmt:
            case Seq(body=body):
                for each in body:
                    self.run(each)
            case For(body=body):
                self.run(body)
            case Block():
                self._block(stmt)
            case _:
                raise InternalError(f"interpret_kernel: {type(stmt).__name__} outside of a block")

    def _block(self, block: Block) -> None:
        outer = dict(self.values)
        spatial = [each for each in block.iter_vars if each.kind == "spatial"]
        if any(self._dim(each.extent) == 0 for each in spatial):
            return
        self._set_grid(spatial)
        if block.init is not None:
            self._stores(block.init)
        for point in self._reduction_points([each for each in block.iter_vars if each.kind == "reduce"]):
            self.values.update(point)
            self._stores(block.body)
        self.values = outer

    def _set_grid(self, axes: Sequence[IterVar]) -> None:
        for place, axis in enumerate(axes):
            shape = [1] * len(axes)
            shape[place] = -1
            self.values[axis.var] = np.arange(self._dim(axis.extent), dtype=np.int64).reshape(shape)

    def _reduction_points(self, axes: Sequence[IterVar]) -> Iterator[dict[str, int]]:
        ranges = [range(self._dim(axis.extent)) for axis in axes]
        for point in itertools.product(*ranges):
            yield {axis.var: value for axis, value in zip(axes, point, strict=True)}

    def _stores(self, stmt: Stmt) -> None:
        for store in stmt.body if isinstance(stmt, Seq) else (stmt,):
            if not isinstance(store, Store):
                raise InternalError(f"interpret_kernel: {type(store).__name__} in a block")
            self.store(store)

    def store(self, store: Store) -> None:
        """``buffer[indices] = value`` at all points of the grid."""
        value = self.scalar(store.value)
        if store.buffer.scope == "register":  # one value per point of the grid
            self.memory[store.buffer] = np.asarray(value)
        else:
            self.memory[store.buffer][self._positions(store, store.buffer, store.indices)] = value

    # -------------------------------------------------------------------------------------- scalars

    def scalar(self, expr: ScalarExpr) -> Any:
        """The value of an expression at all points of the grid."""
        match expr:
            case Const(value=value, dtype=dtype):
                return np.dtype(dtype).type(value)
            case IndexValue(dim=dim):
                return np.asarray(self._dim(dim), np.int64)[()]
            case ScalarVar(name=name):
                return self.values[name]
            case Load(buffer=buffer, indices=indices):
                return self._load(expr, buffer, indices)
            case Cast(value=value, dtype=dtype):
                return np.asarray(self.scalar(value)).astype(dtype)[()]
            case Select():
                return self.select(expr)
            case Apply(function=function, args=args, dtype=dtype):
                definition = registry.find(function) or registry.get(f"nn.{function}")
                reference = definition.reference
                return np.asarray(reference(*map(self.scalar, args))).astype(dtype)[()]
        raise InternalError(f"interpret_kernel: {type(expr).__name__} in a block")

    def select(self, expr: Select) -> Any:
        """A choice: both sides are computed, and loads in them, which may have any index, are clipped."""
        condition = self.scalar(expr.condition)
        self._guarded += 1
        sides = self.scalar(expr.then_value), self.scalar(expr.else_value)
        self._guarded -= 1
        return np.where(condition, *sides)[()]

    def _load(self, load: Load, buffer: Buffer, indices: tuple[Index, ...]) -> Any:
        array = self.memory[buffer]
        if not self._guarded:
            return array[self._positions(load, buffer, indices)]
        positions = [np.asarray(self._index(index)) for index in indices]
        if array.size == 0:
            return np.zeros(np.broadcast_shapes(*(each.shape for each in positions)), array.dtype)
        return array[tuple(each.clip(0, size - 1) for each, size in zip(positions, array.shape, strict=True))]

    def _positions(self, node: Load | Store, buffer: Buffer, indices: tuple[Index, ...]) -> tuple[Any, ...]:
        """Where an access is at all points of the grid; buffers of registers have no axes."""
        positions = tuple(np.asarray(self._index(index)) for index in indices)
        for axis, (index, values, size) in enumerate(zip(indices, positions, self.memory[buffer].shape, strict=False)):
            wrong = values[(values < 0) | (values >= size)]
            if wrong.size:
                raise _OutOfRangeError(Site(node, buffer, axis, index, size, ()), int(wrong.flat[0]))
        return positions

    def _index(self, index: Index) -> Any:
        return self.scalar(index) if isinstance(index, ScalarExpr) else self._dim(index)

    def _dim(self, dim: Dim) -> Any:
        if isinstance(dim, int):
            return dim
        total: Any = 0
        for coefficient, monomial in terms(dim):
            product: Any = coefficient
            for atom, power in monomial:
                product = product * self._atom(atom) ** power
            total = total + product
        return total

    def _atom(self, atom: Any) -> Any:
        if isinstance(atom, Symbol):
            return self.values[atom.name]
        if isinstance(atom, FloorDiv):
            return np.floor_divide(self._dim(atom.numerator), self._dim(atom.denominator))
        first, *rest = (self._dim(arg) for arg in atom.args)
        for value in rest:
            first = (np.minimum if isinstance(atom, Min) else np.maximum)(first, value)
        return first
