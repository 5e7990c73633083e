"""``relax.te``: tensor expressions, in which every operator and kernel body is written.

``compute((m, n), lambda i, j: x[i, j] + b[j])`` says what one element is. Axes and sizes are dims, so indices are
ordinary arithmetic; the loops are made later, by :mod:`relaxdsl.kernels.create`.
"""

from __future__ import annotations

import builtins
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, overload
from weakref import WeakKeyDictionary

from relaxdsl.errors import KernelError
from relaxdsl.ir.loops import Buffer, loop_variable
from relaxdsl.ir.scalar import (
    Apply,
    Combiner,
    IndexValue,
    Load,
    Reduce,
    ReduceAxis,
    ScalarExpr,
    ScalarLike,
    ScalarVar,
    as_scalar,
    children,
)
from relaxdsl.ir.te import Compute, Element, Tensor
from relaxdsl.kernels import te_functions
from relaxdsl.kernels.te_functions import *  # noqa: F403 - the scalar functions are part of relax.te
from relaxdsl.kernels.te_functions import cast, max_value, min_value
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import Dim, DimCompare, SymInt, free_symbols
from relaxdsl.types.dtype import canonical_dtype, is_bool, is_float
from relaxdsl.user_lines import calling_line

__all__ = [  # noqa: PLE0604 - the scalar functions are part of relax.te
    *te_functions.__all__,
    "Tensor",
    "all",
    "any",
    "comm_reducer",
    "compute",
    "max",
    "min",
    "placeholder",
    "prod",
    "reduce_axis",
    "sum",
]

Axes: TypeAlias = "SymInt | Sequence[SymInt]"
Body: TypeAlias = "ScalarLike | tuple[ScalarLike, ...] | list[ScalarLike]"

#: Axes are symbols named "hint.number": no size has such a name, so an axis never collides with one.
_counter = itertools.count()
#: What is meant where such a reduction gets another condition in place of an axis.
_JOINED_BY = {
    "all": "conditions are joined by te.logical_and(a, b)",
    "any": "conditions are joined by te.logical_or(a, b)",
}
#: The reduction axis behind the dim that ``reduce_axis`` returned.
_reduce_axes: WeakKeyDictionary[SymInt, ReduceAxis] = WeakKeyDictionary()


def placeholder(shape: Sequence[Dim], dtype: str = "float32", name: str = "x") -> Tensor:
    """An input of the kernel."""
    return Tensor(Buffer(name, _checked_shape(f"placeholder {name}", shape), canonical_dtype(dtype)))


@overload
def compute(shape: Sequence[Dim], fcompute: Callable[..., ScalarLike], name: str | None = None) -> Tensor: ...


@overload
def compute(
    shape: Sequence[Dim], fcompute: Callable[..., tuple[ScalarLike, ...] | list[ScalarLike]], name: str | None = None
) -> tuple[Tensor, ...]: ...


def compute(
    shape: Sequence[Dim], fcompute: Callable[..., Body], name: str | None = None
) -> Tensor | tuple[Tensor, ...]:
    """The tensor whose element at ``(i, j, ...)`` is ``fcompute(i, j, ...)``; several if ``fcompute`` returns a tuple.

    Raises:
        KernelError: the body is not an expression of its axes and of tensors.

    Example:
        >>> from relaxdsl.types.dims import dims
        >>> x = placeholder((dims("n"),), "float32", "x")
        >>> compute(x.shape, lambda i: x[i] * 2, name="twice").dtype
        'float32'
    """
    name = name if name is not None else "compute"
    extents = _checked_shape(name, shape)
    variables = _axis_variables(fcompute, extents)
    result = fcompute(*variables)
    bodies = _bodies(name, result)
    axes = tuple((free_symbols(each)[0], extent) for each, extent in zip(variables, extents, strict=True))
    _check_bodies(name, bodies, axes)
    buffers = _output_buffers(name, extents, bodies)
    operation = Compute(name, axes, bodies, buffers, _inputs(bodies), calling_line())
    tensors = tuple(Tensor(buffer, operation) for buffer in buffers)
    return tensors if isinstance(result, tuple | list) else tensors[0]


