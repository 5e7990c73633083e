"""Perceptrons: 784-512-512-10 with weights as arguments and bound, the digits one, and one so small that only the call
costs.
"""

import itertools

import jax
import numpy as np
import torch
from report import Target
from workload import FLOAT32, Variant, Workload, products_flops

import relaxdsl as relax
from families.elementwise import softmax_numpy

n = relax.dims("n")

# ------------------------------------------------------------------------------------------------------- 784-512-512-10


def mlp_relax(dtype):
    @relax.function
    def mlp(
        x: relax.Tensor[(n, 784), dtype],
        w1: relax.Tensor[(784, 512), dtype],
        b1: relax.Tensor[(512,), dtype],
        w2: relax.Tensor[(512, 512), dtype],
        b2: relax.Tensor[(512,), dtype],
        w3: relax.Tensor[(512, 10), dtype],
        b3: relax.Tensor[(10,), dtype],
    ):
        hidden = relax.nn.relu(x @ w1 + b1)
        return relax.nn.relu(hidden @ w2 + b2) @ w3 + b3

    return mlp


def bound_mlp_relax(dtype, w1, b1, w2, b2, w3, b3):
    """The same with the weights bound: their products are packed once."""
    return mlp_relax(dtype).bind(w1=w1, b1=b1, w2=w2, b2=b2, w3=w3, b3=b3)


def mlp_numpy(x, w1, b1, w2, b2, w3, b3):
    hidden = np.maximum(x @ w1 + b1, 0)
    return np.maximum(hidden @ w2 + b2, 0) @ w3 + b3


def mlp_torch(x, w1, b1, w2, b2, w3, b3):
    hidden = torch.relu(torch.addmm(b1, x, w1))
    return torch.addmm(b3, torch.relu(torch.addmm(b2, hidden, w2)), w3)


def mlp_torch_linear(x, w1, b1, w2, b2, w3, b3):
    """The same on weights as ``torch.nn.Linear`` has them."""
    linear = torch.nn.functional.linear
    hidden = torch.relu(linear(x, w1, b1))
    return linear(torch.relu(linear(hidden, w2, b2)), w3, b3)


def mlp_jax(x, w1, b1, w2, b2, w3, b3):
    hidden = jax.nn.relu(x @ w1 + b1)
    return jax.nn.relu(hidden @ w2 + b2) @ w3 + b3


def transpose_weights(*arrays):
    """Matrices after the first array, as ``torch.nn.Linear`` has them."""
    return tuple(np.ascontiguousarray(each.T) if at and each.ndim == 2 else each for at, each in enumerate(arrays))


# --------------------------------------------------------------------------------------------------- two smaller ones


def digits_relax(dtype):
    @relax.function
    def digits(
        x: relax.Tensor[(n, 64), dtype],
        w1: relax.Tensor[(64, 128), dtype],
        b1: relax.Tensor[(128,), dtype],
        w2: relax.Tensor[(128, 10), dtype],
        b2: relax.Tensor[(10,), dtype],
    ):
        hidden = relax.nn.relu(x @ w1 + b1)
        return relax.nn.softmax(hidden @ w2 + b2, axis=1)

    return digits


def digits_numpy(x, w1, b1, w2, b2):
    return softmax_numpy(small_numpy(x, w1, b1, w2, b2))


def digits_torch(x, w1, b1, w2, b2):
    return torch.softmax(small_torch(x, w1, b1, w2, b2), 1)


def digits_jax(x, w1, b1, w2, b2):
    return jax.nn.softmax(small_jax(x, w1, b1, w2, b2), axis=1)


def small_relax(dtype):
    @relax.function
    def small(
        x: relax.Tensor[(n, 16), dtype],
        w1: relax.Tensor[(16, 16), dtype],
        b1: relax.Tensor[(16,), dtype],
        w2: relax.Tensor[(16, 4), dtype],
        b2: relax.Tensor[(4,), dtype],
    ):
        return relax.nn.relu(x @ w1 + b1) @ w2 + b2

    return small


def small_numpy(x, w1, b1, w2, b2):
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


def small_torch(x, w1, b1, w2, b2):
    return torch.addmm(b2, torch.relu(torch.addmm(b1, x, w1)), w2)


def small_jax(x, w1, b1, w2, b2):
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


TORCH = (mlp_torch, Variant(mlp_torch_linear, transpose_weights))
BATCHES = (1, 8, 64, 512)


def _shapes(*widths):
    """The input (its width and the batch are the first two), then weights and biases."""
    batch, *sizes = widths
    layers = [shape for rows, columns in itertools.pairwise(sizes) for shape in ((rows, columns), (columns,))]
    return ((batch, sizes[0]), *layers)


def _arguments(batch):
    shapes = _shapes(batch, 784, 512, 512, 10)
    return Workload(
        f"MLP 784-512-512-10, batch {batch}",
        shapes,
        {"": mlp_relax},
        mlp_numpy,
        TORCH,
        (mlp_jax,),
        Target(1.0, tvm_ratio=10.0),
        flops=products_flops(batch, shapes[1:]),
    )


def _bound(batch):
    shapes = _shapes(batch, 784, 512, 512, 10)
    return Workload(
        f"MLP 784-512-512-10, batch {batch}, weights bound",
        shapes,
        {"": bound_mlp_relax},
        mlp_numpy,
        TORCH,
        (mlp_jax,),
        Target(1.2),
        passed=1,
        flops=products_flops(batch, shapes[1:]),
    )


def _digits(batch):
    shapes = _shapes(batch, 64, 128, 10)
    return Workload(
        f"digits MLP 64-128-10, batch {batch}",
        shapes,
        {"": digits_relax},
        digits_numpy,
        (digits_torch,),
        (digits_jax,),
        dtypes=FLOAT32,
    )


WORKLOADS = (
    *map(_arguments, BATCHES),
    *map(_bound, BATCHES),
    *map(_digits, (7, 1797)),
    # A 4×16 input, 16 hidden units, 4 outputs: five arrays, and so little work that the call itself is what is timed.
    Workload(
        "MLP 4×16-16-4",
        _shapes(4, 16, 16, 4),
        {"": small_relax},
        small_numpy,
        (small_torch,),
        (small_jax,),
        Target(2.0, limit_s=2e-6),
    ),
)
