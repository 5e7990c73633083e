"""Kernels on the disk: a later process loads what an earlier one compiled, and nothing that is not the same."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_programs import random_array
from test_jit import row_sums
from test_phases import two_phases

import relaxdsl as relax
from relaxdsl.cache.entry import pack, unpack
from relaxdsl.ir.loops import PrimFunc
from relaxdsl.kernels import codegen, disk, fingerprint, jit, te
from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.fingerprint import content_key, source_digest
from relaxdsl.kernels.jit import CompiledKernel, compile_kernel, run_kernel
from relaxdsl.kernels.object_code import are_known, imports_of
from relaxdsl.types.dims import dims, symbol

m, n, p = dims("m n p")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, for a process that has compiled nothing yet."""
    monkeypatch.setenv("RELAXDSL_CACHE", "1")
    monkeypatch.setenv("RELAXDSL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(fingerprint, "LOADED_AT_S", float("inf"))  # whoever edits relaxdsl while this runs
    fingerprint.fingerprint.cache_clear()
    monkeypatch.setattr(jit, "_compiled", {})
    yield tmp_path
    fingerprint.fingerprint.cache_clear()


def in_another_process(prim_func: PrimFunc) -> CompiledKernel:
    """The kernel as a process gets it that knows what is on the disk only."""
    jit._compiled.clear()
    fingerprint.fingerprint.cache_clear()
    return compile_kernel(prim_func)


def is_loaded(kernel: CompiledKernel) -> bool:
    assert (kernel.load_seconds > 0) != (kernel.numba_seconds > 0)
    return kernel.load_seconds > 0


def remainders() -> PrimFunc:
    """Math functions, one of them C's, and a minimum of sizes."""
    x, y = te.placeholder((m, n), name="x"), te.placeholder((n, m), name="y")
    return create_prim_func([x, y], [te.compute((m, n), lambda i, j: te.tanh(te.mod(x[i, j], y[j, i])), "z")], "mod")


def matmul() -> PrimFunc:
    x, w = te.placeholder((m, n), name="x"), te.placeholder((n, p), name="w")
    k = te.reduce_axis(n, "k")
    product = te.compute((m, p), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), "product")
    return create_prim_func([x, w], [te.compute((m, p), lambda i, j: te.exp(product[i, j]), "out")], "matmul")


KERNELS = {"scratch": lambda: row_sums("m", "n"), "phases": two_phases, "math": remainders, "engine": matmul}


# ------------------------------------------------------------------------------------------------------- what is loaded


@pytest.mark.parametrize("name", KERNELS)
def test_another_process_loads_the_kernel_and_compiles_nothing(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = compile_kernel(KERNELS[name]())
    assert not is_loaded(compiled)
    monkeypatch.setattr(codegen, "machine_code", None)
    loaded = in_another_process(KERNELS[name]())
    assert is_loaded(loaded)
    assert loaded.source == compiled.source
    assert loaded.interface.symbols == compiled.interface.symbols
    assert loaded.interface.phases == compiled.interface.phases
    for one, other in zip((*loaded.shared, *loaded.scratch), (*compiled.shared, *compiled.scratch), strict=True):
        assert (one.name, one.shape, one.dtype, one.scope) == (other.name, other.shape, other.dtype, other.scope)
    np.testing.assert_array_equal(run(loaded), run(compiled))


def run(kernel: CompiledKernel) -> np.ndarray:
    sizes = {name: 3 + place for place, name in enumerate(kernel.symbols)}
    *inputs, output = (
        random_array([sizes[str(dim)] for dim in each.shape], each.dtype) for each in kernel.prim_func.params
    )
    run_kernel(kernel, [*inputs, output], sizes, parts=2)
    return output


def test_a_loaded_kernel_speaks_of_the_callers_sizes(folder: Path) -> None:
    compile_kernel(row_sums("m", "n"))
    loaded = in_another_process(row_sums("n", "width", ("data", "args")))
    assert is_loaded(loaded)
    assert (loaded.symbols, loaded.extents) == (("n", "width"), (symbol("n"),))
    assert [each.shape for each in loaded.scratch] == [(symbol("width"),)]


def test_what_code_imports_is_known_without_numba(folder: Path) -> None:
    """numba's own helpers are not: a kernel that needs one would be compiled anew by every process."""
    imports = {name: imports_of(compile_kernel(make()).code._library._final_module) for name, make in KERNELS.items()}
    assert imports["scratch"] == imports["phases"] == ()
    assert set(imports["math"]) <= {"fmodf"}
    assert all(name.startswith("relaxdsl_") for name in imports["engine"])


def test_what_is_not_in_this_process_is_not_linked(folder: Path) -> None:
    """The linker would end the process."""
    assert not are_known(("relaxdsl_no_such_function",))
    compile_kernel(row_sums("m", "n"))
    rewrite_about(folder, imports=["relaxdsl_no_such_function"])
    assert not is_loaded(in_another_process(row_sums("m", "n")))


def rewrite_about(folder: Path, **changed: Any) -> None:
    (file,) = folder.iterdir()
    parts = unpack(file.stem, file.read_bytes())
    assert parts is not None
    parts["about"] = json.dumps(json.loads(parts["about"]) | changed).encode()
    file.write_bytes(pack(file.stem, parts))


def test_sizes_whose_text_means_something_else_are_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaxdsl.kernels.stored.parse_expression", lambda text, resolve: 7)
    compile_kernel(row_sums("m", "n"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-1] + b"?"])
