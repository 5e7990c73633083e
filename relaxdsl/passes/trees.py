"""What lowering asks of a value's tree of leaves: its tensors, its slots, the slots of its sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relaxdsl.errors import InternalError
from relaxdsl.runtime.program import IntLeaf, ObjectLeaf, ShapeLeaf, TensorLeaf, Tree, TupleTree


def tensor_leaves(tree: Tree) -> Iterator[TensorLeaf]:
    """Every tensor of a value, in order."""
    if isinstance(tree, TupleTree):
        for part in tree.fields:
            yield from tensor_leaves(part)
    elif isinstance(tree, TensorLeaf):
        yield tree


def slots_of(tree: Tree) -> Iterator[int]:
    """Every slot of a value, in order."""
    match tree:
        case TupleTree(fields=fields):
            for part in fields:
                yield from slots_of(part)
        case TensorLeaf(pointer=pointer, sizes=sizes):
            yield pointer
            yield from sizes
        case IntLeaf(slot=slot):
            yield slot
        case ShapeLeaf(slots=slots):
            yield from slots
        case ObjectLeaf(name=name):
            raise InternalError(f"lower: {name} is an object and has no slots")


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
