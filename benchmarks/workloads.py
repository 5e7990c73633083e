"""The workloads, each written once for every contender, with its inputs, tolerance and target."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from report import Target
from scipy.special import erf

import relaxdsl as relax

Shape = tuple[int, ...]
LARGE = (2048, 1024)
n, m, k = relax.dims("n m k")


@dataclass(frozen=True, slots=True)
class Workload:
    """A computation in every contender's terms.

    Args:
        shapes: the arguments' shapes; all are float32.
        tolerance: the largest difference from NumPy in float64, relative to the largest element.
    """

    name: str
    relax: Callable[..., Any]
    numpy: Callable[..., Any]
    torch: Callable[..., Any]
    jax: Callable[..., Any]
    shapes: tuple[Shape, ...]
    target: Target | None = None
    tolerance: float = 1e-5


# ------------------------------------------------------------------------------------------------ gelu of an affine map


@relax.function
def gelu_relax(
    x: relax.Tensor[(n, m), "float32"],
    y: relax.Tensor[(n, m), "float32"],
    z: relax.Tensor[(n, m), "float32"],
):
    return relax.nn.gelu(x * y + z)


def gelu_numpy(x, y, z):
    t = x * y + z
    return 0.5 * t * (1 + erf(t * math.sqrt(0.5)))


def gelu_torch(x, y, z):
    return torch.nn.functional.gelu(x * y + z)


def gelu_jax(x, y, z):
    return jax.nn.gelu(x * y + z, approximate=False)


# -------------------------------------------------------------------------------------------------------------- softmax


@relax.function
def softmax_relax(x: relax.Tensor[(n, m), "float32"]):
    return relax.nn.softmax(x, axis=1)


def softmax_numpy(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def softmax_torch(x):
    return torch.softmax(x, 1)


def softmax_jax(x):
    return jax.nn.softmax(x, axis=1)


# ----------------------------------------------------------------------------------------------------------- layer norm


@relax.function
def layer_norm_relax(
    x: relax.Tensor[(n, m), "float32"],
    gamma: relax.Tensor[(m,), "float32"],
    beta: relax.Tensor[(m,), "float32"],
):
    return relax.nn.layer_norm(x, gamma, beta, axes=-1, epsilon=1e-5)


def layer_norm_numpy(x, gamma, beta):
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    centred *= 1 / np.sqrt(variance + 1e-5)
    centred *= gamma
    centred += beta
    return centred


def layer_norm_torch(x, gamma, beta):
    return torch.nn.functional.layer_norm(x, gamma.shape, gamma, beta, 1e-5)


def layer_norm_jax(x, gamma, beta):
    centred = x - x.mean(axis=1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-5) * gamma + beta


# ----------------------------------------------------------------------------------------------------------------- MLPs


@relax.function
def mlp_relax(
    x: relax.Tensor[(n, 16), "float32"],
    w1: relax.Tensor[(16, 16), "float32"],
    b1: relax.Tensor[(16,), "float32"],
    w2: relax.Tensor[(16, 4), "float32"],
    b2: relax.Tensor[(4,), "float32"],
):
    return relax.nn.relu(x @ w1 + b1) @ w2 + b2


def mlp_numpy(x, w1, b1, w2, b2):
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


def mlp_torch(x, w1, b1, w2, b2):
    return torch.addmm(b2, torch.relu(torch.addmm(b1, x, w1)), w2)


def mlp_jax(x, w1, b1, w2, b2):
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


@relax.function
def digits_relax(
    x: relax.Tensor[(n, 64), "float32"],
    w1: relax.Tensor[(64, 128), "float32"],
    b1: relax.Tensor[(128,), "float32"],
    w2: relax.Tensor[(128, 10), "float32"],
    b2: relax.Tensor[(10,), "float32"],
):
    hidden = relax.nn.relu(x @ w1 + b1)
    return relax.nn.softmax(hidden @ w2 + b2, axis=1)


def digits_numpy(x, w1, b1, w2, b2):
    return softmax_numpy(mlp_numpy(x, w1, b1, w2, b2))


def digits_torch(x, w1, b1, w2, b2):
    return torch.softmax(mlp_torch(x, w1, b1, w2, b2), 1)


def digits_jax(x, w1, b1, w2, b2):
    return jax.nn.softmax(mlp_jax(x, w1, b1, w2, b2), axis=1)


# ------------------------------------------------------------------------------------------------------------- products


@relax.function
def matmul_relax(x: relax.Tensor[(n, k), "float32"], w: relax.Tensor[(k, m), "float32"]):
    return x @ w


def matmul_any(x, w):
    return x @ w


def dense_relax(
    x: relax.Tensor[(n, k), "float32"],
    w: relax.Tensor[(k, m), "float32"],
    b: relax.Tensor[(m,), "float32"],
):
    """Decorated by the shape sweep, so that its time has the parsing and the compiling in it."""
    return relax.nn.softmax(x @ w + b, axis=1)


def dense_numpy(x, w, b):
    return softmax_numpy(x @ w + b)


def dense_torch(x, w, b):
    return torch.softmax(torch.addmm(b, x, w), 1)


def dense_jax(x, w, b):
    return jax.nn.softmax(x @ w + b, axis=1)


def _digits(batch: int) -> Workload:
    shapes = ((batch, 64), (64, 128), (128,), (128, 10), (10,))
    return Workload(f"digits MLP, batch {batch}", digits_relax, digits_numpy, digits_torch, digits_jax, shapes)


def _matmul(size: int) -> Workload:
    shapes = ((size, size), (size, size))
    return Workload(f"matmul {size}³", matmul_relax, matmul_any, matmul_any, matmul_any, shapes)


WORKLOADS = (
    Workload(
        "gelu(x*y+z), 2048×1024", gelu_relax, gelu_numpy, gelu_torch, gelu_jax, (LARGE,) * 3, Target(numpy_factor=3)
    ),
    Workload(
        "softmax, 2048×1024", softmax_relax, softmax_numpy, softmax_torch, softmax_jax, (LARGE,), Target(numpy_factor=3)
    ),
    Workload(
        "layer norm, 2048×1024",
        layer_norm_relax,
        layer_norm_numpy,
        layer_norm_torch,
        layer_norm_jax,
        (LARGE, (1024,), (1024,)),
        Target(numpy_factor=3),
    ),
    # A 4×16 input, 16 hidden units, 4 outputs: five arrays, and so little work that the call itself is what is timed.
    Workload(
        "MLP 4×16-16-4, five arrays",
        mlp_relax,
        mlp_numpy,
        mlp_torch,
        mlp_jax,
        ((4, 16), (16, 16), (16,), (16, 4), (4,)),
        Target(limit_s=2e-6, numpy_factor=1),
    ),
    *(_digits(batch) for batch in (1, 7, 64, 1797)),
    *(_matmul(size) for size in (32, 128, 512)),
)
