"""Recognising a contraction: a sum of products, and which of its variables are a batch, rows, columns and steps.

Each of the four is several variables, which one *joint index* runs over, the last variable fastest. Where the elements
along it are evenly spaced in memory, they are one axis for the engine; where not, a table says where they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, Stmt, Store, loop_variable, may_multiply
from relaxdsl.ir.scalar import Apply, Cast, Const, Index, Load, ScalarExpr
from relaxdsl.kernels.accesses import flat_index, stride
from relaxdsl.kernels.contraction.names import BYTE_DTYPES, ENGINE_DTYPES
from relaxdsl.kernels.schedule.decompose import Nest, nest_of
from relaxdsl.types.dims import Dim, floordiv, free_symbols, substitute

#: Of more variables than these, the order of the steps is that of the nest.
_MAX_ORDERED_STEPS = 4


@dataclass(frozen=True, eq=False, slots=True)
class Contraction:
    """``result[batch, row, column] = sum over steps of left[batch, row, step] * right[batch, step, column]``.

    The accesses are in terms of the variables; those with one value do not occur. Columns are neighbours in the result,
    and its rows are evenly spaced.

    Args:
        batch, rows, columns, steps: names of variables, the last one running fastest.
    """

    left: Load
    right: Load
    result: Store
    extents: Mapping[str, Dim]
    batch: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    steps: tuple[str, ...]

    def count(self, names: Sequence[str]) -> Dim:
        """How many values the joint index of some variables has."""
        return math.prod((self.extents[name] for name in names), start=1)

    @property
    def sizes(self) -> tuple[Dim, Dim, Dim]:
        """``(m, n, k)``."""
        return self.count(self.rows), self.count(self.columns), self.count(self.steps)

    def part(self, access: Load | Store, names: Sequence[str]) -> Dim:
        """How far the element of an access moves in memory as only the named variables move away from 0."""
        others = tuple(name for name in self.extents if name not in names)
        return _at_zero(position_of(access), others) - self.origin(access)

    def origin(self, access: Load | Store) -> Dim:
        """Where the element is whose variables are all 0."""
        return _at_zero(position_of(access), tuple(self.extents))

    def spacing(self, access: Load | Store, names: Sequence[str]) -> Dim | None:
        """How far apart in memory neighbours along a joint index are; None if that differs from place to place."""
        return _spacing(self.part(access, names), tuple((name, self.extents[name]) for name in names))

    def depends_on(self, access: Load | Store, names: Sequence[str]) -> bool:
        """Whether the element moves with any of the variables."""
        return not set(names).isdisjoint(free_symbols(position_of(access)))

    @property
    def is_strided(self) -> bool:
        """Whether rows, columns and steps are evenly spaced in both operands."""
        pairs = ((self.right, self.steps), (self.right, self.columns))
        return self.is_left_strided and all(self.spacing(access, names) is not None for access, names in pairs)

    @property
    def is_left_strided(self) -> bool:
        """Whether rows and steps are evenly spaced in the left operand."""
        return all(self.spacing(self.left, names) is not None for names in (self.rows, self.steps))

    @property
    def has_runs(self) -> bool:
        """Whether few rows times the right operand need no packing: one of its axes is read in runs of floats."""
        if self.right.dtype in BYTE_DTYPES:
            return False
        left_step, right_step = self.spacing(self.left, self.steps), self.spacing(self.right, self.steps)
        return self.spacing(self.right, self.columns) == 1 or (left_step == 1 and right_step == 1)

    def regrouped(self, batch: tuple[str, ...], rows: tuple[str, ...]) -> Contraction | None:
        """The contraction with these as batch and rows, if it can be computed so."""
        made = replace(self, batch=batch, rows=rows)
        is_complete = {*batch, *rows} == {*self.batch, *self.rows}
        return made if is_complete and _is_possible(made) else None


# Fusion asks about many kernels that are parts of each other, so the same positions come again and again.


def position_of(access: Load | Store) -> Dim:
    """The place in memory of an access whose indices are all dims."""
    return _position(access.buffer.shape, access.indices)


@lru_cache(maxsize=4096)
def _position(shape: tuple[Dim, ...], indices: tuple[Index, ...]) -> Dim:
    position = flat_index(shape, indices)
    assert not isinstance(position, ScalarExpr)
    return position


@lru_cache(maxsize=4096)
def _at_zero(position: Dim, names: tuple[str, ...]) -> Dim:
    """The position where the named variables are 0."""
    return substitute(position, dict.fromkeys(names, 0))


@lru_cache(maxsize=4096)
def _spacing(position: Dim, axes: tuple[tuple[str, Dim], ...]) -> Dim | None:
    """How far apart neighbours along the joint index of variables are, given with their extents."""
    joint = loop_variable("joint.index", math.prod((extent for _, extent in axes), start=1))
    names = [name for name, _ in axes]
    return stride(substitute(position, digits(names, dict(axes), joint)), joint)


def digits(names: Sequence[str], extents: Mapping[str, Dim], index: Dim) -> dict[str, Dim]:
    """What the variables are where their joint index is ``index``."""
    values: dict[str, Dim] = {}
    for place, name in reversed(list(enumerate(names))):
        above = floordiv(index, extents[name]) if place else 0
        values[name] = index - above * extents[name]
        index = above
    return values


def contraction_of(stmt: Stmt, sizes: Sequence[str]) -> Contraction | None:
    """The contraction that a nest of loops is, if the engine can compute it."""
    nest = nest_of(stmt)
    product = _product(nest) if nest is not None else None
    if nest is None or product is None:
        return None
    extents = {axis.var: axis.extent for axis in nest.block.iter_vars}
    if any(extent == 0 or not set(free_symbols(extent)) <= set(sizes) for extent in extents.values()):
        return None
    buffers = (product.left.buffer, product.right.buffer, product.result.buffer)
    if not may_multiply(extents.values(), {size for buffer in buffers for size in buffer.shape}):
        return None
    if not _writes_each_once(nest, product.result):
        return None
    return _arranged(nest, _without_single(product, extents))


@dataclass(frozen=True, eq=False, slots=True)
class _Product:
    """What a block adds up: ``left * right``."""

    left: Load
    right: Load
    result: Store


def _product(nest: Nest) -> _Product | None:
    """The product that the nest's block adds to an element, starting from zero."""
    match nest.block.init, nest.block.body:
        case (
            Store(buffer=set_buffer, value=Const(value=0)),
            Store(buffer=result, value=Apply("add", (Load(buffer=old), Apply("multiply", (first, second))))) as store,
        ) if set_buffer is result and old is result:
            left, right = _element(first), _element(second)
            if left is not None and right is not None and result not in (left.buffer, right.buffer):
                return _Product(left, right, store) if _is_known(left, right, result) else None
    return None


