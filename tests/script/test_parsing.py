"""What the cases cannot say: kinds of syntax, spans, captured arrays, newer Pythons, texts of modules."""

import ast
import linecache
import sys
from typing import Any

import numpy as np
import pytest
from cases import Program, last_program, program, run_source

import relaxdsl as relax
from relaxdsl.errors import RelaxError, ScriptError, Span
from relaxdsl.ir.equal import structural_equal
from relaxdsl.ir.graph import Constant, Function
from relaxdsl.ir.print_graph import script, script_with_constants
from relaxdsl.ir.visit import all_bindings, walk
from relaxdsl.script.interpreter import EXPRESSIONS, STATEMENTS
from relaxdsl.script.parse import parse_function
from relaxdsl.script.parse_text import parse_kernel_source, parse_source
from relaxdsl.script.unsupported import UNSUPPORTED, unsupported_syntax

NAMESPACE = {"relax": relax}
n = relax.dims("n")


def _kinds(base: type) -> list[str]:
    """The names of the node classes that ``ast.parse`` makes, without those kept for old programs."""
    found = (each for each in base.__subclasses__() if each.__module__ == "ast" and "_fields" in vars(each))
    return sorted(each.__name__ for each in found)


# ------------------------------------------------------------------------------------------------------ kinds of syntax


@pytest.mark.parametrize("kind", _kinds(ast.stmt) + _kinds(ast.expr))
def test_every_kind_of_syntax_is_supported_or_named(kind: str) -> None:
    supported = {each.__name__ for each in (*EXPRESSIONS, *STATEMENTS)}
    assert (kind in supported) is not (kind in UNSUPPORTED)


@pytest.mark.parametrize("kind", sorted(UNSUPPORTED))
def test_unsupported_syntax_says_what_to_write(kind: str) -> None:
    what, instead = UNSUPPORTED[kind]
    message = str(unsupported_syntax(type(kind, (ast.AST,), {})(), None))
    assert message == f"{what} cannot be used inside a program\n   hint: {instead}"


def test_unknown_syntax_is_named() -> None:
    message = str(unsupported_syntax(type("Novelty", (ast.AST,), {})(), None))
    assert message == (
        "the syntax `Novelty` cannot be used inside a program\n   hint: call a plain Python function that contains it"
    )


# ---------------------------------------------------------------------------------------------------------------- spans


def test_spans_are_absolute_and_in_characters() -> None:
    source = """

class A:
    @program
    def f(x: relax.Tensor[(n,), "float32"]):
        é = "ü" and x * (
            x + 1)
        return é


f = A.f
"""
    names = run_source(source)
    plus, times = (binding.span for binding in all_bindings(names["f"].ir))
    assert plus == Span("model.py", 7, 13, 7, 18)
    assert times == Span("model.py", 6, 21, 7, 19)


def test_spans_of_helpers_are_the_callers() -> None:
    source = """def g(x):
    return x + 1


@program
def f(x: relax.Tensor[(n,), "float32"]):
    return g(x)
"""
    (binding,) = all_bindings(run_source(source)["f"].ir)
    assert binding.span == Span("model.py", 7, 12, 7, 16)


# ------------------------------------------------------------------------------------------------------ captured values


def test_a_captured_array_is_one_constant() -> None:
    source = """w = np.ones((100, 100), "float32")


@program
def f(x: relax.Tensor[(n, 100), "float32"]):
    return x @ w @ w + relax.sum(w)
"""
    body = last_program(run_source(source)).function.body
    assert len({id(each) for each in walk(body) if isinstance(each, Constant)}) == 1


def test_a_captured_array_is_copied() -> None:
    w = np.ones(3, "float32")

    @program
    def f(x: relax.Tensor[(n, 3), "float32"]) -> relax.Tensor[(n, 3), "float32"]:
        return x + w

    before = script(f.ir)
    w[0] = 7
    assert script(f.ir) == before