def reduce_axis(extent: Dim | tuple[Dim, Dim], name: str = "k") -> SymInt:
    """An axis to reduce over, to index with and to pass as ``axis=``: ``0 ... extent - 1``, or ``start ... stop -
    1``."""
    start, stop = extent if isinstance(extent, tuple) else (0, extent)
    (start, stop) = _checked_shape(f"reduce_axis {name}", (start, stop), may_be_negative=True)
    axis = ReduceAxis(_fresh(name), stop - start)
    variable = loop_variable(axis.name, axis.extent) + start
    assert isinstance(variable, SymInt)
    _reduce_axes[variable] = axis
    return variable


def _checked_shape(what: str, shape: Sequence[Dim], may_be_negative: bool = False) -> tuple[Dim, ...]:
    if not isinstance(shape, tuple | list):
        hint = f"write {shape.name}.shape" if isinstance(shape, Tensor) else "write (n,) for one axis"
        raise KernelError(f"{what}: a shape is a tuple of sizes, got {shape!r}", hint=hint)
    return tuple(_checked_size(what, size, may_be_negative) for size in shape)


def _checked_size(what: str, size: object, may_be_negative: bool) -> Dim:
    if isinstance(size, SymInt):
        return size
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        hint = f"{size.name}.shape has its sizes" if isinstance(size, Tensor) else "a size is an integer or a dim"
        raise KernelError(f"{what}: {size!r} is not a size", hint=hint)
    number: int = size.__index__()
    if number < 0 and not may_be_negative:
        raise KernelError(f"{what}: the size {number} is negative")
    return number


def _fresh(hint: str) -> str:
    return f"{hint}.{next(_counter)}"


def _axis_variables(fcompute: Callable[..., Body], extents: tuple[Dim, ...]) -> tuple[SymInt, ...]:
    hints = _axis_hints(fcompute, len(extents))
    return tuple(loop_variable(_fresh(hint), extent) for hint, extent in zip(hints, extents, strict=True))


def _axis_hints(fcompute: Callable[..., Body], ndim: int) -> list[str]:
    """The names the user gave the axes."""
    try:
        parameters = inspect.signature(fcompute).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not say what it takes
        return [f"i{i}" for i in range(ndim)]
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    required = [each for each in positional if each.default is each.empty]
    is_open = builtins.any(each.kind is each.VAR_POSITIONAL for each in parameters)
    if not len(required) <= ndim <= (ndim if is_open else len(positional)):
        raise KernelError(
            f"compute: the body takes {counted(len(positional), 'axis', 'axes')}, the shape has {ndim}",
            hint="give the body one parameter per axis, or *axes",
        )
    return [positional[i].name if i < len(positional) else f"i{i}" for i in range(ndim)]


def _bodies(name: str, result: object) -> tuple[ScalarExpr, ...]:
    if result is None:
        raise KernelError(f"{name}: the body returned None", hint="return the value of one element")
    if isinstance(result, Tensor):
        raise KernelError(
            f"{name}: the body returned the tensor {result.name}", hint=f"return an element, such as {result.name}[i]"
        )
    values = result if isinstance(result, tuple | list) else (result,)
    if not values:
        raise KernelError(f"{name}: the body returned no values")
    return tuple(map(as_scalar, values))


def _output_buffers(name: str, shape: tuple[Dim, ...], bodies: tuple[ScalarExpr, ...]) -> tuple[Buffer, ...]:
    if len(bodies) == 1:
        return (Buffer(name, shape, bodies[0].dtype),)
    return tuple(Buffer(f"{name}_{i}", shape, body.dtype) for i, body in enumerate(bodies))


def _nodes(expr: ScalarExpr) -> Iterator[ScalarExpr]:
    yield expr
    for child in children(expr):
        yield from _nodes(child)


def _inputs(bodies: tuple[ScalarExpr, ...]) -> tuple[Tensor, ...]:
    """The tensors read, in the order they appear."""
    found = {node.buffer: node.tensor for body in bodies for node in _nodes(body) if isinstance(node, Element)}
    return tuple(found.values())


# ---------------------------------------------------------------------------- checks


