import ast

import pytest
from programs import KERNELS, row_sum, scheduled_max

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import (
    Block,
    Buffer,
    CallExtern,
    For,
    IfThenElse,
    IterVar,
    PrimFunc,
    Seq,
    Stmt,
    Store,
    loop_variable,
)
from relaxdsl.ir.print_graph import script
from relaxdsl.ir.print_loops import format_scalar, summarize_stmt
from relaxdsl.ir.scalar import (
    Apply,
    Combiner,
    IndexValue,
    Load,
    Reduce,
    ReduceAxis,
    ScalarExpr,
    ScalarVar,
    Select,
    cast,
    const,
)
from relaxdsl.types.dims import symbol

M, N = symbol("m"), symbol("n")
X = Buffer("x", (M,), "float32")
I = loop_variable("i", M)  # noqa: E741
X_I = Load(X, (I,))

ROW_SUM = """\
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
            y[vi] = y[vi] + (x[vi, vj] * T.float32(2.0))"""

SCHEDULED_MAX = """\
@relax.prim_func
def scheduled_max(
    x: T.Buffer(("m", "n"), "float32"),
    y: T.Buffer(("m",), "float32"),
    m: T.int64,
    n: T.int64
):
    T.outputs(y)
    row = T.alloc_buffer((n,), "float32", scope="scratch")
    for t in T.parallel(m):
        acc = T.float32(float("-inf"))
        for j0 in T.vectorized(n):
            row[j0] = x[t, j0]
        for j in range(1, n):
            acc = T.maximum(acc, -(row[j] + T.float32(1.0)))
        for k in T.unroll(4):
            if k < n:
                y[t] = acc
            else:
                pass"""


@pytest.mark.parametrize(("make", "text"), [(row_sum, ROW_SUM), (scheduled_max, SCHEDULED_MAX)])
def test_golden_script(make, text):
    assert script(make()) == text


@pytest.mark.parametrize("make", KERNELS)
def test_every_script_is_python(make):
    ast.parse(script(make()))


def test_axes_that_are_not_just_loops_are_written_out():
    i, j, v = loop_variable("i", 4), loop_variable("j", N), loop_variable("v", 4 * N)
    out = Buffer("out", (4 * N,), "float32")
    block = Block("fill", (IterVar("v", 4 * N, "spatial", i * N + j),), Store(out, (v,), const(1, "float32")))
    kernel = PrimFunc("fill", (out,), 1, ("n",), For("i", 4, For("j", N, block)), attrs={"kind": "fill"})
    assert script(kernel) == """\
@relax.prim_func(attrs={'kind': 'fill'})
def fill(out: T.Buffer(("n * 4",), "float32"), n: T.int64):
    T.outputs(out)
    for i, j in T.grid(4, n):
        with T.block("fill"):
            v = T.axis.spatial(n * 4, i * n + j)
            out[v] = T.float32(1.0)"""


def test_names_of_sizes_buffers_and_loops_never_clash():
    size = symbol("T")
    buffers = tuple(Buffer(name, (size,), "float32") for name in ("i", "i", "range"))
    i = loop_variable("i", size)
    kernel = PrimFunc("f", buffers, 1, ("T",), For("i", size, Store(buffers[2], (i,), Load(buffers[0], (i,)))))
    assert script(kernel) == """\
@relax.prim_func
def f(
    i1: T.Buffer(("T1",), "float32"),
    i2: T.Buffer(("T1",), "float32"),
    range1: T.Buffer(("T1",), "float32"),
    T1: T.int64
):
    T.outputs(range1)
    for i in range(T1):
        range1[i] = i1[i]"""


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (X_I + X_I * 2, "x[i] + (x[i] * T.float32(2.0))"),
        (-(X_I // 2), "-(x[i] // T.float32(2.0))"),
        (Apply("logical_not", (X_I < 3,), "bool"), "not (x[i] < T.float32(3.0))"),
        (Apply("exp", (X_I,), "float32"), "T.exp(x[i])"),
        (cast(X_I, "int32"), 'T.cast(x[i], "int32")'),
        (Select(X_I < 0, const(0, "float32"), X_I), "T.if_then_else(x[i] < T.float32(0.0), T.float32(0.0), x[i])"),
        (IndexValue(M + 1) * 2, "(m + 1) * T.int64(2)"),
        (IndexValue(M, "int32"), "T.int32(m)"),
        (const(float("nan"), "float64"), 'T.float64(float("nan"))'),
        (const(True, "bool"), "T.bool(True)"),
        (Load(X, (Load(Buffer("index", (), "int64"), ()),)), "x[index[()]]"),
        (ScalarVar("left", "float32"), "left"),
    ],
)
def test_scalar_expressions(expr, text):
    assert format_scalar(expr) == text
    ast.parse(text)


