"""One bad program for every rule, and the whole message."""

from collections.abc import Callable

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

from relaxdsl.errors import InternalError
from relaxdsl.ir.check import check_function, check_kernel, check_module, module_violations
from relaxdsl.ir.check_graph import function_violations, is_pure_call
from relaxdsl.ir.check_loops import kernel_violations
from relaxdsl.ir.graph import (
    BindingBlock,
    Call,
    DataflowBlock,
    DataflowVar,
    Expr,
    ExternFunc,
    Function,
    GlobalVar,
    If,
    MatchCast,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
)
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, IterVar, PrimFunc, Seq, Store, loop_variable
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.rules import GRAPH_RULES, KERNEL_RULES, RULES
from relaxdsl.ir.scalar import Combiner, Load, Reduce, ReduceAxis, ScalarVar, as_scalar, const
from relaxdsl.types.dims import symbol
from relaxdsl.types.types import AnyType, FuncType, TensorType, TupleType

M, N = symbol("m"), symbol("n")
T = tensor("m")


def one_block(
    *bindings: object, result: Expr | None = None, kind: type[BindingBlock] = DataflowBlock, **parts: object
) -> Function:
    """A function of x, flag and the bindings, which gets x and flag from ``X`` and ``FLAG``."""
    return function((X, FLAG), (kind(tuple(bindings)),), X if result is None else result, **parts)  # type: ignore[arg-type]


X, FLAG = Var("x", T), Var("flag", tensor(dtype="bool"))
Y, Z, MATRIX = Var("y", T), Var("z", T), Var("matrix", tensor(3, "n"))
HIDDEN = DataflowVar("lv", T)
EXTERN = ExternFunc("host.f", AnyType())
KERNEL = GlobalVar("row_sum", AnyType())


def f(*args: Expr, **parts: object) -> Call:
    return call("f", *args, **{"type_": T, **parts})  # type: ignore[arg-type]


def choose(condition: Expr, then: Expr, otherwise: Expr) -> If:
    return If(condition, then, otherwise, T)  # type: ignore[arg-type]


def tir(*inputs: Expr, type_: object = T, kernel: Expr = KERNEL) -> Call:
    return call("call_tir", kernel, Tuple(inputs), type_=type_)  # type: ignore[arg-type]


def other_function() -> Function:
    return Function("other", (X,), SeqExpr((), X), T)


IMPURE = f(X, pure=False)
AS_SEQUENCE = SeqExpr((), X)

