"""Attention: the operator, and the same written from products and a softmax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
from report import Target
from workload import Variant, Workload

import relaxdsl as relax
from families.elementwise import softmax_numpy

b, h, s = relax.dims("b h s")
WIDTH = 64
SCALE = WIDTH**-0.5

# ------------------------------------------------------------------- arrays of (batch, heads, length, width), as torch


def primitives_relax(dtype):
    @relax.function
    def attention(
        q: relax.Tensor[(b, h, s, WIDTH), dtype],
        k: relax.Tensor[(b, h, s, WIDTH), dtype],
        v: relax.Tensor[(b, h, s, WIDTH), dtype],
    ):
        scores = (q @ relax.permute_dims(k, [0, 1, 3, 2])) * SCALE
        return relax.nn.softmax(scores, axis=-1) @ v

    return attention


def causal_primitives_relax(dtype):
    @relax.function
    def attention(
        q: relax.Tensor[(b, h, s, WIDTH), dtype],
        k: relax.Tensor[(b, h, s, WIDTH), dtype],
        v: relax.Tensor[(b, h, s, WIDTH), dtype],
    ):
        scores = (q @ relax.permute_dims(k, [0, 1, 3, 2])) * SCALE
        seen = relax.tril(relax.ones((s, s), "bool"))
        return relax.nn.softmax(relax.where(seen, scores, -math.inf), axis=-1) @ v

    return attention


def attention_numpy(q, k, v):
    return softmax_numpy((q @ k.swapaxes(-1, -2)) * q.dtype.type(SCALE)) @ v


def causal_numpy(q, k, v):
    seen = np.tri(q.shape[2], dtype=bool)
    scores = np.where(seen, (q @ k.swapaxes(-1, -2)) * q.dtype.type(SCALE), q.dtype.type(-np.inf))
    return softmax_numpy(scores) @ v


def attention_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def causal_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention_jax(q, k, v):
    return jax.nn.softmax((q @ k.swapaxes(-1, -2)) * SCALE, axis=-1) @ v


def causal_jax(q, k, v):
    seen = jnp.tri(q.shape[2], dtype=bool)
    scores = jnp.where(seen, (q @ k.swapaxes(-1, -2)) * SCALE, -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ v


# ----------------------------------------------------------- arrays of (batch, length, heads, width), as jax and Relax


def operator_relax(dtype):
    @relax.function
    def attention(
        q: relax.Tensor[(b, s, h, WIDTH), dtype],
        k: relax.Tensor[(b, s, h, WIDTH), dtype],
        v: relax.Tensor[(b, s, h, WIDTH), dtype],
    ):
        return relax.nn.attention(q, k, v)

    return attention


def causal_operator_relax(dtype):
    @relax.function
    def attention(
        q: relax.Tensor[(b, s, h, WIDTH), dtype],
        k: relax.Tensor[(b, s, h, WIDTH), dtype],
        v: relax.Tensor[(b, s, h, WIDTH), dtype],
    ):
        return relax.nn.attention(q, k, v, causal_mask="TopLeft")

    return attention


def attention_jax_operator(q, k, v):
    return jax.nn.dot_product_attention(q, k, v)


def causal_jax_operator(q, k, v):
    return jax.nn.dot_product_attention(q, k, v, is_causal=True)


def swap_heads(*arrays):
    """Heads and length in the other order, in memory too."""
    return tuple(np.ascontiguousarray(each.swapaxes(1, 2)) for each in arrays)


def _length_first(function):
    return Variant(function, swap_heads, lambda result: result.swapaxes(1, 2))


WORKLOADS = (
    Workload(
        "attention 2×12×384×64",
        ((2, 12, 384, WIDTH),) * 3,
        {"nn.attention": _length_first(operator_relax), "from primitives": primitives_relax},
        attention_numpy,
        (attention_torch,),
        (attention_jax, _length_first(attention_jax_operator)),
        Target(1.2, tvm_ratio=10.0),
        flops=4.0 * 2 * 12 * 384 * 384 * WIDTH,
    ),
    Workload(
        "attention 1×8×1000×64, causal",
        ((1, 8, 1000, WIDTH),) * 3,
        {"nn.attention": _length_first(causal_operator_relax), "from primitives": causal_primitives_relax},
        causal_numpy,
        (causal_torch,),
        (causal_jax, _length_first(causal_jax_operator)),
        Target(1.2, tvm_ratio=10.0),
        flops=4.0 * 8 * 1000 * 1001 / 2 * WIDTH,
    ),
)
