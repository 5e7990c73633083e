"""Every access of an element in a kernel, with what is known there: the loops around it, and which conditions hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from relaxdsl.dataclass import dataclass
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, IterVar, PrimFunc, Stmt, Store, sub_statements
from relaxdsl.ir.scalar import Apply, Index, IndexValue, Load, ScalarExpr, Select, children, const
from relaxdsl.kernels.accesses import dims_in, expression_dims
from relaxdsl.types.dims import Dim, free_symbols


@dataclass(frozen=True, slots=True)
class LoopRange:
    """``var`` runs over ``start … start + extent - 1``."""

    var: str
    start: Dim
    extent: Dim


@dataclass(frozen=True, slots=True)
class AxisValue:
    """The axis ``var`` of a block is ``binding``, which lies in ``0 … extent - 1`` (a site of its own says whether)."""

    var: str
    binding: Dim
    extent: Dim


@dataclass(frozen=True, eq=False, slots=True)
class Condition:
    """``expr`` is true, or false if not ``holds``."""

    expr: ScalarExpr
    holds: bool


Fact: TypeAlias = LoopRange | AxisValue | Condition


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """An index that must lie in ``0 … size - 1``.

    Args:
        node: what makes the access: a load, a store, or the block whose axis is bound.
        what: the buffer, or the name of the axis.
        axis: which axis of the buffer.
        facts: what is known there, outermost first.
    """

    node: Load | Store | Block
    what: Buffer | str
    axis: int
    index: Index
    size: Dim
    facts: tuple[Fact, ...]


def sites_of(kernel: PrimFunc) -> Iterator[Site]:
    """Every index of every access, in the order they run."""
    yield from _in_statement(kernel.body, ())


def _in_statement(stmt: Stmt, facts: tuple[Fact, ...]) -> Iterator[Site]:
    match stmt:
        case Store(buffer, indices, value):
            yield from _in_indices(indices, facts)
            yield from _in_scalar(value, facts)
            yield from _of_element(stmt, buffer, indices, facts)
        case For(var, extent, body, _, start):
            yield from _in_statement(body, (*facts, LoopRange(var, start, extent)))
        case IfThenElse(condition, then_body, else_body):
            yield from _in_scalar(condition, facts)
            yield from _in_statement(then_body, (*facts, Condition(condition, True)))
            if else_body is not None:
                yield from _in_statement(else_body, (*facts, Condition(condition, False)))
        case Block():
            yield from _in_block(stmt, facts)
        case _:
            for inner in sub_statements(stmt):
                yield from _in_statement(inner, facts)


def _in_block(block: Block, facts: tuple[Fact, ...]) -> Iterator[Site]:
    for position, axis in enumerate(block.iter_vars):
        yield Site(block, axis.var, position, axis.binding, axis.extent, facts)
    if block.init is not None:
        yield from _in_statement(block.init, _known_in_init(block, facts))
    yield from _in_statement(block.body, (*facts, *map(_axis_value, block.iter_vars)))


def _axis_value(axis: IterVar) -> AxisValue:
    return AxisValue(axis.var, axis.binding, axis.extent)


def _known_in_init(block: Block, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """What is known in a block's init: not that the reduction takes a step, unless something else depends on which."""
    assert block.init is not None
    named = {name for dim in dims_in(block.init) for name in free_symbols(dim)}
    reduce = [axis for axis in block.iter_vars if axis.kind == "reduce"]
    dims = [axis.binding for axis in block.iter_vars if axis not in reduce or axis.var in named]
    dims += [dim for fact in facts for dim in dims_of_fact(fact)]
    used = {name for dim in dims for name in free_symbols(dim)}
    left_out = {name for axis in reduce for name in free_symbols(axis.binding)} - used
    kept = [axis for axis in block.iter_vars if not left_out & set(free_symbols(axis.binding))]
    first = (Apply("equal", (IndexValue(axis.binding), const(0, "int64")), "bool") for axis in kept if axis in reduce)
    return (
        *(fact for fact in facts if not (isinstance(fact, LoopRange) and fact.var in left_out)),
        *map(_axis_value, kept),
        *(Condition(each, True) for each in first),
    )


def dims_of_fact(fact: Fact) -> Iterator[Dim]:
    """The dims that a fact speaks of."""
    match fact:
        case LoopRange(_, start, extent):
            yield from (start, extent)
        case AxisValue(_, binding):
            yield binding
        case Condition(expr):
            yield from expression_dims(expr)


def _in_indices(indices: tuple[Index, ...], facts: tuple[Fact, ...]) -> Iterator[Site]:
    for index in indices:
        if isinstance(index, ScalarExpr):
            yield from _in_scalar(index, facts)


def _in_scalar(expr: ScalarExpr, facts: tuple[Fact, ...]) -> Iterator[Site]:
    match expr:
        case Select(condition, then_value, else_value):
            yield from _in_scalar(condition, facts)
            yield from _in_scalar(then_value, (*facts, Condition(condition, True)))
            yield from _in_scalar(else_value, (*facts, Condition(condition, False)))
            return
        case Load(buffer, indices):
            yield from _of_element(expr, buffer, indices, facts)
    for child in children(expr):
        yield from _in_scalar(child, facts)


def _of_element(
    node: Load | Store, buffer: Buffer, indices: tuple[Index, ...], facts: tuple[Fact, ...]
) -> Iterator[Site]:
    for axis, (index, size) in enumerate(zip(indices, buffer.shape, strict=True)):
        yield Site(node, buffer, axis, index, size, facts)


def axis_values(facts: tuple[Fact, ...]) -> Mapping[str, Dim]:
    """What each block axis is, in terms of the loops."""
    return {fact.var: fact.binding for fact in facts if isinstance(fact, AxisValue)}
