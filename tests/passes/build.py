"""Programs built by hand for the pass tests, and running them both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relaxdsl.ir.check import check_module
from relaxdsl.ir.graph import Function, Var
from relaxdsl.ir.module import IRModule
from relaxdsl.operators import catalog
from relaxdsl.passes.pipeline import Compiled, compile_function
from relaxdsl.runtime.executable import Executable
from relaxdsl.trace.builder import BlockBuilder
from relaxdsl.trace.interpreter import interpret
from relaxdsl.types.constructors import as_type

OP = {**catalog.PUBLIC, **catalog.NN}


def module_of(params: dict[str, Any], body: Callable[..., Any], *, pure: bool = True) -> IRModule:
    """A module whose function ``main`` returns what ``body(builder, *vars)`` returns."""
    builder = BlockBuilder()
    variables = [Var(name, as_type(kind)) for name, kind in params.items()]
    with builder.function("main", variables, pure=pure, form_dataflow=True):
        builder.emit_func_output(body(builder, *variables))
    module = builder.get()
    check_module(module)
    return module


class Built:
    """A module's ``main``, runnable by the VM and by the interpreter."""

    def __init__(self, module: IRModule) -> None:
        main = module["main"]
        assert isinstance(main, Function)
        self.main = main
        self.module = module
        self.compiled: Compiled = compile_function(main, module)
        self.run = Executable(self.compiled.program, [(param.name, param.type) for param in main.params])

    def reference(self, args: Sequence[Any]) -> Any:
        return interpret(self.main, self.module, args)


def build(params: dict[str, Any], body: Callable[..., Any], *, pure: bool = True) -> Built:
    """:func:`module_of`, compiled."""
    return Built(module_of(params, body, pure=pure))
