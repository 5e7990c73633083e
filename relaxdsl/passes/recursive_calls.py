"""Calls of recursive functions: such a function is a program of its own, which programs call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from relaxdsl.ir.graph import Call, ExternFunc, Function, Op
from relaxdsl.ir.module import IRModule
from relaxdsl.locks import COMPILING
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Program
from relaxdsl.types.types import AnyType, FuncType

Compile = Callable[[Function, IRModule], Program]

_known: WeakValueDictionary[tuple[int, str], RecursiveFunction] = WeakValueDictionary()


class RecursiveFunction:
    """A function of a module, compiled when it is first called. Its programs, and those that call it, share it."""

    def __init__(self, name: str, module: IRModule, compile_program: Compile) -> None:
        self._module = module
        self._compile_program = compile_program
        self._executable: Executable | None = None
        self.function = module.graph_functions[name]

    def __call__(self, *args: Any) -> Any:
        return self.executable.entry(*args)

    @property
    def executable(self) -> Executable:
        """The program, made callable: one for all threads, since programs are linked to its memory."""
        with COMPILING:
            if self._executable is None:
                program = self._compile_program(self.function, self._module)
                self._executable = Executable(program, [(param.name, param.type) for param in self.function.params])
            return self._executable


def recursive_function(name: str, module: IRModule, compile_program: Compile) -> RecursiveFunction:
    """The one that stands for the function ``name`` of this module."""
    key = id(module), name  # a module lives as long as the functions that are found by it
    found = _known.get(key)
    if found is None:
        found = _known[key] = RecursiveFunction(name, module, compile_program)
    return found


def as_host_call(call: Call, callee: Function, target: RecursiveFunction) -> Call:
    """The call as that of a packed function, which has the arguments' sizes checked and those of the result bound."""
    op = Op("call_pure_packed") if callee.is_pure else Op("call_packed", is_pure=False)
    extern = ExternFunc(callee.name, FuncType(None, AnyType(), callee.is_pure), call.span, target)
    return Call(op, (extern, *call.args), call.attrs, call.type, call.span)
