"""Scalar expressions: what one element of a kernel computes. TE bodies and loop bodies are made of them.

An index is a dim wherever it is affine (so the dims' prover simplifies it) and a scalar expression where it
depends on data.
Loop variables and reduction axes are dims too: symbols with a range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, KernelError
from relaxdsl.types.dims import Dim, DimCompare, SymInt
from relaxdsl.types.dtype import DTYPES, canonical_dtype, holds, is_bool, is_float, is_integer, itemsize, promote
from relaxdsl.types.reading import reading
from relaxdsl.types.symint import does_user_compare

if TYPE_CHECKING:
    from relaxdsl.ir.loops import Buffer

# Functions an Apply may name, by number of arguments. "div" is true division; "floor_divide" and "floor_mod" are
# Python's, "mod" is C's fmod. All but the arithmetic operators are implemented by relaxdsl.kernels.math.
ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "negative"})
COMPARISON_NAMES = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}
COMPARISONS = frozenset(COMPARISON_NAMES.values())
LOGICAL = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})
BITWISE = frozenset({"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "left_shift", "right_shift"})
PREDICATES = frozenset({"isnan", "isinf", "isfinite"})
# Functions of numbers that bools do not have. They do have add and multiply, which are "or" and "and", as in NumPy.
NOT_OF_BOOLS = frozenset(
    {
        "floor_divide",
        "floor_mod",
        "left_shift",
        "mod",
        "negative",
        "power",
        "right_shift",
        "sign",
        "square",
        "subtract",
    }
)
# Of integers, their low bits depend on the operands' low bits only: narrow ones give what wide ones would.
MODULAR = frozenset({"add", "subtract", "multiply", "bitwise_and", "bitwise_or", "bitwise_xor"})

# Written by the schedule for the combination step of a float reduction only: an addition or multiplication whose
# terms may be reordered (into vector lanes) and fused (into multiply-adds); an extreme to which both zeros are alike.
REORDERED = {
    "add": "fast_add",
    "multiply": "fast_multiply",
    "maximum": "fast_maximum",
    "minimum": "fast_minimum",
}
# The same for a few terms, which stay in order: they may be fused into multiply-adds, no more.
FUSED = {"add": "fused_add", "multiply": "fused_multiply"}
SUMMING = frozenset({*REORDERED.values(), *FUSED.values()})

Index: TypeAlias = "Dim | ScalarExpr"
ScalarLike: TypeAlias = "ScalarExpr | Dim | float | bool | DimCompare"


class ScalarExpr:
    """A scalar expression of one dtype. Operators build nodes; numbers and dims take the other operand's dtype."""

    __slots__ = ()
    __array_ufunc__: ClassVar[Any] = None
    """What NumPy calls for ``np.exp(x[i])``: set by :mod:`relaxdsl.operators.numpy_protocol`."""

    dtype: str

    def __add__(self, other: ScalarLike) -> ScalarExpr:
        return binary("add", self, other)

    def __radd__(self, other: ScalarLike) -> ScalarExpr:
        return binary("add", other, self)

    def __sub__(self, other: ScalarLike) -> ScalarExpr:
        return binary("subtract", self, other)

    def __rsub__(self, other: ScalarLike) -> ScalarExpr:
        return binary("subtract", other, self)

    def __mul__(self, other: ScalarLike) -> ScalarExpr:
        return binary("multiply", self, other)

    def __rmul__(self, other: ScalarLike) -> ScalarExpr:
        return binary("multiply", other, self)

    def __truediv__(self, other: ScalarLike) -> ScalarExpr:
        return binary("divide", self, other)

    def __rtruediv__(self, other: ScalarLike) -> ScalarExpr:
        return binary("divide", other, self)

    def __floordiv__(self, other: ScalarLike) -> ScalarExpr:
        return binary("floor_divide", self, other)

    def __rfloordiv__(self, other: ScalarLike) -> ScalarExpr:
        return binary("floor_divide", other, self)

    def __mod__(self, other: ScalarLike) -> ScalarExpr:
        return binary("floor_mod", self, other)

    def __rmod__(self, other: ScalarLike) -> ScalarExpr:
        return binary("floor_mod", other, self)

    def __pow__(self, other: ScalarLike) -> ScalarExpr:
        return binary("power", self, other)

    def __rpow__(self, other: ScalarLike) -> ScalarExpr:
        return binary("power", other, self)

    def __and__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_and", self, other)

    def __or__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_or", self, other)

    def __xor__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_xor", self, other)

    def __lshift__(self, other: ScalarLike) -> ScalarExpr:
        return binary("left_shift", self, other)

    def __rshift__(self, other: ScalarLike) -> ScalarExpr:
        return binary("right_shift", self, other)

    def __rand__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_and", other, self)

    def __ror__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_or", other, self)

    def __rxor__(self, other: ScalarLike) -> ScalarExpr:
        return binary("bitwise_xor", other, self)

    def __rlshift__(self, other: ScalarLike) -> ScalarExpr:
        return binary("left_shift", other, self)

    def __rrshift__(self, other: ScalarLike) -> ScalarExpr:
        return binary("right_shift", other, self)

    def __divmod__(self, other: ScalarLike) -> tuple[ScalarExpr, ScalarExpr]:
        return self // other, self % other

    def __rdivmod__(self, other: ScalarLike) -> tuple[ScalarExpr, ScalarExpr]:
        return other // self, other % self

    def __neg__(self) -> ScalarExpr:
        return unary("negative", self)

    def __invert__(self) -> ScalarExpr:
        return unary("bitwise_not", self)

    def __abs__(self) -> ScalarExpr:
        return unary("abs", self)

    def __lt__(self, other: ScalarLike) -> ScalarExpr:
        return binary("less", self, other)

    def __le__(self, other: ScalarLike) -> ScalarExpr:
        return binary("less_equal", self, other)

    def __gt__(self, other: ScalarLike) -> ScalarExpr:
        return binary("greater", self, other)

    def __ge__(self, other: ScalarLike) -> ScalarExpr:
        return binary("greater_equal", self, other)

    def __eq__(self, other: object) -> Any:
        """A user's ``==`` is a condition of the kernel; relaxdsl's own asks whether both are one node."""
        return self._compared("equal", other)

    def __ne__(self, other: object) -> Any:
        return self._compared("not_equal", other)

    def _compared(self, function: str, other: object) -> Any:
        if not does_user_compare():
            return NotImplemented
        return binary(function, self, other)  # type: ignore[arg-type]  # what is no element is an error there

    __hash__ = object.__hash__

    def equal(self, other: ScalarLike) -> ScalarExpr:
        """Elementwise ``==``."""
        return binary("equal", self, other)

    def not_equal(self, other: ScalarLike) -> ScalarExpr:
        """Elementwise ``!=``."""
        return binary("not_equal", self, other)

    def astype(self, dtype: str) -> ScalarExpr:
        """This value converted to ``dtype``."""
        return cast(self, dtype)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)  # a format is one of numbers, which elements refuse

    def __float__(self) -> float:
        headline = "an element is no number of Python: it is computed when the kernel runs"
        raise KernelError(headline, hint=reading().functions)

    __int__ = __complex__ = __float__

    def __round__(self, digits: int | None = None) -> ScalarExpr:
        raise _python_function("round")

    def __floor__(self) -> ScalarExpr:
        raise _python_function("floor")

    def __ceil__(self) -> ScalarExpr:
        raise _python_function("ceil")

    def __trunc__(self) -> ScalarExpr:
        raise _python_function("trunc")

    def __bool__(self) -> bool:
        words = reading().words
        raise KernelError(
            "an element has no truth value: it is computed when the kernel runs",
            hint=f"use {words}.if_then_else(condition, a, b), {words}.logical_and(a, b) or {words}.logical_or(a, b)",
        )


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Const(ScalarExpr):
    """A number."""

    value: int | float | bool
    dtype: str


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class IndexValue(ScalarExpr):
    """A dim (a size, a loop variable, or arithmetic over them) as an int64 value."""

    dim: Dim
    dtype: str = "int64"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class ScalarVar(ScalarExpr):
    """A named scalar: the operands of a combiner."""

    name: str
    dtype: str


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Load(ScalarExpr):
    """An element of a buffer."""

    buffer: Buffer
    indices: tuple[Index, ...]

    @property
    def dtype(self) -> str:  # type: ignore[override]
        return self.buffer.dtype


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Apply(ScalarExpr):
    """A scalar function of scalars: arithmetic, comparison, logic or mathematics, by the operator's name."""

    function: str
    args: tuple[ScalarExpr, ...]
    dtype: str


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Cast(ScalarExpr):
    """A conversion as NumPy's ``astype`` does it."""

    value: ScalarExpr
    dtype: str


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Select(ScalarExpr):
    """``then_value if condition else else_value``; only the chosen side is evaluated, so it may guard a load."""

    condition: ScalarExpr
    then_value: ScalarExpr
    else_value: ScalarExpr

    @property
    def dtype(self) -> str:  # type: ignore[override]
        return self.then_value.dtype


