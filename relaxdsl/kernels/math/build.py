"""Values that write LLVM IR as they are combined: `Real`, `Bits` and `Flag` act as numbers and emit straight-line code.

A value is one number, which LLVM's vectoriser packs, or a vector of as many as its format has lanes.

Note [Flags]. numba adds the kernel's fast-math flags to every operation that has none. Under `reassoc` LLVM may turn
`(x + big) - big` into `x`, which breaks range reductions, so each operation here already carries a flag of its own:
`arcp`, which has no effect on sums and products and so stands for "as written". Calls get the kernel's flags all the
same: under `nsz` the sign of a zero is lost in fused operations.

Note [Fusing]. A sum with a product is one fused operation, but within `exactly`. Which product of two is fused is said
here, never left to LLVM, which does it one way in vectors and another in what is left over: an element's bits would
depend on where it stands, and so on where threads divide a range. Products that may be fused carry `contract`, and sums
do not, so that LLVM fuses nothing itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from llvmlite import binding, ir
from numba.core import config

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.vectors import is_arm

Number = int | float

FUSABLE = ("contract",)
AS_WRITTEN = ("arcp",)


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format: its sizes in bits, the constants that depend on them, and how many a value is."""

    bits: int
    fraction_bits: int
    max_exponent: int
    lanes: int = 1

    def of_lanes(self, lanes: int) -> Format:
        """The format of vectors of so many; of single numbers, for 1."""
        return replace(self, lanes=lanes)

    @property
    def wide(self) -> Format:
        """float64, in as many lanes."""
        return DOUBLE.of_lanes(self.lanes)

    @property
    def name(self) -> str:
        """What intrinsics call it: f32, or v16f32."""
        return f"{self.prefix}f{self.bits}"

    @property
    def prefix(self) -> str:
        """What stands before the name of an element."""
        return "" if self.lanes == 1 else f"v{self.lanes}"

    def filled_with(self, element: ir.Type) -> ir.Type:
        """The type of an element for each lane."""
        return element if self.lanes == 1 else ir.VectorType(element, self.lanes)

    @property
    def epsilon(self) -> float:
        return 2.0**-self.fraction_bits

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.max_exponent)

    @property
    def real_type(self) -> ir.Type:
        return self.filled_with(ir.FloatType() if self.bits == 32 else ir.DoubleType())

    @property
    def bits_type(self) -> ir.Type:
        return self.filled_with(ir.IntType(self.bits))

    @property
    def rounding_shift(self) -> float:
        """Adding this rounds to an integer, which is then found in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction_bits

    def nearest(self, value: float) -> float:
        """The value rounded to this format."""
        return float(struct.unpack("<f", struct.pack("<f", value))[0]) if self.bits == 32 else value

    def parts(self, value: Fraction, count: int) -> tuple[float, ...]:
        """Floats of this format, each the rounding of what the ones before it leave."""
        found: list[float] = []
        for _ in range(count):
            found.append(self.nearest(float(value)))
            value -= Fraction(found[-1])
        return tuple(found)

    def pattern(self, value: float) -> int:
        """The bits of a float as an integer."""
        real, whole = ("<f", "<I") if self.bits == 32 else ("<d", "<Q")
        return int(struct.unpack(whole, struct.pack(real, value))[0])


SINGLE = Format(bits=32, fraction_bits=23, max_exponent=127)
DOUBLE = Format(bits=64, fraction_bits=52, max_exponent=1023)


@lru_cache(maxsize=1)
def has_fused_multiply_add() -> bool:
    """Whether the machine that numba compiles for, by default this one, computes a*b + c in one instruction.

    Elsewhere `llvm.fma` is a library call, or under `contract` a product and a sum that round twice.
    """
    return is_arm() or _has("fma")


@lru_cache(maxsize=1)
def scales_by_powers_of_two() -> bool:
    """Whether the machine that numba compiles for multiplies by powers of two in one instruction, in vectors."""
    return _has("avx512f", "avx512vl")


def scales_slowly_to_zero() -> bool:
    """Whether that takes many times as long if any result of a vector is too small, zero too: Intel's processors."""
    return scales_by_powers_of_two() and not _has("sse4a")