def test_the_cause_of_a_foreign_error_is_kept() -> None:
    def helper(x: Any) -> Any:
        raise KeyError("layer")

    def f(x: relax.Tensor[(n, 3), "float32"]) -> relax.Tensor[(n, 3), "float32"]:
        return helper(x)

    with pytest.raises(ScriptError) as caught:
        parse_function(f)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_changed_source_is_noticed() -> None:
    names: dict[str, Any] = {"relax": relax, "n": n}
    source = 'def f(x: relax.Tensor[(n,), "float32"]):\n    return x\n'
    linecache.cache["changed.py"] = (1, None, ["def g(x):\n", "    return x\n"], "changed.py")
    exec(compile(source, "changed.py", "exec", dont_inherit=True), names)
    with pytest.raises(ScriptError) as caught:
        parse_function(names["f"])
    assert str(caught.value) == "f: its source has changed\n   hint: write it as a def, and define it again"


# -------------------------------------------------------------------------------------------------------- newer Pythons


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are Python 3.12's")
def test_type_parameters_are_symbols() -> None:
    source = """
@program
def f[m, k](x: relax.Tensor[(m, 4), "float32"], y: relax.Tensor[(k, "2*k"), "float32"]):
    return relax.reshape(x, (m * 4,)), y.shape[1] - k
"""
    text = script(last_program(run_source(source)).function)
    assert 'relax.Tensor(("m * 4",), "float32")' in text
    assert 'relax.Prim("int64", value="k")' in text


# ----------------------------------------------------------------------------------------------------- texts of modules


MODULE = '''
import relaxdsl as relax


@relax.module(attrs={"version": 2})
class Module:
    @relax.function
    def main(x: relax.Tensor(("m", 4), "float32")) -> relax.Tensor(("m", 4), "float32"):
        cls = Module
        with relax.dataflow():
            gv: relax.Tensor(("m", 4), "float32") = cls.twice(x)
            relax.output(gv)
        return gv

    @relax.function(attrs={"note": "later"})
    def twice(x: relax.Tensor(("n", 4), "float32")) -> relax.Tensor(("n", 4), "float32"):
        with relax.dataflow():
            gv: relax.Tensor(("n", 4), "float32") = relax.add(x, x)
            relax.output(gv)
        return gv
'''


def test_a_module_may_use_functions_before_their_definition() -> None:
    parsed = parse_source(MODULE, NAMESPACE)
    assert script(parsed.module) == MODULE.strip()
    assert list(parsed.module) == ["main", "twice"]


def test_a_function_takes_the_others_from_the_module_given() -> None:
    module = parse_source(MODULE, NAMESPACE).module
    text = 'def f(x: relax.Tensor((3, 4), "float32")):\n    y = cls.twice(x)\n    return y\n'
    assert script(parse_source(text, NAMESPACE, module=module).function).count("cls.twice(x)") == 1


