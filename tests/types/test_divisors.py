"""Sizes that may divide by zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaxdsl.types.dims import Dim, dim_max, dim_min, dims, evaluate, symbol
from relaxdsl.types.divisors import may_divide_by_zero, with_positive_divisors

M, N = dims("m n")
K = symbol("k", lower=1)


@pytest.mark.parametrize(
    ("dim", "may"),
    [
        (7, False),
        (M * N + 3, False),
        (M // 4, False),
        (M // K, False),
        (M // (N + 1), False),
        (M // N, True),
        ((M + 15) // N * 2 + 1, True),
        (dim_max(M, 5 // N), True),
        ((M // N) // 3, True),
        (M // dim_max(N, 1), False),
    ],
)
def test_whether_a_size_may_divide_by_zero(dim: Dim, may: bool) -> None:
    assert may_divide_by_zero(dim) == may
    assert not may_divide_by_zero(with_positive_divisors(dim))
    if not may:
        assert with_positive_divisors(dim) is dim


@given(m=st.integers(0, 50), n=st.integers(1, 50))
def test_nothing_else_changes(m: int, n: int) -> None:
    for dim in (M // N, (M + 7) // N * 3 - M, dim_min(M // N, 3) + (M // N) ** 2, (M // N + 20) // (N * 2)):
        assert evaluate(with_positive_divisors(dim), {"m": m, "n": n}) == evaluate(dim, {"m": m, "n": n})


def test_division_by_zero_counts_as_division_by_one() -> None:
    assert evaluate(with_positive_divisors(M // N * 2), {"m": 6, "n": 0}) == 12
