"""What a convolution is, over any number of axes and any layout: checked attributes, body and reference.

Two stages: the data with a border of zeros (none without padding), then sums of products. The second reads the first
at indices without conditions, which makes it a contraction for the engine. Where it moves along rows of memory by more
than a step, and reads elements often, the first puts them by their remainders, so that neighbours read neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Expr
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import accept_undecided, require_at_least
from relaxdsl.operators.layout import Layout, from_plain, parse_layout, to_plain
from relaxdsl.operators.operands import common_dtype, describe, require_dtype
from relaxdsl.operators.registry import Operand
from relaxdsl.types.dims import Dim, SymInt, ceildiv, exact_divide
from relaxdsl.types.dtype import canonical_dtype, is_bool, is_float
from relaxdsl.types.prove import Proof, prove_equal, prove_less_equal
from relaxdsl.types.shape import require_equal, size_of

# ----------------------------------------------------------------------------------------------------------- attributes


@dataclass(frozen=True, slots=True)
class _SpatialAxis:
    """How the kernel moves along an axis of the data, and how many zeros are before and after it."""

    letter: str
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def is_padded(self) -> bool:
        return self.before + self.after > 0

    def padded(self, size: Dim) -> Dim:
        """The size with its border."""
        return size + self.before + self.after

    def reach(self, taps: Dim) -> Dim:
        """How many elements there are from the first to the last that a kernel of ``taps`` elements reads."""
        return self.dilation * (taps - 1) + 1

    def count(self, size: Dim, taps: Dim) -> Dim:
        """How many places a kernel of ``taps`` elements has."""
        return (self.padded(size) - self.reach(taps)) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Attributes:
    """A convolution's attributes, checked."""

    name: str
    spatial: tuple[_SpatialAxis, ...]
    groups: Dim
    data: Layout
    kernel: Layout
    out: Layout
    out_dtype: str | None

    @property
    def letters(self) -> str:
        return "".join(each.letter for each in self.spatial)


def check_attributes(
    name: str,
    letters: str,
    strides: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    groups: Dim,
    data_layout: str,
    kernel_layout: str,
    out_layout: str | None,
    out_dtype: str | None,
) -> Attributes:
    """The attributes of the convolution over the axes called ``letters``.

    Raises:
        ShapeError: one of them is not what it may be.
    """
    count = len(letters)
    steps = _numbers(name, "strides", strides, (1, count), 1)
    gaps = _numbers(name, "dilation", dilation, (1, count), 1)
    borders = _numbers(name, "padding", padding, (1, count, 2 * count), 0)
    if not isinstance(groups, int | SymInt) or isinstance(groups, bool) or (isinstance(groups, int) and groups < 1):
        raise ShapeError(f"{name}: groups must be a positive integer, got {groups!r}")
    columns = (_repeated(steps, count), _repeated(gaps, count), _repeated(borders, 2 * count))
    return Attributes(
        name,
        tuple(
            _SpatialAxis(letter, columns[0][i], columns[1][i], columns[2][i], columns[2][i + count])
            for i, letter in enumerate(letters)
        ),
        groups,
        parse_layout(name, "data_layout", data_layout, f"NC{letters}", "C"),
        parse_layout(name, "kernel_layout", kernel_layout, f"OI{letters}", "OI"),
        parse_layout(name, "out_layout", out_layout or data_layout, f"NC{letters}", "C"),
        None if out_dtype is None else canonical_dtype(out_dtype),
    )


