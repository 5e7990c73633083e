"""A program's signature as the entry reads it: an int64 array of header words, then four words a row.

Rows list a tree breadth first, so a tuple's row says where its parts' rows start::

    TENSOR  dtype number, ndim, slot of the pointer (sizes follow it)
    INT     slot
    TUPLE   length, row of the first part

A shape is a tuple of ints.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from relaxdsl.errors import InternalError
from relaxdsl.runtime.encoding import Table, leaves_of, slots_of
from relaxdsl.runtime.program import IntLeaf, Leaf, ObjectLeaf, Program, ShapeLeaf, TensorLeaf, Tree, TupleTree

# Header words.
TABLE, PROLOGUE, BODY, RUNS_IN_PYTHON, PARAMETER_COUNT, SCRATCH, ARGUMENT_ROW_COUNT, OUTPUT_ROW_COUNT = range(8)
ROWS = 8
ROW_WIDTH = 4

TENSOR, INT, TUPLE = range(3)

# A frame's words: bytes of its workspace, then the slots, a kernel's gathered arguments, and the objects of the rows.
CAPACITY = 0
SLOTS = 1


def encode_signature(program: Program, table: Table) -> np.ndarray:
    """The state that the entry is bound to. ``table`` must outlive it."""
    runs_in_python = program.leaves_compiled_code or any(
        isinstance(leaf, ObjectLeaf) for tree in (*program.arguments, program.output) for leaf in leaves_of(tree)
    )
    arguments = [] if runs_in_python else _rows(program.arguments)
    outputs = [] if runs_in_python else _rows([program.output])
    scratch = SLOTS + table.slot_count + table.gathered_count
    header = [table.address, table.prologue, table.body, int(runs_in_python)]
    header += [len(program.arguments), scratch, len(arguments), len(outputs)]
    return np.array([*header, *chain.from_iterable(arguments + outputs)], np.int64)


def frame_word_count(state: np.ndarray) -> int:
    """How many words a frame has."""
    return int(state[SCRATCH] + max(state[ARGUMENT_ROW_COUNT], state[OUTPUT_ROW_COUNT]))


def _rows(trees: Sequence[Tree]) -> list[list[int]]:
    queue: list[Tree] = list(trees)
    rows: list[list[int]] = []
    for tree in queue:  # grows while we walk it
        row, parts = _row(tree, len(queue))
        rows.append(row)
        queue += parts
    return rows


def _row(tree: Tree, first_part: int) -> tuple[list[int], Sequence[Tree]]:
    """A tree's row, and its parts."""
    parts: Sequence[Tree]
    match tree:
        case TupleTree():
            parts = tree.fields
        case ShapeLeaf():
            parts = [IntLeaf(tree.name, slot) for slot in tree.slots]
        case _:
            return _leaf_row(tree), ()
    return [TUPLE, len(parts), first_part, 0], parts


def _leaf_row(leaf: Leaf) -> list[int]:
    match leaf:
        case TensorLeaf():
            _check_layout(leaf)
            return [TENSOR, np.dtype(leaf.dtype).num, len(leaf.sizes), leaf.pointer]
        case _:
            (slot,) = slots_of(leaf)
            return [INT, slot, 0, 0]


def _check_layout(leaf: TensorLeaf) -> None:
    if leaf.sizes != tuple(range(leaf.pointer + 1, leaf.pointer + 1 + len(leaf.sizes))):
        raise InternalError(f"the sizes of {leaf.name} do not follow its pointer")
