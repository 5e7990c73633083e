"""What the builder, the statements and the calls of kernels refuse, with the whole message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import te
from relaxdsl.errors import DTypeError, KernelError, RelaxError, ScriptError, ShapeError
from relaxdsl.ir.graph import Var
from relaxdsl.ir.signature import bind_kernel_symbols
from relaxdsl.kernels.create import create_prim_func

n, m = relax.dims("n m")
F32 = "float32"


def vector(name: str = "x", size: Any = n) -> Var:
    return relax.Var(name, relax.Tensor((size,), F32))


def building(body: Callable[[relax.BlockBuilder, Var], Any], *, pure: bool = True) -> None:
    """A function of ``x`` whose body is what ``body`` does."""
    builder, x = relax.BlockBuilder(), vector()
    with builder.function("main", [x], pure=pure):
        body(builder, x)
        builder.emit_func_output(x)


def in_dataflow(body: Callable[[relax.BlockBuilder, Var], Any]) -> None:
    def inside(builder: relax.BlockBuilder, x: Var) -> None:
        with builder.dataflow():
            body(builder, x)

    building(inside)


def nested(builder: relax.BlockBuilder, x: Var) -> None:
    with builder.function("inner", [x]):
        pass


def twice(builder: relax.BlockBuilder, x: Var) -> None:
    builder.emit_func_output(x)


def without_output() -> None:
    builder = relax.BlockBuilder()
    with builder.function("main", [vector()]):
        pass


def params_twice() -> None:
    builder, x = relax.BlockBuilder(), vector()
    with builder.function("main", [x]):
        builder.emit_func_output(x, [x])


def params_never() -> None:
    builder, x = relax.BlockBuilder(), vector()
    with builder.function("main"):
        builder.emit_func_output(x)


def nested_dataflow(builder: relax.BlockBuilder, x: Var) -> None:
    with builder.dataflow():
        pass


def enter_dataflow() -> None:
    with relax.dataflow():
        pass


X, K = te.placeholder((n, 4), F32, "x"), te.reduce_axis(4, "k")
SUM_OF_ROWS = create_prim_func([X], [te.compute((n,), lambda i: te.sum(X[i, K], axis=K))], "rows")

REFUSED: list[tuple[Callable[[], Any], type[RelaxError], str]] = [
    (
        lambda: building(nested),
        ScriptError,
        "BlockBuilder.function: main is being built; functions do not nest",
    ),
    (lambda: building(twice), ScriptError, "BlockBuilder.emit_func_output: main already has its output"),
    (
        lambda: building(lambda builder, x: builder.function([x]).__enter__()),
        ScriptError,
        "BlockBuilder.function: the name of a function is a text, got list\n"
        '   hint: the parameters come after it: bb.function("main", [x])',
    ),
    (without_output, ScriptError, "BlockBuilder.function: main has no emit_func_output"),
    (params_twice, ScriptError, "BlockBuilder.emit_func_output: the parameters of main are given twice"),
    (
        params_never,
        ScriptError,
        "BlockBuilder.emit_func_output: the parameters of main are given neither here nor in function()",
    ),
    (
        lambda: relax.BlockBuilder().update_func("main", SUM_OF_ROWS),
        ScriptError,
        "BlockBuilder.update_func: there is no function main",
    ),
    (
        lambda: building(lambda builder, x: builder.emit_output(x)),
        ScriptError,
        "BlockBuilder.emit_output: there is no dataflow block to leave; use emit",
    ),
    (
        lambda: relax.BlockBuilder().emit(vector()),
        ScriptError,
        "BlockBuilder.emit: no function is being built; use `with builder.function(name, params):`",
    ),
    (lambda: in_dataflow(nested_dataflow), ScriptError, "dataflow blocks do not nest"),
    (
        lambda: in_dataflow(lambda builder, x: builder.emit(relax.call_packed("f", x))),
        ScriptError,
        "an impure call cannot stand inside a dataflow block\n"
        "   hint: end the dataflow block before it, or use relax.call_pure_packed",
    ),
    (
        lambda: building(lambda builder, x: builder.emit_te(lambda x, o: x, x, object())),
        DTypeError,
        "emit_te: cannot pass object to a TE function",
    ),
    (
        lambda: building(lambda builder, x: builder.emit_te(lambda x: 3, x, primfunc_name_hint="three")),
        KernelError,
        "emit_te: three must return a te tensor or a tuple of them, got int\n"
        "   hint: build the result with te.compute(shape, lambda i, j: …)",
    ),
    (
        lambda: building(lambda builder, x: builder.emit_te(lambda x: (), x, primfunc_name_hint="none")),
        KernelError,
        "emit_te: none returned no tensor",
    ),
    (
        lambda: building(
            lambda builder, x: relax.call_tir(
                SUM_OF_ROWS, (relax.Var("y", relax.Tensor((m, 4), F32)),), out=relax.Tensor((n,), F32)
            )
        ),
        ShapeError,
        'call_tir: rows gives relax.Tensor((m,), "float32"), not relax.Tensor((n,), "float32")\n'
        "   axis 0 is m, not known to equal n",
    ),
    (
        lambda: building(lambda builder, x: relax.call_tir(x, (x,))),
        ScriptError,
        "call_tir: Var('x', relax.Tensor((n,), \"float32\")) is not a kernel\n"
        "   hint: write kernels with @relax.prim_func; a function of tensor expressions is called by "
        "relax.emit_te(function, x)",
    ),
    (
        lambda: relax.call_dps_packed("f", (vector(),)),
        ScriptError,
        "call_dps_packed: out is needed: the type of what the function fills",
    ),
    (
        lambda: relax.call_dps_packed("f", (vector(),), out=relax.Tuple(relax.Tensor((n,)), relax.Any)),
        ScriptError,
        "call_dps_packed: out is relax.Tuple(relax.Tensor((n,)), relax.Any), which does not say how much memory the "
        "function fills\n   hint: name the dtype and every size: "
        'out=relax.Tensor((m, 4), "float32"), or a relax.Tuple of such types',
    ),
    (
        lambda: relax.call_packed(len, vector()),  # type: ignore[arg-type]
        ScriptError,
        "call_packed: the function is given by its registered name, got <built-in function len>",
    ),
    (
        lambda: relax.output(vector()),
        ScriptError,
        "relax.output: only as the last statement of `with relax.dataflow():` inside @relax.function",
    ),
    (enter_dataflow, ScriptError, "relax.dataflow() only has a meaning inside @relax.function"),
    (
        lambda: relax.emit_te(lambda x: x, vector()),
        ScriptError,
        "emit_te: no function is being built here\n   hint: use it inside @relax.function, or use BlockBuilder.emit_te",
    ),
    (
        lambda: bind_kernel_symbols(SUM_OF_ROWS, [relax.prim_value(n)]),
        ShapeError,
        'rows: parameter x must be a tensor of known rank, argument 0 is relax.Prim("int64", value=n)',
    ),
    (
        lambda: relax.prim_value(n).shape,
        ShapeError,
        'shape: this value is not a tensor but relax.Prim("int64", value=n)',
    ),
    (
        lambda: relax.Prim("float32"),
        DTypeError,
        "Prim: only int64 is passed by value, got float32\n"
        '   hint: pass it as a 0-d tensor: relax.Tensor((), "float32")',
    ),
]


@pytest.mark.parametrize(("action", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(action: Callable[[], Any], error: type[RelaxError], message: str) -> None:
    with pytest.raises(error) as caught:
        action()
    assert str(caught.value) == message


def test_a_packed_name_is_taken_once() -> None:
    relax.register_packed("tests.taken", len, override=True)
    with pytest.raises(ScriptError) as caught:
        relax.register_packed("tests.taken", len)
    assert str(caught.value) == (
        "register_packed: 'tests.taken' is registered already\n   hint: pass override=True to replace it"
    )


def test_a_packed_function_is_a_function() -> None:
    with pytest.raises(ScriptError) as caught:
        relax.register_packed("tests.number", 3)  # type: ignore[type-var]
    assert str(caught.value) == "register_packed: 'tests.number' is to be a function, got 3"


def test_a_size_is_needed_for_a_symbol_that_no_input_binds() -> None:
    wide = create_prim_func([], [te.compute((n,), lambda i: te.const(1.0, F32))], "ones")
    with pytest.raises(ShapeError) as caught:
        bind_kernel_symbols(wide, [Var("s", relax.TensorType((), "int64"))])
    assert str(caught.value) == 'ones: n must be an integer size, got relax.Tensor((), "int64")'


def test_an_output_is_no_argument_where_a_size_is_one() -> None:
    wide = create_prim_func([], [te.compute((n,), lambda i: te.const(1.0, F32), name="y")], "ones")
    with pytest.raises(ShapeError) as caught:
        bind_kernel_symbols(wide, [vector()])
    message = "ones: y is an output, which the call makes and returns\n   hint: pass the inputs only: (n,)"
    assert str(caught.value) == message


def test_a_failed_builder_can_be_used_again() -> None:
    builder, x = relax.BlockBuilder(), vector()
    with pytest.raises(ScriptError), builder.function("main", [x]):
        raise ScriptError("stop")
    with builder.function("other", [x]):
        builder.emit_func_output(relax.exp(x))
    result = relax.compile(builder.get())["other"](np.zeros(2, F32))
    np.testing.assert_array_equal(result, [1, 1])


def test_assert_on_a_tensor() -> None:
    with pytest.raises(ScriptError) as caught:

        @relax.function
        def f(x: relax.Tensor[(n,), "float32"]):
            assert x.sum() > 0
            return x

    assert caught.value.headline == "assert on a tensor: its value is not known when parsing"
