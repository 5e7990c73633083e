"""What the kinds of a block's axes promise, held against what its body writes and reads.

The steps of a spatial axis run in any order, at once too; a reduction starts with its init and stays at one element.
"""

from __future__ import annotations

from collections.abc import Iterator

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, PrimFunc, Stmt, Store, walk
from relaxdsl.ir.scalar import Index, Load, ScalarExpr
from relaxdsl.kernels.accesses import dims_in, expression_dims, expressions, loads_of
from relaxdsl.kernels.primitives.coverage import loops_for
from relaxdsl.kernels.primitives.reductions import left_unset
from relaxdsl.kernels.primitives.tree import Path, loops_on, paths_in
from relaxdsl.types.dims import Dim, free_symbols


@dataclass(frozen=True, eq=False, slots=True)
class Conflict:
    """A promise that is not kept: where, what is wrong (``{name}`` are names of axes and loops), what to do."""

    node: Store | Load | Block
    headline: str
    hint: str


def conflicts_of(kernel: PrimFunc) -> Iterator[Conflict]:
    """Every conflict in the kernel."""
    for path in paths_in(kernel.body):
        block = path[-1]
        if isinstance(block, Block):
            yield from conflicts_in(block)
            yield from _in_shared_loops(block, path)


def conflicts_in(block: Block) -> Iterator[Conflict]:
    """What a block's axes promise and its body does not keep, wherever the block is."""
    yield from _in_spatial_axes(block)
    yield from _in_reduction(block)


def _stores(stmt: Stmt) -> list[Store]:
    return [each for each in walk(stmt) if isinstance(each, Store) and each.buffer.scope != "register"]


def _loads(stmt: Stmt) -> Iterator[Load]:
    for each in walk(stmt):
        for expr in expressions(each):
            yield from loads_of(expr)


def _symbols_of(index: Index) -> set[str]:
    dims: list[Dim] = list(expression_dims(index)) if isinstance(index, ScalarExpr) else [index]
    return {name for dim in dims for name in free_symbols(dim)}


# --------------------------------------------------------------------------------------------------------- spatial axes


def _in_spatial_axes(block: Block) -> Iterator[Conflict]:
    spatial = [axis.var for axis in block.iter_vars if axis.kind == "spatial" and axis.extent != 1]
    stores = _stores(block.body)
    for store in stores:
        yield from _of_store(store, spatial)
    written = {store.buffer: store for store in stores}
    for load in _loads(block.body):
        if load.buffer in written and _moves(load, written[load.buffer], set(spatial)):
            yield Conflict(
                load,
                f"{load.buffer.name} is read at another place than it is written, so the order of the steps matters",
                "loop with `for` and without a block: its steps run in order",
            )


def _of_store(store: Store, spatial: list[str]) -> Iterator[Conflict]:
    affine = {name for index in store.indices if not isinstance(index, ScalarExpr) for name in _symbols_of(index)}
    data = {name for index in store.indices if isinstance(index, ScalarExpr) for name in _symbols_of(index)}
    for name in spatial:
        if name not in affine | data:
            yield Conflict(
                store,
                f"every step of the spatial axis {name} writes the same element of {store.buffer.name}",
                f"bind {name} by T.axis.reduce, or index {store.buffer.name} with it",
            )
        elif name not in affine:
            yield Conflict(
                store,
                f"steps of the spatial axis {name} may write the same element of {store.buffer.name}: data says which",
                f"bind {name} by T.axis.reduce, whose steps run in order",
            )


def _moves(load: Load, store: Store, spatial: set[str]) -> bool:
    """Whether the load differs from the store in an index that has a spatial axis in it."""
    pairs = zip(load.indices, store.indices, strict=True)
    return any(not _same(a, b) and spatial & (_symbols_of(a) | _symbols_of(b)) for a, b in pairs)


def _same(a: Index, b: Index) -> bool:
    return a is b or (isinstance(a, int) and isinstance(b, int) and a == b)


# ----------------------------------------------------------------------------------------------------------- reductions


def _in_reduction(block: Block) -> Iterator[Conflict]:
    if block.init is None:
        return
    first = {store.buffer: store for store in _stores(block.init)}
    reduce = {axis.var for axis in block.iter_vars if axis.kind == "reduce"}
    moving = sorted(name for dim in dims_in(block.init) for name in free_symbols(dim) if name in reduce)
    if moving:
        yield Conflict(
            next(iter(first.values()), block),
            f"T.init runs once for each element, so the reduction axis {moving[0]} is not known in it",
            "use spatial axes only",
        )
    accesses: list[Store | Load] = [*_stores(block.body), *_loads(block.body)]
    for access in accesses:
        start = first.get(access.buffer)
        if start is not None and not all(map(_same, access.indices, start.indices)):
            yield Conflict(
                access,
                f"the reduction starts at another element of {access.buffer.name} than it goes on with",
                "use the same indices in T.init and after it",
            )


def _in_shared_loops(block: Block, path: Path) -> Iterator[Conflict]:
    for elements, steps in left_unset(block, path):
        shared = sorted(loops_for(elements, loops_on(path)) & loops_for([steps], loops_on(path)))
        loops = f"the loop{'s' if len(shared) > 1 else ''} {' and '.join(shared)}"
        axes = " and ".join(axis.var for axis in (*elements, steps))
        unset = f"nothing runs T.init where {steps.extent} is 0"
        yield Conflict(
            block,
            f"the axes {axes} of the block {block.name} share {loops}, so {unset}",
            f"give {steps.var} a loop of its own, or declare its sizes with relax.dims(…, lower=1)",
        )
