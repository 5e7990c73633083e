"""Lowering: programs of every kind run by the VM and by the interpreter, and where their values live."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl.errors import ArgumentError, DTypeError, ShapeError
from relaxdsl.ir.graph import Constant, ShapeExpr, Tuple
from relaxdsl.operators.calls import constant
from relaxdsl.passes.memory.offsets import whole_lines
from relaxdsl.runtime.packed import register_packed
from relaxdsl.runtime.program import Allocate, CallKernel, Check, HostCall
from relaxdsl.trace.packed_calls import call_dps_packed, call_packed, call_pure_packed
from relaxdsl.types.constructors import Prim, Shape, Tensor
from relaxdsl.types.constructors import Tuple as TupleOf
from relaxdsl.types.dims import dims

from .build import OP, Built, build

m, n, k = dims("m n k")
F32 = "float32"


def array(*shape: int, dtype: str = F32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(dtype)


def check(built: Built, *args: Any) -> Any:
    """Runs both ways; the results must agree."""
    got, wanted = built.run(*args), built.reference(args)
    assert_same(got, wanted)
    return got


def assert_same(got: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple):
        assert isinstance(got, tuple)
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    else:
        assert got == wanted


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_kernels_write_outputs_directly_and_share_workspace(size: int) -> None:
    def body(bb: Any, x: Any, w: Any) -> Any:
        y = x
        for _ in range(6):
            y = OP["matmul"](y, w)
        return [OP["exp"](y), y]

    built = build({"x": Tensor((m, 3), F32), "w": Tensor((3, 3), F32)}, body)
    check(built, array(size, 3), array(3, 3))
    assert len(built.compiled.memory.layout.pieces) == 5
    assert built.compiled.memory.layout.size == 2 * whole_lines(m * 12)
    assert not any(kernel.name == "copy" for kernel in built.compiled.kernels)


def test_an_argument_returned_is_copied() -> None:
    built = build({"x": Tensor((m,), F32)}, lambda bb, x: [x, x])
    x = array(4)
    first, second = check(built, x)
    assert not np.may_share_memory(first, x)
    assert not np.may_share_memory(first, second)


def test_a_result_returned_twice_is_copied_once() -> None:
    def body(bb: Any, x: Any) -> Any:
        y = bb.emit(OP["exp"](x))
        return [y, y]

    built = build({"x": Tensor((m,), F32)}, body)
    first, second = check(built, array(4))
    assert not np.may_share_memory(first, second)


def test_a_constant_returned_is_copied() -> None:
    value = np.arange(3, dtype=F32)
    built = build({"x": Tensor((m,), F32)}, lambda bb, x: constant(value))
    result = check(built, array(2))
    result[:] = 7
    np.testing.assert_array_equal(built.run(array(2)), value)


def test_sizes_and_shapes_are_results() -> None:
    built = build({"x": Tensor((m, n), F32)}, lambda bb, x: [ShapeExpr((m, n * 2 + 1)), m * n])
    assert check(built, array(3, 4)) == ((3, 9), 12)


def test_prims_and_shapes_are_arguments() -> None:
    def body(bb: Any, x: Any, count: Any, shape: Any) -> Any:
        return [OP["broadcast_to"](x, (n, m)), OP["zeros"]((k, m), F32)]

    built = build({"x": Tensor((m,), F32), "n": Prim("int64"), "s": Shape((k, m))}, body)
    first, second = check(built, array(4), 3, (5, 4))
    assert (first.shape, second.shape) == ((3, 4), (5, 4))


def test_nested_tuples() -> None:
    pair = TupleOf(Tensor((m,), F32), TupleOf(Tensor((m,), F32), Tensor((n,), F32)))

    def body(bb: Any, pair: Any) -> Any:
        first, rest = pair[0], pair[1]
        return Tuple((OP["add"](first, rest[0]), Tuple((rest[1], pair[0]))))

    check(build({"p": pair}, body), (array(3), (array(3, seed=1), array(2))))


def test_a_branch_is_taken_at_run_time() -> None:
    def body(bb: Any, flag: Any, x: Any) -> Any:
        with bb.branch() as close:
            then = close(OP["exp"](OP["add"](x, x)))
        with bb.branch() as close:
            otherwise = close(x)
        y = bb.emit_if(flag, then, otherwise)
        return OP["add"](y, x)

    built = build({"flag": Tensor((), "bool"), "x": Tensor((m,), F32)}, body)
    for flag in (True, False):
        check(built, np.array(flag), array(5))
    assert not built.compiled.program.leaves_compiled_code


def test_branches_of_different_sizes_give_a_fresh_symbol() -> None:
    def body(bb: Any, flag: Any, x: Any) -> Any:
        with bb.branch() as close:
            then = close(OP["concat"]([x, x]))
        with bb.branch() as close:
            otherwise = close(x)
        y = bb.emit_if(flag, then, otherwise)
        return [OP["exp"](y), y]

    built = build({"flag": Tensor((), "bool"), "x": Tensor((m,), F32)}, body)
    assert check(built, np.array(True), array(5))[0].shape == (10,)
    assert check(built, np.array(False), array(5))[0].shape == (5,)


def test_a_branch_may_return_what_dies_outside() -> None:
    """The branch's value lives where ``y`` lived; later temporaries of that size must not take the place."""

    def body(bb: Any, flag: Any, x: Any) -> Any:
        y = bb.emit(OP["exp"](x))
        with bb.branch() as close:
            then = close(y)
        with bb.branch() as close:
            otherwise = close(OP["negative"](x))
        z = bb.emit_if(flag, then, otherwise)
        t = bb.emit(OP["add"](x, x))
        u = bb.emit(OP["add"](t, x))
        return OP["add"](z, u)

    built = build({"flag": Tensor((), "bool"), "x": Tensor((m,), F32)}, body)
    for flag in (True, False):
        check(built, np.array(flag), array(5))


