"""Operators that rearrange or repeat one tensor's elements: ``permute_dims broadcast_to flip repeat tile``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Call, Expr
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import accept_undecided, operator
from relaxdsl.operators.operands import axes_of, axis_of, describe, element, require_tensor
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.operators.reshape import sizes_attribute, unravel
from relaxdsl.types.dims import Dim, SymInt, symbol
from relaxdsl.types.shape import require_equal, size_of
from relaxdsl.types.types import format_shape

_M, _N = symbol("m"), symbol("n")


@operator(
    "permute_dims",
    reference=np.transpose,
    samples=[
        sample(tensor("m", 3)),
        sample(tensor("m", 3, "n"), axes=(1, 2, 0)),
        sample(tensor("m", 3, 2, dtype="int16"), axes=(-1, 0, -2)),
        sample(tensor("m", dtype="bool")),
        sample(tensor()),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "permute_dims: axes (0,) must name each of the 2 axes once\n   x : Tensor((m, 3), float32)",
            tensor("m", 3),
            axes=(0,),
        ),
        mistake(
            ShapeError,
            "permute_dims: axis 0 is given twice, in (0, -2)\n   x : Tensor((m, 3), float32)",
            tensor("m", 3),
            axes=(0, -2),
        ),
        mistake(
            ShapeError,
            "permute_dims: axis 2 does not exist: the tensor has 2 axes\n"
            "   x : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            axes=(0, 2),
        ),
    ],
)
def permute_dims(x: Operand, axes: Sequence[int] | None = None) -> te.Tensor:
    """The axes in another order: axis ``i`` of the result is ``axes[i]`` of ``x``; reversed without ``axes``.

    Also ``x.T`` and ``x.transpose(1, 0)``.

    Raises:
        ShapeError: ``axes`` does not name every axis exactly once.

    Example:
        >>> print(relax.permute_dims(relax.Var("x", relax.TensorType((relax.dims("m"), 3), "float32"))).type)
        relax.Tensor((3, m), "float32")

    Source: ``numpy.transpose``.
    """
    x = require_tensor("permute_dims", "x", x)
    order = tuple(reversed(range(x.ndim))) if axes is None else axes_of("permute_dims", x, axes)
    if len(order) != x.ndim:
        raise ShapeError(
            f"permute_dims: axes {axes} must name each of the {x.ndim} axes once",
            details=[describe(x)],
        )
    where = [order.index(axis) for axis in range(x.ndim)]
    shape = tuple(x.shape[axis] for axis in order)
    return te.compute(shape, lambda *i: x[tuple(i[to] for to in where)], name="permute_dims")


def _transpose_method(x: Expr, *axes: Any) -> Call:
    if not axes:
        return permute_dims(x)
    return permute_dims(x, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)


setattr(Expr, "transpose", _transpose_method)  # noqa: B010 - as above
setattr(Expr, "T", property(permute_dims, doc="The axes in reverse order."))  # noqa: B010 - as above


@operator(
    "broadcast_to",
    reference=np.broadcast_to,
    samples=[
        sample(tensor("m", 1), shape=(_M, 4)),
        sample(tensor(3), shape=(_N, 3)),
        sample(tensor("m", dtype="int32"), shape=(2, _M)),
        sample(tensor(), shape=(_N,)),
        sample(tensor(1, "m"), shape=(0, _M)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "broadcast_to: axis 1 differs: 3 and 4\n"
            "   x : Tensor((m, 3), float32)   axis 1 is 3\n"
            "   the new shape (m, 4)          axis 1 is 4",
            tensor("m", 3),
            shape=(_M, 4),
        ),
        mistake(
            ShapeError,
            "broadcast_to: axis 0: symbolic sizes `m` and `n` may differ\n"
            "   x : Tensor((m,), float32)   axis 0 is m\n"
            "   the new shape (n,)          axis 0 is n\n"
            "   hint: if they are always equal, name them alike (`m` in both), or match_cast one of them",
            tensor("m"),
            shape=(_N,),
        ),
        mistake(
            ShapeError,
            "broadcast_to: the new shape (3,) has fewer axes than x\n   x : Tensor((m, 3), float32)",
            tensor("m", 3),
            shape=(3,),
        ),
        mistake(
            ShapeError,
            "broadcast_to: axis 0 of the shape has the negative size -1\n   x : Tensor((1, 3), float32)",
            tensor(1, 3),
            shape=(-1, 3),
        ),
    ],
)
def broadcast_to(x: Operand, shape: Any) -> te.Tensor:
    """``x`` repeated along new leading axes and along its axes of the literal size 1, so that it has ``shape``.

    Raises:
        ShapeError: a size other than the literal 1 would have to change, or might.

    Source: ``numpy.broadcast_to``.
    """
    x = require_tensor("broadcast_to", "x", x)
    wanted = sizes_attribute("broadcast_to", shape)
    _check_broadcast(x, wanted)
    return te.compute(wanted, lambda *i: element(x, i), name="broadcast_to")


def _check_broadcast(x: te.Tensor, shape: tuple[Dim, ...]) -> None:
    new = len(shape) - x.ndim
    if new < 0:
        headline = f"broadcast_to: the new shape {format_shape(shape)} has fewer axes than {x.name}"
        raise ShapeError(headline, details=[describe(x)])
    for position, size in enumerate(shape):
        if isinstance(size, int) and size < 0:
            headline = f"broadcast_to: axis {position} of the shape has the negative size {size}"
            raise ShapeError(headline, details=[describe(x)])
        if position >= new and x.shape[position - new] != 1:
            _require_broadcast_size(x, position - new, shape, position)


def _require_broadcast_size(x: te.Tensor, axis: int, shape: tuple[Dim, ...], position: int) -> None:
    mine, theirs = describe(x), f"the new shape {format_shape(shape)}"
    width = max(len(mine), len(theirs))
    require_equal(
        "broadcast_to",
        f"{mine:{width}}   axis {axis}",
        x.shape[axis],
        f"{theirs:{width}}   axis {position}",
        shape[position],
        headline=f"axis {position}",
        on_undecided=accept_undecided,
    )


@operator(
    "flip",
    reference=np.flip,
    samples=[
        sample(tensor("m", 3), axis=0),
        sample(tensor("m", 3), axis=(0, -1)),
        sample(tensor("m", dtype="int32")),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "flip: axis 2 does not exist: the tensor has 2 axes\n"
            "   data : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            axis=2,
        )
    ],
    facts={"involution": True},
)
def flip(data: Operand, axis: int | Sequence[int] | None = None) -> te.Tensor:
    """The elements in reverse order along ``axis`` (an axis, several, or all of them).

    Source: ``numpy.flip``.
    """
    data = require_tensor("flip", "data", data)
    axes = axes_of("flip", data, axis)

    def body(*index: Dim) -> ScalarExpr:
        return data[tuple(data.shape[at] - 1 - i if at in axes else i for at, i in enumerate(index))]

    return te.compute(data.shape, body, name="flip")


def _reference_repeat(data: Any, repeats: int, axis: int | None = None) -> Any:
    return np.repeat(data, repeats, axis)


def _require_count(operator_name: str, name: str, count: Any) -> Dim:
    if isinstance(count, bool) or not isinstance(count, int | SymInt) or (isinstance(count, int) and count < 0):
        raise ShapeError(f"{operator_name}: {name} must be a size, got {count!r}")
    return count


@operator(
    "repeat",
    reference=_reference_repeat,
    samples=[
        sample(tensor("m", 3), repeats=2, axis=0),
        sample(tensor("m", 3), repeats=3, axis=-1),
        sample(tensor("m", 3, dtype="int32"), repeats=2),
        sample(tensor("m"), repeats=0, axis=0),
        sample(tensor(2, "m"), repeats=_N, axis=0),
    ],
    mistakes=[
        mistake(ShapeError, "repeat: repeats must be a size, got -1", tensor("m", 3), repeats=-1, axis=0),
        mistake(
            ShapeError,
            "repeat: axis 2 does not exist: the tensor has 2 axes\n"
            "   data : Tensor((m, 3), float32)\n"
            "   hint: axes go from -2 to 1",
            tensor("m", 3),
            repeats=2,
            axis=2,
        ),
    ],
)
def repeat(data: Operand, repeats: Dim, axis: int | None = None) -> te.Tensor:
    """Every element ``repeats`` times in a row along ``axis``; of the flattened tensor without ``axis``.

    Source: ``numpy.repeat`` with one count.
    """
    data = require_tensor("repeat", "data", data)
    count = _require_count("repeat", "repeats", repeats)
    if axis is None:
        flat = lambda i: data[tuple(unravel(_quotient(i, count), data.shape))]  # noqa: E731 - the body of one stage
        return te.compute((size_of(data.shape) * count,), flat, name="repeat")
    at = axis_of("repeat", data, axis)
    shape = (*data.shape[:at], data.shape[at] * count, *data.shape[at + 1 :])

    def body(*index: Dim) -> ScalarExpr:
        return data[(*index[:at], _quotient(index[at], count), *index[at + 1 :])]

    return te.compute(shape, body, name="repeat")


def _quotient(position: Dim, size: Dim) -> Dim:
    """``position // size`` of a position that does not exist where ``size`` is 0."""
    return 0 if size == 0 else position // size


