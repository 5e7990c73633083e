"""Reading parts of a tensor: ``x[…]`` with NumPy's basic indexing, ``strided_slice``, and ``take`` by an integer tensor.

A read that may lie outside of the tensor is guarded: it gives NaN (0 for integers, False for bools) and never touches other memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.errors import DTypeError, ScriptError, ShapeError, nearest
from relaxdsl.ir.graph import Expr, PrimValue, TupleGetItem
from relaxdsl.ir.scalar import Const, ScalarExpr, ScalarLike, as_scalar
from relaxdsl.kernels import te
from relaxdsl.operators.calls import constant, current_context, operator
from relaxdsl.operators.manipulate import unravel
from relaxdsl.operators.operands import axes_of, axis_of, describe, element, require_dtype, require_tensor, shape_of
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.operators.slices import AxisSlice, resolve_index, resolve_slice
from relaxdsl.types.dims import Dim, SymInt, ceildiv, dims
from relaxdsl.types.dtype import is_bool, is_float, is_integer
from relaxdsl.types.shape import size_of
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType

#: One entry of an index as plain data: a position, ``(begin, end, step)`` of a slice, or None for a new axis.
Entry: TypeAlias = "Dim | tuple[Dim | None, Dim | None, Dim | None] | None"

_WHOLE: Entry = (None, None, None)
_M, _K = dims("m k")  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------- basic indexing


@dataclass(slots=True)
class _View:
    """How a basic index reads a tensor: what one index of the result is in the source."""

    shape: list[Dim] = field(default_factory=list)
    # For each source axis, in order: from an index of the result to the source's position.
    sources: list[Callable[[Sequence[Dim]], Dim]] = field(default_factory=list)
    guards: list[ScalarLike] = field(default_factory=list)

    def add_new_axis(self) -> None:
        self.shape.append(1)

    def add_slice(self, piece: AxisSlice) -> None:
        position = len(self.shape)
        self.shape.append(piece.length)
        self.sources.append(lambda index: piece.start + index[position] * piece.step)

    def add_index(self, what: str, index: Dim, size: Dim) -> None:
        found = resolve_index(what, index, size)
        self.sources.append(lambda _: found.position)
        if not found.is_inside:
            self.guards += [found.position >= 0, found.position < size]


def _guarded(guards: Sequence[ScalarLike], value: ScalarExpr) -> ScalarExpr:
    """``value`` where all guards hold, else what stands for an element that does not exist."""
    open_guards = [guard for guard in guards if guard is not True]
    if not open_guards:
        return value
    return te.if_then_else(te.logical_and(*open_guards), value, missing_value(value.dtype))


def missing_value(dtype: str) -> ScalarExpr:
    """What a read outside of a tensor gives: NaN, 0 or False."""
    return te.const(float("nan") if is_float(dtype) else 0, dtype)


def _reference_getitem(x: Any, index: tuple[Any, ...]) -> Any:
    return x[tuple(slice(*entry) if isinstance(entry, tuple) else entry for entry in index)]


@operator(
    "getitem",
    reference=_reference_getitem,
    samples=[
        sample(tensor("m", 4), index=((1, None, None),)),
        sample(tensor("m", 4), index=((None, -1, None), (None, None, -1))),
        sample(tensor("m", 4), index=((-2, None, None), 1)),
        sample(tensor("m", 4), index=(0,), sizes=(1, 2, 7)),
        sample(tensor("m", 4, dtype="int32"), index=(_WHOLE, None, -1, None)),
        sample(tensor("m"), index=((None, None, -2),)),
        sample(tensor("m"), index=((5, 0, -2),)),
        sample(tensor("m"), index=((None, _M - 1, None),)),
        sample(tensor("m"), index=((_K, None, 3),)),
        # Bounds whose sign depends on the sizes.
        sample(tensor("m"), index=((_K - 3, 2 * _K - _M, None),)),
        sample(tensor("m"), index=((_K - 3, _K - 5, -1),)),
        sample(tensor(3, 4), index=(2, -1)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "x[...]: axis 1: index 4 is out of range: the size is 4\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            index=(_WHOLE, 4),
        ),
        mistake(
            ShapeError,
            "x[...]: axis 0: index m is out of range: the size is m\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            index=(_M,),
        ),
        mistake(
            ShapeError,
            "x[...]: 3 indices for 2 axes\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            index=(0, 0, 0),
        ),
        mistake(
            ShapeError,
            "x[...]: axis 0: the step of a slice is 0\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            index=((None, None, 0),),
        ),
        mistake(
            ShapeError,
            "x[...]: axis 0: the sign of the step `k` is unknown\n"
            "   x : Tensor((m, 4), float32)\n"
            "   hint: give the size a lower bound: relax.dims(name, lower=1)",
            tensor("m", 4),
            index=((None, None, _K),),
        ),
        mistake(
            ShapeError,
            "x[...]: axis 0: a slice is made of integers and sizes, got 0.5\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            index=((0.5, None, None),),
        ),
    ],
)
def getitem(x: Operand, index: Sequence[Entry]) -> te.Tensor:
    """``x[index]`` with NumPy's basic indexing; ``x[1:, None, -1]`` makes this call with its index as plain data.

    An entry is a position (an integer or a size), ``(begin, end, step)`` for a slice, or None for a new axis. Slices are clamped
    to the axis, negative numbers count from the end. A position that is out of range for every size is an error; one that is out
    of range only for some (``x[0]`` where the size may be 0) gives NaN, 0 or False there.

    Raises:
        ShapeError: there are more indices than axes, a position is out of range, or a step is 0 or of unknown sign.

    Example:
        >>> from relaxdsl.ir.graph import Var
        >>> from relaxdsl.types.types import TensorType
        >>> x = Var("x", TensorType((dims("n"), 8), "float32"))
        >>> print(x[-2:, None, ::2].type)
        relax.Tensor((min(n, 2), 1, 4), "float32")

    Source: NumPy, "basic indexing".
    """
    x = require_tensor("x[...]", "x", x)
    try:
        view = _view(x, tuple(index))
    except ShapeError as error:
        raise ShapeError(error.headline, details=[describe(x)], hint=error.hint) from None

    def body(*i: Dim) -> ScalarExpr:
        return _guarded(view.guards, x[tuple(source(i) for source in view.sources)])

    return te.compute(tuple(view.shape), body, name="getitem")  # type: ignore[return-value]


def _view(x: te.Tensor, entries: tuple[Entry, ...]) -> _View:
    used = sum(entry is not None for entry in entries)
    if used > x.ndim:
        raise ShapeError(f"x[...]: {used} indices for {x.ndim} axes")
    view, sizes = _View(), enumerate(x.shape)
    for entry in (*entries, *[_WHOLE] * (x.ndim - used)):
        if entry is None:
            view.add_new_axis()
            continue
        axis, size = next(sizes)
        if isinstance(entry, tuple):
            view.add_slice(resolve_slice(f"x[...]: axis {axis}", *entry, size))
        else:
            view.add_index(f"x[...]: axis {axis}", entry, size)
    return view


# -------------------------------------------------------------------------------------------------------- the subscript syntax


def subscript(value: Expr, index: Any) -> Expr:
    """``value[index]``: a field of a tuple, a size of a shape, or part of a tensor.

    Raises:
        ShapeError: the index does not fit.
        DTypeError: the value has no parts, or the index is a kind that is not supported.
    """
    if isinstance(value.type, TupleType):
        position = _field_position("tuple", index, len(value.type.fields))
        return TupleGetItem(value, position, value.type.fields[position], current_context().span)
    if isinstance(value.type, ShapeType) and value.type.values is not None:
        return PrimValue(value.type.values[_field_position("shape", index, value.type.ndim)], current_context().span)
    if not isinstance(value.type, TensorType):
        raise DTypeError(f"x[...]: {value.type} has no parts", span=current_context().span)
    return _tensor_subscript(value, value.type, index if isinstance(index, tuple) else (index,))


def _field_position(what: str, index: Any, count: int) -> int:
    span = current_context().span
    if isinstance(index, bool) or not hasattr(index, "__index__") or isinstance(index, SymInt):
        raise ShapeError(f"{what}[...]: the index of a {what} must be a number, got {index!r}", span=span)
    position = int(index)
    if not -count <= position < count:
        raise ShapeError(f"{what}[...]: index {position} is out of range: the {what} has {count} fields", span=span)
    return position % count


def _tensor_subscript(x: Expr, type_: TensorType, index: tuple[Any, ...]) -> Expr:
    entries = _entries(_without_ellipsis(index, type_.ndim))
    chosen = [i for i, entry in enumerate(entries) if isinstance(entry, Expr)]
    if not chosen:
        return getitem(x, tuple(entries))
    if len(chosen) > 1:
        raise ShapeError(
            f"x[...]: one integer tensor can be an index, got {len(chosen)}",
            hint="index in several steps, or take from the flattened tensor",
            span=current_context().span,
        )
    at = chosen[0]
    _require_adjacent(entries, at)
    rest = tuple(_WHOLE if i == at else entry for i, entry in enumerate(entries))
    axis = sum(entry is None or isinstance(entry, tuple) for entry in rest[:at])
    base = x if all(entry == _WHOLE for entry in rest) else getitem(x, rest)
    return take(base, entries[at], axis=axis)


def _require_adjacent(entries: Sequence[Any], at: int) -> None:
    """NumPy moves the axes of an index tensor to the front if a slice separates it from a position; here that is an error."""
    positions = [i for i, entry in enumerate(entries) if isinstance(entry, int | SymInt | Expr)]
    if positions[-1] - positions[0] != len(positions) - 1:
        raise ShapeError(
            "x[...]: a slice or a new axis stands between a position and an index tensor",
            hint="index in two steps: x[:, 0][indices]",
            span=current_context().span,
        )


def _without_ellipsis(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """The index with ``...`` replaced by as many whole slices as it stands for."""
    places = [i for i, entry in enumerate(index) if entry is Ellipsis]
    if not places:
        return index
    if len(places) > 1:
        raise ShapeError("x[...]: only one ... can stand in an index", span=current_context().span)
    used = sum(entry is not None and entry is not Ellipsis for entry in index)
    at = places[0]
    return (*index[:at], *[slice(None)] * (ndim - used), *index[at + 1 :])


def _entries(index: tuple[Any, ...]) -> list[Any]:
    return [_entry(each) for each in index]


def _entry(each: Any) -> Any:
    """One entry as plain data; an integer tensor stays an expression or an array becomes one."""
    if isinstance(each, slice):
        return (_bound(each.start), _bound(each.stop), _bound(each.step))
    each = _bound(each)
    if each is None or isinstance(each, SymInt) or (isinstance(each, int) and not isinstance(each, bool)):
        return each
    if isinstance(each, list | np.ndarray):
        each = constant(np.asarray(each))
    if isinstance(each, Expr) and isinstance(each.type, TensorType) and each.type.dtype is not None:
        if is_integer(each.type.dtype):
            return each
        if is_bool(each.type.dtype):
            raise _mask_error()
    if isinstance(each, bool):
        raise _mask_error()
    shown = each.type if isinstance(each, Expr) else repr(each)
    raise DTypeError(
        f"x[...]: an index is an integer, a size, a slice, None, ... or an integer tensor, got {shown}",
        span=current_context().span,
    )


def _mask_error() -> DTypeError:
    return DTypeError(
        "x[...]: a bool mask gives a size that depends on the data",
        hint="use relax.where(mask, x, y), or relax.take(x, relax.nonzero(mask)[0])",
        span=current_context().span,
    )


def _bound(value: Any) -> Any:
    """A number or a size out of what may hold one."""
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, PrimValue):
        return value.value
    if isinstance(value, Expr) and isinstance(value.type, PrimType) and value.type.value is not None:
        return value.type.value
    return value


def iterate(value: Expr) -> Iterator[Expr]:
    """The fields of a tuple, the sizes of a shape, or the parts of a tensor along its first axis, whose size must be a number.

    Raises:
        ShapeError: how many there are is not known.
    """
    return (subscript(value, i) for i in range(_length(value)))


def _length(value: Expr) -> int:
    if isinstance(value.type, TupleType):
        return len(value.type.fields)
    if isinstance(value.type, ShapeType) and value.type.values is not None:
        return value.type.ndim
    size = value.shape[0] if isinstance(value.type, TensorType) and value.shape else None
    if isinstance(size, int):
        return size
    headline = f"iteration: {value.type} has no known number of parts" if size is None else f"iteration: axis 0 has size {size}"
    raise ShapeError(headline, hint="work on the whole tensor instead of a loop over it", span=current_context().span)


setattr(Expr, "__getitem__", subscript)  # noqa: B010 - attributes that the class body does not declare
setattr(Expr, "__iter__", iterate)  # noqa: B010


# -------------------------------------------------------------------------------------------------------------- strided_slice


def _reference_strided_slice(
    x: Any, axes: Any, begin: Any, end: Any, strides: Any = None, assume_inbound: bool = False
) -> Any:
    index = [slice(None)] * x.ndim
    for i, axis in enumerate(axes):
        index[axis] = slice(begin[i], end[i], None if strides is None else strides[i])
    return x[tuple(index)]


@operator(
    "strided_slice",
    reference=_reference_strided_slice,
    samples=[
        sample(tensor("m", 5), axes=(0,), begin=(1,), end=(3,)),
        sample(tensor("m", 5), axes=(1, 0), begin=(-1, 0), end=(-9, 99), strides=(-2, 2)),
        sample(tensor("m", 5, dtype="int32"), axes=(-1,), begin=(1,), end=(4,), strides=(2,), assume_inbound=True),
        sample(tensor("m + 2"), axes=(0,), begin=(1,), end=(_M + 1,), assume_inbound=True),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "strided_slice: begin has 2 entries for 1 axes\n   x : Tensor((m, 5), float32)",
            tensor("m", 5),
            axes=(0,),
            begin=(1, 2),
            end=(3,),
        ),
        mistake(
            ShapeError,
            "strided_slice: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 5), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 5),
            axes=(2,),
            begin=(1,),
            end=(3,),
        ),
        mistake(
            ShapeError,
            "strided_slice: axis 0: the step of a slice is 0",
            tensor("m", 5),
            axes=(0,),
            begin=(1,),
            end=(3,),
            strides=(0,),
        ),
    ],
)
def strided_slice(
    x: Operand,
    axes: Sequence[int],
    begin: Sequence[Dim],
    end: Sequence[Dim],
    strides: Sequence[Dim] | None = None,
    assume_inbound: bool = False,
) -> te.Tensor:
    """``x[begin:end:stride]`` on each of ``axes``, with Python's clamping.

    With ``assume_inbound`` the caller promises that all bounds lie within their axes, and sizes come out without clamping.

    Raises:
        ShapeError: an axis does not exist, the numbers of entries differ, or a stride is 0 or of unknown sign.

    Source: TVM Relax.
    """
    x = require_tensor("strided_slice", "x", x)
    positions = axes_of("strided_slice", x, axes)
    steps = (1,) * len(positions) if strides is None else strides
    for name, entries in (("begin", begin), ("end", end), ("strides", steps)):
        if len(entries) != len(positions):
            headline = f"strided_slice: {name} has {len(entries)} entries for {len(positions)} axes"
            raise ShapeError(headline, details=[describe(x)])
    resolve = _inbound_slice if assume_inbound else resolve_slice
    pieces = {
        axis: resolve(f"strided_slice: axis {axis}", *bounds, x.shape[axis])
        for axis, *bounds in zip(positions, begin, end, steps, strict=True)
    }

    def body(*index: Dim) -> ScalarExpr:
        return x[tuple(_source(pieces.get(axis), i) for axis, i in enumerate(index))]

    shape = tuple(pieces[axis].length if axis in pieces else size for axis, size in enumerate(x.shape))
    return te.compute(shape, body, name="strided_slice")  # type: ignore[return-value]


def _source(piece: AxisSlice | None, index: Dim) -> Dim:
    return index if piece is None else piece.start + index * piece.step


def _inbound_slice(what: str, begin: Dim, end: Dim, step: Dim, size: Dim) -> AxisSlice:
    """The slice whose bounds need no clamping: what they say is right. Checks what :func:`resolve_slice` checks."""
    clamped = resolve_slice(what, begin, end, step, size)
    if all(isinstance(each, int) for each in (begin, end, step)):
        return clamped
    start, stop = (bound + size if isinstance(bound, int) and bound < 0 else bound for bound in (begin, end))
    return AxisSlice(start, ceildiv(stop - start, step), step)


# ----------------------------------------------------------------------------------------------------------------------- take

TAKE_MODES = ("fast", "wrap", "clip", "nan")


def _reference_take(x: Any, indices: Any, axis: int | None = None, mode: str = "fast") -> Any:
    if mode in ("wrap", "clip"):
        return np.take(x, indices, axis, mode=mode)
    size = x.size if axis is None else x.shape[axis]
    inside = (np.asarray(indices) < size) & (np.asarray(indices) >= (-size if mode == "fast" else 0))
    flat = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    padded = np.concatenate([flat, np.full((1, *flat.shape[1:]), np.nan if x.dtype.kind == "f" else 0, x.dtype)])
    found = padded[np.where(inside, np.asarray(indices) % max(size, 1), size)]
    return found if axis is None else np.moveaxis(found, range(np.ndim(indices)), range(axis % x.ndim, axis % x.ndim + np.ndim(indices)))


@operator(
    "take",
    reference=_reference_take,
    samples=[
        sample(tensor(3, "n"), tensor("m", dtype="int64", low=-3, high=2), axis=0),
        sample(tensor("n", 3), tensor("m", 2, dtype="int32", low=-3, high=2), axis=-1),
        sample(tensor("n", 3), tensor("m", dtype="int64", low=-30, high=30), axis=0, mode="fast"),
        sample(tensor(2, 3), tensor("m", dtype="uint8", low=0, high=5)),
        sample(tensor("n", 3), tensor("m", dtype="int64", low=-9, high=9), axis=0, mode="clip", sizes=(1, 2, 7)),
        sample(tensor("n", 3), tensor("m", dtype="int64", low=-9, high=9), axis=0, mode="wrap", sizes=(1, 2, 7)),
        sample(tensor("n", 3), tensor("m", dtype="int64", low=-9, high=9), axis=0, mode="nan"),
        sample(tensor("n", 3, dtype="int32", low=-9, high=9), tensor(dtype="int64", low=0, high=2), axis=1),
        sample(tensor("n", 3), 1, axis=1),
    ],
    mistakes=[
        mistake(
            DTypeError,
            "take: indices must be integer, got float32\n"
            "   indices : Tensor((3,), float32)\n"
            '   hint: convert it with indices.astype("int64")',
            tensor("m", 4),
            tensor(3),
            axis=0,
        ),
        mistake(
            ShapeError,
            "take: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 4), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 4),
            tensor(3, dtype="int64"),
            axis=2,
        ),
        mistake(
            ScriptError,
            "take: unknown mode 'clib'\n   hint: did you mean 'clip'?",
            tensor("m", 4),
            tensor(3, dtype="int64"),
            axis=0,
            mode="clib",
        ),
        mistake(
            DTypeError,
            'take: mode="nan" needs a float tensor, got int32\n   x : Tensor((m, 4), int32)',
            tensor("m", 4, dtype="int32"),
            tensor(3, dtype="int64"),
            axis=0,
            mode="nan",
        ),
    ],
    methods=("take",),
)
def take(x: Operand, indices: Operand, axis: int | None = None, mode: str = "fast") -> te.Tensor:
    """The elements at ``indices`` along ``axis``, or in the flattened tensor. Also ``x[indices]``.

    What an index outside of the axis means is the ``mode``: ``"fast"``: negative ones count from the end, others beyond the axis
    give NaN, 0 or False (NumPy raises); ``"wrap"``: modulo the size; ``"clip"``: the nearest end; ``"nan"``: NaN, also for
    negative ones. No mode reads outside of the tensor; from an axis of size 0 every mode gives NaN, 0 or False.

    Shapes: ``x`` ``(a, n, b)``, ``indices`` ``(i, j)``, ``axis=1`` -> ``(a, i, j, b)``.

    Raises:
        DTypeError: the indices are not integers, or ``mode="nan"`` with a tensor that has no NaN.

    Source: ``numpy.take``.
    """
    x = require_tensor("take", "x", x)
    indices = _whole_number(indices)
    require_dtype("take", indices, ("integer",), name="indices")
    _check_mode(x, mode)
    at = None if axis is None else axis_of("take", x, axis)
    before, after = ((), ()) if at is None else (x.shape[:at], x.shape[at + 1 :])
    middle = shape_of(indices)
    size = size_of(x.shape) if at is None else x.shape[at]

    def body(*index: Dim) -> ScalarExpr:
        which = index[len(before) : len(before) + len(middle)]
        position, guards = _position(as_scalar(element(indices, which), "int64").astype("int64"), size, mode)
        where = unravel(position, x.shape) if at is None else [*index[: len(before)], position, *index[len(before) + len(middle) :]]
        return _guarded(guards, x[tuple(where)])

    return te.compute((*before, *middle, *after), body, name="take")  # type: ignore[return-value]


def _whole_number(indices: Operand) -> Operand:
    """A number is weakly typed, so beside a float tensor it arrives as a float."""
    if isinstance(indices, Const) and float(indices.value).is_integer():
        return te.const(int(indices.value), "int64")
    return indices


def _check_mode(x: te.Tensor, mode: str) -> None:
    if mode not in TAKE_MODES:
        close = nearest(mode, TAKE_MODES) if isinstance(mode, str) else None
        hint = f"did you mean {close!r}?" if close is not None else f"the modes are {', '.join(TAKE_MODES)}"
        raise ScriptError(f"take: unknown mode {mode!r}", hint=hint)
    if mode == "nan" and not is_float(x.dtype):
        raise DTypeError(f'take: mode="nan" needs a float tensor, got {x.dtype}', details=[describe(x)])


def _position(index: ScalarExpr, size: Dim, mode: str) -> tuple[ScalarExpr, list[ScalarLike]]:
    """The position that an index means, and what must hold for it to exist."""
    if mode == "wrap":
        return index % size, [size > 0]
    if mode == "clip":
        return te.minimum(te.maximum(index, 0), size - 1), [size > 0]
    position = te.if_then_else(index < 0, index + size, index) if mode == "fast" else index
    return position, [position >= 0, position < size]
