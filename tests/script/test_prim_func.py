"""Kernels written by hand: what they compute, print and accept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hand_kernels import EXAMPLES, Example, exp, fill, m, matmul, n, pairs, two_outputs

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.ir.print_graph import script
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.script.parse_text import parse_kernel_source

SIZES = ({"n": 5, "m": 7, "k": 3}, {"n": 0, "m": 2, "k": 1}, {"n": 9, "m": 0, "k": 0}, {"n": 1, "m": 1, "k": 1})


def arguments(example: Example, sizes: dict[str, int]) -> list[Any]:
    rng = np.random.default_rng(sum(sizes.values()))
    arrays = []
    for shape, dtype in example.inputs:
        numbers = [{**sizes, "2n": 2 * sizes["n"]}[size] for size in shape]
        values = rng.normal(size=numbers) if dtype.startswith("float") else rng.integers(-4, 9, numbers)
        arrays.append(np.asarray(values).astype(dtype))
    return [*arrays, *(sizes.get(name, 3) for name in example.integers)]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_what_it_computes(example: Example) -> None:
    for sizes in SIZES:
        args = arguments(example, sizes)
        with np.errstate(all="ignore"):
            expected = example.reference(*args)
        results = example.kernel(*args)
        both = zip(results, expected, strict=True) if isinstance(results, tuple) else [(results, expected)]
        for result, wanted in both:
            np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_it_parses_back(example: Example) -> None:
    text = example.kernel.script()
    again = parse_kernel_source(text, {})
    assert_structural_equal(again, example.kernel.ir)
    assert script(again) == text


@pytest.mark.parametrize("example", [each for each in EXAMPLES if len(each.inputs) == 1], ids=str)
def test_the_reference_interpreter_agrees(example: Example) -> None:
    x = relax.Var("x", relax.Tensor(example.kernel.ir.params[0].shape, example.kernel.ir.params[0].dtype))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.call_tir(example.kernel, (x,))))
    main = relax.compile(builder.get())["main"]
    for sizes in SIZES:
        comparison = main.check(*arguments(example, sizes))
        assert comparison, str(comparison)


def test_out_and_names() -> None:
    x = np.arange(3, dtype="float32")
    out = np.empty(3, "float32")
    assert exp(x, out=out) is out
    np.testing.assert_array_equal(exp(X=x), out)
    low, sign = np.empty(3, "float32"), np.empty(3, "bool")
    two_outputs(x, out=(low, sign))
    np.testing.assert_array_equal(low, np.minimum(x, 0.5))
    np.testing.assert_array_equal(fill(2, n=1, m=1), [[0, 2]])


def test_wrong_arguments_are_those_of_functions() -> None:
    x = np.zeros((3, 4), "float32")
    with pytest.raises(relax.ArgumentError) as error:
        matmul(x, x)
    assert error.value.span == matmul.definition.params["w"]
    assert error.value.headline == "matmul: argument w, axis 0: expected 4 (k), got 3"
    assert error.value.details == ("k is bound by argument x, axis 1",)
    with pytest.raises(relax.ArgumentError) as error:
        pairs(x[0, :3])
    assert str(error.value).startswith("pairs: argument x, axis 0")


def test_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert repr(exp) == "<relax kernel exp(X: Buffer((size,), 'float32'), Y: Buffer((size,), 'float32')), 1 written>"
    assert str(exp) == exp.script()
    exp.show()
    assert capsys.readouterr().out == f"{exp}\n"
    assert "Y[i] = exp(X[i])" in exp.source()
    assert "T.exp" in exp._repr_html_() or "exp" in exp._repr_html_()
    assert exp.__doc__ is None
    assert matmul.__name__ == "matmul"


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_it_keeps_the_rules_of_kernels(example: Example) -> None:
    assert not list(kernel_violations(example.kernel.ir, "kernel"))


# -------------------------------------------------------------------------------------------------------- in programs


def test_in_functions() -> None:
    @relax.function
    def main(x: relax.Tensor[(n, 4), "float32"], w: relax.Tensor[(4, m), "float32"]):
        first = relax.call_tir(matmul, (x, w), out=relax.Tensor((n, m), "float32"))
        low, sign = relax.call_tir(
            two_outputs, relax.flatten(first), out=[relax.Tensor((n * m,), "float32"), relax.Tensor((n * m,), "bool")]
        )
        return matmul(x, w) - first, low, sign

    x, w = np.ones((3, 4), "float32"), -np.ones((4, 2), "float32")
    difference, low, sign = main(x, w)
    assert not difference.any()
    np.testing.assert_array_equal(low, np.full(6, -4.0))
    assert sign.all()
    assert list(main.module.kernels) == ["matmul", "two_outputs"]


def test_sizes_from_the_type_of_the_result() -> None:
    @relax.function
    def main(x: relax.Tensor[(n,), "float32"], y: relax.Tensor[("u",), "float32"]):
        filled = relax.call_tir(fill, (5, n, 1), out=relax.Tensor((n, 2), "int64"))
        half = relax.call_tir(pairs, relax.concat([y, y]), out=relax.Tensor(("u",), "float32"))
        return filled, half

    filled, half = main(np.zeros(2, "float32"), np.arange(4, dtype="float32"))
    np.testing.assert_array_equal(filled, [[0, 5], [10, 15]])
    np.testing.assert_array_equal(half, [1, 5, 1, 5])


def test_a_wrong_type_of_the_result() -> None:
    with pytest.raises(relax.ShapeError) as error:

        @relax.function
        def main(x: relax.Tensor[(n,), "float32"]):
            return relax.call_tir(exp, (x,), out=relax.Tensor((n + 1,), "float32"))

    given, declared = relax.Tensor((n,), "float32"), relax.Tensor((n + 1,), "float32")
    assert error.value.headline == f"call_tir: exp gives {given}, not {declared}"


def test_a_kernel_among_other_kernels() -> None:
    """What surrounds it is fused as ever; it runs as it is written."""

    @relax.function
    def main(x: relax.Tensor[(n,), "float32"]):
        return relax.call_tir(exp, (x * 2 + 1,)) - 1

    x = np.linspace(-1, 1, 11, dtype="float32")
    np.testing.assert_allclose(main(x), np.exp(x * 2 + 1) - 1, rtol=1e-5)
    assert main.check(x)


def test_words_outside_of_kernels() -> None:
    with pytest.raises(relax.ScriptError) as error:
        T.axis.spatial(3, 1)
    assert str(error.value) == "T.axis.spatial only has a meaning inside @relax.prim_func"
    assert repr(T.grid) == "T.grid"
    assert repr(T.float32) == "T.float32"
    assert repr(T.Buffer) == "T.Buffer"
    assert repr(T.axis) == "T.axis"
    assert "parallel" in dir(T)


def test_attributes() -> None:
    @relax.prim_func(attrs={"kind": "copy"})
    def copy(x: T.Buffer[(n,), "float32"], y: T.Buffer[(n,), "float32"]):
        T.func_attr({"noalias": True})
        for i in range(n):
            y[i] = x[i]

    assert dict(copy.ir.attrs) == {"kind": "copy", "noalias": True}
    assert_structural_equal(parse_kernel_source(copy.script(), {"relax": relax}), copy.ir)


def test_sizes_known_by_name_only() -> None:
    @relax.prim_func
    def copy(x: T.Buffer(("a", "a * 2"), "float32"), y: T.Buffer(("a", "a * 2"), "float32")):
        for i, j in T.grid(a, x.shape[1]):
            y[i, j] = x[i, j]

    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(copy(x), x)
    assert copy.ir.symbols == ("a",)


def test_a_kernel_of_another_origin() -> None:
    x = relax.te.placeholder((n,), "float32", "x")
    kernel = relax.compile(create_prim_func([x], [relax.te.compute((n,), lambda i: x[i] + 1, name="y")], "plus_one"))
    np.testing.assert_array_equal(kernel(np.arange(3, dtype="float32")), [1, 2, 3])
    assert isinstance(kernel, relax.KernelFunction)


def test_schedules_of_kernels() -> None:
    @relax.prim_func
    def double(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("double"):
                vi = T.axis.spatial(n, i)
                y[vi] = x[vi] * 2.0

    sch = relax.Schedule(double)
    (loop,) = sch.get_loops(sch.get_block("double"))
    sch.vectorize(sch.split(loop, [None, 4])[1])
    x = np.arange(7, dtype="float32")
    np.testing.assert_array_equal(relax.compile(sch.func)(x), 2 * x)
    np.testing.assert_array_equal(relax.prim_func(sch)(x), 2 * x)
    assert_structural_equal(parse_kernel_source(script(sch.func), {}), sch.func)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x, y: exp(x, y),
            "exp: Y is an output, which the call makes and returns\n"
            "   hint: to have it written into an array of yours, pass out=Y",
        ),
        (
            lambda x, y: two_outputs(x, sign=y),
            "two_outputs: sign is an output, which the call makes and returns\n"
            "   hint: to have it written into an array of yours, pass out=(low, sign)",
        ),
    ],
    ids=["by position", "by name"],
)
def test_outputs_are_no_arguments(call: Any, message: str) -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        call(np.ones(3, "float32"), np.ones(3, "float32"))
    assert str(caught.value) == message


def test_too_many_arguments() -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        exp(np.ones(3, "float32"), 3)
    assert caught.value.headline == "exp: expected 1 argument, got 2"
    assert caught.value.details == ("1 too many", 'exp(X: T.Buffer((size,), "float32"))')
    assert caught.value.span == exp.definition.span


def test_an_output_may_be_called_out() -> None:
    @relax.prim_func
    def double(x: T.Buffer((n,), "float32"), out: T.Buffer((n,), "float32")):
        for i in range(n):
            out[i] = x[i] * 2

    result = np.empty(3, "float32")
    assert double(np.ones(3, "float32"), out=result) is result


def test_integers_follow_the_inputs_where_outputs_are_refused() -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        fill(np.ones((2, 2), "int64"), 5, 2, 1)
    assert str(caught.value).startswith("fill: y is an output, which the call makes and returns\n")
    assert fill(5, np.int64(2), 1).shape == (2, 2)


def test_a_schedule_is_called_by_programs() -> None:
    schedule = relax.Schedule(exp)

    @relax.function
    def program(x: relax.Tensor[(n,), "float32"]):
        return relax.call_tir(schedule, (x,))

    x = np.ones(3, "float32")
    np.testing.assert_array_equal(program(x), exp(x))


def test_what_schedules_make_is_not_called() -> None:
    schedule = relax.Schedule(exp)
    with pytest.raises(relax.ScheduleError) as caught:
        schedule(np.ones(3, "float32"))
    assert str(caught.value) == (
        "exp: a schedule is not called\n"
        "   hint: relax.prim_func(schedule) makes a function of arrays; in programs: relax.call_tir(schedule, (x, y))"
    )
    with pytest.raises(relax.ArgumentError) as refused:
        schedule.func(np.ones(3, "float32"))
    assert str(refused.value) == (
        "exp: a PrimFunc is not called\n"
        "   hint: relax.prim_func(kernel) makes a function of arrays; in programs: relax.call_tir(kernel, (x, y))"
    )


def test_a_kernel_without_blocks_says_what_to_write() -> None:
    with pytest.raises(relax.ScheduleError) as caught:
        relax.Schedule(exp).get_loops("y")
    assert str(caught.value) == (
        "get_block: there is no block y\n   for i in range(size):\n       Y[i] = T.exp(X[i])\n"
        '   hint: the kernel has none; write `with T.block("name"):` around its statements'
    )
