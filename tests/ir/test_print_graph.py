"""Golden texts. They are the examples of the surface language, so they are here in full."""

import ast

import numpy as np
import pytest
from programs import (
    GRAPH_PROGRAMS,
    bind,
    branches,
    call,
    constant,
    dense,
    effects,
    flatten,
    function,
    leaves,
    module,
    row_sum,
    tensor,
    with_kernel,
)

from relaxdsl.errors import InternalError
from relaxdsl.ir.graph import (
    BindingBlock,
    Call,
    Constant,
    DataflowBlock,
    DataflowVar,
    ExternFunc,
    Function,
    GlobalVar,
    HostObject,
    MatchCast,
    PrimValue,
    SeqExpr,
    Tuple,
    Var,
)
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.print_graph import script, script_with_constants, summary
from relaxdsl.ir.print_types import format_type
from relaxdsl.types.dims import symbol
from relaxdsl.types.types import AnyType, FuncType, PrimType, ShapeType, TensorType, TupleType, Type

DENSE = """\
@relax.function
def main(
    x: relax.Tensor(("m", 224), "float32"),
    w: relax.Tensor((224, 10), "float32")
) -> relax.Tensor(("m", 10), "float32"):
    with relax.dataflow():
        lv: relax.Tensor(("m", 10), "float32") = relax.matmul(x, w)
        gv: relax.Tensor(("m", 10), "float32") = relax.nn.relu(lv)
        relax.output(gv)
    return gv"""

DENSE_WITHOUT_TYPES = """\
@relax.function
def main(
    x: relax.Tensor(("m", 224), "float32"),
    w: relax.Tensor((224, 10), "float32")
) -> relax.Tensor(("m", 10), "float32"):
    with relax.dataflow():
        lv = relax.matmul(x, w)
        gv = relax.nn.relu(lv)
        relax.output(gv)
    return gv"""

FLATTEN = """\
@relax.function
def main(x: relax.Tensor(("m", "n"), "float32")) -> relax.Tensor(("m * n - 1",), "float64"):
    with relax.dataflow():
        lv: relax.Tensor(("m * n",), "float32") = relax.reshape(x, shape=(m * n,))
        gv: relax.Tensor(("m * n - 1",), "float64") = relax.strided(
            lv, index=(slice(1, None, None), [m // 2, n % 4]), dtype="float64", scale=-0.5,
            flag=True, table={"a": (1,)}, bound=float("-inf"), kind=relax.Tensor(("m",), "float32")
        )
        relax.output(gv)
    return gv"""

BRANCHES = """\
@relax.function
def main(
    x: relax.Tensor(("m",), "float32"),
    flag: relax.Tensor((), "bool")
) -> relax.Tensor(("m",), "float32"):
    if flag:
        with relax.dataflow():
            lv: relax.Tensor(("m",), "float32") = relax.add(x, x)
            gv: relax.Tensor(("m",), "float32") = relax.negative(lv)
            relax.output(gv)
        y: relax.Tensor(("m",), "float32") = gv
    else:
        y: relax.Tensor(("m",), "float32") = x
    return y"""

EFFECTS_WITHOUT_TYPES = """\
@relax.function(pure=False, dataflow=False)
def main(x: relax.Tensor(ndim=2, dtype="float32")) -> relax.Tuple(
    relax.Tensor(("k", 4), "float32"),
    relax.Tensor(("u_n",), "int64")
):
    y = relax.match_cast(x, relax.Tensor(("k", 4), "float32"))
    u: relax.Tensor(("u_n",), "int64") = relax.unique(y)
    z = relax.call_dps_packed("host.norm", (y,), out=relax.Tensor(("k", 4), "float32"))
    p = relax.call_packed("host.norm", z, relax.host("l2"), out=relax.Any)
    nothing = relax.print(p)
    return (y, u)"""

