"""Joining and splitting tensors: ``concat``, ``stack``, ``split``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import accept_undecided, operator
from relaxdsl.operators.operands import axis_of, common_dtype, describe, require_tensor
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.operators.reshape import reshaped
from relaxdsl.operators.slices import AxisSlice, resolve_slice
from relaxdsl.types.dims import Dim, SymInt, ceildiv, dims
from relaxdsl.types.shape import normalize_axis, require_equal, size_of

_M = dims("m")
_NO_TENSORS = "tensors must be a list or tuple of at least one tensor"


def _require_tensors(operator_name: str, tensors: Sequence[Operand] | Operand | None) -> list[te.Tensor]:
    if not isinstance(tensors, list):
        hint = f"put them in a list: {operator_name}([x, y])"
        raise ShapeError(f"{operator_name}: {_NO_TENSORS}", hint=hint)
    return [require_tensor(operator_name, f"tensors[{i}]", each) for i, each in enumerate(tensors)]


def _require_alike(operator_name: str, tensors: Sequence[te.Tensor], *, but: int | None = None) -> None:
    """All tensors have the first one's rank, and its sizes on every axis (but one)."""
    first = tensors[0]
    for other in tensors[1:]:
        if other.ndim != first.ndim:
            headline = f"{operator_name}: the numbers of axes differ: {first.ndim} and {other.ndim}"
            raise ShapeError(headline, details=[describe(first), describe(other)])
        for axis in range(first.ndim):
            if axis != but:
                _require_same_size(operator_name, first, other, axis)


def _require_same_size(operator_name: str, first: te.Tensor, other: te.Tensor, axis: int) -> None:
    width = max(len(describe(first)), len(describe(other)))
    require_equal(
        operator_name,
        f"{describe(first):{width}}   axis {axis}",
        first.shape[axis],
        f"{describe(other):{width}}   axis {axis}",
        other.shape[axis],
        headline=f"axis {axis}",
        on_undecided=accept_undecided,
    )


def _choose(position: Dim, starts: Sequence[Dim], values: Sequence[Callable[[], ScalarExpr]]) -> ScalarExpr:
    """``values[j]()`` for the last ``j`` with ``starts[j] <= position``, found by bisection."""
    if len(values) == 1:
        return values[0]()
    half = len(values) // 2
    return te.if_then_else(
        position < starts[half],
        _choose(position, starts[:half], values[:half]),
        _choose(position, starts[half:], values[half:]),
    )


def _reference_concat(tensors: Any, axis: int | None = 0) -> Any:
    return np.concatenate(tensors, axis=axis)


@operator(
    "concat",
    reference=_reference_concat,
    samples=[
        sample((tensor("m", 3), tensor("n", 3))),
        sample((tensor("m", 2), tensor("m", 3), tensor("m", 1)), axis=-1),
        sample((tensor("m", dtype="int32"), tensor(2, dtype="float32"))),
        sample((tensor("m", 2), tensor(3)), axis=None),
        sample((tensor("m", 4),)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "concat: axis 1 differs: 3 and 4\n"
            "   tensors[0] : Tensor((m, 3), float32)   axis 1 is 3\n"
            "   tensors[1] : Tensor((n, 4), float32)   axis 1 is 4",
            (tensor("m", 3), tensor("n", 4)),
        ),
        mistake(
            ShapeError,
            "concat: axis 0: symbolic sizes `m` and `n` may differ\n"
            "   tensors[0] : Tensor((m, 3), float32)   axis 0 is m\n"
            "   tensors[1] : Tensor((n, 4), float32)   axis 0 is n\n"
            "   hint: if they are always equal, name them alike (`m` in both), or match_cast one of them",
            (tensor("m", 3), tensor("n", 4)),
            axis=1,
        ),
        mistake(
            ShapeError,
            "concat: the numbers of axes differ: 2 and 1\n"
            "   tensors[0] : Tensor((m, 3), float32)\n"
            "   tensors[1] : Tensor((m,), float32)",
            (tensor("m", 3), tensor("m")),
        ),
        mistake(
            ShapeError,
            "concat: axis 2 does not exist: the tensor has 2 axes\n"
            "   tensors[0] : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            (tensor("m", 3), tensor("m", 3)),
            axis=2,
        ),
        mistake(ShapeError, f"concat: {_NO_TENSORS}\n   hint: put them in a list: concat([x, y])", ()),
    ],
)
def concat(tensors: Sequence[Operand], axis: int | None = 0) -> te.Tensor:
    """The tensors one after the other along ``axis``; flattened first if ``axis`` is None. Dtypes promote.

    Raises:
        ShapeError: the other axes differ, or can't be proved equal.

    Example:
        >>> m, n = relax.dims("m n")
        >>> x = relax.Var("x", relax.TensorType((m, 3), "float32"))
        >>> y = relax.Var("y", relax.TensorType((n, 3), "float32"))
        >>> print(relax.concat((x, y)).type)
        relax.Tensor((m + n, 3), "float32")

    Source: ``numpy.concatenate``.
    """
    parts = _require_tensors("concat", tensors)
    if axis is None:
        parts, axis = [reshaped(part, (size_of(part.shape),), name="flat") for part in parts], 0
    at, dtype = axis_of("concat", parts[0], axis), common_dtype(*parts)
    _require_alike("concat", parts, but=at)
    starts: list[Dim] = [0]
    for part in parts:
        starts.append(starts[-1] + part.shape[at])

    def body(*index: Dim) -> ScalarExpr:
        def value_of(part: te.Tensor, start: Dim) -> Callable[[], ScalarExpr]:
            return lambda: part[(*index[:at], index[at] - start, *index[at + 1 :])].astype(dtype)

        values = [value_of(part, start) for part, start in zip(parts, starts[:-1], strict=True)]
        return _choose(index[at], starts[:-1], values)

    shape = (*parts[0].shape[:at], starts[-1], *parts[0].shape[at + 1 :])
    return te.compute(shape, body, name="concat")


