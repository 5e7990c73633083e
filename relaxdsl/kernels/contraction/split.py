"""Variables that stand for two: ``x[i // 4, i % 4]`` for ``i`` in ``4 * n`` as ``x[j, k]`` for ``j`` in ``n``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from relaxdsl.ir.loops import Block, For, IterVar, Stmt, loop_variable, map_statements, rewrite_statement
from relaxdsl.kernels.accesses import dims_in
from relaxdsl.kernels.schedule.decompose import Nest, nest_of
from relaxdsl.kernels.simplify import Ranges, simplify_dim
from relaxdsl.types.dims import Dim, FloorDiv, exact_divide, has_atoms, is_symbol, substitute, terms


def split_variables(stmt: Stmt) -> Stmt:
    """``stmt``, if it is a nest, with each variable split by which it is divided in an index.

    Before::

        for e in range(h * 64): with block: out[e] = x[e // 64, e % 64]

    After::

        for e_high in range(h):
            for e_low in range(64): with block: out[e_high * 64 + e_low] = x[e_high, e_low]
    """
    nest = nest_of(stmt)
    while nest is not None and (found := next(_divisions(nest), None)) is not None:
        stmt = _split(stmt, nest, *found)
        nest = nest_of(stmt)
    return stmt


def _divisions(nest: Nest) -> Iterator[tuple[IterVar, Dim]]:
    """Every variable that is divided by a factor of its extent, and the factor."""
    axes = {axis.var: axis for axis in nest.block.iter_vars if axis.extent != 1}
    for dim in dims_in(nest.block.body):
        if not has_atoms(dim):
            continue
        for _, factors in terms(dim):
            for atom, _ in factors:
                if isinstance(atom, FloorDiv) and is_symbol(atom.numerator) and str(atom.numerator) in axes:
                    axis = axes[str(atom.numerator)]
                    whole = exact_divide(axis.extent, atom.denominator)
                    if whole is not None and atom.denominator not in (1, axis.extent):
                        yield axis, atom.denominator


def _split(stmt: Stmt, nest: Nest, axis: IterVar, low_extent: Dim) -> Stmt:
    high_extent = exact_divide(axis.extent, low_extent)
    assert high_extent is not None
    names = [f"{axis.var}.high", f"{axis.var}.low"]
    loops = [f"{axis.binding}.high", f"{axis.binding}.low"]
    extents = [high_extent, low_extent]
    high, low = (loop_variable(name, extent) for name, extent in zip(names, extents, strict=True))
    axes = tuple(
        replace(axis, var=name, extent=extent, binding=loop_variable(loop, extent))
        for name, loop, extent in zip(names, loops, extents, strict=True)
    )
    ranges: Ranges = {name: (0, extent - 1) for name, extent in zip(names, extents, strict=True)}

    def on_dim(dim: Dim) -> Dim:
        return simplify_dim(substitute(dim, {axis.var: high * low_extent + low}), ranges)

    def visit(inner: Stmt) -> Stmt:
        if isinstance(inner, For) and inner.var == str(axis.binding):
            body = For(loops[1], low_extent, visit(inner.body), inner.kind)
            return For(loops[0], high_extent, body, inner.kind)
        if isinstance(inner, Block):
            return _with_axes(inner, axis, axes, on_dim)
        return map_statements(inner, visit)

    return visit(stmt)


def _with_axes(block: Block, old: IterVar, new: tuple[IterVar, ...], on_dim: Callable[[Dim], Dim]) -> Block:
    axes = [each for axis in block.iter_vars for each in (new if axis is old else (axis,))]
    init = None if block.init is None else rewrite_statement(block.init, on_dim=on_dim)
    return replace(block, iter_vars=tuple(axes), body=rewrite_statement(block.body, on_dim=on_dim), init=init)
