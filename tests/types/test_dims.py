"""Dims: names, the normal form, printing, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from relaxdsl.errors import InternalError, ScriptError, ShapeError
from relaxdsl.types.dims import (
    Dim,
    DimCompare,
    FloorDiv,
    Symbol,
    SymInt,
    ceildiv,
    dim_max,
    dim_min,
    dims,
    evaluate,
    exact_divide,
    free_symbols,
    has_atoms,
    is_symbol,
    linear_in,
    parse_dim,
    substitute,
    symbol,
    symbols_of,
    terms,
)
from relaxdsl.types.symint import user_compares

m, n = symbol("m"), symbol("n")
k = symbol("k", lower=1)
t = symbol("t", upper=3)


def message_of(error_type: type[Exception], action: Callable[[], object]) -> str:
    with pytest.raises(error_type) as caught:
        action()
    return str(caught.value)


PRINTED: list[tuple[Dim, str]] = [
    (m * 224, "m * 224"),
    (2 * n + 1, "2 * n + 1"),
    (m // 2, "m // 2"),
    (dim_min(m, n), "min(m, n)"),
    (dim_max(n, m, 3), "max(m, n, 3)"),
    (5 - m, "5 - m"),
    (-m, "-m"),
    (-m - n, "-m - n"),
    (-m * 2, "-m * 2"),
    (m * m * n, "m * m * n"),
    (m % 4, "m % 4"),
    (-(m % 4), "-(m % 4)"),
    (-(m // 2), "-(m // 2)"),
    (m % 4 * n + 3, "n * (m % 4) + 3"),
    ((m + 1) % 4, "(m + 1) % 4"),
    (m % n, "m % n"),
    (2 * (m // 2), "m // 2 * 2"),
    (n * (m // 2), "n * (m // 2)"),
    ((m // n) // k, "(m // n) // k"),
    (dim_min(m, n) // 2, "min(m, n) // 2"),
    (m // 2 * (n // 3), "m // 2 * (n // 3)"),
    (ceildiv(n, 2), "(n + 1) // 2"),
]


@pytest.mark.parametrize(("dim", "text"), PRINTED, ids=[text for _, text in PRINTED])
def test_printing(dim: Dim, text: str) -> None:
    assert str(dim) == repr(dim) == text
    assert parse_dim(text, {"m": m, "n": n, "k": k}) is dim


SIMPLIFIED: list[tuple[Dim, Dim]] = [
    (m // 2 * 2 + m % 2, m),
    (n * 4 % 4, 0),
    (n * 4 // 4, n),
    ((4 * n + 6) // 2, 2 * n + 3),
    ((m // 2) // 3, m // 6),
    ((m // 2 + 1) // 3, (m + 2) // 6),
    ((2 * m + 1) // 2, m),
    ((4 * n + m % 4) // 4, n),
    ((4 * n + m % 4) // 8, n // 2),
    ((m % 4) // 4, 0),
    ((m % 4) % 8, m % 4),
    (t // 4, 0),
    ((8 * m + t) // 4, 2 * m),
    ((m + t * 0) * 1, m),
    (n - n, 0),
    ((n - 1) // 2 + 1, (n + 1) // 2),
    (n * k // k, n),
    ((n * k + m) // k, n + m // k),
    ((m % k) // k, 0),
    (2 * m // (2 * k), m // k),
    (m // -2, -m // 2),
    (m * n * 4, n * 4 * m),
    (dim_min(m, m + 1), m),
    (dim_max(m, m + 1), m + 1),
    (dim_max(m, 0), m),
    (dim_min(t, 3, 7), t),
    (dim_min(dim_min(m, n), k), dim_min(m, n, k)),
    (dim_min(m + 1, n + 1), dim_min(m, n) + 1),
    (dim_min(m + k, n + k), dim_min(m, n) + k),
    (dim_min(2 * m, 2 * n), 2 * dim_min(m, n)),
    (dim_min(m), m),
    (-1 // k, -1),
    (dim_min(symbol("c", lower=3, upper=3), 3), dim_min(3, symbol("c", lower=3, upper=3))),
    (dim_min(4, 2), 2),
    (ceildiv(4 * m, 4), m),
    (ceildiv(7, 2), 4),
    (+m, m),
]


@pytest.mark.parametrize(("dim", "simple"), SIMPLIFIED, ids=range(len(SIMPLIFIED)))
def test_simplification(dim: Dim, simple: Dim) -> None:
    assert dim is simple or dim == simple


def test_a_denominator_that_may_be_zero_stays() -> None:
    assert str(m * n // n) == "(m * n) // n"
    ((_, ((atom, power),)),) = terms(m * n // n)
    assert isinstance(atom, FloorDiv)
    assert (atom.numerator, atom.denominator, power) == (m * n, n, 1)


def test_dims_declares_symbols() -> None:
    assert dims("m n") == dims("m, n") == dims(" m,n ") == (m, n)
    assert dims("m") is m
    assert dims("a b", lower=1, upper=9) == (symbol("a", lower=1, upper=9), symbol("b", lower=1, upper=9))
    assert dims("a", lower=np.int8(1), upper=np.array(9)) is symbol("a", lower=1, upper=9)  # type: ignore[arg-type]


def test_a_symbol_is_its_name_and_bounds() -> None:
    assert symbol("m") is m
    assert symbol("m", upper=4) is not m
    assert Symbol("m") is Symbol("m", 0, None)


def test_equality_is_structural() -> None:
    assert m + n == n + m
    assert m != n
    assert m != 3
    assert len({m + 1, 1 + m, n}) == 2


def test_numpy_integers_are_integers() -> None:
    assert m * np.int64(4) == m * 4
    assert np.int64(4) * m == m * 4
    assert type(m - m + np.int64(2)) is int or (m - m + np.int64(2)) == 2


@pytest.mark.parametrize("other", [True, {}, None])
def test_only_integers_mix_with_dims(other: object) -> None:
    operations: list[Callable[[], object]] = [
        lambda: m + other,  # type: ignore[operator]
        lambda: other - m,  # type: ignore[operator]
        lambda: m - other,  # type: ignore[operator]
        lambda: m * other,  # type: ignore[operator]
        lambda: m // other,  # type: ignore[operator]
        lambda: other // m,  # type: ignore[operator]
        lambda: m < other,  # type: ignore[operator]
    ]
    for operation in operations:
        with pytest.raises(TypeError, match="supported"):
            operation()


def test_comparison_is_data() -> None:
    assert (m < n) == DimCompare("<", m, n)
    assert (m <= 3) == DimCompare("<=", m, 3)
    assert (m > 3) == DimCompare(">", m, 3)
    assert str(m >= n + 1) == "m >= n + 1"


def test_terms_symbols_and_substitution() -> None:
    assert terms(3) == ((3, ()),)
    assert terms(0) == ()
    assert terms(2 * m * m + 1) == ((2, ((Symbol("m"), 2),)), (1, ()))
    assert free_symbols((n + m) // k + dim_min(m, 3)) == ("m", "n", "k")
    assert symbols_of(m * n) == (Symbol("m"), Symbol("n"))
    assert free_symbols(7) == ()
    assert is_symbol(m)
    assert not any(map(is_symbol, (m + 1, 2 * m, m * m, m // 2, 3, "m")))
    assert substitute(m - n, {"m": n, "n": m}) == n - m
    assert substitute(m // 2, {"m": 2 * n}) == n
    assert substitute(dim_max(m, n), {"m": n}) == n
    assert substitute(m, {"n": 3}) is m
    assert evaluate(dim_max(m % 3, n), {"m": 5, "n": 1}) == 2
    assert has_atoms(m % 2)
    assert not has_atoms(m * n)
    assert not has_atoms(3)


def test_linear_in_a_symbol() -> None:
    assert linear_in(2 * m + n * m - 3 * n + 1, "m") == (n + 2, 1 - 3 * n)
    assert linear_in(n // 2, "m") == (0, n // 2)
    assert linear_in(7, "m") == (0, 7)
    assert linear_in(m * n // 2 - n, "n") is None
    assert linear_in(m * m, "m") is None
    assert linear_in(m - 4 * (m // 4), "m") is None  # though it grows by 1 from 0 to 1, and from 1 to 2
    assert linear_in(dim_min(m, 3), "m") is None


def test_exact_division() -> None:
    assert exact_divide(m * n * 4, 2 * n) == 2 * m
    assert exact_divide(m * m - n * n, m + n) == m - n
    assert exact_divide(m * 3, 2) is None
    assert exact_divide(m, 0) is None


def test_parsing_calls_and_scopes() -> None:
    assert parse_dim("ceildiv(m, 2) + min(m, 3) - max(1, m) + +m") == ceildiv(m, 2) + dim_min(m, 3) - dim_max(1, m) + m
    assert parse_dim("x * 2", {"x": m}) == 2 * m
    assert parse_dim("x * 2", lambda name: symbol(name + "1")) == 2 * symbol("x1")


UNDECIDED = "it is not known when compiling"
SIZE_GRAMMAR = "\n   hint: sizes are integers, names, + - * // %, min, max and ceildiv"

REFUSED: list[tuple[type[Exception], Callable[[], object], str]] = [
    (
        ShapeError,
        lambda: bool(m < 5),
        "the condition `m < 5` is not known when compiling, so no Python branch may depend on it\n"
        "   hint: sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values",
    ),
    (
        ShapeError,
        lambda: bool(m),
        f"the size `m` has no truth value: {UNDECIDED}, so no Python branch may depend on it\n"
        "   hint: sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values",
    ),
    (
        ShapeError,
        lambda: int(m),
        f"the size `m` is not a number yet: {UNDECIDED}, so int() cannot convert it\n"
        "   hint: it is an integer without int()",
    ),
    (
        ShapeError,
        lambda: float(m),
        f"the size `m` is not a number yet: {UNDECIDED}, so float() cannot convert it\n"
        '   hint: for a size as a number, write relax.astype(m, "float32")',
    ),
    (
        ShapeError,
        lambda: range(m),
        f"the size `m` is not a number yet: {UNDECIDED}, so Python cannot count with it\n"
        "   hint: compute with whole tensors, given as arguments or made by relax.zeros((m,)); "
        "loops are for @relax.prim_func",
    ),
    (
        ShapeError,
        lambda: list(m),
        f"the size `m` is one size: {UNDECIDED}, so it cannot be iterated over\n"
        '   hint: one name gives the size itself, m = relax.dims("m"); loops are for @relax.prim_func',
    ),
    (ShapeError, lambda: list(m + 1), f"the size `m + 1` is one size: {UNDECIDED}, so it cannot be iterated over"),
    (ShapeError, SymInt, "a SymInt is built by relax.dims and arithmetic, not by its class"),
    (AttributeError, lambda: setattr(m, "polynomial", {}), "a SymInt does not change"),
    (ShapeError, lambda: m // 0, "the size `m // 0` divides by zero"),
    (ShapeError, lambda: (m + 1) // 0, "the size `(m + 1) // 0` divides by zero"),
    (ShapeError, lambda: m % 0, "the size `m % 0` divides by zero"),
    (ShapeError, lambda: ceildiv(m, 0), "the size `ceildiv(m, 0)` divides by zero"),
    (ShapeError, lambda: dim_min(), "min: no sizes given"),
    (ShapeError, lambda: dim_max(m, 1.5), "max: 1.5 is not a size"),  # type: ignore[arg-type]
    (ShapeError, lambda: symbol("m", lower=3, upper=2), "symbol m: upper bound 2 is below lower bound 3"),
    (
        ScriptError,
        lambda: dims("2m"),
        "dims: '2m' is not a name for a size\n   hint: use a Python identifier, such as 'm'",
    ),
    (
        ScriptError,
        lambda: symbol("for"),
        "dims: 'for' is not a name for a size\n   hint: use a Python identifier, such as 'm'",
    ),
    (ScriptError, lambda: dims(" ,"), 'dims: no names given\n   hint: write relax.dims("m n")'),
    (
        ScriptError,
        lambda: dims("m", "n"),
        'dims: the names are one string\n   hint: write relax.dims("m n")',
    ),
    (
        ScriptError,
        lambda: dims("m", 1),
        'dims: the names are one string\n   hint: write relax.dims("m", lower=1)',
    ),
    (ScriptError, lambda: dims("m n m"), "dims: the name 'm' is given twice"),
    (
        ScriptError,
        lambda: dims(["m", "n"]),  # type: ignore[arg-type]
        'dims: the names are a string, got list\n   hint: write relax.dims("m n")',
    ),
    (
        ScriptError,
        lambda: dims("z", upper=1.5),  # type: ignore[arg-type]
        "dims: the upper bound of z is an integer or None, got 1.5",
    ),
    (
        ScriptError,
        lambda: dims("z", upper="a"),  # type: ignore[arg-type]
        "dims: the upper bound of z is an integer or None, got 'a'",
    ),
    (ScriptError, lambda: dims("y z", lower=True), "dims: the lower bound of y is an integer, got True"),
    (
        ScriptError,
        lambda: dims("z", lower=None),  # type: ignore[arg-type]
        "dims: the lower bound of z is an integer, got None",
    ),
    (ShapeError, lambda: evaluate(m // n, {"m": 1, "n": 0}), "the size `m // n` divides by zero: `n` is 0"),
    (InternalError, lambda: evaluate(m, {}), "evaluate: symbol m has no value"),
    (ScriptError, lambda: parse_dim("m +"), "the size 'm +' is not a Python expression" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("m / 2"), "a size cannot contain `m / 2`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("1.5 * m"), "a size cannot contain `1.5`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("m if n else 2"), "a size cannot contain `m if n else 2`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("not m"), "a size cannot contain `not m`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("True"), "a size cannot contain `True`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("abs(m)"), "a size cannot call `abs`" + SIZE_GRAMMAR),
    (ScriptError, lambda: parse_dim("min()"), "min takes at least one size"),
    (ScriptError, lambda: parse_dim("ceildiv(m)"), "ceildiv takes two sizes, not 1"),
    (
        ScriptError,
        lambda: parse_dim("batchs", {"batch": m}),
        "a size uses the unknown name `batchs`\n   hint: did you mean `batch`?",
    ),
    (ScriptError, lambda: parse_dim("q", {"batch": m}), "a size uses the unknown name `q`"),
]


@pytest.mark.parametrize(("error", "action", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(error: type[Exception], action: Callable[[], object], message: str) -> None:
    assert message_of(error, action) == message


def test_ordinary_proofs_need_no_sympy() -> None:
    program = """
