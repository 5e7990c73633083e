import numpy as np
import pytest
from programs import (
    GRAPH_PROGRAMS,
    KERNELS,
    bind,
    call,
    constant,
    dense,
    function,
    module,
    row_sum,
    scheduled_max,
    tensor,
    with_kernel,
)

from relaxdsl.errors import InternalError, Span
from relaxdsl.ir.equal import (
    assert_structural_equal,
    canonical_symbols,
    structural_digest,
    structural_equal,
    structural_hash,
)
from relaxdsl.ir.graph import (
    NO_ATTRS,
    BindingBlock,
    Call,
    Constant,
    DataflowBlock,
    DataflowVar,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    HostObject,
    MatchCast,
    Op,
    SeqExpr,
    ShapeExpr,
    Tuple,
    Var,
)
from relaxdsl.ir.loops import Buffer, For, PrimFunc, Seq, Stmt, Store, loop_variable
from relaxdsl.ir.scalar import Cast, Combiner, Load, Reduce, ReduceAxis, ScalarExpr, ScalarVar, Select, const
from relaxdsl.types.dims import dim_min, symbol
from relaxdsl.types.types import AnyType, FuncType, TensorType, TupleType

M, N, K = symbol("m"), symbol("n"), symbol("k")


@pytest.mark.parametrize("make", [*GRAPH_PROGRAMS, *KERNELS])
def test_a_program_equals_itself_made_anew(make):
    one, other = make(), make()
    assert structural_equal(one, other)
    assert structural_hash(one) == structural_hash(other)
    assert_structural_equal(one, other)


def test_all_programs_differ_from_each_other():
    digests = [structural_digest(make()) for make in (*GRAPH_PROGRAMS, *KERNELS)]
    assert len(set(digests)) == len(digests)


def test_names_of_variables_and_symbols_do_not_count():
    renamed = dense("rows", ("a", "b", "c", "d"))
    assert structural_equal(dense(), renamed)
    assert structural_hash(dense()) == structural_hash(renamed)


def test_a_symbol_is_not_another_symbol():
    def two(first, second):
        x, y = Var("x", tensor(first, second)), Var("y", tensor(second))
        return function((x, y), (), y)

    assert structural_equal(two("a", "b"), two("n", "m"))
    assert not structural_equal(two("a", "b"), two("a", "a"))
    x, y = Var("x", tensor("a", "b")), Var("y", tensor("a"))
    assert not structural_equal(two("a", "b"), function((x, y), (), y))


def test_symbols_are_paired_though_their_names_sort_differently():
    def shapes(a, b):
        x = Var("x", TensorType((symbol(a) + 2 * symbol(b), symbol(a), dim_min(symbol(a), symbol(b))), "float32"))
        return function((x,), (), x)

    assert structural_equal(shapes("p", "q"), shapes("z", "c"))
    assert structural_hash(shapes("p", "q")) == structural_hash(shapes("z", "c"))
    assert not structural_equal(shapes("p", "q"), shapes("p", "p"))


def test_canonical_order_of_symbols():
    assert canonical_symbols([M + N, N, 2 * K + N]) == ("n", "m", "k")
    assert canonical_symbols([4, M * N]) == ("m", "n")


def test_the_functions_own_name_and_spans_do_not_count():
    x = Var("x", tensor(2))
    spanned = Var("x", tensor(2), Span("f.py", 1, 1, 1, 2))
    one = Function("main", (x,), SeqExpr((), x), x.type)
    other = Function("other", (spanned,), SeqExpr((), spanned, Span("f.py", 2, 1, 2, 2)), x.type)
    assert structural_equal(one, other)


def test_names_in_a_module_count():
    same = with_kernel()
    renamed = module({"total": same["row_sum"], "main": same["main"], "twice": same["twice"]})
    assert not structural_equal(same, renamed)
    assert not structural_equal(GlobalVar("f", AnyType()), GlobalVar("g", AnyType()))
    assert not structural_equal(ExternFunc("f", AnyType()), ExternFunc("g", AnyType()))


def test_the_order_of_functions_in_a_module_does_not_count():
    same = with_kernel()
    assert structural_equal(same, module({name: same[name] for name in reversed(same.functions)}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"axis": 1}, {"axis": 2}),
        ({"axis": 1}, {"axis": 1.0}),
        ({"axis": 1}, {"axis": True}),
        ({"axis": (1,)}, {"axis": [1]}),
        ({"axis": 0.0}, {"axis": -0.0}),
        ({"axis": slice(1, 2)}, {"axis": slice(1, 3)}),
        ({"axis": {"a": 1}}, {"axis": {"b": 1}}),
        ({"axis": np.float32([1])}, {"axis": np.float32([2])}),
        ({"axis": tensor(1)}, {"axis": tensor(2)}),
        ({"axis": "m"}, {"axis": M}),
    ],
)
def test_attributes_count(one, other):
    x = Var("x", tensor(2))
    assert structural_equal(call("f", x, type_=x.type, **one), call("f", x, type_=x.type, **one))
    assert not structural_equal(call("f", x, type_=x.type, **one), call("f", x, type_=x.type, **other))


