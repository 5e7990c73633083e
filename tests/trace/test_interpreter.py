"""The reference interpreter on what its other users leave out."""

from __future__ import annotations

import numpy as np

import relaxdsl as relax
from relaxdsl.trace.interpreter import interpret

n = relax.dims("n")


@relax.function
def rest_or_all(flag: relax.Tensor[(), "bool"], x: relax.Tensor[(n,), "float32"]):
    if flag:
        y = x[1:]
    else:
        y = -x
    return y * 2


def test_sizes_in_which_branches_differ_are_bound() -> None:
    x = np.arange(4, dtype="float32")
    for flag, expected in ((np.array(True), x[1:] * 2), (np.array(False), -x * 2)):
        np.testing.assert_array_equal(interpret(rest_or_all.ir, rest_or_all.module, [flag, x]), expected)
        assert rest_or_all.check(flag, x)


def test_an_attribute_may_come_before_the_operands() -> None:
    @relax.function
    def halves(x: relax.Tensor[(n,), "float32"]):
        return relax.full((n, 2), 0.5), relax.zeros(n), relax.arange(n)

    x = np.zeros(3, "float32")
    result, _, positions = interpret(halves.ir, halves.module, [x])
    np.testing.assert_array_equal(result, np.full((3, 2), 0.5))
    np.testing.assert_array_equal(positions, [0, 1, 2])
    assert halves.check(x)


def test_a_number_is_a_position_beside_floats_too() -> None:
    @relax.function
    def third(x: relax.Tensor[(n,), "float32"]):
        return relax.take(x, 2)

    assert third.check(np.arange(4, dtype="float32"))