def test_reductions():
    a, b = ScalarVar("a", "float32"), ScalarVar("b", "float32")
    combiner = Combiner("sum", (a,), (b,), (a + b,), (const(0, "float32"),))
    text = format_scalar(Reduce(combiner, (Load(X, (loop_variable("k", M),)),), (ReduceAxis("k", M),)))
    assert text == 'T.reduce("sum", x[k], axes=(k < m,))'
    pair = format_scalar(Reduce(combiner, (X_I, X_I), (ReduceAxis("k", M), ReduceAxis("j", 3)), index=1))
    assert pair == 'T.reduce("sum", x[i], x[i], axes=(k < m, j < 3), index=1)'


def test_a_statement_in_one_line():
    assert summarize_stmt(scheduled_max().body) == "for t in T.parallel(m): ..."
    assert summarize_stmt(Store(X, (I,), X_I)) == "x[i] = x[i]"
    assert summarize_stmt(Seq(())) == "pass"


def test_registers_are_local_variables_where_they_begin_with_a_value() -> None:
    out = Buffer("out", (N,), "float32")
    local, early, late = (Buffer(name, (), "float32", "register") for name in ("local", "early", "late"))
    first = For("j", N, Seq((Store(local, (), Load(early, ())), Store(late, (), Load(local, ())))))
    body = Seq((first, Store(early, (), const(0, "float32")), For("i", N, Store(out, (I,), Load(late, ())))))
    assert script(PrimFunc("f", (out,), 1, ("n",), body)).partition("T.outputs(out)\n")[2] == """\
    late = T.register("float32")
    early = T.register("float32")
    for j in range(n):
        local = early[()]
        late[()] = local
    early[()] = T.float32(0.0)
    for i in range(n):
        out[i] = late[()]"""


def test_sizes_as_numbers_and_branches_in_a_row() -> None:
    out = Buffer("out", (N,), "int64")
    size = IndexValue(N)
    total = Buffer("total", (), "int64", "register")
    last = IfThenElse(IndexValue(N) < 3, Store(out, (I,), Apply("add", (size, IndexValue(M)), "int64")))
    branch = IfThenElse(IndexValue(M) < N, Store(out, (size,), Apply("negative", (size,), "int64")), last)
    call = CallExtern("pack", (out, N, 3), (out,))
    text = script(PrimFunc("f", (out,), 1, ("n", "m"), Seq((Store(total, (), size), branch, call))))
    assert text.partition("T.outputs(out)\n")[2] == """\
    total = T.int64(n)
    if m < n:
        out[T.int64(n)] = -T.int64(n)
    elif n < T.int64(3):
        out[i] = T.int64(n) + m
    T.call_extern("pack", out, n, 3, writes=[out])"""


def test_a_grid_has_extents_that_are_known_before_it() -> None:
    i, j = loop_variable("i", N), loop_variable("j", loop_variable("i", N) + 1)
    out = Buffer("out", (N, N), "int64")
    nest = For("i", N, For("j", i + 1, For("k", N, Store(out, (i, j), const(1, "int64")))))
    assert script(PrimFunc("f", (out,), 1, ("n",), nest)).partition("T.outputs(out)\n")[2] == """\
    for i in range(n):
        for j, k in T.grid(i + 1, n):
            out[i, j] = T.int64(1)"""


class Unknown(ScalarExpr, Stmt):
    """A node of no kind that relaxdsl has."""


def test_unknown_nodes_are_defects():
    with pytest.raises(InternalError) as error:
        format_scalar(Unknown())
    assert str(error.value) == "printing: no script for a scalar expression of class Unknown"
    with pytest.raises(InternalError) as error:
        summarize_stmt(Unknown())
    assert str(error.value) == "printing: no script for a statement of class Unknown"
