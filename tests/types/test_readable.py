"""Dims as people read them: the texts, and that they mean the same number."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil
from typing import Any

from dim_strategies import SYMBOLS, Case, Values, cases, many_values
from hypothesis import given, settings
from test_dim_properties import value_of

from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, dims, symbol
from relaxdsl.types.readable import conditions_of, readable, readable_at_least, where

m, n, k = dims("m n k")


def packed(rows: Dim) -> Dim:
    return dim_min(1, rows // 193)


def test_rounded_up_quotients_and_conditions() -> None:
    assert readable(7) == "7"
    assert readable(m * n + 2) == "m * n + 2"
    assert readable(ceildiv(m, 192) * 192) == "ceil(m / 192) * 192"
    assert readable(ceildiv(m * n, 4)) == "ceil((m * n) / 4)"
    assert readable(m // 2) == "m // 2"
    assert readable(m // n) == "m // n"
    assert readable(m % 4) == "m % 4"
    assert readable(packed(n) * ceildiv(m, 192)) == "[n >= 193] * ceil(m / 192)"
    assert readable(1 - packed(n)) == "1 - [n >= 193]"
    assert readable(dim_min(1, packed(n) * ceildiv(m, 192)) * k) == "[m >= 1 and n >= 193] * k"
    assert readable(dim_max(ceildiv(m, 48), 1)) == "max(ceil(m / 48), 1)"


def test_what_is_no_condition_stays_as_it_is() -> None:
    assert readable(dim_min(1, m - n)) == "min(m - n, 1)"
    assert readable(dim_min(1, m // n)) == "min(m // n, 1)"
    assert readable(dim_min(1, dim_max(m, n) * k)) == "min(k * max(m, n), 1)"


def test_a_name_for_what_may_be_negative_does_not_say_that_it_is_not() -> None:
    assert readable(dim_max(ceildiv(symbol("s", lower=-9), 4), 0)) == "max(ceil(s / 4), 0)"


def test_limits() -> None:
    assert readable_at_least(n * 80, 300_000) == "n >= 3750"
    assert readable_at_least(dim_max(n, 4) * 80, 300_000) == "n >= 3750"
    assert readable_at_least(dim_max(n, m) * 80, 300_000) == "max(m, n) >= 3750"
    assert readable_at_least(m * n * 26, 300_000) == "m * n >= 11539"
    assert readable_at_least(k * m * n + 14 * m * n, 300_000) == "k * m * n + 14 * m * n >= 300000"


def test_conditions_that_stand_before_everything_else() -> None:
    work = packed(n) * ceildiv(m, 192) * k + packed(n) * 7
    conditions = conditions_of(work)
    assert [text for _, text in conditions] == ["n >= 193"]
    assert where(work, conditions) == ceildiv(m, 192) * k + 7
    assert conditions_of(packed(n) + 1) == ()
    assert conditions_of(0) == conditions_of(3) == conditions_of(m) == ()


@settings(max_examples=150, deadline=None)
@given(cases, many_values)
def test_the_text_means_the_same(case: Case, points: list[Values]) -> None:
    python = re.sub(r"ceil\(", "ceil(Fraction(1) * ", re.sub(r"\[([^\]]*)\]", r"int(\1)", readable(case.dim)))
    for at in points:
        expected = value_of(case.dim, at)
        names: dict[str, Any] = {**at, "ceil": ceil, "Fraction": Fraction}
        if expected is not None:
            assert eval(python, names) == expected, (case.text, python, SYMBOLS)
