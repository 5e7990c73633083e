"""Functions pickle and copy: workers get the program, and its kernels from the cache."""

from __future__ import annotations

import copy
import copyreg
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving import W, X, scores
from test_saving import Steps, Thing, halves, n

import relaxdsl as relax
from relaxdsl import tir as T
from relaxdsl.ir.equal import assert_structural_equal

PROGRAM = """
import json, multiprocessing
import numpy as np
import relaxdsl as relax

n = relax.dims("n")
scale = 3.0
twice = lambda x: x * 2

def made(array):
    @relax.function
    def shifted(x: relax.Tensor[(n, 3), "float32"]):
        return relax.tanh(twice(x) * scale + array)
    return shifted

def work(task):
    function, x = task
    explained = function.explain()
    return function(x).tolist(), explained.kernels_compiled, explained.kernels_loaded, function.compile_count

if __name__ == "__main__":
    function = made(np.arange(300, dtype="float32").reshape(100, 3)[:1])
    x = np.ones((2, 3), "float32")
    expected = function(x).tolist()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.map(work, [(function, x)])
    print(json.dumps([expected, found]))
"""


def test_a_worker_compiles_nothing(tmp_path: Path) -> None:
    """A function of ``__main__`` that has captured a lambda, a number and an array, in a process of its own."""
    (tmp_path / "program.py").write_text(PROGRAM)
    settings = os.environ | {"RELAXDSL_CACHE": "1", "RELAXDSL_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, env=settings, cwd=tmp_path, check=False
    )
    assert run.returncode == 0, run.stderr
    expected, found = json.loads(run.stdout)
    assert found == [expected, 0, 1, 1]


@pytest.mark.parametrize("copied", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy, copy.deepcopy])
def test_copies_are_functions_of_their_own(copied: Any) -> None:
    original = copy.copy(scores)  # which no other test has compiled
    expected = original(X, W)
    function = copied(original)
    assert function is not original
    assert_structural_equal(function.ir, scores.ir)
    assert (function.__name__, function.__doc__, function.compile_count) == ("scores", "The scores of rows.", 0)
    np.testing.assert_array_equal(function(X, W), expected)
    assert function.explain().kernels_compiled == 0

    steps = copied(Steps)
    np.testing.assert_array_equal(steps.two_steps(X[0]), X[0] * 4)
    np.testing.assert_array_equal(copied(Steps["two_steps"])(X[0]), X[0] * 4)
    kernel = copied(halves)
    assert (kernel.__name__, kernel.__doc__) == ("halves", "Halves.")
    np.testing.assert_array_equal(kernel(X[0]), X[0] / 2)


def test_bound_functions_and_containers_of_functions() -> None:
    found = pickle.loads(pickle.dumps({"bound": scores.bind(w=W), "both": (scores, halves)}))
    np.testing.assert_array_equal(found["bound"](X), scores(X, W))
    assert [each.__name__ for each in found["both"]] == ["scores", "halves"]


def test_debug_kernels_check_in_workers() -> None:
    @relax.prim_func(debug=True)
    def gather(x: T.Buffer((n,), "float32"), at: T.Buffer((n,), "int64"), y: T.Buffer((n,), "float32")):
        for i in range(n):
            y[i] = x[at[i]]

    kernel = pickle.loads(pickle.dumps(gather))
    with pytest.raises(relax.KernelError):
        kernel(X[0], np.array([0, 1, 7]))


def test_objects_that_are_no_data_are_refused() -> None:
    @relax.function(attrs={"made_by": Thing()})
    def made(x: relax.Tensor[(n,), "float32"]):
        return x + 1

    with pytest.raises(relax.ArgumentError) as error:
        pickle.dumps(made)
    assert error.value.headline == "made: a program that holds a Thing cannot be saved: that is no data"


def test_damaged_pickles_are_errors() -> None:
    restore, (data,) = copyreg.dispatch_table[type(scores)](scores)
    with pytest.raises(relax.ArgumentError) as error:
        restore(data[:-1])
    assert str(error.value) == (
        f"the pickle is truncated: 1 of {len(data):,} bytes are missing\n   hint: save the program again"
    )
