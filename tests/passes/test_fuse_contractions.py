"""What fusion joins with contractions: attention from its parts, norms before products, what follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import dims

from .build import OP, Built, build
from .test_fuse import boundaries, groups
from .test_lower import array

b, s, m, n = dims("b s m n")
HEADS, DIM = 3, 8
WIDTH = HEADS * DIM
TOKENS = Tensor((b, s, WIDTH), "float32")
SQUARE = Tensor((WIDTH, WIDTH), "float32")
READ_MANY_TIMES = "matmul reads it, and a contraction reads each element many times"


def split(x: Any) -> Any:
    return OP["permute_dims"](OP["reshape"](x, (b, s, HEADS, DIM)), (0, 2, 1, 3))


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = OP["matmul"](q, OP["permute_dims"](k, (0, 1, 3, 2)))
    return OP["matmul"](OP["softmax"](OP["multiply"](scores, 0.3), axis=-1), v)


def run(built: Built, *shapes: tuple[int, ...]) -> tuple[Any, Any]:
    values = [array(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    return built.run(*values), built.reference(values)


def assert_close(results: tuple[Any, Any]) -> None:
    np.testing.assert_allclose(*results, rtol=2e-4, atol=2e-5)


def test_attention_is_one_kernel() -> None:
    heads = Tensor((b, HEADS, s, DIM), "float32")
    built = build({"q": heads, "k": heads, "v": heads}, lambda bb, q, k, v: attention(q, k, v))
    assert groups(built) == [["permute_dims", "matmul", "multiply", "softmax", "matmul"]]
    for batch, length in ((1, 1), (2, 7), (1, 130)):
        assert_close(run(built, *[(batch, HEADS, length, DIM)] * 3))


def one_head(q: Any, k: Any, v: Any) -> Any:
    scores = OP["matmul"](q, OP["permute_dims"](k, (1, 0)))
    return OP["matmul"](OP["softmax"](OP["multiply"](scores, 0.3), axis=-1), v)


def test_attention_of_one_head_is_one_kernel_and_writes_no_scores() -> None:
    rows, columns = Tensor((m, 64), "float32"), Tensor((n, 64), "float32")
    built = build({"q": rows, "k": columns, "v": columns}, lambda bb, q, k, v: one_head(q, k, v))
    assert groups(built) == [["permute_dims", "matmul", "multiply", "softmax", "matmul"]]
    for lengths in ((0, 3), (1, 1), (2, 7), (193, 50), (97, 400)):
        assert_close(run(built, (lengths[0], 64), *[(lengths[1], 64)] * 2))


@pytest.mark.parametrize(
    ("rows", "columns", "is_one"), [(m, 96, False), (700, 96, False), (800, 96, True), (8, n, True)]
)
def test_a_softmax_joins_products_where_rows_are_large_or_many(rows: Any, columns: Any, is_one: bool) -> None:
    """Elsewhere threads share the columns of the first one, and its result is no larger than a layer's."""
    types = {"q": Tensor((rows, 64), "float32"), "k": Tensor((columns, 64), "float32")}
    built = build({**types, "v": Tensor((columns, 64), "float32")}, lambda bb, q, k, v: one_head(q, k, v))
    assert len(groups(built)) == (1 if is_one else 2)
    if not is_one:
        assert boundaries(built)[0] == "multiply reads it, and what follows takes its whole result"


def test_heads_are_split_where_they_are_read_and_joined_where_they_are_written() -> None:
    def body(bb: Any, x: Any, w: Any, out: Any) -> Any:
        made = attention(split(OP["matmul"](x, w)), split(x), split(x))
        joined = OP["reshape"](OP["permute_dims"](made, (0, 2, 1, 3)), (b, s, WIDTH))
        return OP["add"](OP["matmul"](joined, out), x)

    built = build({"x": TOKENS, "w": SQUARE, "out": SQUARE}, body)
    first, middle, last = groups(built)
    assert first == ["matmul"]
    assert set(middle) == {"reshape", "permute_dims", "matmul", "multiply", "softmax"}
    assert middle.count("matmul") == 2
    assert last == ["reshape", "matmul", "add"]
    for batch, length in ((1, 1), (2, 7), (1, 100)):
        assert_close(run(built, (batch, length, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH)))


def test_a_norm_is_made_for_the_rows_of_a_product() -> None:
    def body(bb: Any, x: Any, w: Any, v: Any) -> Any:
        hidden = OP["gelu"](OP["matmul"](OP["layer_norm"](x, None, None, axes=-1), w))
        return OP["softmax"](OP["matmul"](hidden, v))

    built = build({"x": TOKENS, "w": SQUARE, "v": SQUARE}, body)
    assert groups(built) == [["layer_norm", "matmul", "gelu"], ["matmul", "softmax"]]
    assert boundaries(built)[0] == "matmul reads it, and it belongs to the contraction before it"
    for batch, length in ((1, 1), (2, 7), (3, 70)):
        assert_close(run(built, (batch, length, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH)))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda x, w: OP["matmul"](x, OP["softmax"](w)), READ_MANY_TIMES),
        (lambda x, w: OP["sum"](OP["matmul"](x, w), axis=0), "sum reads it, and what follows needs other rows"),
        (lambda x, w: OP["matmul"](OP["matmul"](x, w), w), READ_MANY_TIMES),
    ],
)  # fmt: skip
def test_boundaries(body: Any, reason: str) -> None:
    built = build({"x": Tensor((m, WIDTH), "float32"), "w": SQUARE}, lambda bb, x, w: body(x, w))
    assert boundaries(built)[0] == reason
    assert_close(run(built, (50, WIDTH), (WIDTH, WIDTH)))


