"""The examples of the Relax RFC, as scripts and built by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

import relaxdsl as relax
from relaxdsl import te
from relaxdsl import tir as T
from relaxdsl.ir.equal import assert_structural_equal
from relaxdsl.script.parse_text import parse_source

n, m = relax.dims("n m")
F32 = "float32"


def assert_agrees(function: Any, *args: np.ndarray) -> Any:
    comparison = function.check(*args)
    assert comparison, str(comparison)
    return function(*args)


# ------------------------------------------------------------------------ flatten: shapes that are computed


@relax.function
def flatten_and_unique(x: relax.Tensor[(n, 2, 2), "float32"]) -> relax.Tensor[("k",), "float32"]:
    with relax.dataflow():
        lv0: relax.Tensor[(n * 4,), "float32"] = relax.flatten(x)
        lv1: relax.Tensor[("k",), "float32"] = relax.unique(lv0)
        gv0 = relax.exp(lv1)
        relax.output(gv0)
    return gv0


def build_flatten_and_unique() -> Any:
    x = relax.Var("x", relax.Tensor((n, 2, 2), F32))
    bb = relax.BlockBuilder()
    with bb.function("flatten_and_unique", [x]):
        with bb.dataflow():
            lv0 = bb.emit(relax.flatten(x))
            assert lv0.shape == (n * 4,)
            lv1 = bb.emit(relax.unique(lv0))
            assert lv1.ndim == 1
            gv0 = bb.emit_output(relax.exp(lv1))
        bb.emit_func_output(gv0)
    return relax.compile(bb.get())["flatten_and_unique"]


def test_flatten_in_both_spellings() -> None:
    x = np.round(np.random.default_rng(0).normal(size=(5, 2, 2)), 1).astype(F32)
    for function in (flatten_and_unique, build_flatten_and_unique()):
        result = assert_agrees(function, x)
        np.testing.assert_allclose(result, np.exp(np.unique(x)), rtol=1e-6)


def test_a_call_of_an_operator_is_typed() -> None:
    x = relax.Var("x", relax.Tensor((m, 224), F32))
    assert relax.flatten(x).type.shape == (m * 224,)
    assert str(relax.flatten(x).type) == 'relax.Tensor((m * 224,), "float32")'


# ----------------------------------------------------------------------------------- emit_te: nested arguments


def weighted(pair: list[Any], rest: dict[str, Any], message: str) -> Any:
    assert message == "hello"
    a, b = pair
    c = rest["c"]
    return te.compute(a.shape, lambda i, j: a[i, j] + b[i, j] * c[j], name="weighted")


@relax.function
def with_te(
    x: relax.Tensor[(n, m), "float32"],
    y: relax.Tensor[(n, m), "float32"],
    z: relax.Tensor[(m,), "float32"],
) -> relax.Tensor[(n, m), "float32"]:
    return relax.emit_te(weighted, [x, y], {"c": z}, message="hello")


def build_with_te() -> Any:
    x, y = (relax.Var(name, relax.Tensor((n, m), F32)) for name in "xy")
    z = relax.Var("z", relax.Tensor((m,), F32))
    bb = relax.BlockBuilder()
    with bb.function("with_te", [x, y, z]):
        bb.emit_func_output(bb.emit_te(weighted, [x, y], {"c": z}, message="hello"))
    return relax.compile(bb.get())["with_te"]


def test_emit_te_in_both_spellings() -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=(3, 5)).astype(F32) for _ in range(2))
    z = rng.normal(size=5).astype(F32)
    for function in (with_te, build_with_te()):
        np.testing.assert_allclose(assert_agrees(function, x, y, z), x + y * z, rtol=1e-6)
        assert list(function.module.kernels) == ["weighted"]


# -------------------------------------------------- one kernel, called by name, and a packed function after it


relax.register_packed("rfc.sort_rows", lambda x: np.sort(x, axis=1), override=True)


def test_call_tir_of_a_kernel_and_a_packed_call() -> None:
    x = relax.Var("x", relax.Tensor((n, 4), F32))
    w = relax.Var("w", relax.Tensor((4, m), F32))
    bb = relax.BlockBuilder()
    with bb.function("main", [x, w], pure=False):
        first = bb.emit_te(lambda a, b: product(a, b), x, w, primfunc_name_hint="product")
        kernel = bb.get_global_var("product")
        again = bb.emit(relax.call_tir(kernel, (x, w), out=relax.Tensor((n, m), F32)))
        rows = bb.emit(relax.call_packed("rfc.sort_rows", again))
        typed = bb.match_cast(rows, relax.Tensor((n, m), F32))
        bb.emit_func_output([first, typed])
    main = relax.compile(bb.get())["main"]
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(3, 4)).astype(F32), rng.normal(size=(4, 6)).astype(F32)
    first_value, sorted_value = main(a, b)
    np.testing.assert_allclose(first_value, a @ b, rtol=1e-5)
    np.testing.assert_array_equal(sorted_value, np.sort(first_value, axis=1))
    assert list(main.module.kernels) == ["product"]


def product(a: Any, b: Any) -> Any:
    k = te.reduce_axis((0, 4), name="k")
    return te.compute((a.shape[0], b.shape[1]), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="product")


# ----------------------------------------------- a module of kernels and a function, and a packed call with an effect

k = relax.dims("k")
seen: list[np.ndarray] = []
relax.register_packed("rfc.custom_inplace_update", lambda x: seen.append(x.copy()), override=True)


@relax.module
class MyIRModule:
    @relax.prim_func
    def tir_matmul(
        x: T.Buffer((n, k), "float32"),  # noqa: N805
        y: T.Buffer((k, m), "float32"),
        z: T.Buffer((n, m), "float32"),
    ):
        for i, j, r in T.grid(n, m, k):
            with T.block("matmul"):
                vi, vj, vr = T.axis.remap("SSR", [i, j, r])
                with T.init():
                    z[vi, vj] = 0.0
                z[vi, vj] = z[vi, vj] + x[vi, vr] * y[vr, vj]

    @relax.prim_func
    def tir_exp(x: T.handle, y: T.handle):  # noqa: N805
        n = T.int64()
        X = T.match_buffer(x, (n,), "float32")  # noqa: N806
        Y = T.match_buffer(y, (n,), "float32")  # noqa: N806
        for i in range(n):
            Y[i] = T.exp(X[i])

    @relax.function(pure=False)
    def relax_func(
        x: relax.Tensor[(n, k), "float32"],  # noqa: N805
        w: relax.Tensor[(k, m), "float32"],
    ):
        with relax.dataflow():
            lv0 = relax.call_tir(cls.tir_matmul, (x, w), out=relax.Tensor((n, m), "float32"))
            lv1: relax.Tensor[(n * m,), "float32"] = relax.flatten(lv0)
            gv0 = relax.call_tir(cls.tir_exp, (lv1,), out=relax.Tensor((n * m,), "float32"))
            relax.output(gv0)
        relax.call_packed("rfc.custom_inplace_update", gv0)
        return gv0


def test_a_module_of_kernels_and_a_function() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(3, 4)).astype(F32), rng.normal(size=(4, 5)).astype(F32)
    seen.clear()
    result = MyIRModule.relax_func(x, w)
    np.testing.assert_allclose(result, np.exp(x @ w).ravel(), rtol=1e-5)
    np.testing.assert_array_equal(seen, [result])
    assert MyIRModule.relax_func(x[:0], w).shape == (0,)
    assert MyIRModule.relax_func.compile_count == 1
    np.testing.assert_allclose(MyIRModule.tir_exp(x[0]), np.exp(x[0]), rtol=1e-6)


def test_a_module_of_kernels_parses_back() -> None:
    again = parse_source(MyIRModule.script(), {"relax": relax})
    assert_structural_equal(again.module, MyIRModule.ir)
