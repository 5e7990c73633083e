"""Random dims, each with the Python function it must agree with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from relaxdsl.types.dims import Dim, ceildiv, dim_max, dim_min, symbol

Values = dict[str, int]

SYMBOLS = {
    "m": symbol("m"),
    "n": symbol("n"),
    "k": symbol("k", lower=1),
    "t": symbol("t", upper=5),
    "s": symbol("s", lower=-3, upper=4),
}


@dataclass(frozen=True)
class Case:
    """A dim and the function of the symbols' values it stands for."""

    dim: Dim
    value: Callable[[Values], int]
    text: str


def _leaf() -> st.SearchStrategy[Case]:
    def named(name: str) -> Case:
        return Case(SYMBOLS[name], lambda values: values[name], name)

    def number(value: int) -> Case:
        return Case(value, lambda _: value, str(value))

    return st.sampled_from(sorted(SYMBOLS)).map(named) | st.integers(-6, 9).map(number)


def _binary(op: str, a: Case, b: Case) -> Case:
    x, y = a.value, b.value
    text = f"({a.text} {op} {b.text})"
    match op:
        case "+":
            return Case(a.dim + b.dim, lambda v: x(v) + y(v), text)
        case "-":
            return Case(a.dim - b.dim, lambda v: x(v) - y(v), text)
        case "*":
            return Case(a.dim * b.dim, lambda v: x(v) * y(v), text)
        case "min":
            return Case(dim_min(a.dim, b.dim), lambda v: min(x(v), y(v)), f"min({a.text}, {b.text})")
        case _:
            return Case(dim_max(a.dim, b.dim), lambda v: max(x(v), y(v)), f"max({a.text}, {b.text})")


def _division(op: str, a: Case, b: Case) -> Case:
    if b.dim == 0:
        return a
    x, y = a.value, b.value
    match op:
        case "//":
            return Case(a.dim // b.dim, lambda v: x(v) // y(v), f"({a.text} // {b.text})")
        case "%":
            return Case(a.dim % b.dim, lambda v: x(v) % y(v), f"({a.text} % {b.text})")
        case _:
            return Case(ceildiv(a.dim, b.dim), lambda v: -(-x(v) // y(v)), f"ceildiv({a.text}, {b.text})")


def _extend(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    divisors = st.integers(-5, 8).filter(bool).map(lambda d: Case(d, lambda _: d, str(d))) | inner
    return st.builds(_binary, st.sampled_from(["+", "-", "*", "min", "max"]), inner, inner) | st.builds(
        _division, st.sampled_from(["//", "%", "ceil"]), inner, divisors
    )


cases: st.SearchStrategy[Case] = st.recursive(_leaf(), _extend, max_leaves=7)

values: st.SearchStrategy[Values] = st.fixed_dictionaries(
    {
        "m": st.integers(0, 40),
        "n": st.integers(0, 9),
        "k": st.integers(1, 12),
        "t": st.integers(0, 5),
        "s": st.integers(-3, 4),
    }
)

many_values: st.SearchStrategy[list[Values]] = st.lists(values, min_size=12, max_size=12)
