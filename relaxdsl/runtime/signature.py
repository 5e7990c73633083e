"""A program's signature as the entry reads it: an int64 array of header words, then five words a row, then names.

Rows list a tree breadth first, so a tuple's row says where its parts' rows start::

    TENSOR  dtype number, ndim, slot of the pointer (sizes follow it), bytes of an element
    INT     slot
    TUPLE   length, row of the first part

A shape is a tuple of ints. Names are the addresses of the parameters' interned names: a call's keywords are interned,
too, so that equal ones are the same object.
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
NAMES, CONSTANT_ELEMENTS = 8, 9
ROWS = 10
ROW_WIDTH = 5

TENSOR, INT, TUPLE = range(3)

# A frame's words: bytes of its workspace, then the slots, a kernel's gathered arguments, and the objects of the rows.
CAPACITY = 0
SLOTS = 1


def encode_signature(program: Program, table: Table, names: Sequence[str]) -> np.ndarray:
    """The state that the entry is bound to. ``table`` and the interned ``names`` must outlive it."""
    runs_in_python = program.leaves_compiled_code or any(
        isinstance(leaf, ObjectLeaf) for tree in (*program.arguments, program.output) for leaf in leaves_of(tree)
    )
    arguments = [] if runs_in_python else _rows(program.arguments)
    outputs = [] if runs_in_python else _rows([program.output])
    scratch = SLOTS + table.slot_count + table.gathered_count
    header = [table.address, table.prologue, table.body, int(runs_in_python)]
    rows = arguments + outputs
    header += [len(program.arguments), scratch, len(arguments), len(outputs)]
    header += [ROWS + ROW_WIDTH * len(rows), sum(array.size for array in program.constants)]
    return np.array([*header, *chain.from_iterable(rows), *map(id, names)], np.int64)


def frame_word_count(state: np.ndarray) -> int:
    """How many words a frame has."""
    return int(state[SCRATCH] + max(state[PARAMETER_COUNT], state[ARGUMENT_ROW_COUNT], state[OUTPUT_ROW_COUNT]))


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
    return [TUPLE, len(parts), first_part, 0, 0], parts


def _leaf_row(leaf: Leaf) -> list[int]:
    match leaf:
        case TensorLeaf():
            _check_layout(leaf)
            dtype = np.dtype(leaf.dtype)
            return [TENSOR, dtype.num, len(leaf.sizes), leaf.pointer, dtype.itemsize]
        case _:
            (slot,) = slots_of(leaf)
            return [INT, slot, 0, 0, 0]


def _check_layout(leaf: TensorLeaf) -> None:
    if leaf.sizes != tuple(range(leaf.pointer + 1, leaf.pointer + 1 + len(leaf.sizes))):
        raise InternalError(f"the sizes of {leaf.name} do not follow its pointer")
