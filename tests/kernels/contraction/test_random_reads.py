"""What reads a product or a convolution, drawn at random, beside the reference: parts, other shapes, reductions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax

Shape = tuple[int, ...]
Tensor = Any


def convolution(draw: random.Random) -> tuple[Shape, Shape, Callable[..., Tensor]]:
    data = draw.choice([1, 2]), draw.choice([1, 3, 20]), draw.choice([4, 8, 16, 17]), draw.choice([4, 6, 16, 28])
    weight = draw.choice([1, 4, 48, 70]), data[1], draw.choice([1, 3]), draw.choice([1, 3])
    strides = draw.choice([1, 1, 2])
    return data, weight, lambda x, w: relax.nn.conv2d(x, w, strides=strides, padding=1)


def convolution_with_channels_last(draw: random.Random) -> tuple[Shape, Shape, Callable[..., Tensor]]:
    data = draw.choice([1, 2]), draw.choice([8, 16]), draw.choice([8, 15]), draw.choice([3, 16])
    layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI"}
    return data, (draw.choice([4, 16]), 3, 3, data[3]), lambda x, w: relax.nn.conv2d(x, w, padding=1, **layouts)


def depthwise(draw: random.Random) -> tuple[Shape, Shape, Callable[..., Tensor]]:
    data = draw.choice([1, 2]), draw.choice([3, 16]), draw.choice([8, 16]), draw.choice([8, 28])
    return data, (data[1], 1, 3, 3), lambda x, w: relax.nn.conv2d(x, w, padding=1, groups=data[1])


def product(draw: random.Random) -> tuple[Shape, Shape, Callable[..., Tensor]]:
    rows, depth = draw.choice([2, 16, 32]), draw.choice([8, 48, 100])
    return (rows, depth), (depth, draw.choice([6, 48, 64, 96])), lambda x, w: x @ w


def attention(draw: random.Random) -> tuple[Shape, Shape, Callable[..., Tensor]]:
    shape = 2, draw.choice([6, 32]), draw.choice([2, 4]), draw.choice([8, 32])
    return shape, shape, lambda x, w: relax.nn.attention(x, w, w)


SOURCES = (convolution, convolution, convolution, convolution_with_channels_last, depthwise, product, attention)


def part(draw: random.Random, h: Tensor) -> Tensor:
    axis, step = draw.randrange(h.ndim), draw.choice([1, 2, 3])
    first = draw.randrange(min(3, h.shape[axis]))
    return h[(slice(None),) * axis + (slice(first, None, step),)]


def split(draw: random.Random, h: Tensor) -> Tensor:
    axis = draw.randrange(h.ndim)
    size = h.shape[axis]
    low = draw.choice([each for each in range(1, size + 1) if size % each == 0])
    return relax.reshape(h, (*h.shape[:axis], size // low, low, *h.shape[axis + 1 :]))


def merge(draw: random.Random, h: Tensor) -> Tensor:
    axis = draw.randrange(h.ndim - 1)
    return relax.reshape(h, (*h.shape[:axis], h.shape[axis] * h.shape[axis + 1], *h.shape[axis + 2 :]))


def reordered(draw: random.Random, h: Tensor) -> Tensor:
    return relax.permute_dims(h, tuple(draw.sample(range(h.ndim), h.ndim)))


def reduced(draw: random.Random, h: Tensor) -> Tensor:
    function = draw.choice([relax.max, relax.sum, relax.mean])
    return function(h, axis=draw.randrange(h.ndim), keepdims=draw.random() < 0.3)


def elementwise(draw: random.Random, h: Tensor) -> Tensor:
    return draw.choice([relax.nn.relu, relax.nn.gelu, relax.negative])(h * 0.1)


def normalised(draw: random.Random, h: Tensor) -> Tensor:
    return relax.nn.softmax(h, axis=draw.randrange(h.ndim))


def joined(draw: random.Random, h: Tensor) -> Tensor:
    return relax.concat([h, h * 2], axis=draw.randrange(h.ndim))


STEPS = (part, split, merge, reordered, reduced, elementwise, normalised, joined)


@pytest.mark.parametrize("seed", range(40))
def test_what_reads_a_product(seed: int) -> None:
    draw, numbers = random.Random(seed), np.random.default_rng(seed)
    data, weight, source = draw.choice(SOURCES)(draw)
    x, w = (relax.Var(name, relax.Tensor(shape, "float32")) for name, shape in (("x", data), ("w", weight)))
    builder = relax.BlockBuilder()
    with builder.function("f", [x, w]):
        h = builder.emit(source(x, w))
        for _ in range(draw.randrange(1, 5)):
            if 2 <= h.ndim <= 6:
                h = builder.emit(draw.choice(STEPS)(draw, h))
        builder.emit_func_output(h)
    arrays = (numbers.standard_normal(shape).astype("float32") for shape in (data, weight))
    comparison = relax.compile(builder.get())["f"].check(*arrays)
    assert comparison, f"{comparison}\n{builder.get()}"
