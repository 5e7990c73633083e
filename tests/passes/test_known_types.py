"""Types that say too little of values that come from outside: errors at the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.types.types import Type

n = relax.dims("n")
DECLARED = 'declare it, for example as relax.Tensor((m, n), "float32")'


@pytest.mark.parametrize(
    ("out", "error", "headline", "hint"),
    [
        (
            relax.Tensor(dtype="float32"),
            relax.ShapeError,
            "f: the rank of the result of outside is unknown; a compiled function needs it",
            DECLARED + ' or relax.Tensor(ndim=2, dtype="float32")',
        ),
        (
            relax.Tuple(relax.Any, relax.Tensor((n,))),
            relax.DTypeError,
            "f: the dtype of the result of outside[1] is unknown; a compiled function needs it",
            DECLARED,
        ),
        (
            relax.Shape,
            relax.ShapeError,
            "f: the rank of the result of outside is unknown; a compiled function needs it",
            "declare it, for example as relax.Shape((m, n)) or relax.Shape(ndim=2)",
        ),
    ],
)
def test_results_of_packed_functions(out: Type, error: type[relax.RelaxError], headline: str, hint: str) -> None:
    @relax.function
    def f(x: relax.Tensor[(n,), "float32"]):
        return relax.call_pure_packed("outside", x, out=out)

    with pytest.raises(error) as caught:
        f(np.ones(2, "float32"))
    assert (caught.value.headline, caught.value.hint) == (headline, hint)
    assert "call_pure_packed" in str(caught.value)


def test_casts() -> None:
    @relax.function
    def f(x: relax.Any):
        y = relax.match_cast(x, relax.Tensor(dtype="float32"))
        return (y,)

    with pytest.raises(relax.ShapeError) as caught:
        f(np.ones(2, "float32"))
    assert caught.value.headline == "f: the rank of y after match_cast is unknown; a compiled function needs it"
    assert "y = relax.match_cast" in str(caught.value)


def test_functions_are_no_arguments() -> None:
    @relax.function
    def f(x: relax.Tensor[(n,), "float32"], g: relax.Callable):
        return x

    with pytest.raises(relax.DTypeError) as caught:
        f(np.ones(2, "float32"), np.sum)
    assert str(caught.value) == (
        "f: parameter g is a function, which no argument can be\n"
        "   hint: register it with relax.register_packed and call it by name"
    )


@relax.register_packed("tests.halves", override=True)
def halves(x: np.ndarray) -> tuple[Any, ...]:
    middle = len(x) // 2
    return x[:middle], x[middle:]


def test_sizes_that_are_left_out_are_found_when_it_runs() -> None:
    vector = relax.Tensor(ndim=1, dtype="float32")

    @relax.function
    def f(x: relax.Tensor[(n,), "float32"]):
        left, right = relax.call_pure_packed("tests.halves", x, out=relax.Tuple(vector, vector))
        whole = relax.match_cast(relax.call_pure_packed("tests.halves", x), relax.Tuple(vector, vector))
        return relax.concat([right * 2, left]), whole[0]

    for size in (5, 0, 8):
        x = np.arange(size, dtype="float32")
        joined, half = f(x)
        np.testing.assert_array_equal(joined, np.concatenate([x[size // 2 :] * 2, x[: size // 2]]))
        np.testing.assert_array_equal(half, x[: size // 2])


def test_an_integer_that_a_packed_function_returns_is_a_size() -> None:
    relax.register_packed("tests.positive", lambda x: int((x > 0).sum()), override=True)

    @relax.function
    def f(x: relax.Tensor[(n,), "float32"]):
        count = relax.call_pure_packed("tests.positive", x, out=relax.Prim("int64"))
        return relax.full((count, 2), 7.0, "float32"), x[:count], count

    for values in ([1, -1, 2], [-1], [3.0, 2, 1, 5]):
        x = np.array(values, "float32")
        filled, start, count = f(x)
        assert count == (x > 0).sum()
        np.testing.assert_array_equal(filled, np.full((count, 2), 7, "float32"))
        np.testing.assert_array_equal(start, x[:count])

    relax.register_packed("tests.positive", lambda x: -1, override=True)
    with pytest.raises(relax.ArgumentError) as caught:
        f.bind()(np.ones(2, "float32"))
    assert caught.value.headline == "f: result of tests.positive: got -1 (u), but u is at least 0"