def test_nested_branches() -> None:
    def body(bb: Any, a: Any, b: Any, x: Any) -> Any:
        with bb.branch() as close:
            with bb.branch() as inner:
                one = inner(OP["add"](x, 1.0))
            with bb.branch() as inner:
                two = inner(OP["add"](x, 2.0))
            then = close(bb.emit_if(b, one, two))
        with bb.branch() as close:
            otherwise = close(OP["multiply"](x, x))
        return bb.emit_if(a, then, otherwise)

    built = build({"a": Tensor((), "bool"), "b": Tensor((), "bool"), "x": Tensor((m,), F32)}, body)
    for a in (True, False):
        for b in (True, False):
            check(built, np.array(a), np.array(b), array(3))


def test_a_data_dependent_size_flows_on() -> None:
    def body(bb: Any, x: Any) -> Any:
        u = bb.emit(OP["unique"](x))
        doubled = bb.emit(OP["concat"]([u, u]))
        return [OP["add"](doubled, 1), doubled]

    built = build({"x": Tensor((m,), "int64")}, body)
    result, _ = check(built, np.array([3, 1, 3, 2]))
    assert result.shape == (6,)
    steps = built.compiled.program.body
    assert next(type(step) for step in steps if isinstance(step, Allocate | HostCall)) is HostCall


def test_packed_functions() -> None:
    register_packed("tests.reverse", lambda x: x[::-1], override=True)
    register_packed("tests.keep_positive", lambda x: x[x > 0], override=True)

    def fill(x: np.ndarray, out: np.ndarray) -> None:
        out[:] = x * 3

    register_packed("tests.fill", fill, override=True)

    def body(bb: Any, x: Any) -> Any:
        a = bb.emit(call_packed("tests.reverse", x, out=Tensor((m,), F32)))
        b = bb.emit(call_pure_packed("tests.keep_positive", a))
        c = bb.match_cast(b, Tensor((k,), F32))
        d = bb.emit(call_dps_packed("tests.fill", (c,), out=Tensor((k,), F32)))
        e = bb.emit(call_dps_packed("tests.fill", (x,), out=Tensor((m,), F32)))
        return [OP["add"](d, c), e]

    built = build({"x": Tensor((m,), F32)}, body, pure=False)
    check(built, array(9))


