"""Chains of stages: convolutions, einsums, attentions of any size against NumPy, and how they are cut into pieces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import relaxdsl as relax
from relaxdsl.ir.te import Tensor
from relaxdsl.kernels import te
from relaxdsl.kernels.contraction.chain import Chain, Extras, extras_of, segments_of
from relaxdsl.kernels.contraction.match import contraction_of
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.types.dims import Dim, dims

Array = NDArray[np.float32]

b, h, s, t, d = dims("b h s t d")
m, n, k = dims("m n k")


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32")


def check(
    inputs: Sequence[Tensor], output: Tensor, arrays: Sequence[Array], wanted: NDArray[np.float64], **sizes: int
) -> None:
    """The compiled kernel gives what is wanted, and the same bits however its phases are divided."""
    compiled = compile_kernel(create_prim_func(inputs, [output], "kernel"))
    assert "contract_" in compiled.source
    results = []
    for parts in (1, 3, 7):
        results.append(np.full(wanted.shape, 7, "float32"))
        run_kernel(compiled, [*arrays, results[-1]], sizes, parts=parts)
        np.testing.assert_array_equal(results[-1], results[0])
    np.testing.assert_allclose(results[0], wanted, rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------------------------- convolutions


def convolution(layout: str, stride: int, sizes: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Of images ``(b, channels, height, width)``, or with the channels last."""
    channels, outputs, kernel = sizes
    height, width = (m - 1) * stride + kernel, (n - 1) * stride + kernel
    is_last = layout == "nhwc"
    x = te.placeholder((b, height, width, channels) if is_last else (b, channels, height, width), name="x")
    w = te.placeholder(
        (kernel, kernel, channels, outputs) if is_last else (outputs, channels, kernel, kernel), name="w"
    )
    c, u, v = te.reduce_axis(channels, "c"), te.reduce_axis(kernel, "u"), te.reduce_axis(kernel, "v")

    def first(p: Dim, o: Dim, i: Dim, j: Dim) -> object:
        return te.sum(x[p, c, i * stride + u, j * stride + v] * w[o, c, u, v], axis=(c, u, v))

    def last(p: Dim, i: Dim, j: Dim, o: Dim) -> object:
        return te.sum(x[p, i * stride + u, j * stride + v, c] * w[u, v, c, o], axis=(c, u, v))

    out = te.compute((b, m, n, outputs), last, "conv") if is_last else te.compute((b, outputs, m, n), first, "conv")
    return x, w, out


@settings(max_examples=25, deadline=None)
@given(
    layout=st.sampled_from(["nchw", "nhwc"]),
    stride=st.integers(1, 3),
    sizes=st.sampled_from([(3, 8, 3), (8, 12, 1), (5, 100, 2), (16, 17, 3)]),
    images=st.integers(0, 3),
    height=st.integers(0, 30),
    width=st.integers(0, 30),
)
def test_convolutions(layout, stride, sizes, images, height, width):
    channels, outputs, kernel = sizes
    x, w, out = convolution(layout, stride, sizes)
    spatial = [(size - 1) * stride + kernel if size else max(0, kernel - stride) for size in (height, width)]
    image = numbers(images, channels, *spatial)
    weights = numbers(outputs, channels, kernel, kernel, seed=1)
    wanted = np.zeros((images, outputs, height, width))
    if wanted.size:
        windows = np.lib.stride_tricks.sliding_window_view(image.astype("float64"), (kernel, kernel), axis=(2, 3))
        wanted = np.einsum("bcijuv,ocuv->boij", windows[:, :, ::stride, ::stride], weights)
    if layout == "nhwc":
        image, weights, wanted = (
            image.transpose(0, 2, 3, 1),
            weights.transpose(2, 3, 1, 0),
            wanted.transpose(0, 2, 3, 1),
        )
    arrays = [np.ascontiguousarray(image), np.ascontiguousarray(weights)]
    check([x, w], out, arrays, np.ascontiguousarray(wanted), b=images, m=height, n=width)


