"""Proofs about dims: what must be decided, what must not, and what answers when the common path cannot."""

from __future__ import annotations

import pytest

from relaxdsl.errors import ShapeError
from relaxdsl.types.atoms import Symbol
from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, symbol
from relaxdsl.types.hard_proofs import latex, remainder_cases
from relaxdsl.types.prove import (
    Proof,
    Ranges,
    bounds,
    find_counterexample,
    has_atoms,
    prove_divisible,
    prove_equal,
    prove_less,
    prove_less_equal,
)
from relaxdsl.types.symint import from_atom

m, n, i, j = symbol("m"), symbol("n"), symbol("i"), symbol("j")
k = symbol("k", lower=1)
t = symbol("t", lower=2, upper=5)
YES, NO, UNKNOWN = Proof.YES, Proof.NO, Proof.UNKNOWN

EQUAL: list[tuple[Dim, Dim, Proof]] = [
    (n * 4 * m, m * n * 4, YES),
    ((n + 1) - 1, n, YES),
    (m // 2 * 2 + m % 2, m, YES),
    (n // 2 + (n + 1) // 2, n, YES),
    (symbol("c", lower=3, upper=3), 3, YES),
    (3, 3, YES),
    (3, 4, NO),
    (n, n + 1, NO),
    (2 * n, 2 * m + 1, NO),
    (m + n + 1, 0, NO),
    (-m, 2, NO),
    (t, 6, NO),
    (t, 3, UNKNOWN),
    (m, n, UNKNOWN),
    (m, 1, UNKNOWN),
    (m // 2 * 2, m, UNKNOWN),
    (m * n, m, UNKNOWN),
]


@pytest.mark.parametrize(("a", "b", "proof"), EQUAL, ids=[f"{a} == {b}" for a, b, _ in EQUAL])
def test_prove_equal(a: Dim, b: Dim, proof: Proof) -> None:
    assert prove_equal(a, b) is proof
    assert prove_equal(b, a) is proof


LESS: list[tuple[Dim, Dim, Ranges, Proof]] = [
    (i, n, {"i": (0, n - 1)}, YES),
    (i * n + j, m * n, {"i": (0, m - 1), "j": (0, n - 1)}, YES),
    (j, n, {"i": (0, n - 1), "j": (0, i)}, YES),
    (i // 4, (n + 3) // 4, {"i": (0, n - 1)}, YES),
    (i * 4 + j, 4 * ceildiv(n, 4), {"i": (0, ceildiv(n, 4) - 1), "j": (0, 3)}, YES),
    (n, i, {"i": (0, n - 1)}, NO),
    (i, n, {"i": (0, n)}, UNKNOWN),
    (i // 8, n, {"i": (0, 8 * n - 1)}, YES),
    (dim_min(i, n - 1), n, {}, YES),
    (n, n + k, {}, YES),
    (n, 0, {}, NO),
    (m, n, {}, UNKNOWN),
    (m % 4, 4, {}, YES),
    (m % k, k, {}, YES),
]


@pytest.mark.parametrize(("a", "b", "ranges", "proof"), LESS, ids=[f"{a} < {b}, {r}" for a, b, r, _ in LESS])
def test_prove_less(a: Dim, b: Dim, ranges: Ranges, proof: Proof) -> None:
    assert prove_less(a, b, ranges) is proof


LESS_EQUAL: list[tuple[Dim, Dim, Proof]] = [
    (i // 4 * 4, i, YES),
    (m // 2, m, YES),
    (m // k, m, YES),
    (dim_min(m, n), n, YES),
    (dim_min(m, n), m + n, YES),
    (m, dim_max(m, n), YES),
    (dim_max(m, n), m + n, YES),
    (n * dim_max(n, 2), dim_max(n, 2) ** 2, YES),
    (n * dim_min(n, 2), dim_min(n, 2) ** 2, UNKNOWN),  # 6 and 4 for n = 3
    (n, n * k, YES),
    (n * t, 5 * n, YES),
    (n * (m // 2), n * m, YES),
    (n + 1, n, NO),
    (dim_max(m, n), m, UNKNOWN),
    (n * n, n, UNKNOWN),
    (m // n, m, UNKNOWN),
]


@pytest.mark.parametrize(("a", "b", "proof"), LESS_EQUAL, ids=[f"{a} <= {b}" for a, b, _ in LESS_EQUAL])
def test_prove_less_equal(a: Dim, b: Dim, proof: Proof) -> None:
    assert prove_less_equal(a, b) is proof


def test_a_symbol_of_the_schedule_need_not_be_an_identifier() -> None:
    step = from_atom(Symbol("j.step", 1))
    assert prove_less_equal(n, step * n) is Proof.YES


def test_prove_divisible() -> None:
    assert prove_divisible(4 * n + 8, 4) is YES
    assert prove_divisible(4 * n + 2, 4) is NO
    assert prove_divisible(n, 4) is UNKNOWN
    assert prove_divisible(m * n, n) is YES
    assert prove_divisible(m + 1, n) is UNKNOWN
    assert prove_divisible(m * k, k) is YES
    with pytest.raises(ShapeError) as caught:
        prove_divisible(m, 0)
    assert str(caught.value) == "the size `m % 0` divides by zero"


def test_bounds() -> None:
    assert bounds(7) == (7, 7)
    assert bounds(m) == (0, None)
    assert bounds(m % 4 - 1) == (-1, 2)
    assert bounds(-2 * t + 1) == (-9, -3)
    assert bounds(i, {"i": (1, t - 1)}) == (1, 4)
    assert bounds(dim_min(t, m)) == (0, 5)
    assert bounds(dim_max(t, m)) == (2, None)
    assert bounds(m - n) == (None, None)
    assert bounds(-m * k) == (None, 0)
    assert bounds(t * t) == (4, 25)


def test_a_proof_has_no_truth_value() -> None:
    with pytest.raises(TypeError) as caught:
        bool(prove_equal(m, n))
    assert str(caught.value) == "a Proof has no truth value: compare it with Proof.YES or Proof.NO"


def test_hard_proofs_go_by_cases_and_by_sympy() -> None:
    thirds = n // 3 + (n + 1) // 3 + (n + 2) // 3
    assert prove_equal(thirds, n, hard=True) is YES
    assert prove_less_equal(2 * n, n * n + 1) is UNKNOWN
    assert prove_less_equal(2 * n, n * n + 1, hard=True) is YES
    assert prove_equal(m, n, hard=True) is UNKNOWN
    assert prove_less(i, n, {"i": (0, n)}, hard=True) is UNKNOWN
    assert remainder_cases(n + 1) is None
    assert remainder_cases(n // 2) == [symbol("n"), symbol("n")]


def test_counterexamples() -> None:
    assert find_counterexample(m // 2 * 2, m, "==") == {"m": 1}
    assert find_counterexample(m, n, "<=") == {"m": 1, "n": 0}
    assert find_counterexample(m, m, "==") is None
    assert find_counterexample(m, m, "!=") == {"m": 0}
    assert find_counterexample(m, n, "<") == {"m": 0, "n": 0}
    assert find_counterexample(m, 2, ">") == {"m": 0}
    assert find_counterexample(m, 2, ">=") == {"m": 0}
    assert find_counterexample(m // n, m, "==") == {"m": 1, "n": 2}


def test_has_atoms_tells_undecidable_from_different() -> None:
    assert has_atoms(dim_min(m, n))
    assert not has_atoms(m * n)


def test_latex() -> None:
    assert latex(3 * n + m // 2) == r"3 n + \left\lfloor{\frac{m}{2}}\right\rfloor"
    assert latex(dim_min(m, dim_max(n, 2)) * k * t) == r"k t \min\left(m, \max\left(2, n\right)\right)"
    assert latex(symbol("z", lower=-1) * 2) == "2 z"
    assert latex(4) == "4"


def test_a_proof_gives_up_after_a_bounded_number_of_steps() -> None:
    """Ranges that refer to each other, and many nested minima, end in UNKNOWN instead of running on."""
    assert prove_less(i, j, {"i": (j - 1, j + 1), "j": (i - 1, i + 1)}) is UNKNOWN
    nested: Dim = m
    for step in range(12):
        nested = dim_min(nested * 2 + step, n * (step + 2)) + dim_max(nested, k)
    assert prove_less_equal(nested, n) is UNKNOWN
