"""``nn.attention`` beside torch, and the rows that see nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_runs import run

import relaxdsl as relax
from relaxdsl.operators.attention import attention

b, s = relax.dims("b s")


def _arrays(queries: int, keys: int, heads: int, kv_heads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = (2, queries, heads, 8), (2, keys, kv_heads, 8), (2, keys, kv_heads, 5)
    return tuple(rng.standard_normal(shape).astype("float32") for shape in shapes)  # type: ignore[return-value]


def _torch_attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, **options: Any) -> np.ndarray:
    torch = pytest.importorskip("torch")
    operands = [torch.from_numpy(each).transpose(1, 2) for each in (query, key, value)]
    is_grouped = query.shape[2] != key.shape[2]
    result = torch.nn.functional.scaled_dot_product_attention(*operands, enable_gqa=is_grouped, **options)
    return result.transpose(1, 2).numpy()


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (3, 1)])
def test_agrees_with_torch(heads: int, kv_heads: int) -> None:
    arrays = _arrays(7, 7, heads, kv_heads)
    np.testing.assert_allclose(run(attention, *arrays), _torch_attention(*arrays), rtol=1e-5, atol=1e-6)
    causal = run(attention, *arrays, causal_mask="TopLeft", scale=0.7)
    np.testing.assert_allclose(causal, _torch_attention(*arrays, is_causal=True, scale=0.7), rtol=1e-5, atol=1e-6)


def test_a_bias_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    arrays = _arrays(5, 9, 2, 2)
    bias = np.random.default_rng(1).standard_normal((2, 1, 5, 9)).astype("float32")
    expected = _torch_attention(*arrays, attn_mask=torch.from_numpy(bias))
    np.testing.assert_allclose(run(attention, *arrays, bias), expected, rtol=1e-5, atol=1e-6)


def test_a_query_that_sees_no_key_is_nan() -> None:
    arrays = _arrays(3, 2, 1, 1)
    result = run(attention, *arrays, causal_mask="BottomRight")
    assert np.isnan(result[:, 0]).all()
    assert np.isfinite(result[:, 1:]).all()
    bias = np.zeros((1, 1, 3, 2), "float32")
    bias[..., 1, :] = -np.inf
    result = run(attention, *arrays, bias)
    assert np.isnan(result[:, 1]).all()
    assert np.isfinite(result[:, [0, 2]]).all()


def test_what_is_masked_may_be_anything() -> None:
    query, key, value = _arrays(4, 4, 1, 1)
    expected = run(attention, query, key, value, causal_mask="TopLeft")[:, :3]
    key[:, 3] = np.nan
    value[:, 3] = 1e30
    np.testing.assert_array_equal(run(attention, query, key, value, causal_mask="TopLeft")[:, :3], expected)


def test_scores_far_apart_do_not_overflow() -> None:
    query, key, value = _arrays(4, 4, 1, 1)
    result = run(attention, query * 1e4, key * 1e4, value)
    assert np.isfinite(result).all()


def test_a_product_after_causal_attention_of_one_head() -> None:
    """Its sum is over all columns of the attention, not over the keys that a row needs."""

    @relax.function
    def projected(
        q: relax.Tensor[(1, s, 1, 4), "float32"],
        v: relax.Tensor[(1, s, 1, 65), "float32"],
        w: relax.Tensor[(65, 33), "float32"],
    ):
        seen = relax.nn.attention(q, q, v, causal_mask="TopLeft")
        return relax.reshape(seen, (1, s, 65)) @ w

    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 5, 70):
        q, v = (rng.standard_normal((1, size, 1, depth)).astype("float32") for depth in (4, 65))
        assert projected.check(q, v, rng.standard_normal((65, 33)).astype("float32"))


def test_grouped_heads_of_depth_1_that_are_reshaped() -> None:
    """Columns are heads and rows of the image at once, in another order than in the result."""

    @relax.function
    def flat(
        q: relax.Tensor[(b, s, 3, 1), "float32"],
        k: relax.Tensor[(b, s, 1, 1), "float32"],
        v: relax.Tensor[(b, s, 1, 1), "float32"],
    ):
        return relax.reshape(relax.nn.attention(q, k, v), (b, s * 3, 1))

    rng = np.random.default_rng(0)
    for batch, size in ((1, 95), (2, 65), (1, 5), (0, 3)):
        q, k, v = (rng.standard_normal((batch, size, heads, 1)).astype("float32") for heads in (3, 1, 1))
        assert flat.check(q, k, v)


def test_no_queries_in_a_window_of_transposed_heads() -> None:
    @relax.function
    def windowed(q: relax.Tensor[(1, 2, s, 4), "float32"], k: relax.Tensor[(1, s, 1, 4), "float32"]):
        seen = relax.permute_dims(q, (0, 2, 1, 3))
        return relax.nn.attention(seen, k, k, causal_mask="TopLeft", window_size=3)

    rng = np.random.default_rng(0)
    for size in (0, 1, 7):
        q, k = rng.standard_normal((1, 2, size, 4)), rng.standard_normal((1, size, 1, 4))
        assert windowed.check(q.astype("float32"), k.astype("float32"))
