"""Calls of recursive functions: such a function is a program of its own, and programs call it as a Python function."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from relaxdsl.ir.graph import Call, ExternFunc, Function, Op
from relaxdsl.ir.module import IRModule
from relaxdsl.locks import COMPILING
from relaxdsl.runtime.executable import Executable
from relaxdsl.runtime.program import Program
from relaxdsl.types.types import AnyType, FuncType

LEVELS_A_CHECK, FRAMES_A_CHECK = 8, 120
"""Every so many levels it is checked that so many calls of Python within calls are left: more than the levels need."""

Compile = Callable[[Function, IRModule], Program]


class _Levels(threading.local):
    """How many calls of recursive functions are under way in this thread."""

    count = 0


class _TooDeepError(RecursionError):
    """What is raised at the deepest level and leaves the outermost one as a RecursionError."""

    def without_levels(self) -> RecursionError:
        """The same without the frames of the levels, which are alike."""
        error = RecursionError(*self.args)
        for note in getattr(self, "__notes__", ()):
            error.add_note(note)
        return error


_levels = _Levels()
_known: WeakValueDictionary[tuple[int, str], RecursiveFunction] = WeakValueDictionary()


class RecursiveFunction:
    """A function of a module, compiled when it is first called. Its programs, and those that call it, share it."""

    def __init__(self, name: str, module: IRModule, compile_program: Compile) -> None:
        self._name = name
        self._module = module
        self._compile_program = compile_program

    def __call__(self, *args: Any) -> Any:
        _levels.count += 1
        try:
            if _levels.count % LEVELS_A_CHECK == 1:
                self._require_depth()
            return self._executable.entry(*args)
        except _TooDeepError as error:
            if _levels.count > 1:
                raise
            raise error.without_levels() from None
        finally:
            _levels.count -= 1

    def _require_depth(self) -> None:
        """Raises an error here where a level would raise it in the middle of its work."""
        try:
            _descend(FRAMES_A_CHECK)
        except RecursionError:
            limit = f"Python's limit of {sys.getrecursionlimit()} (sys.setrecursionlimit)"
            raise _TooDeepError(f"{self._name} calls itself more deeply than {limit} allows") from None

    @cached_property
    def _executable(self) -> Executable:
        function = self._module.graph_functions[self._name]
        with COMPILING:
            program = self._compile_program(function, self._module)
        return Executable(program, [(param.name, param.type) for param in function.params])


def _descend(depth: int) -> None:
    if depth:
        _descend(depth - 1)


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