def _numbers(name: str, attribute: str, value: Any, counts: Sequence[int], least: int) -> tuple[int, ...]:
    """An attribute's numbers: one for all axes, or as many as ``counts`` allows."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(numbers) not in counts:
        allowed = sorted(set(counts))
        shown = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]} integers" if allowed[1:] else "1 integer"
        raise ShapeError(f"{name}: {attribute} must be {shown}, got {len(numbers)}")
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            shown = "a tensor" if isinstance(number, Expr) else repr(number)
            raise ShapeError(
                f"{name}: {attribute} must be integers of at least {least}, got {shown}",
                hint=_hint_for_number(attribute, number),
            )
    return numbers


def _hint_for_number(attribute: str, given: Any) -> str | None:
    """What was probably meant by something that is no number."""
    if attribute == "strides" and isinstance(given, Expr):
        return "a bias is added to the result, with its axis where the channels are"
    if attribute == "padding" and given == "same":
        return "with strides of 1, a kernel of k elements keeps the size with padding=(k - 1) // 2, for odd k"
    return None


def _repeated(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    return numbers * (count // len(numbers))


# ------------------------------------------------------------------------------------------------------------- the body

#: Elements that a kernel with a stride reads more than so many times are copied even if they have no border, to put
#: them by their remainders: that takes half a cycle an element, and saves a third of one each time.
OFTEN = 4


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes of a convolution: those of the result by letter, the kernel's, and the channels in a group."""

    out: dict[str, Dim]
    kernel: dict[str, Dim]
    inputs: Dim
    outputs: Dim


def convolve(data: Operand, weight: Operand, given: Attributes) -> te.Tensor:
    """The convolution in the result's layout.

    Raises:
        ShapeError: the operands do not fit each other or the attributes.
        DTypeError: an operand is neither float nor integer.
    """
    x = given.data.require_fitting(given.name, data, "data")
    w = given.kernel.require_fitting(given.name, weight, "weight")
    for operand, name in ((x, "data"), (w, "weight")):
        require_dtype(given.name, operand, ("float", "integer"), name=name)
    dtype = given.out_dtype or common_dtype(x, w)
    if is_bool(dtype):
        raise DTypeError(f"{given.name}: out_dtype must be float or integer, got {dtype}")
    sizes = _sizes(given, x, w)
    padded = _padded(given, x, _strided(given, sizes))
    if given.groups == 1 or sizes.outputs == 1 or given.out.block_of("C") > 1:
        return _sums(given, padded, w, sizes, dtype)
    return _grouped_sums(given, padded, w, sizes, dtype)


