"""A program's state as the entry and the driver read it: an int64 array of header words, then rows, names and lists.

Rows say what each argument and each output is. They list a tree breadth first, so a tuple's row says where its parts'
rows start::

    TENSOR  dtype number, ndim, slot of the pointer (sizes follow it), bytes of an element, place among the held objects
    INT     slot
    TUPLE   length, row of the first part
    OBJECT  place
    LATE    as TENSOR: an output that is allocated by the body

A shape is a tuple of ints. Names are the addresses of the parameters' interned names: a call's keywords are interned,
too, so that equal ones are the same object. The lists are for calls by other programs: the places of objects among the
arguments; the slots of the outputs, leaf by leaf; the places of the outputs that are held.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np

from relaxdsl.errors import InternalError
from relaxdsl.runtime.encoding import Table
from relaxdsl.runtime.frame import SLOTS, FrameLayout
from relaxdsl.runtime.held import Held
from relaxdsl.runtime.program import (
    IntLeaf,
    Leaf,
    ObjectLeaf,
    Program,
    ShapeLeaf,
    TensorLeaf,
    Tree,
    TupleTree,
    leaves_of,
    value_slots,
)

# Header words. ARGUMENTS, OUTPUTS and HELD are places in a frame; NAMES and those of lists, in the state. IDLE is the
# address of an idle frame or 0; others follow it.
TABLE, PROLOGUE, BODY, PARAMETER_COUNT, ARGUMENT_ROW_COUNT, OUTPUT_ROW_COUNT, CONSTANT_ELEMENTS = range(7)
ARGUMENTS, OUTPUTS, HELD, HELD_COUNT, NAMES, OBJECT_ARGUMENTS, RESULT_SLOTS, RESULT_PLACES = range(7, 15)
ASSIST, IDLE = 15, 16
ROWS = 17
ROW_WIDTH = 6

TENSOR, INT, TUPLE, OBJECT, LATE = range(5)


class Signature:
    """The rows of a program's arguments and outputs, and what they say of its frames."""

    def __init__(self, program: Program, held: Held, late_pointers: Collection[int]) -> None:
        self._program = program
        self._held = held
        self._late_pointers = late_pointers
        self._arguments = self._rows(program.arguments)
        self._outputs = self._rows([program.output])

    def layout(self, table: Table) -> FrameLayout:
        """Where a frame's parts begin."""
        arguments = SLOTS + table.slot_count + table.gathered_count
        outputs = arguments + max(len(self._program.arguments), len(self._arguments))
        held = outputs + len(self._outputs)
        return FrameLayout(arguments, outputs, held, held + self._held.count + len(self._held.constants))

    def encode(self, table: Table, names: Sequence[str], assist: object) -> np.ndarray:
        """The state, with no idle frame. ``table``, the interned ``names`` and the object must outlive it."""
        program, layout = self._program, self.layout(table)
        rows = self._arguments + self._outputs
        lists = [list(map(id, names)), *self._lists()]
        starts = np.cumsum([ROWS + ROW_WIDTH * len(rows), *map(len, lists)]).tolist()
        header = [table.address, table.prologue, table.body]
        header += [len(program.arguments), len(self._arguments), len(self._outputs)]
        header += [sum(array.size for array in program.constants)]
        header += [layout.arguments, layout.outputs, layout.held, self._held.count, *starts[:-1]]
        header += [id(assist), 0]
        return np.array([*header, *chain.from_iterable(rows), *chain.from_iterable(lists)], np.int64)

    def _lists(self) -> Sequence[list[int]]:
        output = list(leaves_of(self._program.output))
        arguments = [leaf for tree in self._program.arguments for leaf in leaves_of(tree)]
        return (
            list(self._held.places(leaf for leaf in arguments if isinstance(leaf, ObjectLeaf))),
            list(value_slots(self._program.output)),
            list(self._held.places(iter(output))),
        )

    def _rows(self, trees: Sequence[Tree]) -> list[list[int]]:
        queue: list[Tree] = list(trees)
        rows: list[list[int]] = []
        for tree in queue:  # grows while we walk it
            row, parts = self._row(tree, len(queue))
            rows.append([*row, *[0] * (ROW_WIDTH - len(row))])
            queue += parts
        return rows

    def _row(self, tree: Tree, first_part: int) -> tuple[list[int], Sequence[Tree]]:
        """A tree's row, and its parts."""
        parts: Sequence[Tree]
        match tree:
            case TupleTree():
                parts = tree.fields
            case ShapeLeaf():
                parts = [IntLeaf(tree.name, slot) for slot in tree.slots]
            case _:
                return self._leaf_row(tree), ()
        return [TUPLE, len(parts), first_part], parts

    def _leaf_row(self, leaf: Leaf) -> list[int]:
        match leaf:
            case TensorLeaf():
                _check_layout(leaf)
                kind = LATE if leaf.pointer in self._late_pointers else TENSOR
                dtype, place = np.dtype(leaf.dtype), self._held.arrays.get(leaf.pointer, 0)
                return [kind, dtype.num, len(leaf.sizes), leaf.pointer, dtype.itemsize, place]
            case ObjectLeaf():
                return [OBJECT, self._held.objects[leaf.index]]
            case _:
                return [INT, *value_slots(leaf)]


def _check_layout(leaf: TensorLeaf) -> None:
    if leaf.sizes != tuple(range(leaf.pointer + 1, leaf.pointer + 1 + len(leaf.sizes))):
        raise InternalError(f"the sizes of {leaf.name} do not follow its pointer")
