"""Layouts of tensors as text: ``"NCHW"``, ``"HWIO"``, and with axes in blocks, ``"NCHW4c"``.

A capital letter is an axis; ``4c`` is a part of axis ``C`` that lies elsewhere: the place within a block of 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import ShapeError
from relaxdsl.ir.te import Tensor
from relaxdsl.operators.operands import describe, require_ndim
from relaxdsl.operators.registry import Operand
from relaxdsl.types.dims import Dim, exact_divide

_AXIS = re.compile(r"[A-Z]|([1-9][0-9]*)([a-z])")


@dataclass(frozen=True, slots=True)
class LayoutAxis:
    """An axis of a tensor: ``step`` is how far apart its neighbours are in the range of ``letter``; ``size`` is that of
    a block, or None for the axis that counts them.
    """

    letter: str
    step: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of a tensor's axes.

    Example:
        >>> parse_layout("nn.conv2d", "data_layout", "NCHW4c", "NCHW", "C").place({"N": 0, "C": 6, "H": 1, "W": 2})
        (0, 1, 1, 2, 2)
    """

    name: str
    text: str
    axes: tuple[LayoutAxis, ...]

    def axes_of(self, letter: str) -> tuple[int, ...]:
        """Which axes of the tensor make up ``letter``, the one with the longest steps first."""
        found = [axis for axis, each in enumerate(self.axes) if each.letter == letter]
        return tuple(sorted(found, key=lambda axis: -self.axes[axis].step))

    def block_of(self, letter: str) -> int:
        """The elements in a block of ``letter``; 1 if it is not in blocks."""
        return max(each.step for each in self.axes if each.letter == letter)

    def sizes(self, shape: Sequence[Dim]) -> dict[str, Dim]:
        """The size of each letter's range."""
        found: dict[str, Dim] = {}
        for each, size in zip(self.axes, shape, strict=True):
            found[each.letter] = found.get(each.letter, 1) * size
        return found

    def shape(self, operator_name: str, sizes: Mapping[str, Dim]) -> tuple[Dim, ...]:
        """The tensor's shape for the letters' sizes.

        Raises:
            ShapeError: a size is no multiple of its block.
        """
        return tuple(self._size(operator_name, each, sizes[each.letter]) for each in self.axes)

    def _size(self, operator_name: str, axis: LayoutAxis, size: Dim) -> Dim:
        if axis.size is not None:
            return axis.size
        count = exact_divide(size, axis.step)
        if count is None:
            raise ShapeError(
                f'{operator_name}: {size} elements do not fill blocks of {axis.step}, as {self.name}="{self.text}" says'
            )
        return count

    def place(self, point: Mapping[str, Dim]) -> tuple[Dim, ...]:
        """The indices of the element whose place in each letter's range is given."""
        return tuple(_within(point[each.letter] // each.step, each.size) for each in self.axes)

    def point(self, place: Sequence[Dim]) -> dict[str, Dim]:
        """The place in each letter's range of the element with these indices."""
        found: dict[str, Dim] = {}
        for each, index in zip(self.axes, place, strict=True):
            found[each.letter] = found.get(each.letter, 0) + index * each.step
        return found

    def require_fitting(self, operator_name: str, operand: Operand, name: str) -> Tensor:
        """The operand, which must be a tensor of this layout.

        Raises:
            ShapeError: it has another rank, or its blocks have another size.
        """
        shown = f'{self.name}="{self.text}"'
        tensor = require_ndim(operator_name, operand, len(self.axes), name=name, axes=shown)
        for axis, each in enumerate(self.axes):
            if each.size is not None and tensor.shape[axis] != each.size:
                raise ShapeError(
                    f"{operator_name}: axis {axis} of {tensor.name} must be {each.size}, got {tensor.shape[axis]}",
                    details=[describe(tensor), shown],
                )
        return tensor


def _within(index: Dim, size: int | None) -> Dim:
    return index if size is None else index % size


def parse_layout(operator_name: str, name: str, text: object, letters: str, blocked: str) -> Layout:
    """The layout that ``text`` describes: each of ``letters`` once, those in ``blocked`` perhaps in blocks.

    Raises:
        ShapeError: it is not such a text; says ``name``, the attribute that it is.
    """
    found = list(_AXIS.finditer(text)) if isinstance(text, str) else []
    plain = [each.group() for each in found if each.group(2) is None]
    blocks = [each.group(2).upper() for each in found if each.group(2) is not None]
    is_whole = isinstance(text, str) and "".join(each.group() for each in found) == text
    if not is_whole or sorted(plain) != sorted(letters) or not set(blocks) <= set(blocked):
        raise ShapeError(
            f"{operator_name}: {name}={text!r} is not an order of the axes {', '.join(letters)}",
            hint=f'write it as in "{letters}", or with blocks, as in "{letters}4{blocked[0].lower()}"',
        )
    assert isinstance(text, str)
    axes: list[LayoutAxis] = []
    steps = dict.fromkeys(letters, 1)
    for each in reversed(found):
        letter = each.group()[-1].upper()
        size = int(each.group(1)) if each.group(1) else None
        axes.append(LayoutAxis(letter, steps[letter], size))
        steps[letter] *= size or 1
    return Layout(name, text, tuple(_counts_blocks(axis, steps) for axis in reversed(axes)))


def _counts_blocks(axis: LayoutAxis, steps: Mapping[str, int]) -> LayoutAxis:
    """The axis of whole blocks steps over all of them, wherever it stands."""
    return axis if axis.size is not None else LayoutAxis(axis.letter, steps[axis.letter], None)


# --------------------------------------------------------------------------------------------------------------- arrays


def to_plain(array: Any, layout: Layout, letters: str) -> Any:
    """The array with one axis for each of ``letters``, in this order."""
    sizes = layout.sizes(array.shape)
    order = [axis for letter in letters for axis in layout.axes_of(letter)]
    return array.transpose(order).reshape([sizes[letter] for letter in letters])


def from_plain(array: Any, layout: Layout, letters: str) -> Any:
    """The array of this layout with the elements of one that has an axis for each of ``letters``."""
    shape = layout.shape("from_plain", dict(zip(letters, array.shape, strict=True)))
    order = [axis for letter in letters for axis in layout.axes_of(letter)]
    return array.reshape([shape[axis] for axis in order]).transpose([order.index(axis) for axis in range(len(order))])
