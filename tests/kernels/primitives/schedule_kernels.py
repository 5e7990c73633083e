"""Kernels that tests schedule, what they compute in NumPy, and how a schedule is run and shown."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relaxdsl as relax
from relaxdsl import te
from relaxdsl.ir.layout import Lines
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.print_loops import add_prim_func
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.parallel import extent_of, phases
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import function_name, kernel_source
from relaxdsl.types.dims import evaluate

Array = NDArray[Any]

m, n, p = relax.dims("m n p")


@dataclass(frozen=True)
class Kernel:
    """A kernel, and the same in NumPy."""

    build: Callable[[], PrimFunc]
    numpy: Callable[..., Array]


def matmul() -> PrimFunc:
    a, b = te.placeholder((m, p), "float32", name="a"), te.placeholder((p, n), "float32", name="b")
    k = te.reduce_axis((0, p), name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    return create_prim_func([a, b], [c], "matmul")


def tiles() -> PrimFunc:
    """A matmul whose sizes are multiples of a tile's."""
    a, b = te.placeholder((4 * m, 4 * p), "float32", name="a"), te.placeholder((4 * p, 4 * n), "float32", name="b")
    k = te.reduce_axis((0, 4 * p), name="k")
    c = te.compute((4 * m, 4 * n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    return create_prim_func([a, b], [c], "tiles")


def fours() -> PrimFunc:
    """Rows of a multiple of four elements, doubled and added up."""
    x = te.placeholder((m, 4 * n), "float32", name="x")
    t = te.compute((m, 4 * n), lambda i, j: x[i, j] * 2.0, name="t")
    k = te.reduce_axis((0, 4 * n), name="k")
    y = te.compute((m,), lambda i: te.sum(t[i, k], axis=k), name="y")
    return create_prim_func([x], [y], "fours")


def chain() -> PrimFunc:
    x = te.placeholder((m, n), "float32", name="x")
    t = te.compute((m, n), lambda i, j: x[i, j] * 2.0, name="t")
    u = te.compute((m, n), lambda i, j: t[i, j] + x[i, j], name="u")
    y = te.compute((m, n), lambda i, j: te.exp(u[i, j]), name="y")
    return create_prim_func([x], [y], "chain")


def row_sums() -> PrimFunc:
    x = te.placeholder((m, n), "float32", name="x")
    k = te.reduce_axis((0, n), name="k")
    s = te.compute((m,), lambda i: te.sum(x[i, k], axis=k), name="s")
    return create_prim_func([x], [s], "row_sums")


def softmax() -> PrimFunc:
    x = te.placeholder((m, n), "float32", name="x")
    j, k = te.reduce_axis((0, n), name="j"), te.reduce_axis((0, n), name="k")
    peak = te.compute((m,), lambda i: te.max(x[i, j], axis=j), name="peak")
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j] - peak[i]), name="e")
    s = te.compute((m,), lambda i: te.sum(e[i, k], axis=k), name="s")
    y = te.compute((m, n), lambda i, j: e[i, j] / s[i], name="y")
    return create_prim_func([x], [y], "softmax")


def stencil() -> PrimFunc:
    x = te.placeholder((n + 2,), "float32", name="x")
    t = te.compute((n + 2,), lambda i: x[i] * 3.0, name="t")
    r = te.reduce_axis((0, 3), name="r")
    y = te.compute((n,), lambda i: te.sum(t[i + r], axis=r), name="y")
    return create_prim_func([x], [y], "stencil")


def mirrored() -> PrimFunc:
    x = te.placeholder((n, n), "float32", name="x")
    t = te.compute((n, n), lambda i, j: x[i, j] * 2.0, name="t")
    y = te.compute((n, n), lambda i, j: t[i, j] + t[j, n - 1 - i], name="y")
    return create_prim_func([x], [y], "mirrored")


def positions_of_maxima() -> PrimFunc:
    def larger(left: tuple, right: tuple) -> tuple:
        is_left = te.logical_or(left[0] > right[0], te.logical_and(left[0].equal(right[0]), left[1] < right[1]))
        return tuple(te.if_then_else(is_left, a, b) for a, b in zip(left, right, strict=True))

    most = te.comm_reducer(larger, lambda *_: (te.min_value("float32"), te.const(2**62, "int64")), name="argmax")
    x = te.placeholder((m, n + 1), "float32", name="x")
    k = te.reduce_axis((0, n + 1), name="k")
    _, positions = te.compute((m,), lambda i: most((x[i, k], te.const(0, "int64") + k), axis=k), name="best")
    return create_prim_func([x], [positions], "positions_of_maxima")


def numpy_softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


KERNELS = {
    "matmul": Kernel(matmul, lambda a, b: a @ b),
    "tiles": Kernel(tiles, lambda a, b: a @ b),
    "fours": Kernel(fours, lambda x: 2 * x.sum(axis=1)),
    "chain": Kernel(chain, lambda x: np.exp(x * 2 + x)),
    "row_sums": Kernel(row_sums, lambda x: x.sum(axis=1)),
    "softmax": Kernel(softmax, numpy_softmax),
    "positions": Kernel(positions_of_maxima, lambda x: x.argmax(axis=1)),
    "mirrored": Kernel(mirrored, lambda x: 2 * x + 2 * x[:, ::-1].T),
    "stencil": Kernel(stencil, lambda x: 3 * (x[:-2] + x[1:-1] + x[2:])),
}


