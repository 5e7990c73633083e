"""Python's own values in kernels: a list that a loop appends to is appended to once, since the loop is read once."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, MutableMapping, MutableSequence, MutableSet
from typing import Any

from relaxdsl.errors import ScriptError, Span
from relaxdsl.script.scope import POISON, Scope
from relaxdsl.script.tensor_ir.interpreter import KernelInterpreter

WHAT_CHANGES = "what changes while the kernel runs is a buffer, t = T.alloc_buffer((4,), dtype), or a local variable"

_CHANGING = frozenset(
    {
        *("__delitem__", "__setitem__", "add", "append", "appendleft", "clear", "difference_update", "discard"),
        *("extend", "extendleft", "insert", "intersection_update", "pop", "popitem", "popleft", "remove", "reverse"),
        *("rotate", "setdefault", "sort", "subtract", "symmetric_difference_update", "update"),
    }
)


def changes_once(name: str, hint: str, span: Span | None) -> ScriptError:
    """The error for a loop or a branch that would change a value of Python."""
    headline = f"{name} has a value that is known when parsing, so a loop or a branch cannot change it"
    return ScriptError(headline, hint=hint, span=span)


def require_fixed(interp: KernelInterpreter, node: ast.Call, function: Any, args: list[Any]) -> None:
    """Returns unless the call changes a list, a dict, a set or an iterator begun outside of the loop or the branch.

    Raises:
        ScriptError: it does.
    """
    changed, fixed = _changed_by(function, args), interp.fixed_scope
    if changed is None or fixed is None:
        return
    written = node.func.value if isinstance(node.func, ast.Attribute) else node.func
    if function is builtins.next:
        written = node.args[0]
    name = _first_name(written)
    is_outside = name is not None and all(name not in each.variables for each in _inside(interp, fixed))
    if is_outside or _holds(interp, fixed, changed):
        if isinstance(written, ast.Name):
            _poison(fixed, written.id)
        raise changes_once(ast.unparse(written), WHAT_CHANGES, interp.source.span(node))


def _poison(fixed: Scope, name: str) -> None:
    """What is read from the variable after the error would be wrong, too: that stays silent."""
    scopes = list(fixed.chain())
    holder = next((each for each in scopes if name in each.variables), scopes[-1])
    holder.variables[name] = POISON


def _changed_by(function: Any, args: list[Any]) -> Any:
    """What the call changes; None if that is nothing, or not known."""
    if function is builtins.next:
        return args[0] if args and isinstance(args[0], Iterator) else None
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, Iterator):
        return owner if name in ("__next__", "send") else None
    return owner if isinstance(owner, MutableSequence | MutableMapping | MutableSet) and name in _CHANGING else None


def _first_name(written: ast.expr) -> str | None:
    """The name that ``name.attribute[index]`` starts with; None where it starts with something else."""
    while isinstance(written, ast.Attribute | ast.Subscript):
        written = written.value
    return written.id if isinstance(written, ast.Name) else None


def _inside(interp: KernelInterpreter, fixed: Scope) -> Iterator[Scope]:
    """The scopes inside of the loop or the branch."""
    outside = set(map(id, fixed.chain()))
    return (each for each in interp.frame.scope.chain() if id(each) not in outside)


def _holds(interp: KernelInterpreter, scope: Scope, wanted: Any) -> bool:
    """Whether a variable that the scope sees has the value, or has it somewhere inside."""
    variables = [value for each in scope.chain() for value in each.variables.values()]
    outside = (interp.around.closure, interp.around.globals)
    return any(_is_among(values, wanted, set()) for values in (variables, *(names.values() for names in outside)))


def _is_among(values: Iterable[Any], wanted: Any, seen: set[int]) -> bool:
    for value in values:
        if value is wanted:
            return True
        if isinstance(value, list | tuple | set | dict) and id(value) not in seen:
            seen.add(id(value))
            if _is_among(value.values() if isinstance(value, dict) else value, wanted, seen):
                return True
    return False
