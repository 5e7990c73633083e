"""Operators that rearrange one tensor's elements: reshape, flatten, permute, expand, squeeze, broadcast, flip, repeat, tile.

Facts: ``same_elements`` means that the result holds the input's elements in the same order, so it can be the same memory.
"""

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
from relaxdsl.types.dims import Dim, SymInt, dims
from relaxdsl.types.prove import Proof, prove_equal
from relaxdsl.types.shape import normalize_axes, require_equal, reshape_shape, size_of
from relaxdsl.types.types import format_shape

_M, _N = dims("m n")  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------------- reshaping


def reshaped(x: te.Tensor, shape: Sequence[Dim], *, name: str) -> te.Tensor:
    """The stage that reads ``x`` in the same order as ``shape``, which has the same number of elements."""
    groups = _equal_groups(x.shape, shape)

    def body(*index: Dim) -> ScalarExpr:
        source: list[Dim] = []
        for old, new in groups:
            position = ravel([index[axis] for axis in new], [shape[axis] for axis in new])
            source += unravel(position, [x.shape[axis] for axis in old])
        return x[tuple(source)]

    return te.compute(tuple(shape), body, name=name)  # type: ignore[return-value]


def _equal_groups(old: Sequence[Dim], new: Sequence[Dim]) -> list[tuple[range, range]]:
    """The axes of both shapes cut into the shortest runs of provably equal size, so that indices need few divisions."""
    groups: list[tuple[range, range]] = []
    old_start = new_start = 0
    for old_stop in range(1, len(old) + 1):
        for new_stop in range(new_start + 1, len(new) + 1):
            left, right = size_of(old[old_start:old_stop]), size_of(new[new_start:new_stop])
            if prove_equal(left, right) is Proof.YES and left != 0:
                groups.append((range(old_start, old_stop), range(new_start, new_stop)))
                old_start, new_start = old_stop, new_stop
                break
    if (old_start, new_start) != (len(old), len(new)):
        groups.append((range(old_start, len(old)), range(new_start, len(new))))
    return groups


def ravel(index: Sequence[Dim], shape: Sequence[Dim]) -> Dim:
    """The position of ``index`` in row-major order."""
    position: Dim = 0
    for each, size in zip(index, shape, strict=True):
        position = position * size + each
    return position


def unravel(position: Dim, shape: Sequence[Dim]) -> list[Dim]:
    """The index at ``position`` in row-major order, for positions within the shape."""
    index: list[Dim] = []
    for axis in range(len(shape) - 1, 0, -1):
        # Where some size is 0 no position exists, but the expression must still be one.
        size = 1 if shape[axis] == 0 else shape[axis]
        index.append(position % size)
        position = position // size
    return [position, *reversed(index)] if shape else []


def _shape_attribute(operator_name: str, shape: Any) -> tuple[Dim, ...]:
    """``shape`` as a tuple of dims; one size stands for a shape of one axis."""
    sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    for axis, size in enumerate(sizes):
        if isinstance(size, bool) or not isinstance(size, int | SymInt):
            raise ShapeError(f"{operator_name}: axis {axis} of the shape is {size!r}, which is not a size")
    return sizes