def test_an_attribute_of_none_is_an_absent_one():
    x = Var("x", tensor(2))
    assert structural_equal(call("f", x, type_=x.type, axis=None), call("f", x, type_=x.type))
    assert structural_equal(call("f", x, type_=x.type, v=float("nan")), call("f", x, type_=x.type, v=float("nan")))


def test_constants_compare_by_dtype_shape_and_bytes():
    assert structural_equal(constant([np.nan, 1.0]), constant([np.nan, 1.0]))
    assert not structural_equal(constant(0.0), constant(-0.0))
    assert not structural_equal(constant([1.0, 2.0]), constant([[1.0, 2.0]]))
    assert not structural_equal(constant(1), constant(1, "int64"))
    array = np.arange(6, dtype="float32").reshape(2, 3)
    strided = Constant(np.asfortranarray(array), tensor(2, 3))
    assert structural_equal(strided, Constant(array, tensor(2, 3)))


def test_free_variables_equal_themselves_unless_mapped():
    x, y = Var("x", tensor("m")), Var("x", tensor("m"))
    assert structural_equal(Tuple((x, x)), Tuple((x, x)))
    assert not structural_equal(Tuple((x, x)), Tuple((y, y)))
    assert structural_equal(Tuple((x, x)), Tuple((y, y)), map_free_vars=True)
    assert not structural_equal(Tuple((x, x)), Tuple((x, y)), map_free_vars=True)


def test_free_symbols_equal_those_of_their_name_unless_mapped():
    assert structural_equal(tensor("m", "n"), tensor("m", "n"))
    assert not structural_equal(tensor("m"), tensor("n"))
    assert structural_equal(tensor("m", "n"), tensor("p", "q"), map_free_vars=True)
    assert not structural_equal(tensor("m", "n"), tensor("p", "p"), map_free_vars=True)
    assert structural_equal(ShapeExpr((M,)), ShapeExpr((N,)), map_free_vars=True)
    assert structural_equal(M * 2, M + M)
    assert not structural_equal(M, N)
    assert not structural_equal(2, 3)


def test_function_types_have_symbols_of_their_own():
    def to_itself(name):
        return FuncType((tensor(name),), tensor(name))

    assert structural_equal(to_itself("m"), to_itself("n"))
    assert not structural_equal(to_itself("m"), FuncType((tensor("m"),), tensor("m"), pure=False))
    assert not structural_equal(to_itself("m"), FuncType(None, tensor("m")))
    assert not structural_equal(TupleType(()), AnyType())


def test_empty_blocks_and_borders_between_plain_blocks_do_not_count():
    x, y, z = Var("x", tensor(2)), Var("y", tensor(2)), Var("z", tensor(2))
    one, two = bind(y, call("f", x, type_=y.type)), bind(z, call("f", y, type_=y.type))
    joined = function((x,), (BindingBlock((one, two)),), z)
    assert structural_equal(joined, function((x,), (BindingBlock((one,)), BindingBlock(()), BindingBlock((two,))), z))
    assert not structural_equal(joined, function((x,), (DataflowBlock((one, two)),), z))
    in_one = function((x,), (DataflowBlock((one, two)),), z)
    assert not structural_equal(in_one, function((x,), (DataflowBlock((one,)), DataflowBlock((two,))), z))


def test_kinds_of_bindings_and_variables_count():
    x, y = Var("x", tensor(2)), Var("y", tensor(2))
    plain = function((x,), (BindingBlock((bind(y, x),)),), y)
    assert not structural_equal(plain, function((x,), (BindingBlock((MatchCast(y, x, y.type),)),), y))
    hidden = DataflowVar("y", tensor(2))
    assert not structural_equal(plain, function((x,), (BindingBlock((bind(hidden, x),)),), hidden))


def test_host_objects_compare_by_value():
    assert structural_equal(HostObject("l2", AnyType()), HostObject("l2", AnyType()))
    assert not structural_equal(HostObject("1", AnyType()), HostObject(1, AnyType()))


def test_an_inner_function_has_its_own_symbols():
    def outer(inner_symbol):
        p = Var("p", tensor(inner_symbol))
        inner = Function("inner", (p,), SeqExpr((), p), p.type)
        f = Var("f", inner.type)
        x = Var("x", tensor("m"))
        return function((x,), (BindingBlock((bind(f, inner),)),), x)

    assert structural_equal(outer("a"), outer("b"))


# -------------------------------------------------------------------------------------------------------------- kernels


def renamed_row_sum(loop="row"):
    rows, columns = symbol("rows"), symbol("columns")
    a, b = Buffer("a", (rows, columns), "float32"), Buffer("b", (rows,), "float32")
    i = loop_variable(loop, rows)
    body = For(loop, rows, Store(b, (i,), Load(a, (i, 0))))
    return PrimFunc("other", (a, b), 1, ("rows", "columns"), body)


def test_names_of_loops_and_buffers_do_not_count():
    assert structural_equal(renamed_row_sum("i"), renamed_row_sum("j"))
    assert structural_hash(renamed_row_sum("i")) == structural_hash(renamed_row_sum("j"))


