"""Convolutions: ``nn.conv1d``, ``nn.conv2d``, ``nn.conv3d``, with strides, padding, dilation, groups and any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Call, Var
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.convolution_body import Attributes, check_attributes, convolve, reference_convolution
from relaxdsl.operators.registry import Mistake, Operand, Sample, TensorSample, mistake, sample, tensor
from relaxdsl.types.dims import Dim, parse_dim
from relaxdsl.types.types import tensor_type


def _define(letters: str, samples: Sequence[Sample], mistakes: Sequence[Mistake], doc: str) -> Callable[..., Call]:
    """The convolution over as many axes as there are letters."""
    name = f"nn.conv{len(letters)}d"

    def attributes(
        strides: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Any = 1,
        data_layout: str = f"NC{letters}",
        kernel_layout: str = f"OI{letters}",
        out_layout: str | None = None,
        out_dtype: str | None = None,
    ) -> Attributes:
        layouts = (data_layout, kernel_layout, out_layout)
        return check_attributes(name, letters, strides, padding, dilation, groups, *layouts, out_dtype)

    def body(
        data: Operand,
        weight: Operand,
        strides: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: Dim = 1,
        data_layout: str = f"NC{letters}",
        kernel_layout: str = f"OI{letters}",
        out_layout: str | None = None,
        out_dtype: str | None = None,
    ) -> te.Tensor:
        given = attributes(strides, padding, dilation, groups, data_layout, kernel_layout, out_layout, out_dtype)
        return convolve(data, weight, given)

    def reference(data: Any, weight: Any, *args: Any, **attrs: Any) -> Any:
        return reference_convolution(data, weight, attributes(*args, **attrs))

    body.__doc__, body.__name__ = doc, f"conv{len(letters)}d"
    return operator(
        name,
        reference=reference,
        samples=samples,
        mistakes=[*_common_mistakes(name, letters), *mistakes],
    )(body)


def _common_mistakes(name: str, letters: str) -> list[Mistake]:
    """Mistakes in every number of axes: the data has 3 channels and sizes named by letters, the kernel is 3 wide."""
    sizes, taps = letters.lower(), (3,) * len(letters)
    data, weight = tensor("n", 3, *sizes), tensor(8, 4, *taps)
    described = f"Tensor((n, 3, {', '.join(sizes)}), float32)", f"Tensor((8, 4, {', '.join(map(str, taps))}), float32)"
    width = max(map(len, described))
    first, second = f"data   : {described[0]:{width}}   axis 1", f"weight : {described[1]:{width}}   axis 1"
    headline, ndim = f"{name}: number of channels differs: 3 and", len(letters) + 2
    wrong_rank = (
        f"{name}: data must have {ndim} dimensions, got 1\n   data : Tensor((n,), float32)\n"
        f'   data_layout="NC{letters}"'
    )
    wrong_dtype = (
        f"{name}: data must be float or integer, got bool\n   data : {described[0].replace('float32', 'bool')}\n"
        '   hint: convert it with data.astype("float32")'
    )
    return [
        mistake(ShapeError, f"{headline} 4\n   {first} is 3\n   {second} is 4", data, weight),
        mistake(
            ShapeError,
            f"{headline} 8\n   {first:{len(second) + 15}} is 3\n   {second} times groups=2 is 8\n"
            "   hint: groups=2 does not divide the 3 channels of data",
            data,
            weight,
            groups=2,
        ),
        mistake(
            ShapeError,
            f"{headline} 12\n   {first:{len(second) + 15}} is 3\n   {second} times groups=3 is 12\n"
            "   hint: with groups=3, axis 1 of weight is 3 / 3 = 1",
            data,
            weight,
            groups=3,
        ),
        mistake(ShapeError, wrong_rank, tensor("n"), weight),
        mistake(DTypeError, wrong_dtype, tensor("n", 3, *sizes, dtype="bool"), weight),
    ]


#: Sizes of axes that a kernel of 3 fits into without padding.
_WIDE = (3, 4, 7)


def _bytes(*shape: int | str) -> TensorSample:
    return tensor(*shape, dtype="int8", low=-99, high=99)


conv1d = _define(
    "W",
    [
        sample(tensor("n", 3, "w"), tensor(5, 3, 3), padding=1),
        sample(tensor("n", "c", "w"), tensor("k", "c", 3), strides=2, dilation=2, padding=(1, 4)),
        sample(tensor("n", 3, "w"), tensor(4, 3, 9), strides=2, dilation=3, padding=(12, 13)),
        sample(tensor("n", "w", 4), tensor(3, 2, 6), groups=2, data_layout="NWC", kernel_layout="WIO", sizes=_WIDE),
        sample(
            tensor(2, "w", 3, dtype="float64"),
            tensor("t", 3, 3),
            data_layout="NWC",
            out_layout="NCW",
            kernel_layout="WOI",
            padding=3,
            sizes=(1, 2, 7),
        ),
    ],
    [],
    """The convolution over one axis: sums of a window of the data times the weights, for each output.

    With ``groups``, outputs and channels are divided into as many parts that have nothing to do with each other;
    ``padding`` is one number, or one for each end. Sums are formed in the result's dtype: the operands' common
    dtype, or ``out_dtype``. Layouts are any order of the letters; channels may be in blocks (``"NCW4c"``).

    Shapes: ``(n, c, w), (o, c / groups, k) -> (n, o, (w + padding - dilation * (k - 1) - 1) // strides + 1)``.

    Raises:
        ShapeError: the channels differ, they or the outputs are no multiple of the groups, the kernel is larger than
            the padded data, or a layout is none.
        DTypeError: an operand is neither float nor integer.

    Source: TVM Relax.
    """,
)

_IMAGE = tensor("n", 4, "h", "w")
_SMALL = tensor(2, 4, 6, 5)

conv2d = _define(
    "HW",
    [
        sample(_IMAGE, tensor(6, 4, 3, 3), padding=1),
        sample(_IMAGE, tensor(3, 4, 1, 1)),
        sample(_IMAGE, tensor(3, 4, 3, 2), strides=2, sizes=_WIDE),
        sample(_IMAGE, tensor(3, 4, 5, 5), strides=2, padding=2),
        sample(_IMAGE, tensor(3, 4, 6, 7), strides=(1, 3), padding=(3, 0, 3, 7)),
        sample(_IMAGE, tensor("o", 4, "k", "k"), strides=(2, 1), padding=(1, 2, 3, 4), dilation=(2, 1), sizes=(1, 2)),
        sample(_IMAGE, tensor(4, 1, 3, 3), padding=1, groups=4),
        sample(tensor("n", "c", 5, "w"), tensor("c", 1, 3, 3), padding=(0, 1), groups=parse_dim("c"), sizes=(1, 2, 7)),
        sample(_IMAGE, tensor(6, 2, 3, 3), padding=1, groups=2),
        sample(
            tensor("n", "h", "w", 4), tensor(3, 3, 2, 6), padding=2, groups=2, data_layout="NHWC", kernel_layout="HWIO"
        ),
        sample(tensor("n", "h", "w", 4), tensor(3, 3, 4, 6), padding=1, data_layout="NHWC", kernel_layout="HWIO"),
        sample(
            tensor("n", 1, "h", "w", 4),
            tensor(3, 1, 2, 2, 4, 2),
            padding=1,
            data_layout="NCHW4c",
            kernel_layout="OIHW4i2o",
            out_layout="NCHW2c",
        ),
        sample(tensor(2, 2, 3, 3, 4), tensor(6, 4, 3, 3), groups=2, data_layout="NCHW4c", out_layout="NCHW2c"),
        sample(_bytes("n", 4, "h", 5), _bytes(3, 4, 3, 3), padding=1, out_dtype="int32"),
        sample(tensor("n", 4, "h", 5, dtype="uint8"), tensor(3, 4, 3, 3, dtype="float64"), padding=1, tolerance=1e-12),
    ],
    [
        mistake(
            ShapeError,
            "nn.conv2d: the 3 outputs of weight are not a multiple of groups=2\n"
            "   weight : Tensor((3, 2, 3, 3), float32)",
            _SMALL,
            tensor(3, 2, 3, 3),
            groups=2,
        ),
        mistake(
            ShapeError,
            "nn.conv2d: the kernel is larger than the padded data along W\n"
            "   data : Tensor((2, 4, 6, 5), float32)\n"
            "   weight : Tensor((3, 4, 5, 8), float32)",
            _SMALL,
            tensor(3, 4, 5, 8),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: the kernel is larger than the padded data along H\n"
            "   data : Tensor((n, 4, 2, 2), float32)\n"
            "   weight : Tensor((3, 4, 3, 3), float32)",
            tensor("n", 4, 2, 2),
            tensor(3, 4, 3, 3),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: number of channels differs: 6 and 4\n"
            "   data   : Tensor((2, 6, 5, 4), float32)   axis 1 is 6\n"
            "   weight : Tensor((3, 4, 3, 3), float32)   axis 1 is 4\n"
            '   hint: if the channels are the last axis, pass data_layout="NHWC"',
            tensor(2, 6, 5, 4),
            tensor(3, 4, 3, 3),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: padding must be integers of at least 0, got 'same'\n"
            "   hint: with strides of 1, a kernel of k elements keeps the size with padding=(k - 1) // 2, for odd k",
            _SMALL,
            tensor(3, 4, 3, 3),
            padding="same",
        ),
        mistake(
            ShapeError,
            "nn.conv2d: strides must be integers of at least 1, got a tensor\n"
            "   hint: a bias is added to the result, with its axis where the channels are",
            _SMALL,
            tensor(3, 4, 3, 3),
            strides=Var("bias", tensor_type((3,), "float32")),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: strides must be 1 or 2 integers, got 3",
            _SMALL,
            tensor(3, 4, 1, 1),
            strides=(1, 1, 1),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: padding must be 1, 2 or 4 integers, got 3",
            _SMALL,
            tensor(3, 4, 1, 1),
            padding=(1, 1, 1),
        ),
        mistake(
            ShapeError,
            "nn.conv2d: dilation must be integers of at least 1, got 0",
            _SMALL,
            tensor(3, 4, 1, 1),
            dilation=(1, 0),
        ),
        mistake(
            ShapeError, "nn.conv2d: groups must be a positive integer, got 0", _SMALL, tensor(3, 4, 1, 1), groups=0
        ),
        mistake(
            DTypeError,
            "nn.conv2d: out_dtype must be float or integer, got bool",
            _SMALL,
            tensor(3, 4, 1, 1),
            out_dtype="bool",
        ),
        mistake(
            ShapeError,
            "nn.conv2d: data_layout='NCHH' is not an order of the axes N, C, H, W\n"
            '   hint: write it as in "NCHW", or with blocks, as in "NCHW4c"',
            _SMALL,
            tensor(3, 4, 1, 1),
            data_layout="NCHH",
        ),
        mistake(
            ShapeError,
            "nn.conv2d: axis 4 of data must be 4, got 2\n"
            "   data : Tensor((2, 2, 6, 5, 2), float32)\n"
            '   data_layout="NCHW4c"',
            tensor(2, 2, 6, 5, 2),
            tensor(3, 4, 1, 1),
            data_layout="NCHW4c",
        ),
        mistake(
            ShapeError,
            'nn.conv2d: 3 elements do not fill blocks of 2, as out_layout="NCHW2c" says',
            _SMALL,
            tensor(3, 4, 1, 1),
            out_layout="NCHW2c",
        ),
    ],
    """The convolution over two axes: sums of a window of the data times the weights, for each output.

    ``strides`` and ``dilation`` are one number or one for each axis; ``padding`` is one number, one for each axis, or
    the zeros at the beginning of each axis and then those at the ends. With ``groups``, outputs and channels are
    divided into as many parts that have nothing to do with each other: as many as channels for a depthwise convolution.
    Sums are formed in the result's dtype: the operands' common dtype, or ``out_dtype``. Layouts are any order of the
    letters; channels may be in blocks (``"NCHW4c"``); without ``out_layout`` the result has the data's.

    Shapes: ``(n, c, h, w), (o, c / groups, kh, kw) -> (n, o, oh, ow)``, where ``oh`` is
    ``(h + padding - dilation * (kh - 1) - 1) // strides + 1``.

    Raises:
        ShapeError: the channels differ, they or the outputs are no multiple of the groups, the kernel is larger than
            the padded data, or a layout is none.
        DTypeError: an operand is neither float nor integer.

    Example:
        >>> n, h = relax.dims("n h")
        >>> x = relax.Var("x", relax.TensorType((n, 3, h, h), "float32"))
        >>> w = relax.Var("w", relax.TensorType((64, 3, 7, 7), "float32"))
        >>> print(relax.nn.conv2d(x, w, strides=2, padding=3).type)
        relax.Tensor((n, 64, (h + 1) // 2, (h + 1) // 2), "float32")

    Source: TVM Relax.
    """,
)

_VOLUME = tensor("n", 2, "d", "h", "w")

conv3d = _define(
    "DHW",
    [
        sample(_VOLUME, tensor(3, 2, 2, 2, 2), padding=1, sizes=(1, 2, 3)),
        sample(
            _VOLUME, tensor(2, 1, 3, 1, 2), strides=(2, 1, 3), padding=(1, 0, 1, 2, 1, 1), groups=2, sizes=(1, 2, 3)
        ),
        sample(
            tensor("n", "d", 4, 3, 2),
            tensor(2, 2, 2, 2, 3),
            dilation=(1, 2, 1),
            data_layout="NDHWC",
            kernel_layout="DHWIO",
            sizes=(2, 3, 5),
        ),
    ],
    [],
    """The convolution over three axes: sums of a window of the data times the weights, for each output.

    All attributes mean what they mean in :func:`conv2d`, for three axes.

    Shapes: ``(n, c, d, h, w), (o, c / groups, kd, kh, kw) -> (n, o, od, oh, ow)``.

    Raises:
        ShapeError: the channels differ, they or the outputs are no multiple of the groups, the kernel is larger than
            the padded data, or a layout is none.
        DTypeError: an operand is neither float nor integer.

    Source: TVM Relax.
    """,
)
