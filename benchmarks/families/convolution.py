"""Convolutions of images: 3×3 with bias and relu, 7×7 with stride 2, depthwise, 1×1; channels first and last."""

import jax
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from report import Target
from workload import Variant, Workload

import relaxdsl as relax

n, h, w = relax.dims("n h w")


def conv_relax(channels, filters, kernel, stride, padding, groups):
    """The convolution on (batch, channels, height, width), ``dtype -> relax function``."""

    def of_dtype(dtype):
        @relax.function
        def conv(
            x: relax.Tensor[(n, channels, h, w), dtype],
            weight: relax.Tensor[(filters, channels // groups, kernel, kernel), dtype],
        ):
            return relax.nn.conv2d(x, weight, strides=stride, padding=padding, groups=groups)

        return conv

    return of_dtype


def conv_last_relax(channels, filters, kernel, stride, padding, groups):
    """The same on (batch, height, width, channels), with weights of (kernel, kernel, channels, filters)."""

    def of_dtype(dtype):
        @relax.function
        def conv(
            x: relax.Tensor[(n, h, w, channels), dtype],
            weight: relax.Tensor[(kernel, kernel, channels // groups, filters), dtype],
        ):
            return relax.nn.conv2d(
                x,
                weight,
                strides=stride,
                padding=padding,
                groups=groups,
                data_layout="NHWC",
                kernel_layout="HWIO",
            )

        return conv

    return of_dtype


def bias_relu_relax(dtype):
    @relax.function
    def conv(
        x: relax.Tensor[(n, 64, h, w), dtype],
        weight: relax.Tensor[(64, 64, 3, 3), dtype],
        bias: relax.Tensor[(64, 1, 1), dtype],
    ):
        return relax.nn.relu(relax.nn.conv2d(x, weight, padding=1) + bias)

    return conv


def bias_relu_last_relax(dtype):
    @relax.function
    def conv(
        x: relax.Tensor[(n, h, w, 64), dtype],
        weight: relax.Tensor[(3, 3, 64, 64), dtype],
        bias: relax.Tensor[(64,), dtype],
    ):
        product = relax.nn.conv2d(x, weight, padding=1, data_layout="NHWC", kernel_layout="HWIO")
        return relax.nn.relu(product + bias)

    return conv


def conv_numpy(stride, padding, groups):
    """What every other result is compared with: the windows of each group, times its weights, as one product."""

    def conv(x, weight, bias=None):
        padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        windows = sliding_window_view(padded, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
        grouped = np.split(windows, groups, axis=1), np.split(weight, groups, axis=0)
        parts = [np.tensordot(own, each, ((1, 4, 5), (1, 2, 3))) for own, each in zip(*grouped, strict=True)]
        result = np.ascontiguousarray(np.concatenate(parts, axis=-1).transpose(0, 3, 1, 2))
        return result if bias is None else np.maximum(result + bias, 0)

    return conv


def conv_torch(stride, padding, groups):
    def conv(x, weight, bias=None):
        result = torch.nn.functional.conv2d(
            x, weight, None if bias is None else bias.reshape(-1), stride, padding, 1, groups
        )
        return result if bias is None else torch.relu(result)

    return conv


def conv_jax(layouts, stride, padding, groups):
    def conv(x, weight, bias=None):
        result = jax.lax.conv_general_dilated(
            x, weight, (stride, stride), [(padding, padding)] * 2, dimension_numbers=layouts, feature_group_count=groups
        )
        return result if bias is None else jax.nn.relu(result + bias)

    return conv


# -------------------------------------------------------------------------------------------------------------- layouts


def to_channels_last(x, weight, bias=None):
    """(batch, height, width, channels) and (kernel, kernel, channels, filters)."""
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)), np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    return given if bias is None else (*given, bias.reshape(-1))


def to_channels_first(result):
    return result.transpose(0, 3, 1, 2)


def channels_last_in_memory(x, weight, *bias):
    """torch's ``channels_last``: the shapes stay, the strides are those of channels last."""
    return *(each.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) for each in (x, weight)), *bias


def _last(function):
    return Variant(function, to_channels_last, to_channels_first)


FIRST = ("NCHW", "OIHW", "NCHW")
LAST = ("NHWC", "HWIO", "NHWC")


def _conv(name, channels, filters, size, kernel, stride=1, padding=0, groups=1, ours=None):
    geometry = (stride, padding, groups)
    shapes = ((1, channels, size, size), (filters, channels // groups, kernel, kernel))
    torch_conv, outputs = conv_torch(*geometry), (size + 2 * padding - kernel) // stride + 1
    return Workload(
        name,
        shapes if ours is None else (*shapes, (filters, 1, 1)),
        ours
        or {
            "NCHW": conv_relax(channels, filters, kernel, *geometry),
            "NHWC": _last(conv_last_relax(channels, filters, kernel, *geometry)),
        },
        conv_numpy(*geometry),
        (torch_conv, Variant(torch_conv, channels_last_in_memory)),
        (conv_jax(FIRST, *geometry), _last(conv_jax(LAST, *geometry))),
        Target(1.0),
        flops=2.0 * filters * outputs**2 * channels * kernel**2 if groups == 1 else None,
        scales={1: (kernel * kernel * channels / groups) ** -0.5},
    )


WORKLOADS = (
    _conv(
        "conv 3×3 64→64 56×56 + bias + relu",
        64,
        64,
        56,
        3,
        padding=1,
        ours={"NCHW": bias_relu_relax, "NHWC": _last(bias_relu_last_relax)},
    ),
    _conv("conv 7×7 stride 2 3→64 224×224", 3, 64, 224, 7, stride=2, padding=3),
    _conv("conv depthwise 3×3 64 56×56", 64, 64, 56, 3, padding=1, groups=64),
    _conv("conv 1×1 64→256 56×56", 64, 256, 56, 1),
)
