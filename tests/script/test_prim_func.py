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
    assert error.value.span == matmul.span
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


def test_what_python_decides() -> None:
    @relax.prim_func
    def decided(x: T.Buffer((n, 4), "float32"), y: T.Buffer((n,), "float32")):
        """Everything here but the loop and the stores is known when the kernel is read."""
        assert x.ndim == 2, "a message"
        assert x.dtype == "float32"
        columns = x.shape[1] if 2 < x.shape[1] <= 4 else 0
        if not columns or columns < 0:
            y[0] = 99.0
        elif columns == 4 and columns is not None:
            for i in range(n):
                y[i] = +x[i, columns - 1] * (1 if columns in (3, 4) else 0)
                pass

    x = np.arange(8, dtype="float32").reshape(2, 4)
    np.testing.assert_array_equal(decided(x), [3, 7])


def test_shared_buffers_and_registers() -> None:
    @relax.prim_func
    def reverse(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        copy = T.alloc_buffer(n, "float32", scope="shared")
        last = T.alloc_buffer((), "float32", scope="register")
        for i in T.parallel(n):
            copy[i] = x[i]
        last[()] = 0.0
        for i in range(n):
            last[()] = copy[n - 1 - i]
            y[i] = last[()]

    x = np.arange(5, dtype="float32")
    np.testing.assert_array_equal(reverse(x), x[::-1])
    assert_structural_equal(parse_kernel_source(reverse.script(), {}), reverse.ir)


def test_sizes_in_functions_of_t() -> None:
    @relax.prim_func
    def blocks(x: T.Buffer((n,), "float32"), y: T.Buffer((T.ceildiv(n, 4),), "float32")):
        for i in range(T.floordiv(n + 3, 4)):
            y[i] = 0.0
            for j in range(T.min(4, n - 4 * i)):
                y[i] = T.max(y[i], x[4 * i + j]) + T.cast(T.floormod(j, 4) * 0, "float32")

    np.testing.assert_array_equal(blocks(np.arange(6, dtype="float32")), [3, 5])


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


def test_one_axis_with_or_without_a_comma() -> None:
    @relax.prim_func
    def without(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("y"):
                vi = T.axis.remap("S", [i])
                y[vi] = x[vi] * 2.0

    @relax.prim_func
    def with_comma(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            with T.block("y"):
                (vi,) = T.axis.remap("S", [i])
                y[vi] = x[vi] * 2.0

    assert without.script().replace("without", "with_comma") == with_comma.script()


def test_loops_run_as_they_are_written() -> None:
    @relax.prim_func
    def copy(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
        for i in T.parallel(n):
            for j0 in range(T.ceildiv(m, 4)):
                for j1 in T.vectorized(4):
                    if j0 * 4 + j1 < m:
                        y[i, j0 * 4 + j1] = x[i, j0 * 4 + j1]

    assert copy.ir.attrs["scheduled"]
    x = np.arange(21, dtype="float32").reshape(3, 7)
    np.testing.assert_array_equal(copy(x), x)
    assert "for j0 in range(" in copy.source()


def test_sizes_beside_narrow_integers() -> None:
    @relax.prim_func
    def kernel(x: T.Buffer((n,), "int8"), less: T.Buffer((n,), "bool"), z: T.Buffer((n,), "int8"), k: T.int64):
        for i in range(n):
            less[i] = x[i] < k
            z[i] = T.min(x[i], k) + (x[i] % k) + k

    x = np.array([-128, -1, 0, 5, 127], "int8")
    for size in (3, 100, 200, 300):
        less, z = kernel(x, size)
        wide = x.astype("int64")
        np.testing.assert_array_equal(less, wide < size)
        np.testing.assert_array_equal(z, (np.minimum(wide, size) + wide % size + size).astype("int8"))


def test_numbers_stand_on_either_side_of_elements() -> None:
    @relax.prim_func
    def bits(x: T.Buffer((n,), "int64"), y: T.Buffer((n, 6), "int64")):
        for i in range(n):
            y[i, 0] = 6 & x[i]
            y[i, 1] = 6 | x[i]
            y[i, 2] = 6 ^ x[i]
            y[i, 3] = 1 << x[i]
            y[i, 4] = 1024 >> x[i]
            quotient, remainder = divmod(i, 4)
            y[i, 5] = quotient + 10 * remainder

    @relax.prim_func
    def parts(x: T.Buffer((n,), "int64"), y: T.Buffer((n, 4), "int64")):
        for i in range(n):
            y[i, 0], y[i, 1] = divmod(x[i], 3)
            y[i, 2], y[i, 3] = divmod(10, x[i] + 1)

    x = np.arange(9)
    i = np.arange(9)
    wanted = [6 & x, 6 | x, 6 ^ x, 1 << x, 1024 >> x, i // 4 + 10 * (i % 4)]
    np.testing.assert_array_equal(bits(x), np.stack(wanted, axis=1))
    np.testing.assert_array_equal(parts(x), np.stack([*divmod(x, 3), *divmod(10, x + 1)], axis=1))


def test_extents_from_a_shape() -> None:
    @relax.prim_func
    def copy(x: T.Buffer((n, m), "float32"), y: T.Buffer((n, m), "float32")):
        for i, j in T.grid(*x.shape):
            y[i, j] = x[i, j]

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(copy(x), x)


def test_a_helper_may_compare_sizes() -> None:
    def is_inner(i, size):
        return i + 1 < size

    @relax.prim_func
    def kernel(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            if is_inner(i, n):
                y[i] = x[i + 1] if is_inner(i, n) else x[i]
            else:
                y[i] = 0.0

    np.testing.assert_array_equal(kernel(np.arange(4, dtype=np.float32)), np.float32([1, 2, 3, 0]))


def test_what_was_written_at_first_may_be_read() -> None:
    @relax.prim_func
    def prefix_sums(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            for j in range(i):
                y[i] = y[j] + x[i]
            y[i] = y[i - 1] + x[i] if i > 0 else x[i]

    np.testing.assert_array_equal(prefix_sums(np.array([1, 2, 4], "float32")), [1, 3, 7])


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
        (
            lambda x, y: exp(x, 3),
            'exp: expected 1 argument, got 2\n   1 too many\n   exp(X: Tensor((size,), "float32"))',
        ),
    ],
    ids=["by position", "by name", "too many"],
)
def test_outputs_are_no_arguments(call: Any, message: str) -> None:
    with pytest.raises(relax.ArgumentError) as caught:
        call(np.ones(3, "float32"), np.ones(3, "float32"))
    assert str(caught.value) == message


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


FIRST = np.int64(1)


def test_extremes_of_several_values() -> None:
    @relax.prim_func
    def extremes(x: T.Buffer((n,), "float32"), y: T.Buffer((n, 5), "float32")):
        for i in range(n):
            y[i, 0] = max(x[i], 3, i, 1)
            y[i, 1] = max([2.5, x[i]])
            y[i, 2] = min(x[i] * each for each in (1, 2, -1))
            y[i, 3] = max(i, 2, 1)
            y[i, 4] = min(*(x[i], 2 * i), 4)

    x = np.array([2.0, 5.0, -3.0, 7.0, 1.0], "float32")
    i = np.arange(5)
    rows = [
        np.maximum(np.maximum(x, 3), i),
        np.maximum(x, 2.5),
        np.minimum(np.minimum(x, 2 * x), -x),
        np.maximum(i, 2),
        np.minimum(np.minimum(x, 2 * i), 4),
    ]
    np.testing.assert_array_equal(extremes(x), np.stack(rows, axis=1))


def test_what_python_changes_where_it_begins() -> None:
    @relax.prim_func
    def collected(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        numbers = iter([4, 5, 6, 7])
        factors = [next(numbers)]
        factors.append(3)
        both = next(numbers) == 5 and next(numbers)
        for i in range(n):
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                terms = []
                seen = {"a": {1}}
                for factor in factors:
                    terms.append(x[vi] * factor)
                    seen["a"].add(factor)
                seen.update(b=2)
                terms += [len(seen["a"]) + len(seen)]
                y[vi] = sum(terms) + both + {3: 10}.get(factors[1], 0)

    x = np.array([2, 5, -3], "int64")
    np.testing.assert_array_equal(collected(x), 7 * x + 5 + 6 + 10)


def test_integers_of_numpy_and_bools_beside_loops() -> None:
    @relax.prim_func
    def shifted(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        for i in range(n):
            with T.block("y"):
                vi = T.axis.spatial(n, i)
                none = T.axis.spatial(FIRST, 0)
                y[vi + none] = True + vi + vi // FIRST
        for i in range(FIRST, n):
            y[i] = y[i] + x[i - FIRST] + 2 ** T.int64(i) + ~T.int64(i)

    x = np.array([2, 5, -3], "int64")
    i = np.arange(1, 3)
    np.testing.assert_array_equal(shifted(x), [1, *(1 + i + i + x[:2] + 2**i + ~i)])


def test_how_elements_print(capsys: pytest.CaptureFixture[str]) -> None:
    @relax.prim_func
    def printed(x: T.Buffer((n,), "int64"), y: T.Buffer((n,), "int64")):
        t = x[0] if n > 0 else 0
        for i in range(n):
            print(x[i], [x[i] + i, n - 1], f"{x[x[i]] * 2:} {t!r}")
            y[i] = t

    assert capsys.readouterr().out == "x[i] [x[i] + i, n - 1] x[x[i]] * T.int64(2) t\n"
