"""Operators whose result has the same elements in the same order: ``reshape flatten expand_dims squeeze``.

Their fact ``same_elements`` says that input and result can be the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from relaxdsl.errors import ShapeError
from relaxdsl.ir.graph import Call, Expr
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import accept_undecided, operator
from relaxdsl.operators.operands import axes_of, describe, require_tensor
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.dims import Dim, SymInt, symbol
from relaxdsl.types.prove import Proof, prove_equal
from relaxdsl.types.shape import normalize_axes, require_equal, reshape_shape, size_of

_M, _N = symbol("m"), symbol("n")
_Position = TypeVar("_Position", Dim, ScalarExpr)


# ------------------------------------------------------------------------------------------------------ row-major order


def reshaped(x: te.Tensor, shape: Sequence[Dim], *, name: str) -> te.Tensor:
    """The stage that reads ``x`` in the same order as ``shape``, which has the same number of elements."""
    groups = _equal_groups(x.shape, shape)

    def body(*index: Dim) -> ScalarExpr:
        source: list[Dim] = []
        for old, new in groups:
            position = ravel([index[axis] for axis in new], [shape[axis] for axis in new])
            source += unravel(position, [x.shape[axis] for axis in old])
        return x[tuple(source)]

    return te.compute(tuple(shape), body, name=name)


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
        # Of an axis of size 1 the only index is 0.
        position = position if size == 1 else position * size + each
    return position


def unravel(position: _Position, shape: Sequence[Dim]) -> list[_Position]:
    """The index at ``position`` in row-major order, for positions within the shape."""
    index: list[_Position] = []
    for size in reversed(shape[1:]):
        # Where some size is 0 no position exists, but the expression must still be one.
        divisor = 1 if size == 0 else size
        index.insert(0, position % divisor)
        position = position // divisor
    if shape:
        index.insert(0, position)
    return index


def sizes_attribute(operator_name: str, shape: Any) -> tuple[Dim, ...]:
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

    The numbers of elements must be provably equal. The method takes sizes or a tuple: ``x.reshape(a, b)`` and
    ``x.reshape((a, b))``.

    Raises:
        ShapeError: the numbers of elements differ or can't be proved equal, or no whole size fits ``-1``.

    Example:
        >>> print(relax.reshape(relax.Var("x", relax.TensorType((relax.dims("m"), 6), "float32")), (-1, 2)).type)
        relax.Tensor((m * 3, 2), "float32")

    Source: ``numpy.reshape`` in row-major order.
    """
    x = require_tensor("reshape", "x", x)
    wanted = sizes_attribute("reshape", shape)
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
        >>> print(relax.flatten(relax.Var("x", relax.TensorType((relax.dims("m"), 224), "float32"))).type)
        relax.Tensor((m * 224,), "float32")

    Source: ``numpy.ravel``.
    """
    x = require_tensor("flatten", "x", x)
    return reshaped(x, (size_of(x.shape),), name="flatten")


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
    return te.compute(shape, lambda *i: x[tuple(i[position] for position in kept)], name="expand_dims")


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

    return te.compute(shape, body, name="squeeze")


def _require_ones(x: te.Tensor, axes: Sequence[int]) -> None:
    for axis in axes:
        what = f"{describe(x)}   axis {axis}"
        require_equal(
            "squeeze", what, x.shape[axis], "a squeezed axis", 1, headline=f"axis {axis}", on_undecided=accept_undecided
        )
