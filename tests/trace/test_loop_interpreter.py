"""The interpreter of kernels of any form."""

from __future__ import annotations

import numpy as np
import pytest

from relaxdsl.errors import InternalError
from relaxdsl.script.parse_text import parse_kernel_source
from relaxdsl.trace.loop_interpreter import interpret_loops, run_kernel

HEAD = '@relax.prim_func\ndef f(x: T.Buffer((n,), "float64"), y: T.Buffer((n,), "float64"), n: T.int64):\n'


def test_statements_run_in_order() -> None:
    kernel = parse_kernel_source(
        f"""{HEAD}
    total = T.float64(0)
    for i in range(n):
        if x[i] > 1:
            total = total + x[i]
        elif x[i] < 0:
            total = T.float64(0)
        y[i] = total if i > 0 else T.float64(-1)
""",
        {},
    )
    (y,) = run_kernel(kernel, [np.array([2.0, 0.5, 3.0, -1.0, 4.0])], {"n": 5})
    np.testing.assert_array_equal(y, [-1, 2, 5, 0, 4])


def test_blocks_of_split_loops() -> None:
    kernel = parse_kernel_source(
        f"""{HEAD}
    for i0, i1, r in T.grid(T.ceildiv(n, 2), 2, 3):
        if i0 * 2 + i1 < n:
            with T.block("sum"):
                vi = T.axis.spatial(n, i0 * 2 + i1)
                vr = T.axis.reduce(3, r)
                with T.init():
                    y[vi] = T.float64(0)
                y[vi] = y[vi] + x[vi] * T.cast(vr, "float64")
""",
        {},
    )
    (y,) = interpret_loops(kernel, [np.array([1.0, 2.0, 3.0])], {"n": 3})
    np.testing.assert_array_equal(y, [3, 6, 9])


def test_calls_of_machine_code_have_no_meaning_here() -> None:
    kernel = parse_kernel_source(f'{HEAD}    T.call_extern("f", x, y, writes=[y])\n', {})
    with pytest.raises(InternalError) as error:
        run_kernel(kernel, [np.zeros(1)], {"n": 1})
    assert str(error.value) == "interpret_loops: no meaning for CallExtern"
