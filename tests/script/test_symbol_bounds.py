"""Bounds of symbols: declared with the symbol or in attributes, printed, read again, kept wherever programs go."""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.check import check_module
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.graph import Function, SeqExpr
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.ir.print_graph import script, script_with_constants
from relaxdsl.ir.visit import all_dims
from relaxdsl.passes.pipeline import compile_function
from relaxdsl.script.parse_text import parse_kernel_source, parse_source
from relaxdsl.types.bounds import bounded_symbols
from relaxdsl.types.dims import Symbol

m, rows = relax.dims("m rows", upper=8)
k = relax.dims("k", lower=2)
n = relax.dims("n")


@relax.function
def product(x: relax.Tensor[(m, 4), "float32"], y: relax.Tensor[(4, k), "float32"]):
    return x @ y


@relax.function(attrs={"tir_var_upper_bound": {"a": 8}, "tir_var_lower_bound": {"a": 1}, "kept": 3})
def attributed(x: relax.Tensor[("a", 4), "float32"]):
    cut = relax.match_cast(x + 1, relax.Tensor[(rows, 4), "float32"])
    return relax.nn.relu(cut), x.shape[0] * 2


@relax.function
def caller(x: relax.Tensor[(m, 4), "float32"], w: relax.Tensor[(4, 3), "float32"]):
    return product(x, w)


@relax.module
class Pair:
    @relax.function
    def inner(
        x: relax.Tensor[(rows,), "float32"],  # noqa: N805
    ) -> relax.Tensor[(rows,), "float32"]:
        return relax.exp(x)

    @relax.function(attrs={"tir_var_upper_bound": {"short": 5}})
    def outer(
        x: relax.Tensor[("short",), "float32"],  # noqa: N805
    ) -> relax.Tensor[("short",), "float32"]:
        return Pair.inner(x) + 1


def read_again(program: relax.CompiledFunction) -> Function:
    module = program.module
    text = program.script() if len(module.functions) == 1 else script(module)
    parsed = parse_source(text, {"relax": relax})
    check_module(parsed.module)
    again = parsed.module.graph_functions[program.ir.name]
    assert structural_equal(again, program.ir)
    assert structural_equal(parsed.module, module)
    return again


def bounds_of(function: Function) -> dict[str, Symbol]:
    return bounded_symbols(all_dims(function))


@pytest.mark.parametrize("program", [product, attributed, caller, Pair["inner"], Pair["outer"]])
def test_programs_with_bounds_read_again_are_equal(program: relax.CompiledFunction) -> None:
    assert bounds_of(read_again(program)) == bounds_of(program.ir) != {}


def test_what_is_printed() -> None:
    first = " ".join(attributed.script().partition("def")[0].split())
    bounds = '"tir_var_lower_bound": {"a": 1}, "tir_var_upper_bound": {"a": 8, "rows": 8}'
    assert first == f'@relax.function( attrs={{"kept": 3, {bounds}}} )'
    assert attributed.ir.attrs == {"kept": 3}


def test_a_bound_is_part_of_what_a_program_is() -> None:
    plain = parse_source(product.script().replace('{"m": 8}', '{"m": 9}'), {"relax": relax}).function
    assert not structural_equal(plain, product.ir)


def test_inlining_keeps_what_callees_find() -> None:
    @relax.function
    def outermost(x: relax.Tensor[("rows", 1), "float32"], y: relax.Tensor[(2, 4), "float32"]):
        return x, attributed(y)[0]

    assert '"tir_var_upper_bound": {"rows1": 8}' in outermost.lower()["inline"]
    result = outermost(np.zeros((9, 1), "float32"), np.zeros((2, 4), "float32"))
    np.testing.assert_array_equal(result[1], np.ones((2, 4), "float32"))


