"""Integer functions with NumPy's results: arithmetic wraps, division by zero gives zero, and nothing traps."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from relaxdsl.dataclass import dataclass
from relaxdsl.kernels.math.build import DOUBLE, FUSABLE, SINGLE, Format


@dataclass(frozen=True, slots=True)
class IntegerCode:
    """Where to emit, and the kind of integer."""

    builder: ir.IRBuilder
    bits: int
    signed: bool

    @property
    def kind(self) -> ir.IntType:
        return ir.IntType(self.bits)

    def constant(self, value: int) -> ir.Constant:
        return ir.Constant(self.kind, value)

    def compare(self, relation: str, a: ir.Value, b: ir.Value) -> ir.Value:
        compare = self.builder.icmp_signed if self.signed else self.builder.icmp_unsigned
        return compare(relation, a, b)

    def intrinsic(self, name: str, *arguments: ir.Value) -> ir.Value:
        signature = ir.FunctionType(self.kind, [argument.type for argument in arguments])
        declared = self.builder.module.declare_intrinsic(f"llvm.{name}", [self.kind], signature)
        return self.builder.call(declared, arguments)


IntegerFunction = Callable[..., ir.Value]


def same(code: IntegerCode, x: ir.Value) -> ir.Value:
    """floor, ceil, trunc and round of an integer; abs of a truth value."""
    return x


def absolute(code: IntegerCode, x: ir.Value) -> ir.Value:
    return code.intrinsic("abs", x, ir.Constant(ir.IntType(1), 0)) if code.signed else x


def sign(code: IntegerCode, x: ir.Value) -> ir.Value:
    zero = code.constant(0)
    positive = code.builder.zext(code.compare(">", x, zero), code.kind)
    negative = code.builder.zext(code.compare("<", x, zero), code.kind)
    return code.builder.sub(positive, negative)


def square(code: IntegerCode, x: ir.Value) -> ir.Value:
    return code.builder.mul(x, x)


def never(code: IntegerCode, x: ir.Value) -> ir.Value:
    """isnan and isinf of an integer."""
    return ir.Constant(ir.IntType(1), 0)


def always(code: IntegerCode, x: ir.Value) -> ir.Value:
    """isfinite of an integer."""
    return ir.Constant(ir.IntType(1), 1)


def maximum(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    return code.intrinsic("smax" if code.signed else "umax", x, y)


def minimum(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    return code.intrinsic("smin" if code.signed else "umin", x, y)


def _to_float(code: IntegerCode, x: ir.Value, target: Format) -> ir.Value:
    convert = code.builder.sitofp if code.signed else code.builder.uitofp
    return convert(x, target.real_type)


def _quotient_in_floats(code: IntegerCode, x: ir.Value, y: ir.Value, rounding: str) -> ir.Value:
    """x / y rounded, for integers of which the float quotient can't round to a whole number that it isn't."""
    builder, target = code.builder, SINGLE if code.bits <= 16 else DOUBLE
    ratio = builder.fdiv(_to_float(code, x, target), _to_float(code, y, target), flags=FUSABLE)
    kind = target.real_type
    declared = builder.module.declare_intrinsic(f"llvm.{rounding}", [kind], ir.FunctionType(kind, [kind]))
    whole = builder.call(declared, [ratio])
    shifted = builder.fadd(whole, ir.Constant(kind, target.rounding_shift), flags=("arcp",))
    return builder.trunc(builder.bitcast(shifted, target.bits_type), code.kind)


def _quotient_in_words(code: IntegerCode, x: ir.Value, y: ir.Value, rounding: str) -> ir.Value:
    """x / y rounded, by an integer division whose divisor is made 1 where it would trap."""
    builder, zero, one = code.builder, code.constant(0), code.constant(1)
    if not code.signed:
        return builder.udiv(x, builder.select(code.compare("==", y, zero), one, y))
    traps = builder.or_(code.compare("==", y, zero), code.compare("==", y, code.constant(-1)))
    divisor = builder.select(traps, one, y)
    quotient = builder.sdiv(x, divisor)
    if rounding == "floor":
        rest = builder.sub(x, builder.mul(quotient, divisor))
        opposite = code.compare("<", builder.xor(rest, divisor), zero)
        below = builder.and_(code.compare("!=", rest, zero), opposite)
        quotient = builder.sub(quotient, builder.zext(below, code.kind))
    return builder.select(code.compare("==", y, code.constant(-1)), builder.neg(x), quotient)


def _quotient(code: IntegerCode, x: ir.Value, y: ir.Value, rounding: str) -> ir.Value:
    """x / y rounded down or towards zero; any value where y is zero."""
    return (_quotient_in_words if code.bits == 64 else _quotient_in_floats)(code, x, y, rounding)


def _or_zero(code: IntegerCode, y: ir.Value, value: ir.Value) -> ir.Value:
    """The value, or zero where y is zero."""
    zero = code.constant(0)
    return code.builder.select(code.compare("==", y, zero), zero, value)


def floor_divide(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    return _or_zero(code, y, _quotient(code, x, y, "floor"))


def _remainder(code: IntegerCode, x: ir.Value, y: ir.Value, rounding: str) -> ir.Value:
    quotient = _quotient(code, x, y, rounding)
    return _or_zero(code, y, code.builder.sub(x, code.builder.mul(quotient, y)))


def floor_mod(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    return _remainder(code, x, y, "floor")


def mod(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    return _remainder(code, x, y, "trunc")


def _shifted(code: IntegerCode, count: ir.Value, shift: Callable[[ir.Value], ir.Value], beyond: ir.Value) -> ir.Value:
    """The shift by a count within the width, else the value given; a negative count is beyond."""
    builder = code.builder
    inside = builder.icmp_unsigned("<", count, code.constant(code.bits))
    safe = builder.and_(count, code.constant(code.bits - 1))
    return builder.select(inside, shift(safe), beyond)


def left_shift(code: IntegerCode, x: ir.Value, count: ir.Value) -> ir.Value:
    return _shifted(code, count, lambda safe: code.builder.shl(x, safe), code.constant(0))


def right_shift(code: IntegerCode, x: ir.Value, count: ir.Value) -> ir.Value:
    builder = code.builder
    if not code.signed:
        return _shifted(code, count, lambda safe: builder.lshr(x, safe), code.constant(0))
    sign_fill = builder.ashr(x, code.constant(code.bits - 1))
    return _shifted(code, count, lambda safe: builder.ashr(x, safe), sign_fill)


def _reciprocal_power(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    """x**y for negative y, cut to an integer: 1 and -1 have one, all else gives 0."""
    builder, one, zero = code.builder, code.constant(1), code.constant(0)
    odd = code.compare("!=", builder.and_(y, one), zero)
    alternating = builder.select(odd, code.constant(-1), one)
    of_minus_one = builder.select(code.compare("==", x, code.constant(-1)), alternating, zero)
    return builder.select(code.compare("==", x, one), one, of_minus_one)


def power(code: IntegerCode, x: ir.Value, y: ir.Value) -> ir.Value:
    """x**y by repeated squaring, in a loop over the digits of y; see `_reciprocal_power` for negative y."""
    builder, one, zero = code.builder, code.constant(1), code.constant(0)
    before = builder.block
    loop = builder.append_basic_block("power.loop")
    done = builder.append_basic_block("power.done")
    builder.branch(loop)
    builder.position_at_end(loop)
    result, base, left = (builder.phi(code.kind) for _ in range(3))
    odd = builder.icmp_unsigned("!=", builder.and_(left, one), zero)
    next_result = builder.select(odd, builder.mul(result, base), result)
    next_base, next_left = builder.mul(base, base), builder.lshr(left, one)
    for phi, start, following in ((result, one, next_result), (base, x, next_base), (left, y, next_left)):
        phi.add_incoming(start, before)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("==", next_left, zero), done, loop)
    builder.position_at_end(done)
    if not code.signed:
        return next_result
    return builder.select(code.compare("<", y, zero), _reciprocal_power(code, x, y), next_result)


INTEGER_FUNCTIONS: dict[str, IntegerFunction] = {
    "abs": absolute,
    "ceil": same,
    "floor": same,
    "floor_divide": floor_divide,
    "floor_mod": floor_mod,
    "isfinite": always,
    "isinf": never,
    "isnan": never,
    "left_shift": left_shift,
    "maximum": maximum,
    "minimum": minimum,
    "mod": mod,
    "power": power,
    "right_shift": right_shift,
    "round": same,
    "sign": sign,
    "square": square,
    "trunc": same,
}
BOOLEAN_FUNCTIONS = frozenset({"abs", "isfinite", "isinf", "isnan", "maximum", "minimum"})