import sys
from relaxdsl.types.dims import dims, dim_min
from relaxdsl.types.prove import prove_equal, prove_less
m, n = dims("m n")
for i in range(10000):
    prove_equal((m + i) * 224, m * 224 + 224 * i)
for i in range(200):
    prove_less((m + 2 - i) // 2, dim_min(m, n) + i)
assert "sympy" not in sys.modules and "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (lambda: m * 1.5, "a size combined with 1.5"),
        (lambda: 1.5 + m, "a size combined with 1.5"),
        (lambda: m**0.5, "m ** 0.5"),
        (lambda: m**-1, "m ** -1"),
        (lambda: m / 2, "m / 2"),
        (lambda: 1 / m, "1 / m"),
    ],
)
def test_a_size_is_no_number(operation: Callable[[], object], what: str) -> None:
    with pytest.raises(ShapeError) as caught:
        operation()
    assert str(caught.value) == (
        f"`{what}` is no size: sizes are integers, made with + - * // %\n"
        f'   hint: for a size as a number, write relax.astype({"n" if "combined" in what else "m"}, "float32")'
    )


def test_whole_powers_are_sizes() -> None:
    assert m**2 is m * m
    assert m**0 == 1


def test_quotient_and_remainder_of_sizes() -> None:
    assert divmod(m, 4) == (m // 4, m % 4)
    assert divmod(12, m) == (12 // m, 12 % m)


def test_a_user_cannot_ask_whether_sizes_are_equal() -> None:
    assert (m == 3) is False
    with user_compares(True):
        assert m == m
        assert m + 1 != m
        assert m != -1
        with pytest.raises(ShapeError) as caught:
            bool((m, 4) == (3, 4))
    assert str(caught.value) == (
        "whether `m` equals `3` is not known when compiling, and no Python branch may depend on it\n"
        "   hint: sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values"
    )