def test_a_packed_result_that_views_its_argument_is_safe() -> None:
    register_packed("tests.same", lambda x: x, override=True)

    def body(bb: Any, x: Any) -> Any:
        y = bb.emit(OP["exp"](x))
        z = bb.emit(call_pure_packed("tests.same", y, out=Tensor((m,), F32)))
        t = bb.emit(OP["add"](x, x))
        u = bb.emit(OP["add"](t, x))
        return [OP["add"](z, u), z]

    check(build({"x": Tensor((m,), F32)}, body), array(6))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x, [x[:1], "label"])], ids=["array", "nested"])
def test_a_packed_result_of_no_declared_type_that_views_its_argument_is_safe(wrap: Any) -> None:
    register_packed("test.view", wrap, override=True)

    def body(bb: Any, x: Any) -> Any:
        return call_pure_packed("test.view", OP["multiply"](x, 2.0))

    built = build({"x": Tensor((m,), F32)}, body)
    first = built.run(np.ones(3, F32))
    built.run(np.zeros(3, F32))
    array_part = first[0] if isinstance(first, tuple) else first
    np.testing.assert_array_equal(array_part, [2, 2, 2])
    if isinstance(first, tuple):
        np.testing.assert_array_equal(first[1][0], [2])
        assert first[1][1] == "label"


def test_a_packed_function_cannot_write_its_arguments() -> None:
    def spoil(x: np.ndarray) -> np.ndarray:
        x[:] = 0
        return x

    register_packed("tests.spoil", spoil, override=True)
    body = lambda bb, x: bb.emit(call_packed("tests.spoil", bb.emit(OP["exp"](x)), out=Tensor((m,), F32)))  # noqa: E731
    built = build({"x": Tensor((m,), F32)}, body, pure=False)
    with pytest.raises(ValueError, match="read-only"):
        built.run(array(3))


def test_a_cast_binds_and_checks() -> None:
    def body(bb: Any, x: Any) -> Any:
        return OP["exp"](bb.match_cast(x, Tensor((k * 2, 3), F32)))

    built = build({"x": Tensor((m, n), F32)}, body)
    check(built, array(4, 3))
    with pytest.raises(ArgumentError) as error:
        built.run(array(5, 3))
    assert str(error.value) == "main: match_cast of gv, axis 0: got 5, which is not of the form k * 2"
    with pytest.raises(ArgumentError) as error:
        built.run(array(4, 4))
    assert str(error.value) == "main: match_cast of gv, axis 1: expected 3, got 4"


def test_a_kernel_of_the_users_own() -> None:
    from relaxdsl.kernels import te

    def windows(x: Any, width: Any) -> Any:
        (size,) = x.shape
        w = te.reduce_axis((0, width), "w")
        return te.compute((size - width + 1,), lambda i: te.sum(x[i + w], axis=w), name="windows")

    def body(bb: Any, x: Any, width: Any) -> Any:
        return bb.emit_te(windows, x, k)

    built = build({"x": Tensor((m,), F32), "k": Prim("int64")}, body)
    check(built, array(9), 4)
    calls = [step for step in built.compiled.program.body if isinstance(step, CallKernel)]
    assert [call.kernel.name for call in calls] == ["windows"]
    with pytest.raises(ArgumentError) as error:
        built.run(array(2), 4)
    assert str(error.value) == (
        "main: the size m - k + 1 is negative\n"
        "   m - k + 1 is -1\n"
        "   k = 4 is bound by argument k\n"
        "   m = 2 is bound by argument x, axis 0"
    )


