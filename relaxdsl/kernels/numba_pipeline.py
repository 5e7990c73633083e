"""How numba compiles a kernel: the passes that kernels need, one round of LLVM's optimisations instead of two, and the
machine's widest vectors.

A kernel is a plain nest of loops on numbers and pointers: no closures, no literal unrolling, no arrays to rewrite. And
LLVM's optimisations of single functions, which numba runs to save memory on large modules, are all in those of the
module again: without them kernels run as fast, and compile in three quarters of the time.

LLVM takes 256 bits for Intel's processors with AVX-512, lest a little code in wide vectors slow down everything else.
Kernels are all wide: with 512 bits, gelu(x*y+z) takes 0.7 of the time, a softmax 0.75.

A vector on the stack must not lie across two lines of the cache, or it takes two loads. LLVM aligns the stack to whole
vectors where there is a frame pointer; without one a loop that calls a function takes up to 1.4 times as long.
"""

# numba is not typed.
# mypy: disallow-untyped-calls=False, disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode

from relaxdsl.kernels.numba_startup import quick_start, replaced_methods
from relaxdsl.kernels.vectors import vector_bits

_PASSES = (
    (TranslateByteCode, "read the bytecode"),
    (FixupArgs, "name the arguments"),
    (IRProcessing, "process the IR"),
    (ReconstructSSA, "one variable for each value"),
    (NopythonTypeInference, "infer the types"),
    (PreLowerStripPhis, "drop the phi nodes"),
    (IRLegalization, "check the IR"),
    (AnnotateTypes, "note the types"),
    (NativeLowering, "lower to LLVM"),
    (NoPythonBackend, "finish"),
)


class KernelCompiler(CompilerBase):
    """numba's compiler with the passes that a kernel needs."""

    def define_pipelines(self) -> list[PassManager]:
        manager = PassManager("kernel")
        for each, description in _PASSES:
            manager.add_pass(each, description)
        manager.finalize()
        return [manager]


def compile_callback(function: Callable[..., Any], signature: Any) -> Any:
    """``function`` in machine code, as a C function of the given numba signature; ``address`` is where it is."""
    # Without fast-math: elementwise arithmetic is NumPy's. The sums of a reduction carry flags of their own.
    options: dict[str, Any] = {"error_model": "numpy", "boundscheck": False}
    with quick_start(), _modules_optimised_once():
        return numba.cfunc(signature, pipeline_class=KernelCompiler, **options)(function)


def _modules_optimised_once() -> AbstractContextManager[None]:
    """Within the block, which must hold numba's lock, functions are not optimised before their module is.

    And they are marked with the width of vectors that they should use, and as having a frame pointer.
    """
    add_ir_module = JITCodeLibrary.add_ir_module
    marks = (f'"prefer-vector-width"="{vector_bits()}"', '"frame-pointer"="all"')

    def add_marked(library: JITCodeLibrary, module: Any) -> None:
        for function in module.functions:
            set.update(function.attributes, marks)  # llvmlite's own `add` knows no attribute with a value
        add_ir_module(library, module)

    return replaced_methods(JITCodeLibrary, _optimize_functions=_set_layout, add_ir_module=add_marked)


def _set_layout(library: JITCodeLibrary, module: Any) -> None:
    """What is left of numba's method of optimising functions."""
    module.data_layout = library._codegen._data_layout
