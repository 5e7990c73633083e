"""``from relaxdsl import tir as T``: the words of kernels written by hand, as ``@relax.prim_func`` reads them.

They are those of TVM's TensorIR where it has one. What only the parser can give a meaning is a :class:`Construct`;
scalar functions are those of ``relax.te``.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import field
from typing import Any, NoReturn

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ScriptError
from relaxdsl.ir.scalar import (
    FUSED,
    REORDERED,
    Apply,
    ScalarExpr,
    ScalarLike,
    WeakSelect,
    as_scalar,
    binary,
    map_choice,
    promote_operands,
)
from relaxdsl.ir.scalar import Cast as _CastNode
from relaxdsl.kernels.te_functions import (
    abs,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    const,
    cos,
    cosh,
    divide,
    equal,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    floor_mod,
    gelu,
    gelu_tanh,
    greater,
    greater_equal,
    if_then_else,
    infinity,
    isfinite,
    isinf,
    isnan,
    left_shift,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    log_add_exp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    max_value,
    maximum,
    min_value,
    minimum,
    mod,
    negative,
    not_equal,
    power,
    right_shift,
    round,
    rsqrt,
    sigmoid,
    sign,
    silu,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
)
from relaxdsl.tracebacks import short_tracebacks_of_methods
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import SymInt, dim_max, dim_min, floordiv, modulo
from relaxdsl.types.dims import ceildiv as _ceildiv
from relaxdsl.types.dtype import KERNEL_DTYPES, canonical_dtype, holds, is_bool, is_float
from relaxdsl.types.types import TensorType

# ------------------------------------------------------------------------------------------------ the parser's words


@dataclass(frozen=True, slots=True)
@short_tracebacks_of_methods("__call__")
class Construct:
    """A word that only ``@relax.prim_func`` gives a meaning, or refuses: then ``instead`` says what to write."""

    name: str
    instead: str | None = None

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise ScriptError(f"T.{self.name} only has a meaning inside @relax.prim_func")

    def __repr__(self) -> str:
        return f"T.{self.name}"


@dataclass(frozen=True, slots=True)
class Axis:
    """``T.axis``: the axes of a block."""

    spatial: Construct = field(default=Construct("axis.spatial"))
    reduce: Construct = field(default=Construct("axis.reduce"))
    remap: Construct = field(default=Construct("axis.remap"))
    S: Construct = field(default=Construct("axis.spatial"))
    R: Construct = field(default=Construct("axis.reduce"))
    scan: Construct = field(default=Construct("axis.scan", "loop with `for i in range(n):` without a block"))
    opaque: Construct = field(default=Construct("axis.opaque", "loop with `for i in range(n):` without a block"))

    def __repr__(self) -> str:
        return "T.axis"


grid = Construct("grid")
serial = Construct("serial")
parallel = Construct("parallel")
vectorized = Construct("vectorized")
unroll = Construct("unroll")
unrolled = unroll
parts = Construct("parts")
block = Construct("block")
sblock = block
init = Construct("init")
axis = Axis()
alloc_buffer = Construct("alloc_buffer")
sblock_alloc_buffer = alloc_buffer
register = Construct("register")
match_buffer = Construct("match_buffer")
call_extern = Construct("call_extern")
outputs = Construct("outputs")
func_attr = Construct("func_attr")
handle = Construct("handle")

reads = Construct("reads", "leave it out: what a block reads is found in its body")
writes = Construct("writes", "leave it out: what a block writes is found in its body")
where = Construct("where", "write `if condition:` around the block")
thread_binding = Construct("thread_binding", "kernels run on CPUs: write T.parallel(n)")
evaluate = Construct("evaluate", "call T.call_extern as a statement")
block_attr = Construct("block_attr", "leave it out")


@short_tracebacks_of_methods("__call__", "__getitem__")
class BufferAnnotation:
    """``T.Buffer((n, 4), "float32")``: the type of a kernel's parameter."""

    def __call__(self, shape: Any, dtype: Any = "float32") -> TensorType:
        """The type of a buffer of this shape and dtype; sizes are written as in ``relax.Tensor``."""
        if isinstance(shape, int | str | SymInt):
            shape = (shape,)
        return Tensor(shape, dtype)

    def __getitem__(self, item: Any) -> TensorType:
        return Tensor[item]

    def __repr__(self) -> str:
        return "T.Buffer"


Buffer = BufferAnnotation()

# ----------------------------------------------------------------------------------------------------------- dtypes


@dataclass(frozen=True, slots=True)
class FreshSize:
    """``T.int64()``: a size, named by what it is assigned to."""

    dtype: str

    @property
    def instead(self) -> str:
        """What to write for an element."""
        return f"{self!r} declares a size; a number is T.{self.dtype}(0)"

    def __repr__(self) -> str:
        return f"T.{self.dtype}()"


@dataclass(frozen=True, slots=True)
class DTypeFunction:
    """``T.float32``: converts to a dtype. ``n: T.int64`` declares a size, and so does ``n = T.int64()``."""

    dtype: str

    def __call__(self, value: ScalarLike | str | None = None) -> ScalarExpr | FreshSize:
        """``value`` as this dtype; a number is converted here and now.

        Raises:
            DTypeError: a number that the dtype cannot hold; kernels do not compute in the dtype.
        """
        if value is None:
            return FreshSize(self.dtype)
        if self.dtype not in KERNEL_DTYPES:
            raise DTypeError(f"{self!r}: kernels do not compute in {self.dtype}", hint="use T.float32")
        if isinstance(value, str):
            value = float(value) if is_float(self.dtype) else _number_in(value)
        if isinstance(value, builtins.bool | int | float):
            return number(value, self.dtype)
        if isinstance(value, WeakSelect):
            return map_choice(value, lambda each: number(each, self.dtype))
        return cast(value, self.dtype)

    def __repr__(self) -> str:
        return f"T.{self.dtype}"


