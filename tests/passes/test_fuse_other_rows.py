"""What reads a contraction's result by other rows than its own: slices, pairs of rows; and batches without a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from relaxdsl.types.constructors import Tensor
from relaxdsl.types.dims import dims

from .build import OP, Built, build
from .test_fuse import groups
from .test_lower import array

k, m, n = dims("k m n")
DENSE = {"x": Tensor((64, k), "float32"), "w": Tensor((k, n), "float32")}
SQUARE = {"x": Tensor((m, k), "float32"), "w": Tensor((k, m), "float32")}
BATCH = {"x": Tensor((m, n, n), "float32"), "w": Tensor((m, k, n), "float32")}


def assert_right(built: Built, *shapes: tuple[int, ...]) -> None:
    values = [array(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    np.testing.assert_allclose(built.run(*values), built.reference(values), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("rows", [slice(0, 32), slice(1, 64), slice(0, 64, 2)])
def test_some_rows_of_a_product(rows: slice) -> None:
    built = build(DENSE, lambda bb, x, w: OP["abs"](OP["matmul"](x, w)[rows]))
    assert groups(built)[0] == ["matmul"]
    for depth, columns in ((7, 5), (65, 33), (129, 257)):
        assert_right(built, (64, depth), (depth, columns))


def test_more_rows_than_a_product_has() -> None:
    built = build(DENSE, lambda bb, x, w: OP["concat"]([OP["matmul"](x, w), OP["matmul"](x, w)], axis=0))
    for depth, columns in ((7, 5), (65, 257)):
        assert_right(built, (64, depth), (depth, columns))


def with_itself_transposed(bb: Any, x: Any, w: Any) -> Any:
    product = OP["matmul"](x, w)
    return OP["add"](product, OP["permute_dims"](product))


def pairs_of_rows(bb: Any, x: Any, w: Any) -> Any:
    total = OP["sum"](OP["softmax"](OP["matmul"](x, w)), axis=1)
    return OP["multiply"](OP["expand_dims"](total, 0), OP["expand_dims"](total, 1))


@pytest.mark.parametrize("body", [with_itself_transposed, pairs_of_rows])
def test_every_row_with_every_other(body: Callable[..., Any]) -> None:
    built = build(SQUARE, body)
    for rows, depth in ((0, 3), (1, 1), (5, 7), (133, 65)):
        assert_right(built, (rows, depth), (depth, rows))


def test_every_row_with_every_other_of_small_matrices() -> None:
    def body(bb: Any, x: Any, w: Any, y: Any) -> Any:
        product = OP["matmul"](x, w)
        return OP["subtract"](OP["matmul"](product, OP["permute_dims"](product, axes=(0, 2, 1))), y)

    tensors = {"x": Tensor((10, 10, n), "float32"), "w": Tensor((n, 4), "float32"), "y": Tensor((10, 1, 10), "float32")}
    assert_right(build(tensors, body), (10, 10, 7), (7, 4), (10, 1, 10))


@pytest.mark.parametrize("sizes", [(0, 0, 0), (0, 3, 4), (4, 0, 3), (5, 3, 0), (5, 0, 0), (2, 3, 4)])
def test_matrices_of_a_batch_that_have_no_rows_or_columns(sizes: tuple[int, int, int]) -> None:
    batch, columns, rows = sizes
    built = build(BATCH, lambda bb, x, w: OP["matmul"](x, OP["permute_dims"](w, axes=(0, 2, 1))))
    assert_right(built, (batch, rows, rows), (batch, columns, rows))
