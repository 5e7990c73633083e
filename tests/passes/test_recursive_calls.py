"""Functions that call themselves, directly or through others."""

import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.ir.call_graph import is_recursive
from relaxdsl.ir.check import check_module
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.print_graph import script
from relaxdsl.script.parse_text import parse_source

n, k = relax.dims("n k")


@relax.function
def power(x: relax.Tensor[(n,), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Tensor[(n,), "float32"]:
    if times == 0:
        y = relax.ones_like(x)
    else:
        y = x * power(x, times - 1)
    return y


@relax.function
def powers(x: relax.Tensor[(n, k), "float32"]):
    flat = relax.flatten(x)
    return power(flat, 2) + power(flat, 3)


@relax.function
def fibonacci(i: relax.Tensor[(), "int64"]) -> relax.Tensor[(), "int64"]:
    if i < 2:
        value = i
    else:
        value = fibonacci(i - 1) + fibonacci(i - 2)
    return value


@relax.module
class Parity:
    @relax.function
    def is_even(
        i: relax.Tensor[(), "int64"],  # noqa: N805
    ) -> relax.Tensor[(), "bool"]:
        if i == 0:
            value = relax.const(True)
        else:
            value = Parity.is_odd(i - 1)
        return value

    @relax.function
    def is_odd(
        i: relax.Tensor[(), "int64"],  # noqa: N805
    ) -> relax.Tensor[(), "bool"]:
        if i == 0:
            value = relax.const(False)
        else:
            value = Parity.is_even(i - 1)
        return value


@relax.function
def shorter(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[("m",), "float32"]:
    """What is left when the first element is dropped until it is positive: a size that depends on the data."""
    if x[0] > 0:
        rest = x
    else:
        rest = shorter(x[1:])
    return rest


X = np.array([1, 2, 3], "float32")


def test_a_function_that_calls_itself() -> None:
    assert is_recursive("power", power.module)
    assert not is_recursive("powers", powers.module)
    for times in (0, 1, 5):
        np.testing.assert_array_equal(power(X, times), X**times)
    np.testing.assert_array_equal(power(X[:0], 4), X[:0])
    out = np.empty_like(X)
    assert power(X, times=2, out=out) is out
    np.testing.assert_array_equal(out, X * X)
    assert [int(fibonacci(i)) for i in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]
    assert power.check(X, np.array(3))


def test_functions_that_call_each_other() -> None:
    for i in range(4):
        assert Parity["is_even"](i) == (i % 2 == 0)
        assert Parity["is_odd"](i) == (i % 2 == 1)


def test_a_caller_of_a_recursive_function() -> None:
    np.testing.assert_array_equal(powers(X[None]), X**2 + X**3)
    assert 'relax.call_pure_packed(\n            "power"' in powers.lower()["inline"]
    assert powers.compile_count == 1


def test_recursive_programs_are_read_again() -> None:
    for program in (power, powers, Parity["is_odd"]):
        text = script(program.module)
        again = parse_source(text, {"relax": relax})
        check_module(again.module)
        assert structural_equal(again.module, program.module)
    module = relax.compile(parse_source(script(powers.module), {"relax": relax}).module)
    np.testing.assert_array_equal(module["powers"](X[None]), X**2 + X**3)


def test_sizes_that_only_the_data_knows() -> None:
    x = np.array([-1, 0, 2, -3], "float32")
    np.testing.assert_array_equal(shorter(x), x[2:])
    np.testing.assert_array_equal(shorter(x[2:]), x[2:])


def test_what_is_bound_is_bound_once() -> None:
    cube = power.bind(times=3)
    np.testing.assert_array_equal(cube(X), X**3)
    with pytest.raises(relax.ArgumentError):
        power.bind(n=2)(X, 3)


def test_every_level_has_its_own_memory_in_many_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: power(np.full(i + 1, 1.5, np.float32), i), range(24)))
    for i, result in enumerate(results):
        np.testing.assert_allclose(result, np.full(i + 1, 1.5) ** i, rtol=1e-5)


def test_a_recursion_without_end() -> None:
    np.testing.assert_allclose(power(X, 40), X**40, rtol=1e-5)
    with pytest.raises(RecursionError) as caught:
        power(X, -1)
    limit = sys.getrecursionlimit()
    message = f"power calls itself more deeply than Python's limit of {limit} (sys.setrecursionlimit) allows"
    assert str(caught.value) == message
    assert [note.partition(" (")[0] for note in caught.value.__notes__] == ["power is called by power"]
    assert type(caught.value) is RecursionError
    own = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in own] == ["test_a_recursion_without_end"]
    np.testing.assert_allclose(power(X, 40), X**40, rtol=1e-5)
    executable = power._get_executable()
    assert len(executable.idle_frames()) == len(executable._frames) == 1


def test_the_result_of_a_recursive_function_must_be_declared() -> None:
    with pytest.raises(relax.ScriptError) as caught:

        @relax.function
        def endless(x: relax.Tensor[(n,), "float32"]):
            return endless(x)

    assert caught.value.headline == "endless calls itself, so the type of its result must be declared"
    assert caught.value.hint == (
        'write it after the parameters, for example def endless(…) -> relax.Tensor[("n", 4), "float32"]'
    )


def test_a_function_of_a_module_is_called_by_the_name_of_the_class() -> None:
    with pytest.raises(relax.ScriptError) as caught:

        @relax.module
        class Alone:
            @relax.function
            def again(
                x: relax.Tensor[(n,), "float32"],  # noqa: N805
            ) -> relax.Tensor[(n,), "float32"]:
                return again(x)

    assert caught.value.headline == "again is a function of this module"
    assert caught.value.hint == "write cls.again"


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(relax.RelaxError) as caught:

        @relax.function
        def wrong(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
            return wrong(relax.astype(x, "float64"))

    assert caught.value.headline == "wrong: argument 0: dtype is float64, not float32"


@relax.function
def same(
    x: relax.Tensor[(n,), "float32"], times: relax.Tensor[(), "int64"]
) -> relax.Tensor(ndim=1, dtype="float32"):
    if times == 0:
        y = x
    else:
        y = same(x, times - 1)
    return y


@relax.function
def boxed(x: relax.Tensor[(n,), "float32"], times: relax.Tensor[(), "int64"]) -> relax.Any:
    if times == 0:
        y = x
    else:
        y = relax.match_cast(boxed(x, times - 1), relax.Tensor[(n,), "float32"])
    return y


@relax.function
def given_a_tensor(x: relax.Any, times: relax.Tensor[(), "int64"]) -> relax.Tensor[(), "int64"]:
    if times == 0:
        y = times
    else:
        y = given_a_tensor(times, times - 1)
    return y


def test_results_of_which_only_the_rank_is_declared() -> None:
    np.testing.assert_array_equal(same(X, 3), X)
    np.testing.assert_array_equal(boxed(X, 3), X)
    assert given_a_tensor("label", 3) == 0


def test_levels_stay_in_compiled_code() -> None:
    for program in (power, powers, fibonacci, Parity["is_even"], shorter):
        assert not program.explain().steps_in_python
