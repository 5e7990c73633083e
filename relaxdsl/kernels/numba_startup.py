"""A quick start for numba: kernels use numbers, pointers and ranges, so only support for these is loaded.

Before its first compilation, numba loads the implementations of arrays, lists, dicts, strings, random numbers and
linear algebra (and with that scipy.linalg, where it is installed): two thirds of the time to a first kernel. And it
loads the types of NumPy's functions, and then asks of each operator on numbers whether that is one. numba adds what
is new to its registries at every compilation, so a user's own functions, compiled outside of here, find everything as
always.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext
from numba.core.typing.context import Context


@contextmanager
def quick_start() -> Iterator[None]:
    """Within the block, numba loads only what kernels use, if it has not loaded everything already."""
    with global_compiler_lock:
        if "numba.np.arraymath" in sys.modules:
            yield
            return
        with (
            replaced_methods(CPUContext, load_additional_registries=_load_what_kernels_use),
            replaced_methods(Context, load_additional_registries=_load_no_types),
        ):
            yield


@contextmanager
def replaced_methods(owner: type, **methods: Callable[..., Any]) -> Iterator[None]:
    """Within the block, which must hold numba's lock, a class of numba's has these methods."""
    before = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


def _load_what_kernels_use(context: CPUContext) -> None:
    """In place of numba's own method."""
    from numba.core import optional  # noqa: F401 - importing registers
    from numba.core.runtime import rtsys  # type: ignore[attr-defined]
    from numba.cpython import (  # noqa: F401
        builtins,
        iterators,
        mathimpl,
        numbers,
        rangeobj,
        slicing,
        tupleobj,
    )
    from numba.misc import literal  # noqa: F401

    rtsys.initialize(context)
    context.install_registry(mathimpl.registry)  # type: ignore[no-untyped-call]


def _load_no_types(context: Context) -> None:
    """In place of numba's own method: those of numbers are always there."""