def test_the_order_of_a_kernels_sizes_counts():
    one = renamed_row_sum()
    assert not structural_equal(one, PrimFunc("other", one.params, 1, ("columns", "rows"), one.body))


def test_sibling_loops_are_kept_apart():
    def two(first, second, third):
        x = Buffer("x", (M,), "int64")
        loops = tuple(For(v, M, Store(x, (loop_variable(v, M),), const(1, "int64"))) for v in (first, second, third))
        return PrimFunc("f", (x,), 1, ("m",), Seq(loops))

    assert structural_equal(two("i", "j", "k"), two("i", "i", "i"))


def test_loop_kinds_and_conversions_count():
    x = Buffer("x", (), "float32")
    store = Store(x, (), const(1, "float32"))
    assert not structural_equal(For("i", 4, store), For("i", 4, store, "unrolled"))
    assert not structural_equal(Cast(const(1, "int64"), "float32"), Cast(const(1, "int64"), "float64"))
    choice = Select(const(True, "bool"), const(1, "int8"), const(2, "int8"))
    assert structural_equal(choice, Select(const(True, "bool"), const(1, "int8"), const(2, "int8")))


def test_reductions_compare_by_their_combiner():
    def reduction(left, right, axis, swap=False):
        a, b = ScalarVar(left, "float32"), ScalarVar(right, "float32")
        combiner = Combiner("any name", (a,), (b,), (a - b if not swap else b - a,), (const(0, "float32"),))
        index = loop_variable(axis, M)
        return Reduce(combiner, (Load(Buffer("x", (M,), "float32"), (index,)),), (ReduceAxis(axis, M),))

    assert structural_equal(reduction("a", "b", "k"), reduction("b", "a", "j"))
    assert not structural_equal(reduction("a", "b", "k"), reduction("a", "b", "k", swap=True))


# ------------------------------------------------------------------------------------------------------------- messages


def test_the_first_difference_is_shown_with_both_programs():
    x = Var("x", tensor("m"))

    def applying(op):
        y = Var("y", x.type)
        return function((x,), (DataflowBlock((bind(y, call(op, x, type_=x.type)),)),), y)

    with pytest.raises(InternalError) as error:
        assert_structural_equal(applying("exp"), applying("log"))
    assert str(error.value) == """\
the structures differ at main.body.blocks[0].bindings[0].value
   left  : relax.exp(x)
   right : relax.log(x)
   --- left ---
   @relax.function
   def main(x: relax.Tensor(("m",), "float32")) -> relax.Tensor(("m",), "float32"):
       with relax.dataflow():
           y: relax.Tensor(("m",), "float32") = relax.exp(x)
           relax.output(y)
       return y
   --- right ---
   @relax.function
   def main(x: relax.Tensor(("m",), "float32")) -> relax.Tensor(("m",), "float32"):
       with relax.dataflow():
           y: relax.Tensor(("m",), "float32") = relax.log(x)
           relax.output(y)
       return y"""


def test_a_difference_that_reads_the_same_is_shown_as_tokens():
    x = Var("x", tensor(2))
    with pytest.raises(InternalError) as error:
        assert_structural_equal(Tuple((x,)), Tuple((Var("x", tensor(2)),)))
    assert str(error.value) == """\
the structures differ at expression.fields[0]
   left  : Var('x', relax.Tensor((2,), "float32"))   Var('x', relax.Tensor((2,), "float32"))
   right : Var('x', relax.Tensor((2,), "float32"))   Var('x', relax.Tensor((2,), "float32"))"""


def test_kernels_and_modules_show_where_they_differ():
    with pytest.raises(InternalError) as error:
        assert_structural_equal(row_sum(), scheduled_max())
    assert str(error.value).startswith("the structures differ at row_sum\n   left  : kernel row_sum(x, y)\n")
    with pytest.raises(InternalError) as error:
        assert_structural_equal(tensor(2), tensor(3))
    assert str(error.value) == """\
the structures differ at type
   left  : relax.Tensor((2,), "float32")
   right : relax.Tensor((3,), "float32")"""


class Unknown(Expr, ScalarExpr, Stmt):
    """A node of no kind that relaxdsl has."""

    type = AnyType()


def test_unknown_nodes_are_defects():
    with pytest.raises(InternalError) as error:
        structural_hash(Unknown())
    assert str(error.value) == "comparing: no rule for an expression of class Unknown"
    with pytest.raises(InternalError) as error:
        structural_hash(For("i", 2, Unknown()))
    assert str(error.value) == "comparing: no rule for a statement of class Unknown"
    with pytest.raises(InternalError) as error:
        structural_hash(Cast(Unknown(), "int8"))
    assert str(error.value) == "comparing: no rule for a scalar expression of class Unknown"


def test_the_digest_is_the_same_in_every_process():
    x = Var("x", tensor(2))
    main = Function("main", (x,), SeqExpr((), Call(Op("f"), (x,), NO_ATTRS, x.type)), x.type)
    assert structural_digest(main) == "0616b180ed0c136e383b28ef7c8e4d3ff97d01478f73eca3f26472a010a9612f"
