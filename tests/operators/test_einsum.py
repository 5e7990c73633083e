"""The public ``einsum``: argument orders, and products of more than two operands."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.ir.graph import Call, Var
from relaxdsl.operators.einsum_order import Subscripts, pairwise_order
from relaxdsl.types.dims import Dim, dims
from relaxdsl.types.types import TensorType

m, n = dims("m n")


def _subscripts(call: Call) -> list[str]:
    """Of the call and of the calls that make its operands, first what runs first."""
    inner = [each for field in call.args[0].fields if isinstance(field, Call) for each in _subscripts(field)]
    return [*inner, call.attrs["subscripts"]] if "subscripts" in call.attrs else inner


def _variables(*shapes: tuple[Dim, ...]) -> list[Var]:
    return [Var(f"x{i}", TensorType(shape, "float32")) for i, shape in enumerate(shapes)]


def test_both_orders_of_arguments() -> None:
    x, y = _variables((m, 4), (4, n))
    calls = [
        relax.einsum("ij,jk->ik", x, y),
        relax.einsum((x, y), "ij,jk->ik"),
        relax.einsum(operands=[x, y], subscripts="ij,jk->ik"),
    ]
    assert [str(call) for call in calls] == [str(calls[0])] * 3
    assert str(calls[0].type) == 'relax.Tensor((m, n), "float32")'


def test_the_cheapest_product_comes_first() -> None:
    x, y, z = _variables((m, 512), (512, n), (n, 2))
    assert _subscripts(relax.einsum("ij,jk,kl->il", x, y, z)) == ["jk,kl->jl", "ij,jl->il"]
    x, y, z = _variables((2, n), (n, 512), (512, m))
    assert _subscripts(relax.einsum("ij,jk,kl->il", x, y, z)) == ["ij,jk->ik", "kl,ik->il"]


def test_what_shares_no_index_is_multiplied_last() -> None:
    steps = pairwise_order(Subscripts(("a", "b", "ab"), ""), {"a": 2, "b": 3})
    assert [step.subscripts for step in steps] == ["b,ab->a", "a,a->"]


def test_a_batch_comes_before_rows_and_columns() -> None:
    steps = pairwise_order(Subscripts(("ibk", "bkj", "bl"), "ijlb"), {"i": 5, "b": 4, "k": 9, "j": 5, "l": 90})
    assert [step.subscripts for step in steps] == ["ibk,bkj->bij", "bl,bij->ijlb"]


@pytest.mark.parametrize("text", ["ij,jk,kl->il", "...i,ij,jk->...k", "ij,jk,ik->", "ij,j,k"])
def test_several_operands_agree_with_numpy(text: str) -> None:
    rng = np.random.default_rng(0)
    ranks = [len(term.replace("...", "")) + 2 * ("..." in term) for term in text.partition("->")[0].split(",")]
    arrays = [rng.standard_normal((3,) * rank) for rank in ranks]

    @relax.function
    def product(
        a: relax.Tensor[arrays[0].shape, "float64"],
        b: relax.Tensor[arrays[1].shape, "float64"],
        c: relax.Tensor[arrays[2].shape, "float64"],
    ):
        return relax.einsum(text, a, b, c)

    np.testing.assert_allclose(product(*arrays), np.einsum(text, *arrays), rtol=1e-12)


def test_small_integers_are_multiplied_in_the_dtype_of_the_whole() -> None:
    arrays = np.full(3, 100, "int8"), np.full(3, 100, "int8"), np.ones(3, "int32")

    @relax.function
    def product(a: relax.Tensor[(3,), "int8"], b: relax.Tensor[(3,), "int8"], c: relax.Tensor[(3,), "int32"]):
        return relax.einsum("i,i,i->", a, b, c)

    assert product(*arrays) == 30_000


def test_a_program_prints_and_parses_back() -> None:
    @relax.function
    def product(x: relax.Tensor[(m, 4), "float32"], y: relax.Tensor[(4, n), "float32"]):
        return relax.einsum("ij,jk", x, y)

    assert 'relax.einsum((x, y), subscripts="ij,jk")' in product.script()