def _has(*features: str) -> bool:
    """Whether the machine that numba compiles for has all these features."""
    settings: Any = config
    if settings.CPU_NAME or settings.CPU_FEATURES:
        return {f"+{each}" for each in features} <= set((settings.CPU_FEATURES or "").split(","))
    found = binding.get_host_cpu_features()
    return all(found.get(each) for each in features)


def call_named(builder: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """A call of the function of this name, which is declared where the module does not have it."""
    declared = builder.module.globals.get(name)
    if declared is None:
        declared = ir.Function(builder.module, ir.FunctionType(result, [each.type for each in args]), name)
    return builder.call(declared, args)


@dataclass(frozen=True, slots=True)
class Flag:
    """A truth value."""

    builder: ir.IRBuilder
    raw: ir.Value

    def __and__(self, other: Flag) -> Flag:
        return Flag(self.builder, self.builder.and_(self.raw, other.raw))

    def __or__(self, other: Flag) -> Flag:
        return Flag(self.builder, self.builder.or_(self.raw, other.raw))

    def __xor__(self, other: Flag) -> Flag:
        return Flag(self.builder, self.builder.xor(self.raw, other.raw))

    def __invert__(self) -> Flag:
        return Flag(self.builder, self.builder.not_(self.raw))

    def any_lane(self) -> ir.Value:
        """Whether it is true anywhere, as a condition to branch on."""
        if not isinstance(self.raw.type, ir.VectorType):
            return self.raw
        name = f"llvm.vector.reduce.or.v{self.raw.type.count}i1"
        return call_named(self.builder, name, ir.IntType(1), self.raw)

    def pick(self, yes: Real | Number, no: Real | Number) -> Real:
        """`yes` where true, else `no`; one of them is a `Real`."""
        like = yes if isinstance(yes, Real) else no
        assert isinstance(like, Real)
        return Real(self.builder, self.builder.select(self.raw, like.match(yes), like.match(no)), like.format)


@dataclass(frozen=True, slots=True)
class Bits:
    """The bits of a float as an integer; arithmetic wraps, and `>>` shifts zeros in."""

    builder: ir.IRBuilder
    raw: ir.Value
    format: Format

    def _combined(self, operation: str, other: Bits | int) -> Bits:
        right = other.raw if isinstance(other, Bits) else ir.Constant(self.format.bits_type, other)
        return Bits(self.builder, getattr(self.builder, operation)(self.raw, right), self.format)

    def __add__(self, other: Bits | int) -> Bits:
        return self._combined("add", other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._combined("sub", other)

    def __rsub__(self, other: int) -> Bits:
        return ~self + (other + 1)

    def __invert__(self) -> Bits:
        return Bits(self.builder, self.builder.not_(self.raw), self.format)

    def __and__(self, other: Bits | int) -> Bits:
        return self._combined("and_", other)

    def __or__(self, other: Bits | int) -> Bits:
        return self._combined("or_", other)

    def __xor__(self, other: Bits | int) -> Bits:
        return self._combined("xor", other)

    def __lshift__(self, count: int) -> Bits:
        return self._combined("shl", count)

    def __rshift__(self, count: int) -> Bits:
        return self._combined("lshr", count)

    def equals(self, other: int) -> Flag:
        return Flag(self.builder, self.builder.icmp_signed("==", self.raw, ir.Constant(self.format.bits_type, other)))

    def is_negative(self) -> Flag:
        return Flag(self.builder, self.builder.icmp_signed("<", self.raw, ir.Constant(self.format.bits_type, 0)))

    def real(self) -> Real:
        """The float with these bits."""
        return Real(self.builder, self.builder.bitcast(self.raw, self.format.real_type), self.format)


@dataclass(frozen=True, slots=True)
class Real:
    """A float32 or float64 value."""

    builder: ir.IRBuilder
    raw: ir.Value
    format: Format
    flags: tuple[str, ...] = FUSABLE

    def match(self, other: Real | Number) -> ir.Value:
        """The other operand as an LLVM value of this type."""
        return other.raw if isinstance(other, Real) else ir.Constant(self.format.real_type, float(other))

    def constant(self, value: Number) -> Real:
        return Real(self.builder, self.match(value), self.format)

    def _new(self, raw: ir.Value) -> Real:
        return Real(self.builder, raw, self.format, self.flags)

    def __add__(self, other: Real | Number) -> Real:
        left, right = self.raw, self.match(other)
        if self._is_product(left):
            return self._fused(*left.operands, right)
        if self._is_product(right):
            return self._fused(*right.operands, left)
        return self._new(self.builder.fadd(left, right, flags=AS_WRITTEN))

    def _is_product(self, raw: ir.Value) -> bool:
        """Whether what is added to this value is fused with its multiplication. See Note [Fusing]."""
        is_fusable = self.flags == FUSABLE and isinstance(raw, ir.Instruction) and raw.opname == "fmul"
        return is_fusable and "contract" in raw.flags and has_fused_multiply_add()

    def _fused(self, *terms: ir.Value) -> Real:
        return self._called(f"llvm.fma.{self.format.name}", *terms)

    def _called(self, name: str, *args: ir.Value) -> Real:
        return self._new(call_named(self.builder, name, self.format.real_type, *args))

    def _difference(self, left: ir.Value, right: ir.Value) -> Real:
        if self._is_product(left):
            return self._fused(*left.operands, self.builder.fneg(right, flags=AS_WRITTEN))
        if self._is_product(right):
            first, second = right.operands
            return self._fused(self.builder.fneg(first, flags=AS_WRITTEN), second, left)
        return self._new(self.builder.fsub(left, right, flags=AS_WRITTEN))

    def __radd__(self, other: Number) -> Real:
        return self + other

    def __sub__(self, other: Real | Number) -> Real:
        return self._difference(self.raw, self.match(other))

    def __rsub__(self, other: Number) -> Real:
        return self._difference(self.match(other), self.raw)

    def __mul__(self, other: Real | Number) -> Real:
        return self._new(self.builder.fmul(self.raw, self.match(other), flags=self.flags))

    def __rmul__(self, other: Number) -> Real:
        return self * other

    def __truediv__(self, other: Real | Number) -> Real:
        return self._new(self.builder.fdiv(self.raw, self.match(other), flags=FUSABLE))

    def __rtruediv__(self, other: Number) -> Real:
        return self._new(self.builder.fdiv(self.match(other), self.raw, flags=FUSABLE))

    def __neg__(self) -> Real:
        return self._new(self.builder.fneg(self.raw, flags=FUSABLE))

    def _compared(self, relation: str, other: Real | Number) -> Flag:
        return Flag(self.builder, self.builder.fcmp_ordered(relation, self.raw, self.match(other), flags=FUSABLE))

    def __lt__(self, other: Real | Number) -> Flag:
        return self._compared("<", other)

    def __le__(self, other: Real | Number) -> Flag:
        return self._compared("<=", other)

    def __gt__(self, other: Real | Number) -> Flag:
        return self._compared(">", other)

    def __ge__(self, other: Real | Number) -> Flag:
        return self._compared(">=", other)

    def equals(self, other: Real | Number) -> Flag:
        return self._compared("==", other)

    def is_nan(self) -> Flag:
        return Flag(self.builder, self.builder.fcmp_unordered("uno", self.raw, self.raw, flags=FUSABLE))

    def has_sign(self) -> Flag:
        """Whether the sign bit is set: true for -0.0 too."""
        return self.bits().is_negative()

    def bits(self) -> Bits:
        return Bits(self.builder, self.builder.bitcast(self.raw, self.format.bits_type), self.format)

    def exactly(self) -> Real:
        """The same value, whose sums and products are computed as written."""
        return Real(self.builder, self.raw, self.format, AS_WRITTEN)

    def fusable(self) -> Real:
        return Real(self.builder, self.raw, self.format)

    def widen(self) -> Real:
        """This value as a float64."""
        wide = self.format.wide
        if self.format == wide:
            return self
        return Real(self.builder, self.builder.fpext(self.raw, wide.real_type), wide)

    def narrow(self, target: Format) -> Real:
        """This float64 rounded to the target."""
        if target == self.format:
            return self
        return Real(self.builder, self.builder.fptrunc(self.raw, target.real_type), target)

    def intrinsic(self, name: str, *others: Real) -> Real:
        """The result of an LLVM intrinsic that maps floats to a float of the same type."""
        return self._called(f"llvm.{name}.{self.format.name}", self.raw, *(other.raw for other in others))

    def __abs__(self) -> Real:
        return self.intrinsic("fabs")

    def with_sign_of(self, other: Real) -> Real:
        return self.intrinsic("copysign", other)

    def times_power_of_two(self, exponent: Bits) -> Real:
        """This times 2**exponent, rounded once; fast where :func:`scales_by_powers_of_two`."""
        whole = self.format.filled_with(ir.IntType(32))
        narrow = exponent.raw if self.format.bits == 32 else self.builder.trunc(exponent.raw, whole)
        return self._called(f"llvm.ldexp.{self.format.name}.{self.format.prefix}i32", self.raw, narrow)

    def remainder(self, other: Real) -> Real:
        """The exact remainder of the truncated quotient."""
        return self._new(self.builder.frem(self.raw, other.raw, flags=FUSABLE))

    def sqrt(self) -> Real:
        return self.intrinsic("sqrt")

    def clamp_above(self, limit: float) -> Real:
        """The smaller of this and the limit; NaN stays."""
        return (self > limit).pick(limit, self)

    def clamp_below(self, limit: float) -> Real:
        """The larger of this and the limit; NaN stays."""
        return (self < limit).pick(limit, self)


@dataclass(frozen=True, slots=True)
class Pair:
    """An unevaluated sum: `low` holds what rounding `high` left out."""

    high: Real
    low: Real


#: A polynomial of more terms is computed as two of every second term, side by side: in one, each waits for the last.
MOST_IN_TURN = 12


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """The polynomial with these coefficients, lowest first."""
    if len(coefficients) <= MOST_IN_TURN:
        return _horner(x, coefficients)
    square = x * x
    return _horner(square, coefficients[1::2]) * x + _horner(square, coefficients[::2])


def _horner(x: Real, coefficients: Sequence[float]) -> Real:
    result = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def rounded(x: Real) -> Real:
    """The nearest integer, half to even."""
    return x.intrinsic("rint")


def head(x: Real) -> Real:
    """x rounded to half its digits, so that products of heads and of rests are exact."""
    dropped = (x.format.fraction_bits + 2) // 2
    mask = (1 << x.format.bits) - (1 << dropped)
    return ((x.bits() + (1 << (dropped - 1))) & mask).real()


def two_sum(a: Real, b: Real) -> Pair:
    """a + b without error, in any order of size."""
    a, b = a.exactly(), b.exactly()
    total = a + b
    shadow = total - a
    return Pair(total.fusable(), ((a - (total - shadow)) + (b - shadow)).fusable())


def fast_two_sum(a: Real, b: Real) -> Pair:
    """a + b without error, where |a| >= |b|."""
    a, b = a.exactly(), b.exactly()
    total = a + b
    return Pair(total.fusable(), (b - (total - a)).fusable())


def two_product(a: Real, b: Real) -> Pair:
    """a * b without error."""
    a, b = a.exactly(), b.exactly()
    product = a * b
    if has_fused_multiply_add():
        return Pair(product.fusable(), a.intrinsic("fma", b, -product).fusable())
    a_head, b_head = head(a).exactly(), head(b).exactly()
    a_rest, b_rest = a - a_head, b - b_head
    error = ((a_head * b_head - product) + a_head * b_rest + a_rest * b_head) + a_rest * b_rest
    return Pair(product.fusable(), error.fusable())


def pair_product(a: Pair, b: Pair) -> Pair:
    """a * b to nearly twice the digits of a float."""
    product = two_product(a.high, b.high)
    return fast_two_sum(product.high, product.low + a.high * b.low + a.low * b.high)


def pair_sum(a: Pair, b: Pair) -> Pair:
    """a + b to nearly twice the digits of a float, for terms of one sign."""
    total = two_sum(a.high, b.high)
    return fast_two_sum(total.high, total.low + (a.low + b.low))


def constant_pair(like: Real, value: Fraction) -> Pair:
    """A constant to twice the digits of a float."""
    high, low = like.format.parts(value, 2)
    return Pair(like.constant(high), like.constant(low))


def emit(builder: ir.IRBuilder, raw: ir.Value, bits: int) -> Real:
    """An LLVM value of a numba float type as a `Real`."""
    return Real(builder, raw, SINGLE if bits == 32 else DOUBLE)