GRAPH_CASES: list[tuple[int, Callable[[], Function | IRModule], str]] = [
    (1, lambda: module({"main": one_block(bind(Y, Call(KERNEL, (X,), {}, T)), is_pure=False, kind=BindingBlock)}),
     "main: `y = cls.row_sum(x)` uses row_sum, which the module does not define"),
    (2, lambda: one_block(bind(Y, f(Z))), "main: variable z is not defined where `y = relax.f(z)` uses it"),
    (2, lambda: one_block(result=Y), "main: variable y is not defined where the result of the body of main uses it"),
    (2, lambda: one_block(bind(Y, choose(FLAG, SeqExpr((BindingBlock((bind(Z, X),)),), Z), SeqExpr((), Z))),
                          kind=BindingBlock),
     "main: variable z is not defined where the result of the else branch of `y = if flag: ... else: ...` uses it"),
    (3, lambda: one_block(bind(Y, X), bind(Y, f(X))), "main: variable y is defined again by `y = relax.f(x)`"),
    (3, lambda: module({"other": other_function(), "main": function((X,), (), X)}),
     "main: variable x is defined in function other too"),
    (4, lambda: one_block(bind(HIDDEN, X), kind=BindingBlock),
     "main: `lv = x` defines a DataflowVar outside a dataflow block"),
    (4, lambda: one_block(bind(HIDDEN, X), result=HIDDEN),
     "main: variable lv is not defined where the result of the body of main uses it"),
    (4, lambda: function((HIDDEN,), (), constant(1.0)), "main: parameter lv is a DataflowVar"),
    (5, lambda: one_block(bind(Y, f(f(X)))), "main: `relax.f(x)` is computed inside `y = relax.f(relax.f(x))`"),
    (5, lambda: one_block(result=f(X), ret_type=T),
     "main: `relax.f(x)` is computed inside the result of the body of main"),
    (6, lambda: one_block(bind(Y, AS_SEQUENCE)), "main: `y = 0 bindings, then x` binds a sequence"),
    (6, lambda: one_block(bind(Y, choose(FLAG, AS_SEQUENCE, X)), kind=BindingBlock),
     "main: the else branch of `y = if flag: ... else: ...` is not a sequence but `x`"),
    (7, lambda: one_block(bind(Y, choose(FLAG, AS_SEQUENCE, AS_SEQUENCE))),
     "main: `y = if flag: ... else: ...` chooses in a dataflow block"),
    (7, lambda: one_block(bind(Var("g", AnyType()), Function("g", (Z,), SeqExpr((), Z), T))),
     "main: `g = function g(z) of 0 bindings` defines an inner function"),
    (8, lambda: one_block(bind(Y, IMPURE), is_pure=False),
     "main: `y = relax.f(x)` is an impure call in a dataflow block"),
    (9, lambda: one_block(bind(Y, IMPURE), kind=BindingBlock), "main: `y = relax.f(x)` is an impure call"),
    (10, lambda: one_block(bind(Y, Call(f(X).op, (X,), {}, None))),  # type: ignore[arg-type]
     "main: `y = relax.f(x)` has a value without type"),
    (10, lambda: one_block(bind(Y, TupleGetItem(Tuple((X,)), 0, None))),  # type: ignore[arg-type]
     "main: `y = (x,)[0]` has a value without type"),
    (10, lambda: one_block(bind(Y, ExternFunc("g", None))),  # type: ignore[arg-type]
     'main: `relax.extern("g")` in `y = relax.extern("g")` has no type'),
    (11, lambda: one_block(bind(Y, f(X, shape=(N,)))),
     "main: `y = relax.f(x, shape=(n,))` uses the symbol n, which is not bound"),
    (11, lambda: one_block(bind(Var("y", AnyType()), ShapeExpr((N,)))),
     "main: `y = relax.shape((n,))` uses the symbol n, which is not bound"),
    (11, lambda: function((Var("a", tensor(M // 2)),), (), constant(1.0)),
     "main: parameter a uses the symbol m, which is not bound"),
    (11, lambda: one_block(MatchCast(Var("a", tensor("m")), X, tensor(M * 0 + N * M * N))),
     'main: `a = relax.match_cast(x, relax.Tensor(("m * n * n",), "float32"))` uses the symbol n, which is not bound'),
    (12, lambda: one_block(bind(Var("y", AnyType()), PrimValue(True))),
     "main: `y = relax.prim_value(True)` has the size True"),
    (13, lambda: with_main(tir(X)),
     "main: `y = relax.call_tir(cls.row_sum, (x,), out=relax.Tensor((\"m\",), \"float32\"))`: "
     "row_sum: parameter x must have 2 dimensions, x has 1"),
    (13, lambda: with_main(tir(X, X)),
     "main: `y = relax.call_tir(cls.row_sum, (x, x), out=relax.Tensor((\"m\",), \"float32\"))`: "
     "row_sum: y is an output, which the call makes and returns"),
    (13, lambda: with_main(tir(MATRIX, type_=T), MATRIX),
     "main: `y = relax.call_tir(cls.row_sum, (matrix,), out=relax.Tensor((\"m\",), \"float32\"))`: "
     'row_sum gives relax.Tensor((3,), "float32"): axis 0 is 3, not known to equal m'),
    (13, lambda: one_block(bind(Y, call("call_tir", EXTERN, X, type_=T))),
     'main: `y = relax.call_tir("host.f", x, out=relax.Tensor(("m",), "float32"))` '
     "needs a kernel and an inline tuple of inputs"),
    (13, lambda: module({"main": one_block(bind(Y, tir(X, kernel=GlobalVar("main", AnyType()))))}),
     'main: `y = relax.call_tir(cls.main, (x,), out=relax.Tensor(("m",), "float32"))` '
     "calls main, which is not a kernel"),
    (13, lambda: one_block(bind(Y, call("call_pure_packed", X, type_=T))),
     'main: `y = relax.call_pure_packed(x, out=relax.Tensor(("m",), "float32"))` '
     "does not name a packed function first"),
    (14, lambda: one_block(bind(Y, choose(X, AS_SEQUENCE, AS_SEQUENCE)), kind=BindingBlock),
     'main: the condition of `y = if x: ... else: ...` is relax.Tensor(("m",), "float32")'),
    (14, lambda: one_block(bind(Y, choose(FLAG, AS_SEQUENCE, SeqExpr((), FLAG))), kind=BindingBlock),
     'main: the else branch of `y = if flag: ... else: ...` does not fit relax.Tensor(("m",), "float32"): '
     "dtype is bool, not float32"),
    (15, lambda: one_block(bind(Y, FLAG)),
     'main: `y = flag` has the type relax.Tensor(("m",), "float32"): dtype is bool, not float32'),
    (15, lambda: one_block(bind(Y, TupleGetItem(Tuple((X,)), 1, T))),
     "main: `y = (x,)[1]` takes field 1 of a tuple of 1"),
    (16, lambda: one_block(ret_type=tensor("m", 2)),
     'main: the result does not fit relax.Tensor(("m", 2), "float32"): rank is 1, not 2'),
]  # fmt: skip


def with_main(value: Expr, *more: Var) -> IRModule:
    main = function((X, FLAG, *more), (DataflowBlock((bind(Y, value),)),), X)
    return module({"row_sum": row_sum(), "main": main})


def violations(program: Function | IRModule) -> list[str]:
    found = module_violations(program) if isinstance(program, IRModule) else function_violations(program, "main")
    return [str(each) for each in found]


@pytest.mark.parametrize(("rule", "make", "what"), GRAPH_CASES)
def test_graph_rules(rule, make, what):
    assert violations(make()) == [f"{what}   (rule {rule}: {RULES[rule]})"]


def test_every_graph_rule_has_a_bad_program():
    assert {rule for rule, _, _ in GRAPH_CASES} | {17} == set(GRAPH_RULES)


@pytest.mark.parametrize("make", GRAPH_PROGRAMS)
def test_good_programs(make):
    program = make()
    check_module(program if isinstance(program, IRModule) else module({"main": program}))


def test_lowered_programs_have_no_operators():
    check_module(with_kernel())
    found = [str(each) for each in module_violations(with_kernel(), "lowered")]
    assert found == [f"main: `gv = relax.nn.relu(lv)` calls the operator nn.relu   (rule 17: {RULES[17]})"]


def test_the_error_lists_every_violation():
    with pytest.raises(InternalError) as error:
        check_function(one_block(bind(Y, f(Z)), result=FLAG, ret_type=T))
    assert str(error.value) == f"""\
the program is not well formed: 2 rules are broken
   main: variable z is not defined where `y = relax.f(z)` uses it   (rule 2: {RULES[2]})
   main: the result does not fit relax.Tensor(("m",), "float32"): dtype is bool, not float32   (rule 16: {RULES[16]})"""
    with pytest.raises(InternalError) as error:
        check_module(module({"main": one_block(bind(Y, f(Z)))}))
    assert str(error.value) == f"""\
the program is not well formed: 1 rule is broken
   main: variable z is not defined where `y = relax.f(z)` uses it   (rule 2: {RULES[2]})"""


def test_a_function_alone_may_use_functions_that_are_not_looked_up():
    check_function(with_kernel()["twice"])


def test_inner_functions_see_outer_variables_and_may_recurse():
    inner_type = FuncType((T,), T)
    g, r = Var("g", inner_type), Var("r", T)
    inner = Function("g", (Z,), SeqExpr((BindingBlock((bind(r, Call(g, (Z,), {}, T)),)),), X), T)
    check_function(one_block(bind(g, inner), kind=BindingBlock))


def test_purity_of_calls():
    pure, impure = (FuncType((), T, pure) for pure in (True, False))
    assert is_pure_call(f(X))
    assert not is_pure_call(f(X, pure=False))
    assert not is_pure_call(call("call_packed", EXTERN, type_=T))
    assert is_pure_call(call("call_pure_packed", EXTERN, type_=T))
    assert is_pure_call(Call(GlobalVar("g", pure), (), {}, T))
    assert not is_pure_call(Call(GlobalVar("g", impure), (), {}, T))
    assert not is_pure_call(Call(GlobalVar("g", AnyType()), (), {}, T))


def test_a_data_dependent_call_binds_its_symbols():
    u = Var("u", tensor("u_n"))
    check_function(one_block(bind(u, f(X, type_=u.type)), result=u))
    dps = call("call_dps_packed", EXTERN, Tuple((X,)), type_=u.type)
    found = violations(one_block(bind(u, dps), result=X))
    assert f"uses the symbol u_n, which is not bound   (rule 11: {RULES[11]})" in found[0]


def test_symbols_are_bound_by_compound_sizes_with_one_unknown():
    a = Var("a", TensorType((M * N, 2 * N + 1), "float32"))
    check_function(function((a,), (), a))


# -------------------------------------------------------------------------------------------------------------- kernels

I = loop_variable("i", M)  # noqa: E741
IN, OUT = Buffer("x", (M,), "float32"), Buffer("y", (M,), "float32")
ONE = const(1, "float32")
STORE = Store(OUT, (I,), Load(IN, (I,)))


def kernel(body, params=(IN, OUT), num_outputs=1, symbols=("m",)):
    return PrimFunc("k", params, num_outputs, symbols, body)


def loop(body, var="i"):
    return For(var, M, body)


KERNEL_CASES = [
    (31, kernel(loop(STORE), num_outputs=0), "k: 0 outputs of 2 parameters"),
    (32, kernel(loop(loop(STORE))), "k: `for i in range(m): ...` defines i again"),
    (33, kernel(loop(Store(OUT, (I,), Load(Buffer("z", (M,), "float32"), (I,))))),
     "k: `z[i]` in `y[i] = z[i]` uses z, which the kernel does not declare"),
    (34, kernel(loop(Store(OUT, (I, 0), ONE))), "k: `y[i, 0] = T.float32(1.0)` has 2 indices, y has 1 axis"),
    (35, kernel(Store(OUT, (I,), ONE)), "k: `y[i] = T.float32(1.0)` uses i, which is not known there"),
    (35, kernel(loop(STORE), symbols=("n",)), "k: buffer x uses m, which is not known there"),
    (36, kernel(loop(Store(IN, (I,), ONE))), "k: `x[i] = T.float32(1.0)` writes the input x"),
    (37, kernel(loop(Store(OUT, (I,), const(1, "float64")))),
     "k: `y[i] = T.float64(1.0)` stores float64 into y, which is float32"),
    (37, kernel(loop(IfThenElse(as_scalar(I), STORE))), "k: the condition of `if i: ...` is int64"),
    (39, kernel(loop(Block("b", (IterVar("v", M, "spatial", I),), STORE))),
     "k: `y[i] = x[i]` uses i, which is not known there"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "bad", "what"), KERNEL_CASES)
def test_kernel_rules(rule, bad, what):
    first = next(kernel_violations(bad, "k"))
    assert str(first) == f"{what}   (rule {rule}: {RULES[rule]})"


def test_every_kernel_rule_has_a_bad_program():
    assert {rule for rule, _, _ in KERNEL_CASES} | {38} == set(KERNEL_RULES)


@pytest.mark.parametrize("make", KERNELS)
def test_good_kernels(make):
    check_kernel(make())


def test_a_scheduled_kernel_has_no_blocks():
    check_kernel(scheduled_max(), "scheduled")
    with pytest.raises(InternalError) as error:
        check_kernel(row_sum(), "scheduled")
    assert str(error.value) == f"""\
the program is not well formed: 1 rule is broken
   row_sum: block sum is left   (rule 38: {RULES[38]})"""


def test_axes_of_a_reduction_are_known_inside_it():
    a, b = ScalarVar("a", "float32"), ScalarVar("b", "float32")
    combiner = Combiner("sum", (a,), (b,), (a + b,), (const(0, "float32"),))
    total = Reduce(combiner, (Load(IN, (loop_variable("k", M),)),), (ReduceAxis("k", M),))
    check_kernel(kernel(loop(Seq((Store(OUT, (I,), total),)))))


def test_dense_is_well_formed_with_a_tuple_type():
    check_function(dense())
    pair = Var("pair", TupleType((T, T)))
    check_function(one_block(bind(pair, Tuple((X, X))), result=pair))
