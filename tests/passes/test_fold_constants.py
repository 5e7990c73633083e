"""Constant folding: what is computed when compiling, and what is left to the program."""

from __future__ import annotations

import numpy as np

import relaxdsl as relax
from relaxdsl.ir.visit import all_bindings

m, n = relax.dims("m n")
WEIGHTS = np.arange(12, dtype="float32").reshape(3, 4)
LONG = np.arange(2000, dtype="float32")


@relax.function
def transposed(x: relax.Tensor[(m, 4), "float32"]):
    w = relax.permute_dims(WEIGHTS)
    scaled = w * 2
    return x @ scaled


@relax.function
def halves(x: relax.Tensor[(2,), "float32"]):
    first, second = relax.split(WEIGHTS, 2, axis=1)
    return x + relax.sum(first) - relax.sum(second)


@relax.function
def spread(x: relax.Tensor[(m, 2000), "float32"]):
    return x + relax.broadcast_to(relax.expand_dims(LONG, axis=0), (m, 2000)), relax.outer(LONG, LONG)


@relax.function
def nothing(x: relax.Tensor[(m,), "float32"]):
    return relax.zeros((4,), "float32"), x


@relax.function
def only_constants():
    return relax.permute_dims(WEIGHTS)


def row_sums(w: relax.te.Tensor) -> relax.te.Tensor:
    k = relax.te.reduce_axis(w.shape[1], "k")
    return relax.te.compute((w.shape[0],), lambda i: relax.te.sum(w[i, k], axis=k), "sums")


@relax.function
def by_hand(x: relax.Tensor[(3,), "float32"]):
    return x + relax.emit_te(row_sums, WEIGHTS)


def left(function: object) -> list[str]:
    """The bindings that are left after folding."""
    return [binding.var.name for binding in all_bindings(function._get_compiled().stage("fold"))]


def test_a_chain_of_operators_becomes_one_constant() -> None:
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(transposed(x), x @ (WEIGHTS.T * 2))
    assert left(transposed) == ["gv"]
    computed = [line.split(" ")[0] for line in transposed.explain().computed]
    assert computed == ["w", "scaled"]
    assert "computed when compiling:\n   w (test_fold_constants.py:" in str(transposed.explain())


def test_several_results_become_constants() -> None:
    expected = WEIGHTS[:, :2].sum() - WEIGHTS[:, 2:].sum()
    np.testing.assert_allclose(halves(np.zeros(2, "float32")), [expected] * 2)


def test_what_makes_much_of_little_is_left_to_the_program() -> None:
    rows, product = spread(np.zeros((2, 2000), "float32"))
    np.testing.assert_array_equal(rows, [LONG, LONG])
    np.testing.assert_array_equal(product, np.outer(LONG, LONG))
    assert len(spread.explain().computed) == 1


def test_operators_of_no_operands_are_left_to_the_program() -> None:
    nothing(np.zeros(1, "float32"))
    assert nothing.explain().computed == ()


def test_a_program_may_be_a_constant() -> None:
    result = only_constants()
    np.testing.assert_array_equal(result, WEIGHTS.T)
    result[:] = 0
    np.testing.assert_array_equal(only_constants(), WEIGHTS.T)


def test_kernels_are_run() -> None:
    np.testing.assert_allclose(by_hand(np.ones(3, "float32")), 1 + WEIGHTS.sum(1))
    assert len(by_hand.explain().kernels) == 1


def test_a_cast_to_more_bytes_is_left_to_the_program() -> None:
    bytes_ = np.ones((64, 128), "int8")

    @relax.function
    def scaled(x: relax.Tensor[(n, 64), "float32"]):
        return x @ relax.astype(bytes_, "float32")

    assert "astype" in scaled.lower()["fold"]
    assert len(scaled.explain().kernels) == 1