def test_what_is_made_of_a_convolution_is_made_of_each_piece():
    x, w, out = convolution("nchw", 1, (4, 6, 3))
    bias = te.placeholder((6,), name="bias")
    last = te.compute(out.shape, lambda p, o, i, j: te.maximum(out[p, o, i, j] + bias[o], 0.0), "relu")
    kernel = create_prim_func([x, w, bias], [last], "kernel")
    assert extras_of(kernel) == Extras(loops=0, tables=1)
    tables, pieces = compile_kernel(kernel).source.split("elif phase == 1:")
    assert "x_columns[" in tables
    packing, products = pieces.index("pack_windows_float32("), pieces.index("contract_windows_float32(")
    assert packing < products < pieces.index("maximum(")


def test_weights_that_are_made_for_a_convolution_of_one_image_are_made_before():
    """Rows of the left operand are evenly spaced, but the image is given by tables, and those are for all of both."""
    x, w = te.placeholder((4, m + 2, n + 2), name="x"), te.placeholder((24, 4, 3, 3), name="w")
    scale = te.placeholder((24,), name="scale")
    weights = te.compute(w.shape, lambda o, *i: te.exp(w[(o, *i)]) * scale[o], "weights")
    c, u, v = te.reduce_axis(4, "c"), te.reduce_axis(3, "u"), te.reduce_axis(3, "v")
    out = te.compute(
        (24, m, n), lambda o, i, j: te.sum(x[c, i + u, j + v] * weights[o, c, u, v], axis=(c, u, v)), "conv"
    )
    for height, width in ((1, 1), (1, 7), (30, 40)):
        arrays = numbers(4, height + 2, width + 2), numbers(24, 4, 3, 3, seed=1), numbers(24, seed=2)
        windows = np.lib.stride_tricks.sliding_window_view(arrays[0].astype("float64"), (3, 3), axis=(1, 2))
        wanted = np.einsum("cijuv,ocuv->oij", windows, np.exp(arrays[1]) * arrays[2][:, None, None, None])
        check([x, w, scale], out, arrays, wanted, m=height, n=width)


# -------------------------------------------------------------------------------------------------------------- einsums

