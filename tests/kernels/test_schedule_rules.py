"""Each rule of the default schedule: what it makes of small loops, and when it must leave them alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kernel_programs import random_array

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, IterVar, PrimFunc, Seq, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Apply, IndexValue, Load, ScalarExpr, Select, binary, const, unary
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.columns import block_columns
from relaxdsl.kernels.schedule.contiguous import fuse_contiguous_loops
from relaxdsl.kernels.schedule.decompose import decompose_reductions
from relaxdsl.kernels.schedule.initial_values import set_initial_values
from relaxdsl.kernels.schedule.inline import inline_stages
from relaxdsl.kernels.schedule.interleave import interleave_loops
from relaxdsl.kernels.schedule.merge import merge_loops
from relaxdsl.kernels.schedule.parallel import bind_parallel_range, extent_of, phases
from relaxdsl.kernels.schedule.shrink import shrink_scratch
from relaxdsl.kernels.schedule.single import drop_single_loops
from relaxdsl.kernels.simplify import simplify_dim, simplify_indices
from relaxdsl.kernels.source import kernel_source
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.types.dims import Dim, SymInt, dim_min, dims, symbol

m, n = dims("m n")
x = Buffer("x", (m, n), "float32")
out = Buffer("out", (m, n), "float32")
row = Buffer("row", (m,), "float32", "scratch")
t = Buffer("t", (m, n), "float32", "scratch")


def func(*body: Stmt, scratch: tuple[Buffer, ...] = (), params: tuple[Buffer, ...] = (x, out)) -> PrimFunc:
    return PrimFunc("f", params, 1, ("m", "n"), body[0] if len(body) == 1 else Seq(body), scratch)


def loop(name: str, extent: Dim, body: Callable[[SymInt], Stmt], kind: str = "parallel") -> For:
    return For(name, extent, body(loop_variable(name, extent)), kind)


def exp(value: ScalarExpr) -> ScalarExpr:
    return unary("exp", value)


def assert_becomes(rule: Callable[[PrimFunc], PrimFunc], before: PrimFunc, after: PrimFunc) -> None:
    assert structural_key(rule(before)) == structural_key(after)


def assert_unchanged(rule: Callable[[PrimFunc], PrimFunc], prim_func: PrimFunc) -> None:
    assert_becomes(rule, prim_func, prim_func)


# ---------------------------------------------------------------------------- merge


def two_rows(shift: int = 0) -> PrimFunc:
    return func(
        loop("i", m, lambda i: Store(row, (i,), Load(x, (i, 0)))),
        loop("k", m, lambda k: loop("j", n, lambda j: Store(out, (k, j), exp(Load(row, (k + shift,)))))),
        scratch=(row,),
    )


def test_loops_merge_where_each_iteration_needs_only_its_own():
    merged = loop(
        "i",
        m,
        lambda i: Seq(
            (Store(row, (i,), Load(x, (i, 0))), loop("j", n, lambda j: Store(out, (i, j), exp(Load(row, (i,))))))
        ),
    )
    assert_becomes(merge_loops, two_rows(), func(merged, scratch=(row,)))


def test_loops_do_not_merge_across_iterations():
    assert_unchanged(merge_loops, two_rows(shift=1))


def test_loops_of_other_extents_do_not_merge():
    body = func(
        loop("i", m, lambda i: Store(row, (i,), const(1.0, "float32"))),
        loop("j", n, lambda j: Store(out, (0, j), const(1.0, "float32"))),
        scratch=(row,),
    )
    assert_unchanged(merge_loops, body)


def test_a_statement_between_loops_moves_out_of_the_way():
    total = Buffer("total", (), "float32", "register")
    fill = loop("j", n, lambda j: Store(out, (0, j), const(2.0, "float32")))
    start = Store(total, (), const(0.0, "float32"))
    add = loop("k", n, lambda k: Store(total, (), Load(total, ()) + Load(out, (0, k))), "serial")
    both = loop(
        "j",
        n,
        lambda j: Seq(
            (Store(out, (0, j), const(2.0, "float32")), Store(total, (), Load(total, ()) + Load(out, (0, j))))
        ),
        "serial",
    )
    assert_becomes(merge_loops, func(fill, start, add), func(start, both))


def test_a_statement_between_loops_that_needs_both_keeps_them_apart():
    total = Buffer("total", (), "float32", "register")
    assert_unchanged(
        merge_loops,
        func(
            loop("j", n, lambda j: Store(out, (0, j), const(2.0, "float32"))),
            Store(total, (), Load(out, (0, 0))),
            loop("k", n, lambda k: Store(out, (1, k), Load(total, ())), "serial"),
        ),
    )


# ---------------------------------------------------------------------------- shrink


def test_scratch_along_a_common_loop_shrinks_to_a_row_and_a_register():
    value = Buffer("row", (), "float32", "register")
    line = Buffer("t", (n,), "float32", "scratch")

    def body(i: SymInt, peak: Callable[..., tuple[Buffer, tuple]], work: Callable[..., tuple[Buffer, tuple]]) -> Stmt:
        return Seq(
            (
                Store(*peak(i), Load(x, (i, 0))),
                loop("j", n, lambda j: Store(*work(i, j), exp(Load(*peak(i))))),
                loop("k", n, lambda k: Store(out, (i, k), Load(*work(i, n - 1 - k)))),
            )
        )

    before = func(loop("i", m, lambda i: body(i, lambda i: (row, (i,)), lambda i, j: (t, (i, j)))), scratch=(row, t))
    after = func(loop("i", m, lambda i: body(i, lambda i: (value, ()), lambda i, j: (line, (j,)))), scratch=(line,))
    assert_becomes(shrink_scratch, before, after)


def test_scratch_read_outside_of_the_loop_that_fills_it_stays():
    assert_unchanged(shrink_scratch, two_rows())


def test_scratch_that_may_be_read_before_it_is_written_is_no_register():
    cell = Buffer("cell", (), "float32", "scratch")
    body = loop("i", m, lambda i: Store(cell, (), Load(cell, ()) + Load(x, (i, 0))), "serial")
    assert_unchanged(shrink_scratch, func(body, scratch=(cell,)))


# ---------------------------------------------------------------------------- contiguous

flat_x = Buffer("x", (m * n,), "float32")
flat_out = Buffer("out", (m * n,), "float32")


def flat_nest(index: Callable[[SymInt, SymInt], Dim], inner: str = "parallel") -> PrimFunc:
    body = loop(
        "i", m, lambda i: loop("j", n, lambda j: Store(flat_out, (i * n + j,), Load(flat_x, (index(i, j),))), inner)
    )
    return func(body, params=(flat_x, flat_out))


def test_contiguous_loops_fuse():
    flat = loop("f", m * n, lambda f: Store(flat_out, (f,), Load(flat_x, (f,))))
    assert_becomes(fuse_contiguous_loops, flat_nest(lambda i, j: i * n + j), func(flat, params=(flat_x, flat_out)))


@pytest.mark.parametrize(
    "index", [lambda i, j: j * m + i, lambda i, j: j, lambda i, j: i * n, lambda i, j: i * n + j + i]
)
def test_other_accesses_keep_loops_apart(index):
    assert_unchanged(fuse_contiguous_loops, flat_nest(index))


def test_loops_of_two_kinds_do_not_fuse():
    assert_unchanged(fuse_contiguous_loops, flat_nest(lambda i, j: i * n + j, inner="serial"))


def test_a_loop_of_one_iteration_disappears():
    one = loop("i", 1, lambda i: Store(flat_out, (i + 2,), Load(flat_x, (i,))))
    assert_becomes(drop_single_loops, func(one), func(Store(flat_out, (2,), Load(flat_x, (0,)))))


# ---------------------------------------------------------------------------- inline


def stage(buffer: Buffer, names: str, value: Callable[..., ScalarExpr]) -> Stmt:
    """A nest with one block that fills ``buffer``."""
    axes = [(name, extent, loop_variable(f"v{name}", extent)) for name, extent in zip(names, buffer.shape, strict=True)]
    iters = tuple(IterVar(f"v{name}", extent, "spatial", loop_variable(name, extent)) for name, extent, _ in axes)
    variables = tuple(variable for *_, variable in axes)
    nest: Stmt = Block(buffer.name, iters, Store(buffer, variables, value(*variables)))
    for name, extent, _ in reversed(axes):
        nest = For(name, extent, nest)
    return nest


def test_a_stage_read_once_an_element_is_inlined():
    turned = Buffer("turned", (n, m), "float32", "scratch")
    before = func(
        stage(turned, "ab", lambda a, b: exp(Load(x, (b, a)))),
        stage(out, "ij", lambda i, j: Load(turned, (j, i)) + 1.0),
        scratch=(turned,),
    )
    assert_becomes(inline_stages, before, func(stage(out, "ij", lambda i, j: exp(Load(x, (i, j))) + 1.0)))


def test_a_stage_that_moves_data_is_inlined_everywhere():
    before = func(
        stage(row, "a", lambda a: Load(x, (a, 0))),
        stage(out, "ij", lambda i, j: Load(row, (i,)) * Load(row, (m - 1 - i,))),
        scratch=(row,),
    )
    after = func(stage(out, "ij", lambda i, j: Load(x, (i, 0)) * Load(x, (m - 1 - i, 0))))
    assert_becomes(inline_stages, before, after)


@pytest.mark.parametrize("index", [lambda i, j: (i,), lambda i, j: (m - 1 - i,)])
def test_an_expensive_stage_read_many_times_stays(index):
    assert_unchanged(
        inline_stages,
        func(
            stage(row, "a", lambda a: exp(Load(x, (a, 0)))),
            stage(out, "ij", lambda i, j: Load(row, index(i, j))),
            scratch=(row,),
        ),
    )


def test_a_stage_whose_input_changes_before_it_is_read_stays():
    assert_unchanged(
        inline_stages,
        func(
            stage(t, "ab", lambda a, b: Load(out, (a, b))),
            stage(out, "cd", lambda c, d: const(0.0, "float32")),
            stage(out, "ij", lambda i, j: Load(t, (i, j))),
            scratch=(t,),
        ),
    )


@pytest.mark.parametrize("kind", ["reduce", "spatial"])
def test_a_stage_that_reads_what_it_wrote_before_stays(kind):
    k, v = loop_variable("k", m), loop_variable("v", m)
    before = Select(Apply("less", (const(0, "int64"), IndexValue(v)), "bool"), Load(row, (v - 1,)), const(0, "float32"))
    scan = Block("scan", (IterVar("v", m, kind, k),), Store(row, (v,), before + Load(x, (v, 0))))
    assert_unchanged(
        inline_stages,
        func(For("k", m, scan), stage(out, "ij", lambda i, j: Load(row, (i,)) + 1.0), scratch=(row,)),
    )


def test_chains_of_stages_do_not_grow_without_bound():
    chain = [Buffer(f"t{number}", (m, n), "float32", "scratch") for number in range(200)]
    pairs = zip([x, *chain], [*chain, out], strict=True)
    stages = [stage(new, "ij", lambda i, j, old=old: Load(old, (i, j)) * 1.5 + 0.5) for old, new in pairs]
    inlined = inline_stages(func(*stages, scratch=tuple(chain)))
    assert 3 < len(inlined.body.body) < 50
    assert len(inlined.scratch) == len(inlined.body.body) - 1


# ---------------------------------------------------------------------------- decompose, parallel, source


def test_a_block_in_any_loops_starts_its_reduction_before_the_first_of_them():
    total = Buffer("total", (m,), "float32")
    two = loop_variable("b", 2)
    k = loop_variable("a", n) * 2 + two
    values = Buffer("values", (m, n * 2), "float32")
    vi, vk = loop_variable("vi", m), loop_variable("vk", n * 2)
    block = Block(
        "total",
        (IterVar("vi", m, "spatial", loop_variable("i", m)), IterVar("vk", n * 2, "reduce", k)),
        Store(total, (vi,), Load(total, (vi,)) + Load(values, (vi, vk))),
        Store(total, (vi,), const(0.0, "float32")),
    )
    body = For("i", m, For("a", n, For("b", 2, block)))
    prim_func = PrimFunc("split", (values, total), 1, ("m", "n"), body)
    lowered = decompose_reductions(set_initial_values(prim_func)).body
    assert [type(each) for each in lowered.body.body] == [Store, For]
    array, result = random_array((3, 8)), np.empty(3, "float32")
    run_kernel(compile_kernel(prim_func), [array, result], {"m": 3, "n": 4})
    np.testing.assert_allclose(result, array.sum(1), rtol=1e-5, atol=1e-6)


def test_only_the_outermost_loop_of_a_phase_is_parallel():
    single = bind_parallel_range(flat_nest(lambda i, j: j))
    assert (single.body.kind, single.body.body.kind) == ("parallel", "serial")
    both = bind_parallel_range(func(Seq((single.body, single.body))))
    assert [extent_of(each) for each in phases(both.body)] == [m, m]


def test_source_of_a_block_is_an_internal_error():
    with pytest.raises(InternalError) as caught:
        kernel_source(func(stage(out, "ij", lambda i, j: const(0.0, "float32"))))
    assert str(caught.value) == "f: the block out is still in a scheduled kernel"


def test_names_in_the_source_avoid_each_other_and_python():
    odd = Buffer("lambda", (m,), "float32")
    same = Buffer("exp", (m,), "float32")
    body = For(
        "args", m, Store(same, (loop_variable("args", m),), exp(Load(odd, (loop_variable("args", m),)))), "parallel"
    )
    source = kernel_source(PrimFunc("range", (odd, same), 1, ("m",), body))
    assert source == (
        "def range_1(args, lo, hi):\n"
        "    lambda_1 = float32_buffer(args, 0)\n"
        "    exp_1 = float32_buffer(args, 1)\n"
        "    m = args[2]\n"
        "    for args_1 in range(lo, hi):\n"
        "        exp_1[args_1] = exp(lambda_1[args_1])\n"
    )


def test_branches_are_printed():
    i = loop_variable("i", m)
    branch = IfThenElse(
        Apply("less", (IndexValue(i * 2), IndexValue(n)), "bool"),
        Store(flat_out, (i,), const(1.0, "float32")),
        Store(flat_out, (i,), const(2.0, "float32")),
    )
    lines = kernel_source(func(For("i", m, branch), params=(flat_out,))).splitlines()
    assert [line.strip() for line in lines[4:]] == [
        "for i in range(m):",
        "if i * 2 < n:",
        "out[i] = float32(1.0)",
        "else:",
        "out[i] = float32(2.0)",
    ]
    again = replace(branch, condition=Apply("less", (IndexValue(i), IndexValue(n)), "bool"), else_body=branch)
    lines = kernel_source(func(For("i", m, again), params=(flat_out,))).splitlines()
    assert [line.strip() for line in lines[5:-3]] == ["if i < n:", "out[i] = float32(1.0)", "elif i * 2 < n:"]


# ---------------------------------------------------------------------------- simplify


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (lambda i, j: (i * n + j) // n, lambda i, j: i),
        (lambda i, j: (i * n + j) % n, lambda i, j: j),
        (lambda i, j: dim_min(i + 1, m), lambda i, j: i + 1),
        (lambda i, j: (i * n * 4 + j) // (n * 4), lambda i, j: i),
        (lambda i, j: (i + j) // n, lambda i, j: (i + j) // n),
    ],
)
def test_dims_are_simplified_by_the_ranges_of_loops(dim, expected):
    i, j = symbol("i"), symbol("j")
    assert simplify_dim(dim(i, j), {"i": (0, m - 1), "j": (0, n - 1)}) == expected(i, j)


def guarded(condition: Callable[[SymInt], ScalarExpr]) -> PrimFunc:
    body = lambda i: Store(row, (i,), Select(condition(i), Load(x, (i, 0)), const(0.0, "float32")))  # noqa: E731
    return func(loop("i", m, body))


def compare(function: str, left: Dim, right: Dim) -> ScalarExpr:
    return binary(function, IndexValue(left), IndexValue(right))


@pytest.mark.parametrize(
    "condition",
    [
        lambda i: compare("less", i, m),
        lambda i: compare("less_equal", i, m),
        lambda i: compare("greater_equal", i, 0),
        lambda i: compare("greater", m, i),
        lambda i: compare("not_equal", i, m),
        lambda i: Apply("logical_and", (compare("less", i, m), compare("greater_equal", i, 0)), "bool"),
        lambda i: Apply("logical_or", (compare("less", i, 3), compare("greater_equal", i, 0)), "bool"),
        lambda i: Apply("logical_not", (compare("equal", i, m),), "bool"),
    ],
)
def test_a_guard_that_always_holds_disappears(condition):
    assert_becomes(
        simplify_indices, guarded(condition), func(loop("i", m, lambda i: Store(row, (i,), Load(x, (i, 0)))))
    )


def test_a_guard_that_never_holds_leaves_the_other_value():
    never = guarded(lambda i: Apply("logical_and", (compare("less", i, 3), compare("less", i, 0)), "bool"))
    assert_becomes(simplify_indices, never, func(loop("i", m, lambda i: Store(row, (i,), const(0.0, "float32")))))


def test_a_guard_that_sometimes_holds_stays():
    assert_unchanged(simplify_indices, guarded(lambda i: compare("less", i, n)))
    some = guarded(lambda i: Apply("logical_and", (compare("less", i, n), compare("less", i, m)), "bool"))
    assert_becomes(simplify_indices, some, guarded(lambda i: compare("less", i, n)))


def test_a_branch_that_is_decided_disappears():
    yes, no = (Store(row, (0,), const(value, "float32")) for value in (1.0, 2.0))
    always = func(loop("i", m, lambda i: IfThenElse(compare("less", i, m), yes, no)))
    never = func(loop("i", m, lambda i: IfThenElse(compare("less", i, 0), yes, no)))
    assert_becomes(simplify_indices, always, func(loop("i", m, lambda i: yes)))
    assert_becomes(simplify_indices, never, func(loop("i", m, lambda i: no)))


# ---------------------------------------------------------------------------- interleave


def every_few(count: Dim, read: Callable[[SymInt, SymInt], Dim], write: Callable[[SymInt, SymInt], Dim]) -> PrimFunc:
    def element(r: SymInt, i: SymInt) -> Stmt:
        return Store(flat_out, (write(r, i),), exp(Load(flat_x, (read(r, i),))))

    nest = loop("r", count, lambda r: loop("i", n, lambda i: element(r, i)))
    return func(nest, params=(flat_x, flat_out))


def test_loops_over_every_few_elements_become_one():
    i = loop_variable("i", n)
    stores = (Store(flat_out, (r * n + i,), exp(Load(flat_x, (3 * i + r,)))) for r in range(3))
    after = func(For("i", n, Seq(tuple(stores)), "parallel"), params=(flat_x, flat_out))
    assert_becomes(interleave_loops, every_few(3, lambda r, i: 3 * i + r, lambda r, i: r * n + i), after)


@pytest.mark.parametrize(
    ("count", "read", "write"),
    [
        (2, lambda r, i: 3 * i + r, lambda r, i: r * n + i),  # some elements are left out
        (2, lambda r, i: 2 * i + 2 * r, lambda r, i: r * n + i),  # nothing lies in between
        (5, lambda r, i: 5 * i + r, lambda r, i: r * n + i),  # too far apart
        (m, lambda r, i: m * i + r, lambda r, i: r * n + i),  # nobody knows how far
        (2, lambda r, i: 2 * i + r, lambda r, i: 3 * i + r),  # not written in a row
    ],
)
def test_other_loops_are_not_interleaved(count, read, write):
    assert_unchanged(interleave_loops, every_few(count, read, write))


# ---------------------------------------------------------------------------- columns


def column_sums(result: Callable[[SymInt], tuple[Dim, ...]] = lambda j: (j,)) -> PrimFunc:
    total = Buffer("total", (n,), "float32")
    first = loop("a", n, lambda a: Store(total, (a,), const(0.0, "float32")))
    add = loop("j", n, lambda j: Store(total, result(j), Load(total, result(j)) + Load(x, (loop_variable("k", m), j))))
    return PrimFunc("f", (x, total), 1, ("m", "n"), Seq((first, For("k", m, add))))


def test_columns_are_divided_into_blocks():
    blocked = block_columns(column_sums()).body
    assert (blocked.kind, blocked.extent) == ("parallel", (n + 2047) // 2048)
    first, add = blocked.body.body
    assert str(first.start) == str(add.body.start) == "column.block * 2048"


def test_columns_that_depend_on_each_other_are_not():
    assert_unchanged(block_columns, column_sums(lambda j: (n - 1 - j,)))
    assert_unchanged(block_columns, column_sums(lambda j: (0,)))


def test_kernels_that_store_outside_of_column_loops_are_not_divided():
    prim_func = column_sums()
    extra = Store(row, (0,), const(0.0, "float32"))
    assert_unchanged(block_columns, replace(prim_func, body=Seq((*prim_func.body.body, extra)), scratch=(row,)))


def test_kernels_that_are_one_parallel_loop_are_not_divided():
    assert_unchanged(block_columns, flat_nest(lambda i, j: i * n + j))