# ------------------------------------------------------------------------------------------------------------ showing


def shown(kernel: relax.Schedule | PrimFunc) -> str:
    """The script of a kernel's local buffers and loops."""
    lines = Lines()
    add_prim_func(lines, kernel.func if isinstance(kernel, relax.Schedule) else kernel)
    start = next(number for number, line in enumerate(lines.text) if line.strip().startswith("T.outputs("))
    return textwrap.dedent("\n".join(lines.text[start + 1 :]))


def assert_shows(kernel: relax.Schedule | PrimFunc, expected: str) -> None:
    assert shown(kernel) == textwrap.dedent(expected).strip()


# ------------------------------------------------------------------------------------------------------------ running


class CheckedBuffer:
    """Memory that refuses indices outside of it."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, index: int) -> Any:
        assert 0 <= index < self.array.size, f"reads {index} of {self.array.size}"
        return self.array[index]

    def __setitem__(self, index: int, value: Any) -> None:
        assert 0 <= index < self.array.size, f"writes {index} of {self.array.size}"
        self.array[index] = value


NAMESPACE: dict[str, Any] = {
    "fast_add": lambda a, b: a + b,
    "fast_multiply": lambda a, b: a * b,
    "fast_maximum": np.maximum,
    "fast_minimum": np.minimum,
    "wrapping_add": np.add,
    "wrapping_subtract": np.subtract,
    "wrapping_multiply": np.multiply,
    "lanes": lambda count: count,
    "inf": np.inf,
    "nan": np.nan,
    "exp": np.exp,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "float32": np.float32,
    "float32_buffer": lambda args, slot: CheckedBuffer(args[slot]),
    "int64": np.int64,
    "int64_buffer": lambda args, slot: CheckedBuffer(args[slot]),
}


#: Runs a kernel on inputs, its sizes having these values.
Run = Callable[[Sequence[Array], dict[str, int]], list[Array]]


def in_python(kernel: PrimFunc, parts: int = 2) -> Run:
    """The kernel's generated source, run by Python, with every index checked."""
    scheduled = schedule(kernel)
    namespace = dict(NAMESPACE)
    exec(kernel_source(scheduled), namespace)
    function = namespace[function_name(scheduled)]
    split = phases(scheduled.body)

    def run(inputs: Sequence[Array], sizes: dict[str, int]) -> list[Array]:
        outputs = outputs_of(kernel, sizes)
        shared = [memory(each, sizes) for each in scheduled.scratch if each.scope == "shared"]
        arrays = [each.reshape(-1) for each in (*inputs, *outputs)]
        known = [*arrays, *(sizes[name] for name in kernel.symbols), *shared]
        for number, phase in enumerate(split):
            extent = evaluate(extent_of(phase), sizes)
            for part in range(parts):
                scratch = [memory(each, sizes) for each in scheduled.scratch if each.scope == "scratch"]
                lo, hi = extent * part // parts, extent * (part + 1) // parts
                if lo < hi:
                    function([*known, *([number] if len(split) > 1 else []), *scratch], lo, hi)
        return outputs

    return run


def compiled(kernel: PrimFunc) -> Run:
    """The kernel, compiled."""
    found = compile_kernel(kernel)

    def run(inputs: Sequence[Array], sizes: dict[str, int]) -> list[Array]:
        outputs = outputs_of(kernel, sizes)
        run_kernel(found, [*map(np.ascontiguousarray, inputs), *outputs], sizes, parts=2)
        return outputs

    return run


def outputs_of(kernel: PrimFunc, sizes: dict[str, int]) -> list[Array]:
    return [garbage([evaluate(size, sizes) for size in each.shape], each.dtype) for each in kernel.outputs]


def memory(buffer: Any, sizes: dict[str, int]) -> Array:
    return garbage([evaluate(size, sizes) for size in buffer.shape], buffer.dtype)


def garbage(shape: Sequence[int], dtype: str) -> Array:
    return np.full(shape, 77, dtype)


def inputs_of(kernel: PrimFunc, sizes: dict[str, int]) -> list[Array]:
    """Random inputs."""
    generator = np.random.default_rng(sum(sizes.values()))
    shapes = [[evaluate(size, sizes) for size in each.shape] for each in kernel.inputs]
    return [
        generator.standard_normal(shape).astype(each.dtype) for shape, each in zip(shapes, kernel.inputs, strict=True)
    ]


#: Sizes that do not divide tiles, with 0 and 1.
SIZES = (
    {"m": 5, "n": 7, "p": 3},
    {"m": 0, "n": 4, "p": 2},
    {"m": 3, "n": 1, "p": 0},
    {"m": 1, "n": 0, "p": 5},
)


def assert_computes(func: PrimFunc, numpy: Callable[..., Array], make: Callable[[PrimFunc], Run] = in_python) -> None:
    """The kernel gives what NumPy gives, at all of :data:`SIZES`."""
    run = make(func)
    for sizes in SIZES:
        own = {name: sizes[name] for name in func.symbols}
        inputs = inputs_of(func, own)
        with np.errstate(all="ignore"):
            expected, actual = numpy(*inputs), run(inputs, own)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5, err_msg=str(own))