class WeakSelect(Select):
    """A choice between Python numbers. It takes the other operand's dtype, as they do; then it is a plain Select."""

    __slots__ = ()


@dataclass(frozen=True, eq=False, slots=True)
class Combiner:
    """How a reduction combines: ``results`` are expressions over the ScalarVars ``left`` and ``right``.

    ``name`` is sum, prod, min, max or a user's. ``identities`` are the initial values. The operation is associative and
    commutative.
    """

    name: str
    left: tuple[ScalarVar, ...]
    right: tuple[ScalarVar, ...]
    results: tuple[ScalarExpr, ...]
    identities: tuple[ScalarExpr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class ReduceAxis:
    """A reduction axis: the symbol ``name`` runs over ``0 … extent - 1``."""

    name: str
    extent: Dim


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Reduce(ScalarExpr):
    """A reduction of ``sources`` over ``axes``; its value is component ``index``. Only at the top of a TE body."""

    combiner: Combiner
    sources: tuple[ScalarExpr, ...]
    axes: tuple[ReduceAxis, ...]
    index: int = 0

    @property
    def dtype(self) -> str:  # type: ignore[override]
        return self.combiner.results[self.index].dtype


# ---------------------------------------------------------------------------- construction


def const(value: int | float | bool, dtype: str) -> Const:
    """The number ``value`` as ``dtype``."""
    dtype = canonical_dtype(dtype)
    if dtype == "bool":
        return Const(bool(value), dtype)
    return Const(float(value) if dtype.startswith("float") else int(value), dtype)


def as_scalar(value: ScalarLike, dtype: str | None = None) -> ScalarExpr:
    """``value`` as a node; Python numbers and dims take ``dtype`` if it is given."""
    if isinstance(value, ScalarExpr):
        return value
    if isinstance(value, DimCompare):
        return Apply(COMPARISON_NAMES[value.op], (as_scalar(value.left), as_scalar(value.right)), "bool")
    if isinstance(value, SymInt):
        index = IndexValue(value)
        return index if dtype in (None, "int64") else Cast(index, dtype)
    if isinstance(value, np.generic):
        return const(value.item(), str(value.dtype))
    if isinstance(value, bool | int | float):
        return const(value, dtype if dtype is not None else _default_dtype(value))
    raise _no_element(value)


def whole_is_no_element(buffer: Buffer) -> KernelError:
    """The error for a whole tensor where an element is wanted."""
    return KernelError(f"{buffer.name} is no element", hint=f"index it: {element_of(buffer)}")


def _no_element(value: object) -> KernelError:
    buffer = getattr(value, "buffer", None)
    if buffer is not None:
        return whole_is_no_element(buffer)
    if isinstance(value, np.ndarray):
        hint = "make it an argument, and index it like the others: w[i]"
        return KernelError(f"an array of shape {value.shape} is no element", hint=hint)
    if isinstance(value, str) and value in DTYPES:
        return KernelError(
            f"the dtype {value!r} is no element",
            hint=f'it stands after what is converted: {reading().words}.cast(x[i], "{value}")',
        )
    if hasattr(value, "type"):  # a value of a function
        hint = "functions of whole tensors are those of relax: relax.exp(x)"
        return KernelError("a whole tensor is no element", hint=hint)
    return KernelError(f"{value!r} is no element", hint=getattr(value, "instead", None) or reading().functions)


def _python_function(name: str) -> KernelError:
    hint = f"write {reading().words}.{name}(x[i])"
    return KernelError(f"{name}: a function of Python cannot take an element", hint=hint)


def element_of(buffer: Buffer) -> str:
    """An element as it is written: ``x[i, j]``."""
    return f"{buffer.name}[{axes_of(buffer) or '()'}]"


def axes_of(buffer: Buffer) -> str:
    """Its indices as they are written: ``i, j``."""
    return ", ".join("ijklmnop"[: len(buffer.shape)])


def unary(function: str, value: ScalarLike) -> ScalarExpr:
    """``function(value)`` of the value's dtype (bool for predicates).

    Raises:
        DTypeError: the value is a bool, or a float, and these have no such function.
    """
    operand = as_scalar(value)
    _require_function(function, operand.dtype)
    if function in BITWISE:
        _require_bits(function, operand)
    if function == "negative" and isinstance(operand, Const) and is_float(operand.dtype):
        return const(-operand.value, operand.dtype)
    return Apply(function, (operand,), "bool" if function in PREDICATES else operand.dtype)


def binary(function: str, left: ScalarLike, right: ScalarLike) -> ScalarExpr:
    """``function(left, right)``; dtypes promote as NumPy's, numbers and dims are weak, ``divide`` gives floats.

    A dim beside a narrow integer is not cut to its bits where that would change the result.

    Raises:
        DTypeError: a number does not fit into the dtype of the other operand, or the dtypes have no such function.
    """
    if function in BITWISE:
        _require_bits(function, left, right)
    narrow = None if function in MODULAR else _narrow_beside_dim(left, right)
    if narrow is not None:
        result = binary(function, *(cast(as_scalar(each), "int64") for each in (left, right)))
        return cast(result, narrow) if result.dtype == "int64" else result
    left, right = promote_operands(left, right)
    _require_function(function, left.dtype)
    if function == "divide" and not is_float(left.dtype):
        left, right = cast(left, "float64"), cast(right, "float64")
    return Apply(function, (left, right), "bool" if function in COMPARISONS else left.dtype)


def _require_function(function: str, dtype: str) -> None:
    if is_bool(dtype) and function in NOT_OF_BOOLS:
        hint = f'convert it: {reading().words}.cast(value, "int64")'
        taken = "integers" if function in BITWISE else "integers and floats"
        raise DTypeError(f"{function} takes {taken}, got bool", hint=hint)


def _require_bits(function: str, *operands: ScalarLike) -> None:
    """Refuses floats, and integers of which one dtype does not hold both: NumPy makes floats of these."""
    words = reading().words
    for operand in operands:
        dtype = str(operand.dtype) if isinstance(operand, ScalarExpr | np.generic) else type(operand).__name__
        if dtype.startswith("float"):
            taken = "integers" if function in NOT_OF_BOOLS else "integers and bools"
            hint = f'convert it: {words}.cast(value, "int32")'
            raise DTypeError(f"{function} takes {taken}, got {dtype}", hint=hint)
    dtypes = _strong_dtypes(operands)
    if is_float(promote(*dtypes, 0)):
        raise DTypeError(
            f"no integer dtype holds both {' and '.join(dtypes)}, so their bits cannot be combined",
            hint=f'convert one of them: {words}.cast(value, "{dtypes[0]}")',
        )


def _strong_dtypes(operands: Iterable[ScalarLike]) -> list[str]:
    return [each.dtype for each in map(_typed, operands) if isinstance(each, ScalarExpr) and not _is_weak(each)]


def _typed(operand: ScalarLike) -> ScalarLike:
    return as_scalar(operand) if isinstance(operand, np.generic) else operand


def _narrow_beside_dim(left: ScalarLike, right: ScalarLike) -> str | None:
    """The dtype of the operand beside a dim, if it is an integer that may be too narrow for it."""
    value = left if isinstance(right, SymInt) else right if isinstance(left, SymInt) else None
    if isinstance(value, ScalarExpr) and is_integer(value.dtype) and itemsize(value.dtype) < 8:
        return value.dtype
    return None


def promote_operands(*operands: ScalarLike) -> tuple[ScalarExpr, ...]:
    """The operands as nodes of one common dtype.

    Raises:
        DTypeError: a number does not fit into it.
    """
    operands = tuple(map(_typed, operands))
    weak = [_weak_example(operand) for operand in operands if _is_weak(operand)]
    dtype = promote(*_strong_dtypes(operands), *weak)
    return tuple(_promoted(operand, dtype) for operand in operands)


def _is_weak(operand: ScalarLike) -> bool:
    return isinstance(operand, WeakSelect) or not isinstance(operand, ScalarExpr)


def _promoted(operand: ScalarLike, dtype: str) -> ScalarExpr:
    """The operand as ``dtype``, to which it promotes."""
    if isinstance(operand, WeakSelect):
        return map_choice(operand, lambda value: _promoted(value, dtype))
    if isinstance(operand, int) and not holds(dtype, operand):
        hint = f"convert the other operand: {reading().words}.cast(value, dtype)"
        raise DTypeError(f"{operand} does not fit into {dtype}", hint=hint)
    return cast(as_scalar(operand, dtype), dtype)


def choice(condition: ScalarExpr, then_value: ScalarLike, else_value: ScalarLike) -> Select:
    """``then_value if condition else else_value``; of Python numbers, a choice that is as weak as they are."""
    given = [_typed(each) for each in (then_value, else_value)]
    is_weak = all(isinstance(each, WeakSelect | int | float) for each in given)
    sides = promote_operands(*given)
    return (WeakSelect if is_weak and not is_bool(sides[0].dtype) else Select)(condition, *sides)


def map_choice(expr: ScalarExpr, on_number: Callable[[int | float | bool], ScalarExpr]) -> ScalarExpr:
    """The choice between numbers that a WeakSelect is, with each number replaced."""
    if isinstance(expr, Select):
        sides = (map_choice(each, on_number) for each in (expr.then_value, expr.else_value))
        return Select(expr.condition, *sides)
    assert isinstance(expr, Const)
    return on_number(expr.value)


def cast(value: ScalarExpr, dtype: str) -> ScalarExpr:
    """``value`` as ``dtype``; a number is converted here and now."""
    dtype = canonical_dtype(dtype)
    if value.dtype == dtype:
        return value
    if not isinstance(value, Const):
        return Cast(value, dtype)
    if isinstance(value.value, float):
        return const(_in_dtype(value.value, value.dtype), dtype) if is_float(dtype) else Cast(value, dtype)
    return const(value.value, dtype) if holds(dtype, value.value) else Cast(value, dtype)


def _in_dtype(number: float, dtype: str) -> float:
    """The number that ``number`` is in a float dtype, where it may have fewer digits."""
    with np.errstate(over="ignore"):
        return float(np.dtype(dtype).type(number))


def _default_dtype(value: int | float | bool) -> str:
    if isinstance(value, bool):
        return "bool"
    return "int64" if isinstance(value, int) else "float64"


def _weak_example(value: object) -> int | float | bool:
    if isinstance(value, DimCompare):
        return True
    if isinstance(value, WeakSelect):
        return 0.0 if is_float(value.dtype) else 0
    return value if isinstance(value, bool | int | float) else 0


# ---------------------------------------------------------------------------- rewriting


def children(expr: ScalarExpr) -> tuple[ScalarExpr, ...]:
    """The scalar operands of a node, scalar indices included."""
    match expr:
        case Load(_, indices):
            return tuple(index for index in indices if isinstance(index, ScalarExpr))
        case Apply(_, args):
            return args
        case Cast(value, _):
            return (value,)
        case Select(condition, then_value, else_value):
            return (condition, then_value, else_value)
        case Reduce(_, sources, _, _):
            return sources
        case _:
            return ()


def rewrite(
    expr: ScalarExpr,
    on_node: Callable[[ScalarExpr], ScalarExpr | None] = lambda _: None,
    on_dim: Callable[[Dim], Dim] = lambda dim: dim,
) -> ScalarExpr:
    """``expr`` with nodes and dims replaced, top down.

    ``on_node`` returns the replacement of a node (not visited again) or None to descend; ``on_dim`` maps every
    index and dim.
    A subtree that nothing changes is returned as the same object.
    """
    replaced = on_node(expr)
    if replaced is not None:
        return replaced

    def visit(operand: ScalarExpr) -> ScalarExpr:
        return rewrite(operand, on_node, on_dim)

    def visit_index(index: Index) -> Index:
        return visit(index) if isinstance(index, ScalarExpr) else on_dim(index)

    match expr:
        case IndexValue(dim, dtype):
            new_dim = on_dim(dim)
            return expr if new_dim is dim else IndexValue(new_dim, dtype)
        case Load(buffer, indices):
            new_indices = tuple(map(visit_index, indices))
            return expr if _same(new_indices, indices) else Load(buffer, new_indices)
        case Apply(function, args, dtype):
            new = tuple(map(visit, args))
            return expr if _same(new, args) else Apply(function, new, dtype)
        case Cast(value, dtype):
            new_value = visit(value)
            return expr if new_value is value else Cast(new_value, dtype)
        case Select(condition, then_value, else_value):
            old = (condition, then_value, else_value)
            new = tuple(map(visit, old))
            return expr if _same(new, old) else Select(*new)
        case Reduce(combiner, sources, axes, index):
            new = tuple(map(visit, sources))
            return expr if _same(new, sources) else Reduce(combiner, new, axes, index)
        case _:
            return expr


def _same(new: tuple[object, ...], old: tuple[object, ...]) -> bool:
    return all(a is b or (isinstance(a, int) and a == b) for a, b in zip(new, old, strict=True))
