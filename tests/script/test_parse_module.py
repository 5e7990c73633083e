"""Modules written as classes."""

from __future__ import annotations

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.script.parse_text import parse_source

n, m = relax.dims("n m")
TWO = 2


@relax.module
class Net:
    @relax.function
    def main(x: relax.Tensor[(n, 4), "float32"], w: relax.Tensor[(4, m), "float32"]):  # noqa: N805
        hidden = cls.layer(x, w)
        return Net.scale(hidden), hidden

    @relax.function
    def layer(
        x: relax.Tensor[(n, 4), "float32"],  # noqa: N805
        w: relax.Tensor[(4, m), "float32"],
    ) -> relax.Tensor[(n, m), "float32"]:
        return relax.nn.relu(x @ w)

    @relax.function
    def scale(x: relax.Tensor[(n, m), "float32"]) -> relax.Tensor[(n, m), "float32"]:  # noqa: N805
        return x * TWO


def test_functions_call_each_other_in_any_order() -> None:
    x, w = np.ones((3, 4), "float32"), np.ones((4, 2), "float32")
    scaled, hidden = Net.main(x, w)
    np.testing.assert_array_equal(hidden, x @ w)
    np.testing.assert_array_equal(scaled, 2 * (x @ w))
    np.testing.assert_array_equal(Net["scale"](hidden), scaled)
    assert list(Net) == ["main", "layer", "scale"]
    assert Net.main.check(x, w)


def test_a_module_parses_back() -> None:
    parsed = parse_source(Net.script(), {"relax": relax})
    assert_structural_equal(parsed.module, Net.ir)


def test_an_unknown_function_of_the_module() -> None:
    with pytest.raises(relax.ScriptError) as error:

        @relax.module
        class Wrong:
            @relax.function
            def one(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
                return cls.tow(x)

            @relax.function
            def two(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:  # noqa: N805
                return x

    assert error.value.headline == "the module has no function 'tow'"
    assert error.value.hint == "did you mean 'two'?"


def test_a_class_without_functions() -> None:
    with pytest.raises(relax.ScriptError) as error:

        @relax.module
        class Empty:
            pass

    assert str(error.value) == "Empty has no @relax.function\n   hint: decorate its functions with @relax.function"


def test_a_function_in_a_class_that_is_no_module() -> None:
    class Plain:
        @relax.function
        def f(x: relax.Tensor[(n,), "float32"]):  # noqa: N805
            return x

    with pytest.raises(relax.ScriptError) as error:
        Plain.f(np.ones(2, "float32"))
    name = "test_a_function_in_a_class_that_is_no_module.<locals>.Plain.f"
    assert error.value.headline == f"{name} is a function of a class that is no module"
    assert error.value.hint == "put @relax.module on the class, or define the function outside of it"
    assert "|         def f(x: relax" in str(error.value)
    assert repr(Plain.f) == str(Plain.f) == f"<{name}, waiting for @relax.module on its class>"


@relax.function
def doubled(x: relax.Tensor[("n",), "float32"]):
    return x * 2


@relax.module
class OfOthers:
    @relax.function
    def main(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
        return doubled(x) + OfOthers.doubled(x)

    @relax.function
    def doubled(x: relax.Tensor[("n",), "float32"]) -> relax.Tensor[("n",), "float32"]:  # noqa: N805
        return x * 3


def test_functions_of_elsewhere_join_the_module_under_other_names() -> None:
    x = np.ones(2, "float32")
    assert set(OfOthers) == {"main", "doubled", "doubled1"}
    np.testing.assert_array_equal(OfOthers["main"](x), 5 * x)
    np.testing.assert_array_equal(OfOthers["doubled"](x), 3 * x)
    np.testing.assert_array_equal(OfOthers["doubled1"](x), 2 * x)


@relax.module
class WithoutResults:
    @relax.function
    def main(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
        least, most = cls.both(x)
        return least, cls.shifted(most)

    @relax.function
    def both(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
        return cls.shifted(x), x

    @relax.function
    def shifted(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
        return x - 1


def test_results_are_known_where_functions_are_called_before_they_stand() -> None:
    assert list(WithoutResults) == ["main", "both", "shifted"]
    least, most = WithoutResults.main(np.array([1, 2], "float32"))
    np.testing.assert_array_equal(least, [0, 1])
    np.testing.assert_array_equal(most, [0, 1])


def test_functions_that_call_each_other_declare_their_results() -> None:
    with pytest.raises(relax.ScriptError) as error:

        @relax.module
        class Endless:
            @relax.function
            def one(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
                return cls.two(x)

            @relax.function
            def two(x: relax.Tensor[("n",), "float32"]):  # noqa: N805
                return cls.one(x)

    assert error.value.headline == "one calls itself, so the type of its result must be declared"
    assert error.value.hint == (
        'write it after the parameters, for example def one(…) -> relax.Tensor[("n", 4), "float32"]'
    )
    assert "|                 return cls.one(x)" in str(error.value)
