"""What a fresh process pays: run as `python fresh_process.py LIBRARY PROGRAM`; prints the seconds of its steps as JSON.

PROGRAM is `digits` (the import; from its start to the digits MLP's first result; then the first result of a chain of
200 calls, elementwise and matmul, on one shape pattern), `block` (from the start of the import to a transformer
block's first result), or `encoder` (the same with twelve of them). Checking the results is not counted.
"""

import json
import sys
import time

STARTED = time.perf_counter()
ROUNDS = 50  # of four calls: matmul, add, tanh, add
SHAPES = ((64, 64), (64, 128), (128,), (128, 10), (10,), (64, 64), (64,))
SCALES = (1.0, 0.125, 1.0, 0.125, 1.0, 0.0125, 1.0)  # the last matrix is small: otherwise the chain is chaotic
BATCH, LENGTH, LAYERS = 2, 16, 12

# -------------------------------------------------------------------------------------------------------------- digits


def digits_relax():
    import relaxdsl as relax

    imported = time.perf_counter()
    n = relax.dims("n")

    @relax.function
    def digits(
        x: relax.Tensor[(n, 64), "float32"],
        w1: relax.Tensor[(64, 128), "float32"],
        b1: relax.Tensor[(128,), "float32"],
        w2: relax.Tensor[(128, 10), "float32"],
        b2: relax.Tensor[(10,), "float32"],
    ):
        hidden = relax.nn.relu(x @ w1 + b1)
        return relax.nn.softmax(hidden @ w2 + b2, axis=1)

    x, w1, b1, w2, b2, w, b = weights()
    result = digits(x, w1, b1, w2, b2)
    first = time.perf_counter()
    check(result, digits_of_numpy(x, w1, b1, w2, b2))
    before_chain = time.perf_counter()

    @relax.function
    def chain(
        x: relax.Tensor[(n, 64), "float32"],
        w: relax.Tensor[(64, 64), "float32"],
        b: relax.Tensor[(64,), "float32"],
    ):
        for _ in range(ROUNDS):
            x = x + relax.tanh(x @ w + b)
        return x

    result = chain(x, w, b)
    done = time.perf_counter()
    check(result, chain_of_numpy(x, w, b))
    return {
        "import_s": imported - STARTED,
        "first_s": first - STARTED,
        "chain_s": done - before_chain,
        "parts": {"digits": parts_of(digits), "chain": parts_of(chain)},
    }


def digits_jax():
    import jax
    import jax.numpy as jnp

    imported = time.perf_counter()

    @jax.jit
    def digits(x, w1, b1, w2, b2):
        return jax.nn.softmax(jax.nn.relu(x @ w1 + b1) @ w2 + b2, axis=1)

    @jax.jit
    def chain(x, w, b):
        for _ in range(ROUNDS):
            x = x + jnp.tanh(x @ w + b)
        return x

    x, w1, b1, w2, b2, w, b = weights()
    result = digits(x, w1, b1, w2, b2).block_until_ready()
    first = time.perf_counter()
    check(result, digits_of_numpy(x, w1, b1, w2, b2))
    before_chain = time.perf_counter()
    result = chain(x, w, b).block_until_ready()
    done = time.perf_counter()
    check(result, chain_of_numpy(x, w, b))
    return {"import_s": imported - STARTED, "first_s": first - STARTED, "chain_s": done - before_chain}


def digits_numpy():
    import numpy  # noqa: F401 (its import is what is timed)

    imported = time.perf_counter()
    x, w1, b1, w2, b2, w, b = weights()
    digits_of_numpy(x, w1, b1, w2, b2)
    first = time.perf_counter()
    chain_of_numpy(x, w, b)
    done = time.perf_counter()
    return {"import_s": imported - STARTED, "first_s": first - STARTED, "chain_s": done - first}


def weights():
    """Random arrays: the images, the digits MLP's weights, the chain's."""
    import numpy as np

    random = np.random.default_rng(0)
    drawn = (random.standard_normal(shape) * scale for shape, scale in zip(SHAPES, SCALES, strict=True))
    return [each.astype(np.float32) for each in drawn]


def digits_of_numpy(x, w1, b1, w2, b2):
    import numpy as np

    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def chain_of_numpy(x, w, b):
    import numpy as np

    for _ in range(ROUNDS):
        x = x + np.tanh(x @ w + b)
    return x


# -------------------------------------------------------------------------------------------------------- transformers


def block_relax():
    return encoder_relax(1)


def encoder_relax(depth=LAYERS):
    import transformer

    layers = transformer.random_layers(depth)
    x = tokens()
    encoder = transformer.make_encoder(depth)
    result = encoder(x, layers)
    first = time.perf_counter()
    check(result, transformer.numpy_encoder(x, layers))
    return {"first_s": first - STARTED, "parts": {"encoder": parts_of(encoder)}}


def tokens():
    import numpy as np
    import transformer

    return np.random.default_rng(1).standard_normal((BATCH, LENGTH, transformer.WIDTH)).astype("float32")


def parts_of(function):
    """What `explain` says about compiling a relax function."""
    explained = function.explain()
    return {"seconds": explained.seconds, "kernels_compiled": explained.kernels_compiled}


def check(result, expected):
    """Ends the process where a first result is wrong."""
    import numpy as np

    if not np.allclose(np.asarray(result), expected, rtol=1e-4, atol=1e-4):
        raise SystemExit("fresh process: a first result is wrong")


RUN = {
    ("relaxdsl", "digits"): digits_relax,
    ("relaxdsl", "block"): block_relax,
    ("relaxdsl", "encoder"): encoder_relax,
    ("jax.jit", "digits"): digits_jax,
    ("numpy", "digits"): digits_numpy,
}

if __name__ == "__main__":
    print(json.dumps(RUN[sys.argv[1], sys.argv[2]]()))
