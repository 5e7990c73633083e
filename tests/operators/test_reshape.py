"""Methods, index arithmetic and the proofs of reshaping operators."""

from __future__ import annotations

import numpy as np
from kernel_runs import run

from relaxdsl.ir.graph import Var
from relaxdsl.operators import catalog, manipulate, reshape
from relaxdsl.operators.calls import call_context
from relaxdsl.types.dims import dims
from relaxdsl.types.types import TensorType

assert catalog.PUBLIC, "importing the catalog attaches the methods"

m, n = dims("m n")
x = Var("x", TensorType((m, n, 6), "float32"))


def test_methods() -> None:
    shapes = [
        x.reshape(-1, 6).shape,  # type: ignore[attr-defined]
        x.reshape((m * n, 6)).shape,  # type: ignore[attr-defined]
        x.reshape(-1).shape,  # type: ignore[attr-defined]
        x.flatten().shape,  # type: ignore[attr-defined]
        x.T.shape,  # type: ignore[attr-defined]
        x.transpose().shape,  # type: ignore[attr-defined]
        x.transpose(1, 0, 2).shape,  # type: ignore[attr-defined]
        x.transpose((1, 0, 2)).shape,  # type: ignore[attr-defined]
        x.reshape(m, n, 1, 6).squeeze(2).shape,  # type: ignore[attr-defined]
    ]
    total = m * n * 6
    assert shapes[:2] == [(m * n, 6)] * 2
    assert shapes[2:4] == [(total,)] * 2
    assert shapes[4:6] == [(6, n, m)] * 2
    assert shapes[6:8] == [(n, m, 6)] * 2
    assert shapes[8] == (m, n, 6)


def test_an_undecided_size_may_be_left_to_a_check_at_run_time() -> None:
    y = Var("y", TensorType((m, 2), "float32"))
    asked: list[str] = []

    def accept(left: object, right: object, message: str) -> bool:
        asked.append(message)
        return True

    with call_context(accept_undecided=accept):
        assert reshape.reshape(y, (m // 2, 4)).shape == (m // 2, 4)
    assert asked == ["reshape: number of elements: whether `m * 2` equals `m // 2 * 4` cannot be decided"]


def test_sizes_one_and_zero() -> None:
    for shape, new in (((1, 1), (1, 1, 1)), ((0, 3), (5, 0)), ((2, 0), (0,)), ((), (1, 1)), ((1,), ())):
        array = np.ones(shape, "float32")
        assert run(reshape.reshape, array, shape=new).shape == new
    assert run(manipulate.repeat, np.ones((2, 3), "int8"), repeats=0).shape == (0,)
    assert run(manipulate.tile, np.ones((2, 0), "int8"), repeats=(3, 2)).shape == (6, 0)