def test_a_bound_that_callers_may_break() -> None:
    with pytest.raises(relax.ShapeError) as caught:

        @relax.function
        def unbounded(x: relax.Tensor[(n, 4), "float32"], w: relax.Tensor[(4, 3), "float32"]):
            return product(x, w)

    assert caught.value.headline == "product: argument x, axis 0: m = n is not known to be at most 8"


def test_attributes_bound_what_helpers_brought_along() -> None:
    doubled = n * 2

    @relax.function(attrs={"tir_var_upper_bound": {"n": 4}})
    def padded(x: relax.Tensor[(n,), "float32"]):
        return relax.concat([x, x]) + relax.zeros((doubled,), "float32")

    assert set(bounds_of(padded.ir).values()) == {Symbol("n", 0, 4)}
    assert all(each.upper == 4 for each in bounds_of(read_again(padded)).values())


def test_data_dependent_sizes_with_bounds() -> None:
    @relax.function(attrs={"tir_var_upper_bound": {"u": 2}})
    def few(x: relax.Tensor[(n,), "float32"]):
        y: relax.Tensor[("u",), "float32"] = relax.unique(x)
        return y

    read_again(few)
    np.testing.assert_array_equal(few(np.array([1, 2, 1], "float32")), [1, 2])
    with pytest.raises(relax.ArgumentError) as caught:
        few(np.array([1, 2, 3], "float32"))
    assert caught.value.headline == "few: result of unique, axis 0: got 3 (u), but u is at most 2"


def test_bounds_of_what_branches_choose() -> None:
    @relax.function(attrs={"tir_var_upper_bound": {"u": 2}})
    def chosen(x: relax.Tensor[(n,), "float32"], short: relax.Tensor[(), "bool"]) -> relax.Tensor[("u",), "float32"]:
        if short:
            y = relax.unique(x)
        else:
            y = x
        return y

    read_again(chosen)
    x = np.ones(3, "float32")
    np.testing.assert_array_equal(chosen(x, True), [1])
    assert exceeded(lambda: chosen(x, False)) == "chosen: value of y1, axis 0: got 3 (u), but u is at most 2"


def exceeded(call: Callable[[], object]) -> str:
    with pytest.raises(relax.ArgumentError) as caught:
        call()
    return str(caught.value).partition("\n")[0]


def test_a_bound_exceeded_at_run_time() -> None:
    y = np.zeros((4, 2), "float32")
    assert product(np.zeros((8, 4), "float32"), y).shape == (8, 2)
    assert exceeded(lambda: product(np.zeros((9, 4), "float32"), y)) == (
        "product: argument x, axis 0: got 9 (m), but m is at most 8"
    )
    assert exceeded(lambda: product(np.zeros((1, 4), "float32"), y[:, :1])) == (
        "product: argument y, axis 1: got 1 (k), but k is at least 2"
    )
    assert exceeded(lambda: attributed(np.zeros((0, 4), "float32"))) == (
        "attributed: argument x, axis 0: got 0 (a), but a is at least 1"
    )
    assert exceeded(lambda: Pair["outer"](np.zeros(6, "float32"))) == (
        "outer: argument x, axis 0: got 6 (short), but short is at most 5"
    )


