"""What kind of computation a kernel is, found by analysing its blocks; fusion decides by it.

========== ================================================== ==========================
kind       an element of the output depends on                examples
========== ================================================== ==========================
ELEMENTWISE the elements of the inputs at the same place      ``x + y``, ``exp(x)``
BROADCAST  the same place, some axes of an input left out     ``x + bias``
INJECTIVE  one element of each input, anywhere                transpose, concat, take
REDUCTION  many elements of an input                          sum, softmax, layer norm
CONTRACTION products of two inputs, summed                    matmul
OPAQUE     whatever the analysis does not see through
========== ================================================== ==========================
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from enum import IntEnum

from relaxdsl.ir.loops import Block, Buffer, PrimFunc, Seq, Store, loop_variable, walk
from relaxdsl.ir.scalar import COMPARISONS, LOGICAL, Apply, Cast, Index, Load, ScalarExpr
from relaxdsl.kernels.accesses import expressions, flat_index, loads_of, nodes
from relaxdsl.types.dims import Dim, SymInt, free_symbols, is_symbol, substitute
from relaxdsl.types.dtype import is_integer, itemsize


class Kind(IntEnum):
    """Kinds of kernels, simplest first."""

    ELEMENTWISE = 0
    BROADCAST = 1
    INJECTIVE = 2
    REDUCTION = 3
    CONTRACTION = 4
    OPAQUE = 5


def kind_of(kernel: PrimFunc) -> Kind:
    """The kind of a kernel in block form; one that was scheduled by hand is left alone."""
    blocks = blocks_of(kernel)
    if not blocks or kernel.attrs.get("scheduled"):
        return Kind.OPAQUE
    reductions = [block for block in blocks if is_reduction(block)]
    if any(_is_contraction(block) for block in reductions):
        return Kind.CONTRACTION
    if reductions:
        return Kind.REDUCTION
    return max(_read_kind(block, load) for block in blocks for load in [*_loads(block), None])


def blocks_of(kernel: PrimFunc) -> list[Block]:
    """The kernel's blocks, in order."""
    return [stmt for stmt in walk(kernel.body) if isinstance(stmt, Block)]


def is_reduction(block: Block) -> bool:
    """Whether the block has reduction axes."""
    return any(axis.kind == "reduce" for axis in block.iter_vars)


def spatial_variables(block: Block) -> tuple[str, ...]:
    """The block's spatial axes, in order."""
    return tuple(axis.var for axis in block.iter_vars if axis.kind == "spatial")


def reads_of(kernel: PrimFunc, buffer: Buffer) -> list[tuple[Block, Load]]:
    """Every read of a buffer, with the block that makes it."""
    return [(block, load) for block in blocks_of(kernel) for load in _loads(block) if load.buffer is buffer]


def _loads(block: Block) -> list[Load]:
    return [load for stmt in walk(block.body) for expr in expressions(stmt) for load in loads_of(expr)]


def _read_kind(block: Block, load: Load | None) -> Kind:
    """How a block without reduction axes reads an input (None: it may read nothing)."""
    if load is None:
        return Kind.ELEMENTWISE
    names = [bare_name(index) for index in load.indices]
    variables = spatial_variables(block)
    if tuple(names) == variables:
        return Kind.ELEMENTWISE
    sizes = load.buffer.shape
    moving = [name for name, size, index in zip(names, sizes, load.indices, strict=True) if size != 1 or index != 0]
    if None not in moving and is_subsequence([name for name in moving if name is not None], variables):
        return Kind.BROADCAST
    return Kind.INJECTIVE


def bare_name(index: Index) -> str | None:
    """The variable that an index is, or None if it is anything else."""
    return free_symbols(index)[0] if isinstance(index, SymInt) and is_symbol(index) else None


def is_subsequence(names: list[str], of: tuple[str, ...]) -> bool:
    """Whether ``names`` occur in ``of``, in this order."""
    rest = iter(of)
    return all(name in rest for name in names)


def _is_contraction(block: Block) -> bool:
    """Whether the block adds up products of elements of two inputs, each of which is read many times."""
    stores = [stmt for stmt in walk(block.body) if isinstance(stmt, Store)]
    if len(stores) != 1 or isinstance(block.body, Seq):
        return False
    products = [node for node in nodes(stores[0].value) if isinstance(node, Apply) and node.function == "multiply"]
    return any(_has_reuse(product.args, set(spatial_variables(block))) for product in products)


def _has_reuse(factors: tuple[ScalarExpr, ...], spatial: set[str]) -> bool:
    """Whether both factors read memory, and at least one the same elements for many outputs."""
    if not all(any(True for _ in loads_of(factor)) for factor in factors):
        return False
    left, right = (_variables(factor) & spatial for factor in factors)
    return left != right


def _variables(expr: ScalarExpr) -> set[str]:
    return {
        name
        for load in loads_of(expr)
        for index in load.indices
        if not isinstance(index, ScalarExpr)
        for name in free_symbols(index)
    }


# ------------------------------------------------------------------------- how one kernel reads another's result


