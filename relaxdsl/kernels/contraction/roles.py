"""Which variables of the loops around a contraction walk along its batch, its rows and its columns.

A chain of statements can be run for some rows alone if every statement has variables that are the rows: what a
contraction's variables are, the axes of its result are, and then the variables that others use for these axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Buffer, Stmt, Store, loop_variable, walk
from relaxdsl.ir.scalar import Index, ScalarExpr
from relaxdsl.kernels.accesses import expressions, loads_of
from relaxdsl.kernels.contraction.match import Contraction
from relaxdsl.kernels.patterns import bare_name
from relaxdsl.kernels.schedule.decompose import Nest
from relaxdsl.types.dims import Dim, exact_divide, free_symbols
from relaxdsl.types.prove import Proof, prove_equal, prove_less, prove_less_equal

RoleKind = Literal["batch", "row", "column"]


@dataclass(frozen=True, slots=True)
class Role:
    """The ``place``-th variable of the contraction's batch, rows or columns, or every ``scale``-th column."""

    kind: RoleKind
    place: int
    scale: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """A statement of a chain: its nest, and the contraction that it is, if the engine computes it."""

    nest: Nest
    contraction: Contraction | None

    @property
    def extents(self) -> dict[str, Dim]:
        return {axis.var: axis.extent for axis in self.nest.block.iter_vars}


@dataclass(frozen=True, slots=True)
class Use:
    """An access of a buffer in a block, by the block's variables."""

    buffer: Buffer
    indices: tuple[Index, ...]
    is_write: bool


@dataclass(frozen=True, eq=False, slots=True)
class Roles:
    """The roles of each stage's variables, and of the axes of the buffers that the stages make."""

    variables: tuple[Mapping[str, Role], ...]
    axes: Mapping[Buffer, tuple[Role | None, ...]]

    def without_columns(self) -> Roles:
        """The same, where all columns are computed together."""
        variables = tuple(
            {name: role for name, role in each.items() if role.kind != "column"} for each in self.variables
        )
        axes = {
            buffer: tuple(None if role is not None and role.kind == "column" else role for role in roles)
            for buffer, roles in self.axes.items()
        }
        return Roles(variables, axes)


def named(variables: Mapping[str, Role], kind: RoleKind) -> tuple[str, ...]:
    """The variables that have a kind of role, in the order of their places."""
    found = [(role.place, name) for name, role in variables.items() if role.kind == kind]
    return tuple(name for _, name in sorted(found))


def uses_of(nest: Nest) -> Iterator[Use]:
    """Every access in a nest's block, its registers left out."""
    block = nest.block
    for stmt in (block.body, *(() if block.init is None else (block.init,))):
        yield from _uses_in(stmt)


def _uses_in(stmt: Stmt) -> Iterator[Use]:
    for inner in walk(stmt):
        for expr in expressions(inner):
            yield from (Use(load.buffer, load.indices, False) for load in loads_of(expr) if load.indices)
        if isinstance(inner, Store) and inner.indices:
            yield Use(inner.buffer, inner.indices, True)


def roles_of(stages: Sequence[Stage], main: int, granule: int | None) -> Roles | None:
    """The roles that the variables of stage ``main``, a contraction, give to all others; None where they do not fit.

    Every stage then has variables for the whole batch and all rows. With a ``granule``, what stands after the
    contraction has the columns too, in pieces that are multiples of it.
    """
    contraction = stages[main].contraction
    assert contraction is not None
    finder = _Finder(stages, granule, len(contraction.columns) == 1)
    seeds = _named(contraction, granule is not None)
    finder.variables[main].update(seeds)
    if not finder.settle():
        return None
    wanted = _parts_of(seeds)
    without_columns = [each for each in wanted if each[0] != "column"]
    for place, variables in enumerate(finder.variables):
        if _parts_of(variables) != (without_columns if place < main else wanted):
            return None
    return finder.roles()


def _parts_of(variables: Mapping[str, Role]) -> list[tuple[RoleKind, int]]:
    """What variables walk along, each as often as one does: ``y[i] * y[j]`` needs all rows of ``y`` for each of its."""
    return sorted((role.kind, role.place) for role in variables.values())


