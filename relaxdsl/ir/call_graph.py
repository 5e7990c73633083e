"""Which functions of a module call themselves, directly or through others."""

from __future__ import annotations

from relaxdsl.ir.graph import Function
from relaxdsl.ir.module import IRModule
from relaxdsl.ir.visit import used_globals


def reachable_functions(name: str, module: IRModule) -> set[str]:
    """The graph functions that a call of the function ``name`` may call; itself only if it is recursive."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        function = module.functions.get(waiting.pop())
        called = used_globals(function) if isinstance(function, Function) else ()
        new = [each for each in called if isinstance(module.functions.get(each), Function) and each not in found]
        found.update(new)
        waiting += new
    return found


def is_recursive(name: str, module: IRModule) -> bool:
    """Whether the function calls itself, directly or through others."""
    return name in reachable_functions(name, module)
