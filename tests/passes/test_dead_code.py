"""What is dropped because nothing uses it, and what stays because a size is known with it only."""

from __future__ import annotations

import numpy as np

import relaxdsl as relax
from relaxdsl.ir.graph import Function
from relaxdsl.ir.visit import all_bindings
from relaxdsl.passes.dead_code import eliminate_dead_code

n = relax.dims("n")
X = np.array([1, -1, 2, 1], "float32")


def names(function: Function) -> list[str]:
    return [binding.var.name for binding in all_bindings(function)]


@relax.function
def mixed(x: relax.Tensor[(n,), "float32"]):
    unused = relax.exp(x)
    _checked = relax.match_cast(x, relax.Tensor((4,), "float32"))
    found = relax.unique(x)
    _counted = relax.unique(unused)
    return relax.zeros((found.shape[0],), "float32")


def test_pure_bindings_go_and_casts_stay() -> None:
    assert names(mixed.ir) == ["unused", "_checked", "found", "_counted", "gv"]
    assert names(eliminate_dead_code(mixed.ir)) == ["_checked", "found", "gv"]
    np.testing.assert_array_equal(mixed(X), np.zeros(3, "float32"))


def test_a_function_without_dead_code_stays_itself() -> None:
    lean = eliminate_dead_code(mixed.ir)
    assert eliminate_dead_code(lean) is lean


@relax.function
def of_a_branch(x: relax.Tensor[(n,), "float32"], short: relax.Tensor[(), "bool"]):
    if short:
        chosen = relax.unique(x)
    else:
        chosen = x
    return relax.ones((chosen.shape[0], 2), "float32")


@relax.function
def in_branches(x: relax.Tensor[(n,), "float32"], full: relax.Tensor[(), "bool"]):
    found = relax.unique(x)
    if full:
        y = relax.ones((found.shape[0],), "float32")
    else:
        y = relax.zeros((found.shape[0],), "float32")
    return y


def test_sizes_of_branches() -> None:
    assert of_a_branch(X, True).shape == (3, 2)
    assert of_a_branch(X, False).shape == (4, 2)
    np.testing.assert_array_equal(in_branches(X, True), np.ones(3))
    np.testing.assert_array_equal(in_branches(X, False), np.zeros(3))


@relax.function
def tail(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[("k", 2), "float32"]:
    found = relax.call_pure_packed("tests.tail", x, out=relax.Tensor(("k",), "float32"))
    return relax.zeros((found.shape[0], 2), "float32")


def test_the_size_of_a_packed_functions_result() -> None:
    relax.register_packed("tests.tail", lambda x: x[1:].copy(), override=True)
    assert tail(X).shape == (3, 2)