LEAVES = """\
@relax.function(attrs={"note": "all leaves", "level": 3})
def main(
    n: relax.Prim("int64", value="m"),
    s: relax.Shape(("m", 4)),
    f: relax.Callable([relax.Tensor(("q",), "float32")], relax.Tensor(("q",), "float32"))
) -> relax.Tuple(relax.Tensor((4,), "float32"), relax.Shape(("m", 4)), relax.Tuple()):
    with relax.dataflow():
        pair: relax.Tuple(
            relax.Tensor((), "float32"), relax.Prim("int64", value="m + 1")
        ) = (relax.const(1.5, "float32"), relax.prim_value(m + 1))
        lv: relax.Tensor((), "float32") = pair[0]
        lv1: relax.Tensor((13, 5), "float32") = relax.constant(0)  # float32 (13, 5)
        gv: relax.Tensor((4,), "float32") = f(
            relax.const([float("nan"), float("inf"), -0.0, 0.1], "float32")
        )
        relax.output(gv)
    return (gv, relax.shape((m, 4)), ())"""

WITH_KERNEL = """\
import relaxdsl as relax
from relaxdsl import tir as T


@relax.module
class Module:
    @relax.prim_func
    def row_sum(
        x: T.Buffer(("m", "n"), "float32"),
        y: T.Buffer(("m",), "float32"),
        m: T.int64,
        n: T.int64
    ):
        T.outputs(y)
        for i_0, j in T.grid(m, n):
            with T.block("sum"):
                vi, vj = T.axis.remap("SR", [i_0, j])
                with T.init():
                    y[vi] = T.float32(0.0)
                y[vi] = y[vi] + (x[vi, vj] * T.float32(2.0))

    @relax.function
    def main(x: relax.Tensor(("m", "n"), "float32")) -> relax.Tensor(("m",), "float32"):
        cls = Module
        with relax.dataflow():
            lv: relax.Tensor(("m",), "float32") = relax.call_tir(
                cls.row_sum, (x,), out=relax.Tensor(("m",), "float32")
            )
            gv: relax.Tensor(("m",), "float32") = relax.nn.relu(lv)
            relax.output(gv)
        return gv

    @relax.function
    def twice(a: relax.Tensor(("p", 3), "float32")) -> relax.Tensor(("p",), "float32"):
        cls = Module
        with relax.dataflow():
            b: relax.Tensor(("p",), "float32") = cls.main(a)
            relax.output(b)
        return b"""


@pytest.mark.parametrize(
    ("make", "text"),
    [(dense, DENSE), (flatten, FLATTEN), (branches, BRANCHES), (leaves, LEAVES), (with_kernel, WITH_KERNEL)],
)
def test_golden_script(make, text):
    assert script(make()) == text


@pytest.mark.parametrize(("make", "text"), [(dense, DENSE_WITHOUT_TYPES), (effects, EFFECTS_WITHOUT_TYPES)])
def test_without_types_only_annotations_that_name_new_symbols_are_left(make, text):
    assert script(make(), types=False) == text


@pytest.mark.parametrize("make", GRAPH_PROGRAMS)
@pytest.mark.parametrize("types", [True, False])
def test_every_script_is_python(make, types):
    ast.parse(script(make(), types=types))


def test_a_function_that_uses_others_is_printed_as_a_module():
    text = script(with_kernel()["twice"])
    assert text.splitlines()[:6] == [
        "import relaxdsl as relax", "", "", "@relax.module", "class Module:", "    @relax.function"
    ]  # fmt: skip


def test_modules_may_be_empty_and_have_attributes():
    assert script(module({})) == "import relaxdsl as relax\n\n\n@relax.module\nclass Module:\n    pass"
    assert "@relax.module(attrs={\"level\": 2})" in script(IRModule({}, {"level": 2, "none": None}))


