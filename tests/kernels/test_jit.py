"""Compiling: once per structure, in the caller's names, and failures that name the kernel."""

from __future__ import annotations

import errno
import linecache
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kernel_programs import random_array
from scipy import special
from test_te_programs import CASES

from relaxdsl.errors import InternalError
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import codegen, te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.jit import compile_kernel, run_kernel
from relaxdsl.kernels.structural_key import structural_key
from relaxdsl.types.dims import dims, symbol


def row_sums(rows: str, columns: str, names: tuple[str, str] = ("x", "s"), lower: int = 0) -> PrimFunc:
    m, n = symbol(rows, lower=lower), symbol(columns)
    x = te.placeholder((m, n), name=names[0])
    k, k2 = te.reduce_axis(n, "k"), te.reduce_axis(n, "r")
    e = te.compute((m, n), lambda i, j: te.exp(x[i, j]), "e")
    total = te.compute((m,), lambda i: te.sum(e[i, k], axis=k), "total")
    largest = te.compute((m,), lambda row: te.max(e[row, k2] * total[row], axis=k2), names[1])
    return create_prim_func([x], [largest], "rows")


def test_equal_structure_is_compiled_once_and_described_in_the_callers_sizes():
    first = compile_kernel(row_sums("m", "n"))
    second = compile_kernel(row_sums("n", "width", ("data", "args")))
    assert first.address == second.address
    assert (second.symbols, second.extents) == (("n", "width"), (symbol("n"),))
    assert [(each.name, each.shape) for each in second.scratch] == [("e", (symbol("width"),))]
    values = random_array((4, 3))
    results = [np.empty(4, "float32") for _ in range(2)]
    run_kernel(first, [values, results[0]], {"m": 4, "n": 3})
    run_kernel(second, [values, results[1]], {"n": 4, "width": 3}, parts=3)
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], np.exp(values).max(1) * np.exp(values).sum(1), rtol=1e-5)


def test_the_same_function_gives_the_same_kernel():
    prim_func = row_sums("m", "n")
    assert compile_kernel(prim_func).address == compile_kernel(prim_func).address


def test_keys_differ_where_structure_or_bounds_do():
    keys = [structural_key(each) for each in (row_sums("m", "n"), row_sums("m", "m"), row_sums("m", "n", lower=1))]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("name", CASES)
def test_a_key_ignores_names_and_nothing_else(name):
    def key(suffix: str) -> str:
        inputs, outputs, _ = CASES[name]()
        return structural_key(
            create_prim_func(inputs, outputs if isinstance(outputs, tuple) else (outputs,), f"kernel{suffix}")
        )

    assert key("a") == key("b")


def test_all_keys_of_the_cases_differ():
    built = [build()[:2] for build in CASES.values()]
    keys = [structural_key(create_prim_func(i, o if isinstance(o, tuple) else (o,), "kernel")) for i, o in built]
    assert len(set(keys)) == len(keys)


def test_source_is_a_file_that_linecache_knows():
    compiled = compile_kernel(row_sums("m", "n"))
    files = [name for name in linecache.cache if "relaxdsl-" in name and "rows" in name]
    assert any(Path(name).read_text() == compiled.source for name in files)


@pytest.mark.parametrize("call", ["tempfile.mkdtemp", "pathlib.Path.write_text"])
def test_source_that_cannot_be_written_is_no_error(monkeypatch, call):
    def fail(*args, **keywords):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(codegen, "_source_folder", codegen._source_folder.__wrapped__)
    monkeypatch.setattr(call, fail)
    path = codegen._write_source("rows", "def rows(args, lo, hi):\n    pass\n")
    assert not path.exists()
    linecache.checkcache(str(path))
    assert linecache.getline(str(path), 2) == "    pass\n"


FULL_DISK = """
import resource, numpy as np, relaxdsl as relax
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
n = relax.dims("n")
@relax.function
def double(x: relax.Tensor[(n,), "float32"]):
    return x + x
print(double(np.arange(3, dtype="float32")))
"""


