"""Random kernels: loops, blocks, conditions and dependences in any order, against the interpreter of kernels."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.print_graph import script
from relaxdsl.kernels.access_sites import sites_of
from relaxdsl.kernels.checked import with_checks
from relaxdsl.kernels.independence import conflicts_of
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.out_of_range import find_example, is_proved
from relaxdsl.script.parse_text import parse_kernel_source
from relaxdsl.trace.loop_interpreter import interpret_loops

HEAD = """\
@relax.prim_func
def kernel(
    x: T.Buffer((n,), "float64"), w: T.Buffer((n, m), "float64"),
    y: T.Buffer((n,), "float64"), z: T.Buffer((n, m), "float64"), n: T.int64, m: T.int64
):
    T.outputs(y, z)
    s = T.alloc_buffer((n,), "float64")
    t = T.alloc_buffer((n, m), "float64")
    for a in range(n):
        s[a] = 1.0
        y[a] = x[a]
    for a, b in T.grid(n, m):
        t[a, b] = w[a, b]
        z[a, b] = 0.5
"""
ROWS = ("{0}", "{0}", "{0}", "n - 1 - {0}", "({0} + 1) % n", "{0} // 2")
COLUMNS = ("{0}", "{0}", "m - 1 - {0}", "({0} + 1) % m")


class Writer:
    """Writes one kernel; ``rng`` decides."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0

    def kernel(self) -> str:
        forms = (
            *(self.row_loop, self.grid, self.row_sum, self.recurrence, self.two_loops),
            *(self.reduction, self.scan, self.shares),
        )
        blocks = (self.rng.choice(forms)() for _ in range(self.rng.randint(2, 4)))
        return HEAD + "".join(f"    {line}\n" for block in blocks for line in block)

    def element(self, buffers: str, row: str, column: str | None) -> str:
        buffer = self.rng.choice(buffers if column is not None else [b for b in buffers if b in "xsy"])
        index = self.rng.choice(ROWS).format(row)
        if buffer in "xsy":
            return f"{buffer}[{index}]"
        return f"{buffer}[{index}, {self.rng.choice(COLUMNS).format(column)}]"

    def value(self, row: str, column: str | None = None) -> str:
        a, b = self.element("xwstyz", row, column), self.element("xwstyz", row, column)
        forms = ("{a} + {b}", "{a} * 0.5 - {b}", "T.max({a}, {b})", "{a} if {i} < n // 2 else {b}", "{a} + {i}")
        return self.rng.choice(forms).format(a=a, b=b, i=row)

    def store(self, row: str, column: str | None = None) -> str:
        return f"{self.element('styz', row, column)} = {self.value(row, column)}"

    def row_loop(self) -> Iterator[str]:
        yield f"for i in {self.rng.choice(('range', 'T.vectorized'))}(n):"
        yield f"    {self.store('i')}"
        yield f"    {self.store('i')}"

    def grid(self) -> Iterator[str]:
        yield "for i, j in T.grid(n, m):"
        yield f"    {self.store('i', 'j')}"

    def row_sum(self) -> Iterator[str]:
        yield "for i in range(n):"
        yield "    total = T.float64(0)"
        yield "    for j in range(1, m):"
        yield f"        total += {self.value('i', 'j')}"
        yield f"    {self.element('sy', 'i', None)} = total"

    def recurrence(self) -> Iterator[str]:
        yield "for i in range(n):"
        yield "    if i > 0:"
        yield f"        y[i] = y[i - 1] * 0.5 + {self.value('i')}"
        yield "    else:"
        yield f"        {self.store('i')}"

    def two_loops(self) -> Iterator[str]:
        yield "for j in range(m):"
        yield "    for i in range(1, n):"
        yield f"        {self.store('i', 'j')}"

    def reduction(self) -> Iterator[str]:
        target, other = self.rng.choice((("s", "y"), ("y", "s")))
        yield "for i, j in T.grid(n, m):"
        yield '    with T.block("reduction"):'
        yield '        vi, vj = T.axis.remap("SR", [i, j])'
        yield "        with T.init():"
        yield f"            {target}[vi] = 0.0"
        yield f"        {target}[vi] += {other}[n - 1 - vi] * w[vi, vj]"

    def scan(self) -> Iterator[str]:
        """A local buffer made in order, and a reader of it."""
        self.count += 1
        local, axes = f"u{self.count}", self.rng.choice(("SR", "RS"))
        before = {"SR": f"{local}[vi, vj - 1] if vj >= 1 else 0.5", "RS": f"{local}[vi - 1, vj] if vi >= 1 else 0.5"}
        yield f'{local} = T.alloc_buffer((n, m), "float64")'
        yield "for i, j in T.grid(n, m):"
        yield '    with T.block("scan"):'
        yield f'        vi, vj = T.axis.remap("{axes}", [i, j])'
        yield f"        {local}[vi, vj] = w[vi, vj] + ({before[axes]})"
        yield "for i, j in T.grid(n, m):"
        yield '    with T.block("after"):'
        yield '        vi, vj = T.axis.remap("SS", [i, j])'
        yield f"        z[vi, vj] = {local}[{self.rng.choice(('vi', 'n - 1 - vi'))}, vj] * 0.5"

    def shares(self) -> Iterator[str]:
        """A reduction beside something else in one loop, in tiles or not; it may have no step."""
        extent = self.rng.choice(("m", "m // 2"))
        yield "for i in range(n):"
        tiled = self.rng.random() < 0.5
        step = "j0 * 2 + j1" if tiled else "j"
        if tiled:
            yield f"    for j0, j1 in T.grid(T.ceildiv({extent}, 2), 2):"
            yield f"        if j0 * 2 + j1 < {extent}:"
        else:
            yield f"    for j in range({extent}):"
        pad = "    " * (3 if tiled else 2)
        yield f'{pad}with T.block("sum"):'
        yield f"{pad}    vi = T.axis.spatial(n, i)"
        yield f"{pad}    vj = T.axis.reduce({extent}, {step})"
        yield f"{pad}    with T.init():"
        yield f"{pad}        s[vi] = 2.0"
        yield f"{pad}    s[vi] += w[vi, vj]"
        yield "    for j in range(m):"
        yield "        z[i, j] = w[i, j] + s[i]"
        yield "    y[i] = s[i]"


@pytest.mark.parametrize("seed", range(16))
def test_random_kernels(seed: int) -> None:
    kernel = parse_kernel_source(Writer(random.Random(seed)).kernel(), {})
    assert_structural_equal(parse_kernel_source(script(kernel), {}), kernel)
    assert not list(conflicts_of(kernel))
    undecided = [site for site in sites_of(kernel) if not is_proved(site)]
    assert all(find_example(kernel, site) is None for site in undecided)
    compiled, checked = compile_kernel(kernel), compile_kernel(with_checks(kernel).prim_func)
    for n, m in ((0, 3), (1, 1), (3, 2), (5, 0), (6, 7)):
        rng = np.random.default_rng(seed)
        inputs = [rng.normal(size=n), rng.normal(size=(n, m))]
        expected = interpret_loops(kernel, inputs, {"n": n, "m": m})
        outputs, report = [np.full(n, np.nan), np.full((n, m), np.nan)], np.ones(3, np.int64)
        run_kernel(compiled, [*inputs, *outputs], {"n": n, "m": m}, parts=2)
        for actual, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-9)
        run_kernel(checked, [*inputs, *outputs, report], {"n": n, "m": m})
        assert report[0] == 0
        for actual, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-9)
