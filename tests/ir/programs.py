"""Example programs, built by hand from nodes. Each function here gives a new program on every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from relaxdsl.ir.graph import (
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
    If,
    MatchCast,
    Op,
    PrimValue,
    SeqExpr,
    ShapeExpr,
    Tuple,
    TupleGetItem,
    Var,
    VarBinding,
)
from relaxdsl.ir.loops import Block, Buffer, For, IfThenElse, IterVar, PrimFunc, Seq, Store, loop_variable
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.scalar import Load, as_scalar, binary, const
from relaxdsl.types.dims import Dim, symbol
from relaxdsl.types.types import AnyType, FuncType, PrimType, ShapeType, TensorType, TupleType, Type


def tensor(*shape: Dim | str, dtype: str = "float32") -> TensorType:
    """A tensor type; strings are symbols."""
    return TensorType(tuple(symbol(dim) if isinstance(dim, str) else dim for dim in shape), dtype)


def call(op: str, *args: Expr, type_: Type, pure: bool = True, **attrs: Any) -> Call:
    """A call of an operator."""
    return Call(Op(op, pure), args, attrs, type_)


def constant(value: Any, dtype: str = "float32") -> Constant:
    """A constant array."""
    array = np.array(value, dtype=dtype)
    return Constant(array, TensorType(array.shape, dtype))


def bind(var: Var, value: Expr) -> VarBinding:
    """A binding."""
    return VarBinding(var, value)


def function(
    params: tuple[Var, ...], blocks: tuple[BindingBlock, ...], result: Expr, ret_type: Type | None = None, **parts: Any
) -> Function:
    """A function called main."""
    return Function("main", params, SeqExpr(blocks, result), result.type if ret_type is None else ret_type, **parts)


def module(functions: Mapping[str, Function | PrimFunc]) -> IRModule:
    """A module."""
    return IRModule(dict(functions))


# ------------------------------------------------------------------------------------------------------ graph functions


def dense(m: str = "m", names: tuple[str, ...] = ("x", "w", "lv", "gv")) -> Function:
    """A matmul and a relu, with one symbol; the names are to be chosen."""
    x, w = Var(names[0], tensor(m, 224)), Var(names[1], tensor(224, 10))
    out = tensor(m, 10)
    lv, gv = DataflowVar(names[2], out), Var(names[3], out)
    block = DataflowBlock((bind(lv, call("matmul", x, w, type_=out)), bind(gv, call("nn.relu", lv, type_=out))))
    return function((x, w), (block,), gv)


def flatten() -> Function:
    """A reshape to a symbolic expression, with attributes of many kinds."""
    m, n = symbol("m"), symbol("n")
    x = Var("x", tensor(m, n))
    lv = DataflowVar("lv", tensor(m * n))
    gv = Var("gv", tensor(m * n - 1, dtype="float64"))
    reshape = call("reshape", x, type_=lv.type, shape=(m * n,), order=None)
    sliced = call(
        "strided", lv, type_=gv.type, index=(slice(1, None, None), [m // 2, n % 4]), dtype="float64", scale=-0.5,
        flag=True, table={"a": (1,)}, bound=float("-inf"), kind=tensor("m"),
    )  # fmt: skip
    return function((x,), (DataflowBlock((bind(lv, reshape), bind(gv, sliced))),), gv)


def branches() -> Function:
    """An If whose branches have blocks of their own, after a dataflow block."""
    x, flag = Var("x", tensor("m")), Var("flag", tensor(dtype="bool"))
    doubled, lv, y = Var("gv", x.type), DataflowVar("lv", x.type), Var("y", x.type)
    bindings = bind(lv, call("add", x, x, type_=x.type)), bind(doubled, call("negative", lv, type_=x.type))
    then_block = DataflowBlock(bindings)
    choice = If(flag, SeqExpr((then_block,), doubled), SeqExpr((), x), x.type)
    return function((x, flag), (BindingBlock((bind(y, choice),)),), y)


def effects() -> Function:
    """Packed functions, a print, a match_cast to a new symbol and a data-dependent size, in plain blocks."""
    x = Var("x", TensorType(None, "float32", 2))
    y, u, z, p, n = (
        Var("y", tensor("k", 4)), Var("u", tensor("u_n", dtype="int64")), Var("z", tensor("k", 4)),
        Var("p", AnyType()), Var("nothing", TupleType()),
    )  # fmt: skip
    extern = ExternFunc("host.norm", FuncType(None, AnyType(), pure=False))
    bindings = (
        MatchCast(y, x, tensor("k", 4)),
        bind(u, call("unique", y, type_=u.type)),
        bind(z, call("call_dps_packed", extern, Tuple((y,)), type_=z.type)),
        bind(p, call("call_packed", extern, z, HostObject("l2", AnyType()), type_=AnyType(), pure=False)),
        bind(n, call("print", p, type_=TupleType(), pure=False)),
    )
    return function((x,), (BindingBlock(bindings),), Tuple((y, u)), is_pure=False)


def leaves() -> Function:
    """Every kind of leaf."""
    m = symbol("m")
    n = Var("n", PrimType("int64", m))
    s = Var("s", ShapeType((m, 4)))
    f = Var("f", FuncType((tensor("q"),), tensor("q")))
    pair, first = DataflowVar("pair", TupleType((tensor(), PrimType("int64", m + 1)))), DataflowVar("lv", tensor())
    large = DataflowVar("lv", tensor(13, 5))
    out = Var("gv", tensor(4))
    block = DataflowBlock((
        bind(pair, Tuple((constant(1.5), PrimValue(m + 1)))),
        bind(first, TupleGetItem(pair, 0, tensor())),
        bind(large, constant(np.arange(65.0).reshape(13, 5))),
        bind(out, Call(f, (constant([np.nan, np.inf, -0.0, 0.1]),), {}, tensor(4))),
    ))  # fmt: skip
    result = Tuple((out, ShapeExpr((m, 4)), Tuple(())))
    return function((n, s, f), (block,), result, attrs={"note": "all leaves", "level": 3})


# -------------------------------------------------------------------------------------------------------------- kernels


def row_sum() -> PrimFunc:
    """A sum over rows, in block form."""
    m, n = symbol("m"), symbol("n")
    x, y = Buffer("x", (m, n), "float32"), Buffer("y", (m,), "float32")
    i, j, vi, vj = (loop_variable(name, size) for name, size in (("i.0", m), ("j", n), ("vi", m), ("vj", n)))
    axes = (IterVar("vi", m, "spatial", i), IterVar("vj", n, "reduce", j))
    step = Store(y, (vi,), Load(y, (vi,)) + Load(x, (vi, vj)) * 2.0)
    block = Block("sum", axes, step, Store(y, (vi,), const(0, "float32")))
    return PrimFunc("row_sum", (x, y), 1, ("m", "n"), For("i.0", m, For("j", n, block)))


def scheduled_max() -> PrimFunc:
    """A maximum over rows, scheduled: a register, scratch memory, all kinds of loops, a condition."""
    m, n = symbol("m"), symbol("n")
    x, y = Buffer("x", (m, n), "float32"), Buffer("y", (m,), "float32")
    row, best = Buffer("row", (n,), "float32", "scratch"), Buffer("acc", (), "float32", "register")
    t, j, k = loop_variable("t", m), loop_variable("j", n), loop_variable("k", 4)
    maximum = Store(best, (), binary("maximum", Load(best, ()), -(Load(row, (j,)) + 1.0)))
    body = Seq((
        Store(best, (), const(float("-inf"), "float32")),
        For("j0", n, Store(row, (loop_variable("j0", n),), Load(x, (t, loop_variable("j0", n)))), "vectorized"),
        For("j", n - 1, maximum, start=1),
        For("k", 4, IfThenElse(as_scalar(k) < n, Store(y, (t,), Load(best, ())), Seq(())), "unrolled"),
    ))  # fmt: skip
    return PrimFunc("scheduled_max", (x, y), 1, ("m", "n"), For("t", m, body, "parallel"), (row,))


def with_kernel() -> IRModule:
    """A module of a kernel, a function that calls it, and one that calls that function."""
    x, lv, gv = Var("x", tensor("m", "n")), DataflowVar("lv", tensor("m")), Var("gv", tensor("m"))
    kernel = GlobalVar("row_sum", FuncType((x.type,), gv.type))
    total = call("call_tir", kernel, Tuple((x,)), type_=tensor("m"))
    main = function((x,), (DataflowBlock((bind(lv, total), bind(gv, call("nn.relu", lv, type_=lv.type)))),), gv)
    a, b = Var("a", tensor("p", 3)), Var("b", tensor("p"))
    outer = Call(GlobalVar("main", FuncType((x.type,), gv.type)), (a,), {}, tensor("p"))
    twice = function((a,), (DataflowBlock((bind(b, outer),)),), b)
    return module({"row_sum": row_sum(), "main": main, "twice": twice})


GRAPH_PROGRAMS: tuple[Callable[[], Function | IRModule], ...] = (dense, flatten, branches, effects, leaves, with_kernel)
KERNELS: tuple[Callable[[], PrimFunc], ...] = (row_sum, scheduled_max)
