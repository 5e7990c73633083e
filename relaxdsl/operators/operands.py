"""What operator bodies ask of their operands: shape, dtype, rank, elements; and the errors when they don't fit."""

from __future__ import annotations

from collections.abc import Sequence

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.scalar import Const, Index, ScalarExpr, as_scalar
from relaxdsl.ir.te import Tensor
from relaxdsl.operators.calls import accept_undecided
from relaxdsl.operators.registry import Operand
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim
from relaxdsl.types.dtype import is_bool, is_float, is_integer, promote
from relaxdsl.types.shape import broadcast_shapes, normalize_axes, require_equal


def shape_of(operand: Operand) -> tuple[Dim, ...]:
    """The operand's shape; numbers and dims have the shape ``()``."""
    return operand.shape if isinstance(operand, Tensor) else ()


def name_of(operand: Operand, otherwise: str) -> str:
    """The operand's name for messages."""
    return operand.name if isinstance(operand, Tensor) else otherwise


def dtype_of(operand: Operand) -> str | int:
    """The operand's dtype, or a Python int standing for a weakly typed dim (as ``promote`` takes it)."""
    return operand.dtype if isinstance(operand, Tensor | ScalarExpr) else 0


def common_dtype(*operands: Operand) -> str:
    """The dtype that the operands promote to, as NumPy 2 does it."""
    return promote(*(dtype_of(operand) for operand in operands))


def require_tensor(operator_name: str, name: str, operand: Operand) -> Tensor:
    """The operand, which must be a tensor."""
    if not isinstance(operand, Tensor):
        raise ShapeError(f"{operator_name}: {name} must be a tensor, got a number")
    return operand


def require_ndim(operator_name: str, operand: Operand, ndim: int, *, name: str = "x", axes: str = "") -> Tensor:
    """The operand, which must be a tensor of rank ``ndim``; ``axes`` says in messages what these are."""
    tensor = require_tensor(operator_name, name, operand)
    if tensor.ndim != ndim:
        raise ShapeError(
            f"{operator_name}: {tensor.name} must have {counted(ndim, 'dimension')}, got {tensor.ndim}",
            details=[describe(tensor), *([axes] if axes else [])],
        )
    return tensor


def require_dtype(operator_name: str, operand: Operand, accepted: Sequence[str], *, name: str = "x") -> None:
    """The operand's dtype must be of one of the kinds ``accepted``: ``"float"``, ``"integer"``, ``"bool"``."""
    dtype = common_dtype(operand)
    kinds = {"float": is_float, "integer": is_integer, "bool": is_bool}
    if any(kinds[kind](dtype) for kind in accepted):
        return
    wanted = " or ".join(accepted)
    target = {"float": "float32", "integer": "int64", "bool": "bool"}[accepted[0]]
    if isinstance(operand, Tensor):
        raise DTypeError(
            f"{operator_name}: {operand.name} must be {wanted}, got {dtype}",
            details=[describe(operand)],
            hint=f'convert it with {operand.name}.astype("{target}")',
        )
    value = operand.value if isinstance(operand, Const) else operand
    raise DTypeError(
        f"{operator_name}: {name} must be {wanted}, got the {dtype} {value}",
        hint=f'convert it: relax.astype({value}, "{target}")',
    )


def axes_of(operator_name: str, tensor: Tensor, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    """The axes counted from the front, in the order given; None means all of them.

    Raises:
        ShapeError: an axis does not exist, or is given twice; the message shows the tensor.
    """
    try:
        return normalize_axes(operator_name, axes, tensor.ndim)
    except ShapeError as error:
        raise ShapeError(error.headline, details=[describe(tensor)], hint=error.hint) from None


def axis_of(operator_name: str, tensor: Tensor, axis: int) -> int:
    """The axis counted from the front; raises as :func:`axes_of`."""
    return axes_of(operator_name, tensor, (axis,))[0]


def describe(tensor: Tensor) -> str:
    """``x : Tensor((n, 4), float32)``, as messages show an operand."""
    sizes = ", ".join(map(str, tensor.shape)) + ("," if tensor.ndim == 1 else "")
    return f"{tensor.name} : Tensor(({sizes}), {tensor.dtype})"


def require_same_size(
    operator_name: str, first: Tensor, axis: int, second: Tensor, own_axis: int, headline: str, hint: str | None = None
) -> Dim:
    """The size that ``axis`` of ``first`` and ``own_axis`` of ``second`` have both; the number, where one is known.

    Raises:
        ShapeError: they differ, or can't be proved equal; says ``headline`` and shows both tensors.
    """
    width = max(len(first.name), len(second.name))
    shown = [f"{each.name:{width}}{describe(each)[len(each.name) :]}" for each in (first, second)]
    width = max(map(len, shown))
    sizes = first.shape[axis], second.shape[own_axis]
    require_equal(
        operator_name,
        f"{shown[0]:{width}}   axis {axis}",
        sizes[0],
        f"{shown[1]:{width}}   axis {own_axis}",
        sizes[1],
        headline=headline,
        hint=hint,
        on_undecided=accept_undecided,
    )
    return next((size for size in sizes if isinstance(size, int)), sizes[0])


def broadcast(operator_name: str, operands: Sequence[Operand], names: Sequence[str]) -> tuple[Dim, ...]:
    """The common shape of the operands under NumPy's rules, where only the literal 1 broadcasts.

    Raises:
        ShapeError: where sizes differ or can't be proved equal.
    """
    shapes = [(name_of(operand, name), shape_of(operand)) for name, operand in zip(names, operands, strict=True)]
    return broadcast_shapes(operator_name, shapes, on_undecided=accept_undecided)


def element(operand: Operand, axes: Sequence[Index]) -> ScalarExpr | Dim:
    """The element of the operand that meets ``axes`` of the result under broadcasting. Dims stay dims: they are
    weakly typed.
    """
    if not isinstance(operand, Tensor):
        return operand
    if operand.ndim == 0:
        return operand[()]
    own = axes[len(axes) - operand.ndim :]
    return operand[tuple(0 if size == 1 else axis for size, axis in zip(operand.shape, own, strict=True))]


def typed_element(operand: Operand, axes: Sequence[Index], dtype: str) -> ScalarExpr:
    """:func:`element`, converted to ``dtype``."""
    return as_scalar(element(operand, axes), dtype).astype(dtype)
