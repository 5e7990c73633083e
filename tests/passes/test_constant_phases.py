"""Phases that depend on constants only run once, when compiling."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.ir.loops import Buffer, For, PrimFunc, Seq, Store, loop_variable
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels import te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel
from relaxdsl.passes.constant_phases import run_constant_phases
from relaxdsl.runtime.program import CallKernel
from relaxdsl.types.dims import Dim, dim_max, dim_min

m, n, k = relax.dims("m n k")
WEIGHTS = np.random.default_rng(0).uniform(-1, 1, (100, 300)).astype("float32")


@relax.function
def dense(x: relax.Tensor[(m, 100), "float32"], scale: relax.Tensor[(300,), "float32"]):
    return relax.exp(x @ WEIGHTS) * scale


def phases_called(function: object) -> list[int]:
    return [step.phase for step in function._get_compiled().program.body if isinstance(step, CallKernel)]


def test_a_constant_matrix_is_packed_once() -> None:
    assert phases_called(dense) == [1]
    (kernel,) = dense.explain().kernels
    assert "panels made when compiling" in "; ".join(kernel.facts)
    for rows in (0, 1, 5, 33, 200):
        x = np.random.default_rng(rows).uniform(-1, 1, (rows, 100)).astype("float32")
        scale = np.linspace(0, 1, 300, dtype="float32")
        np.testing.assert_allclose(dense(x, scale), np.exp(x @ WEIGHTS) * scale, rtol=2e-5, atol=1e-5)


def test_few_rows_use_what_is_packed_and_a_kernel_without_constants_does_not() -> None:
    (bound,) = dense._get_compiled().kernels
    assert bound.prim_func.attrs["constants"] == (1,)
    assert "contract_float32(m + 1048576 * min(m // 2, 1), " in bound.source

    @relax.function
    def free(x: relax.Tensor[(m, 100), "float32"], w: relax.Tensor[(100, n), "float32"]):
        return x @ w

    (kernel,) = free._get_compiled().kernels
    assert "constants" not in kernel.prim_func.attrs
    assert "1048576" not in kernel.source


def test_threads_share_what_is_packed() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (500, 100)).astype("float32")
    scale = np.ones(300, "float32")
    before = relax.get_num_threads()
    results = []
    for count in (1, 2):
        relax.set_num_threads(count)
        results.append(dense(x, scale))
    relax.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def turned() -> PrimFunc:
    """Phase 0 doubles ``w``, phase 1 reads the result backwards."""
    w, x = te.placeholder((n, k), name="w"), te.placeholder((n,), name="x")
    axis = te.reduce_axis(k, "axis")
    sums = te.compute((n,), lambda i: te.sum(w[i, axis], axis=axis), "sums")
    return create_prim_func([w, x], [te.compute((n,), lambda i: sums[n - 1 - i] + x[i], "out")], "turned")


@pytest.mark.parametrize(
    ("has_array", "sizes", "ran"),
    [
        (True, {"n": 3, "k": 2}, {0}),
        (True, {"n": 3, "k": k}, set()),
        (True, {"n": m, "k": 2}, set()),
        (False, {"n": 3, "k": 2}, set()),
    ],
)
def test_inputs_and_sizes_must_all_be_known(has_array: bool, sizes: dict[str, Dim], ran: set[int]) -> None:
    kernel = compile_kernel(turned())
    w = np.arange(6, dtype="float32").reshape(3, 2)
    done = run_constant_phases(kernel, [w if has_array else None, None, None], sizes)
    assert done.phases == ran
    if ran:
        np.testing.assert_array_equal(done.shared[0], w.sum(1))


def test_a_kernel_of_one_phase_has_none_to_run_before() -> None:
    x = te.placeholder((n,), name="x")
    kernel = compile_kernel(create_prim_func([x], [te.compute((n,), lambda i: x[i] + 1, "out")], "plus"))
    assert run_constant_phases(kernel, [np.zeros(3, "float32"), None], {"n": 3}).phases == frozenset()


def filled(extent: Dim) -> PrimFunc:
    """Phase 0 copies the first ``extent`` elements of ``w``, phase 1 adds one of them to ``m`` elements of ``x``."""
    w, x, out = Buffer("w", (4,), "float32"), Buffer("x", (m,), "float32"), Buffer("out", (m,), "float32")
    kept = Buffer("kept", (4,), "float32", "shared")
    i, j = loop_variable("i", extent), loop_variable("j", m)
    copy = For("i", extent, Store(kept, (i,), Load(w, (i,))), "parallel")
    add = For("j", m, Store(out, (j,), Load(x, (j,)) + Load(kept, (0,))), "parallel")
    return PrimFunc("filled", (w, x, out), 1, ("m",), Seq((copy, add)), (kept,))


@pytest.mark.parametrize(
    ("extent", "ran"), [(4, {0}), (dim_min(m // 17, 1) * 4, {0}), (dim_max(4 - m, 0), set()), (m, set())]
)
def test_a_range_may_depend_on_the_rows_if_most_of_them_need_all(extent: Dim, ran: set[int]) -> None:
    kernel = compile_kernel(filled(extent))
    w = np.arange(4, dtype="float32")
    done = run_constant_phases(kernel, [w, None, None], {"m": m})
    assert done.phases == ran
    if ran:
        np.testing.assert_array_equal(done.shared[0], w)
