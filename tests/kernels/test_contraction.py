"""The contraction engine: every size, stride and tile against NumPy, and what follows a contraction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_programs import Array, random_array, run

from relaxdsl.ir.te import Tensor
from relaxdsl.kernels import te
from relaxdsl.kernels.contraction.tile import host_tile
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source
from relaxdsl.types.dims import Dim, dim_min, dims

SIZES = (0, 1, 2, 3, 7, 16, 17, 33, 64, 100, 129)
LAYOUTS = ("nn", "nt", "tn", "tt")
DTYPES = ("float32", "float64")

m, n, k, b = dims("m n k b")


#: Elements before and after a result that must stay as they are.
FRAME = 1 << 16


def product(layout: str, dtype: str, batch: tuple[Dim, ...] = ()) -> tuple[Tensor, Tensor, Tensor]:
    """``(x, w, x @ w)``; an operand whose letter is ``t`` is stored transposed."""
    x = te.placeholder((*batch, *((k, m) if layout[0] == "t" else (m, k))), dtype, "x")
    w = te.placeholder((*batch, *((n, k) if layout[1] == "t" else (k, n))), dtype, "w")
    step = te.reduce_axis(k, "k")

    def body(*index: Dim) -> object:
        *outer, i, j = index
        left = x[(*outer, step, i) if layout[0] == "t" else (*outer, i, step)]
        right = w[(*outer, j, step) if layout[1] == "t" else (*outer, step, j)]
        return te.sum(left * right, axis=step)

    return x, w, te.compute((*batch, m, n), body, "product")


def operands(layout: str, dtype: str, sizes: tuple[int, int, int], batch: tuple[int, ...] = ()) -> tuple[Array, Array]:
    rows, columns, depth = sizes
    x = random_array((*batch, *((depth, rows) if layout[0] == "t" else (rows, depth))), dtype)
    w = random_array((*batch, *((columns, depth) if layout[1] == "t" else (depth, columns))), dtype, seed=1)
    return x, w


def expected(layout: str, x: Array, w: Array) -> Array:
    left = np.swapaxes(x, -1, -2) if layout[0] == "t" else x
    right = np.swapaxes(w, -1, -2) if layout[1] == "t" else w
    return np.matmul(left.astype("float64"), right.astype("float64"))


def assert_close(result: Array, wanted: Array) -> None:
    tolerance = 2e-5 if result.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance * 10)


def source_of(inputs: list[Tensor], output: Tensor) -> str:
    return kernel_source(schedule(create_prim_func(inputs, [output], "kernel")))


# ---------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_of_all_sizes(layout, dtype):
    x, w, out = product(layout, dtype)
    compiled = compile_kernel(create_prim_func([x, w], [out], "matmul"))
    triples = [(a, c, d) for a in SIZES for c in SIZES for d in SIZES if (a * 5 + c * 3 + d) % 7 == 0 or 0 in (a, c, d)]
    for rows, columns, depth in [*triples, (1, 1, 1), (97, 40, 300), (200, 70, 257), (5, 2100, 70), (3, 9, 513)]:
        arrays = operands(layout, dtype, (rows, columns, depth))
        result = np.full((rows, columns), 7, dtype)
        run_kernel(compiled, [*arrays, result], {"m": rows, "n": columns, "k": depth})
        assert_close(result, expected(layout, *arrays))


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(DTYPES),
    sizes=st.tuples(*[st.integers(0, 220)] * 3),
    parts=st.integers(1, 5),
)
def test_any_division_of_the_rows_gives_the_same_bits(layout, dtype, sizes, parts):
    x, w, out = product(layout, dtype)
    compiled = compile_kernel(create_prim_func([x, w], [out], "matmul"))
    arrays = operands(layout, dtype, sizes)
    results = [np.full(sizes[:2], seed, dtype) for seed in (1, 2)]
    values = dict(zip("mnk", sizes, strict=True))
    run_kernel(compiled, [*arrays, results[0]], values)
    run_kernel(compiled, [*arrays, results[1]], values, parts=parts)
    np.testing.assert_array_equal(*results)
    assert_close(results[0], expected(layout, *arrays))


@pytest.mark.parametrize("rows", [1, 3, 8, 20, 300])
@pytest.mark.parametrize(("columns", "depth"), [(195, 1000), (200, 6000), (387, 40), (96, 70), (570, 90)])
@pytest.mark.parametrize("is_batched", [False, True])
def test_sizes_that_are_known(is_batched, columns, depth, rows):
    """The memory for what is packed is as large as these sizes need it; nothing is written after it."""
    batch = (3,) if is_batched else ()
    x, w = te.placeholder((*batch, rows, depth), name="x"), te.placeholder((*batch, depth, columns), name="w")
    step = te.reduce_axis(depth, "step")
    out = te.compute(
        (*batch, rows, columns),
        lambda *index: te.sum(x[(*index[:-1], step)] * w[(*index[:-2], step, index[-1])], axis=step),
        "out",
    )
    kernel = compile_kernel(create_prim_func([x, w], [out], "known"))
    arrays = random_array((*batch, rows, depth)), random_array((*batch, depth, columns), seed=1)
    count = 3 * rows * columns if is_batched else rows * columns
    framed = np.full(count + 2 * FRAME, np.nan, "float32")
    result = framed[FRAME:-FRAME].reshape(*batch, rows, columns)
    for parts in (1, 4):
        result[:] = 7
        run_kernel(kernel, [*arrays, result], {}, parts=parts)
        wanted = np.matmul(*(each.astype("float64") for each in arrays))
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=2e-3)
    assert np.isnan(framed[:FRAME]).all()
    assert np.isnan(framed[-FRAME:]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches(layout, dtype):
    x, w, out = product(layout, dtype, (b, 2))
    assert "contract_" in source_of([x, w], out)
    for count, *sizes in [(0, 3, 4, 5), (1, 1, 1, 1), (3, 5, 4, 0), (2, 40, 41, 42), (3, 100, 17, 9)]:
        rows, columns, depth = sizes
        arrays = operands(layout, dtype, (rows, columns, depth), (count, 2))
        (result,) = run([x, w], [out], arrays, b=count, m=rows, n=columns, k=depth)
        assert_close(result, expected(layout, *arrays))


def test_a_batch_on_the_left_only_is_more_rows():
    x, w = te.placeholder((b, m, k), name="x"), te.placeholder((k, n), name="w")
    step = te.reduce_axis(k, "k")
    out = te.compute((b, m, n), lambda p, i, j: te.sum(x[p, i, step] * w[step, j], axis=step), "out")
    assert "batch" not in source_of([x, w], out)
    arrays = random_array((3, 50, 20)), random_array((20, 30))
    (result,) = run([x, w], [out], arrays, b=3, m=50, k=20, n=30)
    assert_close(result, arrays[0] @ arrays[1])


def test_two_axes_are_summed_as_one():
    x, w = te.placeholder((m, b, k), name="x"), te.placeholder((b, k, n), name="w")
    outer, inner = te.reduce_axis(b, "p"), te.reduce_axis(k, "q")
    out = te.compute((m, n), lambda i, j: te.sum(x[i, outer, inner] * w[outer, inner, j], axis=(outer, inner)), "out")
    assert "contract_" in source_of([x, w], out)
    arrays = random_array((40, 5, 9)), random_array((5, 9, 30))
    (result,) = run([x, w], [out], arrays, b=5, m=40, k=9, n=30)
    assert_close(result, arrays[0].reshape(40, 45) @ arrays[1].reshape(45, 30))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_vectors(transposed, dtype):
    """A vector times a matrix, and a matrix times a vector, are divided along the matrix."""
    v = te.placeholder((k,), dtype, "v")
    a = te.placeholder((n, k) if transposed else (k, n), dtype, "a")
    step = te.reduce_axis(k, "k")
    out = te.compute((n,), lambda j: te.sum(v[step] * a[(j, step) if transposed else (step, j)], axis=step), "out")
    kernel = compile_kernel(create_prim_func([v, a], [out], "vector"))
    assert str(kernel.extents[-1]) == "max((n + 47) // 48, 1)"
    for columns, depth in [(0, 3), (1, 1), (3, 0), (1, 100), (17, 33), (4100, 70), (2049, 3)]:
        vector, matrix = random_array((depth,), dtype), random_array((depth, columns), dtype, seed=2)
        stored = np.ascontiguousarray(matrix.T) if transposed else matrix
        (result,) = run([v, a], [out], (vector, stored), n=columns, k=depth)
        assert_close(result, vector.astype("float64") @ matrix)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_factors_that_are_computed_become_operands(layout):
    x, w, _ = product(layout, "float32")
    bias, step = te.placeholder((k,), name="bias"), te.reduce_axis(k, "k")

    def body(i: Dim, j: Dim) -> object:
        left = x[(step, i) if layout[0] == "t" else (i, step)]
        right = w[(j, step) if layout[1] == "t" else (step, j)]
        return te.sum(te.exp(left) * (right - bias[step]), axis=step)

    out = te.compute((m, n), body, "out")
    assert "contract_" in source_of([x, w, bias], out)
    for rows, columns, depth in (
        (0, 3, 4),
        (3, 4, 0),
        (1, 1, 1),
        (1, 50, 7),
        (5, 40, 33),
        (100, 200, 40),
        (250, 20, 70),
    ):
        arrays = [*operands(layout, "float32", (rows, columns, depth)), random_array((depth,), "float32", seed=2)]
        (result,) = run([x, w, bias], [out], arrays, m=rows, n=columns, k=depth)
        shift = arrays[2] if layout[1] == "t" else arrays[2][:, None]
        wanted = expected(layout, np.exp(arrays[0]), arrays[1] - shift)
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_factors_that_would_be_larger_than_what_they_read_stay_in_loops():
    """``x[i + u]`` for every window of a convolution."""
    x, w = te.placeholder((n + 2, k), name="x"), te.placeholder((3, k, m), name="w")
    u, c = te.reduce_axis(3, "u"), te.reduce_axis(k, "c")
    bias = te.placeholder((k,), name="bias")
    out = te.compute((n, m), lambda i, o: te.sum((x[i + u, c] + bias[c]) * w[u, c, o], axis=(u, c)), "out")
    assert "contract_" not in source_of([x, w, bias], out)


def test_what_is_no_product_of_two_elements_stays_in_loops():
    x, w = te.placeholder((m, k), name="x"), te.placeholder((k, n), name="w")
    step = te.reduce_axis(k, "k")
    bodies: list[Callable[[Dim, Dim], object]] = [
        lambda i, j: te.max(x[i, step] * w[step, j], axis=step),
        lambda i, j: te.sum(x[i, step] * w[step, j] * 2, axis=step),
        lambda i, j: te.sum(x[i, step] + w[step, j], axis=step),
        lambda i, j: te.sum(x[i, step] * x[i, step], axis=step),
    ]
    for body in bodies:
        assert "contract_" not in source_of([x, w], te.compute((m, n), body, "out"))


def test_integers_stay_in_loops():
    assert "contract_" not in source_of(*_listed(product("nn", "int32")))


def _listed(built: tuple[Tensor, Tensor, Tensor]) -> tuple[list[Tensor], Tensor]:
    return [*built[:2]], built[2]


# --------------------------------------------------------------------------------------------------------- what follows


def bias_and_relu(out: Tensor, bias: Tensor) -> Tensor:
    return te.compute((m, n), lambda i, j: te.maximum(out[i, j] + bias[j], 0.0), "relu")


def square(out: Tensor, bias: Tensor) -> Tensor:
    return te.compute((m, n), lambda i, j: out[i, j] * out[i, j], "square")


def softmax(out: Tensor, bias: Tensor) -> Tensor:
    first, second = te.reduce_axis(n, "q"), te.reduce_axis(n, "r")
    peak = te.compute((m,), lambda i: te.max(out[i, first], axis=first), "peak")
    powers = te.compute((m, n), lambda i, j: te.exp(out[i, j] - peak[i]), "powers")
    total = te.compute((m,), lambda i: te.sum(powers[i, second], axis=second), "total")
    return te.compute((m, n), lambda i, j: powers[i, j] / total[i], "softmax")


def transpose(out: Tensor, bias: Tensor) -> Tensor:
    return te.compute((n, m), lambda j, i: out[i, j] + bias[j], "transposed")


def column_sums(out: Tensor, bias: Tensor) -> Tensor:
    step = te.reduce_axis(m, "q")
    return te.compute((n,), lambda j: te.sum(out[step, j], axis=step), "sums")


FOLLOWING = {
    "bias_and_relu": (bias_and_relu, lambda out, bias: np.maximum(out + bias, 0), True),
    "square": (square, lambda out, bias: out * out, True),
    "softmax": (softmax, lambda out, bias: softmax_of(out), True),
    "transpose": (transpose, lambda out, bias: (out + bias).T, True),
    "column_sums": (column_sums, lambda out, bias: out.sum(0), False),
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_what_follows_runs_on_each_block_where_it_can(name):
    build, reference, is_in_pieces = FOLLOWING[name]
    x, w, out = product("nn", "float32")
    bias = te.placeholder((n,), "float32", "bias")
    last = build(out, bias)
    phases = source_of([x, w, bias], last).split("if phase ==")
    assert ("contract_" in phases[-1]) == is_in_pieces
    for sizes in [(1, 1, 1), (4, 16, 16), (96, 7, 33), (193, 40, 50)]:
        arrays = operands("nn", "float32", sizes)
        vector = random_array((sizes[1],), seed=3)
        values = dict(zip("mnk", sizes, strict=True))
        (result,) = run([x, w, bias], [last], (*arrays, vector), **values)
        np.testing.assert_allclose(result, reference(expected("nn", *arrays), vector), rtol=1e-4, atol=1e-4)


# -------------------------------------------------------------------------------------------------------- what precedes


def hidden_layer(x: Tensor) -> Tensor:
    """An expensive stage, which no reader takes in."""
    return te.compute(x.shape, lambda *index: te.exp(x[index]) + 1.0, "hidden")


def centred(x: Tensor) -> Tensor:
    step = te.reduce_axis(k, "q")
    peak = te.compute((m,), lambda i: te.max(x[i, step], axis=step), "peak")
    return te.compute((m, k), lambda i, j: te.exp(x[i, j] - peak[i]), "centred")


def dense(x: Tensor, w: Tensor) -> Tensor:
    step = te.reduce_axis(k, "k")
    return te.compute((m, n), lambda i, j: te.sum(x[i, step] * w[step, j], axis=step), "dense")


@pytest.mark.parametrize(
    ("build", "reference"),
    [
        (hidden_layer, lambda x: np.exp(x) + 1),
        (centred, lambda x: np.exp(x - x.max(1, keepdims=True))),
    ],
)
def test_what_makes_rows_of_the_left_operand_runs_on_each_block(build, reference):
    x, w, bias = te.placeholder((m, k), name="x"), te.placeholder((k, n), name="w"), te.placeholder((n,), name="bias")
    last = bias_and_relu(dense(build(x), w), bias)
    compiled = compile_kernel(create_prim_func([x, w, bias], [last], "mlp"))
    assert "exp(" not in compiled.source.partition("elif")[0]
    assert "contract_float32" in compiled.source
    for sizes in [(1, 1, 1), (0, 3, 3), (4, 16, 16), (96, 7, 33), (193, 40, 50)]:
        arrays = operands("nn", "float32", sizes)
        vector = random_array((sizes[1],), seed=3)
        values = dict(zip("mnk", sizes, strict=True))
        (result,) = run([x, w, bias], [last], (*arrays, vector), **values)
        left = reference(arrays[0].astype("float64"))
        np.testing.assert_allclose(result, np.maximum(left @ arrays[1] + vector, 0), rtol=1e-4, atol=1e-4)


def test_a_batch_of_left_operands_is_made_block_by_block():
    x, w, _ = product("nn", "float32", (b,))
    hidden = hidden_layer(x)
    step = te.reduce_axis(k, "k")
    out = te.compute((b, m, n), lambda p, i, j: te.sum(hidden[p, i, step] * w[p, step, j], axis=step), "out")
    assert "contract_float32" in source_of([x, w], out)
    arrays = operands("nn", "float32", (100, 20, 30), (3,))
    (result,) = run([x, w], [out], arrays, b=3, m=100, n=20, k=30)
    np.testing.assert_allclose(result, (np.exp(arrays[0]) + 1) @ arrays[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operand", ["both", "transposed"])
def test_what_makes_anything_else_runs_before(operand):
    x, w = te.placeholder((m, m), name="x"), te.placeholder((m, m), name="w")
    made = hidden_layer(x)
    step = te.reduce_axis(m, "k")
    elements = {
        "both": lambda i, j: made[i, step] * made[step, j],
        "transposed": lambda i, j: made[step, i] * w[step, j],
    }
    references = {
        "both": lambda hidden, weights: hidden @ hidden,
        "transposed": lambda hidden, weights: hidden.T @ weights,
    }
    out = te.compute((m, m), lambda i, j: te.sum(elements[operand](i, j), axis=step), "out")
    source = source_of([x, w], out)
    assert "exp(" in source.partition("elif phase == 1")[0]
    assert "contract_float32" in source.partition("elif phase == 1")[2]
    arrays = random_array((70, 70)), random_array((70, 70), seed=1)
    (result,) = run([x, w], [out], arrays, m=70)
    wanted = references[operand](np.exp(arrays[0].astype("float64")) + 1, arrays[1])
    np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=1e-3)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    step, again = te.reduce_axis(n, "q"), te.reduce_axis(n, "r")
    shape = scores.shape
    kept = te.compute(shape, lambda p, q, i, j: scores[p, q, i, j] + mask[p, j], "kept")
    peak = te.compute(shape[:3], lambda p, q, i: te.max(kept[p, q, i, step], axis=step), "peak")
    powers = te.compute(shape, lambda p, q, i, j: te.exp(kept[p, q, i, j] - peak[p, q, i]), "powers")
    total = te.compute(shape[:3], lambda p, q, i: te.sum(powers[p, q, i, again], axis=again), "total")
    return te.compute(shape, lambda p, q, i, j: powers[p, q, i, j] / total[p, q, i], "weights")


@pytest.mark.parametrize(
    ("follow", "reference", "extent"),
    [
        (
            lambda x, mask: te.compute(x.shape, lambda *i: x[i] + mask[i[0], i[-1]], "kept"),
            lambda x, mask: x + mask[:, None, None],
            "b * ((m + 767) // 768) * ((n + 191) // 192) * 2",
        ),
        (masked_softmax, lambda x, mask: softmax_of(x + mask[:, None, None]), "b * max((m + 95) // 96, 1) * 2"),
    ],
)
def test_what_follows_a_batch_runs_for_groups_of_columns_or_blocks_of_rows(follow, reference, extent):
    x, w, out = product("nt", "float32", (b, 2))
    mask = te.placeholder((b, n), name="mask")
    last = follow(out, mask)
    compiled = compile_kernel(create_prim_func([x, w, mask], [last], "scores"))
    assert "contract_float32" in compiled.source
    assert [*map(str, compiled.extents)] == [extent]
    for count, sizes in [(1, (1, 1, 1)), (3, (5, 4, 3)), (2, (100, 37, 20)), (5, (17, 120, 8))]:
        arrays = operands("nt", "float32", sizes, (count, 2))
        added = random_array((count, sizes[1]), seed=3)
        values = dict(zip("mnk", sizes, strict=True))
        (result,) = run([x, w, mask], [last], (*arrays, added), b=count, **values)
        wanted = reference(expected("nt", *arrays), added)
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def softmax_of(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_both_the_product_and_what_follows_may_be_results():
    x, w, out = product("nn", "float32")
    half = te.compute((m, n), lambda i, j: out[i, j] * 0.5, "half")
    arrays = operands("nn", "float32", (130, 20, 33))
    whole, halved = run([x, w], [out, half], arrays, m=130, n=20, k=33)
    assert_close(whole, expected("nn", *arrays))
    np.testing.assert_array_equal(halved, whole * np.float32(0.5))


# --------------------------------------------------------------------------------------------------------------- source


def test_the_source_calls_the_engine_and_then_the_loops_that_follow():
    x, w, out = product("nt", "float32")
    bias = te.placeholder((n,), "float32", "bias")
    source = source_of([x, w, bias], bias_and_relu(out, bias))
    packing, _, pieces = source.partition("elif phase == 1")
    assert "pack_float32(m, n, k, w, 0, 1, k, group_index, 1, w_panels, 0)" in packing
    assert "k, x, item_index * k * 192, k, 1, w, 0, 1, k, relu, row, n, w_panels, 0, block, 0)" in pieces
    assert pieces.index("contract_float32(") < pieces.index("maximum(")


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_few_rows_need_no_memory_for_panels(rows):
    x, w = te.placeholder((rows, k), name="x"), te.placeholder((k, n), name="w")
    step = te.reduce_axis(k, "k")
    out = te.compute((rows, n), lambda i, j: te.sum(x[i, step] * w[step, j], axis=step), "out")
    compiled = compile_kernel(create_prim_func([x, w], [out], "skinny"))
    assert compiled.shared == ()
    tile = host_tile(32)
    vector = () if rows <= tile.streamed_rows else ((tile.lanes * dim_min(k, tile.depth) + 16,),)
    assert tuple(each.shape for each in compiled.scratch) == vector  # the last columns, if they are no whole vector
    arrays = random_array((rows, 30)), random_array((30, 50))
    (result,) = run([x, w], [out], arrays, k=30, n=50)
    assert_close(result, arrays[0] @ arrays[1])
