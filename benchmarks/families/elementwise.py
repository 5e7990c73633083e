"""Elementwise chains and rows: gelu of an affine map, softmax, layer norm, rms norm."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
from report import Target
from scipy.special import erf
from workload import Workload

import relaxdsl as relax

n, m = relax.dims("n m")
SIZES = ((2048, 1024), (2047, 1000))
EPSILON = 1e-5

# ------------------------------------------------------------------------------------------------ gelu of an affine map


def gelu_relax(dtype):
    @relax.function
    def gelu(x: relax.Tensor[(n, m), dtype], y: relax.Tensor[(n, m), dtype], z: relax.Tensor[(n, m), dtype]):
        return relax.nn.gelu(x * y + z)

    return gelu


def gelu_numpy(x, y, z):
    t = x * y + z
    return 0.5 * t * (1 + erf(t * math.sqrt(0.5)))


def gelu_torch(x, y, z):
    return torch.nn.functional.gelu(x * y + z)


def gelu_jax(x, y, z):
    return jax.nn.gelu(x * y + z, approximate=False)


# -------------------------------------------------------------------------------------------------------------- softmax


def softmax_relax(dtype):
    @relax.function
    def softmax(x: relax.Tensor[(n, m), dtype]):
        return relax.nn.softmax(x, axis=1)

    return softmax


def softmax_numpy(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def softmax_torch(x):
    return torch.softmax(x, 1)


def softmax_jax(x):
    return jax.nn.softmax(x, axis=1)


# ----------------------------------------------------------------------------------------------------------- layer norm


def layer_norm_relax(dtype):
    @relax.function
    def layer_norm(x: relax.Tensor[(n, m), dtype], gamma: relax.Tensor[(m,), dtype], beta: relax.Tensor[(m,), dtype]):
        return relax.nn.layer_norm(x, gamma, beta, axes=-1, epsilon=EPSILON)

    return layer_norm


def layer_norm_numpy(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    centred *= 1 / np.sqrt(variance + EPSILON)
    centred *= gamma
    centred += beta
    return centred


def layer_norm_torch(x, gamma, beta):
    return torch.nn.functional.layer_norm(x, gamma.shape, gamma, beta, EPSILON)


def layer_norm_jax(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON) * gamma + beta


# ------------------------------------------------------------------------------------------------------------- rms norm


def rms_norm_relax(dtype):
    @relax.function
    def rms_norm(x: relax.Tensor[(n, m), dtype], weight: relax.Tensor[(m,), dtype]):
        return relax.nn.rms_norm(x, weight, axes=-1, epsilon=EPSILON)

    return rms_norm


def rms_norm_numpy(x, weight):
    return x * (1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + EPSILON)) * weight


def rms_norm_torch(x, weight):
    return torch.nn.functional.rms_norm(x, weight.shape, weight, EPSILON)


def rms_norm_jax(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=1, keepdims=True) + EPSILON) * weight


def _rows(name, ours, numpy, torch, jax, shapes_of):
    """The workload at both sizes."""
    return [
        Workload(
            f"{name}, {rows}×{columns}", shapes_of(rows, columns), {"": ours}, numpy, (torch,), (jax,), Target(1.2)
        )
        for rows, columns in SIZES
    ]


WORKLOADS = (
    *_rows("gelu(x*y+z)", gelu_relax, gelu_numpy, gelu_torch, gelu_jax, lambda n, m: ((n, m),) * 3),
    *_rows("softmax", softmax_relax, softmax_numpy, softmax_torch, softmax_jax, lambda n, m: ((n, m),)),
    *_rows(
        "layer norm",
        layer_norm_relax,
        layer_norm_numpy,
        layer_norm_torch,
        layer_norm_jax,
        lambda n, m: ((n, m), (m,), (m,)),
    ),
    *_rows("rms norm", rms_norm_relax, rms_norm_numpy, rms_norm_torch, rms_norm_jax, lambda n, m: ((n, m), (m,))),
)