def test_names_are_unique_identifiers_and_never_a_symbols():
    a, b, c, d = (Var(name, tensor("m")) for name in ("m", "x.y", "x.y", "for"))
    main = function((a, b, c, d), (), d)
    header = script(main).splitlines()
    assert [line.split(":")[0].strip() for line in header[2:6]] == ["m1", "x_y", "x_y1", "for_"]


def test_symbols_that_mean_something_else_in_script_are_renamed():
    x = Var("x", TensorType((symbol("min"), symbol("relax", upper=8)), "float32"))
    assert 'x: relax.Tensor(("min1", "relax1"), "float32")' in script(function((x,), (), x))


def test_undefined_variables_and_nested_calls_are_printed_all_the_same():
    x = Var("x", tensor(2))
    inner = call("exp", call("neg", x, type_=x.type), type_=x.type)
    main = function((), (), inner)
    assert script(main).endswith("    return relax.exp(relax.neg(x))")
    nested = call("exp", SeqExpr((), x), type_=x.type)
    assert summary(nested) == 'relax.exp(relax.ill_formed("SeqExpr inside an expression"))'


def test_an_inner_function_is_a_def():
    x, y, p = Var("x", tensor("m")), Var("y", tensor("m")), Var("p", tensor("q"))
    inner = Function("inner", (p,), SeqExpr((), p), p.type)
    f = Var("f", inner.type)
    main = function((x,), (BindingBlock((bind(f, inner), bind(y, Call(f, (x,), {}, y.type)))),), y)
    assert script(main) == """\
@relax.function(dataflow=False)
def main(x: relax.Tensor(("m",), "float32")) -> relax.Tensor(("m",), "float32"):
    @relax.function
    def f(p: relax.Tensor(("q",), "float32")) -> relax.Tensor(("q",), "float32"):
        return p
    y: relax.Tensor(("m",), "float32") = f(x)
    return y"""


def test_a_match_cast_is_annotated_if_its_variable_has_another_type():
    x, y = Var("x", TensorType(None, "float32")), Var("y", TensorType(None, "float32", 1))
    main = function((x,), (DataflowBlock((MatchCast(y, x, tensor("k")),)),), y)
    assert script(main).splitlines()[3:6] == [
        '        y: relax.Tensor(ndim=1, dtype="float32") = relax.match_cast(',
        '            x, relax.Tensor(("k",), "float32")',
        "        )",
    ]


def test_functions_of_the_host_and_of_the_module_are_arguments_too():
    kernel, extern = GlobalVar("k", AnyType()), ExternFunc("host.f", AnyType())
    applied = call("apply", kernel, extern, HostObject((1, "a"), AnyType()), type_=AnyType())
    assert summary(applied) == 'relax.apply(cls.k, relax.extern("host.f"), relax.host((1, "a")))'


# ------------------------------------------------------------------------------------------------------------ constants


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), 'relax.const(0.1, "float32")'),
        (np.float64(1e-300), 'relax.const(1e-300, "float64")'),
        (np.float16(0.1), 'relax.const(0.1, "float16")'),
        (np.int64(-3), 'relax.const(-3, "int64")'),
        (np.bool_(True), 'relax.const(True, "bool")'),
        (np.array([[1, 2], [3, 4]], "uint8"), 'relax.const([[1, 2], [3, 4]], "uint8")'),
        (np.array([-np.inf, -0.0], "float32"), 'relax.const([float("-inf"), -0.0], "float32")'),
        (np.zeros((2, 0), "float32"), 'relax.const([[], []], "float32")'),
    ],
)
def test_small_constants_are_in_the_text_exactly(value, text):
    assert summary(Constant(np.asarray(value), AnyType())) == text
    again = eval(text.replace("relax.const", "np.array"), {"np": np, "float": float})
    assert again.tobytes() == np.asarray(value).tobytes()
    assert again.dtype == value.dtype


