"""Shape rules that operators share: broadcasting, axes, reshaping, equal sizes.

Each names operator and argument when it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.types.counts import counted
from relaxdsl.types.dims import (
    Dim,
    SymInt,
    evaluate,
    exact_divide,
    has_atoms,
    is_symbol,
    substitute,
    symbol,
    symbols_of,
)
from relaxdsl.types.prove import Proof, find_counterexample, prove_equal
from relaxdsl.types.types import format_shape

Shape: TypeAlias = tuple[Dim, ...]
#: Asked where equality cannot be decided, with both sizes and the message; True accepts it, to be checked when run.
OnUndecided: TypeAlias = Callable[[Dim, Dim, str], bool]


#: Sizes that are tried to find where two differ: so many small ones of a symbol, and a large one of each other.
_SMALL, _LARGE = 64, 1000


@dataclass(frozen=True, slots=True)
class _Size:
    """One size in a comparison, and how a message shows where it comes from."""

    dim: Dim
    argument: str
    shape: Shape
    axis: int


def broadcast_shapes(
    op_name: str, arguments: Sequence[tuple[str, Shape]], *, on_undecided: OnUndecided | None = None
) -> Shape:
    """The shape that all the arguments broadcast to; only the literal size 1 broadcasts.

    Raises:
        ShapeError: two sizes on one axis differ, or cannot be proved equal.

    Example:
        >>> broadcast_shapes("add", [("x", (2, 1)), ("y", (3,))])
        (2, 3)
    """
    ndim = max((len(shape) for _, shape in arguments), default=0)
    return tuple(_broadcast_axis(op_name, arguments, axis, ndim, on_undecided) for axis in range(ndim))


def _broadcast_axis(
    op_name: str, arguments: Sequence[tuple[str, Shape]], axis: int, ndim: int, on_undecided: OnUndecided | None
) -> Dim:
    sizes = [
        _Size(shape[axis - ndim + len(shape)], name, shape, axis - ndim + len(shape))
        for name, shape in arguments
        if axis - ndim + len(shape) >= 0
    ]
    wide = [size for size in sizes if size.dim != 1]
    for other in wide[1:]:
        _require_same(f"{op_name}: axis {axis}", wide[0], other, on_undecided)
    # A number is worth more than a symbol that is known, or will be checked, to equal it.
    return next((size.dim for size in wide if isinstance(size.dim, int)), wide[0].dim if wide else 1)


def require_equal(
    op_name: str,
    what_a: str,
    a: Dim,
    what_b: str,
    b: Dim,
    *,
    headline: str | None = None,
    hint: str | None = None,
    on_undecided: OnUndecided | None = None,
) -> None:
    """Returns if two sizes are proved equal (or accepted by ``on_undecided``).

    Args:
        what_a: what ``a`` is, such as ``x : Tensor((n, 4))   axis 1``.
        what_b: what ``b`` is.
        headline: what to say where they differ, after the operator's name; ``sizes`` without it.
        hint: what to write instead.

    Raises:
        ShapeError: they differ, or cannot be proved equal.
    """
    width = max(len(what_a), len(what_b))
    details = (f"{what_a:{width}} is {a}", f"{what_b:{width}} is {b}")
    _require(f"{op_name}: {headline or 'sizes'}", a, b, details, hint, on_undecided)


def _require_same(subject: str, a: _Size, b: _Size, on_undecided: OnUndecided | None) -> None:
    if prove_equal(a.dim, b.dim) is not Proof.YES:
        hint = _other_axis_hint(a, b) or _other_axis_hint(b, a)
        _require(subject, a.dim, b.dim, _shape_details((a, b)), hint, on_undecided)


def _other_axis_hint(vector: _Size, other: _Size) -> str | None:
    """How to write a vector that belongs to another axis than the last: the only one of its length."""
    if len(vector.shape) != 1:
        return None
    axes = [axis for axis, dim in enumerate(other.shape) if prove_equal(dim, vector.dim) is Proof.YES]
    if len(axes) != 1:
        return None
    index = ", ".join([":", *["None"] * (len(other.shape) - 1 - axes[0])])
    return f"for axis {axes[0]} of {other.argument}, write {vector.argument}[{index}]"


def _shape_details(sizes: Sequence[_Size]) -> tuple[str, ...]:
    name_width = max(len(size.argument) for size in sizes)
    tensors = [f"Tensor({format_shape(size.shape)})" for size in sizes]
    tensor_width = max(map(len, tensors))
    return tuple(
        f"{size.argument:{name_width}} : {tensor:{tensor_width}}   axis {size.axis} is {size.dim}"
        for size, tensor in zip(sizes, tensors, strict=True)
    )


def _require(
    subject: str, a: Dim, b: Dim, details: tuple[str, ...], hint: str | None, on_undecided: OnUndecided | None
) -> None:
    proof = prove_equal(a, b)
    if proof is Proof.YES:
        return
    if proof is Proof.NO:
        raise ShapeError(f"{subject} differs: {a} and {b}", details=details, hint=hint)
    if not (has_atoms(a) or has_atoms(b)):
        raise ShapeError(f"{subject}: {_may_differ(a, b)}", details=details, hint=hint or naming_hint(a, b))
    if prove_equal(a, b, hard=True) is Proof.YES:
        return
    message = f"{subject}: whether `{a}` equals `{b}` cannot be decided"
    if on_undecided is not None and on_undecided(a, b, message):
        return
    hint = hint or _bound_hint(a, b) or 'match_cast one of them, or check when run: @relax.function(checks="runtime")'
    raise ShapeError(message, details=(*details, *_example_lines(a, b)), hint=hint)


def _may_differ(a: Dim, b: Dim) -> str:
    kind = "symbolic sizes" if isinstance(a, SymInt) and isinstance(b, SymInt) else "sizes"
    return f"{kind} `{a}` and `{b}` may differ"


def naming_hint(a: Dim, b: Dim) -> str:
    """What to do about two sizes that may differ."""
    if is_symbol(a) and is_symbol(b):
        return f"if they are always equal, name them alike (`{a}` in both), or match_cast one of them"
    number, other = (a, b) if isinstance(a, int) else (b, a)
    if isinstance(number, int) and is_symbol(other):
        return f"if `{other}` is always {number}, write {number} in its place, or match_cast it"
    return "if they are always equal, write the same size in both, or match_cast one of them"


def _bound_hint(a: Dim, b: Dim) -> str | None:
    """Which bound of a symbol makes two sizes equal that differ only where it is small."""
    symbols = dict.fromkeys((*symbols_of(a), *symbols_of(b)))
    large = {each.name: _LARGE if each.upper is None else each.upper for each in symbols}
    for small in symbols:
        tried = range(small.lower, min(small.lower + _SMALL, large[small.name]))
        differing = [value for value in tried if _differ(a, b, large | {small.name: value})]
        if not differing:
            continue
        lower = differing[-1] + 1
        bounded = {small.name: symbol(small.name, lower=lower, upper=small.upper)}
        if prove_equal(substitute(a, bounded), substitute(b, bounded), hard=True) is Proof.YES:
            name = small.name
            declared = f'{name} = relax.dims("{name}", lower={lower})'
            return f"they are equal where {name} is at least {lower}: write {declared}, or match_cast one of them"
    return None


def _differ(a: Dim, b: Dim, values: dict[str, int]) -> bool:
    try:
        return evaluate(a, values) != evaluate(b, values)
    except ShapeError:
        return True


def _example_lines(a: Dim, b: Dim) -> tuple[str, ...]:
    values = find_counterexample(a, b, "==")
    if values is None:
        return ()
    return (f"they differ for {', '.join(f'{name} = {value}' for name, value in values.items())}",)


def normalize_axis(op_name: str, axis: int, ndim: int) -> int:
    """The axis counted from the front.

    Raises:
        ShapeError: there is no such axis, or it is not an integer.
    """
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or isinstance(axis, SymInt):
        raise ShapeError(f"{op_name}: axis {axis!r} is not an integer")
    position = index(axis)
    if not -ndim <= position < ndim:
        allowed = f"axes go from {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes"
        axes = counted(ndim, "axis", "axes")
        raise ShapeError(f"{op_name}: axis {position} does not exist: the tensor has {axes}", hint=allowed)
    return position % ndim


def normalize_axes(op_name: str, axes: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front, in the order given; None means all of them.

    Raises:
        ShapeError: an axis does not exist, or is given twice.
    """
    if axes is None:
        return tuple(range(ndim))
    given = list(axes) if isinstance(axes, Sequence) else [axes]
    normal = tuple(normalize_axis(op_name, axis, ndim) for axis in given)
    for position, axis in enumerate(normal):
        if axis in normal[:position]:
            raise ShapeError(f"{op_name}: axis {axis} is given twice, in {tuple(given)}")
    return normal


