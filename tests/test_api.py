"""What users hold: calling, seeing and checking a compiled function."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.kernels.contraction.tile import FEW, host_tile
from relaxdsl.passes import comparison
from relaxdsl.script.parse_text import parse_source

m, n = relax.dims("m n")
RNG = np.random.default_rng(0)


@relax.function
def layer(
    x: relax.Tensor[(n, 4), "float32"], w: relax.Tensor[(4, m), "float32"], b: relax.Tensor[(m,), "float32"]
) -> relax.Tensor[(n, m), "float32"]:
    """A dense layer."""
    hidden = x @ w + b
    return relax.nn.relu(hidden)


def arrays(rows: int = 3, columns: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shapes = ((rows, 4), (4, columns), (columns,))
    x, w, b = (RNG.normal(size=shape).astype("float32") for shape in shapes)
    return x, w, b


def expected(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(x @ w + b, 0)


def test_one_compile_serves_every_shape() -> None:
    @relax.function
    def double(x: relax.Tensor[(m, n), "float32"]):
        return x + x

    assert double.compile_count == 0
    for rows in (0, 1, 2, 7, 33):
        for columns in (0, 1, 5):
            x = RNG.normal(size=(rows, columns)).astype("float32")
            np.testing.assert_array_equal(double(x), x + x)
    assert double.compile_count == 1


def test_names_and_docs_are_the_functions() -> None:
    assert layer.__name__ == "layer"
    assert layer.__doc__ == "A dense layer."
    assert repr(layer) == (
        '<relax function layer(x: Tensor((n, 4), "float32"), w: Tensor((4, m), "float32"), b: Tensor((m,), "float32"))'
        ' -> Tensor((n, m), "float32")>'
    )


def test_arguments_by_name_and_out() -> None:
    x, w, b = arrays()
    np.testing.assert_allclose(layer(x, b=b, w=w), expected(x, w, b), rtol=1e-5)
    out = np.empty((3, 5), "float32")
    assert layer(x, w, b, out=out) is out
    np.testing.assert_allclose(out, expected(x, w, b), rtol=1e-5)


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x[::-1][::-1],
        lambda x: np.flip(np.flip(x, -1).copy(), -1),
        lambda x: np.broadcast_to(x[:1], x.shape).copy(),
        lambda x: x.astype(x.dtype.newbyteorder()),
    ],
)
def test_any_layout_works(layout: Any) -> None:
    x, w, b = (layout(array) for array in arrays())
    np.testing.assert_allclose(layer(x, w, b), expected(x, w, b), rtol=1e-5)
    assert layer.check(x, w, b)


def test_read_only_arrays_work_and_stay() -> None:
    values = arrays()
    for array in values:
        array.flags.writeable = False
    np.testing.assert_allclose(layer(*values), expected(*values), rtol=1e-5)


def test_scalars_and_empty_arrays_work() -> None:
    @relax.function
    def scale(x: relax.Tensor[(n,), "float32"], factor: relax.Tensor[(), "float32"]):
        return x * factor, factor + 1

    values, plus_one = scale(np.arange(3, dtype="float32"), np.float32(2))
    np.testing.assert_array_equal(values, [0, 2, 4])
    assert plus_one.shape == ()
    assert plus_one == 3
    assert scale(np.zeros(0, "float32"), np.array(2, "float32"))[0].shape == (0,)


def test_threads_share_a_function() -> None:
    failures = []

    def work(rows: int) -> None:
        x, w, b = arrays(rows)
        for _ in range(50):
            if not np.allclose(layer(x, w, b), expected(x, w, b), rtol=1e-4):
                failures.append(rows)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (1, 2, 30, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_script_parses_back() -> None:
    parsed = parse_source(layer.script(), {"relax": relax})
    assert_structural_equal(parsed.function, layer.ir)
    assert str(layer) == layer.script()


def test_show_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    layer.show()
    assert capsys.readouterr().out == layer.script() + "\n"


def test_html_is_the_script_highlighted() -> None:
    text = re.sub(r"<[^>]*>", "", layer._repr_html_())
    assert "relax.matmul(x, w)" in text.replace("&quot;", '"')


def test_every_stage_prints() -> None:
    stages = layer.lower()
    passes = ["inline", "eliminate", "fold", "legalize", "fuse", "memory"]
    assert list(stages) == ["typed", *passes, "loops", "source", "vm"]
    assert "relax.matmul(x, w)" in stages["typed"]
    assert "cls.matmul, (x, w), out=" in stages["legalize"]
    assert "@relax.prim_func" in stages["loops"]
    assert "cls.fused_matmul_add_relu, (x, w, b), out=" in stages["fuse"]
    assert stages["source"].startswith("def fused_matmul_add_relu(args, lo, hi):")
    assert "call fused_matmul_add_relu(" in stages["vm"]
    assert repr(stages) == "<stages typed, inline, eliminate, fold, legalize, fuse, memory, loops, source, vm>"
    assert str(stages).count("# ---- ") == len(stages)


def test_stages_have_names() -> None:
    stages = layer.lower()
    with pytest.raises(KeyError) as error:
        stages["lops"]
    assert str(error.value) == (
        "there is no stage 'lops'\n"
        "   the stages are typed, inline, eliminate, fold, legalize, fuse, memory, loops, source, vm\n"
        "   hint: did you mean 'loops'?"
    )
    with pytest.raises(relax.RelaxError) as other:
        stages[0]
    assert str(other.value) == f"there is no stage 0\n   the stages are {', '.join(stages)}"
    assert stages.get("lops") is None
    assert "vm" in stages


def test_stages_that_change_nothing_are_shown_in_a_line() -> None:
    stages = layer.lower()
    assert stages["inline"] == stages["eliminate"] == stages["fold"]
    assert "\n\n# ---- eliminate: changed nothing\n\n# ---- fold: changed nothing\n\n# ---- legalize ---" in str(stages)
    assert str(stages).count("relax.matmul(x, w)") == 2
    html = stages._repr_html_()
    assert html.count("<details>") == html.count("</details>") == len(stages) - 2
    assert f"<summary>inline ({len(stages['inline'].splitlines())} lines)</summary>" in html
    assert ">eliminate: changed nothing</div>" in html


def test_source_is_python() -> None:
    compile(layer.source(), "<kernels>", "exec")
    assert layer.source().count("def ") == 1


def test_explain_says_what_was_decided() -> None:
    explanation = layer.explain()
    assert [(each.name, each.bound_by) for each in explanation.symbols] == [
        ("n", "argument x, axis 0"),
        ("m", "argument w, axis 1"),
    ]
    assert [each.name for each in explanation.kernels] == ["fused_matmul_add_relu"]
    assert explanation.kernels_compiled + len(explanation.kernels_shared) == 1
    assert list(explanation.seconds) == ["parse", "passes", "codegen", "numba", "load", "lower", "machine"]
    text = str(explanation)
    assert text.startswith("layer: one compile for every shape\nsymbols:\n   n is bound by argument x, axis 0\n")
    assert "\n      fuses matmul, add, relu\n      ends here because its result is returned\n" in text
    line = layer.__wrapped__.__code__.co_firstlineno
    assert f"x.shape[1] == 4 (test_api.py:{line + 2}:5)" in text


def test_explain_says_which_arguments_may_be_copied() -> None:
    """Those in tuples as well."""
    tensor = relax.Tensor((n, 4), "float32")

    @relax.function
    def total(x: tensor, pairs: relax.Tuple(relax.Tuple(tensor, tensor), tensor), sizes: relax.Shape[("a", "b")]):
        return relax.sum(x + pairs[0][0] + pairs[0][1] + pairs[1])

    plain = "C-contiguous, aligned and of native byte order"
    assert total.explain().copies == (
        f"argument x: only if it is not {plain}",
        f"arrays in argument pairs: only those that are not {plain}",
    )

    @relax.function
    def first(x: tensor, y: tensor, pair: relax.Tuple(tensor, tensor), other: relax.Tuple(tensor)):
        return x

    found = first.explain()
    assert found.copies[:2] == (
        f"arguments x, y: only those that are not {plain}",
        f"arrays in arguments pair, other: only those that are not {plain}",
    )
    line = first.__wrapped__.__code__.co_firstlineno + 1
    assert re.fullmatch(rf"an output that no kernel writes \(copy\) \(test_api.py:{line}:\d+\)", found.copies[2])


def test_explain_shows_sizes_and_says_where_long_ones_are() -> None:
    @relax.function
    def dense(x: relax.Tensor[(n, 256), "float32"], w: relax.Tensor[(256, 512), "float32"]):
        return relax.nn.layer_norm(x) @ w

    (kernel,) = dense.explain().kernels
    packed_from = max(host_tile(32).in_place_rows, FEW) + 1
    assert [phase.extent for phase in kernel.phases] == ["3", "ceil(n / 192) * 11"]
    assert [phase.runs_if for phase in kernel.phases] == [(f"n >= {packed_from}",), ()]
    tensors = [relax.Tensor((f"size_of_the_axis_number_{number}",), "float32") for number in range(4)]

    @relax.function
    def joined(parts: relax.Tuple(tensors)):
        return relax.concat([parts[0], parts[1], parts[2], parts[3]])

    explanation = joined.explain()
    (kernel,) = explanation.kernels
    name = re.fullmatch(r"a long size \((%\d+) in lower\(\)\['vm'\]\)", kernel.phases[0].extent)
    assert name is not None
    assert f"  {name[1]} = " in joined.lower()["vm"]
    is_shared = r"threads share it if its work, a long size \(%\d+ in lower\(\)\['vm'\]\), is >= 300000\n"
    assert re.search(is_shared, str(explanation))


def test_explain_gives_every_fact_a_line() -> None:
    """In the same order for every kernel."""
    vector = relax.Tensor((512,), "float32")

    @relax.function
    def mlp(x: relax.Tensor[(n, 784), "float32"], up: relax.Tensor[(784, 512), "float32"], shift: vector):
        return relax.nn.softmax(relax.nn.relu(x @ up + shift) + shift)

    packed_from = max(host_tile(32).in_place_rows, FEW) + 1
    line = mlp.__wrapped__.__code__.co_firstlineno
    columns = [param.span.column for param in mlp.ir.params if param.span is not None]
    found = str(mlp.explain())
    assert found.startswith(
        f"""\
