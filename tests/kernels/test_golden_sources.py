"""The generated source of some kernels, as files to read. ``RELAXDSL_UPDATE_GOLDEN=1 pytest`` rewrites them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_te_programs import CASES

from relaxdsl.kernels.create import create_prim_func
from relaxdsl.kernels.schedule.pipeline import schedule
from relaxdsl.kernels.source import kernel_source

GOLDEN = Path(__file__).parent / "golden"
KERNELS = (
    "argmax",
    "batched_matmul",
    "concat",
    "convolution",
    "gather",
    "gelu",
    "layer_norm",
    "matmul_of_scaled_bytes",
    "matmul_of_transposed",
    "matmul_with_bias_and_relu",
    "reshape",
    "softmax",
    "softmax_of_columns",
    "sum_of_columns",
)


@pytest.mark.parametrize("name", KERNELS)
def test_source(name, monkeypatch):
    monkeypatch.setattr("relaxdsl.kernels.vectors.widest_vector_bits", lambda: 256)  # the engine's tile depends on it
    monkeypatch.delenv("RELAXDSL_VECTOR_BITS", raising=False)
    inputs, outputs, _ = CASES[name]()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    check_golden(name, kernel_source(schedule(create_prim_func(inputs, outputs, name))))


def check_golden(name: str, source: str) -> None:
    """The source is the one in the file, which is written anew if that is asked for."""
    path = GOLDEN / f"{name}.py"
    if os.environ.get("RELAXDSL_UPDATE_GOLDEN"):
        path.write_text(source)
    assert source == path.read_text()