@operator(
    "reshape",
    reference=np.reshape,
    samples=[
        sample(tensor("m", 6), shape=(-1, 2, 3)),
        sample(tensor("m", 6), shape=(_M * 2, 3)),
        sample(tensor("m", "n", 2), shape=(_N * 2, _M)),
        sample(tensor("m", "n", 2), shape=(_M, 2 * _N)),
        sample(tensor(3, "m", 4, dtype="int8"), shape=(-1,)),
        sample(tensor("2 * m"), shape=(_M, 2)),
        sample(tensor("2 * m"), shape=(2, -1)),
        sample(tensor("m", 2), shape=(1, _M, 1, 2)),
        sample(tensor(1), shape=()),
        sample(tensor(0, 3), shape=(5, 0)),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "reshape: number of elements differs: 12 and 10\n"
            "   from (3, 4) with 12 elements\n"
            "   to (2, 5) with 10\n"
            "   x : Tensor((3, 4), float32)",
            tensor(3, 4),
            shape=(2, 5),
        ),
        mistake(
            ShapeError,
            "reshape: number of elements: symbolic sizes `m * 4` and `n * 4` may differ\n"
            "   from (m, 4) with m * 4 elements\n"
            "   to (4, n) with n * 4\n"
            "   x : Tensor((m, 4), float32)\n"
            "   hint: if they are always equal, write the same size in both, or match_cast one of them",
            tensor("m", 4),
            shape=(4, _N),
        ),
        mistake(
            ShapeError,
            "reshape: no size for -1 fits: m * 4 is not known to be a multiple of 3\n"
            "   from (m, 4)\n"
            "   to (3, -1)\n"
            "   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            shape=(3, -1),
        ),
        mistake(
            ShapeError,
            "reshape: only one axis can be -1, in (-1, -1)\n   x : Tensor((m, 4), float32)",
            tensor("m", 4),
            shape=(-1, -1),
        ),
        mistake(
            ShapeError,
            "reshape: axis 1 of the shape is 2.0, which is not a size",
            tensor("m", 4),
            shape=(-1, 2.0),
        ),
    ],
    facts={"same_elements": True},
)
def reshape(x: Operand, shape: Any) -> te.Tensor:
    """The same elements in the same order in another shape; one ``-1`` stands for the size that makes the count right.

    The numbers of elements must be provably equal. The method takes sizes or a tuple: ``x.reshape(a, b)``, ``x.reshape((a, b))``.

    Raises:
        ShapeError: the numbers of elements differ or can't be proved equal, or no whole size fits ``-1``.

    Example:
        >>> from relaxdsl.ir.graph import Var
        >>> from relaxdsl.types.types import TensorType
        >>> from relaxdsl.types.dims import dims
        >>> print(reshape(Var("x", TensorType((dims("m"), 6), "float32")), (-1, 2)).type)
        relax.Tensor((m * 3, 2), "float32")

    Source: ``numpy.reshape`` in row-major order.
    """
    x = require_tensor("reshape", "x", x)
    wanted = _shape_attribute("reshape", shape)
    try:
        new_shape = reshape_shape("reshape", x.shape, wanted, on_undecided=accept_undecided)
    except ShapeError as error:
        raise ShapeError(error.headline, details=[*error.details, describe(x)], hint=error.hint) from None
    return reshaped(x, new_shape, name="reshape")


def _reshape_method(x: Expr, *shape: Any) -> Call:
    return reshape(x, shape[0] if len(shape) == 1 else shape)


setattr(Expr, "reshape", _reshape_method)  # noqa: B010 - an attribute the class body does not declare


