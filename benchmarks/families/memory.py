"""Memory of a transformer block: what is planned beside what is in use at once, NumPy, and an allocator with a pool.

Bytes, not seconds: it is run alone, `python benchmarks/families/memory.py`, or as the end of `make bench ARGS=--save`,
and needs no peer but NumPy and SciPy.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

import relaxdsl as relax

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "examples"))

import transformer as example

SIZES = ((1, 16), (1, 128), (8, 128), (1, 512), (1, 1024))
"""Batch and length."""
SUCCESSIVE = (128, 256, 512, 1024)
PAGE_BYTES = 4096
"""What an allocator with a pool rounds to."""
MOST_OF_LIVE = 1.05
MOST_OF_NUMPY = 0.5

n = relax.dims("n")


@relax.function
def flatten(x: relax.Tensor[(n, 2, 2), "float32"]):
    """The flatten example of the Relax RFC, up to what depends on data."""
    return relax.exp(relax.flatten(x))


# ------------------------------------------------------------------------------------------------------------- measured


def numpy_gelu(x):
    return x * (0.5 * (1 + erf(x / np.float32(np.sqrt(2)))))


def numpy_block(x, layer):
    """The block in plain NumPy."""
    gamma1, beta1, into, into_bias, out, out_bias, gamma2, beta2, up, up_bias, down, down_bias = layer
    normal = example.numpy_layer_norm(x, gamma1, beta1)
    x = x + example.numpy_attend(normal, into, into_bias, out, out_bias, example.HEADS)
    return x + numpy_gelu(example.numpy_layer_norm(x, gamma2, beta2) @ up + up_bias) @ down + down_bias


def allocated_at_most(call: Callable[[], Any]) -> int:
    """The most bytes that Python and NumPy have allocated at once during a call."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def pooled_bytes(plan: Any, lengths: tuple[int, ...]) -> int:
    """What a pool holds after calls of these lengths: blocks are rounded to pages and serve again at the same size."""
    free: Counter[int] = Counter()
    held = 0
    for length in lengths:
        buffers = plan.at(batch=1, length=length).buffers
        for position in range(max(each.last for each in buffers) + 1):
            for each in buffers:
                size = -(-each.size_bytes // PAGE_BYTES) * PAGE_BYTES
                if each.first == position and free[size]:
                    free[size] -= 1
                elif each.first == position:
                    held += size
            free.update(-(-each.size_bytes // PAGE_BYTES) * PAGE_BYTES for each in buffers if each.last == position)
    return held


# --------------------------------------------------------------------------------------------------------------- tables


def megabytes(size: float) -> str:
    return f"{size / 1e6:.2f} MB"


def against_live(plan: Any) -> Iterator[tuple[str, ...]]:
    yield "size", "workspace", "largest sum of live bytes", f"ratio (at most {MOST_OF_LIVE})"
    for batch, length in SIZES:
        at = plan.at(batch=batch, length=length)
        ratio = at.workspace_bytes / at.live_bytes
        yield f"{batch}×{length}", megabytes(at.workspace_bytes), megabytes(at.live_bytes), _judged(ratio, MOST_OF_LIVE)


def against_numpy(encoder: Any, layer: Any) -> Iterator[tuple[str, ...]]:
    yield "size", "planned peak", "NumPy's peak", f"ratio (at most {MOST_OF_NUMPY})"
    random = np.random.default_rng(0)
    for batch, length in SIZES:
        x = random.standard_normal((batch, length, example.WIDTH)).astype("float32")
        planned = encoder.peak_bytes(batch=batch, length=length)
        peer = allocated_at_most(lambda x=x: numpy_block(x, layer))
        yield f"{batch}×{length}", megabytes(planned), megabytes(peer), _judged(planned / peer, MOST_OF_NUMPY)


def against_a_pool(plan: Any) -> Iterator[tuple[str, ...]]:
    yield "after lengths", "planned", "pool", "saved"
    for count in range(1, len(SUCCESSIVE) + 1):
        lengths = SUCCESSIVE[:count]
        planned = max(plan.at(batch=1, length=length).workspace_bytes for length in lengths)
        pool = pooled_bytes(plan, lengths)
        yield ", ".join(map(str, lengths)), megabytes(planned), megabytes(pool), f"{1 - planned / pool:.0%}"


def _judged(ratio: float, most: float) -> str:
    return f"{ratio:.3f} {'met' if ratio <= most else 'MISSED'}"


def show(title: str, rows: Iterator[tuple[str, ...]]) -> None:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print(f"\n{title}\n")
    for row in table:
        print("   " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def main() -> None:
    encoder, (layer,) = example.make_encoder(1), example.random_layers(1)
    plan = encoder.memory_plan()
    show("Workspace of a transformer block, batch × length", against_live(plan))
    show("Peak of a call, results included, beside NumPy", against_numpy(encoder, layer))
    show("The same with the weights bound", against_numpy(encoder.bind(layers=(layer,)), layer))
    show("Successive lengths: planned beside an allocator with a pool (the Relax paper's table)", against_a_pool(plan))
    at = flatten.memory_plan().at(n=1000)
    print(f"\nThe RFC's flatten example: workspace {at.workspace_bytes} bytes, output {at.output_bytes} bytes")


if __name__ == "__main__":
    main()
