"""Kernels in phases: what is a phase, what is kept between them, and that any division of each gives the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kernel_programs import random_array
from test_golden_sources import check_golden

from relaxdsl.errors import InternalError
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.layout import Lines
from relaxdsl.ir.loops import Buffer, For, Parts, PrimFunc, Seq, Stmt, Store, loop_variable, rewrite_statement, walk
from relaxdsl.ir.print_loops import add_prim_func
from relaxdsl.ir.scalar import Load, ScalarExpr, const
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import CompiledKernel, compile_kernel, run_kernel
from relaxdsl.kernels.schedule.interface import interface_of
from relaxdsl.kernels.schedule.parallel import bind_parallel_range, extent_of, phases
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.types.dims import Dim, dim_max, dim_min, dims

m, n = dims("m n")
x = Buffer("x", (n,), "float32")
out = Buffer("out", (m, n), "float32")
doubled = Buffer("doubled", (n,), "float32", "shared")
"""Where the first phase leaves what the second reads."""


def two_phases() -> PrimFunc:
    """``out[i, j] = (2 * x)[n - 1 - j] + count``, each part of the rows adding 1 to a count of its own, which is 0."""
    k, i, j = loop_variable("k", n), loop_variable("i", m), loop_variable("j", n)
    lower, upper = loop_variable("first", m + 1), loop_variable("last", m + 1)
    count = Buffer("count", (4,), "float32", "scratch")
    fill = For("k", n, Store(doubled, (k,), Load(x, (k,)) * const(2.0, "float32")), "parallel")
    rows = For("i", upper - lower, For("j", n, Store(out, (i, j), value_at(n - 1 - j, count))), start=lower)
    reset = Store(count, (3,), const(0.0, "float32"))
    body = Seq((fill, Parts("first", "last", m, Seq((reset, rows)))))
    return PrimFunc("turned", (x, out), 1, ("m", "n"), body, (count, doubled))


def value_at(position: Dim, count: Buffer) -> ScalarExpr:
    return Load(doubled, (position,)) + Load(count, (3,))


def run(compiled: CompiledKernel, values: np.ndarray, rows: int, parts: int) -> np.ndarray:
    result = np.full((rows, len(values)), np.nan, "float32")
    run_kernel(compiled, [values, result], {"m": rows, "n": len(values)}, parts)
    return result


def test_parallel_loops_and_parts_are_phases():
    kernel = schedule(two_phases())
    first, second = phases(kernel.body)
    assert isinstance(first, For)
    assert isinstance(second, Parts)
    assert (extent_of(first), extent_of(second)) == (n, m)
    assert list(kernel_violations(kernel, "turned", "scheduled")) == []


def test_what_is_not_parallel_between_phases_is_one_of_extent_1():
    loop = For("i", m, Store(x, (loop_variable("i", m),), const(0.0, "float32")), "parallel")
    single = Store(x, (0,), const(1.0, "float32"))
    split = phases(Seq((single, single, loop, single, loop, loop, single, single)))
    assert [extent_of(each) for each in split] == [1, m, 1, m, m, 1]
    nothing = Seq(())
    assert [extent_of(each) for each in phases(nothing)] == [1]


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (1, 1), (4, 7)])
def test_any_division_into_parts_gives_the_same(rows, columns, parts):
    values = random_array((columns,))
    result = run(compile_kernel(two_phases()), values, rows, parts)
    np.testing.assert_array_equal(result, np.tile(2 * values[::-1], (rows, 1)))


def _scaled(channels: Dim) -> PrimFunc:
    """``out[i, j, k] = x[i, j, k] * scales[j]``: the loops over k are rows, which stay whole."""
    data = te.placeholder((m, channels, n), name="data")
    scales = te.placeholder((channels,), name="scales")
    made = te.compute((m, channels, n), lambda i, j, k: data[i, j, k] * scales[j], name="out")
    return create_prim_func([data, scales], [made], "scaled")


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("is_known", [False, True])
def test_threads_share_two_loops(is_known, parts):
    c = dims("c")
    kernel = compile_kernel(_scaled(4 if is_known else c))
    assert kernel.extents == (4 * m if is_known else m * dim_max(1, c),)
    others = [] if is_known else [(2, 0, 3), (2, 7, 3)]
    for images, channels, columns in [(0, 4, 3), (1, 4, 9), (3, 4, 0), (3, 4, 5), *others]:
        data, scales = random_array((images, channels, columns)), random_array((channels,))
        result = np.full_like(data, np.nan)
        run_kernel(kernel, [data, scales, result], {"m": images, "n": columns, "c": channels}, parts)
        np.testing.assert_array_equal(result, data * scales[:, None])


def test_rows_of_memory_stay_whole():
    data, scales = te.placeholder((m, n), name="data"), te.placeholder((n,), name="scales")
    made = te.compute((m, n), lambda i, j: data[i, j] * scales[j], name="out")
    assert compile_kernel(create_prim_func([data, scales], [made], "rows")).extents == (m,)


def test_the_compiled_kernel_says_what_each_phase_is():
    compiled = compile_kernel(two_phases())
    assert compiled.extents == (n, m)
    assert compiled.works == (3 * n, m * n * 4)
    assert [each.name for each in compiled.shared] == ["doubled"]
    assert [each.name for each in compiled.scratch] == ["count"]


def test_source():
    check_golden("phases", kernel_source(schedule(two_phases())))


def test_parts_print():
    lines = Lines()
    add_prim_func(lines, two_phases())
    assert "\n".join(lines.text) == (
        "@relax.prim_func\n"
        "def turned(\n"
        '    x: T.Buffer(("n",), "float32"),\n'
        '    out: T.Buffer(("m", "n"), "float32"),\n'
        "    m: T.int64,\n"
        "    n: T.int64\n"
        "):\n"
        "    T.outputs(out)\n"
        '    count = T.alloc_buffer((4,), "float32", scope="scratch")\n'
        '    doubled = T.alloc_buffer((n,), "float32", scope="shared")\n'
        "    for k in T.parallel(n):\n"
        "        doubled[k] = x[k] * T.float32(2.0)\n"
        "    for first, last in T.parts(m):\n"
        "        count[3] = T.float32(0.0)\n"
        "        for i in range(first, last):\n"
        "            for j in range(n):\n"
        "                out[i, j] = doubled[n - j - 1] + count[3]"
    )


def test_parts_for_each_thread_print_and_compare():
    kernel = two_phases()
    (parts,) = (each for each in walk(kernel.body) if isinstance(each, Parts))
    fewer = replace(kernel, body=replace(parts, per_thread=dim_min(m, 2)))
    lines = Lines()
    add_prim_func(lines, fewer)
    assert "    for first, last in T.parts(m, min(m, 2)):" in "\n".join(lines.text)
    assert not structural_equal(fewer, replace(kernel, body=parts))
    assert structural_key(fewer) != structural_key(replace(kernel, body=parts))
    (phase,) = interface_of(fewer).phases
    assert phase.per_thread == dim_min(m, 2)


def test_parts_compare_and_are_walked():
    kernel = two_phases()
    assert structural_equal(kernel, two_phases())
    assert structural_key(kernel) == structural_key(two_phases())
    longer = rewrite_statement(kernel.body, on_dim=lambda dim: dim + 1)
    (parts,) = (each for each in walk(longer) if isinstance(each, Parts))
    assert parts.extent == m + 1


def test_parts_may_only_be_phases():
    inner = Parts("first", "last", m, Store(out, (loop_variable("first", m + 1),), const(0.0, "float32")))
    kernel = PrimFunc("f", (out,), 1, ("m", "n"), For("i", n, inner))
    with pytest.raises(InternalError) as caught:
        kernel_source(kernel)
    assert str(caught.value) == "f: parts of a range stand inside of another statement"


# ------------------------------------------------------------------------------- phases that the schedule makes


def test_a_number_is_kept_for_the_phases_after():
    values = te.placeholder((n,), name="x")
    k = te.reduce_axis(n, "k")
    total = te.compute((), lambda: te.sum(values[k], axis=k), "total")
    share = te.compute((n,), lambda i: values[i] / total[()], "share")
    compiled = compile_kernel(create_prim_func([values], [share], "share"))
    assert compiled.extents == (1, n)
    assert [(each.name, each.shape) for each in compiled.shared] == [("total_kept", (1,))]
    numbers, result = random_array((3000,)) + 1, np.empty(3000, "float32")
    run_kernel(compiled, [numbers, result], {"n": 3000}, parts=3)
    np.testing.assert_allclose(result, numbers / numbers.sum(dtype="float64"), rtol=1e-6)


def test_a_row_is_kept_for_the_phases_after():
    values = te.placeholder((m, n), name="x")
    k = te.reduce_axis(n, "k")
    sums = te.compute((m,), lambda i: te.sum(values[i, k], axis=k), "sums")
    turned = te.compute((m,), lambda i: sums[m - 1 - i] * 2, "turned")
    compiled = compile_kernel(create_prim_func([values], [turned], "turned"))
    assert compiled.extents == (m, m)
    assert [each.name for each in compiled.shared] == ["sums"]
    numbers, result = random_array((5, 8)), np.empty(5, "float32")
    run_kernel(compiled, [numbers, result], {"m": 5, "n": 8}, parts=2)
    np.testing.assert_allclose(result, 2 * numbers.sum(1)[::-1], rtol=1e-5)


def test_a_loop_whose_iterations_write_the_same_element_is_not_shared():
    i = loop_variable("i", m)
    last = Buffer("last", (1,), "float32", "scratch")
    y = Buffer("y", (m,), "float32")

    def loop(body: Stmt) -> For:
        return For("i", m, body, "parallel")

    write, read = Store(last, (0,), Load(y, (i,))), Store(y, (i,), Load(last, (0,)))
    kernel = bind_parallel_range(PrimFunc("f", (y,), 1, ("m",), Seq((loop(write), loop(read))), (last,)))
    assert [extent_of(each) for each in phases(kernel.body)] == [1, m]
    assert [each.scope for each in kernel.scratch] == ["shared"]
    alone = bind_parallel_range(PrimFunc("f", (y,), 1, ("m",), loop(Seq((write, read))), (last,)))
    assert [each.scope for each in alone.scratch] == ["scratch"]


def test_a_register_that_each_phase_assigns_is_local():
    i = loop_variable("i", m)
    register = Buffer("r", (), "float32", "register")
    y = Buffer("y", (m,), "float32")
    body = Seq((Store(register, (), Load(y, (i,))), Store(y, (i,), Load(register, ()))))
    kernel = PrimFunc("f", (y,), 1, ("m",), Seq((For("i", m, body, "parallel"), For("i", m, body, "parallel"))))
    bound = bind_parallel_range(kernel)
    assert [extent_of(each) for each in phases(bound.body)] == [m, m]
    assert bound.scratch == ()
