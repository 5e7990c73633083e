"""Kernels as TensorIR-like script, for reading: valid Python syntax, in block form and in scheduled form."""

from __future__ import annotations

from relaxdsl.ir.layout import Lines
from relaxdsl.ir.loops import PrimFunc


def add_prim_func(lines: Lines, function: PrimFunc, name: str | None = None) -> None:
    lines.add(f"def {name}(): pass")
