"""``x[…]`` and ``for part in x`` on expressions: which field, size or call a subscript means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import DTypeError, ScriptError, ShapeError
from relaxdsl.ir.graph import Expr, PrimValue, TupleGetItem
from relaxdsl.operators.calls import constant, current_context
from relaxdsl.operators.indexing import WHOLE, getitem, take
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import SymInt, free_symbols
from relaxdsl.types.dtype import is_bool, is_integer
from relaxdsl.types.types import PrimType, ShapeType, TensorType, TupleType


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
        fields = counted(count, "field")
        raise ShapeError(f"{what}[...]: index {position} is out of range: the {what} has {fields}", span=span)
    return position % count


def _tensor_subscript(x: Expr, type_: TensorType, index: tuple[Any, ...]) -> Expr:
    _require_no_axis(index)
    entries = _entries(x, _without_ellipsis(index, type_.ndim))
    chosen = [i for i, entry in enumerate(entries) if isinstance(entry, Expr)]
    if not chosen:
        return getitem(x, tuple(entries))
    if len(chosen) > 1:
        raise ShapeError(
            f"x[...]: one integer tensor can be an index, got {len(chosen)}",
            hint=_flattened_hint(x, type_.ndim, entries),
            span=current_context().span,
        )
    at = chosen[0]
    _require_adjacent(entries, at)
    rest = tuple(WHOLE if i == at else entry for i, entry in enumerate(entries))
    axis = sum(entry is None or isinstance(entry, tuple) for entry in rest[:at])
    base = x if all(entry == WHOLE for entry in rest) else getitem(x, rest)
    return take(base, entries[at], axis=axis)


def _flattened_hint(x: Expr, ndim: int | None, entries: Sequence[Any]) -> str | None:
    """What gives the elements that NumPy's ``x[i, j]`` does; None where other entries stand beside the tensors."""
    if ndim is None or len(entries) > ndim or not all(isinstance(entry, Expr) for entry in entries):
        return None
    name = _name(x, "x")
    position, *others = (_int64(_name(entry, f"i{axis}"), entry) for axis, entry in enumerate(entries))
    for axis, other in enumerate(others, start=1):
        row = position if axis == 1 else f"({position})"
        position = f"{row} * {name}.shape[{axis}] + {other}"
    taken = f"relax.flatten({name}), {position}"
    if len(entries) < ndim:
        merged = " * ".join(f"{name}.shape[{axis}]" for axis in range(len(entries)))
        taken = f"relax.reshape({name}, ({merged}, *{name}.shape[{len(entries)}:])), {position}, axis=0"
    return f"where no index is negative, use relax.take({taken})"


def _int64(name: str, index: Expr) -> str:
    """The index as a factor: a position in all of the tensor may not fit its own dtype."""
    return name if isinstance(index.type, TensorType) and index.type.dtype == "int64" else f'{name}.astype("int64")'


def _ndim(value: Any) -> int | None:
    return value.type.ndim if isinstance(value, Expr) and isinstance(value.type, TensorType) else None


def _name(value: Expr, otherwise: str) -> str:
    return getattr(value, "name", otherwise)


def _require_no_axis(index: tuple[Any, ...]) -> None:
    """An axis of ``te.compute``, whose name has a dot, indexes tensors of expressions, not those of programs."""
    names = (name for entry in index if isinstance(entry, SymInt) for name in free_symbols(entry))
    axis = next((name.partition(".")[0] for name in names if "." in name), None)
    if axis is not None:
        raise ScriptError(
            f"x[...]: {axis} is an axis of te.compute, and what it indexes is a tensor of the program",
            hint="call the function with the te.compute in it as relax.emit_te(function, x)",
            span=current_context().span,
        )


def _require_adjacent(entries: Sequence[Any], at: int) -> None:
    """NumPy moves an index tensor's axes to the front if a slice separates it from a position; here it is an error."""
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


def _entries(x: Expr, index: tuple[Any, ...]) -> list[Any]:
    entries = [_entry(each) for each in index]
    mask = next((i for i, entry in enumerate(entries) if _is_mask(entry)), None)
    if mask is not None:
        raise DTypeError(
            "x[...]: a bool mask gives a size that depends on the data",
            hint=_mask_hint(x, entries, mask),
            span=current_context().span,
        )
    return entries


def _is_mask(entry: Any) -> bool:
    if isinstance(entry, Expr) and isinstance(entry.type, TensorType) and entry.type.dtype is not None:
        return is_bool(entry.type.dtype)
    return isinstance(entry, bool)


def _mask_hint(x: Expr, entries: Sequence[Any], at: int) -> str:
    """What to write instead of the mask; what gives the same elements only where that is one call of ``take``."""
    name, mask = _name(x, "x"), _name(entries[at], "mask")
    where = f"use relax.where({mask}, {name}, y)"
    mask_ndim, ndim = (_ndim(entries[at]), _ndim(x))
    if mask_ndim == 1 and all(entry == WHOLE for i, entry in enumerate(entries) if i != at):
        return f"{where}, or relax.take({name}, relax.nonzero({mask})[0], axis={at})"
    if len(entries) == 1 and mask_ndim is not None and mask_ndim == ndim != 0:
        return f"{where}, or relax.take(relax.flatten({name}), relax.nonzero(relax.flatten({mask}))[0])"
    return where


def _entry(each: Any) -> Any:
    """One entry as plain data; an integer or bool tensor stays an expression or an array becomes one."""
    if isinstance(each, slice):
        return (_bound(each.start), _bound(each.stop), _bound(each.step))
    each = _bound(each)
    if each is None or isinstance(each, SymInt) or (isinstance(each, int) and not isinstance(each, bool)):
        return each
    if isinstance(each, list | np.ndarray):
        each = constant(np.asarray(each))
    dtype = each.type.dtype if isinstance(each, Expr) and isinstance(each.type, TensorType) else None
    if _is_mask(each) or (dtype is not None and is_integer(dtype)):
        return each
    shown = each.type if isinstance(each, Expr) else repr(each)
    raise DTypeError(
        f"x[...]: an index is an integer, a size, a slice, None, ... or an integer tensor, got {shown}",
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
    """The fields of a tuple, the sizes of a shape, or the parts of a tensor along its first axis, of a size in numbers.

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
    headline = (
        f"iteration: {value.type} has no known number of parts"
        if size is None
        else f"iteration: axis 0 has size {size}"
    )
    raise ShapeError(headline, hint="work on the whole tensor instead of a loop over it", span=current_context().span)


setattr(Expr, "__getitem__", subscript)  # noqa: B010 - attributes that the class body does not declare
setattr(Expr, "__iter__", iterate)  # noqa: B010
