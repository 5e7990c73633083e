"""Writing LLVM IR with structure: loops, conditions, and vectors of one float type.

Importing this module imports llvmlite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

INT64 = ir.IntType(64)
Integer = int | Any


@dataclass(slots=True)
class CarryingLoop:
    """A loop under construction: ``values`` are those of this iteration, ``following`` those of the next one."""

    index: Any
    values: list[Any]
    following: list[Any] = field(default_factory=list)


class Emitter:
    """Writes the body of one function over floats of type ``real`` and vectors of ``lanes`` of them."""

    def __init__(self, function: ir.Function, real: ir.Type, lanes: int) -> None:
        self.function = function
        self.real = real
        self.lanes = lanes
        self.vector = ir.VectorType(real, lanes)
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    # ------------------------------------------------------------------------------------------------------ integers

    def integer(self, value: Integer) -> Any:
        return INT64(value) if isinstance(value, int) else value

    def add(self, left: Integer, right: Integer) -> Any:
        return self.builder.add(self.integer(left), self.integer(right))

    def sub(self, left: Integer, right: Integer) -> Any:
        return self.builder.sub(self.integer(left), self.integer(right))

    def mul(self, left: Integer, right: Integer) -> Any:
        return self.builder.mul(self.integer(left), self.integer(right))

    def multiple_below(self, value: Integer, step: int) -> Any:
        """The largest multiple of ``step`` that is at most ``value``, for values from 0."""
        return self.sub(value, self.builder.urem(self.integer(value), INT64(step)))

    def smaller(self, left: Integer, right: Integer) -> Any:
        left, right = self.integer(left), self.integer(right)
        return self.builder.select(self.builder.icmp_signed("<", left, right), left, right)

    def compare(self, relation: str, left: Integer, right: Integer) -> Any:
        return self.builder.icmp_signed(relation, self.integer(left), self.integer(right))

    def all(self, *conditions: Any) -> Any:
        first, *others = conditions
        for each in others:
            first = self.builder.and_(first, each)
        return first

    def any(self, *conditions: Any) -> Any:
        first, *others = conditions
        for each in others:
            first = self.builder.or_(first, each)
        return first

    # -------------------------------------------------------------------------------------------------------- control

    @contextmanager
    def loop(self, start: Integer, stop: Integer, step: Integer = 1) -> Iterator[Any]:
        """``for index in range(start, stop, step)``."""
        with self.carrying_loop(start, stop, (), step) as loop:
            yield loop.index

    @contextmanager
    def carrying_loop(
        self, start: Integer, stop: Integer, initial: Sequence[Any], step: Integer = 1
    ) -> Iterator[CarryingLoop]:
        """A loop with values that go from one iteration to the next; after it, ``values`` are the last ones."""
        builder = self.builder
        before = builder.block
        head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        index, *values = (builder.phi(each.type) for each in (INT64(0), *initial))
        for phi, value in zip((index, *values), (self.integer(start), *initial), strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(self.compare("<", index, stop), body, end)
        builder.position_at_end(body)
        loop = CarryingLoop(index, values)
        yield loop
        following = [self.add(index, step), *loop.following]
        for phi, value in zip((index, *values), following, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(end)

    # --------------------------------------------------------------------------------------------------------- memory

    def at(self, pointer: Any, offset: Integer) -> Any:
        """The address of an element."""
        return self.builder.gep(pointer, [self.integer(offset)])

    def load(self, pointer: Any, offset: Integer) -> Any:
        return self.builder.load(self.at(pointer, offset))

    def store(self, value: Any, pointer: Any, offset: Integer) -> None:
        self.builder.store(value, self.at(pointer, offset))

    def load_vector(self, pointer: Any, offset: Integer) -> Any:
        return self.builder.load(self._vector_at(pointer, offset), align=self._alignment())

    def store_vector(self, value: Any, pointer: Any, offset: Integer) -> None:
        self.builder.store(value, self._vector_at(pointer, offset), align=self._alignment())

    def _vector_at(self, pointer: Any, offset: Integer) -> Any:
        return self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())

    def _alignment(self) -> int:
        return 4 if isinstance(self.real, ir.FloatType) else 8

    # --------------------------------------------------------------------------------------------------------- floats

    @property
    def zero(self) -> Any:
        return ir.Constant(self.real, 0.0)

    @property
    def zeros(self) -> Any:
        return ir.Constant(self.vector, [self.zero] * self.lanes)

    def broadcast(self, value: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def vector_of(self, elements: Sequence[Any]) -> Any:
        """A vector of these elements."""
        vector = ir.Constant(self.vector, ir.Undefined)
        for lane, element in enumerate(elements):
            vector = self.builder.insert_element(vector, element, ir.IntType(32)(lane))
        return vector

    def multiply_add(self, left: Any, right: Any, total: Any) -> Any:
        """``left * right + total``, rounded once where the machine can."""
        kind = total.type
        lanes = f"v{self.lanes}" if isinstance(kind, ir.VectorType) else ""
        name = f"llvm.fmuladd.{lanes}{self.real.intrinsic_name}"
        module = self.builder.module
        declared = module.globals.get(name) or ir.Function(module, ir.FunctionType(kind, [kind] * 3), name)
        return self.builder.call(declared, [left, right, total])

    def plus(self, left: Any, right: Any) -> Any:
        return self.builder.fadd(left, right)

    def sum_of_lanes(self, vector: Any) -> Any:
        total = self.builder.extract_element(vector, ir.IntType(32)(0))
        for lane in range(1, self.lanes):
            total = self.plus(total, self.builder.extract_element(vector, ir.IntType(32)(lane)))
        return total