def _check_bodies(name: str, bodies: tuple[ScalarExpr, ...], axes: tuple[tuple[str, Dim], ...]) -> None:
    reductions = [body for body in bodies if isinstance(body, Reduce)]
    if reductions and not _share_one_reduction(bodies):
        raise KernelError(
            f"{name}: several outputs of one compute must come from one reduction",
            hint="write one te.compute per reduction, or reduce a tuple with te.comm_reducer",
        )
    known = {axis for axis, _ in axes}
    for body in bodies:
        own = {axis.name for axis in body.axes} if isinstance(body, Reduce) else set()
        _check_nesting(name, body)
        _check_all_used(name, body)
        _check_axes(name, body, known | own)


def _share_one_reduction(bodies: tuple[ScalarExpr, ...]) -> bool:
    first = bodies[0]
    return isinstance(first, Reduce) and not builtins.any(
        not isinstance(body, Reduce) or body.combiner is not first.combiner or body.sources is not first.sources
        for body in bodies
    )


def _check_nesting(name: str, body: ScalarExpr) -> None:
    inside = children(body)
    if builtins.any(isinstance(node, Reduce) for operand in inside for node in _nodes(operand)):
        raise KernelError(
            f"{name}: a reduction may only stand at the top of a compute's body",
            hint="make the reduction a te.compute of its own and use its elements here",
        )


def _check_all_used(name: str, body: ScalarExpr) -> None:
    used = set(_axis_symbols(body))
    for axis in body.axes if isinstance(body, Reduce) else ():
        if axis.name not in used:
            hint = axis.name.partition(".")[0]
            raise KernelError(
                f"{name}: the reduction axis {hint} is not used in what is reduced", hint="leave it out of axis="
            )


def _check_axes(name: str, body: ScalarExpr, known: set[str]) -> None:
    for symbol in _axis_symbols(body):
        if symbol not in known:
            raise KernelError(
                f"{name}: the axis {symbol.partition('.')[0]} is used outside of its loop",
                hint="an axis of te.compute belongs to that compute; "
                "a reduce_axis must be named in axis= of the reduction",
            )


def _axis_symbols(body: ScalarExpr) -> Iterator[str]:
    for node in _nodes(body):
        indices = node.indices if isinstance(node, Load) else (node.dim,) if isinstance(node, IndexValue) else ()
        for index in indices:
            if isinstance(index, SymInt):
                yield from (symbol for symbol in free_symbols(index) if "." in symbol)


# ---------------------------------------------------------------------------- reductions


def comm_reducer(
    fcombine: Callable[..., object], fidentity: Callable[..., object], name: str = "reduce"
) -> Callable[..., ScalarExpr | tuple[Reduce, ...]]:
    """A reduction by an associative, commutative operation on one value or on a tuple of values.

    Args:
        fcombine: ``fcombine(left, right)``, on values or tuples of values.
        fidentity: ``fidentity(dtype, ...)``, what the reduction of nothing is: one value per component.
        name: how the reduction is called in messages.

    Returns:
        ``reduce(value_or_tuple, axis)``.
    """

    def reduce(values: ScalarLike | tuple[ScalarLike, ...], axis: Axes = ()) -> ScalarExpr | tuple[Reduce, ...]:
        sources = tuple(map(as_scalar, values if isinstance(values, tuple) else (values,)))
        combiner = _combiner(name, fcombine, fidentity, sources, isinstance(values, tuple))
        axes = _resolved_axes(name, axis)
        parts = tuple(Reduce(combiner, sources, axes, i) for i in range(len(sources)))
        return parts if isinstance(values, tuple) else parts[0]

    return reduce


def _combiner(
    name: str,
    fcombine: Callable[..., object],
    fidentity: Callable[..., object],
    sources: tuple[ScalarExpr, ...],
    is_tuple: bool,
) -> Combiner:
    left = tuple(ScalarVar(f"left{i}", each.dtype) for i, each in enumerate(sources))
    right = tuple(ScalarVar(f"right{i}", each.dtype) for i, each in enumerate(sources))
    combined = fcombine(left, right) if is_tuple else fcombine(left[0], right[0])
    identity = fidentity(*(each.dtype for each in sources))
    results = _components(name, "fcombine", combined, sources)
    return Combiner(name, left, right, results, _components(name, "fidentity", identity, sources))