def _named(contraction: Contraction, with_columns: bool) -> dict[str, Role]:
    kinds: list[tuple[RoleKind, tuple[str, ...]]] = [("batch", contraction.batch), ("row", contraction.rows)]
    if with_columns:
        kinds.append(("column", contraction.columns))
    return {name: Role(kind, place) for kind, names in kinds for place, name in enumerate(names)}


@dataclass(slots=True)
class _Finder:
    """Carries roles from variables to axes of buffers and back until nothing changes."""

    stages: Sequence[Stage]
    granule: int | None
    has_one_column: bool
    """Whether one variable walks along the columns. Pieces of two, the pixels of an image, are not pieces of each."""

    variables: list[dict[str, Role]] = field(default_factory=list)
    axes: dict[Buffer, list[Role | None]] = field(default_factory=dict)
    uses: list[list[Use]] = field(default_factory=list)
    read: set[Buffer] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.variables = [{} for _ in self.stages]
        self.uses = [list(uses_of(stage.nest)) for stage in self.stages]
        self.read = {use.buffer for uses in self.uses for use in uses if not use.is_write}
        made = (use.buffer for uses in self.uses for use in uses if use.is_write)
        self.axes = {buffer: [None] * len(buffer.shape) for buffer in made}

    def roles(self) -> Roles:
        return Roles(tuple(self.variables), {buffer: tuple(axes) for buffer, axes in self.axes.items()})

    def settle(self) -> bool:
        """Whether no variable and no axis has two roles, nor an axis one that some access does not follow."""
        before = -1
        while before != (before := self._count()):
            for place, uses in enumerate(self.uses):
                for use in uses:
                    if use.buffer in self.axes and not self._carry(place, use):
                        return False
        return all(self._is_spatial(place, name) for place, names in enumerate(self.variables) for name in names)

    def _count(self) -> int:
        known = sum(map(len, self.variables))
        return known + sum(role is not None for axes in self.axes.values() for role in axes)

    def _is_spatial(self, place: int, name: str) -> bool:
        return any(axis.var == name and axis.kind == "spatial" for axis in self.stages[place].nest.block.iter_vars)

    def _carry(self, place: int, use: Use) -> bool:
        axes, variables = self.axes[use.buffer], self.variables[place]
        for axis, index in enumerate(use.indices):
            if use.buffer.shape[axis] == 1:
                continue
            name, role = bare_name(index), axes[axis]
            if name is None:
                name, role = self._scaled(place, index, use.buffer.shape[axis], role)
                if role is not None and name is None:
                    return False
            elif axes[axis] is None and name in variables and variables[name].scale == 1:
                axes[axis] = role = variables[name]
            if name is not None and role is not None:
                if role.scale == 1 and not self._is_whole(place, name, use.buffer.shape[axis]):
                    return False
                if variables.setdefault(name, role) != role:
                    return False
        return self._has_an_axis_for_each(place, use)

    def _is_whole(self, place: int, name: str, size: Dim) -> bool:
        """Whether a variable walks along all of an axis: one of a slice stops before its end, one of a concat after."""
        return prove_equal(self.stages[place].extents[name], size) is Proof.YES

    def _scaled(self, place: int, index: Index, size: Dim, role: Role | None) -> tuple[str | None, Role | None]:
        """The variable of ``scale * variable + rest``, which takes every ``scale``-th column of an axis of columns."""
        if role is None or role.kind != "column" or self.granule is None or isinstance(index, ScalarExpr):
            return None, role
        if not self.has_one_column:
            return None, role
        extents = self.stages[place].extents
        for name in free_symbols(index):
            if name not in extents:
                continue
            scale = exact_divide(size, extents[name])
            if not isinstance(scale, int) or self.granule % scale:
                continue
            rest = index - scale * loop_variable(name, extents[name])
            ranges = {other: (0, extent - 1) for other, extent in extents.items()}
            is_within = prove_less_equal(0, rest, ranges) is Proof.YES and prove_less(rest, scale, ranges) is Proof.YES
            if is_within and name not in free_symbols(rest):
                return name, Role(role.kind, role.place, scale)
        return None, role

    def _has_an_axis_for_each(self, place: int, use: Use) -> bool:
        """Whether a write of what is read again tells all the values apart that the variables with roles have."""
        if not use.is_write or use.buffer not in self.read:
            return True
        return all(name in map(bare_name, use.indices) for name in self.variables[place])
