"""Dtypes: canonical names and promotion, against NumPy over the full table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from relaxdsl.errors import DTypeError
from relaxdsl.types.dtype import (
    DTYPES,
    KERNEL_DTYPES,
    Weak,
    canonical_dtype,
    dtype_to_move,
    holds,
    is_bool,
    is_float,
    is_integer,
    is_signed,
    itemsize,
    promote,
)

SCALARS = {"bool": True, "int": 3, "float": 2.5}


@pytest.mark.parametrize("dtype", DTYPES)
def test_canonical_names(dtype: str) -> None:
    assert canonical_dtype(dtype) == dtype
    assert canonical_dtype(np.dtype(dtype)) == dtype
    assert canonical_dtype(np.dtype(dtype).type) == dtype
    assert itemsize(dtype) == np.dtype(dtype).itemsize


def test_python_types() -> None:
    assert [canonical_dtype(kind) for kind in (float, int, bool)] == ["float64", "int64", "bool"]


def test_kinds_agree_with_numpy() -> None:
    for dtype in DTYPES:
        kind = np.dtype(dtype).kind
        assert is_float(dtype) == (kind == "f")
        assert is_integer(dtype) == (kind in "iu")
        assert is_signed(dtype) == (kind in "if")
        assert is_bool(dtype) == (kind == "b")
    assert set(DTYPES) - set(KERNEL_DTYPES) == {"float16"}
    assert {dtype: dtype_to_move(dtype) for dtype in DTYPES} == {**{each: each for each in DTYPES}, "float16": "uint16"}


@pytest.mark.parametrize(("a", "b"), list(product(DTYPES, DTYPES)))
def test_promotion_of_dtypes(a: str, b: str) -> None:
    assert promote(a, b) == np.result_type(a, b).name


@pytest.mark.parametrize(("dtype", "kind"), list(product(DTYPES, SCALARS)))
def test_promotion_with_weak_scalars(dtype: str, kind: str) -> None:
    expected = np.result_type(np.dtype(dtype), SCALARS[kind]).name
    assert promote(dtype, Weak(kind)) == expected  # type: ignore[arg-type]
    assert promote(Weak(kind), dtype) == expected  # type: ignore[arg-type]
    assert promote(dtype, SCALARS[kind]) == expected


def test_promotion_of_several_and_of_scalars_alone() -> None:
    assert promote("int8", "uint8", 2.5) == np.result_type(np.int8, np.uint8, 2.5).name
    assert promote(2) == "int64"
    assert promote(2, 2.5) == "float64"
    assert promote(True) == "bool"
    assert promote("float32", np.float64(2)) == "float64"


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: canonical_dtype("flot32"), "unknown dtype 'flot32'\n   hint: did you mean 'float32'?"),
    (lambda: canonical_dtype("bfloat16"), f"unknown dtype 'bfloat16'\n   hint: {', '.join(DTYPES)}"),
    (lambda: canonical_dtype("int46"), "unknown dtype 'int46'\n   hint: did you mean 'int64'?"),
    (lambda: canonical_dtype(np.dtype("complex64")), f"unknown dtype 'complex64'\n   hint: {', '.join(DTYPES)}"),
    (lambda: canonical_dtype(str), f"unknown dtype 'str'\n   hint: {', '.join(DTYPES)}"),
    (lambda: promote(), "promote: no operands given"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(action: Callable[[], object], message: str) -> None:
    with pytest.raises(DTypeError) as caught:
        action()
    assert str(caught.value) == message.replace("hint: bool,", "hint: the dtypes are bool,")


@pytest.mark.parametrize(("dtype", "value"), [("int8", -128), ("int8", 127), ("uint64", 2**64 - 1), ("float32", 2**40)])
def test_a_dtype_holds_integers_in_its_range(dtype: str, value: int) -> None:
    assert holds(dtype, value)


@pytest.mark.parametrize(("dtype", "value"), [("int8", -129), ("int8", 128), ("uint64", 2**64), ("uint8", -1)])
def test_a_dtype_holds_no_other_integers(dtype: str, value: int) -> None:
    assert not holds(dtype, value)