def test_the_whole_message() -> None:
    @relax.function
    def pairs(x: relax.Tensor[(2 * m,), "float32"]):
        return x

    with pytest.raises(relax.ArgumentError) as caught:
        pairs(np.zeros(20, "float32"))
    line = pairs.ir.span.line if pairs.ir.span is not None else 0
    assert str(caught.value) == (
        "pairs: argument x, axis 0: got 20, which makes m = 10, but m is at most 8\n"
        f"    --> test_symbol_bounds.py:{line}:15\n"
        "    |\n"
        f'{line} |     def pairs(x: relax.Tensor[(2 * m,), "float32"]):\n'
        "    |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )
    assert "check 8 >= " in pairs.lower()["vm"]


# -------------------------------------------------------------------------------------------- programs built by hand


def test_attributes_given_to_the_builder() -> None:
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    bb = relax.BlockBuilder()
    with bb.function("main", [x], attrs={"tir_var_upper_bound": {"n": 4}}):
        bb.emit_func_output(bb.emit(relax.exp(x)))
    main = relax.compile(bb.get())["main"]
    assert main.script().startswith('@relax.function(dataflow=False, attrs={"tir_var_upper_bound": {"n": 4}})')
    read_again(main)
    assert exceeded(lambda: main(np.zeros(5, "float32"))) == "main: argument x, axis 0: got 5 (n), but n is at most 4"


def test_attributes_of_functions_made_without_a_builder() -> None:
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    attrs = MappingProxyType({"tir_var_upper_bound": {"n": 4}})
    main = Function("main", (x,), SeqExpr((), x), x.type, True, attrs)
    for compiled in (relax.compile(main), relax.compile(relax.IRModule({"main": main}))["main"]):
        read_again(compiled)
        assert bounds_of(compiled.ir) == {"n": Symbol("n", 0, 4)}


# -------------------------------------------------------------------------------------------------------- kernels


@relax.prim_func(attrs={"tir_var_upper_bound": {"width": 16}})
def halves(x: T.Buffer((m,), "float32"), y: T.Buffer((m,), "float32"), width: T.int64):
    for i in range(m):
        y[i] = x[i] * T.float32(0.5) + T.cast(width, "float32")


def kernel_bounds(kernel: PrimFunc) -> str:
    return script(kernel).splitlines()[0]


def test_kernels_keep_the_bounds_of_their_sizes() -> None:
    assert kernel_bounds(halves.ir) == "@relax.prim_func(attrs={'tir_var_upper_bound': {'m': 8, 'width': 16}})"
    again = parse_kernel_source(script(halves.ir), {"relax": relax})
    assert structural_equal(again, halves.ir)
    x = np.arange(3, dtype="float32")
    np.testing.assert_array_equal(halves(x, 2), x / 2 + 2)
    assert exceeded(lambda: halves(x, 17)) == "halves: argument width: got 17 (width), but width is at most 16"


def test_kernels_of_operators_know_the_bounds() -> None:
    lowered = product.lower()["legalize"]
    assert "attrs={'tir_var_lower_bound': {'k': 2}, 'tir_var_upper_bound': {'m': 8}}" in lowered


def test_every_stage_of_a_program_with_bounds_is_read_again() -> None:
    @relax.function
    def block(x: relax.Tensor[(m, k), "float32"], w: relax.Tensor[(k, 2 * m), "float32"]):
        y = relax.nn.softmax(relax.nn.relu(x @ w + 1))
        return relax.reshape(y, (m * 2 * m,)), relax.sum(y, axis=0)

    for stage in compile_function(block.ir, block.module).stages:
        text, constants = script_with_constants(stage.module)
        again = parse_source(text, {"relax": relax}, constants).module
        assert structural_equal(again, stage.module), stage.name
        assert '"tir_var_upper_bound": {"m": 8}' in text, stage.name


def test_a_call_tir_that_may_break_a_bound() -> None:
    with pytest.raises(relax.ShapeError) as caught:

        @relax.function
        def unbounded(x: relax.Tensor[(n,), "float32"]):
            return relax.call_tir(halves, (x, 3), out=relax.Tensor((n,), "float32"))

    assert caught.value.headline == "halves: m is n, which is not known to keep 0 <= m <= 8"


# --------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        (
            {"tir_var_upper_bound": 8},
            'tir_var_upper_bound is 8\n  hint: write attrs={"tir_var_upper_bound": {"m": 1024}}',
        ),
        ({"tir_var_upper_bound": {"n": "8"}}, "tir_var_upper_bound: the bound of n is an integer, not '8'"),
        (
            {"tir_var_upper_bound": {"n": 2}, "tir_var_lower_bound": {"n": 3}},
            "symbol n: upper bound 2 is below lower bound 3",
        ),
        (
            {"tir_var_upper_bound": {"q": 2}},
            "plain: a bound is declared for q, which is no size of the function\n  hint: its sizes are n",
        ),
        (
            {"tir_var_upper_bound": {"not a name": 2}},
            "dims: 'not a name' is not a name for a size\n  hint: use a Python identifier, such as 'm'",
        ),
        (
            {"tir_var_uper_bound": {"n": 2}},
            "there is no attribute tir_var_uper_bound of a function\n  hint: did you mean tir_var_upper_bound?",
        ),
        (
            {"note": "kept", "tir_var_lower_bounds": {"n": 2}},
            "there is no attribute tir_var_lower_bounds of a function\n  hint: did you mean tir_var_lower_bound?",
        ),
    ],
)
def test_attributes_that_bound_nothing(attrs: dict[str, object], message: str) -> None:
    def plain(x: relax.Tensor[(n,), "float32"]):
        return x

    with pytest.raises(relax.RelaxError) as caught:
        relax.function(attrs=attrs)(plain)
    hint = f"\n  hint: {caught.value.hint}" if caught.value.hint else ""
    assert caught.value.headline + hint == message