def test_unknown_rank_and_dtype_cannot_be_compiled() -> None:
    with pytest.raises(ShapeError) as error:
        build({"x": Tensor(dtype=F32)}, lambda bb, x: x)
    assert str(error.value) == (
        "main: the rank of parameter x is unknown; a compiled function needs it\n"
        '   hint: declare it, for example as relax.Tensor((m, n), "float32") or relax.Tensor(ndim=2, dtype="float32")'
    )
    with pytest.raises(DTypeError) as error2:
        build({"p": TupleOf(Tensor((m,)))}, lambda bb, p: p[0])
    assert str(error2.value) == (
        "main: the dtype of parameter p[0] is unknown; a compiled function needs it\n"
        '   hint: declare it, for example as relax.Tensor((m, n), "float32")'
    )


def test_inputs_are_never_written() -> None:
    def body(bb: Any, x: Any, y: Any) -> Any:
        z = OP["add"](x, y)
        return [OP["multiply"](z, z), Constant(np.float32(1) + np.zeros(2, F32), Tensor((2,), F32))]

    built = build({"x": Tensor((m,), F32), "y": Tensor((m,), F32)}, body)
    x, y = array(5), array(5, seed=2)
    before = x.copy(), y.copy()
    check(built, x, y)
    np.testing.assert_array_equal((x, y), before)


def test_what_needs_elements_is_checked_at_run_time() -> None:
    built = build({"x": Tensor((m, 3), F32)}, lambda bb, x: [OP["max"](x, axis=0), x[0], x[-2]])
    check(built, array(2, 3))
    with pytest.raises(ArgumentError) as error:
        built.run(array(0, 3))
    assert str(error.value) == "main: max: axis 0 of x has size 0, and nothing has no max\n   m is 0"
    with pytest.raises(ArgumentError) as error:
        built.run(array(1, 3))
    assert str(error.value) == (
        "main: x[...]: axis 0: index -2 is out of range: the size is m\n"
        "   m - 2 is -1\n"
        "   m = 1 is bound by argument x, axis 0"
    )


def test_a_check_in_a_branch_is_made_there() -> None:
    def body(bb: Any, flag: Any, x: Any) -> Any:
        with bb.branch() as close:
            then = close(x[0])
        with bb.branch() as close:
            otherwise = close(OP["sum"](x))
        return bb.emit_if(flag, then, otherwise)

    built = build({"flag": Tensor((), "bool"), "x": Tensor((m,), F32)}, body)
    check(built, np.array(False), array(0))
    with pytest.raises(ArgumentError) as error:
        built.run(np.array(True), array(0))
    assert str(error.value) == "main: x[...]: axis 0: index 0 is out of range: the size is m\n   m is 0"


def test_scratch_of_a_size_known_only_at_run_time() -> None:
    built = build({"x": Tensor((m,), F32)}, lambda bb, x: OP["softmax"](OP["unique"](x)))
    check(built, np.array([1, 2, 1, 3], F32))


def test_a_function_may_be_called_like_an_operator() -> None:
    @relax.function
    def gelu(x: relax.Tensor[(m,), "float32"]):
        return relax.nn.gelu(x)

    assert gelu.check(array(4))