def _is_known(left: Load, right: Load, result: Buffer) -> bool:
    """Whether the engine has products of these dtypes."""
    if result.dtype == "int32":
        return left.dtype in BYTE_DTYPES and right.dtype in BYTE_DTYPES
    return result.dtype in ENGINE_DTYPES and left.dtype == right.dtype == result.dtype


def _element(factor: ScalarExpr) -> Load | None:
    """The element that a factor is, read as it lies or widened."""
    if isinstance(factor, Cast) and factor.dtype == "int32":
        factor = factor.value
    if not isinstance(factor, Load) or any(isinstance(index, ScalarExpr) for index in factor.indices):
        return None
    return factor


def _writes_each_once(nest: Nest, result: Store) -> bool:
    """Whether the result's indices are the spatial variables."""
    written = sorted(str(index) for index in result.indices)
    return written == sorted(axis.var for axis in nest.block.iter_vars if axis.kind == "spatial")


def _without_single(product: _Product, extents: Mapping[str, Dim]) -> _Product:
    """The accesses without the variables that are always 0."""
    single = {name: 0 for name, extent in extents.items() if extent == 1}

    def kept(indices: tuple[Index, ...]) -> tuple[Index, ...]:
        return tuple(each if isinstance(each, ScalarExpr) else substitute(each, single) for each in indices)

    left, right, result = product.left, product.right, product.result
    return _Product(
        replace(left, indices=kept(left.indices)),
        replace(right, indices=kept(right.indices)),
        replace(result, indices=kept(result.indices)),
    )


