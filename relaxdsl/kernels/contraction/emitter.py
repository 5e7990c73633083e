"""Writing LLVM IR with structure: loops, conditions, and vectors of one float type.

Importing this module imports llvmlite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.tile import LINE_BYTES
from relaxdsl.kernels.vectors import is_arm

#: How LLVM calls a register that has a vector, in 64-bit ARM processors and others.
VECTOR_REGISTER = "w" if is_arm() else "v"
INT1, INT32, INT64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
Integer = int | Any


@dataclass(slots=True)
class CarryingLoop:
    """A loop under construction: ``values`` are those of this iteration, ``following`` those of the next one, which is
    ``step`` further.
    """

    index: Any
    values: list[Any]
    step: Integer
    following: list[Any] = field(default_factory=list)


class Emitter:
    """Writes the body of one function over floats of type ``real`` and vectors of ``lanes`` of them.

    ``has_registers``: the machine has registers for such vectors.
    """

    def __init__(self, function: ir.Function, real: ir.Type, lanes: int, has_registers: bool) -> None:
        self.function = function
        self.real = real
        self.lanes = lanes
        self.has_registers = has_registers
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

    def multiple_above(self, value: Integer, step: int) -> Any:
        """The smallest multiple of ``step`` that is at least ``value``, for values from 0."""
        return self.multiple_below(self.add(value, step - 1), step)

    def smaller(self, left: Integer, right: Integer) -> Any:
        left, right = self.integer(left), self.integer(right)
        return self.builder.select(self.builder.icmp_signed("<", left, right), left, right)

    def larger(self, left: Integer, right: Integer) -> Any:
        left, right = self.integer(left), self.integer(right)
        return self.builder.select(self.builder.icmp_signed(">", left, right), left, right)

    def quotient(self, value: Integer, divisor: Integer) -> Any:
        """``value // divisor``, for values from 0."""
        return self.builder.udiv(self.integer(value), self.integer(divisor))

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

    def choose(self, condition: Any, these: Iterable[Integer], those: Iterable[Integer]) -> list[Any]:
        """Each of these values if the condition holds, and else each of those."""
        pairs = zip(these, those, strict=True)
        return [self.builder.select(condition, *map(self.integer, pair)) for pair in pairs]

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
        loop = CarryingLoop(index, values, step)
        yield loop
        following = [self.add(index, loop.step), *loop.following]
        for phi, value in zip((index, *values), following, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(end)

    @contextmanager
    def parts(self, start: Integer, stop: Integer, part: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
        """A loop over neighbouring parts: where each starts and how large it is, as ``part`` says of what is left."""
        with self.carrying_loop(start, stop, ()) as loop:
            loop.step = part(self.sub(stop, loop.index))
            yield loop.index, loop.step

    def either(self, *ways: tuple[Sequence[Any], Any]) -> list[Any]:
        """The values of the block that led here, of those of several blocks."""
        merged = [self.builder.phi(value.type) for value in ways[0][0]]
        for values, block in ways:
            for phi, value in zip(merged, values, strict=True):
                phi.add_incoming(value, block)
        return merged

    def give_back(self, condition: Any, value: Integer) -> None:
        """``if condition: return value``."""
        with self.builder.if_then(condition):
            self.builder.ret(self.integer(value))

    # --------------------------------------------------------------------------------------------------------- memory

    def at(self, pointer: Any, offset: Integer) -> Any:
        """The address of an element."""
        return self.builder.gep(pointer, [self.integer(offset)])

    def moved(self, pointer: Any, spacing: Integer) -> Any:
        """The address ``spacing`` elements on, of which LLVM does not know that it is, unless that is a constant.

        Else it computes the address of each row from that of the row before: eight additions, one after the other, in
        which time it could have multiplied sixteen vectors. Or it keeps all addresses of all steps, on the stack.
        Constants become part of the instructions that read.
        """
        moved = self.at(pointer, spacing)
        return moved if isinstance(spacing, int) else self.hidden(moved)

    def hidden(self, value: Any) -> Any:
        """A value of which LLVM does not know what it is, and so nothing that is computed from it before its turn."""
        return self.builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)

    def in_registers(self, vectors: Sequence[Any]) -> list[Any]:
        """The vectors, which are computed before anything is read that is read after this.

        Else LLVM reads the operands of several steps first, for which there are no registers.
        """
        if self.lanes == 1 or not self.has_registers:  # LLVM ends the process where it has none for a vector
            return list(vectors)
        kind, count = vectors[0].type, len(vectors)
        constraints = [*[f"={VECTOR_REGISTER}"] * count, *map(str, range(count)), "~{memory}"]
        result = kind if count == 1 else ir.LiteralStructType([kind] * count)
        function = ir.FunctionType(result, [kind] * count)
        made = self.builder.asm(function, "", ",".join(constraints), vectors, True)
        return [made] if count == 1 else [self.builder.extract_value(made, number) for number in range(count)]

    def load(self, pointer: Any, offset: Integer) -> Any:
        return self.builder.load(self.at(pointer, offset))

    def store(self, value: Any, pointer: Any, offset: Integer) -> None:
        self.builder.store(value, self.at(pointer, offset))

    @property
    def chunk_lanes(self) -> int:
        """How many elements 128 bits are: instructions that move elements are fast within these."""
        return 2 if isinstance(self.real, ir.DoubleType) else 4

    @property
    def line_lanes(self) -> int:
        """How many elements a line of the caches has."""
        return LINE_BYTES // (8 if isinstance(self.real, ir.DoubleType) else 4)

    def prefetch(self, pointer: Any, offset: Integer, for_writing: bool = False) -> None:
        """Asks for the element, which need not exist, to be brought into the caches."""
        place = self.builder.bitcast(self.at(pointer, offset), ir.IntType(8).as_pointer())
        self._intrinsic("llvm.prefetch.p0", ir.VoidType(), place, INT32(int(for_writing)), INT32(3), INT32(1))

    def are_aliases(self, spacing: Any, alias_bytes: int) -> Any:
        """Whether elements so far apart are a multiple of so many bytes apart."""
        step = alias_bytes // LINE_BYTES * self.line_lanes
        return self.compare("==", self.builder.and_(spacing, self.integer(step - 1)), 0)

    def load_vector(self, pointer: Any, offset: Integer, count: int = 0) -> Any:
        """A vector of ``count`` elements, or as many as there are lanes."""
        return self.builder.load(self._vector_at(pointer, offset, count), align=self._alignment(pointer))

    def store_vector(self, value: Any, pointer: Any, offset: Integer) -> None:
        self.builder.store(value, self._vector_at(pointer, offset, value.type.count), align=self._alignment(pointer))

    def _vector_at(self, pointer: Any, offset: Integer, count: int = 0) -> Any:
        kind = ir.VectorType(pointer.type.pointee, count or self.lanes)
        return self.builder.bitcast(self.at(pointer, offset), kind.as_pointer())

    @staticmethod
    def _alignment(pointer: Any) -> int:
        """That of one element."""
        kind = pointer.type.pointee
        return int(kind.width) // 8 if isinstance(kind, ir.IntType) else 4 if isinstance(kind, ir.FloatType) else 8

    # --------------------------------------------------------------------------------------------------------- floats

    @property
    def zero(self) -> Any:
        return ir.Constant(self.real, None)

    @property
    def zeros(self) -> Any:
        return ir.Constant(self.vector, None)

    @property
    def undefined(self) -> Any:
        return ir.Constant(self.vector, ir.Undefined)

    def broadcast(self, value: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, value, INT32(0))
        return self.shuffle(first, undefined, [0] * self.lanes)

    def vector_of(self, elements: Sequence[Any]) -> Any:
        """A vector of these elements."""
        vector = self.undefined
        for lane, element in enumerate(elements):
            vector = self.builder.insert_element(vector, element, INT32(lane))
        return vector

    def shuffle(self, left: Any, right: Any, lanes: Sequence[int]) -> Any:
        """The vector of those lanes of two vectors, the second's counted after the first's."""
        return self.builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes)))

    def multiply_add(self, left: Any, right: Any, total: Any) -> Any:
        """``left * right + total``, rounded once where the machine can."""
        kind = total.type
        lanes = f"v{self.lanes}" if isinstance(kind, ir.VectorType) else ""
        return self._intrinsic(f"llvm.fmuladd.{lanes}{self.real.intrinsic_name}", kind, left, right, total)

    def _intrinsic(self, name: str, result: ir.Type, *arguments: Any) -> Any:
        module = self.builder.module
        kind = ir.FunctionType(result, [each.type for each in arguments])
        declared = module.globals.get(name) or ir.Function(module, kind, name)
        return self.builder.call(declared, arguments)

    def plus(self, left: Any, right: Any) -> Any:
        return self.builder.fadd(left, right)

    def sums_of_lanes(self, vectors: Sequence[Any]) -> Any:
        """A vector of 128 bits, or of as many lanes as there are if they are fewer: the sum of each vector's lanes.

        Each is added in the same order, wherever it stands: first halves to halves, then neighbours to neighbours.
        """
        width, chunk = self.lanes, min(self.lanes, self.chunk_lanes)
        while width > chunk:
            vectors = [self._halves_added(each, width // 2) for each in vectors]
            width //= 2
        rows = [*vectors, *[vectors[-1]] * (chunk - len(vectors))]
        while len(rows) > 1:
            rows = [self._neighbours_added(*pair, chunk) for pair in zip(rows[::2], rows[1::2], strict=True)]
        return rows[0]

    def _halves_added(self, vector: Any, half: int) -> Any:
        lower, upper = (self.shuffle(vector, vector, range(first, first + half)) for first in (0, half))
        return self.plus(lower, upper)

    def _neighbours_added(self, left: Any, right: Any, lanes: int) -> Any:
        even, odd = (self.shuffle(left, right, range(first, 2 * lanes, 2)) for first in (0, 1))
        return self.plus(even, odd)

    # ---------------------------------------------------------------------------------------------------------- masks

    def lanes_below(self, count: Integer) -> Any:
        """Which lanes are the first ``count``."""
        return self.builder.icmp_signed("<", self._numbers(1), self.broadcast(self.integer(count)))

    def _numbers(self, spacing: int) -> Any:
        return ir.Constant(ir.VectorType(INT64, self.lanes), [spacing * lane for lane in range(self.lanes)])

    def are_from(self, numbers: Any, first: Any, spacing: int) -> Any:
        """Which lanes of a vector of integers are ``first + spacing * lane``."""
        return self.builder.icmp_signed("==", numbers, self.builder.add(self.broadcast(first), self._numbers(spacing)))

    def every(self, mask: Any) -> Any:
        bits = ir.IntType(self.lanes)
        return self.builder.icmp_unsigned("==", self.builder.bitcast(mask, bits), bits(-1))

    def first_false(self, mask: Any) -> Any:
        """The first lane that is not set; the number of lanes if there is none."""
        bits = self.builder.zext(self.builder.bitcast(self.builder.not_(mask), ir.IntType(self.lanes)), INT64)
        guarded = self.builder.or_(bits, INT64(1 << self.lanes))
        return self._intrinsic("llvm.cttz.i64", INT64, guarded, INT1(1))

    def load_masked(self, pointer: Any, offset: Integer, mask: Any, otherwise: Any = None) -> Any:
        """A vector of which only the lanes in the mask are read; the others are ``otherwise``'s."""
        kind = ir.VectorType(pointer.type.pointee, self.lanes)
        place = self._vector_at(pointer, offset)
        name = f"llvm.masked.load.v{self.lanes}{self._code(pointer.type.pointee)}.p0"
        otherwise = ir.Constant(kind, None) if otherwise is None else otherwise
        return self._intrinsic(name, kind, place, INT32(self._alignment(pointer)), mask, otherwise)

    def store_masked(self, value: Any, pointer: Any, offset: Integer, mask: Any) -> None:
        """Stores only the lanes in the mask."""
        place = self._vector_at(pointer, offset)
        name = f"llvm.masked.store.v{self.lanes}{self._code(pointer.type.pointee)}.p0"
        self._intrinsic(name, ir.VoidType(), value, place, INT32(self._alignment(pointer)), mask)

    @staticmethod
    def _code(kind: ir.Type) -> str:
        return f"i{kind.width}" if isinstance(kind, ir.IntType) else str(kind.intrinsic_name)