SUBSCRIPTS = [
    "ik,kj->ij", "ki,jk->ij", "bik,bkj->bij", "bik,kj->bij", "bhik,bhjk->bhij", "bihk,bjhk->bhij", "bhij,bjhk->bihk",
    "ik,bkj->bij", "abk,kcd->abcd", "kab,ckd->acbd", "ik,bk->ib", "abij,acij->abc", "k,kj->j", "ik,k->i",
    "bki,kbj->bij",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(subscripts=st.sampled_from(SUBSCRIPTS), values=st.lists(st.integers(0, 40), min_size=8, max_size=8))
def test_einsums(subscripts, values):
    left, right, result = subscripts.replace("->", ",").split(",")
    letters = sorted(set(left + right))
    sizes = dict(zip(letters, values, strict=False))
    symbols = {letter: dims(f"{letter}_{letter}") for letter in letters}
    x, w = (te.placeholder(tuple(symbols[c] for c in text), name=name) for text, name in ((left, "x"), (right, "w")))
    steps = {c: te.reduce_axis(symbols[c], c) for c in letters if c not in result}

    def body(*index: Dim) -> object:
        at = {**dict(zip(result, index, strict=True)), **steps}
        return te.sum(x[tuple(at[c] for c in left)] * w[tuple(at[c] for c in right)], axis=tuple(steps.values()))

    out = te.compute(tuple(symbols[c] for c in result), body, "out")
    arrays = numbers(*(sizes[c] for c in left)), numbers(*(sizes[c] for c in right), seed=1)
    wanted = np.einsum(subscripts, *(each.astype("float64") for each in arrays))
    check([x, w], out, arrays, wanted, **{f"{letter}_{letter}": sizes[letter] for letter in letters})


# ------------------------------------------------------------------------------------------------------------ attention


def attention(result: str, offset: Dim | None) -> tuple[list[Tensor], Tensor]:
    """``softmax(q @ k) @ v``, for keys ``j <= i + offset`` where there is an offset."""
    q, key, v = (te.placeholder((b, h, size, d), name=name) for size, name in ((s, "q"), (t, "key"), (t, "v")))
    x, first, second, third = te.reduce_axis(d, "x"), *(te.reduce_axis(t, name) for name in "uvw")
    scores = te.compute((b, h, s, t), lambda p, g, i, j: te.sum(q[p, g, i, x] * key[p, g, j, x], axis=x), "scores")

    def seen(i: Dim, j: Dim, value: object, otherwise: float) -> object:
        return value if offset is None else te.if_then_else(j <= i + offset, value, te.const(otherwise, "float32"))

    def greatest(p: Dim, g: Dim, i: Dim) -> object:
        return te.max(seen(i, first, scores[p, g, i, first], -math.inf), axis=first)

    peak = te.compute((b, h, s), greatest, "peak")

    def power(p: Dim, g: Dim, i: Dim, j: Dim) -> object:
        return seen(i, j, te.exp(scores[p, g, i, j] - peak[p, g, i]), 0.0)

    powers = te.compute((b, h, s, t), power, "powers")
    total = te.compute((b, h, s), lambda p, g, i: te.sum(powers[p, g, i, second], axis=second), "total")
    weighted = te.compute(
        (b, h, s, d), lambda p, g, i, y: te.sum(powers[p, g, i, third] * v[p, g, third, y], axis=third), "weighted"
    )
    bodies: dict[str, tuple[tuple[Dim, ...], Callable[..., object]]] = {
        "bhsd": ((b, h, s, d), lambda p, g, i, y: weighted[p, g, i, y] / total[p, g, i]),
        "bshd": ((b, s, h, d), lambda p, i, g, y: weighted[p, g, i, y] / total[p, g, i]),
        "bs(hd)": ((b, s, h * d), lambda p, i, e: weighted[p, e // d, i, e % d] / total[p, e // d, i]),
    }
    return [q, key, v], te.compute(*bodies[result], "attention")


def expected_attention(q: Array, key: Array, v: Array, result: str, offset: int | None) -> NDArray[np.float64]:
    scores = np.einsum("bhid,bhjd->bhij", q.astype("float64"), key)
    if offset is not None:
        places = np.arange(scores.shape[3]) <= np.arange(scores.shape[2])[:, None] + offset
        scores = np.where(places, scores, -np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        powers = np.exp(scores - scores.max(axis=3, keepdims=True, initial=-np.inf))
        weights = powers / powers.sum(axis=3, keepdims=True)
        made = np.einsum("bhij,bhjd->bhid", weights, v)
    if result == "bhsd":
        return made
    turned = made.transpose(0, 2, 1, 3)
    return np.ascontiguousarray(
        turned if result == "bshd" else turned.reshape(*turned.shape[:2], turned.shape[2] * turned.shape[3])
    )


@settings(max_examples=40, deadline=None)
@given(
    result=st.sampled_from(["bhsd", "bshd", "bs(hd)"]),
    offset=st.sampled_from([None, 0, 3, 100]),
    sizes=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 210), st.integers(1, 300), st.integers(1, 20)),
)
def test_attention_is_one_chain_that_keeps_a_block_of_rows(result, offset, sizes):
    inputs, out = attention(result, offset)
    values = dict(zip("bhstd", sizes, strict=True))
    arrays = [
        numbers(*(values[c] for c in letters), seed=seed) for seed, letters in enumerate(("bhsd", "bhtd", "bhtd"))
    ]
    check(inputs, out, arrays, expected_attention(*arrays, result, offset), **values)


def test_attention_holds_no_matrix_of_scores():
    inputs, out = attention("bhsd", None)
    compiled = compile_kernel(create_prim_func(inputs, [out], "kernel"))
    sizes = {each.name: str(each.shape[0]) for each in compiled.scratch}
    assert sizes["scores"] == sizes["powers"] == "t * min(s, 96)"
    assert compiled.shared == ()
    assert [*map(str, compiled.extents)] == ["b * h * max((s + 95) // 96, 1)"]


def test_what_a_mask_hides_is_not_computed():
    inputs, out = attention("bhsd", t - s)
    source = compile_kernel(create_prim_func(inputs, [out], "kernel")).source
    first, second = (line for line in source.splitlines() if "contract_float32(" in line)
    seen = first.split(", t, 0, ")[1].split(", d, d, q")[0]
    assert "piece_index" in seen
    assert f", d, t, {seen}, powers" in second
    assert "in range(t)" not in source
    values = {"b": 1, "h": 2, "s": 130, "t": 150, "d": 5}
    arrays = [numbers(1, 2, size, 5, seed=size) for size in (130, 150, 150)]
    check(inputs, out, arrays, expected_attention(*arrays, "bhsd", 20), **values)


@pytest.mark.parametrize("what", ["read elsewhere", "not zero", "another bound"])
def test_all_is_computed_where_a_mask_does_not_hide_everything(what):
    x, w = te.placeholder((b, s, d), name="x"), te.placeholder((b, t, d), name="w")
    y, j = te.reduce_axis(d, "y"), te.reduce_axis(t, "j")
    scores = te.compute((b, s, t), lambda p, i, q: te.sum(x[p, i, y] * w[p, q, y], axis=y), "scores")
    bound = 2 if what == "another bound" else 0
    otherwise = 1.0 if what == "not zero" else 0.0
    kept = te.compute(
        (b, s, t),
        lambda p, i, q: te.if_then_else(q <= i + bound, scores[p, i, q], te.const(otherwise, "float32")),
        "kept",
    )
    largest = te.compute(
        (b, s),
        lambda p, i: te.max(te.if_then_else(j <= i, scores[p, i, j], te.const(-math.inf, "float32")), axis=j),
        "a",
    )
    z, plain = te.reduce_axis(t, "z"), te.reduce_axis(t, "plain")
    sums = te.compute((b, s), lambda p, i: te.sum(kept[p, i, z], axis=z), "sums")
    others = te.compute((b, s), lambda p, i: te.sum(scores[p, i, plain], axis=plain), "others")
    rest = others if what == "read elsewhere" else sums
    out = te.compute((b, s), lambda p, i: largest[p, i] + sums[p, i] + rest[p, i], "out")
    arrays = [numbers(2, 100, 7), numbers(2, 110, 7, seed=1)]
    found = np.einsum("bid,bjd->bij", arrays[0].astype("float64"), arrays[1])
    rows, columns = np.arange(100)[:, None], np.arange(110)
    masked = np.where(columns <= rows + bound, found, otherwise).sum(2)
    wanted = np.where(columns <= rows, found, -np.inf).max(2) + masked + (found.sum(2) if rest is others else masked)
    check([x, w], out, arrays, wanted, b=2, s=100, t=110, d=7)


# ------------------------------------------------------------------------------------------------------------- segments


def dense(x: Tensor, w: Tensor, name: str) -> Tensor:
    step = te.reduce_axis(x.shape[1], "step")
    return te.compute((x.shape[0], w.shape[1]), lambda i, j: te.sum(x[i, step] * w[step, j], axis=step), name)


def kinds(inputs: Sequence[Tensor], output: Tensor) -> list[str]:
    found = segments_of(create_prim_func(inputs, [output], "kernel"))
    assert found is not None
    return [
        f"{len(each.stages)} stages" if isinstance(each, Chain) else f"{len(each.statements)} loops"
        for each in found[1]
    ]


def test_two_layers_are_two_chains():
    x, v, w = te.placeholder((m, k), name="x"), te.placeholder((k, n), name="v"), te.placeholder((n, k), name="w")
    hidden = dense(x, v, "first")
    active = te.compute(hidden.shape, lambda *i: te.exp(hidden[i]), "active")
    out = dense(active, w, "second")
    assert kinds([x, v, w], out) == ["2 stages", "1 stages"]
    arrays = numbers(100, 30), numbers(30, 50, seed=1) / 10, numbers(50, 30, seed=2)
    wanted = np.exp(arrays[0].astype("float64") @ arrays[1]) @ arrays[2]
    check([x, v, w], out, arrays, wanted, m=100, k=30, n=50)


def test_loops_that_mix_rows_stand_after_the_chain():
    x, w = te.placeholder((m, k), name="x"), te.placeholder((k, n), name="w")
    product, row = dense(x, w, "product"), te.reduce_axis(m, "row")
    out = te.compute((n,), lambda j: te.sum(product[row, j], axis=row), "sums")
    assert kinds([x, w], out) == ["1 stages", "1 loops"]
    assert extras_of(create_prim_func([x, w], [out], "kernel")) is None


def test_a_chain_without_the_engine_is_none():
    x = te.placeholder((m, n), name="x")
    kernel = create_prim_func([x], [te.compute((m, n), lambda *i: te.exp(x[i]), "out")], "kernel")
    assert segments_of(kernel) is None
    assert extras_of(kernel) is None


@pytest.mark.parametrize(("size", "granule"), [(1, 48), (16, 48), (32, 96), (64, 192), (96, 96), (192, 192)])
def test_heads_are_split_after_a_product_column_by_column(size, granule):
    """The columns of a head lie together, so pieces are whole heads."""
    x, w = te.placeholder((m, k), name="x"), te.placeholder((k, h * size), name="w")
    product = dense(x, w, "product")
    out = te.compute((h, m, size), lambda g, i, j: product[i, g * size + j] + 1.0, "heads")
    found = segments_of(create_prim_func([x, w], [out], "kernel"))
    assert found is not None
    (chain,) = found[1]
    assert isinstance(chain, Chain)
    assert chain.has_columns
    assert chain.granule == granule
    arrays = numbers(100, 20), numbers(20, 7 * size, seed=1)
    wanted = (arrays[0].astype("float64") @ arrays[1]).reshape(100, 7, size).transpose(1, 0, 2) + 1
    check([x, w], out, arrays, np.ascontiguousarray(wanted), m=100, k=20, h=7)


def test_rows_columns_and_steps_of_a_convolution():
    x, w, out = convolution("nhwc", 2, (5, 6, 3))
    kernel = create_prim_func([x, w], [out], "kernel")
    found = contraction_of(kernel.body, kernel.symbols)
    assert found is not None
    assert [found.batch, len(found.rows), len(found.columns), len(found.steps)] == [(), 3, 1, 3]
    assert found.sizes == (b * m * n, 6, 45)
    assert not found.is_strided


# ---------------------------------------------------------------------------------------------------------------- bytes


@settings(max_examples=20, deadline=None)
@given(
    dtypes=st.tuples(*[st.sampled_from(["int8", "uint8"])] * 2),
    sizes=st.tuples(st.integers(0, 120), st.integers(0, 120), st.integers(0, 500)),
    is_transposed=st.booleans(),
)
def test_bytes_are_multiplied_exactly(dtypes, sizes, is_transposed):
    rows, columns, depth = sizes
    x = te.placeholder((m, k), dtypes[0], "x")
    w = te.placeholder((n, k) if is_transposed else (k, n), dtypes[1], "w")
    step = te.reduce_axis(k, "step")

    def body(i: Dim, j: Dim) -> object:
        right = w[(j, step) if is_transposed else (step, j)]
        return te.sum(x[i, step].astype("int32") * right.astype("int32"), axis=step)

    compiled = compile_kernel(create_prim_func([x, w], [te.compute((m, n), body, "out")], "kernel"))
    assert f"contract_{dtypes[0]}(" in compiled.source
    assert f"pack_{dtypes[1]}(" in compiled.source
    random = np.random.default_rng(sizes)
    left, right = (
        random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape, dtype)
        for dtype, shape in zip(dtypes, ((rows, depth), (depth, columns)), strict=True)
    )
    result = np.full((rows, columns), 7, "int32")
    stored = np.ascontiguousarray(right.T) if is_transposed else right
    run_kernel(compiled, [left, stored, result], {"m": rows, "n": columns, "k": depth}, parts=3)
    np.testing.assert_array_equal(result, left.astype("int32") @ right.astype("int32"))


@pytest.mark.parametrize(
    ("shape", "axis", "summed"),
    [((3, 5, 13), 1, 2), ((2, 7, 100), 1, 2), ((4, 5, 13), 2, 1), ((4, 1, 5, 13), 2, 3), ((5, 13), 0, 1)],
)
def test_a_product_of_a_factor_and_what_it_was_made_from(shape, axis, summed):
    """A softmax's sum over another axis: the inverse of a sum times the exponentials, which both need."""
    x = relax.Var("x", relax.Tensor(("n", *shape[1:]), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("f", [x]):
        builder.emit_func_output(relax.sum(relax.nn.softmax(x, axis=axis), axis=summed))
    values = np.random.default_rng(0).standard_normal(shape).astype("float32")
    result = relax.compile(builder.get())["f"](values)
    powers = np.exp(values.astype("float64"))
    np.testing.assert_allclose(result, (powers / powers.sum(axis, keepdims=True)).sum(summed), rtol=1e-5)