@dataclass(frozen=True, slots=True)
class _Padded:
    """The data with its border. A strided last axis is two: the remainder by the stride, and the multiple."""

    tensor: te.Tensor
    strided: _SpatialAxis | None

    def element(self, place: Sequence[Dim]) -> ScalarExpr:
        if self.strided is None:
            return self.tensor[tuple(place)]
        *before, last = place
        return self.tensor[(*before, last % self.strided.stride, last // self.strided.stride)]


def _strided(given: Attributes, sizes: _Sizes) -> _SpatialAxis | None:
    """The axis of the data's rows in memory, if the kernel moves along it by more than a step, and the data is copied
    for its border, or since its elements are read often.
    """
    last = given.data.axes[-1].letter
    taps = math.prod(sizes.kernel[letter] for letter in given.letters)
    steps = math.prod(each.stride for each in given.spatial)
    is_read_often = isinstance(taps, int) and taps > OFTEN * steps
    is_copied = is_read_often or any(each.is_padded for each in given.spatial)
    if given.groups != 1 or not is_copied:
        return None
    return next((each for each in given.spatial if each.letter == last and each.stride > 1), None)


def _padded(given: Attributes, x: te.Tensor, strided: _SpatialAxis | None) -> _Padded:
    """The data with its border; the data itself if there is none."""
    # A strided axis grows to whole strides.
    axes = [each for each in given.spatial if each.is_padded or each is strided]
    sizes = given.data.sizes(x.shape)
    if not axes:
        return _Padded(x, None)

    def body(*place: Dim) -> ScalarExpr:
        if strided is not None:
            *before, remainder, multiple = place
            place = (*before, multiple * strided.stride + remainder)
        point = given.data.point(place)
        inside = []
        for each in axes:
            position = point[each.letter] - each.before
            inside += [te.less_equal(0, position), te.less(position, sizes[each.letter])]
            point[each.letter] = position
        return te.if_then_else(te.logical_and(*inside), x[given.data.place(point)], te.const(0, x.dtype))

    grown = sizes | {each.letter: sizes[each.letter] + each.before + each.after for each in axes}
    shape = given.data.shape(given.name, grown)
    if strided is not None:
        shape = (*shape[:-1], strided.stride, ceildiv(shape[-1], strided.stride))
    return _Padded(te.compute(shape, body, name="padded"), strided)


def _sums(given: Attributes, padded: _Padded, w: te.Tensor, sizes: _Sizes, dtype: str) -> te.Tensor:
    """The sums in the result's layout. (Where a group has one output, its number is the group's.)"""

    def body(*place: Dim) -> ScalarExpr:
        point = given.out.point(place)
        group = 0 if given.groups == 1 else point["C"] // sizes.outputs
        return _sum(given, padded, w, sizes, dtype, point, group)

    return te.compute(given.out.shape(given.name, sizes.out), body, name="convolution")


def _grouped_sums(given: Attributes, padded: _Padded, w: te.Tensor, sizes: _Sizes, dtype: str) -> te.Tensor:
    """The sums with groups as an axis, so that all indices are affine; then the same elements without it."""
    channel = given.out.axes_of("C")[0]
    whole = given.out.shape(given.name, sizes.out)

    def body(*place: Dim) -> ScalarExpr:
        group, output = place[channel : channel + 2]
        point = given.out.point((*place[:channel], group * sizes.outputs + output, *place[channel + 2 :]))
        return _sum(given, padded, w, sizes, dtype, point, group)

    shape = (*whole[:channel], given.groups, sizes.outputs, *whole[channel + 1 :])
    sums = te.compute(shape, body, name="convolution")

    def joined(*place: Dim) -> ScalarExpr:
        output = place[channel]
        parts = output // sizes.outputs, output % sizes.outputs
        return sums[(*place[:channel], *parts, *place[channel + 1 :])]

    return te.compute(whole, joined, name="joined")


def _sum(
    given: Attributes,
    padded: _Padded,
    w: te.Tensor,
    sizes: _Sizes,
    dtype: str,
    point: dict[str, Dim],
    group: Dim,
) -> ScalarExpr:
    """One element of the result: the sum of products over a group's channels and the kernel's elements."""
    inputs = _input_axes(given, sizes.inputs)
    channel = given.data.block_of("C") * inputs[0] + inputs[1] if len(inputs) > 1 else inputs[0]
    taps = {letter: te.reduce_axis(sizes.kernel[letter], name=f"k{letter.lower()}") for letter in given.letters}
    reached = {
        each.letter: point[each.letter] * each.stride + taps[each.letter] * each.dilation for each in given.spatial
    }
    left = padded.element(given.data.place({**reached, "N": point["N"], "C": group * sizes.inputs + channel}))
    right = w[given.kernel.place({**taps, "O": point["C"], "I": channel})]
    order = [axis for each in given.data.axes if each.size is None for axis in _axes_for(each.letter, inputs, taps)]
    return te.sum(left.astype(dtype) * right.astype(dtype), order)


def _input_axes(given: Attributes, inputs: Dim) -> list[SymInt]:
    """The channels of a group, in blocks as the data's are, where they are whole blocks."""
    block = given.data.block_of("C")
    blocks = exact_divide(inputs, block)
    extents = [inputs] if block == 1 or blocks is None else [blocks, block]
    return [te.reduce_axis(extent, name=name) for extent, name in zip(extents, ("ic", "ic_in"), strict=False)]


def _axes_for(letter: str, inputs: list[SymInt], taps: dict[str, SymInt]) -> list[SymInt]:
    """The axes to sum over that belong to a letter of the data, so that they come in the order of the data's."""
    return inputs if letter == "C" else [taps[letter]] if letter in taps else []


# ----------------------------------------------------------------------------------------------------------- what fits


def _sizes(given: Attributes, x: te.Tensor, w: te.Tensor) -> _Sizes:
    data, kernel = given.data.sizes(x.shape), given.kernel.sizes(w.shape)
    _require_channels(given, x, w)
    outputs = exact_divide(kernel["O"], given.groups)
    if outputs is None:
        raise ShapeError(
            f"{given.name}: the {kernel['O']} outputs of {w.name} are not a multiple of groups={given.groups}",
            details=[describe(w)],
        )
    out = {"N": data["N"], "C": kernel["O"]}
    for each in given.spatial:
        size, taps = data[each.letter], kernel[each.letter]
        out[each.letter] = each.count(size, taps)
        message = f"{given.name}: the kernel is larger than the padded data along {each.letter}"
        # Data without elements gives a result without.
        if size != 0 and prove_less_equal(each.reach(taps), each.padded(size)) is Proof.NO:
            raise ShapeError(message, details=[describe(x), describe(w)])
        require_at_least(out[each.letter], 0, message)
    return _Sizes(out, kernel, kernel["I"], outputs)


def _require_channels(given: Attributes, x: te.Tensor, w: te.Tensor) -> None:
    """The data must have the channels of all groups."""
    channels, inputs = given.data.axes_of("C"), given.kernel.axes_of("I")
    width = max(len(x.name), len(w.name))
    shown = [f"{each.name:{width}}{describe(each)[len(each.name) :]}" for each in (x, w)]
    width = max(map(len, shown))
    times = "" if given.groups == 1 else f" times groups={given.groups}"
    require_equal(
        given.name,
        f"{shown[0]:{width}}   {_shown_axes(channels)}",
        size_of(x.shape[axis] for axis in channels),
        f"{shown[1]:{width}}   {_shown_axes(inputs)}{times}",
        size_of(w.shape[axis] for axis in inputs) * given.groups,
        headline="number of channels",
        hint=_hint_for_channels(given, x, w),
        on_undecided=accept_undecided,
    )


def _hint_for_channels(given: Attributes, x: te.Tensor, w: te.Tensor) -> str | None:
    """The layout of data whose last axis has the channels that the kernel needs, or what the groups ask for."""
    plain, last = f"NC{given.letters}", f"N{given.letters}C"
    needed = given.kernel.sizes(w.shape)["I"] * given.groups
    if given.data.text == plain and prove_equal(x.shape[-1], needed) is Proof.YES:
        return f'if the channels are the last axis, pass data_layout="{last}"'
    channels, groups = given.data.sizes(x.shape)["C"], given.groups
    if groups == 1 or not isinstance(channels, int) or not isinstance(groups, int):
        return None
    if channels % groups:
        return f"groups={groups} does not divide the {channels} channels of {x.name}"
    axes = _shown_axes(given.kernel.axes_of("I"))
    return f"with groups={groups}, {axes} of {w.name} is {channels} / {groups} = {channels // groups}"


def _shown_axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {' times '.join(map(str, axes))}"


# ------------------------------------------------------------------------------------------------------------ reference


def reference_convolution(data: Any, weight: Any, given: Attributes) -> Any:
    """Floats are added in float64, integers in the result's dtype, where they wrap around."""
    dtype = np.dtype(given.out_dtype or np.result_type(data, weight))
    wide = "float64" if is_float(dtype.name) else dtype
    plain, kernel = f"NC{given.letters}", f"OI{given.letters}"
    x = to_plain(data, given.data, plain).astype(wide)
    w = to_plain(weight, given.kernel, kernel).astype(wide)
    reaches = [each.dilation * (taps - 1) + 1 for each, taps in zip(given.spatial, w.shape[2:], strict=True)]
    counts = [each.count(size, taps) for each, size, taps in zip(given.spatial, x.shape[2:], w.shape[2:], strict=True)]
    # The zeros that a window needs to fit at all are not among the places it is then taken from.
    borders = ((each.before, each.after + reach) for each, reach in zip(given.spatial, reaches, strict=True))
    x = np.pad(x, [(0, 0), (0, 0), *borders])
    windows = np.lib.stride_tricks.sliding_window_view(x, reaches, axis=tuple(range(2, x.ndim)))
    places = (slice(0, count * each.stride, each.stride) for each, count in zip(given.spatial, counts, strict=True))
    taps = (slice(None, None, each.dilation) for each in given.spatial)
    windows = windows[(slice(None), slice(None), *places, *taps)]
    grouped = windows.reshape(len(x), given.groups, w.shape[1], *windows.shape[2:])
    weights = w.reshape(given.groups, w.shape[0] // given.groups, *w.shape[1:])
    out, tap = "xyz"[: len(given.spatial)], "uvw"[: len(given.spatial)]
    sums = np.einsum(f"ngi{out}{tap},goi{tap}->ngo{out}", grouped, weights)
    whole = sums.reshape(len(x), len(w), *sums.shape[3:])
    return from_plain(whole, given.out, plain).astype(dtype)