# -------------------------------------------------------------------------------------------------------------- masks


def masked_attention(mask: str, q: Any, k: Any, v: Any) -> Any:
    scores = OP["multiply"](OP["matmul"](q, OP["permute_dims"](k, (0, 1, 3, 2))), 0.3)
    ones = OP["ones"]((s, s), "bool")
    masks = {
        "causal": lambda: OP["where"](OP["tril"](ones), scores, -np.inf),
        "behind": lambda: OP["where"](OP["tril"](ones, -100), scores, -np.inf),
        "hidden": lambda: OP["where"](OP["triu"](ones, 3), -np.inf, scores),
        "finite": lambda: OP["where"](OP["tril"](ones), scores, -1e30),
        "added": lambda: OP["add"](scores, OP["where"](OP["tril"](ones), 0.0, -np.inf)),
    }
    return OP["matmul"](OP["softmax"](masks[mask](), axis=-1), v)


def heads_of(length: int) -> list[Any]:
    return [array(2, HEADS, length, DIM, seed=seed) for seed in range(3)]


def built_with(mask: str) -> Built:
    heads = Tensor((b, HEADS, s, DIM), "float32")
    return build({"q": heads, "k": heads, "v": heads}, lambda bb, q, k, v: masked_attention(mask, q, k, v))


@pytest.mark.parametrize("mask", ["causal", "behind", "hidden", "finite", "added"])
def test_what_a_mask_leaves_out_of_a_softmax_is_not_computed(mask: str) -> None:
    """Where what lies beyond is certainly -inf: not a finite number, nor NaN plus -inf."""
    built = built_with(mask)
    assert len(groups(built)) == 1
    assert ("left_out" in built.compiled.kernels[0].source) == (mask in ("causal", "behind", "hidden"))
    for length in (0, 1, 7, 95, 130, 250):
        values = heads_of(length)
        with np.errstate(invalid="ignore"):
            wanted = built.reference(values)
        np.testing.assert_allclose(built.run(*values), wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("operand", [0, 1, 2])
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_masked_as_the_reference_does(operand: int, number: float) -> None:
    """A hidden score is replaced; a hidden value still counts, times 0."""
    built = built_with("causal")
    values = heads_of(230)
    values[operand][0, 1, [3, 120, 200], 5] = number
    with np.errstate(invalid="ignore"):
        wanted = built.reference(values)
    assert np.isnan(wanted).any()
    np.testing.assert_allclose(built.run(*values), wanted, rtol=2e-4, atol=2e-5)


# -------------------------------------------------------------------------------------------------------------- bytes


@relax.function
def widened(x: relax.Tensor[("m", "k"), "int8"], w: relax.Tensor[("k", "n"), "uint8"]):
    return relax.astype(x, "int32") @ relax.astype(w, "int32")


@relax.function
def widened_by_rows(x: relax.Tensor[("m", "k"), "int8"], w: relax.Tensor[("n", "k"), "int8"]):
    return relax.linear(relax.astype(x, "int32"), relax.astype(w, "int32"))


@relax.function
def widened_einsum(x: relax.Tensor[("b", "m", "k"), "int8"], w: relax.Tensor[("b", "n", "k"), "int8"]):
    return relax.einsum("bmk,bnk->bmn", relax.astype(x, "int32"), relax.astype(w, "int32"))


@pytest.mark.parametrize(
    ("function", "formula", "dtypes", "shapes"),
    [
        (widened, "mk,kn->mn", ("int8", "uint8"), ((37, 301), (301, 19))),
        (widened_by_rows, "mk,nk->mn", ("int8", "int8"), ((37, 301), (19, 301))),
        (widened_einsum, "bmk,bnk->bmn", ("int8", "int8"), ((3, 37, 301), (3, 19, 301))),
    ],
)
def test_bytes_that_a_product_widens_are_multiplied_as_bytes(
    function: Any, formula: str, dtypes: tuple[str, str], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    random = np.random.default_rng(5)
    ranges = [np.iinfo(dtype) for dtype in dtypes]
    x, w = (random.integers(each.min, each.max + 1, shape) for each, shape in zip(ranges, shapes, strict=True))
    got = function(x.astype(dtypes[0]), w.astype(dtypes[1]))
    np.testing.assert_array_equal(got, np.einsum(formula, x, w))
    assert got.dtype == "int32"
    assert "contract_int8" in function.source()
    assert len(function.explain().kernels) == 1
