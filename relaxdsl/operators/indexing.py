"""Reading parts of a tensor: ``getitem`` (NumPy's basic indexing), ``strided_slice``, ``take`` by an integer tensor.

A read that may lie outside of the tensor is guarded: it gives NaN (0 for integers, False for bools) and never touches
other memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, TypeAlias

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ScriptError, ShapeError, nearest
from relaxdsl.ir.scalar import Const, ScalarExpr, ScalarLike, as_scalar
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator, require_at_least
from relaxdsl.operators.operands import axes_of, axis_of, describe, element, require_dtype, require_tensor, shape_of
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.operators.reshape import unravel
from relaxdsl.operators.slices import AxisSlice, resolve_index, resolve_slice
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, ceildiv, dims
from relaxdsl.types.dtype import is_float
from relaxdsl.types.shape import size_of

#: One entry of an index as plain data: a position, ``(begin, end, step)`` of a slice, or None for a new axis.
Entry: TypeAlias = "Dim | tuple[Dim | None, Dim | None, Dim | None] | None"

WHOLE: Entry = (None, None, None)
_M, _K = dims("m k")


# ------------------------------------------------------------------------------------------------------- basic indexing


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
            message = f"{what}: index {index} is out of range: the size is {size}"
            require_at_least(found.position, 0, message)
            require_at_least(size - found.position, 1, message)
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
        sample(tensor("m", 4, dtype="int32"), index=(WHOLE, None, -1, None)),
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
            index=(WHOLE, 4),
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

    An entry is a position (an integer or a size), ``(begin, end, step)`` for a slice, or None for a new axis. Slices
    are clamped to the axis, negative numbers count from the end. A position that is out of range for every size is an
    error; one that is out of range only for some (``x[0]`` where the size may be 0) gives NaN, 0 or False there.

    Raises:
        ShapeError: there are more indices than axes, a position is out of range, or a step is 0 or of unknown sign.

    Example:
        >>> x = relax.Var("x", relax.TensorType((relax.dims("n"), 8), "float32"))
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

    return te.compute(tuple(view.shape), body, name="getitem")


def _view(x: te.Tensor, entries: tuple[Entry, ...]) -> _View:
    used = sum(entry is not None for entry in entries)
    if used > x.ndim:
        raise ShapeError(f"x[...]: {counted(used, 'index', 'indices')} for {counted(x.ndim, 'axis', 'axes')}")
    view, sizes = _View(), enumerate(x.shape)
    for entry in (*entries, *[WHOLE] * (x.ndim - used)):
        if entry is None:
            view.add_new_axis()
            continue
        axis, size = next(sizes)
        if isinstance(entry, tuple):
            view.add_slice(resolve_slice(f"x[...]: axis {axis}", *entry, size))
        else:
            view.add_index(f"x[...]: axis {axis}", entry, size)
    return view


# -------------------------------------------------------------------------------------------------------- strided_slice


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
        sample(tensor("m", 2), axes=(0,), begin=(1,), end=(3,), assume_inbound=True, sizes=(3, 7)),
        sample(tensor("m"), axes=(0,), begin=(-2,), end=(_M,), assume_inbound=True, sizes=(2, 7)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "strided_slice: begin has 2 entries for 1 axis\n   x : Tensor((m, 5), float32)",
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

    With ``assume_inbound`` the caller promises that all bounds lie within their axes; sizes come out without clamping.

    Raises:
        ShapeError: an axis does not exist, the numbers of entries differ, or a stride is 0 or of unknown sign.

    Source: TVM Relax.
    """
    x = require_tensor("strided_slice", "x", x)
    positions = axes_of("strided_slice", x, axes)
    steps = (1,) * len(positions) if strides is None else strides
    for name, entries in (("begin", begin), ("end", end), ("strides", steps)):
        if len(entries) != len(positions):
            counts = f"{counted(len(entries), 'entry', 'entries')} for {counted(len(positions), 'axis', 'axes')}"
            raise ShapeError(f"strided_slice: {name} has {counts}", details=[describe(x)])
    resolve = _inbound_slice if assume_inbound else resolve_slice
    pieces = {
        axis: resolve(f"strided_slice: axis {axis}", first, last, step, x.shape[axis])
        for axis, first, last, step in zip(positions, begin, end, steps, strict=True)
    }

    def body(*index: Dim) -> ScalarExpr:
        return x[tuple(_source(pieces.get(axis), i) for axis, i in enumerate(index))]

    shape = tuple(pieces[axis].length if axis in pieces else size for axis, size in enumerate(x.shape))
    return te.compute(shape, body, name="strided_slice")


def _source(piece: AxisSlice | None, index: Dim) -> Dim:
    return index if piece is None else piece.start + index * piece.step


def _inbound_slice(what: str, begin: Dim, end: Dim, step: Dim, size: Dim) -> AxisSlice:
    """The slice whose bounds need no clamping, because the caller says so; checked as :func:`resolve_slice` checks."""
    clamped = resolve_slice(what, begin, end, step, size)
    if isinstance(clamped.length, int):
        return clamped
    start, stop = (bound + size if isinstance(bound, int) and bound < 0 else bound for bound in (begin, end))
    return AxisSlice(start, ceildiv(stop - start, step), step)


# ----------------------------------------------------------------------------------------------------------------- take

TAKE_MODES = ("fast", "wrap", "clip", "nan")


def _reference_take(x: Any, indices: Any, axis: int | None = None, mode: str = "fast") -> Any:
    indices = np.asarray(indices)
    indices = indices.astype("int64") if indices.dtype.kind == "f" else indices  # a number beside a float tensor
    if mode in ("wrap", "clip"):
        return np.take(x, indices, axis, mode=mode)  # type: ignore[call-overload]
    size = x.size if axis is None else x.shape[axis]
    inside = (indices < size) & (indices >= (-size if mode == "fast" else 0))
    flat = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    padded = np.concatenate([flat, np.full((1, *flat.shape[1:]), np.nan if x.dtype.kind == "f" else 0, x.dtype)])
    found = padded[np.where(inside, indices % max(size, 1), size)]
    return (
        found
        if axis is None
        else np.moveaxis(found, range(np.ndim(indices)), range(axis % x.ndim, axis % x.ndim + np.ndim(indices)))
    )


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

    What an index outside of the axis means is the ``mode``. ``"fast"``: negative ones count from the end, those beyond
    the axis give NaN, 0 or False (NumPy raises); ``"wrap"``: modulo the size; ``"clip"``: the nearest end; ``"nan"``:
    NaN, also for negative ones. No mode reads outside of the tensor; an axis of size 0 gives NaN, 0 or False.

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
        where = (
            unravel(position, x.shape)
            if at is None
            else [*index[: len(before)], position, *index[len(before) + len(middle) :]]
        )
        return _guarded(guards, x[tuple(where)])

    return te.compute((*before, *middle, *after), body, name="take")


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