def _components(name: str, which: str, values: object, sources: tuple[ScalarExpr, ...]) -> tuple[ScalarExpr, ...]:
    """What a user's function returned, one component per source and of its dtype."""
    given = tuple(values) if isinstance(values, tuple | list) else (values,)
    if len(given) != len(sources):
        raise KernelError(f"{name}: {which} must return {counted(len(sources), 'value')}, got {len(given)}")
    return tuple(cast(as_scalar(value, each.dtype), each.dtype) for value, each in zip(given, sources, strict=True))


def reduction_hint(name: str) -> str:
    """How a reduction is written."""
    call = f"te.{name}(x[i, k], axis=k)" if name in __all__ else "axis=k"
    return f"write k = te.reduce_axis(n) before the te.compute, where n is the size to go over, and {call} in it"


def _resolved_axes(name: str, axis: Axes) -> tuple[ReduceAxis, ...]:
    given = axis if isinstance(axis, tuple | list) else (axis,)
    if not given:
        raise KernelError(f"{name}: no axis to reduce over", hint=reduction_hint(name))
    found = tuple(_reduce_axes.get(each) if isinstance(each, SymInt) else None for each in given)
    for each, resolved in zip(given, found, strict=True):
        if resolved is None:
            if name in _JOINED_BY and isinstance(each, DimCompare | ScalarExpr):
                raise KernelError(f"{name}: the axis is a condition", hint=_JOINED_BY[name])
            raise KernelError(
                f"{name}: axis={each!r} is not a reduction axis", hint="make it with te.reduce_axis(extent)"
            )
    if len(set(found)) != len(found):
        raise KernelError(f"{name}: an axis is given twice")
    return found  # type: ignore[return-value]


def _reduction(name: str, function: str, identity: ScalarLike, value: ScalarExpr, axis: Axes) -> Reduce:
    """The reduction by a named scalar function of two values."""
    left, right = ScalarVar("left0", value.dtype), ScalarVar("right0", value.dtype)
    combined = Apply(function, (left, right), value.dtype)
    combiner = Combiner(name, (left,), (right,), (combined,), (as_scalar(identity, value.dtype),))
    return Reduce(combiner, (value,), _resolved_axes(name, axis))


def _number(expr: ScalarLike) -> ScalarExpr:
    """``expr`` as something to add up: bools are counted."""
    value = as_scalar(expr)
    return cast(value, "int64") if is_bool(value.dtype) else value


def sum(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """The sum; bools are counted as int64, other dtypes keep theirs."""
    return _reduction("sum", "add", 0, _number(expr), axis)


def prod(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """The product; bools are counted as int64, other dtypes keep theirs."""
    return _reduction("prod", "multiply", 1, _number(expr), axis)


def max(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """The greatest value, NaN if there is one; of nothing, the dtype's least value (-inf for floats)."""
    value = as_scalar(expr)
    if is_bool(value.dtype):
        return any(value, axis)
    least: ScalarExpr | float = float("-inf") if is_float(value.dtype) else min_value(value.dtype)
    return _reduction("max", "maximum", least, value, axis)


def min(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """The least value, NaN if there is one; of nothing, the dtype's greatest value (inf for floats)."""
    value = as_scalar(expr)
    if is_bool(value.dtype):
        return all(value, axis)
    greatest: ScalarExpr | float = float("inf") if is_float(value.dtype) else max_value(value.dtype)
    return _reduction("min", "minimum", greatest, value, axis)


def all(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """Whether every value is true (not zero)."""
    return _reduction("all", "logical_and", True, cast(as_scalar(expr), "bool"), axis)


def any(expr: ScalarLike, axis: Axes = ()) -> Reduce:
    """Whether some value is true (not zero)."""
    return _reduction("any", "logical_or", False, cast(as_scalar(expr), "bool"), axis)


def __dir__() -> list[str]:
    return sorted(__all__)
