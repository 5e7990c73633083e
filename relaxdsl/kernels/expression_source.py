"""Scalar expressions as Python source with exactly NumPy's dtypes.

Python's operators are used where numba gives them the node's dtype and value; numba widens narrow integers, which are
cast back. Every other function is a call of a math intrinsic.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import InternalError, KernelError
from relaxdsl.ir.conditions import joined_by
from relaxdsl.ir.loops import Buffer
from relaxdsl.ir.scalar import SUMMING, Apply, Cast, Const, Index, IndexValue, Load, ScalarExpr, Select
from relaxdsl.kernels.dtypes import unsupported_dtype
from relaxdsl.kernels.math import supported_functions
from relaxdsl.kernels.offsets import Offsets
from relaxdsl.types.dims import Dim, free_symbols, substitute
from relaxdsl.types.dims import symbol as size_symbol
from relaxdsl.types.dtype import KERNEL_DTYPES, is_bool, is_float

# How tightly an expression binds, as in Python's grammar.
TERNARY, OR, AND, NOT, COMPARISON, BIT_OR, BIT_XOR, BIT_AND, SUM, PRODUCT, UNARY, ATOM = range(12)

_OPERATORS = {
    "add": ("+", SUM),
    "subtract": ("-", SUM),
    "multiply": ("*", PRODUCT),
    "divide": ("/", PRODUCT),
    "bitwise_and": ("&", BIT_AND),
    "bitwise_or": ("|", BIT_OR),
    "bitwise_xor": ("^", BIT_XOR),
    "equal": ("==", COMPARISON),
    "not_equal": ("!=", COMPARISON),
    "less": ("<", COMPARISON),
    "less_equal": ("<=", COMPARISON),
    "greater": (">", COMPARISON),
    "greater_equal": (">=", COMPARISON),
}
#: What arithmetic and logic on bools are in terms of bits.
_ON_BOOLS = {
    "add": "bitwise_or",
    "multiply": "bitwise_and",
    "maximum": "bitwise_or",
    "minimum": "bitwise_and",
    "logical_and": "bitwise_and",
    "logical_or": "bitwise_or",
    "logical_xor": "bitwise_xor",
}
#: Arithmetic of int64 that wraps around, as NumPy's. numba tells LLVM that its own never does; that of sizes stays so.
WRAPPING = {name: f"wrapping_{name}" for name in ("add", "subtract", "multiply")}
_UNARY_SIGNS = {"negative": "-", "bitwise_not": "~"}
_EXACT_IN_NUMBA = frozenset({"bool", "int64", "uint64", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Text:
    """Source text and how tightly it binds."""

    code: str
    level: int = ATOM

    def within(self, level: int) -> str:
        """The text as an operand that must bind at least as tightly as ``level``."""
        return self.code if self.level >= level else f"({self.code})"


@dataclass(frozen=True, slots=True)
class ExpressionPrinter:
    """Prints the scalar expressions and indices of one kernel.

    Args:
        kernel: its name, for messages.
        buffer_names: what each buffer is called in the source.
        variable_names: what sizes and loop variables are called, where it is not their own name.
        offsets: the parts of indices that have a name.
    """

    kernel: str
    buffer_names: Mapping[Buffer, str]
    variable_names: Mapping[str, str]
    offsets: Offsets

    def index(self, index: Index) -> str:
        """An index or a dim."""
        return self._print(index).code if isinstance(index, ScalarExpr) else self.dim(index).code

    def value(self, expr: ScalarExpr) -> str:
        """A scalar expression."""
        return self._print(expr).code

    def element(self, buffer: Buffer, indices: tuple[Index, ...]) -> str:
        """The element of a buffer, or the local variable that is a register."""
        name = self.buffer_names[buffer]
        if buffer.scope == "register":
            return name
        (position,) = indices
        return f"{name}[{self.index(position)}]"

    def dim(self, dim: Dim) -> Text:
        """A dim as integer arithmetic."""
        name, rest = self.offsets.split(dim)
        if name is None:
            return self._plain_dim(rest)
        if rest == 0:
            return Text(name)
        text = self._plain_dim(rest).code
        return Text(f"{name} - {text[1:]}" if text.startswith("-") else f"{name} + {text}", SUM)

    def _plain_dim(self, dim: Dim) -> Text:
        names = {name: self.variable_names.get(name, name) for name in free_symbols(dim)}
        renamed = {old: size_symbol(new) for old, new in names.items() if old != new}
        text = str(substitute(dim, renamed))
        return Text(text, _level(ast.parse(text, mode="eval").body))

    def _print(self, expr: ScalarExpr) -> Text:
        match expr:
            case Const():
                return self._const(expr)
            case IndexValue(dim, _):
                return self.dim(dim)
            case Load(buffer, indices):
                return Text(self.element(buffer, indices))
            case Cast(value, dtype):
                return self._cast(value, dtype)
            case Select() if joined_by(expr) is not None:
                return self._short_circuit(expr)
            case Select(condition, then_value, else_value):
                parts = (self._print(then_value), self._print(condition), self._print(else_value))
                yes, test, no = (part.within(TERNARY + 1) for part in parts)
                return Text(f"{yes} if {test} else {no}", TERNARY)
            case Apply(function, args, dtype):
                return self._apply(function, args, dtype)
        raise InternalError(f"{self.kernel}: the source has no form for {type(expr).__name__}")

    def _short_circuit(self, expr: Select) -> Text:
        joint = joined_by(expr)
        assert joint is not None
        function, sides = joint
        word, level = ("and", AND) if function == "logical_and" else ("or", OR)
        left, right = map(self._print, sides)
        return Text(f"{left.within(level)} {word} {right.within(level + 1)}", level)

    def _const(self, const: Const) -> Text:
        if const.dtype == "bool":
            return Text(str(bool(const.value)))
        number = repr(const.value) if math.isfinite(const.value) or isinstance(const.value, int) else str(const.value)
        if const.dtype in ("int64", "float64"):
            return Text(number, UNARY if number.startswith("-") else ATOM)
        return Text(f"{self.checked(const.dtype)}({number})")

    def _cast(self, value: ScalarExpr, dtype: str) -> Text:
        """As C converts, and NumPy: floats go through a signed integer to those narrower than that."""
        source = value.dtype
        text = self._print(value)
        if is_bool(dtype):
            zero = self._const(Const(0.0 if is_float(source) else 0, source))
            return text if is_bool(source) else Text(f"{text.within(COMPARISON + 1)} != {zero.code}", COMPARISON)
        inner = text.code
        if is_float(source) and dtype in ("int8", "int16", "uint8", "uint16"):
            inner = f"int32({inner})"
        elif is_float(source) and dtype == "uint32":
            inner = f"int64({inner})"
        return Text(f"{self.checked(dtype)}({inner})")

    def checked(self, dtype: str) -> str:
        """``dtype``, if kernels have it."""
        if dtype not in KERNEL_DTYPES:
            raise unsupported_dtype(self.kernel, dtype)
        return dtype

    def _apply(self, function: str, args: tuple[ScalarExpr, ...], dtype: str) -> Text:
        if is_bool(args[0].dtype):
            function = _ON_BOOLS.get(function, function)
            if function in ("logical_not", "bitwise_not"):
                return Text(f"not {self._print(args[0]).within(NOT)}", NOT)
        if function in WRAPPING and dtype == "int64":
            return self._call(WRAPPING[function], args)
        if function in _OPERATORS:
            return self._operator(function, args, dtype)
        if function in _UNARY_SIGNS:
            text = f"{_UNARY_SIGNS[function]}{self._print(args[0]).within(UNARY)}"
            return self._exact(Text(text, UNARY), dtype, exact=dtype in ("int64", "float32", "float64"))
        match function, args:
            case "fused_add", (total, Apply("fused_multiply", factors)):
                return self._call("multiply_add", (*factors, total))
            case "fused_add", (total, Apply("square", (factor,))):
                return self._call("multiply_add", (factor, factor, total))
        if function not in supported_functions() and function not in SUMMING:
            raise KernelError(f"{self.kernel}: there is no scalar function {function!r}")
        return self._call(function, args)

    def _call(self, function: str, args: tuple[ScalarExpr, ...]) -> Text:
        return Text(f"{function}({', '.join(self._print(arg).code for arg in args)})")

    def _operator(self, function: str, args: tuple[ScalarExpr, ...], dtype: str) -> Text:
        symbol, level = _OPERATORS[function]
        left, right = map(self._print, args)
        # Python chains comparisons, so neither side may be a bare one.
        tight = level + 1 if level == COMPARISON else level
        text = Text(f"{left.within(tight)} {symbol} {right.within(level + 1)}", level)
        return self._exact(text, dtype, exact=dtype in _EXACT_IN_NUMBA)

    def _exact(self, text: Text, dtype: str, exact: bool) -> Text:
        return text if exact else Text(f"{self.checked(dtype)}({text.code})")


def _level(tree: ast.expr) -> int:
    """How tightly a dim's printed form binds."""
    match tree:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return SUM
        case ast.BinOp():
            return PRODUCT
        case ast.UnaryOp():
            return UNARY
        case _:
            return ATOM