def test_a_damaged_entry_is_compiled_again_and_mended(folder: Path, damage: Any) -> None:
    compile_kernel(row_sums("m", "n"))
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert not is_loaded(in_another_process(row_sums("m", "n")))
    assert is_loaded(in_another_process(row_sums("m", "n")))


def test_without_a_cache_kernels_are_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAXDSL_CACHE", "0")
    compile_kernel(row_sums("m", "n"))
    assert not is_loaded(in_another_process(row_sums("m", "n")))
    assert list(folder.iterdir()) == []


def test_a_variable_that_means_nothing_is_not_the_programs_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @relax.function
    def shifted(x: relax.Tensor[(n,), "float32"]):
        return x + 27.5

    monkeypatch.setenv("RELAXDSL_CACHE_LIMIT_MIB", "abc")
    with pytest.raises(relax.ArgumentError) as caught:
        shifted(np.zeros(2, "float32"))
    assert str(caught.value) == "RELAXDSL_CACHE_LIMIT_MIB: expected a number of MiB, got 'abc'"


# ----------------------------------------------------------------------------------------------------- what makes a key


def test_the_entry_of_another_processor_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_kernel(row_sums("m", "n"))
    monkeypatch.setattr(fingerprint, "processor", lambda: "znver5 +avx512f")
    assert not is_loaded(in_another_process(row_sums("m", "n")))
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "version", ["llvmlite.__version__", "llvmlite.binding.llvm_version_info", "numpy.__version__", "sys.version"]
)
def test_every_version_makes_other_keys(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    before = content_key("kernel")
    monkeypatch.setattr(version, "0.0.1")
    fingerprint.fingerprint.cache_clear()
    assert content_key("kernel") != before


def test_numbas_version_makes_other_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_key("kernel")
    monkeypatch.setattr(fingerprint, "_numba_version", lambda: "0.0.1")
    fingerprint.fingerprint.cache_clear()
    assert content_key("kernel") != before


def test_numbas_version_is_known_without_its_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert fingerprint._numba_version() == importlib.metadata.version("numba")


def test_where_numbas_version_is_unknown_there_is_no_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(Path, "is_file", lambda path: False)
    monkeypatch.setattr(importlib.metadata, "version", unknown)
    fingerprint.fingerprint.cache_clear()
    assert content_key("kernel") is None


@pytest.mark.parametrize("variable", ["NUMBA_OPT", "NUMBA_CPU_NAME", "RELAXDSL_VECTOR_BITS"])
def test_what_the_environment_says_of_compiling_makes_other_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = content_key("kernel")
    for irrelevant in ("RELAXDSL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(irrelevant, "2")
    assert content_key("kernel") == before
    monkeypatch.setenv(variable, "128")
    assert content_key("kernel") != before


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "kernel.py").write_text("from package.inner import helper\n")
    (tmp_path / "package" / "inner" / "helper.py").write_text("def helper(): return 1\n")
    return tmp_path / "package"


LATER_S = float("inf")


def test_a_changed_helper_makes_another_digest(package: Path) -> None:
    before = source_digest(package, LATER_S)
    (package / "inner" / "helper.py").write_text("def helper(): return 2\n")
    assert source_digest(package, LATER_S) != before


def test_neither_a_files_time_nor_its_place_makes_another_digest(package: Path) -> None:
    before = source_digest(package, LATER_S)
    os.utime(package / "kernel.py", (0, 0))
    (package / "inner" / "notes.txt").write_text("no source")
    moved = package.rename(package.parent / "moved")
    assert source_digest(moved, LATER_S) == before


def test_source_that_changed_since_it_was_loaded_has_no_digest(package: Path) -> None:
    """This process runs what was there before: what it compiles must not be taken for the new source's."""
    os.utime(package / "kernel.py", (1_000, 1_000))
    os.utime(package / "inner" / "helper.py", (3_000, 3_000))
    assert source_digest(package, loaded_at_s=2_000) is None
    assert source_digest(package, loaded_at_s=4_000) is not None
    os.utime(package / "inner" / "helper.py", (1e11, 1e11))  # a wrong clock says nothing
    assert source_digest(package, loaded_at_s=2_000) is not None


def test_without_source_there_is_no_cache(folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_digest(package / "missing", LATER_S) is None
    monkeypatch.setattr(fingerprint, "_PACKAGE", package / "missing")
    fingerprint.fingerprint.cache_clear()
    disk.keep({"object": b""}, "kernel")
    assert disk.find("kernel") is None
    assert list(folder.glob("*.relaxdsl")) == []
