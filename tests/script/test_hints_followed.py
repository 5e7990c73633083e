"""Hints that say what to write instead, written: they give what NumPy gives."""

from typing import Any

import numpy as np
import pytest
from cases import run_source

from relaxdsl.errors import RelaxError

X = np.arange(24, dtype="float32").reshape(2, 3, 4) - 9
INDICES = {"i": np.array([1, 0, 1]), "j": np.array([2, 1, 0], "int32")}
PARAMETERS = {
    "x": 'x: relax.Tensor[(n, m, 4), "float32"]',
    "i": 'i: relax.Tensor[(3,), "int64"]',
    "j": 'j: relax.Tensor[(3,), "int32"]',
    "mask": 'mask: relax.Tensor[(n, m, 4), "bool"]',
    "rows": 'rows: relax.Tensor[(m,), "bool"]',
}


def define(expression: str, names: list[str]) -> Any:
    parameters = ", ".join(PARAMETERS[name] for name in names)
    return run_source(f"@relax.function\ndef f({parameters}):\n    return {expression}\n")["f"]


@pytest.mark.parametrize(
    ("index", "values"),
    [
        ("x[mask]", {"mask": X > 0}),
        ("x[:, rows]", {"rows": np.array([True, False, True])}),
        ("x[i, j]", INDICES),
        ("x[i, j, i]", INDICES),
    ],
)
def test_indices(index: str, values: dict[str, np.ndarray]) -> None:
    with pytest.raises(RelaxError) as caught:
        define(index, ["x", *values])
    assert caught.value.hint is not None
    written = caught.value.hint[caught.value.hint.index("relax.take(") :]
    np.testing.assert_array_equal(define(written, ["x", *values])(X, *values.values()), eval(index, {"x": X, **values}))
