"""What a core computes with: the elements of operands, of panels and of results, and how they are multiplied."""

from __future__ import annotations

from typing import Any, Protocol

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.contraction.emitter import INT32, Emitter

_INT8, _INT16 = ir.IntType(8), ir.IntType(16)


class Numbers(Protocol):
    """Elements of an operand, and what ``steps`` of them are in a panel: an element of the result's type."""

    @property
    def operand(self) -> ir.Type: ...

    @property
    def total(self) -> ir.Type: ...

    @property
    def steps(self) -> int: ...

    @property
    def is_read_in_place(self) -> bool:
        """Whether tiles can read operands that are not packed."""
        ...

    def join(self, parts: list[Any], emit: Emitter) -> Any:
        """The panel's element, or vector, of those of neighbouring steps."""
        ...

    def join_run(self, run: Any, emit: Emitter) -> Any:
        """The panel's vector for a vector along the steps."""
        ...

    def multiply_add(self, left: Any, right: Any, total: Any, emit: Emitter) -> Any:
        """``total`` plus the products of vectors of a panel, summed over their steps."""
        ...


@dataclass(frozen=True, slots=True)
class Floats:
    """Panels hold the operands' elements."""

    total: ir.Type
    steps: int = 1
    is_read_in_place: bool = True

    @property
    def operand(self) -> ir.Type:
        return self.total

    def join(self, parts: list[Any], emit: Emitter) -> Any:
        (part,) = parts
        return part

    def join_run(self, run: Any, emit: Emitter) -> Any:
        return run

    def multiply_add(self, left: Any, right: Any, total: Any, emit: Emitter) -> Any:
        return emit.multiply_add(left, right, total)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Panels hold two steps in 32 bits: machines multiply 16-bit integers by pairs, and add the two products."""

    is_signed: bool
    operand: ir.Type = _INT8
    total: ir.Type = INT32
    steps: int = 2
    is_read_in_place: bool = False

    def join(self, parts: list[Any], emit: Emitter) -> Any:
        even, odd = (self._widened(part, INT32, emit) for part in parts)
        shift, mask = (self._constant(even.type, value) for value in (16, 0xFFFF))
        return emit.builder.or_(emit.builder.and_(even, mask), emit.builder.shl(odd, shift))

    def join_run(self, run: Any, emit: Emitter) -> Any:
        return emit.builder.bitcast(self._widened(run, _INT16, emit), emit.vector)

    def multiply_add(self, left: Any, right: Any, total: Any, emit: Emitter) -> Any:
        """LLVM makes one or two instructions of this: pmaddwd, vpdpwssd or smull."""
        count = 2 * emit.lanes
        halves = [emit.builder.bitcast(each, ir.VectorType(_INT16, count)) for each in (left, right)]
        wide = [emit.builder.sext(each, ir.VectorType(INT32, count)) for each in halves]
        products = emit.builder.mul(*wide)
        even, odd = (emit.shuffle(products, products, range(first, count, 2)) for first in (0, 1))
        return emit.builder.add(emit.builder.add(even, odd), total)

    def _widened(self, value: Any, element: ir.Type, emit: Emitter) -> Any:
        is_vector = isinstance(value.type, ir.VectorType)
        kind = ir.VectorType(element, value.type.count) if is_vector else element
        return emit.builder.sext(value, kind) if self.is_signed else emit.builder.zext(value, kind)

    @staticmethod
    def _constant(kind: ir.Type, value: int) -> Any:
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def numbers_for(dtype: str) -> Numbers:
    """What the core for a dtype of operands computes with."""
    if dtype in ("int8", "uint8"):
        return Bytes(dtype == "int8")
    return Floats(ir.FloatType() if dtype == "float32" else ir.DoubleType())
