"""Scaled dot-product attention: ``nn.attention``, whose stages can run block by block, without the matrix of scores.

The heads of the queries are two axes inside (the key's head, the place in its group), so that indices are affine.
A mask stands where scores are read and where weights are stored, so that what it leaves out need not be computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relaxdsl.dataclass import dataclass
from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.scalar import ScalarExpr
from relaxdsl.kernels import te
from relaxdsl.operators.calls import operator
from relaxdsl.operators.operands import (
    common_dtype,
    describe,
    require_dtype,
    require_ndim,
    require_same_size,
    typed_element,
)
from relaxdsl.operators.reduce import quiet
from relaxdsl.operators.registry import Operand, mistake, sample, tensor
from relaxdsl.types.dims import Dim, exact_divide
from relaxdsl.types.prove import Proof, prove_equal

_NAME = "nn.attention"
_CAUSAL_MASKS = ("TopLeft", "BottomRight")
_AXES = "the axes are (batch, length, heads, dimension)"

# ------------------------------------------------------------------------------------------------------------ reference


def _reference_mask(queries: int, keys: int, causal_mask: str | None, window_size: int | None) -> Any:
    """Which keys a query sees."""
    if causal_mask is None:
        return np.ones((queries, keys), bool)
    last = np.arange(queries)[:, None] + (keys - queries if causal_mask == "BottomRight" else 0)
    distance = last - np.arange(keys)
    return (distance >= 0) & (distance < (math.inf if window_size is None else window_size))


def _reference_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    scale: float | None = None,
    causal_mask: str | None = None,
    window_size: int | None = None,
) -> Any:
    """In float64; a row that sees no key is 0 / 0."""
    dtype = np.result_type(*(each for each in (query, key, value, bias) if each is not None))
    group = query.shape[2] // max(key.shape[2], 1)
    q, k, v = (np.swapaxes(each.astype("float64"), 1, 2) for each in (query, key, value))
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = q @ np.swapaxes(k, 2, 3) * (1 / math.sqrt(query.shape[3]) if scale is None else scale)
    scores = scores if bias is None else scores + bias
    scores = np.where(_reference_mask(query.shape[1], key.shape[1], causal_mask, window_size), scores, -np.inf)
    powers = np.exp(scores - scores.max(axis=3, keepdims=True, initial=-np.inf))
    return np.swapaxes((powers @ v) / powers.sum(axis=3, keepdims=True), 1, 2).astype(dtype)


# -------------------------------------------------------------------------------------------------------------- samples

_TOLERANCE = 2e-5
_SIZES = (1, 2, 7)


def _operands(queries: Any, keys: Any, heads: Any, kv_heads: Any, dtype: str = "float32", batch: Any = "b") -> Any:
    return (
        tensor(batch, queries, heads, 4, dtype=dtype),
        tensor(batch, keys, kv_heads, 4, dtype=dtype),
        tensor(batch, keys, kv_heads, 3, dtype=dtype),
    )


_SAMPLES = [
    sample(*_operands("s", "t", 2, 2), tolerance=_TOLERANCE),
    sample(*_operands("s", "t", 2, 2), tensor("b", 2, "s", "t"), tolerance=_TOLERANCE, sizes=_SIZES),
    sample(*_operands("s", "t", 6, 2), tensor(1, 6, 1, "t"), scale=0.3, tolerance=_TOLERANCE, sizes=_SIZES),
    sample(*_operands("s", "s", "h", "h"), causal_mask="TopLeft", tolerance=_TOLERANCE),
    sample(*_operands("s", "t", 4, 2), causal_mask="BottomRight", tolerance=_TOLERANCE),
    sample(*_operands("s", 9, 3, 1, "float64"), causal_mask="BottomRight", tolerance=1e-12),
    sample(*_operands(9, "t", 2, 2), causal_mask="TopLeft", window_size=3, tolerance=_TOLERANCE, sizes=_SIZES),
    sample(*_operands("s", "s", 5, 1), causal_mask="TopLeft", tolerance=_TOLERANCE, sizes=_SIZES),
    sample(*_operands(1, "t", 2, 2), causal_mask="BottomRight", tolerance=_TOLERANCE, sizes=_SIZES),
    sample(
        tensor(2, "s", 1, "d"),
        tensor(2, 5, 1, "d"),
        tensor(2, 5, 1, "d", dtype="float64"),
        tolerance=_TOLERANCE,
        sizes=_SIZES,
    ),
]

_MISTAKES = [
    mistake(
        DTypeError,
        "nn.attention: query must be float, got int32\n"
        "   query : Tensor((2, s, 4, 8), int32)\n"
        '   hint: convert it with query.astype("float32")',
        tensor(2, "s", 4, 8, dtype="int32"),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
    ),
    mistake(
        ShapeError,
        "nn.attention: key must have 4 dimensions, got 3\n   key : Tensor((2, t, 8), float32)\n"
        f"   {_AXES}",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 8),
        tensor(2, "t", 4, 8),
    ),
    mistake(
        ShapeError,
        "nn.attention: head dimension differs: 8 and 16\n"
        "   query : Tensor((2, s, 4, 8), float32)    axis 3 is 8\n"
        "   key   : Tensor((2, t, 4, 16), float32)   axis 3 is 16",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 16),
        tensor(2, "t", 4, 8),
    ),
    mistake(
        ShapeError,
        "nn.attention: sequence length: symbolic sizes `t` and `s` may differ\n"
        "   key   : Tensor((2, t, 4, 8), float32)   axis 1 is t\n"
        "   value : Tensor((2, s, 4, 8), float32)   axis 1 is s\n"
        "   hint: if they are always equal, name them alike (`t` in both), or match_cast one of them",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "s", 4, 8),
    ),
    mistake(
        ShapeError,
        "nn.attention: the heads of query, 6, are not a multiple of those of key, 4\n"
        "   query : Tensor((2, s, 6, 8), float32)\n"
        f"   key : Tensor((2, t, 4, 8), float32)\n   {_AXES}",
        tensor(2, "s", 6, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
    ),
    mistake(
        ShapeError,
        "nn.attention: heads differs: 2 and 4\n"
        "   bias  : Tensor((2, 2, s, t), float32)   axis 1 is 2\n"
        "   query : Tensor((2, s, 4, 8), float32)   axis 2 is 4",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, 2, "s", "t"),
    ),
    mistake(
        ShapeError,
        "nn.attention: causal_mask must be 'TopLeft', 'BottomRight' or None, got 'topleft'",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
        causal_mask="topleft",
    ),
    mistake(
        ShapeError,
        "nn.attention: window_size must be a positive integer, got 0",
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
        causal_mask="TopLeft",
        window_size=0,
    ),
    mistake(
        ShapeError,
        'nn.attention: window_size=3 needs a causal mask\n   hint: pass causal_mask="TopLeft" or "BottomRight"',
        tensor(2, "s", 4, 8),
        tensor(2, "t", 4, 8),
        tensor(2, "t", 4, 8),
        window_size=3,
    ),
]

# ------------------------------------------------------------------------------------------------------------- the body


@dataclass(frozen=True, slots=True)
class _Mask:
    """The keys ``j`` that the query ``i`` sees: ``i + offset - window < j <= i + offset``, or all of them."""

    is_causal: bool
    offset: Dim
    window: int | None

    def guarded(self, query: Dim, key: Dim, seen: ScalarExpr, otherwise: float) -> ScalarExpr:
        """``seen`` where the query sees the key."""
        if not self.is_causal:
            return seen
        last = query + self.offset
        condition = te.less_equal(key, last)
        if self.window is not None:
            condition = te.logical_and(condition, te.less(last - self.window, key))
        return te.if_then_else(condition, seen, te.const(otherwise, seen.dtype))


@operator(_NAME, reference=quiet(_reference_attention), samples=_SAMPLES, mistakes=_MISTAKES)
def attention(
    query: Operand,
    key: Operand,
    value: Operand,
    bias: Operand | None = None,
    scale: float | None = None,
    causal_mask: str | None = None,
    window_size: int | None = None,
) -> te.Tensor:
    """``softmax(query @ key.T * scale + bias) @ value`` for each batch and head, over the sequence of ``key``.

    Without ``scale`` it is ``1 / sqrt(head dimension)``. With ``causal_mask`` a query sees keys up to its own place:
    counted from the first query and key (``"TopLeft"``), or from the last ones (``"BottomRight"``); with
    ``window_size`` only the last so many of these. ``query`` may have a multiple of the heads of ``key`` and ``value``:
    as many neighbours share one of them. A query that sees no key gets NaN, as the softmax of nothing is.

    Shapes: ``(batch, queries, heads, dim), (batch, keys, kv_heads, dim), (batch, keys, kv_heads, dim_v) -> (batch,
    queries, heads, dim_v)``; ``bias`` is ``(batch, heads, queries, keys)``, where each axis may be 1.

    Raises:
        ShapeError: the operands do not fit, the heads are no multiple, or a mask is unknown.
        DTypeError: an operand is not float.

    Example:
        >>> b, s = relax.dims("b s")
        >>> q = relax.Var("q", relax.TensorType((b, s, 12, 64), "float32"))
        >>> kv = relax.Var("kv", relax.TensorType((b, s, 4, 64), "float32"))
        >>> print(relax.nn.attention(q, kv, kv, causal_mask="TopLeft").type)
        relax.Tensor((b, s, 12, 64), "float32")

    Source: TVM Relax; "Attention Is All You Need", equation 1.
    """
    q, k, v = (_require_operand(each, name) for each, name in ((query, "query"), (key, "key"), (value, "value")))
    group = _require_fitting(q, k, v)
    biased = None if bias is None else _require_bias(bias, q, k)
    mask = _mask(q, k, causal_mask, window_size)
    dtype = common_dtype(*(each for each in (q, k, v, biased) if each is not None))
    scores = _scores(q, k, group, dtype)
    scale_factor = _scale(scale, q.shape[3], dtype)

    def score(b: Dim, h: Dim, g: Dim, i: Dim, j: Dim) -> ScalarExpr:
        scaled = scores[b, h, g, i, j] * scale_factor
        return scaled if biased is None else scaled + typed_element(biased, (b, h * group + g, i, j), dtype)

    powers, factor = _powers(scores.shape, score, mask)
    weighted = _weighted(powers, v, dtype)

    def body(b: Dim, i: Dim, h: Dim, d: Dim) -> ScalarExpr:
        row = b, h // group, h % group, i
        return factor[row] * weighted[(*row, d)]

    return te.compute((*q.shape[:3], v.shape[3]), body, name="attention")


def _scores(q: te.Tensor, k: te.Tensor, group: Dim, dtype: str) -> te.Tensor:
    """The products of queries and keys: ``(batch, kv_heads, group, queries, keys)``."""

    def body(b: Dim, h: Dim, g: Dim, i: Dim, j: Dim) -> ScalarExpr:
        d = te.reduce_axis(q.shape[3], name="d")
        return te.sum(q[b, i, h * group + g, d].astype(dtype) * k[b, j, h, d].astype(dtype), d)

    batch, queries, _, _ = q.shape
    return te.compute((batch, k.shape[2], group, queries, k.shape[1]), body, name="scores")


def _powers(shape: Sequence[Dim], score: Callable[..., ScalarExpr], mask: _Mask) -> tuple[te.Tensor, te.Tensor]:
    """``exp(score - greatest)`` for each key, 0 where it is not seen, and one divided by the sum over the keys."""

    def seen_score(*at: Dim) -> ScalarExpr:
        j = te.reduce_axis(shape[-1], name="j")
        return te.max(mask.guarded(at[-1], j, score(*at, j), -math.inf), j)

    greatest = te.compute(shape[:-1], seen_score, name="greatest")

    def power(*at: Dim) -> ScalarExpr:
        return mask.guarded(at[-2], at[-1], te.exp(score(*at) - greatest[at[:-1]]), 0.0)

    powers = te.compute(shape, power, name="powers")

    def power_sum(*at: Dim) -> ScalarExpr:
        j = te.reduce_axis(shape[-1], name="j")
        return te.sum(powers[(*at, j)], j)

    total = te.compute(shape[:-1], power_sum, name="total")
    return powers, te.compute(shape[:-1], lambda *at: 1 / total[at], name="factor")


def _weighted(powers: te.Tensor, v: te.Tensor, dtype: str) -> te.Tensor:
    """The sum of the values, each times its power: ``(batch, kv_heads, group, queries, dim_v)``."""

    def body(b: Dim, h: Dim, g: Dim, i: Dim, d: Dim) -> ScalarExpr:
        j = te.reduce_axis(v.shape[1], name="j")
        return te.sum(powers[b, h, g, i, j] * v[b, j, h, d].astype(dtype), j)

    return te.compute((*powers.shape[:-1], v.shape[3]), body, name="weighted")


def _scale(scale: float | None, dimension: Dim, dtype: str) -> ScalarExpr | float:
    if scale is not None:
        return float(scale)
    if isinstance(dimension, int):
        return 1 / math.sqrt(dimension) if dimension else math.inf
    return te.rsqrt(te.cast(dimension, dtype))


# ----------------------------------------------------------------------------------------------------------- what fits


def _require_operand(operand: Operand, name: str, axes: str = _AXES) -> te.Tensor:
    found = require_ndim(_NAME, operand, 4, name=name, axes=axes)
    require_dtype(_NAME, found, ("float",), name=name)
    return found


def _require_fitting(q: te.Tensor, k: te.Tensor, v: te.Tensor) -> Dim:
    """How many heads of the queries share one of the keys."""
    for axis, (other, headline) in {0: (k, "batch"), 3: (k, "head dimension")}.items():
        require_same_size(_NAME, q, axis, other, axis, headline)
    for axis, headline in enumerate(("batch", "sequence length", "heads")):
        require_same_size(_NAME, k, axis, v, axis, headline)
    heads, kv_heads = q.shape[2], k.shape[2]
    group = 1 if prove_equal(heads, kv_heads) is Proof.YES else exact_divide(heads, kv_heads)
    if group is None:
        raise ShapeError(
            f"{_NAME}: the heads of {q.name}, {heads}, are not a multiple of those of {k.name}, {kv_heads}",
            details=[describe(q), describe(k), _AXES],
        )
    return group


def _require_bias(bias: Operand, q: te.Tensor, k: te.Tensor) -> te.Tensor:
    found = _require_operand(bias, "bias", "the axes are (batch, heads, queries, keys)")
    sources = ((q, 0, "batch"), (q, 2, "heads"), (q, 1, "queries"), (k, 1, "keys"))
    for axis, (source, own_axis, what) in enumerate(sources):
        if found.shape[axis] != 1:
            require_same_size(_NAME, found, axis, source, own_axis, what)
    return found


def _mask(q: te.Tensor, k: te.Tensor, causal_mask: str | None, window_size: int | None) -> _Mask:
    if causal_mask not in (None, *_CAUSAL_MASKS):
        raise ShapeError(f"{_NAME}: causal_mask must be 'TopLeft', 'BottomRight' or None, got {causal_mask!r}")
    if window_size is not None and (not isinstance(window_size, int) or window_size < 1):
        raise ShapeError(f"{_NAME}: window_size must be a positive integer, got {window_size!r}")
    if window_size is not None and causal_mask is None:
        raise ShapeError(
            f"{_NAME}: window_size={window_size} needs a causal mask",
            hint='pass causal_mask="TopLeft" or "BottomRight"',
        )
    offset = k.shape[1] - q.shape[1] if causal_mask == "BottomRight" else 0
    return _Mask(causal_mask is not None, offset, window_size)
