"""relaxdsl: Relax in Python. One compile for every shape.

The usual import is ``import relaxdsl as relax``.
"""

from relaxdsl import nn
from relaxdsl.api import CompiledFunction, CompiledModule, compile, function
from relaxdsl.errors import (
    ArgumentError,
    DTypeError,
    InternalError,
    KernelError,
    RelaxError,
    ScriptError,
    ShapeError,
)
from relaxdsl.ir.graph import Var
from relaxdsl.kernels import te
from relaxdsl.operators.catalog import PUBLIC
from relaxdsl.runtime.packed import register_packed
from relaxdsl.trace.literals import const, constant, extern, host, prim_value, shape
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.packed_calls import call_dps_packed, call_packed, call_pure_packed
from relaxdsl.trace.statements import call_tir, dataflow, emit_te, match_cast, output
from relaxdsl.types.constructors import Any, Callable, Prim, Shape, Tensor, Tuple
from relaxdsl.types.dims import dims
from relaxdsl.types.types import AnyType, FuncType, PrimType, ShapeType, TensorType, TupleType

globals().update(PUBLIC)

__version__ = "0.1.0"