def test_different_bounds_of_one_name() -> None:
    other = relax.dims("m", upper=9)

    def helper(x: relax.Var) -> object:
        return relax.match_cast(x, relax.Tensor((other, 4), "float32"))

    def two_bounds(x: relax.Tensor[(m, 4), "float32"]):
        return helper(x)

    def other_bounds(x: relax.Tensor[(m, 4), "float32"]):
        return x

    for decorate in (relax.function, lambda fn: relax.function(attrs={"tir_var_upper_bound": {"m": 9}})(other_bounds)):
        with pytest.raises(relax.ScriptError) as caught:
            decorate(two_bounds)
        assert caught.value.headline == "symbol m is declared with different bounds"
        assert list(caught.value.details) == ["it has 0 <= m <= 8", "and also 0 <= m <= 9"]


def test_bounds_inside_a_kernel() -> None:
    with pytest.raises(relax.ScriptError) as caught:

        @relax.prim_func
        def late(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
            T.func_attr({"tir_var_upper_bound": {"n": 4}})
            for i in range(n):
                y[i] = x[i]

    assert caught.value.headline == "T.func_attr stands after the sizes that it bounds"
    assert caught.value.hint == 'write @relax.prim_func(attrs={"tir_var_upper_bound": {"m": 1024}})'


def test_misspelt_bounds_of_a_kernel() -> None:
    def doubled(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = x[i] * T.float32(2)

    def within(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
        T.func_attr({"tir_var_lower_bond": {"n": 4}})
        for i in range(n):
            y[i] = x[i]

    for decorate, fn, given, meant in (
        (relax.prim_func(attrs={"tir_var_upper_bonds": {"n": 4}}), doubled, "tir_var_upper_bonds", "upper"),
        (relax.prim_func, within, "tir_var_lower_bond", "lower"),
    ):
        with pytest.raises(relax.ScriptError) as caught:
            decorate(fn)
        assert caught.value.headline == f"there is no attribute {given} of a function"
        assert caught.value.hint == f"did you mean tir_var_{meant}_bound?"


def test_a_size_written_as_text_has_the_bounds_of_its_name() -> None:
    few = relax.dims("k", lower=1, upper=64)

    @relax.function
    def in_one_shape(x: relax.Tensor[(few, "2 * k"), "float32"]):
        return x

    @relax.function
    def in_an_earlier_parameter(x: relax.Tensor[("2 * k",), "float32"], y: relax.Tensor[(few,), "float32"]):
        return x, y

    bounds = {"tir_var_lower_bound": {"k": 1}, "tir_var_upper_bound": {"k": 64}}
    for each in (in_one_shape, in_an_earlier_parameter):
        assert f"attrs={bounds}".replace("'", '"') in each.script()