def size_of(shape: Iterable[Dim]) -> Dim:
    """The number of elements."""
    total: Dim = 1
    for dim in shape:
        total = total * dim
    return total


def reshape_shape(
    op_name: str, shape: Shape, new_shape: Sequence[Dim], *, on_undecided: OnUndecided | None = None
) -> Shape:
    """The new shape, with a ``-1`` replaced by what keeps the number of elements.

    Raises:
        ShapeError: the numbers of elements differ, cannot be proved equal, or there is no whole size for ``-1``.

    Example:
        >>> from relaxdsl.types.dims import dims
        >>> m = dims("m")
        >>> reshape_shape("reshape", (m, 2, 3), (-1, 6))
        (m, 6)
    """
    inferred = [axis for axis, dim in enumerate(new_shape) if dim == -1]
    _check_new_shape(op_name, new_shape, inferred)
    if inferred:
        return _with_inferred(op_name, shape, tuple(new_shape), inferred[0])
    old, new = size_of(shape), size_of(new_shape)
    details = (f"from {format_shape(shape)} with {old} elements", f"to {format_shape(new_shape)} with {new}")
    _require(f"{op_name}: number of elements", old, new, details, None, on_undecided)
    return tuple(new_shape)


def _check_new_shape(op_name: str, new_shape: Sequence[Dim], inferred: list[int]) -> None:
    if len(inferred) > 1:
        raise ShapeError(f"{op_name}: only one axis can be -1, in {format_shape(new_shape)}")
    for axis, dim in enumerate(new_shape):
        if isinstance(dim, int) and dim < -1:
            raise ShapeError(f"{op_name}: axis {axis} of {format_shape(new_shape)} has the negative size {dim}")


def _with_inferred(op_name: str, shape: Shape, new_shape: Shape, axis: int) -> Shape:
    """Replaces ``-1`` by an exact quotient: other axes of size 0 leave nothing to infer it from."""
    others = size_of((*new_shape[:axis], *new_shape[axis + 1 :]))
    quotient = exact_divide(size_of(shape), others)
    if quotient is None:
        old = size_of(shape)
        is_known = isinstance(old, int) and isinstance(others, int)
        known = "is not a multiple of" if is_known else "is not known to be a multiple of"
        raise ShapeError(
            f"{op_name}: no size for -1 fits: {old} {known} {others}",
            details=(f"from {format_shape(shape)}", f"to {format_shape(new_shape)}"),
        )
    return (*new_shape[:axis], quotient, *new_shape[axis + 1 :])