def test_a_module_with_kernels_parses_back() -> None:
    def plus_one(a: Any) -> Any:
        return relax.te.compute(a.shape, lambda i: a[i] + 1)

    @program
    def f(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        return relax.emit_te(plus_one, x)

    text, constants = script_with_constants(f.module)
    again = parse_source(text, NAMESPACE, constants, module=f.module)
    assert list(again.module) == list(f.module)
    assert structural_equal(again.function, f.ir)


KERNEL_IN_TEXT = "@relax.module\nclass M:\n    @relax.prim_func\n    def k(x):\n        pass\n"

BAD_TEXTS = {
    "kernel": (
        KERNEL_IN_TEXT,
        "parameter x has no annotation\n  --> <relax>:4:11\n  |\n4 |     def k(x):\n  |           ^\n"
        '   hint: write its type, for example x: T.Buffer(("n", 4), "float32")',
    ),
    "syntax": ("def f(:", "the text is not Python: invalid syntax\n  --> <relax>:1:7\n  |\n1 | def f(:\n  |       ^"),
    "two programs": (
        "x = 1\ny = 2",
        "a program's text is one function, or one `@relax.module class`\n  --> <relax>:2:1\n  |\n2 | y = 2\n  | ^^^^^",
    ),
    "empty": ("", "a program's text is one function, or one `@relax.module class`"),
    "no function": (
        "@relax.module\nclass M:\n    pass",
        "the module has no graph function\n  --> <relax>:2:7\n  |\n2 | class M:\n  |       ^",
    ),
    "statement in a module": (
        "class M:\n    x = 1",
        "a module contains functions only\n  --> <relax>:2:5\n  |\n2 |     x = 1\n  |     ^^^^^",
    ),
    "option": (
        "@relax.function(fast=True)\ndef f():\n    return ()",
        "unknown option 'fast'\n  --> <relax>:1:17\n  |\n1 | @relax.function(fast=True)\n  |                 ^^^^^^^^^",
    ),
    "unknown function": (
        "@relax.module\nclass M:\n    def main():\n        cls = M\n        return cls.maim()",
        "the module has no function 'maim'\n  --> <relax>:5:16\n  |\n5 |         return cls.maim()\n  |  "
        "              ^^^^^^^^\n   hint: did you mean 'main'?",
    ),
    "if without a common name": (
        'def f(c: relax.Tensor((), "bool")):\n    if c:\n        x = c\n    else:\n        y = c\n    return c',
        "both branches of a printed if end by assigning the same name\n  --> <relax>:2:5\n  |\n2 |     if c:\n"
        "  |     ^^^^^",
    ),
    "impossible type": (
        'def f(c: relax.Tensor((), "bool")):\n    x: relax.Tensor((3,), "bool") = relax.logical_not(c)\n    return x',
        "the value is not what its annotation says: rank is 0, not 1\n  --> <relax>:2:37\n  |\n"
        '2 |     x: relax.Tensor((3,), "bool") = relax.logical_not(c)\n'
        "  |                                     ^^^^^^^^^^^^^^^^^^^^\n"
        '   declared : relax.Tensor((3,), "bool")\n   inferred : relax.Tensor((), "bool")',
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_texts(text: str, message: str) -> None:
    with pytest.raises(RelaxError) as caught:
        parse_source(text, NAMESPACE)
    assert str(caught.value) == message


def test_a_kernels_text_is_one_kernel() -> None:
    with pytest.raises(RelaxError) as caught:
        parse_kernel_source("x = 1\ny = 2", NAMESPACE)
    assert str(caught.value) == (
        "a kernel's text is one `@relax.prim_func`\n  --> <relax>:2:1\n  |\n2 | y = 2\n  | ^^^^^"
    )
    with pytest.raises(RelaxError) as caught:
        parse_kernel_source("", NAMESPACE)
    assert str(caught.value) == "a kernel's text is one `@relax.prim_func`"


def test_a_kernel_is_not_called_by_itself() -> None:
    def plus_one(a: Any) -> Any:
        return relax.te.compute(a.shape, lambda i: a[i] + 1)

    @program
    def f(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        return relax.emit_te(plus_one, x)

    with pytest.raises(RelaxError) as caught:
        parse_source("def g(x: relax.Tensor((3,), 'float32')):\n    return cls.plus_one(x)", NAMESPACE, module=f.module)
    assert str(caught.value) == (
        "plus_one is not a graph function, so it cannot be called by itself\n  --> <relax>:2:12\n  |\n"
        "2 |     return cls.plus_one(x)\n  |            ^^^^^^^^^^^^^^^\n"
        "   hint: call a kernel with relax.call_tir(cls.plus_one, (…), out=…)"
    )


def test_a_program_is_a_function_with_its_module() -> None:
    @program
    def f(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        return x

    assert isinstance(f, Program)
    assert isinstance(f.ir, Function)
    assert f.module["f"] is f.ir


def test_a_name_is_added_once() -> None:
    builder = relax.BlockBuilder()

    @program
    def f(x: relax.Tensor[(n,), "float32"]) -> relax.Tensor[(n,), "float32"]:
        return x

    assert builder.add_named("g", f.ir).name == "g"
    with pytest.raises(ScriptError) as caught:
        builder.add_named("g", f.ir)
    assert str(caught.value) == "BlockBuilder.add_named: there is a function g already"
