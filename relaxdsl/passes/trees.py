"""What lowering asks of a value's tree of leaves: its slots, the slots of its sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.errors import InternalError
from relaxdsl.runtime.program import (
    IntLeaf,
    ObjectLeaf,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
    leaves_of,
    value_slots,
)


def slots_of(tree: Tree) -> Iterator[int]:
    """Every slot of a value, in order."""
    for leaf in leaves_of(tree):
        if isinstance(leaf, ObjectLeaf):
            raise InternalError(f"lower: {leaf.name} is an object and has no slots")
    yield from value_slots(tree)


def with_sizes(tree: Tree, slots: Iterator[int]) -> Tree:
    """The value with its dims in other slots, in the order of ``dims_of``."""
    match tree:
        case TupleTree(fields=fields):
            return TupleTree(tuple(with_sizes(part, slots) for part in fields))
        case TensorLeaf(sizes=sizes):
            return replace(tree, sizes=tuple(next(slots) for _ in sizes))
        case ShapeLeaf(slots=old):
            return replace(tree, slots=tuple(next(slots) for _ in old))
        case IntLeaf():
            return replace(tree, slot=next(slots))
        case _:
            return tree


def size_slots(tree: Tree) -> Iterator[int]:
    """The slots that hold the tree's dims, in the order of ``dims_of``."""
    match tree:
        case TupleTree(fields=fields):
            for part in fields:
                yield from size_slots(part)
        case TensorLeaf(sizes=slots) | ShapeLeaf(slots=slots):
            yield from slots
        case IntLeaf(slot=slot):
            yield slot
