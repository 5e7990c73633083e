"""TVM Relax's times, in an environment of its own: its CPU pipeline with fusion, untuned, on static shapes.

Run as `python tvm_peer.py --threads N`; prints the seconds of each workload it has, by name, as JSON. The results are
compared with NumPy's first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import machine
from options import add_options, is_wanted
from timing import Call, Effort, Timing, time_calls

Shapes = tuple[tuple[int, ...], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    add_options(parser)
    options = parser.parse_args()
    machine.limit_threads(options.threads)
    seconds: dict[str, float] = {}
    effort = Effort(rounds=3, slot_s=0.005) if options.quick else Effort(rounds=5, slot_s=0.02)
    for name, graph, reference, shapes in workloads():
        if is_wanted(options, name):
            print(f"{options.threads} threads, TVM: {name}", file=sys.stderr, flush=True)
            timing = _timing(name, graph, reference, shapes, effort)
            seconds[name] = timing.fastest_s if options.fastest else timing.median_s
    print(json.dumps(seconds))


def workloads() -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any], Shapes]]:
    """Name, graph in TVM's operators, NumPy function and shapes; the names are those of `families`."""
    for rows, columns in ((2048, 1024), (2047, 1000)):
        yield f"softmax, {rows}×{columns}", softmax_graph, softmax, ((rows, columns),)
    layers = ((784, 512), (512,), (512, 512), (512,), (512, 10), (10,))
    for batch in (1, 8, 64, 512):
        yield f"MLP 784-512-512-10, batch {batch}", mlp_graph, mlp, ((batch, 784), *layers)
    yield "MLP 4×16-16-4", mlp_graph, mlp, ((4, 16), (16, 16), (16,), (16, 4), (4,))
    yield "attention 2×12×384×64", attention_graph, attention, ((2, 384, 12, 64),) * 3
    causal = ((1, 1000, 8, 64),) * 3
    yield "attention 1×8×1000×64, causal", causal_graph, causal_attention, causal


# ------------------------------------------------------------------------------------------------------ graphs in Relax


def softmax_graph(x):
    from tvm.relax import op

    return op.nn.softmax(x, axis=1)


def mlp_graph(x, *layers):
    from tvm.relax import op

    for at in range(0, len(layers), 2):
        x = op.add(op.matmul(op.nn.relu(x) if at else x, layers[at]), layers[at + 1])
    return x


def attention_graph(q, k, v):
    from tvm.relax import op

    return op.nn.attention(q, k, v)


def causal_graph(q, k, v):
    from tvm.relax import op

    return op.nn.attention(q, k, v, causal_mask="TopLeft")


# ---------------------------------------------------------------------------------------------------- the same in NumPy


def softmax(x):
    import numpy as np

    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def mlp(x, *layers):
    import numpy as np

    for at in range(0, len(layers), 2):
        x = (np.maximum(x, 0) if at else x) @ layers[at] + layers[at + 1]
    return x


def attention(q, k, v, mask=0.0):
    q, k, v = (each.swapaxes(1, 2) for each in (q, k, v))
    return (softmax((q @ k.swapaxes(2, 3)) * q.shape[-1] ** -0.5 + mask) @ v).swapaxes(1, 2)


def causal_attention(q, k, v):
    import numpy as np

    return attention(q, k, v, np.triu(np.full((q.shape[1],) * 2, -np.inf), 1))


# ------------------------------------------------------------------------------------------------------------ measuring


def _timing(
    name: str, graph: Callable[..., Any], reference: Callable[..., Any], shapes: Shapes, effort: Effort
) -> Timing:
    import numpy as np
    import tvm

    random = np.random.default_rng(0)
    scales = [1.0 if at == 0 or len(shape) != 2 else shape[0] ** -0.5 for at, shape in enumerate(shapes)]
    arrays = [(random.standard_normal(shape) * scale).astype("float32") for shape, scale in zip(shapes, scales)]
    call = Call(_compiled(graph, shapes), tuple(map(tvm.runtime.tensor, arrays)))
    if not np.allclose(call().numpy(), reference(*arrays), rtol=1e-3, atol=1e-4):
        raise SystemExit(f"{name}: TVM's result is wrong")
    return time_calls({"TVM": call}, effort)["TVM"]


def _compiled(graph: Callable[..., Any], shapes: Shapes) -> Callable[..., Any]:
    import tvm
    from tvm import relax

    params = [relax.Var(f"p{at}", relax.TensorType(shape, "float32")) for at, shape in enumerate(shapes)]
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(builder.normalize(graph(*params)))
        builder.emit_func_output(result)
    target = tvm.target.Target({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()})
    pipeline = relax.get_default_pipeline(target)
    executable = tvm.compile(builder.get(), target=target, relax_pipeline=pipeline)
    return relax.VirtualMachine(executable, tvm.cpu())["main"]


if __name__ == "__main__":
    main()