@operator(
    "tile",
    reference=lambda data, repeats: np.tile(data, repeats),
    samples=[
        sample(tensor("m", 3), repeats=2),
        sample(tensor("m", 3), repeats=(2, 3)),
        sample(tensor("m", dtype="int32"), repeats=(3, 1)),
        sample(tensor("m", 3), repeats=(2,)),
        sample(tensor(2, "m"), repeats=(_N, 0)),
    ],
    mistakes=[mistake(ShapeError, "tile: repeats[1] must be a size, got 0.5", tensor("m", 3), repeats=(2, 0.5))],
)
def tile(data: Operand, repeats: Dim | Sequence[Dim]) -> te.Tensor:
    """The whole tensor ``repeats[i]`` times along axis ``i``; the shorter of shape and ``repeats`` gets leading ones.

    Source: ``numpy.tile``.
    """
    data = require_tensor("tile", "data", data)
    given = tuple(repeats) if isinstance(repeats, list | tuple) else (repeats,)
    counts: list[Dim] = [_require_count("tile", f"repeats[{i}]", count) for i, count in enumerate(given)]
    counts[:0] = [1] * (data.ndim - len(counts))
    new = len(counts) - data.ndim
    sizes = (*([1] * new), *data.shape)

    def body(*index: Dim) -> ScalarExpr:
        return data[tuple(0 if size == 0 else i % size for i, size in zip(index[new:], data.shape, strict=True))]

    shape = tuple(size * count for size, count in zip(sizes, counts, strict=True))
    return te.compute(shape, body, name="tile")