def _arranged(nest: Nest, product: _Product) -> Contraction | None:
    """Columns are the last variables of the result; the operand that moves with them is the right one."""
    extents = {axis.var: axis.extent for axis in nest.block.iter_vars if axis.extent != 1}
    reduce = tuple(axis.var for axis in nest.block.iter_vars if axis.kind == "reduce" and axis.extent != 1)
    spatial = tuple(str(index) for index in product.result.indices if index != 0)
    if not spatial or not reduce:
        return None
    left, right = product.left, product.right
    if spatial[-1] not in free_symbols(position_of(right)):
        left, right = right, left
    whole = Contraction(left, right, product.result, extents, (), (), (), reduce)
    columns = _longest(_only(whole, right, left, spatial), lambda names: whole.spacing(whole.result, names) == 1)
    if not columns or columns[-1] != spatial[-1]:
        return None
    steps = _ordered_steps(replace(whole, columns=columns))
    rows = _rows(replace(whole, columns=columns, steps=steps), spatial)
    batch = tuple(name for name in spatial if name not in (*rows, *columns))
    made = replace(whole, batch=batch, rows=rows, columns=columns, steps=steps)
    return made if _is_possible(made) else None


def _only(whole: Contraction, moving: Load, still: Load, names: Sequence[str]) -> tuple[str, ...]:
    """The variables that one operand moves with and the other does not."""
    return tuple(name for name in names if whole.depends_on(moving, (name,)) and not whole.depends_on(still, (name,)))


def _longest(names: tuple[str, ...], is_fine: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """The longest run of last variables that is fine, as are all shorter ones."""
    taken: tuple[str, ...] = ()
    for name in reversed(names):
        if not is_fine((name, *taken)):
            break
        taken = (name, *taken)
    return taken


def _rows(whole: Contraction, spatial: tuple[str, ...]) -> tuple[str, ...]:
    """The variables of the left operand alone that are evenly spaced in the result.

    Where tables are not needed for anything else, fewer rows are taken, so that they are not needed for rows either.
    """
    candidates = _only(whole, whole.left, whole.right, spatial)
    rows = _longest(candidates, lambda names: whole.spacing(whole.result, names) is not None)
    strided = _longest(rows, lambda names: whole.spacing(whole.left, names) is not None)
    return strided if replace(whole, rows=strided).is_strided else rows


def _ordered_steps(whole: Contraction) -> tuple[str, ...]:
    """The order of the steps in which they are evenly spaced in most operands, neighbours in memory if possible."""
    if len(whole.steps) > _MAX_ORDERED_STEPS:
        return whole.steps

    def rank(names: tuple[str, ...]) -> tuple[int, int]:
        found = [whole.spacing(access, names) for access in (whole.left, whole.right)]
        last = [whole.spacing(access, names[-1:]) for access in (whole.left, whole.right)]
        return sum(each is None for each in found), sum(each != 1 for each in last)

    return min(itertools.permutations(whole.steps), key=rank)


def _is_possible(made: Contraction) -> bool:
    """Whether rows move the left operand only, columns the right one only, and the groups do not mix in memory."""
    if made.depends_on(made.right, made.rows) or made.depends_on(made.left, made.columns):
        return False
    if not all(made.depends_on(access, (name,)) for access in (made.left, made.right) for name in made.steps):
        return False
    if made.spacing(made.result, made.rows) is None or made.spacing(made.result, made.columns) != 1:
        return False
    return all(_is_sum_of_parts(made, access) for access in (made.left, made.right, made.result))


def _is_sum_of_parts(made: Contraction, access: Load | Store) -> bool:
    groups = (made.batch, made.rows, made.columns, made.steps)
    total = sum((made.part(access, names) for names in groups), start=made.origin(access))
    return total == position_of(access)


def is_worthwhile(contraction: Contraction, tiny: int) -> bool:
    """Whether the engine is faster than plain loops: not for a few products, nor for one row that must be packed."""
    rows, columns, steps = contraction.sizes
    work = columns * steps
    if isinstance(work, int) and work <= tiny:
        return False
    return rows != 1 or (contraction.is_strided and contraction.has_runs)
