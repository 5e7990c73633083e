"""What kernels call of the engine: functions whose addresses the linker knows.

In a kernel, an address is a buffer and an offset in elements.

Importing this module imports numba.
"""

# numba is not typed.
# mypy: disallow-untyped-calls=False, disallow-untyped-decorators=False
# mypy: disallow-subclassing-any=False, warn-return-any=False

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from relaxdsl.kernels.contraction.names import ENGINE_ENTRIES, FAMILIES, PARAMETERS, is_address, symbol_name


def _make(entry: str, dtype: str) -> Any:
    """The function ``entry`` for ``dtype``, as kernels call it."""
    (family,) = (each for each in FAMILIES if entry in each)
    are_addresses = [is_address(name) for name in PARAMETERS[entry].split()]

    def define(typing_context: Any, *arguments: types.Type) -> tuple[Signature, Any]:
        kinds = [types.int64 if isinstance(each, types.Integer) else each for each in arguments]
        return types.none(*kinds), emit

    def emit(context: Any, builder: Any, sig: Signature, arguments: Any) -> Any:
        # Here, so that a process without contractions does not compile the core.
        from relaxdsl.kernels.contraction.engine import core

        core(dtype, family)
        rest = iter(arguments)
        values = [builder.gep(next(rest), [next(rest)]) if each else next(rest) for each in are_addresses]
        kind = ir.FunctionType(ir.IntType(64), [value.type for value in values])
        name = symbol_name(entry, dtype)
        builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), values)
        return context.get_dummy_value()

    define.__name__ = f"{entry}_{dtype}"
    define.__signature__ = inspect.Signature(list(_parameters(entry)))  # type: ignore[attr-defined]
    return intrinsic(define)


def _parameters(entry: str) -> Iterator[inspect.Parameter]:
    """The parameters numba sees: its context, then what is passed; an address is passed as a buffer and an offset."""
    yield inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for name in PARAMETERS[entry].split():
        parts = (name[:-1], f"{name[:-1]}_offset") if is_address(name) else (name,)
        for part in parts:
            yield inspect.Parameter(part, inspect.Parameter.POSITIONAL_OR_KEYWORD)


ENGINE_INTRINSICS: dict[str, Any] = {f"{entry}_{dtype}": _make(entry, dtype) for entry, dtype in ENGINE_ENTRIES}
