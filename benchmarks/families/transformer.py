"""A transformer encoder block: the example's, and the same for the peers."""

import math

import jax
import numpy as np
import torch
import transformer as example
from report import Target
from workload import Variant, Workload, products_flops

from families.elementwise import gelu_numpy, layer_norm_jax, layer_norm_numpy, layer_norm_torch, softmax_numpy

WIDTH, HEADS = example.WIDTH, example.HEADS
HEAD = WIDTH // HEADS


def block_relax(dtype):
    return example.make_encoder(1, dtype=dtype)


def bound_block_relax(dtype, *layer):
    """The same with the weights bound."""
    return block_relax(dtype).bind(layers=(layer,))


def encode_numpy(x, norm1, shift1, qkv, qkv_bias, out, out_bias, norm2, shift2, up, up_bias, down, down_bias):
    q, k, v = np.split(layer_norm_numpy(x, norm1, shift1) @ qkv + qkv_bias, 3, axis=-1)
    q, k, v = (each.reshape(*x.shape[:2], HEADS, HEAD).swapaxes(1, 2) for each in (q, k, v))
    mixed = softmax_numpy((q @ k.swapaxes(2, 3)) * x.dtype.type(HEAD**-0.5)) @ v
    x = x + (mixed.swapaxes(1, 2).reshape(x.shape) @ out + out_bias)
    hidden = gelu_numpy(layer_norm_numpy(x, norm2, shift2) @ up, 1, up_bias)
    return x + (hidden @ down + down_bias)


def encode_torch(x, norm1, shift1, qkv, qkv_bias, out, out_bias, norm2, shift2, up, up_bias, down, down_bias):
    """Matrices as ``torch.nn.Linear`` has them."""
    linear = torch.nn.functional.linear
    q, k, v = linear(layer_norm_torch(x, norm1, shift1), qkv, qkv_bias).split(WIDTH, -1)
    q, k, v = (each.unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for each in (q, k, v))
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    x = x + linear(mixed.transpose(1, 2).flatten(2), out, out_bias)
    hidden = torch.nn.functional.gelu(linear(layer_norm_torch(x, norm2, shift2), up, up_bias))
    return x + linear(hidden, down, down_bias)


def encode_jax(attention):
    """With ``attention`` on arrays of (batch, length, heads, width)."""

    def encode(x, norm1, shift1, qkv, qkv_bias, out, out_bias, norm2, shift2, up, up_bias, down, down_bias):
        q, k, v = jax.numpy.split(layer_norm_jax(x, norm1, shift1) @ qkv + qkv_bias, 3, axis=-1)
        q, k, v = (each.reshape(*x.shape[:2], HEADS, HEAD) for each in (q, k, v))
        x = x + (attention(q, k, v).reshape(x.shape) @ out + out_bias)
        hidden = jax.nn.gelu(layer_norm_jax(x, norm2, shift2) @ up + up_bias, approximate=False)
        return x + (hidden @ down + down_bias)

    return encode


def plain_attention(q, k, v):
    q, k, v = (each.swapaxes(1, 2) for each in (q, k, v))
    scores = (q @ k.swapaxes(2, 3)) * math.sqrt(1 / HEAD)
    return (jax.nn.softmax(scores, axis=-1) @ v).swapaxes(1, 2)


def as_layers(x, *layer):
    """The example takes the weights as a tuple of layers, each a tuple."""
    return x, (layer,)


def transpose_matrices(x, *layer):
    """The weights' matrices as ``torch.nn.Linear`` has them."""
    return x, *(np.ascontiguousarray(each.T) for each in layer)


def _block(batch, length, bound):
    return Workload(
        f"transformer block {batch}×{length}" + (", weights bound" if bound else ""),
        ((batch, length, WIDTH), *example.layer_shapes()),
        {"": bound_block_relax if bound else Variant(block_relax, as_layers)},
        encode_numpy,
        (Variant(encode_torch, transpose_matrices),),
        (encode_jax(jax.nn.dot_product_attention), encode_jax(plain_attention)),
        Target(1.3),
        passed=1 if bound else None,
        flops=products_flops(batch * length, example.layer_shapes()) + 4.0 * batch * length * length * WIDTH,
    )


SIZES = ((1, 16), (1, 128), (8, 128))
WORKLOADS = (*(_block(*size, False) for size in SIZES), *(_block(*size, True) for size in SIZES))
