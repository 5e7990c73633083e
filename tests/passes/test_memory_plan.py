"""Memory: what a plan says is what a call allocates; what shares bytes, and why; too little memory."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.errors import ArgumentError
from relaxdsl.ir.check import check_module
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.print_graph import script_with_constants
from relaxdsl.script.parse_text import parse_source
from tests.allocations import allocated

m, n = relax.dims("m n")
b = relax.dims("b", upper=64)


@relax.function
def spread(x: relax.Tensor[(m, 16), "float32"]):
    y = x / relax.sum(x, axis=0)
    z = y / relax.sum(y)
    return relax.sum(z, axis=1), relax.sum(z)


@relax.function
def flat(x: relax.Tensor[(m, 16), "float32"]):
    return relax.flatten(relax.exp(x))


@relax.function
def bounded(x: relax.Tensor[(b, 4), "float32"], y: relax.Tensor[(100, 4), "float32"]):
    shifted = x - relax.max(x)
    small = relax.sum(shifted / relax.sum(shifted))
    wide = y / relax.max(y * small)
    return wide / relax.sum(wide)


@relax.function
def unique_sums(x: relax.Tensor[(m,), "float32"]):
    u = relax.unique(x)
    return relax.sum(relax.exp(u) / relax.max(u))


@pytest.mark.parametrize("function", [spread, flat], ids=lambda f: f.ir.name)
def test_a_call_allocates_what_the_plan_says(function: relax.CompiledFunction) -> None:
    function(np.ones((1, 16), "float32"))  # makes a frame, with a workspace that goes when a larger one comes
    plan = function.memory_plan().at(m=1000)
    x = np.ones((1000, 16), "float32")
    first, grown = allocated(lambda: function(x))
    second, again = allocated(lambda: function(x))
    assert grown == plan.peak_bytes == function.peak_bytes(m=1000)
    assert again == plan.output_bytes
    assert type(first) is type(second)


@relax.function
def residual(
    x: relax.Tensor[(m, 96), "float32"],
    first: relax.Tensor[(96, 96), "float32"],
    second: relax.Tensor[(96, 96), "float32"],
):
    kept = relax.nn.relu(x @ first)
    return (relax.tanh(kept @ second) @ first + kept) @ second


def test_an_epilogue_works_in_place() -> None:
    notes = [fact.facts for fact in residual.explain().kernels]
    assert sum("written over kept" in note for note in notes) == 1
    random = np.random.default_rng(0)
    matrices = [random.standard_normal((96, 96)).astype("float32") / 10 for _ in range(2)]
    for rows in (0, 1, 17, 200, 600):
        x = random.standard_normal((rows, 96)).astype("float32")
        before = x.copy()
        kept = np.maximum(x @ matrices[0], 0)
        wanted = (np.tanh(kept @ matrices[1]) @ matrices[0] + kept) @ matrices[1]
        np.testing.assert_allclose(residual(x, *matrices), wanted, rtol=2e-4, atol=2e-4)
        np.testing.assert_array_equal(x, before)


def test_the_flatten_example_allocates_nothing_but_its_output() -> None:
    plan = flat.memory_plan()
    assert plan.workspace == 0
    assert [each.where for each in plan.buffers] == ["output"]
    assert flat.peak_bytes(m=1000) == 64_000


@relax.function
def one_head(
    q: relax.Tensor[(m, 64), "float32"], k: relax.Tensor[(n, 64), "float32"], v: relax.Tensor[(n, 64), "float32"]
):
    return relax.nn.softmax(q @ k.T * 0.125) @ v


def test_attention_of_one_head_has_no_memory_for_its_scores() -> None:
    """Blocks of 96 rows for each thread, and panels of keys and values."""
    scores = 4 * 4096 * 4096
    assert one_head.peak_bytes(m=4096, n=4096) < scores / 4


def test_a_plan_says_who_shares_bytes_and_why() -> None:
    lines = str(spread.memory_plan()).splitlines()
    assert lines[0] == f"spread: workspace of {m * 64 + 64} bytes"
    rows = {row.split()[0]: row.split("  ")[-1].strip() for row in lines[2:]}
    assert rows["z"] == "in place of y"
    assert rows["gv1"] == "provably not larger: 4 <= 64, after gv"


def test_a_plan_lists_views() -> None:
    @relax.function
    def rest(x: relax.Tensor[(m, n), "float32"]):
        tail = x[1:]
        return relax.nn.softmax(tail, axis=0), relax.sum(tail, axis=0)

    assert [each.shares for each in rest.memory_plan().buffers if each.where == "view"] == [
        "view of x from byte n * 4 on"
    ]
    assert rest.check(np.ones((3, 4), "float32"))


def test_a_plan_with_a_view_at_a_symbolic_offset() -> None:
    @relax.function
    def second_half(x: relax.Tensor[(2 * n,), "float32"]):
        both = relax.exp(x)
        half = relax.split(both, 2)[1]
        return relax.sum(relax.exp(half) / relax.max(half)), relax.sum(both)

    plan = second_half.memory_plan()
    shares = [each.shares for each in plan.buffers if each.where == "view"]
    assert shares == ["view of both", "view of both from byte n * 4 on"]
    assert [(each.name, each.offset) for each in plan.at(n=5).buffers] == [("both", 0), ("gv2", 64)]
    assert second_half.peak_bytes(n=5) == 128 + 64 + 8


def test_declared_bounds_decide_who_fits() -> None:
    from relaxdsl.passes.memory.describe import relation

    assert relation(b * 16, 2000) == "provably not larger: b * 16 <= 2000, bounded by b <= 64"
    assert relation(m * 16, m * 16) == "same bytes m * 16"
    assert relation(m * 8, m * 16) == "provably not larger: m * 8 <= m * 16"
    assert relation(m * 16, m * 8) == "provably not smaller: m * 16 >= m * 8"
    assert relation(m, n) == "whatever the sizes"


def test_a_plan_at_given_sizes() -> None:
    plan = spread.memory_plan()
    at = plan.at(m=100)
    assert plan.workspace_bytes(m=100) == at.workspace_bytes == 6464
    assert (at.output_bytes, at.live_bytes, at.peak_bytes) == (404, 6464, 6464 + 64 + 404)
    assert str(at).splitlines()[0] == "spread at m = 100"
    assert str(at).splitlines()[-1] == "workspace: 6,464 bytes, of which 6,464 in use at once"
    assert "<svg" in plan._repr_html_()
    assert "in place of y" in plan._repr_html_()
    assert ">spread at m = 1000</text>" in plan._repr_html_()


def test_long_sizes_stand_below_the_table() -> None:
    """A product's memory depends on how many rows there are, and on how many threads."""

    @relax.function
    def product(x: relax.Tensor[(m, 96), "float32"], w: relax.Tensor[(96, n), "float32"]):
        return x @ w

    plan = product.memory_plan()
    title, header, *rest = str(plan).splitlines()
    notes = [line for line in rest if line.startswith("   #")]
    rows = rest[: rest.index(notes[0])]
    assert title == "product: workspace of #1 bytes"
    assert header.split() == ["buffer", "type", "bytes", "where", "in", "use", "lines", "shares"]
    assert [line.split(" = ")[0] for line in notes] == [f"   #{number}" for number in range(1, len(notes) + 1)]
    assert "float32(m, n)  m * n * 4  output" in rows[0]
    assert all(" #" in row and row.endswith("  while its kernel runs") for row in rows[1:])
    assert max(map(len, str(plan).splitlines())) <= 120
    assert rest[-1] == "   [condition] is 1 where that is so, else 0"
    html = plan._repr_html_()
    assert f"\n{rest[-1]}</pre>" in html
    assert "product: workspace of #1 bytes</pre><table" in html