def test_a_full_disk_is_silent(tmp_path):
    """Neither the cache nor the source can be written: every file is full before its first byte."""
    (tmp_path / "double.py").write_text(FULL_DISK)
    environment = {**os.environ, "RELAXDSL_CACHE": "1", "RELAXDSL_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "TMPDIR": str(tmp_path)}
    result = subprocess.run([sys.executable, tmp_path / "double.py"], capture_output=True, text=True, env=environment)
    assert (result.stdout, result.stderr) == ("[0. 2. 4.]\n", "")


def test_what_numba_refuses_is_an_internal_error_without_its_traceback(monkeypatch):
    n = dims("n")
    x = te.placeholder((n,), name="x")
    prim_func = create_prim_func([x], [te.compute((n,), lambda i: x[i] + 41.5, "y")], "broken")
    monkeypatch.setattr(
        codegen, "kernel_source", lambda scheduled: "def broken(args, lo, hi):\n    missing_function(args)\n"
    )
    with pytest.raises(InternalError) as caught:
        compile_kernel(prim_func)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert str(caught.value) == (
        "broken: numba does not compile the kernel's source\n"
        "   TypingError: NameError: name 'missing_function' is not defined\n"
        "   def broken(args, lo, hi):\n"
        "       missing_function(args)"
    )


def test_importing_the_compiler_imports_neither_numba_nor_sympy():
    found = "print(*{'numba', 'sympy', 'llvmlite'} & set(sys.modules))"
    program = f"import sys, relaxdsl.kernels.jit, relaxdsl.kernels.te; {found}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


# ---------------------------------------------------------------------------- vectorised

PACKED = {
    "gelu": r"v?mulp[sd]|v?fmadd\w*p[sd]",
    "softmax": r"v?maxp[sd]",
    "layer_norm": r"v?addp[sd]|v?fmadd\w*p[sd]",
    "sum_of_all": r"v?addp[sd]",
    "sum_of_columns": r"v?addp[sd]",
}


@pytest.mark.parametrize("name", PACKED)
def test_loops_are_vectorised(name):
    inputs, outputs, _ = CASES[name]()
    compiled = compile_kernel(create_prim_func(inputs, [outputs], name))
    assembly = compiled.code._library.get_asm_str()
    if "%rsp" not in assembly and "rsp" not in assembly:
        pytest.skip("not x86")
    assert re.search(rf"\b({PACKED[name]})\b", assembly)


def test_many_buffers_vectorise_too():
    n = dims("n")
    inputs = [te.placeholder((n,), name=f"x{i}") for i in range(12)]
    outputs = te.compute((n,), lambda i: (sum(each[i] for each in inputs), inputs[0][i] * 2), "out")
    assembly = compile_kernel(create_prim_func(inputs, outputs, "many")).code._library.get_asm_str()
    assert "rsp" not in assembly or re.search(r"\bv?addps\b", assembly)


def test_tables_of_constants_do_not_keep_loops_from_becoming_vectors():
    """sin of a float64 looks digits of 2/π up; no output is written over that table."""
    n = dims("n")
    x = te.placeholder((n,), "float64", name="x")
    prim_func = create_prim_func([x], [te.compute((n,), lambda i: te.sin(x[i]), "out")], "sines")
    assembly = compile_kernel(prim_func).code._library.get_asm_str()
    assert "rsp" not in assembly or re.search(r"\bv?mulpd\b", assembly)


# ---------------------------------------------------------------------------- in place


def test_an_output_may_be_the_memory_of_an_input():
    n = dims("n")
    x, y = te.placeholder((n,), name="x"), te.placeholder((n,), name="y")
    prim_func = create_prim_func([x, y], [te.compute((n,), lambda i: x[i] * 2 + y[i], "out")], "update")
    compiled = compile_kernel(replace(prim_func, attrs={"in_place": ((2, 0),)}))
    assert "out = float32_buffer(args, 0)" in compiled.source
    values, others = random_array((100,)), random_array((100,), seed=1)
    wanted = values * 2 + others
    run_kernel(compiled, [values, others, values], {"n": 100})
    np.testing.assert_array_equal(values, wanted)


def test_a_row_times_a_matrix_is_divided_into_columns():
    n, p = dims("n p")
    x, w = te.placeholder((1, n), name="x"), te.placeholder((n, p), name="w")
    k = te.reduce_axis(n, "k")
    product = te.compute((1, p), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), "product")
    out = te.compute((1, p), lambda i, j: te.tanh(product[i, j]), "out")
    compiled = compile_kernel(create_prim_func([x, w], [out], "gemv"))
    assert str(compiled.extents[0]) == "max((p + 47) // 48, 1)"
    values, weights, result = random_array((1, 7)), random_array((7, 4000)), np.empty((1, 4000), "float32")
    run_kernel(compiled, [values, weights, result], {"n": 7, "p": 4000}, parts=2)
    np.testing.assert_allclose(result, np.tanh(values @ weights), rtol=1e-5, atol=1e-6)


def test_kernels_down_columns_run_over_blocks_of_columns():
    inputs, output, _ = CASES["softmax_of_columns"]()
    compiled = compile_kernel(create_prim_func(inputs, [output], "softmax_of_columns"))
    assert str(compiled.extents[0]) == "(n + 2047) // 2048"
    values, result = random_array((3, 5000)), np.empty((3, 5000), "float32")
    run_kernel(compiled, [values, result], {"m": 3, "n": 5000}, parts=2)
    np.testing.assert_allclose(result, special.softmax(values, axis=0), rtol=1e-5, atol=1e-6)