def _number_in(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def number(value: builtins.bool | int | float, dtype: str) -> ScalarExpr:
    """A Python number as a constant of ``dtype``.

    Raises:
        DTypeError: it would lose its fraction, or not be what it says.
    """
    fits = is_float(dtype) or isinstance(value, builtins.bool) or (isinstance(value, int) and not is_bool(dtype))
    if not fits:
        raise DTypeError(f"the number {value!r} is no {dtype}", hint="write T.cast(value, dtype) to convert a value")
    if isinstance(value, int) and not holds(dtype, value):
        raise DTypeError(f"{value} does not fit into {dtype}", hint="write T.cast(value, dtype) to keep its low bits")
    return const(value, dtype)


def cast(value: ScalarLike, dtype: str) -> ScalarExpr:
    """``value`` converted as NumPy's ``astype`` does."""
    node, dtype = as_scalar(value), canonical_dtype(dtype)
    return node if node.dtype == dtype else _CastNode(node, dtype)


bool = DTypeFunction("bool")
int8 = DTypeFunction("int8")
int16 = DTypeFunction("int16")
int32 = DTypeFunction("int32")
int64 = DTypeFunction("int64")
uint8 = DTypeFunction("uint8")
uint16 = DTypeFunction("uint16")
uint32 = DTypeFunction("uint32")
uint64 = DTypeFunction("uint64")
float16 = DTypeFunction("float16")
float32 = DTypeFunction("float32")
float64 = DTypeFunction("float64")

# -------------------------------------------------------------------------------------- scalar functions, TVM's names


def _of_sizes(on_sizes: Callable[..., Any], on_scalars: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    """The function that gives a size for sizes, else a scalar."""

    def apply(left: ScalarLike, right: ScalarLike) -> Any:
        if all_sizes(left, right):
            return on_sizes(left, right)
        return on_scalars(left, right)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = doc
    return apply


def all_sizes(*values: object) -> builtins.bool:
    """Whether all values are ints or symbolic sizes."""
    return all(isinstance(each, int | SymInt) and not isinstance(each, builtins.bool) for each in values)


def _ceil_divide(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
    quotient = floor_divide(left, right)
    if is_float(quotient.dtype):
        left, right = promote_operands(left, right)
        return negative(floor_divide(negative(left), right))
    return quotient + not_equal(floor_mod(left, right), 0)  # the dtype may not hold the negative of left


min = _of_sizes(dim_min, minimum, "min", "The lesser of two values; of sizes, a size.")
max = _of_sizes(dim_max, maximum, "max", "The greater of two values; of sizes, a size.")
floordiv = _of_sizes(floordiv, floor_divide, "floordiv", "``a // b``; of sizes, a size.")
floormod = _of_sizes(modulo, floor_mod, "floormod", "``a % b``; of sizes, a size.")
ceildiv = _of_sizes(_ceildiv, _ceil_divide, "ceildiv", "``a / b`` rounded up; of sizes, a size.")
pow = power
fmod = mod
nearbyint = round
shift_left = left_shift
shift_right = right_shift
Select = if_then_else
And = logical_and
Or = logical_or
Not = logical_not
Cast = cast


def _summing(function: str, name: str) -> Callable[[ScalarLike, ScalarLike], ScalarExpr]:
    def apply(left: ScalarLike, right: ScalarLike) -> ScalarExpr:
        operands = promote_operands(left, right)
        dtype = operands[0].dtype
        return Apply(name, operands, dtype) if is_float(dtype) else binary(function, left, right)

    what = "fuse" if name in FUSED.values() else "reorder and fuse"
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"``{function}(left, right)``; of floats, what schedules write: a reduction may {what} it."
    return apply


fast_add = _summing("add", REORDERED["add"])
fast_multiply = _summing("multiply", REORDERED["multiply"])
fast_maximum = _summing("maximum", REORDERED["maximum"])
fast_minimum = _summing("minimum", REORDERED["minimum"])
fused_add = _summing("add", FUSED["add"])
fused_multiply = _summing("multiply", FUSED["multiply"])

__all__ = [
    "And",
    "Buffer",
    "Cast",
    "Not",
    "Or",
    "Select",
    "abs",
    "acos",
    "acosh",
    "alloc_buffer",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "axis",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "block",
    "bool",
    "call_extern",
    "cast",
    "ceil",
    "ceildiv",
    "const",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "fast_add",
    "fast_maximum",
    "fast_minimum",
    "fast_multiply",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "floor_mod",
    "floordiv",
    "floormod",
    "fmod",
    "func_attr",
    "fused_add",
    "fused_multiply",
    "gelu",
    "gelu_tanh",
    "greater",
    "greater_equal",
    "grid",
    "handle",
    "if_then_else",
    "infinity",
    "init",
    "int8",
    "int16",
    "int32",
    "int64",
    "isfinite",
    "isinf",
    "isnan",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_add_exp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "match_buffer",
    "max",
    "max_value",
    "maximum",
    "min",
    "min_value",
    "minimum",
    "mod",
    "nearbyint",
    "negative",
    "not_equal",
    "outputs",
    "parallel",
    "parts",
    "pow",
    "power",
    "register",
    "right_shift",
    "round",
    "rsqrt",
    "serial",
    "shift_left",
    "shift_right",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unroll",
    "unrolled",
    "vectorized",
]


def __dir__() -> list[str]:
    return sorted(__all__)