def test_every_float32_is_printed_exactly():
    values = np.random.default_rng(0).integers(0, 2**31, 64, dtype="uint32").view("float32")
    values = np.where(np.isfinite(values), values, 0).astype("float32")
    text = summary(Constant(values, AnyType()))
    assert eval(text.replace("relax.const", "np.array"), {"np": np, "float": float}).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "value",
    [np.zeros(65, "float32"), np.zeros((0, 3), "float32"), np.array([0x7FC00001], "uint32").view("float32")],
    ids=["large", "empty rows", "a NaN with a payload"],
)
def test_other_constants_are_referred_to_by_number(value):
    x = Var("x", AnyType())
    main = function((), (BindingBlock((bind(x, Constant(value, AnyType())),)),), x)
    text, constants = script_with_constants(main)
    assert f"x: relax.Any = relax.constant(0)  # float32 {value.shape}" in text
    assert constants[0] is value


def test_attributes_without_a_literal_are_referred_to_by_number():
    x, marker = Var("x", AnyType()), object()
    main = function((x,), (BindingBlock((bind(Var("y", AnyType()), call("f", x, type_=AnyType(), by=marker)),)),), x)
    text, constants = script_with_constants(main)
    assert "relax.f(x, by=relax.constant(0))" in text
    assert constants == (marker,)


# ---------------------------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (TensorType((), "float32"), 'relax.Tensor((), "float32")'),
        (TensorType((symbol("m") * 2 + 1,)), 'relax.Tensor(("2 * m + 1",))'),
        (TensorType(None, None), "relax.Tensor()"),
        (TensorType(None, "int8", 3), 'relax.Tensor(ndim=3, dtype="int8")'),
        (ShapeType((1, symbol("m"))), 'relax.Shape((1, "m"))'),
        (ShapeType(None, 2), "relax.Shape(ndim=2)"),
        (ShapeType(), "relax.Shape()"),
        (PrimType("bool"), 'relax.Prim("bool")'),
        (PrimType("int64", 4), 'relax.Prim("int64", value=4)'),
        (TupleType((AnyType(), TupleType())), "relax.Tuple(relax.Any, relax.Tuple())"),
        (FuncType(None, AnyType(), pure=False), "relax.Callable(..., relax.Any, pure=False)"),
        (FuncType((), AnyType()), "relax.Callable([], relax.Any)"),
    ],
)
def test_types(type_, text):
    assert format_type(type_) == text


def test_an_unknown_type_is_a_defect():
    with pytest.raises(InternalError) as error:
        format_type(Type())
    assert str(error.value) == "printing: no script for a type of class Type"


# -------------------------------------------------------------------------------------------------------------- summary


def test_summaries_are_one_line():
    main = branches()
    (binding,) = main.body.bindings
    assert summary(main) == "function main(x, flag) of 3 bindings"
    assert summary(binding) == "y = if flag: ... else: ..."
    assert summary(binding.value.then_branch) == "2 bindings, then gv"
    assert summary(with_kernel()) == "module of row_sum, main, twice"
    assert summary(module({})) == "module of nothing"
    assert summary(row_sum()) == "kernel row_sum(x, y)"
    assert summary(row_sum().body) == "for i.0, j in T.grid(m, n): ..."
    assert summary(tensor("m")) == 'relax.Tensor(("m",), "float32")'
    assert summary(symbol("m") + 1) == "SymInt m + 1"
    assert summary(next(effects().body.bindings)) == 'y = relax.match_cast(x, relax.Tensor(("k", 4), "float32"))'
    assert summary(Tuple((PrimValue(2), constant(1.0)))) == '(relax.prim_value(2), relax.const(1.0, "float32"))'
    assert summary(DataflowVar("lv", tensor(2))) == "lv"


def test_an_integer_parameter_may_have_its_symbols_name():
    n = Var("n", PrimType("int64", symbol("n")))
    assert script(function((n,), (), n)) == """\
@relax.function
def main(n: relax.Prim("int64", value="n")) -> relax.Prim("int64", value="n"):
    return n"""