@operator(
    "flatten",
    reference=np.ravel,
    samples=[
        sample(tensor("m", 224)),
        sample(tensor("m", "n", 3)),
        sample(tensor("m", dtype="int32")),
        sample(tensor(2, 0, 3)),
        sample(tensor()),
    ],
    methods=("flatten",),
    facts={"same_elements": True},
)
def flatten(x: Operand) -> te.Tensor:
    """All elements in row-major order on one axis; a scalar becomes ``(1,)``.

    Example:
        >>> from relaxdsl.ir.graph import Var
        >>> from relaxdsl.types.types import TensorType
        >>> from relaxdsl.types.dims import dims
        >>> print(flatten(Var("x", TensorType((dims("m"), 224), "float32"))).type)
        relax.Tensor((m * 224,), "float32")

    Source: ``numpy.ravel``.
    """
    x = require_tensor("flatten", "x", x)
    return reshaped(x, (size_of(x.shape),), name="flatten")


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
    """The axes in another order: axis ``i`` of the result is ``axes[i]`` of ``x``; reversed without ``axes``. Also ``x.T``.

    Raises:
        ShapeError: ``axes`` does not name every axis exactly once.

    Example:
        >>> from relaxdsl.ir.graph import Var
        >>> from relaxdsl.types.types import TensorType
        >>> from relaxdsl.types.dims import dims
        >>> print(permute_dims(Var("x", TensorType((dims("m"), 3), "float32"))).type)
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
    return te.compute(shape, lambda *i: x[tuple(i[to] for to in where)], name="permute_dims")  # type: ignore[return-value]


def _transpose_method(x: Expr, *axes: Any) -> Call:
    if not axes:
        return permute_dims(x)
    return permute_dims(x, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)


setattr(Expr, "transpose", _transpose_method)  # noqa: B010 - as above
setattr(Expr, "T", property(permute_dims, doc="The axes in reverse order."))  # noqa: B010 - as above


@operator(
    "expand_dims",
    reference=np.expand_dims,
    samples=[
        sample(tensor("m", 3), axis=0),
        sample(tensor("m", 3), axis=-1),
        sample(tensor("m", 3, dtype="int32"), axis=(0, -2)),
        sample(tensor(), axis=0),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "expand_dims: axis 3 does not exist: the tensor has 3 axes\n"
            "   x : Tensor((m, 3), float32)\n"
            "   hint: axes go from -3 to 2, counted in the result",
            tensor("m", 3),
            axis=3,
        ),
        mistake(
            ShapeError,
            "expand_dims: axis 0 is given twice, in (0, -4)\n   x : Tensor((m, 3), float32)",
            tensor("m", 3),
            axis=(0, -4),
        ),
    ],
    facts={"same_elements": True},
)
def expand_dims(x: Operand, axis: int | Sequence[int]) -> te.Tensor:
    """New axes of size 1 at ``axis``, counted in the result.

    Raises:
        ShapeError: an axis is not one of the result's, or is given twice.

    Source: ``numpy.expand_dims``.
    """
    x = require_tensor("expand_dims", "x", x)
    count = len(axis) if isinstance(axis, list | tuple) else 1
    try:
        new = normalize_axes("expand_dims", axis, x.ndim + count)
    except ShapeError as error:
        hint = None if error.hint is None else f"{error.hint}, counted in the result"
        raise ShapeError(error.headline, details=[describe(x)], hint=hint) from None
    sizes = iter(x.shape)
    shape = tuple(1 if position in new else next(sizes) for position in range(x.ndim + count))
    kept = [position for position in range(x.ndim + count) if position not in new]
    return te.compute(shape, lambda *i: x[tuple(i[position] for position in kept)], name="expand_dims")  # type: ignore[return-value]


@operator(
    "squeeze",
    reference=np.squeeze,
    samples=[
        # A symbolic 1 stays an axis here, but not in NumPy.
        sample(tensor("m", 1, 3, 1), sizes=(0, 2, 7)),
        sample(tensor("m", 1, 3, 1), axis=1),
        sample(tensor(1, "m", 1, dtype="int32"), axis=(0, -1)),
        sample(tensor(1, 1)),
        sample(tensor("m", 3), axis=()),
    ],
    mistakes=[
        mistake(
            ShapeError,
            "squeeze: axis 1 differs: 3 and 1\n"
            "   x : Tensor((m, 3), float32)   axis 1 is 3\n"
            "   a squeezed axis                      is 1",
            tensor("m", 3),
            axis=1,
        ),
        mistake(
            ShapeError,
            "squeeze: axis 0: sizes `m` and `1` may differ\n"
            "   x : Tensor((m, 3), float32)   axis 0 is m\n"
            "   a squeezed axis                      is 1\n"
            "   hint: if `m` is always 1, write 1 in its place, or match_cast it",
            tensor("m", 3),
            axis=0,
        ),
    ],
    methods=("squeeze",),
    facts={"same_elements": True},
)
def squeeze(x: Operand, axis: int | Sequence[int] | None = None) -> te.Tensor:
    """Without the axes ``axis``, which must have size 1; without ``axis``, without all axes of the literal size 1.

    A symbolic size is not 1, whatever it is at run time: the rank of a result never depends on a value.

    Raises:
        ShapeError: an axis given has another size, or one that may be another.

    Source: ``numpy.squeeze``.
    """
    x = require_tensor("squeeze", "x", x)
    if axis is None:
        dropped = tuple(position for position, size in enumerate(x.shape) if size == 1)
    else:
        dropped = axes_of("squeeze", x, axis)
        _require_ones(x, dropped)
    shape = tuple(size for position, size in enumerate(x.shape) if position not in dropped)

    def body(*index: Dim) -> ScalarExpr:
        kept = iter(index)
        return x[tuple(0 if position in dropped else next(kept) for position in range(x.ndim))]

    return te.compute(shape, body, name="squeeze")  # type: ignore[return-value]


def _require_ones(x: te.Tensor, axes: Sequence[int]) -> None:
    for axis in axes:
        what = f"{describe(x)}   axis {axis}"
        require_equal(
            "squeeze", what, x.shape[axis], "a squeezed axis", 1, headline=f"axis {axis}", on_undecided=accept_undecided
        )


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
    wanted = _shape_attribute("broadcast_to", shape)
    _check_broadcast(x, wanted)
    return te.compute(wanted, lambda *i: element(x, i), name="broadcast_to")  # type: ignore[return-value]


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


# --------------------------------------------------------------------------------------------------------- flip, repeat, tile


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

    return te.compute(data.shape, body, name="flip")  # type: ignore[return-value]


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
        return te.compute((size_of(data.shape) * count,), flat, name="repeat")  # type: ignore[return-value]
    at = axis_of("repeat", data, axis)
    shape = (*data.shape[:at], data.shape[at] * count, *data.shape[at + 1 :])

    def body(*index: Dim) -> ScalarExpr:
        return data[(*index[:at], _quotient(index[at], count), *index[at + 1 :])]

    return te.compute(shape, body, name="repeat")  # type: ignore[return-value]


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
    counts = [_require_count("tile", f"repeats[{i}]", count) for i, count in enumerate(given)]
    counts = [1] * (data.ndim - len(counts)) + counts
    new = len(counts) - data.ndim
    sizes = (*([1] * new), *data.shape)

    def body(*index: Dim) -> ScalarExpr:
        return data[tuple(0 if size == 0 else i % size for i, size in zip(index[new:], data.shape, strict=True))]

    shape = tuple(size * count for size, count in zip(sizes, counts, strict=True))
    return te.compute(shape, body, name="tile")  # type: ignore[return-value]
