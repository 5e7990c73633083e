"""What a slice or an index means on an axis of symbolic size: Python's rules as dims.

``x[begin:end:step]`` on an axis of size ``n`` reads ``start + i * step`` for ``i`` in ``0 … length - 1``. Start and
length come out simple where they can: ``x[1:]`` has ``max(n, 1) - 1`` elements, ``x[-2:]`` has ``min(n, 2)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.types.dims import Dim, SymInt, ceildiv, dim_max, dim_min
from relaxdsl.types.prove import Proof, prove_less, prove_less_equal


@dataclass(frozen=True, slots=True)
class AxisSlice:
    """The elements ``start + i * step`` of an axis, for ``i`` in ``0 … length - 1``."""

    start: Dim
    length: Dim
    step: Dim = 1


@dataclass(frozen=True, slots=True)
class AxisIndex:
    """One position of an axis, and whether it is known to exist (``0 <= position < size``)."""

    position: Dim
    is_inside: bool


def resolve_slice(what: str, begin: Dim | None, end: Dim | None, step: Dim | None, size: Dim) -> AxisSlice:
    """What ``begin:end:step`` selects of an axis of ``size`` elements, clamped to it as Python does it.

    A symbolic bound of unknown sign follows Python too: where it is negative at run time, it counts from the end.

    Raises:
        ShapeError: the step is 0 or its sign is unknown, or a bound is no integer; ``what`` names operator and axis.
    """
    step = 1 if step is None else step
    for bound in (begin, end, step):
        _require_integer(what, bound)
    if _is_forward(what, step):
        starts = [0] if begin is None else _at_least(0, begin, size, unwrapped_up_to=2)
        stops = [size] if end is None else _at_most(size, end, size, unwrapped_up_to=2)
        length = ceildiv(_least(stop - start for stop in stops for start in starts), step)
        return AxisSlice(_greatest(starts), _greatest((length, 0)), step)
    starts = [size - 1] if begin is None else _at_most(size - 1, begin, size, unwrapped_up_to=1)
    stops = [-1] if end is None else _at_least(-1, end, size, unwrapped_up_to=1)
    length = ceildiv(_least(start - stop for stop in stops for start in starts), -step)
    return AxisSlice(_least(starts), _greatest((length, 0)), step)


def resolve_index(what: str, index: Dim, size: Dim) -> AxisIndex:
    """The position that ``index`` names on an axis of ``size`` elements; negative ones count from the end.

    Raises:
        ShapeError: no size allows the index; ``what`` names operator and axis.
    """
    position = _from_front(index, size)
    if prove_less_equal(size, position) is Proof.YES or prove_less(position, 0) is Proof.YES:
        raise ShapeError(f"{what}: index {index} is out of range: the size is {size}")
    is_inside = prove_less_equal(0, position) is Proof.YES and prove_less(position, size) is Proof.YES
    return AxisIndex(position, is_inside)


def _require_integer(what: str, bound: object) -> None:
    if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | SymInt)):
        raise ShapeError(f"{what}: a slice is made of integers and sizes, got {bound!r}")


def _is_forward(what: str, step: Dim) -> bool:
    if prove_less(0, step) is Proof.YES:
        return True
    if prove_less(step, 0) is Proof.YES:
        return False
    if step == 0:
        raise ShapeError(f"{what}: the step of a slice is 0")
    raise ShapeError(
        f"{what}: the sign of the step `{step}` is unknown",
        hint="give the size a lower bound: relax.dims(name, lower=1)",
    )


def _from_front(bound: Dim, size: Dim) -> Dim:
    """The bound counted from the front, whatever its sign is."""
    if prove_less_equal(0, bound) is Proof.YES:
        return bound
    if prove_less(bound, 0) is Proof.YES:
        return bound + size
    is_negative = -dim_max(-1, dim_min(bound, 0))  # 1 or 0
    return bound + size * is_negative


def _at_most(limit: Dim, bound: Dim, size: Dim, *, unwrapped_up_to: int) -> list[Dim]:
    """Dims whose least is the bound, clamped from above; it may be below Python's, which makes no slice longer."""
    if _needs_no_wrapping(bound, size, unwrapped_up_to):
        return [bound]
    position = _from_front(bound, size)
    return [position] if prove_less_equal(position, limit) is Proof.YES else [limit, position]


def _at_least(limit: Dim, bound: Dim, size: Dim, *, unwrapped_up_to: int) -> list[Dim]:
    """Dims whose greatest is the bound, clamped from below; it may be above Python's, which makes no slice longer."""
    if _needs_no_wrapping(bound, size, unwrapped_up_to):
        return [limit, bound]
    position = _from_front(bound, size)
    return [position] if prove_less_equal(limit, position) is Proof.YES else [limit, position]


def _needs_no_wrapping(bound: Dim, size: Dim, up_to: int) -> bool:
    """Whether the bound is ``size - 1`` or so: where that is negative, counting from the end gives nothing either."""
    missing = size - bound
    return isinstance(size, SymInt) and isinstance(missing, int) and 1 <= missing <= up_to


def _least(dims: Iterable[Dim]) -> Dim:
    """The minimum, without arguments that are provably not it."""
    return dim_min(*_without_dominated(dims, prove_less_equal))


def _greatest(dims: Iterable[Dim]) -> Dim:
    """The maximum, without arguments that are provably not it."""
    return dim_max(*_without_dominated(dims, lambda winner, loser: prove_less_equal(loser, winner)))


def _without_dominated(dims: Iterable[Dim], prove_wins: Callable[[Dim, Dim], Proof]) -> list[Dim]:
    kept: list[Dim] = []
    for dim in dims:
        if not any(prove_wins(other, dim) is Proof.YES for other in kept):
            kept = [other for other in kept if prove_wins(dim, other) is not Proof.YES] + [dim]
    return kept
