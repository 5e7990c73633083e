"""Split, fuse, reorder, parallel, vectorize, unroll: what they make of loops, and what they refuse."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from schedule_kernels import assert_computes, assert_shows, chain, matmul, row_sums, stencil

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.ir.loops import Block, Buffer, For, IterVar, PrimFunc, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Load
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import Dim

m, n = relax.dims("m n")


def double(size: Dim = n) -> PrimFunc:
    x = te.placeholder((size,), "float32", name="x")
    return create_prim_func([x], [te.compute((size,), lambda i: x[i] * 2.0, name="y")], "double")


def update(reads: tuple[int, int]) -> PrimFunc:
    """``y[i, j] = y[i + a, j + b]``, which depends on the order of the loops."""
    y = Buffer("y", (m + 2, n + 2), "float32")
    i, j, vi, vj = (loop_variable(name, size) for name, size in [("i", m), ("j", n), ("vi", m), ("vj", n)])
    store = Store(y, (vi + 1, vj + 1), Load(y, (vi + 1 + reads[0], vj + 1 + reads[1])))
    block = Block("y", (IterVar("vi", m, "spatial", i), IterVar("vj", n, "spatial", j)), store)
    return PrimFunc("update", (y,), 1, ("m", "n"), For("i", m, For("j", n, block)))


def refusal(step) -> str:
    with pytest.raises(relax.ScheduleError) as caught:
        step()
    return str(caught.value)


def assert_refuses(step, message: str) -> None:
    assert refusal(step) == textwrap.dedent(message).strip()


# -------------------------------------------------------------------------------------------------------------- split


def test_split_guards_the_last_tile():
    sch = relax.Schedule(double())
    (i,) = sch.get_loops("y")
    sch.split(i, factors=[None, 4])
    assert_shows(
        sch,
        """
        for i_0, i_1 in T.grid((n + 3) // 4, 4):
            if (4 * i_0 + i_1) < n:
                with T.block("y"):
                    v_i = T.axis.spatial(n, 4 * i_0 + i_1)
                    y[v_i] = x[v_i] * T.float32(2.0)
        """,
    )
    assert_computes(sch.func, lambda x: x * 2)


def test_split_needs_no_guard_where_the_factor_divides():
    sch = relax.Schedule(double(8 * n))
    (i,) = sch.get_loops("y")
    sch.split(i, factors=[2, None, 4])
    assert_shows(
        sch,
        """
        for i_0, i_1, i_2 in T.grid(2, n, 4):
            with T.block("y"):
                v_i = T.axis.spatial(n * 8, 4 * i_0 * n + 4 * i_1 + i_2)
                y[v_i] = x[v_i] * T.float32(2.0)
        """,
    )
    assert_computes(sch.func, lambda x: x * 2)


def test_split_by_a_size():
    sch = relax.Schedule(chain())
    i, _ = sch.get_loops("y")
    sch.split(i, factors=[None, n + 1])
    assert_computes(sch.func, lambda x: np.exp(3 * x))


def split_error(factors) -> None:
    sch = relax.Schedule(double(relax.dims("n", upper=20)))
    sch.split(*sch.get_loops("y"), factors=factors)


LOOP = """
   for i in range(n):  # <-- i
       with T.block("y"):
           v_i, = T.axis.remap("S", [i])
           y[v_i] = x[v_i] * T.float32(2.0)"""


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([4], "split: factors=[4]: give two factors or more, at most one of them None"),
        ([None, None], "split: factors=[None, None]: give two factors or more, at most one of them None"),
        ([None, 0], "split: the factor 0 is less than 1"),
        ([None, n], "split: the factor n is not known to be at least 1"),
        ([None, 2.5], "split: the factor 2.5 is no size"),
        ([None, True], "split: the factor True is no size"),
        ([None, m], "split: the factor m uses m, which is no size of the kernel"),
        (
            [None, 2**63],
            f"split: factors=[None, {2**63}] make {2**63} iterations, beyond int64, in which sizes are computed",
        ),
        ([4, 4], "split: factors=[4, 4] make 16 iterations, i has n"),
    ],
)
def test_split_refuses(factors, message):
    hints = {"i has n": "leave one factor open: None", "n is not known": 'say that it is: n = relax.dims("n", lower=1)'}
    hint = next((f"\n   hint: {hint}" for part, hint in hints.items() if part in message), "")
    assert_refuses(lambda: split_error(factors), message + LOOP + hint)


def test_split_refuses_factors_that_are_no_list():
    message = "split: factors=4 is no list" + LOOP + "\n   hint: one for each new loop: factors=[None, 4]"
    assert_refuses(lambda: split_error(4), message)


def test_factors_of_numpy_are_recorded_as_ints():
    sch = relax.Schedule(double())
    sch.split(*sch.get_loops("y"), factors=[None, np.int64(4)])
    again = relax.Schedule(double())
    relax.Trace.from_json(sch.trace.as_json()).apply_to(again)
    assert str(again) == str(sch)


def test_blocks_are_names_or_references():
    assert_refuses(
        lambda: relax.Schedule(double()).get_loops(None),
        "get_loops: None is no block of a schedule\n   hint: give its name, or take it from sch.get_block(name)",
    )


def test_split_refuses_a_loop_that_has_a_kind():
    sch = relax.Schedule(double())
    (i,) = sch.get_loops("y")
    sch.parallel(i)
    assert_refuses(
        lambda: sch.split(i, factors=[None, 4]),
        "split: i is parallel"
        + LOOP.replace("range", "T.parallel")
        + "\n   hint: split it before you make it parallel",
    )


def test_a_loop_that_was_split_is_no_more():
    sch = relax.Schedule(double())
    (i,) = sch.get_loops("y")
    sch.split(i, factors=[None, 1])
    assert_refuses(
        lambda: sch.split(i, factors=[None, 4]),
        """
        split: there is no loop i (any more)
           for i_0, i_1 in T.grid(n, 1):
               with T.block("y"):
                   v_i = T.axis.spatial(n, i_0 + i_1)
                   y[v_i] = x[v_i] * T.float32(2.0)
           hint: ask for the loops anew: sch.get_loops(block)
        """,
    )


def test_loops_are_no_names():
    sch = relax.Schedule(double())
    assert_refuses(
        lambda: sch.split("i", factors=[None, 4]),
        "split: 'i' is no loop of a schedule\n   hint: take the loops from sch.get_loops(block)",
    )


# --------------------------------------------------------------------------------------------------------------- fuse


def test_fuse():
    sch = relax.Schedule(chain())
    sch.fuse(*sch.get_loops("y"))
    assert_shows(
        sch,
        """
        t = T.alloc_buffer((m, n), "float32", scope="scratch")
        u = T.alloc_buffer((m, n), "float32", scope="scratch")
        for i, j in T.grid(m, n):
            with T.block("t"):
                v_i, v_j = T.axis.remap("SS", [i, j])
                t[v_i, v_j] = x[v_i, v_j] * T.float32(2.0)
        for i_1, j_1 in T.grid(m, n):
            with T.block("u"):
                v_i_1, v_j_1 = T.axis.remap("SS", [i_1, j_1])
                u[v_i_1, v_j_1] = t[v_i_1, v_j_1] + x[v_i_1, v_j_1]
        for i_2_j_2_fused in range(m * n):
            with T.block("y"):
                v_i_2 = T.axis.spatial(m, i_2_j_2_fused // n)
                v_j_2 = T.axis.spatial(n, i_2_j_2_fused % n)
                y[v_i_2, v_j_2] = T.exp(u[v_i_2, v_j_2])
        """,
    )


def test_a_fused_and_split_loop_is_parallel():
    sch = relax.Schedule(matmul())
    i, j, _ = sch.get_loops("c")
    outer, inner = sch.split(sch.fuse(i, j), factors=[None, 4])
    sch.parallel(outer)
    sch.vectorize(inner)
    assert_computes(sch.func, lambda a, b: a @ b)


def test_a_split_loop_fused_with_both_its_neighbours_runs_to_its_end():
    # the tile's condition divides by the loop's variable: it grows by one at first, yet falls at the end of each row
    sch = relax.Schedule(matmul())
    i, j, _ = sch.get_loops("c")
    j_0, j_1 = sch.split(j, factors=[None, 4])
    sch.fuse(sch.fuse(i, j_0), j_1)
    source = kernel_source(schedule(sch.func))
    assert "for i_j_0_fused_j_1_fused in range(m * ((n + 3) // 4) * 4):" in source
    assert_computes(sch.func, lambda a, b: a @ b)


def test_fuse_refuses_loops_that_are_not_nested_directly():
    sch = relax.Schedule(matmul())
    i, _, k = sch.get_loops("c")
    message = """
    fuse: k does not stand directly inside of i
       for i, j, k in T.grid(m, n, p):  # <-- i, k
           with T.block("c"):
               v_i, v_j, v_k = T.axis.remap("SSR", [i, j, k])
               with T.init():
                   c[v_i, v_j] = T.float32(0.0)
               c[v_i, v_j] = c[v_i, v_j] + (a[v_i, v_k] * b[v_k, v_j])
    """
    assert_refuses(lambda: sch.fuse(i, k), message)


def test_fuse_refuses_a_reduction_with_what_is_none():
    sch = relax.Schedule(row_sums())
    message = """
    fuse: k runs over a reduction, i does not
       for i, k in T.grid(m, n):  # <-- i, k
           with T.block("s"):
               v_i, v_k = T.axis.remap("SR", [i, k])
               with T.init():
                   s[v_i] = T.float32(0.0)
               s[v_i] = s[v_i] + x[v_i, v_k]
    """
    assert_refuses(lambda: sch.fuse(*sch.get_loops("s")), message)


@relax.prim_func
def repeated_sums(x: T.Buffer[("m", "n"), "float32"], s: T.Buffer[("m",), "float32"]):
    T.outputs(s)
    for i, _again, k in T.grid(m, 2, n):
        with T.block("s"):
            v_i, v_k = T.axis.remap("SR", [i, k])
            with T.init():
                s[v_i] = T.float32(0.0)
            s[v_i] = s[v_i] + x[v_i, v_k]


REPEATED_SUMS = """
   for i, _again, k in T.grid(m, 2, n):  # <-- MARKED
       with T.block("s"):BLOCK
           v_i, v_k = T.axis.remap("SR", [i, k])
           with T.init():
               s[v_i] = T.float32(0.0)
           s[v_i] = s[v_i] + x[v_i, v_k]"""


def test_fuse_refuses_a_loop_that_starts_a_reduction_again():
    sch = relax.Schedule(repeated_sums)
    _, again, k = sch.get_loops("s")
    shown_loops = REPEATED_SUMS.replace("MARKED", "_again, k").replace("BLOCK", "")
    assert_refuses(lambda: sch.fuse(again, k), "fuse: k runs over a reduction, _again does not" + shown_loops)


def test_reorder_refuses_a_loop_that_starts_a_reduction_again():
    sch = relax.Schedule(repeated_sums)
    _, again, k = sch.get_loops("s")
    headline = "reorder: block s starts its reduction again in each iteration of _again"
    shown_loops = REPEATED_SUMS.replace("MARKED", "_again").replace("BLOCK", "  # <-- s")
    hint = "\n   hint: _again has to stay on its side of the reduction"
    assert_refuses(lambda: sch.reorder(k, again), headline + shown_loops + hint)


def test_reorder_refuses_a_loop_of_one_iteration_on_which_a_reduction_depends():
    sch = relax.Schedule(repeated_sums)
    _, again, k = sch.get_loops("s")
    again_0, _ = sch.split(again, factors=[None, 4])
    _, _, again_1, k = sch.get_loops("s")
    sch.reorder(again_1, again_0)
    message = """
    reorder: block s starts its reduction again in each iteration of _again_0
       for i, _again_1, _again_0, k in T.grid(m, 4, 1, n):  # <-- _again_0
           if (4 * _again_0 + _again_1) < T.int64(2):
               with T.block("s"):  # <-- s
                   v_i, v_k = T.axis.remap("SR", [i, k])
                   with T.init():
                       s[v_i] = T.float32(0.0)
                   s[v_i] = s[v_i] + x[v_i, v_k]
       hint: _again_0 has to stay on its side of the reduction
    """
    assert_refuses(lambda: sch.reorder(k, again_0), message)


def test_reorder_of_a_fused_tile_out_of_a_reduction():
    sch = relax.Schedule(matmul())
    i, j, k = sch.get_loops("c")
    j_0, j_1 = sch.split(j, factors=[None, 4])
    sch.reorder(k, sch.fuse(i, j_0), j_1)
    assert_computes(sch.func, lambda a, b: a @ b)


def test_fuse_refuses_one_loop_and_loops_with_ranges_that_depend_on_others():
    i, j = loop_variable("i", n), loop_variable("j", n)
    y = Buffer("y", (n, n), "float32")
    x = Buffer("x", (n, n), "float32")
    func = PrimFunc("triangle", (x, y), 1, ("n",), For("i", n, For("j", i + 1, Store(y, (i, j), Load(x, (i, j))))))
    block = Block("y", (), Store(y, (0, 0), Load(x, (0, 0))))
    func = PrimFunc("triangle", (x, y), 1, ("n",), For("i", n, For("j", i + 1, block)))
    sch = relax.Schedule(func)
    outer, inner = sch.get_loops("y")
    shown = """
   for i in range(n):{0}
       for j in range(i + 1):{1}
           with T.block("y"):
               y[0, 0] = x[0, 0]"""
    assert_refuses(lambda: sch.fuse(outer), "fuse: give two loops or more" + shown.format("  # <-- i", ""))
    both = shown.format("  # <-- i", "  # <-- j")
    assert_refuses(lambda: sch.fuse(outer, inner), "fuse: the range of j depends on i" + both)
    assert_refuses(lambda: sch.reorder(inner, outer), "reorder: the range of j depends on i" + both)
    assert_refuses(
        lambda: sch.reorder(inner), "reorder: give two different loops or more" + shown.format("", "  # <-- j")
    )


# ------------------------------------------------------------------------------------------------------------ reorder


def test_reorder_tiles_a_matmul():
    sch = relax.Schedule(matmul())
    i, j, k = sch.get_loops("c")
    j_0, j_1 = sch.split(j, factors=[None, 8])
    sch.reorder(j_0, k, i, j_1)
    assert_shows(
        sch,
        """
        for j_0, k, i, j_1 in T.grid((n + 7) // 8, p, m, 8):
            if (8 * j_0 + j_1) < n:
                with T.block("c"):
                    v_i = T.axis.spatial(m, i)
                    v_j = T.axis.spatial(n, 8 * j_0 + j_1)
                    v_k = T.axis.reduce(p, k)
                    with T.init():
                        c[v_i, v_j] = T.float32(0.0)
                    c[v_i, v_j] = c[v_i, v_j] + (a[v_i, v_k] * b[v_k, v_j])
        """,
    )
    assert_computes(sch.func, lambda a, b: a @ b)


def test_reorder_refuses_loops_of_two_nests():
    sch = relax.Schedule(chain())
    i, _ = sch.get_loops("t")
    _, j_1 = sch.get_loops("u")
    message = """
    reorder: i is not around j_1
       for i, j in T.grid(m, n):  # <-- i
           with T.block("t"):
               v_i, v_j = T.axis.remap("SS", [i, j])
               t[v_i, v_j] = x[v_i, v_j] * T.float32(2.0)
       for i_1, j_1 in T.grid(m, n):  # <-- j_1
           with T.block("u"):
               v_i_1, v_j_1 = T.axis.remap("SS", [i_1, j_1])
               u[v_i_1, v_j_1] = t[v_i_1, v_j_1] + x[v_i_1, v_j_1]
    """
    assert_refuses(lambda: sch.reorder(j_1, i), message)


UPDATE = """
   for i, j in T.grid(m, n):  # <-- i, j
       with T.block("y"):
           vi, vj = T.axis.remap("SS", [i, j])
           y[vi + 1, vj + 1] = y[{0}]"""


def test_reorder_refuses_to_cross_a_dependence():
    sch = relax.Schedule(update((-1, 1)))
    i, j = sch.get_loops("y")
    assert_refuses(
        lambda: sch.reorder(j, i),
        "reorder: in the order j, i an element of y may be read before it is written\n"
        "   for m = 2, n = 2:\n"
        "      i = 0, j = 1: block y writes y[vi + 1, vj + 1], that is y[1, 2]\n"
        "      i = 1, j = 0: block y reads y[vi, vj + 2], that is y[1, 2]" + UPDATE.format("vi, vj + 2")
        + "\n   hint: now it is written first, in an earlier iteration",
    )


@pytest.mark.parametrize("reads", [(-1, -1), (-1, 0), (0, -1), (1, 1)])
def test_reorder_keeps_dependences_that_point_the_same_way(reads):
    sch = relax.Schedule(update(reads))
    i, j = sch.get_loops("y")
    sch.reorder(j, i)


def test_reorder_refuses_what_stands_beside_other_statements():
    sch = relax.Schedule(row_sums())
    i, k = sch.get_loops("s")
    sch.decompose_reduction("s", k)
    message = """
    reorder: k does not stand directly inside of i
       for i in range(m):  # <-- i
           with T.block("s_init"):
               v_i_init, = T.axis.remap("S", [i])
               s[v_i_init] = T.float32(0.0)
           for k in range(n):  # <-- k
               with T.block("s"):
                   v_i, v_k = T.axis.remap("SR", [i, k])
                   s[v_i] = s[v_i] + x[v_i, v_k]
    """
    assert_refuses(lambda: sch.reorder(k, i), message)


# -------------------------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize("step", ["parallel", "vectorize"])
def test_a_reduction_has_no_independent_iterations(step):
    sch = relax.Schedule(row_sums())
    _, k = sch.get_loops("s")
    message = f"""
    {step}: k runs over the reduction of block s
       for i, k in T.grid(m, n):  # <-- k
           with T.block("s"):
               v_i, v_k = T.axis.remap("SR", [i, k])
               with T.init():
                   s[v_i] = T.float32(0.0)
               s[v_i] = s[v_i] + x[v_i, v_k]
       hint: split it and use rfactor, which gives the parts of the reduction results of their own
    """
    assert_refuses(lambda: getattr(sch, step)(k), message)


def running_sums(kinds: str) -> relax.Schedule:
    @relax.prim_func
    def sums(x: T.Buffer((m, n), "float32"), y: T.Buffer((m, n), "float32")):
        for i, j in T.grid(m, n):
            with T.block("y"):
                vi, vj = T.axis.remap(kinds, [i, j])
                y[vi, vj] = x[vi, vj] + (y[vi, vj - 1] if vj >= 1 else 0)

    return relax.Schedule(sums)


RUNNING_SUMS = """
{step}: {loop} runs over the reduction of block y
   for i, j in T.grid(m, n):  # <-- {loop}
       with T.block("y"):
           vi, vj = T.axis.remap("RR", [i, j])
           y[vi, vj] = x[vi, vj] + T.if_then_else(vj >= T.int64(1), y[vi, vj - 1], T.float32(0.0))
"""


@pytest.mark.parametrize("step", ["parallel", "vectorize"])
def test_an_axis_whose_steps_have_elements_of_their_own_is_to_be_declared_spatial(step):
    sch = running_sums("RR")
    i, _ = sch.get_loops("y")
    hint = '   hint: no two iterations touch the same element written: declare vi spatial in the kernel, as "S"'
    assert_refuses(lambda: getattr(sch, step)(i), RUNNING_SUMS.format(step=step, loop="i") + hint)
    followed = running_sums("SR")
    i, _ = followed.get_loops("y")
    getattr(followed, step)(i)


def test_steps_that_need_one_another_get_no_hint():
    sch = running_sums("RR")
    _, j = sch.get_loops("y")
    assert_refuses(lambda: sch.parallel(j), RUNNING_SUMS.format(step="parallel", loop="j"))


def test_rfactor_is_no_hint_where_the_result_is_read_in_the_same_loops():
    sch = relax.Schedule(matmul())
    i, _, k = sch.get_loops("c")
    sch.reverse_compute_at(sch.cache_write("c", "c"), i)
    message = """
    parallel: k runs over the reduction of block c
       for i in range(m):
           for j, k in T.grid(n, p):  # <-- k
               with T.block("c"):
                   v_i, v_j, v_k = T.axis.remap("SSR", [i, j, k])
                   with T.init():
                       c_cache[v_i, v_j] = T.float32(0.0)
                   c_cache[v_i, v_j] = c_cache[v_i, v_j] + (a[v_i, v_k] * b[v_k, v_j])
           for ax2 in range(n):
               with T.block("c_copy"):
                   v_ax0, v_ax1 = T.axis.remap("SS", [i, ax2])
                   c[v_ax0, v_ax1] = c_cache[v_ax0, v_ax1]
    """
    assert_refuses(lambda: sch.parallel(k), message)


def test_parallel_refuses_iterations_that_depend_on_one_another():
    sch = relax.Schedule(update((0, -1)))
    i, j = sch.get_loops("y")
    assert_refuses(
        lambda: sch.parallel(j),
        "parallel: two iterations of j may write and read the same element of y\n"
        "   for m = 1, n = 2:\n"
        "      i = 0, j = 0: block y writes y[vi + 1, vj + 1], that is y[1, 1]\n"
        "      i = 0, j = 1: block y reads y[vi + 1, vj], that is y[1, 1]"
        + UPDATE.format("vi + 1, vj").replace("<-- i, j", "<-- j"),
    )
    sch.parallel(i)


def test_reorder_refuses_what_would_make_a_parallel_loop_wrong():
    sch = relax.Schedule(update((-1, -1)))
    i, j = sch.get_loops("y")
    sch.parallel(j)
    message = """
    reorder: two iterations of j may write and read the same element of y
       for m = 2, n = 2:
          j = 0, i = 0: block y writes y[vi + 1, vj + 1], that is y[1, 1]
          j = 1, i = 1: block y reads y[vi, vj], that is y[1, 1]
       for j in T.parallel(n):  # <-- j
           for i in range(m):
               with T.block("y"):
                   vi, vj = T.axis.remap("SS", [i, j])
                   y[vi + 1, vj + 1] = y[vi, vj]
    """
    assert_refuses(lambda: sch.reorder(j, i), message)


def test_parallel_refuses_iterations_that_write_the_same():
    y = Buffer("y", (n,), "float32")
    x = Buffer("x", (n,), "float32")
    i, v = loop_variable("i", n), loop_variable("v", n)
    block: Stmt = Block("y", (IterVar("v", n, "spatial", i // 2),), Store(y, (v,), Load(x, (v,))))
    sch = relax.Schedule(PrimFunc("pairs", (x, y), 1, ("n",), For("i", n, block)))
    message = """
    parallel: two iterations of i may write the same element of y
       for n = 2:
          i = 0: block y writes y[v], that is y[0]
          i = 1: block y writes y[v], that is y[0]
       for i in range(n):  # <-- i
           with T.block("y"):
               v = T.axis.spatial(n, i // 2)
               y[v] = x[v]
    """
    assert_refuses(lambda: sch.parallel(*sch.get_loops("y")), message)


def test_parallel_refuses_scratch_that_is_not_filled_without_gaps():
    @relax.prim_func
    def gaps(x: T.Buffer[(6,), "float32"], y: T.Buffer[("m", 7), "float32"]):
        T.outputs(y)
        t = T.alloc_buffer((7,), "float32", scope="scratch")
        for r in range(m):
            for i in range(6):
                with T.block("t"):
                    v_i = T.axis.spatial(6, i)
                    t[v_i + v_i // 3] = x[v_i]  # all but the element 3
            if r < 1:
                with T.block("first"):
                    t[3] = x[0]
            for j in range(7):
                with T.block("y"):
                    v_r, v_j = T.axis.remap("SS", [r, j])
                    y[v_r, v_j] = t[v_j]

    sch = relax.Schedule(gaps)
    r, _ = sch.get_loops("y")
    message = """
parallel: two iterations of r may write the same element of t
   for m = 2:
      r = 0, i = 0: block t writes t[v_i + v_i // 3], that is t[0]
      r = 1, i = 0: block t writes t[v_i + v_i // 3], that is t[0]
   for r in range(m):  # <-- r
       for i in range(6):
           with T.block("t"):
               v_i, = T.axis.remap("S", [i])
               t[v_i + v_i // 3] = x[v_i]
       if r < T.int64(1):
           with T.block("first"):
               t[3] = x[0]
       for j in range(7):
           with T.block("y"):
               v_r, v_j = T.axis.remap("SS", [r, j])
               y[v_r, v_j] = t[v_j]"""
    assert_refuses(lambda: sch.parallel(r), message)


def test_unroll_writes_a_loop_out():
    sch = relax.Schedule(stencil())
    _, r = sch.get_loops("y")
    sch.unroll(r)
    assert "for r in T.unroll(3):" in str(sch)
    assert_computes(sch.func, lambda x: 3 * (x[:-2] + x[1:-1] + x[2:]))


def test_unroll_refuses_what_is_no_number():
    sch = relax.Schedule(double())
    (i,) = sch.get_loops("y")
    hint = "\n   hint: split it first: sch.split(i, factors=[None, 4])"
    assert_refuses(lambda: sch.unroll(i), "unroll: i runs n times, which is no number" + LOOP + hint)


def test_unroll_refuses_what_is_too_long():
    sch = relax.Schedule(double(100_000))
    (i,) = sch.get_loops("y")
    i_0, i_1 = sch.split(i, factors=[None, 1000])
    sch.unroll(i_1)
    loops = """
   for i_0 in range(100):  # <-- i_0
       for i_1 in T.unroll(1000):
           with T.block("y"):
               v_i = T.axis.spatial(100000, 1000 * i_0 + i_1)
               y[v_i] = x[v_i] * T.float32(2.0)"""
    message = "unroll: 100,000 steps would be written out, of 1,000 at most"
    hint = "\n   hint: unroll a part of it: sch.split(i_0, factors=[None, 4])"
    assert_refuses(lambda: sch.unroll(i_0), message + loops + hint)


KINDS = {
    "parallel": ("parallel", "T.parallel"),
    "vectorize": ("vectorized", "T.vectorized"),
    "unroll": ("unrolled", "T.unroll"),
}


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_a_loop_runs_in_one_way(first: str, second: str) -> None:
    sch = relax.Schedule(double(4))
    (i,) = sch.get_loops("y")
    getattr(sch, first)(i)
    before = str(sch)
    if first == second:
        getattr(sch, second)(i)
        assert str(sch) == before
        return
    (kind, written), (other, _) = KINDS[first], KINDS[second]
    message = f"""
    {second}: i is {kind} already
       for i in {written}(4):  # <-- i
           with T.block("y"):
               v_i, = T.axis.remap("S", [i])
               y[v_i] = x[v_i] * T.float32(2.0)
       hint: split it while it is serial; then one part can be {kind} and the other {other}
    """
    assert_refuses(lambda: getattr(sch, second)(i), message)
    assert str(sch) == before


def test_a_block_with_unrolled_steps_is_not_moved_into_many():
    @relax.prim_func
    def kernel(x: T.Buffer((100, 100), "float32"), y: T.Buffer((100, 100), "float32")):
        t = T.alloc_buffer((100, 100), "float32")
        for i in range(100):
            for j in range(100):
                with T.block("t"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    t[vi, vj] = x[vi, vj] * 2.0
        for i in range(100):
            with T.block("y"):
                vi = T.axis.spatial(100, i)
                for j in T.unroll(100):
                    y[vi, j] = t[vi, j] + 1.0

    sch = relax.Schedule(kernel)
    i, _ = sch.get_loops("t")
    sch.unroll(i)
    loops = """
   for i in T.unroll(100):  # <-- i
       for j in range(100):
           with T.block("t"):
               vi, vj = T.axis.remap("SS", [i, j])
               t[vi, vj] = x[vi, vj] * T.float32(2.0)
       with T.block("y"):
           vi1, = T.axis.remap("S", [i])
           for j1 in T.unroll(100):
               y[vi1, j1] = t[vi1, j1] + T.float32(1.0)"""
    message = "reverse_compute_at: 10,000 steps would be written out, of 1,000 at most"
    hint = "\n   hint: unroll a part of it: sch.split(i, factors=[None, 4])"
    assert_refuses(lambda: sch.reverse_compute_at("y", i), message + loops + hint)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bind", "a schedule has no step 'bind': kernels run on CPUs: sch.parallel(loop)"),
        ("vectorise", "a schedule has no step 'vectorise': write vectorize"),
        ("paralel", "a schedule has no step 'paralel'"),
    ],
)
def test_steps_that_there_are_not(name, message):
    with pytest.raises(AttributeError) as caught:
        getattr(relax.Schedule(double()), name)
    assert str(caught.value) == message
