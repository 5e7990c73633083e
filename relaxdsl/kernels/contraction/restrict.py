"""The stages of a chain for a piece: some rows, and perhaps some columns, of one matrix of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from operator import itemgetter

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, Stmt, Store, loop_variable, rewrite_statement
from relaxdsl.ir.scalar import Index, Load, ScalarExpr, rewrite
from relaxdsl.kernels.contraction.match import digits
from relaxdsl.kernels.contraction.plain import flat_buffer
from relaxdsl.kernels.contraction.roles import Role, Stage, named
from relaxdsl.types.dims import Dim, SymInt, floordiv, substitute


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` neighbours along a joint index, from ``first`` on."""

    first: Dim
    count: Dim


@dataclass(frozen=True, slots=True)
class Piece:
    """What is computed at a time: of the matrix at ``batch``, the rows, and the columns or None for all."""

    batch: tuple[Dim, ...]
    rows: Span
    columns: Span | None


@dataclass(frozen=True, eq=False, slots=True)
class Local:
    """A buffer that holds a piece of another: first its rows, last its columns if it has pieces of them.

    Args:
        flat: the buffer in one axis, which stands for it in the final loops.
    """

    buffer: Buffer
    flat: Buffer
    roles: tuple[Role | None, ...]

    def place(
        self, indices: Sequence[Index], sizes: Sequence[Dim], row: Dim, columns: Span | None
    ) -> tuple[Index, ...]:
        """Where the element is that the whole buffer has at ``indices``; ``row`` counts from the piece's first one."""
        axes = list(zip(self.roles, indices, sizes, strict=True))
        others = [index for role, index, _ in axes if role is None]
        if columns is None:
            return row, *others
        column: Dim = 0
        for _, index, size in sorted(_columns(axes), key=itemgetter(0)):
            column = column * size + index
        return row, *others, column - columns.first


def _columns(axes: Iterable[tuple[Role | None, Index, Dim]]) -> Iterator[tuple[int, Dim, Dim]]:
    """Of the axes that are columns: their place in the joint index, the index along them, and the size."""
    for role, index, size in axes:
        if role is not None and role.kind == "column":
            assert not isinstance(index, ScalarExpr)
            yield role.place, index, size


def local_for(buffer: Buffer, roles: tuple[Role | None, ...], rows: Dim, columns: Dim) -> Local:
    """Memory for pieces of a buffer of at most so many rows and columns."""
    others = tuple(size for size, role in zip(buffer.shape, roles, strict=True) if role is None)
    last = (columns,) if any(role is not None and role.kind == "column" for role in roles) else ()
    local = Buffer(buffer.name, (rows, *others, *last), buffer.dtype, "scratch")
    return Local(local, flat_buffer(local), roles)


@dataclass(frozen=True, eq=False, slots=True)
class Restriction:
    """How the stages of a chain are restricted to a piece.

    Args:
        rows, columns: the extents of the variables that are rows, and of those that are columns.
        local: the buffers of which there is no more than a piece.
        limits: how many values of a variable are computed, where these are not all.
    """

    rows: tuple[Dim, ...]
    columns: tuple[Dim, ...]
    piece: Piece
    local: Mapping[Buffer, Local]
    limits: Mapping[str, Dim] = field(default_factory=dict)

    def nest(self, stage: Stage, roles: Mapping[str, Role]) -> Stmt:
        """The loops of a stage for the piece: rows outermost, then columns, then what is left."""
        made = _Variables(self, stage, roles)
        block = stage.nest.block
        body = self._moved(block.body, made)
        init = None if block.init is None else self._moved(block.init, made)
        result: Stmt = Block(block.name, tuple(made.axes), body, init)
        for axis in reversed(made.axes):
            result = For(str(axis.binding), axis.extent, result)
        return result

    def _moved(self, stmt: Stmt, made: _Variables) -> Stmt:
        """``stmt`` in terms of the piece's variables and local buffers."""

        def on_dim(dim: Dim) -> Dim:
            return substitute(dim, made.values)

        def on_index(index: Index) -> Index:
            return rewrite(index, on_node, on_dim) if isinstance(index, ScalarExpr) else on_dim(index)

        def on_node(node: ScalarExpr) -> ScalarExpr | None:
            if not isinstance(node, Load) or node.buffer not in self.local:
                return None
            return Load(self.local[node.buffer].buffer, self._place(node.buffer, [*map(on_index, node.indices)], made))

        def on_store(store: Store) -> Store:
            if store.buffer not in self.local:
                return store
            indices = self._place(store.buffer, store.indices, made)
            return Store(self.local[store.buffer].buffer, indices, store.value)

        return rewrite_statement(stmt, on_node, on_dim, on_store)

    def _place(self, buffer: Buffer, indices: Sequence[Index], made: _Variables) -> tuple[Index, ...]:
        local = self.local[buffer]
        has_columns = any(role is not None and role.kind == "column" for role in local.roles)
        return local.place(indices, buffer.shape, made.row, self.piece.columns if has_columns else None)


class _Variables:
    """A stage's variables for a piece: the axes that are left, and what the old variables are in their terms."""

    def __init__(self, restriction: Restriction, stage: Stage, roles: Mapping[str, Role]) -> None:
        self.axes: list[IterVar] = []
        self.values: dict[str, Dim] = {}
        self._loops = {axis.var: str(axis.binding) for axis in stage.nest.block.iter_vars}
        piece = restriction.piece
        self.values |= zip(named(roles, "batch"), piece.batch, strict=True)
        rows, columns = named(roles, "row"), named(roles, "column")
        self.row: Dim = self._joint(rows, piece.rows.count) if rows else 0
        self._set(rows, restriction.rows, piece.rows.first + self.row)
        if columns and piece.columns is not None:
            self._set_columns(columns, restriction.columns, piece.columns, roles[columns[0]].scale)
        for axis in stage.nest.block.iter_vars:
            if axis.var not in roles:
                self._keep(axis, restriction.limits.get(axis.var, axis.extent))

    def _joint(self, names: Sequence[str], count: Dim) -> SymInt:
        """A new variable that walks along a joint index."""
        variable = loop_variable(".".join(names), count)
        loop = loop_variable(".".join(self._loops[name] for name in names), count)
        self.axes.append(IterVar(".".join(names), count, "spatial", loop))
        return variable

    def _set(self, names: Sequence[str], sizes: Sequence[Dim], index: Dim) -> None:
        self.values |= digits(names, dict(zip(names, sizes, strict=True)), index)

    def _set_columns(self, names: Sequence[str], sizes: Sequence[Dim], span: Span, scale: int) -> None:
        if scale == 1:
            self._set(names, sizes, span.first + self._joint(names, span.count))
        else:  # the variable stands for so many columns each, of which a piece has whole ones
            count = floordiv(span.count, scale)
            self.values[names[0]] = floordiv(span.first, scale) + self._joint(names, count)

    def _keep(self, axis: IterVar, extent: Dim) -> None:
        loop = self._loops[axis.var]
        self.values[axis.var] = loop_variable(axis.var, extent)
        self.axes.append(replace(axis, extent=extent, binding=loop_variable(loop, extent)))
