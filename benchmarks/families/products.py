"""Matrix products of many sizes, with batch, and with one row, where reading the weights is all the work."""

import jax
import numpy as np
import torch
from report import Target
from workload import Variant, Workload

import relaxdsl as relax

n, m, k, b = relax.dims("n m k b")
HIDDEN = 5632
WIDTH = 2048
CUBES = (64, 128, 256, 512, 1024)

# ------------------------------------------------------------------------------------------------------------- products


def matmul_relax(dtype):
    @relax.function
    def matmul(x: relax.Tensor[(n, k), dtype], w: relax.Tensor[(k, m), dtype]):
        return x @ w

    return matmul


def batched_relax(dtype):
    @relax.function
    def batched(x: relax.Tensor[(b, n, k), dtype], w: relax.Tensor[(b, k, m), dtype]):
        return x @ w

    return batched


def matmul_any(x, w):
    return x @ w


# -------------------------------------------------------------------------------------------------- gated decode, 1 row


def gated_relax(dtype):
    @relax.function
    def gated(
        x: relax.Tensor[(n, WIDTH), dtype],
        gate: relax.Tensor[(WIDTH, HIDDEN), dtype],
        up: relax.Tensor[(WIDTH, HIDDEN), dtype],
        down: relax.Tensor[(HIDDEN, WIDTH), dtype],
    ):
        return (relax.nn.silu(x @ gate) * (x @ up)) @ down

    return gated


def gated_numpy(x, gate, up, down):
    gates = x @ gate
    return (gates / (1 + np.exp(-gates)) * (x @ up)) @ down


def gated_torch(x, gate, up, down):
    return (torch.nn.functional.silu(x @ gate) * (x @ up)) @ down


def gated_torch_linear(x, gate, up, down):
    """The same on weights as ``torch.nn.Linear`` has them."""
    linear = torch.nn.functional.linear
    return linear(torch.nn.functional.silu(linear(x, gate)) * linear(x, up), down)


def transpose_weights(x, *weights):
    return x, *(np.ascontiguousarray(weight.T) for weight in weights)


def gated_jax(x, gate, up, down):
    return (jax.nn.silu(x @ gate) * (x @ up)) @ down


def _matmul(name, rows, columns, steps, target):
    return Workload(
        f"matmul {name}",
        ((rows, steps), (steps, columns)),
        {"": matmul_relax},
        matmul_any,
        (matmul_any,),
        (matmul_any,),
        target,
        flops=2.0 * rows * columns * steps,
    )


WORKLOADS = (
    *(_matmul(f"{size}³", size, size, size, Target(1.0)) for size in CUBES[:-1]),
    _matmul("1024³", 1024, 1024, 1024, Target(1.0, fraction=0.92)),
    _matmul("33×768×768", 33, 768, 768, Target(1.0)),
    _matmul("128×3072×768", 128, 3072, 768, Target(1.0)),
    Workload(
        "matmul, batched 24×384×64×384",
        ((24, 384, 384), (24, 384, 64)),
        {"": batched_relax},
        matmul_any,
        (matmul_any,),
        (matmul_any,),
        Target(1.0),
        flops=2.0 * 24 * 384 * 64 * 384,
    ),
    Workload(
        f"matrix-vector 1×{WIDTH}, {HIDDEN}",
        ((1, WIDTH), (WIDTH, HIDDEN)),
        {"": matmul_relax},
        matmul_any,
        (matmul_any, Variant(torch.nn.functional.linear, transpose_weights)),
        (matmul_any,),
        Target(1.0, fraction=0.85),
        elements_read=WIDTH * HIDDEN,
    ),
    Workload(
        f"gated decode 1×{WIDTH}, {HIDDEN}",
        ((1, WIDTH), (WIDTH, HIDDEN), (WIDTH, HIDDEN), (HIDDEN, WIDTH)),
        {"": gated_relax},
        gated_numpy,
        (gated_torch, Variant(gated_torch_linear, transpose_weights)),
        (gated_jax,),
        Target(1.0, fraction=0.85),
        elements_read=3 * WIDTH * HIDDEN,
    ),
)