@relax.function
def sum_of_a_quotient(x: relax.Tensor[("n",), "float32"], c: relax.Prim("int64")):
    return relax.sum(relax.ones((x.shape[0] // c,), "float32"))


@relax.function
def quotient_in_a_branch(x: relax.Tensor[("n",), "float32"], c: relax.Prim("int64"), t: relax.Tensor[(), "bool"]):
    if t:
        y = relax.ones((x.shape[0] // c,), "float32")
        z = relax.sum(y * y / relax.max(y))
    else:
        z = relax.sum(x)
    return z


@relax.function
def sum_of_a_range(c: relax.Prim("int64")):
    return relax.sum(relax.arange(0, c * 4))


def test_sizes_that_only_a_kernel_has_are_checked() -> None:
    x = np.ones(4, "float32")
    assert sum_of_a_quotient(x, 2) == 2
    with pytest.raises(ShapeError) as error:
        sum_of_a_quotient(x, 0)
    assert error.value.headline == "sum_of_a_quotient: a size divides by zero: n // c"
    assert sum_of_a_range(3) == 66
    with pytest.raises(ShapeError) as error:
        sum_of_a_range(2**62)
    message = f"sum_of_a_range: the size c * 4 is {2**64}, which does not fit 64 bits, for c = {2**62}"
    assert error.value.headline == message


def test_a_size_that_divides_by_zero_in_a_branch_fails_only_there() -> None:
    x = np.arange(5, dtype="float32")
    assert quotient_in_a_branch(x, 2, True) == 2
    assert quotient_in_a_branch(x, 0, False) == 10
    with pytest.raises(ShapeError) as error:
        quotient_in_a_branch(x, 0, True)
    assert error.value.headline == "quotient_in_a_branch: a size divides by zero: n // c"
    assert "relax.ones" in str(error.value)


def checks_of(built: Built) -> list[Check]:
    program = built.compiled.program
    return [step for step in (*program.prologue, *program.body) if isinstance(step, Check)]


def limits_of(built: Built) -> list[tuple[str, int]]:
    """Which sizes are checked to be at least so large."""
    slots = built.compiled.program.slots
    limits = (each for each in checks_of(built) if each.relation == "at_least")
    return [(slots[each.left].name, slots[each.right].initial) for each in limits]


def test_what_cannot_fail_is_not_checked() -> None:
    """Whatever asks: a padded input that is fused into its convolution has ``m + 2`` rows, and ``m`` may be 0."""

    def body(bb: Any, x: Any, w: Any, y: Any) -> Any:
        return [OP["conv2d"](x, w, padding=1), OP["max"](bb.emit(OP["reshape"](y, (2, k))), axis=0)]

    built = build({"x": Tensor((1, 2, m, n), F32), "w": Tensor((2, 2, 3, 3), F32), "y": Tensor((2 * k,), F32)}, body)
    assert "at_least" not in {step.relation for step in checks_of(built)}
    for rows, columns in ((0, 0), (0, 3), (1, 1), (4, 5)):
        check(built, array(1, 2, rows, columns), array(2, 2, 3, 3), array(rows * 2))


def test_the_sizes_of_arguments_are_not_checked_again() -> None:
    """``2 * m - 1`` may be negative, but not where an argument has so many elements."""
    built = build({"x": Tensor((2 * m - 1,), F32), "y": Tensor((n + 1,), F32)}, lambda bb, x, y: [x, OP["exp"](y)])
    assert limits_of(built) == [("n", 0)]
    check(built, array(3), array(2))
    with pytest.raises(ArgumentError) as error:
        built.run(array(3), array(0))
    assert str(error.value) == "main: argument y, axis 0: got 0, which makes n = -1, but n is at least 0"


def test_what_can_fail_is_checked() -> None:
    params = {"x": Tensor((1, 2, m, n), F32), "w": Tensor((2, 2, 3, 3), F32)}
    built = build(params, lambda bb, x, w: OP["conv2d"](x, w))
    # Nothing that follows from these is checked: a table of the kernel has (m - 2) * (n - 2) elements.
    assert limits_of(built) == [("m - 2", 0), ("n - 2", 0)]
    check(built, array(1, 2, 2, 3), array(2, 2, 3, 3))
    with pytest.raises(ArgumentError) as error:
        built.run(array(1, 2, 1, 3), array(2, 2, 3, 3))
    message = (
        "main: nn.conv2d: the kernel is larger than the padded data along H\n"
        "   m - 2 is -1\n"
        "   m = 1 is bound by argument x, axis 2"
    )
    assert str(error.value) == message
