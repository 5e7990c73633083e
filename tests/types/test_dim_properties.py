"""Random dims: they mean what Python means, print back to themselves, and no bound or proof is ever contradicted."""

from __future__ import annotations

import copy
import pickle

from dim_strategies import SYMBOLS, Case, Values, cases, many_values, values
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relaxdsl.errors import ShapeError
from relaxdsl.types.dims import Dim, SymInt, dim_max, dim_min, evaluate, free_symbols, parse_dim, substitute
from relaxdsl.types.prove import (
    Proof,
    bounds,
    find_counterexample,
    prove_divisible,
    prove_equal,
    prove_less,
    prove_less_equal,
)
from relaxdsl.types.solve import solve_for

FEW = settings(max_examples=80, deadline=None)
MANY = settings(max_examples=150, deadline=None)


def value_of(dim: Dim, at: Values) -> int | None:
    try:
        return evaluate(dim, at)
    except ShapeError:
        return None


def expected_of(case: Case, at: Values) -> int | None:
    try:
        return case.value(at)
    except ZeroDivisionError:
        return None


@MANY
@given(cases, many_values)
def test_a_dim_means_what_python_means(case: Case, points: list[Values]) -> None:
    for at in points:
        expected = expected_of(case, at)
        if expected is not None:
            assert evaluate(case.dim, at) == expected, case.text


@MANY
@given(cases)
def test_printed_text_parses_back_to_the_same_dim(case: Case) -> None:
    assert parse_dim(str(case.dim), SYMBOLS) is case.dim or parse_dim(str(case.dim), SYMBOLS) == case.dim


@FEW
@given(cases)
def test_parsing_the_text_it_was_built_from_gives_the_same_dim(case: Case) -> None:
    assert parse_dim(case.text, SYMBOLS) == case.dim


@FEW
@given(cases)
def test_pickle_and_copy_keep_identity(case: Case) -> None:
    assert pickle.loads(pickle.dumps(case.dim)) == case.dim
    assert copy.deepcopy(case.dim) == case.dim


@FEW
@given(cases, cases, cases)
def test_ring_laws_hold_in_the_normal_form(a: Case, b: Case, c: Case) -> None:
    x, y, z = a.dim, b.dim, c.dim
    assert x + y == y + x
    assert x * y == y * x
    assert (x + y) + z == x + (y + z)
    assert (x * y) * z == x * (y * z)
    assert x * (y + z) == x * y + x * z
    assert x - y == -(y - x)


@FEW
@given(cases, cases, cases)
def test_minimum_and_maximum_do_not_depend_on_order(a: Case, b: Case, c: Case) -> None:
    x, y = a.dim, b.dim
    assert dim_min(x, y) == dim_min(y, x) == dim_min(x, y, x)
    assert dim_max(x, y) == dim_max(y, x)


@FEW
@given(cases, cases)
def test_quotient_and_remainder_make_up_the_number(a: Case, b: Case) -> None:
    assume(b.dim != 0)
    assert a.dim // b.dim * b.dim + a.dim % b.dim == a.dim


@MANY
@given(cases, many_values)
def test_bounds_hold(case: Case, points: list[Values]) -> None:
    lower, upper = bounds(case.dim)
    for at in points:
        got = value_of(case.dim, at)
        if got is not None:
            assert lower is None or lower <= got
            assert upper is None or got <= upper


@FEW
@given(cases, cases, values)
def test_substitution_commutes_with_evaluation(case: Case, other: Case, at: Values) -> None:
    replacement = value_of(other.dim, at)
    assume(replacement is not None and replacement >= 0)
    assert replacement is not None
    try:
        substituted = substitute(case.dim, {"m": other.dim})
    except ShapeError:
        return
    direct = value_of(case.dim, {**at, "m": replacement})
    if direct is not None:
        assert evaluate(substituted, at) == direct


def agrees(proof: Proof, holds: bool) -> bool:
    return proof is Proof.UNKNOWN or (proof is Proof.YES) == holds


@MANY
@given(cases, cases, many_values)
def test_no_proof_is_contradicted(a: Case, b: Case, points: list[Values]) -> None:
    proofs = prove_equal(a.dim, b.dim), prove_less(a.dim, b.dim), prove_less_equal(a.dim, b.dim)
    for at in points:
        left, right = value_of(a.dim, at), value_of(b.dim, at)
        if left is not None and right is not None:
            assert agrees(proofs[0], left == right)
            assert agrees(proofs[1], left < right)
            assert agrees(proofs[2], left <= right)


@FEW
@given(cases, st.integers(1, 6), many_values)
def test_no_divisibility_proof_is_contradicted(case: Case, k: int, points: list[Values]) -> None:
    proof = prove_divisible(case.dim, k)
    for at in points:
        got = value_of(case.dim, at)
        assert got is None or agrees(proof, got % k == 0)


@FEW
@given(cases, cases, cases, cases, many_values)
def test_no_proof_with_ranges_is_contradicted(
    a: Case, b: Case, low: Case, high: Case, points: list[Values]
) -> None:
    ends = tuple(substitute_safely(each.dim) for each in (low, high))
    ranges = {"m": (ends[0], ends[1])}
    proofs = prove_equal(a.dim, b.dim, ranges), prove_less(a.dim, b.dim, ranges)
    for at in points:
        first, last = value_of(ends[0], at), value_of(ends[1], at)
        if first is None or last is None or not first <= at["m"] <= last:
            continue
        left, right = value_of(a.dim, at), value_of(b.dim, at)
        if left is not None and right is not None:
            assert agrees(proofs[0], left == right)
            assert agrees(proofs[1], left < right)


def substitute_safely(dim: Dim) -> Dim:
    """The dim without m, which is the symbol that is given a range."""
    try:
        return substitute(dim, {"m": SYMBOLS["n"] + 1})
    except ShapeError:
        return 3


@FEW
@given(cases, cases)
def test_counterexamples_are_counterexamples(a: Case, b: Case) -> None:
    at = find_counterexample(a.dim, b.dim, "==")
    if at is not None:
        assert evaluate(a.dim, at) != evaluate(b.dim, at)
    if prove_equal(a.dim, b.dim) is Proof.NO and at is None:
        assert value_of(a.dim - b.dim, dict.fromkeys(SYMBOLS, 1)) != 0


@FEW
@given(cases, values, st.sampled_from(sorted(SYMBOLS)))
def test_solutions_solve(case: Case, at: Values, name: str) -> None:
    solution = solve_for(case.dim, name, 0)
    if solution is None:
        return
    size = value_of(case.dim, at)
    divisor = value_of(solution.divisor, at)
    if size is None or not divisor:
        return
    again = solve_for(case.dim, name, size)
    assert again is not None
    assert value_of(again.remainder, at) == 0
    assert value_of(again.value, at) == at[name]
    assert name not in free_symbols(again.value)


@FEW
@given(cases)
def test_equal_dims_are_the_same_object(case: Case) -> None:
    if isinstance(case.dim, SymInt):
        assert parse_dim(case.text, SYMBOLS) is case.dim
        assert hash(parse_dim(case.text, SYMBOLS)) == hash(case.dim)