def is_read_in_place(kernel: PrimFunc, buffer: Buffer) -> bool:
    """Whether every read of ``buffer`` is at the place of the element being computed."""
    return all(_read_kind(block, load) is Kind.ELEMENTWISE for block, load in reads_of(kernel, buffer))


def is_read_once(kernel: PrimFunc, buffer: Buffer) -> bool:
    """Whether there is one read of ``buffer``, which takes each element at most once: it can be computed there."""
    reads = reads_of(kernel, buffer)
    return len(reads) == 1 and takes_each_once(*reads[0])


def takes_each_once(block: Block, load: Load) -> bool:
    """Whether a read takes each element at most once: all axes are indices, or the order in memory agrees."""
    return takes_each_value_once({axis.var: axis.extent for axis in block.iter_vars}, load)


def takes_each_value_once(extents: Mapping[str, Dim], load: Load) -> bool:
    """Whether no two values of variables with these extents read the same element."""
    moving = {name: extent for name, extent in extents.items() if extent != 1}
    if set(moving) <= {_shifted_name(index, moving) for index in load.indices}:
        return True
    shape = tuple(extents.values())
    own = tuple(loop_variable(name, extent) for name, extent in extents.items())
    same_size = math.prod(shape) == math.prod(load.buffer.shape)
    return same_size and flat_index(load.buffer.shape, load.indices) is flat_index(shape, own)


def _shifted_name(index: Index, names: Collection[str]) -> str | None:
    """The variable of an index that is one, plus something that stays the same; None if it is anything else."""
    if isinstance(index, int | ScalarExpr):
        return None
    moving = [name for name in free_symbols(index) if name in names]
    if len(moving) != 1:
        return None
    moved = index - substitute(index, {moving[0]: 0})
    return bare_name(moved)


def is_aligned(kernel: PrimFunc, buffer: Buffer) -> bool:
    """Whether every read of ``buffer`` is in the row being computed: its first index is the first axis."""
    return bool(buffer.shape) and all(_is_in_row(block, load.indices) for block, load in reads_of(kernel, buffer))


def is_row_by_row(kernel: PrimFunc) -> bool:
    """Whether a row of the output needs no other row of what the kernel computes itself.

    All blocks then have the same first axis, and it is the first index of all they write and of all they read again.
    """
    own = {*kernel.outputs, *kernel.scratch}
    blocks = blocks_of(kernel)
    extents = {block.iter_vars[0].extent for block in blocks if spatial_variables(block)}
    if len(extents) != 1 or not all(map(spatial_variables, blocks)):
        return False
    return all(_is_in_row(block, indices) for block in blocks for indices in _own_accesses(block, own))


def is_read_through(kernel: PrimFunc) -> bool:
    """Whether the kernel only reorders axes, or widens integers, so that reading through it costs nothing."""
    blocks = blocks_of(kernel)
    if len(blocks) != 1 or not isinstance(blocks[0].body, Store):
        return False
    value = without_widening(blocks[0].body.value)
    if not isinstance(value, Load):
        return False
    names = [bare_name(index) for index in value.indices]
    return sorted(map(str, names)) == sorted(spatial_variables(blocks[0]))


def without_widening(value: ScalarExpr) -> ScalarExpr:
    """The integer of which the value is the same in a wider dtype; else the value."""
    match value:
        case Cast(value=narrow, dtype=dtype) if is_integer(dtype) and is_integer(narrow.dtype):
            return narrow if itemsize(narrow.dtype) < itemsize(dtype) else value
    return value


def moves_data(kernel: PrimFunc) -> bool:
    """Whether every element of the output is an element of an input."""
    bodies = [block.body for block in blocks_of(kernel)]
    return bool(bodies) and all(isinstance(body, Store) and isinstance(body.value, Load) for body in bodies)


def is_free(kernel: PrimFunc) -> bool:
    """Whether elements cost next to nothing, so that each reader may make those it reads itself."""
    bodies = [block.body for block in blocks_of(kernel)]
    return bool(bodies) and all(isinstance(body, Store) and costs_nothing(body.value) for body in bodies)


def costs_nothing(value: ScalarExpr) -> bool:
    """Whether a value takes indexing, casts and choices only."""
    return all(_costs_nothing(node) for node in nodes(value))


def _costs_nothing(node: ScalarExpr) -> bool:
    """Whether a node costs next to nothing: all but functions; of these, conditions and arithmetic on indices."""
    if not isinstance(node, Apply):
        return True
    return node.function in COMPARISONS | LOGICAL or (
        is_integer(node.dtype) and node.function in ("add", "subtract", "multiply")
    )


def _is_in_row(block: Block, indices: tuple[Index, ...]) -> bool:
    variables = spatial_variables(block)
    return bool(indices) and bool(variables) and bare_name(indices[0]) == variables[0]


def _own_accesses(block: Block, own: set[Buffer]) -> list[tuple[Index, ...]]:
    stores = [stmt for stmt in walk(block.body) if isinstance(stmt, Store)]
    written = [store.indices for store in stores if store.buffer in own]
    return written + [load.indices for load in _loads(block) if load.buffer in own]
