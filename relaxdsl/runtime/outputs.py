"""The ``out`` argument: arrays of the caller that the outputs are computed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ArgumentError
from relaxdsl.runtime.activation import Activation
from relaxdsl.runtime.arguments import described, is_plain, shown_type
from relaxdsl.runtime.program import Program, TensorLeaf, Tree, TupleTree, tensors_of
from relaxdsl.types.dims import free_symbols
from relaxdsl.types.types import TupleType, Type, dims_of

Named = tuple[str, np.ndarray]
"""An array, and what messages call it."""


class OutputChecker:
    """Checks that ``out`` has the form of the outputs and can be written in place of them.

    Args:
        late_pointers: slots that the body fills with addresses of new arrays: outputs in them do not exist before.
    """

    def __init__(self, program: Program, late_pointers: Collection[int]) -> None:
        self._program = program
        self._late_pointers = late_pointers

    @property
    def early_leaves(self) -> list[TensorLeaf]:
        """The tensors among the outputs that there are before the body runs."""
        return [leaf for leaf in tensors_of(self._program.output) if leaf.pointer not in self._late_pointers]

    def check(self, out: Any, activation: Activation, inputs: Sequence[Named]) -> list[np.ndarray]:
        """The arrays for the output leaves, in order. Raises ArgumentError.

        Args:
            activation: the call, whose sizes are known.
            inputs: the arrays that it reads.
        """
        outputs: list[Named] = []
        whole = _Output("out", self._program.output, self._program.declaration.result)
        self._collect(whole, out, activation, outputs)
        for place, (path, array) in enumerate(outputs):
            for other, known in outputs[:place]:
                if _overlap(array, known):
                    raise self._error(path, f"overlaps {other} in memory")
            for name, known in inputs:
                if _overlap(array, known):
                    hint = "arguments are never written: pass another array"
                    raise self._error(path, f"overlaps argument {name} in memory", hint=hint)
        return [array for _, array in outputs]

    def _collect(self, output: _Output, out: Any, activation: Activation, outputs: list[Named]) -> None:
        match output.tree:
            case TensorLeaf() as leaf:
                self._check_array(output, leaf, out, activation)
                outputs.append((output.path, out))
            case TupleTree(fields=fields):
                if not isinstance(out, tuple) or len(out) != len(fields):
                    raise self._unlike(output, f"expected a tuple of {len(fields)}", _kind_of(out), activation)
                for part, item in zip(output.fields(), out, strict=True):
                    self._collect(part, item, activation, outputs)
            case _:
                raise self._error(output.path, "this output is no array, so it cannot be written into one")

    def _check_array(self, output: _Output, leaf: TensorLeaf, out: Any, activation: Activation) -> None:
        if leaf.pointer in self._late_pointers:
            raise self._error(output.path, "the size of this output is known only after the call")
        if not is_plain(out):
            raise self._unlike(output, "expected an array", type(out).__name__, activation)
        shape = activation.shape(leaf)
        if out.dtype != leaf.dtype:
            raise self._unlike(output, f"expected dtype {leaf.dtype}", str(out.dtype), activation, out)
        if out.shape != shape:
            raise self._unlike(output, f"expected shape {shape}", str(out.shape), activation, out)
        if not (out.flags.c_contiguous and out.flags.aligned):
            raise self._error(output.path, _layout_mistake(out))
        if not out.flags.writeable:
            raise self._error(output.path, "is read-only")

    def _unlike(
        self, output: _Output, wanted: str, given: str, activation: Activation, array: np.ndarray | None = None
    ) -> ArgumentError:
        """The error of what is not like the output: its type, the sizes of this call, and how to make it."""
        sizes = {name: activation.size(slot) for name, slot in self._program.symbols}
        is_kernel = self._program.declaration.is_kernel
        details = [] if output.kind is None else [f"result: {output.declared(sizes, is_kernel)}"]
        details += [] if array is None else [f"passed: {described(array)}"]
        fitting = self._fitting(output.tree, activation)
        hint = None if fitting is None else f"{output.path} may be {fitting}"
        return self._error(output.path, f"{wanted}, got {given}", *details, hint=hint)

    def _fitting(self, tree: Tree, activation: Activation) -> str | None:
        """What makes arrays for an output; None where their sizes are not known yet, or where it is no array."""
        if isinstance(tree, TensorLeaf):
            is_known = tree.pointer not in self._late_pointers
            return f'np.empty({activation.shape(tree)}, "{tree.dtype}")' if is_known else None
        parts = [self._fitting(each, activation) for each in tree.fields] if isinstance(tree, TupleTree) else [None]
        texts = [each for each in parts if each is not None]
        return f"({', '.join(texts)}{',' * (len(texts) == 1)})" if len(texts) == len(parts) else None

    def _error(self, path: str, what: str, *details: str, hint: str | None = None) -> ArgumentError:
        program = self._program
        headline = f"{program.name}: {path}: {what}"
        return ArgumentError(headline, details=details, hint=hint, span=program.declaration.span)


@dataclass(frozen=True, slots=True)
class _Output:
    """An output or a part of it: how it is written, such as ``out[0]``, and its type if that is known."""

    path: str
    tree: Tree
    kind: Type | None

    def fields(self) -> list[_Output]:
        """The parts of a tuple."""
        assert isinstance(self.tree, TupleTree)
        kinds = self.kind.fields if isinstance(self.kind, TupleType) else [None] * len(self.tree.fields)
        parts = enumerate(zip(self.tree.fields, kinds, strict=True))
        return [_Output(f"{self.path}[{place}]", tree, kind) for place, (tree, kind) in parts]

    def declared(self, sizes: Mapping[str, int], is_kernel: bool) -> str:
        """The type, and what the sizes in it are."""
        assert self.kind is not None
        names = dict.fromkeys(name for dim in dims_of(self.kind) for name in free_symbols(dim) if name in sizes)
        values = ", ".join(f"{name} = {sizes[name]}" for name in names)
        text = shown_type(self.kind, is_kernel)
        return f"{text}, here {values}" if values else text


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return np.may_share_memory(one, other) and np.shares_memory(one, other)


def _layout_mistake(out: np.ndarray) -> str:
    if not out.flags.aligned:
        return f"expected an aligned array: the address is no multiple of {out.dtype.alignment}"
    return f"expected a C-contiguous array, got strides {out.strides} of shape {out.shape}"


def _kind_of(out: Any) -> str:
    return f"a tuple of {len(out)}" if isinstance(out, tuple) else type(out).__name__