@pytest.mark.parametrize(
    ("function", "sizes", "message"),
    [
        (spread, {}, "spread.peak_bytes: the size m is missing\n   hint: write m=1000"),
        (spread, {"mm": 3}, "spread.peak_bytes: there is no size mm\n   hint: did you mean m?"),
        (spread, {"m": 3, "rows": 3}, "spread.peak_bytes: there is no size rows\n   hint: its sizes are m"),
        (spread, {"m": -1}, "spread.peak_bytes: m is at least 0, got -1"),
        (bounded, {"b": 65}, "bounded.peak_bytes: b is at most 64, got 65"),
        (spread, {"m": "3"}, "spread.peak_bytes: m is a size, expected an integer, got str"),
        (spread, {"m": 1.5}, "spread.peak_bytes: m is a size, expected an integer, got float"),
        (spread, {"m": None}, "spread.peak_bytes: m is a size, expected an integer, got NoneType"),
        (spread, {"m": True}, "spread.peak_bytes: m is a size, expected an integer, got bool"),
        (unique_sums, {"m": 3}, "unique_sums.peak_bytes: the size of u depends on data"),
    ],
)
def test_what_is_wrong_with_sizes(function: relax.CompiledFunction, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        function.peak_bytes(**sizes)
    assert str(error.value) == message


def test_too_little_memory_is_an_error_that_says_how_much() -> None:
    @relax.function
    def grid(count: relax.Prim["int64"]):
        ones = relax.zeros((count, count), "float32") + 1
        return relax.sum(ones / relax.max(ones), axis=1)

    small = grid(3)
    with pytest.raises(MemoryError) as error:
        grid(10_000_000)
    workspace = grid.memory_plan().workspace_bytes(count=10_000_000)
    needs = f"a call needs {workspace:,} bytes of workspace and 40,000,000 of outputs"
    assert str(error.value) == f"grid: not enough memory: {needs}, for count = 10000000"
    np.testing.assert_array_equal(grid(3), small)


def test_outputs_that_cannot_be() -> None:
    @relax.function
    def zeros(count: relax.Prim["int64"]):
        return relax.zeros((count, count), "float32")

    with pytest.raises(MemoryError) as error:
        zeros(4_000_000_000)
    needs = "a call needs 0 bytes of workspace and 64,000,000,000,000,000,000 of outputs"
    assert str(error.value) == f"zeros: not enough memory: {needs}, for count = 4000000000"
    assert zeros(2).shape == (2, 2)


def test_offsets_where_sizes_cannot_be_compared() -> None:
    @relax.function
    def both(x: relax.Tensor[(m,), "float32"], y: relax.Tensor[(n,), "float32"]):
        a, c = x / relax.sum(x), y / relax.sum(y)
        return relax.sum(a / relax.sum(c)), c / relax.sum(a)

    plan = both.memory_plan()
    for sizes in ({"m": 0, "n": 5}, {"m": 100, "n": 1}, {"m": 1, "n": 100}):
        both(np.ones(sizes["m"], "float32"), np.ones(sizes["n"], "float32"))
        assert plan.at(**sizes).workspace_bytes >= plan.at(**sizes).live_bytes


@pytest.mark.parametrize("function", [spread, flat, bounded, unique_sums], ids=lambda f: f.ir.name)
def test_the_memory_stage_prints_and_parses(function: relax.CompiledFunction) -> None:
    module = function._get_compiled().module_after("memory")
    check_module(module, "graph" if function is unique_sums else "lowered")
    text, constants = script_with_constants(module)
    again = parse_source(text, {"relax": relax}, constants)
    assert_structural_equal(again.module, module)
