"""``unique`` and ``nonzero``: types with fresh symbols, results as the runtime wants them."""

from __future__ import annotations

import numpy as np
import pytest

from relaxdsl.errors import DTypeError, ShapeError
from relaxdsl.ir.graph import Var
from relaxdsl.operators import sets
from relaxdsl.operators.calls import call_context
from relaxdsl.types.dims import dims, symbol
from relaxdsl.types.types import TensorType

m, n = dims("m n")
x = Var("x", TensorType((m, 4, n), "int16"))


def test_types() -> None:
    with call_context(fresh_symbol=lambda hint: symbol(f"{hint}_size")):
        assert str(sets.unique(x).type) == 'relax.Tensor((unique_size,), "int16")'
        assert str(sets.nonzero(x).type) == 'relax.Tensor((3, nonzero_size), "int64")'
        everything = sets.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=1)
    assert str(everything.type) == (
        'relax.Tuple(relax.Tensor((m, unique_size, n), "int16"), relax.Tensor((unique_size,), "int64"), '
        'relax.Tensor((4,), "int64"), relax.Tensor((unique_size,), "int64"))'
    )


def test_the_inverse_has_the_tensors_shape() -> None:
    inverse = sets.unique(x, return_inverse=True).type.fields[1]  # type: ignore[attr-defined]
    assert str(inverse) == 'relax.Tensor((m, 4, n), "int64")'


def test_host_results_are_contiguous() -> None:
    array = np.arange(12, dtype="float32").reshape(3, 4).T % 5
    results = sets.unique.__relax_operator__.host(array, True, True, True, True, axis=1)  # type: ignore[attr-defined]
    assert all(each.flags.c_contiguous for each in results)
    assert [each.dtype.name for each in results] == ["float32", "int64", "int64", "int64"]
    positions = sets.nonzero.__relax_operator__.host(array)  # type: ignore[attr-defined]
    assert positions.flags.c_contiguous
    np.testing.assert_array_equal(positions, np.stack(np.nonzero(array)))


def test_a_number_has_no_elements_to_list() -> None:
    with pytest.raises(DTypeError) as error:
        sets.unique(3)
    assert str(error.value) == "unique: x must be a tensor, got a number"


def test_the_rank_must_be_known() -> None:
    with pytest.raises(ShapeError) as error:
        sets.nonzero(Var("u", TensorType(None, "float32")))
    assert str(error.value) == (
        "nonzero: the rank of u is unknown\n"
        "   hint: write it in the parameter's annotation, or give the value a type: "
        'u = relax.match_cast(u, relax.Tensor((m, n), "float32"))'
    )