def _reference_stack(tensors: Any, axis: int = 0) -> Any:
    return np.stack(tensors, axis=axis)


@operator(
    "stack",
    reference=_reference_stack,
    samples=[
        sample((tensor("m", 3), tensor("m", 3))),
        sample((tensor("m", 3), tensor("m", 3), tensor("m", 3)), axis=-1),
        sample((tensor("m", dtype="int32"), tensor("m", dtype="float32")), axis=1),
        sample((tensor(), tensor())),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "stack: axis 1 differs: 3 and 4\n"
            "   tensors[0] : Tensor((m, 3), float32)   axis 1 is 3\n"
            "   tensors[1] : Tensor((m, 4), float32)   axis 1 is 4",
            (tensor("m", 3), tensor("m", 4)),
        ),
        mistake(
            ShapeError,
            "stack: axis 3 does not exist: the tensor has 3 axes\n"
            "   tensors[0] : Tensor((m, 3), float32)\n"
            "   hint: axes go from -3 to 2, counted in the result",
            (tensor("m", 3), tensor("m", 3)),
            axis=3,
        ),
    ],
)
def stack(tensors: Sequence[Operand], axis: int = 0) -> te.Tensor:
    """The tensors, all of one shape, along a new axis ``axis`` (counted in the result). Dtypes promote.

    Raises:
        ShapeError: the shapes differ, or can't be proved equal.

    Source: ``numpy.stack``.
    """
    parts = _require_tensors("stack", tensors)
    first, dtype = parts[0], common_dtype(*parts)
    try:
        at = normalize_axis("stack", axis, first.ndim + 1)
    except ShapeError as error:
        hint = None if error.hint is None else f"{error.hint}, counted in the result"
        raise ShapeError(error.headline, details=[describe(first)], hint=hint) from None
    _require_alike("stack", parts)

    def body(*index: Dim) -> ScalarExpr:
        def value_of(part: te.Tensor) -> Callable[[], ScalarExpr]:
            return lambda: part[(*index[:at], *index[at + 1 :])].astype(dtype)

        return _choose(index[at], range(len(parts)), [value_of(part) for part in parts])

    return te.compute((*first.shape[:at], len(parts), *first.shape[at:]), body, name="stack")


def _reference_split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Other than in ``np.split``, sections need not divide the size: each takes a rounded-up share, if any is left."""
    if isinstance(indices_or_sections, tuple):
        return np.split(x, indices_or_sections, axis)
    share = -(-x.shape[axis] // indices_or_sections)
    return np.split(x, [share * i for i in range(1, indices_or_sections)], axis)


@operator(
    "split",
    reference=_reference_split,
    samples=[
        sample(tensor("2 * m", 3), indices_or_sections=2),
        sample(tensor("m", 3), indices_or_sections=3),
        sample(tensor("m", 7), indices_or_sections=3, axis=1),
        sample(tensor("m", 6, dtype="int32"), indices_or_sections=(1, 3), axis=-1),
        sample(tensor("m"), indices_or_sections=(2, 5)),
        sample(tensor("m", 6), indices_or_sections=(4, 2, -1), axis=-1),
        sample(tensor("m", 2), indices_or_sections=()),
        sample(tensor("m + n"), indices_or_sections=(_M,)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "split: the number of sections must be a positive integer, got 0",
            tensor("m", 3),
            indices_or_sections=0,
        ),
        mistake(
            ShapeError,
            "split: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            indices_or_sections=2,
            axis=2,
        ),
    ],
)
def split(x: Operand, indices_or_sections: int | Sequence[Dim], axis: int = 0) -> tuple[te.Tensor, ...]:
    """A tuple of pieces along ``axis``: cut before each of the indices, or into a number of sections.

    Sections have the rounded-up share of the size each; the last ones have what is left, which may be nothing. Indices
    are those of slices: negative ones count from the end, and they are clamped to the size.

    Raises:
        ShapeError: the axis does not exist, or there are no sections.

    Example:
        >>> print(relax.split(relax.Var("x", relax.TensorType((2 * relax.dims("m"), 3), "float32")), 2).type)
        relax.Tuple(relax.Tensor((m, 3), "float32"), relax.Tensor((m, 3), "float32"))

    Source: ``numpy.split``; for sections that do not divide the size, TVM Relax.
    """
    x = require_tensor("split", "x", x)
    at = axis_of("split", x, axis)
    cuts = [0, *_cuts(x.shape[at], indices_or_sections), None]
    pieces = [resolve_slice("split", begin, end, 1, x.shape[at]) for begin, end in pairwise(cuts)]
    return tuple(_piece(x, at, piece, f"split{i}") for i, piece in enumerate(pieces))


def _cuts(size: Dim, indices_or_sections: Any) -> list[Dim]:
    if isinstance(indices_or_sections, tuple):
        return list(indices_or_sections)
    sections = indices_or_sections
    if isinstance(sections, bool | SymInt) or not isinstance(sections, int) or sections < 1:
        raise ShapeError(f"split: the number of sections must be a positive integer, got {sections!r}")
    share = ceildiv(size, sections)
    return [share * i for i in range(1, sections)]


def _piece(x: te.Tensor, at: int, piece: AxisSlice, name: str) -> te.Tensor:
    def body(*index: Dim) -> ScalarExpr:
        return x[(*index[:at], piece.start + index[at], *index[at + 1 :])]

    return te.compute((*x.shape[:at], piece.length, *x.shape[at + 1 :]), body, name=name)
