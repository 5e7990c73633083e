"""A transformer encoder of any depth, for every batch and every length: 12 layers need no more kernels than one.

Run as a program, it shows for 1 and for 12 layers how long the first call took, how many kernels were compiled for it,
and that the results are NumPy's; then where the time went, as `explain` reports it.
"""

import math
import time

import numpy as np

import relaxdsl as relax

WIDTH, HEADS, HIDDEN = 384, 12, 1536
EPSILON = 1e-5
batch, length = relax.dims("batch length")


# -------------------------------------------------------------------------------------------------------------- weights


def layer_shapes(width=WIDTH, hidden=HIDDEN):
    """The shapes of a layer's weights, in order: norm, attention's in and out, norm, the MLP's up and down."""
    linear = [(width, 3 * width), (width, width), (width, hidden), (hidden, width)]
    attention_in, attention_out, up, down = ([matrix, matrix[1:]] for matrix in linear)
    norm = [(width,), (width,)]
    return [*norm, *attention_in, *attention_out, *norm, *up, *down]


def random_layers(depth, width=WIDTH, hidden=HIDDEN, dtype="float32"):
    """Weights of ``depth`` layers, scaled so that values keep their size from layer to layer."""
    random = np.random.default_rng(0)
    shapes = layer_shapes(width, hidden)
    drawn = ([random.standard_normal(shape) * shape[0] ** -0.5 for shape in shapes] for _ in range(depth))
    return tuple(tuple(each.astype(dtype) for each in layer) for layer in drawn)


# ---------------------------------------------------------------------------------------------------------- in relaxdsl


def attend(x, into, into_bias, out, out_bias, heads):
    """Self-attention of a tensor of (batch, length, width)."""
    q, k, v = relax.split(x @ into + into_bias, 3, axis=-1)
    q, k, v = (relax.reshape(each, (*x.shape[:2], heads, x.shape[2] // heads)) for each in (q, k, v))
    return relax.reshape(relax.nn.attention(q, k, v), x.shape) @ out + out_bias


def encode(x, layer, heads):
    """One layer. It is plain Python: a relax function that calls it takes it in while it is read."""
    gamma1, beta1, into, into_bias, out, out_bias, gamma2, beta2, up, up_bias, down, down_bias = layer
    normal = relax.nn.layer_norm(x, gamma1, beta1, axes=-1, epsilon=EPSILON)
    x = x + attend(normal, into, into_bias, out, out_bias, heads)
    normal = relax.nn.layer_norm(x, gamma2, beta2, axes=-1, epsilon=EPSILON)
    return x + (relax.nn.gelu(normal @ up + up_bias) @ down + down_bias)


def make_encoder(depth, width=WIDTH, hidden=HIDDEN, heads=HEADS, dtype="float32"):
    """An encoder of ``depth`` layers, ``encoder(x, layers)``, with a layer's weights as `layer_shapes` has them."""
    layer_type = relax.Tuple[tuple(relax.Tensor[shape, dtype] for shape in layer_shapes(width, hidden))]
    layers_type = relax.Tuple[(layer_type,) * depth]

    @relax.function
    def encoder(x: relax.Tensor[(batch, length, width), dtype], layers: layers_type):
        for layer in layers:
            x = encode(x, layer, heads)
        return x

    return encoder


# ------------------------------------------------------------------------------------------------------------- in NumPy


def numpy_layer_norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + EPSILON) * gamma + beta


def numpy_attend(x, into, into_bias, out, out_bias, heads):
    split = (*x.shape[:2], 3, heads, x.shape[2] // heads)
    q, k, v = (x @ into + into_bias).reshape(split).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[-1])
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = powers / powers.sum(axis=-1, keepdims=True) @ v
    return mixed.swapaxes(1, 2).reshape(x.shape) @ out + out_bias


def numpy_gelu(x):
    return x * np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)))(x)


def numpy_encoder(x, layers, heads=HEADS):
    """The same in NumPy."""
    for gamma1, beta1, into, into_bias, out, out_bias, gamma2, beta2, up, up_bias, down, down_bias in layers:
        x = x + numpy_attend(numpy_layer_norm(x, gamma1, beta1), into, into_bias, out, out_bias, heads)
        x = x + numpy_gelu(numpy_layer_norm(x, gamma2, beta2) @ up + up_bias) @ down + down_bias
    return x


# -------------------------------------------------------------------------------------------------------------- showing


def first_call(depth, x):
    """An encoder that was called once, the seconds that took, and the largest difference from NumPy."""
    layers = random_layers(depth)
    started = time.perf_counter()
    encoder = make_encoder(depth)
    result = encoder(x, layers)
    seconds = time.perf_counter() - started
    return encoder, seconds, np.max(np.abs(result - numpy_encoder(x.astype("float64"), layers)))


def main():
    x = np.random.default_rng(1).standard_normal((2, 16, WIDTH)).astype("float32")
    print(f"{'layers':>6} {'first call':>12} {'kernels compiled':>18} {'largest difference from NumPy':>31}")
    for depth in (1, 12):
        encoder, seconds, difference = first_call(depth, x)
        print(f"{depth:>6} {seconds:>10.2f} s {encoder.explain().kernels_compiled:>18} {difference:>31.1e}")
    print("\nThe encoder of 12 layers:\n")
    print(encoder.explain())


if __name__ == "__main__":
    main()