mlp: one compile for every shape
symbols:
   n is bound by argument x, axis 0
checks on every call:
   x.shape[1] == 784 (test_api.py:{line + 1}:{columns[0]})
   up.shape[0] == 784, up.shape[1] == 512 (test_api.py:{line + 1}:{columns[1]})
   shift.shape[0] == 512 (test_api.py:{line + 1}:{columns[2]})
kernels, in order:
   fused_matmul_add_relu_add_softmax (test_api.py:{line + 2}:16)
      fuses matmul, add, relu, add, softmax
      ends here because its result is returned
      phase 1 makes up_panels of up
         only if n >= {packed_from}: else phase 2 reads up itself
         over 3
         threads share it
      phase 2 makes softmax of x, up, shift, up_panels
"""
    )
    assert re.search(r"\nmemory:\n   a workspace.*: memory_plan\(\) says ", found)
    assert re.search(r"\nmachine code:\n   kernels compiled for this function: \d\n", found)


def test_explain_says_where_there_is_no_workspace() -> None:
    @relax.function
    def shifted(x: relax.Tensor[(n,), "float32"]):
        return x + 1

    assert "\nmemory:\n   no workspace\ncopies:\n" in str(shifted.explain())


def test_explain_counts_a_kernel_for_the_function_that_compiled_it() -> None:
    @relax.function
    def first(x: relax.Tensor[(n, 29), "float32"]):
        return relax.tanh(x + 31)

    @relax.function
    def second(y: relax.Tensor[(m, 29), "float32"]):
        return relax.tanh(y + 31)

    alone, again = first.explain(), second.explain()
    assert (alone.kernels_compiled, alone.kernels_shared) == (1, ())
    assert alone.seconds["codegen"] > 0
    assert alone.seconds["numba"] > 0
    assert (again.kernels_compiled, again.kernels_shared) == (0, ("fused_add_tanh",))
    assert again.seconds["codegen"] == again.seconds["numba"] == 0
    code = "kernels compiled for this function: 0\n   shared with functions before it: fused_add_tanh\n"
    assert f"\nmachine code:\n   {code}" in str(again)


def test_check_agrees_and_is_true() -> None:
    result = layer.check(*arrays())
    assert result
    assert str(result) == "layer: everything agrees with the reference (1 kernel)"


def test_check_does_not_count_what_later_bindings_make_of_rounding() -> None:
    @relax.function
    def digits(x: relax.Tensor[(n,), "float32"]):
        powers = relax.sum(relax.exp(x), keepdims=True)
        return relax.round(powers * 1e6), powers.astype("float64")

    assert digits.check(RNG.normal(size=1000).astype("float32"))


def test_check_names_the_first_binding_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    right = comparison.kernel_outputs

    def wrong(kernel: Any, inputs: Any, symbols: Any) -> Any:
        outputs = right(kernel, inputs, symbols)
        return [output + 1 for output in outputs] if "add" in kernel.name else outputs

    monkeypatch.setattr(comparison, "kernel_outputs", wrong)
    x, w, b = (np.zeros_like(array) for array in arrays())
    result = layer.check(x, w, b)
    assert not result
    line = layer.__wrapped__.__code__.co_firstlineno
    assert str(result) == (
        f"layer: hidden (test_api.py:{line + 5}:14) is the first to differ: "
        "15 of 15 elements, first at (0, 0): expected 0.0, got 1.0"
    )


def test_a_mistaken_call_shows_argument_axis_expected_and_got() -> None:
    x, w, b = arrays()
    with pytest.raises(relax.ArgumentError) as error:
        layer(x, w[:3], b)
    assert error.value.headline == "layer: argument w, axis 0: expected 4, got 3"
    with pytest.raises(relax.ArgumentError) as error:
        layer(x, w, b[:2])
    assert error.value.headline == "layer: argument b, axis 0: expected 5 (m), got 2"
    assert error.value.details == ("m is bound by argument w, axis 1",)


def test_modules_are_mappings_of_functions() -> None:
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    with bb.function("one", [x]):
        bb.emit_func_output(x + 1)
    y = relax.Var("y", relax.Tensor((n,), "float32"))
    with bb.function("two", [y]):
        bb.emit_func_output(y * 2)
    module = relax.compile(bb.get())
    assert list(module) == ["one", "two"]
    np.testing.assert_array_equal(module.two(np.ones(2, "float32")), [2, 2])
    assert len(module) == 2
    assert str(module) == module.script()
    with pytest.raises(AttributeError) as error:
        _ = module.three
    assert str(error.value) == "the module has no function 'three'; it has one, two"
    with pytest.raises(AttributeError) as error:
        _ = module.tow
    assert str(error.value).splitlines() == [
        "the module has no function 'tow'; it has one, two",
        "   hint: did you mean two?",
    ]


def test_every_operator_is_public() -> None:
    from relaxdsl.operators.registry import all_operators

    for definition in all_operators():
        owner: Any = relax
        *spaces, name = definition.name.split(".")
        for space in spaces:
            owner = getattr(owner, space)
        assert getattr(owner, name).__relax_operator__ is definition


def test_options_that_printed_programs_use() -> None:
    @relax.function(dataflow=False, attrs={"note": 1}, private=True)
    def plain(x: relax.Tensor[(n,), "float32"]):
        return x + 1

    assert "@relax.function(dataflow=False" in plain.script()
    assert plain.ir.attrs == {"note": 1, "private": True}
    assert_structural_equal(parse_source(plain.script(), {"relax": relax}).function, plain.ir)


def test_a_failed_cast_names_the_variable_and_where_sizes_come_from() -> None:
    @relax.function
    def cast(x: relax.Tensor[(n,), "float32"], y: relax.Tensor[(m,), "float32"]):
        same = relax.match_cast(y, relax.Tensor((n,), "float32"))
        return x + same

    with pytest.raises(relax.ArgumentError) as error:
        cast(np.ones(4, "float32"), np.ones(5, "float32"))
    assert error.value.headline == "cast: match_cast of same, axis 0: expected 4 (n), got 5"
    assert error.value.details == ("n is bound by argument x, axis 0",)


class Something:
    """What is no function."""


@pytest.mark.parametrize(
    ("decorated", "message"),
    [
        (layer, "relax.function: layer is a relax function already"),
        (Something, "relax.function: the class Something is no Python function\n   hint: classes take @relax.module"),
        (
            "f",
            "relax.function: 'f' is no Python function\n   hint: write one with def below @relax.function",
        ),
    ],
)
def test_what_is_no_python_function(decorated: Any, message: str) -> None:
    with pytest.raises(relax.ScriptError) as error:
        relax.function(decorated)
    assert str(error.value) == message


@relax.prim_func
def copied(x: T.Buffer((n,), "float32"), y: T.Buffer((n,), "float32")):
    for i in range(n):
        y[i] = x[i]


@pytest.mark.parametrize(
    ("decorated", "message"),
    [
        (
            copied,
            "relax.prim_func: copied is a kernel already\n"
            "   hint: relax.prim_func(copied, debug=True) is the same kernel in debug mode",
        ),
        (layer, "relax.prim_func: layer is a relax function already"),
        (5, "relax.prim_func: 5 is no Python function\n   hint: write one with def below @relax.prim_func"),
    ],
)
def test_what_is_no_kernel(decorated: Any, message: str) -> None:
    with pytest.raises(relax.ScriptError) as error:
        relax.prim_func(decorated)
    assert str(error.value) == message


def test_what_is_no_class() -> None:
    with pytest.raises(relax.ScriptError) as error:
        relax.module(5)  # type: ignore[arg-type]
    assert str(error.value) == "relax.module: 5 is no class\n   hint: write one with class below @relax.module"


def test_a_program_that_breaks_the_rules_cannot_be_compiled() -> None:
    builder = relax.BlockBuilder()
    x, other = (relax.Var(name, relax.Tensor((n,), "float32")) for name in ("x", "z"))
    with builder.function("main", [x]):
        builder.emit_func_output(other)
    module = builder.get()
    for program in (module, module["main"]):
        with pytest.raises(relax.ScriptError) as error:
            relax.compile(program)
        assert str(error.value) == (
            "compile: the program is not well formed\n"
            "   main: variable z is not defined where the result of the body of main uses it   "
            "(rule 2: a variable is defined before it is used, and seen only where it is defined)"
        )


def test_what_is_no_program_cannot_be_compiled() -> None:
    with pytest.raises(relax.ScriptError) as error:
        relax.compile(len)
    assert str(error.value) == (
        "compile: builtin_function_or_method is no program\n"
        "   hint: decorate a Python function with @relax.function, or pass what BlockBuilder.get() gives"
    )


def test_a_forgotten_comma_in_a_shape() -> None:
    with pytest.raises(relax.ScriptError) as error:
        relax.Tensor[n, "float32"]
    assert str(error.value) == 'Tensor: the shape is a tuple\n   hint: write relax.Tensor[(n,), "float32"]'


@pytest.mark.parametrize(
    ("annotate", "headline", "written"),
    [
        (lambda: relax.Tensor["float32", (n,)], "the shape comes before the dtype", "(n,)"),
        (lambda: relax.Tensor["float32", ("n", 4)], "the shape comes before the dtype", '("n", 4)'),
        (lambda: relax.Tensor("float32", (n, 4)), "the shape comes before the dtype", "(n, 4)"),
        (lambda: relax.Tensor["float32", n], "the shape is a tuple", "(n,)"),
    ],
)
def test_a_dtype_before_the_shape(annotate: Any, headline: str, written: str) -> None:
    with pytest.raises(relax.ScriptError) as error:
        annotate()
    assert str(error.value) == f'Tensor: {headline}\n   hint: write relax.Tensor[{written}, "float32"]'


def test_a_condition_that_is_a_python_bool() -> None:
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    assert str(relax.where(True, x, 0).type) == 'relax.Tensor((n,), "float32")'


def in_helper(function: Any) -> Any:
    """A program that calls ``function`` on its tensors."""

    @relax.function
    def program(x: relax.Tensor[(n, 3), "float32"]):
        return function(x)

    return program


def test_helpers_may_use_arrays_other_programs_and_dtypes() -> None:
    @relax.function
    def double(x: relax.Tensor[(m, 3), "float32"]):
        return x * 2

    def helper(x: Any) -> Any:
        assert x.dtype == np.float32
        assert x.dtype != "float64"
        return np.ones(3, "float32") + double(x) @ np.eye(3, dtype="float32")

    x = RNG.normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(in_helper(helper)(x), 1 + 2 * x, rtol=1e-6)


@pytest.mark.parametrize(
    ("helper", "headline", "hint"),
    [
        (lambda x: np.exp(x), "np.exp: a NumPy function cannot take a tensor of the program", "write relax.exp"),
        (
            lambda x: np.concatenate([x, x]),
            "np.concatenate: a NumPy function cannot take a tensor of the program",
            "write relax.concat",
        ),
        (
            lambda x: np.remainder(x, 2),
            "np.remainder: a NumPy function cannot take a tensor of the program",
            "write relax.floor_mod",
        ),
        (lambda x: np.sum(x), "np.sum: a NumPy function cannot take a tensor of the program", "write relax.sum"),
        (
            lambda x: np.asarray(x).sum(),
            "np.asarray: a tensor of a program has no values while the program is read",
            "leave it out: operators take the tensor as it is",
        ),
        (
            lambda x: x if x.shape[0] == 2 else -x,
            "whether `n` equals `2` is not known when compiling, and no Python branch may depend on it",
            "sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values",
        ),
        (
            lambda x: x if x.shape == (2, 3) else -x,
            "whether `n` equals `2` is not known when compiling, and no Python branch may depend on it",
            "sizes are run-time values: min(a, b) and max(a, b) give sizes, relax.where picks values",
        ),
    ],
)
def test_helpers_cannot_ask_for_values(helper: Any, headline: str, hint: str | None) -> None:
    with pytest.raises(relax.RelaxError) as error:
        in_helper(helper)
    assert error.value.headline == headline
    assert error.value.hint == hint


def test_a_comparison_of_sizes_is_a_condition() -> None:
    @relax.function
    def flip(x: relax.Tensor[(n,), "float32"]):
        return relax.where(n > 2, x, -x)

    np.testing.assert_array_equal(flip(np.ones(3, "float32")), [1, 1, 1])
    np.testing.assert_array_equal(flip(np.ones(2, "float32")), [-1, -1])


def test_expressions_print_in_one_line() -> None:
    x = relax.Var("x", relax.Tensor((n,), "float32"))
    assert repr(relax.exp(x)) == '<relax value relax.exp(x): relax.Tensor((n,), "float32")>'
    assert str(layer.ir) == layer.script()
    assert str(layer.module).startswith("import relaxdsl as relax")
    assert "concat" in dir(relax)
    assert "kernels" not in dir(relax)


def test_a_kernel_that_reads_outside_is_refused() -> None:
    def shifted(x: Any) -> Any:
        return relax.te.compute(x.shape, lambda i, j: x[i + 1, j], name="shifted")

    with pytest.raises(relax.KernelError) as error:
        in_helper(lambda x: relax.emit_te(shifted, x))
    assert error.value.headline == "shifted: x, axis 0: the index i + 1 is out of range"


def test_tensors_of_no_program_are_no_arguments() -> None:
    x = relax.Var("x", relax.Tensor((n, 4), "float32"))
    with pytest.raises(relax.ArgumentError) as error:
        layer(x, x, x)
    assert str(error.value) == (
        "layer: the arguments are tensors of a program\n   hint: call it on arrays, or inside @relax.function"
    )


def test_a_variable_missing_in_an_inner_branch_is_missing() -> None:
    with pytest.raises(relax.ScriptError) as error:

        @relax.function
        def nested(x: relax.Tensor[(n,), "float32"]):
            if x.sum() > 0:
                if x.sum() > 1:
                    y = x + 1
            else:
                y = x
            return y

    assert error.value.headline.startswith("y is assigned only in the if branch at line ")
    assert error.value.hint == "assign it in the else branch too, or before the if"


def test_parameters_may_have_any_name() -> None:
    def named_as_in_a_class(self: relax.Tensor[(m,), "float32"], args: relax.Tensor[(m,), "float32"]):
        return self - args

    two, one = np.full(3, 2, "float32"), np.ones(3, "float32")
    function = relax.function(named_as_in_a_class)
    for _ in range(2):  # the first call compiles
        np.testing.assert_array_equal(function(args=one, self=two), one)
    np.testing.assert_array_equal(function(two, args=one, out=two.copy()), one)
    np.testing.assert_array_equal(function.bind(self=two)(args=one), one)
    assert function.check(self=two, args=one)
    assert function.profile(self=two, args=one, repeats=1).repeats == 1

    def doubled(self: T.Buffer((m,), "float32"), y: T.Buffer((m,), "float32")):
        for i in range(m):
            y[i] = self[i] * 2

    kernel = relax.prim_func(doubled)
    np.testing.assert_array_equal(kernel(self=one), two)
    assert kernel.profile(self=one, repeats=1).repeats == 1

    def sized(x: relax.Tensor[("self",), "float32"]):
        return relax.exp(x)

    assert relax.function(sized).peak_bytes(self=2) == 8
    assert relax.function(sized).memory_plan().at(self=2).output_bytes == 8
    assert str(relax.function(sized).bind(self=2).ir.ret_type) == 'relax.Tensor((2,), "float32")'
