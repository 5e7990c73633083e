"""The ``out`` argument: arrays of the caller that the outputs are computed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from relaxdsl.errors import ArgumentError
from relaxdsl.runtime.arguments import is_plain
from relaxdsl.runtime.program import TensorLeaf, Tree, TupleTree, tensors_of

ShapeOf = Callable[[TensorLeaf], tuple[int, ...]]
Named = tuple[str, np.ndarray]
"""An array, and what messages call it."""


class OutputChecker:
    """Checks that ``out`` has the form of the outputs and can be written in place of them.

    Args:
        late_pointers: slots that the body fills with addresses of new arrays: outputs in them do not exist before.
    """

    def __init__(self, function: str, output: Tree, late_pointers: Collection[int]) -> None:
        self._function = function
        self._output = output
        self._late_pointers = late_pointers

    @property
    def early_leaves(self) -> list[TensorLeaf]:
        """The tensors among the outputs that there are before the body runs."""
        return [leaf for leaf in tensors_of(self._output) if leaf.pointer not in self._late_pointers]

    def check(self, out: Any, shape_of: ShapeOf, inputs: Sequence[Named]) -> list[np.ndarray]:
        """The arrays for the output leaves, in order. Raises ArgumentError."""
        outputs: list[Named] = []
        self._collect("out", self._output, out, shape_of, outputs)
        for place, (path, array) in enumerate(outputs):
            for other, known in outputs[:place]:
                if _overlap(array, known):
                    raise self._error(path, f"overlaps {other} in memory")
            for name, known in inputs:
                if _overlap(array, known):
                    hint = "arguments are never written: pass another array"
                    raise self._error(path, f"overlaps argument {name} in memory", hint)
        return [array for _, array in outputs]

    def _collect(self, path: str, tree: Tree, out: Any, shape_of: ShapeOf, outputs: list[Named]) -> None:
        match tree:
            case TensorLeaf():
                self._check_array(path, tree, out, shape_of)
                outputs.append((path, out))
            case TupleTree():
                if not isinstance(out, tuple) or len(out) != len(tree.fields):
                    raise self._error(path, f"expected a tuple of {len(tree.fields)}, got {_describe(out)}")
                for place, (part, item) in enumerate(zip(tree.fields, out, strict=True)):
                    self._collect(f"{path}[{place}]", part, item, shape_of, outputs)
            case _:
                raise self._error(path, "this output is no array, so it cannot be written into one")

    def _check_array(self, path: str, leaf: TensorLeaf, out: Any, shape_of: ShapeOf) -> None:
        if leaf.pointer in self._late_pointers:
            raise self._error(path, "the size of this output is known only after the call")
        if not is_plain(out):
            raise self._error(path, f"expected an array, got {type(out).__name__}")
        if out.dtype != leaf.dtype:
            raise self._error(path, f"expected dtype {leaf.dtype}, got {out.dtype}")
        if out.shape != shape_of(leaf):
            raise self._error(path, f"expected shape {shape_of(leaf)}, got {out.shape}")
        if not (out.flags.c_contiguous and out.flags.aligned):
            raise self._error(path, _layout_mistake(out))
        if not out.flags.writeable:
            raise self._error(path, "is read-only")

    def _error(self, path: str, what: str, hint: str | None = None) -> ArgumentError:
        return ArgumentError(f"{self._function}: {path}: {what}", hint=hint)


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return np.may_share_memory(one, other) and np.shares_memory(one, other)


def _layout_mistake(out: np.ndarray) -> str:
    if not out.flags.aligned:
        return f"expected an aligned array: the address is no multiple of {out.dtype.alignment}"
    return f"expected a C-contiguous array, got strides {out.strides} of shape {out.shape}"


def _describe(out: Any) -> str:
    return f"a tuple of {len(out)}" if isinstance(out, tuple) else type(out).__name__
